//! One queue: the pure machine, its log and its links, behind one lock.
//!
//! The lock is held for decisions only. Record bytes are read outside it, and effects on
//! sessions are pushes into their outboxes.
//!
//! Locks, in the order they may be taken: catalog, queues (ascending id), then whatever
//! storage and the outboxes lock inside one call of theirs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};

use bongsu_engine::catalog::QueueId;
use bongsu_engine::producers::Producers;
use bongsu_engine::queue::why::Depth;
use bongsu_engine::queue::{Deaths, Effect, FactRun, Hold, Input, LinkKey, Note, Queue, Reason};
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::Tries;
use bongsu_record::{Batch, Lsn, Offset};
use bongsu_storage::{Durability, EntryRef, Error, Log};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::broker::Broker;
use crate::facts;
use crate::fetch::FetchWait;
use crate::operator::queues::OldestKnown;
use crate::outbox::{Gates, Item, Lease, Target};
use crate::reading::{Reading, Tracked};
use crate::registry::ConnectionId;
use crate::statistics::{Count, QueueCounts, SpaceStatistics};

/// Kind of the WAL notes that queues write.
pub(crate) const QUEUE_NOTE: u8 = 2;

/// One queue. See the module's comment.
pub struct QueueCell {
    /// Its id; also that of its log, or of the empty one it has where its records are
    /// another's.
    pub id: QueueId,
    /// Where it is.
    pub(crate) space: SpaceId,
    /// What it is called there.
    pub(crate) name: Arc<str>,
    /// Where its records are.
    pub(crate) log: Arc<Log>,
    /// What it records of itself is recorded under this log's id: the same, but for a
    /// subscription, whose own log stays empty.
    pub(crate) home: Arc<Log>,
    /// Whose records a subscription consumes.
    pub(crate) source: Option<Arc<QueueCell>>,
    /// Who consumes its records, ascending by id. A leaf among locks.
    pub(crate) subscribers: RwLock<Vec<(QueueId, Weak<QueueCell>)>>,
    /// The catalog wants to know when its last consumer goes.
    pub(crate) auto_delete: bool,
    /// A transaction has ended in it since the start.
    pub(crate) ends_transactions: AtomicBool,
    /// For whoever watches.
    pub(crate) oldest: OldestKnown,
    /// Begun when there is something to count.
    counts: OnceLock<Box<QueueCounts>>,
    statistics: OnceLock<Arc<SpaceStatistics>>,
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Queue,
    pub(crate) targets: BTreeMap<LinkKey, Arc<Target>>,
    /// Who may hold leases without consuming: for whoever watches.
    pub(crate) holders: BTreeMap<LinkKey, ConnectionId>,
    /// Deleted: whoever still holds the cell finds nothing in it.
    pub(crate) gone: bool,
    /// Last time that a client used it other than by publishing, Unix milliseconds.
    pub(crate) used_ms: u64,
    /// When the clerk will look at it.
    pub(crate) alarm_ms: Option<u64>,
    /// Where records stay readable, or are only read.
    pub(crate) reading: Option<Box<Reading>>,
    /// What producers that number their batches have appended.
    pub(crate) producers: Option<Box<Producers>>,
    /// Fetches that wait for more.
    fetchers: Vec<Arc<FetchWait>>,
    /// Records were appended, and whoever waits for more is to be told.
    grown: bool,
    /// Who wants to pull records, and found none.
    pullers: Vec<Arc<FetchWait>>,
    /// There may be some for them by now.
    ripe: bool,
    effects: Vec<Effect>,
    mark: Mark,
    /// What it was last shown to hold, in the sum of its space.
    shown: Depth,
}

impl State {
    /// Tells `wait` once there is more, one time.
    pub(crate) fn await_growth(&mut self, id: QueueId, wait: &Arc<FetchWait>) {
        if wait.register(id) {
            // Those who left do not gather.
            if self.fetchers.len() >= FETCHERS_LOOKED_AT {
                self.fetchers.retain(|other| !other.has_ended());
            }
            self.fetchers.push(wait.clone());
        }
    }

    /// Tells `wait` once there may be something to pull, one time.
    pub(crate) fn await_ripe(&mut self, id: QueueId, wait: &Arc<FetchWait>) {
        if wait.register(id) {
            if self.pullers.len() >= FETCHERS_LOOKED_AT {
                self.pullers.retain(|other| !other.has_ended());
            }
            self.pullers.push(wait.clone());
        }
    }

