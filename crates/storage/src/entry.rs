//! What a frame of the lane says. All integers big-endian.
//!
//! ```text
//! frame    0  length   u32  of everything after this field
//!          4  entries, one after the other
//!
//! append   0  1        u8
//!          1  targets  u32  n
//!          5  n times: log u64, base offset u64
//!          .  the batch, whose header holds its length
//! stored   0  2        u8
//!          1  log      u64
//!          9  base     u64
//!         17  records  u32  0: no batch, but "the segment is whole up to here"
//!         21  segment  u64
//!         29  position u64
//!         37  bytes    u32
//! settle   0  3        u8
//!          1  log      u64
//!          9  ranges   u32  n
//!         13  n times: start u64, end u64
//! mark     0  4        u8
//!          1  log      u64
//!          9  next     u64
//! note     0  5        u8
//!          1  kind     u8
//!          2  id       u64
//!         10  bytes    u32  n
//!         14  n bytes
//! ```

use std::ops::Range;

use bongsu_record::{Batch, LogId, Offset};
use bytes::Bytes;

use crate::wire::{Fields, Put};

/// Name of a segment, unique for the life of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentId(pub u64);

/// One entry, as replay hands it out.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// One batch, appended to n logs.
    Append {
        /// Each log and the offset of the batch's first record in it.
        targets: Vec<(LogId, Offset)>,
        /// The batch; its own base offset means nothing.
        batch: Batch,
    },
    /// A large batch that is already in its segment.
    Stored {
        /// The log.
        log: LogId,
        /// Offset of its first record.
        base: Offset,
        /// Records.
        count: u32,
        /// The segment that holds it.
        segment: SegmentId,
        /// Where in the segment.
        position: u64,
        /// How many bytes.
        bytes: u32,
    },
    /// Records that nobody is owed any more.
    Settle {
        /// The log.
        log: LogId,
        /// Half-open ranges of offsets.
        ranges: Vec<Range<Offset>>,
    },
    /// Handed out up to here: what is below `next` and comes back after a crash is
    /// marked as redelivered.
    Mark {
        /// The log.
        log: LogId,
        /// First offset never handed out.
        next: Offset,
    },
    /// Opaque to storage: a catalog change, later an offset commit.
    Note {
        /// The writer's sort of note.
        kind: u8,
        /// The writer's key.
        id: u64,
        /// The writer's bytes.
        bytes: Vec<u8>,
    },
}

/// One entry, borrowed, as it is written. A batch is appended with
/// [`Storage::append`](crate::Storage::append); these go along with it or alone.
#[derive(Clone, Copy, Debug)]
pub enum EntryRef<'a> {
    /// See [`Entry::Settle`].
    Settle {
        /// The log.
        log: LogId,
        /// Half-open ranges of offsets.
        ranges: &'a [Range<Offset>],
    },
    /// See [`Entry::Mark`].
    Mark {
        /// The log.
        log: LogId,
        /// First offset never handed out.
        next: Offset,
    },
    /// An [`Entry::Note`] whose id is the log's, and which is no more urgent, and no safer,
    /// than what goes to that log.
    Along {
        /// The writer's sort of note.
        kind: u8,
        /// The log.
        log: LogId,
        /// The writer's bytes.
        bytes: &'a [u8],
    },
    /// See [`Entry::Note`].
    Note {
        /// The writer's sort of note.
        kind: u8,
        /// The writer's key.
        id: u64,
        /// The writer's bytes.
        bytes: &'a [u8],
    },
}

/// Begins a frame; [`end_frame`] fills the length in.
pub(crate) fn begin_frame(out: &mut Vec<u8>) {
    out.clear();
    out.put_u32(0);
}

/// Ends the frame in `head`, to which `payload_bytes` of payloads are added.
pub(crate) fn end_frame(head: &mut [u8], payload_bytes: usize) {
    let length = u32::try_from(head.len() - 4 + payload_bytes).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_be_bytes());
}

