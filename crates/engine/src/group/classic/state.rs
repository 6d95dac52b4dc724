//! The members of a group of the classic kind, and how far they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::{Described, DescribedMember, Joined, JoinedMember, Protocol, Synced};
use crate::group::call::{Answer, Effect, Ticket};
use crate::group::commits::Retained;
use crate::group::machine::{Settings, record};
use crate::group::note::Note;
use crate::group::offsets::Commit;
use crate::group::{GroupError, GroupKind};

/// See the comment of the module above.
#[derive(Debug)]
pub struct Classic {
    pub(super) settings: Arc<Settings>,
    pub(super) generation: i32,
    /// Empty: nobody ever joined.
    pub(super) protocol_type: Arc<str>,
    /// What this generation chose.
    pub(super) protocol: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Who has which name across restarts.
    pub(super) instances: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids given out for members that are to come again with them, and until when.
    pub(super) expected: BTreeMap<Arc<str>, u64>,
    pub(super) phase: Phase,
    /// Counts members: who was there first.
    pub(super) next_order: u64,
    /// Topics that members of this generation read, where that is known.
    subscribed: Option<BTreeSet<String>>,
}

/// How far the members are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There are none.
    Empty {
        /// Since then: Unix milliseconds.
        since_ms: u64,
    },
    /// They join, after a time without any: more may come.
    Gathering {
        /// To be looked at then.
        at_ms: u64,
        /// How long the wait was that ends then.
        delay_ms: u64,
        /// For so long it may be put off again.
        remaining_ms: u64,
        /// Somebody came meanwhile.
        grown: bool,
    },
    /// They join again.
    Preparing {
        /// Those who have not by then are out.
        until_ms: u64,
    },
    /// They have joined, and wait for what the leader says.
    Completing {
        /// Those who have not asked for their share.
        owing: BTreeSet<Arc<str>>,
        /// Those who have not by then are out.
        until_ms: u64,
    },
    /// Each may have its share.
    Stable {
        /// As above: some may not have asked yet.
        owing: BTreeSet<Arc<str>>,
        /// As above.
        until_ms: u64,
    },
}

/// What a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing,
    /// For all to join.
    Join(Ticket),
    /// For its share.
    Share(Ticket),
}

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub id: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub session_timeout_ms: u64,
    pub rebalance_timeout_ms: u64,
    pub protocols: Vec<Protocol>,
    pub assignment: Arc<[u8]>,
    pub waiting: Waiting,
    /// Gone then, unless it was heard of, or it waits and is not new.
    pub alive_until_ms: u64,
    /// It has not been part of a generation.
    pub is_new: bool,
    /// Its client does not know its id yet.
    pub is_nameless: bool,
    pub order: u64,
}

impl Member {
    /// When it is gone, if nothing is heard of it.
    pub fn deadline_ms(&self) -> Option<u64> {
        let watched = self.is_new || self.waiting == Waiting::Nothing;
        watched.then_some(self.alive_until_ms)
    }

    pub fn heard(&mut self, now_ms: u64) {
        self.alive_until_ms = now_ms.saturating_add(self.session_timeout_ms);
    }

    pub fn joins(&self) -> bool {
        matches!(self.waiting, Waiting::Join(_))
    }

    /// Answers what it waits for with a refusal.
    pub fn refuse(&mut self, error: &GroupError, effects: &mut Vec<Effect>) {
        let (ticket, answer) = match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Nothing => return,
            Waiting::Join(ticket) => (ticket, Answer::Joined(Err(error.clone()))),
            Waiting::Share(ticket) => (ticket, Answer::Synced(Err(error.clone()))),
        };
        effects.push(Effect::Answer { ticket, answer });
    }

    fn protocol(&self, name: &str) -> Option<&Protocol> {
        self.protocols.iter().find(|known| &*known.name == name)
    }

    fn metadata(&self, chosen: Option<&Arc<str>>) -> Arc<[u8]> {
        let chosen = chosen.and_then(|name| self.protocol(name));
        chosen.map_or_else(Arc::default, |protocol| protocol.metadata.clone())
    }
}

impl Classic {
    /// Without members, as of now.
    pub fn new(settings: Arc<Settings>, now_ms: u64) -> Classic {
        Classic {
            settings,
            generation: 0,
            protocol_type: Arc::default(),
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            expected: BTreeMap::new(),
            phase: Phase::Empty { since_ms: now_ms },
            next_order: 0,
            subscribed: None,
        }
    }

