//! What a group of the classic kind is asked, and what it answers.

use std::sync::Arc;

use crate::group::{GroupError, GroupKind};

/// A member wants to be part of the next generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Who; empty: a new member.
    pub member: String,
    /// Its name across restarts: it keeps its share while it is away for less than its
    /// session timeout.
    pub instance: Option<String>,
    /// What is shared out: `consumer`, `connect`.
    pub protocol_type: String,
    /// Ways of sharing out that it knows, the one that it likes best first.
    pub protocols: Vec<Protocol>,
    /// Without a heartbeat for so long, it is gone.
    pub session_timeout_ms: i32,
    /// How long others wait for it to join again.
    pub rebalance_timeout_ms: i32,
    /// A new member must come again with the id that it is given: so a lost answer leaves
    /// no member behind that nobody is.
    pub id_required: bool,
    /// It knows that a leader may be told not to share out.
    pub may_skip: bool,
}

/// One way of sharing out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// `range`, `cooperative-sticky`.
    pub name: Arc<str>,
    /// What the member tells the leader; nobody else reads it.
    pub metadata: Arc<[u8]>,
    /// The topics it is subscribed to, where the metadata is known to say.
    pub topics: Option<Arc<[String]>>,
}

/// A generation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its number.
    pub generation: i32,
    /// What is shared out.
    pub protocol_type: Arc<str>,
    /// How.
    pub protocol: Arc<str>,
    /// Who shares out.
    pub leader: Arc<str>,
    /// The leader need not: everybody has what it needs.
    pub skip_assignment: bool,
    /// The id of the member that asked.
    pub member: Arc<str>,
    /// Only for the leader: everybody.
    pub members: Vec<JoinedMember>,
}

/// One member, as the leader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member: Arc<str>,
    /// Its name across restarts.
    pub instance: Option<Arc<str>>,
    /// What it said for the way that was chosen.
    pub metadata: Arc<[u8]>,
}

/// A member asks for its share; the leader brings everybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// Who.
    pub member: String,
    /// Its name across restarts.
    pub instance: Option<String>,
    /// The generation that it joined.
    pub generation: i32,
    /// What it believes is shared out, if it says.
    pub protocol_type: Option<String>,
    /// And how.
    pub protocol: Option<String>,
    /// From the leader: member and share.
    pub assignments: Vec<(String, Arc<[u8]>)>,
}

/// A member's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// What is shared out.
    pub protocol_type: Arc<str>,
    /// How.
    pub protocol: Arc<str>,
    /// Its share, as the leader wrote it; empty if the leader forgot it.
    pub assignment: Arc<[u8]>,
}

/// Members leave, or are made to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// Who; an id that is empty: by name across restarts.
    pub members: Vec<Leaving>,
}

/// One member that leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Its id.
    pub member: String,
    /// Its name across restarts.
    pub instance: Option<String>,
}

/// What became of one that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Who was asked for.
    pub who: Leaving,
    /// Whether it left.
    pub result: Result<(), GroupError>,
}

/// A group as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its kind; of a group that nobody knows, `None`.
    pub kind: Option<GroupKind>,
    /// As Kafka calls it.
    pub state: &'static str,
    /// What is shared out; empty where nobody said.
    pub protocol_type: Arc<str>,
    /// How, while that is settled; else empty.
    pub protocol: Arc<str>,
    /// Its members, by id.
    pub members: Vec<DescribedMember>,
}

/// One member as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member: Arc<str>,
    /// Its name across restarts.
    pub instance: Option<Arc<str>>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where it comes from.
    pub client_host: Arc<str>,
    /// What it said for the way that was chosen.
    pub metadata: Arc<[u8]>,
    /// Its share.
    pub assignment: Arc<[u8]>,
}
