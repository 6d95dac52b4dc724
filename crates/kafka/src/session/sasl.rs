//! Logging in: SaslHandshake names a mechanism, SaslAuthenticate carries what is said.
//!
//! PLAIN is a name and a password; SCRAM proves the password without saying it ([`scram`]);
//! OAUTHBEARER is a token that somebody else has signed ([`bearer`]), and a login by it lasts
//! no longer than the token.
//! After a handshake of version 0, what is said comes in frames without a header, as clients
//! before Kafka 1.0 do it. Who is refused is told so after a while, the same whatever was
//! wrong, and is sent away. Who has logged in may have to do so again (KIP-368), as the same
//! user.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::access;
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};

use super::{Head, Malformed, Session, Stage, decoded};
use crate::errors::NONE;
use crate::errors::access::{
    ILLEGAL_SASL_STATE, SASL_AUTHENTICATION_FAILED, UNSUPPORTED_SASL_MECHANISM,
};

mod bearer;

mod scram;

use scram::{Exchange, First, Mechanism as Scram};

/// How clients have to say who they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logins {
    /// Nobody does anything without having logged in.
    pub required: bool,
    /// How long a login lasts; `None`: as long as the connection.
    pub lifetime: Option<Duration>,
    /// Tokens are taken.
    pub tokens: bool,
}

/// What is known of a client's login.
#[derive(Debug, Default)]
pub(crate) struct Login {
    pub(super) settings: Logins,
    chosen: Option<Chosen>,
    user: Option<String>,
    /// What let it in ends then, in Unix milliseconds.
    until_ms: Option<i64>,
    /// Its certificate says who it is.
    pub(super) certified: bool,
    /// It has to log in again by then.
    expires: Option<Instant>,
}

#[derive(Debug)]
struct Chosen {
    mechanism: Mechanism,
    /// What is said comes without a header.
    bare: bool,
    exchange: Option<Exchange>,
    /// A token was refused, and the client told why.
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Scram(Scram),
    Bearer,
}

/// Where an answer goes.
#[derive(Clone, Debug)]
enum Asked {
    Request(Head),
    Bare,
}

/// Whoever was refused is told so then.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(super) at: Instant,
    pub(super) out: Vec<u8>,
}

impl Login {
    /// What is said next comes without a header.
    pub(super) fn is_bare(&self) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| chosen.bare)
    }

    /// How long a login lasts from now on.
    fn lifetime(&self, now: Now) -> Option<Duration> {
        let left = self.until_ms.map(|until_ms| {
            let left_ms = until_ms.saturating_sub(now.unix_ms);
            Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
        });
        match (self.settings.lifetime, left) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Nothing else may be asked: a login has begun, is required, or is over.
    pub(super) fn bars(&self, stage: &Stage, now: Instant) -> bool {
        match stage {
            Stage::New => self.settings.required && !self.certified || self.chosen.is_some(),
            _ => self.expires.is_some_and(|expires| now > expires),
        }
    }
}

pub(crate) fn handshake(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: SaslHandshakeRequest = decoded(&head, &mut body)?;
    let login = &mut session.login;
    let wanted = request.mechanism.as_str();
    let found = login
        .settings
        .mechanisms()
        .find(|(name, _)| *name == wanted);
    let is_in = matches!(session.stage, Stage::Ready);
    let code = match found {
        // Who came in as nobody in particular stays it.
        _ if login.chosen.is_some() || is_in && login.user.is_none() => ILLEGAL_SASL_STATE,
        Some((_, mechanism)) => {
            login.chosen = Some(Chosen {
                mechanism,
                bare: head.version == 0,
                exchange: None,
                told: false,
            });
            NONE
        }
        None => UNSUPPORTED_SASL_MECHANISM,
    };
    let names = login.settings.mechanisms();
    let names = names.map(|(name, _)| StrBytes::from_static_str(name));
    let response = SaslHandshakeResponse::default()
        .with_error_code(code)
        .with_mechanisms(names.collect());
    session.respond(&head, &response, effects);
    if code != NONE {
        effects.close = Some(Close::Flushed);
    }
    Ok(())
}

