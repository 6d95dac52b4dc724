//! Content headers (specification section 4.2.6): checked where they arrive, passed on as
//! they are.
//!
//! ```text
//! 0   u16  class, 60
//! 2   u16  weight, 0
//! 4   u64  body bytes
//! 12       header block: property flags (u16, more while bit 0 is set), property list
//! ```

use super::wire::{Field, Malformed, Reader};

/// Class `basic`, the only one with content.
pub const BASIC: u16 = 60;

/// A content header, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Class; 60.
    pub class: u16,
    /// Bytes that follow in body frames.
    pub body_bytes: u64,
    /// Flags and properties.
    pub block: &'a [u8],
    /// Delivery mode 2.
    pub persistent: bool,
}

/// Field kinds of the basic class's properties, from the highest flag bit down.
const PROPERTIES: [Kind; 14] = [
    Kind::Short, // content-type
    Kind::Short, // content-encoding
    Kind::Table, // headers
    Kind::Octet, // delivery-mode
    Kind::Octet, // priority
    Kind::Short, // correlation-id
    Kind::Short, // reply-to
    Kind::Short, // expiration
    Kind::Short, // message-id
    Kind::Time,  // timestamp
    Kind::Short, // type
    Kind::Short, // user-id
    Kind::Short, // app-id
    Kind::Short, // cluster-id
];
const DELIVERY_MODE: usize = 3;

#[derive(Clone, Copy)]
enum Kind {
    Short,
    Octet,
    Time,
    Table,
}

/// Reads a content header's payload, and walks its properties so that whoever decodes them
/// later can rely on their shape.
///
/// # Errors
/// [`Malformed`].
pub fn decode(payload: &[u8]) -> Result<ContentHeader<'_>, Malformed> {
    let mut reader = Reader::new(payload);
    let class = u16::read(&mut reader)?;
    let _weight = u16::read(&mut reader)?;
    let body_bytes = u64::read(&mut reader)?;
    let block = reader.rest();
    let flags = u16::read(&mut reader)?;
    // Bit 0 would announce more flags, bit 1 a property that the class does not have.
    if flags & 0b11 != 0 {
        return Err(Malformed::Properties);
    }
    let mut persistent = false;
    for (index, kind) in PROPERTIES.iter().enumerate() {
        if flags & (0x8000 >> index) == 0 {
            continue;
        }
        match kind {
            Kind::Short => {
                let length = u8::read(&mut reader)?;
                reader.take(usize::from(length))?;
            }
            Kind::Octet => {
                let value = u8::read(&mut reader)?;
                persistent |= index == DELIVERY_MODE && value == 2;
            }
            Kind::Time => {
                reader.take(8)?;
            }
            Kind::Table => {
                let length = u32::read(&mut reader)?;
                reader.take(length as usize)?;
            }
        }
    }
    if !reader.rest().is_empty() {
        return Err(Malformed::Properties);
    }
    Ok(ContentHeader {
        class,
        body_bytes,
        block,
        persistent,
    })
}
