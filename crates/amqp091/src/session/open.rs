//! An open connection: frames in, one call at a time out.
//!
//! Publishes and acknowledgements are gathered while frames go on with them; before
//! anything else is done they are flushed into calls, and nothing else is read before those
//! are answered. So what a client sent takes effect in its order.

use std::collections::BTreeMap;
use std::time::Instant;

use bongsu_engine::session::{Call, Close, Effects, LinkId, Now, Outcome};
use bongsu_record::Lsn;

use super::calls::{Calls, Then};
use super::channel::Slot;
use super::consume::Link;
use super::handshake::Agreed;
use super::heart::{Due, Heart};
use super::publish::{Content, MESSAGE_BYTES_LIMIT};
use super::settle::Settling;
use super::tx::Size;
use crate::codec::frame::{self, Frame};
use crate::codec::method::{Method, bit};
use crate::errors::{Exception, MethodId, Scope, frame_malformed, method_malformed};

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) agreed: Agreed,
    pub(super) message_bytes_max: u64,
    pub(super) seed: u64,
    heart: Heart,
    pub(super) channels: BTreeMap<u16, Slot>,
    pub(super) links: BTreeMap<LinkId, Link>,
    pub(super) next_link: u32,
    /// Channel whose builder has complete records that were not published.
    pub(super) dirty: Option<u16>,
    pub(super) settling: Settling,
    pub(super) calls: Calls,
    /// What the channels' transactions gathered.
    pub(super) in_transactions: Size,
    /// Channels with confirms or commits that wait for `durable` to grow.
    pub(super) unconfirmed: Vec<u16>,
    pub(super) durable: Lsn,
    told_blocked: bool,
    taking: Taking,
}

/// Whether frames are taken.
#[derive(Debug)]
enum Taking {
    Frames,
    /// An exception comes first, and before it what was sent before it.
    Exception(u16, Exception),
    /// Nothing any more: the client said goodbye, and what is in the way out is the last.
    Nothing,
}

impl Open {
    pub fn new(agreed: Agreed, message_bytes_max: u64, seed: u64, now: Now) -> Open {
        Open {
            message_bytes_max: message_bytes_max.min(MESSAGE_BYTES_LIMIT),
            seed,
            heart: Heart::new(agreed.heartbeat_s, now),
            agreed,
            channels: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            dirty: None,
            settling: Settling::default(),
            calls: Calls::default(),
            in_transactions: Size::default(),
            unconfirmed: Vec::new(),
            durable: Lsn(0),
            told_blocked: false,
            taking: Taking::Frames,
        }
    }

    /// Whether the client said goodbye.
    pub fn has_left(&self) -> bool {
        matches!(self.taking, Taking::Nothing)
    }

    /// Its links, when nothing else of it matters any more.
    pub fn into_links(self) -> Vec<LinkId> {
        self.links.into_keys().collect()
    }

    pub fn bytes(
        &mut self,
        bytes: &[u8],
        now: Now,
        effects: &mut Effects,
    ) -> Result<usize, Exception> {
        self.heart.has_received(now);
        let mut used = 0;
        while self.calls.is_idle() && matches!(self.taking, Taking::Frames) {
            let frame = match frame::scan(&bytes[used..], self.agreed.frame_bytes_max) {
                Ok(Some((frame, length))) => {
                    if !self.goes_on_gathering(&frame) && self.flush(now) {
                        break;
                    }
                    used += length;
                    frame
                }
                Ok(None) => {
                    self.flush(now);
                    break;
                }
                Err(malformed) => {
                    self.except(0, frame_malformed(malformed), now, effects)?;
                    break;
                }
            };
            if let Err(exception) = self.frame(frame, now, effects) {
                self.except(frame.channel, exception, now, effects)?;
            }
        }
        self.calls.pump(effects);
        Ok(used)
    }

    /// Closes channel or connection: at once, or when what was sent before has been done.
    fn except(
        &mut self,
        number: u16,
        exception: Exception,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        self.flush(now);
        self.taking = Taking::Exception(number, exception);
        self.take_exception(effects)
    }

