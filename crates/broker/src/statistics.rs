//! What the broker has done, and how fast: per space, exchange and queue, and in all.
//!
//! Whoever does something counts it, once per batch: a session and the clerk in their space,
//! a queue in itself while it is locked anyway or beside its lock. The whole broker is the sum
//! of its spaces, made when somebody asks. What is ready, lent, waiting and dying is kept
//! as sums to which each queue adds what changed with it, so that a million queues need no
//! sweep.
//!
//! Nothing of this survives a restart, as in RabbitMQ.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bongsu_engine::queue::why::Depth;
use bongsu_engine::router::SpaceId;
use parking_lot::RwLock;

use crate::broker::Broker;
use crate::cell::QueueCell;

mod commits;
mod counts;
mod history;

pub use commits::{BUCKETS_US, Commits, Latency};
pub use counts::{ALL, Count, Counted, Counts, KINDS, Rates};
pub(crate) use history::Reading;
pub use history::{History, Point};

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Statistics {
    spaces: RwLock<HashMap<SpaceId, Arc<SpaceStatistics>>>,
    /// What was counted in spaces that are gone.
    gone: RwLock<Counted>,
    /// What comes and goes.
    pub churn: Churn,
    /// How long what is published takes to be durable.
    pub commits: Commits,
    /// The last hour.
    pub history: History,
}

/// What comes and goes: how often since the start.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct Churn {
    pub connections_opened: AtomicU64,
    pub connections_closed: AtomicU64,
    pub channels_opened: AtomicU64,
    pub channels_closed: AtomicU64,
    pub queues_declared: AtomicU64,
    pub queues_created: AtomicU64,
    pub queues_deleted: AtomicU64,
    pub logins_refused: AtomicU64,
}

impl Churn {
    /// One more.
    pub(crate) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is counted in one space.
#[derive(Debug, Default)]
pub struct SpaceStatistics {
    counts: Counts<STRIPES>,
    depth: SharedDepth,
    exchanges: RwLock<HashMap<String, Arc<ExchangeCounts>>>,
}

/// What is counted of an exchange.
pub type ExchangeCounts = Counts<1>;
/// What is counted of a queue.
pub type QueueCounts = Counts<1>;

#[derive(Debug, Default)]
struct SharedDepth([DepthStripe; DEPTH_STRIPES]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct DepthStripe([AtomicI64; 4]);

impl SpaceStatistics {
    /// Counts something; `stripe` as in [`Counts::add`].
    pub fn count(&self, stripe: usize, count: Count, more: u64, now_ms: u64) {
        if more > 0 {
            self.counts.add(stripe, count, more, now_ms);
        }
    }

    /// What was counted.
    pub fn counted(&self) -> Counted {
        self.counts.counted()
    }

    /// How fast it grows.
    pub fn rates(&self, now_ms: u64) -> Rates {
        self.counts.rates(now_ms)
    }

    /// What its queues hold.
    pub fn depth(&self) -> Depth {
        let mut sums = [0_i64; 4];
        for stripe in &self.depth.0 {
            for (sum, part) in sums.iter_mut().zip(&stripe.0) {
                *sum += part.load(Ordering::Relaxed);
            }
        }
        // While queues change, one part may be seen without the other.
        let [ready, leased, waiting, dying] = sums.map(|sum| sum.max(0).unsigned_abs());
        Depth {
            ready,
            leased,
            waiting,
            dying,
        }
    }

    /// A queue holds something else than before.
    pub(crate) fn moved(&self, stripe: usize, before: &Depth, now: &Depth) {
        let stripe = &self.depth.0[stripe % DEPTH_STRIPES];
        for ((sum, before), now) in stripe.0.iter().zip(parts(before)).zip(parts(now)) {
            if before != now {
                let change = now.wrapping_sub(before).cast_signed();
                sum.fetch_add(change, Ordering::Relaxed);
            }
        }
    }

    /// The counts of an exchange, which begin now if it has none.
    pub fn exchange(&self, name: &str) -> Arc<ExchangeCounts> {
        if let Some(known) = self.exchanges.read().get(name) {
            return known.clone();
        }
        let mut exchanges = self.exchanges.write();
        exchanges.entry(name.to_owned()).or_default().clone()
    }

    /// The counts of an exchange that anything was published to.
    pub fn exchange_counts(&self, name: &str) -> Option<Arc<ExchangeCounts>> {
        self.exchanges.read().get(name).cloned()
    }

    /// What was counted of each exchange, by name.
    pub(crate) fn exchanges_counted(&self) -> Vec<(String, Counted)> {
        let exchanges = self.exchanges.read();
        let counted = exchanges.iter();
        let counted = counted.map(|(name, counts)| (name.clone(), counts.counted()));
        let mut all: Vec<(String, Counted)> = counted.collect();
        drop(exchanges);
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        all
    }

    pub(crate) fn exchange_deleted(&self, name: &str) {
        self.exchanges.write().remove(name);
    }
}

/// What was counted of something, and how fast it grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Since the start of the broker.
    pub counted: Counted,
    /// In the last seconds.
    pub rates: Rates,
}

impl Activity {
    /// That of something else counts, too.
    pub fn add(&mut self, other: &Activity) {
        self.counted.add(&other.counted);
        self.rates.add(&other.rates);
    }
}

impl<const STRIPES: usize> Counts<STRIPES> {
    /// Both at once.
    pub fn activity(&self, now_ms: u64) -> Activity {
        Activity {
            counted: self.counted(),
            rates: self.rates(now_ms),
        }
    }
}

impl Broker {
    /// What was counted in all.
    pub fn activity(&self) -> Activity {
        Activity {
            counted: self.statistics().counted(),
            rates: self.statistics().rates(self.now_ms()),
        }
    }

