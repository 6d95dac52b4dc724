//! The native payload: records laid out for queue protocols.
//!
//! ```text
//! payload   records, one after the other, then for each its end (u32, from payload start)
//!
//! record    0  u8   origin: whose header block this is, see [`Origin`]
//!           1  u8   flags, see [`PERSISTENT`]
//!           2  u16  p: bytes of the properties
//!           4  u32  h: bytes of the header block
//!           8  i32  timestamp: milliseconds after the batch's base timestamp
//!          12  properties, each: u8 tag, u16 length, bytes; unknown tags are kept
//!        12+p  header block, raw as it arrived
//!      12+p+h  body, to the record's end
//! ```
//! All big-endian. The table of ends stands behind the records, so that a batch is built
//! in one pass and any record is found in one step: two consumers taking turns on a
//! thousand records must not scan a million.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use crate::batch::Batch;
use crate::header::{HAS_TERMS, HEADER_BYTES, Header, MAGIC, NATIVE};

/// Whose header block a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// None: body only.
    Plain = 0,
    /// The payload of an AMQP 0-9-1 content header behind the body size: property flags
    /// and property list.
    Amqp091 = 1,
    /// Pairs of strings, each with u16 length: STOMP, SQS and the like.
    Pairs = 2,
}

/// Flag: the publisher asked for the record to survive a restart.
pub const PERSISTENT: u8 = 1;
/// Flag: the record has [`Terms`].
pub const TERMS: u8 = 2;

/// Property tags. A tag is never reused.
pub mod tag {
    /// Exchange the record was published to, UTF-8.
    pub const EXCHANGE: u8 = 1;
    /// Routing key it was published with; the key to protocols that have keys.
    pub const ROUTING_KEY: u8 = 2;
    /// See [`Terms::ttl_ms`](super::Terms::ttl_ms): u64.
    pub const TTL_MS: u8 = 3;
    /// See [`Terms::deliver_at_ms`](super::Terms::deliver_at_ms): u64.
    pub const DELIVER_AT_MS: u8 = 4;
    /// See [`Terms::priority`](super::Terms::priority): u8.
    pub const PRIORITY: u8 = 5;
}

/// What a publisher asked of its record's delivery, whatever the protocol. Beside the
/// header block, so that a queue needs no protocol's codec to obey it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Milliseconds after which it need not be delivered any more.
    pub ttl_ms: Option<u64>,
    /// Unix milliseconds before which it must not be delivered.
    pub deliver_at_ms: Option<u64>,
    /// Higher goes first, where the queue has priorities.
    pub priority: Option<u8>,
}

impl Terms {
    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        *self == Terms::default()
    }
}

/// Bytes of a record before its properties.
const FIXED_BYTES: usize = 12;

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Number of the origin; see [`Origin`].
    pub origin: u8,
    /// See [`PERSISTENT`].
    pub flags: u8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta_ms: i32,
    /// The property list, see [`Record::property`].
    pub properties: &'a [u8],
    /// The raw header block.
    pub header: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The value of property `tag`, if the record has it.
    #[inline]
    pub fn property(&self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = self.properties;
        while let [found, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let value = after.get(..length)?;
            if *found == tag {
                return Some(value);
            }
            rest = &after[length..];
        }
        None
    }

    /// The exchange it was published to; empty if none.
    #[inline]
    pub fn exchange(&self) -> &'a [u8] {
        self.property(tag::EXCHANGE).unwrap_or_default()
    }

    /// The routing key it was published with; empty if none.
    #[inline]
    pub fn routing_key(&self) -> &'a [u8] {
        self.property(tag::ROUTING_KEY).unwrap_or_default()
    }

    /// What its publisher asked of its delivery.
    #[inline]
    pub fn terms(&self) -> Terms {
        if self.flags & TERMS == 0 {
            return Terms::default();
        }
        let number = |tag| Some(u64::from_be_bytes(self.property(tag)?.try_into().ok()?));
        Terms {
            ttl_ms: number(tag::TTL_MS),
            deliver_at_ms: number(tag::DELIVER_AT_MS),
            priority: self
                .property(tag::PRIORITY)
                .and_then(|p| p.first().copied()),
        }
    }
}

