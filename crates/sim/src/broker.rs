//! The least that can stand above a storage: logs with settled records, and notes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, LogId, Lsn, Offset};
use bongsu_storage::disk::Disk;
use bongsu_storage::{
    CheckpointSource, Durability, Entry, Error, Log, Options, Recovery, Report, SectionWriter,
    Storage, Stored,
};
use parking_lot::Mutex;

/// Kinds of notes.
pub mod kind {
    /// A log comes to be; one byte: its durability.
    pub const CREATE: u8 = 1;
    /// A log goes.
    pub const REMOVE: u8 = 2;
    /// Something to remember.
    pub const KEEP: u8 = 3;
}

/// A broker with the least in it.
pub struct Broker {
    /// What it stands on.
    pub storage: Storage,
    /// What it knows. One lock for all: as if every queue had the same.
    pub state: Mutex<State>,
}

/// What a broker knows.
#[derive(Default)]
pub struct State {
    /// Queues by log.
    pub queues: BTreeMap<u64, Queue>,
    /// Notes.
    pub notes: BTreeMap<u64, Vec<u8>>,
}

/// A queue.
pub struct Queue {
    /// Its log.
    pub log: Arc<Log>,
    /// Settled offsets at or above the log's start.
    pub settled: BTreeSet<u64>,
    /// Handed out to here.
    pub next: u64,
}

impl Queue {
    fn new(log: Arc<Log>) -> Queue {
        Queue {
            log,
            settled: BTreeSet::new(),
            next: 0,
        }
    }

    /// Drops what is settled from the front.
    pub fn trim(&mut self) {
        let mut floor = self.log.start().0;
        while self.settled.remove(&floor) {
            floor += 1;
        }
        self.log.trim(Offset(floor));
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = [self.next].into_iter().chain(self.settled.iter().copied());
        numbers.flat_map(u64::to_be_bytes).collect()
    }

    fn decode(log: Arc<Log>, bytes: &[u8]) -> Queue {
        let mut numbers = numbers(bytes);
        Queue {
            log,
            next: numbers.next().expect("a state begins with next"),
            settled: numbers.collect(),
        }
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let parts = bytes.chunks_exact(8);
    parts.map(|part| u64::from_be_bytes(part.try_into().expect("eight bytes")))
}

impl CheckpointSource for Broker {
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool {
        let state = self.state.lock();
        state.queues.get(&log.0).is_some_and(|queue| {
            let start = queue.log.start().0.max(records.start.0);
            (start..records.end.0).any(|offset| !queue.settled.contains(&offset))
        })
    }

    fn sections(&self, out: &mut SectionWriter<'_>) {
        let state = self.state.lock();
        let applied = self.storage.position();
        let mut catalog = applied.0.to_be_bytes().to_vec();
        for (id, queue) in &state.queues {
            catalog.extend_from_slice(&id.to_be_bytes());
            catalog.extend_from_slice(&(queue.log.durability() as u64).to_be_bytes());
        }
        out.put(0, 0, &catalog);
        for (id, bytes) in &state.notes {
            out.put(1, *id, bytes);
        }
        for queue in state.queues.values() {
            out.put_log(&queue.log, self.storage.position(), &queue.encode());
        }
    }
}

impl Broker {
    /// Opens and recovers.
    ///
    /// # Errors
    /// The storage's.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Broker, Report), Error> {
        let (storage, mut recovery) = Storage::open(disk, options)?;
        let mut restored = Restored::new(&recovery);
        recovery.replay(&mut |lsn, entry| restored.apply(&storage, lsn, entry))?;
        let report = recovery.finish()?;
        let mut state = restored.state;
        state.queues.values_mut().for_each(Queue::trim);
        let state = Mutex::new(state);
        Ok((Broker { storage, state }, report))
    }
}

struct Restored {
    state: State,
    applied: BTreeMap<u64, Lsn>,
    catalog_applied: Lsn,
}

