//! What people are shown of a cursor: in which state a record is, who holds what.
//!
//! Nothing here changes anything, and each answer is bounded by what was asked for: whoever
//! asks holds the queue's lock.

use std::ops::Range;

use bongsu_record::Offset;

use super::{AckCursor, Lease};
use crate::queue::links::LinkKey;
use crate::session::Tries;

/// What holds for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Nobody is owed it any more.
    Settled,
    /// It could be lent.
    Ready,
    /// Somebody has it.
    Leased,
    /// It is not to be lent before some time.
    Waiting,
    /// It is on its way to where dead records go.
    Dying,
}

/// Consecutive records that one link holds on the same terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The first.
    pub start: Offset,
    /// Behind the last.
    pub end: Offset,
    /// Who.
    pub holder: LinkKey,
    /// This time included in `acquired`.
    pub tries: Tries,
    /// When they were lent: Unix milliseconds, in whole seconds.
    pub since_ms: u64,
    /// When the lease ends if nobody ends it: Unix milliseconds; `None` = with its holder.
    pub deadline_ms: Option<u64>,
}

impl Held {
    fn of(run: Range<u64>, lease: Lease) -> Held {
        Held {
            start: Offset(run.start),
            end: Offset(run.end),
            holder: lease.holder,
            tries: lease.tries,
            since_ms: lease.term.since_s.saturating_mul(1000),
            deadline_ms: match lease.term.deadline_s {
                0 => None,
                deadline_s => Some(deadline_s.saturating_mul(1000)),
            },
        }
    }
}

impl AckCursor {
    /// In which state a record below the end is, and how often it was tried.
    pub fn standing(&self, offset: Offset) -> (Standing, Tries) {
        let at = offset.0;
        let untried = Tries::default();
        if at < self.floor {
            return (Standing::Settled, untried);
        }
        if at >= self.next {
            return (Standing::Ready, untried);
        }
        if let Some(lease) = self.leased.at(at) {
            return (Standing::Leased, lease.tries);
        }
        if let Some(tries) = self.returned.at(at).or_else(|| self.due.at(at)) {
            return (Standing::Ready, tries);
        }
        if let Some(tries) = self.waiting.at(at) {
            return (Standing::Waiting, tries);
        }
        match self.dying.at(at) {
            Some(_) => (Standing::Dying, untried),
            None => (Standing::Settled, untried),
        }
    }

    /// The records in a state from `from` on, in order: at most so many runs. What is
    /// settled below the floor is one run from `from`, whatever the log keeps of it.
    pub fn runs_of(&self, standing: Standing, from: Offset, most: usize) -> Vec<Range<Offset>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let from = from.0;
        match standing {
            Standing::Settled => {
                runs.push(from..self.floor);
                runs.extend(self.settled.iter_from(from).map(|(run, ())| run).take(most));
            }
            Standing::Ready => {
                runs.extend(self.returned.iter_from(from).map(|(run, _)| run).take(most));
                runs.extend(self.due.iter_from(from).map(|(run, _)| run).take(most));
                runs.sort_unstable_by_key(|run| run.start);
                runs.push(self.next..self.end);
            }
            Standing::Leased => {
                runs.extend(self.leased.iter_from(from).map(|(run, _)| run).take(most));
            }
            Standing::Waiting => {
                runs.extend(self.waiting.iter_from(from).map(|(run, _)| run).take(most));
            }
            Standing::Dying => {
                runs.extend(self.dying.iter_from(from).map(|(run, _)| run).take(most));
            }
        }
        let runs = runs.into_iter().map(|run| run.start.max(from)..run.end);
        let runs = runs.filter(|run| run.start < run.end).take(most);
        runs.map(|run| Offset(run.start)..Offset(run.end)).collect()
    }

    /// Who holds what from `from` on, in the order of offsets.
    pub fn held_from(&self, from: Offset) -> impl Iterator<Item = Held> + '_ {
        let runs = self.leased.iter_from(from.0);
        runs.map(|(run, lease)| Held::of(run, lease))
    }

    /// The lease that has lasted longest, among the first so many runs of leases. More are
    /// not looked at: where leases are in that many pieces, the oldest are at the front.
    pub fn oldest_held(&self, most: usize) -> Option<Held> {
        let runs = self.leased.iter().take(most);
        let oldest = runs.min_by_key(|(run, lease)| (lease.term.since_s, run.start));
        oldest.map(|(run, lease)| Held::of(run, lease))
    }

    /// How many records of a range are leased, to one holder or to anybody.
    pub fn leased_of(&self, holder: Option<LinkKey>, range: &Range<Offset>) -> u64 {
        let runs = self.leased.iter_from(range.start.0);
        let runs = runs.take_while(|(run, _)| run.start < range.end.0);
        runs.filter(|(_, lease)| holder.is_none_or(|holder| lease.holder == holder))
            .map(|(run, _)| run.end.min(range.end.0) - run.start.max(range.start.0))
            .sum()
    }

    /// The first record that somebody is owed.
    pub fn first_owed(&self) -> Option<Offset> {
        (self.floor < self.end).then_some(Offset(self.floor))
    }
}
