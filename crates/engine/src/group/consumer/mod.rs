//! Groups whose partitions the broker shares out (Kafka's KIP-848), and the membership of
//! share groups (KIP-932).
//!
//! A member does nothing but beat: it says what it wants and what it still holds, and is told
//! what it may hold. The group counts an *epoch*, raised by whatever changes who could hold
//! what: a member, a subscription, a topic. For each epoch an assignor makes one *target*;
//! each member walks towards it on its own, first giving up what is no longer its own, then
//! taking what others have given up, and has then reached the epoch.
//!
//! Always, in a [`ConsumerGroup`]: nobody holds a partition that another member holds, or has
//! been told to give up and not given up yet; who holds what stands in one map.
//! [`ConsumerGroup::check`] asserts it; tests call it after every step.
//!
//! What must be durable before what: a [`Note`] before the answer to the beat that caused it.
//! A crash would else bring back a member that had given its partitions up, beside the one
//! that has them now.
//!
//! Reading order: [`topics`] (what there is to share out), [`assignors`] (who shall have
//! what), [`beat`] (what a member says and is told), [`member`] (one member's walk),
//! [`subscription`] (names and patterns), `roster` (what all kinds keep), [`group`] (the
//! machine), [`note`] (what is
//! recorded), [`share`] (groups whose members share partitions), [`settings`].

pub mod topics;

pub mod assignors;

pub mod beat;

pub mod member;

pub mod subscription;

mod roster;

pub mod group;

pub mod note;

pub mod share;

pub mod settings;

pub use beat::{Beat, Beaten, Invalid, NotThatMember, Refused};
pub use group::{Asker, ConsumerGroup, Description, GroupState, MemberDescription};
pub use member::{Member, MemberState};
pub use note::Note;
pub use settings::Settings;
pub use share::ShareGroup;
pub use topics::{Held, NoTopics, Partition, TopicShape, Topics};

#[cfg(test)]
mod histories;

#[cfg(test)]
mod tests;
