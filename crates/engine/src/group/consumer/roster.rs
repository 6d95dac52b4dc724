//! What consumer groups and share groups have in common: members, the epoch, the target, and
//! until when each member is believed to be there.
//!
//! Always: each target is a member's; the target's epoch is not beyond the group's, nor is
//! any member's beyond the target's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assignors::Shares;
use super::member::Member;
use super::note::Note;
use super::topics::{Held, Topics, by_topic};
use super::{Description, GroupState, MemberDescription};
use crate::catalog::TopicId;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Roster {
    pub epoch: i32,
    pub target_epoch: i32,
    /// Of the topics that members want, as of `target_epoch`.
    pub fingerprint: u64,
    pub members: BTreeMap<Arc<str>, Member>,
    pub targets: BTreeMap<Arc<str>, Held>,
    /// Unix milliseconds at which members are out.
    sessions: BTreeMap<Arc<str>, u64>,
    /// The same for those that are to give partitions up, with the epoch they have to leave.
    revocations: BTreeMap<Arc<str>, (u64, i32)>,
    /// No deadline is before it; none at all: no deadline.
    wake_ms: Option<u64>,
}

impl Roster {
    /// Puts a member in its place, if it is another than it was.
    pub fn put(&mut self, id: &Arc<str>, member: Member, notes: &mut Vec<Note>) {
        if self.members.get(id) == Some(&member) {
            return;
        }
        notes.push(Note::Member {
            id: id.clone(),
            member: Box::new(member.clone()),
        });
        self.members.insert(id.clone(), member);
    }

    /// A member is no more, nor its target and deadlines.
    pub fn remove(&mut self, id: &str, notes: &mut Vec<Note>) -> Option<(Member, Held)> {
        let (id, member) = self.members.remove_entry(id)?;
        self.sessions.remove(&id);
        self.revocations.remove(&id);
        let target = self.targets.remove(&id).unwrap_or_default();
        notes.push(Note::Gone { id });
        Some((member, target))
    }

    /// The group is in its next epoch.
    pub fn raise(&mut self, notes: &mut Vec<Note>) {
        self.epoch += 1;
        notes.push(self.note());
    }

    /// This is the target of the group's epoch, made for these topics.
    pub fn aim(&mut self, shares: Shares, fingerprint: u64, notes: &mut Vec<Note>) {
        for (id, held) in shares {
            self.set_target(&id, held, notes);
        }
        self.target_epoch = self.epoch;
        self.fingerprint = fingerprint;
        notes.push(self.note());
    }

    /// What one member shall have.
    pub fn set_target(&mut self, id: &Arc<str>, held: Held, notes: &mut Vec<Note>) {
        let before = self.targets.get(id);
        if before == Some(&held) || (before.is_none() && held.is_empty()) {
            return;
        }
        notes.push(Note::Target {
            id: id.clone(),
            held: held.clone(),
        });
        self.targets.insert(id.clone(), held);
    }

    /// What one member shall have.
    pub fn target(&self, id: &str) -> Held {
        self.targets.get(id).cloned().unwrap_or_default()
    }

    fn note(&self) -> Note {
        Note::Group {
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            fingerprint: self.fingerprint,
        }
    }

    /// A member is there until then.
    pub fn keep_until(&mut self, id: &Arc<str>, deadline_ms: u64) {
        self.sessions.insert(id.clone(), deadline_ms);
        self.wake_at(deadline_ms);
    }

    /// A member is out if it is in this epoch still; `None`: it need not leave its epoch.
    pub fn expect_out_of(&mut self, id: &Arc<str>, expected: Option<(u64, i32)>) {
        match expected {
            None => {
                self.revocations.remove(id);
            }
            Some((deadline_ms, epoch)) => {
                self.revocations.insert(id.clone(), (deadline_ms, epoch));
                self.wake_at(deadline_ms);
            }
        }
    }

