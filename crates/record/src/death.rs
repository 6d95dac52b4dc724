//! Dead letters: what a header block says of the queues that gave a message up.
//!
//! As RabbitMQ writes it (3.10's `rabbit_dead_letter.erl`, 4.x's `mc.erl`):
//!
//! ```text
//! x-death         array of tables, the last death first; one table for a queue and reason:
//!                   count               l  how often
//!                   reason              S  rejected, expired, maxlen or delivery_limit
//!                   queue               S  that gave it up
//!                   time                T  of the first time
//!                   exchange            S  it was published to then
//!                   routing-keys        A  of S: what it was published with, CC included
//!                   original-expiration S  if the message had one
//! x-first-death-  reason, queue, exchange: S, when there was no x-death before
//! x-last-death-   reason, queue, exchange: S, always (from 3.13 on)
//! ```
//! The message's own expiration is taken away, or it would die in every queue behind.
//! Headers end up sorted by name. In the first table of an x-death the fields are in the
//! order above, in a later or raised one sorted, as 3.10 has them.
//!
//! x-death is read from the message, whoever wrote it, as 3.10 does: 4.x ignores one that
//! a client republished, and so took the retry counters of many of them.
//! Older deaths keep their order, as in 4.x; 3.10 turns them round each time, and so lets
//! some messages that were rejected once go in a circle for ever.
//! Only these headers are decoded; others are copied as they are.

use std::borrow::Cow;

use crate::blocks::BlockMalformed;
use crate::blocks::amqp091::{self, Parts};
use crate::message::{Block, Message};
use crate::table::{self, Field, TableMalformed};
use crate::value::Value;

/// Why a queue gave a message up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer rejected it, not to be requeued.
    Rejected,
    /// Its time was up.
    Expired,
    /// The queue was full.
    MaxLen,
    /// It failed too often.
    DeliveryLimit,
}

impl Reason {
    /// As headers name it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLen => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// One death of one message.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// Which queue gave it up.
    pub queue: &'a str,
    /// Why.
    pub reason: Reason,
    /// The exchange it had been published to.
    pub exchange: &'a [u8],
    /// What it had been published with, see [`routing_keys`].
    pub routing_keys: &'a [&'a [u8]],
    /// Unix seconds.
    pub time_s: u64,
    /// The queue has a dead-letter routing key, which is the message's only one from here
    /// on: its CC header goes.
    pub has_own_key: bool,
}

/// The AMQP 0-9-1 header block of a message of any origin after a death.
///
/// # Errors
/// [`BlockMalformed`], if its block is.
pub fn block_after(message: &Message<'_>, death: &Death<'_>) -> Result<Vec<u8>, BlockMalformed> {
    let block = amqp091::block_of(message)?;
    let mut parts = amqp091::split(&block)?;
    let expiration = parts.expiration.take();
    let mut headers = read_headers(&parts)?;
    let before = headers.iter().find(|(name, _)| *name == X_DEATH);
    let before = before.map(|(_, value)| value.clone());
    let history = match &before {
        Some(value) if value[0] == b'A' => Some(&value[1..]),
        _ => None,
    };
    let x_death = x_death_after(history, death, expiration).map_err(BlockMalformed::Table)?;
    set(&mut headers, X_DEATH, x_death);
    if before.is_none() {
        set_origin(&mut headers, FIRST_DEATH, death);
    }
    set_origin(&mut headers, LAST_DEATH, death);
    if death.has_own_key {
        headers.retain(|(name, _)| *name != CC);
    }
    // Stable: of a repeated name the first stays the first.
    headers.sort_by_key(|(name, _)| *name);
    let mut out = Vec::with_capacity(block.len() + GROWTH_BYTES);
    let written = amqp091::join(&parts, &mut out, |out| {
        put_fields(&headers, out);
        Ok::<(), BlockMalformed>(())
    });
    written.map(|()| out)
}

