//! One client's connection.
//!
//! Requests are answered in their order. One that needs the broker makes a call and says
//! how to go on with its reply ([`Session::call`]); nothing further is looked at until
//! then. An answer may have to wait until what it confirms is durable
//! ([`Session::respond_after`]); requests behind it go on meanwhile, and their answers
//! queue behind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use bongsu_engine::session::describe::Description;
use bongsu_engine::session::{Attached, Call, Close, Effects, Input, Now, Reply};
use bongsu_record::Lsn;

use crate::api;
use crate::frame::Frames;
use crate::honest;

pub(crate) mod access;
pub(crate) mod cluster;
pub(crate) mod configs;
pub(crate) mod consumer_groups;
mod describe;
pub(crate) mod fetch;
pub(crate) mod group_configs;
pub(crate) mod groups;
pub(crate) mod metadata;
pub(crate) mod offsets;
pub(crate) mod produce;
pub(crate) mod sasl;
pub(crate) mod share;
pub(crate) mod topics;
pub(crate) mod transactions;
pub(crate) mod versions;

/// What a session is told when it begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number by which the cluster knows this broker.
    pub node_id: i32,
    /// Where clients are told to find this broker.
    pub advertised_host: String,
    /// Its port.
    pub advertised_port: u16,
    /// Largest request.
    pub request_bytes_max: usize,
    /// Most bytes that a compressed batch may become.
    pub decompressed_bytes_max: usize,
    /// A client that asks nothing for so long is sent away.
    pub idle: Duration,
    /// The space that its clients work in.
    pub space: String,
    /// The broker's settings, for those who ask for its configuration.
    pub configs: Arc<[configs::BrokerConfig]>,
}

/// See the module's comment.
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    frames: Frames,
    stage: Stage,
    /// How to go on with the reply to the call that is out.
    then: Option<Then>,
    /// Answers that wait, in order.
    held: VecDeque<Held>,
    durable: Lsn,
    pub(crate) fetches: fetch::Sessions,
    login: sasl::Login,
    /// What the client called itself last.
    client: Arc<str>,
    introduced: describe::Introduced,
    asked: Instant,
}

/// How to go on with a reply.
pub(crate) type Then = Box<dyn FnOnce(&mut Session, Reply, Now, &mut Effects) + Send>;

#[derive(Debug)]
enum Stage {
    /// Nobody has logged in.
    New,
    Ready,
    /// Nothing more is read: the answer comes, and then the end.
    Refused(sasl::Refused),
}

#[derive(Debug)]
struct Held {
    after: Lsn,
    out: Vec<u8>,
    attached: Vec<Attached>,
}

/// Which request is being answered.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// A request that cannot be read: the connection ends, as with Kafka.
#[derive(Debug)]
pub(crate) struct Malformed;

impl Session {
    /// A client has connected.
    pub fn new(settings: Arc<Settings>, seed: u64, now: Instant) -> Session {
        Session {
            settings,
            frames: Frames::default(),
            stage: Stage::New,
            then: None,
            held: VecDeque::new(),
            durable: Lsn(0),
            fetches: fetch::Sessions::new(seed),
            login: sasl::Login::default(),
            client: Arc::default(),
            introduced: describe::Introduced::default(),
            asked: now,
        }
    }

    /// What the client calls itself.
    pub(crate) fn client_name(&mut self, head: &Head) -> Arc<str> {
        let says = head.client_id.as_deref().unwrap_or_default();
        if *self.client != *says {
            self.client = Arc::from(says);
        }
        self.client.clone()
    }

    /// Says how clients have to say who they are.
    #[must_use]
    pub fn with_logins(mut self, logins: sasl::Logins) -> Session {
        self.login.settings = logins;
        self
    }

    /// The client has shown a certificate that is somebody's: it need not log in otherwise.
    #[must_use]
    pub fn with_certificate(mut self, certified: bool) -> Session {
        self.login.certified = certified;
        self
    }

