//! One queue: the pure machine, its log and its links, behind one lock.
//!
//! The lock is held for decisions only. Record bytes are read outside it, and effects on
//! sessions are pushes into their outboxes.
//!
//! Locks, in the order they may be taken: catalog, queues (ascending id), then whatever
//! storage and the outboxes lock inside one call of theirs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::catalog::QueueId;
use bongsu_engine::queue::{Effect, Input, LinkKey, Queue};
use bongsu_record::{Batch, Lsn, Offset};
use bongsu_storage::{Durability, EntryRef, Error, Log, Storage};
use parking_lot::{Mutex, MutexGuard};

use crate::outbox::{Gates, Item, Lease, Target};

/// One queue. See the module's comment.
pub struct QueueCell {
    /// Its id; also its log's.
    pub id: QueueId,
    pub(crate) log: Arc<Log>,
    /// The catalog wants to know when its last consumer goes.
    pub(crate) auto_delete: bool,
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Queue,
    pub(crate) targets: BTreeMap<LinkKey, Arc<Target>>,
    /// Deleted: whoever still holds the cell finds nothing in it.
    pub(crate) gone: bool,
    effects: Vec<Effect>,
    mark: Mark,
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
        log: Arc<Log>,
        auto_delete: bool,
        machine: Queue,
    ) -> Arc<QueueCell> {
        let marked = machine.cursor().marked();
        let mark = Mark {
            known: marked,
            next: marked,
            lsn: Lsn(0),
        };
        Arc::new(QueueCell {
            id,
            log,
            auto_delete,
            state: Mutex::new(State {
                machine,
                targets: BTreeMap::new(),
                gone: false,
                effects: Vec::new(),
                mark,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether its records survive a restart.
    pub(crate) fn is_recorded(&self) -> bool {
        self.log.durability() != Durability::Memory
    }

    /// One input under the lock, its effects acted upon. `at_hand`: a batch just appended,
    /// with its base.
    ///
    /// # Errors
    /// Storage cannot record the effects. What was decided stands: a settle that is not
    /// recorded is a redelivery after a crash.
    pub(crate) fn handle(
        self: &Arc<Self>,
        state: &mut State,
        input: Input<'_>,
        at_hand: Option<(Offset, &Batch)>,
        storage: &Storage,
    ) -> Result<Option<Lsn>, Error> {
        let gates = Gates {
            cell: self,
            targets: &state.targets,
        };
        state.machine.handle(input, &gates, &mut state.effects);
        let recorded = self.record(state, storage);
        let durable = storage.durable();
        let mut wait = false;
        let mut trimmed = false;
        let mut effects = std::mem::take(&mut state.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Lease {
                    key,
                    records,
                    attempt,
                } => {
                    let Some(target) = state.targets.get(&key) else {
                        continue;
                    };
                    let after = self.after(&mut state.mark, records.end, durable);
                    wait |= after.is_some();
                    let covered = at_hand.filter(|(base, _)| *base <= records.start);
                    target.outbox.push(Item::Lease(Lease {
                        link: target.link,
                        cell: self.clone(),
                        records,
                        redelivered: attempt > 1,
                        after,
                        at_hand: covered.map(|(base, batch)| (base, batch.clone())),
                    }));
                }
                Effect::Settled { .. } => trimmed = true,
                Effect::Mark { .. } => {}
            }
        }
        state.effects = effects;
        if wait {
            storage.hurry();
        }
        if trimmed {
            self.log.trim(state.machine.cursor().floor());
        }
        recorded
    }

    fn after(&self, mark: &mut Mark, end: Offset, durable: Lsn) -> Option<Lsn> {
        match self.is_recorded() {
            true => mark.before(end, durable),
            false => None,
        }
    }

    /// Leases one record to a link that only gets.
    pub(crate) fn get(
        self: &Arc<Self>,
        state: &mut State,
        key: LinkKey,
        storage: &Storage,
    ) -> Option<(Range<Offset>, u32, Option<Lsn>)> {
        let gates = Gates {
            cell: self,
            targets: &state.targets,
        };
        let input = Input::Get { key };
        state.machine.handle(input, &gates, &mut state.effects);
        // A mark that cannot be recorded is never durable; the lane's failure itself is
        // reported where it happens.
        let _ = self.record(state, storage);
        let leased = state.effects.drain(..).find_map(|effect| match effect {
            Effect::Lease {
                records, attempt, ..
            } => Some((records, attempt)),
            _ => None,
        });
        let (records, attempt) = leased?;
        let after = self.after(&mut state.mark, records.end, storage.durable());
        if after.is_some() {
            storage.hurry();
        }
        Some((records, attempt, after))
    }

    /// Records what the effects settled and how far they handed out, as one group.
    fn record(&self, state: &mut State, storage: &Storage) -> Result<Option<Lsn>, Error> {
        if !self.is_recorded() {
            return Ok(None);
        }
        let log = self.log.id();
        let mut settled: Vec<Range<Offset>> = Vec::new();
        let mut mark = None;
        for effect in &state.effects {
            match effect {
                Effect::Settled { records } => settled.push(records.clone()),
                Effect::Mark { next } => mark = Some(*next),
                Effect::Lease { .. } => {}
            }
        }
        let settle = EntryRef::Settle {
            log,
            ranges: &settled,
        };
        let recorded = match (settled.is_empty(), mark) {
            (true, None) => return Ok(None),
            (false, None) => storage.record(&[settle]),
            (true, Some(next)) => storage.record(&[EntryRef::Mark { log, next }]),
            (false, Some(next)) => storage.record(&[settle, EntryRef::Mark { log, next }]),
        };
        if let Some(next) = mark {
            // Not recorded: nothing above the last mark is handed out before a later one is.
            let lsn = *recorded.as_ref().unwrap_or(&Lsn(u64::MAX));
            state.mark.record(next, lsn, storage.durable());
        }
        recorded.map(Some)
    }
}
