//! A session's readers: where they begin and end, and what they do not want.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bongsu_engine::Refused;
use bongsu_engine::queue::Input;
use bongsu_engine::refused::StreamOperation;
use bongsu_engine::session::{Consume, Delivery, LinkId, Reply};
use bongsu_engine::stream::filter::FILTER_VALUE;
use bongsu_engine::stream::offset;
use bongsu_engine::stream::readers::Reader;
use bongsu_engine::stream::{Filter, Place, StreamOffset};
use bongsu_record::message::{Message, Messages};
use bongsu_record::{Arguments, Offset, Value};

use super::{Executed, LinkState, Reads, SessionHandle, not_found, refused};
use crate::cell::{QueueCell, State};
use crate::outbox::Target;

impl SessionHandle {
    pub(super) fn read(
        &mut self,
        cell: &Arc<QueueCell>,
        consume: &Consume,
    ) -> Result<Executed, Refused> {
        let is_stream = {
            let state = cell.lock();
            if consume.auto_settle {
                cell.is_no_stream(&state, StreamOperation::AutoSettle)?;
            }
            if state.reading.is_none() {
                let argument = STREAM_OFFSET.to_owned();
                return Err(Refused::OnlyForReaders { argument });
            }
            state.machine.properties().is_stream
        };
        if is_stream && consume.credit == 0 {
            let queue = consume.queue.clone();
            return Err(Refused::NoCredit { queue });
        }
        let arguments = &consume.arguments;
        // Times are looked up outside the queue's lock: the log may be read for them.
        let start = self.offset_of(cell, arguments, STREAM_OFFSET)?;
        let until = match arguments.contains_key(STREAM_UNTIL) {
            true => Some(self.offset_of(cell, arguments, STREAM_UNTIL)?),
            false => None,
        };
        let pool = consume
            .pool
            .map(|pool| Arc::clone(self.pools.entry(pool).or_default()));
        let key = self.broker.next_link_key();
        let consumer = self.consumer(cell, key, consume, true);
        let target = Arc::new(Target {
            outbox: self.outbox.clone(),
            link: consume.link,
            pool,
            pooled: AtomicU64::new(0),
            consumer: Some(consumer.clone()),
        });
        let reader = Reader {
            start,
            until,
            credit: consume.credit,
            // A name that was made up is not used again.
            tracked: arguments.get(TRACKING) == Some(&Value::Bool(true))
                && !consume.name.is_empty(),
        };
        self.links.insert(
            consume.link,
            LinkState {
                cell: cell.clone(),
                key,
                target: target.clone(),
                auto_settle: consume.auto_settle,
                consumes: true,
                reads: Some(Reads {
                    filter: Filter::of(arguments).map(Arc::new),
                }),
            },
        );
        let mut state = cell.lock();
        if state.gone {
            self.links.remove(&consume.link);
            return Err(not_found(&consume.queue));
        }
        state.targets.insert(key, target);
        // What it is handed from here on reaches the client behind the reply.
        cell.read(&mut state, key, reader, &consume.name, &self.broker);
        drop(state);
        let registry = self.broker.registry();
        registry.consumes(&self.connection, consumer);
        Ok(Executed::Now(Reply::Done))
    }

    fn offset_of(
        &self,
        cell: &QueueCell,
        arguments: &Arguments,
        name: &'static str,
    ) -> Result<Offset, Refused> {
        let value = arguments.get(name);
        let place = StreamOffset::parse(value).map_err(|_| Refused::InvalidArgument {
            argument: name.to_owned(),
            value: format!("{value:?}"),
            accepted: offset::ACCEPTED,
        })?;
        let now_ms = i64::try_from(self.broker.now_ms()).unwrap_or(i64::MAX);
        match place.place(cell.log.end(), now_ms) {
            Place::At(offset) => Ok(offset),
            Place::Time(unix_ms) => cell
                .log
                .offset_at_time(unix_ms)
                .map_err(|error| refused(&error)),
        }
    }

