//! Every method of AMQP 0-9-1 with RabbitMQ's extensions: one row each.
//!
//! Consecutive bits are packed into an octet on the wire; a row has that octet, and
//! [`bit`] names its bits.

use super::frame;
use super::wire::{Field, Long, Malformed, Reader, Table};

macro_rules! methods {
    ($($class:literal $method:literal $name:ident $text:literal { $($field:ident: $type:ty),* })*) => {
        /// A method with its arguments.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Method<'a> {
            $($name { $($field: $type),* },)*
        }

        impl<'a> Method<'a> {
            /// Reads a method frame's payload.
            ///
            /// # Errors
            /// [`Malformed`].
            pub fn decode(payload: &'a [u8]) -> Result<Method<'a>, Malformed> {
                let mut reader = Reader::new(payload);
                let id = (u16::read(&mut reader)?, u16::read(&mut reader)?);
                let method = match id {
                    $(($class, $method) => Method::$name {
                        $($field: Field::read(&mut reader)?),*
                    },)*
                    (class, method) => return Err(Malformed::Method(class, method)),
                };
                match reader.rest().is_empty() {
                    true => Ok(method),
                    false => Err(Malformed::Trailing),
                }
            }

            /// Class and method number.
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $(Method::$name { .. } => ($class, $method),)*
                }
            }

            /// As the specification calls it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Method::$name { .. } => $text,)*
                }
            }

            /// Writes the method frame.
            pub fn write(&self, channel: u16, out: &mut Vec<u8>) {
                frame::write(frame::METHOD, channel, out, |out| {
                    let (class, method) = self.id();
                    class.write(out);
                    method.write(out);
                    match self {
                        $(Method::$name { $($field),* } => { $($field.write(out);)* })*
                    }
                });
            }
        }

        /// An arbitrary method by its row, for tests.
        #[cfg(test)]
        pub(super) fn sample<'a>(row: usize, from: &mut tests::Source<'a>) -> Method<'a> {
            let rows: &[fn(&mut tests::Source<'a>) -> Method<'a>] = &[
                $(|_from| Method::$name { $($field: tests::Sample::sample(_from)),* }),*
            ];
            rows[row % rows.len()](from)
        }

        /// Class and method number of every row.
        #[cfg(test)]
        pub(crate) const IDS: &[(u16, u16)] = &[$(($class, $method)),*];
    };
}

