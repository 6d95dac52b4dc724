//! An open connection: frames in, one call at a time out.
//!
//! Calls wait in `todo`; one is outstanding at most. Runs of publishes and of
//! acknowledgements are gathered while frames allow it and put into `todo` before anything
//! else is, so what a client sent takes effect in its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use bongsu_engine::Refused;
use bongsu_engine::session::{Call, Effects, LinkId, Now, Outcome, PoolId, Publish, Reply};
use bongsu_record::{Batch, Lsn, Offset};

use super::channel::{Channel, Content};
use super::handshake::Agreed;
use super::{Settings, cut, frame_exception};
use crate::codec::frame::{self, Frame};
use crate::codec::method::{Method, bit};
use crate::codec::wire::{Long, Malformed};
use crate::errors::{Exception, Scope, worded};

/// An exception and the method it is about.
pub(super) type Failed = (Exception, (u16, u16));

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) agreed: Agreed,
    pub(super) message_bytes_max: u64,
    seed: u64,
    pub(super) channels: BTreeMap<u16, Channel>,
    pub(super) links: BTreeMap<LinkId, Link>,
    next_link: u32,
    /// Channel whose builder has complete records that were not published.
    pub(super) dirty: Option<u16>,
    settling: Option<Settling>,
    pub(super) todo: VecDeque<(Call, Pending)>,
    pending: Option<Pending>,
    unconfirmed: BTreeSet<u16>,
    pub(super) durable: Lsn,
    blocked: bool,
    /// The client said goodbye; what is in the way out is the last of it.
    pub(super) closed: bool,
}

/// A link as its client knows it.
#[derive(Debug)]
pub(super) struct Link {
    pub channel: u16,
    pub tag: String,
    pub no_ack: bool,
}

