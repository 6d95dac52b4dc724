//! Which queues a publish goes to.
//!
//! Pure, and derived: everything here follows from the catalog's declarations and is
//! rebuilt from them at start. Reading is `&self`, so many publishers route at once.
//!
//! Reading order: [`id`], [`route`] (the router and one publish through it), [`targets`]
//! (what a key leads to), [`topic`] (the trie), [`headers`] (matching by message headers),
//! [`order`].

pub mod id;

pub mod route;

mod exchange;

mod targets;

mod topic;

pub mod headers;

mod order;

pub use exchange::ExchangeType;
pub use id::{ExchangeId, QueueId, SpaceId};
pub use order::compare_arguments;
pub use route::{RouteScratch, Routed, Router};
pub use targets::Target;
