//! Dead records in numbers: which queues gave up what is here, and why.

use std::collections::BTreeMap;

use bongsu_engine::Refused;
use bongsu_engine::refused::Permission;
use bongsu_engine::stream::StreamOffset;
use bongsu_record::Offset;

use super::Operator;
use super::peek::{Budget, Shown, Walk, deaths_of};

/// Deaths in one queue for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Died {
    /// Records.
    pub count: u64,
    /// The earliest death: Unix seconds.
    pub oldest_s: u64,
    /// The latest.
    pub newest_s: u64,
}

/// What a look went through.
#[derive(Clone, Debug, Default)]
pub struct DeadSummary {
    /// By the queue that gave them up last, and why.
    pub by: BTreeMap<(String, String), Died>,
    /// Records that never died, or whose causes were too many to be kept apart.
    pub others: u64,
    /// Records that were looked at.
    pub looked_at: u64,
    /// Where to go on; `None`: there is no more.
    pub next: Option<Offset>,
}

impl Operator {
    /// Counts what died, of what is in a queue and somebody is owed.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`], [`Refused::Storage`].
    pub async fn dead_summary(
        &self,
        space: &str,
        name: &str,
        (from, until): (StreamOffset, Option<StreamOffset>),
    ) -> Result<DeadSummary, Refused> {
        let found = self.find_queue_to(Permission::Read, space, name)?;
        let (cell, broker) = (found.cell, self.broker().clone());
        let count = move || {
            let now_ms = i64::try_from(broker.now_ms()).unwrap_or(i64::MAX);
            let mut span = cell.span(from, until, 1, now_ms)?;
            {
                let state = cell.lock();
                if !state.machine.properties().is_stream {
                    // What is settled and kept is nobody's any more.
                    span.start = span.start.max(state.machine.cursor().floor()).min(span.end);
                }
            }
            let mut seen = DeadSummary::default();
            let mut budget = Budget::new();
            seen.next = cell.walk(span, None, &mut budget, &mut |shown| {
                seen.take(&shown);
                Walk::On
            })?;
            seen.looked_at = budget.records;
            Ok(seen)
        };
        self.blocking(count).await?
    }
}

impl DeadSummary {
    fn take(&mut self, shown: &Shown<'_>) {
        let headers = match shown {
            Shown::Message(message) => message.headers().unwrap_or_default(),
            Shown::Unreadable(..) => Default::default(),
        };
        let Some(last) = deaths_of(&headers).into_iter().next() else {
            self.others += 1;
            return;
        };
        let cause = (last.queue, last.reason);
        // Clients can write an x-death too, with any names.
        if self.by.len() >= CAUSES_MAX && !self.by.contains_key(&cause) {
            self.others += 1;
            return;
        }
        let died = self.by.entry(cause).or_insert(Died {
            oldest_s: u64::MAX,
            ..Died::default()
        });
        died.count += 1;
        died.oldest_s = died.oldest_s.min(last.time_s);
        died.newest_s = died.newest_s.max(last.time_s);
    }
}

/// Pairs of queue and reason that are kept apart.
const CAUSES_MAX: usize = 1_000;