    fn frame(&mut self, frame: Bytes, now: Now, effects: &mut Effects) -> Result<(), Malformed> {
        if matches!(self.stage, Stage::Refused(_)) {
            return Ok(());
        }
        if self.login.is_bare() {
            sasl::bare(self, &frame, now, effects);
            return Ok(());
        }
        let mut body = frame.clone();
        let start: [u8; 4] = frame
            .get(..4)
            .and_then(|b| b.try_into().ok())
            .ok_or(Malformed)?;
        let key = i16::from_be_bytes([start[0], start[1]]);
        let version = i16::from_be_bytes([start[2], start[3]]);
        let api = api::find(key).ok_or(Malformed)?;
        if version < api.min || version > api.max {
            if api.key == ApiKey::ApiVersions {
                return versions::refuse(self, &frame, effects);
            }
            return Err(Malformed);
        }
        let head_version = api.key.request_header_version(version);
        honest::header(head_version >= 2, &body).map_err(|_| Malformed)?;
        let header = RequestHeader::decode(&mut body, head_version).map_err(|_| Malformed)?;
        let head = Head {
            key: api.key,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
        };
        self.comes_from(head.client_id.as_ref(), effects);
        if !sasl::is_login(api.key) && self.login.bars(&self.stage, now.instant) {
            return Err(Malformed);
        }
        match self.stage {
            Stage::New if !api.before_login => {
                self.log_in(frame, effects);
                Ok(())
            }
            _ => (api.handler)(self, head, body, now, effects),
        }
    }

    /// A client that does not say who it is comes in as whom its certificate says, or as
    /// nobody in particular, and its request goes on then.
    fn log_in(&mut self, frame: Bytes, effects: &mut Effects) {
        let login = match self.login.certified {
            true => Call::LoginExternal,
            false => Call::LoginAnonymous,
        };
        self.call(effects, login, move |session, reply, _, effects| {
            if !matches!(reply, Reply::Done | Reply::Entered { .. }) {
                effects.close = Some(Close::Now);
                return;
            }
            let space = Call::EnterSpace {
                space: session.settings.space.clone(),
            };
            session.call(effects, space, move |session, reply, now, effects| {
                if !matches!(reply, Reply::Done) {
                    effects.close = Some(Close::Now);
                    return;
                }
                session.stage = Stage::Ready;
                if session.frame(frame, now, effects).is_err() {
                    effects.close = Some(Close::Now);
                }
            });
        });
    }

    /// Asks the broker; `then` goes on with its reply.
    pub(crate) fn call(
        &mut self,
        effects: &mut Effects,
        call: Call,
        then: impl FnOnce(&mut Session, Reply, Now, &mut Effects) + Send + 'static,
    ) {
        effects.call = Some(call);
        self.then = Some(Box::new(then));
    }

    /// Answers a request.
    pub(crate) fn respond<R: Encodable>(
        &mut self,
        head: &Head,
        response: &R,
        effects: &mut Effects,
    ) {
        self.respond_after(None, head, response, effects);
    }

    /// Answers a request once everything up to `after` is durable.
    pub(crate) fn respond_after<R: Encodable>(
        &mut self,
        after: Option<Lsn>,
        head: &Head,
        response: &R,
        effects: &mut Effects,
    ) {
        let after = after.unwrap_or(Lsn(0));
        let held = after > self.durable || !self.held.is_empty();
        let mut out = match held {
            true => Vec::new(),
            false => std::mem::take(&mut effects.out),
        };
        let start = out.len();
        let encoded = begin(head, &mut out).and_then(|()| {
            response
                .encode(&mut out, head.version)
                .map_err(|_| Malformed)
        });
        if encoded.is_err() {
            // What we wanted to say does not exist in this version: our mistake.
            out.truncate(start);
            effects.close = Some(Close::Now);
        } else {
            end(start, 0, &mut out);
        }
        match held {
            true => self.hold(after, out, Vec::new(), effects),
            false => effects.out = out,
        }
    }

    /// Answers a request with bytes that were encoded elsewhere, `attached` among them.
    pub(crate) fn respond_encoded(
        &mut self,
        out: Vec<u8>,
        attached: Vec<Attached>,
        effects: &mut Effects,
    ) {
        if self.held.is_empty() {
            send(&out, attached, effects);
        } else {
            self.hold(Lsn(0), out, attached, effects);
        }
    }

