//! NATS on the wire, as little of it as is needed.
//!
//! ```text
//! out   PUB subject reply bytes\r\n body \r\n
//! in    MSG subject sid [reply] bytes\r\n body \r\n
//!       HMSG subject sid [reply] header-bytes bytes\r\n header body \r\n
//!       INFO …\r\n   PING\r\n   PONG\r\n   +OK\r\n   -ERR …\r\n
//! ```

use crate::Result;

/// What the server said.
pub enum Heard<'a> {
    /// A message.
    Message(Message<'a>),
    /// The answer to a ping.
    Pong,
    /// Something that needs no answer here.
    Other,
}

/// A message.
pub struct Message<'a> {
    /// Where answers to it go.
    pub reply: Option<&'a [u8]>,
    /// With its header, if it has one.
    pub body: &'a [u8],
}

/// A publish whose answer goes to `reply`.
pub fn publication(subject: &str, reply: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("PUB {subject} {reply} {}\r\n", body.len()).into_bytes();
    bytes.extend(body);
    bytes.extend(b"\r\n");
    bytes
}

/// Says that a message was had, with all before it where the consumer is made so.
pub fn acknowledge(reply: &[u8], out: &mut Vec<u8>) {
    out.extend(b"PUB ");
    out.extend(reply);
    out.extend(b" 0\r\n\r\n");
}

/// The first thing said, and how many bytes it takes; nothing until all of it is there.
pub fn next(bytes: &[u8]) -> Result<Option<(usize, Heard<'_>)>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = bytes[..end].trim_ascii_end();
    let after = end + 1;
    if !(line.starts_with(b"MSG ") || line.starts_with(b"HMSG ")) {
        return match line {
            b"PONG" => Ok(Some((after, Heard::Pong))),
            _ if line.starts_with(b"-ERR") => {
                Err(format!("the server said {}", String::from_utf8_lossy(line)).into())
            }
            _ => Ok(Some((after, Heard::Other))),
        };
    }
    let with_header = usize::from(line[0] == b'H');
    let words = line.split(|byte| *byte == b' ').count();
    let mut fields = line.split(|byte| *byte == b' ').skip(3);
    let reply = match words - with_header {
        4 => None,
        5 => fields.next(),
        _ => return Err(format!("no message: {}", String::from_utf8_lossy(line)).into()),
    };
    let length = std::str::from_utf8(fields.last().unwrap_or_default())?;
    let length: usize = length.parse()?;
    let whole = after + length + 2;
    if bytes.len() < whole {
        return Ok(None);
    }
    let body = &bytes[after..after + length];
    Ok(Some((whole, Heard::Message(Message { reply, body }))))
}

#[cfg(test)]
mod tests;
