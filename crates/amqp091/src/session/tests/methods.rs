//! Every method of the specification and RabbitMQ's extensions, sent to an open channel or
//! connection: what the answer is. Each is RabbitMQ 3.10.8's, asked method by method, with
//! two exceptions: it waits for the content of the server's own methods before it says 503,
//! and it says so to basic.cancel-ok, which some clients send though no-wait told them not to.

use std::collections::BTreeSet;

use super::client::said;
use super::world::{Seen, World};
use crate::codec::frame;
use crate::codec::method::{IDS, Method, bit};
use crate::codec::wire::{Long, Table};

/// Code or name of the first method that comes back, and which world's end it is.
fn answer(method: &Method<'_>) -> String {
    let mut world = World::new();
    for words in [
        "header",
        "start-ok",
        "tune-ok 4096",
        "open /",
        "1 open",
        "1 declare q",
    ] {
        world.read(&said(words));
    }
    world.seen.clear();
    let mut bytes = Vec::new();
    let channel = u16::from(method.id().0 != 10);
    method.write(channel, &mut bytes);
    world.read(&bytes);
    let outs = world.seen.iter().filter_map(|seen| match seen {
        Seen::Out(out) => Some(out),
        _ => None,
    });
    let Some(out) = outs.into_iter().next() else {
        return "nothing".to_owned();
    };
    let (frame, _) = frame::scan(out, 4096).unwrap().unwrap();
    assert_eq!(frame.kind, frame::METHOD);
    match Method::decode(frame.payload).unwrap() {
        Method::ConnectionClose { code, .. } => format!("connection {code}"),
        Method::ChannelClose { code, .. } => format!("channel {code}"),
        other => other.name().to_owned(),
    }
}

const TABLE: Table<'static> = Table(&[0; 4]);
const NO_BYTES: Long<'static> = Long(b"");
const UNEXPECTED: &str = "connection 504";
const UNIMPLEMENTED: &str = "connection 503";

