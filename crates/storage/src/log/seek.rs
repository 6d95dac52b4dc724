//! Finding a place in a log by time or by size, for retention and for readers that begin
//! in the past.
//!
//! Both are asked about once a second of every log with a retention, however long it is.
//! So neither reads more than it must: of a segment only the front of its first batch,
//! once; of the one that holds the answer, an index and some 64 KiB of batch headers; and
//! what was found is remembered, so that a log which stands still is not read at all.
//!
//! Times are those of the batches. Where they run backwards (a producer's clock, a clock
//! that was set), the answer is a place where they cross the time asked for, not
//! necessarily the first.

use bongsu_record::Offset;
use bongsu_record::header::{DELETE_HORIZON, HEADER_BYTES, Header, NATIVE};

use super::tail::Item;
use super::{Inner, Log, Peak, Segment};
use crate::segment::{CHECK_BYTES, Front, Identity, SEGMENT_HEADER_BYTES, Unit, unit_bytes};
use crate::{Error, SegmentId};

/// What was found last, and holds while the log stands still.
#[derive(Default)]
pub(crate) struct Found {
    /// The log's start, and the max timestamp of the batch there.
    start_ms: Option<(Offset, i64)>,
    /// The unit that was the first to be kept.
    kept: Option<(Segment, Sited)>,
}

/// The front of a unit, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Sited {
    /// Where the unit before it begins, as far as is known.
    after: u64,
    pub position: u64,
    pub front: Front,
    base_ms: i64,
    pub max_ms: i64,
}

impl Log {
    /// The first record whose batch's max timestamp is at or after `unix_ms` (Unix
    /// milliseconds); the end if there is none. May read the disk and wait for a write:
    /// hold no lock.
    ///
    /// # Errors
    /// As [`Log::fetch`].
    pub fn offset_at_time(&self, unix_ms: i64) -> Result<Offset, Error> {
        let offset = self.unless_trimmed(|| self.find_time(unix_ms))?;
        Ok(offset.max(self.start()))
    }

    /// The max timestamp (Unix milliseconds) of the first batch; none if there is none.
    ///
    /// # Errors
    /// As [`Log::fetch`].
    pub fn start_time(&self) -> Result<Option<i64>, Error> {
        let offset = self.offset_at_time(i64::MIN)?;
        let inner = self.inner.lock();
        if let Some((known, max_ms)) = inner.found.start_ms
            && known == offset
        {
            return Ok(Some(max_ms));
        }
        let first = inner.tail.from(offset).next();
        Ok(first.map(|item| times(item).1))
    }

    /// The lowest offset from which on the batches take up at most `bytes` together, as
    /// segments count them; the first of a batch, or the log's start. May read the disk
    /// and wait for a write: hold no lock.
    ///
    /// # Errors
    /// As [`Log::fetch`].
    pub fn offset_keeping_bytes(&self, bytes: u64) -> Result<Offset, Error> {
        let offset = self.unless_trimmed(|| self.find_bytes(bytes))?;
        Ok(offset.max(self.start()))
    }

    /// A segment that was dropped, and its file deleted, while we read is no error: what
    /// is left is looked at again.
    pub(super) fn unless_trimmed<T>(
        &self,
        find: impl Fn() -> Result<Option<T>, Wrong>,
    ) -> Result<T, Error> {
        loop {
            match find() {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(wrong) => {
                    let inner = self.inner.lock();
                    if inner.segments.iter().any(|s| s.id == wrong.segment) {
                        return Err(wrong.error);
                    }
                }
            }
        }
    }

