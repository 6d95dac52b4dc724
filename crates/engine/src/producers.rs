//! Who wrote to a log: the sequences that make a batch sent twice be taken once, and the
//! transactions that are open in it or were aborted.
//!
//! Pure. A log has none of this until a producer with an identity writes to it. Sequences
//! count records, from 0 in each epoch of a producer, and wrap after [`i32::MAX`]. The
//! last [`RECENT_MAX`] batches of a producer are remembered, as many as a client has under
//! way at once: one of them that comes again is answered with where it went.
//!
//! Always: `open` holds the first offset of each producer's open transaction, and those
//! only; `aborted` ascends by last offset; nothing here lies at or beyond `end`.
//! [`Producers::check_sound`] asserts it; tests call it after every step.
//!
//! Bounds: [`PRODUCERS_MAX`] producers, beyond which those silent for longest go, but none
//! with an open transaction; each is forgotten [`Producers::expiration_ms`] after its last
//! batch. What was aborted takes 32 bytes until the log's start passes it; what ended 16, until
//! another ends once its mark is durable.
//!
//! Replay is idempotent: what lies below `end` is known and passed over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use bongsu_record::Offset;

mod state;

pub use state::ProducersMalformed;

/// Batches of a producer that are remembered.
pub const RECENT_MAX: usize = 5;
/// Producers of a log that are remembered.
pub const PRODUCERS_MAX: usize = 20_000;
/// How long a silent producer is remembered, unless set.
pub const EXPIRATION_MS: u64 = 24 * 60 * 60 * 1000;

/// What a batch says of its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// 0 or more.
    pub producer_id: i64,
    /// Its incarnation: 0 or more.
    pub epoch: i16,
    /// Number of the first record: 0 or more.
    pub base_sequence: i32,
    /// Records: at least one.
    pub count: u32,
    /// Part of a transaction.
    pub transactional: bool,
}

impl Sequence {
    /// Number of the last record.
    pub fn last_sequence(&self) -> i32 {
        advanced(self.base_sequence, self.count - 1)
    }
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it, and say so with [`Producers::appended`].
    Append,
    /// It is in the log. It may not be durable yet: the answer waits as the first one did.
    Duplicate {
        /// Where it went.
        base: Offset,
        /// As given with it.
        timestamp_ms: i64,
    },
}

/// Why a batch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerRefused {
    /// A newer incarnation of the producer is known.
    OldEpoch {
        /// The one known.
        current: i16,
        /// The batch's.
        found: i16,
    },
    /// Records before it are missing, or it is an old one that is no longer remembered.
    OutOfOrder {
        /// What the next batch begins with.
        expected: i32,
        /// The batch's.
        found: i32,
    },
    /// Its producer has a transaction open, and the batch is not part of it.
    NotTransactional,
}

/// A transaction that left records that must not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// Its first record.
    pub first: Offset,
    /// The mark that ended it.
    pub last: Offset,
}

