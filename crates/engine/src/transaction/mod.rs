//! Transactions: records in several partitions, and offsets of groups, that are read all or
//! not at all.
//!
//! A producer that wants them has a transactional id, by which it is found again when it
//! comes back; behind each there is one [`Transaction`]. It is a machine:
//! [`Transaction::handle`] takes an [`Input`] and says in [`Effect`]s what is to be done;
//! [`Transaction::deadline_ms`] says when to come back with [`Input::Timeout`].
//!
//! One broker ends a transaction as one group of the WAL: a mark in each partition, the
//! groups' offsets, and what the machine is now. So there is no state in between: Kafka's
//! "prepare" states last no time here, and nobody is told to wait for another's end
//! (Kafka's `CONCURRENT_TRANSACTIONS`).
//!
//! What must be durable before what: the record of a partition's joining goes to the WAL
//! before the first batch that the transaction writes there, or no one would end it after
//! a crash. An answer waits for what was recorded before it.
//!
//! Reading order: [`call`] (what is asked and answered), [`machine`](Transaction),
//! [`state`](Change) (what is recorded), [`ids`](ProducerIds).

pub mod call;

mod machine;

mod state;

mod ids;

mod filter;

pub use call::{Answer, Request, TransactionRefused};
pub use filter::Listing;
pub use ids::{IDS_RESERVED, ProducerIds};
pub use machine::{Effect, Ending, Input, Open, State, Transaction};
pub use state::{Change, ChangeMalformed, TRANSACTIONAL_ID_BYTES_MAX, check_id, encode_is};

/// An incarnation of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// Never given twice by a broker, also not after a crash.
    pub id: i64,
    /// Counts its incarnations; the lower is fenced by the higher.
    pub epoch: i16,
}

/// Bounds of transactions; the defaults are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest that a producer may ask its transactions to stay open.
    pub timeout_ms_max: i32,
    /// A transactional id is forgotten when it was not used for so long.
    pub id_expiration_ms: u64,
    /// A producer is forgotten by a partition that it did not write to for so long.
    pub producer_expiration_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            timeout_ms_max: 15 * 60 * 1000,
            id_expiration_ms: 7 * 24 * 60 * 60 * 1000,
            producer_expiration_ms: crate::producers::EXPIRATION_MS,
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod histories;
