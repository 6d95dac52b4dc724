//! What there is to share out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::TopicId;

/// The topics of a space, as a group sees them. They stay as they are while a group is asked
/// anything; that they are others since is told by
/// [`super::ConsumerGroup::topics_changed`].
pub trait Topics: std::fmt::Debug {
    /// The topic of this name.
    fn by_name(&self, name: &str) -> Option<TopicShape>;

    /// The name of a topic.
    fn name(&self, id: TopicId) -> Option<Arc<str>>;

    /// All of them.
    fn each(&self, visit: &mut dyn FnMut(&str, TopicShape));
}

/// No topics: for requests that ask for none.
#[derive(Clone, Copy, Debug)]
pub struct NoTopics;

impl Topics for NoTopics {
    fn by_name(&self, _: &str) -> Option<TopicShape> {
        None
    }

    fn name(&self, _: TopicId) -> Option<Arc<str>> {
        None
    }

    fn each(&self, _: &mut dyn FnMut(&str, TopicShape)) {}
}

/// What a group must know of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicShape {
    /// Its number; a topic deleted and made again has another.
    pub id: TopicId,
    /// At least one.
    pub partition_count: u32,
}

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Its topic.
    pub topic: TopicId,
    /// Which one, from 0.
    pub index: u32,
}

/// Partitions that somebody holds, or is to hold.
pub type Held = BTreeSet<Partition>;

/// The same, by topic: as the wire has it.
pub fn by_topic(held: &Held) -> Vec<(TopicId, Vec<u32>)> {
    let mut topics: Vec<(TopicId, Vec<u32>)> = Vec::new();
    for partition in held {
        match topics.last_mut() {
            Some((topic, indexes)) if *topic == partition.topic => indexes.push(partition.index),
            _ => topics.push((partition.topic, vec![partition.index])),
        }
    }
    topics
}
