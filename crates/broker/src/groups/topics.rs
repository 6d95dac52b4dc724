//! The topics of a space as groups see them, and telling groups that they are others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_engine::catalog::{Catalog, QueueId, TopicId};
use bongsu_engine::group::Input;
use bongsu_engine::group::consumer::{TopicShape, Topics};
use bongsu_engine::router::SpaceId;

use crate::broker::Broker;

/// Topics of one space, under the catalog's lock.
#[derive(Debug)]
pub(super) struct SpaceTopics<'a> {
    pub catalog: &'a Catalog,
    pub space: SpaceId,
}

impl SpaceTopics<'_> {
    fn shape(&self, partitions: &[QueueId]) -> TopicShape {
        TopicShape {
            id: self.catalog.topic_id(partitions[0]),
            partition_count: partitions.len() as u32,
        }
    }
}

impl Topics for SpaceTopics<'_> {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        let partitions = self.catalog.partitions(self.space, name)?;
        Some(self.shape(&partitions))
    }

    fn name(&self, id: TopicId) -> Option<Arc<str>> {
        let (name, _) = self.catalog.partitions_by_id(self.space, id)?;
        Some(name)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, TopicShape)) {
        for topic in self.catalog.topics(self.space) {
            visit(&topic.name, self.shape(&topic.partitions));
        }
    }
}

impl Broker {
    /// Topics of these spaces have come, gone or grown. Takes locks in their order: the caller
    /// holds none.
    pub(crate) fn topics_changed(&self, spaces: BTreeSet<SpaceId>) {
        for space in spaces {
            let mut cells = self.groups().of_space(space);
            cells.retain(|cell| cell.follows_topics.load(Ordering::Relaxed));
            if cells.is_empty() {
                continue;
            }
            let catalog = self.catalog();
            let topics = SpaceTopics {
                catalog: &catalog,
                space,
            };
            for cell in cells {
                let mut state = cell.lock();
                if state.gone {
                    continue;
                }
                let mut effects = Vec::new();
                let input = Input::TopicsChanged(&topics);
                state.machine.handle(input, self.now_ms(), &mut effects);
                self.act_group(&cell, &mut state, effects, None, None);
            }
        }
    }
}
