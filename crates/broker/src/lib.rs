//! The shell: joins engine and storage, and is where locks, tasks and time begin.
//!
//! It decides nothing that the engine could decide. Reading order: [`broker`] (what a
//! process has one of), [`cell`] (one queue behind its lock), [`outbox`] (what a session is
//! to be handed), [`handle`] (one session's calls), [`publish`] and [`change`] (the calls
//! that touch many queues), [`recover`] and [`checkpoint`] (start and what a start needs).

pub mod broker;

pub mod cell;

pub mod outbox;

pub mod handle;

pub mod publish;

pub mod change;

pub mod recover;

pub mod checkpoint;

pub use broker::{Alarm, Broker, Durable, Limits, Stopping};
pub use handle::{Executed, HaveRead, Prepared, ReadJob, SessionHandle};
pub use recover::Recovered;
