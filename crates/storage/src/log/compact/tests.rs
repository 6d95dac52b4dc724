//! Against a naive list of records: who has which key, what stays, and for how long.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use bongsu_record::compression::Codec;
use bongsu_record::kafka::{Writer, recompress};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, Messages, Offset};

use super::{CompactOptions, Compacted};
use crate::log::times::tests::{Numbers, One};
use crate::{Log, Stored};

const LIMIT_BYTES: usize = 1 << 20;
const RETENTION_MS: i64 = 1000;

#[derive(Clone, Debug, PartialEq)]
struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    unix_ms: i64,
    /// Which batch it came in.
    batch: usize,
}

struct World {
    one: One,
    /// All records ever, by offset.
    records: Vec<Record>,
    /// Batches that were appended.
    batch_count: usize,
    /// Nothing at or above was ever to be touched.
    bound: u64,
    now_ms: i64,
    /// Those that are gone since the last start. None comes back.
    gone: BTreeSet<u64>,
    map_bytes_max: usize,
}

fn world(map_bytes_max: usize) -> World {
    World {
        one: One::small(),
        records: Vec::new(),
        batch_count: 0,
        bound: 0,
        now_ms: 1_700_000_000_000,
        gone: BTreeSet::new(),
        map_bytes_max,
    }
}

fn contents(log: &Log) -> BTreeMap<u64, Record> {
    let mut found = BTreeMap::new();
    let mut from = log.start();
    let mut out: Vec<Stored> = Vec::new();
    loop {
        out.clear();
        log.fetch(from, 2000, &mut out).unwrap();
        let Some(last) = out.last() else {
            return found;
        };
        assert!(last.end() > from, "reading goes on");
        from = last.end();
        for stored in &out {
            let messages = Messages::open(&stored.batch, stored.base, LIMIT_BYTES).unwrap();
            for message in messages.iter().filter(|m| m.offset() >= log.start()) {
                let record = Record {
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.value().map(<[u8]>::to_vec),
                    unix_ms: message.timestamp_ms(),
                    batch: 0,
                };
                let again = found.insert(message.offset().0, record);
                assert!(again.is_none(), "{} is there twice", message.offset().0);
            }
        }
    }
}

impl World {
    fn append(&mut self, numbers: &mut Numbers, key_count: u64) {
        let records: Vec<Record> = (0..=numbers.below(6))
            .map(|_| Record {
                key: (!numbers.chance(20)).then(|| {
                    let number = numbers.below(key_count);
                    format!("key-{number}").into_bytes()
                }),
                value: (!numbers.chance(8)).then(|| {
                    let number = numbers.below(1 << 30);
                    format!("{number}")
                        .repeat(1 + numbers.below(20) as usize)
                        .into_bytes()
                }),
                unix_ms: self.now_ms - numbers.below(100) as i64,
                batch: self.batch_count,
            })
            .collect();
        let batch = match numbers.below(5) {
            0 => Codec::None,
            1 => Codec::Lz4,
            2 => Codec::Snappy,
            3 => Codec::Zstd,
            _ => return self.append_native(records),
        };
        let batch = recompress(&kafka(&records), batch, LIMIT_BYTES).unwrap();
        self.take(&batch, records);
    }

    fn append_native(&mut self, mut records: Vec<Record>) {
        let mut builder = Builder::new();
        for record in &mut records {
            let body = record.value.get_or_insert_default();
            let key = record.key.as_deref().unwrap_or_default();
            builder.begin(Origin::Plain, 0, b"", key, b"", body.len() as u64);
            builder.body(body);
            builder.end();
            record.unix_ms = self.now_ms;
        }
        self.take(&builder.finish(self.now_ms).unwrap(), records);
    }

    fn take(&mut self, batch: &Batch, records: Vec<Record>) {
        self.one.append(batch);
        self.records.extend(records);
        self.batch_count += 1;
    }

    fn compact(&mut self, bound: u64) -> Compacted {
        self.bound = self.bound.max(bound);
        let options = CompactOptions {
            bound: Offset(bound),
            now_ms: self.now_ms,
            delete_retention_ms: RETENTION_MS,
            map_bytes_max: self.map_bytes_max,
            decompressed_bytes_max: LIMIT_BYTES,
            is_aborted: &|_, _| false,
            go_on: &|| true,
        };
        self.one.log.compact(&options).unwrap()
    }

