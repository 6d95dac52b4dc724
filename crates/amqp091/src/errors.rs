//! What goes wrong in RabbitMQ's words: code, text, and whether the channel or the
//! connection ends. The engine's refusals are worded here and nowhere else; clients match
//! on these texts.

mod arguments;

use std::fmt::{self, Display};

use bongsu_engine::Refused;
use bongsu_engine::refused::{Kind, Limit, StreamOperation};

use crate::codec::frame::FrameMalformed;
use crate::codec::wire::Malformed;

/// Class and method number; `(0, 0)` where no method is to blame.
pub type MethodId = (u16, u16);

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The channel.
    Channel,
    /// The connection.
    Connection,
}

/// An exception of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// What ends.
    pub scope: Scope,
    /// Reply code.
    pub code: u16,
    /// Reply text, the code's name in front, at most 255 bytes.
    pub text: String,
    /// The method that brought it about.
    pub about: MethodId,
}

impl Exception {
    /// An exception with the name that belongs to its code in front of `detail`.
    pub fn new(code: u16, about: MethodId, detail: impl Display) -> Exception {
        let (name, scope) = named(code);
        let mut text = format!("{name} - {detail}");
        text.truncate(text.floor_char_boundary(255));
        Exception {
            scope,
            code,
            text,
            about,
        }
    }

    /// Ends the connection, whatever the code says.
    #[must_use]
    pub fn of_connection(mut self) -> Exception {
        self.scope = Scope::Connection;
        self
    }
}

/// Names and scopes of reply codes (specification section 1.3, and RabbitMQ's use of them).
fn named(code: u16) -> (&'static str, Scope) {
    use Scope::{Channel, Connection};
    match code {
        311 => ("CONTENT_TOO_LARGE", Channel),
        312 => ("NO_ROUTE", Channel),
        313 => ("NO_CONSUMERS", Channel),
        320 => ("CONNECTION_FORCED", Connection),
        402 => ("INVALID_PATH", Connection),
        403 => ("ACCESS_REFUSED", Channel),
        404 => ("NOT_FOUND", Channel),
        405 => ("RESOURCE_LOCKED", Channel),
        406 => ("PRECONDITION_FAILED", Channel),
        501 => ("FRAME_ERROR", Connection),
        502 => ("SYNTAX_ERROR", Connection),
        503 => ("COMMAND_INVALID", Connection),
        504 => ("CHANNEL_ERROR", Connection),
        505 => ("UNEXPECTED_FRAME", Connection),
        506 => ("RESOURCE_ERROR", Connection),
        530 => ("NOT_ALLOWED", Connection),
        540 => ("NOT_IMPLEMENTED", Connection),
        _ => ("INTERNAL_ERROR", Connection),
    }
}

/// What was asked for when the answer is no.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The virtual host.
    pub vhost: &'a str,
    /// By which method.
    pub method: MethodId,
    /// Of what, by its name; refusals of an argument do not say whose it is.
    pub of: Option<(Kind, &'a str)>,
}

impl Asked<'_> {
    /// `queue 'q' in vhost '/'`, as RabbitMQ calls a thing.
    fn thing(&self, kind: Kind, name: &str) -> String {
        let kind = kind_name(kind);
        format!("{kind} '{name}' in vhost '{}'", self.vhost)
    }
}

