//! Calls about topics: the catalog decides about many at once, everything that happens is
//! recorded as one group, and is told once it is durable.
//!
//! Partitions' records are dropped from the front (`DeleteRecords`) by moving the log's start,
//! which is recorded as a note, so that what was deleted stays so.

use std::collections::HashMap;
use std::sync::Arc;

use bongsu_engine::access::acl::{Operation, Resource};
use bongsu_engine::catalog::{Configs, Effect, Topic};
use bongsu_engine::refused::Permission;
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::Reply;
use bongsu_engine::session::records::{PartitionRefused, TopicRef};
use bongsu_engine::topic::call::{Change, Changed, Refused};
use bongsu_engine::topic::config::describe;
use bongsu_engine::topic::request::{EpochEnd, Info, Sizes, Topics};
use bongsu_engine::topic::{Answer, Request};
use bongsu_record::{Lsn, Offset};
use bongsu_storage::EntryRef;

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::fetch::limit;
use crate::handle::{Executed, SessionHandle};

pub use bongsu_engine::topic::call::Bounds;

/// Kind of the WAL notes that say where a log begins since its front was deleted; the id is
/// the log's. A checkpoint knows where its logs begin, so it has no section of this kind.
///
/// ```text
/// u64 the first offset that stays (big-endian)
/// ```
pub(crate) const TRIM_NOTE: u8 = 9;

/// What a broker decides for its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Topics that a client asks for, and allows to be made, are made.
    pub auto_create: bool,
    /// How many partitions topics have, and may have.
    pub bounds: Bounds,
    /// Size of segments for which nobody says anything.
    pub segment_bytes_usual: u64,
}

impl Default for TopicSettings {
    fn default() -> TopicSettings {
        TopicSettings {
            auto_create: true,
            bounds: Bounds {
                usual: 1,
                per_topic_max: 10_000,
                in_all_max: 100_000,
            },
            segment_bytes_usual: 64 << 20,
        }
    }
}

impl SessionHandle {
    pub(crate) fn topic(&mut self, request: Request) -> Executed {
        let (answer, lsn) = match request {
            Request::Change {
                changes,
                only_check,
            } => {
                let (changed, lsn) = self.change_topics(changes, only_check);
                (Answer::Changed(changed), lsn)
            }
            Request::Topics { which, create } => {
                let (topics, lsn) = self.topics(which, create);
                (Answer::Topics(topics), lsn)
            }
            Request::Configs { topics } => {
                let described = topics.iter();
                let described = described.map(|(name, names)| {
                    let topic = self.topic_to(Operation::DescribeConfigs, name)?;
                    let usual = self.broker.topic_settings().segment_bytes_usual;
                    Ok(describe::describe(&topic, names.as_deref(), usual))
                });
                // What another client changed may not be durable yet.
                (
                    Answer::Configs(described.collect()),
                    self.broker.last_change(),
                )
            }
            Request::Trim { parts } => {
                let (trimmed, lsn) = self.trim_partitions(&parts);
                (Answer::Trimmed(trimmed), lsn)
            }
            Request::Epochs { parts } => (Answer::Epochs(self.epochs(&parts)), None),
            Request::Sizes { which } => (Answer::Sizes(self.sizes(which)), None),
        };
        let reply = Reply::Topic(Box::new(answer));
        match lsn {
            Some(lsn) => Executed::Durable(lsn, reply),
            None => Executed::Now(reply),
        }
    }

    fn change_topics(
        &self,
        changes: Vec<Change>,
        only_check: bool,
    ) -> (Vec<Result<Changed, Refused>>, Option<Lsn>) {
        let Ok(space) = self.in_space() else {
            return (changes.iter().map(|_| Err(Refused::Access)).collect(), None);
        };
        // Before the catalog's lock: what a user may do is not under it.
        let changes: Vec<Result<Change, Refused>> = changes
            .into_iter()
            .map(|change| self.may_change(space, &change).map(|()| change))
            .collect();
        self.broker.change_topics(space, changes, only_check)
    }

