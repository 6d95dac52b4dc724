//! Producers of a partition: their sequences before and after an append, and what a start
//! needs to know them again.
//!
//! They are kept in the cell, in its checkpoint's section of kind [`PRODUCER_NOTE`] (id: the
//! log's) and in the batches that are replayed since. A batch that went straight to its
//! segment is not replayed, and one that was laid out anew for its queue does not say whose
//! it was; a note goes along with it:
//!
//! ```text
//! 61 bytes: a batch header with its base offset; of the rest, what is of the producer
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use bongsu_engine::producers::{Aborted, Producers, Sequence};
use bongsu_record::header::{HEADER_BYTES, Header, MAGIC, TRANSACTIONAL};
use bongsu_record::kafka::EndMark;
use bongsu_record::{Batch, LogId, Offset};
use bongsu_storage::{Entry, Error, Recovery};

use crate::broker::Broker;
use crate::cell::State;

/// Kind of the WAL notes and checkpoint sections that know producers; the id is the log's.
pub(crate) const PRODUCER_NOTE: u8 = 5;

impl State {
    /// A batch was appended at `base`. `timestamp_ms` is what a duplicate is answered with.
    pub(crate) fn remember(
        &mut self,
        sequence: &Sequence,
        (base, timestamp_ms): (Offset, i64),
        broker: &Broker,
    ) {
        let now_ms = broker.now_ms();
        let producers = self.producers_mut(broker);
        producers.appended(sequence, base, timestamp_ms, now_ms);
    }

    /// A batch was appended, perhaps without what had been seen before. Returns what is to be
    /// recorded of it.
    pub(crate) fn remember_screened(
        &mut self,
        sequence: &Sequence,
        broker: &Broker,
    ) -> [u8; HEADER_BYTES] {
        let end = self.machine.cursor().end();
        let now_ms = broker.now_ms();
        self.producers_mut(broker).screened(sequence, end, now_ms);
        let base = end.0.saturating_sub(u64::from(sequence.count));
        producer_note(sequence, Offset(base), -1)
    }

    /// The mark of a transaction's end was appended at `base`; what lies below `durable_end`
    /// is durable.
    pub(crate) fn mark_end(
        &mut self,
        mark: &EndMark,
        base: Offset,
        durable_end: Offset,
        broker: &Broker,
    ) {
        let now_ms = broker.now_ms();
        let producers = self.producers_mut(broker);
        let first = producers.marked(mark.producer_id, mark.epoch, mark.committed, base, now_ms);
        if let Some(first) = first {
            producers.ended(first, base, durable_end);
        }
    }

    fn producers_mut(&mut self, broker: &Broker) -> &mut Producers {
        self.producers.get_or_insert_with(|| {
            let mut producers = Box::<Producers>::default();
            let settings = broker.transactions().settings();
            producers.set_expiration_ms(settings.producer_expiration_ms);
            producers
        })
    }

    /// First record of a transaction that is open, or whose end is not durable.
    pub(crate) fn first_undecided(&self, durable_end: Offset) -> Option<Offset> {
        self.producers.as_ref()?.first_undecided(durable_end)
    }

    /// First record of a transaction that is open.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.producers.as_ref()?.first_open()
    }

    /// Transactions among these records that were taken back: whose, and where each began.
    pub(crate) fn aborted(&self, records: Range<Offset>) -> Vec<(i64, Offset)> {
        let Some(producers) = &self.producers else {
            return Vec::new();
        };
        let aborted = producers.aborted(records).into_iter();
        aborted
            .map(
                |Aborted {
                     producer_id, first, ..
                 }| (producer_id, first),
            )
            .collect()
    }

    /// Whether a batch of a transaction that has ended is one that nobody is to see: it was
    /// taken back, or is the mark of the end.
    pub(crate) fn took_back(&self, base: Offset, batch: &Batch) -> bool {
        let aborted = |known: &Producers| known.is_aborted(batch.producer_id(), base);
        batch.is_control() || self.producers.as_deref().is_some_and(aborted)
    }
}

