//! How fast one core takes publishes, encodes deliveries and takes acknowledgements:
//! `cargo run --release -p bongsu-amqp091 --example throughput [seconds] [body bytes]`.
//!
//! A session and a broker that says yes to everything, without sockets or storage: what is
//! left is this crate and the batch format.

// A measurement needs a clock.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use bongsu_amqp091::codec::frame;
use bongsu_amqp091::codec::method::Method;
use bongsu_amqp091::codec::wire::{Field, Long, Table};
use bongsu_amqp091::{Session, Settings};
use bongsu_engine::session::{Call, Delivery, Effects, Input, LinkId, Now, Reply, Session as _};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, Lsn, Offset};

const READ_BYTES: usize = 256 * 1024;
const DELIVERED_AT_ONCE: u64 = 1000;
/// Content type and delivery mode.
const PROPERTIES: &[u8] = b"\x90\x00\x0atext/plain\x02";
const NO_TABLE: Table<'static> = Table(&[0; 4]);

struct Client {
    session: Session,
    effects: Effects,
    calls: u64,
    link: Option<LinkId>,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let seconds = arguments.next().and_then(Result::ok).unwrap_or(2);
    let body_bytes = arguments.next().and_then(Result::ok).unwrap_or(100) as usize;
    let time = Duration::from_secs(seconds);

    let publish = published("key", body_bytes);
    let run = publish.repeat(READ_BYTES / publish.len());
    let count = (READ_BYTES / publish.len()) as u64;
    let mut client = Client::open();
    measure("publish, one key", time, &mut client, run.len(), |client| {
        client.bytes(&run);
        count
    });
    let two: Vec<u8> = [published("a", body_bytes), published("b", body_bytes)].concat();
    let run = two.repeat(READ_BYTES / two.len());
    let count = (READ_BYTES / two.len() * 2) as u64;
    measure(
        "publish, two keys in turn",
        time,
        &mut client,
        run.len(),
        |client| {
            client.bytes(&run);
            count
        },
    );

    let batch = batch_of(body_bytes);
    let bytes = body_bytes * DELIVERED_AT_ONCE as usize;
    for (name, no_ack) in [
        ("deliver, auto-ack", true),
        ("deliver and ack multiple", false),
    ] {
        let mut client = Client::open();
        client.consume(no_ack);
        let mut last = 0;
        measure(name, time, &mut client, bytes, |client| {
            client.deliver(&batch);
            last += DELIVERED_AT_ONCE;
            if !no_ack {
                client.ack(last, true);
            }
            DELIVERED_AT_ONCE
        });
    }
    let mut client = Client::open();
    client.consume(false);
    let mut last = 0;
    measure("deliver and ack each", time, &mut client, bytes, |client| {
        client.deliver(&batch);
        let mut acks = Vec::with_capacity(DELIVERED_AT_ONCE as usize * 21);
        for _ in 0..DELIVERED_AT_ONCE {
            last += 1;
            let (delivery_tag, bits) = (last, 0);
            Method::BasicAck { delivery_tag, bits }.write(1, &mut acks);
        }
        client.bytes(&acks);
        DELIVERED_AT_ONCE
    });
}

/// A batch of as many records as are delivered at once.
fn batch_of(body_bytes: usize) -> Batch {
    let body = vec![b'x'; body_bytes];
    let mut builder = Builder::new();
    for _ in 0..DELIVERED_AT_ONCE {
        let (origin, flags) = (Origin::Amqp091, 0);
        let length = body_bytes as u64;
        builder.begin(origin, flags, b"amq.topic", b"key", PROPERTIES, length);
        builder.body(&body);
        builder.end();
    }
    builder.finish(0).expect("records")
}

fn measure(
    name: &str,
    time: Duration,
    client: &mut Client,
    bytes: usize,
    mut step: impl FnMut(&mut Client) -> u64,
) {
    let (mut messages, mut steps) = (0, 0_u64);
    let calls_before = client.calls;
    let start = Instant::now();
    while start.elapsed() < time {
        for _ in 0..16 {
            messages += step(client);
            steps += 1;
        }
    }
    let spent = start.elapsed();
    let rate = messages as f64 / spent.as_secs_f64();
    println!(
        "{name:<26} {:>7.2} M messages/s  {:>5.0} ns  {:>7.0} MB/s  {:>6.1} messages a call",
        rate / 1e6,
        1e9 / rate,
        (steps * bytes as u64) as f64 / spent.as_secs_f64() / 1e6,
        messages as f64 / (client.calls - calls_before).max(1) as f64,
    );
}

/// A publish with one body frame.
fn published(routing_key: &str, body_bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    Method::BasicPublish {
        ticket: 0,
        exchange: "amq.topic",
        routing_key,
        bits: 0,
    }
    .write(1, &mut out);
    frame::write(frame::HEADER, 1, &mut out, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        (body_bytes as u64).write(out);
        out.extend_from_slice(PROPERTIES);
    });
    frame::write(frame::BODY, 1, &mut out, |out| {
        out.resize(out.len() + body_bytes, b'x')
    });
    out
}

impl Client {
    fn open() -> Client {
        let mut client = Client {
            session: Session::new(Settings::default(), 1, Instant::now()),
            effects: Effects::default(),
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

    fn consume(&mut self, no_ack: bool) {
        let mut out = Vec::new();
        Method::BasicConsume {
            ticket: 0,
            queue: "queue",
            consumer_tag: "",
            bits: if no_ack { 2 } else { 0 },
            arguments: NO_TABLE,
        }
        .write(1, &mut out);
        self.bytes(&out);
    }

    fn ack(&mut self, delivery_tag: u64, multiple: bool) {
        let mut out = Vec::new();
        let bits = u8::from(multiple);
        Method::BasicAck { delivery_tag, bits }.write(1, &mut out);
        self.bytes(&out);
    }

    fn deliver(&mut self, batch: &Batch) {
        let delivery = Delivery {
            link: self.link.expect("a consumer"),
            batch: batch.clone(),
            base: Offset(0),
            records: Offset(0)..Offset(DELIVERED_AT_ONCE),
            redelivered: false,
            tries: None,
            tell_offsets: false,
        };
        self.input(Input::Deliver(&[delivery]));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut used = 0;
        while used < bytes.len() {
            used += self.input(Input::Bytes(&bytes[used..]));
        }
    }

    fn input(&mut self, input: Input<'_>) -> usize {
        let now = Now {
            instant: Instant::now(),
            unix_ms: 0,
        };
        let used = self.session.handle(input, now, &mut self.effects);
        while let Some(call) = self.effects.call.take() {
            self.calls += 1;
            let reply = match call {
                Call::Publish(_) => {
                    let wait = Some(Lsn(self.calls));
                    Reply::Published {
                        wait,
                        routed: true,
                        refused: Vec::new(),
                    }
                }
                Call::Consume(consume) => {
                    self.link = Some(consume.link);
                    Reply::Done
                }
                _ => Reply::Done,
            };
            let lsn = Lsn(self.calls);
            self.session
                .handle(Input::Reply(reply), now, &mut self.effects);
            self.session
                .handle(Input::Durable(lsn), now, &mut self.effects);
        }
        assert!(self.effects.close.is_none(), "{:?}", self.effects);
        self.effects.out.clear();
        used
    }
}
