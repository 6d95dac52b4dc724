//! What is ready, in which order it is lent, and what of it goes before it could be.

use std::ops::Range;

use bongsu_record::Offset;

use super::cursor::Term;
use super::order::Order;
use super::properties::Overflow;
use super::{Effect, Gate, LinkKey, Queue, Reason};
use crate::session::Tries;

impl Queue {
    /// Records whose time has come are ready.
    pub(super) fn come_due(&mut self, now_ms: u64) {
        let Some(judge) = &mut self.judge else {
            return;
        };
        if judge.schedule.next_ms().is_none_or(|next| next > now_ms) {
            return;
        }
        let mut due = Vec::new();
        judge.schedule.advance(now_ms, &mut due);
        let mut ready = Vec::new();
        for range in due {
            self.cursor
                .take_waiting(range, |piece, tries| ready.push((piece, tries)));
        }
        let end = self.cursor.end_number();
        for (nth, (piece, tries)) in (0..).zip(ready) {
            // What is not judged yet after a restart is ordered when it is.
            let judged = piece.start..piece.end.min(judge.ordered);
            if !judged.is_empty() {
                judge.enter(&judged);
                judge.order.due(judged);
            }
            // A record that comes back after a while comes back to its place; one that was
            // delayed from the first takes its place now.
            if tries == Tries::default() && judge.order.late(piece.clone(), (end, now_ms, nth)) {
                self.cursor.put_due(piece, tries);
            } else {
                self.cursor.put_ready(piece, tries);
            }
        }
    }

    /// Lends what is ready, and did not expire by the second time, to whoever has credit, in
    /// turns.
    pub(super) fn dispatch(
        &mut self,
        (now_ms, expired_ms): (u64, u64),
        gates: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        let mut dry = Vec::new();
        loop {
            self.expire(expired_ms, effects);
            if !self.cursor.has_ready() {
                break;
            }
            let Some(turn) = self.links.next_turn() else {
                break;
            };
            let Some(next) = self.reserve(turn.key, turn.credit, expired_ms, effects) else {
                // Not judged yet; or, by key, nothing for this link, perhaps for another.
                self.links.hold(turn.key);
                dry.push(turn.key);
                continue;
            };
            let admitted = gates.admit(turn.key, next.end - next.start);
            if admitted == 0 {
                if let Some(judge) = &mut self.judge {
                    judge.order.put_back(next);
                }
                self.links.hold(turn.key);
                continue;
            }
            let term = self.usual_term(turn.key, now_ms);
            self.lend(turn.key, next.start..next.start + admitted, term, effects);
            self.links.take(turn.key, admitted);
        }
        for key in dry {
            self.links.resume(key);
        }
    }

