//! Groups: consumers that share out the partitions of topics, and remember by name where
//! they came to.
//!
//! One [`Group`] is one name in one space. It is of one [`GroupKind`] at a time, or vacant;
//! its [`offsets`] are kept alike for all kinds. It is a machine: [`Group::handle`] takes an
//! [`Input`] and says in [`Effect`]s what is recorded and who is answered;
//! [`Group::deadline_ms`] says when to come back with [`Input::Timeout`].
//!
//! Always: a [`Ticket`] is answered exactly once, unless it was abandoned. What an answer
//! says is recorded by effects before it; the caller's own answer waits until they are
//! durable. Membership of a classic group is not recorded: after a restart it is empty, with
//! its offsets, and members are told that nobody knows them. That of the other kinds is.
//!
//! Reading order: [`call`] (what goes in and comes out), [`note`] (what is recorded),
//! [`offsets`], [`classic`] (members that share out among themselves), [`consumer`] (members
//! that the broker shares out for).

pub mod call;

pub mod note;

pub mod offsets;

pub mod classic;

pub mod consumer;

mod machine;

mod commits;

mod beats;

pub use call::{Answer, Call, Client, Effect, GroupError, Input, Listed, Request, Ticket};
pub use machine::{Group, GroupKind, Settings};

#[cfg(test)]
mod tests;
