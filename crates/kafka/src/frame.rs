//! Requests as they are framed: four bytes of length, then header and body.
//!
//! A frame is gathered in a buffer of its own, which becomes the memory of what is in it: a
//! batch is copied once, from the socket's buffer, and then shared. The buffer grows with
//! what has arrived, not with what the length promises.

use bytes::{Buf, Bytes, BytesMut};

/// Gathers the bytes of one frame at a time.
#[derive(Debug, Default)]
pub struct Frames {
    /// Of the frame, without its length; `None` until the length is known.
    left: Option<usize>,
    length: Vec<u8>,
    body: BytesMut,
}

/// A length that no frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRefused {
    /// What the client says.
    pub bytes: i32,
    /// The most that is accepted.
    pub bytes_max: usize,
}

impl Frames {
    /// Takes from `bytes` up to the end of the frame; returns how many were used, and the
    /// frame once it is whole.
    ///
    /// # Errors
    /// [`FrameRefused`]: the stream cannot be followed further.
    pub fn take(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
    ) -> Result<(usize, Option<Bytes>), FrameRefused> {
        let mut rest = bytes;
        if self.left.is_none() {
            let missing = (LENGTH_BYTES - self.length.len()).min(rest.len());
            self.length.extend_from_slice(&rest[..missing]);
            rest.advance(missing);
            let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(self.length.as_slice()) else {
                return Ok((bytes.len(), None));
            };
            let length = i32::from_be_bytes(length);
            let usable = usize::try_from(length).ok().filter(|l| *l <= bytes_max);
            self.left = Some(usable.ok_or(FrameRefused {
                bytes: length,
                bytes_max,
            })?);
            self.length.clear();
        }
        let left = self.left.unwrap_or_default();
        let now = left.min(rest.len());
        if self.body.capacity() < self.body.len() + now {
            // All of a usual frame at once: pages that nothing is written to cost nothing. Of
            // a large one twice what is there.
            let wanted = now.max(self.body.len()).max(FIRST_BYTES);
            self.body.reserve(wanted.min(left));
        }
        self.body.extend_from_slice(&rest[..now]);
        rest.advance(now);
        self.left = Some(left - now);
        let used = bytes.len() - rest.len();
        if left > now {
            return Ok((used, None));
        }
        self.left = None;
        Ok((used, Some(std::mem::take(&mut self.body).freeze())))
    }
}

const LENGTH_BYTES: usize = 4;
const FIRST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<Bytes> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while !rest.is_empty() {
                let (used, frame) = frames.take(rest, 100).unwrap();
                assert!(used > 0);
                rest = &rest[used..];
                found.extend(frame);
            }
        }
        found
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de";
        let whole = all(&[bytes]);
        assert_eq!(whole, [&b"abc"[..], b"", b"de"]);
        for cut in 0..bytes.len() {
            assert_eq!(all(&[&bytes[..cut], &bytes[cut..]]), whole, "{cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(all(&single), whole);
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_anything_is_kept() {
        for length in [101, i32::MAX, -1, i32::MIN] {
            let mut frames = Frames::default();
            let refused = frames.take(&length.to_be_bytes(), 100).unwrap_err();
            assert_eq!((refused.bytes, refused.bytes_max), (length, 100));
        }
    }

    #[test]
    fn memory_follows_what_has_arrived() {
        let mut frames = Frames::default();
        let length = 64_i32 << 20;
        frames.take(&length.to_be_bytes(), 64 << 20).unwrap();
        frames.take(&[7; 1000], 64 << 20).unwrap();
        assert!(frames.body.capacity() <= 2 << 20);
    }
}
