//! Whether a producer's batch is what its header says, as fast as its bytes can be read.
//!
//! Only lengths are looked at: records are hopped over, nothing is built of them. A
//! compressed payload is unfolded into a buffer that its thread keeps, up to a bound.
//!
//! The batch's CRC is not looked at: [`Batch::parse`] is for that.

use std::cell::RefCell;

use crate::batch::Batch;
use crate::compression::{Codec, decompress_into};

use super::records::{Field, KafkaMalformed};
use super::varint;

/// What was seen on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Lowest timestamp of the records' own: Unix milliseconds.
    pub min_timestamp_ms: i64,
    /// Highest. A client may say another in the batch's header: see
    /// [`Batch::with_max_timestamp`].
    pub max_timestamp_ms: i64,
    /// Records without a key, which no compacted stream takes.
    pub keyless_count: u32,
    /// Records with headers.
    pub headered_count: u32,
    /// Bytes of the payload, unfolded.
    pub payload_bytes: usize,
}

/// Looks a producer's batch through: as many records as announced and nothing behind them,
/// offsets from 0 without a gap, every length within what surrounds it.
///
/// # Errors
/// [`KafkaMalformed`], naming the first thing that is wrong; `Compression` if it unfolds to
/// more than `decompressed_bytes_max`, `Record` 0's offset if the header announces more
/// offsets than records.
pub fn validate(batch: &Batch, decompressed_bytes_max: usize) -> Result<Validated, KafkaMalformed> {
    if batch.is_native() {
        return Err(KafkaMalformed::Native);
    }
    if !batch.is_dense() {
        return Err(KafkaMalformed::Record {
            index: 0,
            field: Field::Offset,
        });
    }
    match batch.compression().map_err(KafkaMalformed::Compression)? {
        Codec::None => walk(batch.payload(), batch),
        codec => UNFOLDED.with_borrow_mut(|unfolded| {
            let done = decompress_into(codec, batch.payload(), decompressed_bytes_max, unfolded);
            let walked = done
                .map_err(KafkaMalformed::Compression)
                .and_then(|()| walk(unfolded, batch));
            if unfolded.capacity() > UNFOLDED_KEPT_BYTES {
                *unfolded = Vec::new();
            }
            walked
        }),
    }
}

fn walk(payload: &[u8], batch: &Batch) -> Result<Validated, KafkaMalformed> {
    let announced = batch.record_count();
    let (mut min_delta_ms, mut max_delta_ms) = (i64::MAX, i64::MIN);
    let mut keyless_count = 0;
    let mut headered_count = 0;
    let mut rest = payload;
    for index in 0..announced {
        if rest.is_empty() {
            return Err(KafkaMalformed::Count {
                announced,
                found: index,
            });
        }
        let hopped = hop(&mut rest, index);
        let hopped = hopped.map_err(|field| KafkaMalformed::Record { index, field })?;
        min_delta_ms = min_delta_ms.min(hopped.timestamp_delta_ms);
        max_delta_ms = max_delta_ms.max(hopped.timestamp_delta_ms);
        keyless_count += u32::from(hopped.keyless);
        headered_count += u32::from(hopped.headered);
    }
    if !rest.is_empty() {
        return Err(KafkaMalformed::Trailing { bytes: rest.len() });
    }
    let base_ms = batch.base_timestamp();
    Ok(Validated {
        min_timestamp_ms: base_ms.wrapping_add(min_delta_ms),
        max_timestamp_ms: base_ms.wrapping_add(max_delta_ms),
        keyless_count,
        headered_count,
        payload_bytes: payload.len(),
    })
}

struct Hopped {
    timestamp_delta_ms: i64,
    keyless: bool,
    headered: bool,
}

#[inline]
fn hop(payload: &mut &[u8], index: u32) -> Result<Hopped, Field> {
    let length = usize::try_from(take(payload).ok_or(Field::Length)?);
    let length = length.map_err(|_| Field::Length)?;
    let (mut rest, behind) = payload.split_at_checked(length).ok_or(Field::Length)?;
    *payload = behind;
    rest = rest.get(1..).ok_or(Field::Attributes)?;
    let timestamp_delta_ms = take(&mut rest).ok_or(Field::Timestamp)?;
    if take(&mut rest) != Some(i64::from(index)) {
        return Err(Field::Offset);
    }
    let keyless = !hop_bytes(&mut rest, true).ok_or(Field::Key)?;
    hop_bytes(&mut rest, true).ok_or(Field::Value)?;
    let header_count = take(&mut rest).ok_or(Field::HeaderCount)?;
    let header_count = u32::try_from(header_count).map_err(|_| Field::HeaderCount)?;
    // Every header has at least two bytes: a lying count ends with the bytes.
    for _ in 0..header_count {
        hop_bytes(&mut rest, false).ok_or(Field::Headers)?;
        hop_bytes(&mut rest, true).ok_or(Field::Headers)?;
    }
    match rest.is_empty() {
        true => Ok(Hopped {
            timestamp_delta_ms,
            keyless,
            headered: header_count > 0,
        }),
        false => Err(Field::Headers),
    }
}

/// Over a length and as many bytes: whether they are there; `Some(false)` is Kafka's null.
#[inline]
fn hop_bytes(rest: &mut &[u8], nullable: bool) -> Option<bool> {
    let length = take(rest)?;
    if length == -1 && nullable {
        return Some(false);
    }
    *rest = rest.get(usize::try_from(length).ok()?..)?;
    Some(true)
}

/// As [`varint::take_i64`], quick for the one and two bytes that nearly all are.
#[inline]
fn take(rest: &mut &[u8]) -> Option<i64> {
    let zigzag = |bits: u16| i64::from(bits >> 1) ^ -i64::from(bits & 1);
    match **rest {
        [first, ..] if first < 0x80 => {
            *rest = &rest[1..];
            Some(zigzag(u16::from(first)))
        }
        [first, second, ..] if second < 0x80 => {
            *rest = &rest[2..];
            Some(zigzag(u16::from(first & 0x7f) | u16::from(second) << 7))
        }
        _ => varint::take_i64(rest),
    }
}

thread_local! {
    static UNFOLDED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A thread that unfolded more gives it back.
const UNFOLDED_KEPT_BYTES: usize = 4 << 20;
