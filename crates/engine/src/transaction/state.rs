//! What is recorded of transactions: in notes of the WAL, and all of it in a checkpoint.
//!
//! A change says what something is from then on, so the last one holds, and it does no
//! harm to hear one again.
//!
//! ```text
//!   what          u8    1 a transactional id, 2 its end, 3 numbers of producers
//! 1, 2:
//!   space         u32
//!   name          u16   bytes of the transactional id, then the id
//! 1:
//!   producer      i64
//!   epoch         i16
//!   previous      i64   number before the last change, -1 = none
//!   last epoch    i16   -1 = none
//!   timeout       u32   milliseconds
//!   used          u64   Unix milliseconds
//!   flags         u8    bit 0: the last end changed the epoch
//!   state         u8    0 empty, 1 open, 2 committed, 3 aborted
//!   open only:
//!     since       u64   Unix milliseconds
//!     partitions  u32   then each u64
//!     groups      u32   then each: u16 bytes, the name
//! 3:
//!   end           i64   all below may have been given
//! ```
//! All big-endian. Any number of changes may follow each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::machine::{Open, State, Transaction};
use super::{Producer, TransactionRefused};
use crate::router::{QueueId, SpaceId};

/// Something that holds from now on.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A transactional id is this.
    Is {
        /// Where.
        space: SpaceId,
        /// The id.
        transactional_id: Arc<str>,
        /// What it is.
        transaction: Transaction,
    },
    /// A transactional id is forgotten.
    Gone {
        /// Where.
        space: SpaceId,
        /// The id.
        transactional_id: Arc<str>,
    },
    /// Numbers of producers below this may have been given.
    Ids {
        /// Not included.
        end: i64,
    },
}

/// Why bytes are no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeMalformed {
    /// They end too early.
    Short,
    /// A sort of change that there is not.
    What(u8),
    /// A state that there is not.
    State(u8),
    /// A name that is not text.
    Name,
}

/// Longest transactional id, in bytes.
pub const TRANSACTIONAL_ID_BYTES_MAX: usize = 32_767;

impl Change {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Change::Is {
                space,
                transactional_id,
                transaction,
            } => encode_is(*space, transactional_id, transaction, out),
            Change::Gone {
                space,
                transactional_id,
            } => {
                out.push(GONE);
                out.extend_from_slice(&space.0.to_be_bytes());
                put_name(transactional_id, out);
            }
            Change::Ids { end } => {
                out.push(IDS);
                out.extend_from_slice(&end.to_be_bytes());
            }
        }
    }

    /// Takes the change at the front of `bytes`.
    ///
    /// # Errors
    /// [`ChangeMalformed`].
    pub fn decode(bytes: &mut &[u8]) -> Result<Change, ChangeMalformed> {
        let what = u8::from_be_bytes(array(bytes)?);
        if what == IDS {
            let end = i64::from_be_bytes(array(bytes)?);
            return Ok(Change::Ids { end });
        }
        if what != IS && what != GONE {
            return Err(ChangeMalformed::What(what));
        }
        let space = SpaceId(u32::from_be_bytes(array(bytes)?));
        let transactional_id = name(bytes)?;
        if what == GONE {
            return Ok(Change::Gone {
                space,
                transactional_id,
            });
        }
        let producer = Producer {
            id: i64::from_be_bytes(array(bytes)?),
            epoch: i16::from_be_bytes(array(bytes)?),
        };
        let previous_id = i64::from_be_bytes(array(bytes)?);
        let last_epoch = i16::from_be_bytes(array(bytes)?);
        let timeout_ms = u32::from_be_bytes(array(bytes)?);
        let used_ms = u64::from_be_bytes(array(bytes)?);
        let flags = u8::from_be_bytes(array(bytes)?);
        let state = match u8::from_be_bytes(array(bytes)?) {
            EMPTY => State::Empty,
            ONGOING => State::Ongoing(opened(bytes)?),
            COMMITTED => State::Committed,
            ABORTED => State::Aborted,
            other => return Err(ChangeMalformed::State(other)),
        };
        Ok(Change::Is {
            space,
            transactional_id,
            transaction: Transaction {
                producer,
                previous_id,
                last_epoch,
                timeout_ms,
                state,
                bumped: flags & BUMPED != 0,
                used_ms,
            },
        })
    }
}

