//! Spaces (AMQP: virtual hosts): what is in one is unknown to the others.
//!
//! A new data directory has one, `/`. A space's number is never used again, so whatever is
//! kept by that number elsewhere means nothing once the space is gone, not another's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::change::Change;
use crate::catalog::definition::ExchangeDefinition;
use crate::catalog::names::NAME_BYTES_MAX;
use crate::catalog::state::{Catalog, PREDECLARED, not_found};
use crate::refused::{Kind, Refused};
use crate::router::{ExchangeId, QueueId, SpaceId};

/// What a space is made as. It is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceDefinition {
    /// Its name, unique.
    pub name: Arc<str>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people and their tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What kind of queue its clients mean who do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<String>,
    /// What it may hold.
    #[serde(default, skip_serializing_if = "SpaceLimits::is_none")]
    pub limits: SpaceLimits,
}

/// What a space may hold, and how fast it may grow; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceLimits {
    /// Connections at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u32>,
    /// Queues, partitions of topics among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues_max: Option<u32>,
    /// Messages published in a second: whoever is faster is slowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_messages_per_s: Option<u64>,
    /// Bytes published in a second: whoever is faster is slowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_bytes_per_s: Option<u64>,
}

impl SpaceLimits {
    /// All of them, by the names that RabbitMQ has for its own.
    pub fn named(&self) -> [(&'static str, Option<u64>); 4] {
        [
            ("max-connections", self.connections_max.map(u64::from)),
            ("max-queues", self.queues_max.map(u64::from)),
            ("publish-messages-per-second", self.publish_messages_per_s),
            ("publish-bytes-per-second", self.publish_bytes_per_s),
        ]
    }

    /// Sets the one of that name; whether there is one. More than can be is no limit.
    pub fn set(&mut self, name: &str, value: Option<u64>) -> bool {
        let small = value.and_then(|value| u32::try_from(value).ok());
        match name {
            "max-connections" => self.connections_max = small,
            "max-queues" => self.queues_max = small,
            "publish-messages-per-second" => self.publish_messages_per_s = value,
            "publish-bytes-per-second" => self.publish_bytes_per_s = value,
            _ => return false,
        }
        true
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == SpaceLimits::default()
    }
}

impl SpaceDefinition {
    /// One of which nothing is said but its name.
    pub fn named(name: &str) -> SpaceDefinition {
        SpaceDefinition {
            name: Arc::from(name),
            description: String::new(),
            tags: Vec::new(),
            default_queue_type: None,
            limits: SpaceLimits::default(),
        }
    }

    /// Refuses a space that cannot be.
    ///
    /// # Errors
    /// [`Refused::InvalidArgument`], about `name`, `description`, `tags` or
    /// `default_queue_type`.
    pub fn check(&self) -> Result<(), Refused> {
        let invalid = |argument: &str, value: &str, accepted| {
            Err(Refused::InvalidArgument {
                argument: argument.to_owned(),
                value: value.chars().take(SHOWN_MAX).collect(),
                accepted,
            })
        };
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX {
            return invalid("name", &self.name, "1 to 255 bytes");
        }
        if self.description.len() > TEXT_BYTES_MAX {
            return invalid("description", &self.description, "at most 4096 bytes");
        }
        let tags = self.tags.iter().map(String::len).sum::<usize>();
        if self.tags.len() > TAGS_MAX || tags > TEXT_BYTES_MAX {
            let accepted = "at most 64 words of at most 4096 bytes in all";
            return invalid("tags", &self.tags.join(","), accepted);
        }
        match self.default_queue_type.as_deref() {
            None | Some("classic" | "quorum" | "stream" | "undefined") => Ok(()),
            Some(other) => invalid("default_queue_type", other, "classic, quorum or stream"),
        }
    }
}

/// A space, and how much is in it.
#[derive(Debug)]
pub(super) struct SpaceEntry {
    pub(super) definition: Arc<SpaceDefinition>,
    pub(super) queue_count: u32,
}

impl Catalog {
    /// The space of that name.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub fn space(&self, name: &str) -> Result<SpaceId, Refused> {
        let found = self.space_ids.get(name).copied();
        found.ok_or_else(|| not_found(Kind::Space, name))
    }

    /// What a space is, if it is there.
    pub fn space_definition(&self, space: SpaceId) -> Option<&Arc<SpaceDefinition>> {
        self.spaces.get(&space).map(|entry| &entry.definition)
    }

