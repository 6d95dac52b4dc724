//! From the protocol header to connection.open-ok (specification section 2.2.4).

use bongsu_engine::session::{Call, Effects, Reply};
use bongsu_record::table;
use bongsu_record::{Arguments, Value};

use super::Settings;
use crate::codec::frame;
use crate::codec::method::Method;
use crate::codec::wire::{Long, Table};
use crate::errors::{
    Asked, Exception, MethodId, frame_malformed, login_refused, method_malformed, worded,
};

/// What was agreed on when a connection opens.
#[derive(Debug)]
pub(super) struct Agreed {
    pub frame_bytes_max: usize,
    pub channel_max: u16,
    pub heartbeat_s: u16,
    /// Who logged in.
    pub user: String,
    pub vhost: String,
    pub cancel_notify: bool,
    pub blocked: bool,
}

#[derive(Debug, Default)]
enum Awaits {
    #[default]
    Header,
    StartOk,
    Login,
    TuneOk,
    Open,
    Space,
}

/// A connection that is not open.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    awaits: Awaits,
    failure_close: bool,
    cancel_notify: bool,
    blocked: bool,
    mechanism: String,
    user: String,
    frame_bytes_max: usize,
    channel_max: u16,
    heartbeat_s: u16,
    vhost: String,
}

pub(super) enum Step {
    Used(usize),
    Failed(Exception),
    /// Close the socket, after what is in the way out.
    Gone,
}

pub(super) enum Replied {
    Go,
    Opened(Agreed),
    Failed(Exception),
    Gone,
}

const START_OK: MethodId = (10, 11);
const TUNE_OK: MethodId = (10, 31);
const OPEN: MethodId = (10, 40);
const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
/// Before tune-ok a frame is at most this (specification section 4.2.3).
const FRAME_BYTES_MIN: usize = 4096;

impl Handshake {
    pub fn bytes(&mut self, bytes: &[u8], settings: &Settings, effects: &mut Effects) -> Step {
        match self.awaits {
            Awaits::Header => self.header(bytes, settings, effects),
            Awaits::Login | Awaits::Space => Step::Used(0),
            Awaits::StartOk | Awaits::TuneOk | Awaits::Open => {
                // Client properties may be larger than the minimum; what was offered bounds.
                let bytes_max = (settings.frame_bytes_max as usize).max(FRAME_BYTES_MIN);
                match frame::scan(bytes, bytes_max) {
                    Err(malformed) => Step::Failed(frame_malformed(malformed)),
                    Ok(None) => Step::Used(0),
                    Ok(Some((frame, used))) => match self.frame(frame, settings, effects) {
                        Ok(()) => Step::Used(used),
                        Err(failed) => failed,
                    },
                }
            }
        }
    }

    fn header(&mut self, bytes: &[u8], settings: &Settings, effects: &mut Effects) -> Step {
        let length = bytes.len().min(HEADER.len());
        let right = bytes[..length] == HEADER[..length];
        // 0-9-1 may also be asked for as 1-1-0-9 or 1-1-8-0 by clients of an older time;
        // like RabbitMQ, who asks for another version is told this one.
        if !right {
            effects.out.extend_from_slice(HEADER);
            return Step::Gone;
        }
        if length < HEADER.len() {
            return Step::Used(0);
        }
        let mut properties = Vec::new();
        table::encode(&server_properties(settings), &mut properties);
        Method::ConnectionStart {
            major: 0,
            minor: 9,
            properties: Table(&properties),
            mechanisms: Long(b"PLAIN AMQPLAIN"),
            locales: Long(b"en_US"),
        }
        .write(0, &mut effects.out);
        self.awaits = Awaits::StartOk;
        Step::Used(HEADER.len())
    }

    fn frame(
        &mut self,
        frame: frame::Frame<'_>,
        settings: &Settings,
        effects: &mut Effects,
    ) -> Result<(), Step> {
        if frame.kind == frame::HEARTBEAT {
            return Ok(());
        }
        if frame.kind != frame::METHOD || frame.channel != 0 {
            let text = "expected a method on channel 0";
            return Err(Step::Failed(Exception::new(505, (0, 0), text)));
        }
        let method = Method::decode(frame.payload)
            .map_err(|malformed| Step::Failed(method_malformed(malformed, frame.payload)))?;
        match (&self.awaits, method) {
            (
                Awaits::StartOk,
                Method::ConnectionStartOk {
                    properties,
                    mechanism,
                    response,
                    ..
                },
            ) => self.start_ok(properties.0, mechanism, response.0, effects),
            (
                Awaits::TuneOk,
                Method::ConnectionTuneOk {
                    channel_max,
                    frame_max,
                    heartbeat,
                },
            ) => self.tune_ok(channel_max, frame_max, heartbeat, settings),
            (Awaits::Open, Method::ConnectionOpen { virtual_host, .. }) => {
                self.vhost = virtual_host.to_owned();
                self.awaits = Awaits::Space;
                effects.call = Some(Call::OpenSpace {
                    space: self.vhost.clone(),
                });
                Ok(())
            }
            (_, Method::ConnectionClose { .. }) => {
                Method::ConnectionCloseOk {}.write(0, &mut effects.out);
                Err(Step::Gone)
            }
            (awaits, other) => {
                let state = match awaits {
                    Awaits::TuneOk => "tuning",
                    Awaits::Open => "opening",
                    _ => "starting",
                };
                let text = format_args!("unexpected method in connection state {state}");
                Err(Step::Failed(Exception::new(504, other.id(), text)))
            }
        }
    }