/// How a refusal is worded.
pub fn worded(refused: &Refused, asked: Asked<'_>) -> Exception {
    let say = |code, detail: fmt::Arguments<'_>| Exception::new(code, asked.method, detail);
    let thing = |kind: Kind, name: &str| asked.thing(kind, name);
    match refused {
        Refused::Login { .. } => login_refused("PLAIN"),
        Refused::Denied {
            kind: Kind::Space,
            name,
            user,
            ..
        } => say(
            530,
            format_args!("access to vhost '{name}' refused for user '{user}'"),
        ),
        Refused::Denied {
            kind, name, user, ..
        } => {
            // The default exchange has no name, and RabbitMQ lends it one here.
            let name = match (kind, name.as_str()) {
                (Kind::Exchange, "") => "amq.default",
                (_, name) => name,
            };
            let thing = thing(*kind, name);
            say(
                403,
                format_args!("access to {thing} refused for user '{user}'"),
            )
        }
        Refused::TopicDenied {
            exchange,
            routing_key,
            user,
            ..
        } => {
            let thing = thing(Kind::Exchange, exchange);
            say(
                403,
                format_args!(
                    "access to topic '{routing_key}' in {thing} refused for user '{user}'"
                ),
            )
        }
        Refused::QueueLimit { queue, max } => say(
            406,
            format_args!(
                "cannot declare queue '{queue}': queue limit in vhost '{}' ({max}) is reached",
                asked.vhost
            ),
        ),
        Refused::NotFound {
            kind: Kind::Space,
            name,
        } => say(530, format_args!("vhost {name} not found")),
        Refused::NotFound { kind, name } => say(404, format_args!("no {}", thing(*kind, name))),
        Refused::Inequivalent {
            kind,
            name,
            argument,
            requested,
            current,
        } => {
            let thing = thing(*kind, name);
            let (requested, current) = (Quoted(requested), Quoted(current));
            say(
                406,
                format_args!(
                    "inequivalent arg '{argument}' for {thing}: \
                     received {requested} but current is {current}"
                ),
            )
        }
        Refused::Locked { queue } => say(
            405,
            format_args!(
                "cannot obtain exclusive access to locked {}. It could be originally declared on \
                 another connection or the exclusive property value does not match that of the \
                 original declaration.",
                thing(Kind::Queue, queue)
            ),
        ),
        Refused::Reserved { name, .. } if name.is_empty() => say(
            403,
            format_args!("operation not permitted on the default exchange"),
        ),
        Refused::Reserved { kind, name } if asked.method == EXCHANGE_DELETE => say(
            403,
            format_args!("deletion of system {} not allowed", thing(*kind, name)),
        ),
        Refused::Reserved { kind, name } => {
            let kind = kind_name(*kind);
            say(
                403,
                format_args!("{kind} name '{name}' contains reserved prefix 'amq.*'"),
            )
        }
        Refused::InUse { kind, name } => say(406, format_args!("{} in use", thing(*kind, name))),
        Refused::NotEmpty { queue } => {
            say(406, format_args!("{} not empty", thing(Kind::Queue, queue)))
        }
        Refused::PartOfTopic { queue, topic } => say(
            406,
            format_args!(
                "{} is a partition of {} and is deleted with it",
                thing(Kind::Queue, queue),
                thing(Kind::Queue, topic)
            ),
        ),
        // RabbitMQ commits the rest; here it is all or nothing, under the same words.
        Refused::Full { .. } => say(406, format_args!("partial tx completion")),
        Refused::ExclusiveConsumer { queue } => say(
            403,
            format_args!("{} in exclusive use", thing(Kind::Queue, queue)),
        ),
        Refused::InvalidArgument {
            argument,
            value,
            accepted,
        } => arguments::invalid_value(asked, argument, value, accepted),
        Refused::ArgumentType {
            argument,
            found,
            accepted,
        } => arguments::wrong_type(asked, argument, found, accepted),
        Refused::ArgumentAlone { argument, .. } if argument == "x-dead-letter-routing-key" => {
            arguments::invalid(asked, argument, "routing_key_but_no_dlx_defined")
        }
        Refused::ArgumentAlone { argument, needs } => {
            arguments::invalid(asked, argument, &format!("'{needs}' is missing"))
        }
        Refused::ArgumentsExclude { one, other } => say(
            406,
            format_args!("{one} and {other} are mutually exclusive"),
        ),
        Refused::NotForStreams { argument } => {
            let (kind, name) = asked.of.unwrap_or((Kind::Queue, ""));
            let thing = thing(kind, name);
            say(
                406,
                format_args!(
                    "invalid arg '{argument}' for {thing} of queue type rabbit_stream_queue"
                ),
            )
        }
        Refused::OnlyForReaders { argument } => {
            let (kind, name) = asked.of.unwrap_or((Kind::Queue, ""));
            let thing = thing(kind, name);
            say(
                406,
                format_args!(
                    "invalid arg '{argument}' for {thing} of queue type rabbit_classic_queue"
                ),
            )
        }
        Refused::NoCredit { queue } => {
            let thing = thing(Kind::Queue, queue);
            say(
                406,
                format_args!("consumer prefetch count is not set for '{thing}'"),
            )
        }
        Refused::NotWithStreams { queue, operation } => {
            let thing = thing(Kind::Queue, queue);
            let what = match operation {
                StreamOperation::Get => "basic.get",
                StreamOperation::Purge => "queue.purge",
                StreamOperation::AutoSettle => "automatic acknowledgement",
            };
            say(
                540,
                format_args!("{what} not supported by stream queues {thing}"),
            )
        }
        Refused::StreamProperty { queue, property } => {
            let thing = thing(Kind::Queue, queue);
            say(
                406,
                format_args!("invalid property '{property}' for {thing}"),
            )
        }
        Refused::TakesNone { queue } => {
            let thing = thing(Kind::Queue, queue);
            say(
                406,
                format_args!("{thing} consumes the records of another and takes none"),
            )
        }
        Refused::UnknownExchangeType { name } => {
            say(503, format_args!("unknown exchange type '{name}'"))
        }
        Refused::Internal { exchange } => say(
            403,
            format_args!(
                "cannot publish to internal {}",
                thing(Kind::Exchange, exchange)
            ),
        ),
        Refused::Unsupported { what } => say(540, format_args!("{what}")),
        Refused::LimitReached {
            limit,
            count,
            user,
            space,
        } => match limit {
            Limit::SpaceConnections => say(
                530,
                format_args!(
                    "access to vhost '{space}' refused for user '{user}': \
                     connection limit ({count}) is reached"
                ),
            ),
            Limit::UserConnections => say(
                530,
                format_args!(
                    "connection refused for user '{user}': user connection limit ({count}) is \
                     reached"
                ),
            ),
            Limit::UserChannels => say(
                530,
                format_args!(
                    "number of channels opened for user '{user}' has reached the maximum allowed \
                     user limit of ({count})"
                ),
            ),
        },
        Refused::Storage { cause } => say(541, format_args!("{cause}")),
    }
}

