//! Readers of a log: of a stream, or along a queue that keeps what was settled. And what
//! keeps a log from growing for ever where nobody's settles do: its retention.
//!
//! A stream is a cell whose machine has no consumers. A queue with a retention has both:
//! its consumers compete, and its readers look on.
//!
//! A reader is handed no record that a crash could still take back: what it is handed waits
//! for its append to be durable. Where a tracked reader came to is recorded once a second
//! and when it goes, so a crash shows it up to a second of records again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bongsu_engine::queue::{Gate, Input, LinkKey};
use bongsu_engine::session::Tries;
use bongsu_engine::stream::readers::Reader;
use bongsu_engine::stream::{self, Effect, Readers, Retention};
use bongsu_record::{Batch, LogId, Lsn, Offset};
use bongsu_storage::{EntryRef, Error};

use crate::broker::Broker;
use crate::cell::{QueueCell, State};
use crate::outbox::{Gates, Item, Lease};

/// Kind of the WAL notes and checkpoint sections that say where tracked readers are; the id
/// is the log's.
///
/// ```text
/// any number of: u8 bytes of the name, the name, u64 where it goes on (big-endian)
/// ```
/// The last that is said of a name holds.
pub(crate) const TRACK_NOTE: u8 = 4;

/// Where tracked readers go on, by name.
pub(crate) type Tracked = BTreeMap<Arc<str>, Offset>;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Reading {
    readers: Readers,
    effects: Vec<Effect>,
    tracked: Tracked,
    /// Names of tracked readers that are here.
    names: BTreeMap<LinkKey, Arc<str>>,
    /// What of `tracked` is not recorded.
    unrecorded: BTreeSet<Arc<str>>,
    /// Ends of appends that may not be durable, and with what they are.
    undurable: VecDeque<(Offset, Lsn)>,
    /// When the clerk has to look at it: Unix milliseconds.
    due_ms: Option<u64>,
}

impl Reading {
    /// Nobody, over a log from `start` to `end`.
    pub(crate) fn new(start: Offset, end: Offset, tracked: Tracked) -> Box<Reading> {
        Box::new(Reading {
            readers: Readers::over(start, end),
            effects: Vec::new(),
            tracked,
            names: BTreeMap::new(),
            unrecorded: BTreeSet::new(),
            undurable: VecDeque::new(),
            due_ms: None,
        })
    }

    pub(crate) fn reader_count(&self) -> u32 {
        self.readers.count()
    }

    /// Records that a reader was handed and has not settled.
    pub(crate) fn held(&self, key: LinkKey) -> u64 {
        self.readers.held(key)
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Whether it is due, and then no longer.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> bool {
        self.due_ms.take_if(|due_ms| *due_ms <= now_ms).is_some()
    }

    /// Asks the clerk to look at it then: Unix milliseconds.
    pub(crate) fn wake_at(&mut self, at_ms: u64) {
        let due_ms = self.due_ms.get_or_insert(at_ms);
        *due_ms = at_ms.min(*due_ms);
    }

    /// What was recorded of tracked readers, for a checkpoint.
    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    /// Whether the input was a reader's.
    pub(crate) fn take(&mut self, input: &Input<'_>, gates: &dyn Gate) -> bool {
        let key = match input {
            Input::Detach { key, .. } | Input::Settle { key, .. } | Input::Resume { key } => *key,
            _ => return false,
        };
        if self.readers.floor(key).is_none() {
            return false;
        }
        let input = match input {
            Input::Settle { ranges, .. } => stream::Input::Settle { key, ranges },
            Input::Resume { .. } => stream::Input::Resume { key },
            _ => {
                self.names.remove(&key);
                if !self.unrecorded.is_empty() {
                    self.wake_at(0);
                }
                stream::Input::Detach { key }
            }
        };
        self.readers.handle(input, gates, &mut self.effects);
        true
    }

    /// Records were appended, which will be durable with `lsn` at the latest.
    pub(crate) fn appended(&mut self, end: Offset, lsn: Lsn, durable: Lsn, gates: &dyn Gate) {
        while self
            .undurable
            .front()
            .is_some_and(|(_, lsn)| *lsn <= durable)
        {
            self.undurable.pop_front();
        }
        if lsn > durable {
            self.undurable.push_back((end, lsn));
        }
        let input = stream::Input::Appended { end };
        self.readers.handle(input, gates, &mut self.effects);
    }

    /// What must be durable before records up to `end` are handed out.
    fn after(&mut self, end: Offset, durable: Lsn) -> Option<Lsn> {
        let first = self.undurable.partition_point(|(known, _)| *known < end);
        let (_, lsn) = self.undurable.get(first)?;
        (*lsn > durable).then_some(*lsn)
    }
}

impl QueueCell {
    /// A reader appears. A tracked one goes on where it was.
    pub(crate) fn read(
        self: &Arc<Self>,
        state: &mut State,
        key: LinkKey,
        mut reader: Reader,
        name: &str,
        broker: &Broker,
    ) {
        let Some(reading) = &mut state.reading else {
            return;
        };
        if reader.tracked {
            if let Some(next) = reading.tracked.get(name) {
                // What it came to may be lost, where a log does not wait for the disk; its
                // offsets are then others'.
                reader.start = (*next).min(reading.readers.end());
            }
            reading.names.insert(key, Arc::from(name));
        }
        let gates = Gates {
            cell: self,
            targets: &state.targets,
        };
        let input = stream::Input::Attach { key, reader };
        reading.readers.handle(input, &gates, &mut reading.effects);
        self.act(state, None, broker);
    }