    fn start_ok(
        &mut self,
        properties: &[u8],
        mechanism: &str,
        response: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Step> {
        let failed = |code, text: String| Step::Failed(Exception::new(code, START_OK, text));
        let (properties, _) = table::decode(properties)
            .map_err(|error| failed(502, format!("client properties: {error:?}")))?;
        if let Some(Value::Map(capabilities)) = properties.get("capabilities") {
            let can = |name: &str| capabilities.get(name) == Some(&Value::Bool(true));
            self.failure_close = can("authentication_failure_close");
            self.cancel_notify = can("consumer_cancel_notify");
            self.blocked = can("connection.blocked");
        }
        let credentials = match mechanism {
            "PLAIN" => plain(response),
            "AMQPLAIN" => amqplain(response),
            other => {
                let text = format!("unknown authentication mechanism '{other}'");
                return Err(failed(503, text));
            }
        };
        let (user, password) =
            credentials.ok_or_else(|| failed(502, format!("malformed {mechanism} response")))?;
        self.mechanism = mechanism.to_owned();
        self.user.clone_from(&user);
        self.awaits = Awaits::Login;
        effects.call = Some(Call::Login { user, password });
        Ok(())
    }

    fn tune_ok(
        &mut self,
        channel_max: u16,
        frame_max: u32,
        heartbeat: u16,
        settings: &Settings,
    ) -> Result<(), Step> {
        let failed = |text: String| Err(Step::Failed(Exception::new(530, TUNE_OK, text)));
        let offered = settings.frame_bytes_max;
        if frame_max != 0 && (frame_max as usize) < FRAME_BYTES_MIN {
            return failed(format!(
                "negotiated frame_max = {frame_max} is lower than the minimum allowed value ({FRAME_BYTES_MIN})"
            ));
        }
        if frame_max > offered {
            return failed(format!(
                "negotiated frame_max = {frame_max} is higher than the maximum allowed value ({offered})"
            ));
        }
        if channel_max > settings.channel_max {
            return failed(format!(
                "negotiated channel_max = {channel_max} is higher than the maximum allowed value ({})",
                settings.channel_max
            ));
        }
        // 0 means "no limit of mine", so the server's holds.
        self.frame_bytes_max = if frame_max == 0 { offered } else { frame_max } as usize;
        self.channel_max = match channel_max {
            0 => settings.channel_max,
            agreed => agreed,
        };
        self.heartbeat_s = heartbeat;
        self.awaits = Awaits::Open;
        Ok(())
    }

    pub fn reply(&mut self, reply: &Reply, settings: &Settings, effects: &mut Effects) -> Replied {
        match (&self.awaits, reply) {
            (Awaits::Login, Reply::Refused(_)) if !self.failure_close => Replied::Gone,
            (Awaits::Login, Reply::Refused(_)) => Replied::Failed(login_refused(&self.mechanism)),
            (Awaits::Login, _) => {
                Method::ConnectionTune {
                    channel_max: settings.channel_max,
                    frame_max: settings.frame_bytes_max,
                    heartbeat: settings.heartbeat_s,
                }
                .write(0, &mut effects.out);
                self.awaits = Awaits::TuneOk;
                Replied::Go
            }
            (_, Reply::Refused(refused)) => {
                let asked = Asked {
                    vhost: &self.vhost,
                    method: OPEN,
                    of: None,
                };
                Replied::Failed(worded(refused, asked).of_connection())
            }
            (_, _) => {
                Method::ConnectionOpenOk { reserved: "" }.write(0, &mut effects.out);
                Replied::Opened(Agreed {
                    frame_bytes_max: self.frame_bytes_max,
                    channel_max: self.channel_max,
                    heartbeat_s: self.heartbeat_s,
                    user: std::mem::take(&mut self.user),
                    vhost: std::mem::take(&mut self.vhost),
                    cancel_notify: self.cancel_notify,
                    blocked: self.blocked,
                })
            }
        }
    }
}

/// `\0user\0password` (RFC 4616).
fn plain(response: &[u8]) -> Option<(String, String)> {
    let mut parts = response.splitn(3, |byte| *byte == 0);
    let (_identity, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((text(user)?, text(password)?))
}

/// A field table without its length: LOGIN and PASSWORD.
fn amqplain(response: &[u8]) -> Option<(String, String)> {
    let length = u32::try_from(response.len()).ok()?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(response);
    let (table, _) = table::decode(&bytes).ok()?;
    let text = |name: &str| Some(table.get(name)?.as_text()?.to_owned());
    Some((text("LOGIN")?, text("PASSWORD")?))
}

fn server_properties(_settings: &Settings) -> Arguments {
    let text = |text: &str| Value::Text(text.to_owned());
    let capabilities = CAPABILITIES
        .iter()
        .map(|name| ((*name).to_owned(), Value::Bool(true)))
        .collect();
    Arguments::from([
        ("capabilities".to_owned(), Value::Map(capabilities)),
        ("cluster_name".to_owned(), text("bongsu")),
        (
            "copyright".to_owned(),
            text("Copyright (c) the Bongsu authors"),
        ),
        (
            "information".to_owned(),
            text("Licensed under the Apache License 2.0"),
        ),
        ("platform".to_owned(), text("Rust")),
        ("product".to_owned(), text("Bongsu")),
        // Tools read the leading number to know what they may use.
        ("version".to_owned(), text("4.0.0")),
    ])
}

/// Names as RabbitMQ announces them; each is kept. `direct_reply_to` is not announced: it
/// is not there.
const CAPABILITIES: &[&str] = &[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
];
