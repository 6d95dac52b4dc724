//! An open connection: frames in, one call at a time out.
//!
//! Calls wait in `todo`; one is outstanding at most. Runs of publishes and of
//! acknowledgements are gathered while frames allow it and put into `todo` before anything
//! else is, so what a client sent takes effect in its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bongsu_engine::session::{Call, Effects, LinkId, Now, Outcome, PoolId};
use bongsu_record::Lsn;

use super::Settings;
use super::answer::{Pending, Yes};
use super::channel::{Channel, Content};
use super::gather::Settling;
use super::handshake::Agreed;
use super::name::made_tag;
use crate::codec::frame::{self, Frame};
use crate::codec::method::{Method, bit};
use crate::codec::wire::Long;
use crate::errors::{Exception, MethodId, Octets, Scope, frame_malformed, method_malformed};

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
    pub(super) settling: Option<Settling>,
    pub(super) todo: VecDeque<(Call, Pending)>,
    pub(super) pending: Option<Pending>,
    /// An exception of a channel (or 0, or of any: the scope decides) that is told once
    /// everything sent before it has been answered. No frame is read meanwhile.
    failing: Option<(u16, Exception)>,
    pub(super) unconfirmed: BTreeSet<u16>,
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
    /// Records delivered and not acknowledged.
    pub leased: u64,
    /// Nothing more is delivered; the link is closed for good with its last lease.
    pub cancelled: bool,
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
            failing: None,
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
    ) -> Result<usize, Exception> {
        let mut used = 0;
        loop {
            if self.pending.is_some() || self.closed {
                return Ok(used);
            }
            if !self.todo.is_empty() {
                self.pump(effects);
                return Ok(used);
            }
            if self.failing.is_some() {
                self.conclude(effects)?;
                continue;
            }
            let (number, done) = match frame::scan(&bytes[used..], self.agreed.frame_bytes_max) {
                Ok(None) => break,
                Ok(Some((frame, _))) if self.must_flush_before(&frame) => {
                    self.flush(now);
                    continue;
                }
                Ok(Some((frame, length))) => {
                    used += length;
                    (frame.channel, self.frame(frame, now, effects))
                }
                Err(malformed) => (0, Err(frame_malformed(malformed))),
            };
            if let Err(exception) = done {
                self.flush(now);
                self.failing = Some((number, exception));
            }
        }
        self.flush(now);
        self.pump(effects);
        Ok(used)
    }

    /// Acts upon an exception whose turn has come.
    pub(super) fn conclude(&mut self, effects: &mut Effects) -> Result<(), Exception> {
        match self.failing.take() {
            Some((number, exception)) if exception.scope == Scope::Channel => {
                self.close_channel(number, &exception, effects);
                Ok(())
            }
            Some((_, exception)) => Err(exception),
            None => Ok(()),
        }
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        if frame.channel == 0 {
            return self.connection_frame(&frame, effects);
        }
        if frame.kind == frame::HEARTBEAT {
            return Err(unexpected_octets(&frame));
        }
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            return self.first_frame(&frame, effects);
        };
        if channel.closing {
            self.closing_frame(&frame, effects);
            return Ok(());
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
            (_, content) => Err(unexpected(content)),
        }
    }

    fn connection_frame(
        &mut self,
        frame: &Frame<'_>,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        match frame.kind {
            frame::HEARTBEAT => return Ok(()),
            frame::METHOD => {}
            _ => return Err(unexpected_octets(frame)),
        }
        let method = decoded(frame.payload)?;
        match method {
            Method::ConnectionClose { .. } => {
                Method::ConnectionCloseOk {}.write(0, &mut effects.out);
                self.closed = true;
                Ok(())
            }
            Method::ConnectionUpdateSecret { .. } => {
                Err(Exception::new(540, method.id(), method.name()))
            }
            other => {
                let text = "unexpected method in connection state running";
                Err(Exception::new(504, other.id(), text))
            }
        }
    }

    /// A frame on a channel that is not open.
    fn first_frame(&mut self, frame: &Frame<'_>, effects: &mut Effects) -> Result<(), Exception> {
        if frame.kind != frame::METHOD {
            return Err(unexpected(Content::None));
        }
        match decoded(frame.payload)? {
            Method::ChannelOpen { .. } => {
                let number = frame.channel;
                let (open, most) = (self.channels.len(), self.agreed.channel_max);
                if open >= usize::from(most) {
                    let text = format!(
                        "number of channels opened ({open}) has reached the negotiated channel_max ({most})"
                    );
                    return Err(Exception::new(530, (0, 0), text));
                }
                self.channels.insert(number, Channel::default());
                Method::ChannelOpenOk {
                    reserved: Long(b""),
                }
                .write(number, &mut effects.out);
                Ok(())
            }
            // Both sides closed at once: theirs was answered, and this answers ours.
            Method::ChannelCloseOk {} => Ok(()),
            other => Err(Exception::new(504, other.id(), "expected 'channel.open'")),
        }
    }

    /// A frame on a channel that we closed: only close and close-ok are heard.
    fn closing_frame(&mut self, frame: &Frame<'_>, effects: &mut Effects) {
        if frame.kind != frame::METHOD {
            return;
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
    }

    fn method(
        &mut self,
        number: u16,
        method: Method<'_>,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
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
            Method::ChannelOpen { .. } => {
                Err(Exception::new(504, about, "second 'channel.open' seen"))
            }
            Method::ChannelClose { .. } => {
                self.release_links(number);
                self.channels.remove(&number);
                self.unconfirmed.remove(&number);
                if self.todo.is_empty() {
                    Method::ChannelCloseOk {}.write(number, &mut effects.out);
                } else if let Some((_, pending)) = self.todo.back_mut() {
                    *pending = Pending::yes(number, Yes::ChannelClose, about);
                }
                Ok(())
            }
            Method::ChannelCloseOk {} | Method::ChannelFlowOk { .. } => Ok(()),
            Method::ChannelFlow { bits } => match bits & bit::ACTIVE {
                0 => Err(Exception::new(540, about, "active=false")),
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
                Err(Exception::new(540, about, method.name()))
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
            _ => Err(Exception::new(503, about, "unimplemented method")),
        }
    }

    /// A channel exception: tell the client, give the channel's leases back.
    pub(super) fn close_channel(
        &mut self,
        number: u16,
        exception: &Exception,
        effects: &mut Effects,
    ) {
        let (class, method) = exception.about;
        Method::ChannelClose {
            code: exception.code,
            text: &exception.text,
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
        made_tag(self.seed, number, made)
    }

    pub(super) fn pool(&self, number: u16) -> PoolId {
        PoolId(u32::from(number))
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
                let reason = &reason[..reason.floor_char_boundary(255)];
                Method::ConnectionBlocked { reason }.write(0, &mut effects.out);
            }
            None => Method::ConnectionUnblocked {}.write(0, &mut effects.out),
        }
    }
}