    /// As its note says; its members are gone.
    pub fn restored(
        settings: Arc<Settings>,
        generation: i32,
        protocol_type: Arc<str>,
        empty_since_ms: Option<u64>,
    ) -> Classic {
        let mut classic = Classic::new(settings, empty_since_ms.unwrap_or(0));
        classic.generation = generation;
        classic.protocol_type = protocol_type;
        classic.subscribed = classic.subscriptions();
        classic
    }

    /// Other bounds, from here on.
    pub fn configure(&mut self, settings: &Arc<Settings>) {
        self.settings = settings.clone();
    }

    /// It had members when the broker ended: it is without since now.
    pub fn restarted(&mut self, now_ms: u64) {
        if let Phase::Empty {
            since_ms: since @ 0,
        } = &mut self.phase
        {
            *since = now_ms;
        }
    }

    /// What is recorded of it.
    pub fn note(&self) -> Note {
        Note::Classic {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            empty_since_ms: self.empty_since_ms(),
        }
    }

    /// Whether nobody is a member; some may be expected.
    pub fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty { .. })
    }

    /// Since when nobody is.
    pub fn empty_since_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Empty { since_ms } => Some(since_ms),
            _ => None,
        }
    }

    /// What is shared out; empty: nobody ever said.
    pub fn protocol_type(&self) -> &Arc<str> {
        &self.protocol_type
    }

    /// As Kafka calls it.
    pub fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Empty { .. } => "Empty",
            Phase::Gathering { .. } | Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing { .. } => "CompletingRebalance",
            Phase::Stable { .. } => "Stable",
        }
    }

    /// When to come back.
    pub fn deadline_ms(&self) -> Option<u64> {
        let members = self.members.values().filter_map(Member::deadline_ms);
        let expected = self.expected.values().copied();
        members.chain(expected).chain(self.phase_ends_ms()).min()
    }

    pub(super) fn phase_ends_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Empty { .. } => None,
            Phase::Gathering { at_ms, .. } => Some(*at_ms),
            Phase::Preparing { until_ms } => Some(*until_ms),
            Phase::Completing { owing, until_ms } | Phase::Stable { owing, until_ms } => {
                (!owing.is_empty()).then_some(*until_ms)
            }
        }
    }

    /// For whoever asks how the group is.
    pub fn describe(&self) -> Described {
        let is_stable = matches!(self.phase, Phase::Stable { .. });
        // While members join, what they are to do is not settled.
        let chosen = self.protocol.as_ref().filter(|_| is_stable);
        let members = self.members.values().map(|member| DescribedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(chosen),
            assignment: match is_stable {
                true => member.assignment.clone(),
                false => Arc::default(),
            },
        });
        Described {
            kind: Some(GroupKind::Classic),
            state: self.state_name(),
            protocol_type: self.protocol_type.clone(),
            protocol: chosen.cloned().unwrap_or_default(),
            members: members.collect(),
        }
    }

    /// Whether members read the topic, or may, as far as it is known.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.shares_topics(),
        }
    }

    /// Whether offsets may be deleted.
    pub fn may_delete_offsets(&self) -> Result<(), GroupError> {
        match self.is_empty() || self.shares_topics() {
            true => Ok(()),
            false => Err(GroupError::NonEmpty),
        }
    }

    /// From when on the time runs for which offsets are remembered.
    pub fn retained_since(&self) -> Retained {
        match self.phase {
            _ if self.protocol_type.is_empty() => Retained::Commit,
            Phase::Empty { since_ms } => Retained::EmptySince(since_ms),
            Phase::Stable { .. } if self.shares_topics() && self.subscribed.is_some() => {
                Retained::Commit
            }
            _ => Retained::Members,
        }
    }

    /// Whether an offset may be committed. A commit shows that the member is alive.
    pub fn may_commit(
        &mut self,
        commit: &Commit,
        transactional: bool,
        now_ms: u64,
    ) -> Result<(), GroupError> {
        if commit.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let says = !commit.member.is_empty() || commit.instance.is_some();
        if commit.generation >= 0 || says {
            self.is_member(&commit.member, commit.instance.as_deref())?;
            if commit.generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !transactional {
            return Err(GroupError::UnknownMember);
        }
        if transactional {
            return Ok(());
        }
        if matches!(self.phase, Phase::Completing { .. }) {
            return Err(GroupError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(commit.member.as_str()) {
            member.heard(now_ms);
        }
        Ok(())
    }

    pub(super) fn is_member(&self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            let current = self.instances.get(instance);
            let current = current.ok_or(GroupError::UnknownMember)?;
            if &**current != member {
                return Err(GroupError::FencedInstance);
            }
        }
        match self.members.contains_key(member) {
            true => Ok(()),
            false => Err(GroupError::UnknownMember),
        }
    }

    /// Whether a member that says this can be in one group with the others.
    pub(super) fn is_consistent(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let mut names = protocols.iter().map(|known| &*known.name);
        &*self.protocol_type == protocol_type && names.any(|name| self.is_known_to_all(name))
    }

    fn is_known_to_all(&self, protocol: &str) -> bool {
        let mut members = self.members.values();
        members.all(|member| member.protocol(protocol).is_some())
    }

    /// What most members like best of what all can do.
    pub(super) fn vote(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|known| &known.name);
            if let Some(best) = names.find(|name| self.is_known_to_all(name)) {
                *votes.entry(best).or_default() += 1;
            }
        }
        // Of equals, the first by name: `max_by_key` takes the last.
        let chosen = votes.iter().rev().max_by_key(|(_, count)| **count);
        chosen.map(|(name, _)| Arc::clone(name))
    }

    pub(super) fn all_have_joined(&self) -> bool {
        self.expected.is_empty() && self.members.values().all(Member::joins)
    }

    /// The longest that any member gives the others to join.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        let timeouts = self.members.values().map(|m| m.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// What a member is told of its generation.
    pub(super) fn joined(&self, member: &Arc<str>, with_members: bool) -> Joined {
        let members = self.members.values().map(|member| JoinedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(self.protocol.as_ref()),
        });
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member: member.clone(),
            members: match with_members {
                true => members.collect(),
                false => Vec::new(),
            },
        }
    }

    pub(super) fn synced(&self, assignment: &Arc<[u8]>) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: assignment.clone(),
        }
    }

    /// The next number, with what its members chose. Recorded, so that a number is not used
    /// again; whoever was in a generation whose note was lost is a member of nothing either.
    pub(super) fn advance(&mut self, phase: Phase, effects: &mut Vec<Effect>) {
        // Kafka's, too, would go on below zero after 2^31 generations.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.vote();
        self.subscribed = self.subscriptions();
        self.phase = phase;
        record(&[self.note()], effects);
    }

    fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.shares_topics() {
            return None;
        }
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            let chosen = member.protocol(self.protocol.as_ref()?)?;
            all.extend(chosen.topics.as_ref()?.iter().cloned());
        }
        Some(all)
    }

    fn shares_topics(&self) -> bool {
        &*self.protocol_type == "consumer"
    }

    /// Panics where the module's invariants do not hold.
    #[cfg(test)]
    pub fn check(&self) {
        assert!(!self.is_empty() || self.members.is_empty(), "{self:?}");
        assert_eq!(self.leader.is_none(), self.members.is_empty(), "{self:?}");
        let leader = self.leader.iter();
        assert!(leader.clone().all(|id| self.members.contains_key(id)));
        for member in self.members.values() {
            let known = member.instance.as_ref();
            let known = known.is_none_or(|name| self.instances.get(name) == Some(&member.id));
            assert!(known, "{member:?}");
            let waits = matches!(
                (&self.phase, member.waiting),
                (_, Waiting::Nothing)
                    | (
                        Phase::Gathering { .. } | Phase::Preparing { .. },
                        Waiting::Join(_)
                    )
                    | (Phase::Completing { .. }, Waiting::Share(_))
            );
            assert!(waits, "{member:?} in {:?}", self.phase);
            let stands = matches!(self.phase, Phase::Completing { .. } | Phase::Stable { .. });
            assert!(!stands || !member.is_new, "{member:?}");
            assert!(!self.expected.contains_key(&member.id));
        }
        assert_eq!(
            self.instances.len(),
            self.members
                .values()
                .filter(|m| m.instance.is_some())
                .count()
        );
        assert!(self.members.is_empty() || self.vote().is_some());
    }
}
