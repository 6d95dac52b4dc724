//! The table of known arguments: where each is valid, what it may be, what is done with it.
//!
//! RabbitMQ ignores arguments it does not know, and so does this, since clients mark things
//! for their own tools with them. An argument that *somebody's* broker gives a meaning has a
//! row here, so that nothing a client relies on is dropped in silence.

use bongsu_record::{Arguments, Value};

use crate::catalog::equivalence;
use crate::refused::Refused;

/// What an argument is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `queue.declare` and its like.
    Queue,
    /// `exchange.declare` and its like.
    Exchange,
    /// `basic.consume` and its like.
    Consumer,
}

/// What is done with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What it says happens.
    Enforced,
    /// It speaks of something that has no counterpart here, or goes without saying.
    AcceptAndIgnore,
    /// Refused with its name.
    NotYet,
}

/// One known argument.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `x-…`.
    pub name: &'static str,
    /// Given to what.
    pub place: Place,
    /// What it may be.
    pub accepted: Accepted,
    /// What is done with it.
    pub status: Status,
}

/// What values an argument takes.
#[derive(Clone, Copy, Debug)]
pub enum Accepted {
    /// An integer.
    Int,
    /// An integer from 0 up.
    Count,
    /// An integer from 1 up.
    Positive,
    /// `true` or `false`.
    Bool,
    /// Any text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str], &'static str),
    /// Not looked at.
    Anything,
}

/// Refuses arguments that are of the wrong kind or not built. Unknown ones pass.
///
/// # Errors
/// [`Refused::InvalidArgument`], [`Refused::Unsupported`]; the table's order decides which
/// is named first.
pub fn check(place: Place, arguments: &Arguments) -> Result<(), Refused> {
    if arguments.is_empty() {
        return Ok(());
    }
    for row in TABLE.iter().filter(|row| row.place == place) {
        let Some(value) = arguments.get(row.name) else {
            continue;
        };
        if row.status == Status::NotYet {
            return Err(unsupported(row.name));
        }
        row.accepted.check(row.name, value)?;
        if row.name == QUEUE_TYPE && value.as_text() == Some("stream") {
            return Err(unsupported("x-queue-type=stream"));
        }
    }
    check_values(arguments)
}

/// Refuses values that cannot be recorded: JSON has no infinite numbers.
///
/// # Errors
/// [`Refused::InvalidArgument`].
pub fn check_values(arguments: &Arguments) -> Result<(), Refused> {
    for (name, value) in arguments {
        if !is_finite(value) {
            return Err(invalid(name, value, "a finite number"));
        }
    }
    Ok(())
}

/// Names of the arguments known in a place, in the table's order.
pub fn known(place: Place) -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(move |row| row.place == place)
        .map(|row| row.name)
}

pub(super) fn invalid(argument: &str, value: &Value, accepted: &'static str) -> Refused {
    Refused::InvalidArgument {
        argument: argument.to_owned(),
        value: equivalence::plain(value),
        accepted,
    }
}

fn unsupported(what: &str) -> Refused {
    Refused::Unsupported {
        what: what.to_owned(),
    }
}

fn is_finite(value: &Value) -> bool {
    match value {
        Value::Float(float) => float.is_finite(),
        Value::List(values) => values.iter().all(is_finite),
        Value::Map(table) => table.values().all(is_finite),
        _ => true,
    }
}

impl Accepted {
    fn check(self, name: &str, value: &Value) -> Result<(), Refused> {
        let (fits, accepted) = match self {
            Accepted::Int => (value.as_int().is_some(), "an integer"),
            Accepted::Count => (value.as_int() >= Some(0), "an integer from 0 up"),
            Accepted::Positive => (value.as_int() >= Some(1), "an integer from 1 up"),
            Accepted::Bool => (matches!(value, Value::Bool(_)), "a boolean"),
            Accepted::Text => (value.as_text().is_some(), "a text"),
            Accepted::OneOf(texts, words) => {
                let fits = value.as_text().is_some_and(|text| texts.contains(&text));
                (fits, words)
            }
            Accepted::Anything => (true, ""),
        };
        if fits {
            Ok(())
        } else {
            Err(invalid(name, value, accepted))
        }
    }
}

/// When the records of a queue count as written; see
/// [`LogDurability`](crate::catalog::LogDurability).
pub const DURABILITY: &str = "x-durability";
const QUEUE_TYPE: &str = "x-queue-type";

