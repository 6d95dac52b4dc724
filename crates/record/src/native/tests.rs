use super::*;
use crate::batch::Malformed;
use bytes::Bytes;

fn sample() -> Batch {
    let mut builder = Builder::new();
    builder.begin(
        Origin::Amqp091,
        PERSISTENT,
        b"logs",
        b"a.b",
        b"\x10\x00\x02",
        5,
    );
    builder.body(b"he");
    builder.body(b"llo");
    builder.end();
    builder.begin(Origin::Plain, 0, b"", b"", b"", 0);
    builder.end();
    builder.finish(1_700_000_000_123).expect("two records")
}

#[test]
fn what_was_built_is_read_back() {
    let batch = Batch::parse(sample().bytes()).expect("sound");
    assert_eq!(batch.record_count(), 2);
    let first = batch.native_record(0).expect("first");
    assert_eq!(
        (first.exchange(), first.routing_key()),
        (&b"logs"[..], &b"a.b"[..])
    );
    assert_eq!(
        (first.header, first.body),
        (&b"\x10\x00\x02"[..], &b"hello"[..])
    );
    assert_eq!((first.origin, first.flags), (1, PERSISTENT));
    let second = batch.native_record(1).expect("second");
    assert_eq!((second.exchange(), second.body), (&b""[..], &b""[..]));
    assert_eq!(batch.native_record(2), None);
}

#[test]
fn open_record_stays_behind_whole() {
    let mut builder = Builder::new();
    builder.begin(Origin::Plain, 0, b"", b"k", b"", 1);
    builder.body(b"1");
    builder.end();
    builder.begin(Origin::Plain, 0, b"", b"k", b"", 4);
    builder.body(b"ab");
    assert_eq!(builder.finish(0).expect("one").record_count(), 1);
    assert!(builder.finish(0).is_none(), "only the open one is left");
    builder.body(b"cd");
    builder.end();
    let second = builder.finish(0).expect("one more");
    assert_eq!(second.native_record(0).expect("it").body, b"abcd");
    assert_eq!(second.native_record(0).expect("it").routing_key(), b"k");
}

#[test]
fn a_large_record_alone_is_written_where_it_stays() {
    let body = vec![b'x'; 1 << 20];
    let mut builder = Builder::new();
    for _ in 0..3 {
        builder.begin(Origin::Amqp091, 0, b"", b"key", b"", body.len() as u64);
        let place = builder.buffer.as_ptr();
        body.chunks(128 << 10).for_each(|part| builder.body(part));
        builder.end();
        let batch = builder.finish(0).expect("one");
        assert_eq!(batch.bytes().as_ptr(), place, "nothing was moved");
        assert_eq!(batch.native_record(0).expect("it").body, body);
    }
}

/// What was announced is reserved in few steps, each vouched for by what has arrived; so its
/// beginning is copied, and not all of it several times.
#[test]
fn a_huge_record_grows_in_few_steps_to_its_own_size() {
    const BODY_BYTES: usize = 16 << 20;
    let part = [7; 128 << 10];
    let mut builder = Builder::new();
    // One before it, so that it moves to the front while it is open.
    builder.begin(Origin::Plain, 0, b"", b"k", b"", 3);
    builder.body(b"abc");
    builder.end();
    builder.begin(Origin::Plain, 0, b"", b"k", b"", BODY_BYTES as u64);
    let mut capacities = Vec::new();
    for number in 0..BODY_BYTES / part.len() {
        builder.body(&part);
        if number == 0 {
            builder.finish(0).expect("the first");
        }
        let capacity = builder.buffer.capacity();
        if capacities.last() != Some(&capacity) {
            capacities.push(capacity);
        }
        let vouched = (builder.len() * (1 + RESERVE_PER_ARRIVED)).max(RESERVE_BYTES_MAX + 200);
        assert!(capacity <= vouched, "{capacity} of {}", builder.len());
    }
    builder.end();
    assert!(capacities.len() <= 3, "{capacities:?}");
    assert_eq!(builder.buffer.capacity(), builder.len() + 4, "no more");
    let at = builder.buffer.as_ptr();
    let batch = builder.finish(0).expect("the huge one");
    assert_eq!(batch.bytes().as_ptr(), at, "not copied");
    let record = batch.native_record(0).expect("it");
    assert_eq!(record.body.len(), BODY_BYTES);
    assert!(record.body.iter().all(|byte| *byte == 7));
}

#[test]
fn every_flipped_bit_under_the_crc_is_noticed() {
    let good = sample();
    for bit in 8 * 8..good.len() * 8 {
        // The leader epoch is outside the CRC: it may change without harm.
        if (12 * 8..16 * 8).contains(&bit) {
            continue;
        }
        let mut bytes = good.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Batch::parse(&Bytes::from(bytes)).is_err(), "bit {bit}");
    }
}

#[test]
fn lying_tables_are_refused() {
    let good = sample();
    let at = good.len() - 8;
    for lie in [0_u32, 3, 11, u32::MAX] {
        let mut bytes = good.bytes().to_vec();
        bytes[at..at + 4].copy_from_slice(&lie.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(
            Batch::parse(&Bytes::from(bytes)),
            Err(Malformed::Table),
            "{lie}"
        );
    }
}

/// The format is a promise to every data directory there is: these bytes never change.
#[test]
fn golden_bytes() {
    let hex: String = sample()
        .bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(hex, include_str!("golden.hex").trim());
}

#[test]
fn records_in_a_row_are_those_found_one_by_one() {
    let batch = sample();
    let count = batch.record_count();
    for start in 0..=count + 1 {
        for end in 0..=count + 2 {
            let one_by_one: Vec<_> = (start..end)
                .filter_map(|index| batch.native_record(index))
                .collect();
            let in_a_row: Vec<_> = batch.native_records(start..end).collect();
            assert_eq!(in_a_row, one_by_one, "{start}..{end}");
        }
    }
}

#[test]
fn terms_are_beside_the_header_block_and_survive_a_copy() {
    let terms = Terms {
        ttl_ms: Some(60_000),
        deliver_at_ms: Some(1_700_000_000_000),
        priority: Some(0),
    };
    let mut builder = Builder::new();
    builder.begin(Origin::Plain, TERMS, b"", b"k", b"", 0);
    builder.end();
    let plain = builder.finish(0).expect("one");
    assert!(!plain.has_terms(), "the flag follows from the terms");
    builder.begin_with(Origin::Plain, PERSISTENT, b"x", b"k", &terms, b"h", 1);
    builder.body(b"b");
    builder.end();
    let batch = builder.finish(0).expect("one");
    assert!(batch.has_terms());
    let record = batch.native_record(0).expect("it");
    assert_eq!((record.terms(), record.header), (terms, &b"h"[..]));
    let rest = Terms {
        priority: Some(7),
        ..Terms::default()
    };
    builder.copy(&record, &rest);
    builder.copy(&record, &Terms::default());
    let copied = Batch::parse(builder.finish(0).expect("two").bytes()).expect("sound");
    assert!(copied.has_terms());
    let (first, second) = (copied.native_record(0), copied.native_record(1));
    assert_eq!(first.expect("it").terms(), rest);
    let second = second.expect("it");
    assert_eq!(
        (second.terms(), second.flags),
        (Terms::default(), PERSISTENT)
    );
    assert_eq!(
        (second.exchange(), second.routing_key(), second.body),
        (&b"x"[..], &b"k"[..], &b"b"[..])
    );
}
