//! One group.

use std::sync::Arc;

use super::beats;
use crate::catalog::Configs;

use super::call::{Answer, Client, Effect, GroupError, Input, Listed, Request, Ticket};
use super::classic::{Classic, Described, Join};
use super::consumer::{self, ConsumerGroup, ShareGroup, Topics};
use super::note::{Note, NoteMalformed};
use super::offsets::Offsets;

/// How members of a group are kept in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKind {
    /// Among themselves, all at once.
    Classic,
    /// By the broker, each in its own time (KIP-848).
    Consumer,
    /// Not at all: records are shared, not partitions (KIP-932).
    Share,
}

/// Bounds of groups; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least session timeout that a member may ask for.
    pub session_timeout_ms_min: i32,
    /// And the most.
    pub session_timeout_ms_max: i32,
    /// A group that was empty waits so long for more members before it shares out.
    pub initial_delay_ms: u64,
    /// A member that joins for the first time waits no longer for the others.
    pub join_wait_ms: u64,
    /// Members of one group.
    pub members_max: usize,
    /// What a consumer writes beside an offset.
    pub metadata_bytes_max: usize,
    /// Of members that the broker shares out for.
    pub consumer: consumer::Settings,
    /// Of members of share groups.
    pub share: consumer::Settings,
    /// Offsets are forgotten when their group has been empty for so long.
    pub retention_ms: u64,
    /// How often it is looked for offsets to be forgotten; a group without members and
    /// offsets is forgotten after so long.
    pub check_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_delay_ms: 3_000,
            join_wait_ms: 300_000,
            members_max: usize::MAX,
            metadata_bytes_max: 4_096,
            consumer: consumer::Settings::CONSUMER,
            share: consumer::Settings::SHARE,
            retention_ms: 7 * 24 * 3_600_000,
            check_ms: 600_000,
        }
    }
}

/// See the comment of the module above.
#[derive(Debug)]
pub struct Group {
    name: Arc<str>,
    pub(super) settings: Arc<Settings>,
    pub(super) state: State,
    pub(super) offsets: Offsets,
    /// When to look for offsets to be forgotten.
    pub(super) check_ms: Option<u64>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub ticket: Ticket,
    pub client: &'a Client,
    pub token: u128,
}

/// What only one kind has.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing: the name is free.
    Vacant,
    Classic(Box<Classic>),
    Consumer(Box<ConsumerGroup>),
    Share(Box<ShareGroup>),
}

