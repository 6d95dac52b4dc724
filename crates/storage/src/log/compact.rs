//! Compaction: of the records with the same key, only the latest stays.
//!
//! ```text
//! start              cleaned               round end        bound             end
//!   |  clean: one record a key  |  dirty: read into the map  |  not looked at  |
//!   |------- each segment is written again without what the map knows better --|
//! ```
//! A round reads keys of the dirty part into a map of bounded size (key → latest offset), as
//! far as it goes, and then writes all segments up to there again, in groups that come to one
//! segment. Rounds follow until the bound is reached.
//!
//! Always: a record keeps its offset, and a batch the offsets it takes up (a native one, which
//! cannot have gaps, becomes several). The log's start and end do not move. Nothing at or above
//! the bound is touched, and only whole sealed segments are.
//!
//! A group's new segment is written and synced before readers are led to it, in one step under
//! the log's lock; the old ones are buried, and their files stay until a checkpoint that does
//! not list them is durable. A crash before finds the last checkpoint and its segments, and the
//! new ones are orphans; a crash after finds the new. Readers with a place in an old segment
//! read on in it.

use bongsu_record::{Lsn, Offset};

use super::{Log, Segment};
use crate::{Error, SegmentId};

mod clean;

mod map;

mod out;

mod scan;

use clean::{Cleaned, Cleaner};
use map::KeyMap;
use out::Out;
use scan::Scan;

/// How a log is compacted.
pub struct CompactOptions<'a> {
    /// Nothing at or above is touched: what is not durable, not decided, or too young.
    pub bound: Offset,
    /// The time: Unix milliseconds.
    pub now_ms: i64,
    /// For how long after its first compaction a tombstone (a record without a value) stays,
    /// for readers to see.
    pub delete_retention_ms: i64,
    /// Bytes of the map, roughly; 24 for three quarters of a key.
    pub map_bytes_max: usize,
    /// What a compressed batch may unfold to. One that unfolds to more stays as it is.
    pub decompressed_bytes_max: usize,
    /// Whether the producer's transaction with a record at the offset was aborted, the mark
    /// of its end included. Records of aborted transactions go; a mark stays for as long as
    /// its transaction is known as aborted, because clients are told of it by both.
    pub is_aborted: &'a dyn Fn(i64, Offset) -> bool,
    /// Asked now and then: false ends the compaction where it is.
    pub go_on: &'a dyn Fn() -> bool,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the segments that were written again, before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Bytes that were read and left alone, because nothing in them was to go.
    pub bytes_kept: u64,
    /// Records that went.
    pub dropped_count: u64,
    /// Rounds.
    pub round_count: u32,
    /// Every key below has one record left.
    pub cleaned: Offset,
}

/// What there would be to compact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirt {
    /// Bytes of sealed segments that were compacted.
    pub clean_bytes: u64,
    /// Bytes of those that were not and lie below the bound.
    pub dirty_bytes: u64,
    /// First offset of the latter.
    pub dirty_start: Option<Offset>,
}

impl Log {
    /// What there would be to compact below `bound`.
    pub fn dirt(&self, bound: Offset) -> Dirt {
        let inner = self.inner.lock();
        let mut dirt = Dirt::default();
        for segment in eligible(&inner.segments, bound) {
            match segment.end <= inner.cleaned {
                true => dirt.clean_bytes += segment.unit_bytes(),
                false => {
                    dirt.dirty_bytes += segment.unit_bytes();
                    dirt.dirty_start
                        .get_or_insert(segment.base.max(inner.cleaned));
                }
            }
        }
        dirt
    }

    /// Compacts what lies below the bound, as far as it is in sealed segments. Reads and
    /// writes the disk: hold no lock, and take a thread that others do not wait for. One at a
    /// time; of two, the later does nothing.
    ///
    /// # Errors
    /// Any; what was done so far stands, and the log is whole.
    pub fn compact(&self, options: &CompactOptions<'_>) -> Result<Compacted, Error> {
        let mut done = Compacted::default();
        let Some(_one) = self.compacting.try_lock() else {
            return Ok(done);
        };
        loop {
            let (segments, cleaned) = {
                let inner = self.inner.lock();
                let segments: Vec<Segment> = eligible(&inner.segments, options.bound).collect();
                (segments, inner.cleaned)
            };
            done.cleaned = cleaned;
            let end = segments.last().map_or(Offset(0), |last| last.end);
            if end <= cleaned {
                return Ok(done);
            }
            let round = self.round(&segments, cleaned, options, &mut done);
            match round {
                Ok(true) => done.round_count += 1,
                Ok(false) => return Ok(done),
                // Trimmed, and its file deleted, while it was read: no error.
                Err(Stop::At(segment, error)) if self.is_kept(segment) => return Err(error),
                Err(Stop::At(..)) => return Ok(done),
                Err(Stop::Here(error)) => return Err(error),
            }
        }
    }

