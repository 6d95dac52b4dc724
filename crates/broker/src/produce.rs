//! Appending to partitions: each batch on its own, as it came.
//!
//! What the topic asks of batches (their size, time, codec) is looked at before the
//! partition is locked; what depends on what is there already (sequences of producers,
//! transactions) under its lock.

use std::sync::Arc;
use std::time::Duration;

use bongsu_engine::access::acl::{Operation, Resource};
use bongsu_engine::access::quota::QuotaKey;
use bongsu_engine::producers::{ProducerRefused, Sequence, Verdict};
use bongsu_engine::queue::Properties;
use bongsu_engine::refused::Permission;
use bongsu_engine::session::Reply;
use bongsu_engine::session::records::{
    Append, AppendRefused, AppendRequest, Appended, PartitionRefused,
};
use bongsu_engine::topic::config::{Compression, Timestamps, TopicConfig};
use bongsu_engine::transaction::TransactionRefused;
use bongsu_record::compression::Codec;
use bongsu_record::kafka::recompress;
use bongsu_record::{Batch, Lsn};
use bongsu_storage::{EntryRef, Error};

use crate::cell::{QueueCell, State};
use crate::handle::{Executed, SessionHandle};
use crate::laid_out::{for_queue, may_expire};
use crate::producers::{PRODUCER_NOTE, producer_note, sequence};
use crate::publish::Cells;
use crate::statistics::Count;
use crate::transactions::TRANSACTION_NOTE;
use crate::transactions::joining::{Appending, Joined, Locked};

/// A batch as its topic wants it.
struct Fitted {
    batch: Batch,
    stamped_ms: Option<i64>,
    /// Unfolded.
    payload_bytes: usize,
}

impl SessionHandle {
    pub(crate) fn append_all(&mut self, request: AppendRequest) -> Executed {
        self.publishes = true;
        let mut last = Lsn(0);
        let id = request.transactional_id.as_deref();
        if id.is_some_and(|id| !self.may(Operation::Write, Resource::TransactionalId, id)) {
            let denied = AppendRefused::Transaction(TransactionRefused::IdDenied);
            let results = request.appends.iter().map(|_| Err(denied.clone()));
            let results = results.collect();
            return Executed::Now(Reply::Appended {
                wait: None,
                results,
                throttle_ms: 0,
            });
        }
        let mut results = Vec::with_capacity(request.appends.len());
        // Before the transaction is locked: the catalog's lock comes before it.
        let mut cells = Vec::with_capacity(request.appends.len());
        for append in &request.appends {
            cells.push(self.partition(&append.topic, append.partition, Permission::Write));
        }
        let of = self.appending(&request);
        let mut member = of.as_ref().and_then(Appending::lock);
        for (append, cell) in request.appends.iter().zip(cells) {
            let appended = cell.map_err(AppendRefused::Partition).and_then(|cell| {
                self.append_one((append, &cell), &request, member.as_mut(), &mut last)
            });
            if appended.is_ok() {
                let now_ms = self.broker().now_ms();
                let count = u64::from(append.batch.record_count());
                self.count(None, Count::Publish, count, now_ms);
                let bytes = append.batch.len() as u64;
                self.count(None, Count::BytesIn, bytes, now_ms);
                self.throttle(count, bytes, now_ms);
            }
            results.push(appended);
        }
        drop(member);
        let wait = (last > Lsn(0)).then_some(last);
        let bytes = request
            .appends
            .iter()
            .map(|append| append.batch.len() as u64);
        let throttle_ms =
            self.quota_taken(QuotaKey::ProducerByteRate, &request.client, bytes.sum());
        self.quiet(Duration::from_millis(throttle_ms.into()));
        Executed::Now(Reply::Appended {
            wait,
            results,
            throttle_ms,
        })
    }

    /// Whose transaction the batches may be of.
    fn appending(&self, request: &AppendRequest) -> Option<Appending> {
        let key = (self.in_space().ok()?, request.transactional_id.clone()?);
        let broker = self.broker();
        Some(Appending::new(broker, &key, request.adds_partitions))
    }

