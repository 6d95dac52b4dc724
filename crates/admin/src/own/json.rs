//! Values of records and arguments as JSON, and lists in pages.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_record::{Arguments, Value as Field};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::route::Context;

/// A value as JSON: times as Unix seconds, bytes as base64, decimals and numbers that JSON
/// has no word for as text.
pub fn value(field: &Field) -> Value {
    match field {
        Field::Nothing => Value::Null,
        Field::Bool(on) => json!(on),
        Field::Int(int) => json!(int),
        Field::Float(float) if float.is_finite() => json!(float),
        Field::Float(float) => json!(float.to_string()),
        Field::Decimal { .. } => json!(text_of(field)),
        Field::Text(text) => json!(text),
        Field::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        Field::Time(seconds) => json!(seconds),
        Field::List(values) => Value::Array(values.iter().map(value).collect()),
        Field::Map(table) => arguments(table),
    }
}

/// A table as JSON.
pub fn arguments(table: &Arguments) -> Value {
    let fields = table
        .iter()
        .map(|(name, field)| (name.clone(), value(field)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

fn text_of(field: &Field) -> String {
    let text = bongsu_record::blocks::text_of(field).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// Bytes as text if they are, else as base64; and which of both.
pub fn bytes(bytes: &[u8]) -> (Value, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (json!(text), "string"),
        Err(_) => (json!(STANDARD.encode(bytes)), "base64"),
    }
}

/// Bytes of a payload that may be cut within a letter.
pub fn payload(payload: &[u8], truncated: bool) -> (Value, &'static str) {
    match std::str::from_utf8(payload) {
        // What is missing is the rest of one letter.
        Err(error) if truncated && error.error_len().is_none() => {
            bytes(&payload[..error.valid_up_to()])
        }
        _ => bytes(payload),
    }
}

/// A number that follows the `?`.
///
/// # Errors
/// 400: it is none, or not within the bounds.
pub fn number(
    context: &Context,
    name: &str,
    usual: u64,
    bounds: std::ops::RangeInclusive<u64>,
) -> Result<u64, Failure> {
    let Some(text) = context.query.get(name) else {
        return Ok(usual);
    };
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        let (low, high) = (bounds.start(), bounds.end());
        Failure::bad_request(format!("{name}: expected {low} to {high}, got '{text}'"))
    })
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u64,
    /// Of each.
    pub size: u64,
}

impl Page {
    /// As `page` and `page_size` say.
    ///
    /// # Errors
    /// 400.
    pub fn of(context: &Context) -> Result<Page, Failure> {
        Ok(Page {
            page: number(context, "page", 1, 1..=PAGES_MAX)?,
            size: number(context, "page_size", PAGE_SIZE, 1..=PAGE_SIZE_MAX)?,
        })
    }

    /// Things before it.
    pub fn skip(&self) -> u64 {
        (self.page - 1) * self.size
    }

    /// The page of a list that was made whole.
    pub fn cut<T>(&self, all: Vec<T>) -> Vec<T> {
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        all.into_iter().skip(skip).take(size).collect()
    }

    /// The answer.
    pub fn answer(&self, items: Vec<Value>, total: u64) -> Value {
        json!({ "items": items, "total": total, "page": self.page, "page_size": self.size })
    }
}

/// Sorts by `sort`, a member of the items with points between its parts, the other way round
/// with `sort_reverse=true`. Items without it come last.
pub fn sort(context: &Context, items: &mut [Value]) {
    let Some(by) = context.query.get("sort").filter(|by| !by.is_empty()) else {
        return;
    };
    let pointer = format!("/{}", by.replace('.', "/"));
    let reverse = context
        .query
        .get("sort_reverse")
        .is_some_and(|text| text == "true");
    items.sort_by(|one, other| {
        let (one, other) = (one.pointer(&pointer), other.pointer(&pointer));
        let order = compare(one, other);
        match reverse && one.is_some() && other.is_some() {
            true => order.reverse(),
            false => order,
        }
    });
}

fn compare(one: Option<&Value>, other: Option<&Value>) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let rank = |value: Option<&Value>| match value {
        Some(Value::Number(_)) => 0,
        Some(Value::String(_)) => 1,
        Some(Value::Bool(_)) => 2,
        Some(_) => 3,
        None => 4,
    };
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => {
            let floats = one.as_f64().partial_cmp(&other.as_f64());
            let whole = one.as_u64().zip(other.as_u64());
            whole.map_or(floats.unwrap_or(Ordering::Equal), |(one, other)| {
                one.cmp(&other)
            })
        }
        (Some(Value::String(one)), Some(Value::String(other))) => one.cmp(other),
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

/// What a place that people write means.
///
/// # Errors
/// 400.
pub fn place(name: &str, text: &str) -> Result<bongsu_engine::stream::StreamOffset, Failure> {
    use bongsu_engine::stream::text;
    text::parse(text).ok_or_else(|| {
        Failure::bad_request(format!("{name}: expected {}, got '{text}'", text::ACCEPTED))
    })
}

/// `header.<name>=<value>` of what follows the `?`.
pub fn header_filters(query: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let named = query.iter().filter_map(|(name, value)| {
        let name = name
            .strip_prefix("header.")
            .filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value.clone()))
    });
    named.collect()
}

/// A page that nobody said the size of.
pub const PAGE_SIZE: u64 = 100;
/// Most of a page.
pub const PAGE_SIZE_MAX: u64 = 500;
const PAGES_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_text_where_they_can_be() {
        assert_eq!(payload("süß".as_bytes(), false), (json!("süß"), "string"));
        // Cut within the last letter.
        assert_eq!(
            payload(&"süß".as_bytes()[..4], true),
            (json!("sü"), "string")
        );
        assert_eq!(payload(&[0xff, 0xfe], false), (json!("//4="), "base64"));
        assert_eq!(payload(&"süß".as_bytes()[..4], false).1, "base64");
        assert_eq!(payload(b"", false), (json!(""), "string"));
    }

    #[test]
    fn every_value_has_a_json() {
        let fields = [
            (Field::Float(f64::NAN), json!("NaN")),
            (Field::Float(0.5), json!(0.5)),
            (
                Field::Decimal {
                    scale: 2,
                    mantissa: 314,
                },
                json!("3.14"),
            ),
            (Field::Bytes(vec![0xff]), json!("/w==")),
            (
                Field::List(vec![Field::Nothing, Field::Bool(true)]),
                json!([null, true]),
            ),
        ];
        for (field, expected) in fields {
            assert_eq!(value(&field), expected);
        }
    }

    #[test]
    fn numbers_and_texts_are_compared_as_such() {
        let mut items = [
            json!({"n": 10}),
            json!({"n": "b"}),
            json!({}),
            json!({"n": 9}),
        ];
        items.sort_by(|one, other| compare(one.get("n"), other.get("n")));
        assert_eq!(
            items,
            [
                json!({"n": 9}),
                json!({"n": 10}),
                json!({"n": "b"}),
                json!({})
            ]
        );
    }
}
