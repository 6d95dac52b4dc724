//! The block of protocols whose headers are pairs of strings: STOMP, SQS and the like.
//!
//! ```text
//! block   pairs to its end, each: u16 name length, name, u16 value length, value
//! ```
//! Big-endian. Order and repetition are kept; of a repeated name the first value counts,
//! as STOMP says (1.2, "Repeated Header Entries").

use crate::value::Arguments;

use super::kafka::value_of;
use super::{BlockMalformed, Properties};

/// The pairs of a block, read one by one.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

/// A name or value of more than 65535 bytes has no place in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Its length.
    pub found_bytes: usize,
}

/// Checks a block; the pairs can then be read without failing.
///
/// # Errors
/// [`BlockMalformed::Short`].
pub fn read(block: &[u8]) -> Result<Pairs<'_>, BlockMalformed> {
    let mut pairs = Pairs { rest: block };
    while !pairs.rest.is_empty() {
        pairs.next().ok_or(BlockMalformed::Short)?;
    }
    Ok(Pairs { rest: block })
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((take(&mut self.rest)?, take(&mut self.rest)?))
    }
}

impl<'a> Pairs<'a> {
    /// What of them is a property.
    pub fn properties(self) -> Properties<'a> {
        Properties::lift(self.map(|(name, value)| (name, Some(value))), |_, _| ())
    }

    /// What of them is not.
    pub fn headers(self) -> Arguments {
        let mut headers = Arguments::new();
        Properties::lift(
            self.map(|(name, value)| (name, Some(value))),
            |name, value| {
                let name = String::from_utf8_lossy(name).into_owned();
                headers.entry(name).or_insert_with(|| value_of(value));
            },
        );
        headers
    }
}

/// Appends one pair to a block.
///
/// # Errors
/// [`TooLong`]; nothing was appended.
pub fn push(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let length = |part: &[u8]| {
        u16::try_from(part.len()).map_err(|_| TooLong {
            found_bytes: part.len(),
        })
    };
    let (name_length, value_length) = (length(name)?, length(value)?);
    out.extend_from_slice(&name_length.to_be_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(&value_length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (taken, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}