    /// Closes what is to be closed, if nothing is left to be done before.
    pub(super) fn take_exception(&mut self, effects: &mut Effects) -> Result<(), Exception> {
        if !self.calls.is_idle() {
            return Ok(());
        }
        match std::mem::replace(&mut self.taking, Taking::Frames) {
            Taking::Exception(_, exception) if exception.scope == Scope::Connection => {
                return Err(exception);
            }
            Taking::Exception(number, exception) => {
                // A refusal of what came before may have closed it already.
                if self.channel(number).is_some() {
                    self.close_channel(number, &exception, effects);
                }
            }
            taking => self.taking = taking,
        }
        Ok(())
    }

    /// Whether the frame may join what was gathered.
    fn goes_on_gathering(&self, frame: &Frame<'_>) -> bool {
        match frame.kind {
            frame::METHOD => matches!(frame.payload, [0, 60, 0, 40 | 80 | 90 | 120, ..]),
            _ => true,
        }
    }

    /// Turns what was gathered into calls; whether there was anything.
    pub(super) fn flush(&mut self, now: Now) -> bool {
        if self.dirty.is_none() && self.settling.is_empty() {
            return false;
        }
        self.flush_publishing(now);
        self.flush_settling();
        !self.calls.is_idle()
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let number = frame.channel;
        if number == 0 {
            return self.connection_frame(&frame, effects);
        }
        if frame.kind == frame::HEARTBEAT {
            let text = "type 8, all octets = <<>>";
            return Err(Exception::new(505, (0, 0), text));
        }
        let content = match self.channels.get(&number) {
            Some(Slot::Open(channel)) => channel.publishing.content,
            Some(Slot::Closing(_)) => return self.frame_while_closing(&frame, effects),
            None => return self.first_frame(&frame),
        };
        match (frame.kind, content) {
            (frame::METHOD, Content::None) => {
                let method = decoded(&frame)?;
                self.method(number, method, now, effects)
            }
            (frame::HEADER, Content::Header) => self.content_header(number, frame.payload, now),
            (frame::BODY, Content::Body(_)) => self.content_body(number, frame.payload, now),
            (_, content) => Err(unexpected(content)),
        }
    }

