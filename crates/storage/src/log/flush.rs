//! Moving batches from a log's tail to its open segment.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_record::{Batch, Lsn, Offset};

use super::budget::Payload;
use super::seek::peak_of;
use super::shelf::Evict;
use super::times::higher;
use super::{Log, Peak, Segment};
use crate::entry::Placed;
use crate::segment::{
    INDEX_EVERY_BYTES, Identity, SEGMENT_HEADER_BYTES, Sample, put_index, unit_bytes,
};
use crate::{Error, SegmentId};

/// The writing end of a log's segments.
#[derive(Default)]
pub(crate) struct Writer {
    open: Option<Open>,
    /// Segments sealed since a checkpoint that could list them: how far they go. A direct
    /// append into a later segment says so in its group, so that recovery never finds a
    /// later segment whole and an earlier one's end unknown.
    sealed: Vec<(u64, Placed)>,
    buffer: Vec<u8>,
}

struct Open {
    identity: Identity,
    base: Offset,
    /// End of the last unit's records.
    end: Offset,
    position: u64,
    first_ms: Option<i64>,
    /// Of all that was written, if this wrote all of it.
    peak: Option<Peak>,
    is_resumed: bool,
    samples: Vec<Sample>,
}

impl Writer {
    pub fn samples(&self, segment: SegmentId) -> &[Sample] {
        match &self.open {
            Some(open) if open.identity.segment == segment => &open.samples,
            _ => &[],
        }
    }

    /// Goes on in a segment that recovery found.
    pub fn resume(&mut self, identity: Identity, segment: &Segment) {
        self.open = Some(Open {
            identity,
            base: segment.base,
            end: segment.end,
            position: segment.bytes,
            first_ms: segment.first_ms,
            peak: None,
            is_resumed: true,
            samples: Vec::new(),
        });
    }
}

/// What a checkpoint found pinned in a log.
pub(crate) struct Survey {
    /// LSN of the first.
    pub oldest: Lsn,
    /// End of the last.
    pub end: Offset,
    /// Bases of the batches that nobody needs, ascending.
    pub dead: Vec<Offset>,
    pub alive_bytes: u64,
}

/// What a direct append wrote.
pub(crate) struct Direct {
    /// To go into the lane, in this order.
    pub entries: Vec<Placed>,
    before: u64,
}

impl Log {
    /// Which pinned batches `alive` says may be needed. Takes no lock while it asks: the
    /// answer may need the queue's, whose holder may wait for ours.
    pub(crate) fn survey(&self, alive: &dyn Fn(Range<Offset>) -> bool) -> Option<Survey> {
        let (pinned, start) = {
            let inner = self.inner.lock();
            let pinned = inner.tail.pinned();
            let pinned: Vec<_> = pinned
                .map(|item| {
                    (
                        item.base,
                        item.end(),
                        item.payload.batch.len() as u64,
                        item.lsn,
                    )
                })
                .collect();
            (pinned, inner.start)
        };
        let (first, last) = (pinned.first()?, pinned.last()?);
        let mut survey = Survey {
            oldest: first.3,
            end: last.1,
            dead: Vec::new(),
            alive_bytes: 0,
        };
        let whole = first.0.max(start)..last.1;
        let any = whole.start < whole.end && alive(whole);
        for (base, end, bytes, _) in pinned {
            let records = base.max(start)..end;
            if any && records.start < records.end && alive(records) {
                survey.alive_bytes += bytes;
            } else {
                survey.dead.push(base);
            }
        }
        Some(survey)
    }

