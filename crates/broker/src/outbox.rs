//! What a session is to be handed: leases and notices, in order, under one lock.
//!
//! Queues push, the session's driver swaps the whole content out: one wake-up, one socket
//! write, many deliveries. An item names records; their bytes come along where the queue
//! had them at hand, else the driver reads them outside every queue's lock.
//!
//! Bounds: [`RECORDS_MAX`] records admitted and not yet encoded. At the bound the queue is
//! told to hold the link; the outbox owes it a resume, which [`Outbox::written`] names.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bongsu_engine::queue::{Gate, LinkKey};
use bongsu_engine::session::{LinkId, Reply, Tries};
use bongsu_record::{Batch, Lsn, Offset};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cell::QueueCell;
use crate::registry::Consumer;

/// Records that may wait in one outbox. Enough for a large socket write of small
/// messages; the bytes are shared with the log's tail, so a record costs little here.
pub const RECORDS_MAX: u64 = 8192;

/// One thing to hand to a session.
#[derive(Debug)]
pub enum Item {
    /// Records leased to one of its links.
    Lease(Lease),
    /// The broker closed a link.
    Closed(LinkId),
    /// The answer to a call that had to wait.
    Reply(Reply),
    /// Partitions that a fetch waits for have grown; see [`crate::fetch::FetchWait`].
    Grown,
}

/// See [`Item::Lease`].
#[derive(Debug)]
pub struct Lease {
    /// The session's name of the link.
    pub link: LinkId,
    /// The queue.
    pub cell: Arc<QueueCell>,
    /// Which records.
    pub records: Range<Offset>,
    /// How often before.
    pub tries: Tries,
    /// The client is told so.
    pub tells_tries: bool,
    /// The client is told each record's offset: it is a reader.
    pub tells_offsets: bool,
    /// The mark that covers them, if it may not be durable: to be waited for.
    pub after: Option<Lsn>,
    /// The batch they are in, with its base, if it was at hand.
    pub at_hand: Option<(Offset, Batch)>,
}

impl Lease {
    /// Whether the records are not the queue's to keep: they may be gone before they are
    /// delivered, and what lies between them may be nobody's.
    pub(crate) fn is_of_stream(&self) -> bool {
        self.tells_offsets || self.cell.source.is_some()
    }
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Outbox {
    items: Mutex<VecDeque<Item>>,
    /// Wakes the driver.
    pub(crate) woken: Notify,
    admitted: Held,
}

/// Records admitted against a limit, and the links that were refused.
#[derive(Debug, Default)]
struct Held {
    count: AtomicU64,
    anyone: AtomicBool,
    refused: Mutex<Vec<(Arc<QueueCell>, LinkKey)>>,
}

/// A credit limit shared by links of a session.
#[derive(Debug, Default)]
pub struct Pool {
    credit: AtomicU64,
    held: Held,
}

/// A link as its queue sees it: where its leases go and what they count against.
#[derive(Debug)]
pub struct Target {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) link: LinkId,
    pub(crate) pool: Option<Arc<Pool>>,
    /// Records of the pool that this link holds.
    pub(crate) pooled: AtomicU64,
    /// What whoever watches is told of it; `None`: it only gets.
    pub(crate) consumer: Option<Arc<Consumer>>,
}

impl Held {
    /// Takes up to `wanted` below `limit`; remembers the link where that is none.
    fn admit(&self, limit: u64, wanted: u64, cell: &Arc<QueueCell>, key: LinkKey) -> u64 {
        let granted = self.take(limit, wanted);
        if granted > 0 {
            return granted;
        }
        // `give_back` lowers the count before it looks here: whoever asks again under this
        // lock either sees the lower count or is seen.
        let mut refused = self.refused.lock();
        let granted = self.take(limit, wanted);
        if granted == 0 {
            refused.push((cell.clone(), key));
            self.anyone.store(true, Ordering::SeqCst);
        }
        granted
    }

