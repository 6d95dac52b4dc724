//! Direct replies: a requester consumes from a queue that is none and names it as the
//! address of its replies; each message leaves with the real name in its place.
//!
//! The real queue is the broker's to make, one for each consumer, in memory and gone with
//! it. Replies are ordinary deliveries.

use std::borrow::Cow;

use bongsu_engine::session::{Call, Consume, DeclareQueue, Effects, LinkId};
use bongsu_record::Arguments;

use super::calls::{Answer, Then};
use super::open::Open;
use crate::codec::block::with_reply_to;
use crate::codec::content::ContentHeader;
use crate::codec::method::{Method, bit};
use crate::errors::{Exception, MethodId};

impl Open {
    pub(super) fn consume_replies(
        &mut self,
        number: u16,
        consumer_tag: &str,
        bits: u8,
    ) -> Result<(), Exception> {
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        if bits & bit::CONSUME_NO_ACK == 0 {
            let text = "reply consumer cannot acknowledge";
            return Err(Exception::new(406, CONSUME, text));
        }
        if channel.replies.is_some() {
            let text = "reply consumer already set";
            return Err(Exception::new(406, CONSUME, text));
        }
        let (link, tag) = self.new_consumer(number, consumer_tag, true);
        let then = Then::Replies {
            channel: number,
            link,
            tag,
            no_wait: bits & bit::CONSUME_NO_WAIT != 0,
        };
        self.calls.push(Call::OpenReplyQueue, then);
        Ok(())
    }

    /// The queue for replies is there.
    pub(super) fn replies_open(
        &mut self,
        number: u16,
        (link, tag): (LinkId, String),
        queue: String,
        no_wait: bool,
    ) {
        let Some(channel) = self.channel(number) else {
            return;
        };
        channel.replies = Some((link, queue.clone()));
        let call = Call::Consume(Consume {
            link,
            channel: u32::from(number),
            tag,
            queue: queue.clone(),
            name: String::new(),
            credit: 0,
            pool: None,
            auto_settle: true,
            exclusive: false,
            arguments: Arguments::new(),
        });
        let then = Then::Consuming {
            channel: number,
            link,
            queue,
            no_wait,
        };
        self.calls.push(call, then);
    }

    /// Queues for replies are there for nothing else: whoever knows the name of one may
    /// publish to it and ask whether it is there.
    pub(super) fn check_no_replies(&self, queue: &str, about: MethodId) -> Result<(), Exception> {
        match queue.strip_prefix(DIRECT_REPLY_TO) {
            None => Ok(()),
            Some("") if about == CONSUME => Ok(()),
            // Deleting what is not there is no error.
            Some(_) if about == DELETE => Ok(()),
            Some(_) => {
                let vhost = &self.agreed.vhost;
                let text = format_args!("no queue '{queue}' in vhost '{vhost}'");
                Err(Exception::new(404, about, text))
            }
        }
    }

    /// The block of a message, with the address at which direct replies reach the channel.
    pub(super) fn addressed<'a>(
        &mut self,
        number: u16,
        header: &ContentHeader<'a>,
    ) -> Result<Cow<'a, [u8]>, Exception> {
        if header.reply_to != Some(DIRECT_REPLY_TO.as_bytes()) {
            return Ok(Cow::Borrowed(header.block));
        }
        let channel = self.channel(number);
        match channel.and_then(|channel| channel.replies.as_ref()) {
            Some((_, queue)) => Ok(Cow::Owned(with_reply_to(header.block, queue))),
            None => {
                let text = "fast reply consumer does not exist";
                Err(Exception::new(406, PUBLISH, text))
            }
        }
    }

    /// Declaring such a queue asks whether somebody listens: a server does it to find out
    /// whether its client is still there. Each has one consumer and never a message.
    pub(super) fn declare_replies(
        &mut self,
        number: u16,
        queue: &str,
        no_wait: bool,
        effects: &mut Effects,
    ) {
        if queue == DIRECT_REPLY_TO {
            if let Some(channel) = self.channel(number) {
                channel.last_queue = Some(queue.to_owned());
            }
            if !no_wait {
                declared(number, queue, &mut effects.out);
            }
            return;
        }
        let call = Call::DeclareQueue(DeclareQueue {
            name: queue.to_owned(),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            arguments: Arguments::new(),
        });
        let answer = (!no_wait).then_some(Answer::RepliesDeclare);
        self.ask(number, DECLARE, None, call, answer);
    }
}

/// The answer to who declared a queue for replies.
pub(super) fn declared(number: u16, queue: &str, out: &mut Vec<u8>) {
    Method::QueueDeclareOk {
        queue,
        message_count: 0,
        consumer_count: 1,
    }
    .write(number, out);
}

/// The queue that is none: its consumer gets direct replies. Names of the real queues begin
/// with it.
pub(super) const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";
const CONSUME: MethodId = (60, 20);
const DECLARE: MethodId = (50, 10);
const DELETE: MethodId = (50, 40);
const PUBLISH: MethodId = (60, 40);
