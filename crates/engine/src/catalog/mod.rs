//! What exists, by name: exchanges, queues, bindings. Durable and transient.
//!
//! One machine, [`Catalog`]: [`Catalog::handle`] decides and says in effects what must be
//! recorded and done; every state change is a [`Change`], also at replay, so that what a
//! restart finds is what the clients were told.
//!
//! Reading order: [`call`] (what goes in and comes out), [`definition`] (queue, exchange,
//! binding), [`space`], [`change`] (what is recorded), [`state`] (and what can be asked of it),
//! [`listing`] (a few at a time),
//! [`apply`] (changes applied to it), [`decide`] (the requests, one file each),
//! [`arguments`] (the table of `x-…`), [`policy`] (the same for many, by a pattern),
//! [`effective`] (what both come to), [`equivalence`] (redeclaring), [`topics`] (queues as
//! topics), [`names`], [`snapshot`].

pub mod call;

pub mod definition;

pub mod space;

pub mod change;

pub mod state;

mod listing;

mod apply;

mod edge;

mod decide;

mod subscriptions;

pub mod arguments;

pub mod policy;

mod effective;

mod equivalence;

pub mod topics;

mod topic_id;

mod names;

mod snapshot;

pub use call::{Answer, Effect, Input};
pub use change::Change;
pub use definition::{
    BindingDefinition, BindingEnd, Configs, ExchangeDefinition, LogDurability, Owner, PartOf,
    QueueDefinition, Source, TopicDefinition,
};
pub use names::{NAME_BYTES_MAX, clean as clean_name, generated_queue};
pub use policy::{ApplyTo, Policy};
pub use snapshot::SnapshotMalformed;
pub use space::{SpaceDefinition, SpaceLimits};
pub use state::{Catalog, Settings};
pub use topic_id::TopicId;
pub use topics::{Topic, TopicKind};

pub use crate::router::{ExchangeType, QueueId, SpaceId};

#[cfg(test)]
mod histories;

#[cfg(test)]
mod tests;
