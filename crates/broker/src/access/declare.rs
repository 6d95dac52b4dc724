//! What it takes to make, bind and delete things, as RabbitMQ asks for it: also to read and
//! write, where what is made hands records on.

use bongsu_engine::Refused;
use bongsu_engine::catalog::{SpaceId, clean_name, generated_queue};
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::session::{Binding, DeclareExchange, DeclareQueue, Destination};
use bongsu_record::{Arguments, Value};

use crate::handle::SessionHandle;

impl SessionHandle {
    /// A new exchange with an alternate one reads itself and writes there.
    pub(crate) fn may_declare_exchange(
        &self,
        space: SpaceId,
        declare: &DeclareExchange,
    ) -> Result<(), Refused> {
        let name = &declare.name;
        // Nobody declares the default exchange, and is told so; who only asks needs nothing.
        if declare.passive || name.is_empty() {
            return Ok(());
        }
        self.allowed(Permission::Configure, Kind::Exchange, name)?;
        let alternate = text(&declare.arguments, "alternate-exchange");
        let is_new = || {
            let catalog = self.broker.catalog();
            catalog.exchange_type(space, &clean_name(name)).is_none()
        };
        match alternate {
            Some(alternate) if is_new() => {
                self.allowed(Permission::Read, Kind::Exchange, name)?;
                self.allowed(Permission::Write, Kind::Exchange, alternate)
            }
            _ => Ok(()),
        }
    }

    /// Of exchanges that are the broker's it is said so, whoever asks.
    pub(crate) fn may_delete_exchange(&self, name: &str) -> Result<(), Refused> {
        match name.is_empty() || clean_name(name).starts_with("amq.") {
            true => Ok(()),
            false => self.allowed(Permission::Configure, Kind::Exchange, name),
        }
    }

    /// A new queue whose dead records go elsewhere reads itself and writes there. The name
    /// that the broker would make of `token` counts like any other.
    pub(crate) fn may_declare_queue(
        &self,
        space: SpaceId,
        declare: &DeclareQueue,
        token: u128,
    ) -> Result<(), Refused> {
        // Whoever was told an address for answers may ask whether it is there.
        if declare.passive || declare.name.starts_with(REPLY_TO) {
            return Ok(());
        }
        let generated = || generated_queue(token);
        let given = Some(declare.name.clone()).filter(|name| !clean_name(name).is_empty());
        let name = given.unwrap_or_else(generated);
        self.allowed(Permission::Configure, Kind::Queue, &name)?;
        let is_new = || self.broker.catalog().queue_id(space, &name).is_none();
        match text(&declare.arguments, "x-dead-letter-exchange") {
            Some(dead) if is_new() => {
                self.allowed(Permission::Read, Kind::Queue, &name)?;
                self.allowed(Permission::Write, Kind::Exchange, dead)
            }
            _ => Ok(()),
        }
    }

    /// Also to undo it.
    pub(crate) fn may_bind(&self, binding: &Binding) -> Result<(), Refused> {
        let (kind, name) = match &binding.destination {
            Destination::Queue(name) => (Kind::Queue, name),
            Destination::Exchange(name) => (Kind::Exchange, name),
        };
        self.allowed(Permission::Write, kind, name)?;
        let to_default = kind == Kind::Exchange && name.is_empty();
        if binding.source.is_empty() || to_default {
            // Nobody binds the default exchange, and is told so.
            return Ok(());
        }
        self.allowed(Permission::Read, Kind::Exchange, &binding.source)?;
        let source = clean_name(&binding.source);
        self.allowed_key(Permission::Read, &source, &binding.routing_key)
    }
}

fn text<'a>(arguments: &'a Arguments, name: &str) -> Option<&'a str> {
    arguments.get(name).and_then(Value::as_text)
}

/// How the names of queues for answers begin.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";
