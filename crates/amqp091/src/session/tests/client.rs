//! What a client says, in words, as bytes.
//!
//!     header | start-ok [user] [password] | tune-ok | open VHOST | close | close-ok | beat
//!     CHANNEL open | close | close-ok | flow [on] | access
//!     CHANNEL declare QUEUE | purge QUEUE | delete QUEUE | bind QUEUE EXCHANGE KEY
//!     CHANNEL exchange NAME TYPE
//!     CHANNEL qos COUNT [global] | consume QUEUE TAG | cancel TAG | get QUEUE
//!     CHANNEL confirm | publish EXCHANGE KEY BODY
//!     CHANNEL ack TAG | nack TAG | reject TAG | recover | recover-async
//!     CHANNEL tx-select | tx-commit | tx-rollback
//!     CHANNEL frame KIND HEX | raw HEX
//!
//! Flags stand anywhere: multiple, requeue, no-ack, no-wait, exclusive, passive, mandatory,
//! immediate, persistent, global, on. `""` is the empty text. So do what a publish says of
//! its message: cc=KEY,…, bcc=KEY,…, deliver-at=MS, priority=NUMBER, expiration=TEXT,
//! reply-to=TEXT, user=TEXT.

use crate::codec::frame;
use crate::codec::method::{Method, bit};
use crate::codec::wire::{Field, Long, Table};

const NO_TABLE: Table<'static> = Table(&[0; 4]);
/// capabilities: all three that matter.
const CAPABLE: &[(&str, bool)] = &[
    ("authentication_failure_close", true),
    ("consumer_cancel_notify", true),
    ("connection.blocked", true),
];

/// The bytes of one line.
pub(super) fn said(line: &str) -> Vec<u8> {
    let (mut words, mut flags) = (Vec::new(), Vec::new());
    for word in line.split_whitespace() {
        match word {
            "\"\"" => words.push(""),
            said if said
                .split_once('=')
                .is_some_and(|(name, _)| SAID.contains(&name)) =>
            {
                flags.push(said);
            }
            flag if FLAGS.contains(&flag) => flags.push(flag),
            word => words.push(word),
        }
    }
    let mut out = Vec::new();
    match words[0].parse::<u16>() {
        Ok(channel) => on_channel(channel, &words[1..], &flags, &mut out),
        Err(_) => on_connection(&words, &mut out),
    }
    out
}

fn on_connection(words: &[&str], out: &mut Vec<u8>) {
    let method = match words {
        ["header"] => return out.extend_from_slice(b"AMQP\x00\x00\x09\x01"),
        ["raw", hex] => return out.extend_from_slice(&unhex(hex)),
        ["beat"] => return frame::write(frame::HEARTBEAT, 0, out, |_| ()),
        ["start-ok", rest @ ..] => {
            let (user, password) = match rest {
                [user, password] => (*user, *password),
                _ => ("guest", "guest"),
            };
            let response = format!("\0{user}\0{password}");
            return Method::ConnectionStartOk {
                properties: Table(&properties()),
                mechanism: "PLAIN",
                response: Long(response.as_bytes()),
                locale: "en_US",
            }
            .write(0, out);
        }
        ["tune-ok", frame_max] => Method::ConnectionTuneOk {
            channel_max: 3,
            frame_max: number(frame_max),
            heartbeat: 60,
        },
        ["open", virtual_host] => Method::ConnectionOpen {
            virtual_host,
            reserved: "",
            bits: 0,
        },
        ["close"] => Method::ConnectionClose {
            code: 200,
            text: "bye",
            class: 0,
            method: 0,
        },
        ["close-ok"] => Method::ConnectionCloseOk {},
        other => panic!("no client says {other:?}"),
    };
    method.write(0, out);
}

