//! Against a list of records, through checkpoints, trims and restarts.

use std::sync::Arc;

use bongsu_record::compression::Codec;
use bongsu_record::kafka::{Writer, recompress};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, LogId, Offset};

use super::Timed;
use crate::seam::memory::MemorySeam;
use crate::storage::tests::Plain;
use crate::{Durability, Entry, EntryRef, Log, Options, Storage};

/// One log, on a disk in memory.
pub(crate) struct One {
    memory: MemorySeam,
    pub options: Options,
    pub storage: Storage,
    pub log: Arc<Log>,
}

const LOG: LogId = LogId(1);

impl One {
    pub fn new(options: Options) -> One {
        let memory = MemorySeam::new();
        let (storage, log) = opened(&memory, &options);
        One {
            memory,
            options,
            storage,
            log,
        }
    }

    pub fn small() -> One {
        One::new(Options {
            lane_file_bytes: 1 << 20,
            checkpoint_bytes: 1 << 20,
            segment_bytes_max: 8 << 10,
            direct_bytes_min: 4 << 10,
            inline_bytes_max: 0,
            cache_bytes: 4 << 10,
            read_ahead_bytes: 3 << 10,
            reserve_bytes: 0,
            ..Options::new("memory")
        })
    }

    pub fn append(&self, batch: &Batch) -> Offset {
        let base = self.log.end();
        let appended = self.storage.append(&[(&self.log, base)], batch, &[]);
        appended.unwrap();
        base
    }

    pub fn checkpoint(&self) {
        self.storage.commit_step().unwrap();
        let source = Plain(self.storage.clone());
        self.storage.checkpoint(&source).unwrap();
    }

    pub fn restart(self) -> One {
        self.storage.commit_step().unwrap();
        let start = self.log.start();
        let One {
            memory, options, ..
        } = self;
        let (storage, log) = opened(&memory, &options);
        // A trim is not recorded: whoever trims does it again.
        log.trim(start);
        One {
            memory,
            options,
            storage,
            log,
        }
    }
}

fn opened(memory: &MemorySeam, options: &Options) -> (Storage, Arc<Log>) {
    let (storage, mut recovery) = Storage::open_on(memory.seams(), options.clone()).unwrap();
    let visited = recovery.replay(&mut |_, entry| {
        if matches!(entry, Entry::Note { .. }) {
            storage.create_log(LOG, Durability::Fsync);
        }
    });
    visited.unwrap();
    recovery.finish().unwrap();
    let log = storage.log(LOG).unwrap_or_else(|| {
        let note = EntryRef::Note {
            kind: 1,
            id: LOG.0,
            bytes: b"",
        };
        storage.record(&[note]).unwrap();
        storage.create_log(LOG, Durability::Fsync)
    });
    (storage, log)
}

/// Numbers that are the same in every run.
pub(crate) struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }

    pub fn chance(&mut self, part: u64) -> bool {
        self.below(part) == 0
    }
}

/// A Kafka batch of records at these times, perhaps compressed.
fn kafka(times_ms: &[i64], body_bytes: usize, codec: Codec) -> Batch {
    let mut writer = Writer::new();
    for unix_ms in times_ms {
        writer.push(*unix_ms, Some(b"key"), Some(&vec![b'v'; body_bytes]), &[]);
    }
    recompress(&writer.finish().unwrap(), codec, 1 << 20).unwrap()
}

/// A native batch: its records are at one time.
fn native(unix_ms: i64, count: usize, body_bytes: usize) -> Batch {
    let mut builder = Builder::new();
    for _ in 0..count {
        builder.begin(Origin::Plain, 0, b"", b"", b"", body_bytes as u64);
        builder.body(&vec![b'v'; body_bytes]);
        builder.end();
    }
    builder.finish(unix_ms).unwrap()
}

struct World {
    one: One,
    /// Times of all records ever, by offset.
    times_ms: Vec<i64>,
}

impl World {
    fn append(&mut self, times_ms: &[i64], numbers: &mut Numbers) {
        let body_bytes = match numbers.chance(12) {
            // Straight to a segment, unless it is compressed.
            true => 5_000,
            false => numbers.below(400) as usize,
        };
        let codec = match numbers.below(3) {
            0 => Codec::None,
            1 => Codec::Lz4,
            _ => Codec::Zstd,
        };
        let batch = match numbers.chance(4) {
            true => {
                let last = *times_ms.last().unwrap();
                self.times_ms.extend(vec![last; times_ms.len()]);
                native(last, times_ms.len(), body_bytes)
            }
            false => {
                self.times_ms.extend(times_ms);
                kafka(times_ms, body_bytes, codec)
            }
        };
        self.one.append(&batch);
    }

    fn kept(&self) -> impl DoubleEndedIterator<Item = Timed> {
        let start = self.one.log.start();
        let all = (0..).zip(&self.times_ms).map(|(offset, unix_ms)| Timed {
            offset: Offset(offset),
            timestamp_ms: *unix_ms,
        });
        let kept: Vec<_> = all.filter(|timed| timed.offset >= start).collect();
        kept.into_iter()
    }

