//! Values of headers and arguments, as every protocol can read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Arguments of a declaration or headers of a message, by name.
pub type Arguments = BTreeMap<String, Value>;

/// One value. The integer widths of AMQP fold into [`Value::Int`]: no broker rule
/// depends on them, and the raw header block keeps them for AMQP readers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// AMQP `V`.
    Nothing,
    /// AMQP `t`.
    Bool(bool),
    /// Any integer of 64 bits or less; unsigned 64-bit values above `i64::MAX` wrap.
    Int(i64),
    /// AMQP `f`, `d`.
    Float(f64),
    /// AMQP `D`: value = mantissa / 10^scale.
    Decimal {
        /// Digits behind the point.
        scale: u8,
        /// The digits.
        mantissa: u32,
    },
    /// AMQP `S`, if UTF-8.
    Text(String),
    /// AMQP `x`, and `S` that is not UTF-8.
    Bytes(Vec<u8>),
    /// AMQP `T`: Unix seconds.
    Time(u64),
    /// AMQP `A`.
    List(Vec<Value>),
    /// AMQP `F`.
    Map(Arguments),
}

impl Value {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }
}
