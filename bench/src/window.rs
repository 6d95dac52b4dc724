//! The confirm window: which publishes still wait for the broker's word, and since when.
//!
//! Tags count from 1. Always: `floor` <= `next`, and a tag in between is either waiting (its
//! slot holds the time it was sent) or `CONFIRMED`, because a broker may confirm out of order.

use std::fmt;

/// Publishes in flight, bounded by `limit`.
pub struct Window {
    slots: Box<[u64]>,
    floor: u64,
    next: u64,
    in_flight: usize,
    limit: usize,
}

/// The broker confirmed a tag that was never published, or one twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Unexpected {
    tag: u64,
    next: u64,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "confirm of tag {} is not awaited; next publish is {}",
            self.tag, self.next
        )
    }
}

impl std::error::Error for Unexpected {}

impl Window {
    /// A window that lets `limit` publishes wait.
    pub fn new(limit: usize) -> Self {
        // Twice as many slots: one late confirm must not stop the others at once.
        let slots = (2 * limit).next_power_of_two();
        Self {
            slots: vec![CONFIRMED; slots].into_boxed_slice(),
            floor: 1,
            next: 1,
            in_flight: 0,
            limit,
        }
    }

    /// How many more may be published.
    pub fn free(&self) -> usize {
        let behind = (self.next - self.floor) as usize;
        (self.limit - self.in_flight).min(self.slots.len() - behind)
    }

    /// How many wait.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Notes one publish, sent at `at`.
    pub fn sent(&mut self, at: u64) {
        debug_assert!(self.free() > 0);
        let slot = self.slot(self.next);
        self.slots[slot] = at;
        self.next += 1;
        self.in_flight += 1;
    }

    /// Settles `tag`, with `multiple` also all before it (tag 0: all there are), and hands each
    /// one's sending time to `each`.
    pub fn confirmed(
        &mut self,
        tag: u64,
        multiple: bool,
        mut each: impl FnMut(u64),
    ) -> Result<(), Unexpected> {
        let last = if tag == 0 && multiple {
            self.next - 1
        } else {
            tag
        };
        if last >= self.next || (last < self.floor && !multiple) {
            return Err(Unexpected {
                tag,
                next: self.next,
            });
        }
        let first = if multiple { self.floor } else { last };
        for tag in first..=last {
            let slot = self.slot(tag);
            let sent_at = std::mem::replace(&mut self.slots[slot], CONFIRMED);
            if sent_at != CONFIRMED {
                self.in_flight -= 1;
                each(sent_at);
            } else if !multiple {
                return Err(Unexpected {
                    tag,
                    next: self.next,
                });
            }
        }
        while self.floor < self.next && self.slots[self.slot(self.floor)] == CONFIRMED {
            self.floor += 1;
        }
        Ok(())
    }

    fn slot(&self, tag: u64) -> usize {
        (tag as usize) & (self.slots.len() - 1)
    }
}

const CONFIRMED: u64 = u64::MAX;

#[cfg(test)]
mod tests;
