//! Queues with properties over power cuts: whatever a record has been through (expired,
//! rejected, dropped, delayed, retried), after any crash it is in one place, once.

mod client;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use bongsu_broker::{Broker, SessionHandle};
use bongsu_engine::session::{Call, DeclareQueue, LinkId, Outcome, Publish, Reply, Settle};
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};
use bongsu_record::{Arguments, Lsn, Value};
use bongsu_sim::disk::Fault;
use bongsu_sim::{Random, SimDisk};

use client::{call, open};

/// What the test knows of one record.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Durable with this.
    wait: Lsn,
    /// Confirmed before the last crash.
    confirmed: bool,
    /// A consumer was done with it; a crash may forget that.
    accepted: bool,
}

struct World {
    disk: SimDisk,
    broker: Broker,
    session: SessionHandle,
    now_ms: u64,
    random: Random,
    records: BTreeMap<u64, Known>,
}

const QUEUES: [&str; 5] = ["ttl", "limits", "retry", "prio", "dead"];

fn arguments(queue: &str) -> Arguments {
    let dead = [
        ("x-dead-letter-exchange", Value::Text(String::new())),
        ("x-dead-letter-routing-key", Value::Text("dead".to_owned())),
    ];
    let own = match queue {
        "ttl" => vec![("x-message-ttl", Value::Int(500))],
        "limits" => vec![("x-max-length", Value::Int(4))],
        "retry" => vec![
            ("x-delivery-limit", Value::Int(2)),
            (
                "x-retry-delays",
                Value::List(vec![Value::Int(100), Value::Int(1_000)]),
            ),
        ],
        "prio" => vec![
            ("x-max-priority", Value::Int(5)),
            ("x-max-length-bytes", Value::Int(64)),
        ],
        _ => return Arguments::new(),
    };
    let all = dead.into_iter().chain(own);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

impl World {
    fn new(seed: u64) -> World {
        let disk = SimDisk::new(seed);
        let now_ms = 1_000_000;
        let (broker, session) = open(&disk, now_ms);
        let mut world = World {
            disk,
            broker,
            session,
            now_ms,
            random: Random::new(seed),
            records: BTreeMap::new(),
        };
        for queue in QUEUES {
            let declare = DeclareQueue {
                name: queue.to_owned(),
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                arguments: arguments(queue),
            };
            let (reply, _) = world.call(Call::DeclareQueue(declare));
            assert!(matches!(reply, Reply::Queue { .. }), "{reply:?}");
        }
        world.broker.step_commit().expect("committed");
        world
    }

    fn call(&mut self, asked: Call) -> (Reply, Lsn) {
        call(&mut self.session, asked, self.now_ms)
    }

    fn publish(&mut self) {
        let queue = *self.random.pick(&QUEUES[..4]);
        let mut builder = Builder::new();
        let first = self.records.len() as u64;
        let count = 1 + self.random.below(3);
        for number in first..first + count {
            let number_of = |random: &mut Random, bound| Some(random.below(bound));
            let terms = Terms {
                ttl_ms: (self.random.chance(1, 4))
                    .then(|| number_of(&mut self.random, 800))
                    .flatten(),
                deliver_at_ms: (self.random.chance(1, 4))
                    .then(|| Some(self.now_ms + self.random.below(3_000)))
                    .flatten(),
                priority: (self.random.chance(1, 2)).then(|| self.random.below(8) as u8),
            };
            let key = queue.as_bytes();
            builder.begin_with(Origin::Plain, PERSISTENT, b"", key, &terms, b"", 8);
            builder.body(&number.to_be_bytes());
            builder.end();
        }
        let publish = Publish {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            more_keys: Vec::new(),
            batch: builder.finish(self.now_ms as i64).expect("records"),
        };
        let (reply, _) = self.call(Call::Publish(publish));
        let wait = match reply {
            Reply::Published {
                wait, routed: true, ..
            } => wait.expect("durable queues"),
            // The disk is off.
            other => panic!("{other:?}"),
        };
        for number in first..first + count {
            let known = Known {
                wait,
                ..Known::default()
            };
            self.records.insert(number, known);
        }
    }

    /// Takes a record of a queue, and says what becomes of it.
    fn get(&mut self, queue: &str, outcome: Outcome) -> Option<u64> {
        let link = LinkId(QUEUES.iter().position(|q| *q == queue).expect("known") as u32);
        let get = Call::Get {
            link,
            queue: queue.to_owned(),
            auto_settle: false,
        };
        let (reply, _) = self.call(get);
        let Reply::Got(got) = reply else {
            panic!("{reply:?}");
        };
        let (delivery, _) = got?;
        let index = (delivery.records.start.0 - delivery.base.0) as u32;
        let record = delivery.batch.native_record(index).expect("it");
        let number = u64::from_be_bytes(record.body.try_into().expect("eight bytes"));
        let settle = Settle {
            link,
            ranges: vec![delivery.records],
            outcome,
        };
        self.call(Call::Settle(settle));
        if outcome == Outcome::Accept || (queue == "dead" && outcome == Outcome::Reject) {
            let known = self.records.get_mut(&number).expect("published");
            known.accepted = true;
        }
        Some(number)
    }

    fn confirm(&mut self) {
        let durable = self.broker.durable_lsn();
        for known in self.records.values_mut() {
            known.confirmed |= known.wait <= durable;
        }
    }

    fn clerk(&mut self) {
        for _ in 0..100 {
            if !self.broker.step_clerk() {
                return;
            }
        }
    }

    fn crash(&mut self) {
        self.confirm();
        self.disk.kill();
        self.restart();
    }

    /// Cut at some operation of a commit or a checkpoint.
    fn power_cut(&mut self) {
        self.confirm();
        let operation = 1 + self.random.below(12);
        self.disk.set_fault(operation, Fault::PowerCut);
        let _ = self.broker.step_commit();
        if self.random.chance(1, 2) {
            let _ = self.broker.step_checkpoint();
        }
        self.confirm();
        self.disk.clear_fault();
        self.restart();
    }

    fn restart(&mut self) {
        for known in self.records.values_mut().filter(|known| !known.confirmed) {
            // Its position means another record now, or none.
            known.wait = Lsn(u64::MAX);
        }
        // Nobody says goodbye.
        let (broker, session) = {
            let spare = SimDisk::new(0);
            open(&spare, self.now_ms)
        };
        let old = std::mem::replace(&mut self.session, session);
        std::mem::forget(old);
        self.broker = broker;
        self.disk.crash();
        let (broker, session) = open(&self.disk, self.now_ms);
        self.broker = broker;
        self.session = session;
        self.clerk();
    }

    fn step(&mut self) {
        let queue = *self.random.pick(&QUEUES);
        match self.random.below(20) {
            0..7 => self.publish(),
            7..9 => _ = self.get(queue, Outcome::Accept),
            9..11 => _ = self.get(queue, Outcome::Fail),
            11 => _ = self.get(queue, Outcome::Release),
            12 => _ = self.get(queue, Outcome::Reject),
            13..15 => {
                self.now_ms += self.random.below(700);
                self.broker.set_time(self.now_ms);
                self.clerk();
            }
            15 | 16 => {
                self.broker.step_commit().expect("committed");
                self.confirm();
            }
            17 => {
                self.broker.step_checkpoint().expect("a checkpoint");
                self.confirm();
            }
            18 => self.crash(),
            _ => self.power_cut(),
        }
    }

    /// Everything that is left, wherever it is.
    fn drain(&mut self) -> Vec<u64> {
        let mut found = Vec::new();
        for _ in 0..20 {
            self.now_ms += 2_000;
            self.broker.set_time(self.now_ms);
            self.clerk();
            for queue in QUEUES {
                while let Some(number) = self.drained(queue) {
                    found.push(number);
                }
            }
        }
        found
    }

    fn drained(&mut self, queue: &str) -> Option<u64> {
        let before = self.records.clone();
        let got = self.get(queue, Outcome::Accept);
        self.records = before;
        got
    }
}

#[test]
fn every_record_is_in_one_place_whatever_happened() {
    let seeds = match std::env::var("BONGSU_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (1..400).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let mut world = World::new(seed);
        for _ in 0..world.random.below(120) {
            world.step();
        }
        world.broker.step_commit().expect("committed");
        world.confirm();
        let found = world.drain();
        let mut once = BTreeSet::new();
        for number in &found {
            assert!(once.insert(*number), "seed {seed}: record {number} twice");
        }
        for (number, known) in &world.records {
            let there = once.contains(number);
            let lost = known.confirmed && !known.accepted && !there;
            assert!(!lost, "seed {seed}: record {number} is lost: {known:?}");
        }
    }
}
