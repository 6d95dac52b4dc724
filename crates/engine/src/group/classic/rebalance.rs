//! From one generation to the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::state::{Classic, Phase, Waiting};
use crate::group::GroupError;
use crate::group::call::{Answer, Effect, Ticket};

impl Classic {
    /// Something changed: members are to join again, or those who do may all have.
    pub(super) fn rebalance(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Gathering { .. } => {}
            Phase::Preparing { .. } => {
                if self.all_have_joined() {
                    self.next_generation(now_ms, effects);
                }
            }
            Phase::Empty { .. } => self.gather(now_ms, effects),
            Phase::Completing { .. } | Phase::Stable { .. } => self.prepare(now_ms, effects),
        }
    }

    /// The first member after a time without: more are likely to follow.
    fn gather(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let delay_ms = self.settings.initial_delay_ms;
        self.phase = Phase::Gathering {
            at_ms: now_ms.saturating_add(delay_ms),
            delay_ms,
            remaining_ms: self.rebalance_timeout_ms().saturating_sub(delay_ms),
            grown: false,
        };
        if delay_ms == 0 {
            self.next_generation(now_ms, effects);
        }
    }

    fn prepare(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        for member in self.members.values_mut() {
            if let Waiting::Share(_) = member.waiting {
                member.refuse(&GroupError::RebalanceInProgress, effects);
                member.heard(now_ms);
            }
        }
        self.put_off(now_ms);
        if self.all_have_joined() {
            self.next_generation(now_ms, effects);
        }
    }

    /// Never to this moment: a timeout that is passed again at once would never end.
    fn put_off(&mut self, now_ms: u64) {
        let wait_ms = self.rebalance_timeout_ms().max(1);
        self.phase = Phase::Preparing {
            until_ms: now_ms.saturating_add(wait_ms),
        };
    }

    /// Those who have joined are the next generation. Whoever has a name across restarts stays
    /// a member without.
    fn next_generation(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let late = self.members.values();
        let late = late.filter(|member| !member.joins() && member.instance.is_none());
        let late: Vec<Arc<str>> = late.map(|member| member.id.clone()).collect();
        for id in late {
            self.remove(&id, effects);
        }
        if self.members.is_empty() {
            self.advance(Phase::Empty { since_ms: now_ms }, effects);
            return;
        }
        if !self.elect() {
            // Nobody would share out.
            self.put_off(now_ms);
            return;
        }
        let phase = Phase::Completing {
            owing: self.members.keys().cloned().collect(),
            until_ms: now_ms.saturating_add(self.rebalance_timeout_ms().max(1)),
        };
        self.advance(phase, effects);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id, self.is_leader(&id));
            let member = self.members.get_mut(&id).expect("it is among the members");
            member.heard(now_ms);
            member.is_new = false;
            member.is_nameless = false;
            member.assignment = Arc::default();
            if let Waiting::Join(ticket) = member.waiting {
                member.waiting = Waiting::Nothing;
                let answer = Answer::Joined(Ok(joined));
                effects.push(Effect::Answer { ticket, answer });
            }
        }
    }

    /// Whether there is a leader that has joined.
    fn elect(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(|leader| leader.joins()) {
            return true;
        }
        let joined = self.members.values().filter(|member| member.joins());
        match joined.min_by_key(|member| member.order) {
            Some(oldest) => {
                self.leader = Some(oldest.id.clone());
                true
            }
            None => false,
        }
    }

    /// A member is gone, whoever waits for it is told. What follows from it is for the caller.
    pub(super) fn remove(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        // It may still be there, and then joins anew.
        member.refuse(&GroupError::UnknownMember, effects);
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if let Phase::Completing { owing, .. } | Phase::Stable { owing, .. } = &mut self.phase {
            owing.remove(id);
        }
        if self.is_leader(id) {
            let oldest = self.members.values().min_by_key(|member| member.order);
            self.leader = oldest.map(|member| member.id.clone());
        }
    }

    /// Whoever waited for an answer is gone. A member whose client was never told its id is
    /// nobody; any other may come back in time.
    pub fn abandon(&mut self, ticket: Ticket, now_ms: u64, effects: &mut Vec<Effect>) {
        let waits = [Waiting::Join(ticket), Waiting::Share(ticket)];
        let mut members = self.members.values_mut();
        let Some(member) = members.find(|member| waits.contains(&member.waiting)) else {
            return;
        };
        member.waiting = Waiting::Nothing;
        member.heard(now_ms);
        if member.is_nameless {
            let id = member.id.clone();
            self.remove(&id, effects);
            self.removed(now_ms, effects);
        }
    }

    /// A deadline may have passed.
    pub fn timeout(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        // One after the other: each may change what the next one means.
        while self.expected.values().any(|until_ms| *until_ms <= now_ms) {
            self.expected.retain(|_, until_ms| *until_ms > now_ms);
            self.removed(now_ms, effects);
        }
        while let Some(id) = self.next_silent(now_ms) {
            self.remove(&id, effects);
            self.removed(now_ms, effects);
        }
        if self.phase_ends_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.phase_ended(now_ms, effects);
        }
    }

    fn next_silent(&self, now_ms: u64) -> Option<Arc<str>> {
        let members = self.members.values();
        let silent = members.filter(|m| m.deadline_ms().is_some_and(|at| at <= now_ms));
        let first = silent.min_by_key(|member| (member.deadline_ms(), member.order));
        first.map(|member| member.id.clone())
    }

    /// Somebody is gone without having said so.
    pub(super) fn removed(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Empty { .. } => {}
            Phase::Gathering { .. } | Phase::Preparing { .. } => {
                if self.all_have_joined() {
                    self.next_generation(now_ms, effects);
                }
            }
            Phase::Completing { .. } | Phase::Stable { .. } => self.prepare(now_ms, effects),
        }
    }

    fn phase_ended(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Empty { .. } => {}
            Phase::Gathering {
                at_ms,
                delay_ms,
                remaining_ms,
                grown,
            } if *grown && *remaining_ms > 0 => {
                let next_ms = self.settings.initial_delay_ms.min(*remaining_ms);
                *grown = false;
                *remaining_ms = remaining_ms.saturating_sub(*delay_ms);
                *delay_ms = next_ms;
                *at_ms = now_ms.saturating_add(next_ms);
            }
            Phase::Gathering { .. } | Phase::Preparing { .. } => {
                self.next_generation(now_ms, effects);
            }
            Phase::Completing { owing, .. } | Phase::Stable { owing, .. } => {
                let owing: BTreeSet<Arc<str>> = std::mem::take(owing);
                for id in owing {
                    self.remove(&id, effects);
                }
                self.prepare(now_ms, effects);
            }
        }
    }
}
