//! The world for tests: a disk that lies, and histories that live on it.
//!
//! What we survive, and what is tested here with thousands of seeded histories:
//!
//! | fault | what the disk does | what must hold |
//! |---|---|---|
//! | power cut at any I/O, also in recovery | keeps a random part of unsynced sectors, lengths, names | all confirmed is there once, in order; groups whole or absent; settled stays settled |
//! | the process is killed | keeps everything | the same, for `os` durability too |
//! | a failed write or sync | the call fails, dirty sectors may be lost for good | nothing is confirmed afterwards; a restart has all that was |
//! | a full disk | growth fails | appends are refused, settles and checkpoints go on, room is found again |
//! | a flipped bit | anywhere | no effect, or an error that names the file |
//!
//! Everything follows from the seed: the same seed writes the same bytes.

pub mod random;

pub mod disk;

pub mod model;

pub mod broker;

pub mod history;

pub use disk::SimDisk;
pub use random::Random;