    fn is_kept(&self, segment: SegmentId) -> bool {
        let inner = self.inner.lock();
        inner.segments.iter().any(|kept| kept.id == segment)
    }

    /// One round. False: it was stopped.
    fn round(
        &self,
        segments: &[Segment],
        cleaned: Offset,
        options: &CompactOptions<'_>,
        done: &mut Compacted,
    ) -> Result<bool, Stop> {
        let mut map = KeyMap::new(options.map_bytes_max);
        let start = self.start();
        let Some(round_end) = self.read_keys(segments, cleaned.max(start), options, &mut map)?
        else {
            return Ok(false);
        };
        let mut cleaner = Cleaner {
            options,
            map: &map,
            start,
            end: round_end,
            dropped_count: 0,
        };
        let reached = segments.partition_point(|segment| segment.base < round_end);
        let groups = groups(&segments[..reached], self.segment_bytes_max());
        for (at, group) in groups.iter().enumerate() {
            // The last says how far was compacted, once all before it is.
            let last = (at + 1 == groups.len()).then_some(round_end);
            if !(options.go_on)() || !self.clean_group(group, last, &mut cleaner, done)? {
                return Ok(false);
            }
            done.dropped_count += std::mem::take(&mut cleaner.dropped_count);
        }
        done.cleaned = round_end;
        let mut inner = self.inner.lock();
        inner.cleaned = inner.cleaned.max(round_end);
        Ok(true)
    }

    /// Reads the keys from `from` on until the map is full: up to where it knows them all.
    /// None: it was stopped.
    fn read_keys(
        &self,
        segments: &[Segment],
        from: Offset,
        options: &CompactOptions<'_>,
        map: &mut KeyMap,
    ) -> Result<Option<Offset>, Stop> {
        let mut any = false;
        for segment in segments.iter().filter(|segment| segment.end > from) {
            if !(options.go_on)() {
                return Ok(None);
            }
            let mut scan = self.scan(segment)?;
            while let Some(unit) = scan.next().map_err(|error| Stop::At(segment.id, error))? {
                if unit.end() <= from {
                    continue;
                }
                // The first batch goes in whatever it takes, or nothing would ever be done.
                if any && map.is_full() {
                    return Ok(Some(unit.base));
                }
                any = true;
                clean::read_keys(&unit, options, map);
            }
        }
        Ok(segments.last().map(|last| last.end))
    }

    fn scan(&self, segment: &Segment) -> Result<Scan, Stop> {
        let identity = self.identity(segment.id);
        let blob = self.shelf.blob(&identity);
        let blob = blob.map_err(|error| Stop::At(segment.id, error))?;
        let path = self.shelf.blobs.path(&identity.name());
        Ok(Scan::new(identity, blob, path, segment.bytes))
    }

    /// Writes the segments of a group again as one. False: they are no longer there.
    fn clean_group(
        &self,
        group: &[Segment],
        last: Option<Offset>,
        cleaner: &mut Cleaner<'_>,
        done: &mut Compacted,
    ) -> Result<bool, Stop> {
        let cleaned = last.unwrap_or(self.inner.lock().cleaned);
        let mut out = Out::new(self, group, cleaned, last.is_some());
        let cleaned = self.clean_into(group, cleaner, &mut out);
        let bytes = group.iter().map(Segment::unit_bytes).sum::<u64>();
        let new = match cleaned.and_then(|changed| match changed {
            true => out.finish(group).map(Some).map_err(Stop::Here),
            false => Ok(None),
        }) {
            Ok(None) => {
                done.bytes_kept += bytes;
                return Ok(true);
            }
            Ok(Some(new)) => new,
            Err(stop) => {
                out.give_up();
                return Err(stop);
            }
        };
        if !self.swap(group, new) {
            out.give_up();
            return Ok(false);
        }
        if new.is_none() {
            out.give_up();
        }
        done.bytes_before += bytes;
        done.bytes_after += new.map_or(0, |new| new.unit_bytes());
        Ok(true)
    }

