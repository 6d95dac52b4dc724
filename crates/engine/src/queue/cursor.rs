//! The ack cursor: which records of a log are still owed to somebody.
//!
//! Pure. Memory follows leased records, never the backlog.
//! Always: floor <= next <= end of log, and an offset in between is exactly one of
//! settled, leased, returned. [`AckCursor::check`] asserts it; tests call it after every
//! step.
//!
//! The durable state is drawn byte by byte at [`AckCursor::encode`].

use std::ops::Range;

use bongsu_record::Offset;

use super::links::LinkKey;
use super::runs::RunMap;

/// See the module's comment.
#[derive(Clone, Debug, Default)]
pub struct AckCursor {
    /// All below are settled.
    floor: u64,
    /// Never leased from here on. Only grows: a lease that comes back waits in
    /// `returned`, so that redelivery never disturbs the read-ahead.
    next: u64,
    /// End of the log.
    end: u64,
    /// Everything below may have been handed out, as the WAL knows it. Kept ahead of
    /// `next` in steps, so that a thousand deliveries cost one entry.
    marked: u64,
    /// Lent out.
    leased: RunMap<Lease>,
    /// Came back; served before `next`, lowest first. Holds how often they were lent.
    returned: RunMap<u32>,
    /// Settled, above the floor.
    settled: RunMap<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    holder: LinkKey,
    /// Times lent, this one included.
    attempt: u32,
}

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
    /// All below are settled.
    pub fn floor(&self) -> Offset {
        Offset(self.floor)
    }

    /// End of the log.
    pub fn end(&self) -> Offset {
        Offset(self.end)
    }

    /// Records that could be leased now.
    pub fn ready(&self) -> u64 {
        self.end - self.next + self.returned.total()
    }

    /// Records leased.
    pub fn leased(&self) -> u64 {
        self.leased.total()
    }

    /// Whether any record of the range is not settled.
    pub fn is_owed(&self, records: Range<Offset>) -> bool {
        let start = records.start.0.max(self.floor);
        if start >= records.end.0 {
            return false;
        }
        match self.settled.from(start) {
            Some((run, ())) => !(run.start <= start && run.end >= records.end.0),
            None => true,
        }
    }

    #[cfg(test)]
    pub(super) fn next_for_test(&self) -> u64 {
        self.next
    }

    /// Everything below may have been handed out, as the WAL was told.
    pub fn marked(&self) -> Offset {
        Offset(self.marked)
    }

    pub(super) fn append(&mut self, count: u64) {
        self.end += count;
    }

    pub(super) fn has_ready(&self) -> bool {
        self.next < self.end || !self.returned.is_empty()
    }

    /// Length of the run that the next lease would come from.
    pub(super) fn ready_run(&self) -> u64 {
        match self.returned.first() {
            Some((run, _)) => run.end - run.start,
            None => self.end - self.next,
        }
    }

    /// Lends up to `most` records of one run: returned ones first, then new ones.
    pub(super) fn lease(&mut self, holder: LinkKey, most: u64) -> Option<(Range<Offset>, u32)> {
        let (range, attempt) = match self.returned.first() {
            Some((run, attempts)) => {
                let range = run.start..run.end.min(run.start + most);
                self.returned.remove(range.clone(), |_| true, |_, _| ());
                (range, attempts + 1)
            }
            None => {
                let range = self.next..self.end.min(self.next + most);
                self.next = range.end;
                (range, 1)
            }
        };
        if range.is_empty() {
            return None;
        }
        self.leased.insert(range.clone(), Lease { holder, attempt });
        Some((Offset(range.start)..Offset(range.end), attempt))
    }

    /// A new mark, if `next` has come near the last one: near, not past, so that the mark
    /// is mostly durable by the time the leases it covers are made.
    pub(super) fn mark(&mut self) -> Option<Offset> {
        if self.next + MARK_AHEAD / 2 <= self.marked {
            return None;
        }
        self.marked = self.next + MARK_AHEAD;
        Some(Offset(self.marked))
    }

    /// Settles what `holder` holds of the range; returns how many that were.
    pub(super) fn settle(
        &mut self,
        holder: LinkKey,
        range: Range<Offset>,
        mut settled: impl FnMut(Range<Offset>),
    ) -> u64 {
        let mut count = 0;
        let mut pieces = Pieces::default();
        self.leased.remove(
            range.start.0..range.end.0,
            |lease| lease.holder == holder,
            |piece, _| {
                count += piece.end - piece.start;
                pieces.push(piece);
            },
        );
        pieces.finish(|piece| {
            self.put_settled(piece.clone());
            settled(Offset(piece.start)..Offset(piece.end));
        });
        count
    }

    /// Gives back what `holder` holds of the range; returns how many that were.
    pub(super) fn release(&mut self, holder: LinkKey, range: Range<Offset>) -> u64 {
        let mut count = 0;
        let returned = &mut self.returned;
        self.leased.remove(
            range.start.0..range.end.0,
            |lease| lease.holder == holder,
            |piece, lease| {
                count += piece.end - piece.start;
                returned.insert(piece, lease.attempt);
            },
        );
        count
    }

    pub(super) fn release_all(&mut self, holder: LinkKey) {
        self.release(holder, Offset(self.floor)..Offset(self.next));
    }

    /// Settles all that is ready.
    pub(super) fn settle_ready(&mut self, mut settled: impl FnMut(Range<Offset>)) {
        let mut pieces = Pieces::default();
        self.returned
            .remove(0..u64::MAX, |_| true, |piece, _| pieces.push(piece));
        pieces.push(self.next..self.end);
        self.next = self.end;
        self.marked = self.marked.max(self.next);
        pieces.finish(|piece| {
            self.put_settled(piece.clone());
            settled(Offset(piece.start)..Offset(piece.end));
        });
    }

    fn put_settled(&mut self, piece: Range<u64>) {
        if piece.start == self.floor {
            self.floor = piece.end;
            if let Some((run, ())) = self.settled.first()
                && run.start == self.floor
            {
                self.floor = run.end;
                self.settled.remove(run, |()| true, |_, ()| ());
            }
        } else {
            self.settled.insert(piece, ());
        }
    }

    /// Replay: records were appended up to `end`.
    pub fn replay_append(&mut self, end: Offset) {
        self.end = self.end.max(end.0);
    }

    /// Replay: these were settled. Offsets already settled are passed over.
    pub fn replay_settle(&mut self, records: Range<Offset>) {
        self.end = self.end.max(records.end.0);
        let start = records.start.0.max(self.floor);
        let mut missing = Vec::new();
        let mut from = start;
        while from < records.end.0 {
            match self.settled.from(from) {
                Some((run, ())) if run.start <= from => from = run.end,
                Some((run, ())) => {
                    missing.push(from..run.start.min(records.end.0));
                    from = run.end;
                }
                None => {
                    missing.push(from..records.end.0);
                    break;
                }
            }
        }
        for piece in missing {
            self.returned.remove(piece.clone(), |_| true, |_, _| ());
            self.put_settled(piece);
        }
    }

    /// Replay: all below may have been handed out.
    pub fn replay_mark(&mut self, next: Offset) {
        self.marked = self.marked.max(next.0);
    }

    /// After replay: what may have been handed out and was not settled comes back, as
    /// redelivered. A record settled above `next` (its mark was lost) moves `next` too.
    pub fn replay_end(&mut self) {
        let settled_end = self.settled.iter().last().map_or(0, |(run, ())| run.end);
        let next = self
            .marked
            .min(self.end)
            .max(settled_end)
            .max(self.floor)
            .max(self.next);
        let mut from = self.next.max(self.floor);
        while from < next {
            let free_end = match self.settled.from(from) {
                Some((run, ())) if run.start <= from => {
                    from = run.end;
                    continue;
                }
                Some((run, ())) => run.start.min(next),
                None => next,
            };
            self.returned.insert(from..free_end, 1);
            from = free_end;
        }
        self.next = next;
        self.marked = self.marked.max(next);
    }

    /// Writes the durable state. Leases are written as returned, for a reader of this
    /// state has no links.
    ///
    /// ```text
    ///  0  u8   format, 1
    ///  1  u64  floor
    ///  9  u64  next
    /// 17  u64  end
    /// 25  u64  marked
    /// 33  u32  count of settled runs, each: u64 start, u64 end
    ///     u32  count of returned runs, each: u64 start, u64 end, u32 attempts
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(STATE_FORMAT);
        for number in [self.floor, self.next, self.end, self.marked] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        put_count(self.settled.run_count(), out);
        for (run, ()) in self.settled.iter() {
            put_run(&run, out);
        }
        let mut returned = self.returned.clone();
        for (run, lease) in self.leased.iter() {
            returned.insert(run, lease.attempt);
        }
        put_count(returned.run_count(), out);
        for (run, attempts) in returned.iter() {
            put_run(&run, out);
            out.extend_from_slice(&attempts.to_be_bytes());
        }
    }

    /// Reads what [`AckCursor::encode`] wrote.
    ///
    /// # Errors
    /// [`CursorMalformed`].
    pub fn decode(bytes: &[u8]) -> Result<AckCursor, CursorMalformed> {
        let mut reader = Reader {
            rest: bytes,
            found: bytes.len(),
        };
        let [format] = reader.take()?;
        if format != STATE_FORMAT {
            return Err(CursorMalformed::Format(format));
        }
        let mut cursor = AckCursor {
            floor: reader.u64()?,
            next: reader.u64()?,
            end: reader.u64()?,
            marked: reader.u64()?,
            ..AckCursor::default()
        };
        if cursor.floor > cursor.next || cursor.next > cursor.end {
            return Err(CursorMalformed::Order);
        }
        let mut last = cursor.floor;
        for _ in 0..reader.u32()? {
            let run = reader.run(&mut last, cursor.next)?;
            cursor.settled.insert(run, ());
        }
        let mut last = cursor.floor;
        for _ in 0..reader.u32()? {
            let run = reader.run(&mut last, cursor.next)?;
            let attempts = reader.u32()?;
            if cursor
                .settled
                .from(run.start)
                .is_some_and(|(s, ())| s.start < run.end)
            {
                return Err(CursorMalformed::Order);
            }
            cursor.returned.insert(run, attempts);
        }
        if !reader.rest.is_empty() {
            return Err(CursorMalformed::Length {
                found: reader.found,
            });
        }
        Ok(cursor)
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        assert!(self.floor <= self.next && self.next <= self.end);
        self.leased.check();
        self.returned.check();
        self.settled.check();
        let mut runs: Vec<Range<u64>> = Vec::new();
        runs.extend(self.leased.iter().map(|(run, _)| run));
        runs.extend(self.returned.iter().map(|(run, _)| run));
        runs.extend(self.settled.iter().map(|(run, ())| run));
        runs.sort_by_key(|run| run.start);
        let mut at = self.floor;
        for run in runs {
            assert_eq!(run.start, at, "an offset in two states or in none");
            at = run.end;
        }
        assert_eq!(at, self.next, "an offset below next in no state");
        let first_settled = self.settled.first().map(|(run, ())| run.start);
        assert!(first_settled.is_none_or(|start| start > self.floor));
    }
}