/// All of an append but the batch, which is to follow.
pub(crate) fn put_append(
    count: usize,
    targets: impl Iterator<Item = (LogId, Offset)>,
    out: &mut Vec<u8>,
) {
    out.put_u8(APPEND);
    out.put_u32(count as u32);
    for (log, base) in targets {
        out.put_u64(log.0);
        out.put_u64(base.0);
    }
}

/// Where a batch lies that went straight to its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub log: LogId,
    pub base: Offset,
    pub count: u32,
    pub segment: SegmentId,
    pub position: u64,
    pub bytes: u32,
}

pub(crate) fn put_stored(placed: &Placed, out: &mut Vec<u8>) {
    out.put_u8(STORED);
    out.put_u64(placed.log.0);
    out.put_u64(placed.base.0);
    out.put_u32(placed.count);
    out.put_u64(placed.segment.0);
    out.put_u64(placed.position);
    out.put_u32(placed.bytes);
}

impl EntryRef<'_> {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match *self {
            EntryRef::Settle { log, ranges } => {
                out.put_u8(SETTLE);
                out.put_u64(log.0);
                out.put_u32(ranges.len() as u32);
                for range in ranges {
                    out.put_u64(range.start.0);
                    out.put_u64(range.end.0);
                }
            }
            EntryRef::Mark { log, next } => {
                out.put_u8(MARK);
                out.put_u64(log.0);
                out.put_u64(next.0);
            }
            EntryRef::Along { kind, log, bytes } => {
                let id = log.0;
                EntryRef::Note { kind, id, bytes }.put(out);
            }
            EntryRef::Note { kind, id, bytes } => {
                out.put_u8(NOTE);
                out.put_u8(kind);
                out.put_u64(id);
                out.put_u32(bytes.len() as u32);
                out.put_bytes(bytes);
            }
        }
    }
}

/// The entries of a whole frame, in order. Batches are copied out of it: a record that
/// lives on must not hold the file it was replayed from.
pub(crate) fn decode_frame(frame: &[u8]) -> Option<Vec<Entry>> {
    let mut fields = Fields::new(frame);
    let length = fields.u32()? as usize;
    if fields.rest.len() != length {
        return None;
    }
    let mut entries = Vec::new();
    while !fields.rest.is_empty() {
        entries.push(decode_entry(&mut fields)?);
    }
    Some(entries)
}

fn decode_entry(fields: &mut Fields<'_>) -> Option<Entry> {
    Some(match fields.u8()? {
        APPEND => {
            let count = fields.u32()? as usize;
            let mut targets = Vec::with_capacity(count.min(fields.rest.len() / 16));
            for _ in 0..count {
                targets.push((LogId(fields.u64()?), Offset(fields.u64()?)));
            }
            let length = Batch::length_at(fields.rest).ok()?;
            let bytes = Bytes::copy_from_slice(fields.take(length)?);
            let batch = Batch::parse_unchecked(&bytes).ok()?;
            Entry::Append { targets, batch }
        }
        STORED => Entry::Stored {
            log: LogId(fields.u64()?),
            base: Offset(fields.u64()?),
            count: fields.u32()?,
            segment: SegmentId(fields.u64()?),
            position: fields.u64()?,
            bytes: fields.u32()?,
        },
        SETTLE => {
            let log = LogId(fields.u64()?);
            let count = fields.u32()? as usize;
            let mut ranges = Vec::with_capacity(count.min(fields.rest.len() / 16));
            for _ in 0..count {
                ranges.push(Offset(fields.u64()?)..Offset(fields.u64()?));
            }
            Entry::Settle { log, ranges }
        }
        MARK => Entry::Mark {
            log: LogId(fields.u64()?),
            next: Offset(fields.u64()?),
        },
        NOTE => {
            let kind = fields.u8()?;
            let id = fields.u64()?;
            let length = fields.u32()? as usize;
            let bytes = fields.take(length)?.to_vec();
            Entry::Note { kind, id, bytes }
        }
        _ => return None,
    })
}

// Never reused.
const APPEND: u8 = 1;
const STORED: u8 = 2;
const SETTLE: u8 = 3;
const MARK: u8 = 4;
const NOTE: u8 = 5;
