//! What properties and headers ask of the broker: checked in RabbitMQ's order, and told to
//! the engine beside the block, so that nobody needs this codec to obey them.
//!
//! A message that asks for nothing costs a few comparisons. The block of one that does
//! stays byte for byte as it came, but for BCC, which is nobody's to read, and the address
//! of direct replies.

use std::borrow::Cow;

use bongsu_record::native::Terms;

use super::open::Open;
use crate::codec::block::{Header, elements, headers, without_header};
use crate::codec::content::{ContentHeader, RULED};
use crate::errors::{Exception, MethodId};

/// See the module's comment.
#[derive(Debug)]
pub(super) struct AskedFor<'a> {
    pub terms: Terms,
    pub more_keys: Vec<String>,
    pub block: Cow<'a, [u8]>,
}

impl Open {
    /// What a message asks for.
    pub(super) fn asked<'a>(
        &mut self,
        number: u16,
        header: &ContentHeader<'a>,
    ) -> Result<AskedFor<'a>, Exception> {
        let block = self.addressed(number, header)?;
        if let Some(user_id) = header.user_id
            && user_id != self.agreed.user.as_bytes()
        {
            let text = format_args!(
                "user_id property set to '{}' but authenticated user was '{}'",
                String::from_utf8_lossy(user_id),
                self.agreed.user
            );
            return Err(Exception::new(406, PUBLISH, text));
        }
        let mut asked = AskedFor {
            terms: Terms {
                ttl_ms: header.expiration.map(expiration_ms).transpose()?,
                deliver_at_ms: None,
                // Without one it is 0, and many clients say 0 with every message.
                priority: header.priority.filter(|priority| *priority > 0),
            },
            more_keys: Vec::new(),
            block,
        };
        if let Some(table) = header.ruled {
            asked.headers(table)?;
        }
        if let Some(mode) = header.delivery_mode
            && !matches!(mode, 1 | 2)
        {
            return Err(invalid(format_args!("{{delivery_mode_unknown,{mode}}}")));
        }
        Ok(asked)
    }
}

impl AskedFor<'_> {
    fn headers(&mut self, table: &[u8]) -> Result<(), Exception> {
        let [cc, bcc, deliver_at] = RULED;
        // Where a name stands twice, RabbitMQ looks at the first.
        let first = |name: &str| headers(table).find(|header| header.name == name.as_bytes());
        for name in [cc, bcc] {
            if let Some(header) = first(name) {
                self.more_keys.extend(keys(name, &header)?);
            }
        }
        if first(bcc).is_some() {
            self.block = Cow::Owned(without_header(&self.block, bcc));
        }
        if let Some(header) = first(deliver_at) {
            self.terms.deliver_at_ms = Some(unix_ms(deliver_at, &header)?);
        }
        Ok(())
    }
}

/// Milliseconds in digits.
fn expiration_ms(expiration: &[u8]) -> Result<u64, Exception> {
    let text = String::from_utf8_lossy(expiration);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let end = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = unsigned.split_at(end);
    let digits = match digits.trim_start_matches('0') {
        "" if end > 0 => "0",
        digits => digits,
    };
    let reason = match (digits, rest) {
        ("", _) => "no_integer".to_owned(),
        ("0", "") => return Ok(0),
        (_, "") if text.starts_with('-') => format!("{{value_negative,-{digits}}}"),
        (_, "") => match digits.parse() {
            Ok(ms) if ms <= EXPIRATION_MS_MAX => return Ok(ms),
            _ => format!("{{value_too_large,{digits}}}"),
        },
        (_, rest) => format!("{{leftover_string,\"{}\"}}", escaped(rest)),
    };
    let text = format_args!("invalid expiration '{text}': {reason}");
    Err(Exception::new(406, PUBLISH, text))
}

/// As Erlang shows text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Routing keys in a header CC or BCC: an array of strings, in which RabbitMQ passes over
/// what is no string.
fn keys(name: &str, header: &Header<'_>) -> Result<Vec<String>, Exception> {
    if header.letter != b'A' {
        return Err(unacceptable(name, header.letter));
    }
    let texts = elements(header.value).filter(|(letter, _)| *letter == b'S');
    // Bindings are UTF-8, so that other keys lead nowhere.
    let keys = texts.filter_map(|(_, key)| String::from_utf8(key.to_vec()).ok());
    Ok(keys.collect())
}

/// A time: Unix milliseconds as an integer, or a timestamp of Unix seconds. What is before
/// 1970 is past, whenever it was.
fn unix_ms(name: &str, header: &Header<'_>) -> Result<u64, Exception> {
    let signed = |bytes: &[u8]| {
        let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        if is_negative { 0 } else { unsigned(bytes) }
    };
    match header.letter {
        b'B' | b'u' | b'i' => Ok(unsigned(header.value)),
        b'b' | b's' | b'I' | b'l' | b'L' => Ok(signed(header.value)),
        b'T' => Ok(unsigned(header.value).saturating_mul(1000)),
        other => Err(unacceptable(name, other)),
    }
}

fn unsigned(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take(8);
    digits.fold(0, |sum, digit| sum << 8 | u64::from(*digit))
}

fn unacceptable(name: &str, letter: u8) -> Exception {
    let kind = match letter {
        b'S' => "longstr",
        b'I' => "signedint",
        b'i' => "unsignedint",
        b'D' => "decimal",
        b'T' => "timestamp",
        b'F' => "table",
        b'A' => "array",
        b'b' => "byte",
        b'B' => "unsignedbyte",
        b'd' => "double",
        b'f' => "float",
        b'l' | b'L' => "long",
        b's' => "short",
        b'u' => "unsignedshort",
        b't' => "bool",
        b'x' => "binary",
        _ => "void",
    };
    invalid(format_args!(
        "{{unacceptable_type_in_header,\"{name}\",{kind}}}"
    ))
}

fn invalid(reason: std::fmt::Arguments<'_>) -> Exception {
    Exception::new(406, PUBLISH, format_args!("invalid message: {reason}"))
}

/// Ten years, RabbitMQ's bound.
const EXPIRATION_MS_MAX: u64 = 315_360_000_000;
const PUBLISH: MethodId = (60, 40);

#[cfg(test)]
mod tests;
