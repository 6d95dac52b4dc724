//! One client's conversation, from protocol header to goodbye.
//!
//! Stages accept different inputs, so they are different types, consumed by value:
//! [`handshake`]'s until the connection is open, then [`open::Open`], then
//! [`closing::Closing`], which waits for the client's close-ok.
//!
//! Reading order: [`handshake`], [`greeting`]; [`open`] (frames in, one call at a time
//! out), [`calls`] (what waits to be asked), [`answers`] (what they mean), [`channel`]; then a
//! file per conversation: [`publish`], [`rules`] and [`confirm`], [`consume`], [`replies`], [`deliver`], [`get`],
//! [`settle`] and [`unsettled`], [`tx`], [`declare`]; [`describe`]; [`heart`], [`closing`].

mod handshake;

mod greeting;

mod open;

mod calls;

mod answers;

mod channel;

mod publish;

mod rules;

mod confirm;

mod consume;

mod replies;

mod name;

mod deliver;

mod get;

mod settle;

mod unsettled;

mod tx;

mod declare;

mod describe;

mod heart;

mod closing;

use std::time::{Duration, Instant};

use bongsu_engine::session::describe::Description;
use bongsu_engine::session::{Close, Effects, Input, LinkId, Now, Reply};

use crate::errors::Exception;

use closing::Closing;
use handshake::Handshake;
use open::Open;

/// What the server offers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest frame, 4096 or more.
    pub frame_bytes_max: u32,
    /// Most channels, 1 or more.
    pub channel_max: u16,
    /// Heartbeat proposed, in seconds; 0 = none.
    pub heartbeat_s: u16,
    /// Largest message.
    pub message_bytes_max: u64,
    /// The client has shown a certificate that is somebody's.
    pub certified: bool,
    /// Time from the connection to `connection.open`.
    pub handshake_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            frame_bytes_max: 131_072,
            channel_max: 2047,
            heartbeat_s: 60,
            message_bytes_max: 16 << 20,
            certified: false,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// See the module's comment.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    seed: u64,
    handshake_until: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Handshake(Handshake),
    Open(Box<Open>),
    Closing(Closing),
    Closed,
}

impl Session {
    /// A session that awaits the protocol header from `now` on. `seed` should differ
    /// between sessions: names of consumers that the server makes up are derived from it.
    pub fn new(settings: Settings, seed: u64, now: Instant) -> Session {
        Session {
            handshake_until: now + settings.handshake_timeout,
            settings,
            seed,
            stage: Stage::Handshake(Handshake::default()),
        }
    }

    fn bytes(&mut self, bytes: &[u8], now: Now, effects: &mut Effects) -> usize {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Handshake(handshake) => match handshake.bytes(bytes, &self.settings, effects) {
                Ok((next, used)) => {
                    self.stage = next;
                    used
                }
                Err(exception) => {
                    self.fail(&exception, Vec::new(), now, effects);
                    bytes.len()
                }
            },
            Stage::Open(mut open) => match open.bytes(bytes, now, effects) {
                Ok(used) => {
                    self.go_on(open, effects);
                    used
                }
                Err(exception) => {
                    self.fail(&exception, open.into_links(), now, effects);
                    bytes.len()
                }
            },
            Stage::Closing(mut closing) => {
                let used = closing.bytes(bytes, self.settings.frame_bytes_max);
                self.wait_on(closing, effects);
                used
            }
            Stage::Closed => bytes.len(),
        }
    }

    fn reply(&mut self, reply: Reply, now: Now, effects: &mut Effects) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Handshake(handshake) => {
                match handshake.reply(&reply, &self.settings, self.seed, now, effects) {
                    Ok(next) => self.stage = next,
                    Err(exception) => self.fail(&exception, Vec::new(), now, effects),
                }
            }
            Stage::Open(mut open) => match open.reply(reply, now, effects) {
                Ok(()) => self.go_on(open, effects),
                Err(exception) => self.fail(&exception, open.into_links(), now, effects),
            },
            Stage::Closing(mut closing) => {
                closing.release(effects);
                self.wait_on(closing, effects);
            }
            Stage::Closed => {}
        }
    }

    fn go_on(&mut self, open: Box<Open>, effects: &mut Effects) {
        if open.has_left() {
            effects.close = Some(Close::Flushed);
        } else {
            self.stage = Stage::Open(open);
        }
    }

    fn wait_on(&mut self, closing: Closing, effects: &mut Effects) {
        if closing.is_over() {
            effects.close = Some(Close::Flushed);
        } else {
            self.stage = Stage::Closing(closing);
        }
    }

    /// Ends the connection with an exception. Its links are closed at once, so that
    /// nothing more is lent to a client that will not hear of it.
    fn fail(&mut self, exception: &Exception, links: Vec<LinkId>, now: Now, effects: &mut Effects) {
        let mut closing = Closing::new(exception, links, now, effects);
        closing.release(effects);
        self.stage = Stage::Closing(closing);
    }

    /// Ends the connection for a reason that is not the client's.
    fn force(&mut self, reason: &str, now: Now, effects: &mut Effects) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Open(open) => {
                let exception = Exception::new(320, (0, 0), reason);
                self.fail(&exception, open.into_links(), now, effects);
            }
            Stage::Closing(closing) => self.stage = Stage::Closing(closing),
            Stage::Handshake(_) | Stage::Closed => effects.close = Some(Close::Flushed),
        }
    }

    fn timeout(&mut self, now: Now, effects: &mut Effects) {
        match &mut self.stage {
            Stage::Handshake(_) if self.handshake_until <= now.instant => {
                effects.close = Some(Close::Flushed);
            }
            Stage::Open(open) => open.timeout(now, effects),
            Stage::Closing(closing) if closing.until() <= now.instant => {
                effects.close = Some(Close::Flushed);
            }
            _ => {}
        }
    }
}

impl bongsu_engine::session::Session for Session {
    fn handle(&mut self, input: Input<'_>, now: Now, effects: &mut Effects) -> usize {
        let out_before = effects.out.len();
        let mut used = 0;
        match (input, &mut self.stage) {
            (Input::Bytes(bytes), _) => used = self.bytes(bytes, now, effects),
            (Input::Reply(reply), _) => self.reply(reply, now, effects),
            (Input::Timeout, _) => self.timeout(now, effects),
            (Input::Stop, _) => self.force(SHUTDOWN, now, effects),
            (Input::Evict(reason), _) => self.force(reason, now, effects),
            (Input::Deliver(deliveries), Stage::Open(open)) => open.deliver(deliveries, effects),
            (Input::Durable(lsn), Stage::Open(open)) => open.durable(lsn, effects),
            (Input::LinkClosed(link), Stage::Open(open)) => open.link_closed(link, effects),
            (Input::Blocked(reason), Stage::Open(open)) => open.blocked(reason, now, effects),
            (_, _) => {}
        }
        if let Stage::Open(open) = &mut self.stage
            && effects.out.len() > out_before
        {
            open.has_sent(now);
        }
        used
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Handshake(_) => Some(self.handshake_until),
            Stage::Open(open) => open.deadline(),
            Stage::Closing(closing) => Some(closing.until()),
            Stage::Closed => None,
        }
    }

    fn describe(&self) -> Description {
        match &self.stage {
            Stage::Open(open) => open.describe(),
            Stage::Handshake(_) | Stage::Closing(_) | Stage::Closed => Description::default(),
        }
    }
}

const SHUTDOWN: &str = "broker forced connection closure with reason 'shutdown'";

#[cfg(test)]
mod tests;
