//! The last hour of the whole broker, for whoever looks at how it got here.

use std::collections::VecDeque;

use bongsu_engine::queue::why::Depth;
use parking_lot::Mutex;

use super::{Counted, Latency, Rates};

/// Readings of the last hour, [`INTERVAL_MS`] apart. About 500 KiB when full.
#[derive(Debug, Default)]
pub struct History {
    points: Mutex<VecDeque<Point>>,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    at_ms: u64,
    counted: Counted,
    latency: Latency,
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// How many a second since the reading before.
    pub rates: Rates,
    /// What all queues hold.
    pub depth: Depth,
    /// Of the process.
    pub memory_bytes: u64,
    /// Room on the disk.
    pub disk_free_bytes: u64,
    /// Clients.
    pub connections: u32,
    /// Their channels.
    pub channels: u32,
    /// Their consumers.
    pub consumers: u32,
    /// Of the commits since the reading before: half took at most so long, and nearly all;
    /// 0: there were none.
    pub commit_p50_us: u64,
    #[allow(missing_docs)]
    pub commit_p99_us: u64,
}

/// What a sampler read just now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub at_ms: u64,
    pub counted: Counted,
    pub latency: Latency,
    pub depth: Depth,
    pub memory_bytes: u64,
    pub disk_free_bytes: u64,
    pub connections: u32,
    pub channels: u32,
    pub consumers: u32,
}

impl History {
    /// What is newer than this, the oldest first.
    pub fn since(&self, at_ms: u64) -> Vec<Point> {
        let points = self.points.lock();
        let newer = points.iter().filter(|point| point.at_ms >= at_ms);
        newer.copied().collect()
    }

    /// Whether it is time for another reading.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        let last = self.last.lock();
        last.as_ref()
            .is_none_or(|last| now_ms >= last.at_ms + INTERVAL_MS || now_ms < last.at_ms)
    }

    pub(crate) fn take(&self, reading: &Reading) {
        let last = self.last.lock().replace(Last {
            at_ms: reading.at_ms,
            counted: reading.counted,
            latency: reading.latency,
        });
        let Some(last) = last else {
            return;
        };
        // A clock that was set back shows nothing for once.
        let span_s = reading.at_ms.saturating_sub(last.at_ms) as f64 / 1000.0;
        let mut rates = Rates::default();
        if span_s > 0.0 {
            let pairs = reading.counted.0.iter().zip(&last.counted.0);
            for (rate, (now, before)) in rates.0.iter_mut().zip(pairs) {
                *rate = now.saturating_sub(*before) as f64 / span_s;
            }
        }
        let latency = reading.latency.since(&last.latency);
        let mut points = self.points.lock();
        if points.len() >= POINTS_MAX {
            points.pop_front();
        }
        points.push_back(Point {
            at_ms: reading.at_ms,
            rates,
            depth: reading.depth,
            memory_bytes: reading.memory_bytes,
            disk_free_bytes: reading.disk_free_bytes,
            connections: reading.connections,
            channels: reading.channels,
            consumers: reading.consumers,
            commit_p50_us: latency.quantile_us(0.5).unwrap_or(0),
            commit_p99_us: latency.quantile_us(0.99).unwrap_or(0),
        });
    }
}

/// Between two readings.
pub const INTERVAL_MS: u64 = 5_000;
const POINTS_MAX: usize = 720;

#[cfg(test)]
mod tests {
    use super::super::{Commits, Count};
    use super::*;

    fn reading(at_ms: u64, published: u64) -> Reading {
        let mut counted = Counted::default();
        counted.0[Count::Publish as usize] = published;
        Reading {
            at_ms,
            counted,
            latency: Commits::default().latency(),
            depth: Depth::default(),
            memory_bytes: 1,
            disk_free_bytes: 2,
            connections: 3,
            channels: 4,
            consumers: 5,
        }
    }

    #[test]
    fn an_hour_of_rates_is_kept() {
        let history = History::default();
        assert!(history.is_due(1000));
        for step in 0..1000 {
            let at_ms = 1000 + step * INTERVAL_MS;
            assert!(history.is_due(at_ms));
            history.take(&reading(at_ms, step * 50));
            assert!(!history.is_due(at_ms + 4_999));
        }
        let all = history.since(0);
        assert_eq!(all.len(), POINTS_MAX);
        assert!(
            all.iter()
                .all(|point| point.rates.of(Count::Publish) == 10.0)
        );
        let last = all.last().unwrap().at_ms;
        assert_eq!(last, 1000 + 999 * INTERVAL_MS);
        assert_eq!(history.since(last - INTERVAL_MS).len(), 2);
    }

    #[test]
    fn a_clock_set_back_shows_nothing_once() {
        let history = History::default();
        history.take(&reading(100_000, 10));
        assert!(history.is_due(50_000));
        history.take(&reading(50_000, 20));
        history.take(&reading(55_000, 70));
        let rates: Vec<f64> = history
            .since(0)
            .iter()
            .map(|point| point.rates.of(Count::Publish))
            .collect();
        assert_eq!(rates, [0.0, 10.0]);
    }
}
