//! The durable part of a cursor: its state at a checkpoint, and the replay of what was
//! recorded since.
//!
//! ```text
//!  0  u8   format, 2
//!  1  u8   flags: 1 = its records are judged
//!  2  u64  floor
//! 10  u64  next
//! 18  u64  end
//! 26  u64  marked
//! 34  u32  count of settled runs, each: u64 start, u64 end
//!     u32  count of returned runs, each: u64 start, u64 end, u32 acquired, u32 failed
//! ```
//! All big-endian. Leases, and what waits or dies, are written as returned: a reader of
//! this state has no links, learns from the records themselves what waits, and kills what
//! is dead again. A back-off that is not in the record is the queue's to keep.

use std::ops::Range;

use bongsu_record::Offset;

use super::AckCursor;
use crate::queue::runs::RunMap;
use crate::session::Tries;

/// Why bytes are not a cursor's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorMalformed {
    /// They end too early, or go on behind the end.
    Length {
        /// Bytes there.
        found: usize,
    },
    /// Another format than this program writes.
    Format(u8),
    /// Ranges out of order or beyond their bounds.
    Order,
}

impl AckCursor {
    /// Over a log of which nothing below `start` is of interest.
    pub fn starting_at(start: Offset) -> AckCursor {
        AckCursor {
            floor: start.0,
            next: start.0,
            end: start.0,
            lent_end: start.0,
            ..AckCursor::default()
        }
    }

    /// Replay: records were appended up to `end`.
    pub fn replay_append(&mut self, end: Offset) {
        self.end = self.end.max(end.0);
    }

    /// Replay: records are judged before they are leased.
    pub fn replay_judges(&mut self) {
        self.judges = true;
    }

    /// Replay: these were settled. Offsets already settled are passed over.
    pub fn replay_settle(&mut self, records: Range<Offset>) {
        self.end = self.end.max(records.end.0);
        self.reach(records.end.0);
        let mut pieces = Vec::new();
        let range = records.start.0..records.end.0;
        self.returned
            .remove(range, |_| true, |piece, _| pieces.push(piece));
        for piece in pieces {
            self.put_settled(piece);
        }
    }

    /// Replay: these came back after so many tries.
    pub fn replay_return(&mut self, records: Range<Offset>, tries: Tries) {
        self.end = self.end.max(records.end.0);
        self.reach(records.end.0);
        let mut pieces = Vec::new();
        let range = records.start.0..records.end.0;
        self.returned
            .remove(range, |_| true, |piece, _| pieces.push(piece));
        for piece in pieces {
            self.returned.insert(piece, tries);
        }
    }

    /// Replay: all below may have been handed out.
    pub fn replay_mark(&mut self, next: Offset) {
        self.marked = self.marked.max(next.0);
    }

    /// After replay: what may have been handed out and was not settled comes back, as
    /// redelivered.
    pub fn replay_end(&mut self) {
        let marked = self.marked.min(self.end);
        if !self.judges {
            self.reach(marked);
        }
        let mut untried = Vec::new();
        self.returned.remove(
            0..marked,
            |tries| tries.acquired == 0,
            |piece, tries| untried.push((piece, tries)),
        );
        for (piece, mut tries) in untried {
            tries.acquired = 1;
            self.returned.insert(piece, tries);
        }
        self.lent_end = marked;
        self.marked = self.marked.max(marked);
    }