    /// Consumers and readers.
    pub(crate) fn link_count(&self) -> u32 {
        let readers = self
            .reading
            .as_ref()
            .map_or(0, |reading| reading.reader_count());
        self.machine.links().count() + readers
    }
}

/// An input and what belongs to it.
pub(crate) struct Step<'a> {
    pub(crate) input: Input<'a>,
    /// A batch just appended, with its base.
    pub(crate) at_hand: Option<(Offset, &'a Batch)>,
    /// Settles that are recorded already, in a group with something else.
    pub(crate) recorded: Option<Range<Offset>>,
}

impl<'a> From<Input<'a>> for Step<'a> {
    fn from(input: Input<'a>) -> Step<'a> {
        Step {
            input,
            at_hand: None,
            recorded: None,
        }
    }
}

/// How far the WAL knows that records may have been handed out.
#[derive(Debug, Default)]
struct Mark {
    /// Durable up to here.
    known: Offset,
    /// Recorded up to here, durable with this position.
    next: Offset,
    lsn: Lsn,
}

impl Mark {
    fn record(&mut self, next: Offset, lsn: Lsn, durable: Lsn) {
        self.note(durable);
        self.next = next;
        self.lsn = lsn;
    }

    fn note(&mut self, durable: Lsn) {
        if durable >= self.lsn {
            self.known = self.next;
        }
    }

    /// What must be durable before records up to `end` are handed out.
    fn before(&mut self, end: Offset, durable: Lsn) -> Option<Lsn> {
        self.note(durable);
        (end > self.known).then_some(self.lsn)
    }
}

impl std::fmt::Debug for QueueCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QueueCell({})", self.id)
    }
}

