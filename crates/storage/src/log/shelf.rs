//! What all logs of a data directory share: where segments are kept, which of them are
//! written and not synced, which are dropped and not deleted, and what memory is cached.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bongsu_record::{Lsn, Offset};
use parking_lot::Mutex;

use super::Log;
use super::budget::Budget;
use super::pool::Pool;
use crate::seam::{Blob, Blobs};
use crate::segment::Identity;
use crate::{Error, Options, SegmentId};

pub(crate) struct Shelf {
    pub blobs: Arc<dyn Blobs>,
    pub options: Options,
    pub budget: Arc<Budget>,
    next_segment: AtomicU64,
    /// Written and not synced. Held over the sync, so that nobody takes another's sync in
    /// progress for done.
    dirty: Mutex<BTreeMap<u64, Arc<dyn Blob>>>,
    syncing: Mutex<()>,
    names_dirty: std::sync::atomic::AtomicBool,
    graveyard: Mutex<Vec<(Identity, u64)>>,
    droppable: AtomicU64,
    handles: Mutex<Handles>,
    /// For reading ahead.
    pub pool: Arc<Pool>,
    cached: Mutex<VecDeque<Cached>>,
    /// How far the lane was durable when that was told last.
    durable: AtomicU64,
    /// Bytes of direct appends since the last checkpoint: recovery reads them through.
    pub direct_bytes: AtomicU64,
    /// Checkpoints begun, and the last of them that became durable.
    pub checkpoints_begun: AtomicU64,
    pub checkpoint_done: AtomicU64,
}

#[derive(Default)]
struct Handles {
    open: HashMap<SegmentId, Arc<dyn Blob>>,
    order: VecDeque<SegmentId>,
}

/// Something of a log that could be dropped from memory.
struct Cached {
    log: Weak<Log>,
    what: Evict,
}

#[derive(Clone, Copy)]
pub(crate) enum Evict {
    /// The stored part of the tail below this.
    Tail(Offset),
    /// The read-ahead chunk that begins here.
    Chunk(Offset),
}

impl Shelf {
    pub fn new(blobs: Arc<dyn Blobs>, options: Options, next_segment: u64) -> Shelf {
        Shelf {
            blobs,
            options,
            budget: Arc::default(),
            next_segment: AtomicU64::new(next_segment),
            dirty: Mutex::default(),
            syncing: Mutex::default(),
            names_dirty: false.into(),
            graveyard: Mutex::default(),
            droppable: AtomicU64::new(0),
            handles: Mutex::default(),
            pool: Arc::default(),
            cached: Mutex::default(),
            durable: AtomicU64::new(0),
            direct_bytes: AtomicU64::new(0),
            checkpoints_begun: AtomicU64::new(1),
            checkpoint_done: AtomicU64::new(0),
        }
    }

    pub fn next_segment(&self) -> u64 {
        self.next_segment.load(Ordering::Relaxed)
    }

    /// No segment below `above` will be made.
    pub fn raise_next_segment(&self, above: u64) {
        self.next_segment.fetch_max(above, Ordering::Relaxed);
    }

    pub fn create(
        &self,
        identity: impl FnOnce(SegmentId) -> Identity,
    ) -> Result<(Identity, Arc<dyn Blob>), Error> {
        let identity = identity(SegmentId(self.next_segment.fetch_add(1, Ordering::Relaxed)));
        let blob = self.blobs.create(&identity.name())?;
        if !identity.memory {
            self.names_dirty.store(true, Ordering::Release);
        }
        self.handles.lock().put(identity.segment, &blob);
        Ok((identity, blob))
    }

    /// The blob of a segment; a few hundred stay open.
    pub fn blob(&self, identity: &Identity) -> Result<Arc<dyn Blob>, Error> {
        if let Some(blob) = self.handles.lock().open.get(&identity.segment) {
            return Ok(Arc::clone(blob));
        }
        let blob = self.blobs.open(&identity.name())?;
        self.handles.lock().put(identity.segment, &blob);
        Ok(blob)
    }

