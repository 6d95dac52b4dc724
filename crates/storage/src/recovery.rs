//! Start-up: what the last owner of the data directory left.

use std::sync::Arc;
use std::time::Duration;

use bongsu_record::Lsn;
use bytes::Bytes;

use crate::{Entry, Error, Log};

/// A section that the broker put into the checkpoint.
#[derive(Clone, Debug)]
pub struct Section {
    /// As it was put.
    pub kind: u8,
    /// As it was put.
    pub id: u64,
    /// As it was put.
    pub bytes: Bytes,
}

/// A log out of the checkpoint, with the state its queue put.
#[derive(Clone)]
pub struct LogSection {
    /// The log, restored as far as the checkpoint goes.
    pub log: Arc<Log>,
    /// Replay entries of this queue above this LSN only.
    pub applied: Lsn,
    /// As it was put.
    pub state: Bytes,
}

/// Start-up in three steps: [`Recovery::sections`] and [`Recovery::log_sections`], then
/// [`Recovery::replay`], then [`Recovery::finish`]. Nothing may be appended before
/// `finish` has returned.
pub struct Recovery {
    _private: (),
}

impl Recovery {
    /// The broker's sections of the checkpoint, in the order they were put.
    pub fn sections(&self) -> &[Section] {
        todo!()
    }

    /// The logs of the checkpoint, in the order they were put.
    pub fn log_sections(&self) -> &[LogSection] {
        todo!()
    }

    /// Visits every entry since the checkpoint's floor, in order. The LSN is the one
    /// that the append or record returned: an entry belongs to a queue's state if it is
    /// above the `applied` of that queue's section. Logs fill their tails meanwhile. A
    /// log that is not in the checkpoint exists only if the visitor calls
    /// [`Storage::create_log`](crate::Storage::create_log) for it, at the note that says so.
    ///
    /// # Errors
    /// `Corrupt` or `Missing`; nothing is skipped.
    pub fn replay(&mut self, visit: &mut dyn FnMut(Lsn, &Entry)) -> Result<(), Error> {
        let _ = visit;
        todo!()
    }

    /// Verifies that every segment still needed is there and sound, drops tails that
    /// segments cover, removes orphans.
    ///
    /// # Errors
    /// `Corrupt`, `Missing` or `Io`.
    pub fn finish(self) -> Result<Report, Error> {
        todo!()
    }
}

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the last owner closed cleanly: then nothing was replayed.
    pub clean: bool,
    /// Lanes replayed.
    pub lane_count: u64,
    /// Frames replayed.
    pub frame_count: u64,
    /// Records in replayed appends.
    pub record_count: u64,
    /// Bytes of frames replayed.
    pub replayed_bytes: u64,
    /// Bytes at the end of the last lane that were not whole, never confirmed.
    pub torn_bytes: u64,
    /// Records of `os` durability that a power cut took.
    pub lost_record_count: u64,
    /// Segment and lane files that nothing referred to.
    pub orphan_count: u64,
    /// How long it took, from `Storage::open`.
    pub duration: Duration,
}
