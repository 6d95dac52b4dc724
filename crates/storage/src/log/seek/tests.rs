//! Against a list of batches, through checkpoints, trims and restarts, on both seams.

use std::sync::Arc;

use bongsu_record::{LogId, Offset};

use crate::disk::LocalDisk;
use crate::seam::memory::MemorySeam;
use crate::segment::unit_bytes;
use crate::storage::tests::{Dir, Plain, batch_at};
use crate::{Durability, Entry, EntryRef, Log, Options, Recovery, Storage};

/// A batch as the model knows it.
#[derive(Clone, Copy)]
struct Appended {
    base: u64,
    count: u64,
    unix_ms: i64,
    bytes: u64,
}

struct World<'a> {
    open: &'a dyn Fn(Options) -> (Storage, Recovery),
    options: Options,
    storage: Storage,
    log: Arc<Log>,
    start: u64,
    batches: Vec<Appended>,
}

const LOG: LogId = LogId(1);

impl World<'_> {
    fn end(&self) -> u64 {
        self.batches.last().map_or(0, |last| last.base + last.count)
    }

    fn append(&mut self, unix_ms: i64, count: u32, body_bytes: usize) {
        let batch = batch_at(unix_ms, count, body_bytes, 1);
        let base = self.end();
        self.batches.push(Appended {
            base,
            count: u64::from(count),
            unix_ms,
            bytes: unit_bytes(batch.len()),
        });
        let targets = [(&self.log, Offset(base))];
        self.storage.append(&targets, &batch, &[]).unwrap();
    }

    fn checkpoint(&self) {
        let source = Plain(self.storage.clone());
        self.storage.checkpoint(&source).unwrap();
    }

    fn trim(&mut self, start: Offset) {
        self.start = self.start.max(start.0);
        self.log.trim(start);
    }

    fn restart(self) -> Self {
        self.storage.commit_step().unwrap();
        let World {
            open,
            options,
            start,
            batches,
            ..
        } = self;
        drop((self.storage, self.log));
        let (storage, log) = opened(open, &options);
        // A trim is not recorded: whoever trims does it again.
        log.trim(Offset(start));
        World {
            open,
            options,
            storage,
            log,
            start,
            batches,
        }
    }

    fn expected_time(&self, unix_ms: i64) -> u64 {
        let found = self
            .batches
            .iter()
            .find(|b| b.unix_ms >= unix_ms && b.base + b.count > self.start);
        found.map_or(self.end(), |b| b.base.max(self.start))
    }

    fn expected_bytes(&self, bytes: u64) -> u64 {
        let mut kept = 0;
        let mut from = self.end();
        for batch in self.batches.iter().rev() {
            kept += batch.bytes;
            if kept > bytes || batch.base + batch.count <= self.start {
                break;
            }
            from = batch.base;
        }
        from.max(self.start)
    }

    fn check(&self, numbers: &mut Numbers) {
        assert_eq!(self.log.start(), Offset(self.start));
        let first = self.batches.first().map_or(0, |b| b.unix_ms);
        let last = self.batches.last().map_or(0, |b| b.unix_ms);
        let total: u64 = self.batches.iter().map(|b| b.bytes).sum();
        for index in 0..8 {
            let unix_ms = first - 5 + numbers.below((last - first + 10) as u64) as i64;
            assert_eq!(
                self.log.offset_at_time(unix_ms).unwrap(),
                Offset(self.expected_time(unix_ms)),
                "time {unix_ms}"
            );
            let bytes = match index {
                0 => 0,
                1 => total,
                _ => numbers.below(total + total / 8 + 10),
            };
            let expected = Offset(self.expected_bytes(bytes));
            // The second answer is what the first remembered.
            for _ in 0..2 {
                let found = self.log.offset_keeping_bytes(bytes).unwrap();
                assert_eq!(found, expected, "bytes {bytes} of {total}");
            }
        }
    }
}

