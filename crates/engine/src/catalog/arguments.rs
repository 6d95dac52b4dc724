//! The table of known arguments: where each is valid, what it may be, what is done with it.
//!
//! RabbitMQ ignores arguments it does not know, and so does this, since clients mark things
//! for their own tools with them. An argument that *somebody's* broker gives a meaning has a
//! row here, so that nothing a client relies on is dropped in silence.
//!
//! Every queue takes every argument, whatever its `x-queue-type`; streams take those that
//! RabbitMQ's streams take.
//!
//! Reading order: this file, [`accepted`] (values), [`table`] (the rows).

pub mod accepted;

pub mod table;

use bongsu_record::{Arguments, Value};

use crate::catalog::definition::QueueDefinition;
use crate::catalog::equivalence;
use crate::refused::Refused;

pub use accepted::Accepted;
pub use table::TABLE;

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
    /// Without this other one it says nothing, and is refused.
    pub needs: Option<&'static str>,
}

/// Refuses arguments that are of the wrong kind. Unknown ones pass.
///
/// # Errors
/// Those of [`Accepted::check`], [`Refused::ArgumentAlone`], [`Refused::ArgumentsExclude`];
/// the table's order decides which is named first.
pub fn check(place: Place, arguments: &Arguments) -> Result<(), Refused> {
    if arguments.is_empty() {
        return Ok(());
    }
    for row in TABLE.iter().filter(|row| row.place == place) {
        let Some(value) = arguments.get(row.name) else {
            continue;
        };
        row.accepted.check(row.name, value)?;
        if let Some(needs) = row.needs
            && !arguments.contains_key(needs)
        {
            let argument = row.name.to_owned();
            return Err(Refused::ArgumentAlone { argument, needs });
        }
    }
    for (one, other) in EXCLUSIVE {
        if arguments.contains_key(one) && arguments.contains_key(other) {
            return Err(Refused::ArgumentsExclude { one, other });
        }
    }
    check_values(arguments)
}

/// As [`check`], and whether a stream can be what is asked for.
///
/// # Errors
/// Also [`Refused::NotForStreams`] and [`Refused::StreamProperty`].
pub(super) fn check_queue(definition: &QueueDefinition) -> Result<(), Refused> {
    let arguments = &definition.arguments;
    check(Place::Queue, arguments)?;
    if arguments.get(QUEUE_TYPE).and_then(Value::as_text) != Some("stream") {
        return Ok(());
    }
    let enforced = |row: &&Row| row.place == Place::Queue && row.status == Status::Enforced;
    for row in TABLE.iter().filter(enforced) {
        if arguments.contains_key(row.name) && !OF_STREAMS.contains(&row.name) {
            let argument = row.name.to_owned();
            return Err(Refused::NotForStreams { argument });
        }
    }
    let property = if definition.auto_delete {
        "auto-delete"
    } else if definition.owner.is_some() {
        "exclusive-owner"
    } else if !definition.durable {
        "non-durable"
    } else {
        return Ok(());
    };
    let queue = definition.name.to_string();
    Err(Refused::StreamProperty { queue, property })
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

/// Names of the arguments that must be the same when something is declared again, in the
/// table's order. Of an exchange RabbitMQ looks at one alone.
pub(super) fn compared(place: Place) -> impl Iterator<Item = &'static str> {
    let compares = move |row: &&Row| match place {
        Place::Exchange => row.name == ALTERNATE_EXCHANGE,
        Place::Queue | Place::Consumer => true,
    };
    TABLE
        .iter()
        .filter(move |row| row.place == place)
        .filter(compares)
        .map(|row| row.name)
}

pub(super) fn invalid(argument: &str, value: &Value, accepted: &'static str) -> Refused {
    Refused::InvalidArgument {
        argument: argument.to_owned(),
        value: equivalence::plain(value),
        accepted,
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

/// When the records of a queue count as written; see
/// [`LogDurability`](crate::catalog::LogDurability).
pub const DURABILITY: &str = "x-durability";
/// Whose records a queue consumes: a stream's, or a partition's of a topic.
pub const SUBSCRIBE: &str = "x-subscribe";
/// From where on.
pub const SUBSCRIBE_FROM: &str = "x-subscribe-from";
/// Where an exchange sends what it has no place for.
pub const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
/// `classic`, `quorum` or `stream`.
pub const QUEUE_TYPE: &str = "x-queue-type";

/// Each says what the other says.
const EXCLUSIVE: [(&str, &str); 8] = [
    ("hash-header", "hash-property"),
    ("x-group-key", "x-fair-key"),
    ("x-retry-delays", "x-delayed-retry-type"),
    // A subscription drops nothing of another's log, nor keeps it, nor says what goes there.
    (SUBSCRIBE, "x-retention"),
    (SUBSCRIBE, "x-retention-bytes"),
    (SUBSCRIBE, "x-max-length"),
    (SUBSCRIBE, "x-max-length-bytes"),
    (SUBSCRIBE, "x-message-deduplication"),
];

/// What RabbitMQ's streams take, and the durability.
pub(super) const OF_STREAMS: [&str; 6] = [
    "x-max-length-bytes",
    QUEUE_TYPE,
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    DURABILITY,
];

#[cfg(test)]
mod tests;
