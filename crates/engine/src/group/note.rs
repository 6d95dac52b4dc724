//! What is recorded of a group, and what a checkpoint knows of it: the same notes, one behind
//! the other. Replayed in order they make the group again; a classic one without its members.
//!
//! ```text
//! 1 classic    i32 generation, u16 length, protocol type, u64 empty since Unix ms (0: not)
//! 2 offset     16 bytes topic id, u16 length, topic, i32 partition, committed
//! 3 pending    i64 producer id, then as 2
//! 4 completed  i64 producer id, u8 1: commit, 0: abort
//! 5 removed    16 bytes topic id, i32 partition
//! 6 vacant     nothing: no members, no offsets, no kind
//! 7 consumer   a note of [`super::consumer::note`]
//! 8 share      the same, of a share group
//!
//! committed    i64 offset, i32 leader epoch, u16 length, metadata, u64 at Unix ms,
//!              u64 expires Unix ms (0: as the setting says), u64 order
//! ```
//!
//! All integers are big-endian; the first byte is the note's number.

use std::sync::Arc;

use super::consumer;
use super::offsets::{Committed, Topic};
use crate::catalog::TopicId;

/// See the module's comment.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A generation of the classic kind began, or its last member went.
    Classic {
        /// Its number.
        generation: i32,
        /// What is shared out; empty: nobody said.
        protocol_type: Arc<str>,
        /// Since when it has no members.
        empty_since_ms: Option<u64>,
    },
    /// An offset was committed.
    Offset {
        /// Of what; the number of partitions is not recorded.
        topic: Topic,
        /// Of it.
        partition: i32,
        /// What.
        committed: Committed,
    },
    /// An offset was committed in a transaction.
    Pending {
        /// Whose.
        producer_id: i64,
        /// Of what.
        topic: Topic,
        /// Of it.
        partition: i32,
        /// What.
        committed: Committed,
    },
    /// A transaction ended.
    Completed {
        /// Whose.
        producer_id: i64,
        /// Its offsets count.
        commit: bool,
    },
    /// An offset was forgotten.
    Removed {
        /// Of what.
        topic: TopicId,
        /// Of it.
        partition: i32,
    },
    /// The group is no more.
    Vacant,
    /// Of its members and what they shall have, as a consumer group.
    Consumer(consumer::Note),
    /// The same, as a share group.
    Share(consumer::Note),
}

/// A note that cannot be read: which, or how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteMalformed {
    /// No note has this number.
    Number(u8),
    /// It ends too soon.
    Short,
    /// A text is not UTF-8.
    Text,
}

impl Note {
    /// Writes it behind others.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Note::Classic {
                generation,
                protocol_type,
                empty_since_ms,
            } => {
                out.push(1);
                out.extend_from_slice(&generation.to_be_bytes());
                put_text(protocol_type, out);
                out.extend_from_slice(&empty_since_ms.unwrap_or(0).to_be_bytes());
            }
            Note::Offset {
                topic,
                partition,
                committed,
            } => {
                out.push(2);
                put_committed(topic, *partition, committed, out);
            }
            Note::Pending {
                producer_id,
                topic,
                partition,
                committed,
            } => {
                out.push(3);
                out.extend_from_slice(&producer_id.to_be_bytes());
                put_committed(topic, *partition, committed, out);
            }
            Note::Completed {
                producer_id,
                commit,
            } => {
                out.push(4);
                out.extend_from_slice(&producer_id.to_be_bytes());
                out.push(u8::from(*commit));
            }
            Note::Removed { topic, partition } => {
                out.push(5);
                out.extend_from_slice(&topic.0.to_be_bytes());
                out.extend_from_slice(&partition.to_be_bytes());
            }
            Note::Vacant => out.push(6),
            Note::Consumer(note) => {
                out.push(7);
                note.encode(out);
            }
            Note::Share(note) => {
                out.push(8);
                note.encode(out);
            }
        }
    }

    /// Takes the first note off.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(rest: &mut &[u8]) -> Result<Note, NoteMalformed> {
        match u8::from_be_bytes(take(rest)?) {
            1 => Ok(Note::Classic {
                generation: i32::from_be_bytes(take(rest)?),
                protocol_type: take_text(rest)?,
                empty_since_ms: Some(u64::from_be_bytes(take(rest)?)).filter(|ms| *ms > 0),
            }),
            2 => {
                let (topic, partition, committed) = take_committed(rest)?;
                Ok(Note::Offset {
                    topic,
                    partition,
                    committed,
                })
            }
            3 => {
                let producer_id = i64::from_be_bytes(take(rest)?);
                let (topic, partition, committed) = take_committed(rest)?;
                Ok(Note::Pending {
                    producer_id,
                    topic,
                    partition,
                    committed,
                })
            }
            4 => Ok(Note::Completed {
                producer_id: i64::from_be_bytes(take(rest)?),
                commit: u8::from_be_bytes(take(rest)?) == 1,
            }),
            5 => Ok(Note::Removed {
                topic: TopicId(u128::from_be_bytes(take(rest)?)),
                partition: i32::from_be_bytes(take(rest)?),
            }),
            6 => Ok(Note::Vacant),
            7 => Ok(Note::Consumer(consumer::Note::decode(rest)?)),
            8 => Ok(Note::Share(consumer::Note::decode(rest)?)),
            number => Err(NoteMalformed::Number(number)),
        }
    }
}

fn put_committed(topic: &Topic, partition: i32, committed: &Committed, out: &mut Vec<u8>) {
    out.extend_from_slice(&topic.id.0.to_be_bytes());
    put_text(&topic.name, out);
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(&committed.offset.to_be_bytes());
    out.extend_from_slice(&committed.leader_epoch.to_be_bytes());
    put_text(&committed.metadata, out);
    out.extend_from_slice(&committed.at_ms.to_be_bytes());
    out.extend_from_slice(&committed.expires_ms.unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&committed.order.to_be_bytes());
}

fn take_committed(rest: &mut &[u8]) -> Result<(Topic, i32, Committed), NoteMalformed> {
    let id = TopicId(u128::from_be_bytes(take(rest)?));
    let topic = Topic {
        id,
        name: take_text(rest)?,
        partition_count: 0,
        denied: false,
    };
    let partition = i32::from_be_bytes(take(rest)?);
    let committed = Committed {
        offset: i64::from_be_bytes(take(rest)?),
        leader_epoch: i32::from_be_bytes(take(rest)?),
        metadata: take_text(rest)?,
        at_ms: u64::from_be_bytes(take(rest)?),
        expires_ms: Some(u64::from_be_bytes(take(rest)?)).filter(|ms| *ms > 0),
        order: u64::from_be_bytes(take(rest)?),
    };
    Ok((topic, partition, committed))
}

/// Texts are bounded where they come in: names by the protocol's 32 KiB, metadata by
/// [`super::Settings::metadata_bytes_max`].
fn put_text(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("texts are bounded where they come in");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn take_text(rest: &mut &[u8]) -> Result<Arc<str>, NoteMalformed> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (text, after) = rest.split_at_checked(length).ok_or(NoteMalformed::Short)?;
    *rest = after;
    let text = std::str::from_utf8(text).map_err(|_| NoteMalformed::Text)?;
    Ok(Arc::from(text))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NoteMalformed> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(NoteMalformed::Short)?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests;
