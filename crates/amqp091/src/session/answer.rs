//! Answers to calls, and what the client is told of them.

use bongsu_engine::Refused;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Effects, LinkId, Now, Reply};
use bongsu_record::Batch;

use super::open::Open;
use crate::codec::method::Method;
use crate::errors::{Asked, Exception, MethodId, Scope, worded};

/// What the answer to the outstanding call means.
#[derive(Debug)]
pub(super) enum Pending {
    /// Nothing more is to be done.
    Nothing,
    Publish {
        channel: u16,
        mandatory: bool,
        batch: Batch,
    },
    /// Write this method, unless the client asked not to.
    Ok {
        channel: u16,
        ok: Option<Yes>,
        about: MethodId,
        /// What it is about, where a refusal does not say so itself.
        of: Option<(Kind, String)>,
    },
    Cancel {
        channel: u16,
        link: LinkId,
        ok: Option<Yes>,
    },
    Consume {
        channel: u16,
        link: LinkId,
        tag: String,
        no_wait: bool,
    },
    Get {
        channel: u16,
        no_ack: bool,
    },
}

impl Pending {
    /// To be answered with `ok`.
    pub fn yes(channel: u16, ok: Yes, about: MethodId) -> Pending {
        Pending::Ok {
            channel,
            ok: Some(ok),
            about,
            of: None,
        }
    }
}

/// Methods that only say yes.
#[derive(Clone, Debug)]
pub(super) enum Yes {
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeBind,
    ExchangeUnbind,
    QueueDeclare,
    QueueBind,
    QueueUnbind,
    QueuePurge,
    QueueDelete,
    Qos,
    Cancel(String),
    ChannelClose,
    Recover,
}

impl Open {
    pub fn reply(
        &mut self,
        reply: Reply,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        if let Reply::Refused(refused) = &reply {
            self.refused(&pending, refused, now, effects)?;
        } else {
            self.answered(pending, reply, effects);
        }
        if self.todo.is_empty() {
            // What was gathered behind the call that was just answered: there may be no more
            // bytes to hand over, and so no other occasion.
            self.flush(now);
        }
        if self.todo.is_empty() {
            self.conclude(effects)?;
        }
        self.pump(effects);
        Ok(())
    }

    fn refused(
        &mut self,
        pending: &Pending,
        refused: &Refused,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let mut of = None;
        let (number, method) = match pending {
            Pending::Nothing => return Ok(()),
            Pending::Publish { channel, batch, .. } => {
                let count = u64::from(batch.record_count());
                let storage = matches!(refused, Refused::Storage { .. });
                if storage && self.nack(*channel, count, effects) {
                    return Ok(());
                }
                (*channel, (60, 40))
            }
            Pending::Ok {
                channel,
                about,
                of: thing,
                ..
            } => {
                of = thing.as_ref().map(|(kind, name)| (*kind, name.as_str()));
                (*channel, *about)
            }
            Pending::Cancel { channel, .. } => (*channel, (60, 30)),
            Pending::Consume { channel, link, .. } => {
                self.links.remove(link);
                if let Some(channel) = self.channels.get_mut(channel) {
                    channel.consumers.retain(|_, other| other != link);
                }
                (*channel, (60, 20))
            }
            Pending::Get { channel, .. } => (*channel, (60, 70)),
        };
        let asked = Asked {
            vhost: &self.agreed.vhost,
            method,
            of,
        };
        let exception = worded(refused, asked);
        let closing = self
            .channels
            .get(&number)
            .is_none_or(|channel| channel.closing);
        match exception.scope {
            Scope::Connection => Err(exception),
            Scope::Channel if closing => Ok(()),
            Scope::Channel => {
                self.flush(now);
                self.close_channel(number, &exception, effects);
                Ok(())
            }
        }
    }

    fn answered(&mut self, pending: Pending, reply: Reply, effects: &mut Effects) {
        match (pending, reply) {
            (
                Pending::Publish {
                    channel,
                    mandatory,
                    batch,
                },
                Reply::Published { wait, routed },
            ) => {
                if mandatory && !routed {
                    self.give_back(channel, &batch, effects);
                }
                self.published(channel, u64::from(batch.record_count()), wait, effects);
            }
            (Pending::Cancel { channel, link, ok }, reply) => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.cancelled = true;
                }
                self.end_if_idle(link);
                self.say_ok(channel, ok, reply, effects);
            }
            (Pending::Ok { channel, ok, .. }, reply) => {
                self.say_ok(channel, ok, reply, effects);
            }
            (
                Pending::Consume {
                    channel,
                    tag,
                    no_wait: false,
                    ..
                },
                _,
            ) => Method::BasicConsumeOk { consumer_tag: &tag }.write(channel, &mut effects.out),
            (Pending::Get { channel, no_ack }, Reply::Got(got)) => {
                self.got(channel, no_ack, got, effects);
            }
            (_, _) => {}
        }
    }

    fn say_ok(&mut self, number: u16, ok: Option<Yes>, reply: Reply, effects: &mut Effects) {
        let out = &mut effects.out;
        let count = match &reply {
            Reply::Count(count) => u32::try_from(*count).unwrap_or(u32::MAX),
            _ => 0,
        };
        if let Reply::Queue { name, .. } = &reply
            && let Some(channel) = self.channels.get_mut(&number)
        {
            channel.last_queue = Some(name.clone());
        }
        let Some(ok) = ok else {
            return;
        };
        match ok {
            Yes::ExchangeDeclare => Method::ExchangeDeclareOk {}.write(number, out),
            Yes::ExchangeDelete => Method::ExchangeDeleteOk {}.write(number, out),
            Yes::ExchangeBind => Method::ExchangeBindOk {}.write(number, out),
            Yes::ExchangeUnbind => Method::ExchangeUnbindOk {}.write(number, out),
            Yes::QueueBind => Method::QueueBindOk {}.write(number, out),
            Yes::QueueUnbind => Method::QueueUnbindOk {}.write(number, out),
            Yes::QueuePurge => {
                let message_count = count;
                Method::QueuePurgeOk { message_count }.write(number, out);
            }
            Yes::QueueDelete => {
                let message_count = count;
                Method::QueueDeleteOk { message_count }.write(number, out);
            }
            Yes::Qos => Method::BasicQosOk {}.write(number, out),
            Yes::Cancel(tag) => Method::BasicCancelOk { consumer_tag: &tag }.write(number, out),
            Yes::ChannelClose => Method::ChannelCloseOk {}.write(number, out),
            Yes::Recover => Method::BasicRecoverOk {}.write(number, out),
            Yes::QueueDeclare => {
                if let Reply::Queue { name, ready, links } = reply {
                    Method::QueueDeclareOk {
                        queue: &name,
                        message_count: u32::try_from(ready).unwrap_or(u32::MAX),
                        consumer_count: links,
                    }
                    .write(number, out);
                }
            }
        }
    }
}
