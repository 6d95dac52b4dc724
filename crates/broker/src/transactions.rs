//! Transactions: the coordinator's machines, one for each transactional id, and what a start
//! needs to know them again.
//!
//! A transactional id is locked while something is done to it, batches of its transaction
//! being appended included: none can come behind the mark that ends it. Locks: a
//! transactional id, then groups, then cells; the registry and the numbers are
//! leaves.
//!
//! What is recorded is [`Change`]s, in notes and a checkpoint's section of kind
//! [`TRANSACTION_NOTE`]; the id says nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_engine::router::SpaceId;
use bongsu_engine::transaction::{
    Change, Effect, Ending, Input, Producer, ProducerIds, Settings, Transaction,
    TransactionRefused, encode_is,
};
use bongsu_record::{LogId, Lsn};
use bongsu_storage::{EntryRef, Error, Recovery};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::broker::Broker;
use crate::clerk::Due;

mod ending;

pub(crate) mod joining;

mod requests;

/// Kind of the WAL notes and the checkpoint section that know transactions.
pub(crate) const TRANSACTION_NOTE: u8 = 6;

/// A transactional id, in its space.
pub(crate) type Key = (SpaceId, Arc<str>);

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    settings: RwLock<Settings>,
    by_id: RwLock<BTreeMap<Key, Arc<TransactionCell>>>,
    numbers: Mutex<Numbers>,
    /// What the clerk calls to forget those that nobody used for long.
    expiry: Arc<Expiry>,
}

/// One transactional id.
#[derive(Debug)]
pub(crate) struct TransactionCell {
    key: Key,
    held: Mutex<Held>,
}

/// What its lock protects.
#[derive(Debug)]
pub(crate) struct Held {
    transaction: Transaction,
    /// The clerk comes then.
    alarm_ms: Option<u64>,
    /// It was forgotten: whoever still has it asks for it again.
    gone: bool,
}

#[derive(Debug, Default)]
struct Expiry;

#[derive(Debug, Default)]
struct Numbers {
    ids: ProducerIds,
    /// With what the last reservation is durable.
    lsn: Lsn,
}

/// What an input came to.
struct Done {
    answer: Result<Producer, TransactionRefused>,
    /// Durable with this; 0: nothing was recorded.
    lsn: Lsn,
}