pub(crate) fn authenticate(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: SaslAuthenticateRequest = decoded(&head, &mut body)?;
    if session.login.chosen.is_none() {
        let response = SaslAuthenticateResponse::default()
            .with_error_code(ILLEGAL_SASL_STATE)
            .with_error_message(Some(StrBytes::from_static_str(
                "a handshake comes before this",
            )));
        session.respond(&head, &response, effects);
        effects.close = Some(Close::Flushed);
        return Ok(());
    }
    said(
        session,
        Asked::Request(head),
        &request.auth_bytes,
        now,
        effects,
    );
    Ok(())
}

/// What is said comes in a frame of its own.
pub(super) fn bare(session: &mut Session, said_bytes: &Bytes, now: Now, effects: &mut Effects) {
    said(session, Asked::Bare, said_bytes, now, effects);
}

fn said(session: &mut Session, asked: Asked, said: &[u8], now: Now, effects: &mut Effects) {
    let Some(chosen) = &mut session.login.chosen else {
        return refuse(session, &asked, now, effects);
    };
    match (chosen.mechanism, chosen.exchange.take()) {
        (Mechanism::Plain, _) => match plain(said) {
            Some((user, password)) => {
                let name = user.clone();
                let call = Call::Login { user, password };
                session.call(effects, call, move |session, reply, now, effects| {
                    let (user, until_ms) = match reply {
                        Reply::Done => (name, None),
                        // The password was a token.
                        Reply::Entered { user, until_ms } => (user.to_string(), until_ms),
                        _ => return refuse(session, &asked, now, effects),
                    };
                    session.login.until_ms = until_ms;
                    enter(session, asked, user, Vec::new(), now, effects);
                });
            }
            None => refuse(session, &asked, now, effects),
        },
        (Mechanism::Bearer, _) if chosen.told => refuse(session, &asked, now, effects),
        (Mechanism::Bearer, _) => bearer::said(session, asked, said, effects),
        (Mechanism::Scram(mechanism), None) => match First::read(said) {
            Some(first) => begin(session, asked, mechanism, first, effects),
            None => refuse(session, &asked, now, effects),
        },
        (Mechanism::Scram(_), Some(exchange)) => end(session, asked, exchange, said, now, effects),
    }
}

