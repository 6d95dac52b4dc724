//! Kinds of values, and how each is read from text.

use std::net::SocketAddr;
use std::time::Duration;

use bongsu_net::proxy::Network;

use crate::logs::{self, Levels};

/// What a setting accepts. Bounds are included.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A path.
    Path,
    /// The path of a file, or nothing.
    File,
    /// Any text, or nothing.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A size: bytes, or with `KiB`, `MiB`, `GiB`.
    Bytes(u64, u64),
    /// A number.
    Count(u64, u64),
    /// Whole seconds, as `10s`, `2m` or `5000ms`.
    Duration(u64, u64),
    /// `host:port`, several separated by commas, or nothing.
    Addresses,
    /// `host:port` as clients would say it, or nothing.
    Place,
    /// A name.
    Name,
    /// Names separated by commas, or nothing.
    Names,
    /// Addresses and networks separated by commas, or nothing.
    Networks,
    /// Levels of the log.
    Levels,
    /// `http://host:port/path`, or nothing.
    Url,
    /// From 0 to 1.
    Ratio,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Name`], [`Kind::Path`], [`Kind::File`], [`Kind::Text`], [`Kind::Word`],
    /// [`Kind::Levels`] and [`Kind::Url`].
    Text(String),
    /// Of [`Kind::Bytes`] and [`Kind::Count`].
    Number(u64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Addresses`].
    Addresses(Vec<SocketAddr>),
    /// Of [`Kind::Names`].
    Names(Vec<String>),
    /// Of [`Kind::Networks`].
    Networks(Vec<Network>),
    /// Of [`Kind::Ratio`].
    Ratio(f64),
    /// Of [`Kind::Place`].
    Place(Option<(String, u16)>),
}

impl Kind {
    /// What is accepted, for people.
    pub fn accepted(self) -> String {
        match self {
            Kind::Path => "a path".to_owned(),
            Kind::Text => "a text, or nothing".to_owned(),
            Kind::File => "the path of a file, or nothing".to_owned(),
            Kind::Word(words) => words.join(", "),
            Kind::Bytes(least, most) => {
                let (least, most) = (size(least), size(most));
                format!("a size from {least} to {most}, in bytes or with KiB, MiB, GiB")
            }
            Kind::Count(least, most) => format!("a number from {least} to {most}"),
            Kind::Duration(least, most) => {
                format!("a duration from {least}s to {most}s in whole seconds, as 10s")
            }
            Kind::Addresses => "address:port, several separated by commas, or nothing".to_owned(),
            Kind::Place => "host:port, or nothing".to_owned(),
            Kind::Name => "a name".to_owned(),
            Kind::Names => "names separated by commas, or nothing".to_owned(),
            Kind::Networks => {
                "addresses and networks as 10.0.0.0/8, separated by commas, or nothing".to_owned()
            }
            Kind::Levels => logs::accepted(),
            Kind::Url => "http:// or https:// with host, port and path, or nothing".to_owned(),
            Kind::Ratio => "a number from 0 to 1".to_owned(),
        }
    }

    /// What it is measured in, or its words, for a column of a table.
    pub fn unit(self) -> String {
        match self {
            Kind::Path | Kind::File => "path".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Word(words) => words.join("|"),
            Kind::Bytes(..) => "bytes".to_owned(),
            Kind::Count(..) => "count".to_owned(),
            Kind::Duration(..) => "duration".to_owned(),
            Kind::Addresses => "address:port, …".to_owned(),
            Kind::Place => "host:port".to_owned(),
            Kind::Name => "name".to_owned(),
            Kind::Names => "name, …".to_owned(),
            Kind::Networks => "network, …".to_owned(),
            Kind::Levels => "level, module=level, …".to_owned(),
            Kind::Url => "URL".to_owned(),
            Kind::Ratio => "ratio".to_owned(),
        }
    }

    /// Reads a value from text; `None` if it is not acceptable.
    pub fn read(self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self {
            Kind::Path | Kind::Name => (!text.is_empty()).then(|| Value::Text(text.to_owned())),
            Kind::File | Kind::Text => Some(Value::Text(text.to_owned())),
            Kind::Word(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Kind::Bytes(least, most) => {
                let bytes = scaled(text, SIZES)?;
                (least..=most)
                    .contains(&bytes)
                    .then_some(Value::Number(bytes))
            }
            Kind::Count(least, most) => {
                let count: u64 = text.parse().ok()?;
                (least..=most)
                    .contains(&count)
                    .then_some(Value::Number(count))
            }
            Kind::Duration(least, most) => {
                let milliseconds = scaled(text, DURATIONS)?;
                // Half a second must not become none at all.
                if !milliseconds.is_multiple_of(1000) {
                    return None;
                }
                let seconds = milliseconds / 1000;
                let duration = Value::Duration(Duration::from_secs(seconds));
                (least..=most).contains(&seconds).then_some(duration)
            }
            Kind::Url => url(text).map(Value::Text),
            Kind::Ratio => {
                let ratio: f64 = text.parse().ok()?;
                (0.0..=1.0).contains(&ratio).then_some(Value::Ratio(ratio))
            }
            Kind::Levels => Levels::parse(text).map(|_| Value::Text(text.to_owned())),
            Kind::Names => {
                let names = text.split(',').map(str::trim);
                let names = names.filter(|name| !name.is_empty()).map(str::to_owned);
                Some(Value::Names(names.collect()))
            }
            Kind::Networks => {
                let networks = text.split(',').map(str::trim);
                let networks = networks.filter(|network| !network.is_empty());
                let networks: Result<_, ()> = networks.map(str::parse).collect();
                networks.ok().map(Value::Networks)
            }
            Kind::Place if text.is_empty() => Some(Value::Place(None)),
            Kind::Place => {
                let (host, port) = text.rsplit_once(':')?;
                let port = port.parse().ok().filter(|port| *port > 0)?;
                let fits = !host.is_empty() && !host.contains(char::is_whitespace);
                fits.then(|| Value::Place(Some((host.to_owned(), port))))
            }
            Kind::Addresses => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                let addresses: Result<_, _> = parts.map(address).collect();
                addresses.ok().map(Value::Addresses)
            }
        }
    }
}

/// `localhost` is a name everybody writes; other names are looked up by whoever starts us.
fn address(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    }
}

/// Without a path, that of the specification is meant. Words and secrets before the host are
/// not for a setting that everybody is told.
fn url(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))?;
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |c: char| c.is_ascii_graphic() && c != '@' && c != '?' && c != '#';
    let host = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            host
        }
        _ => place,
    };
    if host.is_empty() || !rest.chars().all(is_plain) {
        return None;
    }
    Some(match path {
        "" => format!("{}/v1/traces", text.trim_end_matches('/')),
        _ => text.to_owned(),
    })
}

/// A number with one of the units; a unit of "" stands for none.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// A size as people write it.
pub fn size(bytes: u64) -> String {
    let unit = SIZES.iter().rev().find(|(name, factor)| {
        !name.is_empty() && bytes >= *factor && bytes.is_multiple_of(*factor)
    });
    match unit {
        Some((name, factor)) => format!("{} {name}", bytes / factor),
        None => format!("{bytes} B"),
    }
}

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];
/// In milliseconds.
const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
