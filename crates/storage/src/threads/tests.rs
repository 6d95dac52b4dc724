//! Publishers, consumers, the committer and the checkpointer at once, on a real disk.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use bongsu_record::{LogId, Lsn, Offset};

use super::*;
use crate::storage::tests::{batch, contents};
use crate::{Durability, Entry, EntryRef, Log, Options, SectionWriter, Storage, Stored};

/// A queue's lock, and below it the floor of what is settled.
struct Queue {
    log: Arc<Log>,
    floor: Mutex<u64>,
}

struct Broker {
    storage: Storage,
    queues: Vec<Queue>,
}

impl CheckpointSource for Broker {
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool {
        let queue = &self.queues[log.0 as usize];
        records.end.0 > *queue.floor.lock()
    }

    fn sections(&self, out: &mut SectionWriter<'_>) {
        for queue in &self.queues {
            let floor = queue.floor.lock();
            out.put_log(&queue.log, self.storage.position(), &floor.to_be_bytes());
        }
    }
}

const QUEUES: u64 = 6;

fn publish(broker: &Broker, seed: u64, confirmed: &[AtomicU64]) {
    for round in 0..400u64 {
        let first = (seed + round) % QUEUES;
        let second = (first + 1) % QUEUES;
        let bytes = match round % 7 {
            0 => 150_000,
            1 | 2 => 5_000,
            _ => 100,
        };
        let batch = batch(3, bytes, 1);
        // Ascending, as everybody must take them.
        let both = [first.min(second), first.max(second)];
        let wanted = if round % 5 == 0 {
            &both[..]
        } else {
            &both[..1]
        };
        let queues: Vec<&Queue> = wanted
            .iter()
            .map(|id| &broker.queues[*id as usize])
            .collect();
        let locks: Vec<_> = queues.iter().map(|queue| queue.floor.lock()).collect();
        let targets: Vec<_> = queues.iter().map(|q| (&q.log, q.log.end())).collect();
        let appended = broker.storage.append(&targets, &batch, &[]);
        drop(locks);
        match appended {
            Ok(appended) if round % 10 == 0 => {
                while broker.storage.durable() < appended.lsn {
                    std::thread::yield_now();
                }
                for (id, (_, base)) in wanted.iter().zip(&targets) {
                    confirmed[*id as usize].fetch_max(base.0 + 3, Ordering::Relaxed);
                }
            }
            Ok(_) => {}
            Err(error) => assert!(error.is_full(), "{error}"),
        }
    }
}

fn consume(broker: &Broker, stop: &AtomicBool) {
    let mut out: Vec<Stored> = Vec::new();
    let mut turn = 0u64;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let id = turn % QUEUES;
        let queue = &broker.queues[id as usize];
        let from = *queue.floor.lock();
        out.clear();
        queue.log.fetch(Offset(from), 20_000, &mut out).unwrap();
        let Some(last) = out.last() else {
            continue;
        };
        assert!(out[0].base.0 <= from, "nothing alive is missing");
        let end = last.base.0 + u64::from(last.batch.offset_count());
        let mut floor = queue.floor.lock();
        let range = Offset(*floor)..Offset(end.max(*floor));
        let settle = EntryRef::Settle {
            log: LogId(id),
            ranges: std::slice::from_ref(&range),
        };
        if broker.storage.record(&[settle]).is_ok() {
            *floor = range.end.0;
            queue.log.trim(range.end);
        }
    }
}

#[test]
fn everything_at_once_loses_nothing() {
    let dir = std::env::temp_dir().join(format!("bongsu-at-once-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let options = Options {
        lane_file_bytes: 1 << 20,
        checkpoint_bytes: 1 << 20,
        segment_bytes_max: 1 << 20,
        direct_bytes_min: 100_000,
        inline_bytes_max: 8 << 10,
        cache_bytes: 256 << 10,
        ..Options::new(&dir)
    };
    let disk = Arc::new(crate::disk::LocalDisk);
    let (storage, recovery) = Storage::open(disk.clone(), options.clone()).unwrap();
    recovery.finish().unwrap();
    let queues = (0..QUEUES).map(|id| Queue {
        log: storage.create_log(LogId(id), Durability::Fsync),
        floor: Mutex::new(0),
    });
    let broker = Arc::new(Broker {
        queues: queues.collect(),
        storage,
    });
    let weak: Weak<Broker> = Arc::downgrade(&broker);
    let threads = broker.storage.start_threads(weak);
    let confirmed: Vec<_> = (0..QUEUES).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(&broker, &stop));
        let publishers: Vec<_> = (0..3)
            .map(|seed| {
                let (broker, confirmed) = (&broker, &confirmed);
                scope.spawn(move || publish(broker, seed, confirmed))
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        consumer.join().unwrap();
    });
    drop(threads);
    assert!(broker.storage.failed().is_none());
    let ends: Vec<_> = broker.queues.iter().map(|queue| queue.log.end()).collect();
    drop(broker);

    let (storage, mut recovery) = Storage::open(disk, options).unwrap();
    let mut floors = [0; QUEUES as usize];
    let mut applied = [Lsn(0); QUEUES as usize];
    for section in recovery.log_sections() {
        let id = section.log.id().0 as usize;
        floors[id] = u64::from_be_bytes(section.state[..].try_into().unwrap());
        applied[id] = section.applied;
    }
    (0..QUEUES).for_each(|id| drop(storage.create_log(LogId(id), Durability::Fsync)));
    recovery
        .replay(&mut |lsn, entry| {
            if let Entry::Settle { log, ranges } = entry
                && lsn > applied[log.0 as usize]
            {
                assert!(
                    ranges[0].start.0 <= floors[log.0 as usize],
                    "no settle is missing"
                );
                floors[log.0 as usize] = ranges[0].end.0;
            }
        })
        .unwrap();
    recovery.finish().unwrap();
    for (id, end) in ends.iter().enumerate() {
        let log = storage.log(LogId(id as u64)).unwrap();
        assert_eq!(
            log.end(),
            *end,
            "all was committed before the threads ended"
        );
        assert!(confirmed[id].load(Ordering::Relaxed) <= end.0);
        log.trim(Offset(floors[id]));
        let found = contents(&log);
        let offsets = found.into_iter().map(|(offset, _)| offset);
        assert!(
            offsets.eq(floors[id]..end.0),
            "log {id} from {}",
            floors[id]
        );
    }
    drop(storage);
    std::fs::remove_dir_all(dir).unwrap();
}
