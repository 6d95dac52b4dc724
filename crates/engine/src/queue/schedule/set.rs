//! A set of offsets as a compressed bitmap, and what spans it.
//!
//! Removing an offset has to ask every slot. A bitmap scans for its ends, so the set
//! remembers bounds of them: never narrower than the set, and so a slot that does not
//! concern an offset says so in two comparisons.

use std::ops::{BitOrAssign, Range};

use roaring::RoaringTreemap;

#[derive(Debug, Default)]
pub(super) struct OffsetSet {
    bitmap: RoaringTreemap,
    span: Range<u64>,
}

impl OffsetSet {
    pub(super) fn bitmap(&self) -> &RoaringTreemap {
        &self.bitmap
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bitmap.is_empty()
    }

    pub(super) fn contains(&self, offset: u64) -> bool {
        self.span.contains(&offset) && self.bitmap.contains(offset)
    }

    pub(super) fn insert(&mut self, offsets: Range<u64>) {
        self.widen(&offsets);
        match offsets.end - offsets.start {
            1 => _ = self.bitmap.insert(offsets.start),
            _ => _ = self.bitmap.insert_range(offsets),
        }
    }

    pub(super) fn remove(&mut self, offsets: &Range<u64>) {
        let cut = offsets.start.max(self.span.start)..offsets.end.min(self.span.end);
        if cut.is_empty() {
            return;
        }
        if cut.start == self.span.start {
            self.span.start = cut.end;
        } else if cut.end == self.span.end {
            self.span.end = cut.start;
        }
        match cut.end - cut.start {
            1 => _ = self.bitmap.remove(cut.start),
            _ => _ = self.bitmap.remove_range(cut),
        }
    }

    /// Takes out what lies within `offsets` and appends it to `runs`.
    pub(super) fn take(&mut self, offsets: &Range<u64>, runs: &mut Vec<Range<u64>>) {
        if offsets.start >= self.span.end || self.span.start >= offsets.end {
            return;
        }
        let before = runs.len();
        let mut values = self.bitmap.iter();
        values.advance_to(offsets.start);
        for offset in values.take_while(|offset| *offset < offsets.end) {
            match runs[before..].last_mut() {
                Some(run) if run.end == offset => run.end += 1,
                _ => runs.push(offset..offset + 1),
            }
        }
        for run in &runs[before..] {
            self.remove(run);
        }
    }

    /// The lowest offset, and those up to the last one that lies less than `length_max`
    /// (at least 1) behind it; `None` if the set is empty.
    pub(super) fn first(&self, length_max: u64) -> Option<Range<u64>> {
        let start = self.bitmap.min()?;
        let last_possible = start.saturating_add(length_max.max(1) - 1);
        let count = self.bitmap.rank(last_possible);
        let last = self.bitmap.select(count - 1);
        Some(start..last.expect("a rank's offset exists") + 1)
    }

    fn widen(&mut self, offsets: &Range<u64>) {
        self.span = match self.bitmap.is_empty() {
            true => offsets.clone(),
            false => self.span.start.min(offsets.start)..self.span.end.max(offsets.end),
        };
    }

    /// Panics if the span is too narrow.
    pub(super) fn check(&self) {
        let ends = [self.bitmap.min(), self.bitmap.max()];
        assert!(ends.iter().flatten().all(|end| self.span.contains(end)));
    }
}

impl BitOrAssign for OffsetSet {
    fn bitor_assign(&mut self, other: OffsetSet) {
        self.widen(&other.span);
        self.bitmap |= other.bitmap;
    }
}
