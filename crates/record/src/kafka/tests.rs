use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::batch::Batch;
use crate::compression::{Codec, DecompressError, compress};
use crate::header::{HEADER_BYTES, Header as BatchHeader, LOG_APPEND_TIME, MAGIC, NATIVE};

const LIMIT_BYTES: usize = 1 << 20;
const BASE_MS: i64 = 1_700_000_000_123;

/// A batch that says what it is told to, CRC included.
fn batch(attributes: i16, record_count: i32, payload: &[u8]) -> Batch {
    let mut buffer = BytesMut::zeroed(HEADER_BYTES);
    buffer.extend_from_slice(payload);
    Batch::seal(
        buffer,
        BatchHeader {
            base_offset: 0,
            length: 0,
            partition_leader_epoch: 0,
            magic: MAGIC,
            crc: 0,
            attributes,
            last_offset_delta: record_count.wrapping_sub(1),
            base_timestamp: BASE_MS,
            max_timestamp: BASE_MS + 5000,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count,
        },
    )
}

fn header<'a>(name: &'a str, value: Option<&'a [u8]>) -> Header<'a> {
    Header {
        name: name.as_bytes(),
        value,
    }
}

/// The records that the libraries were given for `golden.txt`.
fn write_sample() -> Batch {
    let mut writer = Writer::new();
    let headers = [
        header("content-type", Some(b"text/plain")),
        header("x", None),
        header("é", Some(b"\x00\xff")),
    ];
    writer.push(BASE_MS, Some(b"key"), Some(b"hello"), &headers);
    writer.push(BASE_MS - 3, None, Some(b""), &[]);
    writer.push(BASE_MS + 1000, Some(b""), None, &[]);
    let one = [header("n", Some(b"1"))];
    writer.push(BASE_MS, Some(&[b'k'; 200]), Some(&[b'v'; 300]), &one);
    writer.finish().expect("four records")
}

/// What kafka-python 3.0.12 and aiokafka 0.14.0 make of the sample, each codec by name.
fn golden() -> impl Iterator<Item = (&'static str, Bytes)> {
    include_str!("golden.txt").lines().map(|line| {
        let (name, hex) = line.split_once(' ').expect("name and bytes");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (name, (0..hex.len()).step_by(2).map(byte).collect())
    })
}

fn all(records: &Records) -> Vec<(Record<'_>, Vec<Header<'_>>)> {
    let pairs = records
        .iter()
        .map(|record| (record, record.headers.collect()));
    pairs.collect()
}

#[test]
fn client_libraries_write_the_same_bytes() {
    let ours = write_sample();
    let uncompressed = golden().filter(|(name, _)| name.ends_with("-none"));
    assert_eq!(
        uncompressed
            .map(|(name, theirs)| {
                // The leader epoch is the broker's to set.
                assert_eq!(ours.bytes()[..12], theirs[..12], "{name}");
                assert_eq!(ours.bytes()[16..], theirs[16..], "{name}");
            })
            .count(),
        2
    );
}

#[test]
fn what_client_libraries_write_is_read_in_every_codec() {
    let ours = write_sample();
    let ours = Records::open(&ours, LIMIT_BYTES).expect("sound");
    let expected = all(&ours);
    assert_eq!(expected[0].0.key, Some(&b"key"[..]));
    assert_eq!(expected[0].1[1], header("x", None));
    assert_eq!(expected[1].0.timestamp_ms, BASE_MS - 3);
    assert_eq!(
        (expected[2].0.key, expected[2].0.value),
        (Some(&b""[..]), None)
    );
    let mut names = Vec::new();
    for (name, bytes) in golden() {
        let theirs = Batch::parse(&bytes).expect(name);
        let records = Records::open(&theirs, LIMIT_BYTES).expect(name);
        assert_eq!(records.count(), 4);
        for (theirs, ours) in all(&records).iter().zip(&expected) {
            assert_eq!(theirs.1, ours.1, "{name}");
            assert_eq!(theirs.0.timestamp_ms, ours.0.timestamp_ms, "{name}");
            assert_eq!(
                (theirs.0.key, theirs.0.value),
                (ours.0.key, ours.0.value),
                "{name}"
            );
        }
        names.push(name);
    }
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        assert!(names.iter().any(|name| name.ends_with(codec)), "{codec}");
    }
}

#[test]
fn uncompressed_payload_is_not_copied() {
    let batch = write_sample();
    let records = Records::open(&batch, 0).expect("nothing to unfold");
    let value = records.get(3).expect("last").value.expect("not null");
    assert!(batch.bytes().as_ptr_range().contains(&value.as_ptr()));
    assert_eq!(records.get(4), None);
}