    /// The name of a space; of one that is gone, empty.
    pub fn space_name(&self, space: SpaceId) -> Arc<str> {
        let entry = self.spaces.get(&space);
        entry.map_or_else(Arc::default, |entry| entry.definition.name.clone())
    }

    /// All spaces, by number.
    pub fn spaces(&self) -> impl Iterator<Item = (SpaceId, &Arc<SpaceDefinition>)> {
        let all = self.spaces.iter();
        all.map(|(id, entry)| (*id, &entry.definition))
    }

    /// How many queues a space has.
    pub fn queue_count(&self, space: SpaceId) -> u32 {
        self.spaces.get(&space).map_or(0, |entry| entry.queue_count)
    }

    /// Refuses what is to be made in a space that is gone.
    pub(super) fn check_space(&self, space: SpaceId) -> Result<(), Refused> {
        match self.spaces.contains_key(&space) {
            true => Ok(()),
            false => Err(not_found(Kind::Space, "")),
        }
    }

    /// Refuses one more queue than the space may have; how many it may.
    pub(super) fn room_for(&self, space: SpaceId, more: u32) -> Result<(), u32> {
        let Some(entry) = self.spaces.get(&space) else {
            return Ok(());
        };
        match entry.definition.limits.queues_max {
            Some(max) if entry.queue_count.saturating_add(more) > max => Err(max),
            _ => Ok(()),
        }
    }

    pub(super) fn set_space(&mut self, id: SpaceId, definition: &SpaceDefinition) -> bool {
        self.next_space = self.next_space.max(id.0.saturating_add(1));
        if let Some(entry) = self.spaces.get_mut(&id) {
            if *entry.definition == *definition {
                return false;
            }
            let before = std::mem::replace(&mut entry.definition, Arc::new(definition.clone()));
            self.space_ids.remove(&before.name);
            self.space_ids.insert(definition.name.clone(), id);
            return true;
        }
        if let Some(other) = self.space_ids.get(&definition.name).copied() {
            self.remove_space(other);
        }
        self.space_ids.insert(definition.name.clone(), id);
        let entry = SpaceEntry {
            definition: Arc::new(definition.clone()),
            queue_count: 0,
        };
        self.spaces.insert(id, entry);
        for (name, exchange_type) in PREDECLARED {
            let exchange = ExchangeDefinition {
                name: name.into(),
                exchange_type,
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: Default::default(),
                window: None,
            };
            let space = id;
            self.apply(&Change::DeclareExchange { space, exchange });
        }
        true
    }

    /// With all that is in it.
    pub(super) fn remove_space(&mut self, id: SpaceId) -> bool {
        if !self.spaces.contains_key(&id) {
            return false;
        }
        // Subscriptions before what they subscribe to, partitions before the first.
        let queues: Vec<QueueId> = self.queues_in(id).collect();
        for queue in queues.into_iter().rev() {
            self.remove_queue(queue);
        }
        let all = self.exchanges.iter();
        let here = all.filter(|(_, entry)| entry.space == id);
        let exchanges: Vec<ExchangeId> = here.map(|(id, _)| *id).collect();
        for exchange in exchanges {
            self.remove_exchange(exchange);
        }
        self.policies.clear_all(id);
        self.group_configs.retain(|(space, _), _| *space != id);
        if let Some(entry) = self.spaces.remove(&id) {
            self.space_ids.remove(&entry.definition.name);
        }
        true
    }

    /// The queues of a space, ascending.
    pub fn queues_in(&self, space: SpaceId) -> impl Iterator<Item = QueueId> {
        let all = self.queues.iter();
        let here = all.filter(move |(_, entry)| entry.space == space);
        here.map(|(id, _)| *id)
    }

    /// Asserts that spaces are known by their names, and how many queues they have.
    pub(super) fn check_spaces(&self) {
        assert_eq!(self.spaces.len(), self.space_ids.len());
        for (id, entry) in &self.spaces {
            assert_eq!(self.space_ids[&entry.definition.name], *id);
            assert_eq!(self.queues_in(*id).count() as u32, entry.queue_count);
            assert!(id.0 < self.next_space);
        }
        let queues = self.queues.values().map(|entry| entry.space);
        let exchanges = self.exchanges.values().map(|entry| entry.space);
        let mut used = queues.chain(exchanges);
        assert!(used.all(|space| self.spaces.contains_key(&space)));
    }
}

/// Of a description, or of tags.
const TEXT_BYTES_MAX: usize = 4096;
const TAGS_MAX: usize = 64;
const SHOWN_MAX: usize = 64;

#[cfg(test)]
mod tests;
