//! One log: batches in offset order, the newest in memory, the rest in segments.

use bongsu_record::{Batch, LogId, Offset};

use crate::{Durability, Error};

/// A batch as a log holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Offset of its first record in this log.
    pub base: Offset,
    /// The batch; its own base offset means nothing.
    pub batch: Batch,
}

/// What a log takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Bytes in segments.
    pub disk_bytes: u64,
    /// Bytes of batches in memory, pinned or cached.
    pub memory_bytes: u64,
    /// Segments.
    pub segment_count: usize,
}

/// One log of a data directory. All methods may be called from any thread.
pub struct Log {
    _private: (),
}

impl Log {
    /// Its name.
    pub fn id(&self) -> LogId {
        todo!()
    }

    /// What a confirmed record in it survives.
    pub fn durability(&self) -> Durability {
        todo!()
    }

    /// Everything below is trimmed.
    pub fn start(&self) -> Offset {
        todo!()
    }

    /// Offset that the next record gets.
    pub fn end(&self) -> Offset {
        todo!()
    }

    /// Puts the batches from the one that holds `from` into `out`, from memory only, at
    /// least one and then up to `bytes_max`. False: it is on the disk, call
    /// [`Log::fetch`]. True with nothing put: `from` is the end. Records that were
    /// settled before they reached a segment may be missing: what is put begins at
    /// `from` or above.
    pub fn read(&self, from: Offset, bytes_max: usize, out: &mut Vec<Stored>) -> bool {
        let _ = (from, bytes_max, out);
        todo!()
    }

    /// As [`Log::read`], reading from the disk if need be, ahead of what was asked for.
    ///
    /// # Errors
    /// `Corrupt`, `Missing` or `Io`, naming the segment and the place.
    pub fn fetch(
        &self,
        from: Offset,
        bytes_max: usize,
        out: &mut Vec<Stored>,
    ) -> Result<(), Error> {
        let _ = (from, bytes_max, out);
        todo!()
    }

    /// All below `floor` is settled: drops it from memory, and segments that lie below
    /// it whole. Their files go with the next checkpoint.
    pub fn trim(&self, floor: Offset) {
        let _ = floor;
        todo!()
    }

    /// What it takes up.
    pub fn stats(&self) -> LogStats {
        todo!()
    }
}