    fn is_latest(&self, at: u64, below: u64) -> bool {
        let key = &self.records[at as usize].key;
        let later = &self.records[at as usize + 1..(below as usize).max(at as usize + 1)];
        key.is_none() || !later.iter().any(|record| record.key == *key)
    }

    /// What is there is as it was appended; what is not was rightly taken, and stays away.
    fn check(&mut self, cleaned: Option<u64>) {
        let log = &self.one.log;
        assert_eq!(log.end().0, self.records.len() as u64);
        let found = contents(log);
        for (at, record) in &found {
            let expected = Record {
                batch: 0,
                ..self.records[*at as usize].clone()
            };
            assert_eq!(*record, expected, "record {at}");
            assert!(!self.gone.contains(at), "{at} came back");
            let stays = cleaned.is_none_or(|cleaned| *at >= cleaned)
                || self.is_latest(*at, cleaned.unwrap_or(0));
            assert!(stays, "{at} is not the latest of its key below {cleaned:?}");
        }
        for at in log.start().0..self.records.len() as u64 {
            if found.contains_key(&at) {
                continue;
            }
            let record = &self.records[at as usize];
            assert!(at < self.bound, "{at} was not to be touched");
            let is_tombstone = record.key.is_some() && record.value.is_none();
            let superseded = !self.is_latest(at, self.bound);
            assert!(superseded || is_tombstone, "{at} is gone: {record:?}");
            self.gone.insert(at);
        }
    }
}

fn kafka(records: &[Record]) -> Batch {
    let mut writer = Writer::new();
    for record in records {
        writer.push(
            record.unix_ms,
            record.key.as_deref(),
            record.value.as_deref(),
            &[],
        );
    }
    writer.finish().unwrap()
}

fn histories(map_bytes_max: usize, seeds: std::ops::Range<u64>) -> Compacted {
    let mut total = Compacted::default();
    for seed in seeds {
        let mut numbers = Numbers(0x5eed_0000 + seed);
        let mut world = world(map_bytes_max);
        let key_count = 3 + numbers.below(200);
        for _ in 0..300 {
            world.now_ms += numbers.below(40) as i64;
            match numbers.below(40) {
                0..=2 => world.one.checkpoint(),
                3 => {
                    world.one = world.one.restart();
                    // What no checkpoint has seen is done again.
                    world.gone.clear();
                    world.check(None);
                }
                4 => {
                    let (start, end) = (world.one.log.start().0, world.one.log.end().0);
                    let inside = start + numbers.below((end - start) / 6 + 1);
                    world.one.log.trim(Offset(inside));
                }
                5 => world.one.log.seal().unwrap(),
                6..=7 => {
                    let end = world.one.log.end().0;
                    let bound = end - numbers.below(end / 3 + 1);
                    let before = world.one.log.start();
                    let done = world.compact(bound);
                    assert!(done.cleaned.0 <= bound || done.round_count == 0);
                    assert_eq!(world.one.log.start(), before);
                    world.check((done.round_count > 0).then_some(done.cleaned.0));
                    total.round_count = total.round_count.max(done.round_count);
                    total.dropped_count += done.dropped_count;
                    total.bytes_kept += done.bytes_kept;
                    total.bytes_before += done.bytes_before;
                    total.bytes_after += done.bytes_after;
                }
                8 => world.check(None),
                _ => world.append(&mut numbers, key_count),
            }
        }
        world.one.checkpoint();
        world.one = world.one.restart();
        world.check(None);
    }
    total
}

#[test]
fn the_latest_of_each_key_stays_at_its_offset() {
    let total = histories(1 << 20, 0..12);
    assert!(total.dropped_count > 2000, "{total:?}");
    assert!(total.bytes_after < total.bytes_before, "{total:?}");
}

#[test]
fn a_map_that_is_too_small_takes_several_rounds() {
    let total = histories(1, 20..26);
    assert!(total.round_count > 3, "{total:?}");
}

/// Appends and seals so that the log is one segment for each call.
fn segment(world: &mut World, records: &[(Option<&str>, Option<&str>)]) {
    let records: Vec<Record> = records
        .iter()
        .map(|(key, value)| Record {
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.map(|value| value.as_bytes().to_vec()),
            unix_ms: world.now_ms,
            batch: world.batch_count,
        })
        .collect();
    world.take(&kafka(&records), records.clone());
    world.one.log.seal().unwrap();
}

