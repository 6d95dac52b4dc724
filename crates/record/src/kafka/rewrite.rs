//! The same records in another batch: compressed another way, or fewer of them. Records are
//! moved as they stand, headers and all; offsets and timestamps do not change.

use bytes::BytesMut;

use crate::batch::Batch;
use crate::compression::{Codec, compress};
use crate::header::{COMPRESSION, DELETE_HORIZON, HEADER_BYTES, Header};

use super::records::{KafkaMalformed, Record, Records};
use super::varint;

/// The batch, compressed with `codec`; itself if it already is.
///
/// # Errors
/// As [`Records::open`].
pub fn recompress(
    batch: &Batch,
    codec: Codec,
    decompressed_bytes_max: usize,
) -> Result<Batch, KafkaMalformed> {
    let unfolded = batch.compression().map_err(KafkaMalformed::Compression)?;
    if unfolded == codec && !batch.is_native() {
        return Ok(batch.clone());
    }
    let records = Records::open(batch, decompressed_bytes_max)?;
    Ok(seal(batch.header(), codec, records.payload()))
}

/// The batch, which `records` were opened from, without those that `keep` says no to; `None`
/// without any. It takes up the same offsets as before, and is compressed the same way.
///
/// With a horizon (Unix milliseconds) the batch says from when on its tombstones may be
/// dropped, where its base timestamp was: its records are written again, for their timestamps
/// are told from there.
pub fn retain(
    batch: &Batch,
    records: &Records,
    horizon_ms: Option<i64>,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> Option<Batch> {
    let mut header = batch.header();
    let shift_ms = horizon_ms.map(|horizon_ms| header.base_timestamp.wrapping_sub(horizon_ms));
    let mut payload = Vec::new();
    let mut max_ms = None;
    header.record_count = 0;
    for (index, record) in (0..).zip(records.iter()) {
        if keep(&record) {
            let raw = records.raw(index);
            match shift_ms {
                None => payload.extend_from_slice(raw),
                Some(shift_ms) => put_shifted(raw, shift_ms, &mut payload),
            }
            max_ms = max_ms.max(Some(record.timestamp_ms));
            header.record_count += 1;
        }
    }
    if shift_ms.is_none() && header.record_count == batch.header().record_count {
        return Some(batch.clone());
    }
    header.max_timestamp = max_ms?;
    if let Some(horizon_ms) = horizon_ms {
        header.attributes |= DELETE_HORIZON;
        header.base_timestamp = horizon_ms;
    }
    // What cannot be read was not opened.
    let codec = batch.compression().unwrap_or(Codec::None);
    Some(seal(header, codec, &payload))
}

/// A whole record, its timestamp told from another base.
fn put_shifted(raw: &[u8], shift_ms: i64, out: &mut Vec<u8>) {
    const OPENED: &str = "the record was read when its batch was opened";
    let mut rest = raw;
    varint::take_i64(&mut rest).expect(OPENED);
    let (attributes, mut rest) = rest.split_first().expect(OPENED);
    let delta_ms = varint::take_i64(&mut rest).expect(OPENED);
    let delta_ms = delta_ms.wrapping_add(shift_ms);
    let length = 1 + varint::size(delta_ms) + rest.len();
    varint::put(length as i64, out);
    out.push(*attributes);
    varint::put(delta_ms, out);
    out.extend_from_slice(rest);
}

fn seal(mut header: Header, codec: Codec, payload: &[u8]) -> Batch {
    header.attributes = header.attributes & !COMPRESSION | codec as i16;
    let mut buffer = BytesMut::with_capacity(HEADER_BYTES + payload.len());
    buffer.resize(HEADER_BYTES, 0);
    match codec {
        Codec::None => buffer.extend_from_slice(payload),
        codec => buffer.extend_from_slice(&compress(codec, payload)),
    }
    Batch::seal(buffer, header)
}
