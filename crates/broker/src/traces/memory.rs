//! Which records of which logs are traced, from when they are appended until they are settled
//! or there are too many: then the oldest are forgotten.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bongsu_record::{LogId, Offset};

/// One traced record.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) trace: [u8; 16],
    pub(super) state: Option<Arc<str>>,
    /// The span of its publish.
    pub(super) published: [u8; 8],
    /// When it was lent last: Unix nanoseconds.
    pub(super) lent_ns: Option<u64>,
    /// The last deliveries: to whom, which span, when it ended. At most [`DELIVERIES_MAX`].
    pub(super) delivered: Vec<(u64, [u8; 8], u64)>,
}

impl Remembered {
    pub(super) fn delivered_to(&mut self, reader: u64, span: [u8; 8], at_ns: u64) {
        self.delivered.retain(|(other, _, _)| *other != reader);
        if self.delivered.len() >= DELIVERIES_MAX {
            self.delivered.remove(0);
        }
        self.delivered.push((reader, span, at_ns));
    }

    /// The last delivery to the reader, else to anybody.
    pub(super) fn delivery(&self, reader: u64) -> Option<([u8; 8], u64)> {
        let mut all = self.delivered.iter().rev();
        let own = all.clone().find(|(other, _, _)| *other == reader);
        own.or_else(|| all.next())
            .map(|(_, span, at_ns)| (*span, *at_ns))
    }
}

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Memory {
    logs: HashMap<LogId, BTreeMap<Offset, Remembered>>,
    count: usize,
    /// In the order they came; some are gone.
    order: VecDeque<(LogId, Offset)>,
}

impl Memory {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Remembers one; returns how many were forgotten for it.
    pub(super) fn put(&mut self, log: LogId, offset: Offset, record: Remembered) -> u64 {
        let mut forgotten = 0;
        while self.count >= RECORDS_MAX
            && let Some((log, offset)) = self.order.pop_front()
        {
            forgotten += u64::from(self.take(log, offset));
        }
        if self.order.len() >= 2 * RECORDS_MAX {
            let logs = &self.logs;
            self.order
                .retain(|(log, offset)| logs.get(log).is_some_and(|of| of.contains_key(offset)));
        }
        let of_log = self.logs.entry(log).or_default();
        if of_log.insert(offset, record).is_none() {
            self.count += 1;
            self.order.push_back((log, offset));
        }
        forgotten
    }

    /// Forgets one; whether it was there.
    pub(super) fn take(&mut self, log: LogId, offset: Offset) -> bool {
        let Some(of_log) = self.logs.get_mut(&log) else {
            return false;
        };
        let there = of_log.remove(&offset).is_some();
        if of_log.is_empty() {
            self.logs.remove(&log);
        }
        self.count -= usize::from(there);
        there
    }

    /// Those of a range.
    pub(super) fn of(
        &mut self,
        log: LogId,
        records: &Range<Offset>,
    ) -> impl Iterator<Item = (Offset, &mut Remembered)> {
        let records = match records.start < records.end {
            true => records.clone(),
            false => Offset(0)..Offset(0),
        };
        let of_log = self.logs.get_mut(&log).into_iter();
        of_log
            .flat_map(move |of_log| of_log.range_mut(records.clone()))
            .map(|(offset, record)| (*offset, record))
    }
}

/// A few hundred bytes each.
pub(super) const RECORDS_MAX: usize = 16_384;
/// Readers of one record whose deliveries are told apart.
const DELIVERIES_MAX: usize = 4;
