//! Compressed Kafka payloads: the four codecs, and a bound on what they unfold to.
//!
//! The codec is the low three bits of a batch's attributes; what is compressed is the
//! whole payload behind the 61 bytes of header. What each client library writes:
//!
//! ```text
//! 1 gzip    RFC 1952, one or more members
//! 2 snappy  one raw block (librdkafka), or xerial's framing (Java, Python, Go):
//!             82 "SNAPPY" 00, version u32, oldest reader u32, then chunks: u32 length, raw block
//! 3 lz4     the LZ4 frame format
//! 4 zstd    RFC 8878, one or more frames
//! ```
//!
//! A few bytes can unfold to gigabytes, so the caller always says how many bytes it
//! takes. No codec is given memory for more than a small multiple of that, whatever the
//! lengths inside the payload claim; lz4 alone has buffers beside it, of at most three
//! blocks of 4 MiB.

use std::fmt;
use std::io::{Read, Write};

use zstd::zstd_safe;

use crate::header::COMPRESSION;

/// How a Kafka payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // Kafka's names
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// Why a payload could not be unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// A codec number that nobody uses.
    Codec(u8),
    /// Bytes that are not what this codec writes.
    Malformed(Codec),
    /// It unfolds to more than is taken.
    TooLarge {
        /// Bytes it says it has; where it does not say, those seen when it was given up.
        found_bytes: u64,
        /// Bytes that are taken.
        limit_bytes: usize,
    },
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecompressError::Codec(number) => write!(f, "there is no codec {number}"),
            DecompressError::Malformed(codec) => write!(f, "it is not {codec:?}"),
            DecompressError::TooLarge {
                found_bytes,
                limit_bytes,
            } => write!(
                f,
                "it unfolds to {found_bytes} bytes, at most {limit_bytes} are taken"
            ),
        }
    }
}

impl std::error::Error for DecompressError {}

impl Codec {
    /// The codec in a batch's attributes.
    ///
    /// # Errors
    /// [`DecompressError::Codec`].
    pub fn of(attributes: i16) -> Result<Codec, DecompressError> {
        match (attributes & COMPRESSION) as u8 {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            other => Err(DecompressError::Codec(other)),
        }
    }
}

