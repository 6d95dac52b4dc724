//! Every format's bytes, pinned in `golden.hex`. A change there is a change of format:
//! it needs a new format number, and a reader for the old one.

use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, LogId, Lsn, Offset};

use crate::checkpoint::blob::{self, Captured, Encoder};
use crate::disk::register;
use crate::entry::{Placed, begin_frame, decode_frame, end_frame, put_append, put_stored};
use crate::lane::block::{BLOCK_HEADER_BYTES, BlockHeader, FileHeader, flag};
use crate::log::Segment;
use crate::manifest::{ListedLane, Manifest};
use crate::seam::LaneId;
use crate::segment::{Head, Identity, Sample, Unit, decode_index, put_index};
use crate::{Durability, Entry, EntryRef, SegmentId};

fn batch() -> Batch {
    let mut builder = Builder::new();
    builder.begin(Origin::Plain, 0, b"", b"key", b"", 4);
    builder.body(b"fire");
    builder.end();
    builder.finish(1_700_000_000_000).unwrap()
}

fn file_header() -> FileHeader {
    FileHeader {
        index: 3,
        lane: LaneId(7),
        first: Lsn(1000),
        salt: 0x5a17,
        file_bytes: 32 << 20,
    }
}

fn block() -> (BlockHeader, Vec<u8>) {
    let header = BlockHeader {
        lane: LaneId(7),
        first: Lsn(1000),
        synced: Lsn(900),
        body_bytes: 4,
        frame_count: 1,
        file_index: 3,
        flags: flag::REFERENCES_SYNCED,
    };
    let mut block = vec![0; BLOCK_HEADER_BYTES + 4];
    header.encode(0x5a17, &mut block);
    (header, block)
}

fn frame() -> Vec<u8> {
    let mut frame = Vec::new();
    begin_frame(&mut frame);
    let targets = [(LogId(1), Offset(10)), (LogId(2), Offset(20))];
    put_append(2, targets.into_iter(), &mut frame);
    frame.extend_from_slice(batch().bytes());
    put_stored(
        &Placed {
            log: LogId(3),
            base: Offset(30),
            count: 31,
            segment: SegmentId(32),
            position: 33,
            bytes: 34,
        },
        &mut frame,
    );
    let entries = [
        EntryRef::Settle {
            log: LogId(4),
            ranges: &[Offset(40)..Offset(41), Offset(43)..Offset(47)],
        },
        EntryRef::Mark {
            log: LogId(5),
            next: Offset(50),
        },
        EntryRef::Note {
            kind: 6,
            id: 60,
            bytes: b"note",
        },
    ];
    entries.iter().for_each(|entry| entry.put(&mut frame));
    end_frame(&mut frame, 0);
    frame
}

fn identity() -> Identity {
    Identity {
        log: LogId(0xab),
        segment: SegmentId(9),
        memory: false,
    }
}

fn captured() -> Captured {
    Captured {
        id: LogId(1),
        durability: Durability::Os,
        applied: Lsn(77),
        start: Offset(5),
        kept_end: Offset(12),
        next_segment: 10,
        segments: vec![Segment {
            id: SegmentId(9),
            base: Offset(4),
            end: Offset(11),
            bytes: 4096,
            sealed: true,
            first_ms: None,
            peak: None,
        }],
        inline: vec![(Offset(11), batch())],
    }
}

fn manifest() -> Manifest {
    let lane = |id, start, end| ListedLane {
        id: LaneId(id),
        start: Lsn(start),
        end,
    };
    Manifest {
        checkpoint: 4,
        floor: Lsn(500),
        lanes: vec![lane(6, 400, Some(Lsn(1000))), lane(7, 1000, None)],
    }
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut header = vec![0xff; 4096];
    file_header().encode(&mut header);
    assert!(header[64..].iter().all(|byte| *byte == 0));
    header.truncate(64);
    let mut segment = Vec::new();
    identity().put_header(Offset(4), Offset(0), &mut segment);
    let mut compacted = Vec::new();
    identity().put_header(Offset(4), Offset(12), &mut compacted);
    let mut unit = Vec::new();
    identity().put_unit(Offset(4), &batch(), &mut unit);
    let mut index = Vec::new();
    put_index(&samples(), 4096, &mut index);
    let mut checkpoint = Encoder::begin(4, Lsn(500));
    checkpoint.broker(2, 3, b"catalog");
    checkpoint.log(&captured(), b"state");
    vec![
        ("lane-file-header", header),
        ("lane-block", block().1),
        ("frame", frame()),
        ("segment-header", segment),
        ("segment-header-compacted", compacted),
        ("segment-unit", unit),
        ("segment-index", index),
        ("checkpoint", checkpoint.finish(10)),
        ("manifest", manifest().encode()),
        ("register", register::encode(12, b"value")),
    ]
}

