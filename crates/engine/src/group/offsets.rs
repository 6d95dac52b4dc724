//! Where a group came to: an offset for each partition, with what its consumers wrote beside
//! it.
//!
//! An offset committed in a transaction is pending until that ends. Between a plain commit and
//! a transaction's, whichever was made later counts, not whichever became visible later.
//!
//! Kept by the topic's id, so that a topic which is deleted and made again starts anew; the
//! name is kept for those who ask by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::GroupError;
use super::note::Note;
use crate::catalog::TopicId;

/// Offsets to remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The member that commits; empty: nobody's, an operator's or a consumer's that was given
    /// its partitions by hand.
    pub member: String,
    /// Its name across restarts.
    pub instance: Option<String>,
    /// Its generation, or its epoch; -1: nobody's.
    pub generation: i32,
    /// Forget after so long, whatever the setting says; negative: as the setting says.
    pub retention_ms: i64,
    /// The client knows that a group may be there no more.
    pub knows_not_found: bool,
    /// What.
    pub topics: Vec<CommitTopic>,
}

/// Offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    /// Which.
    pub topic: Topic,
    /// Of it.
    pub partitions: Vec<CommitPartition>,
}

/// A topic as a client names it; the broker fills in what the client did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its id; zero: not said, or there is none of that name.
    pub id: TopicId,
    /// Its name; empty: not said, or there is none of that id.
    pub name: Arc<str>,
    /// How many partitions it has; 0: there is no such topic.
    pub partition_count: u32,
    /// The client may not read it.
    pub denied: bool,
}

/// An offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    /// Which.
    pub partition: i32,
    /// The next one to be read.
    pub offset: i64,
    /// Of the last one that was read; -1: not said.
    pub leader_epoch: i32,
    /// What the consumer wrote beside it.
    pub metadata: Arc<str>,
}

/// What became of each partition of each topic.
pub type TopicResults = Vec<(Topic, Vec<(i32, Result<(), GroupError>)>)>;

/// What a group is asked to remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The member that asks, if it says.
    pub member: Option<String>,
    /// Its epoch; -1: not said.
    pub member_epoch: i32,
    /// Refuse where a transaction that has not ended has committed an offset.
    pub require_stable: bool,
    /// Of these; `None`: all that there are.
    pub topics: Option<Vec<FetchTopic>>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    /// Which.
    pub topic: Topic,
    /// Of it.
    pub partitions: Vec<i32>,
}

/// What is remembered of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Which.
    pub topic: Topic,
    /// In the order asked for.
    pub partitions: Vec<FetchedPartition>,
}

/// What is remembered of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Which.
    pub partition: i32,
    /// `None`: nothing is.
    pub committed: Result<Option<Committed>, GroupError>,
}

/// Offsets to forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOffsets {
    /// Of these.
    pub topics: Vec<FetchTopic>,
}

/// One offset that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next one to be read.
    pub offset: i64,
    /// Of the last one that was read; -1: not said.
    pub leader_epoch: i32,
    /// What the consumer wrote beside it.
    pub metadata: Arc<str>,
    /// When it was committed: Unix milliseconds.
    pub at_ms: u64,
    /// To be forgotten then, whatever the setting says.
    pub expires_ms: Option<u64>,
    /// Counts the commits of the group: which of two was later.
    pub order: u64,
}

/// A partition of a topic.
pub type Place = (TopicId, i32);

/// See the module's comment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offsets {
    committed: BTreeMap<Place, Committed>,
    /// By producer.
    pending: BTreeMap<i64, BTreeMap<Place, Committed>>,
    names: BTreeMap<TopicId, Arc<str>>,
    /// The order of the last commit.
    last: u64,
}

impl Offsets {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// Whether a transaction is open that commits offsets.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// All, by topic and partition.
    pub fn committed(&self) -> impl Iterator<Item = (Place, &Committed)> {
        self.committed.iter().map(|(place, said)| (*place, said))
    }

    /// All that wait for the end of a transaction, by producer.
    pub fn pending(&self) -> impl Iterator<Item = (i64, Place, &Committed)> {
        let of = |(id, places): (&i64, _)| pending_of(*id, places);
        self.pending.iter().flat_map(of)
    }

    /// What is remembered of a partition.
    pub fn find(&self, place: Place) -> Option<&Committed> {
        self.committed.get(&place)
    }

    /// Whether a transaction that has not ended has committed an offset of it.
    pub fn is_pending(&self, place: Place) -> bool {
        let mut open = self.pending.values();
        open.any(|places| places.contains_key(&place))
    }

