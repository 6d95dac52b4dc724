//! One channel: what it consumes, what it owes acknowledgements for, what it is publishing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bongsu_engine::session::LinkId;
use bongsu_record::native::Builder;
use bongsu_record::{Lsn, Offset};

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// We sent channel.close: everything but close-ok is passed over.
    pub closing: bool,
    /// Prefetch of consumers to come; 0 = none.
    pub prefetch: u16,
    pub consumers: BTreeMap<String, LinkId>,
    /// Links that only get, by queue; and links of cancelled consumers with leases left.
    pub getters: BTreeMap<String, LinkId>,
    pub cancelled: Vec<LinkId>,
    pub unsettled: Unsettled,
    /// Name that the last declare answered with: what an empty queue name means.
    pub last_queue: Option<String>,
    pub publishing: Publishing,
    pub confirms: Option<Confirms>,
    pub tags_made: u64,
}

/// What is being published.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    pub builder: Builder,
    /// Of the records in the builder, the open one included.
    pub exchange: String,
    pub routing_key: String,
    pub mandatory: bool,
    pub content: Content,
}

/// Where the content of a publish stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    #[default]
    None,
    /// Between method and content header.
    Header,
    /// So many body bytes are missing.
    Body(u64),
}

/// Publisher confirms of one channel.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Tag of the last message published.
    pub last_tag: u64,
    /// Last tag of each publish that waits, with the position it waits for.
    pub waiting: VecDeque<(u64, Lsn)>,
}

impl Confirms {
    /// The last tag that may be confirmed now.
    pub fn settle(&mut self, durable: Lsn) -> Option<u64> {
        let mut last = None;
        while let Some((tag, lsn)) = self.waiting.front() {
            if *lsn > durable {
                break;
            }
            last = Some(*tag);
            self.waiting.pop_front();
        }
        last
    }
}

/// Deliveries that were not acknowledged, by tag. Tags are consecutive, so a tag's place is
/// known.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// Tag of the first entry.
    first: u64,
    entries: VecDeque<Option<(LinkId, Offset)>>,
}

impl Default for Unsettled {
    fn default() -> Unsettled {
        Unsettled {
            first: 1,
            entries: VecDeque::new(),
        }
    }
}

impl Unsettled {
    /// The tag that the next delivery gets.
    pub fn next_tag(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// A delivery; `None` if it needs no acknowledgement.
    pub fn push(&mut self, entry: Option<(LinkId, Offset)>) {
        match (entry, self.entries.is_empty()) {
            (None, true) => self.first += 1,
            (entry, _) => self.entries.push_back(entry),
        }
    }

    /// Takes out one tag, or all up to it (all there are if it is 0), oldest first. `false`
    /// if there is no such delivery.
    pub fn take(&mut self, tag: u64, multiple: bool, mut each: impl FnMut(LinkId, Offset)) -> bool {
        if !multiple {
            let index = tag.checked_sub(self.first).map(|index| index as usize);
            let entry = index.and_then(|index| self.entries.get_mut(index));
            let Some((link, offset)) = entry.and_then(Option::take) else {
                return false;
            };
            each(link, offset);
            self.trim();
            return true;
        }
        let known = tag == 0 || (tag >= self.first && tag < self.next_tag());
        if !known {
            return false;
        }
        let count = match tag {
            0 => self.entries.len(),
            tag => (tag - self.first + 1) as usize,
        };
        for (link, offset) in self.entries.drain(..count).flatten() {
            each(link, offset);
        }
        self.first += count as u64;
        self.trim();
        true
    }

    /// Drops what was already taken from the front.
    fn trim(&mut self) {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries.shrink_to(KEPT_CAPACITY);
        }
    }
}

const KEPT_CAPACITY: usize = 4096;

/// Adds an offset to ranges, growing the last one where it can.
pub(super) fn add(ranges: &mut Vec<Range<Offset>>, offset: Offset) {
    match ranges.last_mut() {
        Some(last) if last.end == offset => last.end = offset.plus(1),
        _ => ranges.push(offset..offset.plus(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_once_and_multiple_takes_all_before() {
        let mut unsettled = Unsettled::default();
        for offset in 0..5 {
            unsettled.push(Some((LinkId(1), Offset(offset))));
        }
        let mut taken = Vec::new();
        assert!(unsettled.take(2, false, |_, offset| taken.push(offset.0)));
        assert!(!unsettled.take(2, false, |_, _| ()));
        assert!(unsettled.take(3, true, |_, offset| taken.push(offset.0)));
        assert!(!unsettled.take(3, true, |_, _| ()));
        assert!(!unsettled.take(9, true, |_, _| ()));
        assert!(unsettled.take(0, true, |_, offset| taken.push(offset.0)));
        assert_eq!(taken, [1, 0, 2, 3, 4]);
        assert_eq!(unsettled.next_tag(), 6);
    }
}
