//! qos, consume and cancel: a channel's links to queues.

use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, Consume, Effects, LinkId, PoolId};
use bongsu_record::{Arguments, table};

use super::calls::{Answer, Then};
use super::name::made_tag;
use super::open::Open;
use super::replies::DIRECT_REPLY_TO;
use crate::codec::method::{Method, bit};
use crate::codec::wire::{Table, short};
use crate::errors::{Exception, MethodId};

/// A link as its channel knows it.
#[derive(Debug)]
pub(super) struct Link {
    pub channel: u16,
    pub used: Use,
    /// Deliveries that were not acknowledged.
    pub unsettled: u64,
}

/// What a link is for.
#[derive(Debug)]
pub(super) enum Use {
    Consumer(Consumer),
    /// basic.get from this queue.
    Getter(String),
    /// Only its deliveries are left: closed with the last of them.
    Cancelled,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub tag: String,
    pub no_ack: bool,
    /// What every basic.deliver to it begins with: its number and the tag.
    pub prefix: Vec<u8>,
}

impl Open {
    pub(super) fn qos(
        &mut self,
        number: u16,
        prefetch_size: u32,
        prefetch_count: u16,
        global: bool,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        if prefetch_size != 0 {
            let text = format_args!("prefetch_size!=0 ({prefetch_size})");
            return Err(Exception::new(540, QOS, text));
        }
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        let pooled = channel.prefetch_of_all > 0;
        let limit = if global { prefetch_count } else { 0 };
        channel.prefetch_of_all = limit;
        if !global {
            channel.prefetch = prefetch_count;
            // As with RabbitMQ, the consumers' own limit takes the place of the channel's.
            if !pooled {
                Method::BasicQosOk {}.write(number, &mut effects.out);
                return Ok(());
            }
        }
        let call = Call::SetPool {
            pool: pool(number),
            credit: u32::from(limit),
        };
        self.ask(number, QOS, None, call, Some(Answer::Qos));
        Ok(())
    }

    /// The call that takes the limit off a channel's pool.
    pub(super) fn unlimited_pool(&self, number: u16) -> Call {
        Call::SetPool {
            pool: pool(number),
            credit: 0,
        }
    }

    pub(super) fn consume(
        &mut self,
        number: u16,
        queue: &str,
        consumer_tag: &str,
        bits: u8,
        arguments: Table<'_>,
    ) -> Result<(), Exception> {
        let queue = self.queue_named(number, queue, CONSUME)?;
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        if channel.consumers.contains_key(consumer_tag) {
            let text = format_args!("attempt to reuse consumer tag '{consumer_tag}'");
            return Err(Exception::new(530, CONSUME, text));
        }
        if queue == DIRECT_REPLY_TO {
            return self.consume_replies(number, consumer_tag, bits);
        }
        let prefetch = u32::from(channel.prefetch);
        let arguments = decoded(arguments, CONSUME)?;
        let no_ack = bits & bit::CONSUME_NO_ACK != 0;
        let (link, tag) = self.new_consumer(number, consumer_tag, no_ack);
        let call = Call::Consume(Consume {
            link,
            channel: u32::from(number),
            tag,
            queue: queue.clone(),
            name: consumer_tag.to_owned(),
            // Prefetch counts what is not acknowledged; who need not acknowledge has none.
            credit: if no_ack { 0 } else { prefetch },
            pool: (!no_ack).then(|| pool(number)),
            auto_settle: no_ack,
            exclusive: bits & bit::CONSUME_EXCLUSIVE != 0,
            arguments,
        });
        let then = Then::Consuming {
            channel: number,
            link,
            queue,
            no_wait: bits & bit::CONSUME_NO_WAIT != 0,
        };
        self.calls.push(call, then);
        Ok(())
    }

    /// A consumer under the tag, or one made up, which no other of the channel has.
    pub(super) fn new_consumer(
        &mut self,
        number: u16,
        tag: &str,
        no_ack: bool,
    ) -> (LinkId, String) {
        let seed = self.seed;
        let tag = match (tag, self.channel(number)) {
            ("", Some(channel)) => {
                channel.tags_made += 1;
                made_tag(seed, number, channel.tags_made)
            }
            (tag, _) => tag.to_owned(),
        };
        let mut prefix = vec![0, 60, 0, 60];
        short(tag.as_bytes(), &mut prefix);
        let used = Use::Consumer(Consumer {
            tag: tag.clone(),
            no_ack,
            prefix,
        });
        let link = self.new_link(number, used);
        if let Some(channel) = self.channel(number) {
            channel.consumers.insert(tag.clone(), link);
        }
        (link, tag)
    }

