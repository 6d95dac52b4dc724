//! Records moved by hand over power cuts: wherever a job was cut, each record is in exactly
//! one of the two queues; and beside consumers, nobody gets one twice.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::operator::Operator;
use bongsu_broker::operator::jobs::{Job, JobKind, JobState};
use bongsu_broker::operator::leases::Leased;
use bongsu_broker::operator::matching::Wanted;
use bongsu_broker::operator::moving::{Destination, Transfer};
use bongsu_broker::operator::peek::Look;
use bongsu_broker::{Broker, Executed, Limits, SessionHandle};
use bongsu_engine::queue::Standing;
use bongsu_engine::session::{Call, DeclareQueue, LinkId, Now, Outcome, Publish, Reply, Settle};
use bongsu_engine::stream::StreamOffset;
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_record::{Arguments, Offset, Value};
use bongsu_sim::disk::Fault;
use bongsu_sim::{Random, SimDisk};
use bongsu_storage::{Durability, Options};

const NOW_MS: u64 = 1_000_000;

struct World {
    disk: SimDisk,
    broker: Broker,
    session: SessionHandle,
}

fn open(disk: &SimDisk) -> (Broker, SessionHandle) {
    let options = Options {
        lane_file_bytes: 64 << 10,
        checkpoint_bytes: 8 << 10,
        segment_bytes_max: 16 << 10,
        reserve_bytes: 64 << 10,
        ..Options::new("/data")
    };
    let disk = Arc::new(disk.clone());
    let limits = Limits::default();
    let (broker, _) = Broker::open(disk, options, Durability::Fsync, limits).expect("it opens");
    broker.set_time(NOW_MS);
    let mut session = broker.session(true);
    let (user, password) = ("guest".to_owned(), "guest".to_owned());
    call(&mut session, Call::Login { user, password });
    let space = "/".to_owned();
    call(&mut session, Call::OpenSpace { space });
    (broker, session)
}

fn call(session: &mut SessionHandle, call: Call) -> Reply {
    let now = Now {
        instant: Instant::now(),
        unix_ms: NOW_MS as i64,
    };
    match session.execute(call, now) {
        Executed::Now(reply) | Executed::Durable(_, reply) => reply,
        other => panic!("no call waits: {other:?}"),
    }
}

impl World {
    fn new(seed: u64) -> World {
        let disk = SimDisk::new(seed);
        let (broker, session) = open(&disk);
        let mut world = World {
            disk,
            broker,
            session,
        };
        world.declare("source", Arguments::new());
        world.declare("target", Arguments::new());
        world
    }

    fn declare(&mut self, name: &str, arguments: Arguments) {
        let declare = DeclareQueue {
            name: name.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        };
        let reply = call(&mut self.session, Call::DeclareQueue(declare));
        assert!(matches!(reply, Reply::Queue { .. }), "{reply:?}");
    }

    fn publish(&mut self, queue: &str, numbers: std::ops::Range<u64>) {
        let mut builder = Builder::new();
        for number in numbers {
            let key = queue.as_bytes();
            builder.begin(Origin::Plain, PERSISTENT, b"", key, b"", 8);
            builder.body(&number.to_be_bytes());
            builder.end();
        }
        let publish = Publish {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            more_keys: Vec::new(),
            batch: builder.finish(NOW_MS as i64).expect("records"),
        };
        let reply = call(&mut self.session, Call::Publish(publish));
        assert!(matches!(reply, Reply::Published { routed: true, .. }));
        while self.broker.step_commit().expect("committed") {}
    }

    fn get(&mut self, queue: &str, link: u32) -> Option<(u64, std::ops::Range<Offset>)> {
        let get = Call::Get {
            link: LinkId(link),
            queue: queue.to_owned(),
            auto_settle: false,
        };
        let Reply::Got(got) = call(&mut self.session, get) else {
            panic!("a get is answered");
        };
        let (delivery, _) = got?;
        let index = (delivery.records.start.0 - delivery.base.0) as u32;
        let record = delivery.batch.native_record(index).expect("it");
        let number = u64::from_be_bytes(record.body.try_into().expect("eight bytes"));
        Some((number, delivery.records))
    }

