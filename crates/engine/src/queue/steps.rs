//! What each input does to a queue.

use std::collections::BTreeMap;
use std::ops::Range;

use bongsu_record::Offset;

use super::cursor::{Lease, Pieces};
use super::judge::Judge;
use super::properties::RetryAfter;
use super::schedule::Recall;
use super::{Effect, Fact, FactRun, Gate, Input, LinkKey, Queue, Reason};
use crate::session::{Outcome, Tries};

/// Why a lease comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    Given,
    Failed,
}

impl Queue {
    /// Takes one input, appending what must be done to `effects`. `gates` says what each
    /// link may still be lent beyond its own credit. `now_ms` is Unix time.
    pub fn handle(
        &mut self,
        input: Input<'_>,
        now_ms: u64,
        gates: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        // What came just now goes to whoever waits for it, also if it may not wait at all.
        let expired_ms = match &input {
            Input::Append { .. } => now_ms.saturating_sub(1),
            _ => now_ms,
        };
        let mut relieved = BTreeMap::new();
        match input {
            Input::Append { count, facts } if count > 1 && self.goes_one_by_one() => {
                let singles = facts.iter().flat_map(single);
                for single in singles {
                    let input = Input::Append {
                        count: 1,
                        facts: &[single],
                    };
                    self.handle(input, now_ms, gates, effects);
                }
                return;
            }
            Input::Append { count, facts } => self.append(count, facts, now_ms),
            Input::Facts { records, facts } => self.told(&records, facts, now_ms),
            Input::Attach { key, link } => self.links.attach(key, link),
            Input::Detach { key, outcome } => {
                self.links.detach(key);
                if let Some(outcome) = outcome {
                    let all = Offset(0)..self.cursor.end();
                    self.settle(key, &[all], outcome, now_ms, effects);
                }
            }
            Input::Settle {
                key,
                ranges,
                outcome,
            } => self.settle(key, ranges, outcome, now_ms, effects),
            Input::Get { key } => return self.pull(key, 1, None, now_ms, effects),
            Input::Acquire {
                key,
                count_max,
                hold,
            } => return self.pull(key, count_max, Some(hold), now_ms, effects),
            Input::Extend {
                key,
                ranges,
                lock_ms,
            } => return self.extend(key, ranges, lock_ms, now_ms),
            Input::Unsend { key, ranges } => self.unsend(key, ranges),
            Input::Trimmed { start } => self.trimmed(start.0, effects),
            Input::Discard { ranges } => self.discard(ranges, effects),
            Input::Revoke { holder, ranges } => {
                relieved = self.revoke(holder, ranges, now_ms, effects);
            }
            Input::Resume { key } => self.links.resume(key),
            Input::Purge => self.purge(effects),
            Input::Moved { records } => self.moved(records, effects),
            Input::Configure { properties } => {
                self.properties = properties;
                self.configured(now_ms);
            }
            Input::Timeout => self.overdue(now_ms, effects),
            Input::Rest => {
                self.cursor.rest();
                return;
            }
        }
        self.come_due(now_ms);
        self.dispatch((now_ms, expired_ms), gates, effects);
        self.forgive(relieved);
        if expired_ms < now_ms {
            self.expire(now_ms, effects);
        }
        self.shorten(effects);
        self.ask(effects);
    }

    fn append(&mut self, count: u64, facts: &[FactRun], now_ms: u64) {
        let start = self.cursor.end_number();
        if facts.iter().any(|run| !run.fact.is_plain()) {
            self.begin_judging(now_ms);
        }
        self.cursor.append(count);
        let Some(judge) = &self.judge else {
            return;
        };
        let ahead = self.cursor.ready() - count < judge.window();
        if self.cursor.judges() && judge.known == start && ahead && !facts.is_empty() {
            // They begin to live now, whenever their publisher's bytes arrived.
            let mut facts = facts.to_vec();
            for run in &mut facts {
                run.fact.at_ms = run.fact.at_ms.max(now_ms);
            }
            self.judge(start..start + count, &facts, now_ms);
        }
    }

