//! Exchanges and queues: declare, delete, bind, unbind, purge.

use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Binding, Call, DeclareExchange, DeclareQueue, Destination};

use super::answer::{Pending, Yes};
use super::consume::decode_table;
use super::open::Open;
use crate::codec::method::{Method, bit};
use crate::errors::{Exception, MethodId};

impl Open {
    pub(super) fn declaring(&mut self, number: u16, method: Method<'_>) -> Result<(), Exception> {
        let about = method.id();
        let unless = |no_wait: bool, ok: Yes| (!no_wait).then_some(ok);
        let (call, ok) = match method {
            Method::ExchangeDeclare {
                exchange,
                exchange_type,
                bits,
                arguments,
                ..
            } => {
                let call = Call::DeclareExchange(DeclareExchange {
                    name: exchange.to_owned(),
                    exchange_type: exchange_type.to_owned(),
                    passive: bits & bit::PASSIVE != 0,
                    durable: bits & bit::DURABLE != 0,
                    auto_delete: bits & bit::EXCHANGE_AUTO_DELETE != 0,
                    internal: bits & bit::EXCHANGE_INTERNAL != 0,
                    arguments: decode_table(arguments.0, about)?,
                });
                (
                    call,
                    unless(bits & bit::DECLARE_NO_WAIT != 0, Yes::ExchangeDeclare),
                )
            }
            Method::ExchangeDelete { exchange, bits, .. } => {
                let call = Call::DeleteExchange {
                    name: exchange.to_owned(),
                    if_unused: bits & bit::IF_UNUSED != 0,
                };
                let no_wait = bits & bit::EXCHANGE_DELETE_NO_WAIT != 0;
                (call, unless(no_wait, Yes::ExchangeDelete))
            }
            Method::ExchangeBind {
                destination,
                source,
                routing_key,
                bits,
                arguments,
                ..
            } => {
                let call = Call::Bind(Binding {
                    source: source.to_owned(),
                    destination: Destination::Exchange(destination.to_owned()),
                    routing_key: routing_key.to_owned(),
                    arguments: decode_table(arguments.0, about)?,
                });
                (call, unless(bits & bit::NO_WAIT != 0, Yes::ExchangeBind))
            }
            Method::ExchangeUnbind {
                destination,
                source,
                routing_key,
                bits,
                arguments,
                ..
            } => {
                let call = Call::Unbind(Binding {
                    source: source.to_owned(),
                    destination: Destination::Exchange(destination.to_owned()),
                    routing_key: routing_key.to_owned(),
                    arguments: decode_table(arguments.0, about)?,
                });
                (call, unless(bits & bit::NO_WAIT != 0, Yes::ExchangeUnbind))
            }
            Method::QueueDeclare {
                queue,
                bits,
                arguments,
                ..
            } => {
                let passive = bits & bit::PASSIVE != 0;
                let name = match (queue, passive) {
                    ("", true) => self.queue_named(number, queue, about)?,
                    (name, _) => name.to_owned(),
                };
                let call = Call::DeclareQueue(DeclareQueue {
                    name,
                    passive,
                    durable: bits & bit::DURABLE != 0,
                    exclusive: bits & bit::QUEUE_EXCLUSIVE != 0,
                    auto_delete: bits & bit::QUEUE_AUTO_DELETE != 0,
                    arguments: decode_table(arguments.0, about)?,
                });
                (
                    call,
                    unless(bits & bit::DECLARE_NO_WAIT != 0, Yes::QueueDeclare),
                )
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                bits,
                arguments,
                ..
            } => {
                let call = Call::Bind(self.queue_binding(
                    number,
                    (queue, exchange, routing_key, arguments.0),
                    about,
                )?);
                (call, unless(bits & bit::NO_WAIT != 0, Yes::QueueBind))
            }
            Method::QueueUnbind {
                queue,
                exchange,
                routing_key,
                arguments,
                ..
            } => {
                let call = Call::Unbind(self.queue_binding(
                    number,
                    (queue, exchange, routing_key, arguments.0),
                    about,
                )?);
                (call, Some(Yes::QueueUnbind))
            }
            Method::QueuePurge { queue, bits, .. } => {
                let name = self.queue_named(number, queue, about)?;
                let no_wait = bits & bit::NO_WAIT != 0;
                (Call::PurgeQueue { name }, unless(no_wait, Yes::QueuePurge))
            }
            Method::QueueDelete { queue, bits, .. } => {
                let call = Call::DeleteQueue {
                    name: self.queue_named(number, queue, about)?,
                    if_unused: bits & bit::IF_UNUSED != 0,
                    if_empty: bits & bit::QUEUE_IF_EMPTY != 0,
                };
                let no_wait = bits & bit::QUEUE_DELETE_NO_WAIT != 0;
                (call, unless(no_wait, Yes::QueueDelete))
            }
            other => unreachable!("{} declares nothing", other.name()),
        };
        // Refusals of an argument do not say whose it is.
        let of = match &call {
            Call::DeclareQueue(queue) if !queue.arguments.is_empty() => {
                Some((Kind::Queue, queue.name.clone()))
            }
            Call::DeclareExchange(exchange) if !exchange.arguments.is_empty() => {
                Some((Kind::Exchange, exchange.name.clone()))
            }
            _ => None,
        };
        let pending = Pending::Ok {
            channel: number,
            ok,
            about,
            of,
        };
        self.todo.push_back((call, pending));
        Ok(())
    }

    /// Queue, exchange, routing key and arguments as a binding. Where the queue is the one
    /// declared last, an empty routing key is its name as well (RabbitMQ's reading of the
    /// specification).
    fn queue_binding(
        &mut self,
        number: u16,
        (queue, exchange, routing_key, arguments): (&str, &str, &str, &[u8]),
        about: MethodId,
    ) -> Result<Binding, Exception> {
        let name = self.queue_named(number, queue, about)?;
        let routing_key = match (queue, routing_key) {
            ("", "") => name.clone(),
            (_, key) => key.to_owned(),
        };
        Ok(Binding {
            source: exchange.to_owned(),
            destination: Destination::Queue(name),
            routing_key,
            arguments: decode_table(arguments, about)?,
        })
    }
}
