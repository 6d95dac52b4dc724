//! Exchanges declared and deleted.

use crate::catalog::arguments::{self, Place};
use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::definition::ExchangeDefinition;
use crate::catalog::equivalence;
use crate::catalog::names;
use crate::catalog::state::{Catalog, not_found};
use crate::refused::{Kind, Refused};
use crate::router::{ExchangeType, SpaceId};
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
        let definition = ExchangeDefinition {
            name: name.as_ref().into(),
            exchange_type,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments,
        };
        if let Some((_, entry)) = self.exchange_entry(space, &name) {
            equivalence::check_exchange(&entry.definition, &definition)?;
            return Ok(Answer::Done);
        }
        names::check_new(Kind::Exchange, &name)?;
        arguments::check(Place::Exchange, &definition.arguments)?;
        let durable = definition.durable;
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
        let Some((_, entry)) = self.exchange_entry(space, &name) else {
            return Ok(Answer::Done);
        };
        if if_unused && !entry.outbound.is_empty() {
            return Err(Refused::InUse {
                kind: Kind::Exchange,
                name: name.into_owned(),
            });
        }
        let sources = entry.inbound.iter().map(|edge| edge.source).collect();
        let durable = entry.definition.durable;
        let name = name.into_owned();
        self.change(Change::DeleteExchange { space, name }, durable, effects);
        self.delete_unbound(sources, effects);
        Ok(Answer::Done)
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
    Err(if TYPES_NOT_YET.contains(&name) {
        Refused::Unsupported {
            what: name.to_owned(),
        }
    } else {
        Refused::UnknownExchangeType {
            name: name.to_owned(),
        }
    })
}

/// Types that RabbitMQ's plugins bring and clients ask for.
const TYPES_NOT_YET: [&str; 8] = [
    "x-consistent-hash",
    "x-delayed-message",
    "x-jms-topic",
    "x-local-random",
    "x-message-deduplication",
    "x-modulus-hash",
    "x-random",
    "x-recent-history",
];
