//! OffsetCommit and OffsetFetch of the version that knows topics by their numbers, which the
//! generated decoder does not read. Nothing else is different from the version before: so the
//! request is written anew, with each number as a name of 32 hexadecimal digits, and decoded.

use bytes::Bytes;

use bongsu_engine::catalog::TopicId;

use crate::session::Malformed;

/// From this version on, topics are given by number.
pub(crate) const IDS_FROM: i16 = 10;

/// An OffsetCommit as of the version before.
pub(super) fn commit(body: &[u8]) -> Result<Bytes, Malformed> {
    rewrite(body, |walk| {
        walk.text()?;
        walk.keep(4)?;
        walk.text()?;
        walk.text()?;
        walk.each(|topic| {
            topic.number()?;
            topic.each(|partition| {
                partition.keep(4 + 8 + 4)?;
                partition.text()?;
                partition.tagged()
            })?;
            topic.tagged()
        })?;
        walk.tagged()
    })
}

/// An OffsetFetch as of the version before.
pub(super) fn fetch(body: &[u8]) -> Result<Bytes, Malformed> {
    rewrite(body, |walk| {
        walk.each(|group| {
            group.text()?;
            group.text()?;
            group.keep(4)?;
            group.each(|topic| {
                topic.number()?;
                topic.each(|partition| partition.keep(4))?;
                topic.tagged()
            })?;
            group.tagged()
        })?;
        walk.keep(1)?;
        walk.tagged()
    })
}

/// The number that was written as a name.
pub(super) fn number(name: &str) -> TopicId {
    TopicId(u128::from_str_radix(name, 16).unwrap_or_default())
}

fn rewrite(
    body: &[u8],
    walk: impl FnOnce(&mut Walk<'_>) -> Result<(), Malformed>,
) -> Result<Bytes, Malformed> {
    let mut rewritten = Walk {
        rest: body,
        out: Vec::with_capacity(2 * body.len()),
    };
    walk(&mut rewritten)?;
    match rewritten.rest.is_empty() {
        true => Ok(Bytes::from(rewritten.out)),
        false => Err(Malformed),
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl Walk<'_> {
    fn keep(&mut self, bytes: usize) -> Result<(), Malformed> {
        let (kept, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed)?;
        self.out.extend_from_slice(kept);
        self.rest = rest;
        Ok(())
    }

    /// Seven bits a byte, the lowest first; of at most 32 bits.
    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *self.rest.first().ok_or(Malformed)?;
            self.keep(1)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A text, or none: its length and one.
    fn text(&mut self) -> Result<(), Malformed> {
        let length = self.varint()?.saturating_sub(1);
        self.keep(usize::try_from(length).map_err(|_| Malformed)?)
    }

    fn number(&mut self) -> Result<(), Malformed> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        let name = format!("{:032x}", u128::from_be_bytes(*number));
        self.rest = rest;
        self.out.push(name.len() as u8 + 1);
        self.out.extend_from_slice(name.as_bytes());
        Ok(())
    }

    /// An array, or none: how many elements, and one.
    fn each(
        &mut self,
        element: impl Fn(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for _ in 1..self.varint()? {
            element(self)?;
        }
        Ok(())
    }

    fn tagged(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.keep(usize::try_from(length).map_err(|_| Malformed)?)?;
        }
        Ok(())
    }
}