/// Builds one native batch in one pass. The last record may be *open*: its body still
/// arriving.
#[derive(Debug, Default)]
pub struct Builder {
    buffer: BytesMut,
    ends: Vec<u32>,
    open_start: Option<usize>,
    /// Where the open record will end, by its announced size.
    open_end: usize,
    /// Bytes of the last batch: the next one is likely as large.
    last_bytes: usize,
    /// Complete or open records with [`Terms`].
    terms_count: u32,
    open_has_terms: bool,
}

impl Builder {
    /// An empty builder; allocates with the first record.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Complete records.
    pub fn record_count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes so far, the open record included.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is neither a complete nor an open record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.open_start.is_none()
    }

    /// Whether a record is open.
    pub fn is_open(&self) -> bool {
        self.open_start.is_some()
    }

    /// Begins a record. `exchange` and `routing_key` are at most 255 bytes (AMQP's short
    /// strings); the header block below 4 GiB. Room for `body_bytes` is reserved, up to a
    /// bound, so that an announced size alone allocates little.
    pub fn begin(
        &mut self,
        origin: Origin,
        flags: u8,
        exchange: &[u8],
        routing_key: &[u8],
        header: &[u8],
        body_bytes: u64,
    ) {
        let properties = property_bytes(exchange) + property_bytes(routing_key);
        self.begin_fixed(origin as u8, flags & !TERMS, properties, header, body_bytes);
        self.put_property(tag::EXCHANGE, exchange);
        self.put_property(tag::ROUTING_KEY, routing_key);
        self.buffer.put_slice(header);
    }

    /// As [`Builder::begin`], with what the publisher asked of the delivery.
    #[allow(clippy::too_many_arguments)]
    pub fn begin_with(
        &mut self,
        origin: Origin,
        flags: u8,
        exchange: &[u8],
        routing_key: &[u8],
        terms: &Terms,
        header: &[u8],
        body_bytes: u64,
    ) {
        let properties =
            property_bytes(exchange) + property_bytes(routing_key) + terms_bytes(terms);
        let flags = flags_with(flags, terms);
        self.begin_fixed(origin as u8, flags, properties, header, body_bytes);
        self.put_property(tag::EXCHANGE, exchange);
        self.put_property(tag::ROUTING_KEY, routing_key);
        self.put_terms(terms);
        self.buffer.put_slice(header);
    }

    /// Appends a whole record as it is, but for its terms.
    pub fn copy(&mut self, record: &Record<'_>, terms: &Terms) {
        let (exchange, routing_key) = (record.exchange(), record.routing_key());
        let properties =
            property_bytes(exchange) + property_bytes(routing_key) + terms_bytes(terms);
        let flags = flags_with(record.flags, terms);
        let body_bytes = record.body.len() as u64;
        self.begin_fixed(record.origin, flags, properties, record.header, body_bytes);
        self.put_property(tag::EXCHANGE, exchange);
        self.put_property(tag::ROUTING_KEY, routing_key);
        self.put_terms(terms);
        self.buffer.put_slice(record.header);
        self.body(record.body);
        self.end();
    }

    fn begin_fixed(
        &mut self,
        origin: u8,
        flags: u8,
        properties: usize,
        header: &[u8],
        body_bytes: u64,
    ) {
        assert!(self.open_start.is_none(), "one record is open at a time");
        let body_bytes = usize::try_from(body_bytes).unwrap_or(usize::MAX);
        let fixed = FIXED_BYTES + properties + header.len();
        let room = fixed + body_bytes.min(RESERVE_BYTES_MAX);
        if self.buffer.is_empty() {
            let likely = self
                .last_bytes
                .clamp(FIRST_ALLOCATION_BYTES, RESERVE_BYTES_MAX);
            // At once what the first record needs, with its place in the table: to grow at once
            // would be to copy what nobody has written yet, and to end twice as large.
            self.buffer.reserve(likely.max(HEADER_BYTES + room + 4));
            self.buffer.put_bytes(0, HEADER_BYTES);
        }
        self.open_start = Some(self.buffer.len());
        self.open_end = (self.buffer.len() + fixed).saturating_add(body_bytes);
        self.open_has_terms = flags & TERMS != 0;
        self.buffer.reserve(room);
        self.buffer.put_u8(origin);
        self.buffer.put_u8(flags);
        self.buffer
            .put_u16(u16::try_from(properties).expect("short properties fit"));
        self.buffer
            .put_u32(u32::try_from(header.len()).expect("a header block is below 4 GiB"));
        self.buffer.put_i32(0);
    }

    /// Appends to the body of the open record.
    pub fn body(&mut self, part: &[u8]) {
        debug_assert!(self.open_start.is_some());
        if self.buffer.capacity() - self.buffer.len() < part.len() {
            self.grow(part.len());
        }
        self.buffer.put_slice(part);
    }

    /// Makes room for the rest of the open record, or as much of it as what has arrived vouches
    /// for: by doubling, each byte would be copied several times.
    #[cold]
    fn grow(&mut self, needed_bytes: usize) {
        let length = self.buffer.len();
        // With its place in the table.
        let rest = self.open_end.saturating_sub(length).saturating_add(4);
        let vouched = length * RESERVE_PER_ARRIVED;
        let more = rest.min(vouched).max(needed_bytes);
        let mut grown = BytesMut::with_capacity(length + more);
        grown.put_slice(&self.buffer);
        self.buffer = grown;
    }

    /// Completes the open record.
    pub fn end(&mut self) {
        assert!(self.open_start.take().is_some(), "a record is open");
        self.terms_count += u32::from(self.open_has_terms);
        let end = self.buffer.len() - HEADER_BYTES;
        self.ends
            .push(u32::try_from(end).expect("a batch is bounded below 4 GiB"));
    }

    /// Forgets the open record, if any: its publisher gave up.
    pub fn abandon(&mut self) {
        if let Some(start) = self.open_start.take() {
            self.buffer.truncate(start);
        }
    }

    /// The complete records as a batch stamped `unix_ms`, or `None` if there are none.
    /// An open record stays in the builder; it is copied only if complete ones stood
    /// before it, so that a body arriving in a hundred parts is not copied a hundred times.
    pub fn finish(&mut self, unix_ms: i64) -> Option<Batch> {
        if self.ends.is_empty() {
            return None;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(start) = self.open_start {
            self.buffer.reserve(HEADER_BYTES + buffer.len() - start);
            self.buffer.put_bytes(0, HEADER_BYTES);
            self.buffer.put_slice(&buffer[start..]);
            buffer.truncate(start);
            self.open_start = Some(HEADER_BYTES);
            self.open_end = self.open_end.saturating_sub(start - HEADER_BYTES);
        }
        let count = i32::try_from(self.ends.len()).expect("fewer records than bytes");
        let attributes = match std::mem::take(&mut self.terms_count) {
            0 => NATIVE,
            _ => NATIVE | HAS_TERMS,
        };
        buffer.reserve(self.ends.len() * 4);
        for end in self.ends.drain(..) {
            buffer.put_u32(end);
        }
        self.last_bytes = buffer.len() + buffer.len() / 8;
        if buffer.capacity() - buffer.len() > buffer.len() / 2 {
            // A batch lives as long as its records wait: it must not hold twice its size.
            buffer = BytesMut::from(&buffer[..]);
        }
        Some(Batch::seal(
            buffer,
            Header {
                base_offset: 0,
                length: 0,
                partition_leader_epoch: 0,
                magic: MAGIC,
                crc: 0,
                attributes,
                last_offset_delta: count - 1,
                base_timestamp: unix_ms,
                max_timestamp: unix_ms,
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                record_count: count,
            },
        ))
    }

    fn put_property(&mut self, tag: u8, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.buffer.put_u8(tag);
        self.buffer
            .put_u16(u16::try_from(value.len()).expect("a short string fits"));
        self.buffer.put_slice(value);
    }

    fn put_terms(&mut self, terms: &Terms) {
        if let Some(ms) = terms.ttl_ms {
            self.put_property(tag::TTL_MS, &ms.to_be_bytes());
        }
        if let Some(ms) = terms.deliver_at_ms {
            self.put_property(tag::DELIVER_AT_MS, &ms.to_be_bytes());
        }
        if let Some(priority) = terms.priority {
            self.put_property(tag::PRIORITY, &[priority]);
        }
    }
}

