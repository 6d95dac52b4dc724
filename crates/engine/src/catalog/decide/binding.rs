//! Bindings made and undone.

use crate::catalog::arguments;
use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::decide::exchange::not_default;
use crate::catalog::definition::{BindingDefinition, Owner};
use crate::catalog::names;
use crate::catalog::state::{Catalog, Edge, not_found};
use crate::refused::{Kind, Refused};
use crate::router::headers::Matching;
use crate::router::{ExchangeType, Target};
use crate::session::Destination;

impl Catalog {
    /// RabbitMQ's order: default exchange, both ends exist (the source is named first), the
    /// arguments, the owner.
    pub(super) fn bind(
        &mut self,
        owner: Owner,
        binding: BindingDefinition,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let binding = cleaned(binding);
        check_ends(&binding)?;
        let edge = self.edge(&binding).ok_or_else(|| self.missing(&binding))?;
        arguments::check_values(&binding.arguments)?;
        if binding.routing_key.len() > names::NAME_BYTES_MAX {
            return Err(Refused::InvalidArgument {
                argument: "routing_key".to_owned(),
                value: binding.routing_key,
                accepted: "at most 255 bytes",
            });
        }
        let source = &self.exchanges[&edge.source];
        if source.definition.exchange_type == ExchangeType::Headers {
            check_x_match(&binding)?;
        }
        self.check_target(owner, &edge)?;
        if !source.outbound.contains(&edge) {
            let durable = self.is_durable(&edge);
            self.change(Change::Bind(binding), durable, effects);
        }
        Ok(Answer::Done)
    }

    /// A binding that is not there is as good as undone, whatever else is wrong.
    pub(super) fn unbind(
        &mut self,
        owner: Owner,
        binding: BindingDefinition,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let binding = cleaned(binding);
        check_ends(&binding)?;
        let Some(edge) = self.edge(&binding) else {
            return Ok(Answer::Done);
        };
        if !self.exchanges[&edge.source].outbound.contains(&edge) {
            return Ok(Answer::Done);
        }
        self.check_target(owner, &edge)?;
        let durable = self.is_durable(&edge);
        self.change(Change::Unbind(binding), durable, effects);
        self.delete_unbound(vec![edge.source], effects);
        Ok(Answer::Done)
    }

    fn check_target(&self, owner: Owner, edge: &Edge) -> Result<(), Refused> {
        match edge.target {
            Target::Queue(id) => self.queues[&id].check_access(owner),
            Target::Exchange(_) => Ok(()),
        }
    }

    fn missing(&self, binding: &BindingDefinition) -> Refused {
        if self
            .router
            .exchange(binding.space, &binding.source)
            .is_none()
        {
            return not_found(Kind::Exchange, &binding.source);
        }
        match &binding.destination {
            Destination::Queue(name) => not_found(Kind::Queue, name),
            Destination::Exchange(name) => not_found(Kind::Exchange, name),
        }
    }
}

fn cleaned(mut binding: BindingDefinition) -> BindingDefinition {
    let (Destination::Queue(destination) | Destination::Exchange(destination)) =
        &mut binding.destination;
    for name in [&mut binding.source, destination] {
        let clean = names::clean(name);
        if clean.len() < name.len() {
            *name = clean.into_owned();
        }
    }
    binding
}

fn check_ends(binding: &BindingDefinition) -> Result<(), Refused> {
    if let Destination::Exchange(name) = &binding.destination {
        not_default(name)?;
    }
    not_default(&binding.source)
}

fn check_x_match(binding: &BindingDefinition) -> Result<(), Refused> {
    if Matching::of(&binding.arguments).is_some() {
        return Ok(());
    }
    Err(arguments::invalid(
        "x-match",
        &binding.arguments["x-match"],
        "all, any, all-with-x, or any-with-x",
    ))
}