    /// The link is open: deliveries follow.
    pub(super) fn consuming(&mut self, link: LinkId, no_wait: bool, effects: &mut Effects) {
        if let Some(link) = self.links.get(&link)
            && let Use::Consumer(consumer) = &link.used
            && !no_wait
        {
            let consumer_tag = &consumer.tag;
            Method::BasicConsumeOk { consumer_tag }.write(link.channel, &mut effects.out);
        }
    }

    /// The link was refused, or the broker closed it.
    pub(super) fn forget_link(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if let Some(channel) = self.channel(link.channel) {
            channel.replies.take_if(|(replies, _)| *replies == id);
            match &link.used {
                Use::Consumer(consumer) => drop(channel.consumers.remove(&consumer.tag)),
                Use::Getter(queue) => drop(channel.getters.remove(queue)),
                Use::Cancelled => {}
            }
        }
        Some(link)
    }

    pub(super) fn cancel(
        &mut self,
        number: u16,
        consumer_tag: &str,
        no_wait: bool,
        effects: &mut Effects,
    ) {
        let Some(channel) = self.channel(number) else {
            return;
        };
        let answer = (!no_wait).then(|| Answer::Cancel(consumer_tag.to_owned()));
        let id = channel.consumers.remove(consumer_tag);
        channel.replies.take_if(|(replies, _)| Some(*replies) == id);
        let Some((id, link)) = id.and_then(|id| Some((id, self.links.get_mut(&id)?))) else {
            if let Some(answer) = answer {
                answer.write(number, 0, &mut effects.out);
            }
            return;
        };
        // While deliveries are out, the link stays to settle them.
        link.used = Use::Cancelled;
        let release = link.unsettled == 0;
        if release {
            self.links.remove(&id);
        }
        let call = Call::CloseLink { link: id, release };
        self.ask(number, CANCEL, None, call, answer);
    }

    /// The broker closed a link: its queue is gone, or cannot be read.
    pub fn link_closed(&mut self, id: LinkId, effects: &mut Effects) {
        if let Some(link) = self.forget_link(id)
            && let Use::Consumer(consumer) = &link.used
            && self.agreed.can.cancel_notify
        {
            Method::BasicCancel {
                consumer_tag: &consumer.tag,
                bits: bit::NO_WAIT,
            }
            .write(link.channel, &mut effects.out);
        }
    }

    pub(super) fn new_link(&mut self, channel: u16, used: Use) -> LinkId {
        // Numbers are used again after four thousand million, and some may be in use still.
        while self.links.contains_key(&LinkId(self.next_link)) {
            self.next_link = self.next_link.wrapping_add(1);
        }
        let id = LinkId(self.next_link);
        self.next_link = self.next_link.wrapping_add(1);
        let unsettled = 0;
        let link = Link {
            channel,
            used,
            unsettled,
        };
        self.links.insert(id, link);
        id
    }

    /// An empty queue name means the one declared last on the channel.
    pub(super) fn queue_named(
        &mut self,
        number: u16,
        queue: &str,
        about: MethodId,
    ) -> Result<String, Exception> {
        let queue = match queue {
            "" => self
                .channel(number)
                .and_then(|channel| channel.last_queue.clone())
                .ok_or_else(|| Exception::new(404, about, "no previously declared queue"))?,
            queue => queue.to_owned(),
        };
        self.check_no_replies(&queue, about)?;
        Ok(queue)
    }

    /// A call that is answered with a plain yes.
    pub(super) fn ask(
        &mut self,
        channel: u16,
        about: MethodId,
        of: Option<(Kind, &str)>,
        call: Call,
        answer: Option<Answer>,
    ) {
        let then = Then::Answer {
            channel,
            about,
            of: of.map(|(kind, name)| (kind, name.to_owned())),
            answer,
        };
        self.calls.push(call, then);
    }
}

/// Arguments of a method.
pub(super) fn decoded(table: Table<'_>, about: MethodId) -> Result<Arguments, Exception> {
    match table::decode(table.0) {
        Ok((arguments, _)) => Ok(arguments),
        Err(malformed) => {
            let text = format_args!("arguments: {malformed}");
            Err(Exception::new(502, about, text))
        }
    }
}

/// The limit that a channel's consumers share.
fn pool(number: u16) -> PoolId {
    PoolId(u32::from(number))
}

const QOS: MethodId = (60, 10);
const CONSUME: MethodId = (60, 20);
const CANCEL: MethodId = (60, 30);
