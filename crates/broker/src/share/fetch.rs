//! Acquiring records, and waiting until there are some.
//!
//! A member is lent records first, then they are read: from memory at once, from the disk in
//! a job. What does not fit into the answer goes back as if it had never been lent; what is
//! not there, or is nobody's (marks of transactions, what was taken back), is settled.
//! A partition that has nothing is asked to tell, under the same lock: nothing that comes
//! ripe in between is missed.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::queue::{Input, LinkKey};
use bongsu_engine::session::{Now, Outcome, Tries};
use bongsu_engine::share::call::{Fetch, Fetched, PartKey};
use bongsu_engine::share::session::{ENDS, OPENS};
use bongsu_engine::share::{Answer, Refused};
use bongsu_record::{Batch, Lsn, Offset};
use bongsu_storage::{Error, Stored};

use super::settle::Settled;
use super::{Found, shared};
use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::handle::{Executed, Job, Prepared, SessionHandle};
use crate::statistics::Count;
use crate::traces::leading::Reader;

/// A fetch that is answered once there is something.
pub(super) struct Waiting {
    found: Found,
    bytes_max: u64,
    count_max: u64,
    whole_batches: bool,
    settled: Settled,
    /// With what those are durable.
    wait: Option<Lsn>,
    deadline: Instant,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiting({:?})", self.found.member)
    }
}

/// Records lent to a member, and to be read.
struct Lent {
    part: PartKey,
    cell: Arc<QueueCell>,
    key: LinkKey,
    acquired: Vec<(Range<Offset>, Tries)>,
}

/// What a round over all partitions gave.
#[derive(Default)]
struct Round {
    parts: Vec<Fetched>,
    /// To be read from the disk.
    on_disk: Option<Lent>,
    bytes: u64,
    /// Records.
    count: u64,
    /// Partitions that could be acquired from.
    usable: usize,
    wait: Option<Lsn>,
}

impl SessionHandle {
    pub(super) fn share_fetch(&mut self, fetch: Fetch, now: Now) -> Executed {
        match self.begin_fetch(fetch, now) {
            Ok(executed) => executed,
            Err(refused) => Executed::Now(shared(Answer::Refused(refused), None)),
        }
    }

    fn begin_fetch(&mut self, fetch: Fetch, now: Now) -> Result<Executed, Refused> {
        let (opens, ends) = (fetch.epoch == OPENS, fetch.epoch == ENDS);
        if (opens && !fetch.settles.is_empty()) || (ends && !fetch.parts.is_empty()) {
            return Err(Refused::Malformed);
        }
        let found = match opens {
            true => self.open_share(&fetch.member, fetch.parts)?,
            false => {
                let found = self.find_share(&fetch.member)?;
                let mut session = found.session.lock();
                session.machine.take(fetch.epoch)?;
                session.machine.update(fetch.parts, &fetch.forgotten);
                drop(session);
                found
            }
        };
        if fetch.renews && !found.config.renews {
            return Err(Refused::Malformed);
        }
        let (settled, wait) = self.settle_all(&found, &fetch.settles);
        if ends || fetch.renews {
            let lock_ms = found.config.lock_ms;
            if ends {
                self.close_share(&(found.space, found.member));
            }
            let parts = with_settled(Vec::new(), settled);
            return Ok(Executed::Now(shared(
                Answer::Fetched { lock_ms, parts },
                wait,
            )));
        }
        let waiting = Waiting {
            found,
            bytes_max: fetch.bytes_max,
            count_max: fetch.count_max,
            whole_batches: fetch.whole_batches,
            settled,
            wait,
            deadline: now.instant + Duration::from_millis(u64::from(fetch.wait_ms)),
        };
        Ok(self.share_round(waiting, now.instant))
    }

    /// When [`SessionHandle::share_expired`] is to be called, if a fetch waits.
    pub(crate) fn share_deadline(&self) -> Option<Instant> {
        Some(self.sharing.waiting.as_ref()?.deadline)
    }

