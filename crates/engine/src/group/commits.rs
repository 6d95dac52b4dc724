//! What a group remembers: the requests about it, and when it forgets.

use super::GroupError;
use super::beats;
use super::call::Effect;
use super::classic::Classic;
use super::consumer::NotThatMember;
use super::machine::{Group, State, TEXT_BYTES_MAX, record};
use super::note::Note;
use super::offsets::{
    Commit, Committed, DeleteOffsets, FetchOffsets, FetchTopic, FetchedPartition, FetchedTopic,
    Topic, TopicResults,
};
use crate::catalog::TopicId;

impl Group {
    pub(super) fn commit(
        &mut self,
        commit: Commit,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> TopicResults {
        let allowed = self.may_commit(&commit, false, now_ms, effects);
        let mut notes = Vec::new();
        let results = self.judge(commit, &allowed, now_ms, |topic, partition, committed| {
            notes.push(Note::Offset {
                topic,
                partition,
                committed,
            });
        });
        record(&notes, effects);
        for note in notes {
            self.offsets.replay(note);
        }
        results
    }

    /// As a commit, held back until the transaction of this producer ends
    /// ([`Group::complete_transaction`]). Whether the producer may is for its coordinator to
    /// say. Answer once what `effects` records is durable.
    pub fn commit_transactional(
        &mut self,
        producer_id: i64,
        commit: Commit,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> TopicResults {
        let allowed = self.may_commit(&commit, true, now_ms, effects);
        let mut notes = Vec::new();
        let results = self.judge(commit, &allowed, now_ms, |topic, partition, committed| {
            notes.push(Note::Pending {
                producer_id,
                topic,
                partition,
                committed,
            });
        });
        record(&notes, effects);
        for note in notes {
            self.offsets.replay(note);
        }
        results
    }

    /// The producer's transaction ended: its offsets count, or are forgotten. Returns the note
    /// to be recorded, in one group with the end itself; `None`: it had committed none here.
    pub fn complete_transaction(&mut self, producer_id: i64, commit: bool) -> Option<Vec<u8>> {
        if !self.offsets.complete(producer_id, commit) {
            return None;
        }
        let note = Note::Completed {
            producer_id,
            commit,
        };
        let mut bytes = Vec::new();
        note.encode(&mut bytes);
        Some(bytes)
    }

    /// Whether whoever commits may; a group that is not there yet begins here.
    fn may_commit(
        &mut self,
        commit: &Commit,
        transactional: bool,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        match &mut self.state {
            State::Vacant if commit.generation >= 0 => match commit.knows_not_found {
                true => Err(GroupError::NotFound),
                false => Err(GroupError::IllegalGeneration),
            },
            State::Vacant => {
                let classic = Classic::new(self.settings.clone(), now_ms);
                record(&[classic.note()], effects);
                self.state = State::Classic(Box::new(classic));
                Ok(())
            }
            State::Classic(classic) => classic.may_commit(commit, transactional, now_ms),
            State::Consumer(group) => beats::may_commit(group, commit, transactional),
            State::Share(_) => Err(GroupError::NotFound),
        }
    }

    fn judge(
        &self,
        commit: Commit,
        allowed: &Result<(), GroupError>,
        now_ms: u64,
        mut accept: impl FnMut(Topic, i32, Committed),
    ) -> TopicResults {
        let metadata_bytes_max = self.settings.metadata_bytes_max.min(TEXT_BYTES_MAX);
        let expires_ms = u64::try_from(commit.retention_ms);
        let expires_ms = expires_ms.ok().map(|ms| now_ms.saturating_add(ms));
        let mut order = self.offsets.next_order();
        let of = commit.topics.into_iter().map(|of| {
            let results = of.partitions.into_iter().map(|said| {
                let partition = said.partition;
                if let Err(refused) = known(&of.topic, partition) {
                    return (partition, Err(refused));
                }
                if let Err(refused) = allowed {
                    return (partition, Err(refused.clone()));
                }
                if said.metadata.len() > metadata_bytes_max {
                    return (partition, Err(GroupError::MetadataTooLarge));
                }
                let committed = Committed {
                    offset: said.offset,
                    leader_epoch: said.leader_epoch,
                    metadata: said.metadata,
                    at_ms: now_ms,
                    expires_ms,
                    order,
                };
                order += 1;
                accept(of.topic.clone(), partition, committed);
                (partition, Ok(()))
            });
            let results = results.collect();
            (of.topic, results)
        });
        of.collect()
    }

    pub(super) fn fetch_offsets(
        &self,
        fetch: FetchOffsets,
    ) -> Result<Vec<FetchedTopic>, GroupError> {
        match &self.state {
            State::Consumer(group) => {
                let allowed = group.check_fetch(fetch.member.as_deref(), fetch.member_epoch);
                allowed.map_err(|refused| match refused {
                    NotThatMember::Unknown => GroupError::UnknownMember,
                    NotThatMember::StaleEpoch => GroupError::StaleMemberEpoch,
                })?;
            }
            State::Share(_) => return Err(GroupError::NotFound),
            State::Vacant | State::Classic(_) => {}
        }
        let require_stable = fetch.require_stable;
        let topics = match fetch.topics {
            Some(topics) => topics,
            None => self.all_topics(),
        };
        let fetched = topics.into_iter().map(|of| {
            let partitions = of.partitions.into_iter().map(|partition| {
                let place = (of.topic.id, partition);
                let committed = if of.topic.denied {
                    Err(GroupError::TopicDenied)
                } else if of.topic.name.is_empty() {
                    Err(GroupError::UnknownTopicId)
                } else if require_stable && self.offsets.is_pending(place) {
                    Err(GroupError::UnstableOffset)
                } else {
                    Ok(self.offsets.find(place).cloned())
                };
                FetchedPartition {
                    partition,
                    committed,
                }
            });
            let partitions = partitions.collect();
            FetchedTopic {
                topic: of.topic,
                partitions,
            }
        });
        Ok(fetched.collect())
    }

    fn all_topics(&self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for ((id, partition), _) in self.offsets.committed() {
            match topics.last_mut().filter(|last| last.topic.id == id) {
                Some(last) => last.partitions.push(partition),
                None => topics.push(FetchTopic {
                    topic: self.offsets.topic(id),
                    partitions: vec![partition],
                }),
            }
        }
        topics
    }

    pub(super) fn delete_offsets(
        &mut self,
        delete: DeleteOffsets,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicResults, GroupError> {
        match &self.state {
            State::Vacant | State::Share(_) => return Err(GroupError::NotFound),
            State::Classic(classic) => classic.may_delete_offsets()?,
            State::Consumer(_) => {}
        }
        let mut notes = Vec::new();
        let of = delete.topics.into_iter().map(|of| {
            let subscribed = self.is_subscribed(&of.topic.name);
            let results = of.partitions.into_iter().map(|partition| {
                let result = match known(&of.topic, partition) {
                    Err(refused) => Err(refused),
                    Ok(()) if subscribed => Err(GroupError::Subscribed),
                    Ok(()) => Ok(()),
                };
                let topic = of.topic.id;
                if result.is_ok() && self.offsets.remove((topic, partition)) {
                    notes.push(Note::Removed { topic, partition });
                }
                (partition, result)
            });
            let results = results.collect();
            (of.topic, results)
        });
        let results = of.collect();
        record(&notes, effects);
        Ok(results)
    }

    fn is_subscribed(&self, topic: &str) -> bool {
        match &self.state {
            State::Vacant => false,
            State::Classic(classic) => classic.is_subscribed(topic),
            State::Consumer(group) => group.is_subscribed(topic),
            State::Share(group) => group.is_subscribed(topic),
        }
    }

    pub(super) fn topic_deleted(&mut self, topic: TopicId, effects: &mut Vec<Effect>) {
        let mut notes = Vec::new();
        for (topic, partition) in self.offsets.places_of(topic) {
            self.offsets.remove((topic, partition));
            notes.push(Note::Removed { topic, partition });
        }
        record(&notes, effects);
    }

    /// Forgets offsets whose time is over, and the group when nothing is left of it.
    pub(super) fn expire(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let (since, forgotten) = match &self.state {
            State::Vacant => return,
            State::Classic(classic) => (classic.retained_since(), classic.empty_since_ms()),
            // Forgotten with their last offset, as in Kafka.
            State::Consumer(group) => (Retained::Commit, group.is_empty().then_some(0)),
            // Has no offsets here, and stays until it is deleted.
            State::Share(_) => return,
        };
        let mut notes = Vec::new();
        for (place, said) in self.offsets.committed() {
            let kept_by_members = since == Retained::Members
                || self
                    .offsets
                    .name(place.0)
                    .is_some_and(|name| self.is_subscribed(name));
            if kept_by_members || self.offsets.is_pending(place) {
                continue;
            }
            let since_ms = match since {
                Retained::EmptySince(empty_since_ms) => empty_since_ms,
                Retained::Commit | Retained::Members => said.at_ms,
            };
            let expires_ms = said.expires_ms;
            let expires_ms =
                expires_ms.unwrap_or(since_ms.saturating_add(self.settings.retention_ms));
            if expires_ms <= now_ms {
                let (topic, partition) = place;
                notes.push(Note::Removed { topic, partition });
            }
        }
        record(&notes, effects);
        for note in notes {
            self.offsets.replay(note);
        }
        let unused_ms = forgotten.map(|since_ms| since_ms.saturating_add(self.settings.check_ms));
        if self.offsets.is_empty() && unused_ms.is_some_and(|unused_ms| unused_ms <= now_ms) {
            self.vanish(effects);
        }
    }
}

/// From when on the time runs for which offsets are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retained {
    /// From the group's last member.
    EmptySince(u64),
    /// From each one's commit: nobody ever joined, or members read other topics.
    Commit,
    /// It does not run.
    Members,
}

fn known(topic: &Topic, partition: i32) -> Result<(), GroupError> {
    if topic.denied {
        return Err(GroupError::TopicDenied);
    }
    let exists = u32::try_from(partition).is_ok_and(|index| index < topic.partition_count);
    match exists {
        true => Ok(()),
        false if topic.name.is_empty() && topic.partition_count == 0 => {
            Err(GroupError::UnknownTopicId)
        }
        false => Err(GroupError::UnknownTopic),
    }
}
