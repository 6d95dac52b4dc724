//! The newest batches of a log, in memory: first those that are also in a segment, then
//! the pinned ones, without a gap between them.

use std::collections::VecDeque;
use std::sync::Arc;

use bongsu_record::{Lsn, Offset};

use super::budget::Payload;
use crate::segment::unit_bytes;

pub(crate) struct Item {
    pub base: Offset,
    pub count: u32,
    pinned: bool,
    /// Behind its entry in the lane; zero for a log of memory durability.
    pub lsn: Lsn,
    pub payload: Arc<Payload>,
}

impl Item {
    pub fn new(base: Offset, lsn: Lsn, payload: Arc<Payload>, pinned: bool) -> Item {
        if pinned {
            payload.pin();
        }
        Item {
            base,
            count: payload.batch.offset_count(),
            pinned,
            lsn,
            payload,
        }
    }

    pub fn end(&self) -> Offset {
        self.base.plus(u64::from(self.count))
    }

    fn unit_bytes(&self) -> u64 {
        unit_bytes(self.payload.batch.len())
    }

    fn unpin(&mut self) {
        if std::mem::take(&mut self.pinned) {
            self.payload.unpin();
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.unpin();
    }
}

#[derive(Default)]
pub(crate) struct Tail {
    items: VecDeque<Item>,
    /// Items at the front that are also in a segment.
    stored: usize,
    /// What the others will take up in one.
    pinned_bytes: u64,
}

impl Tail {
    /// First offset it holds.
    pub fn start(&self) -> Option<Offset> {
        self.items.front().map(|item| item.base)
    }

    /// Adds the newest batch: pinned, or already in a segment (then all before it are).
    pub fn push(&mut self, item: Item) {
        if !item.pinned {
            debug_assert_eq!(self.stored, self.items.len());
            self.stored += 1;
        } else {
            self.pinned_bytes += item.unit_bytes();
        }
        self.items.push_back(item);
    }

    /// From the item that holds `from` on.
    pub fn from(&self, from: Offset) -> impl Iterator<Item = &Item> {
        let first = self.items.partition_point(|item| item.end() <= from);
        self.items.range(first..)
    }

    pub fn pinned(&self) -> impl Iterator<Item = &Item> {
        self.items.range(self.stored..)
    }

    /// All below `end` is in a segment.
    pub fn store_to(&mut self, end: Offset) {
        while let Some(item) = self.items.get_mut(self.stored) {
            if item.base >= end {
                break;
            }
            self.pinned_bytes -= item.unit_bytes();
            item.unpin();
            self.stored += 1;
        }
    }

    /// Drops whole batches below `floor`.
    pub fn trim(&mut self, floor: Offset) {
        while self.items.front().is_some_and(|item| item.end() <= floor) {
            let first = self.items.pop_front();
            match self.stored.checked_sub(1) {
                Some(stored) => self.stored = stored,
                None => self.pinned_bytes -= first.map_or(0, |item| item.unit_bytes()),
            }
        }
        self.shrink();
    }

    /// Drops stored batches below `end`; false: one of them is not durable, and stays. What
    /// is not durable is told from what is by the items here alone, see [`Tail::undurable`].
    pub fn evict(&mut self, end: Offset, durable: Lsn) -> bool {
        let mut all_gone = true;
        while self.stored > 0
            && let Some(item) = self.items.front().filter(|item| item.base < end)
        {
            if item.lsn > durable {
                all_gone = false;
                break;
            }
            self.items.pop_front();
            self.stored -= 1;
        }
        self.shrink();
        all_gone
    }

    /// What the batches that are in no segment will take up in one.
    pub fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    /// The first from `from` on that is as asked for; none before it is.
    pub fn first_from(&self, from: Offset, is: impl Fn(&Item) -> bool) -> Option<&Item> {
        let first = self.items.partition_point(|item| item.end() <= from);
        let found = self.items.partition_point(|item| !is(item));
        self.items.get(first.max(found))
    }

    /// Where what is not durable begins, and with what all of it is.
    pub fn undurable(&self, durable: Lsn) -> Option<(Offset, Lsn)> {
        let last = self.items.back().filter(|item| item.lsn > durable)?;
        let first = self.items.partition_point(|item| item.lsn <= durable);
        Some((self.items.get(first)?.base, last.lsn))
    }

    pub fn memory_bytes(&self) -> u64 {
        self.items.iter().map(|item| item.payload.cost()).sum()
    }

    // A queue that once had a million records must not keep room for them.
    fn shrink(&mut self) {
        if self.items.capacity() > 64 && self.items.len() < self.items.capacity() / 4 {
            self.items.shrink_to(self.items.len() * 2);
        }
    }
}