    /// Writes the pinned batches of the survey to the open segment, without those it says
    /// are dead. Returns the bytes written; they are not synced.
    pub(crate) fn flush(&self, survey: &Survey) -> Result<u64, Error> {
        let mut writer = self.writer.lock();
        let mut total = 0;
        loop {
            let (pinned, start, _) = self.pinned_run();
            let pinned: Vec<_> = pinned.into_iter().filter(|p| p.0 < survey.end).collect();
            let Some((last, payload)) = pinned.last() else {
                return Ok(total);
            };
            let run_end = last.plus(u64::from(payload.batch.offset_count()));
            let living = pinned.iter().filter(|(base, payload)| {
                base.plus(u64::from(payload.batch.offset_count())) > start
                    && survey.dead.binary_search(base).is_err()
            });
            let living: Vec<_> = living.collect();
            if let Some((base, _)) = living.first() {
                self.make_open(&mut writer, *base)?;
                let batches = living.iter().map(|(base, payload)| (*base, &payload.batch));
                total += self.write(&mut writer, batches)?;
            }
            self.publish(&writer, run_end);
            self.shelf.cached(&self.this, Evict::Tail(run_end));
        }
    }

    /// The next pinned batches, up to a few MiB, the log's start, and whether there are
    /// more behind them.
    fn pinned_run(&self) -> (Vec<(Offset, Arc<Payload>)>, Offset, bool) {
        let inner = self.inner.lock();
        let mut bytes = 0;
        let mut run = Vec::new();
        for item in inner.tail.pinned() {
            if bytes >= RUN_BYTES {
                return (run, inner.start, true);
            }
            bytes += item.payload.batch.len();
            run.push((item.base, Arc::clone(&item.payload)));
        }
        (run, inner.start, false)
    }

    /// Writes a large batch to the open segment, and what is pinned before it, so that
    /// offsets ascend. The writer stays the caller's until the batch is in the lane:
    /// [`Log::settle_direct`] or [`Log::undo_direct`] ends that.
    pub(crate) fn append_direct(
        &self,
        writer: &mut Writer,
        base: Offset,
        batch: &Batch,
    ) -> Result<Direct, Error> {
        // Roll before, never between: what is flushed must be in the same segment as the
        // batch whose entry vouches for it.
        self.make_open(writer, base)?;
        self.flush_without_rolling(writer)?;
        let open = writer.open.as_ref().expect("made above");
        let before = open.position;
        let segment = open.identity.segment;
        let written = self.write(writer, std::iter::once((base, batch)));
        if let Err(error) = written {
            self.abandon(writer);
            return Err(error);
        }
        let done = self.shelf.checkpoint_done.load(Ordering::Acquire);
        writer.sealed.retain(|(begun, _)| *begun >= done);
        let mut entries: Vec<_> = writer.sealed.iter().map(|(_, placed)| *placed).collect();
        let bytes = unit_bytes(batch.len());
        let open = writer.open.as_ref().expect("still there");
        entries.push(Placed {
            log: self.id,
            base,
            count: batch.offset_count(),
            segment,
            position: open.position - bytes,
            bytes: bytes as u32,
        });
        Ok(Direct { entries, before })
    }

    fn flush_without_rolling(&self, writer: &mut Writer) -> Result<(), Error> {
        loop {
            let (pinned, start, more) = self.pinned_run();
            let Some((last, payload)) = pinned.last() else {
                return Ok(());
            };
            let run_end = last.plus(u64::from(payload.batch.offset_count()));
            let living = pinned.iter().filter(|(base, payload)| {
                base.plus(u64::from(payload.batch.offset_count())) > start
            });
            let batches = living.map(|(base, payload)| (*base, &payload.batch));
            self.write(writer, batches)?;
            self.publish(writer, run_end);
            if !more {
                return Ok(());
            }
        }
    }