    /// The deadline has passed: the answer is what there is.
    pub(crate) fn share_expired(&mut self, now: Now) -> Option<Executed> {
        let waits = &mut self.sharing.waiting;
        let waiting = waits.take_if(|waiting| waiting.deadline <= now.instant)?;
        Some(self.share_round(waiting, now.instant))
    }

    /// There may be something to acquire.
    pub(crate) fn share_again(&mut self) -> Option<Prepared> {
        self.sharing.ripe.take()?;
        let waiting = self.sharing.waiting.take()?;
        let now = Instant::now();
        match self.share_round(waiting, now) {
            Executed::Now(reply) => Some(Prepared::Reply(reply)),
            Executed::Job(job) => Some(Prepared::Job(job)),
            Executed::Durable(..) | Executed::Later => None,
        }
    }

    /// Asks all partitions once.
    fn share_round(&mut self, waiting: Waiting, now: Instant) -> Executed {
        let turn = waiting.found.session.lock().machine.turn();
        let mut round = Round::default();
        for part in turn {
            if round.count >= waiting.count_max
                || round.bytes >= waiting.bytes_max
                || round.on_disk.is_some()
            {
                break;
            }
            self.share_part(&waiting, part, &mut round);
        }
        let is_empty = round.count == 0 && round.on_disk.is_none();
        if is_empty && round.usable > 0 && now < waiting.deadline {
            self.sharing.waiting = Some(waiting);
            return Executed::Later;
        }
        let lock_ms = waiting.found.config.lock_ms;
        let wait = waiting.wait.max(round.wait);
        let settled = waiting.settled;
        let Some(lent) = round.on_disk.take() else {
            let parts = with_settled(round.parts, settled);
            return Executed::Now(shared(Answer::Fetched { lock_ms, parts }, wait));
        };
        let broker = self.broker.clone();
        let bytes_left = waiting.bytes_max.saturating_sub(round.bytes);
        Executed::Job(Job::new(move || {
            let mut parts = round.parts;
            parts.extend(broker.read_lent(&lent, bytes_left, from_disk));
            let parts = with_settled(parts, settled);
            shared(Answer::Fetched { lock_ms, parts }, wait)
        }))
    }

    /// Acquires from one partition, as far as there is room.
    fn share_part(&mut self, waiting: &Waiting, part: PartKey, round: &mut Round) {
        let cell = match self.share_cell(&waiting.found, &part, true) {
            Ok(cell) => cell,
            Err(refused) => {
                let refused = Some(refused);
                round.parts.push(Fetched {
                    refused,
                    ..Fetched::of(part)
                });
                return;
            }
        };
        round.usable += 1;
        let config = &waiting.found.config;
        let mut session = waiting.found.session.lock();
        let key = session.key;
        session.held_in.insert(cell.id, cell.clone());
        drop(session);
        // What was in memory may be gone from it by the time it is read.
        for reads in 0.. {
            let mut state = cell.lock();
            let leased = match cell.source {
                Some(_) => state.machine.cursor().leased(),
                None => 0,
            };
            let room = config.leased_max.saturating_sub(leased);
            let most = (waiting.count_max - round.count).min(room);
            let asked = (most, config.hold());
            let (acquired, after) = cell.acquire(&mut state, key, asked, &self.broker);
            if acquired.is_empty() {
                state.await_ripe(cell.id, &self.sharing.ripe);
                return;
            }
            state.holders.insert(key, self.connection.id);
            drop(state);
            round.wait = round.wait.max(after);
            let mut lent = Lent {
                part: part.clone(),
                cell: cell.clone(),
                key,
                acquired,
            };
            if waiting.whole_batches {
                self.acquire_to_the_end_of_a_batch(&mut lent, config.hold(), round);
            }
            // What came back goes first, wherever it is: the answer is in order.
            lent.acquired
                .sort_unstable_by_key(|(records, _)| records.start);
            let bytes_left = waiting.bytes_max.saturating_sub(round.bytes);
            if reads >= READS_MAX || !lent.is_in_memory() {
                round.on_disk = Some(lent);
                return;
            }
            if let Some(found) = self.broker.read_lent(&lent, bytes_left, from_memory) {
                let acquired = found.acquired.iter();
                round.count += acquired.map(|(r, _)| r.end.0 - r.start.0).sum::<u64>();
                round.bytes += found
                    .batches
                    .iter()
                    .map(|(_, b)| b.len() as u64)
                    .sum::<u64>();
                round.parts.push(found);
                return;
            }
            // All of it was nobody's, or is in memory no more: look again.
        }
    }

