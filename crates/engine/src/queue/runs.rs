//! A map from ranges of offsets to values: disjoint, sorted, neighbours with equal values
//! merged. Ten million offsets in one state cost one entry.
//!
//! Keyed by the *end* of a run, so that the commonest change, taking offsets off the
//! front of a run (acknowledgements in order), changes an entry in place.

use std::collections::BTreeMap;
use std::ops::Range;

/// See the module's comment. Offsets are plain numbers here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMap<T> {
    /// end -> (start, value)
    runs: BTreeMap<u64, (u64, T)>,
    /// Sum of the lengths of all runs.
    total: u64,
}

impl<T> Default for RunMap<T> {
    fn default() -> Self {
        RunMap {
            runs: BTreeMap::new(),
            total: 0,
        }
    }
}

impl<T: Copy + PartialEq> RunMap<T> {
    /// How many offsets are in the map.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many runs that takes.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The lowest run.
    pub fn first(&self) -> Option<(Range<u64>, T)> {
        let (end, (start, value)) = self.runs.first_key_value()?;
        Some((*start..*end, *value))
    }

    /// All runs in order.
    pub fn iter(&self) -> impl Iterator<Item = (Range<u64>, T)> + '_ {
        self.runs
            .iter()
            .map(|(end, (start, value))| (*start..*end, *value))
    }

    /// The run that holds or follows `offset`, and those behind it.
    pub fn iter_from(&self, offset: u64) -> impl Iterator<Item = (Range<u64>, T)> + '_ {
        let runs = self.runs.range(offset.saturating_add(1)..);
        runs.map(|(end, (start, value))| (*start..*end, *value))
    }

    /// The value at an offset.
    pub fn at(&self, offset: u64) -> Option<T> {
        let (_, (start, value)) = self.runs.range(offset + 1..).next()?;
        (*start <= offset).then_some(*value)
    }

    /// The run that holds or follows `offset`.
    pub fn from(&self, offset: u64) -> Option<(Range<u64>, T)> {
        let (end, (start, value)) = self.runs.range(offset + 1..).next()?;
        Some((*start..*end, *value))
    }

    /// Puts `value` at `range`, of which no offset may be in the map.
    pub fn insert(&mut self, range: Range<u64>, value: T) {
        if range.is_empty() {
            return;
        }
        self.total += range.end - range.start;
        let mut start = range.start;
        if let Some((before, value_before)) = self.runs.get(&start)
            && *value_before == value
        {
            let before = *before;
            self.runs.remove(&start);
            start = before;
        }
        if let Some((end, (next_start, value_after))) = self.runs.range_mut(range.end..).next() {
            debug_assert!(*next_start >= range.end || *end == range.end);
            if *next_start == range.end && *value_after == value {
                *next_start = start;
                return;
            }
        }
        self.runs.insert(range.end, (start, value));
    }

    /// Takes the part of `range` whose value satisfies `which` out of the map, telling
    /// `taken` each piece in order.
    pub fn remove(
        &mut self,
        range: Range<u64>,
        which: impl Fn(T) -> bool,
        mut taken: impl FnMut(Range<u64>, T),
    ) {
        let mut from = range.start;
        while from < range.end {
            let Some((end, (start, value))) = self.runs.range_mut(from + 1..).next() else {
                return;
            };
            let (end, run_start, value) = (*end, *start, { *value });
            if run_start >= range.end {
                return;
            }
            let cut = run_start.max(range.start)..end.min(range.end);
            from = end;
            if !which(value) {
                continue;
            }
            self.total -= cut.end - cut.start;
            match (cut.start == run_start, cut.end == end) {
                (true, true) => {
                    self.runs.remove(&end);
                }
                (true, false) => *start = cut.end,
                (false, whole_end) => {
                    if whole_end {
                        self.runs.remove(&end);
                    } else {
                        *start = cut.end;
                    }
                    self.runs.insert(cut.start, (run_start, value));
                }
            }
            taken(cut, value);
        }
    }

    /// Panics unless runs are disjoint, in order, merged and counted.
    pub fn check(&self) {
        let mut last: Option<(u64, T)> = None;
        let mut total = 0;
        for (range, value) in self.iter() {
            assert!(range.start < range.end, "an empty run");
            if let Some((end, before)) = last {
                assert!(end <= range.start, "runs overlap");
                assert!(end < range.start || before != value, "runs not merged");
            }
            total += range.end - range.start;
            last = Some((range.end, value));
        }
        assert_eq!(total, self.total);
    }
}
