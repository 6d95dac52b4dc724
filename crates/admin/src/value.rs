//! Arguments and headers between JSON and the broker.

use bongsu_record::{Arguments, Value};
use serde_json::{Map, Number, Value as Json};

use crate::failure::Failure;

/// As JSON; what JSON has no word for becomes text or a number.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Nothing => Json::Null,
        Value::Bool(on) => Json::Bool(*on),
        Value::Int(int) => Json::from(*int),
        Value::Float(float) => Json::from(*float),
        Value::Decimal { scale, mantissa } => {
            Json::from(f64::from(*mantissa) / 10_f64.powi(i32::from(*scale)))
        }
        Value::Text(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => Json::from(String::from_utf8_lossy(bytes)),
        Value::Time(seconds) => Json::from(*seconds),
        Value::List(values) => values.iter().map(to_json).collect(),
        Value::Map(table) => object(table),
    }
}

/// A table as an object.
pub fn object(table: &Arguments) -> Json {
    let pairs = table.iter();
    Json::Object(
        pairs
            .map(|(name, value)| (name.clone(), to_json(value)))
            .collect(),
    )
}

/// An object as a table.
///
/// # Errors
/// 400: a number is too large, or things are nested too deeply.
pub fn arguments(object: &Map<String, Json>) -> Result<Arguments, Failure> {
    table(object, DEPTH_MAX)
}

fn table(object: &Map<String, Json>, depth: usize) -> Result<Arguments, Failure> {
    let pairs = object.iter();
    pairs
        .map(|(name, value)| match name.len() > NAME_BYTES_MAX {
            false => Ok((name.clone(), from_json(value, depth)?)),
            true => Err(Failure::bad_request(format!(
                "a name has {} bytes, at most {NAME_BYTES_MAX} are taken",
                name.len()
            ))),
        })
        .collect()
}

fn from_json(value: &Json, depth: usize) -> Result<Value, Failure> {
    let deeper = depth.checked_sub(1);
    Ok(match (value, deeper) {
        (Json::Null, _) => Value::Nothing,
        (Json::Bool(on), _) => Value::Bool(*on),
        (Json::Number(number), _) => self::number(number)?,
        (Json::String(text), _) => Value::Text(text.clone()),
        (Json::Array(values), Some(deeper)) => {
            let values = values.iter().map(|value| from_json(value, deeper));
            Value::List(values.collect::<Result<_, _>>()?)
        }
        (Json::Object(object), Some(deeper)) => Value::Map(table(object, deeper)?),
        (_, None) => {
            let reason = format!("values are nested more than {DEPTH_MAX} deep");
            return Err(Failure::bad_request(reason));
        }
    })
}

fn number(number: &Number) -> Result<Value, Failure> {
    if let Some(int) = number.as_i64() {
        return Ok(Value::Int(int));
    }
    let float = number.as_f64().filter(|float| float.is_finite());
    match float {
        Some(float) if !number.is_u64() => Ok(Value::Float(float)),
        _ => Err(Failure::bad_request(format!(
            "the number {number} has more than 64 bits"
        ))),
    }
}

/// As the wire nests.
const DEPTH_MAX: usize = 32;
/// Names are short strings.
const NAME_BYTES_MAX: usize = 255;