    /// A batch is sent as a whole, whatever of it was acquired: better all of it at once.
    fn acquire_to_the_end_of_a_batch(
        &self,
        lent: &mut Lent,
        hold: bongsu_engine::queue::Hold,
        round: &mut Round,
    ) {
        let Some((last, _)) = lent.acquired.last() else {
            return;
        };
        let mut stored = Vec::new();
        let at = Offset(last.end.0 - 1);
        if lent.cell.source.is_none() || !lent.cell.log.read(at, 1, &mut stored) {
            return;
        }
        let Some(end) = stored
            .first()
            .map(Stored::end)
            .filter(|end| *end > last.end)
        else {
            return;
        };
        let count_max = end.0 - last.end.0;
        let mut state = lent.cell.lock();
        let (more, after) =
            lent.cell
                .acquire(&mut state, lent.key, (count_max, hold), &self.broker);
        drop(state);
        round.wait = round.wait.max(after);
        lent.acquired.extend(more);
    }
}

/// How batches are read: into the buffer; `false`: not that way.
type Reading = fn(&QueueCell, Offset, usize, &mut Vec<Stored>) -> Result<bool, Error>;

fn from_memory(
    cell: &QueueCell,
    from: Offset,
    bytes_max: usize,
    stored: &mut Vec<Stored>,
) -> Result<bool, Error> {
    Ok(cell.log.read(from, bytes_max, stored))
}

fn from_disk(
    cell: &QueueCell,
    from: Offset,
    bytes_max: usize,
    stored: &mut Vec<Stored>,
) -> Result<bool, Error> {
    if !cell.log.read(from, bytes_max, stored) {
        stored.clear();
        cell.log.fetch(from, bytes_max, stored)?;
    }
    Ok(true)
}

impl Lent {
    /// Whether the first batch is at hand; those behind it then mostly are.
    fn is_in_memory(&self) -> bool {
        let mut stored = Vec::new();
        let first = self.acquired.first();
        first.is_none_or(|(records, _)| self.cell.log.read(records.start, 1, &mut stored))
    }
}

/// What was lent, sorted out.
#[derive(Default)]
struct Sorted {
    batches: Vec<(Offset, Batch)>,
    bytes: u64,
    kept: Vec<(Range<Offset>, u32)>,
    gone: Vec<Range<Offset>>,
    unsent: Vec<Range<Offset>>,
}

impl Broker {
    /// Reads what was lent, gives back what has no room, and settles what is nobody's. `None`:
    /// nothing is left.
    fn read_lent(&self, lent: &Lent, bytes_max: u64, reading: Reading) -> Option<Fetched> {
        let mut sorted = Sorted::default();
        let mut failed = false;
        for (records, tries) in &lent.acquired {
            if failed || sorted.bytes >= bytes_max {
                sorted.unsent.push(records.clone());
                continue;
            }
            if let Err(error) = sorted.take(&lent.cell, records, *tries, bytes_max, reading) {
                self.report(&error);
                failed = true;
            }
        }
        let key = lent.key;
        let mut state = lent.cell.lock();
        if !sorted.gone.is_empty() {
            let input = Input::Settle {
                key,
                ranges: &sorted.gone,
                outcome: Outcome::Accept,
            };
            let settled = lent.cell.handle(&mut state, input, self);
            self.noted(settled);
        }
        if !sorted.unsent.is_empty() {
            let ranges = &sorted.unsent;
            let input = Input::Unsend { key, ranges };
            let unsent = lent.cell.handle(&mut state, input, self);
            self.noted(unsent);
        }
        drop(state);
        if let Some(traces) = self.traces() {
            for (records, deliveries) in &sorted.kept {
                let reader = Reader {
                    key: key.0,
                    partition: Some(lent.part.partition),
                    ..Reader::default()
                };
                traces.delivered(&lent.cell, records, reader, (None, *deliveries > 1));
            }
        }
        let refused = failed.then_some(Refused::Storage);
        self.count_lent(&lent.cell, &sorted);
        if sorted.kept.is_empty() && refused.is_none() {
            return None;
        }
        Some(Fetched {
            refused: refused.filter(|_| sorted.kept.is_empty()),
            batches: sorted.batches,
            acquired: sorted.kept,
            ..Fetched::of(lent.part.clone())
        })
    }
}

