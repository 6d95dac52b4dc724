//! A consumer group: the machine.
//!
//! A beat is heard in three steps: what the member wants may raise the group's epoch; a
//! raised epoch gets its target; the member goes as far towards it as it can.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assignors::{Assignor, Wish, Wishes};
use super::beat::{self, Beat, Beaten, NotThatMember, Refused};
use super::member::{Member, MemberState};
use super::note::Note;
use super::roster::{Roster, in_order};
use super::settings::Settings;
use super::subscription::{Patterns, fingerprint};
use super::topics::{Held, Partition, Topics, by_topic};
use crate::catalog::TopicId;

/// See the module above.
#[derive(Debug)]
pub struct ConsumerGroup {
    settings: Settings,
    roster: Roster,
    /// Members by their name across restarts.
    instances: BTreeMap<Arc<str>, Arc<str>>,
    /// Who holds a partition, or has yet to give it up.
    holders: BTreeMap<Partition, Arc<str>>,
    patterns: Patterns,
}

/// Who beats.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// What its client calls itself.
    pub client_id: &'a str,
    /// Where it is, as text.
    pub client_host: &'a str,
    /// Random: its member id, if one must be made up.
    pub token: u128,
}

/// What a group is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members.
    Empty,
    /// The epoch has no target.
    Assigning,
    /// Members are on their way.
    Reconciling,
    /// All have what they shall have.
    Stable,
}

impl GroupState {
    /// As Kafka calls it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Stable => "Stable",
        }
    }
}

/// All there is to be told of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it is at.
    pub state: GroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch its target was made for.
    pub target_epoch: i32,
    /// How it shares out.
    pub assignor: &'static str,
    /// In the order of their ids.
    pub members: Vec<MemberDescription>,
}

/// One member of a [`Description`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub id: Arc<str>,
    /// What it is like.
    pub member: Member,
    /// What it may hold, of topics that still exist.
    pub assigned: Vec<NamedPartitions>,
    /// What it shall have.
    pub target: Vec<NamedPartitions>,
}

/// Partitions of one topic, with its number and name.
pub type NamedPartitions = (TopicId, Arc<str>, Vec<u32>);

impl ConsumerGroup {
    /// Nobody, in epoch 0.
    pub fn new(settings: Settings) -> ConsumerGroup {
        ConsumerGroup {
            settings,
            roster: Roster::default(),
            instances: BTreeMap::new(),
            holders: BTreeMap::new(),
            patterns: Patterns::default(),
        }
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.roster.members.is_empty()
    }

    /// What it is at.
    pub fn state(&self) -> GroupState {
        self.roster.state()
    }