#[test]
fn broker_time_overrides_the_records() {
    let sample = write_sample();
    let stamped = batch(LOG_APPEND_TIME, 4, sample.payload());
    let records = Records::open(&stamped, LIMIT_BYTES).expect("sound");
    assert!(
        records
            .iter()
            .all(|record| record.timestamp_ms == BASE_MS + 5000)
    );
}

#[test]
fn lying_counts_are_refused() {
    let sample = write_sample();
    let open = |count| Records::open(&batch(0, count, sample.payload()), LIMIT_BYTES);
    for announced in [5, 1 << 20, i32::MAX] {
        let refused = KafkaMalformed::Count {
            announced: announced as u32,
            found: 4,
        };
        assert_eq!(open(announced).expect_err("too many"), refused);
    }
    // The last record: 8 bytes of fields, two lengths of two bytes, key, value, header.
    let last_bytes = 2 + 1 + 1 + 1 + (2 + 200) + (2 + 300) + 1 + 2 + 2;
    let refused = KafkaMalformed::Trailing { bytes: last_bytes };
    assert_eq!(open(3).expect_err("too few"), refused);
}

/// A record by hand: what each byte is stands in the module's picture.
#[test]
fn lying_fields_are_refused_by_name() {
    let check = |payload: &[u8], field| {
        let lie = batch(0, 1, payload);
        agree(&lie);
        let opened = Records::open(&lie, LIMIT_BYTES);
        let refused = opened.map(|_| ()).expect_err("a lie");
        assert_eq!(
            refused,
            KafkaMalformed::Record { index: 0, field },
            "{payload:x?}"
        );
    };
    assert!(Records::open(&batch(0, 1, b"\x0c\0\0\0\x01\x01\0"), LIMIT_BYTES).is_ok());
    check(b"\x0e\0\0\0\x01\x01\0", Field::Length);
    check(b"\x0b\0\0\0\x01\x01\0", Field::Length);
    check(b"\x01\0\0\0\x01\x01\0", Field::Length);
    check(b"\xff\xff\xff\xff\xff\xff\xff", Field::Length);
    check(b"\0", Field::Attributes);
    check(b"\x04\0\x80", Field::Timestamp);
    check(b"\x06\0\0\x80", Field::Offset);
    check(b"\x0c\0\0\x02\x01\x01\0", Field::Offset);
    check(b"\x0c\0\0\x01\x01\x01\0", Field::Offset);
    check(b"\x0c\0\0\0\x03\x01\0", Field::Key);
    check(b"\x0c\0\0\0\x10\x01\0", Field::Key);
    check(b"\x0c\0\0\0\x01\x10\0", Field::Value);
    check(b"\x0a\0\0\0\x01\x01", Field::HeaderCount);
    check(b"\x0c\0\0\0\x01\x01\x01", Field::HeaderCount);
    check(b"\x0c\0\0\0\x01\x01\x02", Field::Headers);
    check(b"\x14\0\0\0\x01\x01\xfe\xff\xff\xff\x0f", Field::Headers);
    check(b"\x0e\0\0\0\x01\x01\0\0", Field::Headers);
    // A header without a name.
    check(b"\x10\0\0\0\x01\x01\x02\x01\x01", Field::Headers);
}

#[test]
fn bombs_and_unused_codecs_are_refused() {
    let mut writer = Writer::new();
    writer.push(0, None, Some(&vec![0; 4 << 20]), &[]);
    let bomb = writer.finish().expect("one");
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let folded = batch(codec as i16, 1, &compress(codec, bomb.payload()));
        assert!(Records::open(&folded, 5 << 20).is_ok());
        let refused = Records::open(&folded, LIMIT_BYTES).expect_err("a bomb");
        assert!(matches!(
            refused,
            KafkaMalformed::Compression(DecompressError::TooLarge {
                limit_bytes: LIMIT_BYTES,
                found_bytes,
            }) if found_bytes > LIMIT_BYTES as u64
        ));
    }
    let refused = KafkaMalformed::Compression(DecompressError::Codec(5));
    assert_eq!(
        Records::open(&batch(5, 1, b""), 0).map(|_| ()),
        Err(refused)
    );
    let native = batch(NATIVE, 1, b"");
    assert_eq!(
        Records::open(&native, 0).map(|_| ()),
        Err(KafkaMalformed::Native)
    );
}

/// Validating and opening agree on what a producer may send.
fn agree(batch: &Batch) {
    let validated = validate(batch, LIMIT_BYTES);
    let opened = Records::open(batch, LIMIT_BYTES);
    assert_eq!(validated.is_ok(), opened.is_ok(), "{validated:?}");
    let (Ok(validated), Ok(records)) = (validated, opened) else {
        return;
    };

    if !batch.is_log_append_time() {
        let own: Vec<i64> = records.iter().map(|record| record.timestamp_ms).collect();
        assert_eq!(Some(&validated.max_timestamp_ms), own.iter().max());
        assert_eq!(Some(&validated.min_timestamp_ms), own.iter().min());
    }
    let keyless = records.iter().filter(|record| record.key.is_none());
    assert_eq!(validated.keyless_count as usize, keyless.count());
    assert_eq!(validated.payload_bytes, records.payload().len());
}

