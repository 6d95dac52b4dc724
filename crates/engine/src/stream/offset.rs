//! Where a reader begins: the consumer argument `x-stream-offset`.
//!
//! Read as RabbitMQ reads it: `first`, `last`, `next`, an offset, a timestamp in whole
//! seconds, or a span like `1h` (so long ago). Nothing is `next`, and a negative offset is
//! the first.

use bongsu_record::{Offset, Value};

use super::age;

/// See the module's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOffset {
    /// The oldest record there is.
    First,
    /// The newest record there is.
    Last,
    /// The next to be written.
    Next,
    /// That record; if it is gone, the oldest there is; if it is not yet there, once it is.
    Offset(Offset),
    /// The first record of that time or later.
    Time {
        /// Unix milliseconds.
        unix_ms: i64,
    },
    /// The first record that is no older.
    Interval {
        /// Milliseconds.
        age_ms: u64,
    },
}

/// A place in a log, as far as it can be told without looking into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// That offset, or the log's start if it is below.
    At(Offset),
    /// The first record whose batch is of that time or later: Unix milliseconds.
    Time(i64),
}

/// The value is none that says where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetInvalid;

impl StreamOffset {
    /// Reads the argument's value.
    ///
    /// # Errors
    /// [`OffsetInvalid`].
    pub fn parse(value: Option<&Value>) -> Result<StreamOffset, OffsetInvalid> {
        match value {
            None => Ok(StreamOffset::Next),
            Some(Value::Text(text)) => StreamOffset::of_text(text).ok_or(OffsetInvalid),
            Some(Value::Int(offset)) => {
                let offset = u64::try_from(*offset).unwrap_or(0);
                Ok(StreamOffset::Offset(Offset(offset)))
            }
            Some(Value::Time(seconds)) => {
                let unix_ms = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
                Ok(StreamOffset::Time { unix_ms })
            }
            Some(_) => Err(OffsetInvalid),
        }
    }

    fn of_text(text: &str) -> Option<StreamOffset> {
        match text {
            "first" => Some(StreamOffset::First),
            "last" => Some(StreamOffset::Last),
            "next" => Some(StreamOffset::Next),
            _ => age::parse_ms(text).map(|age_ms| StreamOffset::Interval { age_ms }),
        }
    }

    /// Where that is in a log which ends at `end`, at the time `unix_ms` (milliseconds).
    pub fn place(self, end: Offset, unix_ms: i64) -> Place {
        match self {
            StreamOffset::First => Place::At(Offset(0)),
            StreamOffset::Last => Place::At(Offset(end.0.saturating_sub(1))),
            StreamOffset::Next => Place::At(end),
            StreamOffset::Offset(offset) => Place::At(offset),
            StreamOffset::Time { unix_ms } => Place::Time(unix_ms),
            StreamOffset::Interval { age_ms } => {
                Place::Time(unix_ms.saturating_sub_unsigned(age_ms))
            }
        }
    }
}

/// What [`StreamOffset::parse`] takes, for people.
pub const ACCEPTED: &str = "first, last, next, an offset, a timestamp, or a span of time like 1h";
