//! The neutral view of one message, whoever wrote it and whoever reads it.
//!
//! Everything here borrows from the batch and is decoded only when asked for. A session
//! that delivers asks for the block of its own protocol first ([`Message::block`], or
//! `blocks::amqp091::block_of`) and gets raw bytes through if the publisher spoke the
//! same; only otherwise are properties and headers decoded.
//!
//! | | native record | Kafka record |
//! |---|---|---|
//! | key | routing key, if there is one | key |
//! | exchange, routing key | as published | none; the key, if AMQP has room for it |
//! | value | body | value, `None` if null |
//! | time | when it arrived | the record's, or the batch's if the broker stamped it |
//! | persistent | as published | always |
//! | properties, headers | its block's | its headers', see [`Properties`] |

use std::borrow::Cow;

use crate::batch::Batch;
use crate::blocks::{BlockMalformed, Properties, amqp091, kafka as kafka_block, pairs, text_of};
use crate::id::Offset;
use crate::kafka::{self, KafkaMalformed, Records};
use crate::native::{self, Origin, PERSISTENT};
use crate::table;
use crate::value::Arguments;

/// The messages of one batch of either encoding.
#[derive(Clone, Debug)]
pub struct Messages {
    batch: Batch,
    base: Offset,
    base_timestamp_ms: i64,
    /// Of a Kafka batch.
    records: Option<Records>,
}

impl Messages {
    /// Opens a batch whose first record has offset `base`. A Kafka batch is decompressed
    /// and checked here, a native one was when it was parsed.
    ///
    /// # Errors
    /// [`KafkaMalformed`]; a native batch always opens.
    pub fn open(
        batch: &Batch,
        base: Offset,
        decompressed_bytes_max: usize,
    ) -> Result<Messages, KafkaMalformed> {
        let records = match batch.is_native() {
            true => None,
            false => Some(Records::open(batch, decompressed_bytes_max)?),
        };
        Ok(Messages {
            batch: batch.clone(),
            base,
            base_timestamp_ms: batch.header().base_timestamp,
            records,
        })
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.batch.record_count()
    }

    /// Message `index`, if there is one.
    pub fn get(&self, index: u32) -> Option<Message<'_>> {
        match &self.records {
            Some(records) => Some(self.kafka(records.get(index)?)),
            None => self.native(index),
        }
    }

    /// The message at `offset`, if there is one: of a batch out of which a compaction took
    /// records, not every offset has one.
    pub fn at(&self, offset: Offset) -> Option<Message<'_>> {
        let delta = u32::try_from(offset.0.checked_sub(self.base.0)?).ok()?;
        match &self.records {
            Some(records) => Some(self.kafka(records.at(delta)?)),
            None => self.native(delta),
        }
    }

    fn native(&self, index: u32) -> Option<Message<'_>> {
        let record = self.batch.native_record(index)?;
        let offset = self.base.plus(u64::from(index));
        Some(Message::native(record, offset, self.base_timestamp_ms))
    }

    fn kafka<'a>(&self, record: kafka::Record<'a>) -> Message<'a> {
        Message {
            offset: self.base.plus(u64::from(record.offset_delta)),
            record: Record::Kafka(record),
        }
    }

    /// All messages in order.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        // Where one is missing nobody has checked the count: it may be anything.
        (0..self.count()).map_while(|index| self.get(index))
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    offset: Offset,
    record: Record<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Record<'a> {
    Native {
        record: native::Record<'a>,
        timestamp_ms: i64,
    },
    Kafka(kafka::Record<'a>),
}

