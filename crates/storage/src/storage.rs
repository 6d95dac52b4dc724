//! Everything of one data directory.
//!
//! ```text
//! append   queue lock (the caller's) -> lane.pending -> each target's tail
//! commit   lane.pending taken -> segments synced -> block written -> synced -> durable
//! ```
//! Locks, in the order they may be taken: a queue's (the broker's), a log's writer, a
//! log's inner. The lane's pending lock and those of the shelf are leaves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bongsu_record::{Batch, LogId, Lsn, Offset};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::checkpoint::{CheckpointSource, Last};
use crate::disk::blobs::DiskBlobs;
use crate::disk::register::DiskRegister;
use crate::disk::{Disk, DiskLock};
use crate::entry::{begin_frame, end_frame, put_append, put_stored};
use crate::lane::{DiskLaneStore, LaneOptions};
use crate::log::budget::Payload;
use crate::log::shelf::Shelf;
use crate::manifest::Manifest;
use crate::seam::{Frame, Lane, Needs, Seams};
use crate::threads::Wake;
use crate::{Durability, EntryRef, Error, Log, Options, Recovery, Threads};

/// Everything of one data directory. A clone is another handle on the same.
#[derive(Clone)]
pub struct Storage {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub options: Options,
    pub seams: Seams,
    pub shelf: Arc<Shelf>,
    pub lane: Arc<dyn Lane>,
    pub logs: RwLock<BTreeMap<LogId, Arc<Log>>>,
    /// The register's version and value. Held over a checkpoint: one at a time.
    pub manifest: Mutex<(u64, Manifest)>,
    pub last_checkpoint: Mutex<Last>,
    pub checkpoint_times: Mutex<CheckpointTimes>,
    pub wake: Wake,
    /// Recovery took references that no lane vouches for: until a checkpoint lists what
    /// they refer to, damage to it would pass for what a power cut may take.
    pub unvouched: AtomicBool,
    /// A copy is being made: nothing that it refers to may go. Set under the manifest's lock.
    pub pinned: AtomicBool,
    floor: AtomicU64,
    free_bytes: AtomicU64,
    failed: OnceLock<Arc<Error>>,
    /// The last durable LSN told, and whom to tell. Held while telling, so that what is
    /// told only grows.
    told: Mutex<(Lsn, Vec<TellDurable>)>,
    tell_failed: Mutex<Vec<TellFailed>>,
    _lock: Option<Box<dyn DiskLock>>,
}

type TellDurable = Box<dyn Fn(Lsn) + Send + Sync>;
type TellFailed = Box<dyn Fn(&Error) + Send + Sync>;

/// How long checkpoints took, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointTimes {
    /// How many there were.
    pub count: u64,
    /// The last one.
    pub last: Duration,
    /// All of them.
    pub all: Duration,
}

