//! A session, whoever drives it, and a broker that follows rules by name:
//!
//!     queue or exchange `…missing`     is not there
//!     queue `locked`                   is another's
//!     queue `empty`                    has nothing to get; others have `body-OFFSET`
//!     exchange `nowhere`, key `nobody` lead to no queue
//!     exchange `full`                  storage takes nothing
//!     exchange `picky`                 leads to a queue that refuses bodies of `no…`
//!     routing key `durable…`           waits for the next position, 1 and up
//!     user other than guest, vhost `nowhere`: refused

use std::ops::Range;
use std::time::{Duration, Instant};

use bongsu_engine::Refused;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{
    Binding, Call, Close, Delivery, Destination, Effects, Input, LinkId, Now, Publish, Reply,
    Session as _,
};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, Lsn, Offset};

use crate::codec::frame;
use crate::codec::method::Method;
use crate::session::{Session, Settings};

/// One thing that came out.
#[derive(Debug)]
pub(super) enum Seen {
    /// Bytes for the client: whole frames.
    Out(Vec<u8>),
    Call(Call),
    Close(Close),
}

pub(super) struct World {
    session: Session,
    now: Now,
    effects: Effects,
    carry: Vec<u8>,
    lsn: u64,
    next_get: u64,
    pub seen: Vec<Seen>,
}

impl World {
    pub fn new() -> World {
        // An origin for a clock that is moved by hand.
        #[allow(clippy::disallowed_methods)]
        let instant = Instant::now();
        let settings = Settings {
            message_bytes_max: 1000,
            ..Settings::default()
        };
        World {
            session: Session::new(settings, 7, instant),
            now: Now {
                instant,
                unix_ms: 1_700_000_000_000,
            },
            effects: Effects::default(),
            carry: Vec::new(),
            lsn: 0,
            next_get: 0,
            seen: Vec::new(),
        }
    }

    /// Bytes not used yet.
    pub fn carried(&self) -> usize {
        self.carry.len()
    }

    pub fn is_closed(&self) -> bool {
        let closes = |seen: &Seen| matches!(seen, Seen::Close(_));
        self.seen.iter().any(closes)
    }

    /// What a driver does with a read.
    pub fn read(&mut self, bytes: &[u8]) {
        let mut all = std::mem::take(&mut self.carry);
        all.extend_from_slice(bytes);
        let mut used = 0;
        while used < all.len() && !self.is_closed() {
            let (step, called) = self.input(Input::Bytes(&all[used..]));
            used += step;
            if step == 0 && !called {
                break;
            }
        }
        self.carry = all.split_off(used);
        if self.is_closed() {
            self.carry.clear();
        }
    }

    /// Bytes used, and whether there was a call.
    pub fn input(&mut self, input: Input<'_>) -> (usize, bool) {
        let used = self.session.handle(input, self.now, &mut self.effects);
        let called = self.effects.call.is_some();
        self.drain();
        while let Some(call) = self.effects.call.take() {
            let reply = self.answer(&call);
            self.seen.push(Seen::Call(call));
            self.session
                .handle(Input::Reply(reply), self.now, &mut self.effects);
            self.drain();
        }
        (used, called)
    }

    /// Moves the clock, stopping wherever the session wants to be woken.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now.instant + time;
        for _ in 0..1000 {
            if self.is_closed() {
                return;
            }
            match self.session.deadline() {
                Some(at) if at <= until => {
                    self.now.instant = self.now.instant.max(at);
                    self.input(Input::Timeout);
                }
                _ => {
                    self.now.instant = until;
                    return;
                }
            }
        }
        panic!("the session wants to be woken for ever");
    }

    /// Lends records of a batch that has an offset's number as body.
    pub fn deliver(&mut self, link: u32, start: u64, end: u64, redelivered: bool) {
        let delivery = delivery(LinkId(link), start, end, redelivered);
        self.input(Input::Deliver(&[delivery]));
    }

    fn drain(&mut self) {
        if !self.effects.out.is_empty() {
            self.seen
                .push(Seen::Out(std::mem::take(&mut self.effects.out)));
        }
        if let Some(close) = self.effects.close.take() {
            self.seen.push(Seen::Close(close));
        }
    }

    fn answer(&mut self, call: &Call) -> Reply {
        let not_found = |kind, name: &str| {
            let name = name.to_owned();
            Reply::Refused(Refused::NotFound { kind, name })
        };
        match call {
            Call::Login { user, .. } if user != "guest" => {
                let user = user.clone();
                Reply::Refused(Refused::Login { user })
            }
            Call::OpenSpace { space } if space == "nowhere" => not_found(Kind::Space, space),
            Call::OpenReplyQueue => Reply::Queue {
                name: "amq.rabbitmq.reply-to.token".to_owned(),
                ready: 0,
                links: 0,
            },
            Call::DeclareQueue(declare) if declare.name.ends_with("missing") => {
                not_found(Kind::Queue, &declare.name)
            }
            Call::DeclareQueue(declare) => Reply::Queue {
                name: match declare.name.as_str() {
                    "" => "amq.gen-1".to_owned(),
                    name => name.to_owned(),
                },
                ready: 3,
                links: 1,
            },
            Call::Consume(consume) if consume.queue == "missing" => {
                not_found(Kind::Queue, &consume.queue)
            }
            Call::Bind(Binding {
                destination: Destination::Queue(queue),
                ..
            }) if queue == "locked" => {
                let queue = queue.clone();
                Reply::Refused(Refused::Locked { queue })
            }
            Call::PurgeQueue { .. } | Call::DeleteQueue { .. } => Reply::Count(2),
            Call::Publish(publish) => match self.take(publish) {
                Ok((wait, routed)) => Reply::Published {
                    wait,
                    routed,
                    refused: match publish.exchange.as_str() {
                        "picky" => refused(&publish.batch),
                        _ => Vec::new(),
                    },
                },
                Err(refused) => Reply::Refused(refused),
            },
            Call::Commit { publishes, .. } => {
                let (mut waits, mut unrouted) = (None, Vec::new());
                for (index, publish) in publishes.iter().enumerate() {
                    match self.take(publish) {
                        Ok((wait, routed)) => {
                            waits = waits.max(wait);
                            unrouted.extend((!routed).then_some(index));
                        }
                        Err(refused) => return Reply::Refused(refused),
                    }
                }
                let wait = waits;
                Reply::Committed { wait, unrouted }
            }
            Call::Get { queue, .. } if queue == "empty" => Reply::Got(None),
            Call::Get { link, .. } => {
                let offset = self.next_get;
                self.next_get += 1;
                Reply::Got(Some((delivery(*link, offset, offset + 1, false), 9)))
            }
            _ => Reply::Done,
        }
    }
}