    /// Offsets alone no longer decide.
    fn begin_judging(&mut self, now_ms: u64) {
        if !self.cursor.judges() {
            self.cursor.begin_judging();
            let known = self.cursor.end_number();
            // Records that wait for another try are in the schedule already.
            let judge = self.judge_mut(now_ms);
            judge.known = known;
            judge.ordered = known;
        }
    }

    fn judge_mut(&mut self, now_ms: u64) -> &mut Judge {
        let known = self.cursor.end_number();
        let properties = &self.properties;
        self.judge
            .get_or_insert_with(|| Box::new(Judge::new(properties, known, now_ms)))
    }

    /// Facts that were asked for.
    fn told(&mut self, records: &Range<Offset>, facts: &[FactRun], now_ms: u64) {
        let Some(judge) = &mut self.judge else {
            return;
        };
        if records.start.0 == judge.known {
            judge.asked = false;
            self.judge(records.start.0..records.end.0, facts, now_ms);
            return;
        }
        judge.asked_times = false;
        for run in facts {
            let at_ms = run.fact.deliver_at_ms;
            judge.schedule.told(at_ms, run.records.clone());
        }
    }

    /// Judges records from `known` on.
    fn judge(&mut self, records: Range<u64>, facts: &[FactRun], now_ms: u64) {
        let end = records.end.min(self.cursor.end_number());
        for run in facts {
            let range = run.records.start.max(records.start)..run.records.end.min(end);
            if !range.is_empty() {
                self.judge_run(range, &run.fact, now_ms);
            }
        }
        // What was left out is settled, or cannot be: it is ready as it is.
        self.cursor.reach(end);
        if let Some(judge) = &mut self.judge {
            judge.known = judge.known.max(end);
            judge.ordered = judge.ordered.max(end);
        }
    }

    fn judge_run(&mut self, range: Range<u64>, fact: &Fact, now_ms: u64) {
        let Some(judge) = &mut self.judge else {
            return;
        };
        if let Some(sizes) = &mut judge.sizes {
            sizes.push(&range, fact.bytes);
        }
        let ttl_ms = self.properties.message_ttl_ms;
        if let Some(at_ms) = fact.expires_ms(ttl_ms) {
            judge.expiries.insert(range.clone(), at_ms);
        }
        let next = self.cursor.next();
        let mut pieces = Vec::new();
        let again = range.start..range.end.min(judge.ordered);
        if !again.is_empty() {
            self.cursor.ready_within(again, |piece| judge.enter(&piece));
        }
        let range = range.start.max(judge.ordered)..range.end;
        if range.is_empty() {
            return;
        }
        if range.start < next {
            // Seen before a restart.
            let seen = range.start..range.end.min(next);
            self.cursor
                .waiting_within(seen.clone(), |piece| judge.order.wait(piece, fact));
            self.cursor
                .take_ready(seen, |piece, tries| pieces.push((piece, tries)));
        }
        if range.end > next {
            self.cursor.reach(range.start);
            let new = range.start.max(next)..range.end;
            self.cursor.pass(new.end);
            pieces.extend(self.cursor.untried(new));
        }
        for (piece, mut tries) in pieces {
            let limit = self.properties.delivery_limit.unwrap_or(u32::MAX);
            if fact.deliver_at_ms > now_ms && tries.failed == 0 && tries.acquired <= 1 {
                // It cannot have been handed out yet, whatever a mark says.
                tries = Tries::default();
                judge.order.hold(piece.clone(), fact);
                let recall = Recall::FromRecord;
                judge
                    .schedule
                    .insert(fact.deliver_at_ms, piece.clone(), recall);
                self.cursor.put_waiting(piece, tries);
            } else if tries.failed > limit && self.properties.dead_letter.is_some() {
                self.cursor.put_dying(piece, Reason::DeliveryLimit);
            } else {
                judge.order.offer(piece.clone(), fact);
                judge.enter(&piece);
                // It was delayed and came due while nobody looked.
                let late = fact.deliver_at_ms > fact.at_ms && tries.failed == 0;
                let end = self.cursor.end_number();
                if late
                    && judge
                        .order
                        .late(piece.clone(), (end, fact.deliver_at_ms, piece.start))
                {
                    self.cursor.put_due(piece, tries);
                } else {
                    self.cursor.put_ready(piece, tries);
                }
            }
        }
    }

