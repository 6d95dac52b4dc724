//! Records out: basic.deliver with its content, straight into the output, nothing
//! allocated for a message.
//!
//! ```text
//! method frame    1, channel, length, 0 60 0 60, tag of the consumer | delivery tag,
//!                 redelivered, exchange, routing key                 | 0xCE
//! content header  2, channel, length, 0 60 0 0, body bytes | block   | 0xCE
//! bodies          3, channel, length | a part of the body            | 0xCE
//! ```
//! What stands between two variable parts is made in one piece.

use std::borrow::Cow;

use bongsu_engine::session::{Call, Delivery, Effects, LinkId, Outcome, Settle, Tries};
use bongsu_record::blocks::amqp091::{block_of, with_headers};
use bongsu_record::native::Origin;
use bongsu_record::{Message, Messages, Offset, Value};

use super::calls::Then;
use super::channel::Channel;
use super::consume::{Consumer, Use};
use super::open::Open;
use crate::codec::frame;
use crate::codec::method::bit;

impl Open {
    /// Encodes records for their consumers.
    pub fn deliver(&mut self, deliveries: &[Delivery], effects: &mut Effects) {
        for delivery in deliveries {
            let Some(link) = self.links.get_mut(&delivery.link) else {
                continue;
            };
            let Use::Consumer(consumer) = &link.used else {
                continue;
            };
            let slot = self.channels.get_mut(&link.channel);
            let Some(channel) = slot.and_then(|slot| slot.open_mut()) else {
                continue;
            };
            let count = delivery.records.end.0 - delivery.records.start.0;
            let counts = &mut channel.counts;
            if consumer.no_ack {
                counts.deliver_no_ack += count;
            } else {
                link.unsettled += count;
                counts.deliver += count;
            }
            if delivery.redelivered {
                counts.redeliver += count;
            }
            let mut writer = Writer {
                number: link.channel,
                told: Told::of(delivery),
                consumer,
                channel,
                link: delivery.link,
                redelivered: redelivered_bit(delivery),
                body_bytes_max: self.agreed.frame_bytes_max - frame::OVERHEAD_BYTES,
                out: &mut effects.out,
            };
            if delivery.batch.is_native() {
                writer.native(delivery);
            } else if !writer.foreign(delivery) && !consumer.no_ack {
                link.unsettled -= count;
                self.reject(delivery);
            }
        }
        self.calls.pump(effects);
    }

    /// Records that cannot be read are nobody's: kept, they would hold the consumer up.
    fn reject(&mut self, delivery: &Delivery) {
        let call = Call::Settle(Settle {
            link: delivery.link,
            ranges: vec![delivery.records.clone()],
            outcome: Outcome::Reject,
        });
        self.calls.push(call, Then::Nothing);
    }
}

struct Writer<'a> {
    number: u16,
    told: Told,
    consumer: &'a Consumer,
    channel: &'a mut Channel,
    link: LinkId,
    redelivered: u8,
    body_bytes_max: usize,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn native(&mut self, delivery: &Delivery) {
        let (start, end) = (delivery.records.start.0, delivery.records.end.0);
        if !self.consumer.no_ack {
            self.channel.unsettled.reserve((end - start) as usize);
        }
        let index = |offset: u64| u32::try_from(offset - delivery.base.0).unwrap_or(u32::MAX);
        let records = delivery.batch.native_records(index(start)..index(end));
        for (offset, record) in (start..end).zip(records) {
            let (exchange, key) = (record.exchange(), record.routing_key());
            if record.origin == AMQP091 && !self.told.is_anything() {
                self.message(Offset(offset), exchange, key, record.header, record.body);
            } else {
                self.made(&Message::native(record, Offset(offset), 0));
            }
        }
    }

    /// A message whose block is not passed on as it is.
    #[cold]
    fn made(&mut self, message: &Message<'_>) {
        let block = block_of(message);
        let block = block.as_deref().unwrap_or(NO_PROPERTIES);
        let block = self.told.put_into(block, message.offset());
        let (exchange, key) = (message.exchange(), message.routing_key());
        self.message(message.offset(), exchange, key, &block, message.body());
    }

    /// Of a batch that is not native: `false` if it cannot be read.
    #[cold]
    fn foreign(&mut self, delivery: &Delivery) -> bool {
        let opened = Messages::open(&delivery.batch, delivery.base, DECOMPRESSED_BYTES_MAX);
        let Ok(messages) = opened else {
            return false;
        };
        for message in messages.iter() {
            let offset = message.offset();
            if offset < delivery.records.start || offset >= delivery.records.end {
                continue;
            }
            self.made(&message);
        }
        true
    }

    #[inline]
    fn message(&mut self, offset: Offset, exchange: &[u8], key: &[u8], block: &[u8], body: &[u8]) {
        self.channel.last_tag += 1;
        let tag = self.channel.last_tag;
        if !self.consumer.no_ack {
            self.channel.unsettled.push(tag, self.link, offset);
        }
        let exchange = &exchange[..exchange.len().min(SHORT_BYTES_MAX)];
        let key = &key[..key.len().min(SHORT_BYTES_MAX)];
        let prefix = &self.consumer.prefix;
        let out = &mut *self.out;
        let payload = prefix.len() + 8 + 1 + 1 + exchange.len() + 1 + key.len();
        out.reserve(payload + block.len() + body.len() + 64);
        let number = self.number.to_be_bytes();
        let length = (payload as u32).to_be_bytes();
        out.extend_from_slice(&[
            frame::METHOD,
            number[0],
            number[1],
            length[0],
            length[1],
            length[2],
            length[3],
        ]);
        out.extend_from_slice(prefix);
        let mut middle = [0; 10];
        middle[..8].copy_from_slice(&tag.to_be_bytes());
        middle[8] = self.redelivered;
        middle[9] = exchange.len() as u8;
        out.extend_from_slice(&middle);
        out.extend_from_slice(exchange);
        out.push(key.len() as u8);
        out.extend_from_slice(key);
        out.push(frame::END);
        put_content(self.number, block, body, self.body_bytes_max, out);
    }
}