/// Appends a [`Change::Is`] without making one.
pub fn encode_is(space: SpaceId, id: &str, transaction: &Transaction, out: &mut Vec<u8>) {
    out.push(IS);
    out.extend_from_slice(&space.0.to_be_bytes());
    put_name(id, out);
    out.extend_from_slice(&transaction.producer.id.to_be_bytes());
    out.extend_from_slice(&transaction.producer.epoch.to_be_bytes());
    out.extend_from_slice(&transaction.previous_id.to_be_bytes());
    out.extend_from_slice(&transaction.last_epoch.to_be_bytes());
    out.extend_from_slice(&transaction.timeout_ms.to_be_bytes());
    out.extend_from_slice(&transaction.used_ms.to_be_bytes());
    out.push(if transaction.bumped { BUMPED } else { 0 });
    match &transaction.state {
        State::Empty => out.push(EMPTY),
        State::Committed => out.push(COMMITTED),
        State::Aborted => out.push(ABORTED),
        State::Ongoing(open) => {
            out.push(ONGOING);
            out.extend_from_slice(&open.since_ms.to_be_bytes());
            out.extend_from_slice(&length(open.partitions.len()));
            for partition in &open.partitions {
                out.extend_from_slice(&partition.0.to_be_bytes());
            }
            out.extend_from_slice(&length(open.groups.len()));
            for group in &open.groups {
                put_name(group, out);
            }
        }
    }
}

/// Whether it can be a transactional id.
///
/// # Errors
/// Empty, or longer than can be recorded.
pub fn check_id(transactional_id: &str) -> Result<(), TransactionRefused> {
    match transactional_id.len() {
        1..=TRANSACTIONAL_ID_BYTES_MAX => Ok(()),
        _ => Err(TransactionRefused::Malformed),
    }
}

fn opened(bytes: &mut &[u8]) -> Result<Open, ChangeMalformed> {
    let since_ms = u64::from_be_bytes(array(bytes)?);
    let mut partitions = BTreeSet::new();
    for _ in 0..u32::from_be_bytes(array(bytes)?) {
        partitions.insert(QueueId(u64::from_be_bytes(array(bytes)?)));
    }
    let mut groups = BTreeSet::new();
    for _ in 0..u32::from_be_bytes(array(bytes)?) {
        groups.insert(name(bytes)?);
    }
    Ok(Open {
        since_ms,
        partitions,
        groups,
    })
}

fn put_name(name: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(name.len()).expect("the wire's strings are shorter");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

fn name(bytes: &mut &[u8]) -> Result<Arc<str>, ChangeMalformed> {
    let length = usize::from(u16::from_be_bytes(array(bytes)?));
    let (name, rest) = bytes
        .split_at_checked(length)
        .ok_or(ChangeMalformed::Short)?;
    *bytes = rest;
    let name = std::str::from_utf8(name).map_err(|_| ChangeMalformed::Name)?;
    Ok(Arc::from(name))
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ChangeMalformed> {
    let (array, rest) = bytes.split_first_chunk().ok_or(ChangeMalformed::Short)?;
    *bytes = rest;
    Ok(*array)
}

fn length(count: usize) -> [u8; 4] {
    let count = u32::try_from(count).expect("fewer than there are partitions or groups");
    count.to_be_bytes()
}

const IS: u8 = 1;
const GONE: u8 = 2;
const IDS: u8 = 3;
const BUMPED: u8 = 1;
const EMPTY: u8 = 0;
const ONGOING: u8 = 1;
const COMMITTED: u8 = 2;
const ABORTED: u8 = 3;
