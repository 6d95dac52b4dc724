//! Segments: what cannot be read is replaced by marks of the same length.

use std::ops::Range;

use bongsu_record::header::{CONTROL, HEADER_BYTES, MAGIC};
use bongsu_record::{Batch, Offset};
use bytes::Bytes;

use super::Work;
use crate::Error;
use crate::disk::Mode;
use crate::log::Segment;
use crate::segment::{CHECK_BYTES, Identity, SEGMENT_HEADER_BYTES, Unit, unit_batch};
use crate::wire::Put;

/// What cannot be read of a segment, and the offsets that were in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    pub bytes: Range<usize>,
    pub offsets: Range<Offset>,
}

impl Work {
    /// Reads a segment through, and fills what cannot be read. Whether anything was.
    pub fn fill(&mut self, identity: &Identity, segment: &Segment) -> Result<bool, Error> {
        let path = self.options.dir.join("data").join(identity.name());
        let wanted = segment.bytes as usize;
        let is_there = self.disk.exists(&path);
        let mut bytes = Vec::new();
        let mut length = 0;
        if is_there {
            let file = self.disk.open(&path, Mode::Read, false);
            let file = file.map_err(Work::io("open", &path))?;
            length = file.len().map_err(Work::io("measure", &path))? as usize;
            bytes.resize(length.min(wanted), 0);
            file.read_at(0, &mut bytes)
                .map_err(Work::io("read", &path))?;
        }
        bytes.resize(wanted, 0);
        let header = identity.header(&bytes);
        match header {
            Some(Ok(_)) => {}
            Some(Err(found)) => {
                return Err(Error::Format {
                    path,
                    found,
                    supported: crate::segment::FORMAT,
                });
            }
            None => {
                let mut fresh = Vec::new();
                identity.put_header(segment.base, Offset(0), &mut fresh);
                bytes[..SEGMENT_HEADER_BYTES].copy_from_slice(&fresh);
            }
        }
        let whole = Bytes::from(bytes);
        let holes = holes(identity, &whole, segment.base..segment.end);
        if header.is_some() && holes.is_empty() {
            return Ok(false);
        }
        self.aside.keep(&path)?;
        let file = self.disk.open(
            &path,
            if is_there {
                Mode::Write
            } else {
                Mode::CreateNew
            },
            false,
        );
        let file = file.map_err(Work::io("open", &path))?;
        if header.is_none() {
            let front = &whole[..SEGMENT_HEADER_BYTES];
            file.write_at(0, front).map_err(Work::io("write", &path))?;
            let what = match is_there {
                true => "its header does not hold",
                false => "it is missing",
            };
            let mend = "its header is written again".to_owned();
            self.note(path.clone(), 0, what.to_owned(), mend);
        }
        for Hole { bytes, offsets } in holes {
            let Some(mark) = mark(identity, &offsets, bytes.len()) else {
                let what = format!("{} bytes that no mark fits into", bytes.len());
                return Err(Error::corrupt(&path, bytes.start as u64, what));
            };
            file.write_at(bytes.start as u64, &mark)
                .map_err(Work::io("write", &path))?;
            let what = match bytes.start >= length {
                true => format!("{} bytes are missing", bytes.len()),
                false => format!("{} bytes cannot be read", bytes.len()),
            };
            let mend = format!(
                "the offsets {} to {} are marked as gone",
                offsets.start,
                offsets.end.0 - 1
            );
            self.note(path.clone(), bytes.start as u64, what, mend);
            self.lost(identity.log, offsets);
        }
        file.sync_data().map_err(Work::io("sync", &path))?;
        let folder = self.options.dir.join("data");
        self.disk
            .sync_dir(&folder)
            .map_err(Work::io("sync", &folder))?;
        Ok(true)
    }
}

/// Where units cannot be read. `records` is what the segment should hold.
fn holes(identity: &Identity, bytes: &Bytes, records: Range<Offset>) -> Vec<Hole> {
    let mut holes: Vec<Hole> = Vec::new();
    let (mut at, mut end) = (SEGMENT_HEADER_BYTES, records.start);
    while at < bytes.len() {
        if let Some((_, unit_end, length)) = unit(identity, bytes, at) {
            (at, end) = (at + length, unit_end);
            continue;
        }
        // The next unit that is whole, leaves room for a mark, and has later records.
        let mut next = at + MARK_BYTES_MIN;
        let found = loop {
            if next >= bytes.len() {
                break None;
            }
            match unit(identity, bytes, next) {
                Some((base, ..)) if base > end => break Some(base),
                _ => next += 1,
            }
        };
        let upto = match found {
            Some(base) => base,
            None => records.end.max(end.plus(1)),
        };
        let stop = if found.is_some() { next } else { bytes.len() };
        holes.push(Hole {
            bytes: at..stop,
            offsets: end..upto,
        });
        (at, end) = (stop, upto);
    }
    holes
}

