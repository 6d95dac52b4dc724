//! Memory that batches take up, counted once each.
//!
//! A batch that is in no segment yet is *pinned*: it cannot be dropped. Once every log
//! that holds it has it in a segment it is *cached*, and goes when the cache is full. A
//! fan-out to a thousand logs is one [`Payload`], and counts once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bongsu_record::Batch;
use bytes::Bytes;

/// Bytes of all logs of a data directory.
#[derive(Default)]
pub(crate) struct Budget {
    pinned: AtomicU64,
    cached: AtomicU64,
}

impl Budget {
    pub fn pinned(&self) -> u64 {
        self.pinned.load(Ordering::Relaxed)
    }

    pub fn cached(&self) -> u64 {
        self.cached.load(Ordering::Relaxed)
    }
}

/// One batch in memory, shared by the tails that hold it.
pub(crate) struct Payload {
    pub batch: Batch,
    /// Tails in which it is pinned.
    pins: AtomicU32,
    budget: Arc<Budget>,
}

impl Payload {
    /// Not yet pinned by anyone. A small batch is copied: what its publisher built it in
    /// may be forty times as large, and a backlog would hold all of it.
    pub fn new(batch: &Batch, budget: &Arc<Budget>) -> Arc<Payload> {
        let batch = match batch.len() < COPY_BYTES_MAX {
            true => Batch::parse_unchecked(&Bytes::copy_from_slice(batch.bytes()))
                .expect("a copy of a batch is a batch"),
            false => batch.clone(),
        };
        let payload = Payload {
            batch,
            pins: AtomicU32::new(0),
            budget: Arc::clone(budget),
        };
        budget.cached.fetch_add(payload.cost(), Ordering::Relaxed);
        Arc::new(payload)
    }

    /// What holding it costs, its bookkeeping included.
    pub fn cost(&self) -> u64 {
        self.batch.len() as u64 + PAYLOAD_BYTES
    }

    pub fn pin(&self) {
        if self.pins.fetch_add(1, Ordering::AcqRel) == 0 {
            self.budget.pinned.fetch_add(self.cost(), Ordering::Relaxed);
            self.budget.cached.fetch_sub(self.cost(), Ordering::Relaxed);
        }
    }

    pub fn unpin(&self) {
        if self.pins.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.budget.cached.fetch_add(self.cost(), Ordering::Relaxed);
            self.budget.pinned.fetch_sub(self.cost(), Ordering::Relaxed);
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // Every pin is given back before the last tail lets go.
        self.budget.cached.fetch_sub(self.cost(), Ordering::Relaxed);
    }
}

/// Cached bytes that are no payload: a read-ahead chunk.
pub(crate) struct Charge {
    bytes: u64,
    budget: Arc<Budget>,
}

impl Charge {
    pub fn new(bytes: u64, budget: &Arc<Budget>) -> Charge {
        budget.cached.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            bytes,
            budget: Arc::clone(budget),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.cached.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

const COPY_BYTES_MAX: usize = 2048;
/// Payload, reference counts and an item of a tail, roughly.
const PAYLOAD_BYTES: u64 = 128;
