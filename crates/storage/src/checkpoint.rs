//! Moving what is still alive out of old lane files.
//!
//! A checkpoint is fuzzy across queues and exact within each. In order:
//!
//! 1. **floor** = the lane's position. What it covers must be found in the checkpoint or
//!    in segments from then on.
//! 2. Each log's pinned batches are looked at. Enough alive bytes go to the log's open
//!    segment; few go inline.
//! 3. The broker puts its sections. Each log is captured under its queue's lock, with the
//!    position of that moment: its queue's `applied`.
//! 4. The lane is synced up to where it is now: a checkpoint must not know of entries
//!    that a crash could still take back.
//! 5. Segments are synced, the blob is written and synced.
//! 6. The register is switched. Only now lane files below the floor, segments dropped
//!    before step 3 and the checkpoint before this one may go.
//!
//! A crash before 6 leaves the old checkpoint, to which nothing was done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bongsu_record::{LogId, Lsn, Offset};

use crate::log::flush::Survey;
use crate::manifest::Manifest;
use crate::storage::Shared;
use crate::{Durability, Error, Log};

pub(crate) mod blob;

use blob::{Captured, Encoder};

/// Who knows what is alive: the broker.
pub trait CheckpointSource: Send + Sync {
    /// May any record of `records` still be needed? Asked of pinned batches, outside
    /// every storage lock; may take the queue's lock. A record that is not needed must
    /// have been settled by an entry that is already in the lane.
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool;

    /// Puts the broker's state, section by section; each log under its queue's lock.
    fn sections(&self, out: &mut SectionWriter<'_>);
}

/// Takes the sections of one checkpoint.
pub struct SectionWriter<'a> {
    out: Encoder,
    floor: Lsn,
    surveys: &'a BTreeMap<LogId, Survey>,
    listed: BTreeSet<LogId>,
}

impl SectionWriter<'_> {
    /// Puts a section of the broker's own: come back as they are in
    /// [`Recovery::sections`](crate::Recovery::sections).
    pub fn put(&mut self, kind: u8, id: u64, bytes: &[u8]) {
        self.out.broker(kind, id, bytes);
    }

    /// Puts one log and its queue's `state`. The caller holds the queue's lock and took
    /// `applied` = [`Storage::position`](crate::Storage::position) under it: `state`
    /// knows of every entry at or below `applied` and of none above.
    pub fn put_log(&mut self, log: &Log, applied: Lsn, state: &[u8]) {
        log.forget_unwritten();
        let next_segment = log.shelf.next_segment();
        let inner = log.inner.lock();
        let memory = log.durability() == Durability::Memory;
        let mut captured = Captured {
            id: log.id(),
            durability: log.durability(),
            applied,
            start: inner.start,
            kept_end: inner.end,
            next_segment,
            segments: Vec::new(),
            inline: Vec::new(),
        };
        if memory {
            // Nothing of it outlives the process, but its offsets go on.
            captured.start = inner.end;
        } else {
            captured.segments = inner.segments.iter().copied().collect();
            let dead = self.surveys.get(&log.id()).map(|survey| &survey.dead[..]);
            for item in inner.tail.pinned() {
                if item.lsn > self.floor {
                    captured.kept_end = item.base;
                    break;
                }
                let is_dead = dead.is_some_and(|dead| dead.binary_search(&item.base).is_ok());
                if !is_dead && item.end() > inner.start {
                    captured
                        .inline
                        .push((item.base, item.payload.batch.clone()));
                }
            }
        }
        drop(inner);
        self.listed.insert(log.id());
        self.out.log(&captured, state);
    }
}

/// What one checkpoint leaves for the next.
#[derive(Default)]
pub(crate) struct Last {
    pub position: Lsn,
    pub bytes: u64,
    /// Of those, all but inline batches: what the next one needs at least.
    pub state_bytes: u64,
    pub pinned: u64,
}

impl Shared {
    pub(crate) fn checkpoint_due(&self) -> bool {
        let last = self.last_checkpoint.lock();
        let grown = self.lane.position().0 - self.floor().0;
        let threshold = self.options.checkpoint_bytes.max(4 * last.bytes);
        let pinned = self.shelf.budget.pinned();
        grown >= threshold
            || pinned >= last.pinned + self.options.checkpoint_bytes
            || self.unvouched.load(Ordering::Relaxed)
            || self.shelf.direct_bytes.load(Ordering::Relaxed)
                >= DIRECT_FACTOR * self.options.checkpoint_bytes
            || (self.shelf.droppable() >= self.options.droppable_bytes && !self.is_pinned())
            || (self.lane.is_full() && (grown > 0 || self.shelf.droppable() > 0))
    }

