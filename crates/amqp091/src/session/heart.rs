//! Heartbeats, both ways.
//!
//! Whoever was silent for two intervals is gone (specification 4.2.7). We send after half
//! an interval without other output, so that one late frame harms nobody. While the client
//! is held back nothing is read from it, so its silence says nothing.

use std::time::{Duration, Instant};

use super::Now;

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Heart {
    /// Zero: no heartbeats.
    interval: Duration,
    received: Instant,
    sent: Instant,
    held_back: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Send a heartbeat.
    Beat,
    /// The client is gone.
    Dead,
}

impl Heart {
    pub fn new(interval_s: u16, now: Now) -> Heart {
        Heart {
            interval: Duration::from_secs(u64::from(interval_s)),
            received: now.instant,
            sent: now.instant,
            held_back: false,
        }
    }

    pub fn has_received(&mut self, now: Now) {
        self.received = now.instant;
    }

    pub fn has_sent(&mut self, now: Now) {
        self.sent = now.instant;
    }

    pub fn hold_back(&mut self, on: bool, now: Now) {
        self.held_back = on;
        self.received = now.instant;
    }

    pub fn due(&self, now: Now) -> Due {
        if self.interval.is_zero() {
            Due::Nothing
        } else if !self.held_back && self.received + self.interval * 2 <= now.instant {
            Due::Dead
        } else if self.sent + self.interval / 2 <= now.instant {
            Due::Beat
        } else {
            Due::Nothing
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        let beat = self.sent + self.interval / 2;
        let dead = self.received + self.interval * 2;
        Some(if self.held_back { beat } else { beat.min(dead) })
    }
}