    /// None: the log moved on meanwhile, look again.
    fn find_time(&self, unix_ms: i64) -> Result<Option<Offset>, Wrong> {
        let (segments, start) = {
            let inner = self.inner.lock();
            if let Some(known) = inner.time_in_memory(unix_ms) {
                return Ok(Some(known));
            }
            let segments: Vec<Segment> = inner.segments.iter().copied().collect();
            (segments, inner.start)
        };
        let mut low = 0;
        let mut high = segments.len();
        while low < high {
            let middle = (low + high) / 2;
            match self.first_ms(&segments[middle])? < unix_ms {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        for segment in &segments[low.saturating_sub(1)..] {
            if let Some(sited) = self.time_in_segment(segment, unix_ms, start)? {
                let mut inner = self.inner.lock();
                if sited.front.base <= inner.start && inner.start < sited.front.end() {
                    inner.found.start_ms = Some((inner.start, sited.max_ms));
                }
                return Ok(Some(sited.front.base));
            }
        }
        let inner = self.inner.lock();
        let end = |last: &Segment| last.end;
        let looked_through = segments.last().map_or(Offset(0), end);
        let stored = inner.segments.back().map_or(Offset(0), end);
        let whole = stored <= looked_through;
        Ok(whole.then(|| inner.time_in_tail(unix_ms, looked_through)))
    }

    /// The first unit of the segment that reaches above `start` and up to the time.
    fn time_in_segment(
        &self,
        segment: &Segment,
        unix_ms: i64,
        start: Offset,
    ) -> Result<Option<Sited>, Wrong> {
        let identity = self.identity(segment.id);
        let wrong = |error| Wrong {
            segment: segment.id,
            error,
        };
        let samples = self.samples(segment, &identity).map_err(wrong)?;
        let above_start = samples.partition_point(|sample| sample.offset <= start);
        let (mut low, mut high) = (above_start.saturating_sub(1), samples.len());
        while low < high {
            let middle = (low + high) / 2;
            let mut walk = self.walk(segment, samples[middle].position);
            let before = walk.next()?.is_some_and(|sited| sited.base_ms < unix_ms);
            match before {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let front = SEGMENT_HEADER_BYTES as u64;
        let nearest = low.checked_sub(1).max(above_start.checked_sub(1));
        let from = nearest.map_or(front, |at| samples[at].position);
        let mut walk = self.walk(segment, from);
        while let Some(sited) = walk.next()? {
            if sited.max_ms >= unix_ms && sited.front.end() > start {
                return Ok(Some(sited));
            }
        }
        Ok(None)
    }

    /// Timestamp of the segment's first batch; read once.
    pub(super) fn first_ms(&self, segment: &Segment) -> Result<i64, Wrong> {
        if let Some(known) = segment.first_ms {
            return Ok(known);
        }
        let first = self.walk(segment, SEGMENT_HEADER_BYTES as u64).next()?;
        let first_ms = first.map_or(i64::MAX, |sited| sited.base_ms);
        let mut inner = self.inner.lock();
        let kept = inner.segments.iter_mut().find(|kept| kept.id == segment.id);
        if let Some(kept) = kept {
            kept.first_ms = Some(first_ms);
        }
        Ok(first_ms)
    }

    fn find_bytes(&self, bytes: u64) -> Result<Option<Offset>, Wrong> {
        let (segment, inside, known) = {
            let inner = self.inner.lock();
            let stored = inner.segments.iter().map(Segment::unit_bytes).sum::<u64>();
            let total = stored + inner.tail.pinned_bytes();
            // What is below the start is counted and goes first, so that where the start
            // lies in its segment need not be known.
            let mut surplus = match total.checked_sub(bytes) {
                None | Some(0) => return Ok(Some(inner.start)),
                Some(surplus) => surplus,
            };
            let straddling = inner.segments.iter().find(|segment| {
                let whole = segment.unit_bytes();
                match surplus > whole {
                    true => surplus -= whole,
                    false => return true,
                }
                false
            });
            let Some(segment) = straddling.copied() else {
                return Ok(Some(inner.behind_pinned(surplus)));
            };
            (
                segment,
                SEGMENT_HEADER_BYTES as u64 + surplus,
                inner.kept(&segment),
            )
        };
        if let Some(known) = &known
            && known.after < inside
            && inside <= known.position
        {
            return Ok(Some(known.front.base));
        }
        let identity = self.identity(segment.id);
        let samples = self.samples(&segment, &identity).map_err(|error| Wrong {
            segment: segment.id,
            error,
        })?;
        let before = samples.partition_point(|sample| sample.position < inside);
        let front = SEGMENT_HEADER_BYTES as u64;
        let sample = before
            .checked_sub(1)
            .map_or(front, |at| samples[at].position);
        let known = known.map_or(front, |known| known.position);
        let from = match known < inside {
            true => sample.max(known),
            false => sample,
        };
        let mut walk = self.walk(&segment, from);
        while let Some(sited) = walk.next()? {
            if sited.position >= inside {
                self.inner.lock().found.kept = Some((segment, sited));
                return Ok(Some(sited.front.base));
            }
        }
        Ok(Some(segment.end))
    }

    pub(super) fn walk(&self, segment: &Segment, position: u64) -> Walk<'_> {
        Walk {
            log: self,
            identity: self.identity(segment.id),
            segment: *segment,
            after: position,
            position,
            buffer: Vec::new(),
            buffer_at: position,
            first: true,
        }
    }
}

impl Inner {
    /// The answer, if no segment needs to be looked at for it.
    fn time_in_memory(&self, unix_ms: i64) -> Option<Offset> {
        if self.start >= self.end {
            return Some(self.end);
        }
        if let Some((offset, max_ms)) = self.found.start_ms
            && offset == self.start
            && max_ms >= unix_ms
        {
            return Some(self.start);
        }
        let first = self.tail.from(self.start).next()?;
        let all = first.base <= self.start
            || self
                .segments
                .back()
                .is_none_or(|last| last.end <= self.start);
        (all || times(first).1 < unix_ms).then(|| self.time_in_tail(unix_ms, self.start))
    }

    /// The first in the tail, from `from` on.
    fn time_in_tail(&self, unix_ms: i64, from: Offset) -> Offset {
        let found = self.tail.first_from(from, |item| times(item).1 >= unix_ms);
        found.map_or(self.end, |item| item.base)
    }

    /// What is left when `surplus` bytes of pinned batches go.
    fn behind_pinned(&self, surplus: u64) -> Offset {
        let mut surplus = surplus;
        for item in self.tail.pinned() {
            if surplus == 0 {
                return item.base;
            }
            surplus = surplus.saturating_sub(unit_bytes(item.payload.batch.len()));
        }
        self.end
    }

    fn kept(&self, segment: &Segment) -> Option<Sited> {
        let (kept, sited) = self.found.kept.as_ref()?;
        (kept.id == segment.id).then_some(*sited)
    }
}

impl Segment {
    /// Bytes of its units.
    pub(super) fn unit_bytes(&self) -> u64 {
        self.bytes.saturating_sub(SEGMENT_HEADER_BYTES as u64)
    }
}

/// Base and max timestamp.
fn times(item: &Item) -> (i64, i64) {
    header_times(&item.payload.batch.header())
}

/// Base and max timestamp. Of a batch whose base timestamp is something else, the latter twice.
fn header_times(header: &Header) -> (i64, i64) {
    let max_ms = header.max_timestamp;
    match header.attributes & (NATIVE | DELETE_HORIZON) {
        DELETE_HORIZON => (max_ms, max_ms),
        _ => (header.base_timestamp, max_ms),
    }
}

/// What its header says of a batch's time.
pub(super) fn peak_of(base: Offset, header: &Header) -> Peak {
    let max_ms = header.max_timestamp;
    Peak { base, max_ms }
}

/// What went wrong, and reading what.
pub(super) struct Wrong {
    pub segment: SegmentId,
    pub error: Error,
}

/// The fronts of a segment's units, one after the other. Bodies are read where they fit
/// into the buffer anyway, else jumped over.
pub(super) struct Walk<'a> {
    log: &'a Log,
    identity: Identity,
    segment: Segment,
    after: u64,
    position: u64,
    buffer: Vec<u8>,
    /// Where the buffer begins.
    buffer_at: u64,
    first: bool,
}

impl Walk<'_> {
    pub fn next(&mut self) -> Result<Option<Sited>, Wrong> {
        if self.position >= self.segment.bytes {
            return Ok(None);
        }
        self.step().map(Some).map_err(|error| Wrong {
            segment: self.segment.id,
            error,
        })
    }

    fn step(&mut self) -> Result<Sited, Error> {
        let inside = (self.position - self.buffer_at) as usize;
        if self.buffer.len() < inside + FRONT_BYTES {
            let left = self.segment.bytes - self.position;
            // Who looks at one front only does not read what is behind it.
            let wanted = match std::mem::take(&mut self.first) {
                true => FRONT_BYTES,
                false => WALK_BYTES,
            };
            self.buffer.resize(left.min(wanted as u64) as usize, 0);
            self.buffer_at = self.position;
            let blob = self.log.shelf.blob(&self.identity)?;
            blob.read_at(self.position, &mut self.buffer)?;
        }
        let unit = &self.buffer[(self.position - self.buffer_at) as usize..];
        let header = unit
            .get(CHECK_BYTES..)
            .and_then(|batch| batch.first_chunk());
        let (Unit::Front(front), Some(header)) = (self.identity.unit(unit), header) else {
            return Err(Error::corrupt(
                &self.log.shelf.blobs.path(&self.identity.name()),
                self.position,
                "the check of a batch's offset and length does not hold",
            ));
        };
        let (base_ms, max_ms) = header_times(&Header::decode(header));
        let sited = Sited {
            after: self.after,
            position: self.position,
            front,
            base_ms,
            max_ms,
        };
        self.after = self.position;
        self.position += front.bytes as u64;
        // What the next front is compared with may lie behind this buffer.
        if self.position > self.buffer_at + self.buffer.len() as u64 {
            self.buffer.clear();
            self.buffer_at = self.position;
        }
        Ok(sited)
    }
}

const FRONT_BYTES: usize = CHECK_BYTES + HEADER_BYTES;
const WALK_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