fn flags_with(flags: u8, terms: &Terms) -> u8 {
    match terms.is_empty() {
        true => flags & !TERMS,
        false => flags | TERMS,
    }
}

fn terms_bytes(terms: &Terms) -> usize {
    let number = 3 + 8;
    usize::from(terms.ttl_ms.is_some()) * number
        + usize::from(terms.deliver_at_ms.is_some()) * number
        + usize::from(terms.priority.is_some()) * 4
}

fn property_bytes(value: &[u8]) -> usize {
    if value.is_empty() { 0 } else { 3 + value.len() }
}

/// Whether the table of ends lies within the payload, in order, with whole records.
pub(crate) fn table_is_sound(payload: &[u8], count: u32) -> bool {
    let Some(table) = table_start(payload, count) else {
        return false;
    };
    let mut start = 0;
    for index in 0..count {
        let end = end_at(payload, table, index);
        if end > table || end < start || !record_is_sound(&payload[start..end]) {
            return false;
        }
        start = end;
    }
    start == table
}

#[inline]
fn record_is_sound(bytes: &[u8]) -> bool {
    bytes.len() >= FIXED_BYTES && {
        let (properties, header) = lengths(bytes);
        FIXED_BYTES
            .checked_add(properties)
            .and_then(|sum| sum.checked_add(header))
            .is_some_and(|sum| sum <= bytes.len())
    }
}