    /// The lane has the batch.
    pub(crate) fn settle_direct(&self, writer: &mut Writer, end: Offset, bytes: u64) {
        writer.sealed.clear();
        self.publish(writer, end);
        let direct = &self.shelf.direct_bytes;
        direct.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The lane did not take the batch: the segment ends before it. Its place is not
    /// written again, or a power cut might leave it there under another's offset.
    pub(crate) fn undo_direct(&self, writer: &mut Writer, direct: &Direct, base: Offset) {
        if let Some(open) = &mut writer.open {
            open.position = direct.before;
            open.end = open.end.min(base);
            // What was undone may have been the highest.
            open.peak = None;
        }
        self.abandon(writer);
    }

    /// Ends the open segment where it is, without an index.
    fn abandon(&self, writer: &mut Writer) {
        let Some(open) = writer.open.take() else {
            return;
        };
        if open.position == 0 {
            self.shelf.bury(open.identity, 0);
            return;
        }
        self.note_sealed(writer, &open);
        let mut inner = self.inner.lock();
        if let Some(last) = inner.segments.back_mut()
            && last.id == open.identity.segment
        {
            last.sealed = true;
        }
    }

    /// Makes sure that a segment is open and has room.
    fn make_open(&self, writer: &mut Writer, base: Offset) -> Result<(), Error> {
        if let Some(open) = &writer.open {
            if open.position < self.segment_bytes_max() {
                return Ok(());
            }
            self.seal_open(writer)?;
        }
        // A direct append comes with what is pinned below it.
        let lowest = {
            let inner = self.inner.lock();
            inner.tail.pinned().next().map_or(base, |item| item.base)
        };
        let (identity, _) = self.shelf.create(|segment| self.identity(segment))?;
        writer.open = Some(Open {
            identity,
            base: lowest.min(base),
            end: lowest.min(base),
            position: 0,
            first_ms: None,
            peak: None,
            is_resumed: false,
            samples: Vec::new(),
        });
        Ok(())
    }

    fn seal_open(&self, writer: &mut Writer) -> Result<(), Error> {
        let Some(open) = &writer.open else {
            return Ok(());
        };
        writer.buffer.clear();
        put_index(&open.samples, open.position, &mut writer.buffer);
        let blob = self.shelf.blob(&open.identity)?;
        blob.write_at(open.position, &writer.buffer)?;
        self.shelf.set_dirty(&open.identity, &blob);
        let Some(open) = writer.open.take() else {
            return Ok(());
        };
        self.note_sealed(writer, &open);
        let segment = open.identity.segment;
        let mut inner = self.inner.lock();
        if let Some(last) = inner.segments.back_mut()
            && last.id == segment
        {
            last.sealed = true;
        }
        self.drop_sealed(&mut inner);
        Ok(())
    }

    /// As [`Log::seal`].
    pub(super) fn seal_all(&self, writer: &mut Writer) -> Result<(), Error> {
        let first = self.inner.lock().tail.pinned().next().map(|item| item.base);
        if let Some(first) = first {
            self.make_open(writer, first)?;
            self.flush_without_rolling(writer)?;
        }
        match writer.open.as_ref().is_some_and(|open| open.position > 0) {
            true => self.seal_open(writer),
            false => Ok(()),
        }
    }

    /// A later direct append vouches for this segment, too.
    fn note_sealed(&self, writer: &mut Writer, open: &Open) {
        let begun = self.shelf.checkpoints_begun.load(Ordering::Acquire);
        let done = self.shelf.checkpoint_done.load(Ordering::Acquire);
        writer.sealed.retain(|(begun, _)| *begun >= done);
        writer.sealed.push((
            begun,
            Placed {
                log: self.id,
                base: open.end,
                count: 0,
                segment: open.identity.segment,
                position: open.position,
                bytes: 0,
            },
        ));
    }

    /// Appends units; the segment is not yet known to readers.
    fn write<'a>(
        &self,
        writer: &mut Writer,
        batches: impl Iterator<Item = (Offset, &'a Batch)>,
    ) -> Result<u64, Error> {
        let Writer { open, buffer, .. } = writer;
        let open = open.as_mut().expect("make_open came before");
        buffer.clear();
        let fresh = open.position == 0;
        if fresh {
            open.identity.put_header(open.base, Offset(0), buffer);
            open.first_ms = None;
        }
        let mut end = open.end;
        let sampled = open.samples.len();
        let mut peak = open.peak;
        let blob = self.shelf.blob(&open.identity);
        let mut written = 0;
        let mut outcome = Ok(());
        for (base, batch) in batches {
            let position = open.position + written + buffer.len() as u64;
            if fresh {
                let first_ms = || batch.header().base_timestamp;
                open.first_ms.get_or_insert_with(first_ms);
            }
            let last = open
                .samples
                .last()
                .map_or(SEGMENT_HEADER_BYTES as u64, |s| s.position);
            if position >= last + INDEX_EVERY_BYTES {
                open.samples.push(Sample {
                    offset: base,
                    position,
                });
            }
            if !open.is_resumed {
                peak = higher(peak, Some(peak_of(base, &batch.header())));
            }
            let payload = open.identity.put_unit_front(base, batch, buffer);
            if payload.len() < IN_PLACE_BYTES {
                buffer.extend_from_slice(payload);
            } else if let (Ok(blob), Ok(())) = (&blob, &outcome) {
                // From where it lies: gathered with the others it would be copied, and the copy's
                // memory is as dear as the copy.
                let at = open.position + written;
                outcome = blob
                    .write_at(at, buffer)
                    .and_then(|()| blob.write_at(at + buffer.len() as u64, payload));
                written += (buffer.len() + payload.len()) as u64;
                buffer.clear();
            }
            end = base.plus(u64::from(batch.offset_count()));
        }
        let outcome = outcome.and(blob).and_then(|blob| {
            if !buffer.is_empty() {
                blob.write_at(open.position + written, buffer)?;
            }
            // Dirty before its bytes count: whoever syncs in between syncs again later.
            self.shelf.set_dirty(&open.identity, &blob);
            Ok(())
        });
        let bytes = written + buffer.len() as u64;
        if buffer.capacity() > BUFFER_KEPT_BYTES {
            *buffer = Vec::new();
        }
        if let Err(error) = outcome {
            open.samples.truncate(sampled);
            return Err(error);
        }
        open.position += bytes;
        open.end = end;
        open.peak = peak;
        Ok(bytes)
    }

    /// Tells readers how far the open segment goes: all below `end` is in it, or dead.
    fn publish(&self, writer: &Writer, end: Offset) {
        let mut inner = self.inner.lock();
        if let Some(open) = &writer.open
            && open.position > 0
        {
            let segment = Segment {
                id: open.identity.segment,
                base: open.base,
                end: open.end,
                bytes: open.position,
                sealed: false,
                first_ms: open.first_ms,
                peak: open.peak,
            };
            match inner.segments.back_mut() {
                Some(last) if last.id == segment.id => {
                    *last = Segment {
                        first_ms: open.first_ms.or(last.first_ms),
                        ..segment
                    };
                }
                _ => inner.segments.push_back(segment),
            }
        }
        inner.tail.store_to(end);
    }

    /// Drops the open segment if nothing in it is needed.
    pub(crate) fn retire(&self, writer: &mut Writer) {
        let mut inner = self.inner.lock();
        let start = inner.start;
        let Some(last) = inner.segments.back_mut() else {
            return;
        };
        if last.end <= start {
            last.sealed = true;
            let id = last.id;
            if writer
                .open
                .as_ref()
                .is_some_and(|open| open.identity.segment == id)
            {
                writer.open = None;
            }
        }
        self.drop_sealed(&mut inner);
    }

    /// Forgets a segment that was made and not written: what a checkpoint captures is
    /// every segment there is.
    pub(crate) fn forget_unwritten(&self) {
        let mut writer = self.writer.lock();
        if let Some(open) = &writer.open
            && open.position == 0
        {
            self.shelf.bury(open.identity, 0);
            writer.open = None;
        }
    }
}

/// Bytes of batches in one write to a segment.
const RUN_BYTES: usize = 4 << 20;
/// A payload as large as this is written alone.
const IN_PLACE_BYTES: usize = 64 << 10;
const BUFFER_KEPT_BYTES: usize = 64 << 10;
