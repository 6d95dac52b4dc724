//! A span, as OpenTelemetry has it: names and attributes follow its conventions for messaging.

use std::sync::Arc;

use crate::registry::Connection;

/// One thing that was done with one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: [u8; 16],
    /// Its own number.
    pub id: [u8; 8],
    /// What caused it; `None`: the trace begins here.
    pub parent: Option<[u8; 8]>,
    /// `tracestate`, as the publisher said it.
    pub state: Option<Arc<str>>,
    /// Whether it answers a client.
    pub kind: Kind,
    /// `publish orders`.
    pub name: String,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds.
    pub end_ns: u64,
    /// By name.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

/// Whose doing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The broker's own.
    Internal,
    /// A client asked for it.
    Server,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl Span {
    pub(super) fn text(&mut self, name: &'static str, value: impl Into<String>) {
        self.attributes.push((name, Attribute::Text(value.into())));
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.attributes.push((name, Attribute::Number(value)));
    }

    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        self.attributes.push((name, Attribute::Flag(value)));
    }

    /// What is done, with what.
    pub(super) fn does(&mut self, operation: &'static str, destination: &str) {
        self.name = format!("{operation} {destination}");
        self.text("messaging.system", "bongsu");
        self.text("messaging.operation.name", operation);
        let of_type = match operation {
            "publish" => Some("send"),
            "deliver" => Some("receive"),
            "settle" => Some("settle"),
            _ => None,
        };
        if let Some(of_type) = of_type {
            self.text("messaging.operation.type", of_type);
        }
        self.text("messaging.destination.name", destination);
    }

    /// For whom.
    pub(super) fn asked_by(&mut self, connection: &Connection) {
        let Some(peer) = connection.peer() else {
            return;
        };
        self.text("network.protocol.name", peer.protocol);
        let address = peer.peer.ip().to_canonical().to_string();
        self.text("network.peer.address", address);
        self.number("network.peer.port", u64::from(peer.peer.port()));
        self.text("user.name", &*connection.user());
        self.text("bongsu.space", &*connection.space_name());
    }
}