/// A message's header block as it arrived.
#[derive(Clone, Copy, Debug)]
pub enum Block<'a> {
    /// None: body only.
    Plain,
    /// See [`amqp091`].
    Amqp091(&'a [u8]),
    /// See [`pairs`].
    Pairs(&'a [u8]),
    /// See [`kafka::Headers`].
    Kafka(kafka::Headers<'a>),
    /// Of an origin that this build does not know.
    Unknown(u8),
}

/// A name and a value; `None` is a null.
pub type TextPair<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

impl<'a> Message<'a> {
    /// The view of a native record without [`Messages`] around it.
    pub fn native(
        record: native::Record<'a>,
        offset: Offset,
        base_timestamp_ms: i64,
    ) -> Message<'a> {
        let delta_ms = i64::from(record.timestamp_delta_ms);
        let timestamp_ms = base_timestamp_ms.wrapping_add(delta_ms);
        Message {
            offset,
            record: Record::Native {
                record,
                timestamp_ms,
            },
        }
    }

    /// Its place in the log.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Unix milliseconds.
    pub fn timestamp_ms(&self) -> i64 {
        match &self.record {
            Record::Native { timestamp_ms, .. } => *timestamp_ms,
            Record::Kafka(record) => record.timestamp_ms,
        }
    }

    /// Whether its publisher asked for it to survive a restart.
    pub fn is_persistent(&self) -> bool {
        match &self.record {
            Record::Native { record, .. } => record.flags & PERSISTENT != 0,
            Record::Kafka(_) => true,
        }
    }

    /// The key; `None` is not the empty key.
    pub fn key(&self) -> Option<&'a [u8]> {
        match &self.record {
            Record::Native { record, .. } => record.property(native::tag::ROUTING_KEY),
            Record::Kafka(record) => record.key,
        }
    }

    /// The body; `None` is Kafka's null, which deletes a key from a compacted stream.
    pub fn value(&self) -> Option<&'a [u8]> {
        match &self.record {
            Record::Native { record, .. } => Some(record.body),
            Record::Kafka(record) => record.value,
        }
    }

    /// The body; empty if null.
    pub fn body(&self) -> &'a [u8] {
        self.value().unwrap_or_default()
    }

    /// The exchange it was published to; empty if none.
    pub fn exchange(&self) -> &'a [u8] {
        match &self.record {
            Record::Native { record, .. } => record.exchange(),
            Record::Kafka(_) => &[],
        }
    }

    /// The routing key, of at most 255 bytes; empty if none.
    pub fn routing_key(&self) -> &'a [u8] {
        let key = self.key().unwrap_or_default();
        if key.len() > ROUTING_KEY_BYTES_MAX {
            &[]
        } else {
            key
        }
    }

    /// The header block, raw.
    pub fn block(&self) -> Block<'a> {
        match &self.record {
            Record::Kafka(record) => Block::Kafka(record.headers),
            Record::Native { record, .. } => match record.origin {
                PLAIN => Block::Plain,
                AMQP091 => Block::Amqp091(record.header),
                PAIRS => Block::Pairs(record.header),
                other => Block::Unknown(other),
            },
        }
    }

    /// The properties.
    ///
    /// # Errors
    /// [`BlockMalformed`].
    pub fn properties(&self) -> Result<Properties<'a>, BlockMalformed> {
        match self.block() {
            Block::Plain => Ok(Properties::default()),
            Block::Amqp091(raw) => Ok(amqp091::read(raw)?.properties),
            Block::Pairs(raw) => Ok(pairs::read(raw)?.properties()),
            Block::Kafka(headers) => {
                let mut properties = kafka_block::properties(headers);
                // Kafka's time is its producer's. AMQP has no time before 1970.
                let seconds = u64::try_from(self.timestamp_ms()).ok().map(|ms| ms / 1000);
                properties.timestamp_s = properties.timestamp_s.or(seconds);
                Ok(properties)
            }
            Block::Unknown(origin) => Err(BlockMalformed::Origin(origin)),
        }
    }

    /// The headers that are not properties.
    ///
    /// # Errors
    /// [`BlockMalformed`].
    pub fn headers(&self) -> Result<Arguments, BlockMalformed> {
        match self.block() {
            Block::Plain => Ok(Arguments::new()),
            Block::Amqp091(raw) => amqp091::read(raw)?.headers(),
            Block::Pairs(raw) => Ok(pairs::read(raw)?.headers()),
            Block::Kafka(headers) => Ok(kafka_block::headers(headers)),
            Block::Unknown(origin) => Err(BlockMalformed::Origin(origin)),
        }
    }

    /// The text or bytes of one header, found without decoding the others; of a name that a
    /// Kafka record has twice, the last. `None` also for a value that is neither.
    pub fn text_header(&self, name: &[u8]) -> Option<&'a [u8]> {
        match self.block() {
            Block::Plain | Block::Unknown(_) => None,
            Block::Amqp091(raw) => {
                let mut fields = table::fields(amqp091::read(raw).ok()?.table?);
                let found = fields.find(|field| match field {
                    Ok(field) => field.name == name,
                    Err(_) => true,
                });
                table::text(found?.ok()?.value)
            }
            Block::Pairs(raw) => {
                let mut pairs = pairs::read(raw).ok()?;
                pairs.find(|pair| pair.0 == name).map(|pair| pair.1)
            }
            Block::Kafka(headers) => {
                let found = headers.filter(|header| header.name == name).last()?;
                found.value
            }
        }
    }

    /// Properties, then headers, for protocols that have only pairs. Their own order and
    /// repetitions are kept if they come from such a protocol.
    ///
    /// # Errors
    /// [`BlockMalformed`].
    pub fn pairs(&self) -> Result<Vec<TextPair<'a>>, BlockMalformed> {
        let raw = |name, value: Option<&'a [u8]>| (Cow::Borrowed(name), value.map(Cow::Borrowed));
        match self.block() {
            Block::Kafka(headers) => Ok(headers
                .map(|header| raw(header.name, header.value))
                .collect()),
            Block::Pairs(block) => Ok(pairs::read(block)?
                .map(|(name, value)| raw(name, Some(value)))
                .collect()),
            _ => {
                let properties = self.properties()?.pairs();
                let properties =
                    properties.map(|(name, value)| (Cow::Borrowed(name.as_bytes()), Some(value)));
                let headers = self.headers()?.into_iter().map(|(name, value)| {
                    let value = text_of(&value).map(|text| Cow::Owned(text.into_owned()));
                    (Cow::Owned(name.into_bytes()), value)
                });
                Ok(properties.chain(headers).collect())
            }
        }
    }
}

const PLAIN: u8 = Origin::Plain as u8;
const AMQP091: u8 = Origin::Amqp091 as u8;
const PAIRS: u8 = Origin::Pairs as u8;
/// AMQP's short string.
const ROUTING_KEY_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests;