fn requeued(requeue: bool) -> Outcome {
    match requeue {
        true => Outcome::Release,
        false => Outcome::Reject,
    }
}

fn decoded(payload: &[u8]) -> Result<Method<'_>, Exception> {
    Method::decode(payload).map_err(|malformed| method_malformed(malformed, payload))
}

/// A frame that has no place where it arrived, as RabbitMQ's reader words it.
fn unexpected_octets(frame: &Frame<'_>) -> Exception {
    let count = frame.payload.len().min(OCTETS_SHOWN);
    let all = match count == frame.payload.len() {
        true => "all".to_owned(),
        false => format!("first {OCTETS_SHOWN}"),
    };
    let octets = Octets(&frame.payload[..count]);
    let kind = frame.kind;
    Exception::new(
        505,
        (0, 0),
        format_args!("type {kind}, {all} octets = {octets}"),
    )
}

/// A frame that is not what a publish lacks, as RabbitMQ's channels word it.
fn unexpected(content: Content) -> Exception {
    match content {
        Content::None => {
            let text = "expected method frame, got non method frame instead";
            Exception::new(505, (0, 0), text)
        }
        Content::Header => {
            let text = "expected content header for class 60, got non content header frame instead";
            Exception::new(505, PUBLISH, text)
        }
        Content::Body(_) => {
            let text = "expected content body, got non content body frame instead";
            Exception::new(505, PUBLISH, text)
        }
    }
}

const OCTETS_SHOWN: usize = 16;
const PUBLISH: MethodId = (60, 40);
