//! Reading the records of a Kafka batch.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;

use crate::batch::Batch;
use crate::compression::{self, Codec, DecompressError};
use crate::header::{HEADER_BYTES, LOG_APPEND_TIME};

use super::headers::{Headers, take_bytes};
use super::varint;

/// Why a payload is not Kafka records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaMalformed {
    /// The batch is native.
    Native,
    /// It cannot be decompressed.
    Compression(DecompressError),
    /// The payload ends before the announced count of records.
    Count {
        /// What the batch header says.
        announced: u32,
        /// Records that were there.
        found: u32,
    },
    /// Bytes behind the last record.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A record that cannot be read.
    Record {
        /// Which, from 0.
        index: u32,
        /// The field that is cut, overlong, lies about its length, or is not as it must be.
        field: Field,
    },
}

impl fmt::Display for KafkaMalformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KafkaMalformed::Native => f.write_str("it is not a batch of Kafka's"),
            KafkaMalformed::Compression(error) => write!(f, "the records: {error}"),
            KafkaMalformed::Count { announced, found } => {
                write!(f, "{announced} records are announced, {found} are there")
            }
            KafkaMalformed::Trailing { bytes } => {
                write!(f, "{bytes} bytes behind the last record")
            }
            KafkaMalformed::Record { index, field } => {
                write!(f, "record {index}: its {field:?} cannot be read")
            }
        }
    }
}

impl std::error::Error for KafkaMalformed {}

/// Fields of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Field {
    Length,
    Attributes,
    Timestamp,
    /// Must be higher than that of the record before, and one of the batch's.
    Offset,
    Key,
    Value,
    HeaderCount,
    /// Also: bytes behind the last header.
    Headers,
}

/// One record, borrowed from [`Records`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset after the batch's: its index, but where a compaction took records.
    pub offset_delta: u32,
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// `None` is Kafka's null: a tombstone, where a stream is compacted.
    pub value: Option<&'a [u8]>,
    /// Not decoded until read.
    pub headers: Headers<'a>,
}

/// The records of one Kafka batch: decompressed, checked, and found in one step each.
#[derive(Clone, Debug)]
pub struct Records {
    /// A slice of the batch itself if that is not compressed.
    payload: Bytes,
    /// Where each record's length stands. Records have seven bytes at least, so this is
    /// never larger than the payload, whatever count the header claims.
    starts: Vec<u32>,
    base_timestamp_ms: i64,
    /// Overrides the records' own timestamps.
    append_time_ms: Option<i64>,
}

impl Records {
    /// Opens a batch whose payload may unfold to `decompressed_bytes_max`; checks every
    /// record, so that reading one cannot fail.
    ///
    /// # Errors
    /// [`KafkaMalformed`], naming the first thing that is wrong.
    pub fn open(batch: &Batch, decompressed_bytes_max: usize) -> Result<Records, KafkaMalformed> {
        if batch.is_native() {
            return Err(KafkaMalformed::Native);
        }
        let header = batch.header();
        let payload = Codec::of(header.attributes)
            .and_then(|codec| match codec {
                Codec::None => Ok(batch.bytes().slice(HEADER_BYTES..)),
                codec => compression::decompress(codec, batch.payload(), decompressed_bytes_max)
                    .map(Bytes::from),
            })
            .map_err(KafkaMalformed::Compression)?;
        let starts = starts(&payload, batch)?;
        let append_time = header.attributes & LOG_APPEND_TIME != 0;
        Ok(Records {
            payload,
            starts,
            base_timestamp_ms: header.base_timestamp,
            append_time_ms: append_time.then_some(header.max_timestamp),
        })
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.starts.len() as u32
    }

