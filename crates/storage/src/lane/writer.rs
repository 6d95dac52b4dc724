//! The lane that takes frames.
//!
//! Two locks: appenders share `pending`, held for a copy of a few dozen bytes; the
//! committer holds `writer` over its I/O. Never both but for the swap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bongsu_record::Lsn;
use parking_lot::Mutex;

use super::BLOCK_BYTES_MAX;
use super::block::{BLOCK_HEADER_BYTES, BlockHeader, FILE_HEADER_BYTES, FileHeader, flag};
use super::files::{LaneFile, LaneFiles};
use super::pending::Pending;
use crate::disk::aligned::{AlignedBuffer, BLOCK_BYTES, round_up};
use crate::seam::{Frame, Lane, LaneId, Needs, Waiting};
use crate::{Durability, Error};

pub struct DiskLane {
    id: LaneId,
    files: Arc<LaneFiles>,
    pending: Mutex<Incoming>,
    writer: Mutex<Writer>,
    durable: AtomicU64,
    full: AtomicBool,
    /// Why it is.
    lack: Mutex<Option<Error>>,
}

struct Incoming {
    frames: Pending,
    /// End of all that was appended.
    position: u64,
    /// Taken by the writer and not yet written.
    taken_bytes: u64,
    taken_needs: Option<Needs>,
    stopped: Option<Error>,
}

struct Writer {
    file: LaneFile,
    /// Where the next block goes.
    at: u64,
    /// Frames taken and not yet written; survives a commit that found no room.
    taken: Pending,
    /// End of what was written, of what was synced, and the most that a written block
    /// says of the latter.
    written: Lsn,
    synced: Lsn,
    proven: Lsn,
    buffer: AlignedBuffer,
}

impl DiskLane {
    pub fn new(files: Arc<LaneFiles>, file: LaneFile) -> DiskLane {
        let start = file.header.first;
        DiskLane {
            id: file.header.lane,
            files,
            pending: Mutex::new(Incoming {
                frames: Pending::default(),
                position: start.0,
                taken_bytes: 0,
                taken_needs: None,
                stopped: None,
            }),
            writer: Mutex::new(Writer {
                file,
                at: FILE_HEADER_BYTES as u64,
                taken: Pending::default(),
                written: start,
                synced: start,
                proven: start,
                buffer: AlignedBuffer::default(),
            }),
            durable: AtomicU64::new(start.0),
            full: AtomicBool::new(false),
            lack: Mutex::new(None),
        }
    }

    /// No frame is taken from here on.
    fn stop(&self, error: Error) -> Error {
        let mut pending = self.pending.lock();
        pending.stopped.get_or_insert_with(|| error.clone());
        error
    }

    fn take(&self, writer: &mut Writer) {
        let mut pending = self.pending.lock();
        if writer.taken.is_empty() {
            std::mem::swap(&mut pending.frames, &mut writer.taken);
        }
        pending.taken_bytes = writer.taken.bytes();
        pending.taken_needs = (!writer.taken.is_empty()).then(|| writer.taken.needs());
    }

    /// Writes taken frames, block by block. On an error the rest stays taken.
    fn write_taken(&self, writer: &mut Writer, sync: bool) -> Result<(), Error> {
        let flags = match sync {
            true => flag::REFERENCES_SYNCED,
            false => 0,
        };
        let body_max = (BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES) as u64;
        while !writer.taken.is_empty() {
            let (count, bytes) = writer.taken.run(body_max);
            self.make_room(writer, bytes as usize)?;
            // Mostly one block is all there is: it is written and synced in one call. Not if
            // blocks before it are not synced, which that call need not cover.
            let alone =
                sync && count == writer.taken.frame_count() && writer.synced == writer.written;
            self.write_block(writer, count, bytes as usize, flags, alone)?;
            writer.taken.advance(count);
        }
        Ok(())
    }

