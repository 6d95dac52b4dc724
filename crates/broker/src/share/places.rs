//! Where share groups are, and how tools move them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_engine::catalog::{self, Catalog, Configs, QueueId, TopicId};
use bongsu_engine::group;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::records::PartitionRefused;
use bongsu_engine::share::call::{
    ConfigChanges, ConfigureRefused, Describe, Described, DescribedPart, PartKey,
};
use bongsu_engine::share::{Answer, Refused, ShareConfig, config};
use bongsu_record::{Lsn, Offset};

use super::refused_of;
use crate::broker::Broker;
use crate::handle::SessionHandle;

type Altered = Vec<(PartKey, TopicId, Result<(), Refused>)>;
type Forgotten = Vec<(Arc<str>, TopicId, Result<(), Refused>)>;

impl SessionHandle {
    pub(super) fn describe_shares(&self, groups: Vec<Describe>) -> Answer {
        let groups = groups.into_iter().map(|asked| {
            let described = self.may_share(&asked.group);
            let described = described.and_then(|space| self.describe_share(space, &asked));
            (asked.group, described)
        });
        Answer::Described(groups.collect())
    }

    fn describe_share(&self, space: SpaceId, asked: &Describe) -> Result<Vec<Described>, Refused> {
        let catalog = self.broker.catalog();
        let places = places(&catalog, space, &asked.group);
        if places.is_empty() && !self.broker.knows_group(space, &asked.group) {
            return Err(Refused::NoGroup);
        }
        let mut wanted: Vec<(Arc<str>, Vec<i32>)> = Vec::new();
        match &asked.topics {
            Some(topics) => wanted.extend(topics.iter().cloned()),
            None => {
                for (_, name, partition) in places.keys() {
                    match wanted.last_mut() {
                        Some((last, partitions)) if last == name => partitions.push(*partition),
                        _ => wanted.push((name.clone(), vec![*partition])),
                    }
                }
            }
        }
        let described = wanted.into_iter().map(|(name, partitions)| {
            let topic = catalog.topic(space, &name);
            let may_read = self.allowed(Permission::Read, Kind::Queue, &name).is_ok();
            let refused = match &topic {
                _ if !may_read => Some(Refused::Partition(PartitionRefused::Access)),
                None => Some(Refused::Partition(PartitionRefused::Unknown)),
                Some(_) => None,
            };
            let id = topic.as_ref().map(|topic| topic.id).unwrap_or_default();
            let parts = partitions.into_iter().map(|partition| DescribedPart {
                partition,
                place: match refused {
                    None => places
                        .get(&(id, name.clone(), partition))
                        .and_then(|queue| self.place(*queue)),
                    Some(_) => None,
                },
                refused,
            });
            let parts = parts.collect();
            let topic = name;
            Described { topic, id, parts }
        });
        Ok(described.collect())
    }

    /// First record not settled, and how many are not.
    fn place(&self, queue: QueueId) -> Option<(Offset, u64)> {
        let cell = self.broker.cell(queue)?;
        let state = cell.lock();
        let cursor = state.machine.cursor();
        let owed = cursor.ready() + cursor.leased() + cursor.waiting() + cursor.dying();
        Some((cursor.floor(), owed))
    }

    pub(super) fn alter_shares(
        &mut self,
        group: &Arc<str>,
        parts: Vec<(PartKey, i64)>,
    ) -> (Answer, Option<Lsn>) {
        let mut wait = None;
        let altered = self.is_left_alone(group, false).map(|space| {
            let config = self.broker.share_config(space, group);
            let mut altered: Altered = Vec::with_capacity(parts.len());
            for (part, start) in parts {
                let (id, done) = self.move_share(group, &part, start, &config, &mut wait);
                altered.push((part, id, done));
            }
            altered
        });
        (Answer::Altered(altered), wait)
    }