/// Folds `bytes` as Java's client does by default: snappy in xerial's framing, lz4 in
/// independent blocks of 64 KiB, gzip at level 6, zstd at level 3.
pub fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "memory takes every write";
    match codec {
        Codec::None => bytes.to_vec(),
        Codec::Gzip => {
            let level = flate2::Compression::new(6);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Snappy => {
            let mut out = [XERIAL_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
            let mut encoder = snap::raw::Encoder::new();
            let mut block = Vec::new();
            for part in bytes.chunks(XERIAL_BLOCK_BYTES) {
                block.resize(snap::raw::max_compress_len(part.len()), 0);
                let length = encoder.compress(part, &mut block);
                let length = length.expect("it has the room that snappy asks for");
                out.extend_from_slice(&(length as u32).to_be_bytes());
                out.extend_from_slice(&block[..length]);
            }
            out
        }
        Codec::Lz4 => {
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(bytes).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Zstd => {
            let room = zstd_safe::compress_bound(bytes.len());
            let mut out = Vec::with_capacity(room);
            let folded = zstd_safe::compress(&mut out, bytes, ZSTD_LEVEL);
            folded.expect("it has the room that zstd asks for");
            out
        }
    }
}

/// Unfolds `bytes`, to at most `limit_bytes`.
///
/// # Errors
/// [`DecompressError`].
pub fn decompress(
    codec: Codec,
    bytes: &[u8],
    limit_bytes: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    decompress_into(codec, bytes, limit_bytes, &mut out)?;
    Ok(out)
}

/// As [`decompress`], into a buffer whose content goes and whose room is used again.
///
/// # Errors
/// [`DecompressError`]; what is in `out` means nothing then.
pub fn decompress_into(
    codec: Codec,
    bytes: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.clear();
    match codec {
        Codec::None => {
            within(bytes.len() as u64, limit_bytes)?;
            out.extend_from_slice(bytes);
            Ok(())
        }
        Codec::Gzip => read(
            flate2::bufread::MultiGzDecoder::new(bytes),
            codec,
            limit_bytes,
            out,
        ),
        Codec::Snappy => snappy(bytes, limit_bytes, out),
        // The decoder also knows the legacy format: blocks of 8 MiB, and no end mark by
        // which a cut would be noticed. No Kafka client writes it.
        Codec::Lz4 if bytes.starts_with(LZ4_LEGACY_MAGIC) => Err(DecompressError::Malformed(codec)),
        Codec::Lz4 => {
            let mut rest = bytes;
            let decoder = lz4_flex::frame::FrameDecoder::new(&mut rest);
            read(decoder, codec, limit_bytes, out)?;
            // The decoder stops at the frame's end mark; records never stand behind it.
            match rest.is_empty() {
                true => Ok(()),
                false => Err(DecompressError::Malformed(codec)),
            }
        }
        Codec::Zstd => zstandard(bytes, limit_bytes, out),
    }
}

fn within(found_bytes: u64, limit_bytes: usize) -> Result<(), DecompressError> {
    if found_bytes > limit_bytes as u64 {
        return Err(DecompressError::TooLarge {
            found_bytes,
            limit_bytes,
        });
    }
    Ok(())
}

fn read(
    decoder: impl Read,
    codec: Codec,
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    // One byte more than is taken tells "just fits" from "too large".
    let mut decoder = decoder.take((limit_bytes as u64).saturating_add(1));
    decoder
        .read_to_end(out)
        .map_err(|_| DecompressError::Malformed(codec))?;
    within(out.len() as u64, limit_bytes)
}

fn snappy(bytes: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    // No raw block begins like that: it would start with a copy of bytes before its first.
    let Some(framed) = bytes.strip_prefix(XERIAL_MAGIC) else {
        return snappy_block(bytes, limit_bytes, out);
    };
    let malformed = DecompressError::Malformed(Codec::Snappy);
    let mut rest = framed.get(XERIAL_VERSION_BYTES..).ok_or(malformed)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or(malformed)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or(malformed)?;
        snappy_block(block, limit_bytes, out)?;
        rest = after;
    }
    Ok(())
}

fn snappy_block(
    block: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let malformed = |_| DecompressError::Malformed(Codec::Snappy);
    let announced = snap::raw::decompress_len(block).map_err(malformed)?;
    within((out.len() + announced) as u64, limit_bytes)?;
    // A block cannot hold what it announces: refused before room is made for it.
    if announced > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(DecompressError::Malformed(Codec::Snappy));
    }
    let start = out.len();
    out.resize(start + announced, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(malformed)?;
    Ok(())
}

/// In one step into one buffer, and again into a larger one if it was too small. The
/// streaming decoder would allocate the window that the frame asks for, 128 MiB from a
/// dozen bytes; refusing large windows would refuse what clients write at level 22.
fn zstandard(bytes: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let malformed = DecompressError::Malformed(Codec::Zstd);
    let announced = zstd_safe::get_frame_content_size(bytes).map_err(|_| malformed)?;
    if let Some(announced) = announced {
        within(announced, limit_bytes)?;
    }
    let guess = bytes.len().saturating_mul(ZSTD_RATIO_GUESS);
    let mut room = announced
        .map_or(guess, |announced| announced as usize)
        .min(limit_bytes);
    loop {
        out.clear();
        out.reserve_exact(room);
        match zstd_safe::decompress(out, bytes) {
            Ok(_) => return within(out.len() as u64, limit_bytes),
            Err(ZSTD_ROOM_TOO_SMALL) if room < limit_bytes => {
                room = room
                    .max(ZSTD_ROOM_MIN)
                    .saturating_mul(ZSTD_RATIO_GUESS)
                    .min(limit_bytes);
            }
            Err(ZSTD_ROOM_TOO_SMALL) => {
                return Err(DecompressError::TooLarge {
                    found_bytes: limit_bytes as u64 + 1,
                    limit_bytes,
                });
            }
            Err(_) => return Err(malformed),
        }
    }
}

const LZ4_LEGACY_MAGIC: &[u8] = b"\x02\x21\x4c\x18";
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_VERSION_BYTES: usize = 8;
const XERIAL_BLOCK_BYTES: usize = 32 << 10;
const ZSTD_LEVEL: i32 = 3;
/// Snappy's densest element makes 64 bytes of three.
const SNAPPY_RATIO_MAX: usize = 64;
/// First guess, and growth after a wrong one: the work is at most 4/3 of the last try.
const ZSTD_RATIO_GUESS: usize = 4;
const ZSTD_ROOM_MIN: usize = 1024;
/// `ZSTD_error_dstSize_tooSmall`, as zstd returns errors: negated in a `size_t`.
const ZSTD_ROOM_TOO_SMALL: usize = 70_usize.wrapping_neg();

#[cfg(test)]
mod tests;
