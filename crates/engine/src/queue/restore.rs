//! A queue's durable state: the cursor's, and what its properties add to it. Restored from
//! a checkpoint's bytes and what was recorded since, then finished into a queue.
//!
//! ```text
//! state    0  the cursor's, see `cursor::state`
//!          .  u32  count of runs held back, each: u64 start, u64 end, u64 Unix ms
//!          .  u8   1: identities seen follow, to the end; 0: none
//!
//! note     0  u8   1 = returned: u64 start, u64 end, u32 acquired, u32 failed, u64 Unix ms
//!                  2 = seen: u64 Unix ms, u32 count, each: u64 offset, 16 bytes identity
//! ```
//! All big-endian.

use std::ops::Range;
use std::sync::Arc;

use bongsu_record::Offset;

use super::cursor::state::{Reader, put_count, put_run};
use super::dedup::Identity;
use super::judge::Judge;
use super::properties::Deduplication;
use super::runs::RunMap;
use super::schedule::Recall;
use super::seen::Seen;
use super::{AckCursor, CursorMalformed, Properties, Queue};
use crate::session::Tries;

/// See the module's comment.
#[derive(Clone, Debug, Default)]
pub struct Restoring {
    /// The cursor; replay goes to it.
    pub cursor: AckCursor,
    /// Records held back until a time that is not in them.
    held: RunMap<u64>,
    /// Identities as they were encoded; the queue's properties say how to read them.
    seen: Vec<u8>,
    /// Those seen since: offset, identity, time.
    seen_since: Vec<(u64, Identity, u64)>,
}

/// What a queue records beside settles and marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// See [`super::Effect::Returned`].
    Returned {
        /// Which.
        records: Range<Offset>,
        /// How often they were tried.
        tries: Tries,
        /// Unix milliseconds; 0 = at once.
        at_ms: u64,
    },
    /// Identities of records in the same group; see [`Queue::remember`].
    Seen {
        /// Each with its record.
        identities: Vec<(Offset, Identity)>,
        /// When.
        now_ms: u64,
    },
}

impl Note {
    /// Writes the note; see the module's comment.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Note::Returned {
                records,
                tries,
                at_ms,
            } => {
                out.push(RETURNED);
                put_run(&(records.start.0..records.end.0), out);
                out.extend_from_slice(&tries.acquired.to_be_bytes());
                out.extend_from_slice(&tries.failed.to_be_bytes());
                out.extend_from_slice(&at_ms.to_be_bytes());
            }
            Note::Seen { identities, now_ms } => {
                out.push(SEEN);
                out.extend_from_slice(&now_ms.to_be_bytes());
                put_count(identities.len(), out);
                for (offset, identity) in identities {
                    out.extend_from_slice(&offset.0.to_be_bytes());
                    out.extend_from_slice(&identity.to_bytes());
                }
            }
        }
    }

    /// Reads what [`Note::encode`] wrote, taking it off the front of `rest`.
    ///
    /// # Errors
    /// [`CursorMalformed`].
    pub fn decode(rest: &mut &[u8]) -> Result<Note, CursorMalformed> {
        let mut reader = Reader {
            found: rest.len(),
            rest,
        };
        match reader.take()? {
            [RETURNED] => {
                let run = reader.run(&mut 0, u64::MAX)?;
                Ok(Note::Returned {
                    records: Offset(run.start)..Offset(run.end),
                    tries: Tries {
                        acquired: reader.u32()?,
                        failed: reader.u32()?,
                    },
                    at_ms: reader.u64()?,
                })
            }
            [SEEN] => {
                let now_ms = reader.u64()?;
                let mut identities = Vec::new();
                for _ in 0..reader.u32()? {
                    let offset = Offset(reader.u64()?);
                    identities.push((offset, Identity::from_bytes(reader.take()?)));
                }
                Ok(Note::Seen { identities, now_ms })
            }
            [other] => Err(CursorMalformed::Format(other)),
        }
    }
}