#[test]
fn what_client_libraries_write_is_valid() {
    for (name, bytes) in golden() {
        let batch = Batch::parse(&bytes).expect(name);
        let validated = validate(&batch, LIMIT_BYTES).expect(name);
        assert_eq!(validated.min_timestamp_ms, BASE_MS - 3, "{name}");
        assert_eq!(validated.max_timestamp_ms, BASE_MS + 1000, "{name}");
        assert_eq!(validated.keyless_count, 1, "{name}");
        agree(&batch);
    }
}

fn without(batch: &Batch, keep: impl FnMut(&Record<'_>) -> bool) -> Option<Batch> {
    let records = Records::open(batch, LIMIT_BYTES).expect("sound");
    retain(batch, &records, None, keep)
}

#[test]
fn only_a_producer_must_leave_no_gap() {
    let sparse = without(&write_sample(), |record| record.offset_delta > 1);
    let sparse = sparse.expect("two stay");
    assert!(!sparse.is_dense());
    let refused = KafkaMalformed::Record {
        index: 0,
        field: Field::Offset,
    };
    assert_eq!(validate(&sparse, LIMIT_BYTES), Err(refused));
}

#[test]
fn records_that_stay_keep_their_offsets_and_their_bytes() {
    let whole = write_sample();
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let folded = recompress(&whole, codec, LIMIT_BYTES).expect("sound");
        assert_eq!(folded.compression(), Ok(codec));
        let kept = without(&folded, |record| record.key != Some(b""));
        let kept = kept.expect("three stay");
        let kept = Batch::parse(kept.bytes()).expect("its CRC is right");
        assert_eq!(kept.compression(), Ok(codec));
        assert_eq!((kept.record_count(), kept.offset_count()), (3, 4));
        // The highest timestamp was that of the record that is gone.
        assert_eq!(kept.max_timestamp(), BASE_MS);
        let (before, after) = (
            Records::open(&whole, LIMIT_BYTES).expect("sound"),
            Records::open(&kept, LIMIT_BYTES).expect("sound"),
        );
        let offsets: Vec<u32> = after.iter().map(|record| record.offset_delta).collect();
        assert_eq!(offsets, [0, 1, 3]);
        for record in after.iter() {
            assert_eq!(before.at(record.offset_delta), Some(record));
            assert_eq!(after.at(record.offset_delta), Some(record));
        }
        assert_eq!((after.at(2), after.at(4)), (None, None));
        let unfolded = recompress(&kept, Codec::None, LIMIT_BYTES).expect("sound");
        assert_eq!(without(&unfolded, |_| true).as_ref(), Some(&unfolded));
        assert_eq!(without(&kept, |_| false), None);
    }
}

#[test]
fn a_horizon_takes_the_place_of_the_base_time_and_no_records_time_changes() {
    let whole = write_sample();
    assert_eq!(whole.delete_horizon(), None);
    for (codec, horizon_ms) in [(Codec::None, BASE_MS + (1 << 40)), (Codec::Lz4, 0)] {
        let folded = recompress(&whole, codec, LIMIT_BYTES).expect("sound");
        let before = Records::open(&folded, LIMIT_BYTES).expect("sound");
        let marked = retain(&folded, &before, Some(horizon_ms), |record| {
            record.offset_delta != 1
        });
        let marked = Batch::parse(marked.expect("three stay").bytes()).expect("its CRC is right");
        assert_eq!(marked.delete_horizon(), Some(horizon_ms));
        assert_eq!(marked.max_timestamp(), BASE_MS + 1000);
        let after = Records::open(&marked, LIMIT_BYTES).expect("sound");
        assert_eq!(after.count(), 3);
        for record in after.iter() {
            assert_eq!(before.at(record.offset_delta), Some(record));
        }
    }
}

#[test]
fn offsets_of_a_sparse_batch_ascend_and_are_its_own() {
    let sample = write_sample();
    let sparse = without(&sample, |record| record.offset_delta > 1);
    let sparse = sparse.expect("two stay");
    let claims = |last_offset_delta| {
        let batch = sparse.patched(|header| header.last_offset_delta = last_offset_delta);
        Records::open(&batch, LIMIT_BYTES).map(|records| records.count())
    };
    assert_eq!(claims(3), Ok(2));
    assert_eq!(claims(1000), Ok(2));
    let refused = KafkaMalformed::Record {
        index: 1,
        field: Field::Offset,
    };
    assert_eq!(claims(2), Err(refused));
    // Twice the same offset.
    let twice = [sample.payload(), sample.payload()].concat();
    let twice = batch(0, 8, &twice);
    let refused = KafkaMalformed::Record {
        index: 4,
        field: Field::Offset,
    };
    assert_eq!(Records::open(&twice, LIMIT_BYTES).map(|_| ()), Err(refused));
    let short = sample.patched(|header| header.last_offset_delta = 2);
    assert_eq!(Batch::parse(short.bytes()), Err(crate::Malformed::Count(4)));
}

