//! Who shall have which partition: a function of who is there, what each wants and what each
//! has.
//!
//! [`Assignor::Uniform`] gives everybody equally much and moves as little as it can.
//! [`Assignor::Range`] gives each topic out in runs, so that equal partitions of topics with
//! as many of them go to the same member, and moves whatever that takes. Both give each
//! partition of a topic that somebody wants to exactly one member that wants it.
//! [`sharing`] is for groups whose members share partitions.

mod range;

mod uniform;

pub mod sharing;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::topics::{Held, Partition};
use crate::catalog::TopicId;

/// A way of sharing out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// Equally much for everybody, and as it was.
    #[default]
    Uniform,
    /// Runs of each topic.
    Range,
}

impl Assignor {
    /// All there are; the first is taken if no member asks for one.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// As clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Assignor> {
        Self::ALL
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// Shares out.
    pub fn assign(self, wishes: &Wishes) -> Shares {
        match self {
            Assignor::Uniform => uniform::assign(wishes),
            Assignor::Range => range::assign(wishes),
        }
    }
}

/// Who is there and wants what.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// By member id.
    pub members: BTreeMap<Arc<str>, Wish>,
    /// How many partitions each topic has. Topics that a member wants and that are not here
    /// do not exist.
    pub topics: BTreeMap<TopicId, u32>,
}

/// What one member wants.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its name across restarts, which keeps its place among the others.
    pub instance: Option<Arc<str>>,
    /// Ascending, each once.
    pub topics: Vec<TopicId>,
    /// What the last target gave it.
    pub held: Held,
}

/// What each member shall have; every member is there.
pub type Shares = BTreeMap<Arc<str>, Held>;

impl Wishes {
    /// Whether all want the same.
    fn is_homogeneous(&self) -> bool {
        let mut wishes = self.members.values();
        let Some(first) = wishes.next() else {
            return true;
        };
        wishes.all(|wish| wish.topics == first.topics)
    }

    /// Partitions of these topics, in order.
    fn partitions<'a>(&'a self, topics: &'a [TopicId]) -> impl Iterator<Item = Partition> + 'a {
        let known = topics
            .iter()
            .filter_map(|topic| Some((*topic, *self.topics.get(topic)?)));
        known.flat_map(|(topic, count)| (0..count).map(move |index| Partition { topic, index }))
    }

    /// Whether there is this partition, and a member wants it.
    fn wants(&self, wish: &Wish, partition: Partition) -> bool {
        wish.topics.binary_search(&partition.topic).is_ok()
            && self
                .topics
                .get(&partition.topic)
                .is_some_and(|count| partition.index < *count)
    }
}

#[cfg(test)]
mod tests;