    fn may_change(&self, space: SpaceId, change: &Change) -> Result<(), Refused> {
        let may = |operation, name: &str| {
            let may = self.may(operation, Resource::Topic, name)
                || operation == Operation::Create && self.may_all(operation);
            may.then_some(()).ok_or(Refused::Access)
        };
        match change {
            Change::Create { name, .. } => may(Operation::Create, name),
            Change::Grow { name, .. } => may(Operation::Alter, name),
            Change::Alter { name, .. } | Change::Replace { name, .. } => {
                may(Operation::AlterConfigs, name)
            }
            Change::Delete {
                topic: TopicRef::Name(name),
            } => may(Operation::Delete, name),
            Change::Delete {
                topic: TopicRef::Id(id),
            } => {
                let found = self.broker.catalog().partitions_by_id(space, *id);
                let (name, _) = found.ok_or(Refused::UnknownId { id: *id })?;
                may(Operation::Delete, &name)
            }
        }
    }

    /// Those asked for; those that are not there are made, if `create` and the settings say
    /// so.
    fn topics(&self, which: Option<Vec<TopicRef>>, create: bool) -> (Topics, Option<Lsn>) {
        let Some(which) = which else {
            return (self.all_topics(), self.broker.last_change());
        };
        let mut lsn = self.broker.last_change();
        let mut declined = HashMap::new();
        if create && self.broker.topic_settings().auto_create {
            let (refused, made) = self.create_missing(&which);
            declined = refused;
            lsn = made.or(lsn);
        }
        let topics = which.iter().map(|asked| {
            let info = self.info(asked);
            match (&info, asked) {
                (Err(Refused::Unknown { .. }), TopicRef::Name(name)) => {
                    declined.remove(name).map_or(info, Err)
                }
                _ => info,
            }
        });
        let topics = topics.collect();
        let cluster = self.broker.catalog().cluster();
        (Topics { cluster, topics }, lsn)
    }

    /// Makes those that are not there; why those are not made that cannot be.
    fn create_missing(&self, which: &[TopicRef]) -> (HashMap<Arc<str>, Refused>, Option<Lsn>) {
        let Ok(space) = self.in_space() else {
            return (HashMap::new(), None);
        };
        let missing: Vec<Arc<str>> = {
            let catalog = self.broker.catalog();
            let names = which.iter().filter_map(|asked| match asked {
                TopicRef::Name(name) => Some(name),
                TopicRef::Id(_) => None,
            });
            let missing = names.filter(|name| catalog.queue_id(space, name).is_none());
            missing.cloned().collect()
        };
        if missing.is_empty() {
            return (HashMap::new(), None);
        }
        let create = missing.iter().map(|name| Change::Create {
            name: name.to_string(),
            partitions: None,
            configs: Configs::new(),
        });
        let (made, lsn) = self.change_topics(create.collect(), false);
        let declined = missing.into_iter().zip(made);
        let declined = declined.filter_map(|(name, made)| Some((name, made.err()?)));
        (declined.collect(), lsn)
    }

    fn all_topics(&self) -> Topics {
        let catalog = self.broker.catalog();
        let mut topics: Vec<Info> = match self.in_space() {
            Ok(space) => catalog.topics(space).map(|topic| info(&topic)).collect(),
            Err(_) => Vec::new(),
        };
        let cluster = catalog.cluster();
        drop(catalog);
        topics.retain(|topic| self.may_see(&topic.name));
        topics.sort_unstable_by(|one, next| one.name.cmp(&next.name));
        let topics = topics.into_iter().map(Ok).collect();
        Topics { cluster, topics }
    }

    fn info(&self, asked: &TopicRef) -> Result<Info, Refused> {
        let space = self.in_space().map_err(|_| Refused::Access)?;
        match asked {
            TopicRef::Name(name) => {
                bongsu_engine::topic::name::check(name).map_err(|cause| Refused::Name {
                    name: name.to_string(),
                    cause,
                })?;
                if !self.may_see(name) {
                    return Err(Refused::Access);
                }
                let found = self.broker.catalog().topic(space, name);
                let unknown = || Refused::Unknown {
                    name: name.to_string(),
                };
                found.as_ref().map(info).ok_or_else(unknown)
            }
            TopicRef::Id(id) => {
                let found = self.broker.catalog().topic_by_id(space, *id);
                // Who may not see it is not told that it is there.
                let found = found.filter(|topic| self.may_see(&topic.name));
                found
                    .as_ref()
                    .map(info)
                    .ok_or(Refused::UnknownId { id: *id })
            }
        }
    }

