//! The write-ahead log on a disk.
//!
//! A lane is a chain of preallocated files, each a file header and then **blocks**. A
//! commit takes all pending frames, writes them as one block (or several of at most
//! [`BLOCK_BYTES_MAX`], unless one frame is larger) and syncs once. An LSN counts frame
//! bytes only: no header, no padding.
//!
//! ```text
//! lane-<id>-<index>      [file header][block][block]...[block with CONTINUES] -> next index
//! ```
//!
//! **Where a lane ends.** Files are reused, so behind the last block lie zeros or blocks
//! of another time. A block belongs to the chain if its checksum, seeded with the file's
//! salt, holds, and its first LSN is where the block before it ended. The first place
//! that fails is the end: a torn tail, cut without a word, for nobody was told that it is
//! safe. Unless something proves that it was: each block says how far the lane was synced
//! before it was written, so a valid block of this file, further on, that claims more
//! than the end, or any valid block in a later file, or the register's end of a sealed
//! lane, turns the torn tail into corruption, and that stops the broker. To prove the
//! last block too, an idle lane writes an empty block behind it ([`Lane::idle`]).
//!
//! **Order of syncs at a roll.** The next file is made, named and synced; then the old one
//! gets its CONTINUES block and is synced; then the new one takes blocks. So CONTINUES
//! without a next file is a missing file, and a next file without CONTINUES was not used.
//!
//! [`Lane::idle`]: crate::seam::Lane::idle

pub(crate) mod block;

mod pending;

mod files;

mod writer;

mod sealed;

mod copy;

mod salvage;

mod store;

pub(crate) use files::{file_name as file_name_of, parse_name as parse_file_name};
pub(crate) use salvage::{body_bytes_at, goes_on_at, ids_and_starts, sound_frames};
pub use store::{DiskLaneStore, LaneOptions};

/// Most bytes of one block, unless a single frame is larger.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;
