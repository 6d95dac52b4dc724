//! Exchanges declared and deleted.

use bongsu_record::{Arguments, Value};

use crate::catalog::arguments::{self, Place};
use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::definition::ExchangeDefinition;
use crate::catalog::equivalence;
use crate::catalog::names;
use crate::catalog::state::{Catalog, not_found};
use crate::queue::properties::Deduplication;
use crate::refused::{Kind, Refused};
use crate::router::{ExchangeId, ExchangeType, Property, SpaceId, WindowId};
use crate::session::DeclareExchange;

impl Catalog {
    /// RabbitMQ's order: type, default exchange, equivalence if it exists; else the name,
    /// then the arguments.
    pub(super) fn declare_exchange(
        &mut self,
        space: SpaceId,
        declare: DeclareExchange,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let name = names::clean(&declare.name);
        if declare.passive {
            not_default(&name)?;
            return match self.router.exchange(space, &name) {
                Some(_) => Ok(Answer::Done),
                None => Err(not_found(Kind::Exchange, &name)),
            };
        }
        let exchange_type = exchange_type(&declare.exchange_type)?;
        not_default(&name)?;
        let mut definition = ExchangeDefinition {
            name: name.as_ref().into(),
            exchange_type,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments,
            window: None,
        };
        if let Some((_, entry)) = self.exchange_entry(space, &name) {
            equivalence::check_exchange(&entry.definition, &definition)?;
            return Ok(Answer::Done);
        }
        self.check_space(space)?;
        names::check_new(Kind::Exchange, &name)?;
        arguments::check(Place::Exchange, &definition.arguments)?;
        check_type(definition.exchange_type, &definition.arguments)?;
        let durable = definition.durable;
        if definition.deduplicates() {
            let id = WindowId(self.allocate_number(effects));
            definition.window = Some(id);
            let settings = Deduplication::of_exchange(&definition.arguments);
            effects.push(Effect::CreateWindow {
                id,
                settings,
                durable,
            });
        }
        let change = Change::DeclareExchange {
            space,
            exchange: definition,
        };
        self.change(change, durable, effects);
        Ok(Answer::Done)
    }

    /// One that is not there is as good as deleted.
    pub(super) fn delete_exchange(
        &mut self,
        space: SpaceId,
        name: &str,
        if_unused: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let name = names::clean(name);
        not_default(&name)?;
        if names::is_reserved(&name) {
            return Err(reserved(&name));
        }
        let Some((id, entry)) = self.exchange_entry(space, &name) else {
            return Ok(Answer::Done);
        };
        if if_unused && !entry.outbound.is_empty() {
            return Err(Refused::InUse {
                kind: Kind::Exchange,
                name: name.into_owned(),
            });
        }
        let sources = entry.inbound.iter().map(|edge| edge.source).collect();
        self.drop_exchange(id, effects);
        self.delete_unbound(sources, effects);
        Ok(Answer::Done)
    }

    pub(super) fn drop_exchange(&mut self, id: ExchangeId, effects: &mut Vec<Effect>) {
        let entry = &self.exchanges[&id];
        let (space, definition) = (entry.space, entry.definition.clone());
        let name = definition.name.to_string();
        let change = Change::DeleteExchange { space, name };
        self.change(change, definition.durable, effects);
        let dropped = definition.window.map(|id| Effect::DropWindow { id });
        effects.extend(dropped);
    }
}

/// The default exchange is not declared, deleted, or bound.
pub(super) fn not_default(name: &str) -> Result<(), Refused> {
    if name.is_empty() {
        return Err(reserved(name));
    }
    Ok(())
}

fn reserved(name: &str) -> Refused {
    Refused::Reserved {
        kind: Kind::Exchange,
        name: name.to_owned(),
    }
}

fn exchange_type(name: &str) -> Result<ExchangeType, Refused> {
    if let Some(known) = ExchangeType::by_name(name) {
        return Ok(known);
    }
    Err(if TYPES_NOT_HERE.contains(&name) {
        Refused::Unsupported {
            what: name.to_owned(),
        }
    } else {
        Refused::UnknownExchangeType {
            name: name.to_owned(),
        }
    })
}

/// What a type asks of its arguments, its plugin's checks.
fn check_type(exchange_type: ExchangeType, arguments: &Arguments) -> Result<(), Refused> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_text);
    let missing = |argument: &str, value: &str, accepted| Refused::InvalidArgument {
        argument: argument.to_owned(),
        value: value.to_owned(),
        accepted,
    };
    match exchange_type {
        ExchangeType::Delayed => match text(DELAYED_TYPE) {
            None => Err(missing(DELAYED_TYPE, "", "an exchange type")),
            Some(name) => match self::exchange_type(name)? {
                ExchangeType::Delayed => Err(missing(DELAYED_TYPE, name, "another exchange type")),
                behind => check_type(behind, arguments),
            },
        },
        ExchangeType::ConsistentHash => match text(HASH_PROPERTY) {
            Some(name) if Property::by_name(name).is_none() => Err(missing(
                HASH_PROPERTY,
                name,
                "correlation_id, message_id, or timestamp",
            )),
            _ => Ok(()),
        },
        ExchangeType::Deduplication if !arguments.contains_key(CACHE_SIZE) => {
            Err(missing(CACHE_SIZE, "", "an integer greater than 0"))
        }
        _ => Ok(()),
    }
}

/// Types that RabbitMQ's plugins bring and are not here: the one selects with a language of
/// its own, the other keeps messages in an exchange.
const TYPES_NOT_HERE: [&str; 2] = ["x-jms-topic", "x-recent-history"];

const DELAYED_TYPE: &str = "x-delayed-type";
const HASH_PROPERTY: &str = "hash-property";
const CACHE_SIZE: &str = "x-cache-size";