    /// A place is left and taken elsewhere: nothing of what was there counts any more.
    fn move_share(
        &mut self,
        group: &Arc<str>,
        part: &PartKey,
        start: i64,
        config: &ShareConfig,
        wait: &mut Option<Lsn>,
    ) -> (TopicId, Result<(), Refused>) {
        let source = match self.partition(&part.topic, part.partition, Permission::Read) {
            Ok(source) => source,
            Err(refused) => return (TopicId::default(), Err(Refused::Partition(refused))),
        };
        let found = self.broker.catalog().partition_of(source.id);
        let id = found.map(|(id, ..)| id).unwrap_or_default();
        // On a work queue a group has no place of its own.
        let is_stream = source.lock().machine.properties().is_stream;
        let Some(start) = u64::try_from(start).ok().filter(|_| is_stream) else {
            return (id, Err(Refused::Malformed));
        };
        let changes = [
            catalog::Input::Unshare {
                group: group.to_string(),
                source: source.id,
            },
            catalog::Input::Share {
                group: group.to_string(),
                source: source.id,
                start: Offset(start).max(source.log.start()),
                arguments: config.arguments(),
            },
        ];
        for change in changes {
            match self.broker.change(change) {
                Ok((_, lsn)) => *wait = (*wait).max(lsn),
                Err(error) => return (id, Err(refused_of(&error))),
            }
        }
        (id, Ok(()))
    }

    pub(super) fn forget_shares(
        &mut self,
        group: &Arc<str>,
        topics: Vec<Arc<str>>,
    ) -> (Answer, Option<Lsn>) {
        let mut wait = None;
        let forgotten = self.is_left_alone(group, true).map(|space| {
            let mut forgotten: Forgotten = Vec::with_capacity(topics.len());
            for name in topics {
                let (id, done) = self.forget_topic_of(space, group, &name, &mut wait);
                forgotten.push((name, id, done));
            }
            forgotten
        });
        (Answer::Forgotten(forgotten), wait)
    }

    fn forget_topic_of(
        &self,
        space: SpaceId,
        group: &Arc<str>,
        name: &Arc<str>,
        wait: &mut Option<Lsn>,
    ) -> (TopicId, Result<(), Refused>) {
        if self.allowed(Permission::Read, Kind::Queue, name).is_err() {
            let refused = Refused::Partition(PartitionRefused::Access);
            return (TopicId::default(), Err(refused));
        }
        let Some(topic) = self.broker.catalog().topic(space, name) else {
            let refused = Refused::Partition(PartitionRefused::Unknown);
            return (TopicId::default(), Err(refused));
        };
        for source in topic.partitions.iter() {
            let change = catalog::Input::Unshare {
                group: group.to_string(),
                source: *source,
            };
            match self.broker.change(change) {
                Ok((_, lsn)) => *wait = (*wait).max(lsn),
                Err(error) => return (topic.id, Err(refused_of(&error))),
            }
        }
        (topic.id, Ok(()))
    }

    pub(super) fn share_configs(&self, groups: Option<Vec<Arc<str>>>) -> Answer {
        let of = |group: Arc<str>| {
            let configs = self.may_share(&group);
            let configs = configs.map(|space| self.broker.group_configs(space, &group));
            (group, configs)
        };
        let groups = groups.unwrap_or_else(|| {
            let space = self.in_space().unwrap_or_default();
            let all = self.broker.configured_groups(space).into_iter();
            all.map(Arc::from).collect()
        });
        Answer::Configs(groups.into_iter().map(of).collect())
    }

    pub(super) fn configure_shares(
        &self,
        changes: Vec<(Arc<str>, ConfigChanges)>,
        only_check: bool,
    ) -> (Answer, Option<Lsn>) {
        let mut wait = None;
        let done = changes.into_iter().map(|(group, changes)| {
            let space = self.may_share(&group).map_err(ConfigureRefused::Group)?;
            let current = self.broker.group_configs(space, &group);
            let configs = config::altered(&current, &changes)
                .map_err(|(name, cause)| ConfigureRefused::Setting { name, cause })?;
            if only_check {
                return Ok(());
            }
            let done = self.broker.configure_group(space, &group, configs);
            let lsn = done.map_err(|_| ConfigureRefused::Group(Refused::Storage))?;
            wait = wait.max(lsn);
            Ok(())
        });
        let done = done.collect();
        (Answer::Configured(done), wait)
    }

