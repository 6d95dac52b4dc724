//! The end of a transaction: a mark in each of its partitions, the offsets that it committed,
//! and what the coordinator knows from then on, as one group of the WAL. After a crash it has
//! ended everywhere or nowhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_engine::router::SpaceId;
use bongsu_engine::transaction::Ending;
use bongsu_record::kafka::EndMark;
use bongsu_record::{Lsn, Offset};
use bongsu_storage::{Durability, EntryRef, Error, Log, Publish};
use parking_lot::MutexGuard;

use super::TRANSACTION_NOTE;
use crate::broker::Broker;
use crate::cell::{QueueCell, State};
use crate::groups::{GROUP_NOTE, GroupCell, GroupState};

impl Broker {
    /// Ends it, recording `change` with it. Partitions that are gone are passed over.
    ///
    /// # Errors
    /// Storage cannot take it; then nothing has ended.
    pub(super) fn end_transaction(
        &self,
        space: SpaceId,
        ending: &Ending,
        change: &[u8],
    ) -> Result<Lsn, Error> {
        let now_ms = self.now_ms();
        let mark = EndMark {
            producer_id: ending.producer.id,
            epoch: ending.producer.epoch,
            committed: ending.committed,
        };
        let unix_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let batch = mark.batch(unix_ms);
        if self.storage().pressure().full && !ending.partitions.is_empty() {
            // Asked before groups are told, who cannot take it back.
            return Err(Error::Full {
                what: "the disk has no room for another lane file".to_owned(),
                needed_bytes: batch.len() as u64,
            });
        }
        let groups: Vec<Arc<GroupCell>> = ending
            .groups
            .iter()
            .filter_map(|name| self.groups().find(space, name))
            .collect();
        let mut told: Vec<MutexGuard<'_, GroupState>> = Vec::new();
        let mut notes: Vec<Vec<u8>> = Vec::new();
        for cell in &groups {
            let mut state = cell.lock();
            let machine = &mut state.machine;
            let completed = machine.complete_transaction(mark.producer_id, mark.committed);
            notes.extend(completed.map(|bytes| cell.note(&bytes)));
            // Locked until it is recorded, as all that groups record.
            told.push(state);
        }
        let cells = self.cells(&ending.partitions);
        let mut locked: Vec<(&Arc<QueueCell>, MutexGuard<'_, State>)> = Vec::new();
        for cell in cells.iter() {
            let state = cell.lock();
            if !state.gone {
                locked.push((cell, state));
            }
        }
        let targets: Vec<(&Arc<Log>, Offset)> = locked
            .iter()
            .map(|(cell, state)| (&cell.log, state.machine.cursor().end()))
            .collect();
        let safest = targets
            .iter()
            .find(|(log, _)| log.durability() == Durability::Fsync);
        let along = safest.or(targets.first()).map(|(log, _)| log.id());
        let noted = |kind: u8, bytes| match along {
            // As urgent and as safe as the marks.
            Some(log) => EntryRef::Along { kind, log, bytes },
            None => EntryRef::Note { kind, id: 0, bytes },
        };
        let mut more = vec![noted(TRANSACTION_NOTE, change)];
        more.extend(notes.iter().map(|bytes| noted(GROUP_NOTE, bytes)));
        let publish = [Publish {
            targets: &targets,
            batch: &batch,
        }];
        let publishes = match targets.is_empty() {
            true => &publish[..0],
            false => &publish[..],
        };
        let lsn = self.storage().append_all(publishes, &more)?.lsn;
        let bases: Vec<Offset> = targets.iter().map(|(_, base)| *base).collect();
        for ((cell, state), base) in locked.iter_mut().zip(bases) {
            // Before readers are told that the log has grown: what is decided is known then.
            let durable_end = cell.log.bounds(self.durable_lsn()).durable_end;
            state.mark_end(&mark, base, durable_end, self);
            cell.ends_transactions.store(true, Ordering::Relaxed);
            let appended = cell.appended(state, base, &batch, self);
            self.noted(appended);
        }
        Ok(lsn)
    }
}
