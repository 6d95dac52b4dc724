//! Partitions as a session names them, resolved to their cells.
//!
//! Partition 0 of a topic is the queue of its name, partition `k` the queue `name/k`.
//! What was found is remembered until the catalog changes: a client asks for the same
//! partitions again and again.

use std::collections::HashMap;
use std::sync::Arc;

use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::session::records::{PartitionRefused, TopicRef};

use crate::cell::QueueCell;
use crate::handle::SessionHandle;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct TopicCache {
    epoch: u64,
    topics: HashMap<TopicRef, Arc<[Arc<QueueCell>]>>,
}

impl SessionHandle {
    /// The partition's cell, if the session may use it so.
    pub(crate) fn partition(
        &mut self,
        topic: &TopicRef,
        partition: i32,
        permission: Permission,
    ) -> Result<Arc<QueueCell>, PartitionRefused> {
        let epoch = self.broker.route_epoch();
        if self.topics.epoch != epoch || self.topics.topics.len() > TOPICS_MAX {
            self.topics.topics.clear();
            self.topics.epoch = epoch;
        }
        let cells = match self.topics.topics.get(topic) {
            Some(cells) => cells.clone(),
            None => {
                let cells = self.resolve(topic)?;
                self.topics.topics.insert(topic.clone(), cells.clone());
                cells
            }
        };
        let index = usize::try_from(partition).map_err(|_| PartitionRefused::Unknown)?;
        let cell = cells.get(index).ok_or(PartitionRefused::Unknown)?;
        let name = &cells[0].name;
        self.allowed(permission, Kind::Queue, name)
            .map_err(|_| PartitionRefused::Access)?;
        Ok(cell.clone())
    }

    fn resolve(&self, topic: &TopicRef) -> Result<Arc<[Arc<QueueCell>]>, PartitionRefused> {
        let missing = match topic {
            TopicRef::Name(_) => PartitionRefused::Unknown,
            TopicRef::Id(_) => PartitionRefused::UnknownId,
        };
        let space = self.in_space().map_err(|_| missing)?;
        let catalog = self.broker.catalog();
        let partitions = match topic {
            TopicRef::Name(name) => catalog.partitions(space, name),
            TopicRef::Id(id) => catalog.partitions_by_id(space, *id).map(|(_, found)| found),
        };
        let partitions = partitions.ok_or(missing)?;
        drop(catalog);
        let cells = self.broker.cells(&partitions);
        // One that is just going is not half there.
        match cells.len() == partitions.len() {
            true => Ok(cells),
            false => Err(missing),
        }
    }
}

/// Topics remembered by one session.
const TOPICS_MAX: usize = 65_536;
