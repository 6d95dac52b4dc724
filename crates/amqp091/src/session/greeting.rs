//! What server and client say of themselves: properties, capabilities, credentials.

use bongsu_engine::session::Call;
use bongsu_record::table;
use bongsu_record::{Arguments, Value};

/// What the client can take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capabilities {
    /// A connection.close when its login is refused.
    pub failure_close: bool,
    /// A basic.cancel when its queue is gone.
    pub cancel_notify: bool,
    /// connection.blocked and unblocked.
    pub blocked: bool,
}

impl Capabilities {
    /// Out of the client's properties.
    pub fn of(properties: &Arguments) -> Capabilities {
        let Some(Value::Map(capabilities)) = properties.get("capabilities") else {
            return Capabilities::default();
        };
        let can = |name: &str| capabilities.get(name) == Some(&Value::Bool(true));
        Capabilities {
            failure_close: can("authentication_failure_close"),
            cancel_notify: can("consumer_cancel_notify"),
            blocked: can("connection.blocked"),
        }
    }
}

/// A name and a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub user: String,
    pub password: String,
}

/// Ways to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    AmqPlain,
    /// By the certificate that the client showed.
    External,
}

/// As offered in connection.start, the order being the server's preference.
pub(super) fn mechanisms(certified: bool) -> &'static [u8] {
    match certified {
        true => b"PLAIN AMQPLAIN EXTERNAL",
        false => b"PLAIN AMQPLAIN",
    }
}

impl Mechanism {
    /// One that is offered.
    pub fn by_name(name: &str, certified: bool) -> Option<Mechanism> {
        match name {
            "PLAIN" => Some(Mechanism::Plain),
            "AMQPLAIN" => Some(Mechanism::AmqPlain),
            "EXTERNAL" if certified => Some(Mechanism::External),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::AmqPlain => "AMQPLAIN",
            Mechanism::External => "EXTERNAL",
        }
    }

    /// What the broker is asked to let somebody in by this response, if it is one, and the
    /// name that is said.
    pub fn login(self, response: &[u8]) -> Option<(String, Call)> {
        let Credentials { user, password } = match self {
            Mechanism::Plain => plain(response)?,
            Mechanism::AmqPlain => amqplain(response)?,
            // Nobody is asked to be somebody else.
            Mechanism::External => return Some((String::new(), Call::LoginExternal)),
        };
        Some((user.clone(), Call::Login { user, password }))
    }
}

/// `identity\0user\0password` (RFC 4616). Who may act for others is not asked here, so the
/// identity is not looked at.
fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = response.split(|byte| *byte == 0);
    let (_identity, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    match parts.next() {
        None => Some(Credentials {
            user: text(user)?,
            password: text(password)?,
        }),
        Some(_) => None,
    }
}

/// A field table without its length: LOGIN and PASSWORD.
fn amqplain(response: &[u8]) -> Option<Credentials> {
    let length = u32::try_from(response.len()).ok()?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(response);
    let (table, _) = table::decode(&bytes).ok()?;
    let text = |name: &str| Some(table.get(name)?.as_text()?.to_owned());
    Some(Credentials {
        user: text("LOGIN")?,
        password: text("PASSWORD")?,
    })
}

/// The server's properties, as an encoded table.
pub(super) fn server_properties() -> Vec<u8> {
    let text = |text: &str| Value::Text(text.to_owned());
    let capabilities = CAPABILITIES
        .iter()
        .map(|name| ((*name).to_owned(), Value::Bool(true)))
        .collect();
    let properties = Arguments::from([
        ("capabilities".to_owned(), Value::Map(capabilities)),
        ("cluster_name".to_owned(), text("bongsu")),
        ("copyright".to_owned(), text(COPYRIGHT)),
        ("information".to_owned(), text(INFORMATION)),
        ("platform".to_owned(), text("Rust")),
        ("product".to_owned(), text("Bongsu")),
        ("version".to_owned(), text(VERSION)),
    ]);
    let mut bytes = Vec::new();
    table::encode(&properties, &mut bytes);
    bytes
}

/// Names as RabbitMQ announces them; each is kept.
const CAPABILITIES: &[&str] = &[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// Of the RabbitMQ whose behaviour this is: tools take it apart to know what they may use.
const VERSION: &str = "4.0.0";
const COPYRIGHT: &str = "Copyright (c) the Bongsu authors";
const INFORMATION: &str = "Licensed under the Apache License 2.0";

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(password: &str) -> Option<Credentials> {
        Some(Credentials {
            user: "guest".to_owned(),
            password: password.to_owned(),
        })
    }

    #[test]
    fn plain_is_three_parts() {
        let read = plain;
        assert_eq!(read(b"\0guest\0secret"), guest("secret"));
        assert_eq!(read(b"other\0guest\0"), guest(""));
        assert_eq!(read(b"guest\0secret"), None);
        assert_eq!(read(b"\0guest\0secret\0more"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn amqplain_is_a_table_without_its_length() {
        let read = amqplain;
        let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
        assert_eq!(read(response), guest("secret"));
        assert_eq!(read(&response[..16]), None);
        assert_eq!(read(&response[..20]), None);
    }
}
