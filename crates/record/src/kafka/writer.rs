//! Writing records as Kafka lays them out, uncompressed: for a Kafka client that reads
//! what came through another protocol.

use bytes::{BufMut, BytesMut};

use crate::batch::Batch;
use crate::header::{HEADER_BYTES, Header as BatchHeader, MAGIC};

use super::headers::Header;
use super::varint;

/// Builds one Kafka batch in one pass. The caller bounds it below 2 GiB.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    count: i32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl Writer {
    /// An empty writer; allocates with the first record.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a record; the first one's timestamp becomes the batch's base.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        if self.is_empty() {
            self.buffer.put_bytes(0, HEADER_BYTES);
            self.base_timestamp_ms = timestamp_ms;
            self.max_timestamp_ms = timestamp_ms;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        let delta_ms = timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let offset = i64::from(self.count);
        let header_count = headers.len() as i64;
        let header_bytes: usize = headers
            .iter()
            .map(|header| size(Some(header.name)) + size(header.value))
            .sum();
        // The length stands in front and is itself of varying length: sum first.
        let length = 1
            + varint::size(delta_ms)
            + varint::size(offset)
            + size(key)
            + size(value)
            + varint::size(header_count)
            + header_bytes;
        self.buffer.reserve(length + varint::size(length as i64));
        varint::put(length as i64, &mut self.buffer);
        self.buffer.put_u8(0);
        varint::put(delta_ms, &mut self.buffer);
        varint::put(offset, &mut self.buffer);
        put(key, &mut self.buffer);
        put(value, &mut self.buffer);
        varint::put(header_count, &mut self.buffer);
        for header in headers {
            put(Some(header.name), &mut self.buffer);
            put(header.value, &mut self.buffer);
        }
        self.count += 1;
    }

    /// The records as a batch, or `None` if there are none. The writer is empty again.
    pub fn finish(&mut self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        let written = std::mem::take(self);
        Some(Batch::seal(
            written.buffer,
            BatchHeader {
                base_offset: 0,
                length: 0,
                partition_leader_epoch: 0,
                magic: MAGIC,
                crc: 0,
                attributes: 0,
                last_offset_delta: written.count - 1,
                base_timestamp: written.base_timestamp_ms,
                max_timestamp: written.max_timestamp_ms,
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                record_count: written.count,
            },
        ))
    }
}

fn size(bytes: Option<&[u8]>) -> usize {
    let bytes = bytes.map(<[u8]>::len);
    varint::size(length_field(bytes)) + bytes.unwrap_or(0)
}

fn put(bytes: Option<&[u8]>, out: &mut BytesMut) {
    varint::put(length_field(bytes.map(<[u8]>::len)), out);
    out.put_slice(bytes.unwrap_or_default());
}

fn length_field(bytes: Option<usize>) -> i64 {
    bytes.map_or(-1, |length| length as i64)
}