#[test]
fn headers_are_patched_with_their_checksum() {
    let sample = write_sample();
    let stamped = sample.with_log_append_time(BASE_MS + 7);
    let stamped = Batch::parse(stamped.bytes()).expect("its CRC is right");
    assert!(stamped.is_log_append_time() && !sample.is_log_append_time());
    let records = Records::open(&stamped, LIMIT_BYTES).expect("sound");
    assert!(
        records
            .iter()
            .all(|record| record.timestamp_ms == BASE_MS + 7)
    );
    let said = sample.with_max_timestamp(5);
    let said = Batch::parse(said.bytes()).expect("its CRC is right");
    assert_eq!(said.max_timestamp(), 5);
    assert_eq!(said.payload(), sample.payload());
}

#[test]
fn varints_keep_to_their_width() {
    let read = |mut bytes: &[u8]| (varint::take_i64(&mut bytes), bytes.len());
    assert_eq!(
        read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        (Some(i64::MIN), 0)
    );
    assert_eq!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03").0, None);
    assert_eq!(
        read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").0,
        None
    );
    assert_eq!(
        varint::take_i32(&mut &b"\xff\xff\xff\xff\x0f"[..]),
        Some(i32::MIN)
    );
    assert_eq!(varint::take_i32(&mut &b"\xff\xff\xff\xff\x1f"[..]), None);
}

type Given = (
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn given() -> impl Strategy<Value = Given> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let maybe = || proptest::option::of(bytes());
    let headers = proptest::collection::vec((bytes(), maybe()), 0..4);
    (any::<i64>(), maybe(), maybe(), headers)
}

proptest! {
    #[test]
    fn varints_survive(value: i64) {
        let mut bytes = Vec::new();
        varint::put(value, &mut bytes);
        prop_assert_eq!(bytes.len(), varint::size(value));
        prop_assert_eq!(varint::take_i64(&mut bytes.as_slice()), Some(value));
        let short = varint::take_i32(&mut bytes.as_slice());
        prop_assert_eq!(short, i32::try_from(value).ok());
    }

    #[test]
    fn what_is_written_is_read(
        given in proptest::collection::vec(given(), 1..20),
        codec in 0..5_i16,
    ) {
        let mut writer = Writer::new();
        for (time_ms, key, value, headers) in &given {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| Header { name, value: value.as_deref() })
                .collect();
            writer.push(*time_ms, key.as_deref(), value.as_deref(), &headers);
        }
        let written = writer.finish().expect("one at least");
        prop_assert!(writer.finish().is_none());
        let folded = compress(Codec::of(codec).expect("known"), written.payload());
        let mut header = written.header();
        header.attributes = codec;
        let mut buffer = BytesMut::zeroed(HEADER_BYTES);
        buffer.extend_from_slice(&folded);
        let batch = Batch::seal(buffer, header);
        let records = Records::open(&batch, LIMIT_BYTES).expect("sound");
        prop_assert_eq!(records.count() as usize, given.len());
        for (record, (time_ms, key, value, headers)) in records.iter().zip(&given) {
            prop_assert_eq!(record.timestamp_ms, *time_ms);
            prop_assert_eq!((record.key, record.value), (key.as_deref(), value.as_deref()));
            let read: Vec<_> = record
                .headers
                .map(|header| (header.name.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(&read, headers);
        }
    }

    #[test]
    fn noise_never_panics(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        attributes: i16,
        count in 1..i32::MAX,
    ) {
        if let Ok(records) = Records::open(&batch(attributes & !NATIVE, count, &payload), 4096) {
            prop_assert_eq!(records.iter().count(), count as usize);
        }
    }

    /// Damage that no checksum notices, deep in sound records.
    #[test]
    fn damaged_records_are_read_or_refused(at: u16, with in 1..=255_u8, codec in 0..5_i16) {
        let sample = write_sample();
        let mut payload = sample.payload().to_vec();
        let at = usize::from(at) % payload.len();
        payload[at] ^= with;
        let payload = compress(Codec::of(codec).expect("known"), &payload);
        let damaged = batch(codec, 4, &payload);
        agree(&damaged);
        if let Ok(records) = Records::open(&damaged, LIMIT_BYTES) {
            prop_assert_eq!(all(&records).len(), 4);
        }
    }
}