    /// Whether anything is different. A single segment out of which nothing goes is not
    /// written, but for the last: what lies before the first change is read again then.
    fn clean_into(
        &self,
        group: &[Segment],
        cleaner: &mut Cleaner<'_>,
        out: &mut Out<'_>,
    ) -> Result<bool, Stop> {
        let mut changed = group.len() > 1 || out.is_needed();
        for segment in group {
            let mut scan = self.scan(segment)?;
            let wrong = |error| Stop::At(segment.id, error);
            while let Some(unit) = scan.next().map_err(wrong)? {
                let cleaned = cleaner.clean(&unit);
                if !changed && cleaned != Cleaned::Same {
                    changed = true;
                    let mut before = self.scan(segment)?;
                    while let Some(same) = before.next().map_err(wrong)? {
                        if same.position >= unit.position {
                            break;
                        }
                        out.push(same.base, &same.batch)?;
                    }
                }
                match cleaned {
                    Cleaned::Same if !changed => {}
                    Cleaned::Same => out.push(unit.base, &unit.batch)?,
                    Cleaned::Parts(parts) => {
                        for (base, batch) in &parts {
                            out.push(*base, batch)?;
                        }
                    }
                }
            }
        }
        Ok(changed)
    }

    /// Leads readers to the new segment. False: the old ones are not all there any more.
    fn swap(&self, group: &[Segment], new: Option<Segment>) -> bool {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return false;
        };
        let mut inner = self.inner.lock();
        let at = inner.segments.iter().position(|kept| kept.id == first.id);
        let Some(at) = at.filter(|_| !inner.removed) else {
            return false;
        };
        let kept = inner.segments.range(at..).map(|kept| kept.id);
        if !kept.take(group.len()).eq(group.iter().map(|old| old.id)) {
            return false;
        }
        for old in inner.segments.drain(at..at + group.len()) {
            self.shelf.bury(self.identity(old.id), old.bytes);
        }
        if let Some(new) = new {
            inner.segments.insert(at, new);
        }
        for old in group {
            inner.passed.remove(&old.id);
        }
        inner.index = None;
        inner.found = Default::default();
        // What is compacted was durable before.
        inner.tail.evict(last.end, Lsn(u64::MAX));
        inner
            .chunks
            .retain(|chunk| chunk.end() <= first.base || chunk.start() >= last.end);
        true
    }

    /// Seals the open segment, with all that is in memory put into it first: what is sealed
    /// can be compacted. May wait for a write: hold no lock.
    ///
    /// # Errors
    /// `Full` or `Io`.
    pub fn seal(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        self.seal_all(&mut writer)
    }

    /// Time (Unix milliseconds) of the first batch that is in no sealed segment, if there is
    /// one. May read the disk: hold no lock.
    ///
    /// # Errors
    /// As [`Log::fetch`].
    pub fn unsealed_since(&self) -> Result<Option<i64>, Error> {
        self.unless_trimmed(|| {
            let (open, pinned_ms) = {
                let inner = self.inner.lock();
                let open = inner.segments.back().filter(|last| !last.sealed);
                let pinned = inner.tail.pinned().next();
                let pinned_ms = pinned.map(|item| item.payload.batch.base_timestamp());
                (open.copied(), pinned_ms)
            };
            Ok(Some(match open {
                Some(open) => Some(self.first_ms(&open)?),
                None => pinned_ms,
            }))
        })
    }
}

/// Whole sealed segments below the bound, from the front.
fn eligible(
    segments: &std::collections::VecDeque<Segment>,
    bound: Offset,
) -> impl Iterator<Item = Segment> + '_ {
    let all = segments.iter().copied();
    all.take_while(move |segment| segment.sealed && segment.end <= bound)
}

/// In runs whose bytes come to one segment.
fn groups(segments: &[Segment], bytes_max: u64) -> Vec<&[Segment]> {
    let mut groups = Vec::new();
    let mut first = 0;
    let mut bytes = 0;
    for (at, segment) in segments.iter().enumerate() {
        if at > first && bytes + segment.bytes > bytes_max {
            groups.push(&segments[first..at]);
            first = at;
            bytes = 0;
        }
        bytes += segment.bytes;
    }
    if first < segments.len() {
        groups.push(&segments[first..]);
    }
    groups
}

/// Why a round ended early.
enum Stop {
    /// Reading this segment.
    At(SegmentId, Error),
    Here(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Here(error)
    }
}

#[cfg(test)]
mod tests;