    fn hold(&mut self, after: Lsn, out: Vec<u8>, attached: Vec<Attached>, effects: &mut Effects) {
        self.held.push_back(Held {
            after,
            out,
            attached,
        });
        if self.held.len() >= HELD_MAX && self.then.is_none() && effects.call.is_none() {
            // Whoever asks faster than the disk answers waits here.
            let last = self.held.iter().map(|held| held.after).max();
            let wait = Call::AwaitDurable(last.unwrap_or_default());
            self.call(effects, wait, |_, _, _, _| {});
        }
    }

    fn on_durable(&mut self, durable: Lsn, effects: &mut Effects) {
        self.durable = durable.max(self.durable);
        while let Some(first) = self.held.front() {
            if first.after > self.durable {
                return;
            }
            if let Some(held) = self.held.pop_front() {
                send(&held.out, held.attached, effects);
            }
        }
    }
}

impl bongsu_engine::session::Session for Session {
    fn handle(&mut self, input: Input<'_>, now: Now, effects: &mut Effects) -> usize {
        match input {
            Input::Bytes(bytes) => {
                self.asked = now.instant;
                let taken = self.frames.take(bytes, self.settings.request_bytes_max);
                let Ok((used, frame)) = taken else {
                    effects.close = Some(Close::Now);
                    return bytes.len();
                };
                if let Some(frame) = frame
                    && self.frame(frame, now, effects).is_err()
                {
                    effects.close = Some(Close::Flushed);
                }
                return used;
            }
            Input::Reply(reply) => {
                self.asked = now.instant;
                if let Some(then) = self.then.take() {
                    then(self, reply, now, effects);
                }
            }
            Input::Durable(lsn) => self.on_durable(lsn, effects),
            Input::Timeout => {
                if let Stage::Refused(refused) = &mut self.stage {
                    if now.instant >= refused.at {
                        effects.out.append(&mut refused.out);
                        effects.close = Some(Close::Flushed);
                    }
                    return 0;
                }
                if now.instant >= self.asked + self.settings.idle && self.then.is_none() {
                    effects.close = Some(Close::Now);
                }
            }
            Input::Stop | Input::Evict(_) => effects.close = Some(Close::Flushed),
            // No links are opened, and who is held back is not told: its answers wait.
            Input::Deliver(_) | Input::LinkClosed(_) | Input::Blocked(_) => {}
        }
        0
    }

    fn deadline(&self) -> Option<Instant> {
        if let Stage::Refused(refused) = &self.stage {
            return Some(refused.at);
        }
        // Whoever waits for an answer is not idle.
        self.then.is_none().then(|| self.asked + self.settings.idle)
    }

    fn describe(&self) -> Description {
        self.described()
    }
}

/// Decodes a request's body.
pub(crate) fn decoded<R: Decodable>(head: &Head, body: &mut Bytes) -> Result<R, Malformed> {
    honest::request(head.key as i16, head.version, body).map_err(|_| Malformed)?;
    R::decode(body, head.version).map_err(|_| Malformed)
}

/// Begins an answer: room for its length, then its header.
pub(crate) fn begin(head: &Head, out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.extend_from_slice(&[0; 4]);
    let header = ResponseHeader::default().with_correlation_id(head.correlation_id);
    let version = head.key.response_header_version(head.version);
    header.encode(out, version).map_err(|_| Malformed)
}

/// Ends the answer that begins at `start`, to which `attached` bytes belong.
pub(crate) fn end(start: usize, attached: usize, out: &mut [u8]) {
    let length = out.len() - start - 4 + attached;
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn send(out: &[u8], attached: Vec<Attached>, effects: &mut Effects) {
    let start = effects.out.len();
    effects.out.extend_from_slice(out);
    let attached = attached.into_iter().map(|attached| Attached {
        at: attached.at + start,
        bytes: attached.bytes,
    });
    effects.attached.extend(attached);
}

/// Answers that wait for the disk, on one connection.
const HELD_MAX: usize = 1024;
