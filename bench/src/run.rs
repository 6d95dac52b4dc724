//! What the threads of one run share: a clock, flags to obey, counters to add to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::Result;

/// One run. Counters are added to once per read or write, not once per message.
pub struct Run {
    start: Instant,
    publishing: AtomicBool,
    consuming: AtomicBool,
    measuring: AtomicBool,
    failed: AtomicBool,
    sent: AtomicU64,
    confirmed: AtomicU64,
    delivered: AtomicU64,
}

/// The counters at one time.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Publishes written.
    pub sent: u64,
    /// Publishes the broker answered for.
    pub confirmed: u64,
    /// Deliveries read to their end.
    pub delivered: u64,
}

impl Run {
    /// A run that starts at once and does not measure yet.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            publishing: AtomicBool::new(true),
            consuming: AtomicBool::new(true),
            measuring: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// Nanoseconds since the run began: what a latency stamp is.
    #[inline]
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The counters as they are.
    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Relaxed),
            confirmed: self.confirmed.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
        }
    }

    /// Adds to the publishes written.
    pub fn add_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    /// Adds to the publishes confirmed.
    pub fn add_confirmed(&self, count: u64) {
        self.confirmed.fetch_add(count, Relaxed);
    }

    /// Adds to the deliveries read.
    pub fn add_delivered(&self, count: u64) {
        self.delivered.fetch_add(count, Relaxed);
    }

    /// Whether publishers go on.
    pub fn publishing(&self) -> bool {
        self.publishing.load(Relaxed)
    }

    /// Whether consumers go on.
    pub fn consuming(&self) -> bool {
        self.consuming.load(Relaxed)
    }

    /// Whether latencies count. Not while warming up and draining.
    pub fn measuring(&self) -> bool {
        self.measuring.load(Relaxed)
    }

    /// Turns measuring on or off.
    pub fn measure(&self, on: bool) {
        self.measuring.store(on, Relaxed);
    }

    /// Publishers await what is in flight and end.
    pub fn stop_publishing(&self) {
        self.publishing.store(false, Relaxed);
    }

    /// Everybody ends.
    pub fn stop(&self) {
        self.stop_publishing();
        self.consuming.store(false, Relaxed);
    }

    /// Passes a thread's outcome on; a failed one ends the whole run.
    pub fn watch<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.failed.store(true, Relaxed);
            self.stop();
        }
        outcome
    }

    /// Sleeps until `done`, a thread failed or `time` is over; says whether it was done.
    pub fn wait(&self, time: Duration, mut done: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + time;
        while !done() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.failed.load(Relaxed) {
                return false;
            }
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
        true
    }

    /// Waits until `delivered` reaches `wanted`, however long it takes as long as it moves.
    pub fn wait_delivered(&self, wanted: u64, time_max: Duration) -> bool {
        let mut last = (self.counts().delivered, Instant::now());
        let over = self.wait(time_max, || {
            let delivered = self.counts().delivered;
            if delivered != last.0 {
                last = (delivered, Instant::now());
            }
            delivered >= wanted || last.1.elapsed() > STUCK_AFTER
        });
        over && self.counts().delivered >= wanted
    }
}

const STUCK_AFTER: Duration = Duration::from_secs(10);
