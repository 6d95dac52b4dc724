//! Faults that a history meets by chance, met on purpose.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use bongsu_broker::{Broker, Limits, SessionHandle};
use bongsu_engine::Refused;
use bongsu_engine::session::{
    Binding, Call, DeclareExchange, DeclareQueue, Destination, LinkId, Now, Publish, Reply,
};
use bongsu_record::{Arguments, Lsn};
use bongsu_sim::SimDisk;
use bongsu_sim::disk::Fault;
use bongsu_storage::Options;

use crate::consume::records_of;
use crate::history::{login, open, open_with};
use crate::steps::{QUEUES, answer, batch, passive};

fn options() -> Options {
    Options {
        lane_file_bytes: 64 << 10,
        checkpoint_bytes: 64 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 64 << 10,
        // A fan-out of large batches is in the lane, so that it could be torn.
        direct_bytes_min: 64 << 20,
        ..Options::new("/data")
    }
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix_ms: 1_700_000_000_000,
    }
}

/// A broker and a session on it.
fn opened(disk: &SimDisk) -> (Broker, SessionHandle) {
    let broker = open(disk, &options()).expect("it opens");
    let session = login(&broker, now());
    (broker, session)
}

fn declare(broker: &Broker, session: &mut SessionHandle, queue: &str) {
    let declare = DeclareQueue {
        name: queue.to_owned(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    let (reply, _) = answer(session.execute(Call::DeclareQueue(declare), now()));
    assert!(matches!(reply, Reply::Queue { .. }), "{reply:?}");
    broker.step_commit().expect("committed");
}

/// What must be durable before it is confirmed; `None`: refused.
fn publish(
    session: &mut SessionHandle,
    exchange: &str,
    key: &str,
    record: u64,
    bytes: usize,
) -> Option<Lsn> {
    let publish = Publish {
        exchange: exchange.to_owned(),
        routing_key: key.to_owned(),
        more_keys: Vec::new(),
        batch: batch(&[(record, Vec::new())], exchange, key, bytes),
    };
    match answer(session.execute(Call::Publish(publish), now())).0 {
        Reply::Published { wait, .. } => wait,
        Reply::Refused(Refused::Storage { .. }) => None,
        other => panic!("{other:?}"),
    }
}

/// Gets and settles one record. `None`: there is none, or what must be durable first is
/// not.
fn get(broker: &Broker, session: &mut SessionHandle, queue: &str) -> Option<u64> {
    let get = Call::Get {
        link: LinkId(1),
        queue: queue.to_owned(),
        auto_settle: true,
    };
    let (reply, after) = answer(session.execute(get, now()));
    let Reply::Got(got) = reply else {
        panic!("{reply:?}");
    };
    let (delivery, _) = got?;
    if after > broker.durable_lsn() {
        broker.step_commit().expect("a mark finds room");
        assert!(after <= broker.durable_lsn());
    }
    Some(records_of(&delivery)[0].1)
}

/// Larger than a block of the lane, so that only being one group keeps it together; cut
/// at every operation of its commit.
#[test]
fn large_fan_out_is_in_all_its_queues_or_in_none() {
    let disk = SimDisk::new(7);
    let (broker, mut session) = opened(&disk);
    let logs = DeclareExchange {
        name: "logs".to_owned(),
        exchange_type: "fanout".to_owned(),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Arguments::new(),
    };
    session.execute(Call::DeclareExchange(logs), now());
    for queue in &QUEUES[..3] {
        declare(&broker, &mut session, queue);
        let binding = Binding {
            source: "logs".to_owned(),
            destination: Destination::Queue((*queue).to_owned()),
            routing_key: String::new(),
            arguments: Arguments::new(),
        };
        session.execute(Call::Bind(binding), now());
    }
    broker.step_commit().expect("committed");
    drop((session, broker));
    let (mut whole, mut absent) = (0, 0);
    for operation in 1.. {
        let copy = disk.fork();
        let (broker, mut session) = opened(&copy);
        copy.set_fault(operation, Fault::PowerCut);
        publish(&mut session, "logs", "", 1, 3 << 20);
        let confirmed = broker.step_commit().is_ok();
        copy.clear_fault();
        drop((session, broker));
        copy.crash();
        let (_broker, mut session) = opened(&copy);
        let found: Vec<_> = QUEUES[..3]
            .iter()
            .map(|queue| passive(&mut session, queue, now()))
            .collect();
        match found[..] {
            [Some(1), Some(1), Some(1)] => whole += 1,
            [Some(0), Some(0), Some(0)] if !confirmed => absent += 1,
            _ => panic!("confirmed: {confirmed}, and in the queues: {found:?}"),
        }
        if confirmed {
            break;
        }
    }
    assert!(whole > 0 && absent > 1, "{whole} whole, {absent} absent");
}

/// Publishers wait at the floor, where there is still room for marks, settles and
/// checkpoints: consumers go on, though nobody has consumed before, and also after a
/// restart; what they settle makes room.
#[test]
fn nearly_full_disk_holds_publishers_and_serves_consumers() {
    let disk = SimDisk::new(8);
    let limits = Limits {
        disk_free_bytes_min: 640 << 10,
        ..Limits::default()
    };
    let broker = open_with(&disk, &options(), limits).expect("it opens");
    let mut session = login(&broker, now());
    declare(&broker, &mut session, "q0");
    disk.set_capacity(2 << 20);
    let (mut record, mut got) = (0, 0);
    for round in 0..4 {
        broker.watch_limits();
        while !broker.holds_publishers() {
            record += 1;
            let lsn = publish(&mut session, "", "q0", record, 4000).expect("taken");
            broker.step_commit().expect("there is room");
            assert!(lsn <= broker.durable_lsn());
            if record.is_multiple_of(16) {
                broker.step_checkpoint().expect("there is room");
            }
            broker.watch_limits();
        }
        let reason = broker.alarm().borrow().clone().expect("a reason");
        assert!(reason.contains("disk"), "{reason}");
        assert!(record > got + 50, "round {round}: {got}, then {record}");
        check_restart(&disk.fork(), got + 1..=record);
        for expected in got + 1..=record {
            let found = get(&broker, &mut session, "q0");
            assert_eq!(found, Some(expected), "round {round}");
        }
        got = record;
        broker.step_commit().expect("there is room");
        broker.step_checkpoint().expect("there is room");
        broker.step_commit().expect("there is room");
        broker.watch_limits();
        assert!(!broker.holds_publishers(), "round {round}: they go on");
        assert_eq!(*broker.alarm().borrow(), None);
    }
}

/// Somebody else fills the disk: publishers are refused or not confirmed, nothing that was
/// confirmed is lost, and all goes on once there is room again.
#[test]
fn full_disk_refuses_publishers_and_loses_nothing() {
    for room in [0, 5_000, 40_000, 70_000, 150_000] {
        let disk = SimDisk::new(room);
        let (broker, mut session) = opened(&disk);
        declare(&broker, &mut session, "q0");
        let (mut record, mut confirmed, mut refused) = (0, 0, 0);
        while refused < 20 {
            assert!(record < 500, "{room} bytes hold no 2 MB");
            if record == 30 {
                disk.set_capacity(disk.used_bytes() + room);
            }
            let lsn = publish(&mut session, "", "q0", record + 1, 4000);
            record += u64::from(lsn.is_some());
            let _ = broker.step_commit();
            if lsn.is_some_and(|lsn| lsn <= broker.durable_lsn()) {
                confirmed = record;
            } else {
                refused += 1;
            }
            let _ = broker.step_checkpoint();
        }
        check_restart(&disk.fork(), 1..=confirmed);
        disk.set_capacity(u64::MAX);
        broker.step_commit().expect("there is room");
        broker.step_checkpoint().expect("there is room");
        for expected in 1..=record {
            let found = get(&broker, &mut session, "q0");
            assert_eq!(found, Some(expected), "room for {room}");
        }
        let lsn = publish(&mut session, "", "q0", record + 1, 4000).expect("taken");
        broker.step_commit().expect("there is room");
        assert!(lsn <= broker.durable_lsn());
    }
}

/// A restart needs room for a lane file: without, it says so; with, all is there.
fn check_restart(disk: &SimDisk, expected: RangeInclusive<u64>) {
    if let Err(error) = open(disk, &options()) {
        let named = error.is_full() && error.to_string().contains("/data/lanes/");
        assert!(named, "{error}");
        disk.set_capacity(u64::MAX);
    }
    let (broker, mut session) = opened(disk);
    for expected in expected {
        assert_eq!(get(&broker, &mut session, "q0"), Some(expected));
    }
}

/// From a sync that failed on nothing is confirmed, whatever later syncs say; a restart
/// has all that was confirmed, and takes publishes again.
#[test]
fn failed_sync_confirms_nothing_more() {
    let mut failed_count = 0;
    for operation in 1..12 {
        for power_cut in [false, true] {
            let disk = SimDisk::new(operation);
            let (broker, mut session) = opened(&disk);
            declare(&broker, &mut session, "q0");
            let mut confirmed = 0;
            disk.set_fault(operation, Fault::Error);
            let mut failed = false;
            for record in 1..=20 {
                let lsn = publish(&mut session, "", "q0", record, 3000);
                let committed = broker.step_commit();
                assert!(!failed || (lsn.is_none() && committed.is_err()), "{record}");
                failed |= committed.is_err();
                if lsn.is_some_and(|lsn| lsn <= broker.durable_lsn()) {
                    assert!(!failed);
                    confirmed = record;
                }
            }
            failed_count += u64::from(failed);
            if failed {
                let reason = broker.alarm().borrow().clone().expect("a reason");
                let named = reason.contains("storage failed") && reason.contains("/data/lanes/");
                assert!(named, "{reason}");
            }
            assert!(failed || confirmed == 20);
            disk.clear_fault();
            drop((session, broker));
            match power_cut {
                true => disk.crash(),
                false => disk.kill(),
            }
            let (broker, mut session) = opened(&disk);
            for record in 1..=confirmed {
                assert_eq!(get(&broker, &mut session, "q0"), Some(record));
            }
            let lsn = publish(&mut session, "", "q0", 99, 10).expect("taken");
            broker.step_commit().expect("committed");
            assert!(lsn <= broker.durable_lsn());
            assert!(disk.content(Path::new("/data/register")).is_some());
        }
    }
    assert!(failed_count > 4, "the fault struck {failed_count} times");
}
