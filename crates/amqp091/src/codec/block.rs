//! Header blocks changed in one place: a header taken out, the reply address replaced. Everything else stays byte for byte as its publisher wrote it.
//!
//! Blocks come here that [`content::decode`](super::content::decode) has walked; of others
//! the answer is a block as malformed as they were.

use std::ops::Range;

use super::content::{Kind, PROPERTIES, REPLY_TO, value};
use super::wire::{Field, Malformed, Reader, short};

/// A header of a table, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Type letter.
    pub letter: u8,
    /// Value, without a length.
    pub value: &'a [u8],
    /// Bytes of name, letter and value.
    pub bytes: usize,
}

/// Headers of a table, its length in front, up to where it is malformed.
pub fn headers(table: &[u8]) -> impl Iterator<Item = Header<'_>> {
    let mut reader = Reader::new(table.get(4..).unwrap_or_default());
    std::iter::from_fn(move || header(&mut reader).ok())
}

/// Values of an array with their type letters, up to where it is malformed.
pub fn elements(array: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut reader = Reader::new(array);
    std::iter::from_fn(move || {
        let letter = u8::read(&mut reader).ok()?;
        Some((letter, value(letter, &mut reader).ok()?))
    })
}

/// The block without the first header of a name. A table stays where it was the last.
pub fn without_header(block: &[u8], name: &str) -> Vec<u8> {
    let Some(table) = places(block).ok().and_then(|places| places.table) else {
        return block.to_vec();
    };
    let mut at = table.start + 4;
    for header in headers(&block[table.clone()]) {
        if header.name == name.as_bytes() {
            let mut out = Vec::with_capacity(block.len());
            out.extend_from_slice(&block[..at]);
            out.extend_from_slice(&block[at + header.bytes..]);
            let bytes = table.len() - 4 - header.bytes;
            set_length(&mut out, table.start, bytes);
            return out;
        }
        at += header.bytes;
    }
    block.to_vec()
}

/// The block with another reply address, if it has one.
pub fn with_reply_to(block: &[u8], reply_to: &str) -> Vec<u8> {
    let mut out = block.to_vec();
    if let Some(place) = places(block).ok().and_then(|places| places.reply_to) {
        let mut value = Vec::new();
        short(reply_to.as_bytes(), &mut value);
        out.splice(place, value);
    }
    out
}

fn header<'a>(reader: &mut Reader<'a>) -> Result<Header<'a>, Malformed> {
    let before = reader.rest().len();
    let length = u8::read(reader)?;
    let name = reader.take(usize::from(length))?;
    let letter = u8::read(reader)?;
    let value = value(letter, reader)?;
    Ok(Header {
        name,
        letter,
        value,
        bytes: before - reader.rest().len(),
    })
}

/// Where in a block the properties stand, their lengths included.
#[derive(Default)]
struct Places {
    table: Option<Range<usize>>,
    reply_to: Option<Range<usize>>,
}

fn places(block: &[u8]) -> Result<Places, Malformed> {
    let mut reader = Reader::new(block);
    let flags = u16::read(&mut reader)?;
    let mut places = Places::default();
    for (index, kind) in PROPERTIES.iter().enumerate() {
        let start = block.len() - reader.rest().len();
        let is_set = flags & (0x8000 >> index) != 0;
        if !is_set {
            continue;
        }
        let length = match kind {
            Kind::Short => usize::from(u8::read(&mut reader)?),
            Kind::Octet => 1,
            Kind::Time => 8,
            Kind::Table => u32::read(&mut reader)? as usize,
        };
        reader.take(length)?;
        let place = start..block.len() - reader.rest().len();
        match kind {
            Kind::Table => places.table = Some(place),
            _ if index == REPLY_TO => places.reply_to = Some(place),
            _ => {}
        }
    }
    Ok(places)
}

fn set_length(bytes: &mut [u8], at: usize, length: usize) {
    let length = u32::try_from(length).expect("a block is below 4 GiB");
    bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests;
