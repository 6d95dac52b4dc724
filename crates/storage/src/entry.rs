//! What a frame of the lane says.

use std::ops::Range;

use bongsu_record::{Batch, LogId, Offset};

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
