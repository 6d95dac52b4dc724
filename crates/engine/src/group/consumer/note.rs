//! What is recorded of a group's members, and what a checkpoint knows of them: the same
//! notes, one behind the other. Replayed in order they make the group again; deadlines begin
//! anew.
//!
//! ```text
//! 1 group    i32 epoch, i32 target epoch, u64 fingerprint of its topics
//! 2 member   text id, i32 epoch, i32 epoch before, u8 state (0 stable, 1 unrevoked,
//!            2 unreleased), optional instance, optional rack, u32 rebalance timeout in ms,
//!            text client id, text client host, u32 count of topics: text each,
//!            optional pattern, u8 assignor (0 none, 1 uniform, 2 range), held assigned,
//!            held revoking
//! 3 target   text id, held
//! 4 gone     text id
//!
//! text       u32 length, UTF-8
//! optional   u8 0, or u8 1 and a text
//! held       u32 count of topics: 16 bytes id, u32 count of partitions: u32 each
//! ```
//!
//! All integers are big-endian; the first byte is the note's number.

use std::sync::Arc;

use super::assignors::Assignor;
use super::member::{Member, MemberState};
use super::topics::{Held, Partition, by_topic};
use crate::catalog::TopicId;
use crate::group::note::NoteMalformed;

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The group is in another epoch.
    Group {
        /// Its own.
        epoch: i32,
        /// The one its target was made for.
        target_epoch: i32,
        /// Of the topics it was made for.
        fingerprint: u64,
    },
    /// A member is there, or is another than it was.
    Member {
        /// Its id.
        id: Arc<str>,
        /// All of it.
        member: Box<Member>,
    },
    /// What a member shall have.
    Target {
        /// Its id.
        id: Arc<str>,
        /// All of it.
        held: Held,
    },
    /// A member is there no more, nor its target.
    Gone {
        /// Its id.
        id: Arc<str>,
    },
}

impl Note {
    /// Writes it behind others.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Note::Group {
                epoch,
                target_epoch,
                fingerprint,
            } => {
                out.push(1);
                out.extend_from_slice(&epoch.to_be_bytes());
                out.extend_from_slice(&target_epoch.to_be_bytes());
                out.extend_from_slice(&fingerprint.to_be_bytes());
            }
            Note::Member { id, member } => {
                out.push(2);
                put_text(id, out);
                put_member(member, out);
            }
            Note::Target { id, held } => {
                out.push(3);
                put_text(id, out);
                put_held(held, out);
            }
            Note::Gone { id } => {
                out.push(4);
                put_text(id, out);
            }
        }
    }

    /// Takes the first note off.
    pub fn decode(rest: &mut &[u8]) -> Result<Note, NoteMalformed> {
        match u8::from_be_bytes(take(rest)?) {
            1 => Ok(Note::Group {
                epoch: i32::from_be_bytes(take(rest)?),
                target_epoch: i32::from_be_bytes(take(rest)?),
                fingerprint: u64::from_be_bytes(take(rest)?),
            }),
            2 => Ok(Note::Member {
                id: take_text(rest)?,
                member: Box::new(take_member(rest)?),
            }),
            3 => Ok(Note::Target {
                id: take_text(rest)?,
                held: take_held(rest)?,
            }),
            4 => Ok(Note::Gone {
                id: take_text(rest)?,
            }),
            number => Err(NoteMalformed::Number(number)),
        }
    }
}

fn put_member(member: &Member, out: &mut Vec<u8>) {
    out.extend_from_slice(&member.epoch.to_be_bytes());
    out.extend_from_slice(&member.previous_epoch.to_be_bytes());
    out.push(match member.state {
        MemberState::Stable => 0,
        MemberState::Unrevoked => 1,
        MemberState::Unreleased => 2,
    });
    put_optional(&member.instance, out);
    put_optional(&member.rack, out);
    out.extend_from_slice(&member.rebalance_timeout_ms.to_be_bytes());
    put_text(&member.client_id, out);
    put_text(&member.client_host, out);
    put_count(member.topics.len(), out);
    for topic in &member.topics {
        put_text(topic, out);
    }
    put_optional(&member.pattern, out);
    out.push(match member.assignor {
        None => 0,
        Some(Assignor::Uniform) => 1,
        Some(Assignor::Range) => 2,
    });
    put_held(&member.assigned, out);
    put_held(&member.revoking, out);
}

fn take_member(rest: &mut &[u8]) -> Result<Member, NoteMalformed> {
    let number = |rest: &mut &[u8]| Ok(u8::from_be_bytes(take(rest)?));
    Ok(Member {
        epoch: i32::from_be_bytes(take(rest)?),
        previous_epoch: i32::from_be_bytes(take(rest)?),
        state: match number(rest)? {
            0 => MemberState::Stable,
            1 => MemberState::Unrevoked,
            2 => MemberState::Unreleased,
            other => return Err(NoteMalformed::Number(other)),
        },
        instance: take_optional(rest)?,
        rack: take_optional(rest)?,
        rebalance_timeout_ms: u32::from_be_bytes(take(rest)?),
        client_id: take_text(rest)?,
        client_host: take_text(rest)?,
        topics: {
            let count = u32::from_be_bytes(take(rest)?);
            let names = (0..count).map(|_| take_text(rest));
            names.collect::<Result<_, _>>()?
        },
        pattern: take_optional(rest)?,
        assignor: match number(rest)? {
            0 => None,
            1 => Some(Assignor::Uniform),
            2 => Some(Assignor::Range),
            other => return Err(NoteMalformed::Number(other)),
        },
        assigned: take_held(rest)?,
        revoking: take_held(rest)?,
    })
}

