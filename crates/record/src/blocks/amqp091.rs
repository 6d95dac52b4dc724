//! The block of AMQP 0-9-1: what stands behind the body size of a content header
//! (specification 4.2.6.1), for class basic.
//!
//! ```text
//! flags   u16, highest bit first:
//!           15 content-type      short string     8 expiration   short string
//!           14 content-encoding  short string     7 message-id   short string
//!           13 headers           table            6 timestamp    u64, Unix seconds
//!           12 delivery-mode     u8, 2=persistent 5 type         short string
//!           11 priority          u8               4 user-id      short string
//!           10 correlation-id    short string     3 app-id       short string
//!            9 reply-to          short string     2 cluster-id   short string, reserved
//!            1 never used                         0 another flags word follows
//! then the properties whose flags are set, in that order, without padding
//! ```
//! Basic has no property in a second flags word, so one is accepted only with none set.

use std::borrow::Cow;

use crate::message::{Block, Message};
use crate::table::{self, Field, TableMalformed};
use crate::value::{Arguments, Value};

use super::kafka::value_of;
use super::properties::milliseconds;
use super::{BlockMalformed, Properties};

/// A block taken apart; the headers are not decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// All but headers and delivery mode. An expiration that is not a number is none.
    pub properties: Properties<'a>,
    /// The headers table, its length in front.
    pub table: Option<&'a [u8]>,
    /// 1 or 2; others mean what 1 does.
    pub delivery_mode: Option<u8>,
}

impl Fields<'_> {
    /// The headers; empty if there are none.
    ///
    /// # Errors
    /// [`BlockMalformed::Table`].
    pub fn headers(&self) -> Result<Arguments, BlockMalformed> {
        let Some(bytes) = self.table else {
            return Ok(Arguments::new());
        };
        let (headers, _) = table::decode(bytes).map_err(BlockMalformed::Table)?;
        Ok(headers)
    }
}

/// Takes a block apart.
///
/// # Errors
/// [`BlockMalformed`].
pub fn read(block: &[u8]) -> Result<Fields<'_>, BlockMalformed> {
    let mut reader = Reader::new(block)?;
    // In the order of the wire.
    let content_type = reader.short(15)?;
    let content_encoding = reader.short(14)?;
    let table = reader.table(13)?;
    let delivery_mode = reader.field(12)?.map(|[mode]| mode);
    let priority = reader.field(11)?.map(|[priority]| priority);
    let correlation_id = reader.short(10)?;
    let reply_to = reader.short(9)?;
    let expiration = reader.short(8)?.and_then(milliseconds);
    let message_id = reader.short(7)?;
    let timestamp_s = reader.field(6)?.map(u64::from_be_bytes);
    let message_type = reader.short(5)?;
    let user_id = reader.short(4)?;
    let app_id = reader.short(3)?;
    let _cluster_id = reader.short(2)?;
    match reader.rest.len() {
        0 => Ok(Fields {
            properties: Properties {
                content_type,
                content_encoding,
                priority,
                correlation_id,
                reply_to,
                expiration,
                message_id,
                timestamp_s,
                message_type,
                user_id,
                app_id,
            },
            table,
            delivery_mode,
        }),
        bytes => Err(BlockMalformed::Trailing { bytes }),
    }
}

/// The block of a message of any origin: an AMQP publisher's own bytes, else one made
/// from the view.
///
/// # Errors
/// [`BlockMalformed`], if the block of another protocol is.
pub fn block_of<'a>(message: &Message<'a>) -> Result<Cow<'a, [u8]>, BlockMalformed> {
    if let Block::Amqp091(raw) = message.block() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut headers = message.headers()?;
    if let Some(key) = message.key().filter(|key| key.len() > SHORT_BYTES_MAX) {
        headers.insert(LONG_KEY.to_owned(), value_of(Some(key)));
    }
    let mut out = Vec::new();
    encode(
        message.properties()?,
        headers,
        message.is_persistent(),
        &mut out,
    );
    Ok(Cow::Owned(out))
}

