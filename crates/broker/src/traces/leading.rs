//! Spans of deliveries and settles: of records that [`memory`](super::memory) knows.
//!
//! A delivery follows the publish, a settle the delivery to whoever settles; so does one over
//! another protocol than the publisher's.

use std::ops::Range;
use std::sync::atomic::Ordering;

use bongsu_engine::session::Outcome;
use bongsu_record::{LogId, Offset};

use super::context::Context;
use super::memory::Memory;
use super::span::{Kind, Span};
use super::{Traces, unix_ns};
use crate::cell::QueueCell;
use crate::registry::Connection;

/// Who is delivered to, or settles.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reader<'a> {
    /// Its link's number; 0: it has none.
    pub(crate) key: u64,
    pub(crate) connection: Option<&'a Connection>,
    /// Of the group that it is in.
    pub(crate) group: Option<&'a str>,
    /// Of a topic.
    pub(crate) partition: Option<i32>,
}

impl Reader<'_> {
    fn describe(&self, span: &mut Span, operation: &'static str, cell: &QueueCell, at: Offset) {
        // Of a subscription: what it reads.
        let name: &str = cell.source.as_ref().map_or(&cell.name, |from| &from.name);
        let partition = self.partition.map(|partition| partition.to_string());
        let topic = match &partition {
            Some(partition) => name
                .strip_suffix(partition.as_str())
                .and_then(|name| name.strip_suffix('/'))
                .unwrap_or(name),
            None => name,
        };
        span.does(operation, topic);
        if let Some(partition) = partition {
            span.text("messaging.destination.partition.id", partition);
        }
        span.number("bongsu.offset", at.0);
        if cell.source.is_some() {
            span.text("messaging.destination.subscription.name", &*cell.name);
        }
        if let Some(group) = self.group {
            span.text("messaging.consumer.group.name", group);
        }
        if let Some(connection) = self.connection {
            span.asked_by(connection);
        }
    }
}

impl Traces {
    /// Whether any record is followed at all.
    fn remembers(&self) -> bool {
        self.remembered.load(Ordering::Relaxed) > 0
    }

    pub(super) fn counted(&self, memory: &Memory, forgotten: u64) {
        let count = memory.count() as u64;
        self.remembered.store(count, Ordering::Relaxed);
        let counts = &self.counts.forgotten;
        counts.fetch_add(forgotten, Ordering::Relaxed);
    }

    /// Records were lent.
    pub(crate) fn lent(&self, log: LogId, records: &Range<Offset>) {
        if !self.remembers() {
            return;
        }
        let now_ns = unix_ns();
        for (_, record) in self.memory.lock().of(log, records) {
            record.lent_ns = Some(now_ns);
        }
    }

    /// Records were handed out. `since_ns`: since when, where they were not lent before; Unix
    /// nanoseconds.
    pub(crate) fn delivered(
        &self,
        cell: &QueueCell,
        records: &Range<Offset>,
        reader: Reader<'_>,
        (since_ns, redelivered): (Option<u64>, bool),
    ) {
        if !self.remembers() {
            return;
        }
        let end_ns = unix_ns();
        let mut spans = Vec::new();
        for (offset, record) in self.memory.lock().of(cell.log.id(), records) {
            let context = Context {
                trace: record.trace,
                parent: Some(record.published),
                state: record.state.clone(),
            };
            let mut span = self.begin(context, Kind::Server);
            span.start_ns = since_ns.or(record.lent_ns).unwrap_or(end_ns).min(end_ns);
            span.end_ns = end_ns;
            reader.describe(&mut span, "deliver", cell, offset);
            span.flag("bongsu.redelivered", redelivered);
            record.delivered_to(reader.key, span.id, end_ns);
            spans.push(span);
        }
        for span in spans {
            self.send(span);
        }
    }

    /// Leases ended, or a group has passed the records. `stays`: others may still be delivered
    /// them.
    pub(crate) fn settled(
        &self,
        cell: &QueueCell,
        records: &[Range<Offset>],
        reader: Reader<'_>,
        outcome: Option<Outcome>,
        (since_ns, stays): (u64, bool),
    ) {
        if !self.remembers() {
            return;
        }
        let log = cell.log.id();
        let mut ended = Vec::new();
        let mut spans = Vec::new();
        let mut memory = self.memory.lock();
        for records in records {
            for (offset, record) in memory.of(log, records) {
                // What nobody was delivered is put aside, not settled.
                let Some((delivery, delivered_ns)) = record.delivery(reader.key) else {
                    continue;
                };
                let context = Context {
                    trace: record.trace,
                    parent: Some(delivery),
                    state: record.state.clone(),
                };
                let mut span = self.begin(context, Kind::Server);
                span.start_ns = since_ns.max(delivered_ns);
                span.end_ns = span.end_ns.max(span.start_ns);
                reader.describe(&mut span, "settle", cell, offset);
                span.text("bongsu.outcome", word(outcome));
                let held_ms = span.start_ns.saturating_sub(delivered_ns) / 1_000_000;
                span.number("bongsu.held_ms", held_ms);
                spans.push(span);
                if !stays && matches!(outcome, Some(Outcome::Accept | Outcome::Reject)) {
                    ended.push(offset);
                }
            }
        }
        for offset in ended {
            memory.take(log, offset);
        }
        self.counted(&memory, 0);
        drop(memory);
        for span in spans {
            self.send(span);
        }
    }
}

/// Unix nanoseconds, for who has to say since when.
pub(crate) fn now_ns() -> u64 {
    unix_ns()
}

fn word(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Accept) => "accept",
        Some(Outcome::Release) => "release",
        Some(Outcome::Fail) => "fail",
        Some(Outcome::Reject) => "reject",
        None => "extend",
    }
}
