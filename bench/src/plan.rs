//! What a publisher sends: where to, how much, and in what its messages differ.
//!
//! Messages are copies of one encoded frame sequence, so what differs has a fixed length and place:
//! an octet of priority, six digits of a name, four bytes of delay.

use std::time::Duration;

/// What to publish, how fast and how much.
#[derive(Clone)]
pub struct Plan {
    /// The exchange; "" is the default one.
    pub exchange: String,
    /// The routing key; the start of it where messages go to many queues.
    pub routing_key: String,
    /// Size of each body.
    pub body_bytes: usize,
    /// Delivery mode 2 instead of 1.
    pub persistent: bool,
    /// How many publishes may wait for their confirm; nothing: publish without confirms.
    pub window: Option<usize>,
    /// Publishes a transaction, one after another; then there are no confirms.
    pub transaction: Option<usize>,
    /// Publishes per second; nothing: as fast as the broker takes them.
    pub rate: Option<u32>,
    /// Publishes in all; nothing: until told to stop.
    pub count: Option<u64>,
    /// What the first eight bytes of each body say.
    pub stamp: Stamp,
    /// In what messages differ.
    pub vary: Vary,
}

/// The first eight bytes of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing.
    None,
    /// When it was sent, or when it is due if it is delayed; nanoseconds of the run's clock.
    Time,
    /// The message's number, from 0.
    Number,
}

/// In what the messages of one publisher differ.
#[derive(Clone, Copy)]
pub enum Vary {
    /// In nothing.
    Nothing,
    /// Priorities from 0 to one less than `levels`, in turn.
    Priority {
        /// How many.
        levels: u8,
    },
    /// Queues in turn, named by the routing key and `digits` of their number.
    Queue {
        /// How many.
        count: u64,
    },
    /// A header `GROUP_HEADER` naming the group; see `group_of`.
    Group {
        /// How many.
        count: u64,
    },
    /// A header `x-delay`.
    Delay(Schedule),
}

/// Messages that come due evenly over a time, about in the order they are sent in: each is late by
/// anything up to `jitter`.
#[derive(Clone, Copy)]
pub struct Schedule {
    /// When the first are due, in nanoseconds of the run's clock.
    pub start: u64,
    /// How long it goes on.
    pub spread: Duration,
    /// How far messages sent together come apart.
    pub jitter: Duration,
    /// How many messages.
    pub count: u64,
}

impl Schedule {
    /// When the message with this number is due, in nanoseconds of the run's clock.
    pub fn due(&self, number: u64) -> u64 {
        let step = self.spread.as_nanos() as u64 / self.count.max(1);
        let jitter = scattered(number) % (self.jitter.as_nanos() as u64).max(1);
        self.start + number * step + jitter
    }

    /// What to ask for at `now` so that it is never early, in milliseconds.
    pub fn delay_ms(&self, number: u64, now: u64) -> i32 {
        let left = self.due(number).saturating_sub(now);
        i32::try_from(left.div_ceil(1_000_000)).unwrap_or(i32::MAX)
    }
}

impl Plan {
    /// As many small, persistent and confirmed messages to `queue` as it takes.
    pub fn to_queue(queue: &str) -> Self {
        Self {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            body_bytes: 100,
            persistent: true,
            window: Some(1000),
            transaction: None,
            rate: None,
            count: None,
            stamp: Stamp::None,
            vary: Vary::Nothing,
        }
    }
}

/// The group that the message with this number belongs to.
pub fn group_of(number: u64, count: u64) -> u64 {
    scattered(number) % count
}

/// Six digits, the same length for every number below a million.
pub fn digits(number: u64) -> String {
    format!("{number:06}")
}

/// The same for the same number, and otherwise anywhere.
fn scattered(number: u64) -> u64 {
    // SplitMix64's last steps.
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The header that names a message's group.
pub const GROUP_HEADER: &str = "group";

#[cfg(test)]
mod tests;
