//! The last step of recovery: segments against what refers to them.
//!
//! A segment that the checkpoint lists must be there and as long as it says; its batches
//! are checked when they are read. What replay added is read through here. An open
//! segment is cut behind the last unit that anything refers to: the rest was flushed for
//! a checkpoint that never came, and the lane still has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_record::Offset;
use bytes::Bytes;

use super::{Extended, Follow, Recovery};
use crate::checkpoint::blob;
use crate::log::Segment;
use crate::seam::Blob;
use crate::segment::{self, Identity, SEGMENT_HEADER_BYTES, Unit, unit_batch};
use crate::storage::RESERVE;
use crate::{Durability, Error, Log};

impl Recovery {
    pub(super) fn verify(&mut self) -> Result<(), Error> {
        self.drop_unclaimed()?;
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
            if let Some(identity) = Identity::parse(&name) {
                let above = identity.segment.0.saturating_add(1);
                shared.shelf.raise_next_segment(above);
            }
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
        let mut open = None;
        for (place, segment) in segments.iter_mut().enumerate() {
            let identity = log.identity(segment.id);
            self.storage
                .shared
                .shelf
                .raise_next_segment(segment.id.0.saturating_add(1));
            let blob = self.storage.shared.shelf.blob(&identity)?;
            let length = blob.len()?;
            let extended = follow.extended.get(&segment.id);
            let last = place + 1 == count;
            match extended {
                Some(extended) => self.verify_extended(&identity, &blob, segment, extended)?,
                None if length < segment.bytes => {
                    let what = format!("the checkpoint says that it has {} bytes", segment.bytes);
                    let path = self.storage.shared.seams.blobs.path(&identity.name());
                    return Err(Error::corrupt(&path, length, what));
                }
                None => {
                    self.verify_header(&identity, &blob)?;
                }
            }
            if segment.bytes == 0 {
                continue;
            }
            if last && !segment.sealed {
                if blob.len()? > segment.bytes {
                    blob.cut(segment.bytes)?;
                }
                open = Some((identity, *segment));
            } else {
                segment.sealed = true;
            }
            if extended.is_some() {
                // Whatever the lane said of it is said again by the seal of that lane.
                blob.sync()?;
            }
        }
        segments.retain(|segment| segment.bytes > 0);
        let mut writer = log.writer.lock();
        if let Some((identity, segment)) = open {
            writer.resume(identity, &segment);
        }
        let mut inner = log.inner.lock();
        if let Some(last) = segments.last() {
            inner.tail.trim(last.end);
        }
        inner.segments = segments.into();
        Ok(())
    }

    fn verify_header(&self, identity: &Identity, blob: &Arc<dyn Blob>) -> Result<Offset, Error> {
        let path = self.storage.shared.seams.blobs.path(&identity.name());
        let mut header = [0; SEGMENT_HEADER_BYTES];
        blob.read_at(0, &mut header)?;
        match identity.header_base(&header) {
            Some(Ok(base)) => Ok(base),
            Some(Err(found)) => Err(Error::Format {
                path,
                found,
                supported: segment::FORMAT,
            }),
            None => Err(Error::corrupt(&path, 0, "its header does not hold")),
        }
    }

    /// Reads through what replay says was added. Sets the segment to what is there.
    fn verify_extended(
        &mut self,
        identity: &Identity,
        blob: &Arc<dyn Blob>,
        segment: &mut Segment,
        extended: &Extended,
    ) -> Result<(), Error> {
        // References of commits that did not sync can be lost to a power cut.
        let vouched = extended.references.iter().rev();
        let vouched = vouched
            .filter(|(lsn, _)| *lsn <= self.references_synced)
            .map(|(_, units_end)| *units_end)
            .next()
            .unwrap_or(0);
        let length = blob.len()?.min(segment.bytes);
        let path = self.storage.shared.seams.blobs.path(&identity.name());
        match self.verify_header(identity, blob) {
            Ok(base) if extended.from == 0 => segment.base = base,
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
        let kept = end.unwrap_or(segment.base);
        self.report.lost_record_count += segment.end.0.saturating_sub(kept.0);
        segment.bytes = sound;
        segment.end = kept;
        Ok(())
    }
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
