//! When which records of a log are due: delays, schedules, expiry.
//!
//! A million records, due seconds to years ahead, must cost a few megabytes. So far times
//! are *forgotten*: a record a week ahead is a bit in the bitmap of a slot three days
//! wide. Its exact time is in the record itself, and when the slot comes near, the
//! schedule wants to be told it again: into an exact entry if it is close enough by
//! then, else into a narrower slot.
//!
//! ```text
//! slot     width      recalled before its beginning
//! level 0       1 s      2 s
//!       1      64 s     10 s
//!       2      68 min    1 min
//!       3       3 days  10 min
//!       4     194 days  10 min
//!       5      34 years 10 min
//! ```
//! A slot on time is told into narrower ones, so that a record is read again at most once
//! a level. What is due within a minute stays exact without having been forgotten while
//! that takes little room.
//!
//! Always: an offset is in at most one place (an exact entry, a slot, or wanted), and it
//! is in none before it was inserted and after it was due or removed. Slots are recalled
//! later than the time last told, or they would be wanted already. [`Schedule::check`]
//! asserts it. Times are Unix milliseconds and may jump: backwards, what is in the
//! schedule only waits longer.

mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use roaring::RoaringTreemap;

use self::set::OffsetSet;
use super::runs::RunMap;

/// Whether the time of a record can be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// The time is in the record, and may be forgotten.
    FromRecord,
    /// The time is nowhere else: a retry's back-off. Stays in memory.
    Keep,
}

/// See the module's comment. Offsets are plain numbers here.
#[derive(Debug)]
pub struct Schedule {
    /// The time last told.
    now_ms: u64,
    /// Exact entries by offset: time, and whether it may be forgotten.
    times: RunMap<(u64, Recall)>,
    /// Time and start of each run of `times`.
    by_time: BTreeSet<(u64, u64)>,
    slots: BTreeMap<Slot, OffsetSet>,
    /// What must be told again, by when its slot begins: what is due sooner is asked first.
    wanted: BTreeMap<u64, OffsetSet>,
}

/// How many offsets are due in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Unix milliseconds.
    pub start_ms: u64,
    /// Not included.
    pub end_ms: u64,
    /// How many.
    pub count: u64,
}

impl Span {
    fn of(times: Range<u64>, count: u64) -> Span {
        Span {
            start_ms: times.start,
            end_ms: times.end,
            count,
        }
    }
}

/// A span of time whose records are known, but not when in it they are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    /// When its records' times must be asked for.
    recall_ms: u64,
    level: usize,
    start_ms: u64,
}

impl Schedule {
    /// An empty schedule.
    pub fn new(now_ms: u64) -> Schedule {
        Schedule {
            now_ms,
            times: RunMap::default(),
            by_time: BTreeSet::new(),
            slots: BTreeMap::new(),
            wanted: BTreeMap::new(),
        }
    }

    /// Schedules offsets, none of which is in the schedule, for `at_ms`, which may be past.
    pub fn insert(&mut self, at_ms: u64, offsets: Range<u64>, recall: Recall) {
        if offsets.is_empty() {
            return;
        }
        debug_assert!(self.times.at(offsets.start).is_none(), "scheduled once");
        let near = at_ms < self.now_ms.saturating_add(NEAR_MS);
        let has_room = self.times.run_count() < EXACT_RUNS_MAX;
        if recall == Recall::Keep || (near && has_room) {
            return self.insert_exact(at_ms, offsets, recall);
        }
        match self.slot_of(at_ms) {
            Some(slot) => self.slots.entry(slot).or_default().insert(offsets),
            None => self.insert_exact(at_ms, offsets, recall),
        }
    }

    /// Forgets offsets: purged, cancelled, settled otherwise. Asks each of the hundreds of
    /// slots there may be, so a range at once is cheaper than its offsets one by one.
    pub fn remove(&mut self, offsets: Range<u64>) {
        if offsets.is_empty() {
            return;
        }
        self.remove_exact(offsets.clone());
        let cut = |set: &mut OffsetSet| {
            set.remove(&offsets);
            !set.is_empty()
        };
        self.slots.retain(|_, set| cut(set));
        self.wanted.retain(|_, set| cut(set));
    }

    /// Takes what is due out of the schedule and appends it to `due`: in order of time,
    /// then offset; neighbours due at the same time as one range. Slots that came near
    /// become wanted.
    pub fn advance(&mut self, now_ms: u64, due: &mut Vec<Range<u64>>) {
        self.now_ms = now_ms;
        // The time and the end of the range appended last.
        let mut last = None;
        while let Some((at_ms, start)) = self.by_time.first().copied()
            && at_ms <= now_ms
        {
            let (run, _) = self.times.from(start).expect("each run is in both");
            self.remove_exact(run.clone());
            match due.last_mut() {
                Some(range) if last == Some((at_ms, run.start)) => range.end = run.end,
                _ => due.push(run.clone()),
            }
            last = Some((at_ms, run.end));
        }
        while let Some(entry) = self.slots.first_entry()
            && entry.key().recall_ms <= now_ms
        {
            let (slot, set) = entry.remove_entry();
            // After a jump of time hundreds of slots may have begun: one set for all.
            let begins_ms = match slot.start_ms <= now_ms {
                true => 0,
                false => slot.start_ms,
            };
            *self.wanted.entry(begins_ms).or_default() |= set;
        }
    }

