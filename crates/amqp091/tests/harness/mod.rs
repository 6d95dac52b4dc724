//! A session between a client's bytes and a broker that always says yes: what tests and
//! fuzz targets share. No socket, no clock, and the same bytes give the same transcript.
//!
//! The broker has one queue. A publish is routed unless its key is `nowhere`; records go to
//! the oldest link as soon as there is one, whatever its credit, and what was released goes
//! out with the next call that is neither a publish nor a settle: so what is delivered, and
//! under which tag, does not depend on how those two are gathered.

#![allow(dead_code, reason = "each test and fuzz target uses what it needs")]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bongsu_amqp091::codec::frame;
use bongsu_amqp091::codec::method::Method;
use bongsu_amqp091::{Session, Settings};
use bongsu_engine::session::{
    Call, Delivery, Effects, Input, LinkId, Now, Outcome, Publish, Reply, Session as _, Settle,
};
use bongsu_record::{Batch, Lsn, Offset};

/// What a conversation came to, in a form that does not depend on how bytes were cut.
#[derive(Debug, Default, PartialEq)]
pub struct Transcript {
    /// Calls; runs between two others sorted into publishes and settles, record by record.
    pub calls: Vec<String>,
    /// Frames for each channel, confirms told apart and counted up.
    pub frames: BTreeMap<u16, Vec<String>>,
    pub confirmed: BTreeMap<u16, u64>,
    pub closed: bool,
}

/// Sizes that must stay bounded, whatever the client sends.
#[derive(Debug, Default)]
pub struct Sizes {
    pub out_bytes: usize,
    /// Of the session printed for debugging: follows everything it holds but buffers.
    pub state_bytes: usize,
}

struct Link {
    id: LinkId,
    /// Records it was lent, from offset 0 on.
    lent: Vec<(Batch, u32)>,
}

/// No panic, answers and state bounded, and the same however the bytes are cut: what any
/// input whatever must pass. The first byte says where to cut.
pub fn check(bytes: &[u8]) {
    let (whole, sizes) = run(bytes, []);
    assert_bounded(bytes.len(), &sizes);
    let at = bytes
        .first()
        .map_or(0, |first| usize::from(*first) * bytes.len() / 256);
    assert_eq!(run(bytes, [at]).0, whole, "cut at {at}");
}

/// Answers are larger than requests, but only so much.
pub fn assert_bounded(input_bytes: usize, sizes: &Sizes) {
    assert!(sizes.out_bytes <= 8192 + 64 * input_bytes, "{sizes:?}");
    assert!(sizes.state_bytes <= 65536 + 64 * input_bytes, "{sizes:?}");
}

struct World {
    session: Session,
    effects: Effects,
    now: Now,
    carry: Vec<u8>,
    links: Vec<Link>,
    ready: VecDeque<(Batch, u32)>,
    released: BTreeMap<(LinkId, u64), (Batch, u32)>,
    lsn: u64,
    calls: Vec<String>,
    publishes: Vec<String>,
    settles: Vec<String>,
    out: Vec<u8>,
    closed: bool,
}