impl Restoring {
    /// Reads what [`Queue::encode`] wrote.
    ///
    /// # Errors
    /// [`CursorMalformed`].
    pub fn decode(bytes: &[u8]) -> Result<Restoring, CursorMalformed> {
        let mut rest = bytes;
        let cursor = AckCursor::decode(&mut rest)?;
        let mut reader = Reader {
            found: bytes.len(),
            rest: &mut rest,
        };
        let mut held = RunMap::default();
        let mut at = cursor.floor().0;
        for _ in 0..reader.u32()? {
            let run = reader.run(&mut at, cursor.next())?;
            held.insert(run, reader.u64()?);
        }
        let seen = match reader.take()? {
            [0] if rest.is_empty() => Vec::new(),
            [1] => {
                let bytes = rest.to_vec();
                Seen::decode(&mut rest, &Deduplication::default())?;
                if !rest.is_empty() {
                    return Err(CursorMalformed::Length { found: rest.len() });
                }
                bytes
            }
            _ => {
                let found = bytes.len();
                return Err(CursorMalformed::Length { found });
            }
        };
        Ok(Restoring {
            cursor,
            held,
            seen,
            ..Restoring::default()
        })
    }

    /// Of a subscription that knows nothing yet; see [`Queue::subscribed`].
    pub fn starting_at(start: Offset) -> Restoring {
        Restoring {
            cursor: AckCursor::starting_at(start),
            ..Restoring::default()
        }
    }

    /// Replay: a note.
    pub fn replay(&mut self, note: Note) {
        match note {
            Note::Returned {
                records,
                tries,
                at_ms,
            } => {
                self.cursor.replay_return(records.clone(), tries);
                let range = records.start.0..records.end.0;
                self.held.remove(range.clone(), |_| true, |_, _| ());
                if at_ms > 0 {
                    self.held.insert(range, at_ms);
                }
            }
            Note::Seen { identities, now_ms } => {
                let since = identities.into_iter();
                self.seen_since
                    .extend(since.map(|(offset, identity)| (offset.0, identity, now_ms)));
            }
        }
    }

    /// Identities seen, of which those of records that are gone are forgotten.
    fn seen(&self, properties: &Properties) -> Option<Box<Seen>> {
        let settings = properties.deduplication.as_ref()?;
        let mut seen = match self.seen.is_empty() {
            true => Seen::new(settings),
            // Bytes that do not read were checked when they were decoded first.
            false => Seen::decode(&mut self.seen.as_slice(), settings)
                .unwrap_or_else(|_| Seen::new(settings)),
        };
        for (offset, identity, now_ms) in &self.seen_since {
            seen.remember(*offset, *identity, *now_ms);
        }
        seen.keep(|offset| {
            let at = Offset(offset);
            self.cursor.is_owed(at..at.plus(1))
        });
        Some(Box::new(seen))
    }

    /// Ends the replay.
    pub fn finish(mut self, properties: Arc<Properties>, now_ms: u64) -> Queue {
        if properties.is_stream {
            // Its readers have places of their own: nothing is owed, and nothing judged,
            // whatever the terms of its records are.
            let end = self.cursor.end();
            self = Restoring::default();
            self.cursor.replay_append(end);
        }
        if properties.judges() {
            self.cursor.begin_judging();
        }
        self.cursor.replay_end();
        let seen = self.seen(&properties);
        let floor = self.cursor.floor().0;
        let mut queue = Queue {
            cursor: self.cursor,
            properties,
            seen,
            ..Queue::default()
        };
        queue.links.set_single(queue.properties.single_active);
        if queue.cursor.judges() || !self.held.is_empty() {
            let known = match queue.cursor.judges() {
                true => floor,
                false => queue.cursor.end().0,
            };
            let mut judge = Judge::new(&queue.properties, known, now_ms);
            for (run, at_ms) in self.held.iter() {
                // Only what was neither lent again nor settled since.
                let mut pieces = Vec::new();
                queue
                    .cursor
                    .take_ready(run, |piece, tries| pieces.push((piece, tries)));
                for (piece, tries) in pieces {
                    judge.schedule.insert(at_ms, piece.clone(), Recall::Keep);
                    queue.cursor.put_waiting(piece, tries);
                }
            }
            queue.judge = Some(Box::new(judge));
        }
        queue
    }
}

impl Queue {
    /// Writes the durable state; see the module's comment.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.cursor.encode(out);
        let kept = self.judge.as_ref().map(|judge| judge.schedule.kept());
        let kept: Vec<(Range<u64>, u64)> = kept.unwrap_or_default();
        put_count(kept.len(), out);
        for (run, at_ms) in kept {
            put_run(&run, out);
            out.extend_from_slice(&at_ms.to_be_bytes());
        }
        out.push(u8::from(self.seen.is_some()));
        if let Some(seen) = &self.seen {
            seen.encode(out);
        }
    }
}

const RETURNED: u8 = 1;
const SEEN: u8 = 2;
