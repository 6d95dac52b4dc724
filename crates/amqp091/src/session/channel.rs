//! One channel: open, closing, closed.

use std::collections::BTreeMap;

use bongsu_engine::session::describe::ChannelCounts;
use bongsu_engine::session::{Call, Effects, LinkId};

use super::calls::{Answer, Then};
use super::confirm::Confirms;
use super::consume::Link;
use super::open::Open;
use super::publish::Publishing;
use super::tx::Transaction;
use super::unsettled::Unsettled;
use crate::codec::frame::{self, Frame};
use crate::codec::method::Method;
use crate::errors::{Exception, MethodId, method_malformed};

/// A channel number in use.
#[derive(Debug)]
pub(super) enum Slot {
    Open(Box<Channel>),
    Closing(Closing),
}

/// An open channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Prefetch of consumers to come; 0 = none.
    pub prefetch: u16,
    /// What its consumers may hold together: the limit of the channel's pool; 0 = none.
    pub prefetch_of_all: u16,
    pub consumers: BTreeMap<String, LinkId>,
    /// Where direct replies come in, and what the queue for them is called.
    pub replies: Option<(LinkId, String)>,
    /// Links that only get, by queue.
    pub getters: BTreeMap<String, LinkId>,
    /// Consumer tags the server made up.
    pub tags_made: u64,
    /// Tag of the last delivery.
    pub last_tag: u64,
    pub unsettled: Unsettled,
    /// Name that the last declare answered with: what an empty queue name means.
    pub last_queue: Option<String>,
    pub publishing: Publishing,
    pub confirms: Option<Confirms>,
    /// In tx mode.
    pub tx: Option<Transaction>,
    /// What happened on it.
    pub counts: ChannelCounts,
}

/// We sent channel.close: frames are passed over until close-ok.
#[derive(Debug)]
pub(super) enum Closing {
    /// Nothing came yet.
    Unanswered,
    /// The client closed at the same time. Its close was answered; ours should be, but the
    /// number may also be opened again.
    Crossed,
}

impl Slot {
    pub fn open_mut(&mut self) -> Option<&mut Channel> {
        match self {
            Slot::Open(channel) => Some(channel),
            Slot::Closing(_) => None,
        }
    }

    pub fn publishing(&self) -> Option<&Publishing> {
        match self {
            Slot::Open(channel) => Some(&channel.publishing),
            Slot::Closing(_) => None,
        }
    }
}

impl Open {
    /// A channel that is open.
    pub(super) fn channel(&mut self, number: u16) -> Option<&mut Channel> {
        self.channels.get_mut(&number)?.open_mut()
    }

    /// A frame on a channel that is not there: it must open it.
    pub(super) fn first_frame(&mut self, frame: &Frame<'_>) -> Result<(), Exception> {
        let opened = self.channels.len();
        let channel_max = self.agreed.channel_max;
        if opened >= usize::from(channel_max) {
            let text = format_args!(
                "number of channels opened ({opened}) has reached the negotiated channel_max \
                 ({channel_max})"
            );
            return Err(Exception::new(530, (0, 0), text));
        }
        if frame.kind != frame::METHOD {
            let text = "expected method frame, got non method frame instead";
            return Err(Exception::new(505, (0, 0), text));
        }
        let method = Method::decode(frame.payload)
            .map_err(|malformed| method_malformed(malformed, frame.payload))?;
        let Method::ChannelOpen { .. } = method else {
            return Err(Exception::new(504, method.id(), "expected 'channel.open'"));
        };
        let channel = Slot::Open(Box::default());
        self.channels.insert(frame.channel, channel);
        let call = Call::OpenChannel {
            channel: u32::from(frame.channel),
        };
        let answer = Some(Answer::ChannelOpen);
        self.ask(frame.channel, OPEN, None, call, answer);
        Ok(())
    }

    /// A frame on a channel that we closed. Only methods about closing are heard.
    pub(super) fn frame_while_closing(
        &mut self,
        frame: &Frame<'_>,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        if frame.kind != frame::METHOD {
            return Ok(());
        }
        let crossed = matches!(
            self.channels.get(&frame.channel),
            Some(Slot::Closing(Closing::Crossed))
        );
        match Method::decode(frame.payload) {
            Ok(Method::ChannelCloseOk {}) => {
                self.channels.remove(&frame.channel);
                Ok(())
            }
            Ok(Method::ChannelClose { .. }) => {
                Method::ChannelCloseOk {}.write(frame.channel, &mut effects.out);
                let crossed = Slot::Closing(Closing::Crossed);
                self.channels.insert(frame.channel, crossed);
                Ok(())
            }
            Ok(Method::ChannelOpen { .. }) if crossed => {
                self.channels.remove(&frame.channel);
                self.first_frame(frame)
            }
            _ => Ok(()),
        }
    }

    /// The client closes a channel: answered when everything of it was given back.
    pub(super) fn leave_channel(&mut self, number: u16, about: MethodId, effects: &mut Effects) {
        self.release(number);
        self.channels.remove(&number);
        let answer = Answer::ChannelClose;
        self.calls.finally(number, about, answer, &mut effects.out);
    }

    /// A channel exception: tell the client, give everything of the channel back.
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
        self.release(number);
        let closing = Slot::Closing(Closing::Unanswered);
        self.channels.insert(number, closing);
    }

    /// Calls that close every link of a channel and give its leases back.
    fn release(&mut self, number: u16) {
        // A settle that is gathered comes before the release that would undo it. What was
        // published has been flushed by whoever closes.
        self.flush_settling();
        let of_channel = |link: &Link| link.channel == number;
        let links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| of_channel(link))
            .map(|(id, _)| *id)
            .collect();
        for link in links {
            self.links.remove(&link);
            let release = true;
            let call = Call::CloseLink { link, release };
            self.calls.push(call, Then::Nothing);
        }
        // The number, and so the pool, may be used again.
        if self
            .channel(number)
            .is_some_and(|channel| channel.prefetch_of_all > 0)
        {
            let call = self.unlimited_pool(number);
            self.calls.push(call, Then::Nothing);
        }
        let call = Call::CloseChannel {
            channel: u32::from(number),
        };
        self.calls.push(call, Then::Nothing);
        self.unconfirmed.retain(|other| *other != number);
        if let Some(tx) = self.channel(number).and_then(|channel| channel.tx.take()) {
            self.in_transactions = self.in_transactions.less(tx.size());
        }
    }
}

const OPEN: MethodId = (20, 10);