    /// What was counted in a space, and what its queues hold; `None`: there is no such space.
    pub fn space_activity(&self, space: &str) -> Option<(Activity, Depth)> {
        let space = self.space(space).ok()?;
        let statistics = self.statistics().space(space);
        let activity = statistics.counts.activity(self.now_ms());
        Some((activity, statistics.depth()))
    }

    /// What was counted of an exchange: what came in, and what it put into queues.
    pub fn exchange_activity(&self, space: &str, exchange: &str) -> Activity {
        let space = self.space(space).ok();
        let statistics = space.map(|space| self.statistics().space(space));
        let counts = statistics.and_then(|statistics| statistics.exchange_counts(exchange));
        counts.map_or(Activity::default(), |counts| counts.activity(self.now_ms()))
    }
}

impl QueueCell {
    /// What was counted of it.
    pub(crate) fn activity(&self, now_ms: u64) -> Activity {
        let counts = self.counts();
        counts.map_or(Activity::default(), |counts| counts.activity(now_ms))
    }
}

impl Statistics {
    /// Those of a space.
    pub fn space(&self, space: SpaceId) -> Arc<SpaceStatistics> {
        if let Some(known) = self.spaces.read().get(&space) {
            return known.clone();
        }
        self.spaces.write().entry(space).or_default().clone()
    }

    /// A space is gone: what was counted in it still counts in all.
    pub(crate) fn space_deleted(&self, space: SpaceId) {
        if let Some(gone) = self.spaces.write().remove(&space) {
            self.gone.write().add(&gone.counted());
        }
    }

    /// What was counted in all.
    pub fn counted(&self) -> Counted {
        let mut sum = *self.gone.read();
        for space in self.spaces.read().values() {
            sum.add(&space.counted());
        }
        sum
    }

    /// How fast it grows.
    pub fn rates(&self, now_ms: u64) -> Rates {
        let mut sum = Rates::default();
        for space in self.spaces.read().values() {
            sum.add(&space.rates(now_ms));
        }
        sum
    }

    /// What all queues hold.
    pub fn depth(&self) -> Depth {
        let mut sum = Depth::default();
        for space in self.spaces.read().values() {
            let depth = space.depth();
            sum.ready += depth.ready;
            sum.leased += depth.leased;
            sum.waiting += depth.waiting;
            sum.dying += depth.dying;
        }
        sum
    }
}

/// What a sampler reads: memory and room in bytes; connections, channels, consumers.
pub(crate) fn reading(
    statistics: &Statistics,
    at_ms: u64,
    (memory_bytes, disk_free_bytes): (u64, u64),
    (connections, channels, consumers): (u64, u64, u64),
) -> Reading {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Reading {
        at_ms,
        counted: statistics.counted(),
        latency: statistics.commits.latency(),
        depth: statistics.depth(),
        memory_bytes,
        disk_free_bytes,
        connections: count(connections),
        channels: count(channels),
        consumers: count(consumers),
    }
}

fn parts(depth: &Depth) -> [u64; 4] {
    [depth.ready, depth.leased, depth.waiting, depth.dying]
}

/// Of what a space counts: threads that count at once.
const STRIPES: usize = 8;
/// Of what its queues hold.
const DEPTH_STRIPES: usize = 4;

#[cfg(test)]
mod tests;
