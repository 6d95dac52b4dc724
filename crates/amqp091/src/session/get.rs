//! basic.get: one record, if there is one.

use bongsu_engine::session::{Call, Delivery, Effects, LinkId};
use bongsu_record::Messages;
use bongsu_record::blocks::amqp091::block_of;

use super::calls::Then;
use super::consume::Use;
use super::deliver::{DECOMPRESSED_BYTES_MAX, Told, redelivered_bit, write_content};
use super::open::Open;
use crate::codec::frame;
use crate::codec::method::{Method, bit};
use crate::codec::wire::{Field, short};
use crate::errors::{Exception, MethodId};

impl Open {
    pub(super) fn get(&mut self, number: u16, queue: &str, bits: u8) -> Result<(), Exception> {
        let queue = self.queue_named(number, queue, GET)?;
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        let link = match channel.getters.get(&queue) {
            Some(link) => *link,
            None => self.new_getter(number, &queue),
        };
        let no_ack = bits & bit::GET_NO_ACK != 0;
        let call = Call::Get {
            link,
            queue,
            auto_settle: no_ack,
        };
        let channel = number;
        self.calls.push(call, Then::Got { channel, no_ack });
        Ok(())
    }

    /// Links of queues that a client gets from stay open for the next get; those beyond a
    /// bound make room, if nothing is out on them.
    fn new_getter(&mut self, number: u16, queue: &str) -> LinkId {
        let idle = self.channel(number).and_then(|channel| {
            let full = channel.getters.len() >= GETTERS_KEPT;
            full.then(|| channel.getters.values().copied().collect::<Vec<_>>())
        });
        let idle = idle.into_iter().flatten();
        let idle: Vec<LinkId> = idle
            .filter(|id| self.links.get(id).is_some_and(|link| link.unsettled == 0))
            .collect();
        for id in idle {
            self.forget_link(id);
            let (link, release) = (id, true);
            let call = Call::CloseLink { link, release };
            self.calls.push(call, Then::Nothing);
        }
        let link = self.new_link(number, Use::Getter(queue.to_owned()));
        if let Some(channel) = self.channel(number) {
            channel.getters.insert(queue.to_owned(), link);
        }
        link
    }

    /// The answer came.
    pub(super) fn got(
        &mut self,
        number: u16,
        no_ack: bool,
        got: Option<&(Delivery, u64)>,
        effects: &mut Effects,
    ) {
        let out = &mut effects.out;
        let frame_bytes_max = self.agreed.frame_bytes_max;
        let opened = got.and_then(|(delivery, left)| {
            let (batch, base) = (&delivery.batch, delivery.base);
            let messages = Messages::open(batch, base, DECOMPRESSED_BYTES_MAX).ok()?;
            Some((delivery, *left, messages))
        });
        let found = opened.as_ref().and_then(|(delivery, left, messages)| {
            let message = messages.at(delivery.records.start)?;
            let block = block_of(&message).ok()?;
            let block = Told::of(delivery)
                .put_into(&block, message.offset())
                .into_owned();
            Some((*delivery, *left, message, block))
        });
        let Some(channel) = self
            .channels
            .get_mut(&number)
            .and_then(|slot| slot.open_mut())
        else {
            return;
        };
        let Some((delivery, left, message, block)) = found else {
            channel.counts.get_empty += 1;
            Method::BasicGetEmpty { reserved: "" }.write(number, out);
            return;
        };
        let counts = &mut channel.counts;
        match no_ack {
            true => counts.get_no_ack += 1,
            false => counts.get += 1,
        }
        counts.redeliver += u64::from(delivery.redelivered);
        channel.last_tag += 1;
        let tag = channel.last_tag;
        if !no_ack {
            channel
                .unsettled
                .push(tag, delivery.link, delivery.records.start);
            if let Some(link) = self.links.get_mut(&delivery.link) {
                link.unsettled += 1;
            }
        }
        frame::write(frame::METHOD, number, out, |out| {
            out.extend_from_slice(&[0, 60, 0, 71]);
            tag.write(out);
            redelivered_bit(delivery).write(out);
            short(message.exchange(), out);
            short(message.routing_key(), out);
            u32::try_from(left).unwrap_or(u32::MAX).write(out);
        });
        write_content(number, &block, message.body(), frame_bytes_max, out);
    }
}

/// Queues that a channel gets from without opening a link anew.
const GETTERS_KEPT: usize = 64;
const GET: MethodId = (60, 70);