    fn check_highest(&self) {
        let highest = self.kept().rev().max_by_key(|timed| timed.timestamp_ms);
        let found = self.one.log.record_of_max_time().unwrap();
        assert_eq!(found, highest);
    }

    fn check_times(&self, numbers: &mut Numbers) {
        let first = self.times_ms.first().map_or(0, |ms| *ms);
        let last = self.times_ms.last().map_or(0, |ms| *ms);
        for _ in 0..6 {
            let unix_ms = first - 3 + numbers.below((last - first + 6) as u64) as i64;
            let expected = self.kept().find(|timed| timed.timestamp_ms >= unix_ms);
            let found = self.one.log.record_at_time(unix_ms).unwrap();
            assert_eq!(found, expected, "{unix_ms}");
        }
    }

    fn live(ordered: bool) {
        let mut numbers = Numbers(0x71e5);
        let mut world = World {
            one: One::small(),
            times_ms: Vec::new(),
        };
        let mut now = 1_700_000_000_000;
        for step in 0..500 {
            match numbers.below(30) {
                0..=2 => world.one.checkpoint(),
                3 => world.one = world.one.restart(),
                4 => {
                    let (start, end) = (world.one.log.start().0, world.one.log.end().0);
                    let inside = start + numbers.below((end - start) / 4 + 1);
                    world.one.log.trim(Offset(inside));
                }
                _ => {
                    let mut times_ms = Vec::new();
                    for _ in 0..=numbers.below(5) {
                        now += numbers.below(3) as i64;
                        let back = if ordered { 0 } else { numbers.below(50) as i64 };
                        times_ms.push(now - back);
                    }
                    world.append(&times_ms, &mut numbers);
                }
            }
            if step % 5 == 0 {
                world.check_highest();
                if ordered {
                    world.check_times(&mut numbers);
                }
            }
        }
        assert!(world.one.log.stats().segment_count > 4);
    }
}

#[test]
fn times_are_those_of_records_not_of_batches() {
    World::live(true);
}

#[test]
fn the_highest_time_is_found_wherever_it_is() {
    World::live(false);
}

#[test]
fn an_empty_log_has_no_times() {
    let one = One::small();
    assert_eq!(one.log.record_at_time(0).unwrap(), None);
    assert_eq!(one.log.record_of_max_time().unwrap(), None);
    assert_eq!(one.log.size_bytes(), 0);
    one.append(&kafka(&[5, 9, 9, 7], 10, Codec::None));
    let highest = Timed {
        offset: Offset(1),
        timestamp_ms: 9,
    };
    assert_eq!(one.log.record_of_max_time().unwrap(), Some(highest));
    assert_eq!(one.log.record_at_time(6).unwrap(), Some(highest));
    assert_eq!(one.log.record_at_time(10).unwrap(), None);
    one.log.trim(one.log.end());
    assert_eq!(one.log.record_at_time(0).unwrap(), None);
    assert_eq!(one.log.record_of_max_time().unwrap(), None);
}

#[test]
fn sizes_are_what_segments_and_tail_come_to() {
    let one = One::small();
    let batch = native(1, 10, 100);
    let unit = crate::segment::unit_bytes(batch.len());
    let end = |count: u64| Offset(count * 10);
    for _ in 0..20 {
        one.append(&batch);
    }
    assert_eq!(one.log.size_bytes(), 20 * unit);
    let from_tail = one.log.bytes_between(end(5), end(8), u64::MAX);
    assert_eq!(from_tail, 3 * batch.len() as u64);
    assert_eq!(one.log.bytes_between(end(0), end(20), 7), 7);
    one.checkpoint();
    let one = one.restart();
    assert_eq!(one.log.size_bytes(), 20 * unit);
    // All batches are alike, so a part by offsets is exact.
    assert_eq!(one.log.bytes_between(end(5), end(8), u64::MAX), 3 * unit);
    assert_eq!(one.log.bytes_between(end(8), end(8), u64::MAX), 0);
    one.append(&batch);
    let both = one.log.bytes_between(end(19), end(21), u64::MAX);
    assert_eq!(both, unit + batch.len() as u64);
}

/// A fetch is given what it asks for, however little is read at once, and not more.
#[test]
fn a_large_fetch_is_filled_from_many_reads() {
    let one = One::small();
    let batch = native(1, 10, 100);
    for _ in 0..100 {
        one.append(&batch);
    }
    one.checkpoint();
    let one = one.restart();
    let (length, ahead) = (batch.len(), one.options.read_ahead_bytes);
    for asked in [1, length, 4 * length, 20 * length, 60 * length, 1 << 20] {
        for first in [0, 3, 90] {
            let mut out = Vec::new();
            let from = Offset(first * 10 + 4);
            one.log.fetch(from, asked, &mut out).unwrap();
            assert_eq!(out[0].base, Offset(first * 10));
            for (at, stored) in (first..).zip(&out) {
                assert_eq!(stored.base, Offset(at * 10));
                assert_eq!(stored.batch.payload(), batch.payload());
            }
            let bytes = out.len() * length;
            let there = (100 - first as usize) * length;
            assert!(bytes <= asked.max(length), "{bytes} of {asked}");
            assert!(
                bytes + ahead.max(length) > asked.min(there),
                "{bytes} of {asked}"
            );
        }
    }
}
