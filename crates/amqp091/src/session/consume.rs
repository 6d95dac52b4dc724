//! qos, consume, cancel, get, recover, acknowledgements and deliveries.

use bongsu_engine::session::{Call, Consume, Delivery, Effects, LinkId, Outcome};
use bongsu_record::{Arguments, Offset, table};

use super::answer::{Pending, Yes};
use super::channel::Channel;
use super::open::{Link, Open};
use super::publish::{text, write_content};
use crate::codec::frame;
use crate::codec::method::{Method, bit};
use crate::codec::wire::{Field, short};
use crate::errors::{Exception, MethodId};

impl Open {
    pub(super) fn channel(&mut self, number: u16) -> &mut Channel {
        self.channels.entry(number).or_default()
    }

    pub(super) fn consuming(
        &mut self,
        number: u16,
        method: Method<'_>,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let about = method.id();
        match method {
            Method::BasicQos {
                prefetch_size,
                prefetch_count,
                bits,
            } => {
                if prefetch_size != 0 {
                    let text = format!("prefetch_size!=0 ({prefetch_size})");
                    return Err(Exception::new(540, about, text));
                }
                if bits & bit::QOS_GLOBAL == 0 {
                    self.channel(number).prefetch = prefetch_count;
                    Method::BasicQosOk {}.write(number, &mut effects.out);
                    return Ok(());
                }
                let call = Call::SetPool {
                    pool: self.pool(number),
                    credit: u32::from(prefetch_count),
                };
                self.then(number, call, Some(Yes::Qos), about);
                Ok(())
            }
            Method::BasicConsume {
                queue,
                consumer_tag,
                bits,
                arguments,
                ..
            } => self.consume(number, queue, consumer_tag, bits, arguments.0),
            Method::BasicCancel { consumer_tag, bits } => {
                let no_wait = bits & bit::NO_WAIT != 0;
                let ok = (!no_wait).then(|| Yes::Cancel(consumer_tag.to_owned()));
                match self.channel(number).consumers.remove(consumer_tag) {
                    Some(link) => {
                        self.channel(number).cancelled.push(link);
                        let call = Call::CloseLink {
                            link,
                            release: false,
                        };
                        let pending = Pending::Cancel {
                            channel: number,
                            link,
                            ok,
                        };
                        self.todo.push_back((call, pending));
                    }
                    None if no_wait => {}
                    None => {
                        Method::BasicCancelOk { consumer_tag }.write(number, &mut effects.out);
                    }
                }
                Ok(())
            }
            Method::BasicGet { queue, bits, .. } => {
                let queue = self.queue_named(number, queue, about)?;
                let no_ack = bits & bit::GET_NO_ACK != 0;
                let known = self.channel(number).getters.get(&queue).copied();
                let link = known.unwrap_or_else(|| {
                    let link = self.new_link(Link {
                        channel: number,
                        tag: String::new(),
                        no_ack: false,
                        leased: 0,
                        cancelled: false,
                    });
                    self.channel(number).getters.insert(queue.clone(), link);
                    link
                });
                let call = Call::Get {
                    link,
                    queue,
                    auto_settle: no_ack,
                };
                let pending = Pending::Get {
                    channel: number,
                    no_ack,
                };
                self.todo.push_back((call, pending));
                Ok(())
            }
            Method::BasicRecover { bits } | Method::BasicRecoverAsync { bits } => {
                if bits & bit::REQUEUE == 0 {
                    return Err(Exception::new(540, about, "requeue=false"));
                }
                let mut returned = Vec::new();
                self.channel(number)
                    .unsettled
                    .take(0, true, |link, offset| returned.push((link, offset)));
                for (link, offset) in returned {
                    self.settle(link, offset, Outcome::Release);
                }
                // The answer follows the last release.
                let is_recover = matches!(method, Method::BasicRecover { .. });
                self.flush_settling();
                match (is_recover, self.todo.back_mut()) {
                    (true, Some((_, pending))) => {
                        *pending = Pending::yes(number, Yes::Recover, about);
                    }
                    (true, None) => Method::BasicRecoverOk {}.write(number, &mut effects.out),
                    (false, _) => {}
                }
                Ok(())
            }
            other => unreachable!("{} is not about consuming", other.name()),
        }
    }

    fn consume(
        &mut self,
        number: u16,
        queue: &str,
        consumer_tag: &str,
        bits: u8,
        arguments: &[u8],
    ) -> Result<(), Exception> {
        let about = (60, 20);
        let queue = self.queue_named(number, queue, about)?;
        let channel = self.channel(number);
        if channel.consumers.contains_key(consumer_tag) {
            let text = format!("attempt to reuse consumer tag '{consumer_tag}'");
            return Err(Exception::new(530, about, text));
        }
        channel.tags_made += 1;
        let made = channel.tags_made;
        let tag = match consumer_tag {
            "" => self.made_tag(number, made),
            tag => tag.to_owned(),
        };
        let no_ack = bits & bit::CONSUME_NO_ACK != 0;
        let link = self.new_link(Link {
            channel: number,
            tag: tag.clone(),
            no_ack,
            leased: 0,
            cancelled: false,
        });
        let channel = self.channel(number);
        channel.consumers.insert(tag.clone(), link);
        let prefetch = u32::from(channel.prefetch);
        let call = Call::Consume(Consume {
            link,
            queue,
            // Prefetch counts what is not acknowledged; who need not acknowledge has none.
            credit: if no_ack { 0 } else { prefetch },
            pool: (!no_ack).then(|| self.pool(number)),
            auto_settle: no_ack,
            exclusive: bits & bit::CONSUME_EXCLUSIVE != 0,
            arguments: decode_table(arguments, about)?,
        });
        let pending = Pending::Consume {
            channel: number,
            link,
            tag,
            no_wait: bits & bit::CONSUME_NO_WAIT != 0,
        };
        self.todo.push_back((call, pending));
        Ok(())
    }