    /// The name of a topic that something is remembered of.
    pub fn name(&self, topic: TopicId) -> Option<&Arc<str>> {
        self.names.get(&topic)
    }

    /// Topics that something is remembered of.
    pub fn topics(&self) -> impl Iterator<Item = TopicId> {
        self.names.keys().copied()
    }

    /// The order of the next commit.
    pub(super) fn next_order(&self) -> u64 {
        self.last + 1
    }

    /// Remembers.
    pub(super) fn put(&mut self, topic: &Topic, partition: i32, said: Committed) {
        self.last = self.last.max(said.order);
        self.names.insert(topic.id, topic.name.clone());
        self.committed.insert((topic.id, partition), said);
    }

    /// Remembers for the end of a transaction.
    pub(super) fn put_pending(
        &mut self,
        producer_id: i64,
        topic: &Topic,
        partition: i32,
        said: Committed,
    ) {
        self.last = self.last.max(said.order);
        self.names.insert(topic.id, topic.name.clone());
        let open = self.pending.entry(producer_id).or_default();
        open.insert((topic.id, partition), said);
    }

    /// A transaction ended. `false`: it had committed nothing here.
    pub(super) fn complete(&mut self, producer_id: i64, commit: bool) -> bool {
        let Some(places) = self.pending.remove(&producer_id) else {
            return false;
        };
        if commit {
            for (place, said) in places {
                let later = self.committed.get(&place);
                if later.is_none_or(|later| later.order < said.order) {
                    self.committed.insert(place, said);
                }
            }
        }
        self.forget_names();
        true
    }

    /// Forgets; also what is pending. `false`: there was nothing.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        let mut found = self.committed.remove(&place).is_some();
        self.pending.retain(|_, places| {
            found |= places.remove(&place).is_some();
            !places.is_empty()
        });
        self.forget_names();
        found
    }

    /// All partitions of a topic that something is remembered of.
    pub(super) fn places_of(&self, topic: TopicId) -> Vec<Place> {
        let all = (topic, i32::MIN)..=(topic, i32::MAX);
        let committed = self.committed.range(all.clone()).map(|(place, _)| *place);
        let open = self.pending.values();
        let pending = open.flat_map(|places| places.range(all.clone()).map(|(place, _)| *place));
        let mut places: Vec<Place> = committed.chain(pending).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Writes all of it as notes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for ((id, partition), committed) in self.committed() {
            let note = Note::Offset {
                topic: self.topic(id),
                partition,
                committed: committed.clone(),
            };
            note.encode(out);
        }
        for (producer_id, (id, partition), committed) in self.pending() {
            let note = Note::Pending {
                producer_id,
                topic: self.topic(id),
                partition,
                committed: committed.clone(),
            };
            note.encode(out);
        }
    }

    /// Takes a note over; one that is of no offset is none of it.
    pub(super) fn replay(&mut self, note: Note) {
        match note {
            Note::Offset {
                topic,
                partition,
                committed,
            } => self.put(&topic, partition, committed),
            Note::Pending {
                producer_id,
                topic,
                partition,
                committed,
            } => self.put_pending(producer_id, &topic, partition, committed),
            Note::Completed {
                producer_id,
                commit,
            } => {
                self.complete(producer_id, commit);
            }
            Note::Removed { topic, partition } => {
                self.remove((topic, partition));
            }
            Note::Classic { .. } | Note::Vacant | Note::Consumer(_) | Note::Share(_) => {}
        }
    }

    /// A topic that something is remembered of.
    pub(super) fn topic(&self, id: TopicId) -> Topic {
        Topic {
            id,
            name: self.name(id).cloned().unwrap_or_default(),
            partition_count: 0,
            denied: false,
        }
    }

    fn forget_names(&mut self) {
        let Offsets {
            committed,
            pending,
            names,
            ..
        } = self;
        names.retain(|topic, _| {
            let all = (*topic, i32::MIN)..=(*topic, i32::MAX);
            let is_in = |places: &BTreeMap<Place, Committed>| {
                let first = places.range(all.clone()).next();
                first.is_some()
            };
            is_in(committed) || pending.values().any(is_in)
        });
    }
}

fn pending_of(
    producer_id: i64,
    places: &BTreeMap<Place, Committed>,
) -> impl Iterator<Item = (i64, Place, &Committed)> {
    places
        .iter()
        .map(move |(place, said)| (producer_id, *place, said))
}
