//! The engine's refusals in RabbitMQ's words: code, text, and whether the channel or the
//! connection ends. One table, nowhere else; clients match on these texts.

use bongsu_engine::Refused;
use bongsu_engine::refused::{Kind, Permission};

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
    /// Reply text, its name in front.
    pub text: String,
}

impl Exception {
    /// An exception with the name that belongs to its code in front of `detail`.
    pub fn new(code: u16, detail: impl std::fmt::Display) -> Exception {
        let (name, scope) = named(code);
        Exception {
            scope,
            code,
            text: format!("{name} - {detail}"),
        }
    }
}

/// Names and scopes of reply codes (specification section 1.3, and RabbitMQ's use of them).
fn named(code: u16) -> (&'static str, Scope) {
    match code {
        311 => ("CONTENT_TOO_LARGE", Scope::Channel),
        312 => ("NO_ROUTE", Scope::Channel),
        320 => ("CONNECTION_FORCED", Scope::Connection),
        403 => ("ACCESS_REFUSED", Scope::Channel),
        404 => ("NOT_FOUND", Scope::Channel),
        405 => ("RESOURCE_LOCKED", Scope::Channel),
        406 => ("PRECONDITION_FAILED", Scope::Channel),
        501 => ("FRAME_ERROR", Scope::Connection),
        502 => ("SYNTAX_ERROR", Scope::Connection),
        503 => ("COMMAND_INVALID", Scope::Connection),
        504 => ("CHANNEL_ERROR", Scope::Connection),
        505 => ("UNEXPECTED_FRAME", Scope::Connection),
        506 => ("RESOURCE_ERROR", Scope::Connection),
        530 => ("NOT_ALLOWED", Scope::Connection),
        540 => ("NOT_IMPLEMENTED", Scope::Connection),
        _ => ("INTERNAL_ERROR", Scope::Connection),
    }
}

/// How a refusal is worded, in the virtual host `vhost`.
pub fn worded(refused: &Refused, vhost: &str) -> Exception {
    match refused {
        Refused::Login { .. } => {
            let mut exception = Exception::new(
                403,
                "Login was refused using authentication mechanism PLAIN. For details see the \
                 broker logfile.",
            );
            exception.scope = Scope::Connection;
            exception
        }
        Refused::Denied {
            permission,
            kind,
            name,
            user,
        } => {
            let permission = match permission {
                Permission::Configure => "configure",
                Permission::Write => "write",
                Permission::Read => "read",
            };
            let kind = kind_name(*kind);
            Exception::new(
                403,
                format_args!(
                    "{permission} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"
                ),
            )
        }
        Refused::NotFound {
            kind: Kind::Space,
            name,
        } => Exception::new(530, format_args!("vhost {name} not found")),
        Refused::NotFound { kind, name } => {
            let kind = kind_name(*kind);
            Exception::new(404, format_args!("no {kind} '{name}' in vhost '{vhost}'"))
        }
        Refused::Inequivalent {
            kind,
            name,
            argument,
            requested,
            current,
        } => {
            let kind = kind_name(*kind);
            let quoted = |value: &str| match value.contains(' ') || value == "none" {
                true => value.to_owned(),
                false => format!("'{}'", value.trim_matches('\'')),
            };
            let (requested, current) = (quoted(requested), quoted(current));
            Exception::new(
                406,
                format_args!(
                    "inequivalent arg '{argument}' for {kind} '{name}' in vhost '{vhost}': \
                     received {requested} but current is {current}"
                ),
            )
        }
        Refused::Locked { queue } => Exception::new(
            405,
            format_args!(
                "cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It could \
                 be originally declared on another connection or the exclusive property value does \
                 not match that of the original declaration."
            ),
        ),
        Refused::Reserved { name, .. } if name.is_empty() => {
            Exception::new(403, "operation not permitted on the default exchange")
        }
        Refused::Reserved { kind, name } => {
            let kind = kind_name(*kind);
            Exception::new(
                403,
                format_args!("{kind} name '{name}' contains reserved prefix 'amq.*'"),
            )
        }
        Refused::InUse { kind, name } => {
            let kind = kind_name(*kind);
            Exception::new(
                406,
                format_args!("{kind} '{name}' in vhost '{vhost}' in use"),
            )
        }
        Refused::NotEmpty { queue } => Exception::new(
            406,
            format_args!("queue '{queue}' in vhost '{vhost}' not empty"),
        ),
        Refused::ExclusiveConsumer { queue } => Exception::new(
            403,
            format_args!("queue '{queue}' in vhost '{vhost}' in exclusive use"),
        ),
        Refused::InvalidArgument {
            argument,
            value,
            accepted,
        } => Exception::new(
            406,
            format_args!("invalid arg '{argument}': {value}; accepted is {accepted}"),
        ),
        Refused::UnknownExchangeType { name } => {
            Exception::new(503, format_args!("unknown exchange type '{name}'"))
        }
        Refused::Internal { exchange } => Exception::new(
            403,
            format_args!("cannot publish to internal exchange '{exchange}' in vhost '{vhost}'"),
        ),
        Refused::Unsupported { what } => Exception::new(540, what),
        Refused::Storage { cause } => Exception::new(541, cause),
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
