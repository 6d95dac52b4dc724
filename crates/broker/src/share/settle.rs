//! What became of records that a member held.
//!
//! Of one partition all is done or nothing: the member must hold every record it speaks of.
//! What the stream has dropped meanwhile is passed over, as nobody is owed it.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::queue::{Input, LinkKey};
use bongsu_engine::session::Outcome;
use bongsu_engine::share::Refused;
use bongsu_engine::share::call::{Fate, PartKey, PartSettles};
use bongsu_record::{Lsn, Offset};

use super::Found;
use crate::cell::{QueueCell, State};
use crate::handle::SessionHandle;
use crate::statistics::Count;
use crate::traces::leading::{self, Reader};

/// What became of each partition's.
pub(super) type Settled = Vec<(PartKey, Result<(), Refused>)>;

impl SessionHandle {
    /// Settles; the position is that with which all of it is durable.
    pub(super) fn settle_all(
        &mut self,
        found: &Found,
        settles: &[PartSettles],
    ) -> (Settled, Option<Lsn>) {
        let mut wait = None;
        let mut parts = Vec::with_capacity(settles.len());
        for part in settles {
            let done = self.settle_part(found, part, &mut wait);
            parts.push((part.key.clone(), done));
        }
        if wait.is_some() {
            self.broker.storage().hurry();
        }
        (parts, wait)
    }

    fn settle_part(
        &mut self,
        found: &Found,
        part: &PartSettles,
        wait: &mut Option<Lsn>,
    ) -> Result<(), Refused> {
        let settles = part.settles.as_ref().map_err(|refused| *refused)?;
        let cell = self.share_cell(found, &part.key, false)?;
        let key = found.session.lock().key;
        let mut state = cell.lock();
        let start = match &cell.source {
            Some(source) => source.log.start(),
            None => Offset(0),
        };
        let settles: Vec<(Range<Offset>, Fate)> = settles
            .iter()
            .map(|(records, fate)| (records.start.max(start)..records.end, *fate))
            .filter(|(records, _)| records.start < records.end)
            .collect();
        let cursor = state.machine.cursor();
        if !settles
            .iter()
            .all(|(records, _)| cursor.holds(key, records))
        {
            return Err(Refused::NotHeld);
        }
        // One input for neighbours with one fate: mostly all of them.
        for same in settles.chunk_by(|(_, one), (_, other)| outcome(*one) == outcome(*other)) {
            let ranges: Vec<Range<Offset>> = same.iter().map(|(r, _)| r.clone()).collect();
            let lock_ms = found.config.lock_ms;
            let done = self.settle_ranges(&cell, &mut state, key, &ranges, same[0].1, lock_ms)?;
            let accepted = same.iter().filter(|(_, fate)| *fate == Fate::Accepted);
            let accepted = accepted.map(|(records, _)| records.end.0 - records.start.0);
            self.broker.count_of(&cell, Count::Ack, accepted.sum());
            if let Some(traces) = self.broker.traces() {
                let reader = Reader {
                    key: key.0,
                    connection: Some(&self.connection),
                    group: Some(&found.member.group),
                    partition: Some(part.key.partition),
                };
                let since = (leading::now_ns(), cell.source.is_some());
                traces.settled(&cell, &ranges, reader, outcome(same[0].1), since);
            }
            *wait = (*wait).max(done);
        }
        Ok(())
    }

    fn settle_ranges(
        &self,
        cell: &Arc<QueueCell>,
        state: &mut State,
        key: LinkKey,
        ranges: &[Range<Offset>],
        fate: Fate,
        lock_ms: u64,
    ) -> Result<Option<Lsn>, Refused> {
        let input = match outcome(fate) {
            Some(outcome) => Input::Settle {
                key,
                ranges,
                outcome,
            },
            None => Input::Extend {
                key,
                ranges,
                lock_ms,
            },
        };
        cell.handle(state, input, &self.broker).map_err(|error| {
            self.broker.report(&error);
            Refused::Storage
        })
    }
}

/// How a lease ends; `None`: it goes on.
fn outcome(fate: Fate) -> Option<Outcome> {
    match fate {
        Fate::Gap | Fate::Accepted => Some(Outcome::Accept),
        Fate::Released => Some(Outcome::Release),
        Fate::Rejected => Some(Outcome::Reject),
        Fate::Renewed => None,
    }
}