impl QueueCell {
    pub(crate) fn new(
        id: QueueId,
        (space, name): (SpaceId, Arc<str>),
        (home, source): (Arc<Log>, Option<Arc<QueueCell>>),
        auto_delete: bool,
        machine: Queue,
        (tracked, producers): (Tracked, Option<Box<Producers>>),
        now_ms: u64,
    ) -> Arc<QueueCell> {
        let log = source.as_ref().map_or(&home, |source| &source.log).clone();
        let open = producers.as_ref().and_then(|known| known.first_open());
        let end = machine.cursor().end();
        let end = open.map_or(end, |open| open.min(end));
        let keeps = machine.properties().keeps();
        if let Some(bytes) = machine.properties().segment_bytes {
            log.set_segment_bytes(bytes);
        }
        let reading = keeps.then(|| Reading::new(log.start(), end, tracked));
        let marked = machine.cursor().marked();
        let mark = Mark {
            known: marked,
            next: marked,
            lsn: Lsn(0),
        };
        Arc::new(QueueCell {
            id,
            space,
            name,
            log,
            home,
            source,
            subscribers: RwLock::default(),
            auto_delete,
            ends_transactions: AtomicBool::new(false),
            oldest: OldestKnown::default(),
            counts: OnceLock::new(),
            statistics: OnceLock::new(),
            state: Mutex::new(State {
                machine,
                targets: BTreeMap::new(),
                holders: BTreeMap::new(),
                gone: false,
                used_ms: now_ms,
                alarm_ms: None,
                reading,
                producers,
                fetchers: Vec::new(),
                grown: false,
                pullers: Vec::new(),
                ripe: false,
                effects: Vec::new(),
                mark,
                shown: Depth::default(),
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Records that are there for whoever comes.
    pub(crate) fn ready(&self, state: &State) -> u64 {
        let cursor = state.machine.cursor();
        match state.machine.properties().is_stream {
            true => cursor.end().0.saturating_sub(self.log.start().0),
            false => cursor.ready(),
        }
    }

    /// Adds what changed to the sums of its space.
    pub(crate) fn show(&self, state: &mut State, broker: &Broker) {
        let now = match state.gone {
            true => Depth::default(),
            false => self.depth(state),
        };
        if now != state.shown {
            let stripe = self.id.0 as usize;
            self.space_statistics(broker)
                .moved(stripe, &state.shown, &now);
            state.shown = now;
        }
    }

    pub(crate) fn space_statistics(&self, broker: &Broker) -> &Arc<SpaceStatistics> {
        self.statistics
            .get_or_init(|| broker.statistics().space(self.space))
    }

    /// What was counted of it; `None`: nothing yet.
    pub(crate) fn counts(&self) -> Option<&QueueCounts> {
        self.counts.get().map(|counts| &**counts)
    }

    /// Counts something.
    pub(crate) fn count(&self, count: Count, more: u64, now_ms: u64) {
        if more > 0 {
            let counts = self.counts.get_or_init(Box::default);
            counts.add(0, count, more, now_ms);
        }
    }

    /// Whether any of the records may still be asked for.
    pub(crate) fn needs(&self, records: Range<Offset>) -> bool {
        let state = self.lock();
        let keeps = state.machine.properties().keeps();
        let kept = keeps && records.end > self.log.start();
        kept || state.machine.cursor().is_owed(records)
    }

    /// Whether its records survive a restart.
    pub(crate) fn is_recorded(&self) -> bool {
        self.home.durability() != Durability::Memory
    }

    /// A batch was appended to the log: its records are the machine's now.
    ///
    /// # Errors
    /// As [`QueueCell::handle`].
    pub(crate) fn appended(
        self: &Arc<Self>,
        state: &mut State,
        base: Offset,
        batch: &Batch,
        broker: &Broker,
    ) -> Result<Option<Lsn>, Error> {
        if let Some(traces) = broker.traces() {
            traces.appended(self, base, batch);
        }
        let mut known: Vec<FactRun> = Vec::new();
        self.count(Count::BytesIn, batch.len() as u64, broker.now_ms());
        let is_stream = state.machine.properties().is_stream;
        if !is_stream && (state.machine.judges() || batch.has_terms()) {
            let all = 0..batch.record_count();
            facts::of(batch, base, all, state.machine.properties(), &mut known);
        }
        let step = Step {
            input: Input::Append {
                count: u64::from(batch.offset_count()),
                facts: &known,
            },
            at_hand: Some((base, batch)),
            recorded: None,
        };
        self.handle(state, step, broker)
    }

    /// One input under the lock, its effects acted upon.
    ///
    /// # Errors
    /// Storage cannot record the effects. What was decided stands: a settle that is not
    /// recorded is a redelivery after a crash.
    pub(crate) fn handle<'a>(
        self: &Arc<Self>,
        state: &mut State,
        step: impl Into<Step<'a>>,
        broker: &Broker,
    ) -> Result<Option<Lsn>, Error> {
        let step = step.into();
        self.decide(state, step.input, broker);
        let recorded = self.record(state, step.recorded.as_ref(), broker);
        self.act(state, step.at_hand, broker);
        recorded
    }

    /// The machine's part of [`QueueCell::handle`]; its effects wait in the state.
    pub(crate) fn decide(self: &Arc<Self>, state: &mut State, input: Input<'_>, broker: &Broker) {
        let gates = Gates {
            cell: self,
            targets: &state.targets,
        };
        if let Some(reading) = &mut state.reading
            && reading.take(&input, &gates)
        {
            return;
        }
        let appends = matches!(input, Input::Append { .. });
        state.grown |= appends;
        // A pull that found nothing must not wake others that then do the same.
        state.ripe |= !matches!(
            input,
            Input::Acquire { .. } | Input::Get { .. } | Input::Extend { .. }
        );
        let configures = matches!(input, Input::Configure { .. });
        let now_ms = broker.now_ms();
        if let Input::Append { count, .. } = &input {
            self.count(Count::Publish, *count, now_ms);
        }
        state
            .machine
            .handle(input, now_ms, &gates, &mut state.effects);
        if let Some(deaths) = state.machine.take_deaths() {
            self.count_deaths(&deaths, broker);
        }
        if configures {
            self.configure_reading(state, broker);
        } else if appends && let Some(reading) = &mut state.reading {
            // Readers see what is decided.
            let end = state.machine.cursor().end();
            let open = state
                .producers
                .as_ref()
                .and_then(|known| known.first_open());
            let end = open.map_or(end, |open| open.min(end));
            let durable = broker.durable_lsn();
            reading.appended(end, broker.position(), durable, &gates);
            self.note_retention(state, false, broker);
        }
    }

    /// Counts what died in the last step, whatever becomes of it.
    fn count_deaths(&self, deaths: &Deaths, broker: &Broker) {
        let counted = [
            (Count::Rejected, deaths.of(Reason::Rejected)),
            (Count::Expired, deaths.of(Reason::Expired)),
            (Count::MaxLength, deaths.of(Reason::MaxLen)),
            (Count::DeliveryLimit, deaths.of(Reason::DeliveryLimit)),
        ];
        for (count, more) in counted {
            broker.count_of(self, count, more);
        }
    }

    /// Acts upon the effects that wait in the state; they are recorded.
    pub(crate) fn act(
        self: &Arc<Self>,
        state: &mut State,
        at_hand: Option<(Offset, &Batch)>,
        broker: &Broker,
    ) {
        let storage = broker.storage();
        let durable = storage.durable();
        let tells_tries = state.machine.properties().tells_tries;
        let mut wait = false;
        let mut trimmed = false;
        let mut dying = false;
        let mut effects = std::mem::take(&mut state.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Lease {
                    key,
                    records,
                    tries,
                } => {
                    let Some(target) = state.targets.get(&key) else {
                        continue;
                    };
                    let after = self.after(&mut state.mark, records.end, durable);
                    wait |= after.is_some();
                    if let Some(traces) = broker.traces() {
                        traces.lent(self.log.id(), &records);
                    }
                    let covered = at_hand.filter(|(base, _)| *base <= records.start);
                    target.outbox.push(Item::Lease(Lease {
                        link: target.link,
                        cell: self.clone(),
                        records,
                        tries,
                        tells_tries: told_tries(tells_tries, tries),
                        tells_offsets: false,
                        after,
                        at_hand: covered.map(|(base, batch)| (base, batch.clone())),
                    }));
                }
                Effect::Settled { .. } => trimmed = true,
                Effect::Dying { .. } => dying = true,
                Effect::Tell { records } => broker.clerk().tell(self.id, records),
                Effect::Cancel { key } => {
                    if let Some(target) = state.targets.remove(&key) {
                        target.outbox.push(Item::Closed(target.link));
                    }
                }
                Effect::Mark { .. } | Effect::Returned { .. } => {}
            }
        }
        state.effects = effects;
        if dying {
            broker.clerk().bury(self.id);
        }
        if wait {
            storage.hurry();
        }
        if trimmed && state.machine.properties().keeps() {
            self.note_retention(state, true, broker);
        } else if trimmed {
            self.trim(state, broker);
        }
        if state.reading.is_some() {
            self.act_reading(state, at_hand, broker);
        }
        if std::mem::take(&mut state.ripe)
            && !state.pullers.is_empty()
            && state.machine.cursor().ready() > 0
        {
            for wait in state.pullers.drain(..) {
                wait.grown(self.id, Lsn(0));
            }
        }
        if std::mem::take(&mut state.grown) {
            self.tell_subscribers(broker);
            for wait in state.fetchers.drain(..) {
                wait.grown(self.id, storage.position());
            }
        }
        self.show(state, broker);
        self.set_alarm(state, broker);
    }

    /// Asks the clerk to look at the queue when something is due.
    pub(crate) fn set_alarm(&self, state: &mut State, broker: &Broker) {
        let idle_ms = match state.machine.properties().expires_ms {
            Some(ms) if state.link_count() == 0 => Some(state.used_ms + ms),
            _ => None,
        };
        let tend_ms = state.reading.as_ref().and_then(|reading| reading.due_ms());
        let due_ms = [state.machine.deadline_ms(), idle_ms, tend_ms];
        let Some(due_ms) = due_ms.into_iter().flatten().min() else {
            return;
        };
        if state.alarm_ms.is_none_or(|set_ms| set_ms > due_ms) {
            state.alarm_ms = Some(due_ms);
            broker.clerk().wake_at(due_ms, self.id);
        }
    }

    fn after(&self, mark: &mut Mark, end: Offset, durable: Lsn) -> Option<Lsn> {
        let marked = match self.is_recorded() {
            true => mark.before(end, durable),
            false => None,
        };
        marked.max(self.appended_with(end, durable))
    }

    /// Leases up to so many records to a link that only asks; see [`Input::Acquire`]. Each
    /// run of them has the same tries; the position is to be durable before they are handed
    /// out.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        state: &mut State,
        key: LinkKey,
        (count_max, hold): (u64, Hold),
        broker: &Broker,
    ) -> (Vec<(Range<Offset>, Tries)>, Option<Lsn>) {
        let input = Input::Acquire {
            key,
            count_max,
            hold,
        };
        self.decide(state, input, broker);
        // As with a get.
        let _ = self.record(state, None, broker);
        let mut acquired = Vec::new();
        state.effects.retain(|effect| match effect {
            Effect::Lease { records, tries, .. } => {
                acquired.push((records.clone(), *tries));
                false
            }
            _ => true,
        });
        self.act(state, None, broker);
        let storage = broker.storage();
        let durable = storage.durable();
        let end = acquired.iter().map(|(records, _)| records.end).max();
        let after = end.and_then(|end| self.after(&mut state.mark, end, durable));
        if after.is_some() {
            storage.hurry();
        }
        (acquired, after)
    }

    /// Leases one record to a link that only gets.
    pub(crate) fn get(
        self: &Arc<Self>,
        state: &mut State,
        key: LinkKey,
        broker: &Broker,
    ) -> Option<Got> {
        self.decide(state, Input::Get { key }, broker);
        // A mark that cannot be recorded is never durable; the lane's failure itself is
        // reported where it happens.
        let _ = self.record(state, None, broker);
        let leased = state
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Lease { .. }));
        let leased = leased.map(|index| state.effects.remove(index));
        self.act(state, None, broker);
        let Some(Effect::Lease { records, tries, .. }) = leased else {
            return None;
        };
        let storage = broker.storage();
        let after = self.after(&mut state.mark, records.end, storage.durable());
        if after.is_some() {
            storage.hurry();
        }
        let tells_tries = state.machine.properties().tells_tries;
        Some(Got {
            records,
            tries,
            tells_tries: told_tries(tells_tries, tries),
            after,
        })
    }