impl Broker {
    fn count_lent(&self, cell: &QueueCell, sorted: &Sorted) {
        let (mut records, mut again) = (0, 0);
        for (range, deliveries) in &sorted.kept {
            let count = range.end.0 - range.start.0;
            records += count;
            again += if *deliveries > 1 { count } else { 0 };
        }
        self.count_of(cell, Count::Deliver, records);
        self.count_of(cell, Count::Redeliver, again);
        self.count_of(cell, Count::BytesOut, sorted.bytes);
    }
}

impl Sorted {
    fn take(
        &mut self,
        cell: &QueueCell,
        records: &Range<Offset>,
        tries: Tries,
        bytes_max: u64,
        reading: Reading,
    ) -> Result<(), Error> {
        let mut at = records.start;
        let deliveries = tries.acquired.saturating_add(1);
        while at < records.end {
            // Several runs may lie in one batch.
            if let Some((base, batch)) = self.batches.last() {
                let end = base.plus(u64::from(batch.offset_count()));
                if *base <= at && at < end {
                    let end = end.min(records.end);
                    self.keep(at..end, deliveries);
                    at = end;
                    continue;
                }
            }
            let left = usize::try_from(bytes_max.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
            if left == 0 {
                self.unsent.push(at..records.end);
                return Ok(());
            }
            let mut stored = Vec::new();
            let read = reading(cell, at, left, &mut stored);
            if !matches!(read, Ok(true)) {
                // It goes back, and whoever asks next reads it from the disk.
                self.unsent.push(at..records.end);
                return read.map(|_| ());
            }
            if stored.is_empty() {
                self.gone.push(at..records.end);
                return Ok(());
            }
            for found in stored {
                if found.base >= records.end {
                    break;
                }
                if found.base > at {
                    self.gone.push(at..found.base);
                }
                let start = at.max(found.base);
                let end = found.end().min(records.end);
                if start >= end {
                    continue;
                }
                at = end;
                if cell.hides(found.base, &found.batch) {
                    self.gone.push(start..end);
                    continue;
                }
                let bytes = found.batch.len() as u64;
                if !self.batches.is_empty() && self.bytes + bytes > bytes_max {
                    self.unsent.push(start..records.end);
                    self.bytes = bytes_max;
                    return Ok(());
                }
                self.bytes += bytes;
                self.batches.push((found.base, found.batch));
                self.keep(start..end, deliveries);
            }
        }
        Ok(())
    }

    fn keep(&mut self, records: Range<Offset>, deliveries: u32) {
        match self.kept.last_mut() {
            Some((last, count)) if last.end == records.start && *count == deliveries => {
                last.end = records.end;
            }
            _ => self.kept.push((records, deliveries)),
        }
    }
}

/// Adds what became of settles to what was fetched.
fn with_settled(mut parts: Vec<Fetched>, settled: Settled) -> Vec<Fetched> {
    for (key, done) in settled {
        match parts.iter_mut().find(|part| part.key == key) {
            Some(part) => part.settled = Some(done),
            None => parts.push(Fetched {
                settled: Some(done),
                ..Fetched::of(key)
            }),
        }
    }
    parts
}

/// Looks at one partition before its records are read from the disk in any case.
const READS_MAX: u32 = 64;
