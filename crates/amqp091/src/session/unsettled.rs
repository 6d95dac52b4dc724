//! Deliveries of one channel that were not acknowledged, by tag.
//!
//! Tags are handed out in order, so entries stand in order, and mostly without gaps: a
//! tag's place is looked for where it would be without any, else by halving. What was taken
//! from the middle leaves a hole; holes are closed once they outnumber what is there, so
//! memory follows what is unsettled, whatever the order of acknowledgements.

use std::collections::VecDeque;

use bongsu_engine::session::LinkId;
use bongsu_record::Offset;

use super::tx::Settled;

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    entries: VecDeque<Entry>,
    holes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u64,
    offset: Offset,
    /// `None`: a hole.
    link: Option<LinkId>,
}

impl Unsettled {
    /// A delivery, with a tag above all before.
    #[inline]
    pub fn push(&mut self, tag: u64, link: LinkId, offset: Offset) {
        let link = Some(link);
        self.entries.push_back(Entry { tag, offset, link });
    }

    /// Room for so many more.
    pub fn reserve(&mut self, count: usize) {
        self.entries.reserve(count);
    }

    /// Takes one tag; `None` if there is no such delivery.
    pub fn take(&mut self, tag: u64) -> Option<(LinkId, Offset)> {
        let index = self.find(tag)?;
        let entry = &mut self.entries[index];
        let taken = (entry.link.take()?, entry.offset);
        self.holes += 1;
        self.tidy();
        Some(taken)
    }

    /// Takes all up to a tag, which must be there; all there are if it is 0. Oldest first.
    /// `false` if there is no such delivery.
    pub fn take_to(&mut self, tag: u64, mut each: impl FnMut(u64, LinkId, Offset)) -> bool {
        let count = match tag {
            0 => self.entries.len(),
            tag => match self.find(tag) {
                Some(index) if self.entries[index].link.is_some() => index + 1,
                _ => return false,
            },
        };
        for entry in self.entries.drain(..count) {
            match entry.link {
                Some(link) => each(entry.tag, link, entry.offset),
                None => self.holes -= 1,
            }
        }
        self.tidy();
        true
    }

    /// Deliveries that were taken are unsettled again, under their tags.
    pub fn put_back(&mut self, taken: &[Settled]) {
        let back = taken.iter().map(|taken| Entry {
            tag: taken.tag,
            offset: taken.offset,
            link: Some(taken.link),
        });
        self.entries.extend(back);
        self.entries.retain(|entry| entry.link.is_some());
        self.entries
            .make_contiguous()
            .sort_unstable_by_key(|entry| entry.tag);
        self.holes = 0;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        (self.entries.len() - self.holes) as u64
    }

    /// Entries and holes.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let first = self.entries.front()?.tag;
        let guess = usize::try_from(tag.checked_sub(first)?).ok()?;
        match self.entries.get(guess) {
            Some(entry) if entry.tag == tag => Some(guess),
            _ => self
                .entries
                .binary_search_by_key(&tag, |entry| entry.tag)
                .ok(),
        }
    }

    fn tidy(&mut self) {
        while let Some(Entry { link: None, .. }) = self.entries.front() {
            self.entries.pop_front();
            self.holes -= 1;
        }
        if self.holes > HOLES_KEPT.max(self.entries.len() / 2) {
            self.entries.retain(|entry| entry.link.is_some());
            self.holes = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > CAPACITY_KEPT {
            self.entries.shrink_to(CAPACITY_KEPT);
        }
    }
}

const HOLES_KEPT: usize = 64;
/// A consumer that was given thousands at once will be again; one of millions is rare.
const CAPACITY_KEPT: usize = 8192;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bongsu_engine::session::Outcome;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map by tag.
        #[test]
        fn takes_what_a_map_would(
            steps in proptest::collection::vec((0u8..5, 1u64..40), 0..300),
        ) {
            let mut unsettled = Unsettled::default();
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            let mut next = 1;
            let mut settled = Vec::new();
            for (step, number) in steps {
                match step {
                    // Gaps come from consumers that need no acknowledgement.
                    0 => next += number % 3,
                    1 => for _ in 0..number {
                        unsettled.push(next, LinkId(1), Offset(next * 2));
                        model.insert(next, next * 2);
                        next += 1;
                    },
                    2 => {
                        let tag = next.saturating_sub(number);
                        let taken = unsettled.take(tag);
                        settled.extend(taken.map(|(link, offset)| Settled {
                            tag,
                            link,
                            offset,
                            outcome: Outcome::Accept,
                        }));
                        prop_assert_eq!(taken.map(|(_, offset)| offset.0), model.remove(&tag));
                    }
                    3 => {
                        unsettled.put_back(&settled);
                        let back = settled.drain(..);
                        model.extend(back.map(|settled| (settled.tag, settled.offset.0)));
                    }
                    _ => {
                        let tag = next.saturating_sub(number);
                        let mut taken = Vec::new();
                        let known = unsettled.take_to(tag, |_, _, offset| taken.push(offset.0));
                        prop_assert_eq!(known, tag == 0 || model.contains_key(&tag));
                        if known {
                            let end = if tag == 0 { u64::MAX } else { tag };
                            let rest = model.split_off(&end.saturating_add(1));
                            prop_assert_eq!(taken, model.into_values().collect::<Vec<_>>());
                            model = rest;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn memory_follows_what_is_unsettled_if_the_first_never_is() {
        let mut unsettled = Unsettled::default();
        unsettled.push(1, LinkId(1), Offset(0));
        for tag in 2..100_000 {
            unsettled.push(tag, LinkId(1), Offset(tag));
            assert!(unsettled.take(tag).is_some());
            assert!(unsettled.len() < 200);
        }
        assert_eq!(unsettled.take(1), Some((LinkId(1), Offset(0))));
    }
}
