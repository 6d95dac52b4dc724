//! Records that became ready later than they were appended, in the order of their times.
//!
//! A delayed record takes its place behind all that was in the queue when it came due: its
//! *rank* is the log's end at that moment. So delayed records are served by time among
//! themselves, and nothing that came before they were due waits behind them.

use std::collections::BTreeMap;
use std::ops::Range;

/// Rank, then time, then whatever tells equal ones apart.
pub(super) type Place = (u64, u64, u64);

/// See the module's comment. Always: both maps hold the same ranges, disjoint.
#[derive(Debug, Default)]
pub(super) struct Late {
    by_place: BTreeMap<Place, Range<u64>>,
    /// By where they start.
    by_offset: BTreeMap<u64, Place>,
}

impl Late {
    /// Records came due at that rank.
    pub fn push(&mut self, place: Place, range: Range<u64>) {
        self.by_offset.insert(range.start, place);
        let before = self.by_place.insert(place, range);
        debug_assert!(before.is_none(), "places are told apart");
    }

    /// What is next, and its rank.
    pub fn first(&self) -> Option<(u64, Range<u64>)> {
        let (place, range) = self.by_place.first_key_value()?;
        Some((place.0, range.clone()))
    }

    /// These are ready no more, or not here: any part of any range.
    pub fn cut(&mut self, range: &Range<u64>) {
        let before = self.by_offset.range(..range.start).next_back();
        let within = self.by_offset.range(range.clone());
        let places: Vec<Place> = before.into_iter().chain(within).map(|(_, p)| *p).collect();
        for place in places {
            let Some(held) = self.by_place.get(&place).cloned() else {
                continue;
            };
            if held.end <= range.start {
                continue;
            }
            self.by_place.remove(&place);
            self.by_offset.remove(&held.start);
            let front = held.start..held.end.min(range.start);
            let back = held.start.max(range.end)..held.end;
            // The back part comes right behind the front part, if there is one.
            let behind = (
                place.0,
                place.1,
                place.2.saturating_add(u64::from(!front.is_empty())),
            );
            for (place, part) in [(place, front), (behind, back)] {
                if !part.is_empty() {
                    let free = self.free(place);
                    self.push(free, part);
                }
            }
        }
    }

    /// That place, or the next that nobody has.
    pub fn free(&self, mut place: Place) -> Place {
        while self.by_place.contains_key(&place) {
            place.2 += 1;
        }
        place
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        assert_eq!(self.by_place.len(), self.by_offset.len());
        let mut last = 0;
        for (start, place) in &self.by_offset {
            let range = &self.by_place[place];
            assert_eq!(range.start, *start);
            assert!(range.start < range.end && last <= range.start);
            last = range.end;
        }
    }
}
