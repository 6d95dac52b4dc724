//! Groups that the broker shares out for: how a name comes to be such a group, and what it
//! then answers to requests that know only of classic ones.
//!
//! A name is of the kind that first used it while it has members. A classic group without
//! members becomes a consumer group when a consumer joins it, and the other way round; its
//! offsets stay. A group with members is not converted under way, and a share group never.

use super::call::{Answer, Effect, GroupError, Ticket};
use super::classic::{Leave, Leaving, Left};
use super::consumer::beat::JOIN;
use super::consumer::{
    Asker, Beat, Beaten, ConsumerGroup, Description, Invalid, NotThatMember, Refused, ShareGroup,
    Topics,
};
use super::machine::{Asking, Group, State, record};
use super::note::Note;
use super::offsets::Commit;

impl Group {
    /// A consumer's beat.
    pub(super) fn beat(
        &mut self,
        asking: Asking<'_>,
        beat: &Beat,
        topics: &dyn Topics,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let result = self.consumer_beat(asking, beat, topics, now_ms, effects);
        answer(asking.ticket, result, effects);
    }

    fn consumer_beat(
        &mut self,
        asking: Asking<'_>,
        beat: &Beat,
        topics: &dyn Topics,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Beaten, Refused> {
        self.has_name()?;
        beat.check_consumer()?;
        let settings = self.settings.consumer;
        let mut begun = None;
        let group = match &mut self.state {
            State::Consumer(group) => group,
            State::Vacant if beat.epoch == JOIN => {
                begun.insert(Box::new(ConsumerGroup::new(settings)))
            }
            State::Classic(classic) if beat.epoch == JOIN && classic.is_empty() => {
                begun.insert(Box::new(ConsumerGroup::new(settings)))
            }
            State::Vacant | State::Classic(_) | State::Share(_) => {
                return Err(Refused::GroupNotFound);
            }
        };
        let mut notes = Vec::new();
        let beaten = group.beat(beat, asking.asker(), topics, now_ms, &mut notes)?;
        let notes: Vec<Note> = notes.into_iter().map(Note::Consumer).collect();
        record(&notes, effects);
        if let Some(group) = begun {
            self.state = State::Consumer(group);
        }
        Ok(beaten)
    }

    /// A beat of a share group's member.
    pub(super) fn share_beat(
        &mut self,
        asking: Asking<'_>,
        beat: &Beat,
        topics: &dyn Topics,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let result = self.member_beat(asking, beat, topics, now_ms, effects);
        answer(asking.ticket, result, effects);
    }

    fn member_beat(
        &mut self,
        asking: Asking<'_>,
        beat: &Beat,
        topics: &dyn Topics,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Beaten, Refused> {
        self.has_name()?;
        beat.check_share()?;
        let mut begun = None;
        let group = match &mut self.state {
            State::Share(group) => group,
            State::Vacant if beat.epoch == JOIN => {
                begun.insert(Box::new(ShareGroup::new(self.settings.share)))
            }
            State::Vacant | State::Classic(_) | State::Consumer(_) => {
                return Err(Refused::GroupNotFound);
            }
        };
        let mut notes = Vec::new();
        let beaten = group.beat(beat, asking.asker(), topics, now_ms, &mut notes)?;
        let notes: Vec<Note> = notes.into_iter().map(Note::Share).collect();
        record(&notes, effects);
        if let Some(group) = begun {
            self.state = State::Share(group);
        }
        Ok(beaten)
    }

    fn has_name(&self) -> Result<(), Refused> {
        match self.name().trim().is_empty() {
            true => Err(Refused::Invalid(Invalid::GroupEmpty)),
            false => Ok(()),
        }
    }

    pub(super) fn topics_changed(&mut self, topics: &dyn Topics, effects: &mut Vec<Effect>) {
        let mut notes = Vec::new();
        let notes: Vec<Note> = match &mut self.state {
            State::Vacant | State::Classic(_) => return,
            State::Consumer(group) => {
                group.topics_changed(topics, &mut notes);
                notes.into_iter().map(Note::Consumer).collect()
            }
            State::Share(group) => {
                group.topics_changed(topics, &mut notes);
                notes.into_iter().map(Note::Share).collect()
            }
        };
        record(&notes, effects);
    }

    /// A deadline has passed, of the members of these kinds.
    pub(super) fn beats_timeout(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let mut notes = Vec::new();
        let notes: Vec<Note> = match &mut self.state {
            State::Vacant | State::Classic(_) => return,
            State::Consumer(group) => {
                group.timeout(now_ms, &mut notes);
                notes.into_iter().map(Note::Consumer).collect()
            }
            State::Share(group) => {
                group.timeout(now_ms, &mut notes);
                notes.into_iter().map(Note::Share).collect()
            }
        };
        record(&notes, effects);
    }

    /// All there is to be told of it as a consumer group.
    pub(super) fn describe_consumers(
        &self,
        topics: &dyn Topics,
    ) -> Result<Description, GroupError> {
        match &self.state {
            State::Consumer(group) => Ok(group.describe(topics)),
            State::Vacant | State::Classic(_) | State::Share(_) => Err(GroupError::NotFound),
        }
    }

    /// All there is to be told of it as a share group.
    pub(super) fn describe_share(&self, topics: &dyn Topics) -> Result<Description, GroupError> {
        match &self.state {
            State::Share(group) => Ok(group.describe(topics)),
            State::Vacant | State::Classic(_) | State::Consumer(_) => Err(GroupError::NotFound),
        }
    }

    /// It as a share group: who is there, and who reads what.
    pub fn share(&self) -> Option<&ShareGroup> {
        match &self.state {
            State::Share(group) => Some(group),
            State::Vacant | State::Classic(_) | State::Consumer(_) => None,
        }
    }

    /// Whether it has to be told when topics change.
    pub fn follows_topics(&self) -> bool {
        matches!(self.state, State::Consumer(_) | State::Share(_))
    }
}

impl Asking<'_> {
    fn asker(&self) -> Asker<'_> {
        Asker {
            client_id: &self.client.id,
            client_host: &self.client.host,
            token: self.token,
        }
    }
}

