//! What a start needs, handed to storage's checkpointer: the catalog, and each recorded
//! queue's cursor beside its log, each under its own lock. Fuzzy across queues, exact for
//! each: replay applies to a queue what came after its own section.

use bongsu_record::{LogId, Offset};
use bongsu_storage::{CheckpointSource, SectionWriter};
use std::convert::Infallible;
use std::ops::Range;

use bongsu_engine::catalog::QueueId;

use crate::access::ACCESS_NOTE;
use crate::broker::{CATALOG_NOTE, WeakBroker};
use crate::groups::GROUP_NOTE;
use crate::producers::PRODUCER_NOTE;
use crate::reading::{TRACK_NOTE, encode_tracked};
use crate::transactions::TRANSACTION_NOTE;
use crate::windows::WINDOW_NOTE;

/// Answers the checkpointer as long as the broker lives.
pub(crate) struct Source {
    broker: WeakBroker,
}

impl Source {
    pub(crate) fn new(broker: WeakBroker) -> Source {
        Source { broker }
    }
}

impl CheckpointSource for Source {
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool {
        let Some(broker) = self.broker.upgrade() else {
            return true;
        };
        match broker.cell(QueueId(log.0)) {
            Some(cell) => cell.needs(records),
            None => false,
        }
    }

    fn sections(&self, out: &mut SectionWriter<'_>) {
        let Some(broker) = self.broker.upgrade() else {
            return;
        };
        // Queues first: the catalog's section must not know a queue whose log's section
        // was written before the queue existed. A queue that comes in between is in the
        // catalog's section or in the replayed notes, and its log in the replayed entries.
        let mut state = Vec::new();
        let cells = {
            let catalog = broker.catalog();
            state.extend_from_slice(&broker.storage().position().0.to_be_bytes());
            let Ok(()) = catalog.snapshot(|lines| {
                state.extend_from_slice(lines);
                Ok::<(), Infallible>(())
            });
            out.put(CATALOG_NOTE, 0, &state);
            drop(catalog);
            for (id, window) in broker.windows().all() {
                if window.durable {
                    let seen = window.seen.lock();
                    state.clear();
                    state.extend_from_slice(&broker.storage().position().0.to_be_bytes());
                    seen.encode(&mut state);
                    out.put(WINDOW_NOTE, id.0, &state);
                }
            }
            broker.all_cells()
        };
        state.clear();
        broker.access().encode(&broker, &mut state);
        out.put(ACCESS_NOTE, 0, &state);
        state.clear();
        broker.transactions().encode(&mut state);
        out.put(TRANSACTION_NOTE, 0, &state);
        let now_ms = broker.now_ms();
        for cell in broker.groups().all() {
            let locked = cell.lock();
            let mut notes = Vec::new();
            locked.machine.encode(&mut notes);
            if !notes.is_empty() {
                state.clear();
                state.extend_from_slice(&broker.storage().position().0.to_be_bytes());
                state.extend_from_slice(&cell.note(&notes));
                out.put(GROUP_NOTE, u64::from(cell.space.0), &state);
            }
        }
        for cell in cells {
            if !cell.is_recorded() {
                continue;
            }
            let mut locked = cell.lock();
            if locked.gone {
                continue;
            }
            state.clear();
            locked.machine.encode(&mut state);
            out.put_log(&cell.home, broker.storage().position(), &state);
            if let Some(producers) = &mut locked.producers {
                producers.expire(now_ms);
                state.clear();
                producers.encode(&mut state);
                out.put(PRODUCER_NOTE, cell.log.id().0, &state);
            }
            let tracked = locked.reading.as_ref().map(|reading| reading.tracked());
            if let Some(tracked) = tracked.filter(|tracked| !tracked.is_empty()) {
                let said = tracked.iter().map(|(name, next)| (&**name, *next));
                out.put(TRACK_NOTE, cell.log.id().0, &encode_tracked(said));
            }
        }
    }
}
