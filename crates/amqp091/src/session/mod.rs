//! One client's conversation, from protocol header to goodbye.
//!
//! Stages accept different inputs, so they are different types: [`handshake`] until the
//! connection is open, then [`open::Open`], then [`Stage::Closing`], which waits for the
//! client's close-ok. Reading order: [`handshake`], [`open`] (frames in), [`gather`] (runs
//! of frames become calls), [`answer`] (replies, and what the client is told), [`channel`];
//! then the conversations: [`publish`], [`consume`], [`declare`].

mod handshake;

mod open;

mod gather;

mod answer;

mod channel;

mod publish;

mod consume;

mod declare;

mod name;

use std::time::{Duration, Instant};

use bongsu_engine::session::{Close, Effects, Input, Now};

use crate::codec::frame;
use crate::codec::method::Method;
use crate::errors::Exception;

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
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// See the module's comment.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    seed: u64,
    stage: Stage,
    /// When something arrived last, and when something was sent.
    received: Option<Instant>,
    sent: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    Handshake(Handshake),
    Open(Box<Open>),
    /// We sent connection.close and wait, not for ever, for close-ok.
    Closing {
        until: Option<Instant>,
    },
    Closed,
}

/// How long a client has to answer connection.close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Session {
    /// A session that awaits the protocol header. `seed` should differ between sessions:
    /// names of consumers the server makes up are derived from it.
    pub fn new(settings: Settings, seed: u64) -> Session {
        Session {
            settings,
            seed,
            stage: Stage::Handshake(Handshake::default()),
            received: None,
            sent: None,
        }
    }

    fn bytes(&mut self, bytes: &[u8], now: Now, effects: &mut Effects) -> usize {
        match &mut self.stage {
            Stage::Handshake(handshake) => match handshake.bytes(bytes, &self.settings, effects) {
                handshake::Step::Used(used) => used,
                handshake::Step::Failed(exception) => {
                    self.fail(&exception, now, effects);
                    bytes.len()
                }
                handshake::Step::Gone => {
                    self.stage = Stage::Closed;
                    effects.close = Some(Close::Flushed);
                    bytes.len()
                }
            },
            Stage::Open(open) => match open.bytes(bytes, now, effects) {
                Ok(used) => {
                    if open.closed {
                        self.stage = Stage::Closed;
                        effects.close = Some(Close::Flushed);
                    }
                    used
                }
                Err(exception) => {
                    self.fail(&exception, now, effects);
                    bytes.len()
                }
            },
            Stage::Closing { .. } => self.closing(bytes, effects),
            Stage::Closed => bytes.len(),
        }
    }

    /// Passes over everything until close-ok.
    fn closing(&mut self, bytes: &[u8], effects: &mut Effects) -> usize {
        let mut used = 0;
        loop {
            match frame::scan(&bytes[used..], self.settings.frame_bytes_max as usize) {
                Ok(Some((frame, length))) => {
                    used += length;
                    let method = Method::decode(frame.payload);
                    // Both may have closed at once: then theirs is as good as an answer.
                    if frame.kind == frame::METHOD
                        && frame.channel == 0
                        && matches!(
                            method,
                            Ok(Method::ConnectionCloseOk {} | Method::ConnectionClose { .. })
                        )
                    {
                        self.stage = Stage::Closed;
                        effects.close = Some(Close::Flushed);
                        return bytes.len();
                    }
                }
                Ok(None) => return used,
                // Not frames; where the next one begins cannot be known.
                Err(_) => return bytes.len(),
            }
        }
    }

    /// Ends the connection with an exception.
    fn fail(&mut self, exception: &Exception, now: Now, effects: &mut Effects) {
        let (class, method) = exception.about;
        effects.call = None;
        Method::ConnectionClose {
            code: exception.code,
            text: &exception.text,
            class,
            method,
        }
        .write(0, &mut effects.out);
        self.stage = Stage::Closing {
            until: Some(now.instant + CLOSE_TIMEOUT),
        };
    }

    fn timeout(&mut self, now: Now, effects: &mut Effects) {
        match &self.stage {
            Stage::Handshake(_) => {
                let limit = self.received.map(|at| at + self.settings.handshake_timeout);
                if limit.is_some_and(|limit| limit <= now.instant) {
                    effects.close = Some(Close::Flushed);
                }
            }
            Stage::Open(open) => {
                let Some(interval) = open.heartbeat() else {
                    return;
                };
                let past = |at: Option<Instant>, after: Duration| {
                    at.is_some_and(|at| at + after <= now.instant)
                };
                if past(self.received, interval * 2) {
                    effects.close = Some(Close::Now);
                } else if past(self.sent, interval / 2) {
                    frame::write(frame::HEARTBEAT, 0, &mut effects.out, |_| ());
                }
            }
            Stage::Closing { until } => {
                if until.is_some_and(|until| until <= now.instant) {
                    effects.close = Some(Close::Flushed);
                }
            }
            Stage::Closed => {}
        }
    }
}

impl bongsu_engine::session::Session for Session {
    fn handle(&mut self, input: Input<'_>, now: Now, effects: &mut Effects) -> usize {
        let out_before = effects.out.len();
        // The handshake's time runs from the first input; heartbeats from the last.
        if self.received.is_none()
            || (matches!(input, Input::Bytes(_)) && matches!(self.stage, Stage::Open(_)))
        {
            self.received = Some(now.instant);
        }
        let mut used = 0;
        match (input, &mut self.stage) {
            (Input::Bytes(bytes), _) => used = self.bytes(bytes, now, effects),
            (Input::Timeout, _) => self.timeout(now, effects),
            (Input::Stop, Stage::Open(_)) => {
                let reason = "broker forced connection closure with reason 'shutdown'";
                self.fail(&Exception::new(320, (0, 0), reason), now, effects);
            }
            (Input::Stop, _) => effects.close = Some(Close::Flushed),
            (Input::Reply(reply), Stage::Handshake(handshake)) => {
                match handshake.reply(&reply, &self.settings, effects) {
                    handshake::Replied::Go => {}
                    handshake::Replied::Opened(agreed) => {
                        self.stage =
                            Stage::Open(Box::new(Open::new(agreed, &self.settings, self.seed)));
                        self.received = Some(now.instant);
                    }
                    handshake::Replied::Failed(exception) => {
                        self.fail(&exception, now, effects);
                    }
                    handshake::Replied::Gone => effects.close = Some(Close::Flushed),
                }
            }
            (Input::Reply(reply), Stage::Open(open)) => {
                if let Err(exception) = open.reply(reply, now, effects) {
                    self.fail(&exception, now, effects);
                } else if open.closed {
                    self.stage = Stage::Closed;
                    effects.close = Some(Close::Flushed);
                }
            }
            (Input::Deliver(deliveries), Stage::Open(open)) => open.deliver(deliveries, effects),
            (Input::Durable(lsn), Stage::Open(open)) => open.durable(lsn, effects),
            (Input::LinkClosed(link), Stage::Open(open)) => open.link_closed(link, effects),
            (Input::Blocked(reason), Stage::Open(open)) => open.blocked(reason, effects),
            (_, _) => {}
        }
        if effects.out.len() > out_before {
            self.sent = Some(now.instant);
        }
        used
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Handshake(_) => self.received.map(|at| at + self.settings.handshake_timeout),
            Stage::Open(open) => {
                let interval = open.heartbeat()?;
                let silent = self.received.map(|at| at + interval * 2);
                let owed = self.sent.map(|at| at + interval / 2);
                silent.into_iter().chain(owed).min()
            }
            Stage::Closing { until } => *until,
            Stage::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests;
