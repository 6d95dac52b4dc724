//! Buffers whose address suits direct I/O, without unsafe code: allocate a block more
//! than is needed and begin at the first aligned byte.

/// What direct I/O aligns to: address, position and length.
pub const BLOCK_BYTES: usize = 4096;

/// A reused buffer that begins at an aligned address.
#[derive(Default)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    /// The first `bytes` bytes, with whatever was left in them.
    pub fn get(&mut self, bytes: usize) -> &mut [u8] {
        if self.memory.len() < self.start + bytes {
            self.memory = vec![0; bytes.next_power_of_two() + BLOCK_BYTES];
            // On a target that cannot tell, `align_offset` is `usize::MAX`: direct I/O
            // then fails and the caller falls back to the page cache.
            self.start = self.memory.as_ptr().align_offset(BLOCK_BYTES);
            if self.start >= BLOCK_BYTES {
                self.start = 0;
            }
        }
        &mut self.memory[self.start..self.start + bytes]
    }

    /// Gives memory back if more than `bytes` are held.
    pub fn shrink(&mut self, bytes: usize) {
        if self.memory.len() > bytes + BLOCK_BYTES {
            *self = AlignedBuffer::default();
        }
    }
}

/// `bytes` rounded up to whole blocks.
pub fn round_up(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}
