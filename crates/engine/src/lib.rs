//! Every decision of the broker: what goes where, who gets what, who may do what.
//!
//! Pure: no clock, socket, file, task, lock or randomness; they come in as arguments.
//! Machines have one shape: `handle(input, now, &mut effects)` and `deadline()`.
//!
//! Reading order: [`session`] (what any protocol may ask and is told), [`refused`] (the
//! facts of a request declined), [`queue`] (log + ack cursor), [`stream`] (log + readers),
//! [`topic`] (a queue as Kafka sees it),
//! [`router`] (which logs a publish goes to), [`catalog`] (what exists, by name),
//! [`access`] (who may do what), [`group`] (who reads what, and came how far),
//! [`share`] (who competes for it),
//! [`producers`] (who wrote to a log, in which transactions), [`transaction`] (what of several
//! logs and groups is read together).

pub mod session;

pub mod refused;

pub mod queue;

pub mod stream;

pub mod topic;

pub mod router;

pub mod catalog;

pub mod access;

pub mod group;

pub mod share;

pub mod producers;

pub mod transaction;

pub use refused::Refused;
