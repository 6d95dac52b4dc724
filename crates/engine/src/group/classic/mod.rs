//! The classic kind of group: members say what they can do, one of them, the leader, shares
//! out, and the group only keeps everybody in step.
//!
//! A generation begins when all members have joined, or the time for it is over; each is told
//! its number, and the leader who the members are. The leader sends what each is to do, and
//! each that asks is told its own: the group is stable. Whoever comes, goes or changes its
//! mind makes members join again.
//!
//! Always: a member waits for at most one answer; members of a stable generation have joined
//! it. `check()` asserts it; tests call it after every step.
//!
//! Reading order: [`call`] (what goes in and comes out), [`state`] (members, and what can be
//! asked), [`join`], [`rebalance`] (from one generation to the next), [`sync`] (shares,
//! heartbeats, leaving), [`assigned`] (what a consumer's share says).

pub mod call;

mod state;

mod join;

mod rebalance;

mod sync;

pub mod assigned;

pub use call::{
    Described, DescribedMember, Join, Joined, JoinedMember, Leave, Leaving, Left, Protocol, Sync,
    Synced,
};
pub(super) use state::Classic;
