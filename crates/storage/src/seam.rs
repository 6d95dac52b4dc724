//! The seam between the engine's storage and what it is stored on: five traits, small
//! enough for a local disk, for memory and for an object store.
//!
//! ```text
//! LaneStore   create, seal (idempotent), keep
//! Lane        append (never blocks on I/O), commit, durable, set_floor
//! SealedLane  range, replay
//! Blobs       named byte files that grow at the end, then never change
//! Register    the one mutable name: read, compare-and-swap
//! ```
//!
//! Two implementations stand here, [`disk`](crate::disk) files and
//! [`MemorySeam`](memory::MemorySeam); one suite holds both to the same promises.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::Lsn;
use bytes::Bytes;

use crate::Error;

pub mod memory;

/// Name of a lane, never reused in a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LaneId(pub u64);

/// Everything a data directory is stored on.
#[derive(Clone)]
pub struct Seams {
    /// The write-ahead log.
    pub lanes: Arc<dyn LaneStore>,
    /// Segments and checkpoints.
    pub blobs: Arc<dyn Blobs>,
    /// What is current.
    pub register: Arc<dyn Register>,
}

/// Lanes by id.
pub trait LaneStore: Send + Sync {
    /// Opens a new lane that begins at `start`. Its id is `at_least` or, if files of
    /// that lane or a later one are there (a crash before the register listed it), more.
    ///
    /// # Errors
    /// `Full`, `ReadOnly` or `Io`.
    fn create(&self, at_least: LaneId, start: Lsn) -> Result<Arc<dyn Lane>, Error>;

    /// Ends a lane for good: fences its writer, cuts what is torn at its end, writes the
    /// seal mark. `floor` is where replay will begin; below it nothing need be there.
    /// Sealing a sealed lane changes nothing.
    ///
    /// # Errors
    /// `Corrupt` if something durable is damaged, `Missing` if it is not there.
    fn seal(&self, lane: LaneId, floor: Lsn) -> Result<Box<dyn SealedLane>, Error>;

    /// Every lane of which there is something, in order.
    ///
    /// # Errors
    /// `Io`.
    fn list(&self) -> Result<Vec<LaneId>, Error>;

    /// The files of a lane in use as a crash would leave them if nothing behind `until`,
    /// which is durable, had been written: from the one that holds `floor`.
    ///
    /// # Errors
    /// `Corrupt`, `Missing` or `Io`; a store without files has none to copy.
    fn copy(&self, lane: LaneId, floor: Lsn, until: Lsn) -> Result<Vec<LanePart>, Error> {
        let _ = (floor, until);
        Err(Error::Missing {
            path: PathBuf::from(format!("lane {}", lane.0)),
            what: "this store keeps no files that could be copied".to_owned(),
        })
    }

    /// Drops every lane that is not in `lanes`.
    ///
    /// # Errors
    /// `Io`.
    fn keep(&self, lanes: &[LaneId]) -> Result<(), Error>;
}

/// A file of a lane, for a copy: `front`, and zeros up to `bytes`.
#[derive(Clone, Debug)]
pub struct LanePart {
    /// Its name.
    pub name: String,
    /// What it begins with.
    pub front: Bytes,
    /// How long it is.
    pub bytes: u64,
}

/// What frames ask of their commit. Nobody waits for the settles of a queue, yet they
/// are synced with the next commit if the queue is of fsync durability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Somebody waits: no time to gather company.
    pub hurry: bool,
    /// A write is not enough.
    pub sync: bool,
}

impl Needs {
    /// What both together ask.
    #[must_use]
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            hurry: self.hurry || other.hurry,
            sync: self.sync || other.sync,
        }
    }
}

/// One frame to append: `head` with each payload of `payloads` put in before the byte of
/// `head` at its position. Positions ascend.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The small bytes.
    pub head: &'a [u8],
    /// The large ones, shared and not copied until the commit.
    pub payloads: &'a [(usize, Bytes)],
    /// When and how it must be safe.
    pub needs: Needs,
}

impl Frame<'_> {
    /// Bytes of the frame, which are its share of the LSN.
    pub fn len(&self) -> u64 {
        let payloads: usize = self.payloads.iter().map(|(_, bytes)| bytes.len()).sum();
        (self.head.len() + payloads) as u64
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What waits for the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Bytes of frames.
    pub bytes: u64,
    /// What they ask together.
    pub needs: Needs,
}

/// A lane that takes frames.
pub trait Lane: Send + Sync {
    /// Its name.
    fn id(&self) -> LaneId;

