//! A fixed rate: which messages are due by now, in nanoseconds of the run's clock.

/// When each message is due, by its number.
pub struct Pace {
    start: u64,
    rate: u64,
}

impl Pace {
    /// A pace of `rate` a second from `start` on, for the calling thread.
    pub fn new(rate: u32, start: u64) -> Self {
        // Waking on time is the point of pacing; the kernel's usual slack is 50 µs.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        Self {
            start,
            rate: u64::from(rate),
        }
    }

    /// How many are due by `now`, in all.
    pub fn due(&self, now: u64) -> u64 {
        (now.saturating_sub(self.start)) * self.rate / NANOSECONDS + 1
    }

    /// When the message with this number, from 0, is due.
    pub fn due_at(&self, number: u64) -> u64 {
        // Rounded up, so that `due(due_at(n))` is always past n.
        self.start + (number * NANOSECONDS).div_ceil(self.rate)
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