/// An operator sends members of a consumer group away.
pub(super) fn expel(
    group: &mut ConsumerGroup,
    leave: Leave,
    effects: &mut Vec<Effect>,
) -> Vec<Left> {
    let mut notes = Vec::new();
    let mut expel = |who: &Leaving| {
        let expelled = group.expel(&who.member, who.instance.as_deref(), &mut notes);
        expelled.map_err(|refused| match refused {
            Refused::FencedInstance { .. } => GroupError::FencedInstance,
            _ => GroupError::UnknownMember,
        })
    };
    let left = leave.members.into_iter().map(|who| Left {
        result: expel(&who),
        who,
    });
    let left = left.collect();
    let notes: Vec<Note> = notes.into_iter().map(Note::Consumer).collect();
    record(&notes, effects);
    left
}

/// Whether a commit is that of a member of this group.
pub(super) fn may_commit(
    group: &ConsumerGroup,
    commit: &Commit,
    transactional: bool,
) -> Result<(), GroupError> {
    let allowed = group.check_commit(&commit.member, commit.generation);
    allowed.map_err(|refused| match refused {
        NotThatMember::Unknown => GroupError::UnknownMember,
        // A producer knows of generations only.
        NotThatMember::StaleEpoch if transactional => GroupError::IllegalGeneration,
        NotThatMember::StaleEpoch => GroupError::StaleMemberEpoch,
    })
}

fn answer(ticket: Ticket, result: Result<Beaten, Refused>, effects: &mut Vec<Effect>) {
    let answer = Answer::Beaten(result);
    effects.push(Effect::Answer { ticket, answer });
}
