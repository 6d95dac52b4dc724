//! The ack cursor: which records of a log are still owed to somebody.
//!
//! Pure. Memory follows leased records, never the backlog.
//! Always: floor <= next <= end of log, and an offset in between is exactly one of
//! settled, leased, returned, waiting, dying. [`AckCursor::check`] asserts it; tests call
//! it after every step.
//!
//! A queue that only counts leases from `next` on. One that *judges* its records (by time,
//! priority, key) moves `next` as it learns of them and takes leases out of `returned`, in
//! whatever order its rules give.
//!
//! What survives a crash is in [`state`].

pub mod state;

mod look;

use std::collections::VecDeque;
use std::ops::Range;

use bongsu_record::Offset;

use super::links::LinkKey;
use super::runs::RunMap;
use crate::session::Tries;
pub use look::{Held, Standing};
pub use state::CursorMalformed;

/// See the module's comment.
#[derive(Clone, Debug, Default)]
pub struct AckCursor {
    /// All below are settled.
    floor: u64,
    /// From here on never leased nor judged. Only grows: a lease that comes back waits in
    /// `returned`, so that redelivery never disturbs the read-ahead.
    next: u64,
    /// End of the log.
    end: u64,
    /// No record from here on was ever leased.
    lent_end: u64,
    /// Everything below may have been handed out, as the WAL knows it. Kept ahead of
    /// `lent_end` in steps, so that a thousand deliveries cost one entry.
    marked: u64,
    /// Records are judged before they are leased: only what is in `returned` is.
    judges: bool,
    /// Lent out.
    leased: RunMap<Lease>,
    /// Ready below `next`, with how often they were tried.
    returned: RunMap<Tries>,
    /// Ready too, but came due after others: not in the order of offsets.
    due: RunMap<Tries>,
    /// Not to be leased before some time.
    waiting: RunMap<Tries>,
    /// On their way to where dead records go.
    dying: RunMap<Reason>,
    /// The same in the order in which they died.
    deaths: VecDeque<(Range<u64>, Reason)>,
    /// Settled, above the floor.
    settled: RunMap<()>,
}

/// Why a record is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A consumer did not want it.
    Rejected,
    /// It was not consumed in time.
    Expired,
    /// The queue was full.
    MaxLen,
    /// It failed too often.
    DeliveryLimit,
}

/// A lease, and how it ends if nobody ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    holder: LinkKey,
    /// This time included in `acquired`.
    pub tries: Tries,
    /// See [`Term`].
    pub term: Term,
}

impl Lease {
    /// Who has it.
    pub fn holder(&self) -> LinkKey {
        self.holder
    }
}