/// Acknowledgements gathered for one link.
#[derive(Debug)]
struct Settling {
    link: LinkId,
    outcome: Outcome,
    ranges: Vec<Range<Offset>>,
}

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
        about: (u16, u16),
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
    pub fn new(agreed: Agreed, settings: &Settings, seed: u64) -> Open {
        Open {
            agreed,
            message_bytes_max: settings.message_bytes_max,
            seed,
            channels: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            dirty: None,
            settling: None,
            todo: VecDeque::new(),
            pending: None,
            unconfirmed: BTreeSet::new(),
            durable: Lsn(0),
            blocked: false,
            closed: false,
        }
    }

    /// The heartbeat that was agreed on.
    pub fn heartbeat(&self) -> Option<Duration> {
        let seconds = u64::from(self.agreed.heartbeat_s);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    pub fn bytes(
        &mut self,
        bytes: &[u8],
        now: Now,
        effects: &mut Effects,
    ) -> Result<usize, Failed> {
        let mut used = 0;
        loop {
            if self.pending.is_some() || self.closed {
                return Ok(used);
            }
            if !self.todo.is_empty() {
                self.pump(effects);
                return Ok(used);
            }
            let scanned = frame::scan(&bytes[used..], self.agreed.frame_bytes_max)
                .map_err(|malformed| (frame_exception(malformed), (0, 0)))?;
            let Some((frame, length)) = scanned else {
                break;
            };
            if self.must_flush_before(&frame) {
                self.flush(now);
                continue;
            }
            used += length;
            match self.frame(frame, now, effects) {
                Ok(()) => {}
                Err((exception, about)) if exception.scope == Scope::Channel => {
                    self.flush(now);
                    self.close_channel(frame.channel, &exception, about, effects);
                }
                Err(failed) => return Err(failed),
            }
        }
        self.flush(now);
        self.pump(effects);
        Ok(used)
    }

    /// Whether the frame ends the runs gathered: all but publishes and acknowledgements do.
    fn must_flush_before(&self, frame: &Frame<'_>) -> bool {
        if self.dirty.is_none() && self.settling.is_none() {
            return false;
        }
        match frame.kind {
            frame::METHOD => {
                !matches!(frame.payload.get(..4), Some([0, 60, 0, 40 | 80 | 90 | 120]))
            }
            frame::HEADER | frame::BODY | frame::HEARTBEAT => false,
            _ => true,
        }
    }

    /// Turns what was gathered into calls.
    pub(super) fn flush(&mut self, now: Now) {
        if let Some(number) = self.dirty.take()
            && let Some(channel) = self.channels.get_mut(&number)
        {
            let publishing = &mut channel.publishing;
            if let Some(batch) = publishing.builder.finish(now.unix_ms) {
                let publish = Publish {
                    exchange: publishing.exchange.clone(),
                    routing_key: publishing.routing_key.clone(),
                    batch: batch.clone(),
                };
                let pending = Pending::Publish {
                    channel: number,
                    mandatory: publishing.mandatory,
                    batch,
                };
                self.todo.push_back((Call::Publish(publish), pending));
            }
        }
        self.flush_settling();
    }

    pub(super) fn flush_settling(&mut self) {
        if let Some(settling) = self.settling.take() {
            let call = Call::Settle {
                link: settling.link,
                ranges: settling.ranges,
                outcome: settling.outcome,
            };
            self.todo.push_back((call, Pending::Nothing));
        }
    }

    /// Gathers an acknowledgement.
    pub(super) fn settle(&mut self, link: LinkId, offset: Offset, outcome: Outcome) {
        match &mut self.settling {
            Some(settling) if settling.link == link && settling.outcome == outcome => {
                super::channel::add(&mut settling.ranges, offset);
            }
            _ => {
                self.flush_settling();
                self.settling = Some(Settling {
                    link,
                    outcome,
                    ranges: vec![offset..offset.plus(1)],
                });
            }
        }
    }

    /// Makes the next call, if none is outstanding.
    fn pump(&mut self, effects: &mut Effects) {
        if self.pending.is_none()
            && let Some((call, pending)) = self.todo.pop_front()
        {
            effects.call = Some(call);
            self.pending = Some(pending);
        }
    }

    fn frame(&mut self, frame: Frame<'_>, now: Now, effects: &mut Effects) -> Result<(), Failed> {
        if frame.kind == frame::HEARTBEAT {
            return match frame.channel {
                0 => Ok(()),
                _ => Err(failed(501, "heartbeat on a channel other than 0", (0, 0))),
            };
        }
        if frame.channel == 0 {
            return self.connection_frame(&frame, effects);
        }
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            return self.first_frame(&frame, effects);
        };
        if channel.closing {
            return self.closing_frame(&frame, effects);
        }
        match (frame.kind, channel.publishing.content) {
            (frame::METHOD, Content::None) => {
                let method = decoded(frame.payload)?;
                self.method(frame.channel, method, now, effects)
            }
            (frame::HEADER, Content::Header) => {
                self.content_header(frame.channel, frame.payload, now)
            }
            (frame::BODY, Content::Body(_)) => self.content_body(frame.channel, frame.payload, now),
            (kind, content) => Err(unexpected(kind, content)),
        }
    }

    fn connection_frame(&mut self, frame: &Frame<'_>, effects: &mut Effects) -> Result<(), Failed> {
        if frame.kind != frame::METHOD {
            let text = "content on channel 0";
            return Err(failed(505, text, (0, 0)));
        }
        let method = decoded(frame.payload)?;
        match method {
            Method::ConnectionClose { .. } => {
                Method::ConnectionCloseOk {}.write(0, &mut effects.out);
                self.closed = true;
                Ok(())
            }
            Method::ConnectionCloseOk {} => Ok(()),
            Method::ConnectionUpdateSecret { .. } => {
                Err(failed(540, "connection.update-secret", method.id()))
            }
            other => {
                let text = format!("unexpected method {} on channel 0", other.name());
                Err(failed(503, text, other.id()))
            }
        }
    }

    /// A frame on a channel that is not open.
    fn first_frame(&mut self, frame: &Frame<'_>, effects: &mut Effects) -> Result<(), Failed> {
        let method = match frame.kind {
            frame::METHOD => Some(decoded(frame.payload)?),
            _ => None,
        };
        match method {
            Some(Method::ChannelOpen { .. }) => {
                let number = frame.channel;
                if number > self.agreed.channel_max {
                    let text = format!(
                        "number of channels opened ({number}) has reached the negotiated channel_max ({})",
                        self.agreed.channel_max
                    );
                    return Err(failed(530, text, (20, 10)));
                }
                self.channels.insert(number, Channel::default());
                Method::ChannelOpenOk {
                    reserved: Long(b""),
                }
                .write(number, &mut effects.out);
                Ok(())
            }
            // Both sides closed at once: ours was answered by theirs.
            Some(Method::ChannelCloseOk {}) => Ok(()),
            Some(Method::ChannelClose { .. }) => {
                Method::ChannelCloseOk {}.write(frame.channel, &mut effects.out);
                Ok(())
            }
            other => {
                let about = other.map_or((0, 0), |method| method.id());
                Err(failed(504, "expected 'channel.open'", about))
            }
        }
    }

    /// A frame on a channel that we closed: only close and close-ok are heard.
    fn closing_frame(&mut self, frame: &Frame<'_>, effects: &mut Effects) -> Result<(), Failed> {
        if frame.kind != frame::METHOD {
            return Ok(());
        }
        match Method::decode(frame.payload) {
            Ok(Method::ChannelCloseOk {}) => {
                self.channels.remove(&frame.channel);
            }
            Ok(Method::ChannelClose { .. }) => {
                Method::ChannelCloseOk {}.write(frame.channel, &mut effects.out);
                self.channels.remove(&frame.channel);
            }
            _ => {}
        }
        Ok(())
    }

    fn method(
        &mut self,
        number: u16,
        method: Method<'_>,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Failed> {
        let about = method.id();
        match method {
            Method::BasicPublish {
                exchange,
                routing_key,
                bits,
                ..
            } => self.publish(number, exchange, routing_key, bits, now),
            Method::BasicAck { delivery_tag, bits } => {
                let multiple = bits & bit::MULTIPLE != 0;
                self.acknowledge(number, delivery_tag, multiple, Outcome::Accept, about)
            }
            Method::BasicNack { delivery_tag, bits } => {
                let outcome = requeued(bits & bit::NACK_REQUEUE != 0);
                let multiple = bits & bit::MULTIPLE != 0;
                self.acknowledge(number, delivery_tag, multiple, outcome, about)
            }
            Method::BasicReject { delivery_tag, bits } => {
                let outcome = requeued(bits & bit::REQUEUE != 0);
                self.acknowledge(number, delivery_tag, false, outcome, about)
            }
            Method::ChannelOpen { .. } => Err(failed(503, "second 'channel.open' seen", about)),
            Method::ChannelClose { .. } => {
                self.release_links(number);
                self.channels.remove(&number);
                self.unconfirmed.remove(&number);
                if self.todo.is_empty() {
                    Method::ChannelCloseOk {}.write(number, &mut effects.out);
                } else if let Some((_, pending)) = self.todo.back_mut() {
                    *pending = Pending::Ok {
                        channel: number,
                        ok: Some(Yes::ChannelClose),
                        about,
                    };
                }
                Ok(())
            }
            Method::ChannelCloseOk {} | Method::ChannelFlowOk { .. } => Ok(()),
            Method::ChannelFlow { bits } => match bits & bit::ACTIVE {
                0 => Err(failed(540, "active=false", about)),
                _ => {
                    Method::ChannelFlowOk { bits: bit::ACTIVE }.write(number, &mut effects.out);
                    Ok(())
                }
            },
            Method::AccessRequest { .. } => {
                Method::AccessRequestOk { ticket: 1 }.write(number, &mut effects.out);
                Ok(())
            }
            Method::ConfirmSelect { bits } => {
                let channel = self.channels.get_mut(&number).expect("it handles a method");
                channel.confirms.get_or_insert_default();
                if bits & bit::NO_WAIT == 0 {
                    Method::ConfirmSelectOk {}.write(number, &mut effects.out);
                }
                Ok(())
            }
            Method::BasicQos { .. }
            | Method::BasicConsume { .. }
            | Method::BasicCancel { .. }
            | Method::BasicGet { .. }
            | Method::BasicRecover { .. }
            | Method::BasicRecoverAsync { .. } => self.consuming(number, method, effects),
            Method::BasicCancelOk { .. } => Ok(()),
            Method::TxSelect {} | Method::TxCommit {} | Method::TxRollback {} => {
                Err(failed(540, method.name(), about))
            }
            Method::ExchangeDeclare { .. }
            | Method::ExchangeDelete { .. }
            | Method::ExchangeBind { .. }
            | Method::ExchangeUnbind { .. }
            | Method::QueueDeclare { .. }
            | Method::QueueBind { .. }
            | Method::QueueUnbind { .. }
            | Method::QueuePurge { .. }
            | Method::QueueDelete { .. } => self.declaring(number, method),
            other => {
                let text = format!("unexpected method {} on a channel", other.name());
                Err(failed(503, text, about))
            }
        }
    }

    /// A channel exception: tell the client, give the channel's leases back.
    fn close_channel(
        &mut self,
        number: u16,
        exception: &Exception,
        about: (u16, u16),
        effects: &mut Effects,
    ) {
        let (class, method) = about;
        Method::ChannelClose {
            code: exception.code,
            text: cut(&exception.text),
            class,
            method,
        }
        .write(number, &mut effects.out);
        self.release_links(number);
        self.unconfirmed.remove(&number);
        if let Some(channel) = self.channels.get_mut(&number) {
            *channel = Channel {
                closing: true,
                ..Channel::default()
            };
        }
    }

    /// Calls that close every link of a channel and give its leases back.
    fn release_links(&mut self, number: u16) {
        if self.dirty == Some(number) {
            self.dirty = None;
        }
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let links = channel.consumers.values();
        let links = links
            .chain(channel.getters.values())
            .chain(&channel.cancelled);
        for link in links.copied().collect::<BTreeSet<_>>() {
            self.links.remove(&link);
            let release = true;
            let call = Call::CloseLink { link, release };
            self.todo.push_back((call, Pending::Nothing));
        }
    }

    pub(super) fn new_link(&mut self, link: Link) -> LinkId {
        self.next_link = self.next_link.wrapping_add(1);
        let id = LinkId(self.next_link);
        self.links.insert(id, link);
        id
    }

    /// A consumer tag that the server makes up.
    pub(super) fn made_tag(&self, number: u16, made: u64) -> String {
        format!(
            "amq.ctag-{:016x}{number:04x}{made:x}",
            self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        )
    }

    pub(super) fn pool(&self, number: u16) -> PoolId {
        PoolId(u32::from(number))
    }

    pub fn reply(&mut self, reply: Reply, now: Now, effects: &mut Effects) -> Result<(), Failed> {
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
        self.pump(effects);
        Ok(())
    }

    fn refused(
        &mut self,
        pending: &Pending,
        refused: &Refused,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Failed> {
        let exception = worded(refused, &self.agreed.vhost);
        let (number, about) = match pending {
            Pending::Nothing => return Ok(()),
            Pending::Publish { channel, batch, .. } => {
                let count = u64::from(batch.record_count());
                let storage = matches!(refused, Refused::Storage { .. });
                if storage && self.nack(*channel, count, effects) {
                    return Ok(());
                }
                (*channel, (60, 40))
            }
            Pending::Ok { channel, about, .. } => (*channel, *about),
            Pending::Consume { channel, link, .. } => {
                self.links.remove(link);
                if let Some(channel) = self.channels.get_mut(channel) {
                    channel.consumers.retain(|_, other| other != link);
                }
                (*channel, (60, 20))
            }
            Pending::Get { channel, .. } => (*channel, (60, 70)),
        };
        let closing = self
            .channels
            .get(&number)
            .is_none_or(|channel| channel.closing);
        match exception.scope {
            Scope::Connection => Err((exception, about)),
            Scope::Channel if closing => Ok(()),
            Scope::Channel => {
                self.flush(now);
                self.close_channel(number, &exception, about, effects);
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

    /// Confirms what this position makes durable.
    pub fn durable(&mut self, durable: Lsn, effects: &mut Effects) {
        self.durable = self.durable.max(durable);
        let mut done = Vec::new();
        for number in &self.unconfirmed {
            let confirms = self
                .channels
                .get_mut(number)
                .and_then(|channel| channel.confirms.as_mut());
            let Some(confirms) = confirms else {
                done.push(*number);
                continue;
            };
            if let Some(delivery_tag) = confirms.settle(self.durable) {
                let bits = bit::MULTIPLE;
                Method::BasicAck { delivery_tag, bits }.write(*number, &mut effects.out);
            }
            if confirms.waiting.is_empty() {
                done.push(*number);
            }
        }
        for number in done {
            self.unconfirmed.remove(&number);
        }
    }

    pub(super) fn awaits_confirm(&mut self, number: u16) {
        self.unconfirmed.insert(number);
    }

    pub fn blocked(&mut self, reason: Option<&str>, effects: &mut Effects) {
        if !self.agreed.blocked || self.blocked == reason.is_some() {
            return;
        }
        self.blocked = reason.is_some();
        match reason {
            Some(reason) => {
                let reason = cut(reason);
                Method::ConnectionBlocked { reason }.write(0, &mut effects.out);
            }
            None => Method::ConnectionUnblocked {}.write(0, &mut effects.out),
        }
    }
}

pub(super) fn failed(code: u16, text: impl std::fmt::Display, about: (u16, u16)) -> Failed {
    (Exception::new(code, text), about)
}

fn requeued(requeue: bool) -> Outcome {
    match requeue {
        true => Outcome::Release,
        false => Outcome::Reject,
    }
}

fn decoded(payload: &[u8]) -> Result<Method<'_>, Failed> {
    Method::decode(payload).map_err(|malformed| match malformed {
        Malformed::Method(class, method) => failed(
            540,
            format_args!("unknown method {{{class},{method}}}"),
            (class, method),
        ),
        other => failed(502, format_args!("malformed method: {other:?}"), (0, 0)),
    })
}

fn unexpected(kind: u8, content: Content) -> Failed {
    let got = match kind {
        frame::METHOD => "method",
        frame::HEADER => "content header",
        _ => "content body",
    };
    let text = match content {
        Content::None => format!("expected method frame, got {got} frame instead"),
        Content::Header => {
            format!(
                "expected content header for class 60, got non content header frame instead ({got})"
            )
        }
        Content::Body(_) => {
            format!("expected content body, got non content body frame instead ({got})")
        }
    };
    failed(505, text, (60, 40))
}