    fn settle(&mut self, link: u32, records: std::ops::Range<Offset>, outcome: Outcome) {
        let settle = Settle {
            link: LinkId(link),
            ranges: vec![records],
            outcome,
        };
        call(&mut self.session, Call::Settle(settle));
    }

    /// How often each record is there, taking all of them.
    fn drain(&mut self, queues: &[&str]) -> BTreeMap<u64, u32> {
        let mut found = BTreeMap::new();
        for (link, queue) in (100..).zip(queues) {
            while let Some((number, records)) = self.get(queue, link) {
                self.settle(link, records, Outcome::Accept);
                *found.entry(number).or_default() += 1;
            }
        }
        found
    }

    fn restart(&mut self) {
        let (broker, session) = open(&SimDisk::new(0));
        // Nobody says goodbye.
        std::mem::forget(std::mem::replace(&mut self.session, session));
        self.broker = broker;
        self.disk.crash();
        let (broker, session) = open(&self.disk);
        self.broker = broker;
        self.session = session;
        while self.broker.step_clerk() {}
    }

    async fn operator(&self) -> Operator {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let operator = self.broker.operator("guest", "guest", host).await;
        operator.expect("guest from loopback")
    }
}

fn transfer(kind: JobKind, to: Destination) -> Transfer {
    Transfer {
        kind,
        offsets: None,
        from: StreamOffset::First,
        until: None,
        wanted: Wanted::default(),
        limit: None,
        to,
        // Small pieces; there is no clock to wait for between two commits.
        rate: None,
        dry_run: false,
    }
}

fn to(queue: &str) -> Destination {
    Destination::Queue(queue.to_owned())
}