/// Merges neighbouring pieces as they come, so that settling a thousand leases in a row
/// is one range. Most settles are one piece, kept without allocation.
#[derive(Default)]
struct Pieces {
    done: Vec<Range<u64>>,
    open: Option<Range<u64>>,
}

impl Pieces {
    fn push(&mut self, piece: Range<u64>) {
        if piece.is_empty() {
            return;
        }
        match &mut self.open {
            Some(open) if open.end == piece.start => open.end = piece.end,
            open => self.done.extend(open.replace(piece)),
        }
    }

    fn finish(self, each: impl FnMut(Range<u64>)) {
        self.done.into_iter().chain(self.open).for_each(each);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    found: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CursorMalformed> {
        let short = CursorMalformed::Length { found: self.found };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u64(&mut self) -> Result<u64, CursorMalformed> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, CursorMalformed> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    fn run(&mut self, last: &mut u64, bound: u64) -> Result<Range<u64>, CursorMalformed> {
        let run = self.u64()?..self.u64()?;
        if run.start < *last || run.start >= run.end || run.end > bound {
            return Err(CursorMalformed::Order);
        }
        *last = run.end;
        Ok(run)
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    let count = u32::try_from(count).expect("fewer runs than memory has bytes");
    out.extend_from_slice(&count.to_be_bytes());
}

fn put_run(run: &Range<u64>, out: &mut Vec<u8>) {
    out.extend_from_slice(&run.start.to_be_bytes());
    out.extend_from_slice(&run.end.to_be_bytes());
}

/// Records marked as handed out ahead of the last lease. After a crash up to so many
/// records that nobody was given may be flagged as redelivered; a larger step would flag
/// more, a smaller one writes more entries.
const MARK_AHEAD: u64 = 4096;
const STATE_FORMAT: u8 = 1;