#[test]
#[rustfmt::skip]
fn no_method_is_missing() {
    use Method::*;
    let (ticket, bits, arguments, code) = (0, 0, TABLE, 0);
    let (reserved, text, class, method) = ("", "", 0, 0);
    let (channel_max, frame_max, heartbeat) = (0, 0, 0);
    let (queue, consumer_tag, routing_key, exchange) = ("", "t", "k", "logs");
    let (destination, source) = ("logs", "more");
    let (message_count, consumer_count, delivery_tag) = (0, 0, 0);
    let answers = [
        (ConnectionStart { major: 0, minor: 9, properties: TABLE, mechanisms: NO_BYTES, locales: NO_BYTES }, UNEXPECTED),
        (ConnectionStartOk { properties: TABLE, mechanism: "PLAIN", response: NO_BYTES, locale: "" }, UNEXPECTED),
        (ConnectionSecure { challenge: NO_BYTES }, UNEXPECTED),
        (ConnectionSecureOk { response: NO_BYTES }, UNEXPECTED),
        (ConnectionTune { channel_max, frame_max, heartbeat }, UNEXPECTED),
        (ConnectionTuneOk { channel_max, frame_max, heartbeat }, UNEXPECTED),
        (ConnectionOpen { virtual_host: "/", reserved, bits }, UNEXPECTED),
        (ConnectionOpenOk { reserved }, UNEXPECTED),
        (ConnectionClose { code, text, class, method }, "connection.close-ok"),
        (ConnectionCloseOk {}, UNEXPECTED),
        (ConnectionBlocked { reason: "" }, UNEXPECTED),
        (ConnectionUnblocked {}, UNEXPECTED),
        (ConnectionUpdateSecret { secret: NO_BYTES, reason: "" }, "connection.update-secret-ok"),
        (ConnectionUpdateSecretOk {}, UNEXPECTED),
        (ChannelOpen { reserved }, UNEXPECTED),
        (ChannelOpenOk { reserved: NO_BYTES }, UNIMPLEMENTED),
        (ChannelFlow { bits: bit::ACTIVE }, "channel.flow-ok"),
        (ChannelFlowOk { bits: bit::ACTIVE }, UNIMPLEMENTED),
        (ChannelClose { code, text, class, method }, "channel.close-ok"),
        (ChannelCloseOk {}, UNIMPLEMENTED),
        (AccessRequest { realm: "", bits }, "access.request-ok"),
        (AccessRequestOk { ticket }, UNIMPLEMENTED),
        (ExchangeDeclare { ticket, exchange, exchange_type: "direct", bits, arguments }, "exchange.declare-ok"),
        (ExchangeDeclareOk {}, UNIMPLEMENTED),
        (ExchangeDelete { ticket, exchange, bits }, "exchange.delete-ok"),
        (ExchangeDeleteOk {}, UNIMPLEMENTED),
        (ExchangeBind { ticket, destination, source, routing_key, bits, arguments }, "exchange.bind-ok"),
        (ExchangeBindOk {}, UNIMPLEMENTED),
        (ExchangeUnbind { ticket, destination, source, routing_key, bits, arguments }, "exchange.unbind-ok"),
        (ExchangeUnbindOk {}, UNIMPLEMENTED),
        (QueueDeclare { ticket, queue, bits, arguments }, "queue.declare-ok"),
        (QueueDeclareOk { queue, message_count, consumer_count }, UNIMPLEMENTED),
        (QueueBind { ticket, queue, exchange, routing_key, bits, arguments }, "queue.bind-ok"),
        (QueueBindOk {}, UNIMPLEMENTED),
        (QueuePurge { ticket, queue, bits }, "queue.purge-ok"),
        (QueuePurgeOk { message_count }, UNIMPLEMENTED),
        (QueueDelete { ticket, queue, bits }, "queue.delete-ok"),
        (QueueDeleteOk { message_count }, UNIMPLEMENTED),
        (QueueUnbind { ticket, queue, exchange, routing_key, arguments }, "queue.unbind-ok"),
        (QueueUnbindOk {}, UNIMPLEMENTED),
        (BasicQos { prefetch_size: 0, prefetch_count: 0, bits }, "basic.qos-ok"),
        (BasicQosOk {}, UNIMPLEMENTED),
        (BasicConsume { ticket, queue, consumer_tag, bits, arguments }, "basic.consume-ok"),
        (BasicConsumeOk { consumer_tag }, UNIMPLEMENTED),
        (BasicCancel { consumer_tag, bits }, "basic.cancel-ok"),
        (BasicCancelOk { consumer_tag }, "nothing"),
        (BasicPublish { ticket, exchange, routing_key, bits }, "nothing"),
        (BasicReturn { code, text, exchange, routing_key }, UNIMPLEMENTED),
        (BasicDeliver { consumer_tag, delivery_tag, bits, exchange, routing_key }, UNIMPLEMENTED),
        (BasicGet { ticket, queue: "empty", bits }, "basic.get-empty"),
        (BasicGetOk { delivery_tag, bits, exchange, routing_key, message_count }, UNIMPLEMENTED),
        (BasicGetEmpty { reserved }, UNIMPLEMENTED),
        (BasicAck { delivery_tag, bits: bit::MULTIPLE }, "nothing"),
        (BasicReject { delivery_tag, bits }, "channel 406"),
        (BasicRecoverAsync { bits: bit::REQUEUE }, "nothing"),
        (BasicRecover { bits: bit::REQUEUE }, "basic.recover-ok"),
        (BasicRecoverOk {}, UNIMPLEMENTED),
        (BasicNack { delivery_tag, bits: bit::MULTIPLE }, "nothing"),
        (ConfirmSelect { bits }, "confirm.select-ok"),
        (ConfirmSelectOk {}, UNIMPLEMENTED),
        (TxSelect {}, "tx.select-ok"),
        (TxSelectOk {}, UNIMPLEMENTED),
        (TxCommit {}, "channel 406"),
        (TxCommitOk {}, UNIMPLEMENTED),
        (TxRollback {}, "channel 406"),
        (TxRollbackOk {}, UNIMPLEMENTED),
    ];
    for (method, expected) in &answers {
        assert_eq!(answer(method), *expected, "{}", method.name());
    }
    let asked: BTreeSet<_> = answers.iter().map(|(method, _)| method.id()).collect();
    assert_eq!(asked, IDS.iter().copied().collect());
}

#[test]
fn what_is_not_implemented_is_what_rabbitmq_refuses() {
    let (ticket, exchange, routing_key) = (0, "logs", "k");
    for method in [
        Method::ChannelFlow { bits: 0 },
        Method::BasicQos {
            prefetch_size: 1,
            prefetch_count: 0,
            bits: 0,
        },
        Method::BasicPublish {
            ticket,
            exchange,
            routing_key,
            bits: bit::IMMEDIATE,
        },
        Method::BasicRecover { bits: 0 },
        Method::BasicRecoverAsync { bits: 0 },
    ] {
        assert_eq!(answer(&method), "connection 540", "{}", method.name());
    }
}