    /// Rolls to the next file unless a block of `body_bytes` fits in this one, with a
    /// block to spare for CONTINUES or a seal.
    fn make_room(&self, writer: &mut Writer, body_bytes: usize) -> Result<(), Error> {
        let block = round_up(BLOCK_HEADER_BYTES + body_bytes) as u64;
        let tail = BLOCK_BYTES as u64;
        if writer.at + block + tail <= writer.file.header.file_bytes {
            return Ok(());
        }
        let old = writer.file.header;
        let header = FileHeader {
            index: old.index + 1,
            first: writer.written,
            ..old
        };
        let next = self
            .files
            .make(header, FILE_HEADER_BYTES as u64 + block + tail)?;
        self.write_block(writer, 0, 0, flag::CONTINUES, false)?;
        self.sync_file(writer)?;
        self.files.ended(self.id, old.index, writer.written);
        writer.file = next;
        writer.at = FILE_HEADER_BYTES as u64;
        Ok(())
    }

    fn write_block(
        &self,
        writer: &mut Writer,
        frame_count: usize,
        body_bytes: usize,
        flags: u8,
        sync: bool,
    ) -> Result<(), Error> {
        let header = BlockHeader {
            lane: self.id,
            first: writer.written,
            synced: writer.synced,
            body_bytes: u32::try_from(body_bytes).expect("append bounds a frame below 4 GiB"),
            frame_count: frame_count as u32,
            file_index: writer.file.header.index,
            flags,
        };
        let bytes = header.bytes();
        let block = writer.buffer.get(round_up(bytes));
        writer
            .taken
            .copy(frame_count, &mut block[BLOCK_HEADER_BYTES..bytes]);
        block[bytes..].fill(0);
        header.encode(writer.file.header.salt, block);
        let written = match sync {
            true => writer.file.file.write_synced_at(writer.at, block),
            false => writer.file.file.write_at(writer.at, block),
        };
        if let Err(cause) = written {
            let error = Error::io("write", &writer.file.path, writer.at, &cause);
            if error.is_full() {
                // A file system that copies on write. Nothing there was confirmed, and
                // the same block goes to the same place once there is room.
                return Err(error);
            }
            return Err(self.stop(Error::SyncFailed {
                path: writer.file.path.clone(),
                cause: cause.to_string(),
            }));
        }
        writer.at += block.len() as u64;
        writer.written = header.end();
        writer.proven = writer.synced;
        if sync {
            writer.synced = writer.written;
        }
        writer.buffer.shrink(2 * BLOCK_BYTES_MAX);
        Ok(())
    }

    fn sync_file(&self, writer: &mut Writer) -> Result<(), Error> {
        let synced = writer.file.file.sync_data();
        if let Err(cause) = synced {
            return Err(self.stop(Error::SyncFailed {
                path: writer.file.path.clone(),
                cause: cause.to_string(),
            }));
        }
        writer.synced = writer.written;
        Ok(())
    }

    fn publish(&self, writer: &Writer) {
        self.durable.store(writer.written.0, Ordering::Release);
        let mut pending = self.pending.lock();
        pending.taken_bytes = writer.taken.bytes();
        pending.taken_needs = (!writer.taken.is_empty()).then(|| writer.taken.needs());
    }

    fn set_lack(&self, lack: Option<Error>) {
        self.full.store(lack.is_some(), Ordering::Relaxed);
        *self.lack.lock() = lack;
    }

