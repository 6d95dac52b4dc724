//! AMQP 0-9-1 on the wire, as little of it as load needs: frames out, frames in.
//!
//! ```text
//! frame    type u8 | channel u16 | size u32 | payload | 0xCE
//! method   class u16 | method u16 | arguments             (type 1)
//! header   class u16 | 0 u16 | body size u64 | flags u16 | properties   (type 2)
//! body     bytes                                          (type 3)
//! ```
//!
//! Its own code, not the broker's: a mistake shared by both ends would measure well.

mod table;

use std::fmt;

pub use table::{Properties, Table, Value, push_content, push_table};

/// A frame that carries a method.
pub const METHOD: u8 = 1;
/// A frame that carries a content header.
pub const HEADER: u8 = 2;
/// A frame that carries a piece of a body.
pub const BODY: u8 = 3;

/// What the client says first.
pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The largest frame offered and accepted, in bytes.
pub const FRAME_BYTES_MAX: u32 = 131_072;

/// Class and method number, named as in the specification.
pub type MethodId = (u16, u16);

/// connection.start
pub const CONNECTION_START: MethodId = (10, 10);
/// connection.start-ok
pub const CONNECTION_START_OK: MethodId = (10, 11);
/// connection.tune
pub const CONNECTION_TUNE: MethodId = (10, 30);
/// connection.tune-ok
pub const CONNECTION_TUNE_OK: MethodId = (10, 31);
/// connection.open
pub const CONNECTION_OPEN: MethodId = (10, 40);
/// connection.close
pub const CONNECTION_CLOSE: MethodId = (10, 50);
/// channel.open
pub const CHANNEL_OPEN: MethodId = (20, 10);
/// channel.close
pub const CHANNEL_CLOSE: MethodId = (20, 40);
/// exchange.declare
pub const EXCHANGE_DECLARE: MethodId = (40, 10);
/// exchange.delete
pub const EXCHANGE_DELETE: MethodId = (40, 20);
/// queue.declare
pub const QUEUE_DECLARE: MethodId = (50, 10);
/// queue.bind
pub const QUEUE_BIND: MethodId = (50, 20);
/// queue.delete
pub const QUEUE_DELETE: MethodId = (50, 40);
/// basic.qos
pub const BASIC_QOS: MethodId = (60, 10);
/// basic.consume
pub const BASIC_CONSUME: MethodId = (60, 20);
/// basic.cancel
pub const BASIC_CANCEL: MethodId = (60, 30);
/// basic.publish
pub const BASIC_PUBLISH: MethodId = (60, 40);
/// basic.deliver
pub const BASIC_DELIVER: MethodId = (60, 60);
/// basic.ack
pub const BASIC_ACK: MethodId = (60, 80);
/// basic.nack
pub const BASIC_NACK: MethodId = (60, 120);
/// confirm.select
pub const CONFIRM_SELECT: MethodId = (85, 10);
/// tx.select
pub const TX_SELECT: MethodId = (90, 10);
/// tx.commit
pub const TX_COMMIT: MethodId = (90, 20);
/// tx.commit-ok
pub const TX_COMMIT_OK: MethodId = (90, 21);

/// A method frame in the making.
pub struct Method {
    frame: Vec<u8>,
}

