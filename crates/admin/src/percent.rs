//! Percent-encoding (RFC 3986) of paths, queries and the keys of bindings.

/// A part of a path as text; `None`: it is not UTF-8, or a `%` says nothing.
pub fn decode(part: &str) -> Option<String> {
    decode_with(part, false)
}

/// As [`decode`], of a form: `+` is a space.
pub fn decode_form(part: &str) -> Option<String> {
    decode_with(part, true)
}

/// What follows the `?`, in order.
pub fn query(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_form(name)?, decode_form(value)?))
        })
        .collect()
}

/// As a form has it: letters, digits, `-._` as they are, a space as `+`.
pub fn encode_form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode_with(part: &str, form: bool) -> Option<String> {
    if !(part.contains('%') || form && part.contains('+')) {
        return Some(part.to_owned());
    }
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if form => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