    /// Records what the effects settled and how far they handed out, as one group.
    fn record(
        &self,
        state: &mut State,
        recorded: Option<&Range<Offset>>,
        broker: &Broker,
    ) -> Result<Option<Lsn>, Error> {
        let entries = self.entries(state, recorded);
        if entries.is_empty() {
            return Ok(None);
        }
        let storage = broker.storage();
        let recorded = storage.record(&entries.borrowed(self));
        self.marked(state, &entries, &recorded, broker);
        recorded.map(Some)
    }

    /// What the effects that wait in the state have to be recorded as.
    pub(crate) fn entries(&self, state: &State, recorded: Option<&Range<Offset>>) -> Entries {
        let mut entries = Entries::default();
        if !self.is_recorded() {
            return entries;
        }
        for effect in &state.effects {
            match effect {
                Effect::Settled { records } => {
                    let known = recorded.is_some_and(|known| {
                        known.start <= records.start && records.end <= known.end
                    });
                    if !known {
                        entries.settled.push(records.clone());
                    }
                }
                Effect::Mark { next } => entries.mark = Some(*next),
                Effect::Returned {
                    records,
                    tries,
                    at_ms,
                } => {
                    let note = Note::Returned {
                        records: records.clone(),
                        tries: *tries,
                        at_ms: *at_ms,
                    };
                    note.encode(&mut entries.notes);
                }
                Effect::Lease { .. }
                | Effect::Dying { .. }
                | Effect::Tell { .. }
                | Effect::Cancel { .. } => {}
            }
        }
        entries
    }

