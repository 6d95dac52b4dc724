//! Reading a log without consuming it: streams, and queues that keep what was settled.
//!
//! A queue lends each record to one consumer; a stream shows every record to every
//! reader, each with a place of its own. Both are the same log underneath, so all of this
//! serves a queue with a retention as well.
//!
//! Reading order: [`age`] (`7D`, in milliseconds), [`offset`] (where a reader asked to
//! begin), [`text`] (the same as people write it), [`retention`] (how long records stay),
//! [`filter`] (which of them a reader wants), then [`readers`] (who gets which, and when).

pub mod age;

pub mod offset;

pub mod retention;

pub mod text;

pub mod filter;

pub mod readers;

pub use filter::Filter;
pub use offset::{Place, StreamOffset};
pub use readers::{Effect, Input, ReaderState, Readers};
pub use retention::Retention;

#[cfg(test)]
mod tests;
