//! Kafka's protocol, frames and session: a batch produced, a batch fetched. The broker behind it says
//! yes to everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::session::records::{Appended, FetchedPart};
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_kafka::{Session, Settings};
use bongsu_record::{Batch, Lsn, Offset};

use crate::records::{COUNT, kafka_batch};
use crate::wire;

/// A request with one batch, answered once it is durable.
pub fn produce() -> Box<dyn FnMut()> {
    let mut world = World::new();
    let request = wire::produce("topic", 0, kafka_batch().bytes());
    Box::new(move || world.ask(&request))
}

/// A request for one batch.
pub fn fetch() -> Box<dyn FnMut()> {
    let mut world = World::new();
    let request = wire::fetch("topic", &vec![0], 0);
    Box::new(move || world.ask(&request))
}

struct World {
    session: Session,
    effects: Effects,
    now: Now,
    batch: Batch,
    calls: u64,
}

impl World {
    fn new() -> World {
        let settings = Settings {
            node_id: 1,
            advertised_host: "localhost".to_owned(),
            advertised_port: 9092,
            request_bytes_max: 100 << 20,
            decompressed_bytes_max: 100 << 20,
            idle: Duration::from_secs(600),
            space: "/".to_owned(),
            configs: Arc::new([]),
        };
        let instant = Instant::now();
        World {
            session: Session::new(Arc::new(settings), 7, instant),
            effects: Effects::default(),
            now: Now {
                instant,
                unix_ms: 1_700_000_000_000,
            },
            batch: kafka_batch(),
            calls: 0,
        }
    }

    /// One request, to its answer.
    fn ask(&mut self, request: &[u8]) {
        let mut used = 0;
        while used < request.len() {
            used += self.input(Input::Bytes(&request[used..]));
        }
        let attached = self.effects.attached.drain(..).count();
        assert!(attached > 0 || !self.effects.out.is_empty(), "an answer");
        self.effects.out.clear();
    }

    fn input(&mut self, input: Input<'_>) -> usize {
        let used = self.session.handle(input, self.now, &mut self.effects);
        while let Some(call) = self.effects.call.take() {
            self.calls += 1;
            let lsn = Lsn(self.calls);
            let reply = match call {
                Call::Append(request) => Reply::Appended {
                    throttle_ms: 0,
                    wait: Some(lsn),
                    results: request
                        .appends
                        .iter()
                        .map(|_| {
                            Ok(Appended {
                                base: Some(Offset(self.calls)),
                                stamped_ms: None,
                                start: Offset(0),
                            })
                        })
                        .collect(),
                },
                Call::Fetch(request) => {
                    let part = || FetchedPart {
                        refused: None,
                        start: Offset(0),
                        durable_end: Offset(COUNT),
                        stable: Offset(COUNT),
                        aborted: Vec::new(),
                        batches: vec![(Offset(0), self.batch.clone())],
                    };
                    Reply::Fetched(request.parts.iter().map(|_| part()).collect())
                }
                _ => Reply::Done,
            };
            let effects = &mut self.effects;
            self.session.handle(Input::Reply(reply), self.now, effects);
            self.session.handle(Input::Durable(lsn), self.now, effects);
        }
        assert!(self.effects.close.is_none(), "{:?}", self.effects);
        used
    }
}

/// Records of one request.
pub const RECORDS: u64 = COUNT;
