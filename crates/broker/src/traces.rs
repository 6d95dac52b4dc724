//! What became of a record, as spans of the trace that its publisher began: published,
//! committed, delivered, settled.
//!
//! A record that is traced says so itself, by a `traceparent` among its headers (W3C Trace
//! Context), whatever protocol wrote it; headers pass on as they came. Spans go into a bounded
//! channel, and whoever exports them is not known here. Where it is full, spans are dropped
//! and counted: nobody waits for it.
//!
//! Off, this costs a look at an empty cell for each call or batch. On, headers of what is
//! published are looked through once; everything else costs only those that are traced.
//!
//! From a publish to a settle only a bounded memory leads ([`memory`]), which does not survive
//! a restart: records published before it are delivered without spans.
//!
//! Reading order: here (what there is one of), [`context`], [`span`], [`publishing`] (publish
//! and commit), [`memory`], [`leading`] (deliver and settle),
//! [`passing`] (settles of groups).

pub(crate) mod context;

pub mod span;

mod publishing;

mod memory;

pub(crate) mod leading;

pub(crate) mod passing;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::broker::Broker;
use crate::traces::memory::Memory;
use crate::traces::publishing::Commits;
use crate::traces::span::Span;

/// See the module's comment.
#[derive(Debug)]
pub struct Traces {
    sink: SyncSender<Span>,
    /// Records without a decision are traced if a random number is below.
    below: u64,
    random: AtomicU64,
    counts: Counts,
    memory: Mutex<Memory>,
    /// As many as there are in `memory`, to be looked at without its lock.
    remembered: AtomicU64,
    commits: Mutex<Commits>,
}

#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    dropped: AtomicU64,
    exported: AtomicU64,
    forgotten: AtomicU64,
}

/// What became of spans, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// Spans made, or to be made.
    pub made: u64,
    /// Of those, dropped: there was no room, or nobody took them.
    pub dropped: u64,
    /// Of those, taken by who collects them.
    pub exported: u64,
    /// Traced records on their way to a consumer.
    pub remembered: u64,
    /// Traced records whose way could not be followed to its end: there were too many.
    pub forgotten: u64,
}

impl Traces {
    /// Spans go into `sink`. `ratio`, from 0 to 1: of records whose publisher decided nothing,
    /// so many begin a trace.
    pub fn new(ratio: f64, sink: SyncSender<Span>) -> Traces {
        Traces {
            sink,
            below: (ratio.clamp(0.0, 1.0) * u64::MAX as f64) as u64,
            random: AtomicU64::new(RandomState::new().build_hasher().finish()),
            counts: Counts::default(),
            memory: Mutex::default(),
            remembered: AtomicU64::new(0),
            commits: Mutex::default(),
        }
    }

    /// What became of spans.
    pub fn counts(&self) -> TraceCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TraceCounts {
            made: count(&self.counts.made),
            dropped: count(&self.counts.dropped),
            exported: count(&self.counts.exported),
            remembered: count(&self.remembered),
            forgotten: count(&self.counts.forgotten),
        }
    }

    /// So many were taken by who collects them.
    pub fn exported(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.counts.exported.fetch_add(count, Ordering::Relaxed);
    }

    /// So many were not, and nobody will try again.
    pub fn dropped(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.counts.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn send(&self, span: Span) {
        self.counts.made.fetch_add(1, Ordering::Relaxed);
        match self.sink.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped(1),
        }
    }

    /// One that had no room before it was made.
    fn refused(&self) {
        self.counts.made.fetch_add(1, Ordering::Relaxed);
        self.dropped(1);
    }

    /// Never 0, which stands for none (SplitMix64).
    fn random(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.random.fetch_add(step, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }

    fn span_id(&self) -> [u8; 8] {
        self.random().to_be_bytes()
    }

    fn trace_id(&self) -> [u8; 16] {
        ((u128::from(self.random()) << 64) | u128::from(self.random())).to_be_bytes()
    }

    /// Whether a record whose publisher decided nothing begins a trace.
    fn begins(&self) -> bool {
        self.below > 0 && self.random() <= self.below
    }
}

impl Broker {
    /// Makes spans from here on; to be called once, before clients come.
    pub fn trace(&self, traces: Traces) {
        self.set_traces(traces);
    }

    /// Tells of commits as they become durable; runs until the broker is gone, and ends at
    /// once where nothing is traced.
    pub async fn trace_commits(self) {
        let Some(traces) = self.traces().cloned() else {
            return;
        };
        let mut durable = self.durable();
        drop(self);
        while durable.changed().await.is_ok() {
            let lsn = *durable.borrow_and_update();
            traces.committed(lsn);
        }
    }
}

/// Unix nanoseconds.
fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests;
