//! The answer to a fetch, written around the batches' bytes.
//!
//! A batch's first 16 bytes (base offset, length, leader epoch) are outside its checksum
//! and differ from log to log: they are written here; the rest is attached as it lies in
//! memory. Batches of other protocols are laid out as Kafka's first.

use bytes::BufMut;

use bongsu_engine::session::Attached;
use bongsu_engine::session::records::{FetchedPart, TopicRef};
use bongsu_record::{Batch, Messages, Offset};

use super::super::{Head, Malformed, begin, end};
use super::IDS_FROM;
use super::sessions::PartKey;
use crate::errors::{self, Code, NONE, UNSUPPORTED_COMPRESSION_TYPE};

/// From this version on, lengths are varints and there are tagged fields.
const FLEXIBLE_FROM: i16 = 12;
/// From this version on, zstd is known.
const ZSTD_FROM: i16 = 10;
const ZSTD: i16 = 4;
const CODEC: i16 = 0b111;
/// Bytes of a batch that are written anew for each log.
const PATCHED_BYTES: usize = 16;

/// See the module's comment.
pub(crate) struct Answer<'a> {
    pub code: Code,
    pub session_id: i32,
    pub throttle_ms: u32,
    pub parts: &'a [(PartKey, Code, FetchedPart)],
}

/// What the client is told of a partition.
pub(crate) fn code_of(found: &FetchedPart, version: i16) -> Code {
    let zstd = |(_, batch): &(Offset, Batch)| {
        !batch.is_native() && batch.header().attributes & CODEC == ZSTD
    };
    match found.refused {
        Some(refused) => errors::of_fetch(refused),
        None if version < ZSTD_FROM && found.batches.iter().any(zstd) => {
            UNSUPPORTED_COMPRESSION_TYPE
        }
        None => NONE,
    }
}

/// Writes an answer that has batches in it.
pub(crate) struct Writer {
    pub out: Vec<u8>,
    /// What is sent without a copy.
    pub attached: Vec<Attached>,
    pub attached_bytes: usize,
    version: i16,
}

impl Answer<'_> {
    /// The whole answer, with its length in front.
    pub fn encode(&self, head: &Head) -> Result<(Vec<u8>, Vec<Attached>), Malformed> {
        let mut writer = Writer {
            out: Vec::with_capacity(128 + self.parts.len() * 96),
            attached: Vec::new(),
            attached_bytes: 0,
            version: head.version,
        };
        begin(head, &mut writer.out)?;
        let throttle_ms = i32::try_from(self.throttle_ms).unwrap_or(i32::MAX);
        writer.out.put_i32(throttle_ms);
        if head.version >= 7 {
            writer.out.put_i16(self.code);
            writer.out.put_i32(self.session_id);
        }
        let topics = by_topic(self.parts);
        writer.count(topics.len());
        for parts in topics {
            writer.topic(parts);
        }
        writer.tags();
        end(0, writer.attached_bytes, &mut writer.out);
        Ok((writer.out, writer.attached))
    }
}

/// Consecutive partitions of one topic.
fn by_topic(parts: &[(PartKey, Code, FetchedPart)]) -> Vec<&[(PartKey, Code, FetchedPart)]> {
    parts
        .chunk_by(|one, other| one.0.topic == other.0.topic)
        .collect()
}

impl Writer {
    /// Of an answer whose lengths are varints, and which has tagged fields.
    pub fn flexible() -> Writer {
        Writer {
            out: Vec::new(),
            attached: Vec::new(),
            attached_bytes: 0,
            version: FLEXIBLE_FROM,
        }
    }

    /// No text, where there might be one.
    pub fn no_text(&mut self) {
        match self.is_flexible() {
            true => self.out.put_u8(0),
            false => self.out.put_i16(-1),
        }
    }

