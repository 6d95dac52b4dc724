//! What the second versions of ShareFetch and ShareAcknowledge add to their first.
//!
//! ```text
//! ShareFetch        group, member, six u32, [u8 acquire mode, u8 renews], topics, …
//! ShareAcknowledge  group, member, u32 epoch, [u8 renews], topics, …
//! ```
//! Texts are a varint of their length and 1, then their bytes. [`honest`](crate::honest) has
//! walked the body before.

use bytes::{Bytes, BytesMut};

use super::super::Malformed;

/// What was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// Not more records than were asked for, whatever their batches are.
    pub counts_records: bool,
    /// Some locks are renewed.
    pub renews: bool,
}

/// The body of a ShareFetch as of version 1, and what was added.
pub(super) fn fetch(body: &Bytes) -> Result<(Bytes, Added), Malformed> {
    let at = behind_member(body)? + 24;
    let [mode, renews] = *body.get(at..at + 2).ok_or(Malformed)? else {
        return Err(Malformed);
    };
    let added = Added {
        counts_records: mode == RECORD_LIMIT,
        renews: renews != 0,
    };
    Ok((without(body, at, 2), added))
}

/// The body of a ShareAcknowledge as of version 1, and what was added.
pub(super) fn acknowledge(body: &Bytes) -> Result<(Bytes, Added), Malformed> {
    let at = behind_member(body)? + 4;
    let renews = *body.get(at).ok_or(Malformed)?;
    let added = Added {
        counts_records: false,
        renews: renews != 0,
    };
    Ok((without(body, at, 1), added))
}

fn behind_member(body: &[u8]) -> Result<usize, Malformed> {
    let group = text_end(body, 0)?;
    text_end(body, group)
}

fn text_end(body: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut length = 0_usize;
    for (index, byte) in body
        .get(start..)
        .ok_or(Malformed)?
        .iter()
        .take(5)
        .enumerate()
    {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(start + index + 1 + length.saturating_sub(1));
        }
    }
    Err(Malformed)
}

fn without(body: &Bytes, at: usize, count: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len());
    out.extend_from_slice(&body[..at]);
    out.extend_from_slice(&body[at + count..]);
    out.freeze()
}

/// The acquire mode that is strict about the number of records.
const RECORD_LIMIT: u8 = 1;
