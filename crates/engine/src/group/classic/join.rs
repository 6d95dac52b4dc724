//! Members join.

use std::sync::Arc;

use super::call::Join;
use super::state::{Classic, Member, Phase, Waiting};
use crate::group::GroupError;
use crate::group::call::{Answer, Effect};
use crate::group::machine::Asking;

impl Classic {
    /// A member joins, for the first time or again.
    pub fn join(&mut self, asking: Asking<'_>, join: Join, now_ms: u64, effects: &mut Vec<Effect>) {
        let ticket = asking.ticket;
        let decided = match join.member.is_empty() {
            true => self.join_new(asking, &join, now_ms, effects),
            false => self.join_known(asking, &join, now_ms, effects),
        };
        match decided {
            // It is a member, and is answered when the others have joined.
            Ok(None) => {}
            Ok(Some(answer)) => effects.push(Effect::Answer { ticket, answer }),
            Err(refused) => {
                let answer = Answer::Joined(Err(refused));
                effects.push(Effect::Answer { ticket, answer });
            }
        }
    }

    fn join_new(
        &mut self,
        asking: Asking<'_>,
        join: &Join,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Answer>, GroupError> {
        if !self.has_room() {
            return Err(GroupError::Full);
        }
        if !self.is_consistent(&join.protocol_type, &join.protocols) {
            return Err(GroupError::InconsistentProtocol);
        }
        let name = join.instance.as_ref().unwrap_or(&asking.client.id);
        let id: Arc<str> = Arc::from(format!("{name}-{}", uuid(asking.token)));
        let known = join.instance.as_deref();
        let known = known.and_then(|name| self.instances.get(name).cloned());
        if let Some(old) = known {
            return Ok(self.replace(asking, &old, &id, join, now_ms, effects));
        }
        if join.instance.is_none() && join.id_required {
            let until_ms = now_ms.saturating_add(milliseconds(join.session_timeout_ms));
            self.expected.insert(id.clone(), until_ms);
            return Err(GroupError::MemberIdRequired { member: id });
        }
        self.add(asking, &id, join, now_ms, effects);
        Ok(None)
    }

    fn join_known(
        &mut self,
        asking: Asking<'_>,
        join: &Join,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Answer>, GroupError> {
        let is_member = self.members.contains_key(join.member.as_str());
        let stands = matches!(self.phase, Phase::Completing { .. } | Phase::Stable { .. });
        let keeps_place = match self.members.get(join.member.as_str()) {
            Some(member) => stands || member.joins(),
            None => false,
        };
        if !keeps_place && !self.has_room() {
            // It was a member, and too many others were faster.
            if is_member {
                self.remove(&join.member, effects);
            }
            self.expected.remove(join.member.as_str());
            self.removed(now_ms, effects);
            return Err(GroupError::Full);
        }
        if !self.is_consistent(&join.protocol_type, &join.protocols) {
            return Err(GroupError::InconsistentProtocol);
        }
        if self.expected.contains_key(join.member.as_str()) {
            // An id given to a member without a name across restarts is not taken over by one
            // that has one.
            if join.instance.is_some() {
                return Err(GroupError::UnknownMember);
            }
            let id: Arc<str> = Arc::from(join.member.as_str());
            self.add(asking, &id, join, now_ms, effects);
            return Ok(None);
        }
        self.is_member(&join.member, join.instance.as_deref())?;
        let is_leader = self.is_leader(&join.member);
        let member = &self.members[join.member.as_str()];
        let is_same = member.protocols == join.protocols;
        let id = member.id.clone();
        let told = match self.phase {
            Phase::Empty { .. } => return Err(GroupError::UnknownMember),
            Phase::Gathering { .. } | Phase::Preparing { .. } => false,
            // The answer to its last request may have been lost.
            Phase::Completing { .. } => is_same,
            // A leader that joins again wants a new generation: what is to be shared out may
            // have changed.
            Phase::Stable { .. } => is_same && !is_leader,
        };
        if told {
            return Ok(Some(Answer::Joined(Ok(self.joined(&id, is_leader)))));
        }
        self.update(&id, asking, join, effects);
        self.rebalance(now_ms, effects);
        Ok(None)
    }

    fn has_room(&self) -> bool {
        let count = match self.phase {
            Phase::Empty { .. } => return true,
            // Not all that are members will join again.
            Phase::Gathering { .. } | Phase::Preparing { .. } => self
                .members
                .values()
                .filter(|member| member.joins())
                .count(),
            Phase::Completing { .. } | Phase::Stable { .. } => self.members.len(),
        };
        count < self.settings.members_max
    }

    fn add(
        &mut self,
        asking: Asking<'_>,
        id: &Arc<str>,
        join: &Join,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        if self.members.is_empty() {
            self.protocol_type = Arc::from(join.protocol_type.as_str());
        }
        if let Phase::Gathering { grown, .. } = &mut self.phase {
            *grown = true;
        }
        let instance: Option<Arc<str>> = join.instance.as_deref().map(Arc::from);
        if let Some(instance) = &instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        let is_nameless = self.expected.remove(id).is_none();
        let member = Member {
            id: id.clone(),
            is_nameless: is_nameless && instance.is_none(),
            instance,
            client_id: Arc::from(asking.client.id.as_str()),
            client_host: Arc::from(asking.client.host.as_str()),
            session_timeout_ms: milliseconds(join.session_timeout_ms),
            rebalance_timeout_ms: milliseconds(join.rebalance_timeout_ms),
            protocols: join.protocols.clone(),
            assignment: Arc::default(),
            waiting: Waiting::Join(asking.ticket),
            // It cannot send heartbeats: a client waits for its answer first.
            alive_until_ms: now_ms.saturating_add(self.settings.join_wait_ms),
            is_new: true,
            order: self.next_order,
        };
        self.next_order += 1;
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id.clone(), member);
        self.rebalance(now_ms, effects);
    }

    /// What a member said before does not count any more; it waits for the others.
    fn update(
        &mut self,
        id: &Arc<str>,
        asking: Asking<'_>,
        join: &Join,
        effects: &mut Vec<Effect>,
    ) {
        let member = self.members.get_mut(id).expect("it was looked up");
        // It asked before, over a connection that it has given up.
        member.refuse(&GroupError::RebalanceInProgress, effects);
        member.protocols.clone_from(&join.protocols);
        member.session_timeout_ms = milliseconds(join.session_timeout_ms);
        member.rebalance_timeout_ms = milliseconds(join.rebalance_timeout_ms);
        member.waiting = Waiting::Join(asking.ticket);
        member.is_nameless = false;
    }

    /// A process takes over the name across restarts of another, or of its own former life.
    /// Where its share need not change, nobody else notices.
    fn replace(
        &mut self,
        asking: Asking<'_>,
        old: &Arc<str>,
        id: &Arc<str>,
        join: &Join,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let old_leader = self.leader.clone();
        let mut member = self.members.remove(old).expect("instances are members");
        member.refuse(&GroupError::FencedInstance, effects);
        member.id = id.clone();
        member.client_id = Arc::from(asking.client.id.as_str());
        member.client_host = Arc::from(asking.client.host.as_str());
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(id.clone());
        }
        if let Phase::Completing { owing, .. } | Phase::Stable { owing, .. } = &mut self.phase
            && owing.remove(old)
        {
            owing.insert(id.clone());
        }
        self.members.insert(id.clone(), member);
        self.update(id, asking, join, effects);
        let member = self.members.get_mut(id).expect("it was just put there");
        member.heard(now_ms);
        let keeps_share =
            matches!(self.phase, Phase::Stable { .. }) && self.vote() == self.protocol;
        if !keeps_share {
            self.rebalance(now_ms, effects);
            return None;
        }
        let member = self.members.get_mut(id).expect("it was just put there");
        member.waiting = Waiting::Nothing;
        let is_leader = self.is_leader(id);
        let mut joined = self.joined(id, is_leader && join.may_skip);
        if join.may_skip {
            joined.skip_assignment = is_leader;
        } else {
            // It must not believe to be the leader: it would share out anew.
            joined.leader = old_leader.unwrap_or_default();
        }
        Some(Answer::Joined(Ok(joined)))
    }
}

/// A duration from the wire.
fn milliseconds(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// As UUIDs are written.
fn uuid(token: u128) -> String {
    let hex = format!("{token:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
