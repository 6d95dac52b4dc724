//! One encoded batch: 1..n records under one header, the unit of storage, checksum,
//! compression and idempotence.
//!
//! A [`Batch`] is a reference-counted slice, so that a fan-out to a thousand queues, the
//! WAL and the tail cache all share one encoding. Its base offset lies outside the CRC
//! and differs from log to log; whoever holds a batch knows its base from elsewhere.
//!
//! A batch takes up [`Batch::offset_count`] offsets of its log. That is one for each of its
//! records, but for a Kafka batch out of which a compaction took some: those that stay keep
//! their offsets, and so does the batch.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::compression::{Codec, DecompressError};
use crate::header::{
    CONTROL, CRC_START, DELETE_HORIZON, HAS_TERMS, HEADER_BYTES, Header, LAST_OFFSET_DELTA,
    LENGTH_END, LOG_APPEND_TIME, MAGIC, NATIVE, TRANSACTIONAL,
};
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
    /// Record count and last offset delta disagree (there are fewer offsets than records,
    /// or more in a native batch), or the count is not positive.
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
        let (count, last) = (header.record_count, header.last_offset_delta);
        let dense = count.checked_sub(1) == Some(last);
        let sparse = !batch.is_native() && last >= count;
        if count < 1 || !(dense || sparse) {
            return Err(Malformed::Count(count));
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
        u32::from_be_bytes(self.field(57))
    }

    /// How many offsets it takes up: its records', and those of records that a compaction
    /// took out of it. Never fewer than there are records.
    pub fn offset_count(&self) -> u32 {
        // Checked by `parse_unchecked` not to be negative.
        u32::from_be_bytes(self.field(LAST_OFFSET_DELTA)) + 1
    }

    /// Whether every offset that it takes up is a record's, as a producer's batch must have
    /// it: record n has offset n then.
    pub fn is_dense(&self) -> bool {
        self.offset_count() == self.record_count()
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let field = self.bytes[at..at + N].try_into();
        field.expect("within the header, and of that length")
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.field(21))
    }

    /// Whether the payload is laid out as [`native`] says.
    pub fn is_native(&self) -> bool {
        self.attributes() & NATIVE != 0
    }

    /// Whether its records are marks of a transaction's end, not for clients.
    pub fn is_control(&self) -> bool {
        !self.is_native() && self.attributes() & CONTROL != 0
    }

    /// Whether it was written in a transaction, or ends one.
    pub fn is_transactional(&self) -> bool {
        !self.is_native() && self.attributes() & TRANSACTIONAL != 0
    }

    /// Whether its records carry [`Batch::max_timestamp`], the broker's, instead of their own.
    pub fn is_log_append_time(&self) -> bool {
        !self.is_native() && self.attributes() & LOG_APPEND_TIME != 0
    }

    /// How the payload is compressed; a native one is not.
    ///
    /// # Errors
    /// [`DecompressError::Codec`].
    pub fn compression(&self) -> Result<Codec, DecompressError> {
        match self.is_native() {
            true => Ok(Codec::None),
            false => Codec::of(self.attributes()),
        }
    }

    /// The producer that numbers its batches; -1 = none.
    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(self.field(43))
    }

    /// The producer's epoch; -1 = none.
    pub fn epoch(&self) -> i16 {
        i16::from_be_bytes(self.field(51))
    }

    /// The producer's number of the first record; -1 = none. Wraps to 0 after `i32::MAX`.
    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(self.field(53))
    }

    /// From when on its tombstones may be dropped, once a compaction has said so: Unix
    /// milliseconds. It stands where the base timestamp was.
    pub fn delete_horizon(&self) -> Option<i64> {
        let says = !self.is_native() && self.attributes() & DELETE_HORIZON != 0;
        says.then(|| self.base_timestamp())
    }

    /// What its records' timestamps are told from: Unix milliseconds. That of the first record
    /// that the batch was built with, but for [`Batch::delete_horizon`].
    pub fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(self.field(27))
    }

    /// The highest timestamp of its records, as its header has it: Unix milliseconds.
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(self.field(35))
    }

    /// A copy whose records all carry the broker's time: Unix milliseconds.
    pub fn with_log_append_time(&self, unix_ms: i64) -> Batch {
        self.patched(|header| {
            header.attributes |= LOG_APPEND_TIME;
            header.max_timestamp = unix_ms;
        })
    }

    /// A copy whose header says that its records' highest timestamp is this: Unix
    /// milliseconds. For clients that do not say it right.
    pub fn with_max_timestamp(&self, unix_ms: i64) -> Batch {
        self.patched(|header| header.max_timestamp = unix_ms)
    }

    /// A copy that is a producer's, its first record having that number: what a client's
    /// library makes of a batch. Kafka payload only.
    pub fn with_producer(
        &self,
        (producer_id, epoch): (i64, i16),
        base_sequence: i32,
        transactional: bool,
    ) -> Batch {
        self.patched(|header| {
            header.producer_id = producer_id;
            header.producer_epoch = epoch;
            header.base_sequence = base_sequence;
            if transactional {
                header.attributes |= TRANSACTIONAL;
            }
        })
    }

    /// A copy that says of its producer what `other` says.
    pub fn with_producer_of(&self, other: &Batch) -> Batch {
        let theirs = other.header();
        self.patched(|header| {
            header.producer_id = theirs.producer_id;
            header.producer_epoch = theirs.producer_epoch;
            header.base_sequence = theirs.base_sequence;
        })
    }

    /// A copy with another header, but for its length, and the CRC made anew.
    pub(crate) fn patched(&self, patch: impl FnOnce(&mut Header)) -> Batch {
        let mut header = self.header();
        patch(&mut header);
        Batch::seal(BytesMut::from(&self.bytes[..]), header)
    }

    /// Whether some record of a native payload has terms of delivery.
    pub fn has_terms(&self) -> bool {
        let wanted = NATIVE | HAS_TERMS;
        self.attributes() & wanted == wanted
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
