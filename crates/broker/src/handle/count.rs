//! What a session did, counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_engine::session::describe::Tally;
use bongsu_engine::session::{Outcome, Settle};

use super::SessionHandle;
use crate::cell::QueueCell;
use crate::statistics::{Churn, Count, SpaceStatistics};

impl SessionHandle {
    /// Counts something that was done in the session's space, and to a queue of it.
    pub(crate) fn count(&self, cell: Option<&QueueCell>, count: Count, more: u64, now_ms: u64) {
        if let Some(statistics) = &self.statistics {
            statistics.count(self.owner as usize, count, more, now_ms);
        }
        if let Some(cell) = cell {
            cell.count(count, more, now_ms);
        }
    }

    /// Where what this session does is counted; `None` before it is in a space.
    pub(crate) fn space_statistics(&self) -> Option<&Arc<SpaceStatistics>> {
        self.statistics.as_ref()
    }

    /// Counts what a client accepts; what becomes of the rest is counted by their queues.
    pub(super) fn count_settle(&self, settle: &Settle) {
        if settle.outcome == Outcome::Accept
            && let Some(state) = self.links.get(&settle.link)
        {
            let ranges = settle.ranges.iter();
            let count = ranges.map(|range| range.end.0 - range.start.0).sum();
            self.count(Some(&state.cell), Count::Ack, count, self.broker.now_ms());
        }
    }

    /// Counts a connection that ends, with what it had open.
    pub(super) fn count_end(&self) {
        let churn = &self.broker.statistics().churn;
        if self.connection.is_listed() {
            Churn::one(&churn.connections_closed);
        }
        let channels = u64::from(self.connection.channel_count());
        churn.channels_closed.fetch_add(channels, Ordering::Relaxed);
    }

    /// Counts what a session told its client.
    pub fn tally(&self, tally: &Tally) {
        let now_ms = self.broker.now_ms();
        self.count(None, Count::Confirm, tally.confirmed, now_ms);
        self.count(None, Count::ReturnUnroutable, tally.returned, now_ms);
        self.count(None, Count::DropUnroutable, tally.dropped, now_ms);
    }
}