/// Record `index` of a sound payload.
pub(crate) fn record_at(payload: &[u8], count: u32, index: u32) -> Option<Record<'_>> {
    if index >= count {
        return None;
    }
    let table = table_start(payload, count)?;
    let start = match index {
        0 => 0,
        _ => end_at(payload, table, index - 1),
    };
    record_of(payload.get(start..end_at(payload, table, index))?)
}

#[inline]
fn record_of(bytes: &[u8]) -> Option<Record<'_>> {
    if !record_is_sound(bytes) {
        return None;
    }
    let (properties, header) = lengths(bytes);
    let header_start = FIXED_BYTES + properties;
    Some(Record {
        origin: bytes[0],
        flags: bytes[1],
        timestamp_delta_ms: i32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
        properties: &bytes[FIXED_BYTES..header_start],
        header: &bytes[header_start..header_start + header],
        body: &bytes[header_start + header..],
    })
}

/// Consecutive records of a sound payload, each found where the last one ended.
#[derive(Clone, Debug)]
pub struct NativeRecords<'a> {
    payload: &'a [u8],
    table: usize,
    start: usize,
    next: u32,
    end: u32,
}

impl<'a> NativeRecords<'a> {
    /// Over `records` of a native payload with `count` of them; what lies past the end is
    /// left out.
    pub(crate) fn new(payload: &'a [u8], count: u32, records: Range<u32>) -> NativeRecords<'a> {
        let table = table_start(payload, count);
        let next = records.start;
        let end = match table {
            Some(_) => records.end.min(count),
            None => 0,
        };
        let table = table.unwrap_or_default();
        let start = match next {
            next if next == 0 || next >= end => 0,
            next => end_at(payload, table, next - 1),
        };
        NativeRecords {
            payload,
            table,
            start,
            next,
            end,
        }
    }
}

impl<'a> Iterator for NativeRecords<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        if self.next >= self.end {
            return None;
        }
        let end = end_at(self.payload, self.table, self.next);
        let record = self.payload.get(self.start..end).and_then(record_of);
        self.start = end;
        self.next += 1;
        if record.is_none() {
            // Only bytes that nobody checked come here; what is left cannot be trusted.
            self.end = self.next;
        }
        record
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end.saturating_sub(self.next) as usize))
    }
}

#[inline]
fn lengths(bytes: &[u8]) -> (usize, usize) {
    let properties = u16::from_be_bytes([bytes[2], bytes[3]]);
    let header = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    (usize::from(properties), header as usize)
}

#[inline]
fn table_start(payload: &[u8], count: u32) -> Option<usize> {
    payload.len().checked_sub((count as usize).checked_mul(4)?)
}

#[inline]
fn end_at(payload: &[u8], table: usize, index: u32) -> usize {
    let at = table + index as usize * 4;
    let field = [
        payload[at],
        payload[at + 1],
        payload[at + 2],
        payload[at + 3],
    ];
    u32::from_be_bytes(field) as usize
}

/// A publisher's socket read is seldom larger; larger batches grow.
const FIRST_ALLOCATION_BYTES: usize = 4 * 1024;
/// Most that an announced body size may reserve before its bytes are there.
const RESERVE_BYTES_MAX: usize = 1 << 20;
/// How many times what has arrived may be reserved for what was announced: address space, which
/// becomes memory as it is written.
const RESERVE_PER_ARRIVED: usize = 16;

#[cfg(test)]
mod tests;
