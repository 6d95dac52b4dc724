//! A total order of arguments, so that what carries them can be a key.

use std::cmp::Ordering;

use bongsu_record::{Arguments, Value};

/// Equal exactly if every value is equal, floats by their bits.
pub fn compare_arguments(one: &Arguments, other: &Arguments) -> Ordering {
    let mut others = other.iter();
    for (name, value) in one {
        let Some((other_name, other_value)) = others.next() else {
            return Ordering::Greater;
        };
        let order = name
            .cmp(other_name)
            .then_with(|| compare_values(value, other_value));
        if order.is_ne() {
            return order;
        }
    }
    match others.next() {
        Some(_) => Ordering::Less,
        None => Ordering::Equal,
    }
}

fn compare_values(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Int(one), Value::Int(other)) => one.cmp(other),
        (Value::Float(one), Value::Float(other)) => one.total_cmp(other),
        (
            Value::Decimal { scale, mantissa },
            Value::Decimal {
                scale: other_scale,
                mantissa: other_mantissa,
            },
        ) => (scale, mantissa).cmp(&(other_scale, other_mantissa)),
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::Bytes(one), Value::Bytes(other)) => one.cmp(other),
        (Value::Time(one), Value::Time(other)) => one.cmp(other),
        (Value::List(one), Value::List(other)) => one
            .iter()
            .zip(other)
            .map(|(one, other)| compare_values(one, other))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| one.len().cmp(&other.len())),
        (Value::Map(one), Value::Map(other)) => compare_arguments(one, other),
        _ => rank(one).cmp(&rank(other)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Nothing => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Float(_) => 3,
        Value::Decimal { .. } => 4,
        Value::Text(_) => 5,
        Value::Bytes(_) => 6,
        Value::Time(_) => 7,
        Value::List(_) => 8,
        Value::Map(_) => 9,
    }
}
