//! What a session may ask about topics, and what it is told.

use std::sync::Arc;

use bongsu_record::Offset;

use crate::catalog::TopicId;
use crate::topic::call::{Change, Changed, Refused, TopicRef};
use crate::topic::config::Described;

/// A request. Each thing named in it stands alone: what is declined of it is said in its
/// place, and the rest happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Changes topics, in their order; all that happens is durable together, and told then.
    /// Answer: [`Answer::Changed`].
    Change {
        /// What.
        changes: Vec<Change>,
        /// Only say what would become of it.
        only_check: bool,
    },
    /// What topics there are. Answer: [`Answer::Topics`].
    Topics {
        /// Which; `None`: all that the session may use.
        which: Option<Vec<TopicRef>>,
        /// Make those that are not there, where the broker's settings allow it.
        create: bool,
    },
    /// What is configured. Answer: [`Answer::Configs`].
    Configs {
        /// Of which, and which of them; `None`: all.
        topics: Vec<(String, Option<Vec<String>>)>,
    },
    /// Drops records from the front. Answer: [`Answer::Trimmed`].
    Trim {
        /// Where, and up to what: the first offset that stays; `None`: the durable end.
        parts: Vec<(TopicRef, i32, Option<i64>)>,
    },
    /// Where the records of a leader's epoch end. Answer: [`Answer::Epochs`].
    Epochs {
        /// Where, and which epoch.
        parts: Vec<(TopicRef, i32, i32)>,
    },
    /// What partitions take up on the disk. Answer: [`Answer::Sizes`].
    Sizes {
        /// Of which topics, and which partitions of each; `None`: of all.
        which: Option<Vec<(String, Vec<i32>)>>,
    },
}

/// What a [`Request`] came to. Lists are in the request's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One for each change.
    Changed(Vec<Result<Changed, Refused>>),
    /// See [`Topics`].
    Topics(Topics),
    /// One for each topic.
    Configs(Vec<Result<Vec<Described>, Refused>>),
    /// Where each begins then.
    Trimmed(Vec<Result<Offset, Refused>>),
    /// One for each partition.
    Epochs(Vec<Result<EpochEnd, Refused>>),
    /// See [`Sizes`].
    Sizes(Sizes),
}

/// What topics there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Topics {
    /// The cluster's number.
    pub cluster: u128,
    /// Each one asked for; or all, by name.
    pub topics: Vec<Result<Info, Refused>>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its number.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it has.
    pub partitions: u32,
}

/// Where the records of an epoch end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch asked for, or `None`: there is no such epoch yet.
    pub epoch: Option<i32>,
    /// The end of what a consumer may see; `None` with the epoch.
    pub end: Option<Offset>,
}

/// What partitions take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The directory.
    pub dir: String,
    /// Bytes that can still be written, if the disk can say.
    pub free_bytes: Option<u64>,
    /// Topic, partition, and bytes in segments and in memory.
    pub partitions: Vec<(Arc<str>, u32, u64)>,
}
