//! The same records in another batch: compressed another way, or fewer of them. Records are
//! moved as they stand, headers and all; offsets and timestamps do not change.

use bytes::BytesMut;

use crate::batch::Batch;
use crate::compression::{Codec, compress};
use crate::header::{COMPRESSION, HEADER_BYTES, Header};

use super::records::{KafkaMalformed, Record, Records};

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

/// The batch without the records that `keep` says no to; `None` without any. It takes up the
/// same offsets as before, and is compressed the same way.
///
/// # Errors
/// As [`Records::open`].
pub fn retain(
    batch: &Batch,
    decompressed_bytes_max: usize,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> Result<Option<Batch>, KafkaMalformed> {
    let codec = batch.compression().map_err(KafkaMalformed::Compression)?;
    let records = Records::open(batch, decompressed_bytes_max)?;
    let mut payload = Vec::new();
    let mut header = batch.header();
    let mut max_ms = None;
    header.record_count = 0;
    for (index, record) in (0..).zip(records.iter()) {
        if keep(&record) {
            payload.extend_from_slice(records.raw(index));
            max_ms = max_ms.max(Some(record.timestamp_ms));
            header.record_count += 1;
        }
    }
    if header.record_count == batch.header().record_count {
        return Ok(Some(batch.clone()));
    }
    let Some(max_ms) = max_ms else {
        return Ok(None);
    };
    header.max_timestamp = max_ms;
    Ok(Some(seal(header, codec, &payload)))
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