impl CheckpointTimes {
    pub(crate) fn took(&mut self, time: Duration) {
        self.count += 1;
        self.last = time;
        self.all += time;
    }
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
        let dir = &options.dir;
        disk.create_dir_all(dir)
            .map_err(|cause| Error::io("create", dir, 0, &cause))?;
        let lock_path = dir.join("lock");
        let lock = disk.lock(&lock_path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked {
                path: lock_path.clone(),
            },
            _ => Error::io("lock", &lock_path, 0, &cause),
        })?;
        let lanes = LaneOptions {
            dir: dir.join("lanes"),
            durability: options.durability,
            file_bytes: options.lane_file_bytes,
            pending_bytes_max: options.lane_pending_bytes_max,
            direct: options.direct_io,
        };
        let seams = Seams {
            register: Arc::new(DiskRegister::new(Arc::clone(&disk), dir.clone())),
            blobs: Arc::new(DiskBlobs::open(Arc::clone(&disk), dir.join("data"))?),
            lanes: Arc::new(DiskLaneStore::open(disk, lanes)?),
        };
        Recovery::open(seams, options, Some(lock))
    }

    /// As [`Storage::open`], on any implementation of the seam.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub fn open_on(seams: Seams, options: Options) -> Result<(Storage, Recovery), Error> {
        Recovery::open(seams, options, None)
    }

    pub(crate) fn assemble(
        seams: Seams,
        shelf: Arc<Shelf>,
        lane: Arc<dyn Lane>,
        manifest: (u64, Manifest),
        checkpoint_bytes: u64,
        lock: Option<Box<dyn DiskLock>>,
    ) -> Storage {
        let last = Last {
            bytes: checkpoint_bytes,
            ..Last::default()
        };
        shelf.set_durable(lane.durable());
        let shared = Shared {
            options: shelf.options.clone(),
            floor: AtomicU64::new(manifest.1.floor.0),
            free_bytes: AtomicU64::new(seams.blobs.free_bytes()),
            unvouched: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
            told: Mutex::new((lane.durable(), Vec::new())),
            seams,
            shelf,
            lane,
            logs: RwLock::default(),
            manifest: Mutex::new(manifest),
            last_checkpoint: Mutex::new(last),
            checkpoint_times: Mutex::default(),
            wake: Wake::default(),
            failed: OnceLock::new(),
            tell_failed: Mutex::default(),
            _lock: lock,
        };
        Storage {
            shared: Arc::new(shared),
        }
    }

    /// The log `id`, created empty if there is none. Not written anywhere: the broker's
    /// note in the same group as the first append says that it exists.
    pub fn create_log(&self, id: LogId, durability: Durability) -> Arc<Log> {
        let log = self.shared.log_or_new(id, durability);
        log.set_durability(durability);
        log.claimed.store(true, Ordering::Relaxed);
        log
    }

    /// The log `id`, if there is one.
    pub fn log(&self, id: LogId) -> Option<Arc<Log>> {
        self.shared.logs.read().get(&id).cloned()
    }

    /// Every log, by id.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.shared.logs.read().values().cloned().collect()
    }

    /// Forgets the log; its files go with the next checkpoint.
    pub fn remove_log(&self, id: LogId) {
        let removed = self.shared.logs.write().remove(&id);
        if let Some(log) = removed {
            log.remove();
        }
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

    /// Whether a batch that is appended alone to a log that lasts goes straight to its
    /// segment: then a replay does not see it, but only that it is there.
    pub fn is_direct(&self, batch: &Batch) -> bool {
        // A replay must see which queues have records with terms of delivery, without
        // reading segments.
        batch.len() >= self.shared.options.direct_bytes_min && !batch.has_terms()
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
        self.shared.check()?;
        if let [publish] = publishes
            && let [(log, base)] = publish.targets
            && self.is_direct(publish.batch)
            && log.durability() != Durability::Memory
        {
            return self.shared.append_direct(log, *base, publish.batch, more);
        }
        self.shared.append_group(publishes, more)
    }

    /// Appends a group without a batch. Groups of settles and marks alone do not hurry
    /// the commit: a lost settle is only a redelivery. [`Storage::hurry`] does.
    ///
    /// # Errors
    /// As [`Storage::append`].
    pub fn record(&self, entries: &[EntryRef<'_>]) -> Result<Lsn, Error> {
        self.shared.check()?;
        let appended = self.shared.append_group(&[], entries)?;
        Ok(appended.lsn)
    }

    /// Makes the committer go now, whatever is pending.
    pub fn hurry(&self) {
        self.shared.wake.hurry();
    }

    /// End of all that was appended.
    pub fn position(&self) -> Lsn {
        self.shared.lane.position()
    }

    /// Everything at or below is as safe as its log's durability says.
    pub fn durable(&self) -> Lsn {
        self.shared.lane.durable()
    }

    /// Calls `tell` with each new durable LSN, from the committing thread.
    pub fn on_durable(&self, tell: Box<dyn Fn(Lsn) + Send + Sync>) {
        self.shared.told.lock().1.push(tell);
    }

    /// Why the lane takes no more writes, if so.
    pub fn failed(&self) -> Option<Arc<Error>> {
        self.shared.failed.get().cloned()
    }

    /// Calls `tell` once if the lane fails.
    pub fn on_failed(&self, tell: Box<dyn Fn(&Error) + Send + Sync>) {
        self.shared.tell_failed.lock().push(tell);
    }

    /// Commits what is pending: one write, one sync. False if there was nothing.
    ///
    /// # Errors
    /// `Full` (all stays pending, try later) or `SyncFailed`.
    pub fn commit_step(&self) -> Result<bool, Error> {
        self.shared.commit(false)
    }

    /// To be called when nothing was committed for a while: leaves a mark that proves
    /// the last commit durable, so that damage to it cannot pass for a torn tail. The
    /// committer thread does it. False, and nothing done: something is pending.
    ///
    /// # Errors
    /// As [`Storage::commit_step`].
    pub fn idle_step(&self) -> Result<bool, Error> {
        self.shared.idle()
    }

    /// Whether enough has grown since the last checkpoint.
    pub fn checkpoint_due(&self) -> bool {
        self.shared.checkpoint_due()
    }

    /// Takes a checkpoint. False if there was nothing to do.
    ///
    /// # Errors
    /// Any; the last checkpoint stands.
    pub fn checkpoint(&self, source: &dyn CheckpointSource) -> Result<bool, Error> {
        self.shared.checkpoint(source)
    }

    /// Starts the committer and the checkpointer.
    pub fn start_threads(&self, source: Weak<dyn CheckpointSource>) -> Threads {
        Threads::start(&self.shared, source)
    }

    /// How full everything is.
    pub fn pressure(&self) -> Pressure {
        let shared = &self.shared;
        Pressure {
            pinned_bytes: shared.shelf.budget.pinned(),
            cached_bytes: shared.shelf.budget.cached(),
            lane_pending_bytes: shared.lane.waiting().map_or(0, |waiting| waiting.bytes),
            lane_bytes: shared.lane.position().0 - shared.floor().0,
            droppable_bytes: shared.shelf.droppable(),
            disk_free_bytes: shared.free_bytes.load(Ordering::Relaxed),
            full: shared.lane.is_full(),
        }
    }

    /// What the disk refused last, for people, while it refuses.
    pub fn lack(&self) -> Option<String> {
        self.shared.lane.lack()
    }

    /// How long checkpoints took.
    pub fn checkpoint_times(&self) -> CheckpointTimes {
        *self.shared.checkpoint_times.lock()
    }

    /// Stops cleanly: commits, takes a last checkpoint, seals the lane. Drop the
    /// [`Threads`] before. The next start replays nothing.
    ///
    /// # Errors
    /// Any; then the next start replays.
    pub fn close(&self, source: &dyn CheckpointSource) -> Result<(), Error> {
        self.shared.commit(true)?;
        self.shared.checkpoint(source)?;
        self.shared.commit(true)?;
        self.shared.lane.close()
    }
}

impl Shared {
    pub fn log_or_new(&self, id: LogId, durability: Durability) -> Arc<Log> {
        let mut logs = self.logs.write();
        let log = logs
            .entry(id)
            .or_insert_with(|| Log::new(id, durability, &self.shelf));
        Arc::clone(log)
    }

    pub fn floor(&self) -> Lsn {
        Lsn(self.floor.load(Ordering::Relaxed))
    }

    pub fn set_floor(&self, floor: Lsn) {
        self.floor.store(floor.0, Ordering::Relaxed);
        let free = self.seams.blobs.free_bytes();
        self.free_bytes.store(free, Ordering::Relaxed);
    }

    pub fn check(&self) -> Result<(), Error> {
        match self.failed.get() {
            Some(error) => Err(error.as_ref().clone()),
            None => Ok(()),
        }
    }

    /// Nothing is written from here on.
    pub fn fail(&self, error: Error) -> Error {
        let kept = Arc::new(error);
        if self.failed.set(Arc::clone(&kept)).is_ok() {
            for tell in self.tell_failed.lock().iter() {
                tell(&kept);
            }
        }
        self.check().err().unwrap_or_else(|| kept.as_ref().clone())
    }

    fn append_group(
        &self,
        publishes: &[Publish<'_>],
        more: &[EntryRef<'_>],
    ) -> Result<Appended, Error> {
        let mut needs = self.needs_of(more);
        let mut durable = !more.is_empty();
        let in_lane = |target: &&(&Arc<Log>, Offset)| target.0.durability() != Durability::Memory;
        for publish in publishes {
            for target in publish.targets.iter().filter(in_lane) {
                durable = true;
                needs.hurry = true;
                needs.sync |= target.0.durability() == Durability::Fsync;
            }
        }
        if publishes
            .iter()
            .any(|p| p.targets.iter().any(|t| in_lane(&t)))
        {
            self.check_room()?;
        }
        let mut lsn = Lsn(0);
        if durable {
            lsn = with_scratch(|head, payloads| {
                for publish in publishes {
                    let count = publish.targets.iter().filter(in_lane).count();
                    if count > 0 {
                        let targets = publish.targets.iter().filter(in_lane);
                        let targets = targets.map(|(log, base)| (log.id(), *base));
                        put_append(count, targets, head);
                        payloads.push((head.len(), publish.batch.bytes().clone()));
                    }
                }
                more.iter().for_each(|entry| entry.put(head));
                self.lane_append(head, payloads, needs)
            })?;
        }
        for publish in publishes {
            if publish.targets.is_empty() {
                continue;
            }
            let payload = Payload::new(publish.batch, &self.shelf.budget);
            for (log, base) in publish.targets {
                log.push(*base, lsn, &payload);
            }
        }
        Ok(Appended { lsn })
    }

    /// What is left of the lane is kept for settles and checkpoints, which make room.
    fn check_room(&self) -> Result<(), Error> {
        match self.lane.is_full() {
            true => Err(Error::Full {
                what: "the disk has no room for another lane file".to_owned(),
                needed_bytes: self.options.lane_file_bytes,
            }),
            false => Ok(()),
        }
    }

    fn needs_of(&self, entries: &[EntryRef<'_>]) -> Needs {
        let of_log = |log: &LogId| {
            let logs = self.logs.read();
            let durability = logs.get(log).map(|log| log.durability());
            Needs {
                hurry: false,
                sync: durability.is_none_or(|durability| durability == Durability::Fsync),
            }
        };
        let needs = entries.iter().map(|entry| match entry {
            EntryRef::Settle { log, .. }
            | EntryRef::Mark { log, .. }
            | EntryRef::Along { log, .. } => of_log(log),
            EntryRef::Note { .. } => Needs {
                hurry: true,
                sync: true,
            },
        });
        needs.fold(Needs::default(), Needs::and)
    }

    fn append_direct(
        &self,
        log: &Arc<Log>,
        base: Offset,
        batch: &Batch,
        more: &[EntryRef<'_>],
    ) -> Result<Appended, Error> {
        let needs = self.needs_of(more).and(Needs {
            hurry: true,
            sync: log.durability() == Durability::Fsync,
        });
        self.check_room()?;
        let mut writer = log.writer.lock();
        let direct = log.append_direct(&mut writer, base, batch)?;
        let appended = with_scratch(|head, payloads| {
            for placed in &direct.entries {
                put_stored(placed, head);
            }
            more.iter().for_each(|entry| entry.put(head));
            self.lane_append(head, payloads, needs)
        });
        let lsn = match appended {
            Ok(lsn) => lsn,
            Err(error) => {
                log.undo_direct(&mut writer, &direct, base);
                return Err(error);
            }
        };
        let end = base.plus(u64::from(batch.offset_count()));
        log.settle_direct(&mut writer, end, batch.len() as u64);
        log.push_stored(base, lsn, &Payload::new(batch, &self.shelf.budget));
        Ok(Appended { lsn })
    }

    fn lane_append(
        &self,
        head: &mut [u8],
        payloads: &[(usize, Bytes)],
        needs: Needs,
    ) -> Result<Lsn, Error> {
        let payload_bytes = payloads.iter().map(|(_, bytes)| bytes.len()).sum();
        end_frame(head, payload_bytes);
        let lsn = self.lane.append(Frame {
            head,
            payloads,
            needs,
        })?;
        self.wake.pending(needs);
        Ok(lsn)
    }

    pub fn commit(&self, force_sync: bool) -> Result<bool, Error> {
        self.check()?;
        let committed = self.lane.commit(force_sync, &mut || self.shelf.sync());
        self.tell();
        committed.map_err(|error| match error.is_full() {
            true => error,
            false => self.fail(error),
        })
    }

    pub fn idle(&self) -> Result<bool, Error> {
        self.check()?;
        let idle = self.lane.idle(&mut || self.shelf.sync());
        idle.map_err(|error| match error.is_full() {
            true => error,
            false => self.fail(error),
        })
    }

    fn tell(&self) {
        let mut told = self.told.lock();
        let durable = self.lane.durable();
        if durable > told.0 {
            told.0 = durable;
            self.shelf.set_durable(durable);
            told.1.iter().for_each(|tell| tell(durable));
        }
    }

    /// Deletes the reserve for a checkpoint of `needed_bytes`, if that is little of it:
    /// room that backlog takes comes not back with the checkpoint.
    pub fn give_up_reserve(&self, needed_bytes: u64) -> bool {
        let blobs = &self.seams.blobs;
        let reserve = blobs.open(RESERVE).and_then(|blob| blob.len());
        reserve.is_ok_and(|bytes| needed_bytes <= bytes / 2) && blobs.delete(RESERVE).is_ok()
    }

    /// Sets room aside again, if there is plenty.
    pub fn restore_reserve(&self) {
        let blobs = &self.seams.blobs;
        let state_bytes = self.last_checkpoint.lock().state_bytes;
        let bytes = self.options.reserve_bytes.max(2 * state_bytes);
        let kept = blobs.open(RESERVE).and_then(|blob| blob.len()).unwrap_or(0);
        let off = self.options.reserve_bytes == 0;
        if off || kept >= bytes / 2 || blobs.free_bytes() < 2 * bytes {
            return;
        }
        let filled = blobs.create(RESERVE).and_then(|blob| {
            let zeros = vec![0; bytes.min(1 << 20) as usize];
            let mut position = 0;
            while position < bytes {
                let part = zeros.len().min((bytes - position) as usize);
                blob.write_at(position, &zeros[..part])?;
                position += part as u64;
            }
            Ok(())
        });
        if filled.is_err() {
            let _ = blobs.delete(RESERVE);
        }
    }
}

type Payloads = Vec<(usize, Bytes)>;

/// Runs `build` with buffers that are reused: an append allocates nothing.
fn with_scratch<T>(build: impl FnOnce(&mut Vec<u8>, &mut Payloads) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<(Vec<u8>, Payloads)> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|(head, payloads)| {
        begin_frame(head);
        let built = build(head, payloads);
        payloads.clear();
        head.shrink_to(SCRATCH_BYTES);
        built
    })
}

/// The blob that is given up when the disk is full.
pub(crate) const RESERVE: &str = "reserve";
const SCRATCH_BYTES: usize = 64 << 10;

#[cfg(test)]
pub(crate) mod tests;