    fn append_one(
        &self,
        (append, cell): (&Append, &Arc<QueueCell>),
        request: &AppendRequest,
        member: Option<&mut Locked<'_>>,
        last: &mut Lsn,
    ) -> Result<Appended, AppendRefused> {
        let (properties, judges) = {
            let machine = &cell.lock().machine;
            (Arc::clone(machine.properties()), machine.judges())
        };
        let now_ms = self.broker().now_ms();
        let mut fitted = fitted(append, request, &properties, now_ms)?;
        let sequence = sequence(&append.batch);
        let expires = !properties.is_stream && may_expire(&fitted.batch, fitted.payload_bytes);
        if judges || expires {
            fitted.batch = laid_out(&fitted)?;
        }
        let mut state = cell.lock();
        if state.gone {
            let gone = PartitionRefused::Unknown;
            return Err(AppendRefused::Partition(gone));
        }
        if let Some(sequence) = &sequence
            && let Some(producers) = &state.producers
        {
            let verdict = producers.check(sequence, now_ms);
            let verdict = verdict.map_err(AppendRefused::Producer)?;
            if let Verdict::Duplicate { base, timestamp_ms } = verdict {
                // Its original may not be durable yet.
                *last = self.broker().position().max(*last);
                self.broker().storage().hurry();
                return Ok(Appended {
                    base: Some(base),
                    stamped_ms: fitted.stamped_ms.map(|_| timestamp_ms),
                    start: cell.log.start(),
                });
            }
        }
        if let Some(sequence) = &sequence
            && request.adds_partitions
        {
            begins(sequence, &state, now_ms).map_err(AppendRefused::Producer)?;
        }
        if state.machine.screens() {
            drop(state);
            return self.append_screened(cell, &fitted, sequence, last);
        }
        // It may have begun to look at records just now.
        if state.machine.judges() {
            fitted.batch = laid_out(&fitted)?;
        }
        let entering = (sequence, member);
        self.append_to(cell, &mut state, &fitted, entering, last)
    }

