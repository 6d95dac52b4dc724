//! The last step of recovery: segments against what refers to them.
//!
//! A segment that the checkpoint lists must be there and as long as it says; its batches
//! are checked when they are read. What replay added is read through here. An open
//! segment is cut behind the last unit that anything refers to: the rest was flushed for
//! a checkpoint that never came, and the lane still has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_record::{Batch, Offset};
use bytes::Bytes;

use super::{Extended, Follow, Recovery};
use crate::checkpoint::blob;
use crate::log::Segment;
use crate::seam::Blob;
use crate::segment::{self, Head, Identity, SEGMENT_HEADER_BYTES, Unit, unit_batch};
use crate::storage::RESERVE;
use crate::{Durability, Error, Log};

impl Recovery {
    pub(super) fn verify(&mut self) -> Result<(), Error> {
        self.drop_unclaimed()?;
        // No name is used again: not one that is there, not one that only the lane knows.
        for name in self.storage.shared.seams.blobs.list()? {
            if let Some(identity) = Identity::parse(&name) {
                let above = identity.segment.0.saturating_add(1);
                self.storage.shared.shelf.raise_next_segment(above);
            }
        }
        for follow in self.follow.values() {
            if let Some((last, _)) = follow.extended.last_key_value() {
                let above = last.0.saturating_add(1);
                self.storage.shared.shelf.raise_next_segment(above);
            }
        }
        let mut used = BTreeSet::new();
        let mut synced = false;
        for log in self.storage.logs() {
            let follow = self.follow.remove(&log.id()).unwrap_or_default();
            synced |= !follow.extended.is_empty();
            if log.durability() == Durability::Memory {
                forget_content(&log);
                continue;
            }
            self.verify_log(&log, &follow)?;
            let inner = log.inner.lock();
            used.extend(inner.segments.iter().map(|s| log.identity(s.id).name()));
        }
        let shared = &self.storage.shared;
        if synced {
            shared.seams.blobs.sync_names()?;
        }
        // The old checkpoint still lists what is buried.
        let buried = shared.shelf.buried();
        used.extend(buried.iter().map(|(identity, _)| identity.name()));
        shared.shelf.keep_buried(buried);
        let number = shared.manifest.lock().1.checkpoint;
        used.insert(blob::name(number));
        used.insert(RESERVE.to_owned());
        for name in shared.seams.blobs.list()? {
            let ours = Identity::parse(&name).is_some() || blob::is_checkpoint(&name);
            if ours && !used.contains(&name) {
                self.report.orphan_count += 1;
                shared.seams.blobs.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Logs that only replay saw and the broker does not know.
    fn drop_unclaimed(&self) -> Result<(), Error> {
        for (id, follow) in &self.follow {
            let Some(log) = self.storage.log(*id) else {
                continue;
            };
            if !log.claimed.load(Ordering::Relaxed) {
                self.storage.remove_log(*id);
            } else if !follow.listed && follow.first.is_some_and(|first| first > Offset(0)) {
                return Err(Error::corrupt(
                    &self.storage.shared.seams.register.path(),
                    0,
                    format!(
                        "log {id} is not in the checkpoint, and the first append to it that the \
                         lane holds is at offset {}",
                        follow.first.unwrap_or_default()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn verify_log(&mut self, log: &Arc<Log>, follow: &Follow) -> Result<(), Error> {
        let mut segments: Vec<Segment> = log.inner.lock().segments.iter().copied().collect();
        let count = segments.len();
        let lost_before = self.report.lost_record_count;
        let mut open = None;
        let mut cleaned = Offset(0);
        for (place, segment) in segments.iter_mut().enumerate() {
            let identity = log.identity(segment.id);
            let extended = follow.extended.get(&segment.id);
            let last = place + 1 == count;
            let blob = match self.storage.shared.shelf.blob(&identity) {
                Err(Error::Missing { .. })
                    if extended.is_some_and(|e| e.from == 0 && vouched(e) == 0) =>
                {
                    self.report.lost_record_count += segment.end.0 - segment.base.0;
                    segment.bytes = 0;
                    continue;
                }
                opened => opened?,
            };
            let length = blob.len()?;
            match extended {
                Some(extended) => self.verify_extended(&identity, &blob, segment, extended)?,
                None if length < segment.bytes => {
                    let what = format!("the checkpoint says that it has {} bytes", segment.bytes);
                    let path = self.storage.shared.seams.blobs.path(&identity.name());
                    return Err(Error::corrupt(&path, length, what));
                }
                None => {
                    let head = self.verify_header(&identity, &blob)?;
                    cleaned = cleaned.max(head.cleaned);
                }
            }
            if segment.bytes == 0 {
                continue;
            }
            if last && !segment.sealed {
                if blob.len()? > segment.bytes {
                    // Durably, before anything is written there: batches that a crash
                    // took back must not come to light under the offsets of others.
                    blob.cut(segment.bytes)?;
                    blob.sync()?;
                }
                open = Some((identity, *segment));
            } else {
                segment.sealed = true;
            }
            if let Some(extended) = extended {
                self.make_durable(&blob, segment, extended)?;
            }
        }
        segments.retain(|segment| segment.bytes > 0);
        if self.report.lost_record_count > lost_before {
            rescue(log, &mut segments)?;
        }
        let mut writer = log.writer.lock();
        if let Some((identity, segment)) = open {
            writer.resume(identity, &segment);
        }
        let mut inner = log.inner.lock();
        if let Some(last) = segments.last() {
            inner.tail.trim(last.end);
        }
        inner.segments = segments.into();
        inner.cleaned = cleaned;
        Ok(())
    }

    fn verify_header(&self, identity: &Identity, blob: &Arc<dyn Blob>) -> Result<Head, Error> {
        let path = self.storage.shared.seams.blobs.path(&identity.name());
        let mut header = [0; SEGMENT_HEADER_BYTES];
        blob.read_at(0, &mut header)?;
        match identity.header(&header) {
            Some(Ok(head)) => Ok(head),
            Some(Err(found)) => Err(Error::Format {
                path,
                found,
                supported: segment::FORMAT,
            }),
            None => Err(Error::corrupt(&path, 0, "its header does not hold")),
        }
    }

    /// Writes again what no lane vouches for, because after a sync that failed the
    /// page cache may show what no later sync will write; then syncs.
    fn make_durable(
        &self,
        blob: &Arc<dyn Blob>,
        segment: &Segment,
        extended: &Extended,
    ) -> Result<(), Error> {
        let mut from = extended.from.max(vouched(extended));
        let mut buffer = Vec::new();
        while from < segment.bytes {
            buffer.resize((segment.bytes - from).min(CHUNK_BYTES) as usize, 0);
            blob.read_at(from, &mut buffer)?;
            blob.write_at(from, &buffer)?;
            from += buffer.len() as u64;
        }
        if extended
            .references
            .iter()
            .any(|reference| !reference.vouched)
        {
            let unvouched = &self.storage.shared.unvouched;
            unvouched.store(true, Ordering::Relaxed);
        }
        blob.sync()
    }

    /// Reads through what replay says was added. Sets the segment to what is there.
    fn verify_extended(
        &mut self,
        identity: &Identity,
        blob: &Arc<dyn Blob>,
        segment: &mut Segment,
        extended: &Extended,
    ) -> Result<(), Error> {
        let vouched = vouched(extended);
        let length = blob.len()?.min(segment.bytes);
        let path = self.storage.shared.seams.blobs.path(&identity.name());
        match self.verify_header(identity, blob) {
            Ok(head) if extended.from == 0 => segment.base = head.base,
            Ok(_) => {}
            Err(error) if vouched > 0 || extended.from > 0 => return Err(error),
            Err(_) => {
                segment.bytes = 0;
                self.report.lost_record_count += segment.end.0 - segment.base.0;
                return Ok(());
            }
        }
        let from = extended.from.max(SEGMENT_HEADER_BYTES as u64);
        let (sound, end, wrong) = read_through(identity, blob, from, length)?;
        if sound == segment.bytes {
            return Ok(());
        }
        if sound < vouched {
            let what = wrong.unwrap_or_else(|| {
                format!("the file ends here, the lane refers to {vouched} bytes of it")
            });
            return Err(Error::corrupt(&path, sound, what));
        }
        let kept = end.unwrap_or(extended.from_end.max(segment.base));
        self.report.lost_record_count += segment.end.0.saturating_sub(kept.0);
        segment.bytes = sound;
        segment.end = kept;
        // Nothing is written behind the cut: what the lane still says of these places
        // must never be true of other batches.
        segment.sealed = true;
        blob.cut(sound)
    }
}

/// What a lost part of one segment leaves behind: batches that the checkpoint or the
/// lane has, below a later segment that is whole. They get a segment of their own, in
/// their place; without one, the tail would end before the segments do.
fn rescue(log: &Arc<Log>, segments: &mut Vec<Segment>) -> Result<(), Error> {
    let Some(last_end) = segments.last().map(|last| last.end) else {
        return Ok(());
    };
    let mut rescued: BTreeMap<usize, Vec<(Offset, Batch)>> = BTreeMap::new();
    for item in log.inner.lock().tail.pinned() {
        let after = segments.partition_point(|segment| segment.base <= item.base);
        let before = after.checked_sub(1).map(|at| segments[at]);
        let covered = before.is_some_and(|segment| item.base < segment.end);
        if item.base < last_end && !covered {
            let batches = rescued.entry(after).or_default();
            batches.push((item.base, item.payload.batch.clone()));
        }
    }
    // From the back, so that places further on stay what they are.
    for (place, batches) in rescued.into_iter().rev() {
        let (identity, blob) = log.shelf.create(|segment| log.identity(segment))?;
        let mut bytes = Vec::new();
        identity.put_header(batches[0].0, Offset(0), &mut bytes);
        let mut end = batches[0].0;
        for (base, batch) in &batches {
            identity.put_unit(*base, batch, &mut bytes);
            end = base.plus(u64::from(batch.offset_count()));
        }
        blob.write_at(0, &bytes)?;
        blob.sync()?;
        let segment = Segment {
            id: identity.segment,
            base: batches[0].0,
            end,
            bytes: bytes.len() as u64,
            sealed: true,
            first_ms: None,
            peak: None,
        };
        segments.insert(place, segment);
    }
    Ok(())
}

/// Up to where a sync says that the segment goes. What commits without one refer to can
/// be lost to a power cut.
fn vouched(extended: &Extended) -> u64 {
    let vouched = extended.references.iter().rfind(|r| r.vouched);
    vouched.map_or(0, |reference| reference.units_end)
}

/// Reads units from `from` to `to`: how far they are sound, the end of the last one's
/// records, and what is wrong there.
fn read_through(
    identity: &Identity,
    blob: &Arc<dyn Blob>,
    from: u64,
    to: u64,
) -> Result<(u64, Option<Offset>, Option<String>), Error> {
    let mut at = from;
    let mut end = None;
    let mut wanted = CHUNK_BYTES;
    while at < to {
        let length = (to - at).min(wanted);
        let mut buffer = vec![0; length as usize];
        blob.read_at(at, &mut buffer)?;
        let buffer = Bytes::from(buffer);
        let mut used = 0;
        while used < buffer.len() {
            let front = match identity.unit(&buffer[used..]) {
                Unit::Front(front) => front,
                Unit::Short if at + length < to => break,
                Unit::Short | Unit::Damaged => {
                    let what = "the check of a batch's offset and length does not hold";
                    return Ok((at + used as u64, end, Some(what.to_owned())));
                }
            };
            if used + front.bytes > buffer.len() {
                if at + (used + front.bytes) as u64 > to {
                    let what = "a batch reaches past the end".to_owned();
                    return Ok((at + used as u64, end, Some(what)));
                }
                wanted = wanted.max(front.bytes as u64);
                break;
            }
            if let Err(what) = unit_batch(&buffer.slice(used..used + front.bytes)) {
                return Ok((at + used as u64, end, Some(what)));
            }
            used += front.bytes;
            end = Some(front.end());
        }
        at += used as u64;
    }
    Ok((at, end, None))
}

/// Nothing of a log of memory durability outlives the process.
fn forget_content(log: &Arc<Log>) {
    let mut inner = log.inner.lock();
    inner.start = inner.end;
    let start = inner.start;
    inner.tail.trim(start);
    inner.segments.clear();
}

const CHUNK_BYTES: u64 = 1 << 20;
