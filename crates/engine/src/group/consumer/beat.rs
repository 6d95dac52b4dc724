//! What a member says in a beat, and what it is told.

use std::sync::Arc;

use super::assignors::Assignor;
use super::topics::{Held, Partition};
use crate::catalog::TopicId;
use crate::group::GroupError;

/// What a member says. `None` is what it said before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Its id; empty only if it joins and cannot make one up.
    pub member: String,
    /// It makes up its own id.
    pub names_itself: bool,
    /// The epoch it is in; [`JOIN`], [`LEAVE`] or [`LEAVE_FOR_A_WHILE`].
    pub epoch: i32,
    /// Its name across restarts.
    pub instance: Option<String>,
    /// Where it is.
    pub rack: Option<String>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: Option<u32>,
    /// Topics it wants, by name.
    pub topics: Option<Vec<String>>,
    /// Topics it wants, by a pattern that must match the whole name; empty: none.
    pub pattern: Option<String>,
    /// How it wants the group to share out.
    pub assignor: Option<String>,
    /// What it holds.
    pub held: Option<Held>,
}

/// In [`Beat::epoch`]: it joins, and holds nothing.
pub const JOIN: i32 = 0;

/// In [`Beat::epoch`]: it leaves.
pub const LEAVE: i32 = -1;

/// In [`Beat::epoch`]: it leaves and will be back under another id, before its session ends;
/// its partitions wait for it.
pub const LEAVE_FOR_A_WHILE: i32 = -2;

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beaten {
    /// Its id.
    pub member: Arc<str>,
    /// The epoch it is in from now on.
    pub epoch: i32,
    /// When to beat again; 0 for one that left.
    pub heartbeat_interval_ms: u32,
    /// What it may hold from now on, by topic; `None`: as before.
    pub assignment: Option<Vec<(TopicId, Vec<u32>)>>,
}

/// Why a beat is refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request contradicts itself.
    Invalid(Invalid),
    /// As any request to a group may be.
    Group(GroupError),
    /// No such group, or it is of another kind.
    GroupNotFound,
    /// Nobody of that id is a member.
    UnknownMember {
        /// As given.
        member: String,
    },
    /// Nobody of that name across restarts is a member.
    UnknownInstance {
        /// As given.
        instance: String,
    },
    /// It must give up all and join anew: the epoch is not its own.
    FencedEpoch {
        /// As given.
        received: i32,
        /// Of the member.
        known: i32,
    },
    /// Its name across restarts is in use.
    UnreleasedInstance {
        /// The name.
        instance: String,
        /// Who has it.
        holder: Arc<str>,
    },
    /// Another member has taken over its name across restarts.
    FencedInstance {
        /// The name.
        instance: String,
        /// Who has it.
        holder: Arc<str>,
    },
    /// There is no such assignor.
    UnsupportedAssignor {
        /// As given.
        name: String,
    },
    /// The group has as many members as it may have.
    Full {
        /// So many.
        members_max: usize,
    },
    /// The pattern is none.
    InvalidPattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What is wrong in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The group's name is empty.
    GroupEmpty,
    /// The member's id is empty.
    MemberEmpty,
    /// The name across restarts is empty.
    InstanceEmpty,
    /// It leaves for a while without a name across restarts.
    InstanceMissing,
    /// The rack is empty.
    RackEmpty,
    /// It joins without a rebalance timeout.
    RebalanceTimeoutMissing,
    /// It joins and holds something, or does not say that it holds nothing.
    HoldsWhileJoining,
    /// It joins and does not say what it wants.
    TopicsMissing,
    /// Below any that has a meaning.
    Epoch,
}

/// Why an offset is not taken from, or told to, who says to be a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotThatMember {
    /// Nobody of that id is a member.
    Unknown,
    /// It is in another epoch: it asks again when it has heard of it.
    StaleEpoch,
}

impl Beat {
    /// Checks what can be checked without knowing the group, as a consumer's.
    pub fn check_consumer(&self) -> Result<(), Refused> {
        self.check_names()?;
        match self.epoch {
            JOIN if self.rebalance_timeout_ms.is_none() => {
                Err(Refused::Invalid(Invalid::RebalanceTimeoutMissing))
            }
            JOIN if !self.held.as_ref().is_some_and(Held::is_empty) => {
                Err(Refused::Invalid(Invalid::HoldsWhileJoining))
            }
            JOIN if self.topics.is_none() && self.pattern.is_none() => {
                Err(Refused::Invalid(Invalid::TopicsMissing))
            }
            LEAVE_FOR_A_WHILE if self.instance.is_none() => {
                Err(Refused::Invalid(Invalid::InstanceMissing))
            }
            epoch if epoch < LEAVE_FOR_A_WHILE => Err(Refused::Invalid(Invalid::Epoch)),
            _ => Ok(()),
        }?;
        match &self.assignor {
            Some(name) if Assignor::named(name).is_none() => {
                Err(Refused::UnsupportedAssignor { name: name.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Checks what can be checked without knowing the group, as that of a share group's
    /// member.
    pub fn check_share(&self) -> Result<(), Refused> {
        self.check_names()?;
        match self.epoch {
            JOIN if self.topics.as_ref().is_none_or(Vec::is_empty) => {
                Err(Refused::Invalid(Invalid::TopicsMissing))
            }
            epoch if epoch < LEAVE => Err(Refused::Invalid(Invalid::Epoch)),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), Refused> {
        let is_blank = |name: &Option<String>| name.as_ref().is_some_and(|n| n.trim().is_empty());
        let may_be_given_an_id = !self.names_itself && self.epoch == JOIN;
        let wrong = match () {
            () if self.member.trim().is_empty() && !may_be_given_an_id => Invalid::MemberEmpty,
            () if is_blank(&self.instance) => Invalid::InstanceEmpty,
            () if is_blank(&self.rack) => Invalid::RackEmpty,
            () => return Ok(()),
        };
        Err(Refused::Invalid(wrong))
    }

    /// Whether all that it holds is among these. One that does not say may hold anything.
    pub(super) fn holds_only(&self, assigned: &Held) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.is_subset(assigned))
    }

    /// Whether it may still hold one of these.
    pub(super) fn may_hold(&self, partitions: &Held) -> bool {
        let holds = |held: &Held| {
            held.iter()
                .any(|held: &Partition| partitions.contains(held))
        };
        self.held.as_ref().is_none_or(holds)
    }

    /// It says all there is to say, as one does that has lost touch.
    pub(super) fn is_full(&self) -> bool {
        let says_what_it_wants = self.topics.is_some() || self.pattern.is_some();
        self.epoch == JOIN
            || (self.rebalance_timeout_ms.is_some() && says_what_it_wants && self.held.is_some())
    }
}

/// The id for a member that is given one: `token` is random, and written as Kafka writes its
/// UUIDs.
pub fn member_id(token: u128) -> Arc<str> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 22 digits of 6 bits; the last has 2 bits, and 4 zeros.
    let digit = |place: u32| {
        let bits = match place {
            21 => (token << 4) & 63,
            _ => (token >> (122 - 6 * place)) & 63,
        };
        char::from(DIGITS[usize::try_from(bits).expect("6 bits")])
    };
    (0..22).map(digit).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_base64_without_padding() {
        assert_eq!(&*member_id(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(&*member_id(u128::MAX), "_____________________w");
        // base64.urlsafe_b64encode(bytes(range(16)))
        let token = u128::from_be_bytes(std::array::from_fn(|index| index as u8));
        assert_eq!(&*member_id(token), "AAECAwQFBgcICQoLDA0ODw");
    }
}
