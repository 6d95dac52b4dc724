//! The bytes of a lane file. All integers big-endian.
//!
//! ```text
//! file header, padded with zeros to 4096
//!    0  magic        "BSLF"
//!    4  CRC-32C      u32  over bytes 8..64
//!    8  format       u32  1
//!   12  file index   u32  0, 1, 2, ... within the lane
//!   16  lane id      u64
//!   24  first LSN    u64  of the first block
//!   32  salt         u64  seeds the checksum of every block; new for each lane
//!   40  file bytes   u64  a file of another length was cut by somebody
//!   48  zero         16 bytes
//!
//! block, padded with zeros to a multiple of 4096
//!    0  magic        "BSBL"
//!    4  CRC-32C      u32  over salt, then bytes 8..48+body
//!    8  lane id      u64
//!   16  first LSN    u64  of the body's first byte
//!   24  synced LSN   u64  durable for certain before this block was written
//!   32  body bytes   u32
//!   36  frame count  u32
//!   40  file index   u32
//!   44  flags        u8   see [`flag`]
//!   45  zero         3 bytes
//!   48  body: frames, each u32 length of what follows it, then entries
//! ```

use bongsu_record::Lsn;

use crate::seam::LaneId;
use crate::wire::{Fields, Put, seeded_crc};

pub const FILE_HEADER_BYTES: usize = 4096;
pub const BLOCK_HEADER_BYTES: usize = 48;
pub const FORMAT: u32 = 1;

/// Bits of a block's flags.
pub mod flag {
    /// What the frames refer to (segments) was synced before the block was written.
    pub const REFERENCES_SYNCED: u8 = 1;
    /// The chain goes on in the next file.
    pub const CONTINUES: u8 = 2;
    /// The lane ends here.
    pub const SEAL: u8 = 4;
    /// With SEAL: by its own writer, at a clean stop.
    pub const CLEAN: u8 = 8;
}

const FILE_MAGIC: &[u8] = b"BSLF";
const BLOCK_MAGIC: &[u8] = b"BSBL";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    pub index: u32,
    pub lane: LaneId,
    pub first: Lsn,
    pub salt: u64,
    pub file_bytes: u64,
}

/// Why bytes are not a file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeader {
    Damaged,
    Format(u32),
}

impl FileHeader {
    /// Writes the header into a whole zeroed block.
    pub fn encode(&self, out: &mut [u8]) {
        let mut bytes = Vec::with_capacity(64);
        bytes.put_bytes(FILE_MAGIC);
        bytes.put_u32(0);
        bytes.put_u32(FORMAT);
        bytes.put_u32(self.index);
        bytes.put_u64(self.lane.0);
        bytes.put_u64(self.first.0);
        bytes.put_u64(self.salt);
        bytes.put_u64(self.file_bytes);
        bytes.resize(64, 0);
        let crc = seeded_crc(&[], &[&bytes[8..64]]);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        out[..64].copy_from_slice(&bytes);
        out[64..].fill(0);
    }

    pub fn decode(bytes: &[u8]) -> Result<FileHeader, NotHeader> {
        FileHeader::fields(bytes).ok_or(NotHeader::Damaged)?
    }

    fn fields(bytes: &[u8]) -> Option<Result<FileHeader, NotHeader>> {
        let covered = bytes.get(8..64)?;
        let mut fields = Fields::new(bytes);
        let magic = fields.take(4)?;
        let crc = fields.u32()?;
        if magic != FILE_MAGIC || crc != seeded_crc(&[], &[covered]) {
            return None;
        }
        let format = fields.u32()?;
        if format != FORMAT {
            return Some(Err(NotHeader::Format(format)));
        }
        Some(Ok(FileHeader {
            index: fields.u32()?,
            lane: LaneId(fields.u64()?),
            first: Lsn(fields.u64()?),
            salt: fields.u64()?,
            file_bytes: fields.u64()?,
        }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    pub lane: LaneId,
    pub first: Lsn,
    pub synced: Lsn,
    pub body_bytes: u32,
    pub frame_count: u32,
    pub file_index: u32,
    pub flags: u8,
}

impl BlockHeader {
    /// Writes the header in front of the body that `block` already holds behind it.
    pub fn encode(&self, salt: u64, block: &mut [u8]) {
        block[0..4].copy_from_slice(BLOCK_MAGIC);
        block[8..16].copy_from_slice(&self.lane.0.to_be_bytes());
        block[16..24].copy_from_slice(&self.first.0.to_be_bytes());
        block[24..32].copy_from_slice(&self.synced.0.to_be_bytes());
        block[32..36].copy_from_slice(&self.body_bytes.to_be_bytes());
        block[36..40].copy_from_slice(&self.frame_count.to_be_bytes());
        block[40..44].copy_from_slice(&self.file_index.to_be_bytes());
        block[44] = self.flags;
        block[45..48].fill(0);
        let crc = seeded_crc(&[salt], &[&block[8..self.bytes()]]);
        block[4..8].copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads the fields as they stand, if this is a block of `lane` and file `index`.
    pub fn decode(bytes: &[u8], lane: LaneId, index: u32) -> Option<BlockHeader> {
        let mut fields = Fields::new(bytes);
        if fields.take(4)? != BLOCK_MAGIC {
            return None;
        }
        fields.take(4)?;
        let header = BlockHeader {
            lane: LaneId(fields.u64()?),
            first: Lsn(fields.u64()?),
            synced: Lsn(fields.u64()?),
            body_bytes: fields.u32()?,
            frame_count: fields.u32()?,
            file_index: fields.u32()?,
            flags: fields.u8()?,
        };
        (header.lane == lane && header.file_index == index).then_some(header)
    }

    /// Whether the checksum of `block` (at least header and body) holds.
    pub fn holds(&self, salt: u64, block: &[u8]) -> bool {
        let (Some(stored), Some(covered)) = (block.get(4..8), block.get(8..self.bytes())) else {
            return false;
        };
        stored == seeded_crc(&[salt], &[covered]).to_be_bytes()
    }

    /// Header and body.
    pub fn bytes(&self) -> usize {
        BLOCK_HEADER_BYTES + self.body_bytes as usize
    }

    pub fn end(&self) -> Lsn {
        Lsn(self.first.0 + u64::from(self.body_bytes))
    }
}
