//! One encoded batch: 1..n records under one header, the unit of storage, checksum,
//! compression and idempotence.
//!
//! A [`Batch`] is a reference-counted slice, so that a fan-out to a thousand queues, the
//! WAL and the tail cache all share one encoding. Its base offset lies outside the CRC
//! and differs from log to log; whoever holds a batch knows its base from elsewhere.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::header::{CRC_START, HAS_TERMS, HEADER_BYTES, Header, LENGTH_END, MAGIC, NATIVE};
use crate::id::Offset;
use crate::native;

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the header, or than its length says.
    Short {
        /// Bytes that were expected.
        expected: usize,
        /// Bytes that were there.
        found: usize,
    },
    /// A magic other than 2.
    Magic(i8),
    /// The CRC in the header is not that of the bytes.
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Record count and last offset delta disagree, or the count is not positive.
    Count(i32),
    /// A native payload whose record table does not lie within it in order.
    Table,
}

/// One encoded batch whose header has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Bytes,
}

impl Batch {
    /// Takes the batch at the front of `bytes` (more may follow it), checking length,
    /// magic, count, CRC and, of a native payload, the record table.
    ///
    /// # Errors
    /// [`Malformed`], naming the first thing that is wrong.
    pub fn parse(bytes: &Bytes) -> Result<Batch, Malformed> {
        let batch = Batch::parse_unchecked(bytes)?;
        let stored = batch.header().crc;
        let computed = crc32c::crc32c(&batch.bytes[CRC_START..]);
        if stored != computed {
            return Err(Malformed::Crc { stored, computed });
        }
        if batch.is_native() && !native::table_is_sound(batch.payload(), batch.record_count()) {
            return Err(Malformed::Table);
        }
        Ok(batch)
    }

    /// As [`Batch::parse`] without CRC and record table, for bytes whose checksum has
    /// been verified by an outer one (a WAL block) or was just made.
    ///
    /// # Errors
    /// [`Malformed`], for length, magic and count.
    pub fn parse_unchecked(bytes: &Bytes) -> Result<Batch, Malformed> {
        let length = Batch::length_at(bytes)?;
        if bytes.len() < length {
            return Err(Malformed::Short {
                expected: length,
                found: bytes.len(),
            });
        }
        let batch = Batch {
            bytes: bytes.slice(..length),
        };
        let header = batch.header();
        if header.magic != MAGIC {
            return Err(Malformed::Magic(header.magic));
        }
        if header.record_count < 1 || header.last_offset_delta != header.record_count - 1 {
            return Err(Malformed::Count(header.record_count));
        }
        Ok(batch)
    }

    /// Total bytes of the batch that begins `bytes`, of which only the length field need
    /// be there.
    ///
    /// # Errors
    /// [`Malformed::Short`] if the length field is missing or smaller than a header.
    pub fn length_at(bytes: &[u8]) -> Result<usize, Malformed> {
        let short = Malformed::Short {
            expected: HEADER_BYTES,
            found: bytes.len(),
        };
        let field: [u8; 4] = bytes
            .get(8..LENGTH_END)
            .and_then(|b| b.try_into().ok())
            .ok_or(short)?;
        let length = usize::try_from(i32::from_be_bytes(field)).map_err(|_| short)? + LENGTH_END;
        if length < HEADER_BYTES {
            return Err(Malformed::Short {
                expected: HEADER_BYTES,
                found: length,
            });
        }
        Ok(length)
    }

    /// Seals a buffer that begins with [`HEADER_BYTES`] of space for the header: writes
    /// the header and the CRC.
    pub(crate) fn seal(mut buffer: BytesMut, mut header: Header) -> Batch {
        header.length = i32::try_from(buffer.len() - LENGTH_END)
            .expect("the builder bounds a batch below 2 GiB");
        let space: &mut [u8; HEADER_BYTES] = (&mut buffer[..HEADER_BYTES])
            .try_into()
            .expect("the slice has that length");
        header.encode(space);
        let crc = crc32c::crc32c(&buffer[CRC_START..]);
        buffer[17..21].copy_from_slice(&crc.to_be_bytes());
        Batch {
            bytes: buffer.freeze(),
        }
    }

    /// The decoded header. Its base offset is meaningless unless the batch came from
    /// somewhere that patched it.
    pub fn header(&self) -> Header {
        let bytes = (&self.bytes[..HEADER_BYTES])
            .try_into()
            .expect("a batch is never shorter than its header");
        Header::decode(bytes)
    }

    /// The whole encoding, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of the whole encoding.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many records: at least one.
    pub fn record_count(&self) -> u32 {
        let field = self.bytes[57..61].try_into().expect("within the header");
        u32::from_be_bytes(field)
    }

    /// Whether the payload is laid out as [`native`] says.
    pub fn is_native(&self) -> bool {
        i16::from_be_bytes([self.bytes[21], self.bytes[22]]) & NATIVE != 0
    }

    /// Whether some record of a native payload has terms of delivery.
    pub fn has_terms(&self) -> bool {
        let wanted = NATIVE | HAS_TERMS;
        i16::from_be_bytes([self.bytes[21], self.bytes[22]]) & wanted == wanted
    }

    /// Everything after the header.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Record `index` of a native batch; `None` for a Kafka payload or past the end.
    pub fn native_record(&self, index: u32) -> Option<native::Record<'_>> {
        if !self.is_native() {
            return None;
        }
        native::record_at(self.payload(), self.record_count(), index)
    }

    /// Records of a native batch by index, at the cost of one; none of a Kafka payload.
    pub fn native_records(&self, records: Range<u32>) -> native::NativeRecords<'_> {
        let count = if self.is_native() {
            self.record_count()
        } else {
            0
        };
        native::NativeRecords::new(self.payload(), count, records)
    }

    /// A copy that holds nothing but itself: a batch read from a file is a slice of all that
    /// was read with it.
    pub fn detached(&self) -> Batch {
        Batch {
            bytes: Bytes::copy_from_slice(&self.bytes),
        }
    }

    /// Writes the encoding with `base` as base offset.
    pub fn write_with_base(&self, base: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&base.0.to_be_bytes());
        out.extend_from_slice(&self.bytes[8..]);
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, len) = (self.record_count(), self.len());
        write!(f, "Batch({count} records, {len} bytes)")
    }
}
