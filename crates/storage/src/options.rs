//! What one data directory is opened with.

use std::path::PathBuf;

/// What a confirmed record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Durability {
    /// A power cut: confirmed after a sync (shared with all that was pending).
    #[default]
    Fsync = 0,
    /// A crash of the broker, not of the machine: confirmed after a write.
    Os = 1,
    /// Nothing: never written to the lane.
    Memory = 2,
}

impl Durability {
    /// The durability of a number written as `as u8`; the safest if there is none such.
    pub(crate) fn from_number(number: u8) -> Durability {
        match number {
            1 => Durability::Os,
            2 => Durability::Memory,
            _ => Durability::Fsync,
        }
    }
}

/// Settings of a data directory; `Options::new(dir)` has the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// `Fsync`, or `Os` if the lane is never to be synced. No log is safer than its lane.
    pub durability: Durability,
    /// Bytes of one preallocated lane file.
    pub lane_file_bytes: u64,
    /// Most bytes that may wait for the next commit; more are refused.
    pub lane_pending_bytes_max: u64,
    /// Lane growth that makes a checkpoint due (at least; four times the last
    /// checkpoint if that is more).
    pub checkpoint_bytes: u64,
    /// Bytes of droppable segments that make a checkpoint due, so that the disk gets its
    /// room back while nobody publishes.
    pub droppable_bytes: u64,
    /// A segment that has reached this is sealed.
    pub segment_bytes_max: u64,
    /// A batch for one log of at least this goes straight to its segment.
    pub direct_bytes_min: usize,
    /// Alive bytes of a log below which a checkpoint carries them inline.
    pub inline_bytes_max: u64,
    /// Inline bytes of all logs together in one checkpoint (tiny logs excepted).
    pub inline_total_bytes_max: u64,
    /// Memory for batches that are also in a segment, and for read-ahead.
    pub cache_bytes: u64,
    /// Bytes that one fetch reads ahead.
    pub read_ahead_bytes: usize,
    /// Ask for direct I/O on lane files.
    pub direct_io: bool,
    /// A file of this size is given up when the disk is full, so that the checkpoint
    /// which makes room can still be written.
    pub reserve_bytes: u64,
}

impl Options {
    /// The defaults, for the data directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            durability: Durability::Fsync,
            lane_file_bytes: 32 << 20,
            lane_pending_bytes_max: 64 << 20,
            checkpoint_bytes: 32 << 20,
            droppable_bytes: 64 << 20,
            segment_bytes_max: 64 << 20,
            direct_bytes_min: 256 << 10,
            inline_bytes_max: 64 << 10,
            inline_total_bytes_max: 16 << 20,
            cache_bytes: 32 << 20,
            read_ahead_bytes: 256 << 10,
            direct_io: true,
            reserve_bytes: 8 << 20,
        }
    }
}
