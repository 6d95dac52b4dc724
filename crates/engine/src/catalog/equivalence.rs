//! Declaring again: the request must say what is. Values are worded as RabbitMQ words them,
//! since clients and their users match on them.

use std::fmt::Write;

use bongsu_record::{Arguments, Value};

use crate::catalog::arguments::{self, Place};
use crate::catalog::definition::{ExchangeDefinition, QueueDefinition};
use crate::refused::{Kind, Refused};

pub(super) fn check_exchange(
    current: &ExchangeDefinition,
    requested: &ExchangeDefinition,
) -> Result<(), Refused> {
    let check = Check {
        kind: Kind::Exchange,
        name: &current.name,
    };
    check.field(
        "type",
        current.exchange_type.name(),
        requested.exchange_type.name(),
    )?;
    check.field("durable", current.durable, requested.durable)?;
    check.field("auto_delete", current.auto_delete, requested.auto_delete)?;
    check.field("internal", current.internal, requested.internal)?;
    check.arguments(Place::Exchange, &current.arguments, &requested.arguments)
}

pub(super) fn check_queue(
    current: &QueueDefinition,
    requested: &QueueDefinition,
) -> Result<(), Refused> {
    let check = Check {
        kind: Kind::Queue,
        name: &current.name,
    };
    check.field("durable", current.durable, requested.durable)?;
    check.field("auto_delete", current.auto_delete, requested.auto_delete)?;
    check.arguments(Place::Queue, &current.arguments, &requested.arguments)
}

struct Check<'a> {
    kind: Kind,
    name: &'a str,
}

impl Check<'_> {
    fn field<T: PartialEq + ToString>(
        &self,
        field: &str,
        current: T,
        requested: T,
    ) -> Result<(), Refused> {
        if current == requested {
            return Ok(());
        }
        let quote = |value: T| format!("'{}'", value.to_string());
        Err(self.refuse(field, quote(requested), quote(current)))
    }

    /// Arguments that count in this place, in the order of their table; others may differ, as
    /// with RabbitMQ.
    fn arguments(
        &self,
        place: Place,
        current: &Arguments,
        requested: &Arguments,
    ) -> Result<(), Refused> {
        for name in arguments::compared(place) {
            match (current.get(name), requested.get(name)) {
                (None, None) => {}
                (Some(is), Some(asked)) if is == asked || same_number(is, asked) => {}
                // Both there: RabbitMQ then leaves the type out.
                (Some(is), Some(asked)) => {
                    return Err(self.refuse(name, quoted(asked), quoted(is)));
                }
                (None, Some(value)) | (Some(value), None) if is_default(name, value) => {}
                (is, asked) => return Err(self.refuse(name, typed(asked), typed(is))),
            }
        }
        Ok(())
    }

    fn refuse(&self, argument: &str, requested: String, current: String) -> Refused {
        Refused::Inequivalent {
            kind: self.kind,
            name: self.name.to_owned(),
            argument: argument.to_owned(),
            requested,
            current,
        }
    }
}

/// RabbitMQ compares a time and an integer by their number.
fn same_number(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Int(int), Value::Time(time)) | (Value::Time(time), Value::Int(int)) => {
            u64::try_from(*int) == Ok(*time)
        }
        _ => false,
    }
}

/// Saying what goes without saying makes no difference.
fn is_default(name: &str, value: &Value) -> bool {
    name == "x-queue-type" && value.as_text() == Some("classic")
}

fn quoted(value: &Value) -> String {
    match value {
        // What RabbitMQ holds for no value is what it prints for no argument.
        Value::Nothing => "none".to_owned(),
        value => format!("'{}'", plain(value)),
    }
}

fn typed(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", plain(value), type_of(value)),
    }
}

/// A value as Erlang prints it; binaries inside of lists and tables with their brackets.
pub(super) fn plain(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Text(text) => out.push_str(text),
        Value::Bytes(bytes) => out.extend(bytes.iter().map(|&byte| char::from(byte))),
        other => print(other, &mut out),
    }
    out
}

fn print(value: &Value, out: &mut String) {
    let written = match value {
        Value::Nothing => write!(out, "undefined"),
        Value::Bool(on) => write!(out, "{on}"),
        Value::Int(int) => write!(out, "{int}"),
        Value::Float(float) => write!(out, "{float:?}"),
        Value::Decimal { scale, mantissa } => write!(out, "{{{scale},{mantissa}}}"),
        Value::Text(text) => write!(out, "<<{text:?}>>"),
        Value::Bytes(bytes) => {
            out.push_str("<<");
            separated(bytes, out, |byte, out| out.push_str(&byte.to_string()));
            out.push_str(">>");
            Ok(())
        }
        Value::Time(seconds) => write!(out, "{seconds}"),
        Value::List(values) => {
            out.push('[');
            separated(values, out, |value, out| {
                out.push_str(&format!("{{{},", type_of(value)));
                print(value, out);
                out.push('}');
            });
            out.push(']');
            Ok(())
        }
        Value::Map(table) => {
            out.push('[');
            separated(table, out, |(name, value), out| {
                out.push_str(&format!("{{<<{name:?}>>,{},", type_of(value)));
                print(value, out);
                out.push('}');
            });
            out.push(']');
            Ok(())
        }
    };
    written.expect("a string takes everything");
}

fn separated<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut String,
    mut each: impl FnMut(T, &mut String),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(item, out);
    }
}

/// RabbitMQ's name of the value's type. The wire's width of integers is not kept; clients
/// send the narrowest of these two that fits.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Nothing => "void",
        Value::Bool(_) => "bool",
        Value::Int(int) if i32::try_from(*int).is_ok() => "signedint",
        Value::Int(_) => "long",
        Value::Float(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::Text(_) => "longstr",
        Value::Bytes(_) => "binary",
        Value::Time(_) => "timestamp",
        Value::List(_) => "array",
        Value::Map(_) => "table",
    }
}

#[cfg(test)]
mod tests;