    /// A member.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.roster.members.get(id)
    }

    /// Whether a member wants a topic, by name or by pattern.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        let mut members = self.roster.members.values();
        members.any(|member| member.topics.contains(topic)) || self.patterns.matches(topic)
    }

    /// Unix milliseconds at which to come back with [`ConsumerGroup::timeout`].
    pub fn deadline_ms(&self) -> Option<u64> {
        self.roster.deadline_ms()
    }

    /// The settings are others; deadlines that run stay as they are.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// A member beats.
    pub fn beat(
        &mut self,
        beat: &Beat,
        asker: Asker<'_>,
        topics: &dyn Topics,
        now_ms: u64,
        notes: &mut Vec<Note>,
    ) -> Result<Beaten, Refused> {
        beat.check_consumer()?;
        match beat.epoch {
            beat::LEAVE | beat::LEAVE_FOR_A_WHILE => self.leave(beat, notes),
            _ => self.hear(beat, asker, topics, now_ms, notes),
        }
    }

    fn hear(
        &mut self,
        beat: &Beat,
        asker: Asker<'_>,
        topics: &dyn Topics,
        now_ms: u64,
        notes: &mut Vec<Note>,
    ) -> Result<Beaten, Refused> {
        let members_max = self.settings.members_max;
        let is_member = self.roster.members.contains_key(&*beat.member);
        if self.roster.members.len() >= members_max && !is_member {
            return Err(Refused::Full { members_max });
        }
        if let Some(pattern) = &beat.pattern {
            self.patterns.check(pattern)?;
        }
        let id = match beat.member.is_empty() {
            true => beat::member_id(asker.token),
            false => beat.member.as_str().into(),
        };
        let before = self.find(&id, beat, notes)?;
        let mut member = before.clone();
        member.hear(beat, asker.client_id, asker.client_host);
        let wants_other = member.topics != before.topics || member.pattern != before.pattern;
        if member.instance != before.instance {
            if let Some(instance) = &before.instance {
                self.instances.remove(instance);
            }
            if let Some(instance) = &member.instance {
                self.instances.insert(instance.clone(), id.clone());
            }
        }
        self.roster.put(&id, member, notes);
        if wants_other || self.roster.epoch == 0 {
            let members = self.roster.members.values();
            self.patterns.follow(members, topics);
            self.roster.raise(notes);
        }
        if self.roster.epoch > self.roster.target_epoch {
            let shares = self.preferred().assign(&self.wishes(topics));
            self.roster.aim(shares, self.fingerprint(topics), notes);
        }
        let after = self.reconcile(&id, beat, now_ms, notes);
        let session_ms = u64::from(self.settings.session_timeout_ms);
        self.roster.keep_until(&id, now_ms + session_ms);
        let tell = beat.is_full() || after.assigned != before.assigned;
        Ok(Beaten {
            member: id,
            epoch: after.epoch,
            heartbeat_interval_ms: self.settings.heartbeat_interval_ms,
            assignment: tell.then(|| by_topic(&after.assigned)),
        })
    }

    /// The member as it was before this beat: a new one if it joins.
    fn find(
        &mut self,
        id: &Arc<str>,
        beat: &Beat,
        notes: &mut Vec<Note>,
    ) -> Result<Member, Refused> {
        let known = self.roster.members.get(id);
        let holder = beat.instance.as_deref().and_then(|i| self.instances.get(i));
        if beat.epoch == beat::JOIN {
            return match (holder, &beat.instance) {
                (Some(holder), Some(instance)) if holder != id => {
                    let holder = holder.clone();
                    self.take_over(id, holder, instance, notes)
                }
                // It holds nothing, so it may begin again, whatever epoch it was in.
                _ => Ok(known.cloned().unwrap_or_default()),
            };
        }
        match (&beat.instance, holder) {
            (None, _) => {}
            (Some(instance), None) => {
                let instance = instance.clone();
                return Err(Refused::UnknownInstance { instance });
            }
            (Some(instance), Some(holder)) if holder != id => {
                return Err(fenced_instance(instance, holder));
            }
            (Some(_), Some(_)) => {}
        }
        let member = known.ok_or_else(|| unknown(beat))?;
        let may_have_missed =
            beat.epoch == member.previous_epoch && beat.holds_only(&member.assigned);
        if beat.epoch > member.epoch || (beat.epoch < member.epoch && !may_have_missed) {
            return Err(Refused::FencedEpoch {
                received: beat.epoch,
                known: member.epoch,
            });
        }
        Ok(member.clone())
    }

    /// A member comes back under another id, to what it had.
    fn take_over(
        &mut self,
        id: &Arc<str>,
        holder: Arc<str>,
        instance: &str,
        notes: &mut Vec<Note>,
    ) -> Result<Member, Refused> {
        let away = |member: &Member| member.epoch == beat::LEAVE_FOR_A_WHILE;
        if !self.roster.members.get(&holder).is_some_and(away) {
            let instance = instance.to_owned();
            return Err(Refused::UnreleasedInstance { instance, holder });
        }
        // The id may have been somebody's before: whoever takes a name over leaves that.
        if self.remove(id, notes).is_some() {
            self.roster.raise(notes);
        }
        let Some((mut member, target)) = self.remove(&holder, notes) else {
            return Ok(Member::default());
        };
        (member.epoch, member.previous_epoch) = (0, 0);
        for partition in member.holding() {
            self.holders.insert(partition, id.clone());
        }
        self.instances.insert(instance.into(), id.clone());
        self.roster.put(id, member.clone(), notes);
        self.roster.set_target(id, target, notes);
        Ok(member)
    }

    fn reconcile(
        &mut self,
        id: &Arc<str>,
        beat: &Beat,
        now_ms: u64,
        notes: &mut Vec<Note>,
    ) -> Member {
        let before = self.roster.members.get(id).cloned().unwrap_or_default();
        let mut after = before.clone();
        let target = self.roster.target(id);
        let holders = &self.holders;
        let is_free =
            |partition: &Partition| holders.get(partition).is_none_or(|holder| holder == id);
        after.reconcile(self.roster.target_epoch, &target, beat, &is_free);
        if after == before {
            return after;
        }
        for partition in before.holding() {
            self.holders.remove(&partition);
        }
        for partition in after.holding() {
            self.holders.insert(partition, id.clone());
        }
        let timeout_ms = u64::from(after.rebalance_timeout_ms);
        let expected = (now_ms + timeout_ms, after.epoch);
        let has_to_leave = after.state == MemberState::Unrevoked;
        self.roster
            .expect_out_of(id, has_to_leave.then_some(expected));
        self.roster.put(id, after.clone(), notes);
        after
    }

    fn leave(&mut self, beat: &Beat, notes: &mut Vec<Note>) -> Result<Beaten, Refused> {
        let id: Arc<str> = match &beat.instance {
            None => beat.member.as_str().into(),
            Some(instance) => match self.instances.get(&**instance) {
                None => {
                    let instance = instance.clone();
                    return Err(Refused::UnknownInstance { instance });
                }
                Some(holder) if **holder != *beat.member => {
                    return Err(fenced_instance(instance, holder));
                }
                Some(holder) => holder.clone(),
            },
        };
        let member = self.roster.members.get(&id).ok_or_else(|| unknown(beat))?;
        match beat.epoch {
            beat::LEAVE_FOR_A_WHILE => {
                // Its session goes on, and ends if it does not come back.
                let mut member = member.clone();
                for partition in std::mem::take(&mut member.revoking) {
                    self.holders.remove(&partition);
                }
                member.state = MemberState::Stable;
                member.enter(beat::LEAVE_FOR_A_WHILE);
                self.roster.expect_out_of(&id, None);
                self.roster.put(&id, member, notes);
            }
            _ => self.fence(&id, notes),
        }
        Ok(Beaten {
            member: id,
            epoch: beat.epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// An operator sends a member away, by its id, or by its name across restarts, with which
    /// the id may be empty.
    pub fn expel(
        &mut self,
        member: &str,
        instance: Option<&str>,
        notes: &mut Vec<Note>,
    ) -> Result<(), Refused> {
        let id = match instance {
            None => member.into(),
            Some(instance) => match self.instances.get(instance) {
                None => {
                    let instance = instance.to_owned();
                    return Err(Refused::UnknownInstance { instance });
                }
                Some(holder) if !member.is_empty() && **holder != *member => {
                    return Err(fenced_instance(instance, holder));
                }
                Some(holder) => holder.clone(),
            },
        };
        if !self.roster.members.contains_key(&id) {
            let member = member.to_owned();
            return Err(Refused::UnknownMember { member });
        }
        self.fence(&id, notes);
        Ok(())
    }

    /// A member is out, and others shall have what it had.
    fn fence(&mut self, id: &str, notes: &mut Vec<Note>) {
        if self.remove(id, notes).is_some() {
            self.patterns.keep(self.roster.members.values());
            self.roster.raise(notes);
        }
    }

    fn remove(&mut self, id: &str, notes: &mut Vec<Note>) -> Option<(Member, Held)> {
        let (member, target) = self.roster.remove(id, notes)?;
        for partition in member.holding() {
            self.holders.remove(&partition);
        }
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        Some((member, target))
    }

    /// Topics have come, gone or grown, perhaps some that members want.
    pub fn topics_changed(&mut self, topics: &dyn Topics, notes: &mut Vec<Note>) {
        if self.is_empty() {
            return;
        }
        self.patterns.follow(self.roster.members.values(), topics);
        self.patterns.resolve_again(topics);
        // Where the target is still to be made, it is made for what there is by then.
        let is_aimed = self.roster.target_epoch == self.roster.epoch;
        if is_aimed && self.fingerprint(topics) != self.roster.fingerprint {
            self.roster.raise(notes);
        }
    }

    /// A deadline has passed: whoever was not heard of for too long, or did not give up what
    /// it was to, is out.
    pub fn timeout(&mut self, now_ms: u64, notes: &mut Vec<Note>) {
        for id in self.roster.overdue(now_ms) {
            self.fence(&id, notes);
        }
    }

    fn fingerprint(&self, topics: &dyn Topics) -> u64 {
        let members = self.roster.members.values();
        fingerprint(&self.patterns.wanted_by_all(members, topics))
    }

    fn wishes(&self, topics: &dyn Topics) -> Wishes {
        let mut wishes = Wishes::default();
        for (id, member) in &self.roster.members {
            let wanted = self.patterns.wanted_by(member, topics);
            let wish = Wish {
                instance: member.instance.clone(),
                topics: in_order(&wanted),
                held: self.roster.target(id),
            };
            wishes.members.insert(id.clone(), wish);
            wishes.topics.extend(wanted);
        }
        wishes
    }

    /// What most of those who say so ask for.
    fn preferred(&self) -> Assignor {
        let members = || self.roster.members.values();
        let votes = |wanted| members().filter(|m| m.assignor == Some(wanted)).count();
        // Of several with as many votes, `max_by_key` takes the last.
        let preferred = Assignor::ALL.into_iter().rev().max_by_key(|a| votes(*a));
        preferred.unwrap_or_default()
    }

    /// Whether an offset may be committed by who says to be this member. An epoch below 0 is
    /// nobody's, which will do while there are no members.
    pub fn check_commit(&self, member: &str, epoch: i32) -> Result<(), NotThatMember> {
        match epoch < 0 && self.is_empty() {
            true => Ok(()),
            false => self.check_member(member, epoch),
        }
    }

    /// Whether offsets are told to who says to be this member, if it says so.
    pub fn check_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), NotThatMember> {
        match member {
            None if epoch < 0 => Ok(()),
            member => self.check_member(member.unwrap_or_default(), epoch),
        }
    }

    /// Whether this is a member in this epoch.
    pub fn check_member(&self, member: &str, epoch: i32) -> Result<(), NotThatMember> {
        match self.roster.members.get(member) {
            None => Err(NotThatMember::Unknown),
            Some(known) if known.epoch != epoch => Err(NotThatMember::StaleEpoch),
            Some(_) => Ok(()),
        }
    }

    /// All there is to be told.
    pub fn describe(&self, topics: &dyn Topics) -> Description {
        self.roster.describe(self.preferred().name(), topics)
    }

    /// Notes that make it again.
    pub fn notes(&self) -> Vec<Note> {
        self.roster.notes()
    }

    /// Replays a note. Also twice.
    pub fn replay(&mut self, note: Note) {
        self.roster.replay(note);
    }

    /// All has been replayed. Members have a whole session to be heard of again. Topics may
    /// have changed: say so before anything else.
    pub fn replayed(&mut self, now_ms: u64) {
        let session_ms = u64::from(self.settings.session_timeout_ms);
        let members: Vec<(Arc<str>, Member)> = self
            .roster
            .members
            .iter()
            .map(|(id, member)| (id.clone(), member.clone()))
            .collect();
        for (id, member) in members {
            self.roster.keep_until(&id, now_ms + session_ms);
            if member.state == MemberState::Unrevoked {
                let timeout_ms = u64::from(member.rebalance_timeout_ms);
                let expected = (now_ms + timeout_ms, member.epoch);
                self.roster.expect_out_of(&id, Some(expected));
            }
            for partition in member.holding() {
                self.holders.insert(partition, id.clone());
            }
            if let Some(instance) = &member.instance {
                self.instances.insert(instance.clone(), id);
            }
        }
    }

    /// Panics if an invariant is broken; tests call it after every step.
    pub fn check(&self) {
        self.roster.check();
        let mut holders = BTreeMap::new();
        for (id, member) in &self.roster.members {
            assert!(member.assigned.is_disjoint(&member.revoking));
            let is_leaving = member.state == MemberState::Unrevoked;
            assert_eq!(is_leaving, !member.revoking.is_empty(), "{id}");
            for partition in member.holding() {
                let other = holders.insert(partition, id.clone());
                assert_eq!(other, None, "{partition:?} is held twice");
            }
            if let Some(instance) = &member.instance {
                assert_eq!(self.instances.get(instance), Some(id));
            }
        }
        assert_eq!(holders, self.holders);
        let named = self.roster.members.values();
        let named = named.filter(|member| member.instance.is_some()).count();
        assert_eq!(named, self.instances.len());
    }
}

fn unknown(beat: &Beat) -> Refused {
    let member = beat.member.clone();
    Refused::UnknownMember { member }
}

fn fenced_instance(instance: &str, holder: &Arc<str>) -> Refused {
    Refused::FencedInstance {
        instance: instance.to_owned(),
        holder: holder.clone(),
    }
}
