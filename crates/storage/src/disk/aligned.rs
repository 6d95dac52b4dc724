//! Buffers whose address suits direct I/O, without unsafe code: allocate a block more
//! than is needed and begin at the first aligned byte.

/// What direct I/O aligns to: address, position and length.
pub const BLOCK_BYTES: usize = 4096;
