//! Queues as topics.
//!
//! Every durable queue that is nobody's own and whose name Kafka would take is a topic, and
//! its first partition. Partitions beyond the first are queues too, `name/1` and so on,
//! which come and go with the topic.
//!
//! A topic's number is the cluster's and that of its first partition, mixed: it is found
//! without an index, differs between clusters, and is never used again.

use std::sync::Arc;

use crate::catalog::definition::{PartOf, QueueDefinition, TopicDefinition};
use crate::catalog::state::{Catalog, QueueEntry};
use crate::catalog::topic_id::TopicId;
use crate::queue::properties::Properties;
use crate::router::{QueueId, SpaceId};
use crate::topic::name;

/// A queue as Kafka sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its number for ever.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its logs; never empty.
    pub partitions: Arc<[QueueId]>,
    /// What it is beside a topic.
    pub kind: TopicKind,
    /// What was said of it as a topic.
    pub definition: Option<TopicDefinition>,
    /// What its arguments, policy and configurations come to.
    pub properties: Arc<Properties>,
}

/// What a topic is beside a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicKind {
    /// A stream: records stay as long as its retention says.
    Stream,
    /// A work queue: records go when they are settled.
    Queue,
}

impl Catalog {
    /// The cluster's number; 0 until it was [`Found`](crate::catalog::Change::Found).
    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    /// The topic of that name.
    pub fn topic(&self, space: SpaceId, name: &str) -> Option<Topic> {
        let (id, entry) = self.topic_entry(space, name)?;
        Some(self.as_topic(id, entry))
    }

    /// The topic of that number.
    pub fn topic_by_id(&self, space: SpaceId, id: TopicId) -> Option<Topic> {
        let (id, entry) = self.topic_entry_by_id(space, id)?;
        Some(self.as_topic(id, entry))
    }

    /// All topics of a space, in the order in which they were made.
    pub fn topics(&self, space: SpaceId) -> impl Iterator<Item = Topic> {
        let of_space = self.queues.iter();
        let of_space = of_space.filter(move |(_, entry)| entry.space == space);
        let topics = of_space.filter(|(_, entry)| is_topic(&entry.definition));
        topics.map(|(id, entry)| self.as_topic(*id, entry))
    }

    /// The partitions of the topic of that name. They are others only in another
    /// [`epoch`](Catalog::epoch).
    pub fn partitions(&self, space: SpaceId, name: &str) -> Option<Arc<[QueueId]>> {
        let (id, _) = self.topic_entry(space, name)?;
        Some(self.partitions_of(id))
    }

    /// As [`Catalog::partitions`], and its name.
    pub fn partitions_by_id(
        &self,
        space: SpaceId,
        id: TopicId,
    ) -> Option<(Arc<str>, Arc<[QueueId]>)> {
        let (id, entry) = self.topic_entry_by_id(space, id)?;
        Some((Arc::clone(&entry.definition.name), self.partitions_of(id)))
    }

    /// The number of the topic whose first partition that is.
    pub fn topic_id(&self, first: QueueId) -> TopicId {
        TopicId(self.cluster ^ u128::from(first.0))
    }

    /// Which topic a queue is of, and which partition: of a queue that is no topic, none.
    pub fn partition_of(&self, id: QueueId) -> Option<(TopicId, Arc<str>, u32)> {
        let definition = &self.queues.get(&id)?.definition;
        let (first, index) = match definition.part_of {
            Some(PartOf { first, index }) => (first, index),
            None if is_topic(definition) => (id, 0),
            None => return None,
        };
        let name = Arc::clone(&self.queues.get(&first)?.definition.name);
        Some((self.topic_id(first), name, index))
    }

    pub(super) fn topic_entry(&self, space: SpaceId, name: &str) -> Option<(QueueId, &QueueEntry)> {
        let found = self.queue_entry(space, name);
        found.filter(|(_, entry)| is_topic(&entry.definition))
    }

    pub(super) fn topic_entry_by_id(
        &self,
        space: SpaceId,
        id: TopicId,
    ) -> Option<(QueueId, &QueueEntry)> {
        let id = QueueId(u64::try_from(id.0 ^ self.cluster).ok()?);
        let entry = self.queues.get(&id)?;
        (entry.space == space && is_topic(&entry.definition)).then_some((id, entry))
    }

