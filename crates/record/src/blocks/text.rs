//! Header values for protocols whose headers are text or bytes.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::value::{Arguments, Value};

/// A value as text: words and numbers as people write them, times as Unix seconds,
/// lists and maps as JSON. Bytes stay as they are; `None` is [`Value::Nothing`].
pub fn text_of(value: &Value) -> Option<Cow<'_, [u8]>> {
    let mut out = String::new();
    match value {
        Value::Nothing => return None,
        Value::Text(text) => return Some(Cow::Borrowed(text.as_bytes())),
        Value::Bytes(bytes) => return Some(Cow::Borrowed(bytes)),
        Value::Float(float) if !float.is_finite() => _ = write!(out, "{float}"),
        other => json(other, &mut out),
    }
    Some(Cow::Owned(out.into_bytes()))
}

fn json(value: &Value, out: &mut String) {
    // Writing to a string cannot fail.
    match value {
        Value::Nothing => out.push_str("null"),
        Value::Bool(on) => _ = write!(out, "{on}"),
        Value::Int(int) => _ = write!(out, "{int}"),
        Value::Time(seconds) => _ = write!(out, "{seconds}"),
        // `{:?}` has an exponent where `{}` would have three hundred digits.
        Value::Float(float) if float.is_finite() => _ = write!(out, "{float:?}"),
        Value::Float(_) => out.push_str("null"),
        Value::Decimal { scale, mantissa } => decimal(*scale, *mantissa, out),
        Value::Text(text) => quoted(text, out),
        Value::Bytes(bytes) => base64(bytes, out),
        Value::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                separate(index, out);
                json(value, out);
            }
            out.push(']');
        }
        Value::Map(map) => object(map, out),
    }
}

fn object(map: &Arguments, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in map.iter().enumerate() {
        separate(index, out);
        quoted(name, out);
        out.push(':');
        json(value, out);
    }
    out.push('}');
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

fn decimal(scale: u8, mantissa: u32, out: &mut String) {
    let scale = usize::from(scale);
    // At least one digit in front of the point.
    let digits = format!("{mantissa:0width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    out.push_str(whole);
    if !part.is_empty() {
        out.push('.');
        out.push_str(part);
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => _ = write!(out, "\\u{:04x}", control as u32),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Bytes within JSON: base64, as JSON people expect.
fn base64(bytes: &[u8], out: &mut String) {
    out.push('"');
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for index in 0..4 {
            if index <= chunk.len() {
                let digit = bits >> (18 - 6 * index) & 0x3f;
                out.push(char::from(BASE64[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out.push('"');
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
