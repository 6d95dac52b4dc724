//! One log: batches in offset order, the newest in memory, the rest in segments.
//!
//! ```text
//! start                                              stored        end
//!   | segment | segment | open segment ................|
//!                            | tail: cached ...........| pinned ....|
//! ```
//!
//! Two locks. `inner` is held for a few steps in memory and never over I/O; `writer` is
//! held while batches go to the open segment. Order: writer, then inner.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bongsu_record::{Batch, LogId, Lsn, Offset};
use parking_lot::Mutex;

use crate::segment::{Identity, Sample};
use crate::{Durability, Error, SegmentId};

pub(crate) mod budget;

pub(crate) mod pool;

pub(crate) mod tail;

pub(crate) mod shelf;

pub(crate) mod flush;

mod fetch;

mod seek;

pub mod times;

pub mod compact;

use budget::Payload;
use fetch::Chunk;
use flush::Writer;
use shelf::{Evict, Shelf};
use tail::{Item, Tail};

/// A batch as a log holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Offset of its first record in this log.
    pub base: Offset,
    /// The batch; its own base offset means nothing.
    pub batch: Batch,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First offset that is kept.
    pub start: Offset,
    /// Behind the last.
    pub end: Offset,
    /// Behind the last that no crash takes back.
    pub durable_end: Offset,
    /// With what the rest is durable, if there is any.
    pub awaits: Option<Lsn>,
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
    id: LogId,
    durability: AtomicU8,
    /// A segment that has reached this is sealed; 0 = as the options say.
    segment_bytes: AtomicU64,
    /// Whether the broker knows it: a log that only replay saw is dropped.
    pub(crate) claimed: AtomicBool,
    pub(crate) inner: Mutex<Inner>,
    pub(crate) writer: Mutex<Writer>,
    /// Held over a compaction.
    compacting: Mutex<()>,
    pub(crate) shelf: Arc<Shelf>,
    this: Weak<Log>,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub start: Offset,
    pub end: Offset,
    pub segments: VecDeque<Segment>,
    pub tail: Tail,
    chunks: VecDeque<Arc<Chunk>>,
    /// Of the sealed segment that was searched last.
    index: Option<(SegmentId, Arc<[Sample]>)>,
    /// Places that reads passed by, of segments whose index lacks them: a restart goes on in
    /// a segment without the samples of what was there.
    passed: BTreeMap<SegmentId, Vec<Sample>>,
    found: seek::Found,
    /// Compacted up to here.
    pub cleaned: Offset,
    /// LSN of the first append since it was made or restored.
    pub first_append: Option<Lsn>,
    pub removed: bool,
}

/// What is kept of a segment while nobody reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub id: SegmentId,
    pub base: Offset,
    pub end: Offset,
    /// Where its units end.
    pub bytes: u64,
    pub sealed: bool,
    /// Timestamp of its first batch, once somebody looked.
    pub first_ms: Option<i64>,
    /// Its highest timestamp, if it is known.
    pub peak: Option<Peak>,
}

/// A batch with the highest timestamp of those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peak {
    pub base: Offset,
    /// Unix milliseconds.
    pub max_ms: i64,
}

impl Log {
    pub(crate) fn new(id: LogId, durability: Durability, shelf: &Arc<Shelf>) -> Arc<Log> {
        Arc::new_cyclic(|this| Log {
            id,
            durability: AtomicU8::new(durability as u8),
            segment_bytes: AtomicU64::new(0),
            claimed: AtomicBool::new(false),
            inner: Mutex::default(),
            writer: Mutex::default(),
            compacting: Mutex::default(),
            shelf: Arc::clone(shelf),
            this: Weak::clone(this),
        })
    }

    /// Its name.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// What a confirmed record in it survives.
    pub fn durability(&self) -> Durability {
        Durability::from_number(self.durability.load(Ordering::Relaxed))
    }

    pub(crate) fn set_durability(&self, durability: Durability) {
        self.durability.store(durability as u8, Ordering::Relaxed);
    }