    fn topic(&mut self, parts: &[(PartKey, Code, FetchedPart)]) {
        match &parts[0].0.topic {
            TopicRef::Id(id) if self.version >= IDS_FROM => self.out.put_u128(id.0),
            TopicRef::Name(name) => self.text(name),
            TopicRef::Id(_) => self.text(""),
        }
        self.count(parts.len());
        for (key, code, found) in parts {
            self.part(key.partition, *code, found);
        }
        self.tags();
    }

    fn part(&mut self, partition: i32, code: Code, found: &FetchedPart) {
        let known = code == NONE;
        let offset = |offset: Offset| if known { offset.0 as i64 } else { -1 };
        self.out.put_i32(partition);
        self.out.put_i16(code);
        self.out.put_i64(offset(found.durable_end));
        self.out.put_i64(offset(found.stable));
        if self.version >= 5 {
            self.out.put_i64(offset(found.start));
        }
        if found.aborted.is_empty() {
            self.no_array();
        } else {
            self.count(found.aborted.len());
            for (producer_id, first) in &found.aborted {
                self.out.put_i64(*producer_id);
                self.out.put_i64(first.0 as i64);
                self.tags();
            }
        }
        if self.version >= 11 {
            self.out.put_i32(-1);
        }
        match code {
            NONE => self.records(&found.batches),
            _ => self.bytes_follow(0),
        }
        self.tags();
    }

    pub fn records(&mut self, batches: &[(Offset, Batch)]) {
        let batches: Vec<(Offset, Batch)> = batches
            .iter()
            .map(|(base, batch)| (*base, as_kafka(batch, *base)))
            .collect();
        let bytes = batches.iter().map(|(_, batch)| batch.len()).sum();
        self.bytes_follow(bytes);
        for (base, batch) in batches {
            self.out.put_u64(base.0);
            self.out.put_slice(&batch.bytes()[8..12]);
            // The one leader's epoch.
            self.out.put_i32(0);
            let rest = batch.bytes().slice(PATCHED_BYTES..);
            if rest.len() < COPIED_BYTES {
                // A part of a socket write costs more than so short a copy.
                self.out.put_slice(&rest);
            } else {
                self.attached_bytes += rest.len();
                self.attached.push(Attached {
                    at: self.out.len(),
                    bytes: rest,
                });
            }
        }
    }

    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE_FROM
    }

    pub fn tags(&mut self) {
        if self.is_flexible() {
            self.out.put_u8(0);
        }
    }

    pub fn count(&mut self, count: usize) {
        match self.is_flexible() {
            true => put_varint(count + 1, &mut self.out),
            false => self.out.put_i32(count as i32),
        }
    }

    fn no_array(&mut self) {
        match self.is_flexible() {
            true => self.out.put_u8(0),
            false => self.out.put_i32(-1),
        }
    }

    fn bytes_follow(&mut self, bytes: usize) {
        self.count(bytes);
    }

    pub fn text(&mut self, text: &str) {
        match self.is_flexible() {
            true => put_varint(text.len() + 1, &mut self.out),
            false => self.out.put_i16(text.len() as i16),
        }
        self.out.put_slice(text.as_bytes());
    }
}

fn put_varint(value: usize, out: &mut Vec<u8>) {
    let mut left = value;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// A batch as a Kafka client reads it: its own, or laid out anew with the same offsets.
pub(crate) fn as_kafka(batch: &Batch, base: Offset) -> Batch {
    if !batch.is_native() {
        return batch.clone();
    }
    let mut writer = bongsu_record::kafka::Writer::new();
    if let Ok(messages) = Messages::open(batch, base, usize::MAX) {
        for message in messages.iter() {
            if bongsu_record::blocks::kafka::push(&message, &mut writer).is_err() {
                // What it says beside the body cannot be read; the body can.
                let (key, value) = (message.key(), message.value());
                writer.push(message.timestamp_ms(), key, value, &[]);
            }
        }
    }
    writer.finish().unwrap_or_else(|| batch.clone())
}

/// Shorter batches are copied into the answer.
const COPIED_BYTES: usize = 2048;