    /// The entries were recorded, or not.
    pub(crate) fn marked(
        &self,
        state: &mut State,
        entries: &Entries,
        recorded: &Result<Lsn, Error>,
        broker: &Broker,
    ) {
        if let Some(next) = entries.mark {
            // Not recorded: nothing above the last mark is handed out before a later one is.
            let lsn = *recorded.as_ref().unwrap_or(&Lsn(u64::MAX));
            state.mark.record(next, lsn, broker.storage().durable());
        }
    }
}

/// One record got.
pub(crate) struct Got {
    pub(crate) records: Range<Offset>,
    pub(crate) tries: Tries,
    pub(crate) tells_tries: bool,
    /// What must be durable before it is handed out.
    pub(crate) after: Option<Lsn>,
}

/// What one input has to be recorded as, for one queue.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    settled: Vec<Range<Offset>>,
    mark: Option<Offset>,
    /// One after the other.
    notes: Vec<u8>,
}

impl Entries {
    pub(crate) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.mark.is_none() && self.notes.is_empty()
    }

    pub(crate) fn borrowed(&self, cell: &QueueCell) -> Vec<EntryRef<'_>> {
        let log = cell.home.id();
        let mut entries = Vec::with_capacity(3);
        if !self.settled.is_empty() {
            let ranges = &self.settled;
            entries.push(EntryRef::Settle { log, ranges });
        }
        if !self.notes.is_empty() {
            entries.push(EntryRef::Note {
                kind: QUEUE_NOTE,
                id: log.0,
                bytes: &self.notes,
            });
        }
        if let Some(next) = self.mark {
            entries.push(EntryRef::Mark { log, next });
        }
        entries
    }
}

/// Consumers are told how often a record was tried where the queue says so, or where it
/// failed: nobody who saw it fail is surprised by the header.
fn told_tries(tells_tries: bool, tries: Tries) -> bool {
    tries.failed > 0 || (tells_tries && tries.acquired > 0)
}

/// From so many on, a new one looks whether the others are still there.
const FETCHERS_LOOKED_AT: usize = 16;