fn on_channel(channel: u16, words: &[&str], flags: &[&str], out: &mut Vec<u8>) {
    let has = |flag: &str| flags.contains(&flag);
    let when = |flag: &str, bits: u8| if has(flag) { bits } else { 0 };
    let (ticket, arguments) = (0, NO_TABLE);
    let method = match *words {
        ["open"] => Method::ChannelOpen { reserved: "" },
        ["close"] => Method::ChannelClose {
            code: 200,
            text: "bye",
            class: 0,
            method: 0,
        },
        ["close-ok"] => Method::ChannelCloseOk {},
        ["flow"] => Method::ChannelFlow {
            bits: when("on", 1),
        },
        ["access"] => Method::AccessRequest {
            realm: "/data",
            bits: 0,
        },
        ["declare", queue] => Method::QueueDeclare {
            ticket,
            queue,
            bits: when("passive", bit::PASSIVE) | when("no-wait", bit::DECLARE_NO_WAIT),
            arguments,
        },
        ["purge", queue] => Method::QueuePurge {
            ticket,
            queue,
            bits: 0,
        },
        ["delete", queue] => Method::QueueDelete {
            ticket,
            queue,
            bits: 0,
        },
        ["bind", queue, exchange, routing_key] => Method::QueueBind {
            ticket,
            queue,
            exchange,
            routing_key,
            bits: 0,
            arguments,
        },
        ["exchange", exchange, exchange_type] => Method::ExchangeDeclare {
            ticket,
            exchange,
            exchange_type,
            bits: 0,
            arguments,
        },
        ["qos", count] => Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: number(count) as u16,
            bits: when("global", bit::QOS_GLOBAL),
        },
        ["consume", queue, consumer_tag] => Method::BasicConsume {
            ticket,
            queue,
            consumer_tag,
            bits: when("no-ack", bit::CONSUME_NO_ACK)
                | when("exclusive", bit::CONSUME_EXCLUSIVE)
                | when("no-wait", bit::CONSUME_NO_WAIT),
            arguments,
        },
        ["cancel", consumer_tag] => Method::BasicCancel {
            consumer_tag,
            bits: when("no-wait", bit::NO_WAIT),
        },
        ["get", queue] => Method::BasicGet {
            ticket,
            queue,
            bits: when("no-ack", bit::GET_NO_ACK),
        },
        ["confirm"] => Method::ConfirmSelect {
            bits: when("no-wait", 1),
        },
        ["tx-select"] => Method::TxSelect {},
        ["tx-commit"] => Method::TxCommit {},
        ["tx-rollback"] => Method::TxRollback {},
        ["publish", exchange, routing_key, body] => {
            Method::BasicPublish {
                ticket,
                exchange,
                routing_key,
                bits: when("mandatory", bit::MANDATORY) | when("immediate", bit::IMMEDIATE),
            }
            .write(channel, out);
            return content(channel, flags, body.as_bytes(), out);
        }
        ["ack", tag] => Method::BasicAck {
            delivery_tag: u64::from(number(tag)),
            bits: when("multiple", bit::MULTIPLE),
        },
        ["nack", tag] => Method::BasicNack {
            delivery_tag: u64::from(number(tag)),
            bits: when("multiple", bit::MULTIPLE) | when("requeue", bit::NACK_REQUEUE),
        },
        ["reject", tag] => Method::BasicReject {
            delivery_tag: u64::from(number(tag)),
            bits: when("requeue", bit::REQUEUE),
        },
        ["recover"] => Method::BasicRecover {
            bits: when("requeue", 1),
        },
        ["recover-async"] => Method::BasicRecoverAsync {
            bits: when("requeue", 1),
        },
        ["frame", kind, hex] => {
            let kind = number(kind) as u8;
            let hex = unhex(hex);
            return frame::write(kind, channel, out, |out| out.extend_from_slice(&hex));
        }
        ref other => panic!("no channel says {other:?}"),
    };
    method.write(channel, out);
}

/// Content header and body, the body in frames of three bytes if it is longer.
fn content(channel: u16, flags: &[&str], body: &[u8], out: &mut Vec<u8>) {
    frame::write(frame::HEADER, channel, out, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        (body.len() as u64).write(out);
        out.extend_from_slice(&block(flags));
    });
    for part in body.chunks(3) {
        frame::write(frame::BODY, channel, out, |out| out.extend_from_slice(part));
    }
}

/// What the flags say of a message, as its header block.
fn block(flags: &[&str]) -> Vec<u8> {
    use bongsu_record::{Arguments, Value, table};
    let said = |name: &str| {
        let mut said = flags.iter().filter_map(|flag| flag.split_once('='));
        said.find(|(said, _)| *said == name).map(|(_, text)| text)
    };
    let mut headers = Arguments::new();
    for (name, header) in [("cc", "CC"), ("bcc", "BCC")] {
        if let Some(keys) = said(name) {
            let keys = keys.split(',').map(|key| Value::Text(key.to_owned()));
            headers.insert(header.to_owned(), Value::List(keys.collect()));
        }
    }
    if let Some(ms) = said("deliver-at") {
        let ms = Value::Int(ms.parse().expect("a number"));
        headers.insert("x-deliver-at".to_owned(), ms);
    }
    let mut block = vec![0, 0];
    if !headers.is_empty() {
        block[0] |= 0x20;
        table::encode(&headers, &mut block);
    }
    if flags.contains(&"persistent") {
        block[0] |= 0x10;
        block.push(2);
    }
    if let Some(priority) = said("priority") {
        block[0] |= 0x08;
        block.push(priority.parse().expect("a number"));
    }
    for (name, octet, bit) in [("reply-to", 0, 2), ("expiration", 0, 1), ("user", 1, 0x10)] {
        if let Some(text) = said(name) {
            block[octet] |= bit;
            text.write(&mut block);
        }
    }
    block
}

fn properties() -> Vec<u8> {
    use bongsu_record::{Arguments, Value, table};
    let capable = CAPABLE.iter();
    let capable = capable.map(|(name, can)| ((*name).to_owned(), Value::Bool(*can)));
    let capable = Value::Map(capable.collect());
    let mut bytes = Vec::new();
    table::encode(
        &Arguments::from([("capabilities".to_owned(), capable)]),
        &mut bytes,
    );
    bytes
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|c| (c as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}

const FLAGS: &[&str] = &[
    "multiple",
    "requeue",
    "no-ack",
    "no-wait",
    "exclusive",
    "passive",
    "mandatory",
    "immediate",
    "persistent",
    "global",
    "on",
];
const SAID: &[&str] = &[
    "cc",
    "bcc",
    "deliver-at",
    "priority",
    "expiration",
    "reply-to",
    "user",
];
