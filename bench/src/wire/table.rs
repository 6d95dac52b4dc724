//! Tables and content: arguments of queues and consumers, headers of messages.

use super::{BASIC_PUBLISH, BODY, FRAME_BYTES_MAX, FRAME_END, FRAME_OVERHEAD_BYTES, HEADER};

/// A value in a table, of the types that load needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// A long string, `S`.
    Text(&'a str),
    /// A signed 64 bit integer, `l`.
    Number(i64),
    /// A signed 32 bit integer, `I`.
    Short(i32),
}

/// A table's entries in order.
pub type Table<'a> = [(&'a str, Value<'a>)];

/// What a message says of itself beside its body.
#[derive(Clone, Copy)]
pub struct Properties<'a> {
    /// Delivery mode 2 instead of 1.
    pub persistent: bool,
    /// The priority, if it has one.
    pub priority: Option<u8>,
    /// Its headers; without any, the property is left out.
    pub headers: &'a Table<'a>,
}

/// Appends a table with its four byte length.
pub fn push_table(out: &mut Vec<u8>, table: &Table<'_>) {
    let start = out.len();
    out.extend([0; 4]);
    for (name, value) in table {
        out.push(u8::try_from(name.len()).expect("names made here are short"));
        out.extend(name.as_bytes());
        match value {
            Value::Text(text) => {
                out.push(b'S');
                out.extend((text.len() as u32).to_be_bytes());
                out.extend(text.as_bytes());
            }
            Value::Number(number) => {
                out.push(b'l');
                out.extend(number.to_be_bytes());
            }
            Value::Short(number) => {
                out.push(b'I');
                out.extend(number.to_be_bytes());
            }
        }
    }
    fill_length(out, start);
}

/// Appends the content header and the body frames of one message.
pub fn push_content(out: &mut Vec<u8>, channel: u16, properties: &Properties<'_>, body: &[u8]) {
    out.push(HEADER);
    out.extend(channel.to_be_bytes());
    let size_at = out.len();
    out.extend([0; 4]);
    out.extend(BASIC_PUBLISH.0.to_be_bytes());
    out.extend([0; 2]);
    out.extend((body.len() as u64).to_be_bytes());
    let mut flags = DELIVERY_MODE_FLAG;
    if properties.priority.is_some() {
        flags |= PRIORITY_FLAG;
    }
    if !properties.headers.is_empty() {
        flags |= HEADERS_FLAG;
    }
    out.extend(flags.to_be_bytes());
    if !properties.headers.is_empty() {
        push_table(out, properties.headers);
    }
    out.push(if properties.persistent { 2 } else { 1 });
    out.extend(properties.priority);
    fill_length(out, size_at);
    out.push(FRAME_END);
    for piece in body.chunks(FRAME_BYTES_MAX as usize - FRAME_OVERHEAD_BYTES) {
        out.push(BODY);
        out.extend(channel.to_be_bytes());
        out.extend((piece.len() as u32).to_be_bytes());
        out.extend(piece);
        out.push(FRAME_END);
    }
}

/// Puts the number of bytes behind the four at `at` into them.
fn fill_length(out: &mut [u8], at: usize) {
    let length = u32::try_from(out.len() - at - 4).expect("tables and headers are small");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

const HEADERS_FLAG: u16 = 1 << 13;
const DELIVERY_MODE_FLAG: u16 = 1 << 12;
const PRIORITY_FLAG: u16 = 1 << 11;