    fn connection_frame(
        &mut self,
        frame: &Frame<'_>,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        if frame.kind == frame::HEARTBEAT {
            return Ok(());
        }
        if frame.kind != frame::METHOD {
            let text = format_args!("type {}, all octets = <<>>", frame.kind);
            return Err(Exception::new(505, (0, 0), text));
        }
        let method = decoded(frame)?;
        match method {
            Method::ConnectionClose { .. } => {
                Method::ConnectionCloseOk {}.write(0, &mut effects.out);
                self.taking = Taking::Nothing;
                Ok(())
            }
            Method::ConnectionUpdateSecret { secret, .. } => {
                // What is no text is no secret of anybody's.
                let secret = String::from_utf8_lossy(secret.0).into_owned();
                self.calls.push(Call::RenewLogin { secret }, Then::Renewed);
                Ok(())
            }
            _ => {
                let text = "unexpected method in connection state running";
                Err(Exception::new(504, method.id(), text))
            }
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
        let out = &mut effects.out;
        match method {
            Method::BasicPublish {
                exchange,
                routing_key,
                bits,
                ..
            } => return self.publish(number, exchange, routing_key, bits, now),
            Method::BasicAck { delivery_tag, bits } => {
                let multiple = bits & bit::MULTIPLE != 0;
                let outcome = Outcome::Accept;
                return self.acknowledge(number, delivery_tag, multiple, outcome, about);
            }
            Method::BasicNack { delivery_tag, bits } => {
                let outcome = match bits & bit::NACK_REQUEUE {
                    0 => Outcome::Reject,
                    _ => Outcome::Release,
                };
                let multiple = bits & bit::MULTIPLE != 0;
                return self.acknowledge(number, delivery_tag, multiple, outcome, about);
            }
            Method::BasicReject { delivery_tag, bits } => {
                // To reject is to have failed at it; to nack may be to give back.
                let outcome = match bits & bit::REQUEUE {
                    0 => Outcome::Reject,
                    _ => Outcome::Fail,
                };
                return self.acknowledge(number, delivery_tag, false, outcome, about);
            }
            Method::BasicQos {
                prefetch_size,
                prefetch_count,
                bits,
            } => {
                let global = bits & bit::QOS_GLOBAL != 0;
                return self.qos(number, prefetch_size, prefetch_count, global, effects);
            }
            Method::BasicConsume {
                queue,
                consumer_tag,
                bits,
                arguments,
                ..
            } => return self.consume(number, queue, consumer_tag, bits, arguments),
            Method::BasicCancel { consumer_tag, bits } => {
                self.cancel(number, consumer_tag, bits & bit::NO_WAIT != 0, effects);
            }
            // The answer to a cancel of ours.
            Method::BasicCancelOk { .. } => {}
            Method::BasicGet { queue, bits, .. } => return self.get(number, queue, bits),
            Method::BasicRecover { bits } | Method::BasicRecoverAsync { bits } => {
                return self.recover(number, bits & bit::REQUEUE != 0, about, effects);
            }
            Method::ConfirmSelect { bits } => {
                if let Some(channel) = self.channel(number) {
                    if channel.tx.is_some() {
                        let text = "cannot switch from tx to confirm mode";
                        return Err(Exception::new(406, about, text));
                    }
                    channel.confirms.get_or_insert_default();
                }
                if bits & bit::NO_WAIT == 0 {
                    Method::ConfirmSelectOk {}.write(number, out);
                }
            }
            Method::ChannelClose { .. } => self.leave_channel(number, about, effects),
            Method::ChannelFlow { bits } if bits & bit::ACTIVE != 0 => {
                Method::ChannelFlowOk { bits: bit::ACTIVE }.write(number, out);
            }
            Method::ChannelFlow { .. } => return Err(Exception::new(540, about, "active=false")),
            Method::ChannelOpen { .. } => {
                return Err(Exception::new(504, about, "second 'channel.open' seen"));
            }
            Method::AccessRequest { .. } => {
                Method::AccessRequestOk { ticket: 1 }.write(number, out);
            }
            Method::ExchangeDeclare { .. }
            | Method::ExchangeDelete { .. }
            | Method::ExchangeBind { .. }
            | Method::ExchangeUnbind { .. } => return self.on_exchange(number, method),
            Method::QueueDeclare { .. }
            | Method::QueueBind { .. }
            | Method::QueueUnbind { .. }
            | Method::QueuePurge { .. }
            | Method::QueueDelete { .. } => return self.on_queue(number, method, effects),
            Method::TxSelect {} | Method::TxCommit {} | Method::TxRollback {} => {
                return self.tx(number, method, effects);
            }
            _ => return Err(Exception::new(503, about, "unimplemented method")),
        }
        Ok(())
    }

    /// Publishers are held back, or no longer.
    pub fn blocked(&mut self, reason: Option<&str>, now: Now, effects: &mut Effects) {
        self.heart.hold_back(reason.is_some(), now);
        if !self.agreed.can.blocked || self.told_blocked == reason.is_some() {
            return;
        }
        self.told_blocked = reason.is_some();
        match reason {
            Some(reason) => {
                let reason = &reason[..reason.floor_char_boundary(255)];
                Method::ConnectionBlocked { reason }.write(0, &mut effects.out);
            }
            None => Method::ConnectionUnblocked {}.write(0, &mut effects.out),
        }
    }

    pub fn has_sent(&mut self, now: Now) {
        self.heart.has_sent(now);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.heart.deadline()
    }

    pub fn timeout(&mut self, now: Now, effects: &mut Effects) {
        match self.heart.due(now) {
            Due::Nothing => {}
            Due::Beat => frame::write(frame::HEARTBEAT, 0, &mut effects.out, |_| ()),
            Due::Dead => effects.close = Some(Close::Now),
        }
    }
}

fn decoded<'a>(frame: &Frame<'a>) -> Result<Method<'a>, Exception> {
    Method::decode(frame.payload).map_err(|malformed| method_malformed(malformed, frame.payload))
}

fn unexpected(due: Content) -> Exception {
    let (about, text) = match due {
        Content::None => (
            (0, 0),
            "expected method frame, got non method frame instead",
        ),
        Content::Header => (
            PUBLISH,
            "expected content header for class 60, got non content header frame instead",
        ),
        Content::Body(_) => (
            PUBLISH,
            "expected content body, got non content body frame instead",
        ),
    };
    Exception::new(505, about, text)
}

const PUBLISH: MethodId = (60, 40);
