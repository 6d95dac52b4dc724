//! Queues that consume others' records.

use bongsu_record::{Arguments, Offset, Value};

use crate::catalog::arguments::{self, SUBSCRIBE};
use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::definition::{Configs, Owner, QueueDefinition, Source};
use crate::catalog::names;
use crate::catalog::state::{Catalog, not_found};
use crate::refused::{Kind, Refused};
use crate::router::{QueueId, SpaceId};
use crate::share::ShareConfig;

impl Catalog {
    /// Whose records a queue with these arguments consumes. A topic is named with its
    /// partition, unless it has only one: several are several orders, and a queue has one.
    pub(super) fn source_of(
        &self,
        space: SpaceId,
        owner: Owner,
        arguments: &Arguments,
        start: Option<Offset>,
    ) -> Result<Option<Source>, Refused> {
        let Some(value) = arguments.get(SUBSCRIBE) else {
            return Ok(None);
        };
        let invalid = || arguments::invalid(SUBSCRIBE, value, ACCEPTED);
        let name = value.as_text().ok_or_else(invalid)?;
        let id = self
            .subscribable(space, name)
            .ok_or_else(|| not_found(Kind::Queue, name))?;
        let entry = &self.queues[&id];
        entry.check_access(owner)?;
        let is_one_of_many = *entry.definition.name == *name && self.partitions_of(id).len() > 1;
        if !entry.properties.is_stream || is_one_of_many {
            return Err(invalid());
        }
        self.has_room(id)?;
        let start = start.unwrap_or_default().0;
        Ok(Some(Source { queue: id, start }))
    }

    /// The queue that is meant: `orders/0` is the first partition of `orders`.
    pub fn subscribable(&self, space: SpaceId, name: &str) -> Option<QueueId> {
        let name = names::clean(name);
        let named = self.router.queue(space, &name);
        named.or_else(|| self.router.queue(space, name.strip_suffix("/0")?))
    }

    fn has_room(&self, source: QueueId) -> Result<(), Refused> {
        if self.subscriptions(source).count() < SUBSCRIPTIONS_MAX {
            return Ok(());
        }
        Err(Refused::InvalidArgument {
            argument: SUBSCRIBE.to_owned(),
            value: self.queues[&source].definition.name.to_string(),
            accepted: "a stream with fewer than 1000 subscriptions",
        })
    }

    /// Makes a share group's subscription, or gives it other arguments.
    pub(super) fn share(
        &mut self,
        group: &str,
        source: QueueId,
        start: Offset,
        arguments: Arguments,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let gone = || not_found(Kind::Queue, group);
        let entry = self.queues.get(&source).ok_or_else(gone)?;
        if !entry.properties.is_stream {
            return Err(gone());
        }
        let space = entry.space;
        let (durable, log) = (entry.definition.durable, entry.definition.log);
        let mut arguments = arguments;
        let topic = Value::Text(entry.definition.name.to_string());
        arguments.insert(SUBSCRIBE.to_owned(), topic);
        // What came of a record is known over a restart, like with those.
        let kind = Value::Text("quorum".to_owned());
        arguments.insert(arguments::QUEUE_TYPE.to_owned(), kind);
        let name = names::share(group, source);
        let known = self.queue_entry(space, &name);
        if let Some((id, known)) = known {
            let definition = QueueDefinition {
                arguments,
                ..(*known.definition).clone()
            };
            if definition != *known.definition {
                arguments::check_queue(&definition)?;
                self.alter(space, id, definition, effects);
            }
            let created = false;
            return Ok(Answer::Queue { id, name, created });
        }
        self.has_room(source)?;
        let definition = QueueDefinition {
            name: name.as_str().into(),
            durable,
            owner: None,
            auto_delete: false,
            arguments,
            log,
            topic: None,
            part_of: None,
            source: Some(Source {
                queue: source,
                start: start.0,
            }),
        };
        arguments::check_queue(&definition)?;
        let id = self.create_queue(space, definition, effects);
        let created = true;
        Ok(Answer::Queue { id, name, created })
    }

    /// What it means for the group's subscriptions holds for them at once.
    pub(super) fn configure_group(
        &mut self,
        space: SpaceId,
        group: String,
        configs: Configs,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.check_space(space)?;
        let current = self.group_configs(space, &group).cloned();
        if current.unwrap_or_default() == configs {
            return Ok(());
        }
        let arguments = ShareConfig::of(&configs).arguments();
        let shares = self.shares(space).filter(|(of, ..)| *of == group);
        let sources: Vec<QueueId> = shares.map(|(_, source, _)| source).collect();
        for source in sources {
            self.share(&group, source, Offset(0), arguments.clone(), effects)?;
        }
        let change = Change::ConfigureGroup {
            space,
            group,
            configs,
        };
        self.change(change, true, effects);
        Ok(())
    }

    fn alter(
        &mut self,
        space: SpaceId,
        id: QueueId,
        queue: QueueDefinition,
        effects: &mut Vec<Effect>,
    ) {
        let durable = queue.durable;
        self.change(Change::DeclareQueue { space, id, queue }, durable, effects);
        let properties = self.queues[&id].properties.clone();
        effects.push(Effect::Reconfigure { id, properties });
    }

    pub(super) fn unshare(
        &mut self,
        group: &str,
        source: QueueId,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        match self.share_queue(group, source) {
            Some(id) => {
                self.drop_queue(id, effects);
                Answer::Deleted { id }
            }
            None => Answer::Done,
        }
    }
}

const ACCEPTED: &str = "a stream, a topic with one partition, or topic/partition";
/// Subscriptions to one stream or partition: each is told of everything that is appended.
const SUBSCRIPTIONS_MAX: usize = 1000;
