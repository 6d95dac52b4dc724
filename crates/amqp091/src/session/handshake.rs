//! From the protocol header to connection.open-ok (specification section 2.2.4). A type a
//! step, each made from the one before.

use bongsu_engine::session::describe::Client;
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};
use bongsu_record::table;

use super::greeting::{self, Capabilities, Mechanism, mechanisms};
use super::open::Open;
use super::{Settings, Stage};
use crate::codec::frame;
use crate::codec::method::Method;
use crate::codec::wire::{Long, Table};
use crate::errors::{Asked, Exception, frame_malformed, login_refused, method_malformed, worded};

/// A connection that is not open.
#[derive(Debug, Default)]
pub(super) enum Handshake {
    #[default]
    Header,
    StartOk,
    Login(AwaitLogin),
    TuneOk(AwaitTuneOk),
    Open(AwaitOpen),
    Space(AwaitSpace),
}

/// The broker is asked who this is.
#[derive(Debug)]
pub(super) struct AwaitLogin {
    mechanism: Mechanism,
    user: String,
    can: Capabilities,
    client: Box<Client>,
}

#[derive(Debug)]
pub(super) struct AwaitTuneOk {
    user: String,
    can: Capabilities,
    client: Box<Client>,
}

#[derive(Debug)]
pub(super) struct AwaitOpen {
    agreed: Agreed,
    client: Box<Client>,
}

/// The broker is asked for the virtual host.
#[derive(Debug)]
pub(super) struct AwaitSpace {
    agreed: Agreed,
    client: Box<Client>,
}

/// What was agreed on when a connection opens.
#[derive(Debug)]
pub(super) struct Agreed {
    pub frame_bytes_max: usize,
    pub channel_max: u16,
    pub heartbeat_s: u16,
    pub user: String,
    pub vhost: String,
    pub can: Capabilities,
}

impl From<Handshake> for Stage {
    fn from(handshake: Handshake) -> Stage {
        Stage::Handshake(handshake)
    }
}

impl Handshake {
    /// Takes the header or one frame.
    pub fn bytes(
        self,
        bytes: &[u8],
        settings: &Settings,
        effects: &mut Effects,
    ) -> Result<(Stage, usize), Exception> {
        match self {
            Handshake::Header => return Ok(header(bytes, settings.certified, effects)),
            // Nothing is read before the broker's answer.
            Handshake::Login(_) | Handshake::Space(_) => return Ok((self.into(), 0)),
            Handshake::StartOk | Handshake::TuneOk(_) | Handshake::Open(_) => {}
        }
        // Clients with many properties exceed the 4096 bytes that the specification allows
        // here, so what will be offered bounds this as well.
        let scanned = frame::scan(bytes, settings.frame_bytes_max as usize);
        let Some((frame, used)) = scanned.map_err(frame_malformed)? else {
            return Ok((self.into(), 0));
        };
        if frame.kind == frame::HEARTBEAT && frame.channel == 0 {
            return Ok((self.into(), used));
        }
        if frame.kind != frame::METHOD || frame.channel != 0 {
            let text = "expected method frame, got non method frame instead";
            return Err(Exception::new(505, (0, 0), text));
        }
        let method = Method::decode(frame.payload)
            .map_err(|malformed| method_malformed(malformed, frame.payload))?;
        Ok((self.method(&method, settings, effects)?, used))
    }

    fn method(
        self,
        method: &Method<'_>,
        settings: &Settings,
        effects: &mut Effects,
    ) -> Result<Stage, Exception> {
        match (self, *method) {
            (_, Method::ConnectionClose { .. }) => {
                Method::ConnectionCloseOk {}.write(0, &mut effects.out);
                effects.close = Some(Close::Flushed);
                Ok(Stage::Closed)
            }
            (
                Handshake::StartOk,
                Method::ConnectionStartOk {
                    properties,
                    mechanism,
                    response,
                    ..
                },
            ) => start_ok(
                properties.0,
                (mechanism, settings.certified),
                response.0,
                effects,
            ),
            (
                Handshake::TuneOk(step),
                Method::ConnectionTuneOk {
                    channel_max,
                    frame_max,
                    heartbeat,
                },
            ) => step.tune_ok(channel_max, frame_max, heartbeat, settings),
            (Handshake::Open(step), Method::ConnectionOpen { virtual_host, .. }) => {
                Ok(step.open(virtual_host, effects))
            }
            (step, other) => {
                let state = match step {
                    Handshake::TuneOk(_) => "tuning",
                    Handshake::Open(_) => "opening",
                    _ => "starting",
                };
                let text = format_args!("unexpected method in connection state {state}");
                Err(Exception::new(504, other.id(), text))
            }
        }
    }

    pub fn reply(
        self,
        reply: &Reply,
        settings: &Settings,
        seed: u64,
        now: Now,
        effects: &mut Effects,
    ) -> Result<Stage, Exception> {
        match self {
            Handshake::Login(step) => step.reply(reply, settings, effects),
            Handshake::Space(step) => step.reply(reply, settings, seed, now, effects),
            other => Ok(other.into()),
        }
    }
}

/// The header of 0-9-1, or that of 0-9, whose clients are content with 0-9-1. Whoever says
/// anything else is told what is spoken here.
fn header(bytes: &[u8], certified: bool, effects: &mut Effects) -> (Stage, usize) {
    let length = bytes.len().min(HEADER.len());
    let begins = |header: &[u8]| bytes[..length] == header[..length];
    if !begins(HEADER) && !begins(HEADER_0_9) {
        effects.out.extend_from_slice(HEADER);
        effects.close = Some(Close::Flushed);
        return (Stage::Closed, bytes.len());
    }
    if length < HEADER.len() {
        return (Handshake::Header.into(), 0);
    }
    Method::ConnectionStart {
        major: 0,
        minor: 9,
        properties: Table(&greeting::server_properties()),
        mechanisms: Long(mechanisms(certified)),
        locales: Long(b"en_US"),
    }
    .write(0, &mut effects.out);
    (Handshake::StartOk.into(), HEADER.len())
}

