//! One rule each, over restarts of every kind.

use bongsu_broker::{Broker, SessionHandle};
use bongsu_engine::Refused;
use bongsu_engine::catalog::{ApplyTo, Policy};
use bongsu_engine::session::{
    Binding, Call, DeclareExchange, DeclareQueue, Destination, LinkId, Outcome, Publish, Reply,
    Settle,
};
use bongsu_record::blocks::amqp091;
use bongsu_record::message::Message;
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};
use bongsu_record::{Arguments, Batch, Lsn, Offset, Value};
use bongsu_sim::SimDisk;
use bongsu_sim::disk::Fault;

use crate::client::{call, open};

/// A broker that is used by one client, and dies.
struct Bench {
    disk: SimDisk,
    broker: Broker,
    session: SessionHandle,
    now_ms: u64,
}

type Pairs<'a> = &'a [(&'a str, Value)];

fn arguments(pairs: Pairs<'_>) -> Arguments {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// One record with that body and those headers.
fn batch(body: &str, key: &str, headers: Pairs<'_>, terms: &Terms) -> Batch {
    let headers = arguments(headers);
    let mut block = Vec::new();
    amqp091::encode(Default::default(), headers, true, &mut block);
    let mut builder = Builder::new();
    let key = key.as_bytes();
    let origin = Origin::Amqp091;
    builder.begin_with(origin, PERSISTENT, b"", key, terms, &block, 0);
    builder.body(body.as_bytes());
    builder.end();
    builder.finish(1_000_000).expect("one record")
}

impl Bench {
    fn new() -> Bench {
        let disk = SimDisk::new(1);
        let now_ms = 1_000_000;
        let (broker, session) = open(&disk, now_ms);
        Bench {
            disk,
            broker,
            session,
            now_ms,
        }
    }

    fn call(&mut self, asked: Call) -> Reply {
        call(&mut self.session, asked, self.now_ms).0
    }

    fn queue(&mut self, name: &str, pairs: Pairs<'_>) {
        let reply = self.call(Call::DeclareQueue(DeclareQueue {
            name: name.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: arguments(pairs),
        }));
        assert!(matches!(reply, Reply::Queue { .. }), "{reply:?}");
        self.commit();
    }

    fn exchange(&mut self, name: &str, exchange_type: &str, pairs: Pairs<'_>, queue: &str) {
        let reply = self.call(Call::DeclareExchange(DeclareExchange {
            name: name.to_owned(),
            exchange_type: exchange_type.to_owned(),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: arguments(pairs),
        }));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        let reply = self.call(Call::Bind(Binding {
            source: name.to_owned(),
            destination: Destination::Queue(queue.to_owned()),
            routing_key: queue.to_owned(),
            arguments: Arguments::new(),
        }));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        self.commit();
    }

    fn publish(&mut self, exchange: &str, key: &str, body: &str, headers: Pairs<'_>) -> Reply {
        let publish = to(exchange, key, batch(body, key, headers, &Terms::default()));
        self.call(Call::Publish(publish))
    }

    /// The next record and how often it was tried before; settled as said.
    fn get(&mut self, queue: &str, outcome: Outcome) -> Option<(String, bool)> {
        let link = LinkId(u32::from(queue.as_bytes()[0]));
        let reply = self.call(Call::Get {
            link,
            queue: queue.to_owned(),
            auto_settle: false,
        });
        let Reply::Got(got) = reply else {
            panic!("{reply:?}");
        };
        let (delivery, _) = got?;
        let index = (delivery.records.start.0 - delivery.base.0) as u32;
        let record = delivery.batch.native_record(index).expect("it");
        let body = String::from_utf8(record.body.to_vec()).expect("text");
        self.call(Call::Settle(Settle {
            link,
            ranges: vec![delivery.records],
            outcome,
        }));
        Some((body, delivery.redelivered))
    }

    fn bodies(&mut self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some((body, _)) = self.get(queue, Outcome::Accept) {
            bodies.push(body);
        }
        bodies
    }

    fn commit(&self) {
        self.broker.step_commit().expect("committed");
    }

    fn clerk(&self) {
        while self.broker.step_clerk() {}
    }

    fn at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.broker.set_time(now_ms);
        self.clerk();
    }

    /// The broker dies, the machine with it, and it starts again.
    fn crash(&mut self) {
        self.disk.kill();
        self.reopen();
    }

    fn reopen(&mut self) {
        let (broker, session) = open(&SimDisk::new(0), self.now_ms);
        std::mem::forget(std::mem::replace(&mut self.session, session));
        self.broker = broker;
        self.disk.crash();
        let (broker, session) = open(&self.disk, self.now_ms);
        self.broker = broker;
        self.session = session;
        self.clerk();
    }
}

fn to(exchange: &str, key: &str, batch: Batch) -> Publish {
    Publish {
        exchange: exchange.to_owned(),
        routing_key: key.to_owned(),
        more_keys: Vec::new(),
        batch,
    }
}

#[test]
fn transaction_is_whole_or_absent_wherever_it_is_cut() {
    let (mut whole, mut absent) = (0, 0);
    for operation in 1..40 {
        let mut bench = Bench::new();
        bench.queue("a", &[]);
        bench.queue("b", &[]);
        bench.queue("work", &[]);
        bench.publish("", "work", "job", &[]);
        bench.commit();
        let link = LinkId(9);
        bench.call(Call::Get {
            link,
            queue: "work".to_owned(),
            auto_settle: false,
        });
        let publishes = ["a", "b"].map(|key| {
            let batch = batch("done", key, &[], &Terms::default());
            to("", key, batch)
        });
        let reply = bench.call(Call::Commit {
            publishes: publishes.to_vec(),
            settles: vec![Settle {
                link,
                ranges: vec![Offset(0)..Offset(1)],
                outcome: Outcome::Accept,
            }],
        });
        assert!(matches!(reply, Reply::Committed { .. }), "{reply:?}");
        bench.disk.set_fault(operation, Fault::PowerCut);
        let committed = bench.broker.step_commit().is_ok();
        bench.disk.clear_fault();
        bench.reopen();
        let found = (bench.bodies("a").len(), bench.bodies("b").len());
        let job = bench.bodies("work").len();
        match (found, job) {
            ((1, 1), 0) => whole += 1,
            ((0, 0), 1) => absent += 1,
            torn => panic!("cut at operation {operation}: {torn:?}"),
        }
        assert!(!committed || found == (1, 1), "confirmed and lost");
    }
    assert!(whole > 0 && absent > 0, "{whole} whole, {absent} absent");
}

#[test]
fn transaction_that_a_full_queue_refuses_did_not_happen() {
    let mut bench = Bench::new();
    bench.queue("a", &[]);
    let full = [
        ("x-max-length", Value::Int(0)),
        ("x-overflow", text("reject-publish")),
    ];
    bench.queue("full", &full);
    let publishes = ["a", "full"].map(|key| to("", key, batch("1", key, &[], &Terms::default())));
    let reply = bench.call(Call::Commit {
        publishes: publishes.to_vec(),
        settles: Vec::new(),
    });
    let full = "full".to_owned();
    assert!(matches!(reply, Reply::Refused(Refused::Full { queue }) if queue == full));
    assert_eq!(bench.bodies("a"), Vec::<String>::new());
}

#[test]
fn delayed_records_survive_and_were_not_handed_out() {
    let mut bench = Bench::new();
    bench.queue("q", &[]);
    bench.exchange(
        "later",
        "x-delayed-message",
        &[("x-delayed-type", text("direct"))],
        "q",
    );
    for (body, delay) in [("c", 3_000), ("a", 1_000), ("b", 2_000), ("now", 0)] {
        bench.publish("later", "q", body, &[("x-delay", Value::Int(delay))]);
    }
    bench.commit();
    assert_eq!(
        bench.get("q", Outcome::Accept),
        Some(("now".to_owned(), false))
    );
    assert_eq!(bench.get("q", Outcome::Accept), None);
    bench.commit();
    bench.crash();
    assert_eq!(bench.get("q", Outcome::Accept), None);
    bench.at(1_001_000);
    assert_eq!(
        bench.get("q", Outcome::Accept),
        Some(("a".to_owned(), false))
    );
    bench.broker.step_checkpoint().expect("a checkpoint");
    bench.crash();
    bench.at(1_003_000);
    assert_eq!(bench.bodies("q"), ["b", "c"]);
}

#[test]
fn what_an_exchange_has_seen_survives() {
    let mut bench = Bench::new();
    bench.queue("q", &[]);
    let size = [("x-cache-size", Value::Int(2))];
    bench.exchange("once", "x-message-deduplication", &size, "q");
    let publish = |bench: &mut Bench, id: &str| {
        bench.publish("once", "q", id, &[("x-deduplication-header", text(id))])
    };
    publish(&mut bench, "1");
    publish(&mut bench, "1");
    bench.commit();
    bench.crash();
    publish(&mut bench, "1");
    publish(&mut bench, "2");
    bench.commit();
    bench.broker.step_checkpoint().expect("a checkpoint");
    bench.crash();
    publish(&mut bench, "2");
    publish(&mut bench, "3");
    publish(&mut bench, "1");
    assert_eq!(
        bench.bodies("q"),
        ["1", "2", "3", "1"],
        "the oldest was forgotten"
    );
}

#[test]
fn what_a_queue_has_seen_survives_until_it_is_settled() {
    let mut bench = Bench::new();
    bench.queue("q", &[("x-message-deduplication", Value::Bool(true))]);
    let publish =
        |bench: &mut Bench| bench.publish("", "q", "x", &[("x-deduplication-header", text("id"))]);
    publish(&mut bench);
    bench.commit();
    bench.crash();
    let Reply::Published { routed, wait, .. } = publish(&mut bench) else {
        panic!("it is dropped, and confirmed");
    };
    assert!(routed && wait.is_none_or(|lsn| lsn > Lsn(0)));
    assert_eq!(bench.bodies("q").len(), 1);
    bench.commit();
    bench.crash();
    publish(&mut bench);
    assert_eq!(
        bench.bodies("q").len(),
        1,
        "it is gone, so it may come again"
    );
}

#[test]
fn tries_and_back_off_survive() {
    let mut bench = Bench::new();
    bench.queue("dead", &[]);
    let retry = [
        ("x-delivery-limit", Value::Int(1)),
        ("x-retry-delays", Value::List(vec![Value::Int(5_000)])),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
    ];
    bench.queue("q", &retry);
    bench.publish("", "q", "x", &[]);
    assert_eq!(bench.get("q", Outcome::Fail), Some(("x".to_owned(), false)));
    bench.commit();
    bench.crash();
    bench.at(1_004_999);
    assert_eq!(bench.get("q", Outcome::Fail), None, "it waits");
    bench.broker.step_checkpoint().expect("a checkpoint");
    bench.crash();
    bench.at(1_005_000);
    assert_eq!(bench.get("q", Outcome::Fail), Some(("x".to_owned(), true)));
    bench.clerk();
    assert_eq!(
        bench.bodies("dead"),
        ["x"],
        "the second failure was one too many"
    );
}

#[test]
fn dead_letters_wait_for_a_queue_where_they_must() {
    let mut bench = Bench::new();
    let strategy = [
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ];
    bench.queue("q", &strategy);
    bench.publish("", "q", "x", &[]);
    bench.get("q", Outcome::Reject);
    bench.clerk();
    assert_eq!(bench.bodies("q"), Vec::<String>::new());
    bench.queue("dead", &[]);
    bench.at(1_001_000);
    assert_eq!(bench.bodies("dead"), ["x"]);
}

#[test]
fn dead_letter_says_where_it_was() {
    let mut bench = Bench::new();
    bench.queue("dead", &[]);
    let dlx = [
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
        ("x-message-ttl", Value::Int(100)),
    ];
    bench.queue("q", &dlx);
    bench.publish("", "q", "x", &[("mine", Value::Int(7))]);
    bench.at(1_000_100);
    let reply = bench.call(Call::Get {
        link: LinkId(1),
        queue: "dead".to_owned(),
        auto_settle: true,
    });
    let Reply::Got(Some((delivery, _))) = reply else {
        panic!("{reply:?}");
    };
    let record = delivery.batch.native_record(0).expect("it");
    let message = Message::native(record, Offset(0), 0);
    let headers = message.headers().expect("headers");
    assert_eq!(headers["mine"], Value::Int(7));
    assert_eq!(headers["x-first-death-queue"], text("q"));
    assert_eq!(headers["x-first-death-reason"], text("expired"));
    assert!(matches!(&headers["x-death"], Value::List(deaths) if deaths.len() == 1));
}

#[test]
fn policy_applies_at_once_and_after_a_restart() {
    let mut bench = Bench::new();
    bench.queue("orders", &[]);
    for body in ["1", "2", "3"] {
        bench.publish("", "orders", body, &[]);
    }
    let policy = Policy {
        name: "short".to_owned(),
        pattern: "^ord".to_owned(),
        apply_to: ApplyTo::Queues,
        priority: 0,
        definition: arguments(&[("max-length", Value::Int(2))]),
    };
    bench.broker.set_policy("/", policy).expect("a policy");
    bench.commit();
    bench.crash();
    bench.publish("", "orders", "4", &[]);
    assert_eq!(bench.bodies("orders"), ["3", "4"]);
    bench.broker.clear_policy("/", "short").expect("cleared");
    for body in ["5", "6", "7"] {
        bench.publish("", "orders", body, &[]);
    }
    assert_eq!(bench.bodies("orders"), ["5", "6", "7"]);
}
