//! Records for who asks: one at a time (a get) or many (a share group), with a deadline or
//! without; and what becomes of leases that nobody ends.

use std::ops::Range;

use bongsu_record::Offset;

use super::cursor::{Pieces, Term};
use super::{Effect, Hold, LinkKey, Queue};
use crate::session::Outcome;

impl Queue {
    /// Lends up to so many records to a link that is not served otherwise.
    pub(super) fn pull(
        &mut self,
        key: LinkKey,
        count_max: u64,
        hold: Option<Hold>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.come_due(now_ms);
        let term = match hold {
            Some(hold) => Term {
                deadline_s: deadline_s(hold.lock_ms, now_ms),
                acquired_max: hold.acquired_max,
                since_s: now_ms / 1000,
            },
            None => self.usual_term(key, now_ms),
        };
        let mut left = count_max;
        while left > 0 {
            self.expire(now_ms, effects);
            if !self.cursor.has_ready() {
                break;
            }
            let Some(next) = self.reserve(key, left, now_ms, effects) else {
                break;
            };
            left -= next.end - next.start;
            self.lend(key, next, term, effects);
        }
        self.ask(effects);
    }

    /// What a link holds is lent for longer.
    pub(super) fn extend(
        &mut self,
        key: LinkKey,
        ranges: &[Range<Offset>],
        lock_ms: u64,
        now_ms: u64,
    ) {
        let deadline_s = deadline_s(lock_ms, now_ms);
        for range in ranges {
            let range = range.start.0..range.end.0;
            self.cursor.extend(key, range, deadline_s);
        }
        self.look_at_leases(deadline_s);
    }

    /// Leases that nobody was told of are ready again, and were not tried.
    pub(super) fn unsend(&mut self, key: LinkKey, ranges: &[Range<Offset>]) {
        for range in ranges {
            let mut pieces = Vec::new();
            let range = range.start.0..range.end.0;
            let count = self.cursor.end_leases(key, range, |piece, lease| {
                pieces.push((piece, lease.tries));
            });
            for (piece, mut tries) in pieces {
                tries.acquired = tries.acquired.saturating_sub(1);
                if let Some(judge) = &mut self.judge {
                    judge.order.returned(piece.clone());
                    judge.enter(&piece);
                }
                self.cursor.put_ready(piece, tries);
            }
            self.links.give_back(key, count);
        }
    }

    /// What is below `start` is gone: nobody is owed it, whatever state it is in. Only what
    /// is dying stays, until whoever moves it finds that it is gone.
    pub(super) fn trimmed(&mut self, start: u64, effects: &mut Vec<Effect>) {
        let end = self.cursor.end_number();
        if start > end {
            self.cursor.append(start - end);
        }
        let below = self.cursor.floor().0..start;
        if below.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        let links = &mut self.links;
        self.cursor.end_all_leases(below.clone(), |piece, holder| {
            links.give_back(holder, piece.end - piece.start);
            gone.push(piece);
        });
        if let Some(judge) = &mut self.judge {
            gone.iter()
                .for_each(|piece| judge.order.ended(piece.clone()));
        }
        let mut ready = Vec::new();
        self.cursor
            .take_ready(below.clone(), |piece, _| ready.push(piece));
        let mut waiting = Vec::new();
        self.cursor
            .take_waiting(below.clone(), |piece, _| waiting.push(piece));
        if let Some(judge) = &mut self.judge {
            for piece in &ready {
                judge.order.withdraw(piece.clone());
                judge.leave(piece);
            }
            for piece in &waiting {
                judge.order.dismiss(piece.clone());
                judge.schedule.remove(piece.clone());
            }
        }
        gone.append(&mut ready);
        gone.append(&mut waiting);
        let next = self.cursor.next();
        if start > next {
            self.cursor.pass(start);
            gone.push(next..start);
        }
        if let Some(judge) = &mut self.judge
            && judge.known < start
        {
            judge.known = start;
            judge.ordered = judge.ordered.max(start);
            // What was asked for is about records that are gone.
            judge.asked = false;
        }
        gone.sort_unstable_by_key(|piece| piece.start);
        let mut pieces = Pieces::default();
        gone.into_iter().for_each(|piece| pieces.push(piece));
        pieces.finish(|piece| self.settled(piece, effects));
    }

    /// Leases that were held for too long come back, without being counted as failed.
    /// Consumers that held one are served no more; who pulls only loses what is overdue.
    pub(super) fn overdue(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let now_s = now_ms / 1000;
        if self.overdue_s.is_none_or(|at| at > now_s) {
            return;
        }
        let (overdue, next) = self.cursor.overdue(now_s);
        self.overdue_s = next;
        for (key, range) in overdue {
            if !self.links.has(key) {
                let range = Offset(range.start)..Offset(range.end);
                self.settle(key, &[range], Outcome::Release, now_ms, effects);
                continue;
            }
            self.links.detach(key);
            let all = Offset(0)..self.cursor.end();
            self.settle(key, &[all], Outcome::Release, now_ms, effects);
            effects.push(Effect::Cancel { key });
        }
    }

    /// Some lease ends then, Unix seconds, if nobody ends it; 0 = never.
    pub(super) fn look_at_leases(&mut self, deadline_s: u64) {
        if deadline_s > 0 {
            let sooner = self.overdue_s.unwrap_or(u64::MAX).min(deadline_s);
            self.overdue_s = Some(sooner);
        }
    }
}

fn deadline_s(lock_ms: u64, now_ms: u64) -> u64 {
    match lock_ms {
        0 => 0,
        ms => now_ms.saturating_add(ms).div_ceil(1000),
    }
}
