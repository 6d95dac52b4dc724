//! What is counted, and how fast it grows.
//!
//! A count is added to per batch, by whoever has just done it; nothing visits what is idle.
//! [`Counts`] keeps two earlier readings of itself, at least [`WINDOW_MS`] apart, which an
//! addition moves on when they are old: a rate is a difference to one of them, and falls to 0
//! when nothing is added, without anybody moving anything.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What happens to records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Count {
    /// Published by clients; of a queue: appended to it.
    Publish,
    /// Published to an exchange.
    PublishIn,
    /// Put into queues by an exchange: one for each.
    PublishOut,
    /// Told to their publisher to be safe.
    Confirm,
    /// Given back: no queue took them.
    ReturnUnroutable,
    /// Gone: no queue took them.
    DropUnroutable,
    /// Delivered to consumers that settle.
    Deliver,
    /// Delivered to who need not settle: also what Kafka's clients fetch.
    DeliverNoAck,
    /// Got, to be settled.
    Get,
    /// Got, settled at once.
    GetNoAck,
    /// Asked for where there was none.
    GetEmpty,
    /// Accepted by who held them.
    Ack,
    /// Delivered or got though handed out before.
    Redeliver,
    /// Unwanted by who held them.
    Rejected,
    /// Not consumed in time.
    Expired,
    /// Dropped because their queue was full.
    MaxLength,
    /// Failed too often.
    DeliveryLimit,
    /// Moved on to where a queue's dead records go.
    DeadLettered,
    /// Bytes of what was published, as batches hold them.
    BytesIn,
    /// Bytes of what was delivered, got and fetched.
    BytesOut,
}

/// How many there are.
pub const KINDS: usize = Count::BytesOut as usize + 1;

/// All of them, in order.
pub const ALL: [Count; KINDS] = [
    Count::Publish,
    Count::PublishIn,
    Count::PublishOut,
    Count::Confirm,
    Count::ReturnUnroutable,
    Count::DropUnroutable,
    Count::Deliver,
    Count::DeliverNoAck,
    Count::Get,
    Count::GetNoAck,
    Count::GetEmpty,
    Count::Ack,
    Count::Redeliver,
    Count::Rejected,
    Count::Expired,
    Count::MaxLength,
    Count::DeliveryLimit,
    Count::DeadLettered,
    Count::BytesIn,
    Count::BytesOut,
];

/// Counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted(pub [u64; KINDS]);

/// Of each count, how many a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates(pub [f64; KINDS]);

impl Counted {
    /// One of them.
    pub fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Records that went out to consumers, however.
    pub fn deliver_get(&self) -> u64 {
        DELIVERIES.iter().map(|count| self.of(*count)).sum()
    }

    pub(crate) fn add(&mut self, other: &Counted) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = own.wrapping_add(*other);
        }
    }
}

impl Rates {
    /// One of them.
    pub fn of(&self, count: Count) -> f64 {
        self.0[count as usize]
    }

    /// Records that went out to consumers, however.
    pub fn deliver_get(&self) -> f64 {
        DELIVERIES.iter().map(|count| self.of(*count)).sum()
    }

    pub(crate) fn add(&mut self, other: &Rates) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own += *other;
        }
    }
}

const DELIVERIES: [Count; 4] = [
    Count::Deliver,
    Count::DeliverNoAck,
    Count::Get,
    Count::GetNoAck,
];

/// Counters of one thing. Whoever adds names a stripe: those who add to the same thing from
/// several threads should name different ones.
#[derive(Debug)]
pub struct Counts<const STRIPES: usize> {
    stripes: [Stripe; STRIPES],
    /// When the two earlier readings were taken, Unix milliseconds.
    late_ms: AtomicU64,
    early_ms: AtomicU64,
    /// Their low bits: what passes within two windows is far less.
    late: [AtomicU32; KINDS],
    early: [AtomicU32; KINDS],
}

/// A line of the processor's cache or more, so that two do not take turns on one.
#[derive(Debug)]
#[repr(align(64))]
struct Stripe([AtomicU64; KINDS]);