    fn may_see(&self, name: &str) -> bool {
        self.may(Operation::Describe, Resource::Topic, name)
    }

    fn topic_to(&self, operation: Operation, name: &str) -> Result<Topic, Refused> {
        if !self.may(operation, Resource::Topic, name) {
            return Err(Refused::Access);
        }
        let space = self.in_space().map_err(|_| Refused::Access)?;
        let found = self.broker.catalog().topic(space, name);
        found.ok_or_else(|| Refused::Unknown {
            name: name.to_owned(),
        })
    }

    fn trim_partitions(
        &mut self,
        parts: &[(TopicRef, i32, Option<i64>)],
    ) -> (Vec<Result<Offset, Refused>>, Option<Lsn>) {
        let mut last = None;
        let mut trimmed = Vec::with_capacity(parts.len());
        for (topic, partition, offset) in parts {
            let cell = self.cell_of(topic, *partition, Permission::Write);
            let done = cell.and_then(|cell| self.broker.trim_to(&cell, *offset));
            trimmed.push(done.map(|(start, lsn)| {
                last = last.max(lsn);
                start
            }));
        }
        if last.is_some() {
            self.broker.storage().hurry();
        }
        (trimmed, last)
    }

    /// There is one epoch, the first: whoever asks for an earlier one learns that nothing
    /// of it is here, and of a later one that there is none.
    fn epochs(&mut self, parts: &[(TopicRef, i32, i32)]) -> Vec<Result<EpochEnd, Refused>> {
        let durable = self.broker.durable_lsn();
        let ends = parts.iter().map(|(topic, partition, epoch)| {
            let cell = self.cell_of(topic, *partition, Permission::Read)?;
            if *epoch != 0 {
                return Ok(EpochEnd {
                    epoch: None,
                    end: None,
                });
            }
            let state = cell.lock();
            let bounds = cell.log.bounds(durable);
            Ok(EpochEnd {
                epoch: Some(0),
                end: Some(limit(&state, &bounds, false)),
            })
        });
        ends.collect()
    }

    fn cell_of(
        &mut self,
        topic: &TopicRef,
        partition: i32,
        permission: Permission,
    ) -> Result<Arc<QueueCell>, Refused> {
        let cell = self.partition(topic, partition, permission);
        cell.map_err(|refused| match refused {
            PartitionRefused::Access => Refused::Access,
            PartitionRefused::Unknown | PartitionRefused::Name => Refused::Partition,
            PartitionRefused::UnknownId => match topic {
                TopicRef::Id(id) => Refused::UnknownId { id: *id },
                TopicRef::Name(_) => Refused::Partition,
            },
        })
    }

    fn sizes(&self, which: Option<Vec<(String, Vec<i32>)>>) -> Sizes {
        let mut partitions = Vec::new();
        let mut add = |topic: &Topic, wanted: &dyn Fn(i32) -> bool| {
            for (index, cell) in self.broker.cells(&topic.partitions).iter().enumerate() {
                let index = index as u32;
                if wanted(index as i32) {
                    let stats = cell.log.stats();
                    let bytes = stats.disk_bytes + stats.memory_bytes;
                    partitions.push((Arc::clone(&topic.name), index, bytes));
                }
            }
        };
        match (which, self.in_space()) {
            (None, Ok(space)) => {
                let topics: Vec<Topic> = self.broker.catalog().topics(space).collect();
                let seen = topics.iter().filter(|topic| self.may_see(&topic.name));
                seen.for_each(|topic| add(topic, &|_| true));
            }
            (Some(topics), Ok(_)) => {
                for (name, wanted) in &topics {
                    if let Ok(topic) = self.topic_to(Operation::Describe, name) {
                        add(&topic, &|index| wanted.contains(&index));
                    }
                }
            }
            (_, Err(_)) => {}
        }
        let (dir, free_bytes) = self.broker.room();
        Sizes {
            dir,
            free_bytes,
            partitions,
        }
    }
}