/// `authorization NUL user NUL password`: RFC 4616. To act for somebody else is not offered.
fn plain(said: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(said).ok()?;
    let mut parts = text.split('\0');
    let (acts_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    let for_itself = acts_for.is_empty() || acts_for == user;
    (is_whole && for_itself).then(|| (user.to_owned(), password.to_owned()))
}

fn begin(
    session: &mut Session,
    asked: Asked,
    mechanism: Scram,
    first: First,
    effects: &mut Effects,
) {
    let request = access::Request::ScramBegin {
        mechanism,
        user: first.user.clone(),
    };
    let call = Call::Access(Box::new(request));
    session.call(effects, call, move |session, reply, now, effects| {
        let answer = match reply {
            Reply::Access(answer) => *answer,
            _ => return refuse(session, &asked, now, effects),
        };
        let access::Answer::ScramBegun {
            salt,
            iterations,
            nonce,
        } = answer
        else {
            return refuse(session, &asked, now, effects);
        };
        let (exchange, says) = first.answered(&salt, iterations, &nonce);
        if let Some(chosen) = &mut session.login.chosen {
            chosen.exchange = Some(exchange);
        }
        answered(session, &asked, says.into_bytes(), None, effects);
    });
}

fn end(
    session: &mut Session,
    asked: Asked,
    exchange: Exchange,
    said: &[u8],
    now: Now,
    effects: &mut Effects,
) {
    let Some((auth_message, proof)) = exchange.ended(said) else {
        return refuse(session, &asked, now, effects);
    };
    let user = exchange.user;
    let request = access::Request::ScramEnd {
        auth_message,
        proof,
    };
    let call = Call::Access(Box::new(request));
    session.call(effects, call, move |session, reply, now, effects| {
        let answer = match reply {
            Reply::Access(answer) => *answer,
            _ => return refuse(session, &asked, now, effects),
        };
        match answer {
            access::Answer::ScramEnded { server_signature } => {
                let says = scram::verifier(&server_signature);
                session.login.until_ms = None;
                enter(session, asked, user, says.into_bytes(), now, effects);
            }
            _ => refuse(session, &asked, now, effects),
        }
    });
}

/// The client is who it says.
fn enter(
    session: &mut Session,
    asked: Asked,
    user: String,
    says: Vec<u8>,
    now: Now,
    effects: &mut Effects,
) {
    let chosen = session.login.chosen.take();
    let names = MECHANISMS.iter();
    let mut names = names.filter(|(_, mechanism)| {
        chosen
            .as_ref()
            .is_some_and(|chosen| chosen.mechanism == *mechanism)
    });
    if let Some((name, _)) = names.next() {
        session.came_in_by(name, effects);
    }
    let before = session.login.user.as_ref();
    if before.is_some_and(|before| *before != user) {
        return refuse(session, &asked, now, effects);
    }
    session.login.user = Some(user);
    let space = Call::EnterSpace {
        space: session.settings.space.clone(),
    };
    session.call(effects, space, move |session, reply, now, effects| {
        if !matches!(reply, Reply::Done) {
            effects.close = Some(Close::Now);
            return;
        }
        session.stage = Stage::Ready;
        let lifetime = session.login.lifetime(now);
        session.login.expires = lifetime.map(|lifetime| now.instant + lifetime);
        answered(session, &asked, says, lifetime, effects);
    });
}

fn answered(
    session: &mut Session,
    asked: &Asked,
    says: Vec<u8>,
    lifetime: Option<Duration>,
    effects: &mut Effects,
) {
    match asked {
        Asked::Request(head) => {
            let mut response =
                SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from(says));
            if let Some(lifetime) = lifetime.filter(|_| head.version >= 1) {
                let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
                response = response.with_session_lifetime_ms(lifetime_ms);
            }
            session.respond(head, &response, effects);
        }
        Asked::Bare => {
            let mut out = (says.len() as u32).to_be_bytes().to_vec();
            out.extend(says);
            session.respond_encoded(out, Vec::new(), effects);
        }
    }
}

/// Tells the client so after a while, and sends it away: whoever tries many passwords needs
/// many connections, and time.
fn refuse(session: &mut Session, asked: &Asked, now: Now, effects: &mut Effects) {
    let mut later = Effects::default();
    if let Asked::Request(head) = asked {
        let response = SaslAuthenticateResponse::default()
            .with_error_code(SASL_AUTHENTICATION_FAILED)
            .with_error_message(Some(StrBytes::from_static_str(REFUSED)));
        session.respond(head, &response, &mut later);
    }
    session.login.chosen = None;
    if matches!(session.stage, Stage::Ready) {
        // It was in, and other answers may be on their way: it has no guesses to make.
        effects.out.append(&mut later.out);
        effects.close = Some(Close::Flushed);
        return;
    }
    session.stage = Stage::Refused(Refused {
        at: now.instant + REFUSED_DELAY,
        out: later.out,
    });
}

impl Logins {
    /// What is offered.
    fn mechanisms(self) -> impl Iterator<Item = (&'static str, Mechanism)> {
        let all = MECHANISMS.iter().copied();
        all.filter(move |(_, mechanism)| *mechanism != Mechanism::Bearer || self.tokens)
    }
}

/// In the order in which they are offered.
const MECHANISMS: &[(&str, Mechanism)] = &[
    ("PLAIN", Mechanism::Plain),
    ("SCRAM-SHA-256", Mechanism::Scram(Scram::Sha256)),
    ("SCRAM-SHA-512", Mechanism::Scram(Scram::Sha512)),
    ("OAUTHBEARER", Mechanism::Bearer),
];

/// What may be asked by somebody whose login is over.
pub(super) fn is_login(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::SaslHandshake | ApiKey::SaslAuthenticate | ApiKey::ApiVersions
    )
}

const REFUSED: &str = "Authentication failed: invalid credentials";
const REFUSED_DELAY: Duration = Duration::from_millis(500);