impl TransactionCell {
    fn new(key: Key, transaction: Transaction) -> Arc<TransactionCell> {
        Arc::new(TransactionCell {
            key,
            held: Mutex::new(Held {
                transaction,
                alarm_ms: None,
                gone: false,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }
}

impl Due for TransactionCell {
    fn due(self: Arc<Self>, broker: &Broker, now_ms: u64) {
        let mut held = self.lock();
        if held.gone {
            return;
        }
        held.alarm_ms = None;
        let before = held.transaction.producer();
        let done = broker.transact(&self, &mut held, Input::Timeout);
        if done.answer.is_err() {
            // The disk is full, or failed: as long as it stays open, nothing is lost.
            held.alarm_ms = Some(now_ms + RETRY_MS);
            broker.clerk().call_at(now_ms + RETRY_MS, &self);
        } else if held.transaction.producer() != before {
            let (id, producer) = (&self.key.1, before.id);
            tracing::info!("transaction {id:?} of producer {producer} took too long: aborted");
        }
    }
}

impl Due for Expiry {
    fn due(self: Arc<Self>, broker: &Broker, now_ms: u64) {
        broker.expire_transactions(now_ms);
        broker.clerk().call_at(now_ms + EXPIRY_LOOK_MS, &self);
    }
}

impl Transactions {
    pub(crate) fn settings(&self) -> Settings {
        *self.settings.read()
    }

    /// The transactional id, if somebody has it.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<TransactionCell>> {
        self.by_id.read().get(key).cloned()
    }

    /// All, by space and id.
    fn all(&self) -> Vec<Arc<TransactionCell>> {
        self.by_id.read().values().cloned().collect()
    }

    /// All that is to be known after a restart.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let end = self.numbers.lock().ids.end();
        Change::Ids { end }.encode(out);
        for cell in self.all() {
            let held = cell.lock();
            if !held.gone {
                encode_is(cell.key.0, &cell.key.1, &held.transaction, out);
            }
        }
    }
}

impl Broker {
    /// Bounds of producers and their transactions, from here on.
    pub fn configure_transactions(&self, settings: Settings) {
        *self.transactions().settings.write() = settings;
        for cell in self.all_cells() {
            if let Some(producers) = &mut cell.lock().producers {
                producers.set_expiration_ms(settings.producer_expiration_ms);
            }
        }
    }

    /// A number that no producer ever had; `None`: it cannot be recorded.
    fn fresh_producer_id(&self, lsn: &mut Lsn) -> Option<i64> {
        let mut numbers = self.transactions().numbers.lock();
        if let Some(end) = numbers.ids.wanted() {
            let mut bytes = Vec::new();
            Change::Ids { end }.encode(&mut bytes);
            let recorded = self.storage().record(&[note(&bytes)]);
            numbers.lsn = recorded.inspect_err(|error| self.report(error)).ok()?;
            numbers.ids.reserve(end);
        }
        *lsn = numbers.lsn.max(*lsn);
        numbers.ids.take()
    }

    /// Does something to a transactional id: all that it takes becomes durable together.
    fn transact(&self, cell: &Arc<TransactionCell>, held: &mut Held, input: Input<'_>) -> Done {
        let before = held.transaction.clone();
        // Batches of the partition come behind it: it need not be safer than they are.
        let along = match &input {
            Input::Join { partitions, .. } => partitions.first().map(|at| at.log()),
            _ => None,
        };
        let mut lsn = Lsn(0);
        let mut effects = Vec::new();
        let mut fresh = || self.fresh_producer_id(&mut lsn);
        held.transaction
            .handle(input, &mut fresh, self.now_ms(), &mut effects);
        let mut ending: Option<Ending> = None;
        let mut recorded = false;
        let mut answer = Ok(held.transaction.producer());
        for effect in effects {
            match effect {
                Effect::End(end) => ending = Some(end),
                Effect::Record => recorded = true,
                Effect::Answer(result) => answer = result,
            }
        }
        if recorded {
            match self.record_transaction(&cell.key, &held.transaction, (ending.as_ref(), along)) {
                Ok(at) => lsn = at.max(lsn),
                Err(error) => {
                    self.report(&error);
                    held.transaction = before;
                    let answer = Err(TransactionRefused::Storage);
                    return Done { answer, lsn };
                }
            }
        }
        self.set_transaction_alarm(cell, held);
        Done { answer, lsn }
    }

    fn record_transaction(
        &self,
        key: &Key,
        transaction: &Transaction,
        (ending, along): (Option<&Ending>, Option<LogId>),
    ) -> Result<Lsn, Error> {
        let mut bytes = Vec::new();
        encode_is(key.0, &key.1, transaction, &mut bytes);
        let kind = TRANSACTION_NOTE;
        let entry = match (ending, along) {
            (Some(ending), _) => return self.end_transaction(key.0, ending, &bytes),
            (None, None) => note(&bytes),
            (None, Some(log)) => EntryRef::Along {
                kind,
                log,
                bytes: &bytes,
            },
        };
        let recorded = self.storage().record(&[entry]);
        self.storage().hurry();
        recorded
    }

    fn set_transaction_alarm(&self, cell: &Arc<TransactionCell>, held: &mut Held) {
        if let Some(due_ms) = held.transaction.deadline_ms()
            && held.alarm_ms.is_none_or(|alarm_ms| due_ms < alarm_ms)
        {
            held.alarm_ms = Some(due_ms);
            self.clerk().call_at(due_ms, cell);
        }
    }

    fn expire_transactions(&self, now_ms: u64) {
        let expiration_ms = self.transactions().settings().id_expiration_ms;
        for cell in self.transactions().all() {
            let mut held = cell.lock();
            if held.gone || !held.transaction.is_expired(now_ms, expiration_ms) {
                continue;
            }
            let mut bytes = Vec::new();
            let (space, transactional_id) = cell.key.clone();
            let gone = Change::Gone {
                space,
                transactional_id,
            };
            gone.encode(&mut bytes);
            if let Err(error) = self.storage().record(&[note(&bytes)]) {
                self.report(&error);
                return;
            }
            held.gone = true;
            self.transactions().by_id.write().remove(&cell.key);
        }
    }

    /// After a start: what is open is looked at when its time is up.
    pub(crate) fn wake_transactions(&self) {
        for cell in self.transactions().all() {
            self.set_transaction_alarm(&cell, &mut cell.lock());
        }
        self.clerk().call_at(0, &self.transactions().expiry);
    }
}

/// Transactions while the WAL is replayed.
#[derive(Debug, Default)]
pub(crate) struct RestoredTransactions {
    by_id: BTreeMap<Key, Transaction>,
    ids_end: i64,
}

impl RestoredTransactions {
    /// As the checkpoint has them.
    ///
    /// # Errors
    /// The checkpoint is damaged.
    pub(crate) fn of(recovery: &Recovery) -> Result<RestoredTransactions, Error> {
        let mut restored = RestoredTransactions::default();
        for section in recovery.sections() {
            if section.kind == TRANSACTION_NOTE {
                restored.replay("checkpoint", 0, &section.bytes)?;
            }
        }
        Ok(restored)
    }

    /// One note, or a section. Each change says what something is from then on: what the
    /// checkpoint knows already is said again, and ends the same.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn replay(&mut self, place: &str, at: u64, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let change = Change::decode(&mut bytes).map_err(|error| {
                let what = format!("a note of transactions: {error:?}");
                Error::corrupt(place.as_ref(), at, what)
            })?;
            match change {
                Change::Is {
                    space,
                    transactional_id,
                    transaction,
                } => {
                    self.by_id.insert((space, transactional_id), transaction);
                }
                Change::Gone {
                    space,
                    transactional_id,
                } => {
                    self.by_id.remove(&(space, transactional_id));
                }
                Change::Ids { end } => self.ids_end = end.max(self.ids_end),
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Transactions {
        let by_id = self.by_id.into_iter();
        let by_id =
            by_id.map(|(key, transaction)| (key.clone(), TransactionCell::new(key, transaction)));
        Transactions {
            settings: RwLock::default(),
            by_id: RwLock::new(by_id.collect()),
            numbers: Mutex::new(Numbers {
                ids: ProducerIds::from(self.ids_end),
                lsn: Lsn(0),
            }),
            expiry: Arc::default(),
        }
    }
}

fn note(bytes: &[u8]) -> EntryRef<'_> {
    EntryRef::Note {
        kind: TRANSACTION_NOTE,
        id: 0,
        bytes,
    }
}

/// When an abort that could not be recorded is tried again.
const RETRY_MS: u64 = 1_000;
/// How often it is looked for what nobody used for long.
const EXPIRY_LOOK_MS: u64 = 60 * 60 * 1000;
