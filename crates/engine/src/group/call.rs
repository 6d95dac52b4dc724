//! What a group is asked, and what it answers. Neutral: it carries all that any version of
//! Kafka's requests says, in no version's shape.

use std::sync::Arc;

use super::GroupKind;
use super::classic::{Described, Join, Joined, Leave, Left, Sync, Synced};
use super::consumer::{Beat, Beaten, Description, Refused, Topics};
use super::offsets::{Commit, DeleteOffsets, FetchOffsets, FetchedTopic, TopicResults};

/// Who waits for an answer: the broker's number of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A call about groups; names are in the session's space.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Of one group.
    To {
        /// Its name.
        group: String,
        /// Who asks.
        client: Client,
        /// What.
        request: Request,
    },
    /// The same of several, none of which waits. Answer: [`Answer::Each`].
    Each {
        /// Who asks.
        client: Client,
        /// Name and request, in order.
        requests: Vec<(String, Request)>,
    },
    /// Which groups there are. Answer: [`Answer::Listed`].
    List,
}

/// The client as it calls itself, and where it comes from: told to whoever describes the
/// group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its own name; the start of the member ids it is given.
    pub id: String,
    /// Its address, as text; the broker fills it in.
    pub host: String,
}

/// What one group is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Answer: [`Answer::Joined`], once all members have joined.
    Join(Join),
    /// Answer: [`Answer::Synced`], once the leader has shared out.
    Sync(Sync),
    /// A consumer that the broker shares out for is there. Answer: [`Answer::Beaten`].
    Beat(Box<Beat>),
    /// A member of a share group is there. Answer: [`Answer::Beaten`].
    ShareBeat(Box<Beat>),
    /// Members, and what the broker shared out. Answer: [`Answer::Members`].
    DescribeConsumers,
    /// Members of a share group, and what they read. Answer: [`Answer::Members`].
    DescribeShare,
    /// A member of the classic kind is alive. Answer: [`Answer::Alive`].
    Heartbeat {
        /// Who.
        member: String,
        /// Its name across restarts.
        instance: Option<String>,
        /// Of which generation it believes to be.
        generation: i32,
    },
    /// Answer: [`Answer::Left`].
    Leave(Leave),
    /// Answer: [`Answer::Committed`].
    Commit(Commit),
    /// Answer: [`Answer::Fetched`].
    FetchOffsets(FetchOffsets),
    /// Answer: [`Answer::DeletedOffsets`].
    DeleteOffsets(DeleteOffsets),
    /// Answer: [`Answer::Described`].
    Describe,
    /// The group and its offsets, if it has no members. Answer: [`Answer::Deleted`].
    Delete,
}

impl Request {
    /// Whether it has to be asked with the topics of the space.
    pub fn needs_topics(&self) -> bool {
        matches!(
            self,
            Request::Beat(_)
                | Request::ShareBeat(_)
                | Request::DescribeConsumers
                | Request::DescribeShare
        )
    }

    /// The refusal, if it is a member's: a group without a name has no members.
    pub(super) fn refused(&self, error: GroupError) -> Option<Answer> {
        match self {
            Request::Join(_) => Some(Answer::Joined(Err(error))),
            Request::Sync(_) => Some(Answer::Synced(Err(error))),
            Request::Heartbeat { .. } => Some(Answer::Alive(Err(error))),
            Request::Leave(_) => Some(Answer::Left(Err(error))),
            // These say so in words of their own.
            Request::Beat(_)
            | Request::ShareBeat(_)
            | Request::DescribeConsumers
            | Request::DescribeShare
            | Request::Commit(_)
            | Request::FetchOffsets(_)
            | Request::DeleteOffsets(_)
            | Request::Describe
            | Request::Delete => None,
        }
    }
}

/// The answer to a [`Request`] or a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Request::Join`].
    Joined(Result<Joined, GroupError>),
    /// To [`Request::Sync`].
    Synced(Result<Synced, GroupError>),
    /// To [`Request::Heartbeat`].
    Alive(Result<(), GroupError>),
    /// To [`Request::Beat`] and [`Request::ShareBeat`].
    Beaten(Result<Beaten, Refused>),
    /// To [`Request::DescribeConsumers`] and [`Request::DescribeShare`].
    Members(Result<Description, GroupError>),
    /// To [`Request::Leave`]: what became of each.
    Left(Result<Vec<Left>, GroupError>),
    /// To [`Request::Commit`]: in the order of the request.
    Committed(TopicResults),
    /// To [`Request::FetchOffsets`].
    Fetched(Result<Vec<FetchedTopic>, GroupError>),
    /// To [`Request::DeleteOffsets`]: in the order of the request.
    DeletedOffsets(Result<TopicResults, GroupError>),
    /// To [`Request::Describe`].
    Described(Result<Described, GroupError>),
    /// To [`Request::Delete`].
    Deleted(Result<(), GroupError>),
    /// To [`Call::Each`]: in its order.
    Each(Vec<(String, Answer)>),
    /// To [`Call::List`]: in the order of names.
    Listed(Vec<Listed>),
}