fn put_held(held: &Held, out: &mut Vec<u8>) {
    let topics = by_topic(held);
    put_count(topics.len(), out);
    for (topic, indexes) in topics {
        out.extend_from_slice(&topic.0.to_be_bytes());
        put_count(indexes.len(), out);
        for index in indexes {
            out.extend_from_slice(&index.to_be_bytes());
        }
    }
}

fn take_held(rest: &mut &[u8]) -> Result<Held, NoteMalformed> {
    let mut held = Held::new();
    for _ in 0..u32::from_be_bytes(take(rest)?) {
        let topic = TopicId(u128::from_be_bytes(take(rest)?));
        for _ in 0..u32::from_be_bytes(take(rest)?) {
            let index = u32::from_be_bytes(take(rest)?);
            held.insert(Partition { topic, index });
        }
    }
    Ok(held)
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    let count = u32::try_from(count).expect("what fits one request has no 2^32 parts");
    out.extend_from_slice(&count.to_be_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn take_text(rest: &mut &[u8]) -> Result<Arc<str>, NoteMalformed> {
    let length = u32::from_be_bytes(take(rest)?);
    let length = usize::try_from(length).map_err(|_| NoteMalformed::Short)?;
    let (text, after) = rest.split_at_checked(length).ok_or(NoteMalformed::Short)?;
    *rest = after;
    let text = std::str::from_utf8(text).map_err(|_| NoteMalformed::Text)?;
    Ok(text.into())
}

fn put_optional(text: &Option<Arc<str>>, out: &mut Vec<u8>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(text, out);
    }
}

fn take_optional(rest: &mut &[u8]) -> Result<Option<Arc<str>>, NoteMalformed> {
    match u8::from_be_bytes(take(rest)?) {
        0 => Ok(None),
        1 => take_text(rest).map(Some),
        other => Err(NoteMalformed::Number(other)),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NoteMalformed> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(NoteMalformed::Short)?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> Vec<Note> {
        let partition = |topic, index| Partition {
            topic: TopicId(topic),
            index,
        };
        let member = Member {
            epoch: 7,
            previous_epoch: -2,
            state: MemberState::Unreleased,
            instance: Some("i".into()),
            rack: None,
            rebalance_timeout_ms: 300_000,
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            topics: ["a".into(), "b".into()].into(),
            pattern: Some("x.*".into()),
            assignor: Some(Assignor::Range),
            assigned: [partition(1, 0), partition(1, 2), partition(2, 0)].into(),
            revoking: [partition(3, 5)].into(),
        };
        vec![
            Note::Group {
                epoch: 8,
                target_epoch: 7,
                fingerprint: 0x0102_0304_0506_0708,
            },
            Note::Member {
                id: "m".into(),
                member: Box::new(member),
            },
            Note::Target {
                id: "m".into(),
                held: [partition(1, 0)].into(),
            },
            Note::Gone { id: "n".into() },
        ]
    }

    #[test]
    fn notes_read_as_written() {
        let mut bytes = Vec::new();
        for note in notes() {
            note.encode(&mut bytes);
        }
        let mut rest = &bytes[..];
        for note in notes() {
            assert_eq!(Note::decode(&mut rest), Ok(note));
        }
        assert!(rest.is_empty());
        for end in 0..bytes.len() {
            let mut rest = &bytes[..end];
            let mut read = 0;
            while let Ok(note) = Note::decode(&mut rest) {
                assert_eq!(note, notes()[read]);
                read += 1;
            }
            assert!(read < notes().len());
        }
    }

    #[test]
    fn golden_bytes() {
        let hex = |note: &Note| {
            let mut bytes = Vec::new();
            note.encode(&mut bytes);
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let [group, member, target, gone] = &notes()[..] else {
            panic!("four notes");
        };
        assert_eq!(hex(group), "0100000008000000070102030405060708");
        let parts = [
            // Id, epochs, state, instance, no rack, timeout, client, host.
            "02 00000001 6d 00000007 fffffffe 02 01 00000001 69 00 000493e0",
            "00000001 63 0000000a 2f3132372e302e302e31",
            // Topics, pattern, assignor.
            "00000002 00000001 61 00000001 62 01 00000003 782e2a 02",
            // Assigned: two topics; revoking: one.
            "00000002 00000000000000000000000000000001 00000002 00000000 00000002",
            "00000000000000000000000000000002 00000001 00000000",
            "00000001 00000000000000000000000000000003 00000001 00000005",
        ];
        assert_eq!(hex(member), parts.concat().replace(' ', ""));
        assert_eq!(
            hex(target),
            "03000000016d00000001000000000000000000000000000000010000000100000000"
        );
        assert_eq!(hex(gone), "04000000016e");
    }
}