    /// When to call [`Schedule::advance`] next; `None` = nothing will come by waiting.
    /// What is [wanted](Schedule::wanted) is not considered: it is asked for at once.
    pub fn next_ms(&self) -> Option<u64> {
        let exact_ms = self.by_time.first().map(|(at_ms, _)| *at_ms);
        let slot_ms = self.slots.first_key_value().map(|(slot, _)| slot.recall_ms);
        exact_ms.into_iter().chain(slot_ms).min()
    }

    /// When the first offset is due, or, where its time is forgotten, the beginning of the
    /// span in which it is. `None`: nothing is in the schedule.
    pub fn next_due_ms(&self) -> Option<u64> {
        let exact_ms = self.by_time.first().map(|(at_ms, _)| *at_ms);
        // Slots are in the order of their recall, which wider ones have earlier.
        let slot_ms = self.slots.keys().map(|slot| slot.start_ms).min();
        let wanted_ms = self.wanted.keys().next().copied();
        [exact_ms, slot_ms, wanted_ms].into_iter().flatten().min()
    }

    /// How many offsets are due when, in the order of time: each exact time for itself, what
    /// is forgotten by the span of its slot. After `most` exact times the rest of them is one
    /// span.
    pub fn spans(&self, most: usize) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut counted = 0;
        for (at_ms, start) in &self.by_time {
            let new = spans.last().is_none_or(|last| last.start_ms != *at_ms);
            if new && spans.len() >= most {
                let last_ms = self.by_time.last().map_or(*at_ms, |(last_ms, _)| *last_ms);
                let rest = self.times.total() - counted;
                spans.push(Span::of(*at_ms..last_ms + 1, rest));
                break;
            }
            let run = self.times.from(*start).map(|(run, _)| run);
            let count = run.map_or(0, |run| run.end - run.start);
            counted += count;
            match spans.last_mut().filter(|_| !new) {
                Some(last) => last.count += count,
                None => spans.push(Span::of(*at_ms..at_ms + 1, count)),
            }
        }
        for (slot, set) in &self.slots {
            let end_ms = slot.start_ms.saturating_add(LEVELS[slot.level].width_ms);
            spans.push(Span::of(slot.start_ms..end_ms, set.bitmap().len()));
        }
        for (begins_ms, set) in &self.wanted {
            let at_ms = (*begins_ms).max(self.now_ms);
            spans.push(Span::of(at_ms..at_ms + 1, set.bitmap().len()));
        }
        spans.sort_by_key(|span| span.start_ms);
        spans
    }

    /// The offsets that are due first, as far as exact times are known: at most so many.
    pub fn first_due(&self, most: usize) -> Vec<(u64, u64)> {
        let mut due = Vec::new();
        for (at_ms, start) in &self.by_time {
            let run = self.times.from(*start).map(|(run, _)| run);
            for offset in run.into_iter().flatten() {
                if due.len() >= most {
                    return due;
                }
                due.push((*at_ms, offset));
            }
        }
        // Slots that come first, in the order of their offsets.
        for (slot, set) in &self.slots {
            let room = most - due.len();
            due.extend(set.bitmap().iter().take(room).map(|at| (slot.start_ms, at)));
        }
        due
    }

    /// When an offset is due, if its time is not forgotten.
    pub fn time_of(&self, offset: u64) -> Option<u64> {
        self.times.at(offset).map(|(at_ms, _)| at_ms)
    }

    /// Offsets whose times must be told, the most urgent first: the range begins and ends
    /// with a wanted one and spans at most `length_max` (at least 1) offsets, of which some
    /// may not be wanted. What is not told or removed stays wanted.
    pub fn wanted(&self, length_max: u64) -> Option<Range<u64>> {
        let (_, set) = self.wanted.first_key_value()?;
        set.first(length_max)
    }

    /// Takes the time of offsets. Those that are not wanted are ignored.
    pub fn told(&mut self, at_ms: u64, offsets: Range<u64>) {
        let mut runs: Vec<Range<u64>> = Vec::new();
        self.wanted.retain(|_, set| {
            set.take(&offsets, &mut runs);
            !set.is_empty()
        });
        for run in runs {
            self.insert(at_ms, run, Recall::FromRecord);
        }
    }

    /// Exact entries that are nowhere else, in order of their offsets, with their times.
    pub fn kept(&self) -> Vec<(Range<u64>, u64)> {
        let kept = self.times.iter();
        kept.filter(|(_, (_, recall))| *recall == Recall::Keep)
            .map(|(run, (at_ms, _))| (run, at_ms))
            .collect()
    }

    /// How many offsets are in the schedule.
    pub fn len(&self) -> u64 {
        self.times.total() + self.bitmaps().map(RoaringTreemap::len).sum::<u64>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.slots.is_empty() && self.wanted.is_empty()
    }

    /// Whether an offset is in the schedule.
    pub fn contains(&self, offset: u64) -> bool {
        self.times.at(offset).is_some() || self.sets().any(|set| set.contains(offset))
    }

    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> u64 {
        let slot_bytes = |bitmap: &RoaringTreemap| bitmap.serialized_size() + SLOT_BYTES;
        let bytes = self.bitmaps().map(slot_bytes).sum::<usize>();
        (bytes + self.times.run_count() * EXACT_RUN_BYTES) as u64
    }

    fn sets(&self) -> impl Iterator<Item = &OffsetSet> {
        self.slots.values().chain(self.wanted.values())
    }

    fn bitmaps(&self) -> impl Iterator<Item = &RoaringTreemap> {
        self.sets().map(OffsetSet::bitmap)
    }

    /// The slot for a time; `None` if every slot around it would be wanted at once.
    fn slot_of(&self, at_ms: u64) -> Option<Slot> {
        let ahead_ms = at_ms.saturating_sub(self.now_ms);
        let fitting = LEVELS
            .iter()
            .position(|level| ahead_ms / SLOTS_PER_LEVEL < level.width_ms)
            .unwrap_or(LEVELS.len() - 1);
        let levels = LEVELS[..=fitting].iter().enumerate().rev();
        let mut slots = levels.map(|(level, span)| {
            let start_ms = at_ms - at_ms % span.width_ms;
            Slot {
                recall_ms: start_ms.saturating_sub(span.lead_ms),
                level,
                start_ms,
            }
        });
        slots.find(|slot| slot.recall_ms > self.now_ms)
    }

    fn insert_exact(&mut self, at_ms: u64, offsets: Range<u64>, recall: Recall) {
        let value = (at_ms, recall);
        // A neighbour above with the same value loses its start to the merged run.
        if self.times.at(offsets.end) == Some(value) {
            self.by_time.remove(&(at_ms, offsets.end));
        }
        self.times.insert(offsets.clone(), value);
        let (run, _) = self.times.from(offsets.start).expect("just inserted");
        self.by_time.insert((at_ms, run.start));
    }

    fn remove_exact(&mut self, offsets: Range<u64>) {
        let by_time = &mut self.by_time;
        let mut last = None;
        self.times.remove(
            offsets,
            |_| true,
            |cut, (at_ms, recall)| {
                // Unless the run begins before the cut, and then keeps its start.
                by_time.remove(&(at_ms, cut.start));
                last = Some((cut.end, (at_ms, recall)));
            },
        );
        // What is left of the last run begins later than it did.
        if let Some((end, value)) = last
            && self.times.at(end) == Some(value)
        {
            self.by_time.insert((value.0, end));
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        self.times.check();
        assert_eq!(self.times.run_count(), self.by_time.len());
        let mut all = RoaringTreemap::new();
        for (run, (at_ms, _)) in self.times.iter() {
            assert!(self.by_time.contains(&(at_ms, run.start)));
            all.insert_range(run);
        }
        for set in self.sets() {
            assert!(!set.is_empty(), "an empty slot");
            set.check();
            all |= set.bitmap();
        }
        assert_eq!(all.len(), self.len(), "an offset in two places");
        for slot in self.slots.keys() {
            let level = LEVELS[slot.level];
            assert_eq!(slot.start_ms % level.width_ms, 0);
            assert_eq!(slot.recall_ms, slot.start_ms.saturating_sub(level.lead_ms));
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Level {
    width_ms: u64,
    /// How long before its beginning a slot is recalled: the records must be read again,
    /// and a wider slot likely has more.
    lead_ms: u64,
}

const LEVELS: [Level; 6] = [
    Level::new(0, 2_000),
    Level::new(1, 10_000),
    Level::new(2, 60_000),
    Level::new(3, 600_000),
    Level::new(4, 600_000),
    Level::new(5, 600_000),
];

impl Level {
    const fn new(level: u32, lead_ms: u64) -> Level {
        Level {
            width_ms: 1_000 * SLOTS_PER_LEVEL.pow(level),
            lead_ms,
        }
    }
}

const SLOTS_PER_LEVEL: u64 = 64;
/// What is due sooner stays exact as long as there is room.
const NEAR_MS: u64 = 64_000;
/// Half a megabyte.
const EXACT_RUNS_MAX: usize = 8 * 1024;
/// A run in two B-trees, two thirds full.
const EXACT_RUN_BYTES: usize = (32 + 16) * 3 / 2;
/// A slot's nodes beside its bitmap's containers.
const SLOT_BYTES: usize = 600;

#[cfg(test)]
mod tests;
