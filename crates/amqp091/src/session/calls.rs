//! Calls to the broker: one outstanding at most, the others wait their turn. With each
//! goes what its answer means to the client.
//!
//! Bound: no frame is taken while a call waits or is outstanding, so what waits is what one
//! frame led to and what was gathered before it.

use std::collections::VecDeque;

use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, Effects, LinkId};
use bongsu_record::Batch;

use crate::codec::method::Method;
use crate::codec::wire::Long;
use crate::errors::MethodId;

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: VecDeque<(Call, Then)>,
    outstanding: Option<Then>,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Then {
    /// Nothing more.
    Nothing,
    /// Say so to the client, if `answer` says how; or close the channel.
    Answer {
        channel: u16,
        about: MethodId,
        /// What the request is about; a refusal may not say.
        of: Option<(Kind, String)>,
        answer: Option<Answer>,
    },
    /// Confirm so many, after giving back what no queue took of `returnable`.
    Published {
        channel: u16,
        count: u64,
        returnable: Option<Batch>,
    },
    /// Say so, after giving back what no queue took of `returnable`, publishes by index;
    /// and close those of the links that are done with.
    Committed {
        channel: u16,
        returnable: Vec<(usize, Batch)>,
        links: Vec<LinkId>,
    },
    /// The queue for a link's direct replies is there: open the link.
    Replies {
        channel: u16,
        link: LinkId,
        tag: String,
        no_wait: bool,
    },
    /// The link is open.
    Consuming {
        channel: u16,
        link: LinkId,
        queue: String,
        no_wait: bool,
    },
    /// The new secret is taken.
    Renewed,
    /// Pass the record on.
    Got { channel: u16, no_ack: bool },
}

/// Methods that say yes.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeBind,
    ExchangeUnbind,
    /// With name and counts.
    QueueDeclare,
    /// With the name.
    RepliesDeclare,
    QueueBind,
    QueueUnbind,
    /// With the count.
    QueuePurge,
    /// With the count.
    QueueDelete,
    Qos,
    Cancel(String),
    Recover,
    ChannelOpen,
    ChannelClose,
}

impl Calls {
    /// Neither waiting nor outstanding.
    pub fn is_idle(&self) -> bool {
        self.outstanding.is_none() && self.waiting.is_empty()
    }

    pub fn push(&mut self, call: Call, then: Then) {
        self.waiting.push_back((call, then));
    }

    /// Makes the next call, if none is outstanding.
    pub fn pump(&mut self, effects: &mut Effects) {
        if self.outstanding.is_none()
            && let Some((call, then)) = self.waiting.pop_front()
        {
            effects.call = Some(call);
            self.outstanding = Some(then);
        }
    }

    /// What the answer that came means.
    pub fn answered(&mut self) -> Then {
        self.outstanding.take().unwrap_or(Then::Nothing)
    }

    /// Says yes once everything that waits is done; at once if nothing does.
    pub fn finally(&mut self, channel: u16, about: MethodId, answer: Answer, out: &mut Vec<u8>) {
        match self.waiting.back_mut() {
            Some((_, then)) if matches!(then, Then::Nothing) => {
                *then = Then::Answer {
                    channel,
                    about,
                    of: None,
                    answer: Some(answer),
                };
            }
            _ => answer.write(channel, 0, out),
        }
    }
}

impl Answer {
    /// Writes the method; `count` where it has one.
    pub fn write(&self, channel: u16, count: u32, out: &mut Vec<u8>) {
        let method = match self {
            Answer::ExchangeDeclare => Method::ExchangeDeclareOk {},
            Answer::ExchangeDelete => Method::ExchangeDeleteOk {},
            Answer::ExchangeBind => Method::ExchangeBindOk {},
            Answer::ExchangeUnbind => Method::ExchangeUnbindOk {},
            // Their answers carry more, see `Open::say`.
            Answer::QueueDeclare | Answer::RepliesDeclare => return,
            Answer::QueueBind => Method::QueueBindOk {},
            Answer::QueueUnbind => Method::QueueUnbindOk {},
            Answer::QueuePurge => Method::QueuePurgeOk {
                message_count: count,
            },
            Answer::QueueDelete => Method::QueueDeleteOk {
                message_count: count,
            },
            Answer::Qos => Method::BasicQosOk {},
            Answer::Cancel(tag) => Method::BasicCancelOk { consumer_tag: tag },
            Answer::Recover => Method::BasicRecoverOk {},
            Answer::ChannelOpen => Method::ChannelOpenOk {
                reserved: Long(b""),
            },
            Answer::ChannelClose => Method::ChannelCloseOk {},
        };
        method.write(channel, out);
    }
}