const DURABILITIES: Accepted = Accepted::OneOf(&["fsync", "os", "memory"], "fsync, os, or memory");
const QUEUE_TYPES: Accepted = Accepted::OneOf(
    &["classic", "quorum", "stream"],
    "classic, quorum, or stream",
);
const QUEUE_MODES: Accepted = Accepted::OneOf(&["default", "lazy"], "default or lazy");

use Accepted::{Anything, Bool, Count, Int, Positive, Text};
use Place::{Consumer, Exchange, Queue};
use Status::{AcceptAndIgnore, Enforced, NotYet};

#[rustfmt::skip]
/// Every known argument; see the module's comment.
pub const TABLE: &[Row] = &[
    row(QUEUE_TYPE, Queue, QUEUE_TYPES, Enforced),
    row("x-expires", Queue, Positive, NotYet),
    row("x-message-ttl", Queue, Count, NotYet),
    row("x-dead-letter-exchange", Queue, Text, NotYet),
    row("x-dead-letter-routing-key", Queue, Text, NotYet),
    row("x-dead-letter-strategy", Queue, Text, NotYet),
    row("x-max-length", Queue, Count, NotYet),
    row("x-max-length-bytes", Queue, Count, NotYet),
    row("x-max-priority", Queue, Count, NotYet),
    row("x-overflow", Queue, Text, NotYet),
    row("x-single-active-consumer", Queue, Bool, NotYet),
    row("x-delivery-limit", Queue, Count, NotYet),
    row("x-consumer-timeout", Queue, Count, NotYet),
    row("x-consumer-disconnected-timeout", Queue, Count, NotYet),
    row("x-delayed-retry-type", Queue, Text, NotYet),
    row("x-delayed-retry-min", Queue, Count, NotYet),
    row("x-delayed-retry-max", Queue, Count, NotYet),
    row("x-message-deduplication", Queue, Bool, NotYet),
    row("x-cache-size", Queue, Count, NotYet),
    row("x-cache-ttl", Queue, Count, NotYet),
    row("x-deduplication-header", Queue, Text, NotYet),
    row("x-group-key", Queue, Text, NotYet),
    row("x-fair-key", Queue, Text, NotYet),
    row("x-retention", Queue, Anything, NotYet),
    row("x-max-age", Queue, Text, NotYet),
    row("x-stream-max-segment-size-bytes", Queue, Count, NotYet),
    row("x-stream-filter-size-bytes", Queue, Count, NotYet),
    row(DURABILITY, Queue, DURABILITIES, Enforced),
    row("x-queue-mode", Queue, QUEUE_MODES, AcceptAndIgnore),
    row("x-queue-version", Queue, Count, AcceptAndIgnore),
    row("x-queue-master-locator", Queue, Text, AcceptAndIgnore),
    row("x-queue-leader-locator", Queue, Text, AcceptAndIgnore),
    row("x-initial-cluster-size", Queue, Positive, AcceptAndIgnore),
    row("x-quorum-initial-group-size", Queue, Positive, AcceptAndIgnore),
    row("x-quorum-target-group-size", Queue, Positive, AcceptAndIgnore),
    row("x-max-in-memory-length", Queue, Count, AcceptAndIgnore),
    row("x-max-in-memory-bytes", Queue, Count, AcceptAndIgnore),

    row("alternate-exchange", Exchange, Text, NotYet),
    row("x-delayed-type", Exchange, Text, NotYet),
    row("x-message-deduplication", Exchange, Bool, NotYet),
    row("x-cache-size", Exchange, Count, NotYet),
    row("x-cache-ttl", Exchange, Count, NotYet),
    row("x-cache-persistence", Exchange, Text, NotYet),
    row("hash-header", Exchange, Text, NotYet),
    row("hash-property", Exchange, Text, NotYet),

    row("x-priority", Consumer, Int, Enforced),
    row("x-stream-offset", Consumer, Anything, NotYet),
    row("x-stream-filter", Consumer, Anything, NotYet),
    row("x-stream-match-unfiltered", Consumer, Bool, NotYet),
    row("x-stream-automatic-offset-tracking", Consumer, Bool, NotYet),
    row("x-consumer-timeout", Consumer, Count, NotYet),
    row("x-credit", Consumer, Anything, NotYet),
    row("x-cancel-on-ha-failover", Consumer, Bool, AcceptAndIgnore),
];

const fn row(name: &'static str, place: Place, accepted: Accepted, status: Status) -> Row {
    Row {
        name,
        place,
        accepted,
        status,
    }
}