/// Runs a whole conversation, its bytes cut at `cuts`.
pub fn run(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> (Transcript, Sizes) {
    let mut world = World::new();
    let mut from = 0;
    for cut in cuts {
        let cut = cut.clamp(from, bytes.len());
        world.bytes(&bytes[from..cut]);
        from = cut;
    }
    world.bytes(&bytes[from..]);
    world.finish()
}

impl World {
    fn new() -> World {
        World {
            session: Session::new(settings(), 7, start()),
            effects: Effects::default(),
            now: Now {
                instant: start(),
                unix_ms: 1_700_000_000_000,
            },
            carry: Vec::new(),
            links: Vec::new(),
            ready: VecDeque::new(),
            released: BTreeMap::new(),
            lsn: 0,
            calls: Vec::new(),
            publishes: Vec::new(),
            settles: Vec::new(),
            out: Vec::new(),
            closed: false,
        }
    }

    /// As the connection's driver does it.
    fn bytes(&mut self, bytes: &[u8]) {
        self.carry.extend_from_slice(bytes);
        let carry = std::mem::take(&mut self.carry);
        let mut used = 0;
        while used < carry.len() && !self.closed {
            let input = Input::Bytes(&carry[used..]);
            let step = self.session.handle(input, self.now, &mut self.effects);
            assert!(step <= carry.len() - used, "more used than there was");
            used += step;
            let called = self.effects.call.is_some();
            self.act();
            if step == 0 && !called {
                break;
            }
        }
        self.carry = carry[used..].to_vec();
        // What is not used is one frame that is not whole.
        assert!(self.closed || self.carry.len() <= FRAME_BYTES_MAX + frame::OVERHEAD_BYTES);
    }

    /// Everything a call leads to comes before its reply, so that an exception which waits
    /// for the reply finds the same done, however the bytes were cut.
    fn act(&mut self) {
        while let Some(call) = self.effects.call.take() {
            let publishes = matches!(call, Call::Publish(_) | Call::Commit { .. });
            let reply = self.answer(call);
            if publishes {
                self.deliver();
                self.input(Input::Durable(Lsn(self.lsn)));
            }
            self.input(Input::Reply(reply));
            self.deliver();
        }
        self.out.append(&mut self.effects.out);
        self.closed |= self.effects.close.take().is_some();
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now, &mut self.effects);
    }

    fn answer(&mut self, call: Call) -> Reply {
        match call {
            Call::Publish(publish) => {
                let routed = self.publish(&publish);
                Reply::Published {
                    wait: routed.then_some(Lsn(self.lsn)),
                    routed,
                    refused: Vec::new(),
                }
            }
            Call::Settle(settle) => {
                self.settle(&settle);
                Reply::Done
            }
            Call::Commit { publishes, settles } => {
                self.barrier();
                self.calls.push("Commit".to_owned());
                let routed: Vec<_> = publishes.iter().map(|one| self.publish(one)).collect();
                settles.iter().for_each(|settle| self.settle(settle));
                self.barrier();
                let is_lost = |index: &usize| !routed[*index];
                Reply::Committed {
                    wait: Some(Lsn(self.lsn)),
                    unrouted: (0..routed.len()).filter(is_lost).collect(),
                }
            }
            other => {
                self.barrier();
                self.calls.push(format!("{other:?}"));
                let reply = self.plain(other);
                let released = std::mem::take(&mut self.released);
                self.ready.extend(released.into_values());
                reply
            }
        }
    }

    /// Whether a queue took it.
    fn publish(&mut self, publish: &Publish) -> bool {
        let batch = &publish.batch;
        for record in batch.native_records(0..batch.record_count()) {
            self.publishes.push(format!(
                "publish {:?} {:?} {:?} {} {:?} {:?} {:?}",
                publish.exchange,
                publish.routing_key,
                publish.more_keys,
                record.flags,
                record.terms(),
                record.header,
                record.body
            ));
        }
        let routed = publish.routing_key != "nowhere";
        if routed {
            let records = 0..batch.record_count();
            self.ready
                .extend(records.map(|index| (batch.clone(), index)));
        }
        self.lsn += 1;
        routed
    }

    fn settle(&mut self, settle: &Settle) {
        let (link, outcome) = (settle.link, settle.outcome);
        for offset in settle
            .ranges
            .iter()
            .flat_map(|range| range.start.0..range.end.0)
        {
            self.settles.push(settled(link, offset, outcome));
            let held = self.links.iter().find(|held| held.id == link);
            if matches!(outcome, Outcome::Release | Outcome::Fail)
                && let Some(record) =
                    held.and_then(|held| held.lent.get((offset - LOG_START) as usize))
            {
                self.released.insert((link, offset), record.clone());
            }
        }
    }

    fn plain(&mut self, call: Call) -> Reply {
        match call {
            Call::DeclareQueue(declare) => Reply::Queue {
                name: match declare.name {
                    name if name.is_empty() => "amq.gen-1".to_owned(),
                    name => name,
                },
                ready: 0,
                links: self.links.len() as u32,
            },
            Call::OpenReplyQueue => Reply::Queue {
                name: "amq.rabbitmq.reply-to.token".to_owned(),
                ready: 0,
                links: 0,
            },
            Call::DeleteQueue { .. } | Call::PurgeQueue { .. } => Reply::Count(0),
            Call::Get { .. } => Reply::Got(None),
            Call::Consume(consume) => {
                self.links.push(Link {
                    id: consume.link,
                    lent: Vec::new(),
                });
                Reply::Done
            }
            Call::CloseLink { link, .. } => {
                self.links.retain(|other| other.id != link);
                Reply::Done
            }
            _ => Reply::Done,
        }
    }

    fn deliver(&mut self) {
        let Some(link) = self.links.first_mut() else {
            return;
        };
        for (batch, index) in self.ready.drain(..) {
            // Where the batch would stand in this link's own log.
            let offset = LOG_START + link.lent.len() as u64;
            link.lent.push((batch.clone(), index));
            let delivery = Delivery {
                link: link.id,
                batch,
                base: Offset(offset - u64::from(index)),
                records: Offset(offset)..Offset(offset + 1),
                redelivered: false,
                tries: None,
                tell_offsets: false,
            };
            self.session
                .handle(Input::Deliver(&[delivery]), self.now, &mut self.effects);
        }
    }

    fn barrier(&mut self) {
        self.calls.append(&mut self.publishes);
        // Each record is settled once; which of several outcomes is told first is not said.
        self.settles.sort();
        self.calls.append(&mut self.settles);
    }

    fn finish(mut self) -> (Transcript, Sizes) {
        self.barrier();
        let sizes = Sizes {
            out_bytes: self.out.len(),
            state_bytes: format!("{:?}", self.session).len(),
        };
        let mut transcript = Transcript {
            calls: self.calls,
            closed: self.closed,
            ..Transcript::default()
        };
        let mut rest = &self.out[..];
        if rest.starts_with(b"AMQP") {
            rest = &rest[8..];
        }
        while let Some((frame, length)) =
            frame::scan(rest, FRAME_BYTES_MAX).expect("the server's frames are sound")
        {
            rest = &rest[length..];
            transcript.take(&frame);
        }
        assert!(rest.is_empty(), "the server's last frame is whole");
        (transcript, sizes)
    }
}

