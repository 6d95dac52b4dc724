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
        Arc::new(QueueCell {
            id,
            log,
            auto_delete,
            state: Mutex::new(State {
                machine,
                targets: BTreeMap::new(),
                gone: false,
                effects: Vec::new(),
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
        let mut settled: Vec<Range<Offset>> = Vec::new();
        let mut mark = None;
        for effect in state.effects.drain(..) {
            match effect {
                Effect::Lease {
                    key,
                    records,
                    attempt,
                } => {
                    let Some(target) = state.targets.get(&key) else {
                        continue;
                    };
                    let covered = at_hand.filter(|(base, _)| *base <= records.start);
                    target.outbox.push(Item::Lease(Lease {
                        link: target.link,
                        cell: self.clone(),
                        records,
                        redelivered: attempt > 1,
                        at_hand: covered.map(|(base, batch)| (base, batch.clone())),
                    }));
                }
                Effect::Settled { records } => settled.push(records),
                Effect::Mark { next } => mark = Some(next),
            }
        }
        let recorded = self.record(&settled, mark, storage);
        if !settled.is_empty() {
            self.log.trim(state.machine.cursor().floor());
        }
        recorded
    }

    /// Leases one record to a link that only gets.
    pub(crate) fn get(
        self: &Arc<Self>,
        state: &mut State,
        key: LinkKey,
        storage: &Storage,
    ) -> Option<(Range<Offset>, u32)> {
        let gates = Gates {
            cell: self,
            targets: &state.targets,
        };
        let input = Input::Get { key };
        state.machine.handle(input, &gates, &mut state.effects);
        let mut leased = None;
        let mut mark = None;
        for effect in state.effects.drain(..) {
            match effect {
                Effect::Lease {
                    records, attempt, ..
                } => leased = Some((records, attempt)),
                Effect::Mark { next } => mark = Some(next),
                Effect::Settled { .. } => {}
            }
        }
        // A mark that cannot be recorded flags fewer records after a crash; the lane's
        // failure itself is reported where it happens.
        let _ = self.record(&[], mark, storage);
        leased
    }

    fn record(
        &self,
        settled: &[Range<Offset>],
        mark: Option<Offset>,
        storage: &Storage,
    ) -> Result<Option<Lsn>, Error> {
        if !self.is_recorded() {
            return Ok(None);
        }
        let log = self.log.id();
        let settle = EntryRef::Settle {
            log,
            ranges: settled,
        };
        let entries = match (settled.is_empty(), mark) {
            (true, None) => return Ok(None),
            (false, None) => storage.record(&[settle]),
            (true, Some(next)) => storage.record(&[EntryRef::Mark { log, next }]),
            (false, Some(next)) => storage.record(&[settle, EntryRef::Mark { log, next }]),
        };
        entries.map(Some)
    }
}
