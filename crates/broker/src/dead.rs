//! Dead records on their way: out of the queue that gave them up, through its dead letter
//! exchange, into other queues, in one group; so never lost, and never twice.
//!
//! The clerk does it, a bounded piece at a time. Where no queue takes a record it is
//! dropped, or, with the strategy at-least-once, stays and is tried again.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::queue::Reason;
use bongsu_engine::queue::properties::DeadLetter;
use bongsu_engine::router::{Attributes, RouteScratch};
use bongsu_record::blocks::amqp091;
use bongsu_record::death::{self, Death};
use bongsu_record::message::{Message, Messages};
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};
use bongsu_record::{Batch, Offset};
use bongsu_storage::Stored;

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::group::{Group, Leaving, Part};
use crate::publish::{Cells, lead_to_the_same};
use crate::route::{Address, OfBlock, delay_ms, delayed_block};
use crate::statistics::Count;

/// A dead record made ready for where it goes.
struct Dead {
    /// Queues, and for how long it is delayed (0: not at all).
    ways: Vec<(Cells, u64)>,
    now_ms: u64,
    key: Vec<u8>,
    block: Vec<u8>,
}

impl Broker {
    /// Moves what is dead in a queue.
    pub(crate) fn bury(&self, cell: &Arc<QueueCell>) {
        loop {
            let found = {
                let state = cell.lock();
                if state.gone {
                    return;
                }
                let first = state.machine.cursor().first_dying(PIECE_RECORDS_MAX);
                first.zip(Some(state.machine.properties().dead_letter.clone()))
            };
            let Some(((records, reason), dead_letter)) = found else {
                return;
            };
            if !self.bury_piece(cell, records, reason, dead_letter.as_ref()) {
                // No queue took it, or storage has no room: later.
                let later_ms = self.now_ms() + AGAIN_MS;
                self.clerk().wake_at(later_ms, cell.id);
                return;
            }
        }
    }

    fn bury_piece(
        &self,
        cell: &Arc<QueueCell>,
        records: Range<Offset>,
        reason: Reason,
        dead_letter: Option<&DeadLetter>,
    ) -> bool {
        let mut group = Group::default();
        let mut records = records;
        if let Some(dead_letter) = dead_letter {
            let stored = match self.read(cell, &records) {
                Ok(stored) => stored,
                Err(()) => return false,
            };
            let mut runs = Runs::default();
            let mut end = stored
                .last()
                .map_or(records.end, Stored::end)
                .min(records.end);
            let opened = self.opened(&stored);
            let dying = opened.iter().flat_map(Messages::iter);
            for message in dying.filter(|message| records.contains(&message.offset())) {
                let dead = self.dead(cell, &message, reason, dead_letter);
                if dead.ways.is_empty() && dead_letter.at_least_once {
                    end = message.offset();
                    break;
                }
                runs.push(&message, &dead, &dead_letter.exchange);
                if runs.bytes >= MOVED_BYTES_MAX {
                    end = message.offset().plus(1);
                    break;
                }
            }
            if end <= records.start {
                return false;
            }
            records.end = end;
            group.parts = runs.finish(i64::try_from(self.now_ms()).unwrap_or(i64::MAX));
            // Whoever is dead here has nobody to be refused by: a full queue drops its head.
            group.forced = dead_letter.at_least_once;
        }
        let count = records.end.0 - records.start.0;
        group.leaving = Some(Leaving {
            cell: cell.clone(),
            records,
            reason,
        });
        match self.group(&group) {
            Ok(grouped) => {
                if dead_letter.is_some() {
                    self.count_of(cell, Count::DeadLettered, count);
                }
                self.bury_refused(grouped.dead);
                true
            }
            Err(Refused::Storage { cause }) => {
                tracing::warn!("dead records of queue '{}' wait: {cause}", cell.name);
                false
            }
            Err(_) => false,
        }
    }