fn offsets(world: &World) -> Vec<u64> {
    contents(&world.one.log).into_keys().collect()
}

#[test]
fn a_tombstone_stays_for_its_time_and_then_goes() {
    let mut world = world(1 << 20);
    segment(
        &mut world,
        &[(Some("a"), Some("1")), (Some("b"), Some("1"))],
    );
    segment(&mut world, &[(Some("a"), None), (Some("c"), Some("1"))]);
    world.compact(4);
    assert_eq!(offsets(&world), [1, 2, 3]);
    // Nothing is dirty, so nothing is looked at.
    world.now_ms += RETENTION_MS;
    assert_eq!(world.compact(4).round_count, 0);
    segment(&mut world, &[(Some("c"), Some("2"))]);
    world.compact(5);
    assert_eq!(offsets(&world), [1, 4]);
    let times: Vec<i64> = contents(&world.one.log)
        .values()
        .map(|r| r.unix_ms)
        .collect();
    assert_eq!(times, [world.now_ms - RETENTION_MS, world.now_ms]);
    // Its time is kept in its batch, over a restart.
    segment(&mut world, &[(Some("b"), None), (Some("d"), Some("1"))]);
    world.compact(7);
    world.one.checkpoint();
    world.one = world.one.restart();
    segment(&mut world, &[(Some("d"), Some("2"))]);
    world.now_ms += RETENTION_MS - 1;
    world.compact(8);
    assert_eq!(offsets(&world), [4, 5, 7]);
    segment(&mut world, &[(Some("d"), Some("3"))]);
    world.now_ms += 1;
    world.compact(9);
    assert_eq!(offsets(&world), [4, 8]);
    world.check(Some(9));
}

#[test]
fn only_sealed_segments_below_the_bound_are_touched() {
    let mut world = world(1 << 20);
    for _ in 0..3 {
        segment(
            &mut world,
            &[(Some("a"), Some("1")), (Some("a"), Some("2"))],
        );
    }
    let open = Record {
        key: Some(b"a".to_vec()),
        value: None,
        unix_ms: world.now_ms,
        batch: 3,
    };
    world.take(
        &kafka(&[open.clone(), open.clone()]),
        vec![open.clone(), open],
    );
    // The bound lies inside the third segment.
    assert_eq!(world.one.log.dirt(Offset(5)).dirty_start, Some(Offset(0)));
    let done = world.compact(5);
    assert_eq!((done.cleaned, done.dropped_count), (Offset(4), 3));
    assert_eq!(offsets(&world), [3, 4, 5, 6, 7]);
    let done = world.compact(u64::MAX);
    assert_eq!((done.cleaned, done.dropped_count), (Offset(6), 2));
    assert_eq!(offsets(&world), [5, 6, 7]);
    let dirt = world.one.log.dirt(Offset(u64::MAX));
    assert_eq!((dirt.dirty_bytes, dirt.dirty_start), (0, None));
    assert!(dirt.clean_bytes > 0);
}

#[test]
fn how_far_was_compacted_survives_a_restart() {
    let mut world = world(1 << 20);
    for _ in 0..4 {
        segment(
            &mut world,
            &[(Some("a"), Some("1")), (Some("b"), Some("2"))],
        );
    }
    world.compact(8);
    world.one.checkpoint();
    world.one = world.one.restart();
    assert_eq!(world.one.log.dirt(Offset(8)).dirty_start, None);
    assert_eq!(offsets(&world), [6, 7]);
    segment(&mut world, &[(Some("a"), None)]);
    assert_eq!(world.one.log.dirt(Offset(9)).dirty_start, Some(Offset(8)));
}

#[test]
fn a_reader_goes_on_from_an_offset_that_is_gone() {
    let mut world = world(1 << 20);
    for _ in 0..50 {
        segment(
            &mut world,
            &[(Some("a"), Some("1")), (Some("a"), Some("2"))],
        );
    }
    world.compact(100);
    for from in 0..100 {
        let mut out = Vec::new();
        world.one.log.fetch(Offset(from), 1, &mut out).unwrap();
        assert_eq!(
            (out.len(), out[0].base, out[0].end()),
            (1, Offset(98), Offset(100))
        );
    }
    let mut out = Vec::new();
    world.one.log.fetch(Offset(100), 1, &mut out).unwrap();
    assert!(out.is_empty());
}

