//! The shell: joins engine and storage, and is where locks, tasks and time begin.
//!
//! It decides nothing that the engine could decide. Reading order: [`broker`] (what a
//! process has one of), [`cell`] (one queue behind its lock), [`outbox`] (what a session is
//! to be handed), [`handle`] (one session's calls), [`registry`] (who is connected), [`statistics`] (what is counted), [`resources`] (what it runs on), [`publish`], `group` and [`change`] (the
//! calls that touch many queues), `facts` (what a queue is told of records), `clerk` (what is
//! due without anybody asking), `compaction` (logs that keep the last record of each key),
//! `reading` (readers and retention), `subscription` (queues that consume a stream's
//! records), `share` (members of share groups), `dead` (dead records on
//! their way), [`recover`] and [`checkpoint`] (start and what a start needs).

pub mod broker;

pub mod cell;

pub mod outbox;

pub mod handle;

pub mod registry;

pub mod statistics;

pub mod resources;

mod access;

mod external;

pub mod tokens;

pub mod operator;

pub mod publish;

pub mod bounds;

mod rate;

mod quotas;

mod partitions;

pub mod produce;

pub mod fetch;

mod offsets;

mod laid_out;

mod producers;

mod transactions;

pub mod topics;

mod facts;

mod route;

mod subscription;

mod share;

mod windows;

mod group;

mod groups;

pub mod change;

pub mod traces;

mod clerk;

mod compaction;

mod reading;

mod dead;

pub mod recover;

pub mod checkpoint;

pub use bongsu_storage::backup::Pinned;
pub use broker::{Alarm, Broker, Durable, Limits, Stopping};
pub use handle::{Executed, HaveRead, Job, Prepared, ReadJob, SessionHandle, aside};
pub use recover::Recovered;