/// Writes a block. A text of more than 255 bytes, which AMQP has no room for as a
/// property, becomes a header under its neutral name.
pub fn encode(
    mut properties: Properties<'_>,
    mut headers: Arguments,
    persistent: bool,
    out: &mut Vec<u8>,
) {
    for (name, text) in properties.texts() {
        if let Some(long) = text.take_if(|text| text.len() > SHORT_BYTES_MAX) {
            headers.insert(name.to_owned(), value_of(Some(long)));
        }
    }
    let expiration = properties
        .expiration
        .map(|time| time.as_millis().to_string());
    let expiration = expiration.as_ref().map(String::as_bytes);
    let mut writer = Writer::new(out);
    writer.short(15, properties.content_type);
    writer.short(14, properties.content_encoding);
    if !headers.is_empty() {
        writer.flag(13);
        table::encode(&headers, writer.out);
    }
    writer.field(12, Some([if persistent { 2 } else { 1 }]));
    writer.field(11, properties.priority.map(u8::to_be_bytes));
    writer.short(10, properties.correlation_id);
    writer.short(9, properties.reply_to);
    writer.short(8, expiration);
    writer.short(7, properties.message_id);
    writer.field(6, properties.timestamp_s.map(u64::to_be_bytes));
    writer.short(5, properties.message_type);
    writer.short(4, properties.user_id);
    writer.short(3, properties.app_id);
}

/// A copy of a block with these headers, in place of those of the same names; what they
/// are beside is copied, not decoded. The new ones come last, in the order given.
///
/// # Errors
/// [`BlockMalformed`], where the bytes had to be looked at: values of other headers are
/// passed over.
pub fn with_headers(block: &[u8], headers: &[(&str, &Value)]) -> Result<Vec<u8>, BlockMalformed> {
    let parts = split(block)?;
    let new_bytes: usize = headers.iter().map(|(name, _)| name.len() + 16).sum();
    let mut out = Vec::with_capacity(block.len() + 4 + new_bytes);
    join(&parts, &mut out, |out| {
        for field in parts.fields() {
            let field = field?;
            let is_replaced = |(name, _): &(&str, &Value)| name.as_bytes() == field.name;
            if !headers.iter().any(is_replaced) {
                table::put_field(field, out);
            }
        }
        for (name, value) in headers {
            table::put_name(name, out);
            table::encode_value(value, out);
        }
        Ok(())
    })
    .map_err(BlockMalformed::Table)?;
    Ok(out)
}

/// A block in pieces, for whoever writes it anew with other headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    flags: u16,
    /// The properties in front of the headers.
    front: &'a [u8],
    /// The headers, their length in front; without, if there are none.
    table: Option<&'a [u8]>,
    /// Between headers and expiration.
    middle: &'a [u8],
    /// As text; whoever takes it, removes it.
    pub(crate) expiration: Option<&'a [u8]>,
    /// Behind the expiration.
    back: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The headers, not decoded.
    pub(crate) fn fields(
        &self,
    ) -> impl Iterator<Item = Result<Field<'a>, TableMalformed>> + use<'a> {
        table::fields(self.table.unwrap_or(&[0; 4]))
    }
}

/// Checks a block and takes it to pieces.
///
/// # Errors
/// [`BlockMalformed`]; fields of the table are not looked at.
pub(crate) fn split(block: &[u8]) -> Result<Parts<'_>, BlockMalformed> {
    read(block)?;
    let mut reader = Reader::new(block)?;
    let mut rest = reader.rest;
    reader.short(15)?;
    reader.short(14)?;
    let front = passed(&mut rest, &reader);
    let table = reader.table(13)?;
    rest = reader.rest;
    reader.field::<1>(12)?;
    reader.field::<1>(11)?;
    reader.short(10)?;
    reader.short(9)?;
    let middle = passed(&mut rest, &reader);
    let expiration = reader.short(8)?;
    Ok(Parts {
        flags: reader.flags & !CONTINUED,
        front,
        table,
        middle,
        expiration,
        back: reader.rest,
    })
}

