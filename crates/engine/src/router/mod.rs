//! Which queues a publish goes to.
//!
//! Pure, and derived: everything here follows from the catalog's declarations and is
//! rebuilt from them at start. Reading is `&self`, so many publishers route at once.
//!
//! Reading order: [`id`], [`publication`] (what is routed, and what becomes of it),
//! [`route`] (the router and one publish through it), [`exchange`] (the types), [`targets`]
//! (what a key leads to), [`topic`] (the trie), [`headers`] (matching by message headers),
//! [`hash`] (one of many), [`order`].

pub mod id;

pub mod publication;

pub mod route;

mod exchange;

mod targets;

mod topic;

pub mod headers;

mod hash;

mod order;

pub use exchange::{ExchangeType, HashOn, Rules};
pub use id::{ExchangeId, QueueId, SpaceId};
pub use order::compare_arguments;
pub use publication::{Attributes, Part, Property, Publication, RouteScratch, Routed, WindowId};
pub use route::Router;
pub use targets::Target;
