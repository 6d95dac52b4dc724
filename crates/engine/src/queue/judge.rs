//! What a queue knows of its records where offsets alone do not decide: when they expire,
//! how large they are, which goes next, and which have to wait.
//!
//! Always: what is judged is below `known`; `known` grows as the queue is told facts, at
//! the append while they are at hand, later by asking. Only a window of ready records is
//! judged ahead where that is enough (first in, first out, or by key), so that a long
//! backlog costs no memory; priorities and bounds by size need to know all.

use std::collections::VecDeque;
use std::ops::Range;

use super::order::Order;
use super::properties::Properties;
use super::runs::RunMap;
use super::schedule::Schedule;

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Judge {
    /// All below are judged.
    pub known: u64,
    /// All below are in the order already: they may be judged again, by other rules.
    pub ordered: u64,
    /// Facts from `known` on were asked for and have not come.
    pub asked: bool,
    /// Times of records that wait were asked for and have not come.
    pub asked_times: bool,
    /// Unix milliseconds at which records expire.
    pub expiries: RunMap<u64>,
    pub order: Order,
    pub schedule: Schedule,
    pub sizes: Option<Sizes>,
}

/// Sizes of the records above the floor, and their sum over those that are ready.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    base: u64,
    sizes: VecDeque<u32>,
    pub ready_bytes: u64,
}

impl Judge {
    pub fn new(properties: &Properties, known: u64, now_ms: u64) -> Judge {
        Judge {
            known,
            ordered: known,
            asked: false,
            asked_times: false,
            expiries: RunMap::default(),
            order: Order::of(properties),
            schedule: Schedule::new(now_ms),
            sizes: properties.bytes_max.map(|_| Sizes {
                base: known,
                ..Sizes::default()
            }),
        }
    }

    /// Forgets what was judged of times and sizes, to judge again by other rules. The order
    /// stays, and what waits goes on waiting.
    pub fn restart(&mut self, properties: &Properties, floor: u64, now_ms: u64) {
        let fresh = Judge::new(properties, floor, now_ms);
        self.known = fresh.known;
        self.asked = false;
        self.expiries = fresh.expiries;
        self.sizes = fresh.sizes;
    }

    /// How many ready records may be judged ahead.
    pub fn window(&self) -> u64 {
        match self.order {
            _ if self.sizes.is_some() => u64::MAX,
            Order::Offset(_) => AHEAD_COUNT,
            Order::Keys(_) => AHEAD_KEYS_COUNT,
            Order::Bands(_) => u64::MAX,
        }
    }

    /// These became ready.
    pub fn enter(&mut self, range: &Range<u64>) {
        if let Some(sizes) = &mut self.sizes {
            sizes.ready_bytes += sizes.sum(range);
        }
    }

    /// These are ready no more.
    pub fn leave(&mut self, range: &Range<u64>) {
        if let Some(sizes) = &mut self.sizes {
            sizes.ready_bytes -= sizes.sum(range);
        }
    }

    /// Nobody is owed these any more, nor anything below `floor`.
    pub fn forget(&mut self, range: Range<u64>, floor: u64) {
        if !self.expiries.is_empty() {
            self.expiries.remove(range, |_| true, |_, _| ());
            self.expiries.remove(0..floor, |_| true, |_, _| ());
        }
        if let Some(sizes) = &mut self.sizes {
            sizes.cut(floor);
        }
    }

    /// When the record expires, if it does, and how far that holds.
    pub fn expiry(&self, offset: u64) -> (Option<u64>, u64) {
        match self.expiries.from(offset) {
            Some((run, at_ms)) if run.start <= offset => (Some(at_ms), run.end),
            Some((run, _)) => (None, run.start),
            None => (None, u64::MAX),
        }
    }
}

impl Sizes {
    /// The sizes of records that follow on those known.
    pub fn push(&mut self, range: &Range<u64>, bytes: u32) {
        // What was passed over is settled, and has no size any more.
        for offset in self.base + self.sizes.len() as u64..range.end {
            let is_told = offset >= range.start;
            self.sizes.push_back(if is_told { bytes } else { 0 });
        }
    }

    pub fn sum(&self, range: &Range<u64>) -> u64 {
        let index = |offset: u64| (offset.saturating_sub(self.base) as usize).min(self.sizes.len());
        self.sizes
            .range(index(range.start)..index(range.end))
            .map(|bytes| u64::from(*bytes))
            .sum()
    }

    fn cut(&mut self, floor: u64) {
        let count = (floor.saturating_sub(self.base) as usize).min(self.sizes.len());
        self.sizes.drain(..count);
        self.base += count as u64;
    }
}

/// Ready records judged ahead of those leased: a few megabytes at most.
const AHEAD_COUNT: u64 = 65_536;
/// The same where records are chosen by key, so that one key's backlog hides no other.
const AHEAD_KEYS_COUNT: u64 = 262_144;