/// What a batch says of its producer, if it has one that numbers its batches.
pub(crate) fn sequence(batch: &Batch) -> Option<Sequence> {
    let numbered = !batch.is_native() && batch.producer_id() >= 0 && batch.base_sequence() >= 0;
    numbered.then(|| Sequence {
        producer_id: batch.producer_id(),
        epoch: batch.epoch(),
        base_sequence: batch.base_sequence(),
        count: batch.offset_count(),
        transactional: batch.is_transactional(),
    })
}

/// What goes along with a batch whose producer a replay does not see.
pub(crate) fn producer_note(
    sequence: &Sequence,
    base: Offset,
    max_timestamp: i64,
) -> [u8; HEADER_BYTES] {
    let mut note = [0; HEADER_BYTES];
    let count = i32::try_from(sequence.count).unwrap_or(i32::MAX);
    let header = Header {
        base_offset: i64::try_from(base.0).unwrap_or(i64::MAX),
        length: 0,
        partition_leader_epoch: 0,
        magic: MAGIC,
        crc: 0,
        attributes: if sequence.transactional {
            TRANSACTIONAL
        } else {
            0
        },
        last_offset_delta: count - 1,
        base_timestamp: max_timestamp,
        max_timestamp,
        producer_id: sequence.producer_id,
        producer_epoch: sequence.epoch,
        base_sequence: sequence.base_sequence,
        record_count: count,
    };
    header.encode(&mut note);
    note
}

/// Producers while the WAL is replayed. Those of logs that are gone are left over.
#[derive(Default)]
pub(crate) struct RestoredProducers {
    by_log: BTreeMap<LogId, Box<Producers>>,
    now_ms: u64,
}

impl RestoredProducers {
    /// As the checkpoint has them. Who was there before counts as having written now.
    ///
    /// # Errors
    /// The checkpoint is damaged.
    pub(crate) fn of(recovery: &Recovery, now_ms: u64) -> Result<RestoredProducers, Error> {
        let mut restored = RestoredProducers {
            by_log: BTreeMap::new(),
            now_ms,
        };
        for section in recovery.sections() {
            if section.kind == PRODUCER_NOTE {
                let producers = Producers::decode(&section.bytes).map_err(|error| {
                    let what = format!("the producers of log {}: {error:?}", section.id);
                    Error::corrupt("checkpoint".as_ref(), 0, what)
                })?;
                let log = LogId(section.id);
                restored.by_log.insert(log, Box::new(producers));
            }
        }
        Ok(restored)
    }

    /// What an entry says of producers; most say nothing.
    pub(crate) fn replay(&mut self, entry: &Entry) {
        match entry {
            Entry::Append { targets, batch } => {
                let mark = EndMark::of(batch);
                let sequence = sequence(batch);
                if mark.is_none() && sequence.is_none() {
                    return;
                }
                let (now_ms, at_ms) = (self.now_ms, batch.max_timestamp());
                for (log, base) in targets {
                    let producers = self.by_log.entry(*log).or_default();
                    if let Some(mark) = &mark {
                        let EndMark {
                            producer_id, epoch, ..
                        } = *mark;
                        producers.marked(producer_id, epoch, mark.committed, *base, now_ms);
                    } else if let Some(sequence) = &sequence {
                        producers.appended(sequence, *base, at_ms, now_ms);
                    }
                }
            }
            Entry::Note { kind, id, bytes } if *kind == PRODUCER_NOTE => {
                let Ok(header) = bytes.as_slice().try_into().map(Header::decode) else {
                    return;
                };
                let (Ok(base), Ok(last)) = (
                    u64::try_from(header.base_offset),
                    u32::try_from(header.last_offset_delta),
                ) else {
                    return;
                };
                let sequence = Sequence {
                    producer_id: header.producer_id,
                    epoch: header.producer_epoch,
                    base_sequence: header.base_sequence,
                    count: last + 1,
                    transactional: header.attributes & TRANSACTIONAL != 0,
                };
                let producers = self.by_log.entry(LogId(*id)).or_default();
                let at_ms = header.max_timestamp;
                producers.appended(&sequence, Offset(base), at_ms, self.now_ms);
            }
            _ => {}
        }
    }

    /// Those of one log.
    pub(crate) fn take(&mut self, log: LogId) -> Option<Box<Producers>> {
        self.by_log.remove(&log)
    }
}