fn opened(open: &dyn Fn(Options) -> (Storage, Recovery), options: &Options) -> (Storage, Arc<Log>) {
    let (storage, mut recovery) = open(options.clone());
    recovery
        .replay(&mut |_, entry| {
            if matches!(entry, Entry::Note { .. }) {
                storage.create_log(LOG, Durability::Fsync);
            }
        })
        .unwrap();
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

/// Runs `check` on a log of either seam.
fn on_both(name: &str, check: fn(World<'_>)) {
    let dir = Dir::new(name);
    let memory = MemorySeam::new();
    let on_memory =
        |options: Options| Storage::open_on(memory.seams(), options).expect("memory opens");
    let on_disk =
        |options: Options| Storage::open(Arc::new(LocalDisk), options).expect("a disk opens");
    let opens: [&dyn Fn(Options) -> (Storage, Recovery); 2] = [&on_memory, &on_disk];
    for open in opens {
        let options = Options {
            segment_bytes_max: 300 << 10,
            cache_bytes: 64 << 10,
            ..dir.options()
        };
        let (storage, log) = opened(open, &options);
        check(World {
            open,
            options,
            storage,
            log,
            start: 0,
            batches: Vec::new(),
        });
    }
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

#[test]
fn times_and_sizes_are_found_wherever_the_log_lies() {
    on_both("seek", |mut world| {
        let mut numbers = Numbers(0x5eed);
        let mut now = 1_700_000_000_000;
        let mut segments_most = 0;
        world.check(&mut numbers);
        for step in 0..400 {
            match numbers.below(40) {
                0..=3 => world.checkpoint(),
                4 => world = world.restart(),
                5..=6 => {
                    let kept = (600 << 10) + numbers.below(1 << 20);
                    let start = world.log.offset_keeping_bytes(kept).unwrap();
                    world.trim(start);
                }
                7 => {
                    let first = world.start;
                    let inside = first + numbers.below((world.end() - first) / 4 + 1);
                    world.trim(Offset(inside));
                }
                8 => {
                    world.storage.commit_step().unwrap();
                }
                // Large enough to go straight to its segment.
                9 => world.append(now, 2, 70_000),
                _ => {
                    let bytes = numbers.below(9000) as usize;
                    let count = 1 + numbers.below(4) as u32;
                    world.append(now, count, bytes);
                }
            }
            // Some batches share a millisecond.
            now += numbers.below(3) as i64;
            segments_most = segments_most.max(world.log.stats().segment_count);
            if step % 3 == 0 {
                world.check(&mut numbers);
            }
        }
        let world = world.restart();
        world.check(&mut numbers);
        assert!(segments_most > 4 && world.start > 0, "{segments_most}");
    });
}

#[test]
fn segments_go_as_the_start_passes_them() {
    on_both("pass", |mut world| {
        for index in 0..40 {
            world.append(1000 * index, 1, 70_000);
        }
        world.checkpoint();
        let before = world.log.stats();
        assert!(before.segment_count > 5, "{before:?}");
        let start = world.log.offset_at_time(20_500).unwrap();
        assert_eq!(start, Offset(21));
        world.trim(start);
        let kept = world.log.stats();
        assert!(kept.disk_bytes < before.disk_bytes * 6 / 10, "{kept:?}");
        world.checkpoint();
        assert_eq!(world.storage.pressure().droppable_bytes, 0);
        let world = world.restart();
        assert_eq!(world.log.start(), start);
        let mut out = Vec::new();
        world.log.fetch(Offset(0), 1, &mut out).unwrap();
        assert_eq!(out[0].base, start);
    });
}

#[test]
fn a_log_may_have_segments_of_its_own_size() {
    on_both("own", |mut world| {
        world.log.set_segment_bytes(1);
        for index in 0..20 {
            world.append(index, 1, 30_000);
            world.checkpoint();
        }
        // 64 KiB is the least: three batches make a segment.
        assert_eq!(world.log.stats().segment_count, 7);
        world.log.set_segment_bytes(600_000);
        for index in 20..40 {
            world.append(index, 1, 30_000);
            world.checkpoint();
        }
        assert!(world.log.stats().segment_count < 10);
        let mut numbers = Numbers(7);
        world.check(&mut numbers);
    });
}

#[test]
fn a_log_that_stands_still_is_read_once() {
    on_both("still", |mut world| {
        for index in 0..40 {
            world.append(1000 * index, 1, 70_000);
        }
        world.checkpoint();
        let world = world.restart();
        let ask = || {
            let time = world.log.offset_at_time(-1).unwrap();
            (time, world.log.offset_keeping_bytes(1_000_000).unwrap())
        };
        let first = ask();
        // What would be read again is gone.
        let blobs = Arc::clone(&world.storage.shared.seams.blobs);
        for name in blobs.list().unwrap() {
            let blob = blobs.open(&name).unwrap();
            if name.starts_with("segment-") {
                blob.cut(0).unwrap();
            }
        }
        assert_eq!(ask(), first);
        let error = world.log.offset_at_time(20_500).unwrap_err();
        assert!(error.to_string().contains("segment-"), "{error}");
    });
}