    fn wake_at(&mut self, deadline_ms: u64) {
        self.wake_ms = Some(self.wake_ms.map_or(deadline_ms, |ms| ms.min(deadline_ms)));
    }

    /// Unix milliseconds at which to look for members that are out. May be too early.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.wake_ms
    }

    /// Who is out, if it is late enough to look.
    pub fn overdue(&mut self, now_ms: u64) -> Vec<Arc<str>> {
        if self.wake_ms.is_none_or(|wake_ms| now_ms < wake_ms) {
            return Vec::new();
        }
        let late = |id: &Arc<str>, member: &Member| {
            let session = self.sessions.get(id).is_some_and(|ms| *ms <= now_ms);
            let revocation = self.revocations.get(id);
            session || revocation.is_some_and(|(ms, epoch)| *ms <= now_ms && member.epoch == *epoch)
        };
        let members = self.members.iter().filter(|(id, member)| late(id, member));
        let overdue = members.map(|(id, _)| id.clone()).collect();
        self.revocations.retain(|_, (ms, _)| now_ms < *ms);
        let sessions = self.sessions.values().copied();
        let revocations = self.revocations.values().map(|(ms, _)| *ms);
        // Those that are out are about to be removed.
        self.wake_ms = sessions.chain(revocations).filter(|ms| now_ms < *ms).min();
        overdue
    }

    /// What the group is at.
    pub fn state(&self) -> GroupState {
        let behind = |member: &Member| !member.is_reconciled_to(self.target_epoch);
        match () {
            () if self.members.is_empty() => GroupState::Empty,
            () if self.epoch > self.target_epoch => GroupState::Assigning,
            () if self.members.values().any(behind) => GroupState::Reconciling,
            () => GroupState::Stable,
        }
    }

    /// All there is to be told.
    pub fn describe(&self, assignor: &'static str, topics: &dyn Topics) -> Description {
        let named = |held: &Held| {
            let held = by_topic(held).into_iter();
            held.filter_map(|(id, indexes)| Some((id, topics.name(id)?, indexes)))
                .collect()
        };
        let members = self.members.iter().map(|(id, member)| MemberDescription {
            id: id.clone(),
            assigned: named(&member.assigned),
            target: self.targets.get(id).map(named).unwrap_or_default(),
            member: member.clone(),
        });
        Description {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor,
            members: members.collect(),
        }
    }

    /// Notes that make it again.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = vec![self.note()];
        for (id, member) in &self.members {
            let (id, member) = (id.clone(), Box::new(member.clone()));
            notes.push(Note::Member { id, member });
        }
        for (id, held) in &self.targets {
            let (id, held) = (id.clone(), held.clone());
            notes.push(Note::Target { id, held });
        }
        notes
    }

    /// Replays a note. Also twice.
    pub fn replay(&mut self, note: Note) {
        match note {
            Note::Group {
                epoch,
                target_epoch,
                fingerprint,
            } => {
                (self.epoch, self.target_epoch) = (epoch, target_epoch);
                self.fingerprint = fingerprint;
            }
            Note::Member { id, member } => {
                self.members.insert(id, *member);
            }
            Note::Target { id, held } => {
                self.targets.insert(id, held);
            }
            Note::Gone { id } => {
                self.members.remove(&id);
                self.targets.remove(&id);
            }
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        assert!(self.target_epoch <= self.epoch);
        for (id, member) in &self.members {
            assert!(member.epoch <= self.target_epoch, "{id} is ahead");
            assert!(self.sessions.contains_key(id), "{id} has no deadline");
        }
        let known = |id: &Arc<str>| self.members.contains_key(id);
        assert!(self.targets.keys().all(known));
        assert!(self.sessions.keys().all(known));
        assert!(self.revocations.keys().all(known));
    }
}

/// What [`super::assignors::Wishes`] has of topics.
pub fn in_order(wanted: &BTreeMap<TopicId, u32>) -> Vec<TopicId> {
    wanted.keys().copied().collect()
}
