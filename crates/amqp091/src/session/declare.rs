//! Exchanges and queues: declare, delete, bind, unbind, purge. Arguments are the catalog's
//! to judge.

use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Binding, Call, DeclareExchange, DeclareQueue, Destination, Effects};

use super::calls::Answer;
use super::consume::decoded;
use super::open::Open;
use super::replies::DIRECT_REPLY_TO;
use crate::codec::method::{Method, bit};
use crate::codec::wire::Table;
use crate::errors::{Exception, MethodId};

/// Queue, exchange, routing key, arguments.
type QueueBinding<'a> = (&'a str, &'a str, &'a str, Table<'a>);

impl Open {
    /// One of the methods about exchanges.
    pub(super) fn on_exchange(&mut self, number: u16, method: Method<'_>) -> Result<(), Exception> {
        let about = method.id();
        let (call, no_wait, answer) = match method {
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
                    arguments: decoded(arguments, about)?,
                });
                let of = Some((Kind::Exchange, exchange));
                let answer = (bits & bit::DECLARE_NO_WAIT == 0).then_some(Answer::ExchangeDeclare);
                self.ask(number, about, of, call, answer);
                return Ok(());
            }
            Method::ExchangeDelete { exchange, bits, .. } => {
                let call = Call::DeleteExchange {
                    name: exchange.to_owned(),
                    if_unused: bits & bit::IF_UNUSED != 0,
                };
                let no_wait = bits & bit::EXCHANGE_DELETE_NO_WAIT != 0;
                (call, no_wait, Answer::ExchangeDelete)
            }
            Method::ExchangeBind {
                destination,
                source,
                routing_key,
                bits,
                arguments,
                ..
            } => {
                let ends = (destination, source, routing_key, arguments);
                let call = Call::Bind(exchange_binding(ends, about)?);
                (call, bits & bit::NO_WAIT != 0, Answer::ExchangeBind)
            }
            Method::ExchangeUnbind {
                destination,
                source,
                routing_key,
                bits,
                arguments,
                ..
            } => {
                let ends = (destination, source, routing_key, arguments);
                let call = Call::Unbind(exchange_binding(ends, about)?);
                (call, bits & bit::NO_WAIT != 0, Answer::ExchangeUnbind)
            }
            other => unreachable!("{} is not about exchanges", other.name()),
        };
        let answer = (!no_wait).then_some(answer);
        self.ask(number, about, None, call, answer);
        Ok(())
    }

    /// One of the methods about queues.
    pub(super) fn on_queue(
        &mut self,
        number: u16,
        method: Method<'_>,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let about = method.id();
        let (call, no_wait, answer) = match method {
            Method::QueueDeclare { queue, bits, .. } if queue.starts_with(DIRECT_REPLY_TO) => {
                let no_wait = bits & bit::DECLARE_NO_WAIT != 0;
                self.declare_replies(number, queue, no_wait, effects);
                return Ok(());
            }
            Method::QueueDeclare {
                queue,
                bits,
                arguments,
                ..
            } => {
                let call = Call::DeclareQueue(DeclareQueue {
                    name: queue.to_owned(),
                    passive: bits & bit::PASSIVE != 0,
                    durable: bits & bit::DURABLE != 0,
                    exclusive: bits & bit::QUEUE_EXCLUSIVE != 0,
                    auto_delete: bits & bit::QUEUE_AUTO_DELETE != 0,
                    arguments: decoded(arguments, about)?,
                });
                let of = Some((Kind::Queue, queue));
                let answer = (bits & bit::DECLARE_NO_WAIT == 0).then_some(Answer::QueueDeclare);
                self.ask(number, about, of, call, answer);
                return Ok(());
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                bits,
                arguments,
                ..
            } => {
                let ends = (queue, exchange, routing_key, arguments);
                let call = Call::Bind(self.queue_binding(number, ends, about)?);
                (call, bits & bit::NO_WAIT != 0, Answer::QueueBind)
            }
            Method::QueueUnbind {
                queue,
                exchange,
                routing_key,
                arguments,
                ..
            } => {
                let ends = (queue, exchange, routing_key, arguments);
                let call = Call::Unbind(self.queue_binding(number, ends, about)?);
                (call, false, Answer::QueueUnbind)
            }
            Method::QueuePurge { queue, bits, .. } => {
                let name = self.queue_named(number, queue, about)?;
                let no_wait = bits & bit::NO_WAIT != 0;
                (Call::PurgeQueue { name }, no_wait, Answer::QueuePurge)
            }
            Method::QueueDelete { queue, bits, .. } if queue.starts_with(DIRECT_REPLY_TO) => {
                if bits & bit::QUEUE_DELETE_NO_WAIT == 0 {
                    Answer::QueueDelete.write(number, 0, &mut effects.out);
                }
                return Ok(());
            }
            Method::QueueDelete { queue, bits, .. } => {
                let call = Call::DeleteQueue {
                    name: self.queue_named(number, queue, about)?,
                    if_unused: bits & bit::IF_UNUSED != 0,
                    if_empty: bits & bit::QUEUE_IF_EMPTY != 0,
                };
                let no_wait = bits & bit::QUEUE_DELETE_NO_WAIT != 0;
                (call, no_wait, Answer::QueueDelete)
            }
            other => unreachable!("{} is not about queues", other.name()),
        };
        let answer = (!no_wait).then_some(answer);
        self.ask(number, about, None, call, answer);
        Ok(())
    }

    /// Where the queue is the one declared last, an empty routing key is its name as well
    /// (specification, `queue.bind`, and RabbitMQ also for unbind).
    fn queue_binding(
        &mut self,
        number: u16,
        (queue, exchange, routing_key, arguments): QueueBinding<'_>,
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
            arguments: decoded(arguments, about)?,
        })
    }
}

fn exchange_binding(
    (destination, source, routing_key, arguments): QueueBinding<'_>,
    about: MethodId,
) -> Result<Binding, Exception> {
    Ok(Binding {
        source: source.to_owned(),
        destination: Destination::Exchange(destination.to_owned()),
        routing_key: routing_key.to_owned(),
        arguments: decoded(arguments, about)?,
    })
}
