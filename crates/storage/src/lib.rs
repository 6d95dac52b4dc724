//! Lanes, segments and checkpoints: the only crate that opens a file.

pub mod error;

pub mod options;

mod wire;

mod manifest;

pub mod seam;

pub mod lane;

pub mod disk;

pub mod entry;

mod segment;

pub mod log;

pub mod storage;

pub mod checkpoint;

pub mod recovery;

pub mod threads;

pub mod backup;

pub mod repair;

pub use checkpoint::{CheckpointSource, SectionWriter};
pub use entry::{Entry, EntryRef, SegmentId};
pub use error::Error;
pub use log::compact::{CompactOptions, Compacted, Dirt};
pub use log::times::Timed;
pub use log::{Bounds, Log, LogStats, Stored};
pub use options::{Durability, Options};
pub use recovery::{LogSection, Recovery, Report, Section};
pub use storage::{Appended, CheckpointTimes, Pressure, Publish, Storage};
pub use threads::Threads;

#[cfg(test)]
mod golden;
