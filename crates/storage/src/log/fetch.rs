//! Reading a log from its segments, ahead of what was asked for.
//!
//! A chunk remembers where it ended, so that a reader that goes on there never searches.
//! Several are kept: readers of a stream stand at several places.

use std::sync::Arc;

use bongsu_record::{Batch, Offset};

use super::budget::Charge;
use super::shelf::Evict;
use super::{Log, Segment};
use crate::segment::{
    INDEX_EVERY_BYTES, Identity, SEGMENT_HEADER_BYTES, Sample, TRAILER_BYTES, Unit, decode_index,
    unit_batch,
};
use crate::{Error, SegmentId};

/// Some batches of one segment, without a gap in the segment.
pub(crate) struct Chunk {
    start: Offset,
    /// Nothing of the log lies between the last batch and this.
    end: Offset,
    batches: Vec<(Offset, Batch)>,
    /// Where reading goes on at `end`.
    next: (SegmentId, u64),
    /// Of the last batch.
    last_bytes: usize,
    bytes: u64,
    _charge: Charge,
}

impl Chunk {
    pub fn start(&self) -> Offset {
        self.start
    }

    pub fn end(&self) -> Offset {
        self.end
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn covers(&self, offset: Offset) -> bool {
        self.start <= offset && offset < self.end
    }

    pub fn from(&self, from: Offset) -> &[(Offset, Batch)] {
        let end = |(base, batch): &(Offset, Batch)| base.plus(u64::from(batch.offset_count()));
        let first = self.batches.partition_point(|held| end(held) <= from);
        &self.batches[first..]
    }
}

/// Where in which segment to read.
struct Place {
    segment: Segment,
    /// End of the segment before it, or where the gap before it begins.
    gap_start: Offset,
    position: Option<u64>,
    /// Of the batch before that, if it is known.
    last_bytes: usize,
}

impl Log {
    /// Reads the chunk that covers `from`. `from` was in no memory; none if that changed.
    /// The caller uses what is returned: a small cache may have dropped it again. Who wants
    /// few bytes is not about to read on: then little is read ahead.
    pub(super) fn read_ahead(
        &self,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Option<Arc<Chunk>>, Error> {
        let Some((from, place)) = self.place(from) else {
            return Ok(None);
        };
        match self.read_chunk(from, &place, bytes_max) {
            Ok(chunk) => {
                let start = chunk.start;
                let chunk = Arc::new(chunk);
                {
                    let mut inner = self.inner.lock();
                    inner.chunks.retain(|old| !old.covers(start));
                    while inner.chunks.len() >= CHUNKS_MAX {
                        inner.chunks.pop_front();
                    }
                    inner.chunks.push_back(Arc::clone(&chunk));
                }
                self.shelf.cached(&self.this, Evict::Chunk(start));
                Ok(Some(chunk))
            }
            Err(error) => {
                // Trimmed, and its file deleted, while we read: not an error, look again.
                let inner = self.inner.lock();
                let kept = inner.segments.iter().any(|s| s.id == place.segment.id);
                if kept { Err(error) } else { Ok(None) }
            }
        }
    }

    fn place(&self, from: Offset) -> Option<(Offset, Place)> {
        let inner = self.inner.lock();
        let from = from.max(inner.start);
        let at = inner.segments.partition_point(|s| s.end <= from);
        let segment = *inner.segments.get(at)?;
        let gap_start = match at.checked_sub(1) {
            Some(before) => inner.segments[before].end,
            None => inner.start,
        };
        let mut known = inner.chunks.iter().rev();
        let before = known.find(|chunk| chunk.end == from && chunk.next.0 == segment.id);
        let place = Place {
            segment,
            gap_start,
            position: before.map(|chunk| chunk.next.1),
            last_bytes: before.map_or(0, |chunk| chunk.last_bytes),
        };
        Some((from, place))
    }

    fn read_chunk(&self, from: Offset, place: &Place, bytes_max: usize) -> Result<Chunk, Error> {
        let identity = self.identity(place.segment.id);
        let blob = self.shelf.blob(&identity)?;
        let path = || self.shelf.blobs.path(&identity.name());
        let units_end = place.segment.bytes;
        let mut start = from;
        let mut position = match place.position {
            Some(position) => position,
            None => {
                let sample = self.search(from, &place.segment, &identity)?;
                if sample.position == SEGMENT_HEADER_BYTES as u64 {
                    start = place.gap_start.min(from);
                }
                sample.position
            }
        };
        // Whole batches like the last: what is cut off at the end is read again.
        let ahead = self.shelf.options.read_ahead_bytes.max(READ_BYTES_MIN);
        let mut wanted = match place.last_bytes {
            0 => ahead,
            last => (ahead / last).max(1) * last,
        };
        if place.position.is_none() && bytes_max < ALONE_BYTES {
            // From one sample to the next: the batch is between them.
            wanted = wanted.min(INDEX_EVERY_BYTES as usize);
        }
        loop {
            let length = (units_end.saturating_sub(position)).min(wanted as u64) as usize;
            let read = |buffer: &mut [u8]| blob.read_at(position, buffer);
            let buffer = self.shelf.pool.filled(length, read)?;
            let mut batches = Vec::new();
            let mut at = 0;
            let mut last_bytes = 0;
            let mut end = start;
            while at < buffer.len() {
                let front = match identity.unit(&buffer[at..]) {
                    Unit::Front(front) => front,
                    Unit::Short if position + (length as u64) < units_end => break,
                    Unit::Short | Unit::Damaged => {
                        return Err(Error::corrupt(
                            &path(),
                            position + at as u64,
                            "the check of a batch's offset and length does not hold",
                        ));
                    }
                };
                if at + front.bytes > buffer.len() {
                    if position + (at + front.bytes) as u64 > units_end {
                        let what = "a batch reaches past the end of its segment";
                        return Err(Error::corrupt(&path(), position + at as u64, what));
                    }
                    if at == 0 {
                        wanted = front.bytes;
                    }
                    break;
                }
                if front.end() > from {
                    let unit = buffer.slice(at..at + front.bytes);
                    let batch = unit_batch(&unit)
                        .map_err(|what| Error::corrupt(&path(), position + at as u64, what))?;
                    batches.push((front.base, batch));
                } else {
                    start = from;
                }
                end = front.end();
                at += front.bytes;
                last_bytes = front.bytes;
            }
            position += at as u64;
            let finished = position >= units_end;
            if finished {
                end = place.segment.end.max(end);
            }
            if batches.is_empty() && !finished {
                // Still below what was asked for, or a batch larger than the buffer.
                if at > 0 {
                    let offset = end;
                    self.pass(place.segment.id, Sample { offset, position });
                }
                continue;
            }
            let bytes = buffer.len() as u64;
            return Ok(Chunk {
                start,
                end,
                batches,
                next: (place.segment.id, position),
                last_bytes,
                bytes,
                _charge: Charge::new(bytes, &self.shelf.budget),
            });
        }
    }

    /// Remembers a place that a read passed by: all before it lies below its offset.
    fn pass(&self, segment: SegmentId, sample: Sample) {
        let mut inner = self.inner.lock();
        if inner.passed.len() > PASSED_SEGMENTS_MAX {
            inner.passed.pop_first();
        }
        let passed = inner.passed.entry(segment).or_default();
        let at = passed.partition_point(|known| known.position < sample.position);
        let is_known = passed.get(at).is_some_and(|known| *known == sample);
        if !is_known && passed.len() < PASSED_MAX {
            passed.insert(at, sample);
        }
    }

    /// The nearest known place at or before `from`.
    fn search(
        &self,
        from: Offset,
        segment: &Segment,
        identity: &Identity,
    ) -> Result<Sample, Error> {
        let sampled = self.search_index(from, segment, identity)?;
        let inner = self.inner.lock();
        let passed = inner.passed.get(&segment.id).map_or(&[][..], Vec::as_slice);
        let after = passed.partition_point(|sample| sample.offset <= from);
        let nearer = after.checked_sub(1).map(|at| passed[at]);
        Ok(match nearer {
            Some(nearer) if nearer.position > sampled.position => nearer,
            _ => sampled,
        })
    }

    fn search_index(
        &self,
        from: Offset,
        segment: &Segment,
        identity: &Identity,
    ) -> Result<Sample, Error> {
        let front = Sample {
            offset: segment.base,
            position: SEGMENT_HEADER_BYTES as u64,
        };
        if from <= segment.base {
            return Ok(front);
        }
        let nearest = |samples: &[Sample]| {
            let after = samples.partition_point(|sample| sample.offset <= from);
            after.checked_sub(1).map_or(front, |at| samples[at])
        };
        if !segment.sealed {
            let writer = self.writer.lock();
            return Ok(nearest(writer.samples(segment.id)));
        }
        Ok(nearest(&self.index(segment, identity)?))
    }

    /// The samples of a segment, as far as they are known; ascending.
    pub(super) fn samples(
        &self,
        segment: &Segment,
        identity: &Identity,
    ) -> Result<Vec<Sample>, Error> {
        match segment.sealed {
            true => Ok(self.index(segment, identity)?.to_vec()),
            false => Ok(self.writer.lock().samples(segment.id).to_vec()),
        }
    }

    /// The last one is kept: records read one by one are mostly of one segment.
    fn index(&self, segment: &Segment, identity: &Identity) -> Result<Arc<[Sample]>, Error> {
        let kept = self.inner.lock().index.clone();
        if let Some((_, index)) = kept.filter(|(id, _)| *id == segment.id) {
            return Ok(index);
        }
        let index: Arc<[Sample]> = self.read_index(segment, identity)?.into();
        self.inner.lock().index = Some((segment.id, index.clone()));
        Ok(index)
    }

    fn read_index(&self, segment: &Segment, identity: &Identity) -> Result<Vec<Sample>, Error> {
        let blob = self.shelf.blob(identity)?;
        let length = blob.len()?;
        let index_bytes = length.saturating_sub(segment.bytes) as usize;
        if !(TRAILER_BYTES..=INDEX_BYTES_MAX).contains(&index_bytes) {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; index_bytes];
        blob.read_at(segment.bytes, &mut bytes)?;
        Ok(decode_index(&bytes, segment.bytes).unwrap_or_default())
    }
}

const CHUNKS_MAX: usize = 4;
/// Segments whose passed places are remembered, and how many of each: 64 MiB by 64 KiB are
/// a thousand.
const PASSED_SEGMENTS_MAX: usize = 16;
const PASSED_MAX: usize = 4096;
/// Who wants fewer bytes reads a record here and a record there.
const ALONE_BYTES: usize = 8 << 10;
/// Enough for the front of a unit.
const READ_BYTES_MIN: usize = 128;
const INDEX_BYTES_MAX: usize = 16 << 20;
