//! The bytes of a checkpoint. All integers big-endian.
//!
//! ```text
//! header     0  magic         "BSCP"
//!            4  CRC-32C       u32  over bytes 8..64
//!            8  format        u32  1
//!           12  zero          u32
//!           16  number        u64
//!           24  floor         u64
//!           32  next segment  u64  no segment of this or a later name was made
//!           40  zero          24 bytes
//! section    0  sort          u8   1 broker's, 2 log, 3 end
//!            1  kind          u8   the broker's
//!            2  zero          u16
//!            4  bytes         u32  n
//!            8  id            u64  the broker's, or the log, or the count of sections
//!           16  CRC-32C       u32  over bytes 0..16 and the n bytes
//!           20  n bytes
//! log        0  applied       u64
//!            8  start         u64
//!           16  kept end      u64  the lane has what is not below
//!           24  next segment  u64  at the time of capture
//!           32  durability    u8
//!           33  state         u32  n
//!           37  n bytes
//!            .  segments      u32  n
//!               n times: id u64, base u64, end u64, bytes u64, sealed u8
//!            .  inline        u32  n
//!               n times: base u64, batch
//! ```

use bongsu_record::{Batch, LogId, Lsn, Offset};
use bytes::Bytes;

use crate::log::Segment;
use crate::recovery::Section;
use crate::wire::{Fields, Put, seeded_crc};
use crate::{Durability, SegmentId};

pub(crate) fn name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

pub(crate) fn is_checkpoint(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Of a name, if it is a checkpoint's.
pub(crate) fn number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok()
}

/// A log's share of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Captured {
    pub id: LogId,
    pub durability: Durability,
    pub applied: Lsn,
    pub start: Offset,
    pub kept_end: Offset,
    pub next_segment: u64,
    pub segments: Vec<Segment>,
    pub inline: Vec<(Offset, Batch)>,
}

pub(crate) struct Encoder {
    bytes: Vec<u8>,
    count: u64,
    inline_bytes: u64,
}

impl Encoder {
    pub fn begin(number: u64, floor: Lsn) -> Encoder {
        let mut bytes = Vec::new();
        bytes.put_bytes(MAGIC);
        bytes.put_u32(0);
        bytes.put_u32(FORMAT);
        bytes.put_u32(0);
        bytes.put_u64(number);
        bytes.put_u64(floor.0);
        bytes.resize(HEADER_BYTES, 0);
        Encoder {
            bytes,
            count: 0,
            inline_bytes: 0,
        }
    }

    pub fn broker(&mut self, kind: u8, id: u64, bytes: &[u8]) {
        self.section(BROKER, kind, id, |out| out.put_bytes(bytes));
    }

    /// Bytes of inline batches so far.
    pub fn inline_bytes(&self) -> u64 {
        self.inline_bytes
    }

    pub fn log(&mut self, log: &Captured, state: &[u8]) {
        let inline = log.inline.iter().map(|(_, batch)| batch.len() as u64);
        self.inline_bytes += inline.sum::<u64>();
        self.section(LOG, 0, log.id.0, |out| {
            out.put_u64(log.applied.0);
            out.put_u64(log.start.0);
            out.put_u64(log.kept_end.0);
            out.put_u64(log.next_segment);
            out.put_u8(log.durability as u8);
            out.put_u32(state.len() as u32);
            out.put_bytes(state);
            out.put_u32(log.segments.len() as u32);
            for segment in &log.segments {
                out.put_u64(segment.id.0);
                out.put_u64(segment.base.0);
                out.put_u64(segment.end.0);
                out.put_u64(segment.bytes);
                out.put_u8(u8::from(segment.sealed));
            }
            out.put_u32(log.inline.len() as u32);
            for (base, batch) in &log.inline {
                out.put_u64(base.0);
                out.put_bytes(batch.bytes());
            }
        });
    }

    pub fn finish(mut self, next_segment: u64) -> Vec<u8> {
        self.section(END, 0, self.count, |_| ());
        self.bytes[32..40].copy_from_slice(&next_segment.to_be_bytes());
        let crc = seeded_crc(&[], &[&self.bytes[8..HEADER_BYTES]]);
        self.bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        self.bytes
    }

    fn section(&mut self, sort: u8, kind: u8, id: u64, body: impl FnOnce(&mut Vec<u8>)) {
        let out = &mut self.bytes;
        let start = out.len();
        out.put_u8(sort);
        out.put_u8(kind);
        out.put_bytes(&[0; 2]);
        out.put_u32(0);
        out.put_u64(id);
        out.put_u32(0);
        body(out);
        let length = (out.len() - start - SECTION_BYTES) as u32;
        out[start + 4..start + 8].copy_from_slice(&length.to_be_bytes());
        let (front, body) = (&out[start..start + 16], &out[start + SECTION_BYTES..]);
        let crc = seeded_crc(&[], &[front, body]);
        out[start + 16..start + SECTION_BYTES].copy_from_slice(&crc.to_be_bytes());
        self.count += 1;
    }
}