methods! {
    10 10 ConnectionStart "connection.start" { major: u8, minor: u8, properties: Table<'a>, mechanisms: Long<'a>, locales: Long<'a> }
    10 11 ConnectionStartOk "connection.start-ok" { properties: Table<'a>, mechanism: &'a str, response: Long<'a>, locale: &'a str }
    10 20 ConnectionSecure "connection.secure" { challenge: Long<'a> }
    10 21 ConnectionSecureOk "connection.secure-ok" { response: Long<'a> }
    10 30 ConnectionTune "connection.tune" { channel_max: u16, frame_max: u32, heartbeat: u16 }
    10 31 ConnectionTuneOk "connection.tune-ok" { channel_max: u16, frame_max: u32, heartbeat: u16 }
    10 40 ConnectionOpen "connection.open" { virtual_host: &'a str, reserved: &'a str, bits: u8 }
    10 41 ConnectionOpenOk "connection.open-ok" { reserved: &'a str }
    10 50 ConnectionClose "connection.close" { code: u16, text: &'a str, class: u16, method: u16 }
    10 51 ConnectionCloseOk "connection.close-ok" {}
    10 60 ConnectionBlocked "connection.blocked" { reason: &'a str }
    10 61 ConnectionUnblocked "connection.unblocked" {}
    10 70 ConnectionUpdateSecret "connection.update-secret" { secret: Long<'a>, reason: &'a str }
    10 71 ConnectionUpdateSecretOk "connection.update-secret-ok" {}
    20 10 ChannelOpen "channel.open" { reserved: &'a str }
    20 11 ChannelOpenOk "channel.open-ok" { reserved: Long<'a> }
    20 20 ChannelFlow "channel.flow" { bits: u8 }
    20 21 ChannelFlowOk "channel.flow-ok" { bits: u8 }
    20 40 ChannelClose "channel.close" { code: u16, text: &'a str, class: u16, method: u16 }
    20 41 ChannelCloseOk "channel.close-ok" {}
    30 10 AccessRequest "access.request" { realm: &'a str, bits: u8 }
    30 11 AccessRequestOk "access.request-ok" { ticket: u16 }
    40 10 ExchangeDeclare "exchange.declare" { ticket: u16, exchange: &'a str, exchange_type: &'a str, bits: u8, arguments: Table<'a> }
    40 11 ExchangeDeclareOk "exchange.declare-ok" {}
    40 20 ExchangeDelete "exchange.delete" { ticket: u16, exchange: &'a str, bits: u8 }
    40 21 ExchangeDeleteOk "exchange.delete-ok" {}
    40 30 ExchangeBind "exchange.bind" { ticket: u16, destination: &'a str, source: &'a str, routing_key: &'a str, bits: u8, arguments: Table<'a> }
    40 31 ExchangeBindOk "exchange.bind-ok" {}
    40 40 ExchangeUnbind "exchange.unbind" { ticket: u16, destination: &'a str, source: &'a str, routing_key: &'a str, bits: u8, arguments: Table<'a> }
    40 51 ExchangeUnbindOk "exchange.unbind-ok" {}
    50 10 QueueDeclare "queue.declare" { ticket: u16, queue: &'a str, bits: u8, arguments: Table<'a> }
    50 11 QueueDeclareOk "queue.declare-ok" { queue: &'a str, message_count: u32, consumer_count: u32 }
    50 20 QueueBind "queue.bind" { ticket: u16, queue: &'a str, exchange: &'a str, routing_key: &'a str, bits: u8, arguments: Table<'a> }
    50 21 QueueBindOk "queue.bind-ok" {}
    50 30 QueuePurge "queue.purge" { ticket: u16, queue: &'a str, bits: u8 }
    50 31 QueuePurgeOk "queue.purge-ok" { message_count: u32 }
    50 40 QueueDelete "queue.delete" { ticket: u16, queue: &'a str, bits: u8 }
    50 41 QueueDeleteOk "queue.delete-ok" { message_count: u32 }
    50 50 QueueUnbind "queue.unbind" { ticket: u16, queue: &'a str, exchange: &'a str, routing_key: &'a str, arguments: Table<'a> }
    50 51 QueueUnbindOk "queue.unbind-ok" {}
    60 10 BasicQos "basic.qos" { prefetch_size: u32, prefetch_count: u16, bits: u8 }
    60 11 BasicQosOk "basic.qos-ok" {}
    60 20 BasicConsume "basic.consume" { ticket: u16, queue: &'a str, consumer_tag: &'a str, bits: u8, arguments: Table<'a> }
    60 21 BasicConsumeOk "basic.consume-ok" { consumer_tag: &'a str }
    60 30 BasicCancel "basic.cancel" { consumer_tag: &'a str, bits: u8 }
    60 31 BasicCancelOk "basic.cancel-ok" { consumer_tag: &'a str }
    60 40 BasicPublish "basic.publish" { ticket: u16, exchange: &'a str, routing_key: &'a str, bits: u8 }
    60 50 BasicReturn "basic.return" { code: u16, text: &'a str, exchange: &'a str, routing_key: &'a str }
    60 60 BasicDeliver "basic.deliver" { consumer_tag: &'a str, delivery_tag: u64, bits: u8, exchange: &'a str, routing_key: &'a str }
    60 70 BasicGet "basic.get" { ticket: u16, queue: &'a str, bits: u8 }
    60 71 BasicGetOk "basic.get-ok" { delivery_tag: u64, bits: u8, exchange: &'a str, routing_key: &'a str, message_count: u32 }
    60 72 BasicGetEmpty "basic.get-empty" { reserved: &'a str }
    60 80 BasicAck "basic.ack" { delivery_tag: u64, bits: u8 }
    60 90 BasicReject "basic.reject" { delivery_tag: u64, bits: u8 }
    60 100 BasicRecoverAsync "basic.recover-async" { bits: u8 }
    60 110 BasicRecover "basic.recover" { bits: u8 }
    60 111 BasicRecoverOk "basic.recover-ok" {}
    60 120 BasicNack "basic.nack" { delivery_tag: u64, bits: u8 }
    85 10 ConfirmSelect "confirm.select" { bits: u8 }
    85 11 ConfirmSelectOk "confirm.select-ok" {}
    90 10 TxSelect "tx.select" {}
    90 11 TxSelectOk "tx.select-ok" {}
    90 20 TxCommit "tx.commit" {}
    90 21 TxCommitOk "tx.commit-ok" {}
    90 30 TxRollback "tx.rollback" {}
    90 31 TxRollbackOk "tx.rollback-ok" {}
}

/// Names of the bits in a method's octet, lowest first.
#[allow(missing_docs)]
pub mod bit {
    pub const PASSIVE: u8 = 1;
    pub const DURABLE: u8 = 2;
    /// exchange.declare: auto-delete; queue.declare: exclusive.
    pub const EXCHANGE_AUTO_DELETE: u8 = 4;
    pub const EXCHANGE_INTERNAL: u8 = 8;
    pub const QUEUE_EXCLUSIVE: u8 = 4;
    pub const QUEUE_AUTO_DELETE: u8 = 8;
    pub const DECLARE_NO_WAIT: u8 = 16;
    pub const IF_UNUSED: u8 = 1;
    pub const EXCHANGE_DELETE_NO_WAIT: u8 = 2;
    pub const QUEUE_IF_EMPTY: u8 = 2;
    pub const QUEUE_DELETE_NO_WAIT: u8 = 4;
    /// Where no-wait is the only bit.
    pub const NO_WAIT: u8 = 1;
    pub const QOS_GLOBAL: u8 = 1;
    pub const CONSUME_NO_ACK: u8 = 2;
    pub const CONSUME_EXCLUSIVE: u8 = 4;
    pub const CONSUME_NO_WAIT: u8 = 8;
    pub const MANDATORY: u8 = 1;
    pub const IMMEDIATE: u8 = 2;
    pub const REDELIVERED: u8 = 1;
    pub const GET_NO_ACK: u8 = 1;
    pub const MULTIPLE: u8 = 1;
    pub const NACK_REQUEUE: u8 = 2;
    pub const REQUEUE: u8 = 1;
    pub const ACTIVE: u8 = 1;
}

#[cfg(test)]
mod tests;