/// The AMQP 0-9-1 header block of a message as if it had never died, for whoever sends it
/// back: a new beginning, or the first queue that gives it up again would take it for one
/// that goes in a circle, and its consumer for one that was tried often enough. In place of
/// its history it says how often it was sent back, in [`REDRIVE_COUNT`].
///
/// # Errors
/// [`BlockMalformed`], if its block is.
pub fn block_before(message: &Message<'_>) -> Result<Vec<u8>, BlockMalformed> {
    let block = amqp091::block_of(message)?;
    let parts = amqp091::split(&block)?;
    let mut headers = read_headers(&parts)?;
    let names = FIRST_DEATH.iter().chain(&LAST_DEATH);
    let is_death = |name: &[u8]| name == X_DEATH || names.clone().any(|death| *death == name);
    headers.retain(|(name, _)| !is_death(name));
    let count = REDRIVE_COUNT.as_bytes();
    let before = headers.iter().find(|(name, _)| *name == count);
    let before = before.and_then(|(_, value)| table::decode_value(value));
    let before = before.and_then(|value| value.as_int()).unwrap_or(0);
    set(&mut headers, count, long(before.saturating_add(1)));
    let mut out = Vec::with_capacity(block.len());
    let written = amqp091::join(&parts, &mut out, |out| {
        put_fields(&headers, out);
        Ok::<(), BlockMalformed>(())
    });
    written.map(|()| out)
}

/// What a message is routed by: its routing key, and those of its CC header.
///
/// # Errors
/// [`BlockMalformed`], if its block is.
pub fn routing_keys<'a>(message: &Message<'a>) -> Result<Vec<&'a [u8]>, BlockMalformed> {
    let mut keys = vec![message.routing_key()];
    let Block::Amqp091(block) = message.block() else {
        return Ok(keys);
    };
    for field in amqp091::split(block)?.fields() {
        let Field { name, value } = field.map_err(BlockMalformed::Table)?;
        if name != CC || value[0] != b'A' {
            continue;
        }
        for element in table::elements(&value[1..]) {
            keys.extend(text_of(element.map_err(BlockMalformed::Table)?));
        }
        break;
    }
    Ok(keys)
}

/// Whether a message with this block, its last death included, may not go to `queue`
/// again: it died there before, and since then nobody rejected it, so that nothing would
/// ever end its way round.
///
/// A block that cannot be read has no history.
pub fn cycles(block: &[u8], queue: &str) -> bool {
    let Ok(parts) = amqp091::split(block) else {
        return false;
    };
    let mut fields = parts.fields().map_while(Result::ok);
    let Some(x_death) = fields.find(|field| field.name == X_DEATH) else {
        return false;
    };
    if x_death.value[0] != b'A' {
        return false;
    }
    for element in table::elements(&x_death.value[1..]) {
        let Ok(Some(entry)) = element.map(entry_of) else {
            // No broker wrote that, so a client had it in hand.
            return false;
        };
        if entry.reason == Some(Reason::Rejected.name().as_bytes()) {
            return false;
        }
        if entry.queue == Some(queue.as_bytes()) {
            return true;
        }
    }
    false
}

/// A name, and a value with its type letter.
type Header<'a> = (&'a [u8], Cow<'a, [u8]>);

fn read_headers<'a>(parts: &Parts<'a>) -> Result<Vec<Header<'a>>, BlockMalformed> {
    let fields = parts.fields().map(|field| {
        let Field { name, value } = field.map_err(BlockMalformed::Table)?;
        Ok((name, Cow::Borrowed(value)))
    });
    fields.collect()
}

/// An x-death table.
struct Entry<'a> {
    fields: Vec<Header<'a>>,
    queue: Option<&'a [u8]>,
    reason: Option<&'a [u8]>,
}

/// `None`, if the value is no table.
fn entry_of(value: &[u8]) -> Option<Entry<'_>> {
    let (b'F', table) = value.split_first()? else {
        return None;
    };
    let mut entry = Entry {
        fields: Vec::new(),
        queue: None,
        reason: None,
    };
    for field in table::fields(table) {
        let Field { name, value } = field.ok()?;
        match name {
            QUEUE => entry.queue = text_of(value),
            REASON => entry.reason = text_of(value),
            _ => (),
        }
        entry.fields.push((name, Cow::Borrowed(value)));
    }
    Some(entry)
}