/// What the reader took since `rest`.
fn passed<'a>(rest: &mut &'a [u8], reader: &Reader<'a>) -> &'a [u8] {
    let taken = &rest[..rest.len() - reader.rest.len()];
    *rest = reader.rest;
    taken
}

/// Appends a block of these parts, its table's fields written by `headers`.
pub(crate) fn join<E>(
    parts: &Parts<'_>,
    out: &mut Vec<u8>,
    headers: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut flags = parts.flags & !EXPIRATION | HEADERS;
    if parts.expiration.is_some() {
        flags |= EXPIRATION;
    }
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(parts.front);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    headers(out)?;
    table::patch_length(out, start);
    out.extend_from_slice(parts.middle);
    if let Some(text) = parts.expiration {
        out.push(u8::try_from(text.len()).expect("it was a short string"));
        out.extend_from_slice(text);
    }
    out.extend_from_slice(parts.back);
    Ok(())
}

struct Reader<'a> {
    flags: u16,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(block: &'a [u8]) -> Result<Reader<'a>, BlockMalformed> {
        let mut reader = Reader {
            flags: 0,
            rest: block,
        };
        let first = u16::from_be_bytes(reader.take()?);
        let mut word = first;
        while word & CONTINUED != 0 {
            word = u16::from_be_bytes(reader.take()?);
            if word & !CONTINUED != 0 {
                return Err(BlockMalformed::Flags(word));
            }
        }
        if first & NEVER_USED != 0 {
            return Err(BlockMalformed::Flags(first));
        }
        reader.flags = first;
        Ok(reader)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BlockMalformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(BlockMalformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take_slice(&mut self, length: usize) -> Result<&'a [u8], BlockMalformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(BlockMalformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn has(&self, bit: u32) -> bool {
        self.flags & (1 << bit) != 0
    }

    fn field<const N: usize>(&mut self, bit: u32) -> Result<Option<[u8; N]>, BlockMalformed> {
        self.has(bit).then(|| self.take()).transpose()
    }

    fn short(&mut self, bit: u32) -> Result<Option<&'a [u8]>, BlockMalformed> {
        match self.field(bit)? {
            Some([length]) => self.take_slice(usize::from(length)).map(Some),
            None => Ok(None),
        }
    }

    /// The table with its length, which is where [`table::decode`] begins.
    fn table(&mut self, bit: u32) -> Result<Option<&'a [u8]>, BlockMalformed> {
        if !self.has(bit) {
            return Ok(None);
        }
        let start = self.rest;
        let length = u32::from_be_bytes(self.take()?) as usize;
        self.take_slice(length)?;
        Ok(Some(&start[..4 + length]))
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    flags_at: usize,
}

impl<'o> Writer<'o> {
    fn new(out: &'o mut Vec<u8>) -> Writer<'o> {
        let flags_at = out.len();
        out.extend_from_slice(&[0; 2]);
        Writer { out, flags_at }
    }

    fn flag(&mut self, bit: u32) {
        let byte = self.flags_at + usize::from(bit < 8);
        self.out[byte] |= 1 << (bit % 8);
    }

    fn field<const N: usize>(&mut self, bit: u32, value: Option<[u8; N]>) {
        if let Some(bytes) = value {
            self.flag(bit);
            self.out.extend_from_slice(&bytes);
        }
    }

    fn short(&mut self, bit: u32, value: Option<&[u8]>) {
        if let Some(text) = value {
            let length = u8::try_from(text.len()).expect("longer texts became headers");
            self.field(bit, Some([length]));
            self.out.extend_from_slice(text);
        }
    }
}

const CONTINUED: u16 = 1;
const NEVER_USED: u16 = 1 << 1;
const HEADERS: u16 = 1 << 13;
const EXPIRATION: u16 = 1 << 8;
const SHORT_BYTES_MAX: usize = 255;
/// Header that carries a key too long for a routing key.
const LONG_KEY: &str = "x-key";

#[cfg(test)]
mod tests;