impl Group {
    /// A name that nobody has used.
    pub fn new(name: &str, settings: Arc<Settings>) -> Group {
        Group {
            name: Arc::from(name),
            settings,
            state: State::Vacant,
            offsets: Offsets::default(),
            check_ms: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its kind; `None`: there is no such group.
    pub fn kind(&self) -> Option<GroupKind> {
        match &self.state {
            State::Vacant => None,
            State::Classic(_) => Some(GroupKind::Classic),
            State::Consumer(_) => Some(GroupKind::Consumer),
            State::Share(_) => Some(GroupKind::Share),
        }
    }

    /// Nobody would miss it.
    pub fn is_vacant(&self) -> bool {
        matches!(self.state, State::Vacant)
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        match &self.state {
            State::Vacant => true,
            State::Classic(classic) => classic.is_empty(),
            State::Consumer(group) => group.is_empty(),
            State::Share(group) => group.is_empty(),
        }
    }

    /// What it remembers.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// When to come back with [`Input::Timeout`]: Unix milliseconds.
    pub fn deadline_ms(&self) -> Option<u64> {
        let own = match &self.state {
            State::Vacant => None,
            State::Classic(classic) => classic.deadline_ms(),
            State::Consumer(group) => group.deadline_ms(),
            State::Share(group) => group.deadline_ms(),
        };
        [own, self.check_ms].into_iter().flatten().min()
    }

    /// Takes one input. `now_ms` is Unix milliseconds and does not go back much.
    pub fn handle(&mut self, input: Input<'_>, now_ms: u64, effects: &mut Vec<Effect>) {
        match input {
            Input::Request {
                ticket,
                client,
                token,
                request,
                topics,
            } => {
                let asking = Asking {
                    ticket,
                    client,
                    token,
                };
                self.request(asking, *request, topics, now_ms, effects);
            }
            Input::Abandon(ticket) => {
                if let State::Classic(classic) = &mut self.state {
                    classic.abandon(ticket, now_ms, effects);
                }
            }
            Input::TopicDeleted(topic) => self.topic_deleted(topic, effects),
            Input::TopicsChanged(topics) => self.topics_changed(topics, effects),
            Input::Timeout => self.timeout(now_ms, effects),
        }
        self.check_ms = match self.is_vacant() {
            true => None,
            false => self.check_ms.or(Some(now_ms + self.settings.check_ms)),
        };
    }

    fn request(
        &mut self,
        asking: Asking<'_>,
        request: Request,
        topics: &dyn Topics,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let ticket = asking.ticket;
        if self.name.is_empty()
            && let Some(answer) = request.refused(GroupError::InvalidGroup)
        {
            effects.push(Effect::Answer { ticket, answer });
            return;
        }
        let answer = match request {
            Request::Join(join) => return self.join(asking, join, now_ms, effects),
            Request::Sync(sync) => match &mut self.state {
                State::Classic(classic) => return classic.sync(ticket, sync, now_ms, effects),
                State::Vacant | State::Consumer(_) | State::Share(_) => {
                    Answer::Synced(Err(GroupError::UnknownMember))
                }
            },
            Request::Heartbeat {
                member,
                instance,
                generation,
            } => Answer::Alive(match &mut self.state {
                State::Classic(classic) => {
                    classic.heartbeat(&member, instance.as_deref(), generation, now_ms)
                }
                State::Vacant | State::Consumer(_) | State::Share(_) => {
                    Err(GroupError::UnknownMember)
                }
            }),
            Request::Leave(leave) => Answer::Left(match &mut self.state {
                State::Classic(classic) => Ok(classic.leave(leave, now_ms, effects)),
                State::Consumer(group) => Ok(beats::expel(group, leave, effects)),
                State::Vacant | State::Share(_) => Err(GroupError::UnknownMember),
            }),
            Request::Commit(commit) => Answer::Committed(self.commit(commit, now_ms, effects)),
            Request::FetchOffsets(fetch) => Answer::Fetched(self.fetch_offsets(fetch)),
            Request::DeleteOffsets(delete) => {
                Answer::DeletedOffsets(self.delete_offsets(delete, effects))
            }
            Request::Beat(beat) => return self.beat(asking, &beat, topics, now_ms, effects),
            Request::ShareBeat(beat) => {
                return self.share_beat(asking, &beat, topics, now_ms, effects);
            }
            Request::DescribeConsumers => Answer::Members(self.describe_consumers(topics)),
            Request::DescribeShare => Answer::Members(self.describe_share(topics)),
            Request::Describe => Answer::Described(self.describe()),
            Request::Delete => Answer::Deleted(self.delete(effects)),
        };
        effects.push(Effect::Answer { ticket, answer });
    }

    fn join(&mut self, asking: Asking<'_>, join: Join, now_ms: u64, effects: &mut Vec<Effect>) {
        let timeouts = self.settings.session_timeout_ms_min..=self.settings.session_timeout_ms_max;
        let refused = if !timeouts.contains(&join.session_timeout_ms) {
            GroupError::InvalidSessionTimeout
        } else if join.protocol_type.len() > TEXT_BYTES_MAX {
            GroupError::Malformed
        } else {
            // A consumer group without members is converted; a share group is never.
            let is_free = match &self.state {
                State::Vacant => true,
                State::Consumer(group) => group.is_empty(),
                State::Classic(_) | State::Share(_) => false,
            };
            if is_free && join.member.is_empty() {
                let classic = Classic::new(self.settings.clone(), now_ms);
                if !self.is_vacant() {
                    record(&[classic.note()], effects);
                }
                self.state = State::Classic(Box::new(classic));
            }
            match &mut self.state {
                State::Classic(classic) => return classic.join(asking, join, now_ms, effects),
                State::Vacant => GroupError::UnknownMember,
                State::Consumer(group) if group.is_empty() => GroupError::UnknownMember,
                State::Consumer(_) | State::Share(_) => GroupError::InconsistentProtocol,
            }
        };
        let ticket = asking.ticket;
        let answer = Answer::Joined(Err(refused));
        effects.push(Effect::Answer { ticket, answer });
    }

    fn describe(&self) -> Result<Described, GroupError> {
        match &self.state {
            State::Classic(classic) => Ok(classic.describe()),
            State::Vacant | State::Consumer(_) | State::Share(_) => Err(GroupError::NotFound),
        }
    }

    /// Other bounds, from here on.
    pub fn configure(&mut self, settings: &Arc<Settings>) {
        self.settings = settings.clone();
        match &mut self.state {
            State::Vacant => {}
            State::Classic(classic) => classic.configure(settings),
            State::Consumer(group) => group.configure(settings.consumer),
            State::Share(group) => group.configure(settings.share),
        }
    }

    /// What is set for this group's members, of consumer and share groups, from here on.
    pub fn configure_members(&mut self, configs: &Configs) {
        let consumer = consumer::Settings::CONSUMER.with(configs, "consumer");
        let share = consumer::Settings::SHARE.with(configs, "share");
        if (consumer, share) != (self.settings.consumer, self.settings.share) {
            let mut settings = (*self.settings).clone();
            (settings.consumer, settings.share) = (consumer, share);
            self.configure(&Arc::new(settings));
        }
    }

    /// For a list of groups; `None`: there is none.
    pub fn listed(&self) -> Option<Listed> {
        match &self.state {
            State::Vacant => None,
            State::Classic(classic) => Some(Listed {
                group: self.name.clone(),
                protocol_type: classic.protocol_type().clone(),
                state: classic.state_name(),
                kind: GroupKind::Classic,
            }),
            State::Consumer(group) => Some(Listed {
                group: self.name.clone(),
                protocol_type: "consumer".into(),
                state: group.state().name(),
                kind: GroupKind::Consumer,
            }),
            State::Share(group) => Some(Listed {
                group: self.name.clone(),
                protocol_type: "share".into(),
                state: group.state().name(),
                kind: GroupKind::Share,
            }),
        }
    }

    /// Takes a deadline that has passed.
    fn timeout(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if let State::Classic(classic) = &mut self.state {
            classic.timeout(now_ms, effects);
        }
        self.beats_timeout(now_ms, effects);
        if self.check_ms.is_some_and(|check_ms| check_ms <= now_ms) {
            self.check_ms = None;
            self.expire(now_ms, effects);
        }
    }

    fn delete(&mut self, effects: &mut Vec<Effect>) -> Result<(), GroupError> {
        if self.is_vacant() {
            return Err(GroupError::NotFound);
        }
        if !self.is_empty() {
            return Err(GroupError::NonEmpty);
        }
        self.vanish(effects);
        Ok(())
    }

    /// Nothing is left but the name.
    pub(super) fn vanish(&mut self, effects: &mut Vec<Effect>) {
        self.state = State::Vacant;
        self.offsets = Offsets::default();
        record(&[Note::Vacant], effects);
    }

    /// Writes notes that make the group again, but for the members of a classic one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.state {
            State::Vacant => return,
            State::Classic(classic) => classic.note().encode(out),
            State::Consumer(group) => {
                let notes = group.notes().into_iter().map(Note::Consumer);
                notes.for_each(|note| note.encode(out));
            }
            State::Share(group) => {
                let notes = group.notes().into_iter().map(Note::Share);
                notes.for_each(|note| note.encode(out));
            }
        }
        self.offsets.encode(out);
    }