    /// Whether a copy is being made, so that a checkpoint gives nothing back.
    fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Acquire)
    }

    pub(crate) fn checkpoint(&self, source: &dyn CheckpointSource) -> Result<bool, Error> {
        let mut manifest = self.manifest.lock();
        let begun = Instant::now();
        let taken = self.try_checkpoint(source, &mut manifest);
        let taken = match taken {
            Err(Error::Full { needed_bytes, .. }) if self.give_up_reserve(needed_bytes) => {
                self.try_checkpoint(source, &mut manifest)
            }
            other => other,
        };
        if taken.is_ok() {
            self.restore_reserve();
        }
        if matches!(taken, Ok(true)) {
            self.checkpoint_times.lock().took(begun.elapsed());
        }
        taken
    }

    fn try_checkpoint(
        &self,
        source: &dyn CheckpointSource,
        manifest: &mut (u64, Manifest),
    ) -> Result<bool, Error> {
        self.check()?;
        let floor = self.lane.position();
        let direct_bytes = self.shelf.direct_bytes.load(Ordering::Relaxed);
        let begun = self.shelf.checkpoints_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let logs: Vec<Arc<Log>> = self.logs.read().values().cloned().collect();
        for log in &logs {
            log.retire(&mut log.writer.lock());
        }
        let idle = floor == self.last_checkpoint.lock().position;
        if idle && manifest.1.checkpoint > 0 && self.shelf.droppable() == 0 {
            self.relieve_memory(&logs, source)?;
            return Ok(false);
        }
        let buried = self.shelf.buried();
        let taken = self.take_checkpoint(source, manifest, floor, &logs);
        match taken {
            Ok((bytes, inline_bytes)) => {
                self.shelf.checkpoint_done.store(begun, Ordering::Release);
                self.unvouched.store(false, Ordering::Relaxed);
                let direct = &self.shelf.direct_bytes;
                direct.fetch_sub(direct_bytes, Ordering::Relaxed);
                match self.is_pinned() {
                    true => self.shelf.keep_buried(buried),
                    false => self.shelf.delete(buried),
                }
                *self.last_checkpoint.lock() = Last {
                    position: floor,
                    bytes,
                    state_bytes: bytes - inline_bytes,
                    pinned: self.shelf.budget.pinned(),
                };
                Ok(true)
            }
            Err(error) => {
                self.shelf.keep_buried(buried);
                Err(error)
            }
        }
    }

    fn take_checkpoint(
        &self,
        source: &dyn CheckpointSource,
        manifest: &mut (u64, Manifest),
        floor: Lsn,
        logs: &[Arc<Log>],
    ) -> Result<(u64, u64), Error> {
        let surveys = self.flush_old(source, floor, logs)?;
        self.relieve_memory(logs, source)?;

        let number = manifest.1.checkpoint + 1;
        let mut sections = SectionWriter {
            out: Encoder::begin(number, floor),
            floor,
            surveys: &surveys,
            listed: BTreeSet::new(),
        };
        source.sections(&mut sections);
        let SectionWriter { out, listed, .. } = sections;
        self.check_listed(&listed, floor)?;

        let target = self.lane.position();
        loop {
            self.commit(true)?;
            if self.lane.durable() >= target {
                break;
            }
        }
        // A failed sync leaves segments of unknown content whose batches are no longer
        // pinned: only a restart, from the lane, can tell.
        self.shelf.sync().map_err(|error| self.fail(error))?;

        let inline_bytes = out.inline_bytes();
        let bytes = out.finish(self.shelf.next_segment());
        let blobs = &self.seams.blobs;
        let name = blob::name(number);
        let file = blobs.create(&name)?;
        for (index, part) in bytes.chunks(WRITE_BYTES).enumerate() {
            file.write_at((index * WRITE_BYTES) as u64, part)?;
        }
        file.sync()?;
        blobs.sync_names()?;

        let mut next = Manifest {
            checkpoint: number,
            floor,
            lanes: manifest.1.lanes.clone(),
        };
        next.lanes
            .retain(|lane| lane.end.is_none_or(|end| end > floor));
        let version = self
            .seams
            .register
            .compare_and_swap(manifest.0, &next.encode())
            // Whether it switched is unknown, and the next attempt would write over the
            // blob that it may name. Full is said before anything is switched.
            .map_err(|error| match error.is_full() {
                true => error,
                false => self.fail(error),
            })?;
        let old = std::mem::replace(manifest, (version, next));
        self.set_floor(floor);
        if !self.is_pinned() {
            self.lane.set_floor(floor);
            let _ = self.seams.blobs.delete(&blob::name(old.1.checkpoint));
        }
        Ok((bytes.len() as u64, inline_bytes))
    }

    /// Flushes what is older than the floor and too much to go inline.
    fn flush_old(
        &self,
        source: &dyn CheckpointSource,
        floor: Lsn,
        logs: &[Arc<Log>],
    ) -> Result<BTreeMap<LogId, Survey>, Error> {
        let durable = logs
            .iter()
            .filter(|log| log.durability() != Durability::Memory);
        let surveyed = durable.filter_map(|log| {
            let survey = log.survey(&|records| source.alive(log.id(), records))?;
            Some((log, survey))
        });
        let surveyed: Vec<_> = surveyed.collect();
        let old = || surveyed.iter().filter(|(_, survey)| survey.oldest <= floor);
        self.check_space(old().map(|(_, survey)| survey.alive_bytes).sum())?;

        let mut inline = Vec::new();
        let mut inline_bytes = 0;
        for (log, survey) in old() {
            if survey.alive_bytes >= self.options.inline_bytes_max {
                log.flush(survey)?;
            } else {
                inline_bytes += survey.alive_bytes;
                inline.push((log, survey));
            }
        }
        inline.sort_by_key(|(log, survey)| (std::cmp::Reverse(survey.alive_bytes), log.id()));
        for (log, survey) in inline {
            // A file for a handful of bytes costs more than carrying them along.
            if inline_bytes <= self.options.inline_total_bytes_max
                || survey.alive_bytes < FILE_BYTES_MIN
            {
                break;
            }
            log.flush(survey)?;
            inline_bytes -= survey.alive_bytes;
        }
        let by_id = surveyed.into_iter().map(|(log, survey)| (log.id(), survey));
        Ok(by_id.collect())
    }

    /// Refuses a checkpoint that would fill the disk before it is complete: the last room
    /// is for the one, later, that has little to carry and much to give back.
    fn check_space(&self, alive_bytes: u64) -> Result<(), Error> {
        let needed_bytes = alive_bytes + self.last_checkpoint.lock().state_bytes + SPACE_BYTES_MIN;
        let free = self.seams.blobs.free_bytes();
        match free < needed_bytes {
            true => Err(Error::Full {
                what: format!("a checkpoint, with {free} bytes free"),
                needed_bytes,
            }),
            false => Ok(()),
        }
    }

    /// Moves batches of logs of memory durability to the disk, the largest logs first, if
    /// more is pinned than a checkpoint's worth.
    fn relieve_memory(
        &self,
        logs: &[Arc<Log>],
        source: &dyn CheckpointSource,
    ) -> Result<(), Error> {
        if self.shelf.budget.pinned() < self.options.checkpoint_bytes {
            return Ok(());
        }
        let memory = logs
            .iter()
            .filter(|log| log.durability() == Durability::Memory);
        let mut surveys: Vec<_> = memory
            .filter_map(|log| {
                let survey = log.survey(&|records| source.alive(log.id(), records))?;
                Some((survey, log))
            })
            .collect();
        surveys.sort_by_key(|(survey, log)| (std::cmp::Reverse(survey.alive_bytes), log.id()));
        for (survey, log) in surveys {
            if self.shelf.budget.pinned() < self.options.checkpoint_bytes / 2
                || survey.alive_bytes < FILE_BYTES_MIN
            {
                break;
            }
            log.flush(&survey)?;
        }
        Ok(())
    }

    /// A log that the broker forgot to put would lose what is below the floor.
    fn check_listed(&self, listed: &BTreeSet<LogId>, floor: Lsn) -> Result<(), Error> {
        for (id, log) in self.logs.read().iter() {
            let inner = log.inner.lock();
            let old = inner.first_append.is_some_and(|lsn| lsn <= floor);
            let durable = log.durability() != Durability::Memory;
            let needed = old && durable && inner.start < inner.end && !inner.removed;
            if needed && !listed.contains(id) {
                return Err(Error::Unlisted { log: *id, floor });
            }
        }
        Ok(())
    }
}

/// Direct appends count less than lane growth: recovery reads them, but replays only
/// their references.
const DIRECT_FACTOR: u64 = 8;
/// Room for segment headers, indexes and the register.
const SPACE_BYTES_MIN: u64 = 16 << 10;
const WRITE_BYTES: usize = 1 << 20;
/// A log with fewer alive bytes gets no segment of its own.
const FILE_BYTES_MIN: u64 = 4 << 10;