/// The value of x-death, from the array it was, if it was one.
fn x_death_after(
    history: Option<&[u8]>,
    death: &Death<'_>,
    expiration: Option<&[u8]>,
) -> Result<Vec<u8>, TableMalformed> {
    let mut others = Vec::new();
    let mut raised = None;
    for element in history.map(table::elements).into_iter().flatten() {
        let element = element?;
        let entry = entry_of(element).filter(|entry| {
            entry.queue == Some(death.queue.as_bytes())
                && entry.reason == Some(death.reason.name().as_bytes())
        });
        match entry {
            // One for a queue and reason: a client may have sent more.
            Some(entry) => _ = raised.get_or_insert(entry.fields),
            None => others.push(element),
        }
    }
    let mut fields = match raised {
        Some(mut fields) => {
            let before = fields.iter().find(|(name, _)| *name == COUNT);
            let count = before.and_then(|(_, value)| table::decode_value(value));
            let count = count.and_then(|value| value.as_int()).unwrap_or(0);
            set(&mut fields, COUNT, long(count.saturating_add(1)));
            fields
        }
        None => first_entry(death, expiration),
    };
    if history.is_some() {
        fields.sort_by_key(|(name, _)| *name);
    }
    let mut out = vec![b'A', 0, 0, 0, 0, b'F', 0, 0, 0, 0];
    put_fields(&fields, &mut out);
    table::patch_length(&mut out, 6);
    for other in others {
        out.extend_from_slice(other);
    }
    table::patch_length(&mut out, 1);
    Ok(out)
}

fn first_entry(death: &Death<'_>, expiration: Option<&[u8]>) -> Vec<Header<'static>> {
    let mut time = vec![b'T'];
    time.extend_from_slice(&death.time_s.to_be_bytes());
    let mut routing_keys = vec![b'A', 0, 0, 0, 0];
    for key in death.routing_keys {
        put_text(key, &mut routing_keys);
    }
    table::patch_length(&mut routing_keys, 1);
    let mut fields = vec![
        (COUNT, Cow::Owned(long(1))),
        (REASON, Cow::Owned(text(death.reason.name().as_bytes()))),
        (QUEUE, Cow::Owned(text(death.queue.as_bytes()))),
        (b"time", Cow::Owned(time)),
        (EXCHANGE, Cow::Owned(text(death.exchange))),
        (b"routing-keys", Cow::Owned(routing_keys)),
    ];
    fields.extend(expiration.map(|expiration| {
        let name: &[u8] = b"original-expiration";
        (name, Cow::Owned(text(expiration)))
    }));
    fields
}

/// In place of a header of this name, or behind all.
fn set<'a>(headers: &mut Vec<Header<'a>>, name: &'static [u8], value: Vec<u8>) {
    let value = Cow::Owned(value);
    match headers.iter_mut().find(|(other, _)| *other == name) {
        Some((_, before)) => *before = value,
        None => headers.push((name, value)),
    }
}

fn set_origin(headers: &mut Vec<Header<'_>>, names: [&'static [u8]; 3], death: &Death<'_>) {
    let [reason, queue, exchange] = names;
    set(headers, reason, text(death.reason.name().as_bytes()));
    set(headers, queue, text(death.queue.as_bytes()));
    set(headers, exchange, text(death.exchange));
}

fn put_fields(fields: &[Header<'_>], out: &mut Vec<u8>) {
    for (name, value) in fields {
        table::put_field(Field { name, value }, out);
    }
}

fn long(int: i64) -> Vec<u8> {
    let mut out = Vec::new();
    table::encode_value(&Value::Int(int), &mut out);
    out
}

fn text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + text.len());
    put_text(text, &mut out);
    out
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'S');
    let length = u32::try_from(text.len()).expect("names and keys are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// The text of a value that is one.
fn text_of(value: &[u8]) -> Option<&[u8]> {
    match value.split_at_checked(5)? {
        ([b'S', ..], text) => Some(text),
        _ => None,
    }
}

/// How often a dead message was sent back by hand; an integer.
pub const REDRIVE_COUNT: &str = "x-redrive-count";
const X_DEATH: &[u8] = b"x-death";
const FIRST_DEATH: [&[u8]; 3] = [
    b"x-first-death-reason",
    b"x-first-death-queue",
    b"x-first-death-exchange",
];
const LAST_DEATH: [&[u8]; 3] = [
    b"x-last-death-reason",
    b"x-last-death-queue",
    b"x-last-death-exchange",
];
const CC: &[u8] = b"CC";
const COUNT: &[u8] = b"count";
const REASON: &[u8] = b"reason";
const QUEUE: &[u8] = b"queue";
const EXCHANGE: &[u8] = b"exchange";
/// About what the first death adds.
const GROWTH_BYTES: usize = 512;

#[cfg(test)]
mod tests;
