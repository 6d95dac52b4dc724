//! A segment: one append-only blob of one log. All integers big-endian.
//!
//! ```text
//! header     0  magic    "BSSG"
//!            4  CRC-32C  u32  over bytes 8..64
//!            8  format   u32  1
//!           12  zero     u32
//!           16  log      u64
//!           24  segment  u64
//!           32  base     u64  no record in it is below
//!           40  cleaned  u64  the log was compacted up to here when it was made; or 0
//!           48  zero     16 bytes
//! unit       0  check    u32  CRC-32C over log, segment, then the next 12 bytes
//!            4  batch, its base offset filled in
//! units, then at its seal:
//! index      n times: offset u64, position u64 of the unit that holds it
//! trailer    0  magic    "BSSI"
//!            4  CRC-32C  u32  over the index, then trailer bytes 8..24
//!            8  n        u32
//!           12  zero     u32
//!           16  units    u64  where they end
//! ```
//!
//! The batch's own checksum leaves its base offset and length out, so that one batch can
//! go to many logs; here they have a check of their own, and a flipped bit cannot move
//! records to other offsets or hide those behind them.
//!
//! Offsets ascend, with gaps where records were settled before they got here. The index
//! is sparse, only a help, and rebuilt by nobody: without one, a reader walks.

use bongsu_record::header::{CRC_START, HEADER_BYTES, LAST_OFFSET_DELTA, LENGTH_END};
use bongsu_record::{Batch, LogId, Offset};
use bytes::Bytes;

use crate::SegmentId;
use crate::wire::{Fields, Put, seeded_crc};

pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// The check in front of a batch.
pub(crate) const CHECK_BYTES: usize = 4;
/// A batch begins with its base offset.
const BASE_BYTES: usize = 8;
pub(crate) const TRAILER_BYTES: usize = 24;
pub(crate) const FORMAT: u32 = 1;
/// An index entry for about so many bytes of units.
pub(crate) const INDEX_EVERY_BYTES: u64 = 64 << 10;

const MAGIC: &[u8] = b"BSSG";
const INDEX_MAGIC: &[u8] = b"BSSI";

/// Which segment of which log: what its checks are seeded with, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub log: LogId,
    pub segment: SegmentId,
    /// Of a log of memory durability: gone at the next start.
    pub memory: bool,
}

impl Identity {
    pub fn name(&self) -> String {
        let prefix = match self.memory {
            true => MEMORY_PREFIX,
            false => SEGMENT_PREFIX,
        };
        format!("{prefix}{:016x}-{:016x}", self.log.0, self.segment.0)
    }

    /// The segment of a name, if it is a segment's.
    pub fn parse(name: &str) -> Option<Identity> {
        let memory = name.starts_with(MEMORY_PREFIX);
        let rest = name
            .strip_prefix(MEMORY_PREFIX)
            .or_else(|| name.strip_prefix(SEGMENT_PREFIX))?;
        let (log, segment) = rest.split_once('-')?;
        Some(Identity {
            log: LogId(u64::from_str_radix(log, 16).ok()?),
            segment: SegmentId(u64::from_str_radix(segment, 16).ok()?),
            memory,
        })
    }

    pub fn put_header(&self, base: Offset, cleaned: Offset, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_bytes(MAGIC);
        out.put_u32(0);
        out.put_u32(FORMAT);
        out.put_u32(0);
        out.put_u64(self.log.0);
        out.put_u64(self.segment.0);
        out.put_u64(base.0);
        out.put_u64(cleaned.0);
        out.resize(start + SEGMENT_HEADER_BYTES, 0);
        let crc = seeded_crc(&[], &[&out[start + 8..]]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    }

    /// What a header says; none if it is damaged or another segment's. Inner error: the
    /// format, if it is a newer one.
    pub fn header(&self, bytes: &[u8]) -> Option<Result<Head, u32>> {
        let mut fields = Fields::new(bytes.get(..SEGMENT_HEADER_BYTES)?);
        let magic = fields.take(4)?;
        let crc = fields.u32()?;
        if magic != MAGIC || crc != seeded_crc(&[], &[fields.rest]) {
            return None;
        }
        let format = fields.u32()?;
        if format != FORMAT {
            return Some(Err(format));
        }
        fields.u32()?;
        let same = fields.u64()? == self.log.0 && fields.u64()? == self.segment.0;
        let head = Head {
            base: Offset(fields.u64()?),
            cleaned: Offset(fields.u64()?),
        };
        same.then_some(Ok(head))
    }

    pub fn put_unit(&self, base: Offset, batch: &Batch, out: &mut Vec<u8>) {
        let payload = self.put_unit_front(base, batch, out);
        out.extend_from_slice(payload);
    }

    /// Puts all of a unit but its batch's payload, which is returned.
    pub fn put_unit_front<'a>(
        &self,
        base: Offset,
        batch: &'a Batch,
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let start = out.len();
        let (header, payload) = batch.bytes().split_at(HEADER_BYTES);
        out.put_u32(0);
        out.put_u64(base.0);
        out.extend_from_slice(&header[BASE_BYTES..]);
        let check = self.check(&out[start + CHECK_BYTES..]);
        out[start..start + CHECK_BYTES].copy_from_slice(&check.to_be_bytes());
        payload
    }

