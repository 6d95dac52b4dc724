//! How long records stay, whoever has read them.
//!
//! A stream has `x-max-age` and `x-max-length-bytes`, as RabbitMQ spells them, and keeps
//! everything without. A queue has `x-retention`, which keeps *settled* records readable
//! (without it they are gone), and may be
//!
//! - a span of time: `"7D"`;
//! - a number of bytes: `1000000000`;
//! - a table of both: `{age: "7D", bytes: 1000000000}`, where what is left out is no limit;
//! - `"forever"`.
//!
//! `x-retention-bytes` is the number of bytes beside a span, for those who cannot write
//! tables. Of two limits the one that keeps less holds. What a queue still owes to somebody
//! is never dropped by its retention.

use bongsu_record::{Arguments, Value};

use super::age;

/// See the module's comment. The default keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Older batches go: milliseconds.
    pub age_ms: Option<u64>,
    /// The oldest batches go, so that the others take up at most so much on the disk.
    pub bytes: Option<u64>,
}

impl Retention {
    /// A stream's, from arguments that were checked.
    pub fn of_stream(arguments: &Arguments) -> Retention {
        let age = arguments.get("x-max-age").and_then(Value::as_text);
        Retention {
            age_ms: age.and_then(age::parse_ms),
            bytes: arguments.get("x-max-length-bytes").and_then(bytes),
        }
    }

    /// A queue's, from arguments that were checked; none if it keeps nothing.
    pub fn of_queue(arguments: &Arguments) -> Option<Retention> {
        let own = arguments.get(RETENTION).and_then(Retention::parse);
        let size = arguments.get(RETENTION_BYTES).and_then(bytes);
        match (own, size) {
            (None, None) => None,
            (own, None) => own,
            (own, size) => Some(Retention {
                bytes: size,
                ..own.unwrap_or_default()
            }),
        }
    }

    /// Reads a value of `x-retention`; none if it is not one.
    pub fn parse(value: &Value) -> Option<Retention> {
        match value {
            Value::Text(text) if text == "forever" => Some(Retention::default()),
            Value::Text(text) => Some(Retention {
                age_ms: Some(age::parse_ms(text)?),
                bytes: None,
            }),
            Value::Int(_) => Some(Retention {
                age_ms: None,
                bytes: Some(bytes(value).filter(|bytes| *bytes > 0)?),
            }),
            Value::Map(table) => Retention::of_table(table),
            _ => None,
        }
    }

    fn of_table(table: &Arguments) -> Option<Retention> {
        let mut retention = Retention::default();
        for (name, value) in table {
            match name.as_str() {
                "age" => retention.age_ms = Some(age::parse_ms(value.as_text()?)?),
                "bytes" => retention.bytes = Some(bytes(value).filter(|bytes| *bytes > 0)?),
                _ => return None,
            }
        }
        (!table.is_empty()).then_some(retention)
    }

    /// Batches of an earlier time go: Unix milliseconds.
    pub fn kept_since(&self, unix_ms: i64) -> Option<i64> {
        Some(unix_ms.saturating_sub_unsigned(self.age_ms?))
    }

    /// Whether anything ever goes.
    pub fn is_bounded(&self) -> bool {
        self.age_ms.is_some() || self.bytes.is_some()
    }
}

fn bytes(value: &Value) -> Option<u64> {
    u64::try_from(value.as_int()?).ok()
}

/// The argument's name.
pub const RETENTION: &str = "x-retention";
const RETENTION_BYTES: &str = "x-retention-bytes";

/// What [`Retention::parse`] takes, for people.
pub const ACCEPTED: &str =
    "a span of time like 7D, a number of bytes, a table of age and bytes, or forever";