fn samples() -> [Sample; 2] {
    let sample = |offset, position| Sample {
        offset: Offset(offset),
        position,
    };
    [sample(6, 70_000), sample(9, 140_000)]
}

#[test]
fn the_bytes_are_what_they_were() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let lines = all().into_iter();
    let lines: String = lines
        .map(|(name, bytes)| format!("{name} {}\n", hex(&bytes)))
        .collect();
    if std::env::var_os("BONGSU_GOLDEN_WRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/golden.hex");
        std::fs::write(path, &lines).unwrap();
    }
    for (found, expected) in lines.lines().zip(include_str!("golden.hex").lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(
        lines.lines().count(),
        include_str!("golden.hex").lines().count()
    );
}

#[test]
fn what_was_encoded_decodes() {
    let all: std::collections::BTreeMap<_, _> = all().into_iter().collect();
    assert_eq!(
        FileHeader::decode(&all["lane-file-header"]),
        Ok(file_header())
    );
    let (header, block) = block();
    assert_eq!(BlockHeader::decode(&block, LaneId(7), 3), Some(header));
    assert!(header.holds(0x5a17, &block) && !header.holds(0x5a18, &block));
    let entries = decode_frame(&all["frame"]).unwrap();
    assert_eq!(entries.len(), 5);
    assert!(
        matches!(&entries[0], Entry::Append { targets, batch: found }
        if targets[1] == (LogId(2), Offset(20)) && *found == batch())
    );
    assert!(matches!(
        entries[1],
        Entry::Stored {
            count: 31,
            bytes: 34,
            ..
        }
    ));
    assert!(matches!(&entries[2], Entry::Settle { ranges, .. } if ranges[1].end == Offset(47)));
    let head = |name: &str| identity().header(&all[name]);
    for (name, cleaned) in [("segment-header", 0), ("segment-header-compacted", 12)] {
        let expected = Head {
            base: Offset(4),
            cleaned: Offset(cleaned),
        };
        assert_eq!(head(name), Some(Ok(expected)));
    }
    assert!(
        matches!(identity().unit(&all["segment-unit"]), Unit::Front(front)
        if front.base == Offset(4) && front.count == 1)
    );
    assert_eq!(
        decode_index(&all["segment-index"], 4096),
        Some(samples().to_vec())
    );
    let decoded = blob::decode(&all["checkpoint"], 4).unwrap();
    assert_eq!(decoded.next_segment, 10);
    assert_eq!((decoded.sections[0].kind, decoded.sections[0].id), (2, 3));
    assert_eq!(
        decoded.logs[0],
        (captured(), bytes::Bytes::from_static(b"state"))
    );
    assert_eq!(Manifest::decode(&all["manifest"]), Some(manifest()));
}

#[test]
fn any_flipped_bit_is_seen() {
    for (name, bytes) in all() {
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            let accepted = match name {
                "lane-file-header" => FileHeader::decode(&bytes).is_ok(),
                "lane-block" => BlockHeader::decode(&bytes, LaneId(7), 3)
                    .is_some_and(|header| header.holds(0x5a17, &bytes)),
                "segment-header" | "segment-header-compacted" => {
                    matches!(identity().header(&bytes), Some(Ok(_)))
                }
                "segment-index" => decode_index(&bytes, 4096).is_some(),
                "checkpoint" => blob::decode(&bytes, 4).is_ok(),
                // Inside something that has a checksum.
                _ => false,
            };
            assert!(!accepted, "{name} at {at}");
        }
    }
}
