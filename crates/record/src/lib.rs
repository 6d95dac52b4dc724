//! What a record is, in memory, on disk and between protocols.
//!
//! Pure: no I/O, no clock, no task. Everything above stores, decides and delivers
//! *batches* as this crate lays them out; nobody else knows the bytes.
//!
//! Reading order: [`id`] (the newtypes that must not mix), [`header`] (61 bytes),
//! [`batch`] (one encoded batch), [`native`] (records laid out for queue protocols),
//! [`compression`] and [`kafka`] (records as Kafka clients send them), [`value`] and
//! [`table`] (header values and AMQP's encoding of them), [`blocks`] (what a protocol says
//! beside the body), [`message`] (one view of them all), [`death`] (what is added to the
//! block of a dead letter).

pub mod id;

pub mod header;

pub mod batch;

pub mod native;

pub mod compression;

pub mod kafka;

pub mod value;

pub mod table;

pub mod blocks;

pub mod message;

pub mod death;

pub use batch::{Batch, Malformed};
pub use id::{LogId, Lsn, Offset};
pub use message::{Message, Messages};
pub use value::{Arguments, Value};
