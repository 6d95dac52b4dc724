//! Frames that wait for a commit: small bytes copied into one buffer, payloads shared.

use bytes::Bytes;

use crate::seam::{Frame, Needs};

/// Frames in order. Reused: the writer swaps it for the empty one it emptied before.
#[derive(Default)]
pub struct Pending {
    heads: Vec<u8>,
    /// Payload and the byte of `heads` it goes in front of.
    payloads: Vec<(usize, Bytes)>,
    frames: Vec<Ends>,
    bytes: u64,
    needs: Needs,
    /// How far the writer has come.
    done: Ends,
    done_frames: usize,
}

/// Where a frame ends.
#[derive(Clone, Copy, Default)]
struct Ends {
    head: usize,
    payload: usize,
    /// Sum of frame bytes up to here.
    bytes: u64,
}

impl Pending {
    pub fn push(&mut self, frame: Frame<'_>, bytes: u64) {
        let start = self.heads.len();
        self.heads.extend_from_slice(frame.head);
        let shared = frame.payloads.iter();
        self.payloads
            .extend(shared.map(|(at, payload)| (start + at, payload.clone())));
        self.bytes += bytes;
        self.needs = self.needs.and(frame.needs);
        self.frames.push(Ends {
            head: self.heads.len(),
            payload: self.payloads.len(),
            bytes: self.bytes,
        });
    }

    /// Bytes not yet written.
    pub fn bytes(&self) -> u64 {
        self.bytes - self.done.bytes
    }

    pub fn needs(&self) -> Needs {
        self.needs
    }

    pub fn is_empty(&self) -> bool {
        self.done_frames == self.frames.len()
    }

    /// Frames that are left.
    pub fn frame_count(&self) -> usize {
        self.frames.len() - self.done_frames
    }

    /// How many of the next frames fit in `bytes_max` together (at least one), and their
    /// bytes.
    pub fn run(&self, bytes_max: u64) -> (usize, u64) {
        let rest = &self.frames[self.done_frames..];
        let fits = rest.partition_point(|ends| ends.bytes - self.done.bytes <= bytes_max);
        let count = fits.max(1).min(rest.len());
        let bytes = match count {
            0 => 0,
            _ => rest[count - 1].bytes - self.done.bytes,
        };
        (count, bytes)
    }

    /// Copies the next `count` frames to `out`, which has exactly their length. The one
    /// memcpy between a client's bytes and the disk.
    pub fn copy(&self, count: usize, out: &mut [u8]) {
        let Some(end) = (self.done_frames + count)
            .checked_sub(1)
            .and_then(|last| self.frames.get(last))
        else {
            return;
        };
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        let mut head = self.done.head;
        for (before, payload) in &self.payloads[self.done.payload..end.payload] {
            put(&self.heads[head..*before]);
            put(payload);
            head = *before;
        }
        put(&self.heads[head..end.head]);
    }

    /// The next `count` frames are written. Drops everything after the last.
    pub fn advance(&mut self, count: usize) {
        self.done_frames += count;
        if self.is_empty() {
            self.clear();
        } else if let Some(last) = self.done_frames.checked_sub(1) {
            self.done = self.frames[last];
        }
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.payloads.clear();
        self.frames.clear();
        // One burst must not hold its memory for ever.
        self.heads.shrink_to(HEADS_KEPT_BYTES);
        self.payloads.shrink_to(HEADS_KEPT_BYTES / 64);
        self.frames.shrink_to(HEADS_KEPT_BYTES / 64);
        self.bytes = 0;
        self.needs = Needs::default();
        self.done = Ends::default();
        self.done_frames = 0;
    }
}

const HEADS_KEPT_BYTES: usize = 4 << 20;
