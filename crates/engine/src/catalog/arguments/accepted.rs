//! What values an argument takes.

use bongsu_record::Value;

use crate::catalog::arguments::invalid;
use crate::catalog::equivalence;
use crate::refused::Refused;
use crate::stream::{Retention, StreamOffset, age, offset, retention};

/// What values an argument takes.
#[derive(Clone, Copy, Debug)]
pub enum Accepted {
    /// An integer from the first to the second, both included, in words.
    Integer(i64, i64, &'static str),
    /// An integer from 1 up, which may also be written as a text.
    Whole,
    /// `true` or `false`.
    Bool,
    /// Any text.
    Text,
    /// One of these texts, in words.
    OneOf(&'static [&'static str], &'static str),
    /// A span of time as [`age::parse_ms`] reads it.
    Age,
    /// What [`Retention::parse`] reads.
    Retention,
    /// Waits in milliseconds.
    Delays,
    /// Where a reader of a stream begins.
    StreamOffset,
    /// A text or several.
    Texts,
    /// Not looked at.
    Anything,
}

impl Accepted {
    /// Refuses another value.
    ///
    /// # Errors
    /// [`Refused::ArgumentType`], [`Refused::InvalidArgument`].
    pub fn check(self, name: &str, value: &Value) -> Result<(), Refused> {
        let (is_typed, fits) = match self {
            Accepted::Integer(min, max, _) => {
                let int = value.as_int();
                (int.is_some(), int >= Some(min) && int <= Some(max))
            }
            Accepted::Whole => {
                let is_typed = matches!(value, Value::Int(_) | Value::Text(_));
                (is_typed, whole(value) > Some(0))
            }
            Accepted::Bool => (matches!(value, Value::Bool(_)), true),
            Accepted::Text => (value.as_text().is_some(), true),
            Accepted::OneOf(texts, _) => {
                let text = value.as_text();
                (
                    text.is_some(),
                    text.is_some_and(|text| texts.contains(&text)),
                )
            }
            Accepted::Age => {
                let text = value.as_text();
                (text.is_some(), text.and_then(age::parse_ms).is_some())
            }
            Accepted::Delays => match value {
                Value::List(delays) => {
                    let counted = (1..=DELAYS_COUNT_MAX).contains(&delays.len());
                    let is_delay = |delay: &Value| {
                        let int = delay.as_int();
                        int >= Some(0) && int <= Some(SPAN_MS_MAX)
                    };
                    (true, counted && delays.iter().all(is_delay))
                }
                _ => (false, false),
            },
            Accepted::Retention => {
                let is_typed = matches!(value, Value::Text(_) | Value::Int(_) | Value::Map(_));
                (is_typed, Retention::parse(value).is_some())
            }
            // What else there is RabbitMQ takes too, and then fails over it.
            Accepted::StreamOffset => (true, StreamOffset::parse(Some(value)).is_ok()),
            Accepted::Texts => match value {
                Value::List(values) => {
                    let all = values.iter().all(|value| value.as_text().is_some());
                    (all, true)
                }
                other => (other.as_text().is_some(), true),
            },
            Accepted::Anything => (true, true),
        };
        if !is_typed {
            return Err(Refused::ArgumentType {
                argument: name.to_owned(),
                found: equivalence::type_of(value),
                accepted: self.words(),
            });
        }
        if !fits {
            return Err(invalid(name, value, self.words()));
        }
        Ok(())
    }

    /// What is accepted, for people.
    pub fn words(self) -> &'static str {
        match self {
            Accepted::Integer(_, _, words) | Accepted::OneOf(_, words) => words,
            Accepted::Whole => "an integer greater than 0",
            Accepted::Bool => "a boolean",
            Accepted::Text => "a text",
            Accepted::Age => age::ACCEPTED,
            Accepted::Retention => retention::ACCEPTED,
            Accepted::Delays => "a list of 1 to 64 integers from 0 to 315360000000",
            Accepted::StreamOffset => offset::ACCEPTED,
            Accepted::Texts => "a text or a list of texts",
            Accepted::Anything => "anything",
        }
    }
}

/// A count that may be written as a text.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Text(text) => text.parse().ok(),
        value => u64::try_from(value.as_int()?).ok(),
    }
}

/// Any integer.
pub const INT: Accepted = Accepted::Integer(i64::MIN, i64::MAX, "an integer");
/// An integer from 0 up.
pub const COUNT: Accepted = Accepted::Integer(0, i64::MAX, "an integer from 0 up");
/// An integer from 1 up.
pub const POSITIVE: Accepted = Accepted::Integer(1, i64::MAX, "an integer from 1 up");
/// A limit, or -1 for none.
pub const LIMIT: Accepted = Accepted::Integer(-1, i64::MAX, "an integer from -1 up");
/// A priority.
pub const BYTE: Accepted = Accepted::Integer(0, 255, "an integer from 0 to 255");
/// Milliseconds, at most RabbitMQ's ten years.
pub const SPAN: Accepted = Accepted::Integer(0, SPAN_MS_MAX, "an integer from 0 to 315360000000");
/// The same, and not 0.
pub const POSITIVE_SPAN: Accepted =
    Accepted::Integer(1, SPAN_MS_MAX, "an integer from 1 to 315360000000");

const SPAN_MS_MAX: i64 = 315_360_000_000;
const DELAYS_COUNT_MAX: usize = 64;