    fn check(&self) -> Result<(), Error> {
        match &self.pending.lock().stopped {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Looks ahead: the file after this one should be there before it is needed.
    fn look_ahead(&self, writer: &Writer) {
        let total = writer.file.header.file_bytes;
        if writer.at > total / 4 * 3 || self.is_full() {
            let _ = self.prepare();
        }
    }
}

impl Lane for DiskLane {
    fn id(&self) -> LaneId {
        self.id
    }

    fn append(&self, frame: Frame<'_>) -> Result<Lsn, Error> {
        let bytes = frame.len();
        let mut pending = self.pending.lock();
        if let Some(error) = &pending.stopped {
            return Err(error.clone());
        }
        // Settles, marks and notes may go on to twice the bound: they make room.
        let bound = match frame.payloads.is_empty() {
            true => self.files.options.pending_bytes_max * 2,
            false => self.files.options.pending_bytes_max,
        };
        let waiting = pending.frames.bytes() + pending.taken_bytes;
        if bytes > FRAME_BYTES_MAX || (waiting > 0 && waiting + bytes > bound) {
            return Err(Error::Full {
                what: format!("{waiting} bytes wait for the lane, at most {bound} may"),
                needed_bytes: bytes,
            });
        }
        pending.frames.push(frame, bytes);
        pending.position += bytes;
        Ok(Lsn(pending.position))
    }

    fn position(&self) -> Lsn {
        Lsn(self.pending.lock().position)
    }

    fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    fn waiting(&self) -> Option<Waiting> {
        let pending = self.pending.lock();
        let fresh = (!pending.frames.is_empty()).then(|| pending.frames.needs());
        let needs = fresh.into_iter().chain(pending.taken_needs);
        let needs = needs.reduce(Needs::and)?;
        Some(Waiting {
            bytes: pending.frames.bytes() + pending.taken_bytes,
            needs,
        })
    }

    fn commit(
        &self,
        force_sync: bool,
        before_sync: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        self.check()?;
        self.take(writer);
        let nothing = writer.taken.is_empty();
        if nothing && !(force_sync && writer.synced < writer.written) {
            return Ok(false);
        }
        let syncs = self.files.options.durability == Durability::Fsync;
        let sync = force_sync || (syncs && writer.taken.needs().sync);
        if sync {
            before_sync().map_err(|error| match error {
                Error::SyncFailed { .. } => self.stop(error),
                other => other,
            })?;
        }
        let before = writer.written;
        let written = self.write_taken(writer, sync);
        if let Err(error) = &written
            && !error.is_full()
        {
            return Err(self.stop(error.clone()));
        }
        if sync && writer.synced < writer.written && (writer.written > before || nothing) {
            self.sync_file(writer)?;
        }
        self.publish(writer);
        if let Err(lack) = &written {
            self.set_lack(Some(lack.clone()));
        }
        self.look_ahead(writer);
        written.map(|()| true)
    }

    fn idle(&self, before_sync: &mut dyn FnMut() -> Result<(), Error>) -> Result<bool, Error> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        self.check()?;
        let syncs = self.files.options.durability == Durability::Fsync;
        if !writer.taken.is_empty() || !syncs {
            return Ok(false);
        }
        if writer.proven == writer.written {
            return Ok(true);
        }
        before_sync().map_err(|error| self.stop(error))?;
        if writer.synced < writer.written {
            self.sync_file(writer)?;
        }
        self.make_room(writer, 0)?;
        if writer.proven < writer.synced {
            self.write_block(writer, 0, 0, flag::REFERENCES_SYNCED, false)?;
        }
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn lack(&self) -> Option<String> {
        self.lack.lock().as_ref().map(Error::to_string)
    }

    fn prepare(&self) -> Result<(), Error> {
        let prepared = self.files.prepare();
        let lack = prepared.as_ref().err().filter(|error| error.is_full());
        self.set_lack(lack.cloned());
        prepared
    }

    fn set_floor(&self, floor: Lsn) {
        self.files.set_floor(floor);
        if self.is_full() {
            let _ = self.prepare();
        }
    }

    fn close(&self) -> Result<(), Error> {
        self.commit(true, &mut || Ok(()))?;
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        self.check()?;
        self.write_block(writer, 0, 0, flag::SEAL | flag::CLEAN, false)?;
        self.sync_file(writer)?;
        self.stop(Error::Fenced {
            what: format!("lane {} is closed", self.id.0),
        });
        Ok(())
    }
}

/// A block's body length is a u32.
const FRAME_BYTES_MAX: u64 = 3 << 30;