    pub(super) fn settle(
        &mut self,
        key: LinkKey,
        ranges: &[Range<Offset>],
        outcome: Outcome,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        for range in ranges {
            let range = range.start.0..range.end.0;
            let count = match outcome {
                Outcome::Accept => self.accept(key, range, effects),
                _ => self.give_back(key, range, outcome, now_ms, effects),
            };
            self.links.give_back(key, count);
        }
    }

    fn accept(&mut self, key: LinkKey, range: Range<u64>, effects: &mut Vec<Effect>) -> u64 {
        let mut pieces = Pieces::default();
        let count = self
            .cursor
            .end_leases(key, range, |piece, _| pieces.push(piece));
        pieces.finish(|piece| self.end(piece, effects));
        count
    }

    fn give_back(
        &mut self,
        key: LinkKey,
        range: Range<u64>,
        outcome: Outcome,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let mut pieces = Vec::new();
        let count = self.cursor.end_leases(key, range, |piece, lease| {
            pieces.push((piece, lease));
        });
        for (piece, lease) in pieces {
            match outcome {
                Outcome::Reject => self.kill_leased(piece, Reason::Rejected, effects),
                Outcome::Fail => self.back(piece, lease, Back::Failed, now_ms, effects),
                _ => self.back(piece, lease, Back::Given, now_ms, effects),
            }
        }
        count
    }

    /// A lease was given back, or taken back: nothing has failed.
    pub(super) fn given_back(
        &mut self,
        piece: Range<u64>,
        lease: Lease,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.back(piece, lease, Back::Given, now_ms, effects);
    }

    /// A lease came back: the record is ready again, at once or later, or dead.
    fn back(
        &mut self,
        piece: Range<u64>,
        Lease {
            mut tries, term, ..
        }: Lease,
        back: Back,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        if term.acquired_max > 0 && tries.acquired >= term.acquired_max {
            return self.kill_leased(piece, Reason::DeliveryLimit, effects);
        }
        if back == Back::Failed {
            tries.failed = tries.failed.saturating_add(1);
            if self
                .properties
                .delivery_limit
                .is_some_and(|limit| tries.failed > limit)
            {
                return self.kill_leased(piece, Reason::DeliveryLimit, effects);
            }
        }
        let at_ms = self.retry_at(tries, back, now_ms);
        // A try that counts is recorded. Others are seen in the mark.
        if at_ms > 0 || back == Back::Failed || self.properties.tells_tries {
            effects.push(Effect::Returned {
                records: Offset(piece.start)..Offset(piece.end),
                tries,
                at_ms,
            });
        }
        if at_ms > 0 {
            let judge = self.judge_mut(now_ms);
            judge.order.parked(piece.clone());
            judge.schedule.insert(at_ms, piece.clone(), Recall::Keep);
            self.cursor.put_waiting(piece, tries);
            return;
        }
        if let Some(judge) = &mut self.judge {
            judge.order.returned(piece.clone());
            judge.enter(&piece);
        }
        self.cursor.put_ready(piece, tries);
    }

    fn retry_at(&self, tries: Tries, back: Back, now_ms: u64) -> u64 {
        let Some(retry) = &self.properties.retry else {
            return 0;
        };
        let count = match (retry.after, back) {
            (RetryAfter::All, _) | (RetryAfter::Returned, Back::Given) => tries.acquired,
            (RetryAfter::Failed, Back::Failed) => tries.failed,
            _ => return 0,
        };
        now_ms.saturating_add(retry.delay.after(count))
    }

    /// A leased record is dead.
    fn kill_leased(&mut self, piece: Range<u64>, reason: Reason, effects: &mut Vec<Effect>) {
        self.deaths.add(reason, piece.end - piece.start);
        if self.properties.dead_letter.is_none() {
            return self.end(piece, effects);
        }
        if let Some(judge) = &mut self.judge {
            judge.order.ended(piece.clone());
        }
        self.bury(piece, reason, effects);
    }