    /// Whether a group may be moved: it has no members. One that is not there may be `made`.
    fn is_left_alone(&self, group: &Arc<str>, must_be: bool) -> Result<SpaceId, Refused> {
        let space = self.may_share(group)?;
        if self.broker.has_members(space, group) {
            return Err(Refused::HasMembers);
        }
        let is_known = || {
            let has_places = !places(&self.broker.catalog(), space, group).is_empty();
            has_places || self.broker.knows_group(space, group)
        };
        match must_be && !is_known() {
            true => Err(Refused::NoGroup),
            false => Ok(space),
        }
    }
}

impl Broker {
    /// Share groups that have a place somewhere, with or without members.
    pub fn share_groups(&self, space: SpaceId) -> Vec<Arc<str>> {
        let catalog = self.catalog();
        let mut groups: Vec<&str> = catalog.shares(space).map(|(group, ..)| group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.into_iter().map(Arc::from).collect()
    }

    /// Forgets all places of a share group: it is deleted.
    pub fn forget_share_group(&self, space: SpaceId, group: &str) -> Option<Lsn> {
        let sources: Vec<QueueId> = {
            let catalog = self.catalog();
            let of_group = catalog.shares(space).filter(|(of, ..)| *of == group);
            of_group.map(|(_, source, _)| source).collect()
        };
        let mut wait = None;
        for source in sources {
            let group = group.to_owned();
            if let Ok((_, lsn)) = self.change(catalog::Input::Unshare { group, source }) {
                wait = wait.max(lsn);
            }
        }
        wait
    }

    /// What was set of a group.
    pub fn group_configs(&self, space: SpaceId, group: &str) -> Configs {
        let configs = self.catalog().group_configs(space, group).cloned();
        configs.unwrap_or_default()
    }

    /// Groups of which something was set.
    pub fn configured_groups(&self, space: SpaceId) -> Vec<String> {
        let catalog = self.catalog();
        let groups = catalog.configured_groups(space);
        groups.map(str::to_owned).collect()
    }

    /// Configures a group, which need not exist, to this and nothing else; what is set was
    /// checked. Durable with the position.
    ///
    /// # Errors
    /// Storage's.
    pub fn configure_group(
        &self,
        space: SpaceId,
        group: &str,
        configs: Configs,
    ) -> Result<Option<Lsn>, bongsu_engine::Refused> {
        let (_, lsn) = self.change(catalog::Input::ConfigureGroup {
            space,
            group: group.to_owned(),
            configs,
        })?;
        Ok(lsn)
    }

    fn has_members(&self, space: SpaceId, group: &str) -> bool {
        let sessions = self.shares().sessions.lock();
        let has_sessions = sessions
            .keys()
            .any(|(of, member)| *of == space && *member.group == *group);
        drop(sessions);
        has_sessions
            || self.groups().find(space, group).is_some_and(|cell| {
                let listed = cell.lock().machine.listed();
                listed.is_some_and(|listed| has_members(&listed))
            })
    }

    fn knows_group(&self, space: SpaceId, group: &str) -> bool {
        let listed = self.groups().find(space, group);
        listed.is_some_and(|cell| cell.lock().machine.listed().is_some())
    }
}

fn has_members(listed: &group::Listed) -> bool {
    !matches!(listed.state, "Empty" | "Dead")
}

/// The group's subscriptions, by topic and partition.
fn places(
    catalog: &Catalog,
    space: SpaceId,
    group: &str,
) -> BTreeMap<(TopicId, Arc<str>, i32), QueueId> {
    let of_group = catalog.shares(space).filter(|(of, ..)| *of == group);
    let placed = of_group.filter_map(|(_, source, queue)| {
        let (id, name, partition) = catalog.partition_of(source)?;
        Some(((id, name, i32::try_from(partition).ok()?), queue))
    });
    placed.collect()
}
