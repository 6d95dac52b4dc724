//! Which queues consume whose records.
//!
//! Always: `subscribed` has exactly the queues with a source, the source is a stream that is
//! there, and its number is below theirs: whoever holds both locks took them in order.

use crate::catalog::definition::Configs;
use crate::catalog::names;
use crate::catalog::state::Catalog;
use crate::refused::Refused;
use crate::router::{QueueId, SpaceId};

impl Catalog {
    /// The subscriptions to a stream, ascending.
    pub fn subscriptions(&self, source: QueueId) -> impl DoubleEndedIterator<Item = QueueId> {
        let all = (source, QueueId(0))..=(source, QueueId(u64::MAX));
        self.subscribed.range(all).map(|(_, id)| *id)
    }

    /// A share group's subscription to a stream.
    pub fn share_queue(&self, group: &str, source: QueueId) -> Option<QueueId> {
        let space = self.queues.get(&source)?.space;
        self.router.queue(space, &names::share(group, source))
    }

    /// The streams that share groups subscribe to: each with group, in order of their
    /// subscriptions' numbers.
    pub fn shares(&self, space: SpaceId) -> impl Iterator<Item = (&str, QueueId, QueueId)> {
        let all = self.queues.iter();
        let here = all.filter(move |(_, entry)| entry.space == space);
        here.filter_map(|(id, entry)| {
            let source = entry.definition.source?.queue;
            Some((names::share_group(&entry.definition.name)?, source, *id))
        })
    }

    /// What a share group was configured to.
    pub fn group_configs(&self, space: SpaceId, group: &str) -> Option<&Configs> {
        self.group_configs.get(&(space, group.to_owned()))
    }

    /// Share groups that were configured.
    pub fn configured_groups(&self, space: SpaceId) -> impl Iterator<Item = &str> {
        let all = self.group_configs.keys();
        all.filter(move |(of, _)| *of == space)
            .map(|(_, group)| group.as_str())
    }

    pub(super) fn group_configured(
        &mut self,
        space: SpaceId,
        group: &str,
        configs: &Configs,
    ) -> bool {
        let key = (space, group.to_owned());
        let before = match configs.is_empty() {
            true => self.group_configs.remove(&key),
            false => self.group_configs.insert(key, configs.clone()),
        };
        before.unwrap_or_default() != *configs
    }

    /// What a subscription hands out is another's: it takes no records of its own.
    pub(super) fn takes_records(&self, id: QueueId) -> Result<(), Refused> {
        let definition = &self.queues[&id].definition;
        match definition.source {
            Some(_) => Err(Refused::TakesNone {
                queue: definition.name.to_string(),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn subscription_added(&mut self, id: QueueId) {
        if let Some(source) = self.queues[&id].definition.source {
            self.subscribed.insert((source.queue, id));
        }
    }

    pub(super) fn subscription_removed(&mut self, id: QueueId) {
        if let Some(source) = self.queues[&id].definition.source {
            self.subscribed.remove(&(source.queue, id));
        }
    }

    pub(super) fn check_subscriptions(&self) {
        let mut count = 0;
        for (id, entry) in &self.queues {
            if let Some(source) = entry.definition.source {
                assert!(self.subscribed.contains(&(source.queue, *id)));
                assert!(self.queues[&source.queue].properties.is_stream);
                assert!(source.queue < *id);
                count += 1;
            }
        }
        assert_eq!(count, self.subscribed.len());
    }
}