fn info(topic: &Topic) -> Info {
    Info {
        id: topic.id,
        name: Arc::clone(&topic.name),
        partitions: topic.partitions.len() as u32,
    }
}

impl Broker {
    /// Gives the cluster its number, where it has none.
    pub(crate) fn found(&self) {
        let mut effects = Vec::new();
        let mut catalog = self.catalog_mut();
        catalog.found(self.token(), &mut effects);
        if !effects.is_empty()
            && let Err(refused) = self.carry_out(catalog, effects)
        {
            tracing::error!("the cluster's number could not be recorded: {refused:?}");
        }
    }

    pub(crate) fn change_topics(
        &self,
        space: SpaceId,
        changes: Vec<Result<Change, Refused>>,
        only_check: bool,
    ) -> (Vec<Result<Changed, Refused>>, Option<Lsn>) {
        let bounds = self.topic_settings().bounds;
        let mut catalog = self.catalog_mut();
        let mut effects: Vec<Effect> = Vec::new();
        let usual = self.topic_settings().segment_bytes_usual;
        let mut change_one = |change: Result<Change, Refused>| {
            let change = change?;
            let configs = match &change {
                Change::Create { configs, .. } => Some(configs.clone()),
                _ => None,
            };
            let changed = catalog.handle_topic(space, change, bounds, only_check, &mut effects);
            let mut changed = changed?;
            if let Some(configs) = configs {
                let made = catalog.topic(space, &changed.name).filter(|_| !only_check);
                changed.configs = match made {
                    Some(topic) => describe::describe(&topic, None, usual),
                    None => describe::describe_new(&configs, usual),
                };
            }
            Ok(changed)
        };
        let mut changed: Vec<_> = changes.into_iter().map(&mut change_one).collect();
        match self.carry_out(catalog, effects) {
            Ok(lsn) => (changed, lsn),
            Err(refused) => {
                for changed in changed.iter_mut().filter(|changed| changed.is_ok()) {
                    *changed = Err(Refused::of_queue(refused.clone()));
                }
                (changed, None)
            }
        }
    }

    /// Drops a partition's records below `offset`, or all that no crash takes back.
    fn trim_to(
        &self,
        cell: &Arc<QueueCell>,
        offset: Option<i64>,
    ) -> Result<(Offset, Option<Lsn>), Refused> {
        let durable = self.durable_lsn();
        let mut state = cell.lock();
        if state.gone {
            return Err(Refused::Partition);
        }
        let properties = state.machine.properties();
        let name = cell.name.to_string();
        if !properties.is_stream {
            // What it owes is somebody's work, not history.
            return Err(Refused::WorkQueue { name });
        }
        if !properties.topic.deletes {
            return Err(Refused::Compacted { name });
        }
        let bounds = cell.log.bounds(durable);
        let end = limit(&state, &bounds, false);
        let start = match offset {
            None => end,
            Some(offset) => {
                let wanted = u64::try_from(offset).map(Offset);
                let wanted = wanted.ok().filter(|wanted| *wanted <= end);
                wanted.ok_or(Refused::Offset { offset })?
            }
        };
        if start <= bounds.start {
            return Ok((bounds.start, None));
        }
        let note = EntryRef::Note {
            kind: TRIM_NOTE,
            id: cell.log.id().0,
            bytes: &start.0.to_be_bytes(),
        };
        let recorded = match cell.is_recorded() {
            true => self.storage().record(&[note]).map(Some),
            false => Ok(None),
        };
        let lsn = recorded.map_err(|error| Refused::Storage {
            cause: error.to_string(),
        })?;
        cell.trim_front(&mut state, start, self);
        Ok((start, lsn))
    }
}

/// Reads a [`TRIM_NOTE`]; `None` if it is none.
pub(crate) fn decode_trim(bytes: &[u8]) -> Option<Offset> {
    Some(Offset(u64::from_be_bytes(bytes.try_into().ok()?)))
}
