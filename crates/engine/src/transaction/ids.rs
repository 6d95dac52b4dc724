//! Numbers of producers: each is given once, whatever happens in between.
//!
//! They are reserved in blocks, and the block is recorded before its first number is
//! given. A crash loses what was left of a block, which nobody misses.

/// Numbers that are reserved at once.
pub const IDS_RESERVED: i64 = 1_000;

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerIds {
    next: i64,
    /// Those below may be given.
    end: i64,
}

impl ProducerIds {
    /// Goes on where everything below `end` may have been given.
    pub fn from(end: i64) -> ProducerIds {
        ProducerIds { next: end, end }
    }

    /// One that was never given; `None`: reserve first.
    pub fn take(&mut self) -> Option<i64> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// What to record as the end before [`ProducerIds::reserve`], if there is need.
    pub fn wanted(&self) -> Option<i64> {
        (self.next == self.end).then_some(self.end + IDS_RESERVED)
    }

    /// Everything below `end` is reserved, and recorded as such.
    pub fn reserve(&mut self, end: i64) {
        self.end = end.max(self.end);
    }

    /// All below are reserved: what is recorded.
    pub fn end(&self) -> i64 {
        self.end
    }
}