    fn append_to(
        &self,
        cell: &Arc<QueueCell>,
        state: &mut State,
        fitted: &Fitted,
        (sequence, mut member): (Option<Sequence>, Option<&mut Locked<'_>>),
        last: &mut Lsn,
    ) -> Result<Appended, AppendRefused> {
        let broker = self.broker();
        let storage = broker.storage();
        let base = state.machine.cursor().end();
        let batch = &fitted.batch;
        let now_ms = broker.now_ms();
        let log = cell.log.id();
        let mut joined: Option<Joined> = None;
        if batch.is_transactional() {
            let unknown = AppendRefused::Transaction(TransactionRefused::UnknownProducer);
            let member = member.as_mut().ok_or(unknown)?;
            let entered = member.enter(cell, batch, now_ms);
            joined = entered.map_err(AppendRefused::Transaction)?;
        }
        let unseen = storage.is_direct(batch) || batch.is_native();
        let header = sequence.filter(|_| unseen);
        let header = header.map(|of| producer_note(&of, base, batch.max_timestamp()));
        let change = joined.as_ref().map(|joined| EntryRef::Along {
            kind: TRANSACTION_NOTE,
            log,
            bytes: &joined.change,
        });
        let header = header.as_ref().map(|bytes| EntryRef::Along {
            kind: PRODUCER_NOTE,
            log,
            bytes,
        });
        let more: Vec<EntryRef<'_>> = change.into_iter().chain(header).collect();
        let appended = storage.append(&[(&cell.log, base)], batch, &more);
        if let (Some(member), Some(joined)) = (member, joined) {
            member.entered(joined, appended.is_ok(), broker);
        }
        let appended = appended.map_err(|error| self.append_failed(&error))?;
        broker
            .statistics()
            .commits
            .appended(appended.lsn, storage.durable());
        *last = appended.lsn.max(*last);
        // Before readers are told that the log has grown: they stop at what is open.
        let timestamp_ms = fitted.stamped_ms.unwrap_or(-1);
        if let Some(sequence) = &sequence {
            state.remember(sequence, (base, timestamp_ms), broker);
        }
        let handled = cell.appended(state, base, batch, broker);
        broker.noted(handled);
        Ok(Appended {
            base: Some(base),
            stamped_ms: fitted.stamped_ms,
            start: cell.log.start(),
        })
    }

    /// To a queue that may not take all of it: some may be refused or seen before, so no
    /// offset can be told.
    fn append_screened(
        &self,
        cell: &Arc<QueueCell>,
        fitted: &Fitted,
        sequence: Option<Sequence>,
        last: &mut Lsn,
    ) -> Result<Appended, AppendRefused> {
        let broker = self.broker();
        let batch = laid_out(fitted)?;
        let cells: Cells = std::iter::once(Arc::clone(cell)).collect();
        let published = broker.append(&cells, &batch).map(Executed::into_reply);
        let (wait, refused) = match published {
            Ok(Some(Reply::Published { wait, refused, .. })) => (wait, refused),
            _ => return Err(AppendRefused::Storage),
        };
        *last = wait.unwrap_or_default().max(*last);
        if !refused.is_empty() {
            return Err(AppendRefused::Full);
        }
        if let Some(sequence) = &sequence {
            let note = cell.lock().remember_screened(sequence, broker);
            let recorded = broker.storage().record(&[EntryRef::Along {
                kind: PRODUCER_NOTE,
                log: cell.log.id(),
                bytes: &note,
            }]);
            broker.noted(recorded.map(Some));
        }
        Ok(Appended {
            base: None,
            stamped_ms: None,
            start: cell.log.start(),
        })
    }

    fn append_failed(&self, error: &Error) -> AppendRefused {
        self.broker().report(error);
        AppendRefused::Storage
    }
}

/// The batch as a queue that looks at its records wants it.
fn laid_out(fitted: &Fitted) -> Result<Batch, AppendRefused> {
    if fitted.batch.is_native() {
        return Ok(fitted.batch.clone());
    }
    for_queue(&fitted.batch, fitted.payload_bytes).ok_or(AppendRefused::Unfit)
}

/// Each transaction of KIP-890's producers begins at 0, being of another epoch: one that
/// begins elsewhere has lost what comes before.
fn begins(sequence: &Sequence, state: &State, now_ms: u64) -> Result<(), ProducerRefused> {
    let known = state.producers.as_deref();
    let known = known.is_some_and(|known| known.knows(sequence.producer_id, now_ms));
    match known || !sequence.transactional || sequence.base_sequence == 0 {
        true => Ok(()),
        false => Err(ProducerRefused::OutOfOrder {
            expected: 0,
            found: sequence.base_sequence,
        }),
    }
}

fn fitted(
    append: &Append,
    request: &AppendRequest,
    properties: &Properties,
    now_ms: u64,
) -> Result<Fitted, AppendRefused> {
    let config = &properties.topic;
    let batch = &append.batch;
    if batch.is_transactional() && request.transactional_id.is_none() {
        return Err(AppendRefused::Transaction(TransactionRefused::IdDenied));
    }
    if batch.is_transactional() && !properties.is_stream {
        return Err(AppendRefused::WorkQueue);
    }
    if request.all_replicas && config.replicas_min > 1 {
        let wanted = config.replicas_min;
        return Err(AppendRefused::Replicas { wanted });
    }
    if config.compaction.is_some() && append.seen.keyless_count > 0 {
        return Err(AppendRefused::NoKey);
    }
    let mut fitted = Fitted {
        batch: batch.clone(),
        stamped_ms: None,
        payload_bytes: append.seen.payload_bytes.max(1),
    };
    if let Some(codec) = codec(config.compression) {
        let found = batch.compression().map_err(|_| AppendRefused::Malformed)?;
        if found != codec {
            fitted.batch = recompress(batch, codec, fitted.payload_bytes)
                .map_err(|_| AppendRefused::Malformed)?;
        }
    }
    let bytes = fitted.batch.len();
    if bytes as u64 > config.message_bytes_max {
        let bytes_max = config.message_bytes_max;
        return Err(AppendRefused::TooLarge { bytes, bytes_max });
    }
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    match config.timestamps {
        Timestamps::Append => {
            fitted.batch = fitted.batch.with_log_append_time(now);
            fitted.stamped_ms = Some(now);
        }
        Timestamps::Producer => check_times(append, config, now)?,
    }
    Ok(fitted)
}

/// The codec that a topic keeps its batches in; `None`: the producer's.
fn codec(compression: Compression) -> Option<Codec> {
    match compression {
        Compression::Producer => None,
        Compression::Uncompressed => Some(Codec::None),
        Compression::Gzip => Some(Codec::Gzip),
        Compression::Snappy => Some(Codec::Snappy),
        Compression::Lz4 => Some(Codec::Lz4),
        Compression::Zstd => Some(Codec::Zstd),
    }
}

fn check_times(append: &Append, config: &TopicConfig, now_ms: i64) -> Result<(), AppendRefused> {
    let (first, last) = (append.seen.min_timestamp_ms, append.seen.max_timestamp_ms);
    let refused = |unix_ms| Err(AppendRefused::Timestamp { unix_ms });
    if first != NO_TIMESTAMP
        && first < now_ms.saturating_sub_unsigned(config.timestamp_before_max_ms)
    {
        return refused(first);
    }
    if last != NO_TIMESTAMP && last > now_ms.saturating_add_unsigned(config.timestamp_after_max_ms)
    {
        return refused(last);
    }
    Ok(())
}

/// A record whose producer gives it no time.
const NO_TIMESTAMP: i64 = -1;
