//! What a client asks about transactions, and what it is answered. Neutral: it carries all
//! that any version of Kafka's requests says, in no version's shape.

use std::sync::Arc;

use super::Producer;
use crate::group::offsets::{Commit, TopicResults};
use crate::producers::Active;

/// A call; names are in the session's space.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Makes a producer, or takes one over. Answer: [`Answer::Initialized`].
    Init {
        /// `None`: it numbers its batches and has no transactions.
        transactional_id: Option<Arc<str>>,
        /// Its transactions are aborted when they are open for so long.
        timeout_ms: i32,
        /// Who it believes to be, if it goes on after an error.
        expected: Option<Producer>,
    },
    /// Answer: [`Answer::Added`].
    AddPartitions(Vec<AddPartitions>),
    /// Answer: [`Answer::AddedOffsets`].
    AddOffsets {
        /// Whose transaction.
        of: Member,
        /// The group whose offsets will be committed in it.
        group: Arc<str>,
    },
    /// Answer: [`Answer::CommittedOffsets`].
    CommitOffsets {
        /// Whose transaction.
        of: Member,
        /// Which group's.
        group: Arc<str>,
        /// What.
        commit: Commit,
        /// The group need not have been added before.
        adds_group: bool,
    },
    /// Answer: [`Answer::Ended`].
    End {
        /// Whose transaction.
        of: Member,
        /// Or aborted.
        committed: bool,
        /// The producer's next transaction is one of a new epoch.
        bumps_epoch: bool,
    },
    /// Who writes to partitions: topic and partitions. Answer: [`Answer::Producers`].
    DescribeProducers(Vec<(Arc<str>, Vec<i32>)>),
    /// Answer: [`Answer::Described`].
    Describe(Vec<Arc<str>>),
    /// Answer: [`Answer::Listed`].
    List(Filter),
}

/// A producer and its transactional id, as it gives them with each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// By which its transaction is found.
    pub transactional_id: Arc<str>,
    /// Who it believes to be.
    pub producer: Producer,
}

/// Partitions that a transaction is going to write to.
#[derive(Clone, Debug, PartialEq)]
pub struct AddPartitions {
    /// Whose transaction.
    pub of: Member,
    /// Only say whether they are part of it.
    pub only_verifies: bool,
    /// Topics and partitions.
    pub topics: Vec<(Arc<str>, Vec<i32>)>,
}

/// Which transactions are listed; each that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of any of these states, by Kafka's names.
    pub states: Vec<String>,
    /// Of any of these producers.
    pub producer_ids: Vec<i64>,
    /// Open for longer than this; negative: however long.
    pub open_for_ms: i64,
    /// Whose transactional id this regular expression matches as a whole.
    pub id_pattern: Option<String>,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Who the producer is from now on.
    Initialized(Result<Producer, TransactionRefused>),
    /// By transactional id, topic and partition, as asked.
    Added(Vec<AddedTo>),
    /// The group is part of the transaction.
    AddedOffsets(Result<(), TransactionRefused>),
    /// What the group said of each, or why it was not asked.
    CommittedOffsets(Result<TopicResults, TransactionRefused>),
    /// Who the producer is from now on.
    Ended(Result<Producer, TransactionRefused>),
    /// By topic and partition, as asked.
    Producers(Vec<(Arc<str>, Vec<PartitionProducers>)>),
    /// In the order asked.
    Described(Vec<(Arc<str>, Result<Described, TransactionRefused>)>),
    /// By transactional id.
    Listed(Result<Listed, TransactionRefused>),
}

/// What became of one [`AddPartitions`].
#[derive(Clone, Debug, PartialEq)]
pub struct AddedTo {
    /// Whose transaction.
    pub transactional_id: Arc<str>,
    /// Topics, and each partition's result.
    pub topics: Vec<(Arc<str>, Vec<PartitionResult>)>,
}

/// A partition, and what became of it.
pub type PartitionResult = (i32, Result<(), TransactionRefused>);

/// A partition, and who writes to it.
pub type PartitionProducers = (i32, Result<Vec<Active>, TransactionRefused>);

/// A transactional id as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The last that was given.
    pub producer: Producer,
    /// By Kafka's name.
    pub state: &'static str,
    /// How long its transactions may be open.
    pub timeout_ms: u32,
    /// Since when one is open: Unix milliseconds.
    pub since_ms: Option<u64>,
    /// What it writes to: topics and partitions.
    pub topics: Vec<(Arc<str>, Vec<i32>)>,
}

/// Which transactions there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// States of the filter that there are none of.
    pub unknown_states: Vec<String>,
    /// Transactional id, producer's id, state.
    pub transactions: Vec<(Arc<str>, i64, &'static str)>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionRefused {
    /// The request contradicts itself.
    Malformed,
    /// No positive number, or longer than a transaction may take.
    Timeout,
    /// Another producer has the transactional id, or nobody has.
    UnknownProducer,
    /// Another incarnation has taken the producer over.
    Fenced,
    /// No transaction is open that this could be done to, or it has ended the other way.
    State,
    /// The partition or group is not part of the open transaction.
    NotInTransaction,
    /// Nobody uses this transactional id.
    NotFound,
    /// No such partition.
    UnknownPartition,
    /// The name is not a topic's.
    TopicName,
    /// The user may not use the transactional id.
    IdDenied,
    /// The user may not use the topic.
    TopicDenied,
    /// The user may not use the group.
    GroupDenied,
    /// It was not tried, because of another's error.
    NotAttempted,
    /// A regular expression that is none.
    Pattern,
    /// The broker cannot record it; its log says why.
    Storage,
}
