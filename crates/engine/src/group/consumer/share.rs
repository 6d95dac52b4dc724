//! Who is in a share group, and which partitions each reads (KIP-932).
//!
//! As a consumer group, but that members share partitions: nobody has to give one up before
//! another may have it. What is decided here is only who reads where; who is lent which record
//! is decided where the records are. So a member is in the target's epoch with its next beat.

use std::sync::Arc;

use super::assignors::{Wish, Wishes, sharing};
use super::beat::{self, Beat, Beaten, Refused};
use super::group::{Asker, Description, GroupState};
use super::member::Member;
use super::note::Note;
use super::roster::{Roster, in_order};
use super::settings::Settings;
use super::subscription::{Patterns, fingerprint};
use super::topics::{Held, Topics, by_topic};

/// The membership of a share group: the machine.
#[derive(Debug)]
pub struct ShareGroup {
    settings: Settings,
    roster: Roster,
}

impl ShareGroup {
    /// Nobody, in epoch 0.
    pub fn new(settings: Settings) -> ShareGroup {
        ShareGroup {
            settings,
            roster: Roster::default(),
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

    /// A member, with what it reads as [`Member::assigned`].
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.roster.members.get(id)
    }

    /// The members and what each reads, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&Arc<str>, &Held)> {
        let members = self.roster.members.iter();
        members.map(|(id, member)| (id, &member.assigned))
    }

    /// Whether a member wants a topic.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        let mut members = self.roster.members.values();
        members.any(|member| member.topics.contains(topic))
    }

    /// Unix milliseconds at which to come back with [`ShareGroup::timeout`].
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
        beat.check_share()?;
        if beat.epoch == beat::LEAVE {
            if !self.fence(&beat.member, notes) {
                return Err(unknown(beat));
            }
            return Ok(Beaten {
                member: beat.member.as_str().into(),
                epoch: beat.epoch,
                heartbeat_interval_ms: 0,
                assignment: None,
            });
        }
        let known = self.roster.members.get(&*beat.member);
        let members_max = self.settings.members_max;
        if self.roster.members.len() >= members_max && known.is_none() {
            return Err(Refused::Full { members_max });
        }
        let before = match known {
            None if beat.epoch != beat::JOIN => return Err(unknown(beat)),
            None => Member::default(),
            Some(member) => {
                // A beat from the epoch before is taken: the answer may have been lost.
                let epochs = [beat::JOIN, member.previous_epoch, member.epoch];
                if !epochs.contains(&beat.epoch) {
                    return Err(Refused::FencedEpoch {
                        received: beat.epoch,
                        known: member.epoch,
                    });
                }
                member.clone()
            }
        };
        let id = match beat.member.is_empty() {
            true => beat::member_id(asker.token),
            false => beat.member.as_str().into(),
        };
        let mut after = before.clone();
        after.hear(beat, asker.client_id, asker.client_host);
        let wants_other = after.topics != before.topics;
        self.roster.put(&id, after.clone(), notes);
        if wants_other || self.roster.epoch == 0 {
            self.roster.raise(notes);
        }
        if self.roster.epoch > self.roster.target_epoch {
            let shares = sharing::assign(&self.wishes(topics));
            self.roster.aim(shares, self.fingerprint(topics), notes);
        }
        if after.epoch != self.roster.target_epoch {
            after.assigned = self.roster.target(&id);
            after.enter(self.roster.target_epoch);
            self.roster.put(&id, after.clone(), notes);
        }
        let session_ms = u64::from(self.settings.session_timeout_ms);
        self.roster.keep_until(&id, now_ms + session_ms);
        let tell = beat.epoch == beat::JOIN || after.assigned != before.assigned;
        Ok(Beaten {
            member: id,
            epoch: after.epoch,
            heartbeat_interval_ms: self.settings.heartbeat_interval_ms,
            assignment: tell.then(|| by_topic(&after.assigned)),
        })
    }

    /// A member is out, if there is such a one.
    fn fence(&mut self, id: &str, notes: &mut Vec<Note>) -> bool {
        let was_there = self.roster.remove(id, notes).is_some();
        if was_there {
            self.roster.raise(notes);
        }
        was_there
    }

    /// Topics have come, gone or grown, perhaps some that members want.
    pub fn topics_changed(&mut self, topics: &dyn Topics, notes: &mut Vec<Note>) {
        if self.is_empty() {
            return;
        }
        // Where the target is still to be made, it is made for what there is by then.
        let is_aimed = self.roster.target_epoch == self.roster.epoch;
        if is_aimed && self.fingerprint(topics) != self.roster.fingerprint {
            self.roster.raise(notes);
        }
    }

    /// A deadline has passed. Says who is out: what they were lent comes back.
    pub fn timeout(&mut self, now_ms: u64, notes: &mut Vec<Note>) -> Vec<Arc<str>> {
        let overdue = self.roster.overdue(now_ms);
        for id in &overdue {
            self.fence(id, notes);
        }
        overdue
    }

    fn fingerprint(&self, topics: &dyn Topics) -> u64 {
        let members = self.roster.members.values();
        fingerprint(&Patterns::default().wanted_by_all(members, topics))
    }

    fn wishes(&self, topics: &dyn Topics) -> Wishes {
        let mut wishes = Wishes::default();
        for (id, member) in &self.roster.members {
            let wanted = Patterns::default().wanted_by(member, topics);
            let wish = Wish {
                instance: None,
                topics: in_order(&wanted),
                held: self.roster.target(id),
            };
            wishes.members.insert(id.clone(), wish);
            wishes.topics.extend(wanted);
        }
        wishes
    }

    /// All there is to be told.
    pub fn describe(&self, topics: &dyn Topics) -> Description {
        self.roster.describe(sharing::NAME, topics)
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
        let ids: Vec<Arc<str>> = self.roster.members.keys().cloned().collect();
        for id in ids {
            self.roster.keep_until(&id, now_ms + session_ms);
        }
    }

    /// Panics if an invariant is broken; tests call it after every step.
    pub fn check(&self) {
        self.roster.check();
        for member in self.roster.members.values() {
            assert!(member.revoking.is_empty());
        }
    }
}

fn unknown(beat: &Beat) -> Refused {
    let member = beat.member.clone();
    Refused::UnknownMember { member }
}
