//! Queues declared and deleted.

use std::sync::Arc;

use bongsu_record::{Arguments, Offset, Value};

use crate::catalog::arguments::{self, DURABILITY, QUEUE_TYPE, SUBSCRIBE};
use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::definition::{LogDurability, Owner, QueueDefinition};
use crate::catalog::equivalence;
use crate::catalog::names;
use crate::catalog::state::{Catalog, locked, not_found};
use crate::refused::{Kind, Refused};
use crate::router::{ExchangeId, QueueId, SpaceId};
use crate::session::DeclareQueue;

impl Catalog {
    /// RabbitMQ's order: the name (also of a queue that exists), then owner and equivalence
    /// if it exists, else the arguments.
    pub(super) fn declare_queue(
        &mut self,
        space: SpaceId,
        owner: Owner,
        declare: DeclareQueue,
        token: u128,
        start: Option<Offset>,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let name = names::clean(&declare.name);
        if names::is_reply(&name) {
            // RabbitMQ takes every declaration of one for a question.
            let there = name == names::REPLY || self.router.queue(space, &name).is_some();
            let name = name.into_owned();
            return match there {
                true => Ok(Answer::ReplyQueue { name }),
                false => Err(not_found(Kind::Queue, &name)),
            };
        }
        if declare.passive {
            let (id, _) = self.find_queue(space, owner, &name)?;
            let name = name.into_owned();
            let created = false;
            return Ok(Answer::Queue { id, name, created });
        }
        let name = if name.is_empty() {
            names::generated_queue(token)
        } else {
            names::check_new(Kind::Queue, &name)?;
            name.into_owned()
        };
        let durable = declare.durable && !declare.exclusive;
        let mut definition = QueueDefinition {
            name: name.as_str().into(),
            durable,
            owner: declare.exclusive.then_some(owner),
            auto_delete: declare.auto_delete,
            arguments: declare.arguments,
            log: LogDurability::Memory,
            topic: None,
            part_of: None,
            source: None,
        };
        self.mean_default_type(space, &mut definition);
        if let Some((id, entry)) = self.queue_entry(space, &name) {
            // Also if it is ours and this request does not say so.
            if entry.definition.owner != definition.owner {
                return Err(locked(&name));
            }
            equivalence::check_queue(&entry.definition, &definition)?;
            let created = false;
            return Ok(Answer::Queue { id, name, created });
        }
        self.check_space(space)?;
        self.room_for(space, 1).map_err(|max| Refused::QueueLimit {
            queue: name.clone(),
            max,
        })?;
        arguments::check_queue(&definition)?;
        definition.source = self.source_of(space, owner, &definition.arguments, start)?;
        if durable {
            definition.log = definition
                .arguments
                .get(DURABILITY)
                .and_then(|value| LogDurability::by_name(value.as_text()?))
                .unwrap_or(self.settings.durability);
        }
        let id = self.create_queue(space, definition, effects);
        let created = true;
        Ok(Answer::Queue { id, name, created })
    }

    /// Who names no type means the space's, of queues that can be of it. A queue that was
    /// there without one before stays what it is.
    fn mean_default_type(&self, space: SpaceId, definition: &mut QueueDefinition) {
        let of_space = self.space_definition(space);
        let Some(meant) = of_space.and_then(|space| space.default_queue_type.as_deref()) else {
            return;
        };
        let arguments = &definition.arguments;
        let is_said = arguments.contains_key(QUEUE_TYPE) || arguments.contains_key(SUBSCRIBE);
        let can_be = definition.durable && !definition.auto_delete;
        let known = self.queue_entry(space, &definition.name);
        let stays = known.is_some_and(|(_, known)| {
            let of_known = known.definition.arguments.get(QUEUE_TYPE);
            of_known.and_then(Value::as_text) != Some(meant)
        });
        if can_be && !is_said && !stays {
            let meant = Value::Text(meant.to_owned());
            definition.arguments.insert(QUEUE_TYPE.to_owned(), meant);
        }
    }