/// A checkpoint, read back.
#[derive(Default)]
pub(crate) struct Decoded {
    pub next_segment: u64,
    pub sections: Vec<Section>,
    pub logs: Vec<(Captured, Bytes)>,
}

/// Why bytes are not a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Format(u32),
    /// The byte where it goes wrong, and what is there.
    Damaged(u64, &'static str),
}

pub(crate) fn decode(bytes: &[u8], number: u64) -> Result<Decoded, Wrong> {
    let mut decoded = decode_header(bytes, number)?;
    let mut at = HEADER_BYTES;
    let mut count = 0;
    loop {
        let wrong = |what| Wrong::Damaged(at as u64, what);
        let mut fields = Fields::new(&bytes[at..]);
        let front = fields
            .take(16)
            .ok_or(wrong("it ends before its end section"))?;
        let crc = fields.u32().ok_or(wrong("a section is cut short"))?;
        let mut parts = Fields::new(front);
        let (Some(sort), Some(kind), Some(_), Some(length), Some(id)) = (
            parts.u8(),
            parts.u8(),
            parts.take(2),
            parts.u32(),
            parts.u64(),
        ) else {
            return Err(wrong("a section is cut short"));
        };
        let body = fields
            .take(length as usize)
            .ok_or(wrong("a section reaches past the end"))?;
        if crc != seeded_crc(&[], &[front, body]) {
            return Err(wrong("a section's checksum does not hold"));
        }
        match sort {
            BROKER => decoded.sections.push(Section {
                kind,
                id,
                bytes: Bytes::copy_from_slice(body),
            }),
            LOG => {
                let log = decode_log(LogId(id), body);
                decoded
                    .logs
                    .push(log.ok_or(wrong("a log's section does not add up"))?);
            }
            END if id == count => return Ok(decoded),
            END => return Err(wrong("sections are missing")),
            _ => return Err(wrong("a section is of an unknown sort")),
        }
        count += 1;
        at += SECTION_BYTES + body.len();
    }
}

fn decode_header(bytes: &[u8], number: u64) -> Result<Decoded, Wrong> {
    let damaged = Wrong::Damaged(0, "its header's checksum does not hold");
    let parse = || {
        let covered = bytes.get(8..HEADER_BYTES)?;
        let mut fields = Fields::new(bytes);
        let magic = fields.take(4)?;
        let crc = fields.u32()?;
        let sound = magic == MAGIC && crc == seeded_crc(&[], &[covered]);
        let format = fields.u32()?;
        fields.u32()?;
        let (number, _floor) = (fields.u64()?, fields.u64()?);
        let numbers = (number, fields.u64()?);
        sound.then_some((format, numbers))
    };
    let (format, (found, next_segment)) = parse().ok_or(damaged)?;
    if format != FORMAT {
        return Err(Wrong::Format(format));
    }
    if found != number {
        return Err(Wrong::Damaged(16, "it is another checkpoint"));
    }
    Ok(Decoded {
        next_segment,
        ..Decoded::default()
    })
}

fn decode_log(id: LogId, body: &[u8]) -> Option<(Captured, Bytes)> {
    let mut fields = Fields::new(body);
    let mut log = Captured {
        id,
        applied: Lsn(fields.u64()?),
        start: Offset(fields.u64()?),
        kept_end: Offset(fields.u64()?),
        next_segment: fields.u64()?,
        durability: Durability::from_number(fields.u8()?),
        segments: Vec::new(),
        inline: Vec::new(),
    };
    let state_bytes = fields.u32()? as usize;
    let state = Bytes::copy_from_slice(fields.take(state_bytes)?);
    for _ in 0..fields.u32()? {
        log.segments.push(Segment {
            id: SegmentId(fields.u64()?),
            base: Offset(fields.u64()?),
            end: Offset(fields.u64()?),
            bytes: fields.u64()?,
            sealed: fields.u8()? != 0,
            first_ms: None,
            peak: None,
        });
    }
    for _ in 0..fields.u32()? {
        let base = Offset(fields.u64()?);
        let length = Batch::length_at(fields.rest).ok()?;
        let bytes = Bytes::copy_from_slice(fields.take(length)?);
        log.inline
            .push((base, Batch::parse_unchecked(&bytes).ok()?));
    }
    fields.rest.is_empty().then_some((log, state))
}

const MAGIC: &[u8] = b"BSCP";
pub(crate) const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 20;
const BROKER: u8 = 1;
const LOG: u8 = 2;
const END: u8 = 3;
const PREFIX: &str = "checkpoint-";