/// A whole unit: its first record, the end of its records, its length.
fn unit(identity: &Identity, bytes: &Bytes, at: usize) -> Option<(Offset, Offset, usize)> {
    // Most places are ruled out by one byte.
    if bytes.get(at + CHECK_BYTES + 16) != Some(&(MAGIC as u8)) {
        return None;
    }
    let Unit::Front(front) = identity.unit(&bytes[at..]) else {
        return None;
    };
    let whole = at
        .checked_add(front.bytes)
        .filter(|end| *end <= bytes.len())?;
    unit_batch(&bytes.slice(at..whole)).ok()?;
    Some((front.base, front.end(), front.bytes))
}

/// A unit of exactly so many bytes that takes the offsets up and holds no record for
/// anybody: a control batch, as a transaction's end leaves one. `None` if it cannot be.
fn mark(identity: &Identity, offsets: &Range<Offset>, bytes: usize) -> Option<Vec<u8>> {
    let count = u32::try_from(offsets.end.0 - offsets.start.0).ok()?;
    let payload = control_record(bytes.checked_sub(CHECK_BYTES + HEADER_BYTES)?)?;
    let mut batch = Vec::with_capacity(bytes);
    batch.put_u64(0);
    batch.put_u32((HEADER_BYTES - 12 + payload.len()) as u32);
    batch.put_u32(0);
    batch.put_u8(MAGIC as u8);
    batch.put_u32(0);
    batch.put_bytes(&CONTROL.to_be_bytes());
    batch.put_u32(count - 1);
    batch.put_u64(0);
    batch.put_u64(0);
    batch.put_u64(u64::MAX);
    batch.put_bytes(&(-1_i16).to_be_bytes());
    batch.put_u32(u32::MAX);
    batch.put_u32(1);
    batch.put_bytes(&payload);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = Batch::parse_unchecked(&batch.into()).ok()?;
    let mut out = Vec::new();
    identity.put_unit(offsets.start, &batch, &mut out);
    (out.len() == bytes).then_some(out)
}

/// Kafka's record of exactly so many bytes: a control record of an unknown type, filled up
/// in its value. Lengths have lengths of their own, so the key helps out.
fn control_record(bytes: usize) -> Option<Vec<u8>> {
    for key_bytes in CONTROL_KEY.len()..CONTROL_KEY.len() + 8 {
        for value_bytes in (bytes.saturating_sub(40)..bytes).rev() {
            let mut body = vec![0, 0, 0];
            put_varint(key_bytes, &mut body);
            body.extend_from_slice(&CONTROL_KEY);
            body.resize(body.len() + key_bytes - CONTROL_KEY.len(), 0);
            put_varint(value_bytes, &mut body);
            let length = body.len() + value_bytes + 1;
            let mut record = Vec::new();
            put_varint(length, &mut record);
            // No length takes 65 bytes with itself: one byte more of a varint may be zero.
            if record.len() + length + 1 == bytes
                && let Some(last) = record.last_mut()
            {
                *last |= 0x80;
                record.push(0);
            }
            if record.len() + length == bytes {
                record.extend_from_slice(&body);
                // The value, and the count of no headers.
                record.resize(bytes, 0);
                return Some(record);
            }
        }
    }
    None
}

/// Zigzag, as Kafka has lengths.
fn put_varint(value: usize, out: &mut Vec<u8>) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Version 0, of a type that no client knows.
const CONTROL_KEY: [u8; 4] = [0, 0, 0x7f, 0xff];
/// The least that a mark takes.
pub const MARK_BYTES_MIN: usize = CHECK_BYTES + HEADER_BYTES + 11;

#[cfg(test)]
mod tests {
    use bongsu_record::LogId;

    use super::*;
    use crate::SegmentId;

    #[test]
    fn a_mark_has_any_length() {
        let identity = Identity {
            log: LogId(1),
            segment: SegmentId(2),
            memory: false,
        };
        let lengths = (MARK_BYTES_MIN..700).chain([8_270, 8_271, 16_500, 70_000, 3_000_000]);
        for length in lengths {
            let offsets = Offset(7)..Offset(9);
            let mark = mark(&identity, &offsets, length);
            let mark = Bytes::from(mark.unwrap_or_else(|| panic!("{length}")));
            let found = unit(&identity, &mark, 0);
            assert_eq!(found, Some((Offset(7), Offset(9), length)));
            let batch = unit_batch(&mark).unwrap();
            assert!(batch.is_control() && batch.record_count() == 1);
        }
        assert_eq!(
            mark(&identity, &(Offset(0)..Offset(1)), MARK_BYTES_MIN - 1),
            None
        );
    }
}