fn start_ok(
    properties: &[u8],
    (mechanism, certified): (&str, bool),
    response: &[u8],
    effects: &mut Effects,
) -> Result<Stage, Exception> {
    let (properties, _) = table::decode(properties).map_err(|malformed| {
        Exception::new(
            502,
            START_OK,
            format_args!("client properties: {malformed}"),
        )
    })?;
    let can = Capabilities::of(&properties);
    let mechanism = Mechanism::by_name(mechanism, certified).ok_or_else(|| {
        let text = format_args!("unknown authentication mechanism '{mechanism}'");
        Exception::new(503, START_OK, text)
    })?;
    let (user, login) = mechanism.login(response).ok_or_else(|| {
        let text = format_args!("{} response invalid", mechanism.name());
        Exception::new(502, START_OK, text)
    })?;
    effects.call = Some(login);
    let name = properties.get("connection_name");
    let name = name.and_then(|name| name.as_text()).unwrap_or_default();
    let client = Box::new(Client {
        name: name.to_owned(),
        mechanism: mechanism.name(),
        properties,
        ..Client::default()
    });
    let step = AwaitLogin {
        mechanism,
        user,
        can,
        client,
    };
    Ok(Handshake::Login(step).into())
}

impl AwaitLogin {
    fn reply(
        mut self,
        reply: &Reply,
        settings: &Settings,
        effects: &mut Effects,
    ) -> Result<Stage, Exception> {
        if let Reply::Entered { user, .. } = reply {
            self.user = user.to_string();
        }
        if matches!(reply, Reply::Refused(_)) {
            // A client that could not take the reason gets none.
            if self.can.failure_close {
                return Err(login_refused(self.mechanism.name()));
            }
            effects.close = Some(Close::Flushed);
            return Ok(Stage::Closed);
        }
        Method::ConnectionTune {
            channel_max: settings.channel_max,
            frame_max: settings.frame_bytes_max,
            heartbeat: settings.heartbeat_s,
        }
        .write(0, &mut effects.out);
        Ok(Handshake::TuneOk(AwaitTuneOk {
            user: self.user,
            can: self.can,
            client: self.client,
        })
        .into())
    }
}

impl AwaitTuneOk {
    /// 0 means "no limit of mine", so the server's holds.
    fn tune_ok(
        self,
        channel_max: u16,
        frame_max: u32,
        heartbeat_s: u16,
        settings: &Settings,
    ) -> Result<Stage, Exception> {
        let channel_max = negotiated("channel_max", 1, channel_max, settings.channel_max)?;
        let offered = settings.frame_bytes_max;
        let frame_max = negotiated("frame_max", FRAME_BYTES_MIN, frame_max, offered)?;
        let agreed = Agreed {
            frame_bytes_max: frame_max as usize,
            channel_max,
            heartbeat_s,
            user: self.user,
            vhost: String::new(),
            can: self.can,
        };
        let client = Box::new(Client {
            frame_bytes_max: u64::from(frame_max),
            channel_max: u32::from(channel_max),
            heartbeat_s: u32::from(heartbeat_s),
            ..*self.client
        });
        Ok(Handshake::Open(AwaitOpen { agreed, client }).into())
    }
}

fn negotiated<T>(what: &str, least: T, wish: T, offered: T) -> Result<T, Exception>
where
    T: Copy + Default + Ord + std::fmt::Display,
{
    let (is, which, bound) = match wish {
        none if none == T::default() => return Ok(offered),
        low if low < least => ("lower", "minimum", least),
        high if high > offered => ("higher", "maximum", offered),
        fits => return Ok(fits),
    };
    let text =
        format_args!("negotiated {what} = {wish} is {is} than the {which} allowed value ({bound})");
    Err(Exception::new(530, TUNE, text))
}

impl AwaitOpen {
    fn open(mut self, virtual_host: &str, effects: &mut Effects) -> Stage {
        virtual_host.clone_into(&mut self.agreed.vhost);
        effects.call = Some(Call::OpenSpace {
            space: virtual_host.to_owned(),
        });
        let (agreed, client) = (self.agreed, self.client);
        Handshake::Space(AwaitSpace { agreed, client }).into()
    }
}

impl AwaitSpace {
    fn reply(
        self,
        reply: &Reply,
        settings: &Settings,
        seed: u64,
        now: Now,
        effects: &mut Effects,
    ) -> Result<Stage, Exception> {
        if let Reply::Refused(refused) = reply {
            let asked = Asked {
                vhost: &self.agreed.vhost,
                method: OPEN,
                of: None,
            };
            return Err(worded(refused, asked).of_connection());
        }
        Method::ConnectionOpenOk { reserved: "" }.write(0, &mut effects.out);
        effects.client = Some(self.client);
        let open = Open::new(self.agreed, settings.message_bytes_max, seed, now);
        Ok(Stage::Open(Box::new(open)))
    }
}

const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
const HEADER_0_9: &[u8; 8] = b"AMQP\x01\x01\x00\x09";
/// What every peer must take (specification section 4.2.3).
const FRAME_BYTES_MIN: u32 = 4096;
const START_OK: (u16, u16) = (10, 11);
const TUNE: (u16, u16) = (10, 30);
const OPEN: (u16, u16) = (10, 40);
