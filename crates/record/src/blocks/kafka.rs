//! Headers of a Kafka record as properties and headers, and any message as a Kafka
//! record. The record's layout is [`crate::kafka`]'s.
//!
//! Of a repeated name the last value counts, as with Kafka's `lastHeader`, unless the
//! name is a property's.

use std::borrow::Cow;

use crate::kafka::{Header, Headers, Writer};
use crate::message::Message;
use crate::value::{Arguments, Value};

use super::{BlockMalformed, Properties};

/// What of the headers is a property.
pub fn properties(headers: Headers<'_>) -> Properties<'_> {
    Properties::lift(headers.map(|header| (header.name, header.value)), |_, _| ())
}

/// What of the headers is not.
pub fn headers(headers: Headers<'_>) -> Arguments {
    let mut arguments = Arguments::new();
    let pairs = headers.map(|header| (header.name, header.value));
    Properties::lift(pairs, |name, value| {
        arguments.insert(String::from_utf8_lossy(name).into_owned(), value_of(value));
    });
    arguments
}

/// Writes a message of any origin as a Kafka record: the routing key as key, properties
/// and headers as headers, the broker's time as time.
///
/// # Errors
/// [`BlockMalformed`]; nothing was written.
pub fn push(message: &Message<'_>, writer: &mut Writer) -> Result<(), BlockMalformed> {
    let pairs = message.pairs()?;
    let headers: Vec<Header<'_>> = pairs
        .iter()
        .map(|(name, value)| Header {
            name: name.as_ref(),
            value: value.as_deref(),
        })
        .collect();
    let (time_ms, key, value) = (message.timestamp_ms(), message.key(), message.value());
    writer.push(time_ms, key, value, &headers);
    Ok(())
}

/// Bytes from a protocol that does not say what they are: text if they are UTF-8.
pub(crate) fn value_of(value: Option<&[u8]>) -> Value {
    match value.map(String::from_utf8_lossy) {
        None => Value::Nothing,
        Some(Cow::Borrowed(text)) => Value::Text(text.to_owned()),
        Some(Cow::Owned(_)) => Value::Bytes(value.unwrap_or_default().to_vec()),
    }
}