    /// The broker closed a link. One that reads is still with its queue.
    pub(super) fn closed(&mut self, link: LinkId) {
        let Some(state) = self.links.remove(&link) else {
            return;
        };
        if state.reads.is_none() {
            return;
        }
        let cell = state.cell;
        let mut locked = cell.lock();
        locked.targets.remove(&state.key);
        locked.used_ms = self.broker.now_ms();
        let detach = Input::Detach {
            key: state.key,
            outcome: None,
        };
        let detached = cell.handle(&mut locked, detach, &self.broker);
        let gone = locked.gone;
        drop(locked);
        self.broker.noted(detached);
        let refused = state.target.ended(u64::MAX);
        self.broker.resume(refused);
        if !gone {
            self.broker.link_closed(&cell);
        }
    }
}

impl QueueCell {
    /// Whether who consumes with these arguments reads.
    pub(super) fn is_read(&self, arguments: &Arguments) -> bool {
        arguments.contains_key(STREAM_OFFSET) || self.lock().machine.properties().is_stream
    }

    pub(super) fn is_no_stream(
        &self,
        state: &State,
        operation: StreamOperation,
    ) -> Result<(), Refused> {
        match state.machine.properties().is_stream {
            true => Err(Refused::NotWithStreams {
                queue: self.name.to_string(),
                operation,
            }),
            false => Ok(()),
        }
    }
}

/// The records that the filter wants, and the others; each in runs, in order.
pub(super) fn sifted(
    filter: &Filter,
    delivery: &Delivery,
) -> (Vec<Range<Offset>>, Vec<Range<Offset>>) {
    let first = (delivery.records.start.0 - delivery.base.0) as u32;
    let end = (delivery.records.end.0 - delivery.base.0) as u32;
    let mut wanted = Vec::new();
    let mut unwanted = Vec::new();
    let records = delivery.batch.native_records(first..end);
    for (index, record) in (u64::from(first)..).zip(records) {
        let runs = match wants(filter, &Message::native(record, Offset(0), 0)) {
            true => &mut wanted,
            false => &mut unwanted,
        };
        push(runs, delivery.base.plus(index));
    }
    (wanted, unwanted)
}

/// As [`sifted`], of a Kafka batch and perhaps without a filter. What a compaction took, and
/// the marks of a transaction's end, nobody wants. A batch that cannot be read is wanted:
/// whoever encodes it says so.
pub(super) fn sifted_kafka(
    filter: Option<&Filter>,
    delivery: &Delivery,
) -> (Vec<Range<Offset>>, Vec<Range<Offset>>) {
    let all = delivery.records.clone();
    if delivery.batch.is_control() {
        return (Vec::new(), vec![all]);
    }
    let opened = Messages::open(&delivery.batch, delivery.base, DECOMPRESSED_BYTES_MAX);
    let Ok(messages) = opened else {
        return (vec![all], Vec::new());
    };
    let mut wanted = Vec::new();
    let mut unwanted = Vec::new();
    let mut next = all.start;
    for message in messages.iter() {
        let at = message.offset();
        if !all.contains(&at) || filter.is_some_and(|filter| !wants(filter, &message)) {
            continue;
        }
        if next < at {
            unwanted.push(next..at);
        }
        push(&mut wanted, at);
        next = at.plus(1);
    }
    if next < all.end {
        unwanted.push(next..all.end);
    }
    (wanted, unwanted)
}

fn wants(filter: &Filter, message: &Message<'_>) -> bool {
    let headers = message.headers().unwrap_or_default();
    filter.wants(headers.get(FILTER_VALUE))
}

fn push(runs: &mut Vec<Range<Offset>>, at: Offset) {
    match runs.last_mut() {
        Some(last) if last.end == at => last.end = at.plus(1),
        _ => runs.push(at..at.plus(1)),
    }
}

/// What a compressed batch may unfold to in memory while it is looked through.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;
const STREAM_OFFSET: &str = "x-stream-offset";
const STREAM_UNTIL: &str = "x-stream-until";
const TRACKING: &str = "x-stream-automatic-offset-tracking";