    pub(super) fn open_reply_queue(
        &mut self,
        space: SpaceId,
        owner: Owner,
        token: u128,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let name = names::generated(names::REPLY_QUEUE, token);
        let definition = QueueDefinition {
            name: name.as_str().into(),
            durable: false,
            owner: Some(owner),
            auto_delete: false,
            arguments: Arguments::new(),
            log: LogDurability::Memory,
            topic: None,
            part_of: None,
            source: None,
        };
        let id = self.create_queue(space, definition, effects);
        let created = true;
        Answer::Queue { id, name, created }
    }

    pub(super) fn create_queue(
        &mut self,
        space: SpaceId,
        queue: QueueDefinition,
        effects: &mut Vec<Effect>,
    ) -> QueueId {
        let id = QueueId(self.allocate_number(effects));
        let durable = queue.durable;
        self.change(Change::DeclareQueue { space, id, queue }, durable, effects);
        let entry = &self.queues[&id];
        effects.push(Effect::CreateQueue {
            id,
            space,
            queue: Arc::clone(&entry.definition),
            properties: Arc::clone(&entry.properties),
        });
        id
    }

    /// A number nobody had. Blocks are reserved durably, so that also a transient queue's
    /// number does not come again after a restart, and most declarations record nothing
    /// for it.
    pub(super) fn allocate_number(&mut self, effects: &mut Vec<Effect>) -> u64 {
        if self.next_queue == self.reserved_end {
            let end = self.reserved_end + RESERVED_COUNT;
            self.change(Change::ReserveQueueIds { end }, true, effects);
        }
        let number = self.next_queue;
        self.next_queue += 1;
        number
    }

    /// One that is not there is as good as deleted.
    pub(super) fn delete_queue(
        &mut self,
        space: SpaceId,
        owner: Owner,
        name: &str,
        used: bool,
        full: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let name = names::clean(name);
        let Some((id, entry)) = self.queue_entry(space, &name) else {
            return Ok(Answer::Done);
        };
        match entry.check_access(owner) {
            Err(Refused::NotFound { .. }) => return Ok(Answer::Done),
            other => other?,
        }
        if entry.definition.part_of.is_some() {
            return Err(Refused::PartOfTopic {
                queue: name.into_owned(),
                topic: entry.definition.topic_name().to_owned(),
            });
        }
        if used {
            return Err(Refused::InUse {
                kind: Kind::Queue,
                name: name.into_owned(),
            });
        }
        if full {
            return Err(Refused::NotEmpty {
                queue: name.into_owned(),
            });
        }
        self.drop_queue(id, effects);
        Ok(Answer::Deleted { id })
    }

    pub(super) fn link_closed(&mut self, id: QueueId, links: u32, effects: &mut Vec<Effect>) {
        let auto_delete = self
            .queues
            .get(&id)
            .is_some_and(|entry| entry.definition.auto_delete);
        if auto_delete && links == 0 {
            self.drop_queue(id, effects);
        }
    }

    pub(super) fn session_closed(&mut self, owner: Owner, effects: &mut Vec<Effect>) {
        let all = (owner, QueueId(0))..=(owner, QueueId(u64::MAX));
        let ids: Vec<QueueId> = self.owned.range(all).map(|(_, id)| *id).collect();
        for id in ids {
            self.drop_queue(id, effects);
        }
    }

    /// A topic goes with all its partitions.
    pub(super) fn drop_queue(&mut self, id: QueueId, effects: &mut Vec<Effect>) {
        let parts: Vec<QueueId> = self.parts_of(id).collect();
        for part in parts.into_iter().rev() {
            self.drop_one(part, effects);
        }
        self.drop_one(id, effects);
    }

    /// Subscriptions to it go with it.
    fn drop_one(&mut self, id: QueueId, effects: &mut Vec<Effect>) {
        for subscription in self.subscriptions(id).rev().collect::<Vec<_>>() {
            self.drop_one(subscription, effects);
        }
        let entry = &self.queues[&id];
        let sources: Vec<ExchangeId> = entry.inbound.iter().map(|edge| edge.source).collect();
        let definition = Arc::clone(&entry.definition);
        let name = definition.name.to_string();
        self.change(
            Change::DeleteQueue { id, name },
            definition.durable,
            effects,
        );
        effects.push(Effect::DropQueue { id });
        self.delete_unbound(sources, effects);
    }
}

/// A restart skips at most so many numbers.
const RESERVED_COUNT: u64 = 1024;
