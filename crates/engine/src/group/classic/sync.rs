//! Shares, heartbeats, leaving.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{Leave, Leaving, Left, Sync};
use super::state::{Classic, Phase, Waiting};
use crate::group::GroupError;
use crate::group::call::{Answer, Effect, Ticket};

impl Classic {
    /// A member asks for its share; the leader brings all of them.
    pub fn sync(&mut self, ticket: Ticket, sync: Sync, now_ms: u64, effects: &mut Vec<Effect>) {
        if let Err(refused) = self.may_sync(&sync) {
            let answer = Answer::Synced(Err(refused));
            effects.push(Effect::Answer { ticket, answer });
            return;
        }
        let is_leader = self.is_leader(&sync.member);
        let member = self.members.get_mut(sync.member.as_str());
        let member = member.expect("it was looked up");
        match &mut self.phase {
            Phase::Completing { owing, .. } => {
                owing.remove(&member.id);
                // It asked before, over a connection that it has given up.
                member.refuse(&GroupError::RebalanceInProgress, effects);
                member.waiting = Waiting::Share(ticket);
                if is_leader {
                    self.share_out(sync.assignments, now_ms, effects);
                }
            }
            Phase::Stable { owing, .. } => {
                owing.remove(&member.id);
                let assignment = member.assignment.clone();
                let answer = Answer::Synced(Ok(self.synced(&assignment)));
                effects.push(Effect::Answer { ticket, answer });
            }
            Phase::Empty { .. } | Phase::Gathering { .. } | Phase::Preparing { .. } => {
                let answer = Answer::Synced(Err(GroupError::RebalanceInProgress));
                effects.push(Effect::Answer { ticket, answer });
            }
        }
    }

    fn may_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        if self.is_empty() {
            return Err(GroupError::UnknownMember);
        }
        self.is_member(&sync.member, sync.instance.as_deref())?;
        if sync.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<String>, is: &str| said.as_ref().is_some_and(|s| s != is);
        let chosen = self.protocol.as_deref().unwrap_or_default();
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, chosen) {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    fn share_out(
        &mut self,
        assignments: Vec<(String, Arc<[u8]>)>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Completing { owing, until_ms } = &mut self.phase else {
            return;
        };
        self.phase = Phase::Stable {
            owing: std::mem::take(owing),
            until_ms: *until_ms,
        };
        let mut assignments: BTreeMap<String, Arc<[u8]>> = assignments.into_iter().collect();
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let assignment = assignments.remove(&*id).unwrap_or_default();
            let synced = self.synced(&assignment);
            let member = self.members.get_mut(&id).expect("it is among the members");
            member.assignment = assignment;
            if let Waiting::Share(ticket) = member.waiting {
                member.waiting = Waiting::Nothing;
                member.heard(now_ms);
                let answer = Answer::Synced(Ok(synced));
                effects.push(Effect::Answer { ticket, answer });
            }
        }
    }

    /// A member is alive.
    pub fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now_ms: u64,
    ) -> Result<(), GroupError> {
        self.is_member(member, instance)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(member) {
            // One that waits for its answer sends none; should it, its time to join runs on.
            if !member.is_new {
                member.heard(now_ms);
            }
        }
        match self.phase {
            Phase::Empty { .. } => Err(GroupError::UnknownMember),
            Phase::Gathering { .. } | Phase::Preparing { .. } => {
                Err(GroupError::RebalanceInProgress)
            }
            Phase::Completing { .. } | Phase::Stable { .. } => Ok(()),
        }
    }

    /// Members leave; an operator may make one leave by its name across restarts.
    pub fn leave(&mut self, leave: Leave, now_ms: u64, effects: &mut Vec<Effect>) -> Vec<Left> {
        let left = leave.members.into_iter().map(|who| {
            let result = self.leave_one(&who, effects);
            Left { who, result }
        });
        let left: Vec<Left> = left.collect();
        if left.iter().any(|left| left.result.is_ok()) && !self.is_empty() {
            self.rebalance(now_ms, effects);
        }
        left
    }

    fn leave_one(&mut self, who: &Leaving, effects: &mut Vec<Effect>) -> Result<(), GroupError> {
        if who.member.is_empty() {
            let named = who.instance.as_deref();
            let named = named.and_then(|name| self.instances.get(name).cloned());
            let id = named.ok_or(GroupError::UnknownMember)?;
            self.remove(&id, effects);
            return Ok(());
        }
        if self.expected.remove(who.member.as_str()).is_some() {
            return Ok(());
        }
        self.is_member(&who.member, who.instance.as_deref())?;
        self.remove(&who.member, effects);
        Ok(())
    }
}