    /// Record `index`, if there is one.
    pub fn get(&self, index: u32) -> Option<Record<'_>> {
        let start = *self.starts.get(index as usize)? as usize;
        let mut rest = &self.payload[start..];
        let raw = take_record(&mut rest).expect("`open` has read it once");
        let delta = raw.timestamp_delta_ms;
        let own_time_ms = self.base_timestamp_ms.wrapping_add(delta);
        Some(Record {
            offset_delta: raw.offset_delta,
            timestamp_ms: self.append_time_ms.unwrap_or(own_time_ms),
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }

    /// All of it, unfolded.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes of record `index`, its length included.
    pub(super) fn raw(&self, index: u32) -> &[u8] {
        let start = |index: u32| self.starts.get(index as usize).map(|start| *start as usize);
        let end = start(index + 1).unwrap_or(self.payload.len());
        &self.payload[start(index).unwrap_or(end)..end]
    }

    /// The record with this offset after the batch's, if there is one.
    pub fn at(&self, offset_delta: u32) -> Option<Record<'_>> {
        let (mut low, mut high) = (0, self.count());
        // Of a dense batch, the first guess is right.
        let mut guess = offset_delta;
        while low < high {
            let record = self.get(guess.clamp(low, high - 1))?;
            match record.offset_delta.cmp(&offset_delta) {
                Ordering::Equal => return Some(record),
                Ordering::Less => low = guess.clamp(low, high - 1) + 1,
                Ordering::Greater => high = guess.clamp(low, high - 1),
            }
            guess = low + (high - low) / 2;
        }
        None
    }

    /// All records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.count()).filter_map(|index| self.get(index))
    }
}

fn starts(payload: &[u8], batch: &Batch) -> Result<Vec<u32>, KafkaMalformed> {
    let (announced, offset_count) = (batch.record_count(), batch.offset_count());
    let mut lowest = 0;
    let room = (announced as usize).min(payload.len() / RECORD_BYTES_MIN);
    let mut starts = Vec::with_capacity(room);
    let mut rest = payload;
    for index in 0..announced {
        if rest.is_empty() {
            return Err(KafkaMalformed::Count {
                announced,
                found: index,
            });
        }
        let start = payload.len() - rest.len();
        let wrong = |field| KafkaMalformed::Record { index, field };
        let record = take_record(&mut rest).map_err(wrong)?;
        if !(lowest..offset_count).contains(&record.offset_delta) {
            return Err(wrong(Field::Offset));
        }
        lowest = record.offset_delta + 1;
        // Beyond 4 GiB a start has no room; nobody allows such payloads.
        starts.push(u32::try_from(start).map_err(|_| wrong(Field::Length))?);
    }
    match rest.len() {
        0 => Ok(starts),
        bytes => Err(KafkaMalformed::Trailing { bytes }),
    }
}

struct RawRecord<'a> {
    offset_delta: u32,
    timestamp_delta_ms: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

fn take_record<'a>(payload: &mut &'a [u8]) -> Result<RawRecord<'a>, Field> {
    let mut rest = take_bytes(payload).flatten().ok_or(Field::Length)?;
    rest = rest.get(1..).ok_or(Field::Attributes)?;
    let timestamp_delta_ms = varint::take_i64(&mut rest).ok_or(Field::Timestamp)?;
    let offset = varint::take_i32(&mut rest).ok_or(Field::Offset)?;
    let offset_delta = u32::try_from(offset).map_err(|_| Field::Offset)?;
    let key = take_bytes(&mut rest).ok_or(Field::Key)?;
    let value = take_bytes(&mut rest).ok_or(Field::Value)?;
    let count = varint::take_i32(&mut rest).ok_or(Field::HeaderCount)?;
    let count = u32::try_from(count).map_err(|_| Field::HeaderCount)?;
    if !Headers::check(rest, count) {
        return Err(Field::Headers);
    }
    Ok(RawRecord {
        offset_delta,
        timestamp_delta_ms,
        key,
        value,
        headers: Headers::new(rest, count),
    })
}

/// Length, attributes, timestamp, offset, two nulls, no headers: a byte each.
const RECORD_BYTES_MIN: usize = 7;