impl World {
    /// What it waits for, and whether it was routed.
    fn take(&mut self, publish: &Publish) -> Result<(Option<Lsn>, bool), Refused> {
        match publish.exchange.as_str() {
            "missing" => Err(Refused::NotFound {
                kind: Kind::Exchange,
                name: publish.exchange.clone(),
            }),
            "full" => Err(Refused::Storage {
                cause: "no space left on device".to_owned(),
            }),
            exchange => {
                let waits = publish.routing_key.starts_with("durable");
                self.lsn += u64::from(waits);
                let routed = exchange != "nowhere" && publish.routing_key != "nobody";
                Ok((waits.then_some(Lsn(self.lsn)), routed))
            }
        }
    }
}

fn delivery(link: LinkId, start: u64, end: u64, redelivered: bool) -> Delivery {
    Delivery {
        link,
        batch: batch(start, end),
        base: Offset(start),
        records: Offset(start)..Offset(end),
        redelivered,
        tries: None,
        tell_offsets: false,
    }
}

/// Records whose bodies are their offsets; those of even offsets from AMQP clients.
fn batch(start: u64, end: u64) -> Batch {
    let mut builder = Builder::new();
    for offset in start..end {
        let (origin, block): (_, &[u8]) = match offset % 2 {
            0 => (Origin::Amqp091, &[0x10, 0, 2]),
            _ => (Origin::Plain, &[]),
        };
        let body = format!("body-{offset}");
        builder.begin(origin, 0, b"logs", b"key", block, body.len() as u64);
        builder.body(body.as_bytes());
        builder.end();
    }
    builder.finish(0).unwrap()
}

/// Frames in words, one a line.
pub(super) fn shown(out: &[u8]) -> Vec<String> {
    let mut rest = out;
    let mut lines = Vec::new();
    if rest.starts_with(b"AMQP") {
        lines.push(format!("header {:?}", &rest[4..8]));
        rest = &rest[8..];
    }
    while !rest.is_empty() {
        let (frame, used) = frame::scan(rest, 1 << 20).unwrap().expect("whole frames");
        rest = &rest[used..];
        let number = frame.channel;
        lines.push(match frame.kind {
            frame::METHOD => match Method::decode(frame.payload).unwrap() {
                Method::ConnectionStart { .. } => format!("{number} ConnectionStart"),
                method => format!("{number} {method:?}"),
            },
            frame::HEADER => {
                let block = &frame.payload[12..];
                format!(
                    "{number} header {} bytes, block {block:?}",
                    frame.payload[11]
                )
            }
            frame::BODY => format!("{number} body {}", String::from_utf8_lossy(frame.payload)),
            _ => format!("{number} heartbeat"),
        });
    }
    lines
}

/// What came out, in words.
pub(super) fn told(seen: &Seen) -> Vec<String> {
    match seen {
        Seen::Out(out) => shown(out),
        Seen::Call(Call::Publish(publish)) => {
            vec![format!("call Publish {}", shown_publish(publish))]
        }
        Seen::Call(Call::Commit { publishes, settles }) => {
            let publishes = publishes
                .iter()
                .map(|publish| format!("call Commit Publish {}", shown_publish(publish)));
            let settles = settles
                .iter()
                .map(|settle| format!("call Commit {settle:?}"));
            publishes.chain(settles).collect()
        }
        Seen::Call(call) => vec![format!("call {call:?}")],
        Seen::Close(close) => vec![format!("close {close:?}")],
    }
}

/// Records that begin with `no`, those beside each other together.
fn refused(batch: &Batch) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for index in 0..batch.record_count() {
        if !batch.native_record(index).unwrap().body.starts_with(b"no") {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

fn shown_publish(publish: &Publish) -> String {
    let mut text = format!("{:?} {:?}", publish.exchange, publish.routing_key);
    if !publish.more_keys.is_empty() {
        text += &format!(" and {:?}", publish.more_keys);
    }
    let (mut bodies, mut asked) = (Vec::new(), String::new());
    for record in publish
        .batch
        .native_records(0..publish.batch.record_count())
    {
        bodies.push(String::from_utf8_lossy(record.body).into_owned());
        let terms = record.terms();
        if !terms.is_empty() {
            asked += &format!(" {terms:?}");
        }
        if !matches!(record.header, [0, 0] | [0x10, 0, 2]) {
            asked += &format!(" block {}", record.header.escape_ascii());
        }
    }
    format!("{text} {bodies:?}{asked}")
}
