//! What members of share groups may ask, and what they are told.

use std::ops::Range;
use std::sync::Arc;

use bongsu_record::{Batch, Offset};

use crate::catalog::{Configs, TopicId};
use crate::session::records::{PartitionRefused, TopicRef};
use crate::share::config::ConfigInvalid;

/// A partition as a member names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    /// Its topic.
    pub topic: TopicRef,
    /// Its number there.
    pub partition: i32,
}

/// A request.
#[derive(Clone, Debug)]
pub enum Request {
    /// Settles, then acquires records, waiting for them if there are none. Answer:
    /// [`Answer::Fetched`].
    Fetch(Fetch),
    /// Settles. Answer: [`Answer::Settled`].
    Settle(Settle),
    /// Where groups are. Answer: [`Answer::Described`].
    Describe(Vec<Describe>),
    /// Moves a group that nobody is a member of. Answer: [`Answer::Altered`].
    Alter {
        /// The group.
        group: Arc<str>,
        /// Offset of the next record, for each.
        parts: Vec<(PartKey, i64)>,
    },
    /// What groups are configured to. Answer: [`Answer::Configs`].
    Configs(Vec<Arc<str>>),
    /// Groups of which something was set. Answer: [`Answer::Configs`].
    AllConfigs,
    /// Changes what groups are configured to, each as a whole or not at all. Answer:
    /// [`Answer::Configured`].
    Configure {
        /// Group, and by name what is set, or, `None`, not any more.
        changes: Vec<(Arc<str>, ConfigChanges)>,
        /// Only look whether it could be done.
        only_check: bool,
    },
    /// Forgets a group's places. Answer: [`Answer::Forgotten`].
    Forget {
        /// The group.
        group: Arc<str>,
        /// Of these topics, by name.
        topics: Vec<Arc<str>>,
    },
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The group.
    pub group: Arc<str>,
    /// The member's number, chosen by itself.
    pub member: Arc<str>,
}

/// See [`Request::Fetch`].
#[derive(Clone, Debug)]
pub struct Fetch {
    /// Who.
    pub member: Member,
    /// 0 opens a session, -1 ends it, else the next of it.
    pub epoch: i32,
    /// Milliseconds to wait for records.
    pub wait_ms: u32,
    /// About the most bytes of the answer.
    pub bytes_max: u64,
    /// Most records.
    pub count_max: u64,
    /// Records are acquired up to the end of the last batch, even beyond `count_max`.
    pub whole_batches: bool,
    /// Some locks are renewed: nothing is acquired.
    pub renews: bool,
    /// Partitions to acquire from, of now on.
    pub parts: Vec<PartKey>,
    /// Those to acquire from no more.
    pub forgotten: Vec<PartKey>,
    /// What became of records acquired earlier.
    pub settles: Vec<PartSettles>,
}

/// See [`Request::Settle`].
#[derive(Clone, Debug)]
pub struct Settle {
    /// Who.
    pub member: Member,
    /// As with [`Fetch`].
    pub epoch: i32,
    /// Some locks are renewed.
    pub renews: bool,
    /// What became of which records.
    pub settles: Vec<PartSettles>,
}

/// What became of records of one partition.
#[derive(Clone, Debug)]
pub struct PartSettles {
    /// Which.
    pub key: PartKey,
    /// In order; `Err`: what the client sent makes no sense, and none of it is done.
    pub settles: Result<Vec<(Range<Offset>, Fate)>, Refused>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// There was none.
    Gap,
    /// Done with.
    Accepted,
    /// To be delivered again.
    Released,
    /// Not to be delivered again.
    Rejected,
    /// Held for longer.
    Renewed,
}

/// See [`Request::Describe`].
#[derive(Clone, Debug)]
pub struct Describe {
    /// The group.
    pub group: Arc<str>,
    /// Topics by name, with partitions; `None`: all it has a place in.
    pub topics: Option<Vec<(Arc<str>, Vec<i32>)>>,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It contradicts itself.
    Malformed,
    /// No name of a group.
    Group,
    /// The user may not.
    Access,
    /// No such session.
    NoSession,
    /// Not the next of its session.
    Epoch,
    /// As many sessions as there may be.
    Sessions,
    /// The partition cannot be used.
    Partition(PartitionRefused),
    /// The member does not hold all of these records.
    NotHeld,
    /// The disk failed, or has no room.
    Storage,
    /// The group has members.
    HasMembers,
    /// No such group.
    NoGroup,
    /// More subscriptions to one stream than there may be.
    Full,
}

/// Why a group was not configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigureRefused {
    /// Whatever it is to be configured to.
    Group(Refused),
    /// Because of one setting.
    Setting {
        /// Its name.
        name: String,
        /// Why.
        cause: ConfigInvalid,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing was done.
    Refused(Refused),
    /// What was acquired.
    Fetched {
        /// Milliseconds for which records are locked.
        lock_ms: u64,
        /// Partitions that have something to say.
        parts: Vec<Fetched>,
    },
    /// What became of settles, by partition.
    Settled {
        /// Milliseconds for which renewed records are locked.
        lock_ms: u64,
        /// In the order asked.
        parts: Vec<(PartKey, Result<(), Refused>)>,
    },
    /// Where groups are.
    Described(Vec<DescribedGroup>),
    /// Of each partition asked for; or nothing was done.
    Altered(Result<Vec<AlteredPart>, Refused>),
    /// Of each group, what was set.
    Configs(Vec<ConfiguredGroup>),
    /// Of each group, whether it was done.
    Configured(Vec<Result<(), ConfigureRefused>>),
    /// Of each topic asked for; or nothing was done.
    Forgotten(Result<Vec<ForgottenTopic>, Refused>),
}

/// Names of configurations, and what each is set to, or no longer.
pub type ConfigChanges = Vec<(String, Option<String>)>;
/// A group, and what was set for it.
pub type ConfiguredGroup = (Arc<str>, Result<Configs, Refused>);
/// A group, and where it is.
pub type DescribedGroup = (Arc<str>, Result<Vec<Described>, Refused>);
/// A partition, its topic, and what became of it.
pub type AlteredPart = (PartKey, TopicId, Result<(), Refused>);
/// A topic by name and number, and what became of it.
pub type ForgottenTopic = (Arc<str>, TopicId, Result<(), Refused>);

/// What one partition had for a member.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which.
    pub key: PartKey,
    /// Whether anything could be acquired.
    pub refused: Option<Refused>,
    /// What became of settles that came along.
    pub settled: Option<Result<(), Refused>>,
    /// Batches with their bases: all of what was acquired is in them, and perhaps more.
    pub batches: Vec<(Offset, Batch)>,
    /// What was acquired, ascending, and how often each was by now.
    pub acquired: Vec<(Range<Offset>, u32)>,
}

impl Fetched {
    /// Of which nothing is said yet.
    pub fn of(key: PartKey) -> Fetched {
        Fetched {
            key,
            refused: None,
            settled: None,
            batches: Vec::new(),
            acquired: Vec::new(),
        }
    }
}

/// Where a group is in one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number.
    pub id: TopicId,
    /// Its partitions.
    pub parts: Vec<DescribedPart>,
}

/// Where a group is in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedPart {
    /// Which.
    pub partition: i32,
    /// First record that is not settled, and how many are not; `None`: it has no place there.
    pub place: Option<(Offset, u64)>,
    /// It cannot be said.
    pub refused: Option<Refused>,
}
