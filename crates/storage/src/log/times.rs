//! Records by their time, and how many bytes lie between two offsets: what Kafka's clients ask
//! for by name.
//!
//! [`seek`](super::seek) finds the batch, by headers alone; here that one batch is opened. The
//! highest timestamp of a segment is kept once it is known: the writer knows that of the
//! segments it wrote since the start, for others their headers are walked through once.

use bongsu_record::{Messages, Offset};

use super::seek::{Wrong, peak_of};
use super::{Log, Peak, Segment, Stored};
use crate::Error;
use crate::segment::SEGMENT_HEADER_BYTES;

/// Where a record is, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The record's.
    pub offset: Offset,
    /// The record's: Unix milliseconds.
    pub timestamp_ms: i64,
}

impl Log {
    /// The first record whose own timestamp is at or after `unix_ms` (Unix milliseconds), if
    /// there is one. Where times run backwards, as [`Log::offset_at_time`]. May read the disk
    /// and wait for a write: hold no lock.
    ///
    /// # Errors
    /// As [`Log::fetch`].
    pub fn record_at_time(&self, unix_ms: i64) -> Result<Option<Timed>, Error> {
        let mut from = self.offset_at_time(unix_ms)?;
        let mut found: Vec<Stored> = Vec::new();
        loop {
            found.clear();
            self.fetch(from, 1, &mut found)?;
            let Some(stored) = found.first() else {
                return Ok(None);
            };
            let timed = times_of(stored)
                .find(|timed| timed.offset >= from && timed.timestamp_ms >= unix_ms);
            if timed.is_some() {
                return Ok(timed);
            }
            // The record that its header speaks of is below the log's start, or nowhere.
            from = stored.end();
        }
    }

    /// The first of the records with the highest timestamp, if there is a record. May read the
    /// disk and wait for a write: hold no lock.
    ///
    /// # Errors
    /// As [`Log::fetch`].
    pub fn record_of_max_time(&self) -> Result<Option<Timed>, Error> {
        let Some(peak) = self.unless_trimmed(|| self.find_peak())? else {
            return Ok(None);
        };
        let mut found: Vec<Stored> = Vec::new();
        self.fetch(peak.base, 1, &mut found)?;
        let Some(stored) = found.first() else {
            return Ok(None);
        };
        let start = self.start();
        let mut highest: Option<Timed> = None;
        for timed in times_of(stored).filter(|timed| timed.offset >= start) {
            if highest.is_none_or(|highest| timed.timestamp_ms > highest.timestamp_ms) {
                highest = Some(timed);
            }
        }
        Ok(highest)
    }

    /// Bytes of everything that is kept, as segments count them, wherever it is.
    pub fn size_bytes(&self) -> u64 {
        let inner = self.inner.lock();
        let stored: u64 = inner.segments.iter().map(Segment::unit_bytes).sum();
        stored + inner.tail.pinned_bytes()
    }

    /// Bytes of the batches from `from` up to `to`, or `enough` if they are as many. From
    /// memory alone: of a segment that begins or ends elsewhere, as large a part of its bytes
    /// as of its offsets.
    pub fn bytes_between(&self, from: Offset, to: Offset, enough: u64) -> u64 {
        let inner = self.inner.lock();
        let from = from.max(inner.start);
        let in_tail = inner.tail.start().unwrap_or(inner.end);
        let mut bytes = 0;
        for segment in &inner.segments {
            let first = segment.base.max(from);
            let last = segment.end.min(to).min(in_tail);
            if first < last {
                let whole = u128::from((segment.end.0 - segment.base.0).max(1));
                let part = u128::from(last.0 - first.0);
                bytes += (u128::from(segment.unit_bytes()) * part / whole) as u64;
            }
            if bytes >= enough {
                return enough;
            }
        }
        for item in inner.tail.from(from) {
            if item.base >= to || bytes >= enough {
                break;
            }
            bytes += item.payload.batch.len() as u64;
        }
        bytes.min(enough)
    }

    /// The batch with the highest timestamp. None within: the log is empty.
    fn find_peak(&self) -> Result<Option<Option<Peak>>, Wrong> {
        let (segments, start, mut highest) = {
            let inner = self.inner.lock();
            let mut highest: Option<Peak> = None;
            for item in inner.tail.from(inner.start) {
                highest = higher(
                    highest,
                    Some(peak_of(item.base, &item.payload.batch.header())),
                );
            }
            let segments: Vec<Segment> = inner.segments.iter().copied().collect();
            (segments, inner.start, highest)
        };
        for segment in segments.iter().rev() {
            let known = segment.peak.filter(|peak| peak.base >= start);
            let peak = match known {
                Some(peak) => Some(peak),
                None => self.walk_for_peak(segment, start)?,
            };
            highest = higher(highest, peak);
        }
        Ok(Some(highest))
    }

    fn walk_for_peak(&self, segment: &Segment, start: Offset) -> Result<Option<Peak>, Wrong> {
        let mut walk = self.walk(segment, SEGMENT_HEADER_BYTES as u64);
        let mut highest = None;
        while let Some(sited) = walk.next()? {
            if sited.front.end() > start {
                let base = sited.front.base;
                highest = higher(
                    highest,
                    Some(Peak {
                        base,
                        max_ms: sited.max_ms,
                    }),
                );
            }
        }
        let mut inner = self.inner.lock();
        let kept = inner.segments.iter_mut().find(|kept| kept.id == segment.id);
        if let Some(kept) = kept.filter(|kept| kept.bytes == segment.bytes && start <= kept.base) {
            kept.peak = highest;
        }
        Ok(highest)
    }
}

/// The higher, or else the one further in front.
pub(super) fn higher(one: Option<Peak>, other: Option<Peak>) -> Option<Peak> {
    let (Some(a), Some(b)) = (one, other) else {
        return one.or(other);
    };
    let is_b = (b.max_ms, std::cmp::Reverse(b.base)) > (a.max_ms, std::cmp::Reverse(a.base));
    Some(if is_b { b } else { a })
}

impl Stored {
    /// Behind its last offset.
    pub fn end(&self) -> Offset {
        self.base.plus(u64::from(self.batch.offset_count()))
    }
}

/// The times of its records; of a batch that cannot be read, its header's.
fn times_of(stored: &Stored) -> impl Iterator<Item = Timed> {
    let opened = Messages::open(&stored.batch, stored.base, DECOMPRESSED_BYTES_MAX);
    let whole = opened.is_err().then(|| Timed {
        offset: stored.base,
        timestamp_ms: stored.batch.max_timestamp(),
    });
    let each = opened.into_iter().flat_map(|messages| {
        let timed = messages.iter().map(|message| Timed {
            offset: message.offset(),
            timestamp_ms: message.timestamp_ms(),
        });
        timed.collect::<Vec<_>>()
    });
    whole.into_iter().chain(each)
}

/// What a compressed batch may unfold to in memory while it is looked through.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;

#[cfg(test)]
pub(crate) mod tests;
