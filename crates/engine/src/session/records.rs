//! Calls on logs by partition: append, fetch, look up offsets.
//!
//! A topic is named or identified as the client did it; the broker resolves it, and refuses
//! each partition on its own. Nothing here is a protocol's: numbers of errors are in the
//! protocol's crate.

use std::sync::Arc;

use bongsu_record::kafka::Validated;
use bongsu_record::{Batch, Offset};

use crate::catalog::TopicId;
use crate::producers::ProducerRefused;
use crate::transaction::TransactionRefused;

/// Which topic a client means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicRef {
    /// By its name in the session's space.
    Name(Arc<str>),
    /// By its number.
    Id(TopicId),
}

/// Batches for partitions; each stands alone, in the order given.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// What and where to.
    pub appends: Vec<Append>,
    /// Of a transactional producer.
    pub transactional_id: Option<Arc<str>>,
    /// Whether appending to a partition makes it part of the producer's transaction.
    pub adds_partitions: bool,
    /// Whether the client asks that all replicas in sync have it.
    pub all_replicas: bool,
    /// What the client calls itself.
    pub client: Arc<str>,
}

/// One batch for one partition.
#[derive(Clone, Debug)]
pub struct Append {
    /// The topic.
    pub topic: TopicRef,
    /// The partition.
    pub partition: i32,
    /// A checked batch, dense, not a control batch.
    pub batch: Batch,
    /// What was seen of its records.
    pub seen: Validated,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; `None` where it is known no longer.
    pub base: Option<Offset>,
    /// The time that the broker stamped it with, where the topic says so: Unix milliseconds.
    pub stamped_ms: Option<i64>,
    /// First offset that the partition holds.
    pub start: Offset,
}

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendRefused {
    /// No such partition.
    Partition(PartitionRefused),
    /// Larger than the topic allows.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        bytes_max: u64,
    },
    /// A record without a key, in a topic that is compacted.
    NoKey,
    /// A record cannot be read.
    Malformed,
    /// Its time is too far from the broker's.
    Timestamp {
        /// The record's: Unix milliseconds.
        unix_ms: i64,
    },
    /// Its producer may not append it.
    Producer(ProducerRefused),
    /// Its transaction does not take it.
    Transaction(TransactionRefused),
    /// Transactions do not reach work queues.
    WorkQueue,
    /// More replicas are asked for than one broker has.
    Replicas {
        /// How many the topic asks for.
        wanted: u32,
    },
    /// The queue is full and refuses more.
    Full,
    /// Publishers are held back, or the disk failed.
    Storage,
    /// The queue has properties that need records of their own form, and this batch does
    /// not survive that.
    Unfit,
}

/// Why a partition cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionRefused {
    /// No topic of that name, or it has fewer partitions.
    Unknown,
    /// No topic of that number.
    UnknownId,
    /// Its name is not a topic's.
    Name,
    /// The user may not.
    Access,
}

/// Partitions to read from.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    /// Which, in the order in which they are to be served.
    pub parts: Vec<FetchPart>,
    /// Answer at the latest after so many milliseconds.
    pub wait_ms: u32,
    /// Answer as soon as there are so many bytes.
    pub bytes_min: u64,
    /// About the most bytes of the answer.
    pub bytes_max: u64,
    /// Only what no open transaction could still take back.
    pub committed: bool,
    /// Answer at once where any partition is refused: someone is to be told.
    pub answer_refused: bool,
    /// What the client calls itself.
    pub client: Arc<str>,
}

/// One partition to read from.
#[derive(Clone, Debug)]
pub struct FetchPart {
    /// The topic.
    pub topic: TopicRef,
    /// The partition.
    pub partition: i32,
    /// First record wanted.
    pub offset: i64,
    /// About the most bytes.
    pub bytes_max: u64,
}

/// What one partition had.
#[derive(Clone, Debug, Default)]
pub struct FetchedPart {
    /// Whether it could be read.
    pub refused: Option<FetchRefused>,
    /// First offset that the partition holds.
    pub start: Offset,
    /// Behind the last record that a crash cannot take back.
    pub durable_end: Offset,
    /// Below it no transaction is open.
    pub stable: Offset,
    /// Transactions that were taken back: whose, and the first record of each.
    pub aborted: Vec<(i64, Offset)>,
    /// Batches and their bases; the first may begin before what was asked for.
    pub batches: Vec<(Offset, Batch)>,
}

/// Why a partition could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchRefused {
    /// No such partition.
    Partition(PartitionRefused),
    /// Nothing has this offset, now.
    OutOfRange,
    /// The disk failed.
    Storage,
}

/// Offsets to look up.
#[derive(Clone, Debug)]
pub struct OffsetsRequest {
    /// Where and what.
    pub parts: Vec<OffsetsPart>,
    /// The end is that of what no open transaction could take back.
    pub committed: bool,
}

/// One offset to look up.
#[derive(Clone, Debug)]
pub struct OffsetsPart {
    /// The topic.
    pub topic: TopicRef,
    /// The partition.
    pub partition: i32,
    /// Which offset.
    pub when: When,
}

/// Which offset is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The first there is.
    Earliest,
    /// Behind the last.
    Latest,
    /// The record with the latest time.
    MaxTimestamp,
    /// The first record of that time or later: Unix milliseconds.
    Time(i64),
    /// One that only storage in tiers has.
    Never,
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; `None` where no record is like that.
    pub offset: Option<Offset>,
    /// The record's time, where it was asked for by time: Unix milliseconds.
    pub timestamp_ms: Option<i64>,
}