    /// The queue's properties are others: records stay readable from now on, or no longer.
    pub(crate) fn configure_reading(self: &Arc<Self>, state: &mut State, broker: &Broker) {
        let keeps = state.machine.properties().keeps();
        let end = state.machine.cursor().end();
        let end = state.first_open().map_or(end, |open| open.min(end));
        match &mut state.reading {
            None if keeps => {
                let start = self.log.start();
                state.reading = Some(Reading::new(start, end, Tracked::new()));
            }
            Some(reading) if keeps => reading.wake_at(broker.now_ms()),
            Some(_) => {
                self.trim(state, broker);
                // Those who are here read on to what is settled from now on.
                state.reading.take_if(|reading| reading.readers.is_empty());
            }
            None => {}
        }
    }

    /// Acts upon what readers are to be handed.
    pub(crate) fn act_reading(
        self: &Arc<Self>,
        state: &mut State,
        at_hand: Option<(Offset, &Batch)>,
        broker: &Broker,
    ) {
        let Some(reading) = &mut state.reading else {
            return;
        };
        let storage = broker.storage();
        let durable = storage.durable();
        let mut wait = false;
        let mut effects = std::mem::take(&mut reading.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Hand { key, records } => {
                    let Some(target) = state.targets.get(&key) else {
                        continue;
                    };
                    let after = match self.is_recorded() {
                        true => reading.after(records.end, durable),
                        false => None,
                    };
                    wait |= after.is_some();
                    if let Some(traces) = broker.traces() {
                        traces.lent(self.log.id(), &records);
                    }
                    let covered = at_hand.filter(|(base, _)| *base <= records.start);
                    target.outbox.push(Item::Lease(Lease {
                        link: target.link,
                        cell: self.clone(),
                        records,
                        tries: Tries::default(),
                        tells_tries: false,
                        tells_offsets: true,
                        after,
                        at_hand: covered.map(|(base, batch)| (base, batch.clone())),
                    }));
                }
                Effect::Stored { key, next } => {
                    if let Some(name) = reading.names.get(&key) {
                        reading.tracked.insert(name.clone(), next);
                        reading.unrecorded.insert(name.clone());
                        reading.wake_at(broker.now_ms() + TEND_MS);
                    }
                }
                // It stays until its session has sent what it was handed.
                Effect::Finished { key } => {
                    if let Some(target) = state.targets.get(&key) {
                        target.outbox.push(Item::Closed(target.link));
                    }
                }
            }
        }
        reading.effects = effects;
        if wait {
            storage.hurry();
        }
    }

    /// Records were appended or settled: the retention may have something to do.
    pub(crate) fn note_retention(&self, state: &mut State, settled: bool, broker: &Broker) {
        let properties = state.machine.properties();
        let (Some(retention), Some(reading)) = (properties.retention, &mut state.reading) else {
            return;
        };
        let now_ms = broker.now_ms();
        if settled || (properties.is_stream && retention.bytes.is_some()) {
            if retention.is_bounded() {
                reading.wake_at(now_ms + TEND_MS);
            }
        } else if let Some(age_ms) = retention.age_ms
            && properties.is_stream
            && reading.due_ms.is_none()
        {
            reading.wake_at(now_ms.saturating_add(age_ms.max(TEND_MS)));
        }
    }
}

impl Broker {
    /// Records where readers came to, and drops what the retention no longer keeps. Holds
    /// no lock while it reads.
    pub(crate) fn tend(&self, cell: &Arc<QueueCell>) {
        self.record_tracked(cell);
        if let Err(error) = self.retain(cell) {
            // What cannot be read cannot be read later either: it stays.
            self.report(&error);
        }
    }

    fn record_tracked(&self, cell: &Arc<QueueCell>) {
        let mut state = cell.lock();
        let Some(reading) = state.reading.as_mut().filter(|_| cell.is_recorded()) else {
            return;
        };
        let names = std::mem::take(&mut reading.unrecorded);
        let said = names
            .iter()
            .filter_map(|name| Some((&**name, *reading.tracked.get(name)?)));
        let bytes = encode_tracked(said);
        if bytes.is_empty() {
            return;
        }
        // Under the lock: a later word must not be recorded before an earlier one.
        let recorded = self.storage().record(&[EntryRef::Note {
            kind: TRACK_NOTE,
            id: cell.log.id().0,
            bytes: &bytes,
        }]);
        drop(state);
        self.noted(recorded.map(Some));
    }

