//! Everything of one data directory.

use std::sync::{Arc, Weak};

use bongsu_record::{Batch, LogId, Lsn, Offset};

use crate::checkpoint::CheckpointSource;
use crate::disk::Disk;
use crate::{Durability, EntryRef, Error, Log, Options, Recovery, Threads};

/// Everything of one data directory. A clone is another handle on the same.
#[derive(Clone)]
pub struct Storage {
    _private: Arc<()>,
}

/// Where an append stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Safe once [`Storage::durable`] has reached this. Zero (always reached) if every
    /// target is of memory durability and nothing else was in the group.
    pub lsn: Lsn,
}

/// One batch and the logs it goes to, for [`Storage::append_all`].
#[derive(Clone, Copy)]
pub struct Publish<'a> {
    /// Each log and the offset of the batch's first record in it: the log's end.
    pub targets: &'a [(&'a Arc<Log>, Offset)],
    /// The batch.
    pub batch: &'a Batch,
}

/// How full everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes of batches that are in no segment yet.
    pub pinned_bytes: u64,
    /// Bytes of batches that could be dropped from memory.
    pub cached_bytes: u64,
    /// Bytes that wait for the next commit.
    pub lane_pending_bytes: u64,
    /// Bytes of lane files that a restart would replay.
    pub lane_bytes: u64,
    /// Bytes of segments that the next checkpoint gives back.
    pub droppable_bytes: u64,
    /// Room on the disk, as last asked (at each checkpoint and lane file).
    pub disk_free_bytes: u64,
    /// Whether appends are refused because the disk is full.
    pub full: bool,
}

impl Storage {
    /// Opens the data directory: locks it, seals the last lane, loads the checkpoint,
    /// opens a new lane. Use the [`Recovery`] up before anything is appended.
    ///
    /// # Errors
    /// Any [`Error`]; nothing confirmed is changed.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Storage, Recovery), Error> {
        let _ = (disk, options);
        todo!()
    }

    /// The log `id`, created empty if there is none. Not written anywhere: the broker's
    /// note in the same group as the first append says that it exists.
    pub fn create_log(&self, id: LogId, durability: Durability) -> Arc<Log> {
        let _ = (id, durability);
        todo!()
    }

    /// The log `id`, if there is one.
    pub fn log(&self, id: LogId) -> Option<Arc<Log>> {
        let _ = id;
        todo!()
    }

    /// Forgets the log; its files go with the next checkpoint.
    pub fn remove_log(&self, id: LogId) {
        let _ = id;
        todo!()
    }

    /// Appends one group: `batch` to every target, and `more`. All of it survives a
    /// crash, or none. The caller holds the queue lock of every target.
    ///
    /// # Errors
    /// `Full` (nothing happened, try later) or whatever stopped the lane.
    pub fn append(
        &self,
        targets: &[(&Arc<Log>, Offset)],
        batch: &Batch,
        more: &[EntryRef<'_>],
    ) -> Result<Appended, Error> {
        self.append_all(&[Publish { targets, batch }], more)
    }

    /// As [`Storage::append`], with several batches in one group.
    ///
    /// # Errors
    /// As [`Storage::append`].
    pub fn append_all(
        &self,
        publishes: &[Publish<'_>],
        more: &[EntryRef<'_>],
    ) -> Result<Appended, Error> {
        let _ = (publishes, more);
        todo!()
    }

    /// Appends a group without a batch. Groups of settles and marks alone do not hurry
    /// the commit: a lost settle is only a redelivery. [`Storage::hurry`] does.
    ///
    /// # Errors
    /// As [`Storage::append`].
    pub fn record(&self, entries: &[EntryRef<'_>]) -> Result<Lsn, Error> {
        let _ = entries;
        todo!()
    }

    /// Makes the committer go now, whatever is pending.
    pub fn hurry(&self) {
        todo!()
    }

    /// End of all that was appended.
    pub fn position(&self) -> Lsn {
        todo!()
    }

    /// Everything at or below is as safe as its log's durability says.
    pub fn durable(&self) -> Lsn {
        todo!()
    }

    /// Calls `tell` with each new durable LSN, from the committing thread.
    pub fn on_durable(&self, tell: Box<dyn Fn(Lsn) + Send + Sync>) {
        let _ = tell;
        todo!()
    }

    /// Why the lane takes no more writes, if so.
    pub fn failed(&self) -> Option<Arc<Error>> {
        todo!()
    }

    /// Calls `tell` once if the lane fails.
    pub fn on_failed(&self, tell: Box<dyn Fn(&Error) + Send + Sync>) {
        let _ = tell;
        todo!()
    }

    /// Commits what is pending: one write, one sync. False if there was nothing.
    ///
    /// # Errors
    /// `Full` (all stays pending, try later) or `SyncFailed`.
    pub fn commit_step(&self) -> Result<bool, Error> {
        todo!()
    }

    /// Whether enough has grown since the last checkpoint.
    pub fn checkpoint_due(&self) -> bool {
        todo!()
    }

    /// Takes a checkpoint. False if there was nothing to do.
    ///
    /// # Errors
    /// Any; the last checkpoint stands.
    pub fn checkpoint(&self, source: &dyn CheckpointSource) -> Result<bool, Error> {
        let _ = source;
        todo!()
    }

    /// Starts the committer and the checkpointer.
    pub fn start_threads(&self, source: Weak<dyn CheckpointSource>) -> Threads {
        let _ = source;
        todo!()
    }

    /// How full everything is.
    pub fn pressure(&self) -> Pressure {
        todo!()
    }

    /// Stops cleanly: commits, takes a last checkpoint, seals the lane. Drop the
    /// [`Threads`] before. The next start replays nothing.
    ///
    /// # Errors
    /// Any; then the next start replays.
    pub fn close(&self, source: &dyn CheckpointSource) -> Result<(), Error> {
        let _ = source;
        todo!()
    }
}
