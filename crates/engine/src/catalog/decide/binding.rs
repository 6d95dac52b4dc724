//! Bindings made and undone.

use std::sync::Arc;

use crate::catalog::arguments;
use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::decide::exchange::not_default;
use crate::catalog::definition::Owner;
use crate::catalog::edge::Edge;
use crate::catalog::names;
use crate::catalog::state::{Catalog, not_found};
use crate::refused::{Kind, Refused};
use crate::router::headers::Matching;
use crate::router::{ExchangeId, ExchangeType, SpaceId, Target};
use crate::session::{Binding, Destination};

impl Catalog {
    /// RabbitMQ's order: default exchange, both ends exist (the source is named first), the
    /// arguments, the owner.
    pub(super) fn bind(
        &mut self,
        space: SpaceId,
        owner: Owner,
        binding: Binding,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        check_ends(&binding)?;
        let edge = self.resolve(space, binding)?;
        arguments::check_values(&edge.arguments)?;
        if edge.routing_key.len() > names::NAME_BYTES_MAX {
            return Err(Refused::InvalidArgument {
                argument: "routing_key".to_owned(),
                value: edge.routing_key.into_string(),
                accepted: "at most 255 bytes",
            });
        }
        let source = &self.exchanges[&edge.source];
        check_key(source.definition.rules().exchange_type, &edge)?;
        self.check_target(owner, &edge)?;
        if !source.outbound.contains(&edge) {
            let change = Change::Bind(self.describe(&edge));
            self.change(change, self.is_durable(&edge), effects);
        }
        Ok(Answer::Done)
    }

    /// A binding that is not there is as good as undone, whatever else is wrong.
    pub(super) fn unbind(
        &mut self,
        space: SpaceId,
        owner: Owner,
        binding: Binding,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        check_ends(&binding)?;
        let Ok(edge) = self.resolve(space, binding) else {
            return Ok(Answer::Done);
        };
        if !self.exchanges[&edge.source].outbound.contains(&edge) {
            return Ok(Answer::Done);
        }
        self.check_target(owner, &edge)?;
        let change = Change::Unbind(self.describe(&edge));
        self.change(change, self.is_durable(&edge), effects);
        self.delete_unbound(vec![edge.source], effects);
        Ok(Answer::Done)
    }

    fn resolve(&self, space: SpaceId, binding: Binding) -> Result<Edge, Refused> {
        Ok(Edge {
            source: self.resolve_exchange(space, &binding.source)?,
            target: match &binding.destination {
                Destination::Queue(name) => Target::Queue(
                    self.queue_id(space, name)
                        .ok_or_else(|| not_found(Kind::Queue, &names::clean(name)))?,
                ),
                Destination::Exchange(name) => {
                    Target::Exchange(self.resolve_exchange(space, name)?)
                }
            },
            routing_key: binding.routing_key.into_boxed_str(),
            arguments: Arc::new(binding.arguments),
        })
    }

    fn resolve_exchange(&self, space: SpaceId, name: &str) -> Result<ExchangeId, Refused> {
        let name = names::clean(name);
        self.router
            .exchange(space, &name)
            .ok_or_else(|| not_found(Kind::Exchange, &name))
    }

    fn check_target(&self, owner: Owner, edge: &Edge) -> Result<(), Refused> {
        match edge.target {
            Target::Queue(id) => {
                self.queues[&id].check_access(owner)?;
                self.takes_records(id)
            }
            Target::Exchange(_) => Ok(()),
        }
    }
}

fn check_ends(binding: &Binding) -> Result<(), Refused> {
    if let Destination::Exchange(name) = &binding.destination {
        not_default(&names::clean(name))?;
    }
    not_default(&names::clean(&binding.source))
}

/// What an exchange's type asks of a binding.
fn check_key(exchange_type: ExchangeType, edge: &Edge) -> Result<(), Refused> {
    let key = &*edge.routing_key;
    let invalid = |accepted| Refused::InvalidArgument {
        argument: "routing_key".to_owned(),
        value: key.to_owned(),
        accepted,
    };
    match exchange_type {
        ExchangeType::Headers if Matching::of(&edge.arguments).is_none() => {
            Err(arguments::invalid(
                "x-match",
                &edge.arguments["x-match"],
                "all, any, all-with-x, or any-with-x",
            ))
        }
        ExchangeType::ConsistentHash if !key.parse().is_ok_and(|weight: i64| weight > 0) => {
            Err(invalid("an integer from 1 up"))
        }
        ExchangeType::LocalRandom if !key.is_empty() => Err(invalid("empty")),
        _ => Ok(()),
    }
}