    fn take(&self, limit: u64, wanted: u64) -> u64 {
        let mut granted = 0;
        let _ = self
            .count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                granted = wanted.min(limit.saturating_sub(count));
                (granted > 0).then_some(count + granted)
            });
        granted
    }

    fn give_back(&self, count: u64) {
        let _ = self
            .count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| {
                Some(held.saturating_sub(count))
            });
    }

    fn take_refused(&self) -> Vec<(Arc<QueueCell>, LinkKey)> {
        if !self.anyone.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut refused = self.refused.lock();
        self.anyone.store(false, Ordering::SeqCst);
        std::mem::take(&mut *refused)
    }
}

impl Outbox {
    pub(crate) fn push(&self, item: Item) {
        let mut items = self.items.lock();
        items.push_back(item);
        drop(items);
        self.woken.notify_one();
    }

    /// Moves everything to the back of `into`.
    pub(crate) fn take_all(&self, into: &mut VecDeque<Item>) {
        let mut items = self.items.lock();
        if into.is_empty() {
            std::mem::swap(&mut *items, into);
        } else {
            into.append(&mut items);
        }
    }

    /// So many records have been encoded. Returns who must be told to resume.
    pub(crate) fn written(&self, count: u64) -> Vec<(Arc<QueueCell>, LinkKey)> {
        self.admitted.give_back(count);
        // Not at every record: a link resumed for one record would be held at once again.
        if self.admitted.count.load(Ordering::SeqCst) > RECORDS_MAX / 2 {
            return Vec::new();
        }
        self.admitted.take_refused()
    }
}

impl Pool {
    /// Sets the limit; returns who must be told to resume.
    pub(crate) fn set_credit(&self, credit: u32) -> Vec<(Arc<QueueCell>, LinkKey)> {
        self.credit.store(u64::from(credit), Ordering::SeqCst);
        self.held.take_refused()
    }

    /// Records that its links hold together, and how many they may; 0 = no limit.
    pub(crate) fn held_of(&self) -> (u64, u64) {
        let held = self.held.count.load(Ordering::SeqCst);
        (held, self.credit.load(Ordering::SeqCst))
    }

    fn limit(&self) -> u64 {
        match self.credit.load(Ordering::SeqCst) {
            0 => u64::MAX,
            limit => limit,
        }
    }
}

impl Target {
    /// So many leases ended. Returns who must be told to resume.
    pub(crate) fn ended(&self, count: u64) -> Vec<(Arc<QueueCell>, LinkKey)> {
        let Some(pool) = &self.pool else {
            return Vec::new();
        };
        let mut ended = 0;
        let _ = self
            .pooled
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| {
                ended = held.min(count);
                Some(held - ended)
            });
        pool.held.give_back(ended);
        pool.held.take_refused()
    }
}

/// The gate of one queue's links while it dispatches.
pub(crate) struct Gates<'a> {
    pub(crate) cell: &'a Arc<QueueCell>,
    pub(crate) targets: &'a std::collections::BTreeMap<LinkKey, Arc<Target>>,
}

impl Gate for Gates<'_> {
    fn admit(&self, key: LinkKey, wanted: u64) -> u64 {
        let Some(target) = self.targets.get(&key) else {
            return 0;
        };
        let outbox = &target.outbox.admitted;
        let granted = outbox.admit(RECORDS_MAX, wanted, self.cell, key);
        let Some(pool) = target.pool.as_ref().filter(|_| granted > 0) else {
            return granted;
        };
        let pooled = pool.held.admit(pool.limit(), granted, self.cell, key);
        if pooled < granted {
            // Another link may just have been refused for what is given back here: the
            // driver looks, on any wake-up.
            outbox.give_back(granted - pooled);
            target.outbox.woken.notify_one();
        }
        target.pooled.fetch_add(pooled, Ordering::SeqCst);
        pooled
    }
}