    /// Ready records are dead: all of the range, which lies in one ready run or beyond
    /// `next`.
    pub(super) fn kill_ready(
        &mut self,
        range: Range<u64>,
        reason: Reason,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(judge) = &mut self.judge {
            judge.order.withdraw(range.clone());
            judge.leave(&range);
        }
        let mut pieces = Pieces::default();
        self.cursor
            .take_ready(range.clone(), |piece, _| pieces.push(piece));
        if range.start >= self.cursor.next() {
            pieces.push(self.cursor.take_next(range.end - range.start));
        }
        pieces.finish(|piece| {
            self.deaths.add(reason, piece.end - piece.start);
            match self.properties.dead_letter {
                Some(_) => self.bury(piece, reason, effects),
                None => self.settled(piece, effects),
            }
        });
    }

    pub(super) fn bury(&mut self, piece: Range<u64>, reason: Reason, effects: &mut Vec<Effect>) {
        effects.push(Effect::Dying {
            records: Offset(piece.start)..Offset(piece.end),
            reason,
        });
        self.cursor.put_dying(piece, reason);
    }

    /// A lease is over and done with.
    fn end(&mut self, piece: Range<u64>, effects: &mut Vec<Effect>) {
        if let Some(judge) = &mut self.judge {
            judge.order.ended(piece.clone());
        }
        self.settled(piece, effects);
    }

    pub(super) fn settled(&mut self, piece: Range<u64>, effects: &mut Vec<Effect>) {
        self.cursor.put_settled(piece.clone());
        if let Some(judge) = &mut self.judge {
            judge.forget(piece.clone(), self.cursor.floor().0);
        }
        if let Some(seen) = &mut self.seen {
            seen.settled(&piece);
        }
        effects.push(Effect::Settled {
            records: Offset(piece.start)..Offset(piece.end),
        });
    }

    fn moved(&mut self, records: Range<Offset>, effects: &mut Vec<Effect>) {
        let mut pieces = Pieces::default();
        self.cursor
            .take_dying(records.start.0..records.end.0, |piece| pieces.push(piece));
        pieces.finish(|piece| self.settled(piece, effects));
    }

    fn purge(&mut self, effects: &mut Vec<Effect>) {
        let mut pieces = Pieces::default();
        self.cursor
            .take_ready(0..u64::MAX, |piece, _| pieces.push(piece));
        let (next, end) = (self.cursor.next(), self.cursor.end_number());
        if let Some(judge) = &mut self.judge {
            judge.known = end;
            judge.asked = false;
        }
        if self.cursor.judges() {
            self.cursor.pass(end);
            pieces.push(next..end);
        } else {
            pieces.push(self.cursor.take_next(u64::MAX));
        }
        pieces.finish(|piece| {
            if let Some(judge) = &mut self.judge {
                judge.order.withdraw(piece.clone());
                judge.leave(&piece);
            }
            self.settled(piece, effects);
        });
    }

    fn configured(&mut self, now_ms: u64) {
        self.links.set_single(self.properties.single_active);
        let floor = self.cursor.floor().0;
        if self.properties.judges() {
            self.cursor.begin_judging();
        }
        if self.cursor.judges() {
            self.judge_mut(now_ms);
        }
        if let Some(judge) = &mut self.judge {
            judge.restart(&self.properties, floor, now_ms);
        }
    }

    /// Asks for facts where the window has room, and for times that were forgotten.
    pub(super) fn ask(&mut self, effects: &mut Vec<Effect>) {
        let Some(judge) = &mut self.judge else {
            return;
        };
        let end = self.cursor.end_number();
        if self.cursor.judges()
            && !judge.asked
            && judge.known < end
            && self.cursor.ready_below(judge.known) < judge.window() / 2
        {
            judge.asked = true;
            effects.push(Effect::Tell {
                records: Offset(judge.known)..Offset(end),
            });
        }
        if !judge.asked_times
            && let Some(wanted) = judge.schedule.wanted(TOLD_COUNT_MAX)
        {
            judge.asked_times = true;
            effects.push(Effect::Tell {
                records: Offset(wanted.start)..Offset(wanted.end),
            });
        }
    }
}

/// The records of a run, each for itself.
fn single(run: &FactRun) -> impl Iterator<Item = FactRun> {
    let fact = run.fact;
    run.records.clone().map(move |offset| FactRun {
        records: offset..offset + 1,
        fact,
    })
}

/// Records whose forgotten times are asked for at once.
const TOLD_COUNT_MAX: u64 = 65_536;