impl Answer {
    /// The same answer, if something went wrong after it was decided.
    pub fn refused(self, error: GroupError) -> Answer {
        match self {
            Answer::Joined(_) => Answer::Joined(Err(error)),
            Answer::Synced(_) => Answer::Synced(Err(error)),
            Answer::Alive(_) => Answer::Alive(Err(error)),
            Answer::Beaten(_) => Answer::Beaten(Err(Refused::Group(error))),
            Answer::Members(_) => Answer::Members(Err(error)),
            Answer::Left(_) => Answer::Left(Err(error)),
            Answer::Committed(mut results) => {
                for (_, partitions) in &mut results {
                    for (_, result) in partitions {
                        *result = result.clone().and(Err(error.clone()));
                    }
                }
                Answer::Committed(results)
            }
            Answer::Fetched(_) => Answer::Fetched(Err(error)),
            Answer::DeletedOffsets(_) => Answer::DeletedOffsets(Err(error)),
            Answer::Described(_) => Answer::Described(Err(error)),
            Answer::Deleted(_) => Answer::Deleted(Err(error)),
            Answer::Each(answers) => {
                let refused = answers.into_iter();
                let refused = refused.map(|(group, answer)| (group, answer.refused(error.clone())));
                Answer::Each(refused.collect())
            }
            Answer::Listed(groups) => Answer::Listed(groups),
        }
    }
}

/// One group of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub group: Arc<str>,
    /// What members say they share out (`consumer`, `connect`); empty where nobody said.
    pub protocol_type: Arc<str>,
    /// As Kafka calls it: `Empty`, `Stable`, ….
    pub state: &'static str,
    /// Its kind.
    pub kind: GroupKind,
}

/// Why a group refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// Its name is empty, where it must not be.
    InvalidGroup,
    /// There is no such group, or it is of another kind.
    NotFound,
    /// It has members.
    NonEmpty,
    /// Nobody of that id is a member: join anew.
    UnknownMember,
    /// Join again with the id that is given here.
    MemberIdRequired {
        /// The new member.
        member: Arc<str>,
    },
    /// Another process has taken the name across restarts over.
    FencedInstance,
    /// The member's generation is not the group's.
    IllegalGeneration,
    /// Members are joining: do so too.
    RebalanceInProgress,
    /// Its members have no way of sharing out in common with this one, or share out
    /// something else.
    InconsistentProtocol,
    /// Beyond the bounds of [`super::Settings`].
    InvalidSessionTimeout,
    /// It has as many members as it may have.
    Full,
    /// A member of another kind is expected to say its epoch, and said an older one.
    StaleMemberEpoch,
    /// A member of another kind said an epoch that it is not in.
    FencedMemberEpoch,
    /// What is kept beside the offset is longer than it may be.
    MetadataTooLarge,
    /// No such topic or partition.
    UnknownTopic,
    /// No such topic, asked for by id.
    UnknownTopicId,
    /// A transaction that has not ended has committed an offset of this partition.
    UnstableOffset,
    /// Members are subscribed to the topic.
    Subscribed,
    /// The client may not use the group.
    Denied,
    /// The client may not read the topic.
    TopicDenied,
    /// The broker cannot record it; its log says why.
    Storage,
    /// The request contradicts itself.
    Malformed,
}

/// What happens to a group.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A request.
    Request {
        /// Whom to answer.
        ticket: Ticket,
        /// Who asks.
        client: &'a Client,
        /// Random: the member id, if one must be made.
        token: u128,
        /// What.
        request: Box<Request>,
        /// Those of the group's space, for requests that say so of themselves
        /// ([`Request::needs_topics`]).
        topics: &'a dyn Topics,
    },
    /// Whoever waited for this answer is gone.
    Abandon(Ticket),
    /// These partitions, by the topic's id, are no more.
    TopicDeleted(crate::catalog::TopicId),
    /// Topics of the space have come, gone or grown. Also once after a replay.
    TopicsChanged(&'a dyn Topics),
    /// A deadline may have passed.
    Timeout,
}

/// What a group wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer, once the records before this are durable if the one who waits is the
    /// caller.
    Answer {
        /// Who waits.
        ticket: Ticket,
        /// What for.
        answer: Answer,
    },
    /// Record a note (see [`super::note`]).
    Record(Vec<u8>),
}
