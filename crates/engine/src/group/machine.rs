//! One group.

use std::sync::Arc;

use super::call::{Answer, Client, Effect, GroupError, Input, Listed, Request, Ticket};
use super::classic::{Classic, Described, Join};
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
            } => {
                let asking = Asking {
                    ticket,
                    client,
                    token,
                };
                self.request(asking, request, now_ms, effects);
            }
            Input::Abandon(ticket) => {
                if let State::Classic(classic) = &mut self.state {
                    classic.abandon(ticket, now_ms, effects);
                }
            }
            Input::TopicDeleted(topic) => self.topic_deleted(topic, effects),
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
                State::Vacant => Answer::Synced(Err(GroupError::UnknownMember)),
            },
            Request::Heartbeat {
                member,
                instance,
                generation,
            } => Answer::Alive(match &mut self.state {
                State::Classic(classic) => {
                    classic.heartbeat(&member, instance.as_deref(), generation, now_ms)
                }
                State::Vacant => Err(GroupError::UnknownMember),
            }),
            Request::Leave(leave) => Answer::Left(match &mut self.state {
                State::Classic(classic) => Ok(classic.leave(leave, now_ms, effects)),
                State::Vacant => Err(GroupError::UnknownMember),
            }),
            Request::Commit(commit) => Answer::Committed(self.commit(commit, now_ms, effects)),
            Request::FetchOffsets(fetch) => Answer::Fetched(self.fetch_offsets(fetch)),
            Request::DeleteOffsets(delete) => {
                Answer::DeletedOffsets(self.delete_offsets(delete, effects))
            }
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
            if self.is_vacant() && join.member.is_empty() {
                let classic = Classic::new(self.settings.clone(), now_ms);
                self.state = State::Classic(Box::new(classic));
            }
            match &mut self.state {
                State::Classic(classic) => return classic.join(asking, join, now_ms, effects),
                State::Vacant => GroupError::UnknownMember,
            }
        };
        let ticket = asking.ticket;
        let answer = Answer::Joined(Err(refused));
        effects.push(Effect::Answer { ticket, answer });
    }

    fn describe(&self) -> Result<Described, GroupError> {
        match &self.state {
            State::Vacant => Err(GroupError::NotFound),
            State::Classic(classic) => Ok(classic.describe()),
        }
    }

    /// Other bounds, from here on.
    pub fn configure(&mut self, settings: &Arc<Settings>) {
        self.settings = settings.clone();
        if let State::Classic(classic) = &mut self.state {
            classic.configure(settings);
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
        }
    }

    /// Takes a deadline that has passed.
    fn timeout(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if let State::Classic(classic) = &mut self.state {
            classic.timeout(now_ms, effects);
        }
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

    /// Writes notes that make the group again, but for its members.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.state {
            State::Vacant => return,
            State::Classic(classic) => classic.note().encode(out),
        }
        self.offsets.encode(out);
    }

    /// Replays notes that follow each other. Members are not in them: whoever was there when
    /// they were written is gone.
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
                other => self.offsets.replay(other),
            }
        }
        Ok(())
    }

    /// All has been replayed: whoever was a member is gone, now.
    pub fn replayed(&mut self, now_ms: u64) {
        if let State::Classic(classic) = &mut self.state {
            classic.restarted(now_ms);
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
        }
    }
}
