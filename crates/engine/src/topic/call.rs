//! Changes of topics, as the catalog takes them, and why it declines.

use crate::catalog::{Configs, QueueId, TopicId};
use crate::refused::Refused as QueueRefused;
use crate::topic::config::alter::ConfigRefused;
use crate::topic::config::{Alteration, Described};
use crate::topic::name::NameInvalid;

/// A topic by what the client knows of it.
pub use crate::session::records::TopicRef;

/// How many partitions there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In a topic for which nobody says how many.
    pub usual: u32,
    /// In one topic.
    pub per_topic_max: u32,
    /// In all, queues counted too: each is a log.
    pub in_all_max: u32,
}

/// One change of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes it.
    Create {
        /// Its name.
        name: String,
        /// How many; `None`: as many as usual.
        partitions: Option<u32>,
        /// What is set.
        configs: Configs,
    },
    /// Deletes it, whatever is in it.
    Delete {
        /// Which.
        topic: TopicRef,
    },
    /// Gives it more partitions.
    Grow {
        /// Its name.
        name: String,
        /// How many then.
        partitions: u32,
    },
    /// Sets some of its configurations and leaves the others.
    Alter {
        /// Its name.
        name: String,
        /// What becomes of which.
        alterations: Vec<Alteration>,
    },
    /// Sets all of its configurations: what is not named has its default.
    Replace {
        /// Its name.
        name: String,
        /// What is set.
        configs: Configs,
    },
}

/// What became of a [`Change`].
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The topic's number.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its first partition; one that was not made, as it was only checked, has none.
    pub first: Option<QueueId>,
    /// How many it has, or had.
    pub partitions: u32,
    /// Of one that was made: what is configured.
    pub configs: Vec<Described>,
}

/// Why it was declined. Nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// Not a name for a topic.
    Name {
        /// As given.
        name: String,
        /// Why.
        cause: NameInvalid,
    },
    /// A name that the broker or Kafka keeps for itself.
    Reserved {
        /// As given.
        name: String,
    },
    /// Kafka would take it for another, `.` being `_` to it.
    Alike {
        /// As given.
        name: String,
        /// The one there is.
        other: String,
    },
    /// There is one, or a queue that is no topic has the name.
    Exists {
        /// Its name.
        name: String,
    },
    /// There is none of that name.
    Unknown {
        /// The name.
        name: String,
    },
    /// There is none of that number.
    UnknownId {
        /// The number.
        id: TopicId,
    },
    /// A topic has one partition or more, and at most so many.
    PartitionCount {
        /// As asked for.
        asked: i64,
        /// At most.
        max: u32,
    },
    /// There are too many partitions, of all topics and queues.
    TooMany {
        /// At most.
        max: u32,
    },
    /// It has so many already, or more.
    NotMore {
        /// Its name.
        name: String,
        /// So many it has.
        current: u32,
        /// As asked for.
        asked: u32,
    },
    /// A work queue has one partition.
    WorkQueue {
        /// Its name.
        name: String,
    },
    /// What is only compacted is not deleted by hand.
    Compacted {
        /// Its name.
        name: String,
    },
    /// A queue stands where a partition would be.
    InTheWay {
        /// The queue.
        queue: String,
    },
    /// Its configurations.
    Config(ConfigRefused),
    /// There is one replica.
    Replication {
        /// As asked for.
        asked: i32,
    },
    /// Partitions assigned by hand: to others than this broker, or with a gap.
    Assignment {
        /// What is wrong, for people.
        cause: String,
    },
    /// The user may not.
    Access,
    /// An offset that the partition does not have.
    Offset {
        /// As given.
        offset: i64,
    },
    /// No such partition.
    Partition,
    /// Storage cannot take it. The text is for people.
    Storage {
        /// Operation, path, position, cause.
        cause: String,
    },
}

impl Refused {
    /// What a topic is refused for because its queue was.
    pub fn of_queue(refused: QueueRefused) -> Refused {
        match refused {
            QueueRefused::Denied { .. } | QueueRefused::Login { .. } => Refused::Access,
            QueueRefused::Storage { cause } => Refused::Storage { cause },
            other => Refused::Storage {
                cause: format!("{other:?}"),
            },
        }
    }
}