    pub(super) fn acknowledge(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
        about: MethodId,
    ) -> Result<(), Exception> {
        let mut unsettled = std::mem::take(&mut self.channel(number).unsettled);
        let known = unsettled.take(tag, multiple, |link, offset| {
            self.settle(link, offset, outcome);
        });
        self.channel(number).unsettled = unsettled;
        match known {
            true => Ok(()),
            false => {
                let text = format_args!("unknown delivery tag {tag}");
                Err(Exception::new(406, about, text))
            }
        }
    }

    /// An empty queue name means the one declared last on the channel.
    pub(super) fn queue_named(
        &mut self,
        number: u16,
        queue: &str,
        about: MethodId,
    ) -> Result<String, Exception> {
        match (queue, &self.channel(number).last_queue) {
            ("", Some(last)) => Ok(last.clone()),
            ("", None) => Err(Exception::new(404, about, "no previously declared queue")),
            (name, _) => Ok(name.to_owned()),
        }
    }

    /// Encodes records for their consumers.
    pub fn deliver(&mut self, deliveries: &[Delivery], effects: &mut Effects) {
        let frame_bytes_max = self.agreed.frame_bytes_max;
        for delivery in deliveries {
            let Some(link) = self.links.get_mut(&delivery.link) else {
                continue;
            };
            let Some(channel) = self.channels.get_mut(&link.channel) else {
                continue;
            };
            let out = &mut effects.out;
            for offset in delivery.records.start.0..delivery.records.end.0 {
                let index = offset - delivery.base.0;
                let record = u32::try_from(index)
                    .ok()
                    .and_then(|index| delivery.batch.native_record(index));
                let Some(record) = record else {
                    continue;
                };
                let tag = channel.unsettled.next_tag();
                let entry = (!link.no_ack).then_some((delivery.link, Offset(offset)));
                link.leased += u64::from(!link.no_ack);
                channel.unsettled.push(entry);
                frame::write(frame::METHOD, link.channel, out, |out| {
                    out.extend_from_slice(&[0, 60, 0, 60]);
                    short(link.tag.as_bytes(), out);
                    tag.write(out);
                    out.push(u8::from(delivery.redelivered));
                    short(record.exchange(), out);
                    short(record.routing_key(), out);
                });
                write_content(link.channel, &record, frame_bytes_max, out);
            }
        }
    }

    /// The answer to basic.get.
    pub(super) fn got(
        &mut self,
        number: u16,
        no_ack: bool,
        got: Option<(Delivery, u64)>,
        effects: &mut Effects,
    ) {
        let frame_bytes_max = self.agreed.frame_bytes_max;
        let found = got.as_ref().and_then(|(delivery, left)| {
            let index = u32::try_from(delivery.records.start.0 - delivery.base.0).ok()?;
            Some((delivery, *left, delivery.batch.native_record(index)?))
        });
        let Some((delivery, left, record)) = found else {
            Method::BasicGetEmpty { reserved: "" }.write(number, &mut effects.out);
            return;
        };
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let tag = channel.unsettled.next_tag();
        let entry = (!no_ack).then_some((delivery.link, delivery.records.start));
        channel.unsettled.push(entry);
        Method::BasicGetOk {
            delivery_tag: tag,
            bits: if delivery.redelivered {
                bit::REDELIVERED
            } else {
                0
            },
            exchange: text(record.exchange()),
            routing_key: text(record.routing_key()),
            message_count: u32::try_from(left).unwrap_or(u32::MAX),
        }
        .write(number, &mut effects.out);
        write_content(number, &record, frame_bytes_max, &mut effects.out);
    }

    /// The broker closed a link: the queue is gone.
    pub fn link_closed(&mut self, link: LinkId, effects: &mut Effects) {
        let Some(known) = self.links.remove(&link) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(&known.channel) else {
            return;
        };
        channel.getters.retain(|_, other| *other != link);
        channel.cancelled.retain(|other| *other != link);
        // Clients know of consumers alone.
        if channel.consumers.remove(&known.tag).is_some() && self.agreed.cancel_notify {
            Method::BasicCancel {
                consumer_tag: &known.tag,
                bits: bit::NO_WAIT,
            }
            .write(known.channel, &mut effects.out);
        }
    }

    /// A call whose answer is a plain yes.
    pub(super) fn then(&mut self, channel: u16, call: Call, ok: Option<Yes>, about: MethodId) {
        let pending = Pending::Ok {
            channel,
            ok,
            about,
            of: None,
        };
        self.todo.push_back((call, pending));
    }
}

pub(super) fn decode_table(bytes: &[u8], about: MethodId) -> Result<Arguments, Exception> {
    match table::decode(bytes) {
        Ok((arguments, _)) => Ok(arguments),
        Err(error) => Err(Exception::new(
            502,
            about,
            format_args!("arguments: {error:?}"),
        )),
    }
}