    /// Sends on what full queues refused that have it dead.
    pub(crate) fn bury_refused(&self, dead: Vec<(Arc<QueueCell>, Batch)>) {
        for (cell, batch) in dead {
            let dead_letter = cell.lock().machine.properties().dead_letter.clone();
            let Some(dead_letter) = dead_letter else {
                continue;
            };
            let count = u64::from(batch.record_count());
            self.count_of(&cell, Count::DeadLettered, count);
            let mut runs = Runs::default();
            let timestamp = batch.header().base_timestamp;
            for record in batch.native_records(0..batch.record_count()) {
                let message = Message::native(record, Offset(0), timestamp);
                let dead = self.dead(&cell, &message, Reason::MaxLen, &dead_letter);
                runs.push(&message, &dead, &dead_letter.exchange);
            }
            let group = Group {
                parts: runs.finish(i64::try_from(self.now_ms()).unwrap_or(i64::MAX)),
                forced: true,
                ..Group::default()
            };
            if let Err(Refused::Storage { cause }) = self.group(&group) {
                tracing::warn!(
                    "records that queue '{}' refused are dropped: {cause}",
                    cell.name
                );
            }
        }
    }

    fn read(&self, cell: &QueueCell, records: &Range<Offset>) -> Result<Vec<Stored>, ()> {
        let mut stored = Vec::new();
        let fetched = cell.log.fetch(records.start, PIECE_BYTES_MAX, &mut stored);
        fetched.map_err(|error| self.report(&error))?;
        Ok(stored)
    }

    /// The messages of batches. One that cannot be read is left out, and so dropped: it
    /// cannot be read by anybody.
    fn opened(&self, stored: &[Stored]) -> Vec<Messages> {
        let opened = stored.iter().filter_map(|stored| {
            let opened = Messages::open(&stored.batch, stored.base, DECOMPRESSED_BYTES_MAX);
            if let Err(error) = &opened {
                tracing::warn!(
                    "dead records at offset {} are dropped: {error:?}",
                    stored.base
                );
            }
            opened.ok()
        });
        opened.collect()
    }

    /// What a record becomes, and who takes it.
    fn dead(
        &self,
        cell: &QueueCell,
        message: &Message<'_>,
        reason: Reason,
        dead_letter: &DeadLetter,
    ) -> Dead {
        let keys = death::routing_keys(message).unwrap_or_else(|_| vec![message.routing_key()]);
        let death = Death {
            queue: &cell.name,
            reason: reason_of(reason),
            exchange: message.exchange(),
            routing_keys: &keys,
            time_s: self.now_ms() / 1000,
            has_own_key: dead_letter.routing_key.is_some(),
        };
        // A block that cannot be read is sent on as it is: better than losing the record.
        let block = death::block_after(message, &death).unwrap_or_else(|_| {
            amqp091::block_of(message).map_or_else(|_| vec![0, 0], |block| block.into_owned())
        });
        let own_key = dead_letter.routing_key.as_ref().map(|key| key.as_bytes());
        let next_keys: Vec<&[u8]> = match own_key {
            Some(key) => vec![key],
            None => keys,
        };
        Dead {
            ways: self.ways_of_dead(cell, reason, dead_letter, &next_keys, &block),
            now_ms: self.now_ms(),
            key: next_keys
                .first()
                .map(|key| key.to_vec())
                .unwrap_or_default(),
            block,
        }
    }