    /// What is lent to this link next, up to `most` records of one run.
    pub(super) fn reserve(
        &mut self,
        key: LinkKey,
        most: u64,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Option<Range<u64>> {
        loop {
            let Some(judge) = self.judge.as_mut().filter(|_| self.cursor.judges()) else {
                let (run, _) = self.cursor.first_ready()?;
                return Some(run.start..run.end.min(run.start.saturating_add(most)));
            };
            let next = judge.order.reserve(key, &self.cursor, judge.known, most)?;
            let mut end = next.end;
            if let Some((run, _)) = self.cursor.ready_at(next.start) {
                end = end.min(run.end);
            }
            if judge.expiries.is_empty() {
                return Some(next.start..end);
            }
            let (expires_ms, until) = judge.expiry(next.start);
            if expires_ms.is_none_or(|at_ms| at_ms > now_ms) {
                // Behind it may be one that has expired by the time it is the head.
                return Some(next.start..end.min(until));
            }
            // Only by key: it was not the head of the queue, and is of its key.
            judge.order.ended(next.clone());
            judge.leave(&next);
            self.cursor.take_ready(next.clone(), |_, _| ());
            match self.properties.dead_letter {
                Some(_) => self.bury(next, Reason::Expired, effects),
                None => self.settled(next, effects),
            }
        }
    }

    /// For how long a link is lent records, as it or the queue says.
    pub(super) fn usual_term(&self, key: LinkKey, now_ms: u64) -> Term {
        let own_ms = self.links.timeout_ms(key);
        let ms = own_ms.or(self.properties.consumer_timeout_ms);
        let deadline_s = match ms.filter(|ms| *ms > 0) {
            Some(ms) => now_ms.saturating_add(ms).div_ceil(1000),
            None => 0,
        };
        let acquired_max = 0;
        Term {
            deadline_s,
            acquired_max,
            since_s: now_ms / 1000,
        }
    }

    /// Lends what was reserved, or the front part of it.
    pub(super) fn lend(
        &mut self,
        key: LinkKey,
        range: Range<u64>,
        term: Term,
        effects: &mut Vec<Effect>,
    ) {
        if self.cursor.judges()
            && let Some(judge) = &mut self.judge
        {
            judge.order.lend(range.clone());
            judge.leave(&range);
        }
        let found = self.cursor.ready_at(range.start);
        let tries = found.map_or_else(Tries::default, |(_, tries)| tries);
        self.look_at_leases(term.deadline_s);
        self.cursor.lease(key, range.clone(), tries, term);
        if let Some(next) = self.cursor.mark() {
            effects.push(Effect::Mark { next });
        }
        effects.push(Effect::Lease {
            key,
            records: Offset(range.start)..Offset(range.end),
            tries,
        });
    }

    /// Records at the head whose time is over are dead. Only there: what is behind a record
    /// that lives is not looked at, as with RabbitMQ.
    pub(super) fn expire(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        loop {
            let Some(judge) = self.judge.as_ref().filter(|j| !j.expiries.is_empty()) else {
                return;
            };
            let is_over = |head: u64| {
                let (at_ms, end) = judge.expiry(head);
                (at_ms? <= now_ms).then_some(head..end)
            };
            let expired = match &judge.order {
                Order::Offset(_) if self.cursor.late() == 0 => match self.cursor.first_ready() {
                    Some((run, _)) if run.start < judge.known => is_over(run.start),
                    _ => None,
                },
                order => {
                    let heads = order.heads(&self.cursor, judge.known);
                    heads.into_iter().find_map(is_over)
                }
            };
            let Some(mut range) = expired else {
                return;
            };
            range.end = match judge.order {
                Order::Offset(_) => {
                    let run = self.cursor.ready_at(range.start).map(|(run, _)| run.end);
                    range.end.min(judge.known).min(run.unwrap_or(u64::MAX))
                }
                _ => range.start + 1,
            };
            self.kill_ready(range, Reason::Expired, effects);
        }
    }

    /// Drops records from the head of a queue that is too long.
    pub(super) fn shorten(&mut self, effects: &mut Vec<Effect>) {
        if self.properties.overflow != Overflow::DropHead {
            return;
        }
        if let Some(length_max) = self.properties.length_max {
            while self.cursor.ready() > length_max {
                let excess = self.cursor.ready() - length_max;
                let Some(range) = self.oldest(excess) else {
                    break;
                };
                self.kill_ready(range, Reason::MaxLen, effects);
            }
        }
        if let Some(bytes_max) = self.properties.bytes_max {
            while self.ready_bytes() > bytes_max {
                let Some(range) = self.oldest(1) else {
                    break;
                };
                self.kill_ready(range, Reason::MaxLen, effects);
            }
        }
    }

    /// The ready records that go first when there are too many.
    fn oldest(&self, most: u64) -> Option<Range<u64>> {
        let one_by_one = self.judge.as_ref().filter(|judge| {
            let by_offset = matches!(judge.order, Order::Offset(_));
            self.cursor.judges() && !(by_offset && self.cursor.late() == 0)
        });
        if let Some(judge) = one_by_one {
            let first = judge.order.oldest(&self.cursor, judge.known)?;
            return Some(first..first + 1);
        }
        let (run, _) = self.cursor.first_ready()?;
        Some(run.start..run.end.min(run.start.saturating_add(most)))
    }

    /// With priorities it matters after which record a queue was too long: what is dropped
    /// then might have stayed after the next.
    pub(super) fn goes_one_by_one(&self) -> bool {
        let properties = &self.properties;
        let bounded = properties.length_max.is_some() || properties.bytes_max.is_some();
        properties.priority_max.is_some() && bounded && properties.overflow == Overflow::DropHead
    }
}
