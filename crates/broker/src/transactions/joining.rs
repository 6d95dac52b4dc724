//! Batches of a transaction on their way to a partition.

use std::sync::Arc;

use bongsu_engine::transaction::{Input, Producer, Transaction, TransactionRefused, encode_is};
use bongsu_record::Batch;
use parking_lot::MutexGuard;

use super::{Held, Key, TransactionCell};
use crate::broker::Broker;
use crate::cell::QueueCell;

/// A transactional id whose producer appends; it may be nobody's.
#[derive(Debug)]
pub(crate) struct Appending {
    cell: Option<Arc<TransactionCell>>,
    /// Appending to a partition makes it part of the transaction.
    adds_partitions: bool,
}

/// The same, locked as long as a request is carried out, so that the transaction does not
/// end in between: no batch comes behind the mark.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    cell: &'a Arc<TransactionCell>,
    held: MutexGuard<'a, Held>,
    adds_partitions: bool,
}

/// A partition that joins the transaction with its first batch.
#[derive(Debug)]
pub(crate) struct Joined {
    /// To be recorded along with the batch.
    pub(crate) change: Vec<u8>,
    /// What the transaction was, if the append fails.
    before: Transaction,
}

impl Appending {
    pub(crate) fn new(broker: &Broker, key: &Key, adds_partitions: bool) -> Appending {
        Appending {
            cell: broker.transactions().find(key),
            adds_partitions,
        }
    }

    /// `None`: nobody has it.
    pub(crate) fn lock(&self) -> Option<Locked<'_>> {
        let cell = self.cell.as_ref()?;
        Some(Locked {
            cell,
            held: cell.lock(),
            adds_partitions: self.adds_partitions,
        })
    }
}

impl Locked<'_> {
    /// Whether a batch may be appended. `Some`: the partition joins with it, which is undone
    /// or confirmed by [`Locked::entered`].
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn enter(
        &mut self,
        partition: &QueueCell,
        batch: &Batch,
        now_ms: u64,
    ) -> Result<Option<Joined>, TransactionRefused> {
        if self.held.gone {
            return Err(TransactionRefused::UnknownProducer);
        }
        let transaction = &mut self.held.transaction;
        let producer = Producer {
            id: batch.producer_id(),
            epoch: batch.epoch(),
        };
        match transaction.verify(producer, partition.id) {
            Err(TransactionRefused::NotInTransaction) if self.adds_partitions => {}
            verified => return verified.map(|()| None),
        }
        let before = transaction.clone();
        let join = Input::Join {
            producer,
            partitions: &[partition.id],
            group: None,
        };
        // Its answer is known: the producer was verified. And it needs no number.
        let mut effects = Vec::new();
        transaction.handle(join, &mut || None, now_ms, &mut effects);
        let mut change = Vec::new();
        let (space, id) = &self.cell.key;
        encode_is(*space, id, transaction, &mut change);
        Ok(Some(Joined { change, before }))
    }

    /// The batch that joined was appended, or not.
    pub(crate) fn entered(&mut self, joined: Joined, appended: bool, broker: &Broker) {
        match appended {
            true => broker.set_transaction_alarm(self.cell, &mut self.held),
            false => self.held.transaction = joined.before,
        }
    }
}
