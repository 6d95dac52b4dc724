//! At a bound publishers are held back and told why; consumers go on, and what they settle
//! gives the room back.

use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Limits, SessionHandle};
use bongsu_engine::session::{Call, DeclareQueue, LinkId, Now, Publish, Reply};
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_record::{Arguments, Value};
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

fn opened(disk: &SimDisk, limits: Limits) -> (Broker, SessionHandle) {
    let disk = Arc::new(disk.clone());
    let options = Options {
        lane_file_bytes: 1 << 20,
        reserve_bytes: 64 << 10,
        ..Options::new("/data")
    };
    let (broker, _) = Broker::open(disk, options, Durability::Fsync, limits).expect("it opens");
    let mut session = broker.session(true);
    let login = Call::Login {
        user: "guest".to_owned(),
        password: "guest".to_owned(),
    };
    execute(&mut session, login);
    let space = "/".to_owned();
    execute(&mut session, Call::OpenSpace { space });
    (broker, session)
}

fn execute(session: &mut SessionHandle, call: Call) -> Reply {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let executed = session.execute(call, now);

    executed.into_reply().expect("none of these calls waits")
}

fn declare(session: &mut SessionHandle, name: &str, durability: &str) {
    let durability = Value::Text(durability.to_owned());
    let declared = execute(
        session,
        Call::DeclareQueue(DeclareQueue {
            name: name.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Arguments::from([("x-durability".to_owned(), durability)]),
        }),
    );
    assert!(matches!(declared, Reply::Queue { .. }), "{declared:?}");
}

fn publish(session: &mut SessionHandle, queue: &str, bytes: usize) -> Reply {
    let mut builder = Builder::new();
    builder.begin(Origin::Plain, PERSISTENT, b"", queue.as_bytes(), b"", 0);
    builder.body(&vec![b'.'; bytes]);
    builder.end();
    execute(
        session,
        Call::Publish(Publish {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            more_keys: Vec::new(),
            batch: builder.finish(0).expect("one"),
        }),
    )
}

fn get(session: &mut SessionHandle, queue: &str) -> bool {
    let got = execute(
        session,
        Call::Get {
            link: LinkId(1),
            queue: queue.to_owned(),
            auto_settle: true,
        },
    );
    match got {
        Reply::Got(got) => got.is_some(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn memory_budget_holds_publishers_until_a_checkpoint_relieves_it() {
    let limits = Limits {
        memory_bytes: 100_000,
        ..Limits::default()
    };
    let (broker, mut session) = opened(&SimDisk::new(1), limits);
    declare(&mut session, "orders", "fsync");
    publish(&mut session, "orders", 10_000);
    broker.watch_limits();
    assert!(!broker.holds_publishers());
    for _ in 0..11 {
        publish(&mut session, "orders", 10_000);
    }
    broker.watch_limits();
    assert!(broker.holds_publishers());
    let reason = broker.alarm().borrow().clone().expect("a reason");
    assert!(
        reason.contains("low on memory") && reason.contains("100000"),
        "{reason}"
    );
    assert!(get(&mut session, "orders"), "consumers go on");
    broker.step_checkpoint().expect("taken");
    broker.watch_limits();
    assert!(!broker.holds_publishers());
    assert_eq!(*broker.alarm().borrow(), None);
}

#[test]
fn disk_floor_holds_publishers_and_consumers_go_on() {
    let disk = SimDisk::new(2);
    let (broker, mut session) = opened(&disk, Limits::default());
    declare(&mut session, "orders", "fsync");
    publish(&mut session, "orders", 100);
    broker.step_commit().expect("committed");
    disk.set_capacity(disk.used_bytes() + (1 << 20));
    broker.watch_limits();
    assert!(broker.holds_publishers());
    let reason = broker.alarm().borrow().clone().expect("a reason");
    assert!(reason.contains("low on disk"), "{reason}");
    assert!(get(&mut session, "orders"));
    disk.set_capacity(u64::MAX);
    broker.watch_limits();
    assert!(!broker.holds_publishers());
}

/// Without a floor of its own the broker goes on until the disk refuses, and says what it did.
#[test]
fn alarm_says_what_the_disk_refused() {
    let disk = SimDisk::new(5);
    let limits = Limits {
        disk_free_bytes_min: 0,
        ..Limits::default()
    };
    let (broker, mut session) = opened(&disk, limits);
    declare(&mut session, "orders", "fsync");
    disk.set_capacity(disk.used_bytes() + (64 << 10));
    for _ in 0..2000 {
        publish(&mut session, "orders", 4000);
        broker.step_commit().expect("there is room, or it waits");
        broker.watch_limits();
        if broker.holds_publishers() {
            break;
        }
    }
    let reason = broker.alarm().borrow().clone().expect("a reason");
    let said = "the disk takes no more: no room for ";
    assert!(reason.starts_with(said), "{reason}");
    assert!(reason.contains("bytes free"), "{reason}");
    disk.set_capacity(u64::MAX);
    assert!(get(&mut session, "orders"), "consumers go on");
    broker.step_checkpoint().expect("taken");
    broker.watch_limits();
    assert_eq!(*broker.alarm().borrow(), None);
}

#[test]
fn each_queue_keeps_what_its_durability_promises() {
    let disk = SimDisk::new(3);
    let (broker, mut session) = opened(&disk, Limits::default());
    for durability in ["fsync", "os", "memory"] {
        declare(&mut session, durability, durability);
    }
    broker.step_commit().expect("committed");
    let waits = |reply: Reply| match reply {
        Reply::Published {
            wait, routed: true, ..
        } => wait.is_some(),
        other => panic!("{other:?}"),
    };
    for (queue, waited) in [("fsync", true), ("os", true), ("memory", false)] {
        assert_eq!(waits(publish(&mut session, queue, 10)), waited, "{queue}");
    }
    broker.step_commit().expect("committed");
    // The process dies; the machine does not.
    disk.kill();
    std::mem::forget(session);
    drop(broker);
    let (_broker, mut session) = opened(&disk, Limits::default());
    assert!(get(&mut session, "fsync"));
    assert!(get(&mut session, "os"));
    assert!(
        !get(&mut session, "memory"),
        "the queue is there, and empty"
    );
}