    fn check(&self, batch: &[u8]) -> u32 {
        seeded_crc(
            &[self.log.0, self.segment.0],
            &[&batch[..LENGTH_END.min(batch.len())]],
        )
    }

    /// Reads the front of a unit: checks what the batch's checksum leaves out.
    pub fn unit(&self, bytes: &[u8]) -> Unit {
        if bytes.len() < CHECK_BYTES + HEADER_BYTES {
            return Unit::Short;
        }
        let batch = &bytes[CHECK_BYTES..];
        let sound = bytes[..CHECK_BYTES] == self.check(batch).to_be_bytes();
        let (Ok(length), true) = (Batch::length_at(batch), sound) else {
            return Unit::Damaged;
        };
        let mut fields = Fields::new(batch);
        let base = Offset(fields.u64().unwrap_or_default());
        let mut last = Fields::new(&batch[LAST_OFFSET_DELTA..]);
        Unit::Front(Front {
            base,
            count: last.u32().unwrap_or_default().saturating_add(1),
            bytes: CHECK_BYTES + length,
        })
    }
}

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// No record in it is below.
    pub base: Offset,
    /// The log was compacted up to here when it was made; or 0.
    pub cleaned: Offset,
}

/// Bytes of a unit that holds a batch of `batch_bytes`.
pub(crate) fn unit_bytes(batch_bytes: usize) -> u64 {
    (CHECK_BYTES + batch_bytes) as u64
}

pub(crate) enum Unit {
    /// Fewer bytes than a batch header.
    Short,
    Damaged,
    Front(Front),
}

/// What the front of a unit says. The count is the batch checksum's to vouch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    pub base: Offset,
    /// Offsets that it takes up.
    pub count: u32,
    pub bytes: usize,
}

impl Front {
    pub fn end(&self) -> Offset {
        self.base.plus(u64::from(self.count))
    }
}

/// The batch of a whole unit, if its checksum holds. Its records are not looked at.
pub(crate) fn unit_batch(unit: &Bytes) -> Result<Batch, String> {
    let bytes = unit.slice(CHECK_BYTES..);
    let batch = Batch::parse_unchecked(&bytes).map_err(|wrong| format!("{wrong:?}"))?;
    let computed = crc32c::crc32c(&batch.bytes()[CRC_START..]);
    let stored = batch.header().crc;
    if stored != computed {
        return Err(format!(
            "the batch's checksum is {computed:#010x}, its header says {stored:#010x}"
        ));
    }
    Ok(batch)
}

/// An entry of the sparse index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub offset: Offset,
    pub position: u64,
}

pub(crate) fn put_index(samples: &[Sample], units_end: u64, out: &mut Vec<u8>) {
    let start = out.len();
    for sample in samples {
        out.put_u64(sample.offset.0);
        out.put_u64(sample.position);
    }
    let trailer = out.len();
    out.put_bytes(INDEX_MAGIC);
    out.put_u32(0);
    out.put_u32(samples.len() as u32);
    out.put_u32(0);
    out.put_u64(units_end);
    let crc = seeded_crc(&[], &[&out[start..trailer], &out[trailer + 8..]]);
    out[trailer + 4..trailer + 8].copy_from_slice(&crc.to_be_bytes());
}

/// The index in `bytes`, which are all that follows the units at `units_end`.
pub(crate) fn decode_index(bytes: &[u8], units_end: u64) -> Option<Vec<Sample>> {
    let (index, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER_BYTES)?)?;
    let mut fields = Fields::new(trailer);
    let magic = fields.take(4)?;
    let crc = fields.u32()?;
    let sound = magic == INDEX_MAGIC && crc == seeded_crc(&[], &[index, fields.rest]);
    let count = fields.u32()? as usize;
    fields.u32()?;
    if !sound || fields.u64()? != units_end || index.len() != count.checked_mul(16)? {
        return None;
    }
    let mut fields = Fields::new(index);
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        samples.push(Sample {
            offset: Offset(fields.u64()?),
            position: fields.u64()?,
        });
    }
    Some(samples)
}

const SEGMENT_PREFIX: &str = "segment-";
const MEMORY_PREFIX: &str = "memory-";