/// A producer as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Which.
    pub producer_id: i64,
    /// Its incarnation.
    pub epoch: i16,
    /// Number of its last record, -1 if none in this epoch.
    pub last_sequence: i32,
    /// Of its last batch or mark: Unix milliseconds.
    pub last_ms: u64,
    /// Where its open transaction began.
    pub open: Option<Offset>,
}

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producers {
    known: BTreeMap<i64, Producer>,
    open: BTreeSet<(Offset, i64)>,
    aborted: VecDeque<Entry>,
    /// Transactions whose mark may not be durable yet: where each began, and its mark.
    ended: Vec<(Offset, Offset)>,
    /// All below has been taken in.
    end: Offset,
    expiration_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Of this epoch, the oldest first.
    recent: VecDeque<Recent>,
    open: Option<Offset>,
    last_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recent {
    base_sequence: i32,
    count: u32,
    base: Offset,
    timestamp_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    aborted: Aborted,
    /// Every transaction that ends later began here or behind: where a look ends.
    stable: Offset,
}

impl Default for Producers {
    fn default() -> Producers {
        Producers {
            known: BTreeMap::new(),
            open: BTreeSet::new(),
            aborted: VecDeque::new(),
            ended: Vec::new(),
            end: Offset(0),
            expiration_ms: EXPIRATION_MS,
        }
    }
}

impl Producers {
    /// Remembers silent producers for so long from here on.
    pub fn set_expiration_ms(&mut self, expiration_ms: u64) {
        self.expiration_ms = expiration_ms;
    }

    /// How long a silent producer is remembered.
    pub fn expiration_ms(&self) -> u64 {
        self.expiration_ms
    }

    /// What to do with a batch. A producer that is not known may begin with any sequence:
    /// it may have been silent for long, or its records trimmed.
    ///
    /// # Errors
    /// [`ProducerRefused`]; nothing changes.
    pub fn check(&self, batch: &Sequence, now_ms: u64) -> Result<Verdict, ProducerRefused> {
        let Some(producer) = self.producer(batch.producer_id, now_ms) else {
            return Ok(Verdict::Append);
        };
        if batch.epoch == producer.epoch
            && let Some(recent) = producer.find(batch)
        {
            return Ok(Verdict::Duplicate {
                base: recent.base,
                timestamp_ms: recent.timestamp_ms,
            });
        }
        if batch.epoch < producer.epoch {
            return Err(ProducerRefused::OldEpoch {
                current: producer.epoch,
                found: batch.epoch,
            });
        }
        let expected = match batch.epoch == producer.epoch {
            true => producer.next_sequence(),
            false => 0,
        };
        if batch.base_sequence != expected {
            return Err(ProducerRefused::OutOfOrder {
                expected,
                found: batch.base_sequence,
            });
        }
        if producer.open.is_some() && !batch.transactional {
            return Err(ProducerRefused::NotTransactional);
        }
        Ok(Verdict::Append)
    }

    /// Whether a producer is known.
    pub fn knows(&self, producer_id: i64, now_ms: u64) -> bool {
        self.producer(producer_id, now_ms).is_some()
    }

    /// A batch went to the log at `base`. `timestamp_ms` is what a duplicate is answered
    /// with.
    pub fn appended(&mut self, batch: &Sequence, base: Offset, timestamp_ms: i64, now_ms: u64) {
        let end = base.plus(u64::from(batch.count));
        if end > self.end {
            self.end = end;
            self.insert(batch, base, timestamp_ms, now_ms);
        }
    }

    /// A batch went to the log, which ends at `end` by now, but perhaps not all of it: what
    /// the log had seen before is left out.
    pub fn screened(&mut self, batch: &Sequence, end: Offset, now_ms: u64) {
        self.end = end.max(self.end);
        let base = Offset(end.0.saturating_sub(u64::from(batch.count)));
        self.insert(batch, base, -1, now_ms);
    }

    fn insert(&mut self, batch: &Sequence, base: Offset, timestamp_ms: i64, now_ms: u64) {
        self.make_room(batch.producer_id, now_ms);
        let producer = self
            .known
            .entry(batch.producer_id)
            .or_insert_with(|| Producer::new(batch.epoch));
        if producer.epoch != batch.epoch {
            producer.epoch = batch.epoch;
            producer.recent.clear();
        }
        if producer.recent.len() == RECENT_MAX {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Recent {
            base_sequence: batch.base_sequence,
            count: batch.count,
            base,
            timestamp_ms,
        });
        producer.last_ms = now_ms;
        if batch.transactional && producer.open.is_none() {
            producer.open = Some(base);
            self.open.insert((base, batch.producer_id));
        }
    }

    /// The mark that ends a producer's transaction went to the log at `at`, and takes one
    /// offset. From here on the producer's epoch is the mark's, unless it is higher. Returns
    /// where the transaction that it ended began, if one was open.
    pub fn marked(
        &mut self,
        producer_id: i64,
        epoch: i16,
        committed: bool,
        at: Offset,
        now_ms: u64,
    ) -> Option<Offset> {
        if at < self.end {
            return None;
        }
        self.end = at.plus(1);
        self.make_room(producer_id, now_ms);
        let producer = self
            .known
            .entry(producer_id)
            .or_insert_with(|| Producer::new(epoch));
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.recent.clear();
        }
        producer.last_ms = now_ms;
        let first = producer.open.take()?;
        self.open.remove(&(first, producer_id));
        if !committed {
            let stable = self.first_open().unwrap_or(self.end);
            self.aborted.push_back(Entry {
                aborted: Aborted {
                    producer_id,
                    first,
                    last: at,
                },
                stable,
            });
        }
        Some(first)
    }

    /// A transaction that began at `first` ended with the mark at `at`, which a crash may still
    /// take back: so far only what lies below `durable_end` is safe from that.
    pub fn ended(&mut self, first: Offset, at: Offset, durable_end: Offset) {
        self.ended.retain(|(_, mark)| *mark >= durable_end);
        self.ended.push((first, at));
    }

    /// Where the oldest open transaction began: nothing from there on is decided.
    pub fn first_open(&self) -> Option<Offset> {
        self.open.first().map(|(first, _)| *first)
    }

    /// The same for whoever must never be shown what a crash takes back: where the oldest
    /// transaction began that is open, or ended by a mark at or beyond `durable_end`.
    pub fn first_undecided(&self, durable_end: Offset) -> Option<Offset> {
        let unsafe_yet = self.ended.iter().filter(|(_, mark)| *mark >= durable_end);
        let ended = unsafe_yet.map(|(first, _)| *first).min();
        match (self.first_open(), ended) {
            (Some(open), Some(ended)) => Some(open.min(ended)),
            (open, ended) => open.or(ended),
        }
    }

    /// Whether this producer has a transaction open here, of this epoch.
    pub fn is_open(&self, producer_id: i64, epoch: i16) -> bool {
        let producer = self.known.get(&producer_id);
        producer.is_some_and(|producer| producer.epoch == epoch && producer.open.is_some())
    }

    /// The transactions whose mark or records lie in `range`, and that were aborted: by
    /// last offset.
    pub fn aborted(&self, range: Range<Offset>) -> Vec<Aborted> {
        if range.is_empty() {
            return Vec::new();
        }
        self.looked(range).map(|entry| entry.aborted).collect()
    }

    /// Whether a record of a transaction is one that must not be read. Meaningless at and
    /// beyond [`Producers::first_open`], where it is not decided.
    pub fn is_aborted(&self, producer_id: i64, offset: Offset) -> bool {
        self.looked(offset..offset.plus(1))
            .any(|entry| entry.aborted.producer_id == producer_id)
    }

    /// Whether anything was ever aborted that is still in the log.
    pub fn has_aborted(&self) -> bool {
        !self.aborted.is_empty()
    }

    /// All below are gone. Producers stay: what they send next goes on from there.
    pub fn trimmed(&mut self, start: Offset) {
        while let Some(first) = self.aborted.front()
            && first.aborted.last < start
        {
            self.aborted.pop_front();
        }
    }

    /// Forgets those that were silent for too long.
    pub fn expire(&mut self, now_ms: u64) {
        let expiration_ms = self.expiration_ms;
        self.known
            .retain(|_, producer| !producer.is_expired(now_ms, expiration_ms));
    }

    /// Those that are known, by id.
    pub fn active(&self, now_ms: u64) -> impl Iterator<Item = Active> + '_ {
        self.known
            .iter()
            .filter(move |(_, producer)| !producer.is_expired(now_ms, self.expiration_ms))
            .map(|(producer_id, producer)| Active {
                producer_id: *producer_id,
                epoch: producer.epoch,
                last_sequence: producer.last_sequence(),
                last_ms: producer.last_ms,
                open: producer.open,
            })
    }

    /// Nothing is remembered, and nothing was aborted: as good as none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.aborted.is_empty()
    }

    /// Asserts the module's invariants.
    pub fn check_sound(&self) {
        let open: BTreeSet<(Offset, i64)> = self
            .known
            .iter()
            .filter_map(|(id, producer)| Some((producer.open?, *id)))
            .collect();
        assert_eq!(open, self.open);
        for (before, after) in self.aborted.iter().zip(self.aborted.iter().skip(1)) {
            assert!(before.aborted.last < after.aborted.last);
            assert!(before.stable <= after.stable);
        }
        assert!(self.aborted.iter().all(|e| e.aborted.last < self.end));
        assert!(self.known.len() <= PRODUCERS_MAX + self.open.len());
        for producer in self.known.values() {
            assert!(producer.recent.len() <= RECENT_MAX);
        }
    }

    fn producer(&self, producer_id: i64, now_ms: u64) -> Option<&Producer> {
        let producer = self.known.get(&producer_id);
        producer.filter(|producer| !producer.is_expired(now_ms, self.expiration_ms))
    }

    fn looked(&self, range: Range<Offset>) -> impl Iterator<Item = &Entry> {
        let from = self
            .aborted
            .partition_point(|entry| entry.aborted.last < range.start);
        let mut behind = false;
        self.aborted
            .range(from..)
            .take_while(move |entry| !std::mem::replace(&mut behind, entry.stable >= range.end))
            .filter(move |entry| entry.aborted.first < range.end)
    }

    /// Before a producer is added or writes: its expired self goes, and at the bound, an
    /// eighth of all, so that the cost of finding the oldest is spread.
    fn make_room(&mut self, producer_id: i64, now_ms: u64) {
        if let Some(producer) = self.known.get(&producer_id) {
            if producer.is_expired(now_ms, self.expiration_ms) {
                self.known.remove(&producer_id);
            }
            return;
        }
        if self.known.len() < PRODUCERS_MAX {
            return;
        }
        self.expire(now_ms);
        let wanted = PRODUCERS_MAX - PRODUCERS_MAX / 8;
        let mut silent: Vec<(u64, i64)> = self
            .known
            .iter()
            .filter(|(_, producer)| producer.open.is_none())
            .map(|(id, producer)| (producer.last_ms, *id))
            .collect();
        silent.sort_unstable();
        for (_, id) in silent {
            if self.known.len() <= wanted {
                break;
            }
            self.known.remove(&id);
        }
    }
}

impl Producer {
    fn new(epoch: i16) -> Producer {
        Producer {
            epoch,
            recent: VecDeque::new(),
            open: None,
            last_ms: 0,
        }
    }

    fn find(&self, batch: &Sequence) -> Option<&Recent> {
        self.recent.iter().find(|recent| {
            recent.base_sequence == batch.base_sequence && recent.count == batch.count
        })
    }

    fn next_sequence(&self) -> i32 {
        let last = self.recent.back();
        last.map_or(0, |last| advanced(last.base_sequence, last.count))
    }

    fn last_sequence(&self) -> i32 {
        let last = self.recent.back();
        last.map_or(-1, |last| advanced(last.base_sequence, last.count - 1))
    }

    fn is_expired(&self, now_ms: u64, expiration_ms: u64) -> bool {
        self.open.is_none() && now_ms.saturating_sub(self.last_ms) >= expiration_ms
    }
}

/// The sequence `count` further on: 0 follows [`i32::MAX`].
fn advanced(sequence: i32, count: u32) -> i32 {
    let wrapped = (i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX);
    i32::try_from(wrapped).expect("masked to 31 bits")
}

#[cfg(test)]
mod tests;