impl Method {
    /// Starts a frame for `id` on `channel`; arguments follow in the specification's order.
    pub fn new(channel: u16, id: MethodId) -> Self {
        let mut frame = Vec::with_capacity(64);
        frame.push(METHOD);
        frame.extend(channel.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(id.0.to_be_bytes());
        frame.extend(id.1.to_be_bytes());
        Self { frame }
    }

    /// An octet, or up to eight bits, the first in the lowest place.
    pub fn octet(mut self, value: u8) -> Self {
        self.frame.push(value);
        self
    }

    /// A short integer.
    pub fn short(mut self, value: u16) -> Self {
        self.frame.extend(value.to_be_bytes());
        self
    }

    /// A long integer.
    pub fn long(mut self, value: u32) -> Self {
        self.frame.extend(value.to_be_bytes());
        self
    }

    /// A long long integer.
    pub fn longlong(mut self, value: u64) -> Self {
        self.frame.extend(value.to_be_bytes());
        self
    }

    /// A string of at most 255 bytes.
    pub fn shortstr(mut self, text: &str) -> Self {
        let length = u8::try_from(text.len()).expect("names made here are short");
        self.frame.push(length);
        self.frame.extend(text.as_bytes());
        self
    }

    /// A string with a four byte length; an empty table looks just like an empty one.
    pub fn longstr(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("strings made here are short");
        self.frame.extend(length.to_be_bytes());
        self.frame.extend(bytes);
        self
    }

    /// A table without entries.
    pub fn empty_table(self) -> Self {
        self.longstr(&[])
    }

    /// A table.
    pub fn table(mut self, table: &Table<'_>) -> Self {
        push_table(&mut self.frame, table);
        self
    }

    /// The whole frame.
    pub fn finish(mut self) -> Vec<u8> {
        let size = u32::try_from(self.frame.len() - FRAME_HEADER_BYTES).expect("frames are small");
        self.frame[3..7].copy_from_slice(&size.to_be_bytes());
        self.frame.push(FRAME_END);
        self.frame
    }
}

/// One frame, borrowed from the read buffer.
pub struct Frame<'a> {
    /// `METHOD`, `HEADER`, `BODY` or a heartbeat.
    pub kind: u8,
    /// What is between the frame's header and its end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The method this frame carries, if it carries one.
    pub fn method(&self) -> Option<MethodId> {
        (self.kind == METHOD && self.payload.len() >= 4)
            .then(|| (u16_at(self.payload, 0), u16_at(self.payload, 2)))
    }
}

/// The bytes are no frame of AMQP 0-9-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The octet after the payload is not 0xCE.
    FrameEnd(u8),
    /// The frame is larger than was agreed.
    FrameSize(u32),
    /// A method or header is shorter than its fields.
    Truncated,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameEnd(octet) => write!(f, "frame ends in {octet:#04x} instead of 0xce"),
            Self::FrameSize(size) => write!(f, "frame of {size} bytes is over {FRAME_BYTES_MAX}"),
            Self::Truncated => write!(f, "method or header is shorter than its fields"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The read buffer: bytes in at the back, whole frames out at the front, nothing allocated
/// after it is made. Bound: `INPUT_BYTES`, several of the largest frames.
pub struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Input {
    /// An empty buffer of `capacity` bytes, at least one frame.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(FRAME_BYTES_MAX as usize);
        Self {
            buffer: vec![0; capacity].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Room for more bytes. Moves a cut-off frame to the front first, so that there always is some.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// Tells how many bytes were put into `space`.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// The next whole frame, or nothing until more bytes come.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let bytes = &self.buffer[self.start..self.end];
        if bytes.len() < FRAME_OVERHEAD_BYTES {
            return Ok(None);
        }
        let size = u32_at(bytes, 3);
        if size as usize > FRAME_BYTES_MAX as usize - FRAME_OVERHEAD_BYTES {
            return Err(Malformed::FrameSize(size));
        }
        let payload_end = FRAME_HEADER_BYTES + size as usize;
        if bytes.len() <= payload_end {
            return Ok(None);
        }
        if bytes[payload_end] != FRAME_END {
            return Err(Malformed::FrameEnd(bytes[payload_end]));
        }
        self.start += payload_end + 1;
        Ok(Some(Frame {
            kind: bytes[0],
            payload: &bytes[FRAME_HEADER_BYTES..payload_end],
        }))
    }
}

/// Big-endian u16 at `at`; the caller has checked the length.
#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Big-endian u32 at `at`; the caller has checked the length.
#[inline]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Big-endian u64 at `at`, or `Truncated`.
#[inline]
pub fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Malformed> {
    let eight = bytes.get(at..at + 8).ok_or(Malformed::Truncated)?;
    Ok(u64::from_be_bytes(
        eight.try_into().expect("the slice has eight bytes"),
    ))
}

/// How much is read at once: small enough to stay in the second level cache.
pub const INPUT_BYTES: usize = 256 * 1024;

const FRAME_HEADER_BYTES: usize = 7;
const FRAME_OVERHEAD_BYTES: usize = FRAME_HEADER_BYTES + 1;
const FRAME_END: u8 = 0xCE;

#[cfg(test)]
mod tests;