/// What a delivery's consumer is told of it in headers. Mostly nothing.
#[derive(Clone, Copy)]
pub(super) struct Told {
    tries: Option<Tries>,
    offsets: bool,
}

impl Told {
    pub fn of(delivery: &Delivery) -> Told {
        Told {
            tries: delivery.tries,
            offsets: delivery.tell_offsets,
        }
    }

    #[inline]
    fn is_anything(self) -> bool {
        self.offsets || self.tries.is_some()
    }

    /// The block with what is told. Of the same names only ours stay: a message that was
    /// delivered and published again may bring its former ones.
    pub fn put_into(self, block: &[u8], offset: Offset) -> Cow<'_, [u8]> {
        let count = |count: u32| Value::Int(i64::from(count));
        let tries = self.tries.unwrap_or_default();
        let (failed, acquired) = (count(tries.failed), count(tries.acquired));
        let offset = Value::Int(i64::try_from(offset.0).unwrap_or(i64::MAX));
        let mut headers = Vec::new();
        if self.tries.is_some() {
            headers.push(("x-delivery-count", &failed));
            headers.push(("x-acquired-count", &acquired));
        }
        if self.offsets {
            headers.push(("x-stream-offset", &offset));
        }
        match headers.is_empty() {
            true => Cow::Borrowed(block),
            false => with_headers(block, &headers).map_or(Cow::Borrowed(block), Cow::Owned),
        }
    }
}

/// Content header and body frames.
pub(super) fn write_content(
    number: u16,
    block: &[u8],
    body: &[u8],
    frame_bytes_max: usize,
    out: &mut Vec<u8>,
) {
    put_content(
        number,
        block,
        body,
        frame_bytes_max - frame::OVERHEAD_BYTES,
        out,
    );
}

#[inline]
fn put_content(number: u16, block: &[u8], body: &[u8], body_bytes_max: usize, out: &mut Vec<u8>) {
    let number = number.to_be_bytes();
    let mut head = [0; 19];
    head[0] = frame::HEADER;
    head[1..3].copy_from_slice(&number);
    head[3..7].copy_from_slice(&((12 + block.len()) as u32).to_be_bytes());
    head[8] = 60;
    head[11..].copy_from_slice(&(body.len() as u64).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(block);
    for part in body.chunks(body_bytes_max) {
        let mut head = [frame::END, frame::BODY, number[0], number[1], 0, 0, 0, 0];
        head[4..].copy_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(part);
    }
    out.push(frame::END);
}

pub(super) fn redelivered_bit(delivery: &Delivery) -> u8 {
    match delivery.redelivered {
        true => bit::REDELIVERED,
        false => 0,
    }
}

/// What a batch of another protocol may unfold to in memory while it is delivered.
pub(super) const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;
const AMQP091: u8 = Origin::Amqp091 as u8;
const SHORT_BYTES_MAX: usize = 255;
/// A header block without a flag.
const NO_PROPERTIES: &[u8] = &[0, 0];