    /// Seals its segments at another size than the options say, or near it: a segment is
    /// the least that goes from the disk at once, and costs a file. From 64 KiB up.
    pub fn set_segment_bytes(&self, bytes: u64) {
        let bytes = bytes.max(SEGMENT_BYTES_MIN);
        self.segment_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn segment_bytes_max(&self) -> u64 {
        match self.segment_bytes.load(Ordering::Relaxed) {
            0 => self.shelf.options.segment_bytes_max,
            bytes => bytes,
        }
    }

    /// Everything below is trimmed.
    pub fn start(&self) -> Offset {
        self.inner.lock().start
    }

    /// Offset that the next record gets.
    pub fn end(&self) -> Offset {
        self.inner.lock().end
    }

    /// Where the log stands, as far as everything up to `durable` is.
    pub fn bounds(&self, durable: Lsn) -> Bounds {
        let inner = self.inner.lock();
        let (durable_end, awaits) = match inner.tail.undurable(durable) {
            Some((base, last)) => (base, Some(last)),
            None => (inner.end, None),
        };
        Bounds {
            start: inner.start,
            end: inner.end,
            durable_end,
            awaits,
        }
    }

    /// Puts the batches from the one that holds `from` into `out`, from memory only, at
    /// least one and then up to `bytes_max`. False: it is on the disk, call
    /// [`Log::fetch`]. True with nothing put: there is no record at `from` or above.
    /// Records that were settled before they reached a segment may be missing: what is
    /// put may begin above `from`.
    pub fn read(&self, from: Offset, bytes_max: usize, out: &mut Vec<Stored>) -> bool {
        let mut taken = Taken::new(out, bytes_max);
        let missing = self.inner.lock().read(from, &mut taken);
        missing.is_none() || taken.bytes > 0
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
        let mut from = from;
        let mut taken = Taken::new(out, bytes_max);
        let ahead = self.shelf.options.read_ahead_bytes;
        loop {
            let missing = self.inner.lock().read(from, &mut taken);
            let Some(missing) = missing else {
                return Ok(());
            };
            let left = bytes_max.saturating_sub(taken.bytes);
            // Not for a little more: whoever wants it asks again.
            if taken.bytes > 0 && left < ahead.div_ceil(2) {
                return Ok(());
            }
            from = missing;
            match self.read_ahead(from, left) {
                Ok(Some(chunk)) => {
                    for (base, batch) in chunk.from(from) {
                        if !taken.put(*base, batch) {
                            return Ok(());
                        }
                    }
                    // All there was may be gone; what comes next begins behind it.
                    from = chunk.end();
                }
                Ok(None) => {}
                // Who comes back for what cannot be read is told so.
                Err(_) if taken.bytes > 0 => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// All below `floor` is settled: drops it from memory, and segments that lie below
    /// it whole. Their files go with the next checkpoint.
    pub fn trim(&self, floor: Offset) {
        let large = {
            let mut inner = self.inner.lock();
            if floor <= inner.start {
                return;
            }
            inner.start = floor;
            inner.tail.trim(floor);
            inner.chunks.retain(|chunk| chunk.end() > floor);
            self.drop_sealed(&mut inner);
            // The open one belongs to the writer; a small one waits for the checkpoint,
            // or a queue of large batches that keeps up would make a file for each.
            inner
                .segments
                .back()
                .is_some_and(|open| open.end <= floor && open.bytes >= OPEN_DROP_BYTES)
        };
        if large && let Some(mut writer) = self.writer.try_lock() {
            self.retire(&mut writer);
        }
    }

    /// What it takes up.
    pub fn stats(&self) -> LogStats {
        let inner = self.inner.lock();
        LogStats {
            disk_bytes: inner.segments.iter().map(|segment| segment.bytes).sum(),
            memory_bytes: inner.tail.memory_bytes()
                + inner.chunks.iter().map(|chunk| chunk.bytes()).sum::<u64>(),
            segment_count: inner.segments.len(),
        }
    }

    pub(crate) fn identity(&self, segment: SegmentId) -> Identity {
        Identity {
            log: self.id,
            segment,
            memory: self.durability() == Durability::Memory,
        }
    }

    /// Adds the newest batch to the tail. The caller holds the queue's lock.
    pub(crate) fn push(&self, base: Offset, lsn: Lsn, payload: &Arc<Payload>) {
        let mut inner = self.inner.lock();
        assert_eq!(base, inner.end, "log {}: appends are dense", self.id);
        inner.push(Item::new(base, lsn, Arc::clone(payload), true));
    }

    /// As [`Log::push`], of a batch that is in the open segment. The caller holds the
    /// writer, which says how far the segment goes.
    pub(crate) fn push_stored(&self, base: Offset, lsn: Lsn, payload: &Arc<Payload>) {
        let end = {
            let mut inner = self.inner.lock();
            assert_eq!(base, inner.end, "log {}: appends are dense", self.id);
            inner.push(Item::new(base, lsn, Arc::clone(payload), false));
            inner.end
        };
        self.shelf.cached(&self.this, Evict::Tail(end));
    }

    /// Gives everything up.
    pub(crate) fn remove(&self) {
        let _writer = self.writer.lock();
        let mut inner = self.inner.lock();
        inner.removed = true;
        inner.start = inner.end;
        inner.tail = Tail::default();
        inner.chunks.clear();
        for segment in std::mem::take(&mut inner.segments) {
            let identity = self.identity(segment.id);
            self.shelf.bury(identity, segment.bytes);
        }
    }

    fn drop_sealed(&self, inner: &mut Inner) {
        let start = inner.start;
        while let Some(first) = inner.segments.front()
            && first.sealed
            && first.end <= start
        {
            self.shelf.bury(self.identity(first.id), first.bytes);
            inner.segments.pop_front();
        }
    }

    pub(crate) fn holds(&self, what: Evict) -> bool {
        let inner = self.inner.lock();
        match what {
            Evict::Tail(end) => inner.tail.start().is_some_and(|start| start < end),
            Evict::Chunk(start) => inner.chunks.iter().any(|chunk| chunk.start() == start),
        }
    }

    /// Drops that from memory; false: some of it is not durable, and stays.
    pub(crate) fn evict(&self, what: Evict, durable: Lsn) -> bool {
        let mut inner = self.inner.lock();
        match what {
            Evict::Tail(end) => inner.tail.evict(end, durable),
            Evict::Chunk(start) => {
                inner.chunks.retain(|chunk| chunk.start() != start);
                true
            }
        }
    }
}

impl Inner {
    pub fn push(&mut self, item: Item) {
        self.first_append.get_or_insert(item.lsn);
        self.end = item.end();
        self.tail.push(item);
    }

    /// Takes what is in memory, from `from` on. What it returns is on the disk, from there on;
    /// none: there is no more, or it would be too much.
    fn read(&self, from: Offset, taken: &mut Taken<'_>) -> Option<Offset> {
        let mut from = from.max(self.start);
        loop {
            if from >= self.end {
                return None;
            }
            if self.tail.start().is_some_and(|start| start <= from) {
                for item in self.tail.from(from) {
                    if !taken.put(item.base, &item.payload.batch) {
                        break;
                    }
                }
                return None;
            }
            let Some(chunk) = self.chunks.iter().find(|chunk| chunk.covers(from)) else {
                return (!self.nothing_stored_from(from, taken)).then_some(from);
            };
            for (base, batch) in chunk.from(from) {
                if !taken.put(*base, batch) {
                    return None;
                }
            }
            from = chunk.end();
        }
    }

    /// Whether no segment holds anything from `from` on; then what comes next is the
    /// tail's.
    fn nothing_stored_from(&self, from: Offset, taken: &mut Taken<'_>) -> bool {
        if self.segments.back().is_some_and(|last| last.end > from) {
            return false;
        }
        for item in self.tail.from(from) {
            if !taken.put(item.base, &item.payload.batch) {
                break;
            }
        }
        true
    }
}

/// What one read has put so far.
struct Taken<'a> {
    out: &'a mut Vec<Stored>,
    bytes: usize,
    bytes_max: usize,
}

impl<'a> Taken<'a> {
    fn new(out: &'a mut Vec<Stored>, bytes_max: usize) -> Taken<'a> {
        Taken {
            out,
            bytes: 0,
            bytes_max,
        }
    }

    /// False if it would be too much.
    fn put(&mut self, base: Offset, batch: &Batch) -> bool {
        if self.bytes > 0 && self.bytes + batch.len() > self.bytes_max {
            return false;
        }
        self.bytes += batch.len();
        self.out.push(Stored {
            base,
            batch: batch.clone(),
        });
        true
    }
}

const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// An open segment of less is not dropped before a checkpoint.
const OPEN_DROP_BYTES: u64 = 1 << 20;