impl Restored {
    fn new(recovery: &Recovery) -> Restored {
        let mut restored = Restored {
            state: State::default(),
            applied: BTreeMap::new(),
            catalog_applied: Lsn(0),
        };
        for section in recovery.sections() {
            match section.kind {
                0 => {
                    let applied = numbers(&section.bytes).next();
                    restored.catalog_applied = Lsn(applied.expect("a catalog begins so"));
                }
                _ => {
                    let bytes = section.bytes.to_vec();
                    restored.state.notes.insert(section.id, bytes);
                }
            }
        }
        for section in recovery.log_sections() {
            let id = section.log.id().0;
            let queue = Queue::decode(Arc::clone(&section.log), &section.state);
            restored.state.queues.insert(id, queue);
            restored.applied.insert(id, section.applied);
        }
        restored
    }

    fn apply(&mut self, storage: &Storage, lsn: Lsn, entry: &Entry) {
        match entry {
            Entry::Note { kind, id, bytes } if lsn > self.catalog_applied => match *kind {
                kind::CREATE => {
                    let log = storage.create_log(LogId(*id), durability(bytes[0]));
                    self.state.queues.insert(*id, Queue::new(log));
                }
                kind::REMOVE => {
                    storage.remove_log(LogId(*id));
                    self.state.queues.remove(id);
                }
                _ => {
                    self.state.notes.insert(*id, bytes.clone());
                }
            },
            Entry::Settle { log, ranges } if lsn > self.applied_of(*log) => {
                if let Some(queue) = self.state.queues.get_mut(&log.0) {
                    for range in ranges {
                        queue.settled.extend(range.start.0..range.end.0);
                    }
                }
            }
            Entry::Mark { log, next } if lsn > self.applied_of(*log) => {
                if let Some(queue) = self.state.queues.get_mut(&log.0) {
                    queue.next = queue.next.max(next.0);
                }
            }
            _ => {}
        }
    }

    fn applied_of(&self, log: LogId) -> Lsn {
        self.applied.get(&log.0).copied().unwrap_or_default()
    }
}

/// The durability of a number written as `as u8`.
pub fn durability(number: u8) -> Durability {
    match number {
        1 => Durability::Os,
        2 => Durability::Memory,
        _ => Durability::Fsync,
    }
}

/// The key of a record: what a compaction goes by.
pub fn key(number: u64) -> u64 {
    number % KEYS
}

const KEYS: u64 = 5;

/// A batch of the records `numbers`, each of `bytes` bytes or a little more.
pub fn batch(numbers: &[u64], bytes: usize) -> Batch {
    let mut builder = Builder::new();
    for number in numbers {
        let key = key(*number).to_string();
        builder.begin(Origin::Plain, 0, b"", key.as_bytes(), b"", bytes as u64);
        builder.body(&number.to_be_bytes());
        builder.body(&vec![*number as u8; bytes]);
        builder.end();
    }
    builder.finish(0).expect("there is a record")
}

/// Every record of a log from its start on: offset and number. Fails if a body is not
/// what [`batch`] made.
///
/// # Errors
/// The storage's.
pub fn read_all(log: &Log) -> Result<BTreeMap<u64, u64>, Error> {
    let mut found = BTreeMap::new();
    let start = log.start();
    let mut from = start;
    let mut out: Vec<Stored> = Vec::new();
    loop {
        out.clear();
        log.fetch(from, 3000, &mut out)?;
        let Some(last) = out.last() else {
            return Ok(found);
        };
        let end = last.base.plus(u64::from(last.batch.offset_count()));
        assert!(end > from, "reading goes on");
        from = end;
        for stored in &out {
            for index in 0..stored.batch.record_count() {
                let offset = stored.base.0 + u64::from(index);
                let record = stored.batch.native_record(index).expect("a native record");
                let number = u64::from_be_bytes(record.body[..8].try_into().expect("a number"));
                let filled = record.body[8..].iter().all(|byte| *byte == number as u8);
                assert!(filled, "record {number} at {offset} has another's bytes");
                if offset >= start.0 {
                    let again = found.insert(offset, number);
                    assert!(again.is_none(), "offset {offset} was read twice");
                }
            }
        }
    }
}
