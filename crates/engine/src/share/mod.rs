//! Share groups: members of a group that compete for the records of topics.
//!
//! A group's place in a stream is a subscription of the catalog
//! ([`Input::Share`](crate::catalog::Input::Share)), an ack cursor; on a work queue it competes on the
//! queue's own cursor. So there is little to decide here: which request belongs to which
//! session ([`session`]) and what a group's configuration means ([`config`]). What may be
//! asked is in [`call`].

pub mod call;

pub mod session;

pub mod config;

pub use call::{Answer, Refused, Request};
pub use config::ShareConfig;
pub use session::Session;