/// For how long a record is lent, and how often at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Term {
    /// Unix seconds; 0 = while the holder lives. Coarse, so that leases of one second are
    /// one run.
    pub deadline_s: u64,
    /// Times acquired after which it is dead if it comes back; 0 = as often as it likes.
    pub acquired_max: u32,
    /// When it was lent, Unix seconds; as coarse, for the same reason.
    pub since_s: u64,
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

    /// Records that could be leased now, or once they are judged.
    pub fn ready(&self) -> u64 {
        self.end - self.next + self.returned.total() + self.due.total()
    }

    /// Of these, those below `known`. After a restart `next` is ahead of it: what is in
    /// between is in few runs, or soon judged.
    pub(super) fn ready_below(&self, known: u64) -> u64 {
        let mut unknown = self.end - self.next.max(known);
        self.ready_within(known..self.next, |run| unknown += run.end - run.start);
        self.ready() - unknown
    }

    /// Records leased.
    pub fn leased(&self) -> u64 {
        self.leased.total()
    }

    /// Records not to be leased before some time.
    pub fn waiting(&self) -> u64 {
        self.waiting.total()
    }

    /// Records on their way to where dead ones go.
    pub fn dying(&self) -> u64 {
        self.dying.total()
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

    /// Everything below may have been handed out, as the WAL was told.
    pub fn marked(&self) -> Offset {
        Offset(self.marked)
    }

    /// The records that died first, up to so many, all dead of one reason.
    pub fn first_dying(&self, most: u64) -> Option<(Range<Offset>, Reason)> {
        let (run, reason) = self.deaths.front()?;
        let end = run.end.min(run.start.saturating_add(most));
        Some((Offset(run.start)..Offset(end), *reason))
    }

    /// Whether all of these are still dying of that reason.
    pub fn is_dying(&self, records: &Range<Offset>, reason: Reason) -> bool {
        match self.dying.from(records.start.0) {
            Some((run, found)) => {
                found == reason && run.start <= records.start.0 && run.end >= records.end.0
            }
            None => false,
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn end_number(&self) -> u64 {
        self.end
    }

    pub(super) fn judges(&self) -> bool {
        self.judges
    }

    /// From here on records are judged before they are leased; those that are there
    /// already are ready as they are.
    pub(super) fn begin_judging(&mut self) {
        if !std::mem::replace(&mut self.judges, true) {
            self.reach(self.end);
        }
    }

    pub(super) fn append(&mut self, count: u64) {
        self.end += count;
    }

    pub(super) fn has_ready(&self) -> bool {
        (!self.judges && self.next < self.end) || !self.returned.is_empty() || !self.due.is_empty()
    }

    /// The run that the next lease would come from, in the order of offsets.
    pub(super) fn first_ready(&self) -> Option<(Range<u64>, Tries)> {
        match self.returned.first() {
            Some(first) => Some(first),
            None if self.judges || self.next == self.end => None,
            None => Some((self.next..self.end, Tries::default())),
        }
    }

    /// The part of a ready run from `offset` on, below `next`, that has the same tries.
    pub(super) fn ready_at(&self, offset: u64) -> Option<(Range<u64>, Tries)> {
        let holds = |(run, _): &(Range<u64>, Tries)| run.start <= offset;
        let found = self.returned.from(offset).filter(holds);
        found.or_else(|| self.due.from(offset).filter(holds))
    }

    /// Records that came due after others.
    pub(super) fn late(&self) -> u64 {
        self.due.total()
    }

    /// Lends a range that lies within one ready run of those tries.
    pub(super) fn lease(
        &mut self,
        holder: LinkKey,
        range: Range<u64>,
        mut tries: Tries,
        term: Term,
    ) {
        if range.start >= self.next {
            debug_assert!(range.start == self.next && !self.judges);
            self.next = range.end;
        } else {
            self.returned.remove(range.clone(), |_| true, |_, _| ());
            self.due.remove(range.clone(), |_| true, |_, _| ());
        }
        self.lent_end = self.lent_end.max(range.end);
        tries.acquired = tries.acquired.saturating_add(1);
        let lease = Lease {
            holder,
            tries,
            term,
        };
        self.leased.insert(range, lease);
    }

    /// A new mark, if the leases have come near the last one: near, not past, so that the
    /// mark is mostly durable by the time the leases it covers are made.
    pub(super) fn mark(&mut self) -> Option<Offset> {
        if self.lent_end + MARK_AHEAD / 2 <= self.marked {
            return None;
        }
        self.marked = self.lent_end + MARK_AHEAD;
        Some(Offset(self.marked))
    }

    /// Nothing is lent and nothing will be: what was marked ahead was not handed out.
    pub(super) fn rest(&mut self) {
        self.marked = self.lent_end;
    }

    /// Ends what `holder` holds of the range; tells each piece with its lease. The caller
    /// decides what they become.
    pub(super) fn end_leases(
        &mut self,
        holder: LinkKey,
        range: Range<u64>,
        mut ended: impl FnMut(Range<u64>, Lease),
    ) -> u64 {
        let mut count = 0;
        self.leased.remove(
            range,
            |lease| lease.holder == holder,
            |piece, lease| {
                count += piece.end - piece.start;
                ended(piece, lease);
            },
        );
        count
    }

    /// Ends all leases of the range; tells each piece with its holder.
    pub(super) fn end_all_leases(
        &mut self,
        range: Range<u64>,
        mut ended: impl FnMut(Range<u64>, LinkKey),
    ) {
        let ended = |piece, lease: Lease| ended(piece, lease.holder);
        self.leased.remove(range, |_| true, ended);
    }

    /// As [`AckCursor::end_leases`], of one holder or of all.
    pub(super) fn revoke(
        &mut self,
        range: Range<u64>,
        holder: Option<LinkKey>,
        ended: impl FnMut(Range<u64>, Lease),
    ) {
        let is_meant = |lease: Lease| holder.is_none_or(|holder| lease.holder == holder);
        self.leased.remove(range, is_meant, ended);
    }

    /// Whether each record of the range is ready.
    pub fn is_ready(&self, records: &Range<Offset>) -> bool {
        let mut at = records.start.0;
        let end = records.end.0.min(self.next);
        while at < end {
            match self.ready_at(at) {
                Some((run, _)) => at = run.end,
                None => return false,
            }
        }
        records.end.0 <= self.end
    }

    /// Whether `holder` holds each record of the range.
    pub fn holds(&self, holder: LinkKey, records: &Range<Offset>) -> bool {
        let mut at = records.start.0;
        while at < records.end.0 {
            match self.leased.from(at) {
                Some((run, lease)) if run.start <= at && lease.holder == holder => at = run.end,
                _ => return false,
            }
        }
        true
    }

    /// From now on, what `holder` holds of the range is lent until then.
    pub(super) fn extend(&mut self, holder: LinkKey, range: Range<u64>, deadline_s: u64) {
        let mut pieces = Vec::new();
        self.leased.remove(
            range,
            |lease| lease.holder == holder,
            |piece, lease| pieces.push((piece, lease)),
        );
        for (piece, mut lease) in pieces {
            lease.term.deadline_s = deadline_s;
            self.leased.insert(piece, lease);
        }
    }

    /// Leases that have passed their deadline, with their holders, and the next deadline.
    pub(super) fn overdue(&self, now_s: u64) -> (Vec<(LinkKey, Range<u64>)>, Option<u64>) {
        let mut overdue = Vec::new();
        let mut next = None;
        for (run, lease) in self.leased.iter() {
            match lease.term.deadline_s {
                0 => {}
                deadline if deadline <= now_s => overdue.push((lease.holder, run)),
                deadline => next = Some(next.map_or(deadline, |next: u64| next.min(deadline))),
            }
        }
        overdue.sort_unstable_by_key(|(holder, run)| (*holder, run.start));
        (overdue, next)
    }

    /// Makes records ready that are in no state: a lease that ended, a new one judged.
    pub(super) fn put_ready(&mut self, range: Range<u64>, tries: Tries) {
        self.returned.insert(range, tries);
    }

    /// As [`AckCursor::put_ready`], behind others.
    pub(super) fn put_due(&mut self, range: Range<u64>, tries: Tries) {
        self.due.insert(range, tries);
    }

    /// As [`AckCursor::put_ready`], for later.
    pub(super) fn put_waiting(&mut self, range: Range<u64>, tries: Tries) {
        self.waiting.insert(range, tries);
    }

    /// As [`AckCursor::put_ready`], for dead records that are to be moved.
    pub(super) fn put_dying(&mut self, range: Range<u64>, reason: Reason) {
        match self.deaths.back_mut() {
            Some((last, of)) if last.end == range.start && *of == reason => last.end = range.end,
            _ => self.deaths.push_back((range.clone(), reason)),
        }
        self.dying.insert(range, reason);
    }

    /// As [`AckCursor::put_ready`], for records that nobody is owed any more.
    pub(super) fn put_settled(&mut self, piece: Range<u64>) {
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

    /// The ready records of a range, below `next`.
    pub(super) fn ready_within(&self, range: Range<u64>, each: impl FnMut(Range<u64>)) {
        let mut each = each;
        within(&self.returned, range.clone(), &mut each);
        within(&self.due, range, each);
    }

    /// The waiting records of a range.
    pub(super) fn waiting_within(&self, range: Range<u64>, each: impl FnMut(Range<u64>)) {
        within(&self.waiting, range, each);
    }

    /// Takes ready records of a range, below `next`, out of that state.
    pub(super) fn take_ready(
        &mut self,
        range: Range<u64>,
        mut taken: impl FnMut(Range<u64>, Tries),
    ) {
        self.returned.remove(range.clone(), |_| true, &mut taken);
        self.due.remove(range, |_| true, taken);
    }

    /// Takes up to `most` ready records from `next` on, where they are not judged.
    pub(super) fn take_next(&mut self, most: u64) -> Range<u64> {
        debug_assert!(!self.judges);
        let range = self.next..self.end.min(self.next.saturating_add(most));
        self.next = range.end;
        self.lent_end = self.lent_end.max(range.end);
        self.marked = self.marked.max(range.end);
        range
    }

    /// Takes waiting records of a range out of that state.
    pub(super) fn take_waiting(&mut self, range: Range<u64>, taken: impl FnMut(Range<u64>, Tries)) {
        self.waiting.remove(range, |_| true, taken);
    }

    /// Takes dying records out of that state: the front part of [`AckCursor::first_dying`].
    pub(super) fn take_dying(&mut self, range: Range<u64>, mut taken: impl FnMut(Range<u64>)) {
        if let Some((first, _)) = self.deaths.front_mut()
            && first.start == range.start
        {
            first.start = range.end.min(first.end);
            if first.is_empty() {
                self.deaths.pop_front();
            }
        }
        self.dying.remove(range, |_| true, |piece, _| taken(piece));
    }

    /// Moves `next` on; what it passes is ready, and untried.
    pub(super) fn reach(&mut self, to: u64) {
        if to > self.next {
            for (piece, tries) in self.untried(self.next..to) {
                self.returned.insert(piece, tries);
            }
            self.next = to;
        }
    }

    /// Records that are in no state yet, with their tries: what was marked before a restart may
    /// have been handed out then.
    pub(super) fn untried(
        &self,
        range: Range<u64>,
    ) -> impl Iterator<Item = (Range<u64>, Tries)> + use<> {
        let lent = self.lent_end.clamp(range.start, range.end);
        let once = Tries {
            acquired: 1,
            failed: 0,
        };
        let parts = [
            (range.start..lent, once),
            (lent..range.end, Tries::default()),
        ];
        parts.into_iter().filter(|(piece, _)| !piece.is_empty())
    }

    /// As [`AckCursor::reach`]; what it passes is in no state, and the caller's to place.
    pub(super) fn pass(&mut self, to: u64) {
        debug_assert!(self.next <= to && to <= self.end);
        self.next = to;
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        assert!(self.floor <= self.next && self.next <= self.end);
        let mut runs: Vec<Range<u64>> = Vec::new();
        self.leased.check();
        self.returned.check();
        self.waiting.check();
        self.due.check();
        runs.extend(self.due.iter().map(|(run, _)| run));
        self.dying.check();
        let in_order: u64 = self.deaths.iter().map(|(run, _)| run.end - run.start).sum();
        assert_eq!(in_order, self.dying.total());
        self.settled.check();
        runs.extend(self.leased.iter().map(|(run, _)| run));
        runs.extend(self.returned.iter().map(|(run, _)| run));
        runs.extend(self.waiting.iter().map(|(run, _)| run));
        runs.extend(self.dying.iter().map(|(run, _)| run));
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

fn within<T: Copy + PartialEq>(
    runs: &RunMap<T>,
    range: Range<u64>,
    mut each: impl FnMut(Range<u64>),
) {
    let mut at = range.start;
    while let Some((run, _)) = runs.from(at).filter(|(run, _)| run.start < range.end) {
        each(run.start.max(at)..run.end.min(range.end));
        at = run.end;
    }
}

/// Merges neighbouring pieces as they come, so that settling a thousand leases in a row
/// is one range. Most settles are one piece, kept without allocation.
#[derive(Default)]
pub(super) struct Pieces {
    done: Vec<Range<u64>>,
    open: Option<Range<u64>>,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: Range<u64>) {
        if piece.is_empty() {
            return;
        }
        match &mut self.open {
            Some(open) if open.end == piece.start => open.end = piece.end,
            open => self.done.extend(open.replace(piece)),
        }
    }

    pub(super) fn finish(self, each: impl FnMut(Range<u64>)) {
        self.done.into_iter().chain(self.open).for_each(each);
    }
}

/// Records marked as handed out ahead of the last lease. After a crash up to so many
/// records that nobody was given may be flagged as redelivered; a larger step would flag
/// more, a smaller one writes more entries.
const MARK_AHEAD: u64 = 4096;
