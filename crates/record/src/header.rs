//! The batch header: Kafka's record batch v2, byte for byte, for every protocol.
//!
//! ```text
//!   0  base offset             i64   outside the CRC: one batch goes to many logs
//!   8  length after this field i32   = 49 + payload bytes
//!  12  partition leader epoch  i32   outside the CRC
//!  16  magic                   i8    2
//!  17  CRC-32C                 u32   over everything from byte 21 to the end
//!  21  attributes              i16   see below
//!  23  last offset delta       i32   = record count - 1; more where a compaction took records
//!  27  base timestamp          i64   Unix milliseconds
//!  35  max timestamp           i64   Unix milliseconds
//!  43  producer id             i64   -1 = none
//!  51  producer epoch          i16   -1 = none
//!  53  base sequence           i32   -1 = none
//!  57  record count            i32
//!  61  payload
//! ```
//! All big-endian. Attributes: bits 0-2 compression, 3 timestamp type, 4 transactional,
//! 5 control, 6 delete horizon (all Kafka's), bit 8 [`NATIVE`], which Kafka leaves
//! unused: the payload is ours (see `native`) instead of Kafka's records; and then bit 9
//! [`HAS_TERMS`]: some record has terms of delivery, so that batches without are not
//! looked through.

/// Bytes of a batch header.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the length field's own end: base offset and length.
pub const LENGTH_END: usize = 12;
/// Where the bytes that the CRC covers begin.
pub const CRC_START: usize = 21;
/// Where the last offset delta stands.
pub const LAST_OFFSET_DELTA: usize = 23;
/// Attribute bit: the payload is laid out as `native` says.
pub const NATIVE: i16 = 1 << 8;
/// Attribute bit of a native payload: some record has `native::Terms`.
pub const HAS_TERMS: i16 = 1 << 9;
/// Attribute bits that hold the compression codec of a Kafka payload.
pub const COMPRESSION: i16 = 0b111;
/// Attribute bit of a Kafka payload: all records carry the batch's max timestamp, the
/// broker's, instead of their own.
pub const LOG_APPEND_TIME: i16 = 1 << 3;
/// Attribute bit of a Kafka payload: it belongs to its producer's transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;
/// Attribute bit of a Kafka payload: its records are marks of a transaction's end, not
/// for clients.
pub const CONTROL: i16 = 1 << 5;
/// Attribute bit of a Kafka payload: its base timestamp is not a timestamp but the time from
/// which on its tombstones, or its mark of a transaction's end, may be dropped.
pub const DELETE_HORIZON: i16 = 1 << 6;
/// The only magic there is here.
pub const MAGIC: i8 = 2;

/// A decoded batch header. Field names and meanings are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Header {
    pub base_offset: i64,
    pub length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl Header {
    /// Reads the fields as they stand; checks nothing.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Header {
        Header {
            base_offset: i64::from_be_bytes(part(bytes, 0)),
            length: i32::from_be_bytes(part(bytes, 8)),
            partition_leader_epoch: i32::from_be_bytes(part(bytes, 12)),
            magic: i8::from_be_bytes(part(bytes, 16)),
            crc: u32::from_be_bytes(part(bytes, 17)),
            attributes: i16::from_be_bytes(part(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(part(bytes, 23)),
            base_timestamp: i64::from_be_bytes(part(bytes, 27)),
            max_timestamp: i64::from_be_bytes(part(bytes, 35)),
            producer_id: i64::from_be_bytes(part(bytes, 43)),
            producer_epoch: i16::from_be_bytes(part(bytes, 51)),
            base_sequence: i32::from_be_bytes(part(bytes, 53)),
            record_count: i32::from_be_bytes(part(bytes, 57)),
        }
    }

    /// Writes the fields as they stand, the CRC included.
    pub fn encode(&self, out: &mut [u8; HEADER_BYTES]) {
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }
}

fn part<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("the layout above lies within the header")
}
