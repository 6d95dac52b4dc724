//! Where groups are, as the broker knows it: for people, and for who measures.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::catalog::{QueueId, TopicId};
use bongsu_engine::group::GroupKind;
use bongsu_engine::router::SpaceId;

use super::groups::{GroupSeen, GroupSort, PartitionSeen};
use super::sessions::Page;
use crate::broker::Broker;

impl Broker {
    /// Groups of Kafka's clients, of a space or of all, by space and name: `range` of them,
    /// without their members. Of subscriptions the queues tell.
    pub fn measure_groups(
        &self,
        space: Option<&str>,
        range: Range<usize>,
    ) -> Page<(Arc<str>, GroupSeen)> {
        let mut names: Vec<(Arc<str>, SpaceId, Arc<str>)> = Vec::new();
        let mut total = 0;
        let cells = self.groups().all();
        for (id, name) in self.space_names() {
            let of_space = cells.iter().filter(|cell| cell.space == id);
            let mut groups: Vec<Arc<str>> = of_space.map(|cell| cell.name.clone()).collect();
            groups.extend(self.share_places(id).into_keys());
            groups.sort_unstable();
            groups.dedup();
            total += groups.len();
            if space.is_none_or(|space| *space == *name) {
                names.extend(groups.into_iter().map(|group| (name.clone(), id, group)));
            }
        }
        let filtered = names.len();
        let wanted = range.start.min(filtered)..range.end.min(filtered);
        let items = names.drain(wanted).filter_map(|(space, id, group)| {
            let seen = self.group_seen(id, &group);
            // One that went meanwhile, and one that has only its places left.
            let is_share = || self.share_places(id).contains_key(&group);
            let seen = seen.or_else(|| is_share().then(|| self.share_seen(id, &group, "Empty")))?;
            Some((space, seen))
        });
        Page {
            items: items.collect(),
            filtered,
            total,
        }
    }

    /// A group of Kafka's clients, without its members.
    pub(super) fn group_seen(&self, space: SpaceId, name: &str) -> Option<GroupSeen> {
        let cell = self.groups().find(space, name)?;
        let (listed, committed) = {
            let state = cell.lock();
            let listed = state.machine.listed()?;
            let offsets = state.machine.offsets();
            let committed = offsets.committed().map(|((topic, partition), said)| {
                let name = offsets.name(topic).cloned().unwrap_or_default();
                Committed {
                    topic,
                    name,
                    partition,
                    offset: u64::try_from(said.offset).unwrap_or(0),
                    metadata: said.metadata.to_string(),
                    at_ms: said.at_ms,
                }
            });
            (listed, committed.collect::<Vec<_>>())
        };
        if listed.kind == GroupKind::Share {
            return Some(self.share_seen(space, name, listed.state));
        }
        let partitions = committed.into_iter().map(|said| {
            let queue = {
                let catalog = self.catalog();
                let topic = catalog.topic_by_id(space, said.topic);
                topic.and_then(|topic| {
                    let index = usize::try_from(said.partition).ok()?;
                    topic.partitions.get(index).copied()
                })
            };
            self.partition_seen(said, queue)
        });
        let mut partitions: Vec<_> = partitions.collect();
        partitions.sort_by(|one, other| {
            (&one.topic, one.partition).cmp(&(&other.topic, other.partition))
        });
        Some(GroupSeen {
            name: listed.group,
            sort: match listed.kind {
                GroupKind::Classic => GroupSort::Classic,
                GroupKind::Consumer => GroupSort::Consumer,
                GroupKind::Share => GroupSort::Share,
            },
            state: listed.state.to_owned(),
            members: Vec::new(),
            partitions,
        })
    }

    fn partition_seen(&self, said: Committed, queue: Option<QueueId>) -> PartitionSeen {
        let cell = queue.and_then(|queue| self.cell(queue));
        let bounds = cell.map(|cell| cell.log.bounds(self.durable_lsn()));
        let start = bounds.map(|bounds| bounds.start.0);
        let end = bounds.map(|bounds| bounds.durable_end.0);
        // What is gone need not be read.
        let from = said.offset.max(start.unwrap_or(0));
        PartitionSeen {
            topic: said.name,
            partition: said.partition,
            committed: Some(said.offset),
            metadata: said.metadata,
            committed_at_ms: Some(said.at_ms),
            start,
            end,
            lag: end.map(|end| end.saturating_sub(from)),
            oldest_ms: None,
            member: None,
            queue,
        }
    }

    /// Share groups and the subscriptions that are their places.
    pub(super) fn share_places(
        &self,
        space: SpaceId,
    ) -> BTreeMap<Arc<str>, Vec<(QueueId, QueueId)>> {
        let catalog = self.catalog();
        let mut places: BTreeMap<Arc<str>, Vec<(QueueId, QueueId)>> = BTreeMap::new();
        for (group, source, queue) in catalog.shares(space) {
            let of_group = places.entry(Arc::from(group)).or_default();
            of_group.push((source, queue));
        }
        places
    }

    pub(super) fn share_seen(&self, space: SpaceId, name: &str, state: &str) -> GroupSeen {
        let places = self.share_places(space).remove(name).unwrap_or_default();
        let partitions = places.into_iter().filter_map(|(source, queue)| {
            let (_, topic, partition) = self.catalog().partition_of(source)?;
            let partition = i32::try_from(partition).ok()?;
            self.place_seen(topic, partition, queue)
        });
        GroupSeen {
            name: Arc::from(name),
            sort: GroupSort::Share,
            state: state.to_owned(),
            members: Vec::new(),
            partitions: partitions.collect(),
        }
    }

    /// A place that is the state of each record.
    fn place_seen(&self, topic: Arc<str>, partition: i32, queue: QueueId) -> Option<PartitionSeen> {
        let cell = self.cell(queue)?;
        let state = cell.lock();
        let cursor = state.machine.cursor();
        Some(PartitionSeen {
            topic,
            partition,
            committed: Some(cursor.floor().0),
            metadata: String::new(),
            committed_at_ms: None,
            start: Some(cell.log.start().0),
            end: Some(cursor.end().0),
            lag: Some(state.machine.depth().owed()),
            oldest_ms: None,
            member: None,
            queue: Some(queue),
        })
    }

    pub(super) fn subscription_seen(&self, space: SpaceId, name: &str) -> Option<GroupSeen> {
        let queue = self.catalog().router().queue(space, name)?;
        let cell = self.cell(queue)?;
        let source = cell.source.as_ref()?;
        let found = self.catalog().partition_of(source.id);
        let (topic, partition) = match found {
            Some((_, topic, partition)) => (topic, i32::try_from(partition).unwrap_or(0)),
            None => (source.name.clone(), 0),
        };
        let has_consumers = cell.lock().link_count() > 0;
        Some(GroupSeen {
            name: Arc::from(name),
            sort: GroupSort::Subscription,
            state: match has_consumers {
                true => "Stable".to_owned(),
                false => "Empty".to_owned(),
            },
            members: Vec::new(),
            partitions: self
                .place_seen(topic, partition, queue)
                .into_iter()
                .collect(),
        })
    }
}

/// What a group said of a partition.
struct Committed {
    topic: TopicId,
    name: Arc<str>,
    partition: i32,
    offset: u64,
    metadata: String,
    at_ms: u64,
}
