//! A rate that is kept by waiting: a bucket that fills by so much a second, and may be owed.
//!
//! Whoever takes more than is there is not refused but told how long to wait until nothing is
//! owed any more: in the long run it gets exactly its rate, however large its pieces are.

/// See the module's comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    per_s: f64,
    burst_s: f64,
    /// Negative: owed.
    left: f64,
    at_ms: u64,
}

impl Rate {
    /// A full bucket: `per_s` a second, more than 0; what was not taken in `burst_s` seconds may
    /// be taken at once.
    pub fn new(per_s: f64, burst_s: f64, now_ms: u64) -> Rate {
        Rate {
            per_s,
            burst_s,
            left: per_s * burst_s,
            at_ms: now_ms,
        }
    }

    /// The rate is another from here on; what is owed stays owed.
    pub fn set(&mut self, per_s: f64, now_ms: u64) {
        if per_s.to_bits() != self.per_s.to_bits() {
            self.fill(now_ms);
            self.per_s = per_s;
            self.left = self.left.min(per_s * self.burst_s);
        }
    }

    /// Takes `count`; returns how many milliseconds to wait before more is taken.
    pub fn take(&mut self, count: u64, now_ms: u64) -> u64 {
        self.fill(now_ms);
        self.left -= count as f64;
        self.owed_ms()
    }

    /// How long what was taken before is still owed, in milliseconds.
    pub fn owed(&mut self, now_ms: u64) -> u64 {
        self.fill(now_ms);
        self.owed_ms()
    }

    /// Whether it is as if nobody had ever taken from it.
    pub fn is_full(&mut self, now_ms: u64) -> bool {
        self.fill(now_ms);
        self.left >= self.per_s * self.burst_s
    }

    fn fill(&mut self, now_ms: u64) {
        // A clock that goes back gives nothing.
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        let gained = passed_ms as f64 / 1000.0 * self.per_s;
        self.left = (self.left + gained).min(self.per_s * self.burst_s);
    }

    fn owed_ms(&self) -> u64 {
        let owed_ms = -self.left / self.per_s * 1000.0;
        // Rounded up: whoever comes back then finds nothing owed.
        owed_ms.clamp(0.0, DELAY_MS_MAX as f64).ceil() as u64
    }
}

/// Longest wait that is told: a day.
const DELAY_MS_MAX: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_beyond_the_burst_is_waited_for() {
        let mut rate = Rate::new(100.0, 10.0, 0);
        assert_eq!(rate.take(1000, 0), 0);
        assert_eq!(rate.take(50, 0), 500);
        assert_eq!(rate.owed(400), 100);
        assert_eq!(rate.owed(500), 0);
        assert_eq!(rate.take(1, 500), 10);
    }

    #[test]
    fn in_the_long_run_it_is_the_rate() {
        let mut rate = Rate::new(1000.0, 1.0, 0);
        let (mut now_ms, mut taken) = (0_u64, 0_u64);
        while now_ms < 100_000 {
            now_ms += rate.take(777, now_ms);
            taken += 777;
        }
        let expected = now_ms + 1000;
        assert!(taken.abs_diff(expected) <= 777, "{taken} {expected}");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut rate = Rate::new(10.0, 1.0, 1000);
        assert_eq!(rate.take(20, 1000), 1000);
        assert_eq!(rate.owed(0), 1000);
        assert_eq!(rate.owed(2000), 0);
        assert!(!rate.is_full(2000));
        assert!(rate.is_full(3000));
    }

    #[test]
    fn another_rate_keeps_what_is_owed() {
        let mut rate = Rate::new(10.0, 1.0, 0);
        assert_eq!(rate.take(30, 0), 2000);
        rate.set(20.0, 0);
        assert_eq!(rate.owed(0), 1000);
    }
}
