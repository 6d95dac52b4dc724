//! Queues that consume the records of a stream: cells without a log of their own.
//!
//! A stream tells the clerk that it grew, and the clerk tells the stream's subscriptions,
//! holding one lock at a time: whoever appends holds locks of other queues, and taking those
//! of subscriptions on top would not be in the order of their ids.
//!
//! A subscription is told of records before they are durable; what it hands out waits until
//! they are. Unless it asked for more, it is not told of what an open transaction may still
//! take back; what was taken back, and the marks of transactions, are settled by whoever
//! reads them to hand them out ([`QueueCell::hides`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_engine::Refused;
use bongsu_engine::catalog::arguments::{self, Place as Of, SUBSCRIBE, SUBSCRIBE_FROM};
use bongsu_engine::catalog::{Input, Owner, QueueId, SpaceId};
use bongsu_engine::queue::Input as QueueInput;
use bongsu_engine::queue::Properties;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::session::DeclareQueue;
use bongsu_engine::stream::{Place, StreamOffset};
use bongsu_record::{Batch, Lsn, Offset};

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::handle::{SessionHandle, not_found, refused};

impl QueueCell {
    /// The stream will tell this subscription what becomes of it.
    pub(crate) fn is_told_of_source(self: &Arc<Self>) -> Option<&Arc<QueueCell>> {
        let source = self.source.as_ref()?;
        let mut subscribers = source.subscribers.write();
        let place = subscribers.partition_point(|(id, _)| *id < self.id);
        subscribers.insert(place, (self.id, Arc::downgrade(self)));
        Some(source)
    }

    /// The stream has grown, or begins elsewhere.
    pub(crate) fn tell_subscribers(&self, broker: &Broker) {
        if !self.subscribers.read().is_empty() {
            broker.clerk().advance(self.id);
        }
    }

    /// Behind the last record that a subscription with these properties may hand out.
    pub(crate) fn readable_end(&self, properties: &Properties) -> Offset {
        let end = self.log.end();
        match self.lock().first_open().filter(|_| !properties.uncommitted) {
            Some(open) => open.min(end),
            None => end,
        }
    }

    /// With what records up to `end` of another's log are durable, and the ends of their
    /// transactions, if they may not be.
    pub(crate) fn appended_with(&self, end: Offset, durable: Lsn) -> Option<Lsn> {
        let source = self.source.as_ref()?;
        let bounds = self.log.bounds(durable);
        let ends = source.ends_transactions.load(Ordering::Relaxed);
        // The mark may lie beyond `end`.
        bounds.awaits.filter(|_| ends || end > bounds.durable_end)
    }

    /// Whether nobody who consumes from here is to see this batch: it marks the end of a
    /// transaction, or was taken back by one.
    pub(crate) fn hides(&self, base: Offset, batch: &Batch) -> bool {
        if !batch.is_transactional() {
            return batch.is_control() && self.source.is_some();
        }
        let Some(source) = &self.source else {
            return self.lock().took_back(base, batch);
        };
        let shown = !batch.is_control() && self.lock().machine.properties().uncommitted;
        !shown && source.lock().took_back(base, batch)
    }
}

impl Broker {
    /// Tells a stream's subscriptions where it ends and begins.
    pub(crate) fn advance(&self, source: &Arc<QueueCell>) {
        let subscribers = source.subscribers.read().clone();
        for (_, cell) in subscribers {
            let Some(cell) = cell.upgrade() else {
                continue;
            };
            let properties = cell.lock().machine.properties().clone();
            let end = source.readable_end(&properties);
            let start = source.log.start();
            let mut state = cell.lock();
            if state.gone {
                continue;
            }
            if start > state.machine.cursor().floor() {
                let input = QueueInput::Trimmed { start };
                let trimmed = cell.handle(&mut state, input, self);
                self.noted(trimmed);
            }
            let known = state.machine.cursor().end();
            if end > known {
                let input = QueueInput::Append {
                    count: end.0 - known.0,
                    facts: &[],
                };
                let told = cell.handle(&mut state, input, self);
                self.noted(told);
            }
        }
    }

    /// Where in a stream someone begins: looked up outside of all locks, for the log may be
    /// read for it.
    pub(crate) fn start_in(&self, cell: &QueueCell, from: StreamOffset) -> Result<Offset, Refused> {
        let now_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        let start = match from.place(cell.log.end(), now_ms) {
            Place::At(offset) => offset,
            Place::Time(unix_ms) => cell
                .log
                .offset_at_time(unix_ms)
                .map_err(|error| refused(&error))?,
        };
        Ok(start.max(cell.log.start()))
    }
}

impl SessionHandle {
    /// What the catalog is asked for a declaration with [`SUBSCRIBE`].
    pub(crate) fn subscription(
        &self,
        space: SpaceId,
        owner: Owner,
        declare: DeclareQueue,
    ) -> Result<Input, Refused> {
        let token = self.broker.token();
        self.may_declare_queue(space, &declare, token)?;
        arguments::check(Of::Queue, &declare.arguments)?;
        let name = declare.arguments.get(SUBSCRIBE).and_then(|v| v.as_text());
        let name = name.unwrap_or_default();
        self.allowed(Permission::Read, Kind::Queue, name)?;
        let from = declare.arguments.get(SUBSCRIBE_FROM);
        let from = StreamOffset::parse(from).map_err(|_| Refused::InvalidArgument {
            argument: SUBSCRIBE_FROM.to_owned(),
            value: format!("{from:?}"),
            accepted: bongsu_engine::stream::offset::ACCEPTED,
        })?;
        let found: Option<QueueId> = self.broker.catalog().subscribable(space, name);
        let source = found.and_then(|id| self.broker.cell(id));
        let start = match source {
            Some(source) => self.broker.start_in(&source, from)?,
            None => return Err(not_found(name)),
        };
        Ok(Input::Subscribe {
            space,
            owner,
            declare,
            token,
            start,
        })
    }
}

/// Whether a queue is declared that consumes another's records.
pub(crate) fn is_subscription(declare: &DeclareQueue) -> bool {
    !declare.passive && declare.arguments.contains_key(SUBSCRIBE)
}