    /// Writes the durable state; see the module's comment.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(STATE_FORMAT);
        out.push(u8::from(self.judges));
        for number in [self.floor, self.next, self.end, self.marked] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        put_count(self.settled.run_count(), out);
        for (run, ()) in self.settled.iter() {
            put_run(&run, out);
        }
        let mut returned = RunMap::default();
        let mut runs: Vec<(Range<u64>, Tries)> = self.returned.iter().collect();
        runs.extend(self.leased.iter().map(|(run, lease)| (run, lease.tries)));
        runs.extend(self.waiting.iter());
        runs.extend(self.due.iter());
        // Whoever is dead was tried at least once, or never: it dies again as it is.
        runs.extend(self.dying.iter().map(|(run, _)| (run, Tries::default())));
        runs.sort_unstable_by_key(|(run, _)| run.start);
        for (run, tries) in runs {
            returned.insert(run, tries);
        }
        put_count(returned.run_count(), out);
        for (run, tries) in returned.iter() {
            put_run(&run, out);
            out.extend_from_slice(&tries.acquired.to_be_bytes());
            out.extend_from_slice(&tries.failed.to_be_bytes());
        }
    }

    /// Reads what [`AckCursor::encode`] wrote, leaving what follows it in `rest`.
    ///
    /// # Errors
    /// [`CursorMalformed`].
    pub fn decode(rest: &mut &[u8]) -> Result<AckCursor, CursorMalformed> {
        let mut reader = Reader {
            found: rest.len(),
            rest,
        };
        let [format] = reader.take()?;
        if format != STATE_FORMAT {
            return Err(CursorMalformed::Format(format));
        }
        let judges = match reader.take()? {
            [0] => false,
            [1] => true,
            _ => return Err(CursorMalformed::Order),
        };
        let mut cursor = AckCursor {
            judges,
            floor: reader.u64()?,
            next: reader.u64()?,
            end: reader.u64()?,
            marked: reader.u64()?,
            ..AckCursor::default()
        };
        if cursor.floor > cursor.next || cursor.next > cursor.end {
            return Err(CursorMalformed::Order);
        }
        cursor.lent_end = cursor.next;
        // Every offset between floor and next is in one of the two lists.
        let mut at = cursor.floor;
        for _ in 0..reader.u32()? {
            let run = reader.run(&mut at, cursor.next)?;
            if run.start == cursor.floor {
                return Err(CursorMalformed::Order);
            }
            cursor.settled.insert(run, ());
        }
        let mut at = cursor.floor;
        for _ in 0..reader.u32()? {
            let run = reader.run(&mut at, cursor.next)?;
            let tries = Tries {
                acquired: reader.u32()?,
                failed: reader.u32()?,
            };
            let settled = cursor.settled.from(run.start);
            if settled.is_some_and(|(other, ())| other.start < run.end) {
                return Err(CursorMalformed::Order);
            }
            cursor.returned.insert(run, tries);
        }
        if cursor.settled.total() + cursor.returned.total() != cursor.next - cursor.floor {
            return Err(CursorMalformed::Order);
        }
        Ok(cursor)
    }
}

/// Takes fields off the front of the bytes it was given.
pub(in crate::queue) struct Reader<'r, 'a> {
    pub rest: &'r mut &'a [u8],
    pub found: usize,
}

impl Reader<'_, '_> {
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], CursorMalformed> {
        let short = CursorMalformed::Length { found: self.found };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        *self.rest = rest;
        Ok(*taken)
    }

    pub fn u64(&mut self) -> Result<u64, CursorMalformed> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    pub fn u32(&mut self) -> Result<u32, CursorMalformed> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    pub fn run(&mut self, last: &mut u64, bound: u64) -> Result<Range<u64>, CursorMalformed> {
        let run = self.u64()?..self.u64()?;
        if run.start < *last || run.start >= run.end || run.end > bound {
            return Err(CursorMalformed::Order);
        }
        *last = run.end;
        Ok(run)
    }
}

pub(in crate::queue) fn put_count(count: usize, out: &mut Vec<u8>) {
    let count = u32::try_from(count).expect("fewer runs than memory has bytes");
    out.extend_from_slice(&count.to_be_bytes());
}

pub(in crate::queue) fn put_run(run: &Range<u64>, out: &mut Vec<u8>) {
    out.extend_from_slice(&run.start.to_be_bytes());
    out.extend_from_slice(&run.end.to_be_bytes());
}

const STATE_FORMAT: u8 = 2;