impl Transcript {
    fn take(&mut self, frame: &frame::Frame<'_>) {
        let text = match frame.kind {
            frame::METHOD => match Method::decode(frame.payload).expect("the server's methods") {
                Method::BasicAck { delivery_tag, .. } => {
                    let confirmed = self.confirmed.entry(frame.channel).or_default();
                    assert!(delivery_tag > *confirmed, "confirmed twice");
                    *confirmed = delivery_tag;
                    return;
                }
                method => {
                    // From here on the client's bytes are passed over, and where its own
                    // goodbye is among them depends on the cut.
                    self.closed |= matches!(method, Method::ConnectionClose { .. });
                    format!("{method:?}")
                }
            },
            kind => format!("{kind} {:?}", frame.payload),
        };
        self.frames.entry(frame.channel).or_default().push(text);
    }
}

fn settled(link: LinkId, offset: u64, outcome: Outcome) -> String {
    format!("settle {} {offset} {outcome:?}", link.0)
}

/// As real clients expect, but for large messages.
fn settings() -> Settings {
    Settings {
        frame_bytes_max: FRAME_BYTES_MAX as u32,
        channel_max: 2047,
        heartbeat_s: 60,
        message_bytes_max: 65536,
        handshake_timeout: Duration::from_secs(10),
        certified: false,
    }
}

/// Some instant: only differences matter.
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    #[allow(clippy::disallowed_methods)]
    *START.get_or_init(Instant::now)
}

/// Far enough from 0 for any batch to begin before it.
const LOG_START: u64 = 1 << 32;
const FRAME_BYTES_MAX: usize = 131_072;