/// Goes on with a job, committing, until it ends or the disk is off.
async fn follow(world: &World, job: &Arc<Job>) {
    while job.is_running() && !world.disk.is_off() {
        let _ = world.broker.step_commit();
        tokio::task::yield_now().await;
        // Its pieces run on a thread of their own.
        std::thread::yield_now();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

#[test]
fn a_cut_move_leaves_each_record_in_one_place() {
    let seeds = match std::env::var("BONGSU_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (1..60).collect::<Vec<u64>>(),
    };
    let mut cut_in_the_middle = 0;
    for seed in seeds {
        let mut random = Random::new(seed);
        let mut world = World::new(seed);
        let count = 1_000 + random.below(3_000);
        let mut first = 0;
        while first < count {
            let end = (first + 1 + random.below(400)).min(count);
            world.publish("source", first..end);
            first = end;
        }
        if random.chance(1, 2) {
            world.broker.step_checkpoint().expect("a checkpoint");
        }
        let runtime = runtime();
        let moved = runtime.block_on(async {
            let operator = world.operator().await;
            world.disk.set_fault(1 + random.below(14), Fault::PowerCut);
            let asked = transfer(JobKind::Move, to("target"));
            let job = operator.transfer("/", "source", asked).await;
            let job = job.expect("it begins");
            follow(&world, &job).await;
            job.progress().moved
        });
        runtime.shutdown_background();
        world.disk.clear_fault();
        world.restart();
        let before = world.drain(&["target"]);
        cut_in_the_middle += u32::from(!before.is_empty() && (before.len() as u64) < count);
        assert!(
            before.len() as u64 >= moved,
            "seed {seed}: {moved} were told to be moved"
        );
        let mut found = world.drain(&["source"]);
        for (number, times) in before {
            *found.entry(number).or_default() += times;
        }
        assert_eq!(found.len() as u64, count, "seed {seed}: some are lost");
        assert!(
            found.values().all(|times| *times == 1),
            "seed {seed}: some are doubled"
        );
    }
    if std::env::var("BONGSU_SIM_SEED").is_err() {
        assert!(
            cut_in_the_middle >= 5,
            "only {cut_in_the_middle} were cut in the middle"
        );
    }
}

#[test]
fn a_move_leaves_alone_what_is_lent() {
    let mut world = World::new(1);
    world.publish("source", 0..10);
    let (first, records) = world.get("source", 1).expect("a record");
    assert_eq!(first, 0);
    let runtime = runtime();
    let (moved, failed) = runtime.block_on(async {
        let operator = world.operator().await;
        let asked = transfer(JobKind::Move, to("target"));
        let job = operator
            .transfer("/", "source", asked)
            .await
            .expect("it begins");
        follow(&world, &job).await;
        let single = Transfer {
            offsets: Some(vec![Offset(0), Offset(3)]),
            ..transfer(JobKind::Move, to("target"))
        };
        let other = operator
            .transfer("/", "source", single)
            .await
            .expect("it begins");
        follow(&world, &other).await;
        (job.progress().moved, other.progress())
    });
    assert_eq!(moved, 9);
    let told: Vec<_> = failed
        .failures
        .iter()
        .map(|f| (f.offset.0, &*f.reason))
        .collect();
    assert_eq!(told, [(0, "it is leased"), (3, "it is settled")]);
    world.settle(1, records, Outcome::Release);
    assert_eq!(world.drain(&["source"]), BTreeMap::from([(0, 1)]));
    assert_eq!(world.drain(&["target"]).len(), 9);
}

#[test]
fn a_lease_that_is_taken_back_is_offered_again() {
    let mut world = World::new(2);
    world.publish("source", 0..3);
    let (_, records) = world.get("source", 1).expect("a record");
    let runtime = runtime();
    runtime.block_on(async {
        let operator = world.operator().await;
        let leases = operator
            .leases("/", "source", (Offset(0), 10))
            .expect("leases");
        assert_eq!((leases.total, leases.held.len()), (1, 1));
        assert_eq!(leases.held[0].since_ms, NOW_MS);
        let extended = operator.extend("/", "source", (Offset(0), 5_000));
        assert!(extended.expect("allowed"));
        let leases = operator
            .leases("/", "source", (Offset(0), 10))
            .expect("leases");
        assert_eq!(leases.held[0].deadline_ms, Some(NOW_MS + 5_000));
        let released = operator.release("/", "source", Leased::Record(Offset(0)));
        assert_eq!(released.await, Ok(1));
        let again = operator.release("/", "source", Leased::Record(Offset(0)));
        assert_eq!(again.await, Ok(0));
    });
    let (number, other) = world.get("source", 2).expect("a record");
    assert_eq!(number, 0);
    // Who had it before says something of it, and has it no longer.
    world.settle(1, records, Outcome::Accept);
    world.settle(2, other, Outcome::Release);
    assert_eq!(world.drain(&["source"]).len(), 3);
}

#[test]
fn a_redrive_goes_where_each_died_first() {
    let mut world = World::new(3);
    let dead = |key: &str| {
        Arguments::from([
            (
                "x-dead-letter-exchange".to_owned(),
                Value::Text(String::new()),
            ),
            (
                "x-dead-letter-routing-key".to_owned(),
                Value::Text(key.to_owned()),
            ),
        ])
    };
    world.declare("work", dead("parked"));
    world.declare("parked", Arguments::new());
    world.publish("work", 0..5);
    for link in 1..=5 {
        let (_, records) = world.get("work", link).expect("a record");
        world.settle(link, records, Outcome::Reject);
    }
    while world.broker.step_clerk() {}
    while world.broker.step_commit().expect("committed") {}
    let runtime = runtime();
    runtime.block_on(async {
        let operator = world.operator().await;
        let look = Look {
            from: StreamOffset::First,
            until: None,
            count: 10,
            standing: Some(Standing::Ready),
            wanted: Wanted {
                died: true,
                ..Wanted::default()
            },
            payload_bytes_max: 3,
        };
        let seen = operator.peek("/", "parked", look).await.expect("seen");
        assert_eq!(seen.records.len(), 5);
        let death = &seen.records[0].deaths[0];
        assert_eq!((&*death.queue, &*death.reason), ("work", "rejected"));
        assert!(seen.records[0].truncated);
        for dry_run in [true, false] {
            let asked = Transfer {
                dry_run,
                ..transfer(JobKind::Redrive, Destination::Origin)
            };
            let job = operator
                .transfer("/", "parked", asked)
                .await
                .expect("it begins");
            follow(&world, &job).await;
            assert_eq!(job.state(), JobState::Done);
            let progress = job.progress();
            assert_eq!((progress.matched, progress.failed), (5, 0));
            assert_eq!(progress.moved, if dry_run { 0 } else { 5 });
        }
    });
    assert!(world.drain(&["parked"]).is_empty());
    assert_eq!(world.drain(&["work"]).len(), 5);
}
