//! Kinds of values, and how each is read from text.

use std::net::SocketAddr;
use std::time::Duration;

/// What a setting accepts. Bounds are included.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A path.
    Path,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A size: bytes, or with `KiB`, `MiB`, `GiB`.
    Bytes(u64, u64),
    /// A number.
    Count(u64, u64),
    /// Whole seconds, as `10s` or `2m`.
    Duration(u64, u64),
    /// `host:port`, several separated by commas, or nothing.
    Addresses,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Path`] and [`Kind::Word`].
    Text(String),
    /// Of [`Kind::Bytes`] and [`Kind::Count`].
    Number(u64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Addresses`].
    Addresses(Vec<SocketAddr>),
}

impl Kind {
    /// What is accepted, for people.
    pub fn accepted(self) -> String {
        match self {
            Kind::Path => "a path".to_owned(),
            Kind::Word(words) => words.join(", "),
            Kind::Bytes(least, most) => {
                format!("a size from {} to {}, as 64 MiB", size(least), size(most))
            }
            Kind::Count(least, most) => format!("a number from {least} to {most}"),
            Kind::Duration(least, most) => format!("a duration from {least}s to {most}s, as 10s"),
            Kind::Addresses => "address:port, several separated by commas, or nothing".to_owned(),
        }
    }

    /// Reads a value from text; `None` if it is not acceptable.
    pub fn read(self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self {
            Kind::Path => (!text.is_empty()).then(|| Value::Text(text.to_owned())),
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
                let seconds = scaled(text, DURATIONS)?;
                let duration = Value::Duration(Duration::from_secs(seconds));
                (least..=most).contains(&seconds).then_some(duration)
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
const DURATIONS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600)];
