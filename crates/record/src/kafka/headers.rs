//! Headers of one Kafka record.

use super::varint;

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8, says Kafka; nobody checks.
    pub name: &'a [u8],
    /// `None` is Kafka's null, which is not the empty value.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, read one by one. The same name may come more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left_count: u32,
}

impl<'a> Headers<'a> {
    /// Headers in bytes that [`Headers::check`] has found sound.
    pub(super) fn new(rest: &'a [u8], left_count: u32) -> Headers<'a> {
        Headers { rest, left_count }
    }

    /// Whether there are exactly `count` headers in `bytes`.
    pub(super) fn check(bytes: &[u8], count: u32) -> bool {
        let mut headers = Headers::new(bytes, count);
        while headers.left_count > 0 {
            // Every header has at least two bytes: a lying count ends with the bytes.
            if headers.next().is_none() {
                return false;
            }
        }
        headers.rest.is_empty()
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left_count = self.left_count.checked_sub(1)?;
        Some(Header {
            name: take_bytes(&mut self.rest)??,
            value: take_bytes(&mut self.rest)?,
        })
    }
}

/// Takes a length and as many bytes; `Some(None)` is Kafka's null.
pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint::take_i32(rest)?;
    if length == -1 {
        return Some(None);
    }
    let (taken, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Some(taken))
}