    fn ways_of_dead(
        &self,
        cell: &QueueCell,
        reason: Reason,
        dead_letter: &DeadLetter,
        keys: &[&[u8]],
        block: &[u8],
    ) -> Vec<(Cells, u64)> {
        let mut keys = keys
            .iter()
            .map(|key| String::from_utf8_lossy(key).into_owned());
        let first = keys.next().unwrap_or_default();
        let more_keys: Vec<String> = keys.collect();
        let address = Address {
            space: cell.space,
            exchange: &dead_letter.exchange,
            routing_key: &first,
            more_keys: &more_keys,
            from_client: false,
        };
        let mut scratch = RouteScratch::default();
        let mut queues = Vec::new();
        let record = OfBlock(block);
        // An exchange that is not there takes nothing.
        let Ok((ways, _)) = self.ways(&address, &record, &mut scratch, &mut queues) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for way in ways {
            let cells = way.cells.iter().filter(|target| {
                let cycles = reason != Reason::Rejected && death::cycles(block, &target.name);
                if cycles {
                    tracing::warn!("a message dead in '{}' went in a circle", cell.name);
                }
                !cycles
            });
            let cells: Cells = cells.cloned().collect();
            let delay_ms = way
                .is_delayed
                .then(|| delay_ms(&record.headers()))
                .flatten();
            if !cells.is_empty() {
                found.push((cells, delay_ms.unwrap_or(0)));
            }
        }
        found
    }
}

/// Consecutive records with one way, gathered.
#[derive(Default)]
struct Runs {
    parts: Vec<(Cells, Builder)>,
    /// Of all of them, about.
    bytes: usize,
}

impl Runs {
    fn push(&mut self, message: &Message<'_>, dead: &Dead, exchange: &str) {
        let priority = message.properties().ok().and_then(|known| known.priority);
        for (cells, delay_ms) in &dead.ways {
            let is_delayed = *delay_ms > 0;
            let terms = Terms {
                priority,
                deliver_at_ms: is_delayed.then(|| dead.now_ms.saturating_add(*delay_ms)),
                ..Terms::default()
            };
            let delayed = is_delayed.then(|| delayed_block(&dead.block, *delay_ms));
            let block = delayed.flatten();
            let block = block.as_deref().unwrap_or(&dead.block);
            self.bytes += block.len() + message.body().len();
            let builder = self.builder_of(cells);
            Runs::put(builder, message, (&dead.key, block), &terms, exchange);
        }
    }

    /// Of the run that leads to these queues: the last one, if it does.
    fn builder_of(&mut self, cells: &Cells) -> &mut Builder {
        let same = self
            .parts
            .last()
            .is_some_and(|(last, _)| lead_to_the_same(last, cells));
        if !same {
            self.parts.push((cells.clone(), Builder::new()));
        }
        let (_, builder) = self.parts.last_mut().expect("one was pushed at least");
        builder
    }

    fn put(
        builder: &mut Builder,
        message: &Message<'_>,
        (key, block): (&[u8], &[u8]),
        terms: &Terms,
        exchange: &str,
    ) {
        builder.begin_with(
            Origin::Amqp091,
            if message.is_persistent() {
                PERSISTENT
            } else {
                0
            },
            exchange.as_bytes(),
            key,
            terms,
            block,
            message.body().len() as u64,
        );
        builder.body(message.body());
        builder.end();
    }

    fn finish(self, unix_ms: i64) -> Vec<Part> {
        let parts = self.parts.into_iter();
        parts
            .filter_map(|(cells, mut builder)| {
                let batch = builder.finish(unix_ms)?;
                Some(Part { cells, batch })
            })
            .collect()
    }
}

fn reason_of(reason: Reason) -> death::Reason {
    match reason {
        Reason::Rejected => death::Reason::Rejected,
        Reason::Expired => death::Reason::Expired,
        Reason::MaxLen => death::Reason::MaxLen,
        Reason::DeliveryLimit => death::Reason::DeliveryLimit,
    }
}

/// Records moved at once, at most.
const PIECE_RECORDS_MAX: u64 = 4_096;
/// Bytes read for that, about.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Bytes moved at once, about: below what goes straight to a segment, because dead letters
/// mostly are on their way to somebody.
const MOVED_BYTES_MAX: usize = 192 << 10;
/// What a compressed batch may unfold to in memory while it is looked through.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;
/// What could not be moved is tried again after this.
const AGAIN_MS: u64 = 1_000;