    pub fn set_dirty(&self, identity: &Identity, blob: &Arc<dyn Blob>) {
        if !identity.memory {
            let mut dirty = self.dirty.lock();
            dirty.insert(identity.segment.0, Arc::clone(blob));
        }
    }

    /// Makes durable all that was written to segments before the call.
    pub fn sync(&self) -> Result<(), Error> {
        let _one = self.syncing.lock();
        if self.names_dirty.swap(false, Ordering::AcqRel) {
            self.blobs.sync_names()?;
        }
        let dirty = std::mem::take(&mut *self.dirty.lock());
        if dirty.len() >= SYNCED_ONE_BY_ONE && self.blobs.sync_all()? {
            return Ok(());
        }
        for blob in dirty.values() {
            blob.sync()?;
        }
        Ok(())
    }

    /// Nothing needs the segment; its file goes with the next durable checkpoint.
    pub fn bury(&self, identity: Identity, bytes: u64) {
        self.droppable.fetch_add(bytes, Ordering::Relaxed);
        self.graveyard.lock().push((identity, bytes));
    }

    pub fn droppable(&self) -> u64 {
        self.droppable.load(Ordering::Relaxed)
    }

    /// The segments buried so far.
    pub fn buried(&self) -> Vec<(Identity, u64)> {
        std::mem::take(&mut *self.graveyard.lock())
    }

    /// The checkpoint that would have let them go failed.
    pub fn keep_buried(&self, mut buried: Vec<(Identity, u64)>) {
        self.graveyard.lock().append(&mut buried);
    }

    pub fn delete(&self, buried: Vec<(Identity, u64)>) {
        for (identity, bytes) in buried {
            self.droppable.fetch_sub(bytes, Ordering::Relaxed);
            self.handles.lock().forget(identity.segment);
            self.dirty.lock().remove(&identity.segment.0);
            // What cannot be deleted is an orphan: the next start tries again.
            let _ = self.blobs.delete(&identity.name());
        }
    }

    /// The lane is durable up to there: what was written before it may go from memory. The
    /// caller holds no lock of a log.
    pub fn set_durable(&self, durable: Lsn) {
        self.durable.store(durable.0, Ordering::Release);
        if self.budget.cached() > self.options.cache_bytes {
            self.evict(&mut self.cached.lock());
        }
    }

    /// `what` of `log` may go when the cache is full. Drops the oldest until it is not, or
    /// comes to what is in a segment and not durable yet. The caller holds no lock of a log.
    pub fn cached(&self, log: &Weak<Log>, what: Evict) {
        let mut queue = self.cached.lock();
        queue.push_back(Cached {
            log: Weak::clone(log),
            what,
        });
        // Two out for one in, while those at the front are of no use any more: the queue
        // follows what is in memory, not what ever was.
        for _ in 0..2 {
            let stale = queue.front().is_some_and(|front| {
                let log = front.log.upgrade();
                log.is_none_or(|log| !log.holds(front.what))
            });
            if stale {
                queue.pop_front();
            }
        }
        self.evict(&mut queue);
    }

    fn evict(&self, queue: &mut VecDeque<Cached>) {
        let durable = Lsn(self.durable.load(Ordering::Acquire));
        while self.budget.cached() > self.options.cache_bytes {
            let Some(oldest) = queue.pop_front() else {
                break;
            };
            if let Some(log) = oldest.log.upgrade()
                && !log.evict(oldest.what, durable)
            {
                // Those behind it are younger.
                queue.push_front(oldest);
                break;
            }
        }
    }
}

impl Handles {
    fn put(&mut self, segment: SegmentId, blob: &Arc<dyn Blob>) {
        if self.open.insert(segment, Arc::clone(blob)).is_none() {
            self.order.push_back(segment);
        }
        while self.open.len() > HANDLES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.open.remove(&oldest);
        }
    }

    fn forget(&mut self, segment: SegmentId) {
        if self.open.remove(&segment).is_some() {
            self.order.retain(|kept| *kept != segment);
        }
    }
}

const HANDLES_MAX: usize = 256;

/// So many files are synced one by one; more in one go, with whatever else the disk has.
const SYNCED_ONE_BY_ONE: usize = 64;
