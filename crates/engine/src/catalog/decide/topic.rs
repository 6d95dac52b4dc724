//! Topics made, deleted, grown and configured.

use bongsu_record::{Arguments, Value};

use crate::catalog::arguments::QUEUE_TYPE;
use crate::catalog::call::Effect;
use crate::catalog::change::Change;
use crate::catalog::definition::{PartOf, QueueDefinition, TopicDefinition};
use crate::catalog::names;
use crate::catalog::state::{Catalog, QueueEntry};
use crate::catalog::topics::kind;
use crate::catalog::{TopicId, TopicKind};
use crate::router::{QueueId, SpaceId};
use crate::topic::call::{self, Bounds, Changed, Refused, TopicRef};
use crate::topic::config::alter::{self, Subject};
use crate::topic::name;

impl Catalog {
    /// Takes one change of a topic, as [`Catalog::handle`] takes its inputs; or, with
    /// `only_check`, says what would become of it.
    ///
    /// # Errors
    /// [`Refused`]; then nothing has changed and there are no effects.
    pub fn handle_topic(
        &mut self,
        space: SpaceId,
        change: call::Change,
        bounds: Bounds,
        only_check: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<Changed, Refused> {
        // What is only checked has its effects on nobody.
        let effects = (!only_check).then_some(effects);
        match change {
            call::Change::Create {
                name,
                partitions,
                configs,
            } => {
                let topic = TopicDefinition {
                    made_as_topic: true,
                    configs,
                };
                let partitions = partitions.unwrap_or(bounds.usual);
                self.create_topic(space, &name, partitions, topic, bounds, effects)
            }
            call::Change::Delete { topic } => {
                let first = self.resolve_topic(space, &topic)?;
                let changed = self.changed(first);
                if let Some(effects) = effects {
                    self.drop_queue(first, effects);
                }
                Ok(changed)
            }
            call::Change::Grow { name, partitions } => {
                self.grow_topic(space, &name, partitions, bounds, effects)
            }
            call::Change::Alter { name, alterations } => {
                let first = self.named_topic(space, &name)?;
                let topic = self.queues[&first].definition.topic.clone();
                let mut topic = topic.unwrap_or_default();
                let subject = subject(&self.queues[&first]);
                topic.configs =
                    alter::alter(&topic.configs, &alterations, subject).map_err(Refused::Config)?;
                Ok(self.set_topic(first, topic, effects))
            }
            call::Change::Replace { name, configs } => {
                let first = self.named_topic(space, &name)?;
                let topic = self.queues[&first].definition.topic.clone();
                let mut topic = topic.unwrap_or_default();
                alter::check(&configs, subject(&self.queues[&first])).map_err(Refused::Config)?;
                topic.configs = configs;
                Ok(self.set_topic(first, topic, effects))
            }
        }
    }

    /// Gives the cluster its number, if it has none: `token`, made into one that Kafka's
    /// tools can take for an argument (it begins with a letter), and that is not among the
    /// numbers Kafka keeps for itself.
    pub fn found(&mut self, token: u128, effects: &mut Vec<Effect>) {
        if self.cluster != 0 {
            return;
        }
        let cluster = token & !(FIRST_BIT | VERSION | VARIANT) | VERSION_4 | VARIANT_1;
        self.change(Change::Found { cluster }, true, effects);
    }

    /// Kafka's order: the name, one of that name, one like it, the partitions, the
    /// configurations.
    fn create_topic(
        &mut self,
        space: SpaceId,
        name: &str,
        partitions: u32,
        topic: TopicDefinition,
        bounds: Bounds,
        effects: Option<&mut Vec<Effect>>,
    ) -> Result<Changed, Refused> {
        name::check(name).map_err(|cause| Refused::Name {
            name: name.to_owned(),
            cause,
        })?;
        if names::is_reserved(name) || name::is_kafkas_own(name) {
            return Err(Refused::Reserved {
                name: name.to_owned(),
            });
        }
        if self.queue_entry(space, name).is_some() {
            return Err(Refused::Exists {
                name: name.to_owned(),
            });
        }
        if let Some(other) = self.alike(space, name) {
            return Err(Refused::Alike {
                name: name.to_owned(),
                other: other.to_string(),
            });
        }
        self.check_count(space, partitions, partitions, bounds)?;
        let log = self.settings.durability;
        let kind = TopicKind::Stream;
        alter::check(&topic.configs, Subject { kind, log }).map_err(Refused::Config)?;
        self.check_free(space, name, 1..partitions)?;
        let Some(effects) = effects else {
            return Ok(Changed {
                id: TopicId::default(),
                name: name.to_owned(),
                first: None,
                partitions,
                configs: Vec::new(),
            });
        };
        let of_streams = (QUEUE_TYPE.to_owned(), Value::Text("stream".to_owned()));
        let definition = QueueDefinition {
            name: name.into(),
            durable: true,
            owner: None,
            auto_delete: false,
            arguments: Arguments::from([of_streams]),
            log,
            topic: Some(topic),
            part_of: None,
            source: None,
        };
        let first = self.create_queue(space, definition, effects);
        self.add_parts(first, 1..partitions, effects);
        Ok(self.changed(first))
    }

    fn grow_topic(
        &mut self,
        space: SpaceId,
        name: &str,
        partitions: u32,
        bounds: Bounds,
        effects: Option<&mut Vec<Effect>>,
    ) -> Result<Changed, Refused> {
        let first = self.named_topic(space, name)?;
        let current = self.partition_count(first);
        if partitions <= current {
            return Err(Refused::NotMore {
                name: name.to_owned(),
                current,
                asked: partitions,
            });
        }
        if kind(&self.queues[&first].properties) == TopicKind::Queue {
            return Err(Refused::WorkQueue {
                name: name.to_owned(),
            });
        }
        self.check_count(space, partitions, partitions - current, bounds)?;
        self.check_free(space, name, current..partitions)?;
        if let Some(effects) = effects {
            self.add_parts(first, current..partitions, effects);
        }
        let changed = self.changed(first);
        Ok(Changed {
            partitions,
            ..changed
        })
    }

    /// Every part is what the first is, but for its name: what counts for one counts for all.
    fn add_parts(
        &mut self,
        first: QueueId,
        indexes: std::ops::Range<u32>,
        effects: &mut Vec<Effect>,
    ) {
        let entry = &self.queues[&first];
        let space = entry.space;
        let of_topic = (*entry.definition).clone();
        for index in indexes {
            let definition = QueueDefinition {
                name: name::of_partition(&of_topic.name, index).into(),
                part_of: Some(PartOf { first, index }),
                ..of_topic.clone()
            };
            self.create_queue(space, definition, effects);
        }
    }

    fn set_topic(
        &mut self,
        first: QueueId,
        topic: TopicDefinition,
        effects: Option<&mut Vec<Effect>>,
    ) -> Changed {
        let definition = &self.queues[&first].definition;
        let current = definition.topic.as_ref();
        let is_same = current.map_or(topic == TopicDefinition::default(), |it| *it == topic);
        if let Some(effects) = effects.filter(|_| !is_same) {
            let name = definition.name.to_string();
            let id = first;
            self.change(Change::ConfigureTopic { id, name, topic }, true, effects);
            for id in self.partitions_of(first).iter() {
                let properties = self.queues[id].properties.clone();
                let id = *id;
                effects.push(Effect::Reconfigure { id, properties });
            }
        }
        self.changed(first)
    }

    fn check_count(
        &self,
        space: SpaceId,
        in_topic: u32,
        more: u32,
        bounds: Bounds,
    ) -> Result<(), Refused> {
        self.check_space(space).map_err(|_| Refused::Access)?;
        if in_topic == 0 || in_topic > bounds.per_topic_max {
            return Err(Refused::PartitionCount {
                asked: i64::from(in_topic),
                max: bounds.per_topic_max,
            });
        }
        if self.queues.len() as u64 + u64::from(more) > u64::from(bounds.in_all_max) {
            return Err(Refused::TooMany {
                max: bounds.in_all_max,
            });
        }
        self.room_for(space, more)
            .map_err(|max| Refused::TooMany { max })
    }

    fn check_free(
        &self,
        space: SpaceId,
        topic: &str,
        indexes: std::ops::Range<u32>,
    ) -> Result<(), Refused> {
        for index in indexes {
            let queue = name::of_partition(topic, index);
            if self.queue_entry(space, &queue).is_some() {
                return Err(Refused::InTheWay { queue });
            }
        }
        Ok(())
    }

    fn resolve_topic(&self, space: SpaceId, topic: &TopicRef) -> Result<QueueId, Refused> {
        match topic {
            TopicRef::Name(name) => self.named_topic(space, name),
            TopicRef::Id(id) => self.numbered_topic(space, *id),
        }
    }

    fn named_topic(&self, space: SpaceId, name: &str) -> Result<QueueId, Refused> {
        let found = self.topic_entry(space, name);
        let unknown = || Refused::Unknown {
            name: name.to_owned(),
        };
        found.map(|(id, _)| id).ok_or_else(unknown)
    }

    fn numbered_topic(&self, space: SpaceId, id: TopicId) -> Result<QueueId, Refused> {
        let found = self.topic_entry_by_id(space, id);
        found.map(|(id, _)| id).ok_or(Refused::UnknownId { id })
    }

    fn changed(&self, first: QueueId) -> Changed {
        Changed {
            id: self.topic_id(first),
            name: self.queues[&first].definition.name.to_string(),
            first: Some(first),
            partitions: self.partition_count(first),
            configs: Vec::new(),
        }
    }

    fn partition_count(&self, first: QueueId) -> u32 {
        1 + u32::try_from(self.parts_of(first).count()).unwrap_or(u32::MAX)
    }
}

fn subject(entry: &QueueEntry) -> Subject {
    Subject {
        kind: kind(&entry.properties),
        log: entry.definition.log,
    }
}

/// Of a number of 128 bits, those that say what it is made from (RFC 9562): at random.
const VERSION: u128 = 0xf << 76;
const VERSION_4: u128 = 4 << 76;
const VARIANT: u128 = 3 << 62;
const VARIANT_1: u128 = 2 << 62;
/// Without it no number begins with `-` or `_` where it is told in base 64.
const FIRST_BIT: u128 = 1 << 127;