impl<const STRIPES: usize> Default for Counts<STRIPES> {
    fn default() -> Counts<STRIPES> {
        Counts {
            stripes: std::array::from_fn(|_| Stripe(std::array::from_fn(|_| AtomicU64::new(0)))),
            late_ms: AtomicU64::new(0),
            early_ms: AtomicU64::new(0),
            late: std::array::from_fn(|_| AtomicU32::new(0)),
            early: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl<const STRIPES: usize> Counts<STRIPES> {
    /// Adds to one counter.
    pub fn add(&self, stripe: usize, count: Count, more: u64, now_ms: u64) {
        let late_ms = self.late_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(late_ms) >= WINDOW_MS {
            self.rotate(late_ms, now_ms);
        }
        self.stripes[stripe % STRIPES].0[count as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// What is counted by now.
    pub fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for stripe in &self.stripes {
            for (sum, counter) in counted.0.iter_mut().zip(&stripe.0) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        counted
    }

    /// How fast each grew in the last five to fifteen seconds.
    pub fn rates(&self, now_ms: u64) -> Rates {
        let late_ms = self.late_ms.load(Ordering::Relaxed);
        let early_ms = self.early_ms.load(Ordering::Relaxed);
        let age_ms = now_ms.saturating_sub(late_ms);
        if age_ms >= 2 * WINDOW_MS {
            // Whatever was added since would have moved the readings on, but for what came
            // within a window of the last.
            return Rates::default();
        }
        let is_steady = late_ms.saturating_sub(early_ms) < 2 * WINDOW_MS;
        let (since, span_ms) = match age_ms < WINDOW_MS && is_steady {
            true => (&self.early, now_ms.saturating_sub(early_ms)),
            // Before the later reading nothing happened for a while.
            false => (&self.late, age_ms.max(WINDOW_MS)),
        };
        let span_s = span_ms as f64 / 1000.0;
        let now = self.counted();
        Rates(std::array::from_fn(|kind| {
            // The low bits are enough for a difference.
            let before = since[kind].load(Ordering::Relaxed);
            let grown = (now.0[kind] as u32).wrapping_sub(before);
            f64::from(grown) / span_s
        }))
    }

    /// Moves the readings on, unless somebody else just does.
    #[cold]
    fn rotate(&self, late_ms: u64, now_ms: u64) {
        let taken =
            self.late_ms
                .compare_exchange(late_ms, now_ms, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_err() {
            return;
        }
        self.early_ms.store(late_ms, Ordering::Relaxed);
        let counted = self.counted();
        for kind in 0..KINDS {
            let late = self.late[kind].load(Ordering::Relaxed);
            self.early[kind].store(late, Ordering::Relaxed);
            self.late[kind].store(counted.0[kind] as u32, Ordering::Relaxed);
        }
    }
}

/// How far apart the readings are, at least.
const WINDOW_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(counts: &Counts<2>, now_ms: u64) -> f64 {
        counts.rates(now_ms).of(Count::Publish)
    }

    #[test]
    fn all_are_in_order() {
        for (index, count) in ALL.iter().enumerate() {
            assert_eq!(*count as usize, index);
        }
    }

    #[test]
    fn stripes_are_one_count() {
        let counts = Counts::<2>::default();
        counts.add(0, Count::Ack, 3, 1);
        counts.add(1, Count::Ack, 4, 1);
        counts.add(6, Count::Deliver, 5, 1);
        counts.add(7, Count::Get, 6, 1);
        assert_eq!(counts.counted().of(Count::Ack), 7);
        assert_eq!(counts.counted().deliver_get(), 11);
    }

    #[test]
    fn what_flows_steadily_has_its_rate() {
        let counts = Counts::<2>::default();
        let from_ms = 1_000_000;
        for step in 0..400 {
            let now_ms = from_ms + step * 100;
            counts.add(step as usize, Count::Publish, 10, now_ms);
            if step > 150 {
                let rate = rate(&counts, now_ms);
                assert!((95.0..=105.0).contains(&rate), "{rate} at {step}");
            }
        }
    }

    #[test]
    fn what_stops_falls_to_nothing() {
        let counts = Counts::<2>::default();
        let from_ms = 1_000_000;
        counts.add(0, Count::Publish, 1000, from_ms);
        // A burst counts as if it had taken five seconds.
        assert_eq!(rate(&counts, from_ms), 200.0);
        assert_eq!(rate(&counts, from_ms + 4_000), 200.0);
        let mut before = f64::INFINITY;
        for later_ms in [5_000, 6_000, 8_000, 9_999] {
            let now = rate(&counts, from_ms + later_ms);
            assert!(now > 0.0 && now < before);
            before = now;
        }
        assert_eq!(rate(&counts, from_ms + 10_000), 0.0);
        // After a pause only what is new counts.
        counts.add(0, Count::Publish, 50, from_ms + 60_000);
        assert_eq!(rate(&counts, from_ms + 61_000), 10.0);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let counts = Counts::<2>::default();
        counts.add(0, Count::Publish, 10, 100_000);
        counts.add(0, Count::Publish, 10, 50_000);
        assert_eq!(counts.counted().of(Count::Publish), 20);
        assert!(rate(&counts, 50_000).is_finite());
    }
}