/// The answer to a wrong name or password; the same whatever was wrong.
pub fn login_refused(mechanism: &str) -> Exception {
    let text = format_args!(
        "Login was refused using authentication mechanism {mechanism}. For details see the \
         broker logfile."
    );
    Exception::new(403, (0, 0), text).of_connection()
}

/// A frame that is none.
pub fn frame_malformed(malformed: FrameMalformed) -> Exception {
    let (kind, reason) = match malformed {
        FrameMalformed::TooLarge {
            kind,
            bytes,
            bytes_max,
        } => (kind, format!("{{frame_too_large,{bytes},{bytes_max}}}")),
        FrameMalformed::End { kind, found } => {
            (kind, format!("{{invalid_frame_end_marker,{found}}}"))
        }
        FrameMalformed::Kind(kind) => (kind, "unknown_frame".to_owned()),
    };
    let text = format_args!("type {kind}, all octets = <<>>: {reason}");
    Exception::new(501, (0, 0), text)
}

/// A method frame that is no method, with its payload.
pub fn method_malformed(malformed: Malformed, payload: &[u8]) -> Exception {
    let about = match *payload {
        [class_high, class_low, high, low, ..] => (
            u16::from_be_bytes([class_high, class_low]),
            u16::from_be_bytes([high, low]),
        ),
        _ => (0, 0),
    };
    match malformed {
        Malformed::Method(class, method) => Exception::new(
            540,
            about,
            format_args!("unknown method {{{class},{method}}}"),
        ),
        Malformed::Text => Exception::new(502, about, "a short string is not UTF-8"),
        _ => {
            let octets = Octets(payload.get(4..).unwrap_or_default());
            Exception::new(501, about, format_args!("cannot decode {octets}"))
        }
    }
}

/// Octets as Erlang prints them, the first few.
struct Octets<'a>(&'a [u8]);

impl Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<<")?;
        for (index, octet) in self.0.iter().take(OCTETS_SHOWN_MAX).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{octet}")?;
        }
        let rest = if self.0.len() > OCTETS_SHOWN_MAX {
            ",..."
        } else {
            ""
        };
        write!(f, "{rest}>>")
    }
}

/// The engine words values as RabbitMQ does; bare ones get their quotes here.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            worded if worded.starts_with('\'') || worded.starts_with("the value ") => {
                f.write_str(worded)
            }
            "none" => f.write_str("none"),
            bare => write!(f, "'{bare}'"),
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Space => "vhost",
        Kind::Exchange => "exchange",
        Kind::Queue => "queue",
        Kind::Link => "consumer",
    }
}

const EXCHANGE_DELETE: MethodId = (40, 20);
const OCTETS_SHOWN_MAX: usize = 32;

#[cfg(test)]
mod tests;