    pub(super) fn partitions_of(&self, first: QueueId) -> Arc<[QueueId]> {
        std::iter::once(first).chain(self.parts_of(first)).collect()
    }

    pub(super) fn parts_of(&self, first: QueueId) -> impl DoubleEndedIterator<Item = QueueId> {
        let range = (first, 0)..=(first, u32::MAX);
        self.parts.range(range).map(|(_, id)| *id)
    }

    fn as_topic(&self, id: QueueId, entry: &QueueEntry) -> Topic {
        Topic {
            id: self.topic_id(id),
            name: Arc::clone(&entry.definition.name),
            partitions: self.partitions_of(id),
            kind: kind(&entry.properties),
            definition: entry.definition.topic.clone(),
            properties: Arc::clone(&entry.properties),
        }
    }

    /// Whether another topic's name differs only in dots and underscores; its name.
    pub(super) fn alike(&self, space: SpaceId, name: &str) -> Option<&Arc<str>> {
        let alike = name::alike(name)?;
        let range = (space, alike.clone(), QueueId(0))..=(space, alike, QueueId(u64::MAX));
        let (_, _, id) = self.alike.range(range).next()?;
        Some(&self.queues[id].definition.name)
    }

    /// To be called when a queue was added.
    pub(super) fn topic_added(&mut self, id: QueueId) {
        let entry = &self.queues[&id];
        if let Some(PartOf { first, index }) = entry.definition.part_of {
            self.parts.insert((first, index), id);
        } else if let Some(alike) = alike_of(&entry.definition) {
            self.alike.insert((entry.space, alike, id));
        }
    }

    /// To be called before a queue is removed.
    pub(super) fn topic_removed(&mut self, id: QueueId) {
        let entry = &self.queues[&id];
        if let Some(PartOf { first, index }) = entry.definition.part_of {
            self.parts.remove(&(first, index));
        } else if let Some(alike) = alike_of(&entry.definition) {
            self.alike.remove(&(entry.space, alike, id));
        }
    }

    pub(super) fn configure_topic(&mut self, id: QueueId, topic: &TopicDefinition) -> bool {
        let mut altered = false;
        for id in self.partitions_of(id).iter() {
            let Some(entry) = self.queues.get_mut(id) else {
                continue;
            };
            if entry.definition.topic.as_ref() == Some(topic) {
                continue;
            }
            let mut definition = (*entry.definition).clone();
            definition.topic = Some(topic.clone());
            entry.properties = self.shared.properties(&definition, entry.policy.as_deref());
            entry.definition = Arc::new(definition);
            altered = true;
        }
        altered
    }

    /// Asserts that partitions are numbered without gaps, and are as their first.
    pub(super) fn check_parts(&self) {
        let with_parts = self.queues.values();
        let with_parts = with_parts.filter(|entry| entry.definition.part_of.is_some());
        assert_eq!(self.parts.len(), with_parts.count());
        for ((first, index), id) in &self.parts {
            let (part, topic) = (&self.queues[id], &self.queues[first]);
            assert!(is_topic(&topic.definition));
            let name = name::of_partition(&topic.definition.name, *index);
            assert_eq!(*part.definition.name, *name);
            assert_eq!(part.definition.topic, topic.definition.topic);
            assert_eq!(part.properties, topic.properties);
            assert!(*index == 1 || self.parts.contains_key(&(*first, index - 1)));
        }
        let topics = self.queues.values().map(|entry| &entry.definition);
        let alike = topics.filter(|definition| alike_of(definition).is_some());
        assert_eq!(self.alike.len(), alike.count());
    }
}

pub(super) fn kind(properties: &Properties) -> TopicKind {
    match properties.is_stream {
        true => TopicKind::Stream,
        false => TopicKind::Queue,
    }
}

pub(super) fn is_topic(definition: &QueueDefinition) -> bool {
    definition.durable
        && definition.owner.is_none()
        && definition.source.is_none()
        && definition.part_of.is_none()
        && name::check(&definition.name).is_ok()
}

fn alike_of(definition: &QueueDefinition) -> Option<Box<str>> {
    name::alike(&definition.name).filter(|_| is_topic(definition))
}

#[cfg(test)]
mod tests;
