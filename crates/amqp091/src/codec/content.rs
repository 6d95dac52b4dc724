//! Content headers (specification section 4.2.6): checked where they arrive, passed on as
//! they are.
//!
//! ```text
//! 0   u16  class, 60
//! 2   u16  weight, 0
//! 4   u64  body bytes
//! 12       header block: property flags (u16), then the properties whose flags are set
//! ```

use super::wire::{Field, Malformed, Reader};

/// Class `basic`, the only one with content.
pub const BASIC: u16 = 60;

/// A content header, borrowed. Of the properties only those are looked at that a broker
/// has rules for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Class; 60.
    pub class: u16,
    /// Bytes that follow in body frames.
    pub body_bytes: u64,
    /// Flags and properties.
    pub block: &'a [u8],
    /// 1 or 2; others are no message.
    pub delivery_mode: Option<u8>,
    /// Milliseconds in digits.
    pub expiration: Option<&'a [u8]>,
    /// Who publishes, as the publisher says.
    pub user_id: Option<&'a [u8]>,
    /// Where answers go.
    pub reply_to: Option<&'a [u8]>,
    /// Higher goes first.
    pub priority: Option<u8>,
    /// The headers table, its length in front, if a header in it is one that publishing
    /// has rules for: see [`RULED`].
    pub ruled: Option<&'a [u8]>,
}

/// Headers that publishing has rules for: more routing keys, told to everybody or not, and
/// the time of delivery.
pub const RULED: [&str; 3] = ["CC", "BCC", "x-deliver-at"];

impl ContentHeader<'_> {
    /// Whether the message should survive a restart.
    pub fn persistent(&self) -> bool {
        self.delivery_mode == Some(2)
    }

    /// Whether nothing is in it that a broker has rules for but a delivery mode that is one.
    #[inline]
    pub fn is_plain(&self) -> bool {
        matches!(self.delivery_mode, None | Some(1 | 2))
            && matches!(self.priority, None | Some(0))
            && self.expiration.is_none()
            && self.ruled.is_none()
            && self.reply_to.is_none()
            && self.user_id.is_none()
    }
}

/// Reads class and body size, and walks the properties so that whoever decodes them later
/// can rely on their shape.
///
/// # Errors
/// [`Malformed`].
pub fn decode(payload: &[u8]) -> Result<ContentHeader<'_>, Malformed> {
    let mut reader = Reader::new(payload);
    let class = u16::read(&mut reader)?;
    let _weight = u16::read(&mut reader)?;
    let body_bytes = u64::read(&mut reader)?;
    let mut header = ContentHeader {
        class,
        body_bytes,
        block: reader.rest(),
        ..ContentHeader::default()
    };
    // The properties are the class's: those of another class cannot be walked.
    if class == BASIC {
        properties(&mut reader, &mut header)?;
    }
    Ok(header)
}

fn properties<'a>(
    reader: &mut Reader<'a>,
    header: &mut ContentHeader<'a>,
) -> Result<(), Malformed> {
    let mut flags = u16::read(reader)?;
    // Bit 0 would announce more flags, bit 1 a property that the class does not have.
    if flags & 0b11 != 0 {
        return Err(Malformed::Properties);
    }
    while flags != 0 {
        let index = flags.leading_zeros() as usize;
        flags &= !(0x8000 >> index);
        match PROPERTIES[index] {
            Kind::Short => {
                let length = u8::read(reader)?;
                let value = reader.take(usize::from(length))?;
                match index {
                    REPLY_TO => header.reply_to = Some(value),
                    EXPIRATION => header.expiration = Some(value),
                    USER_ID => header.user_id = Some(value),
                    _ => {}
                }
            }
            Kind::Octet => {
                let value = u8::read(reader)?;
                match index {
                    DELIVERY_MODE => header.delivery_mode = Some(value),
                    _ => header.priority = Some(value),
                }
            }
            Kind::Time => {
                reader.take(8)?;
            }
            Kind::Table => {
                let whole = reader.rest();
                let length = u32::read(reader)? as usize;
                let is_ruled = names(reader.take(length)?)?;
                header.ruled = is_ruled.then(|| &whole[..4 + length]);
            }
        }
    }
    match reader.rest().is_empty() {
        true => Ok(()),
        false => Err(Malformed::Properties),
    }
}

/// Walks the names of a headers table; whether one of [`RULED`] is among them.
fn names(table: &[u8]) -> Result<bool, Malformed> {
    let mut reader = Reader::new(table);
    let mut is_ruled = false;
    while !reader.rest().is_empty() {
        let length = u8::read(&mut reader)?;
        let name = reader.take(usize::from(length))?;
        is_ruled |= matches!(name, b"CC" | b"BCC" | b"x-deliver-at");
        let letter = u8::read(&mut reader)?;
        value(letter, &mut reader)?;
    }
    Ok(is_ruled)
}

/// Reads over the value behind a type letter: its bytes, without a length.
pub(super) fn value<'a>(letter: u8, reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let bytes = match letter {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' | b'A' | b'F' => u32::read(reader)? as usize,
        _ => return Err(Malformed::Properties),
    };
    reader.take(bytes)
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Short,
    Octet,
    Time,
    Table,
}

/// Kinds of the class's properties, from the highest flag bit down.
pub(super) const PROPERTIES: [Kind; 14] = [
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
pub(super) const REPLY_TO: usize = 6;
const EXPIRATION: usize = 7;
const USER_ID: usize = 11;

#[cfg(test)]
mod tests;
