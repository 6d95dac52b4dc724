//! A queue as Kafka sees it: what a topic may be called and what can be configured of it.
//!
//! Which queues are topics is the catalog's ([`topics`](crate::catalog::topics)).
//!
//! Reading order: [`name`], [`config`], [`call`] (changes of topics), [`request`] (what a
//! session may ask).

pub mod name;

pub mod config;

pub mod call;

pub mod request;

pub use request::{Answer, Request};