    fn retain(&self, cell: &Arc<QueueCell>) -> Result<(), Error> {
        let (retention, bound) = {
            let state = cell.lock();
            let properties = state.machine.properties();
            let cursor = state.machine.cursor();
            let bound = match properties.is_stream {
                true => cursor.end(),
                false => cursor.floor(),
            };
            match properties.retention {
                Some(retention) if !state.gone => (retention, bound),
                _ => return Ok(()),
            }
        };
        let now_ms = self.now_ms();
        let start = kept_from(cell, &retention, now_ms)?.min(bound);
        cell.log.trim(start);
        // What a queue still owes is looked at when it is settled.
        let next_ms = match (retention.age_ms, start < bound) {
            (Some(age_ms), true) => {
                let first_ms = cell.log.start_time()?;
                first_ms.map(|ms| ms.saturating_add_unsigned(age_ms).max(0).unsigned_abs() + 1)
            }
            _ => None,
        };
        let mut state = cell.lock();
        if state.gone {
            return Ok(());
        }
        cell.trimmed(&mut state, start, self);
        if let (Some(at_ms), Some(reading)) = (next_ms, &mut state.reading) {
            reading.wake_at(at_ms.max(now_ms + TEND_MS));
        }
        cell.set_alarm(&mut state, self);
        Ok(())
    }
}

impl QueueCell {
    /// Drops what is settled.
    pub(crate) fn trim(self: &Arc<Self>, state: &mut State, broker: &Broker) {
        if self.source.is_some() {
            return;
        }
        let floor = state.machine.cursor().floor();
        self.log.trim(floor);
        self.trimmed(state, floor, broker);
    }

    /// Drops what is below `start`, whoever has not read it.
    pub(crate) fn trim_front(self: &Arc<Self>, state: &mut State, start: Offset, broker: &Broker) {
        self.log.trim(start);
        self.trimmed(state, start, broker);
    }

    fn trimmed(self: &Arc<Self>, state: &mut State, start: Offset, broker: &Broker) {
        let gates = Gates {
            cell: self,
            targets: &state.targets,
        };
        if let Some(producers) = &mut state.producers {
            producers.trimmed(start);
        }
        if let Some(reading) = &mut state.reading {
            let input = stream::Input::Trimmed { start };
            reading.readers.handle(input, &gates, &mut reading.effects);
        }
        self.tell_subscribers(broker);
        self.act_reading(state, None, broker);
    }
}

/// The first offset that both limits keep.
fn kept_from(cell: &QueueCell, retention: &Retention, now_ms: u64) -> Result<Offset, Error> {
    let mut start = cell.log.start();
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    if let Some(since_ms) = retention.kept_since(now_ms) {
        start = start.max(cell.log.offset_at_time(since_ms)?);
    }
    if let Some(bytes) = retention.bytes {
        start = start.max(cell.log.offset_keeping_bytes(bytes)?);
    }
    Ok(start)
}

/// Writes a [`TRACK_NOTE`].
pub(crate) fn encode_tracked<'a>(tracked: impl Iterator<Item = (&'a str, Offset)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, next) in tracked {
        // Names are short strings to their protocol; another's would be cut, not lost.
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&next.0.to_be_bytes());
    }
    bytes
}

/// Reads a [`TRACK_NOTE`] into `tracked`; `None` if it is none.
pub(crate) fn decode_tracked(bytes: &[u8], tracked: &mut Tracked) -> Option<()> {
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (name, behind) = behind.split_at_checked(usize::from(*length))?;
        let (next, behind) = behind.split_first_chunk::<8>()?;
        let name = String::from_utf8_lossy(name);
        tracked.insert(Arc::from(&*name), Offset(u64::from_be_bytes(*next)));
        rest = behind;
    }
    Some(())
}

/// Tracked readers of logs, while a start gathers them.
pub(crate) type TrackedOf = BTreeMap<LogId, Tracked>;

/// How often retentions are applied and tracked readers recorded.
const TEND_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracked_readers_survive_their_encoding() {
        let tracked: Tracked = [("a", 5), ("", 0), ("ß", u64::MAX)]
            .into_iter()
            .map(|(name, next)| (Arc::from(name), Offset(next)))
            .collect();
        let bytes = encode_tracked(tracked.iter().map(|(name, next)| (&**name, *next)));
        let mut found = Tracked::new();
        assert_eq!(decode_tracked(&bytes, &mut found), Some(()));
        assert_eq!(found, tracked);
        let later = encode_tracked([("a", Offset(9))].into_iter());
        assert_eq!(decode_tracked(&later, &mut found), Some(()));
        assert_eq!(found.get("a"), Some(&Offset(9)));
        for cut in 1..bytes.len() {
            let all = decode_tracked(&bytes[..cut], &mut Tracked::new());
            // Only between two names does it seem whole.
            assert_eq!(all.is_some(), cut == 9 || cut == 19, "{cut}");
        }
    }
}
