//! AMQP 0-9-1, codec and session: publishes in with their confirms out, deliveries out with their
//! acknowledgements in. The broker behind it says yes to everything.

use std::time::Instant;

use bongsu_amqp091::codec::frame;
use bongsu_amqp091::codec::method::Method;
use bongsu_amqp091::codec::wire::{Field as _, Long, Table};
use bongsu_amqp091::{Session, Settings};
use bongsu_engine::session::{Call, Delivery, Effects, Input, LinkId, Now, Reply, Session as _};
use bongsu_record::{Lsn, Offset};

use crate::records::{BODY_BYTES, COUNT, PROPERTIES, batch};

/// A socket's read of publishes.
pub fn publish() -> Box<dyn FnMut()> {
    let mut client = Client::open();
    let mut one = Vec::new();
    Method::BasicPublish {
        ticket: 0,
        exchange: "amq.topic",
        routing_key: "key",
        bits: 0,
    }
    .write(1, &mut one);
    frame::write(frame::HEADER, 1, &mut one, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        (BODY_BYTES as u64).write(out);
        out.extend_from_slice(PROPERTIES);
    });
    frame::write(frame::BODY, 1, &mut one, |out| {
        out.resize(out.len() + BODY_BYTES, b'x');
    });
    let read = one.repeat(PUBLISHED as usize);
    Box::new(move || client.bytes(&read))
}

/// A batch handed out, acknowledged a hundred at a time.
pub fn deliver() -> Box<dyn FnMut()> {
    let mut client = Client::open();
    let mut consume = Vec::new();
    Method::BasicConsume {
        ticket: 0,
        queue: "queue",
        consumer_tag: "",
        bits: 0,
        arguments: NO_TABLE,
    }
    .write(1, &mut consume);
    client.bytes(&consume);
    let batch = batch();
    let mut tag = 0;
    Box::new(move || {
        let delivery = Delivery {
            link: client.link.expect("a consumer"),
            batch: batch.clone(),
            base: Offset(0),
            records: Offset(0)..Offset(DELIVERED),
            redelivered: false,
            tries: None,
            tell_offsets: false,
        };
        client.input(Input::Deliver(&[delivery]));
        let mut acks = Vec::new();
        for _ in 0..DELIVERED / 100 {
            tag += 100;
            let (delivery_tag, bits) = (tag, 1);
            Method::BasicAck { delivery_tag, bits }.write(1, &mut acks);
        }
        client.bytes(&acks);
    })
}

struct Client {
    session: Session,
    effects: Effects,
    now: Now,
    calls: u64,
    link: Option<LinkId>,
}

impl Client {
    /// Logged in, with a channel that confirms.
    fn open() -> Client {
        let instant = Instant::now();
        let mut client = Client {
            session: Session::new(Settings::default(), 1, instant),
            effects: Effects::default(),
            now: Now {
                instant,
                unix_ms: 1_700_000_000_000,
            },
            calls: 0,
            link: None,
        };
        client.bytes(b"AMQP\x00\x00\x09\x01");
        let mut out = Vec::new();
        Method::ConnectionStartOk {
            properties: NO_TABLE,
            mechanism: "PLAIN",
            response: Long(b"\0guest\0guest"),
            locale: "en_US",
        }
        .write(0, &mut out);
        Method::ConnectionTuneOk {
            channel_max: 0,
            frame_max: 131_072,
            heartbeat: 0,
        }
        .write(0, &mut out);
        Method::ConnectionOpen {
            virtual_host: "/",
            reserved: "",
            bits: 0,
        }
        .write(0, &mut out);
        Method::ChannelOpen { reserved: "" }.write(1, &mut out);
        Method::ConfirmSelect { bits: 1 }.write(1, &mut out);
        client.bytes(&out);
        client
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut used = 0;
        while used < bytes.len() {
            used += self.input(Input::Bytes(&bytes[used..]));
        }
    }

    fn input(&mut self, input: Input<'_>) -> usize {
        let used = self.session.handle(input, self.now, &mut self.effects);
        while let Some(call) = self.effects.call.take() {
            self.calls += 1;
            let lsn = Lsn(self.calls);
            let reply = match call {
                Call::Publish(_) => Reply::Published {
                    wait: Some(lsn),
                    routed: true,
                    refused: Vec::new(),
                },
                Call::Consume(consume) => {
                    self.link = Some(consume.link);
                    Reply::Done
                }
                _ => Reply::Done,
            };
            let effects = &mut self.effects;
            self.session.handle(Input::Reply(reply), self.now, effects);
            self.session.handle(Input::Durable(lsn), self.now, effects);
        }
        assert!(self.effects.close.is_none(), "{:?}", self.effects);
        self.effects.out.clear();
        used
    }
}

/// Publishes of one read.
pub const PUBLISHED: u64 = COUNT;
/// Records of one batch.
pub const DELIVERED: u64 = COUNT;
const NO_TABLE: Table<'static> = Table(&[0; 4]);