    /// Adds a frame to what is pending; never waits for I/O. The LSN behind it.
    ///
    /// # Errors
    /// `Full` if too much is pending, or what stopped the lane.
    fn append(&self, frame: Frame<'_>) -> Result<Lsn, Error>;

    /// End of all that was appended.
    fn position(&self) -> Lsn;

    /// Everything at or below is as safe as it asked to be.
    fn durable(&self) -> Lsn;

    /// What is pending, if anything.
    fn waiting(&self) -> Option<Waiting>;

    /// Writes all that is pending and, if any of it asks for that or `force_sync`, syncs.
    /// `before_sync` is called after the pending frames were taken and before the first
    /// write of a synced commit: what the frames refer to is synced there. False if
    /// nothing was pending (or unsynced, with `force_sync`).
    ///
    /// # Errors
    /// `Full`: all that was not written stays pending. Else the lane has failed.
    fn commit(
        &self,
        force_sync: bool,
        before_sync: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<bool, Error>;

    /// To be called when nothing has been appended for a while: leaves a mark that
    /// proves how far the lane is durable, so that damage there is told from a torn tail.
    /// Syncs what was only written. False, and nothing done: something is pending after
    /// all, or the lane is never synced.
    ///
    /// # Errors
    /// As [`Lane::commit`].
    fn idle(&self, before_sync: &mut dyn FnMut() -> Result<(), Error>) -> Result<bool, Error>;

    /// Whether file space for what comes next could not be had.
    fn is_full(&self) -> bool;

    /// What it was refused last, for people, while [`Lane::is_full`].
    fn lack(&self) -> Option<String>;

    /// Makes room ahead of need; clears [`Lane::is_full`] if it can.
    ///
    /// # Errors
    /// `Full` or `Io`; the lane goes on with what it has.
    fn prepare(&self) -> Result<(), Error>;

    /// Nothing below `floor` will be replayed; to be called once the register says so.
    /// Covers earlier lanes too.
    fn set_floor(&self, floor: Lsn);

    /// Commits what is pending and writes the seal mark: the lane ends here.
    ///
    /// # Errors
    /// As [`Lane::commit`].
    fn close(&self) -> Result<(), Error>;
}

/// A frame as replay hands it out.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The LSN behind it, as append returned it.
    pub lsn: Lsn,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A lane that is over.
pub trait SealedLane: Send {
    /// From where it can be replayed, to where it ends.
    fn range(&self) -> Range<Lsn>;

    /// File and byte of its end, for messages.
    fn end_place(&self) -> (PathBuf, u64);

    /// What frames up to here refer to was synced before they were written, or later.
    fn references_synced(&self) -> Lsn;

    /// Bytes at its end that were cut.
    fn torn_bytes(&self) -> u64;

    /// Whether it ended with a seal mark of its own writer.
    fn is_clean(&self) -> bool;

    /// Visits every frame that begins at or above `from`, in order.
    ///
    /// # Errors
    /// The visitor's, or `Corrupt`.
    fn replay(
        &self,
        from: Lsn,
        visit: &mut dyn FnMut(Replayed) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// Named byte files. A blob grows at its end until its writer is done with it, and is
/// never changed below what was synced.
pub trait Blobs: Send + Sync {
    /// Creates an empty blob; one of that name is replaced.
    ///
    /// # Errors
    /// `Full`, `ReadOnly` or `Io`.
    fn create(&self, name: &str) -> Result<Arc<dyn Blob>, Error>;

    /// Opens a blob.
    ///
    /// # Errors
    /// `Missing` or `Io`.
    fn open(&self, name: &str) -> Result<Arc<dyn Blob>, Error>;

    /// Deletes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// `ReadOnly` or `Io`.
    fn delete(&self, name: &str) -> Result<(), Error>;

    /// Every name, sorted.
    ///
    /// # Errors
    /// `Io`.
    fn list(&self) -> Result<Vec<String>, Error>;

    /// Makes creations and deletions durable.
    ///
    /// # Errors
    /// `Io`.
    fn sync_names(&self) -> Result<(), Error>;

    /// Makes all that was written to any blob durable, if that can be had in one go; `false`:
    /// it cannot, each must be synced.
    ///
    /// # Errors
    /// `SyncFailed`.
    fn sync_all(&self) -> Result<bool, Error> {
        Ok(false)
    }

    /// What messages call the blob.
    fn path(&self, name: &str) -> PathBuf;

    /// Room that is left.
    fn free_bytes(&self) -> u64;
}

/// One blob.
pub trait Blob: Send + Sync {
    /// Fills `buffer` from `position`.
    ///
    /// # Errors
    /// `Corrupt` if the blob ends before, or `Io`.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), Error>;

    /// Writes at `position`, which is at most the end.
    ///
    /// # Errors
    /// `Full`, `ReadOnly` or `Io`; what is at `position` and above is then unknown.
    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// `SyncFailed`.
    fn sync(&self) -> Result<(), Error>;

    /// Cuts it to `bytes`.
    ///
    /// # Errors
    /// `ReadOnly` or `Io`.
    fn cut(&self, bytes: u64) -> Result<(), Error>;

    /// How long it is.
    ///
    /// # Errors
    /// `Io`.
    fn len(&self) -> Result<u64, Error>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// `Io`.
    fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }
}

/// The one mutable name: what the current checkpoint and the live lanes are.
pub trait Register: Send + Sync {
    /// Its version and value, if it was ever written.
    ///
    /// # Errors
    /// `Corrupt`, `Format` or `Io`.
    fn read(&self) -> Result<Option<(u64, Bytes)>, Error>;

    /// Replaces the value if its version is still `expected` (0: never written); durable
    /// when it returns. The new version.
    ///
    /// # Errors
    /// `Fenced` if it changed; else as a write.
    fn compare_and_swap(&self, expected: u64, value: &[u8]) -> Result<u64, Error>;

    /// What messages call it.
    fn path(&self) -> PathBuf;
}

#[cfg(test)]
mod suite;
