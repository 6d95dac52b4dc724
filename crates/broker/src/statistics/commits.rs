//! How long what is published takes to be durable.
//!
//! Of all that one commit makes durable, the first is timed: it waited longest. So a
//! histogram of commits costs an append one look at a flag, however many there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bongsu_record::Lsn;
use parking_lot::Mutex;

/// See the module's comment.
#[derive(Debug)]
pub struct Commits {
    /// What is timed now, and since when; `u64::MAX`: nothing.
    timed: AtomicU64,
    since: Mutex<Option<Instant>>,
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// How many took at most as long as [`BUCKETS_US`] says, and no less long than the one
    /// before; the last: longer.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// Of all, in microseconds.
    pub sum_us: u64,
}

/// Upper bounds, in microseconds.
pub const BUCKETS_US: [u64; 16] = [
    100, 200, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 20_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 5_000_000,
];

impl Default for Commits {
    fn default() -> Commits {
        Commits {
            timed: AtomicU64::new(NOTHING),
            since: Mutex::new(None),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl Commits {
    /// Something was appended that is durable with `lsn`.
    pub(crate) fn appended(&self, lsn: Lsn, durable: Lsn) {
        if self.timed.load(Ordering::Relaxed) != NOTHING || lsn <= durable {
            return;
        }
        let mut since = self.since.lock();
        if since.is_none() {
            *since = Some(Instant::now());
            self.timed.store(lsn.0, Ordering::Release);
        }
    }

    /// Everything up to here is durable.
    pub(crate) fn durable(&self, durable: Lsn) {
        if self.timed.load(Ordering::Acquire) > durable.0 {
            return;
        }
        let since = self.since.lock().take();
        self.timed.store(NOTHING, Ordering::Release);
        if let Some(since) = since {
            let took_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.took(took_us);
        }
    }

    fn took(&self, took_us: u64) {
        let index = BUCKETS_US.partition_point(|bound| *bound < took_us);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// As it is.
    pub fn latency(&self) -> Latency {
        Latency {
            buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

impl Latency {
    /// How many were timed.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Latency) -> Latency {
        Latency {
            buckets: std::array::from_fn(|index| {
                self.buckets[index].saturating_sub(earlier.buckets[index])
            }),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }

    /// The bound that this part of all kept to, in microseconds; `None`: there were none. What
    /// took longer than the last bound is said to have taken that.
    pub fn quantile_us(&self, part: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = (count as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bound, found) in BUCKETS_US.iter().zip(&self.buckets) {
            seen += found;
            if seen >= wanted {
                return Some(*bound);
            }
        }
        BUCKETS_US.last().copied()
    }
}

const NOTHING: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_commit_is_timed_and_no_other() {
        let commits = Commits::default();
        commits.appended(Lsn(10), Lsn(0));
        commits.appended(Lsn(20), Lsn(0));
        commits.durable(Lsn(5));
        assert_eq!(commits.latency().count(), 0);
        commits.durable(Lsn(30));
        commits.durable(Lsn(31));
        assert_eq!(commits.latency().count(), 1);
        // What is durable already waits for nothing.
        commits.appended(Lsn(31), Lsn(31));
        commits.durable(Lsn(40));
        assert_eq!(commits.latency().count(), 1);
    }

    #[test]
    fn quantiles_are_bounds() {
        let commits = Commits::default();
        assert_eq!(commits.latency().quantile_us(0.5), None);
        for took_us in [100, 101, 900, 4_000, 10_000_000] {
            commits.took(took_us);
        }
        let latency = commits.latency();
        let quantile = |part| latency.quantile_us(part);
        assert_eq!(quantile(0.0), Some(100));
        assert_eq!(quantile(0.4), Some(200));
        assert_eq!(quantile(0.6), Some(1_000));
        assert_eq!(quantile(0.8), Some(5_000));
        assert_eq!(quantile(1.0), Some(5_000_000));
        assert_eq!(latency.since(&latency).count(), 0);
    }
}
