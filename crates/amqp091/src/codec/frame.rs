//! Frames (specification section 4.2.3).
//!
//! ```text
//! 0  u8   kind: 1 method, 2 content header, 3 body, 8 heartbeat
//! 1  u16  channel
//! 3  u32  n: payload bytes
//! 7       payload
//! 7+n     0xCE
//! ```

/// Bytes around a payload.
pub const OVERHEAD_BYTES: usize = 8;
/// Kind of a method frame.
pub const METHOD: u8 = 1;
/// Kind of a content header frame.
pub const HEADER: u8 = 2;
/// Kind of a body frame.
pub const BODY: u8 = 3;
/// Kind of a heartbeat frame.
pub const HEARTBEAT: u8 = 8;
/// Ends every frame.
pub const END: u8 = 0xCE;

/// One frame, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// One of the four.
    pub kind: u8,
    /// 0 is the connection itself.
    pub channel: u16,
    /// Without overhead.
    pub payload: &'a [u8],
}

/// Why bytes are not a frame. The connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameMalformed {
    /// Larger than was agreed on.
    TooLarge {
        /// Its kind.
        kind: u8,
        /// Payload bytes it announces.
        bytes: usize,
        /// Payload bytes that a frame of the agreed size has.
        bytes_max: usize,
    },
    /// Not [`END`] where the frame ends.
    End {
        /// Its kind.
        kind: u8,
        /// What is there.
        found: u8,
    },
    /// A kind that nobody knows.
    Kind(u8),
}

/// Takes the frame at the front of `bytes`: it and the bytes it takes up, or `None` if it
/// is not all there. Kind and size are judged as soon as they are there, so that nothing
/// is gathered for a frame that will be refused.
///
/// The overhead is not counted against `frame_bytes_max`: many clients forget to, and
/// RabbitMQ lets them.
///
/// # Errors
/// [`FrameMalformed`].
pub fn scan(
    bytes: &[u8],
    frame_bytes_max: usize,
) -> Result<Option<(Frame<'_>, usize)>, FrameMalformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<7>() else {
        return match bytes.first() {
            Some(&kind) if !is_known(kind) => Err(FrameMalformed::Kind(kind)),
            _ => Ok(None),
        };
    };
    let kind = head[0];
    if !is_known(kind) {
        return Err(FrameMalformed::Kind(kind));
    }
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if length > frame_bytes_max {
        return Err(FrameMalformed::TooLarge {
            kind,
            bytes: length,
            bytes_max: frame_bytes_max - OVERHEAD_BYTES,
        });
    }
    let Some(&found) = rest.get(length) else {
        return Ok(None);
    };
    if found != END {
        return Err(FrameMalformed::End { kind, found });
    }
    let frame = Frame {
        kind,
        channel: u16::from_be_bytes([head[1], head[2]]),
        payload: &rest[..length],
    };
    Ok(Some((frame, length + OVERHEAD_BYTES)))
}

fn is_known(kind: u8) -> bool {
    matches!(kind, METHOD | HEADER | BODY | HEARTBEAT)
}

/// Writes a frame whose payload `write` appends.
pub fn write(kind: u8, channel: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - at - 4).expect("a frame is far below 4 GiB");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    out.push(END);
}

#[cfg(test)]
mod tests;