/// The old segments are read on in by who has them open, and are gone with the checkpoint.
#[test]
fn old_segments_go_with_the_next_checkpoint() {
    let mut world = world(1 << 20);
    for _ in 0..10 {
        segment(
            &mut world,
            &[(Some("a"), Some("1")), (Some("b"), Some("2"))],
        );
    }
    world.one.checkpoint();
    let names = |world: &World| {
        let names = world.one.storage.shared.seams.blobs.list().unwrap();
        names
            .into_iter()
            .filter(|name| name.starts_with("segment"))
            .count()
    };
    assert_eq!(names(&world), 10);
    world.compact(20);
    assert_eq!(
        (names(&world), world.one.log.stats().segment_count),
        (11, 1)
    );
    world.one.checkpoint();
    assert_eq!(names(&world), 1);
    assert_eq!(world.one.storage.pressure().droppable_bytes, 0);
}

#[test]
fn a_compaction_that_is_stopped_leaves_the_log_whole() {
    let mut world = world(1);
    let mut numbers = Numbers(99);
    for _ in 0..400 {
        world.append(&mut numbers, 40);
    }
    world.one.log.seal().unwrap();
    let end = world.one.log.end();
    world.bound = end.0;
    for steps in (0..60).step_by(3) {
        let left = Cell::new(steps);
        let go_on = || left.replace(left.get() - 1) > 0;
        let options = CompactOptions {
            bound: end,
            now_ms: world.now_ms,
            delete_retention_ms: RETENTION_MS,
            map_bytes_max: 1,
            decompressed_bytes_max: LIMIT_BYTES,
            is_aborted: &|_, _| false,
            go_on: &go_on,
        };
        world.one.log.compact(&options).unwrap();
        world.check(None);
    }
    let done = world.compact(end.0);
    assert_eq!(done.cleaned, end);
    world.check(Some(end.0));
}

#[test]
fn aborted_records_go_and_do_not_count_as_the_latest() {
    use bongsu_record::header::{CONTROL, TRANSACTIONAL};
    let world = world(1 << 20);
    let transactional = |batch: Batch, producer_id: i64, attributes: i16| {
        let mut bytes = batch.bytes().to_vec();
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[43..51].copy_from_slice(&producer_id.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Batch::parse(&bytes.into()).unwrap()
    };
    let record = |key: &str| Record {
        key: Some(key.as_bytes().to_vec()),
        value: Some(b"v".to_vec()),
        unix_ms: 1,
        batch: 0,
    };
    let data = |key| kafka(&[record(key)]);
    let append = |batch: &Batch| world.one.append(batch).0;
    append(&data("a"));
    append(&data("b"));
    let aborted = append(&transactional(data("a"), 7, TRANSACTIONAL));
    let committed = append(&transactional(data("b"), 8, TRANSACTIONAL));
    let abort = append(&transactional(data(""), 7, TRANSACTIONAL | CONTROL));
    let commit = append(&transactional(data(""), 8, TRANSACTIONAL | CONTROL));
    append(&transactional(data("a"), -1, 0));
    world.one.log.seal().unwrap();
    append(&data("c"));
    world.one.log.seal().unwrap();
    let known = |producer_id: i64, offset: Offset| {
        producer_id == 7 && (aborted..=abort).contains(&offset.0)
    };
    let unknown = |_: i64, _: Offset| false;
    let options = |is_aborted| CompactOptions {
        bound: Offset(6),
        now_ms: 0,
        delete_retention_ms: 0,
        map_bytes_max: 1 << 20,
        decompressed_bytes_max: LIMIT_BYTES,
        is_aborted,
        go_on: &|| true,
    };
    // The segment ends behind the bound.
    assert_eq!(
        world.one.log.compact(&options(&known)).unwrap().round_count,
        0
    );
    let all = |is_aborted| CompactOptions {
        bound: Offset(8),
        ..options(is_aborted)
    };
    let done = world.one.log.compact(&all(&known)).unwrap();
    assert_eq!(done.cleaned, Offset(8));
    assert_eq!(offsets(&world), [committed, abort, 6, 7]);
    let _ = commit;
    // Nobody is told of the abort any more.
    world.one.append(&data("d"));
    world.one.log.seal().unwrap();
    let end = CompactOptions {
        bound: Offset(9),
        ..options(&unknown)
    };
    world.one.log.compact(&end).unwrap();
    assert_eq!(offsets(&world), [committed, 6, 7, 8]);
}