    /// Replays notes that follow each other. Members of classic groups are not in them:
    /// whoever was there when they were written is gone.
    ///
    /// # Errors
    /// What is wrong with one; those before it have been replayed.
    pub fn replay(&mut self, mut notes: &[u8]) -> Result<(), NoteMalformed> {
        while !notes.is_empty() {
            match Note::decode(&mut notes)? {
                Note::Classic {
                    generation,
                    protocol_type,
                    empty_since_ms,
                } => {
                    let settings = self.settings.clone();
                    let restored =
                        Classic::restored(settings, generation, protocol_type, empty_since_ms);
                    self.state = State::Classic(Box::new(restored));
                }
                Note::Vacant => {
                    self.state = State::Vacant;
                    self.offsets = Offsets::default();
                }
                Note::Consumer(note) => self.replay_consumer(note),
                Note::Share(note) => self.replay_share(note),
                other => self.offsets.replay(other),
            }
        }
        Ok(())
    }

    fn replay_consumer(&mut self, note: consumer::Note) {
        if let State::Consumer(group) = &mut self.state {
            return group.replay(note);
        }
        let mut group = ConsumerGroup::new(self.settings.consumer);
        group.replay(note);
        self.state = State::Consumer(Box::new(group));
    }

    fn replay_share(&mut self, note: consumer::Note) {
        if let State::Share(group) = &mut self.state {
            return group.replay(note);
        }
        let mut group = ShareGroup::new(self.settings.share);
        group.replay(note);
        self.state = State::Share(Box::new(group));
    }

    /// All has been replayed: whoever was a member of a classic group is gone, now. Topics
    /// may have changed: [`Input::TopicsChanged`] comes next.
    pub fn replayed(&mut self, now_ms: u64) {
        match &mut self.state {
            State::Vacant => {}
            State::Classic(classic) => classic.restarted(now_ms),
            State::Consumer(group) => group.replayed(now_ms),
            State::Share(group) => group.replayed(now_ms),
        }
        if !self.is_vacant() {
            self.check_ms = Some(now_ms + self.settings.check_ms);
        }
    }
}

/// The longest text that is recorded: Kafka's protocol has no longer ones.
pub(super) const TEXT_BYTES_MAX: usize = 32_767;

/// Records notes as one.
pub(super) fn record(notes: &[Note], effects: &mut Vec<Effect>) {
    let mut bytes = Vec::new();
    for note in notes {
        note.encode(&mut bytes);
    }
    if !bytes.is_empty() {
        effects.push(Effect::Record(bytes));
    }
}

#[cfg(test)]
impl Group {
    /// Panics where an invariant does not hold.
    pub(super) fn check(&self) {
        match &self.state {
            State::Vacant => assert!(self.offsets.is_empty(), "{self:?}"),
            State::Classic(classic) => classic.check(),
            State::Consumer(group) => group.check(),
            State::Share(group) => group.check(),
        }
    }
}
