//! Producers that number their batches, and transactions, as sessions see them: what is read
//! by whom, who is fenced, and what is there after a crash.

mod crash;
mod world;

use std::sync::Arc;

use bongsu_engine::producers::ProducerRefused;
use bongsu_engine::session::records::AppendRefused;
use bongsu_engine::transaction::call::{Filter, Listed};
use bongsu_engine::transaction::{Answer, Request, TransactionRefused};
use bongsu_record::Offset;
use world::World;

const BOTH: [bool; 2] = [false, true];

#[test]
fn what_is_committed_is_read_and_what_is_aborted_is_not() {
    for modern in BOTH {
        let world = World::new(1);
        world.declare("t", "stream");
        world.declare("u", "stream");
        let mut peer = world.peer();
        let mut writing = peer.init(Some("id"), modern);
        for (nth, committed) in [(0, true), (1, false), (2, true)] {
            if !modern {
                peer.add(&writing, &["t", "u"]).expect("added");
            }
            let sequence = if modern { 0 } else { nth };
            let value = format!("{nth}");
            let to_t = peer.produce(&writing, "t", sequence, &[&value]);
            to_t.expect("appended");
            peer.produce(&writing, "u", sequence, &[&value])
                .expect("appended");
            world.commit();
            let first = Offset(2 * nth as u64);
            let part = world.fetch("t", true);
            assert_eq!((part.stable, part.durable_end), (first, first.plus(1)));
            assert_eq!(world.read("t", false).len() as i32, nth + 1);
            peer.end(&mut writing, committed).expect("ended");
            world.commit();
            assert_eq!(world.fetch("t", true).stable, first.plus(2));
        }
        for topic in ["t", "u"] {
            assert_eq!(world.values(topic), ["0", "2"], "{topic}");
            let read: Vec<u64> = world.read(topic, false).iter().map(|r| r.0).collect();
            assert_eq!(read, [0, 2, 4], "marks take offsets of their own");
        }
        assert_eq!(
            world.fetch("t", true).aborted,
            [(writing.producer.id, Offset(2))]
        );
    }
}

#[test]
fn a_batch_sent_twice_is_in_the_log_once_also_after_a_crash() {
    for checkpoint in BOTH {
        let mut world = World::new(2);
        world.declare("t", "stream");
        let mut peer = world.peer();
        let writing = peer.init(None, false);
        // One large enough to go straight to its segment, where no replay sees it.
        let large = "x".repeat(5_000);
        let sent: [&[&str]; 3] = [&["a", "b"], &[&large], &["c"]];
        let mut sequence = 0;
        let mut at = Vec::new();
        for values in sent {
            let (base, _) = peer
                .produce(&writing, "t", sequence, values)
                .expect("appended");
            at.push((sequence, values, base));
            sequence += values.len() as i32;
        }
        world.commit();
        if checkpoint {
            world.checkpoint();
        }
        drop(peer);
        world.crash();
        let mut peer = world.peer();
        for (sequence, values, base) in &at {
            let again = peer.produce(&writing, "t", *sequence, values);
            let (found, wait) = again.expect("it is a duplicate");
            assert_eq!(found, *base);
            assert!(wait <= world.broker.position());
        }
        let gap = peer.produce(&writing, "t", sequence + 1, &["e"]);
        let expected = ProducerRefused::OutOfOrder {
            expected: sequence,
            found: sequence + 1,
        };
        assert_eq!(gap, Err(AppendRefused::Producer(expected)));
        peer.produce(&writing, "t", sequence, &["d"])
            .expect("it is next");
        world.commit();
        assert_eq!(world.values("t"), ["a", "b", &large, "c", "d"]);
    }
}

#[test]
fn numbers_of_producers_are_given_once() {
    let mut world = World::new(3);
    let mut given = Vec::new();
    for round in 0..4 {
        for id in [None, Some("id")] {
            let mut peer = world.peer();
            let writing = peer.init(id, false);
            given.push((writing.producer.id, writing.producer.epoch));
        }
        world.commit();
        if round == 1 {
            world.checkpoint();
        }
        world.crash();
    }
    let mut sorted = given.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), given.len(), "{given:?}");
}

#[test]
fn whoever_was_fenced_can_do_nothing() {
    for modern in BOTH {
        let world = World::new(4);
        world.declare("t", "stream");
        let mut first = world.peer();
        let mut old = first.init(Some("id"), modern);
        if !modern {
            first.add(&old, &["t"]).expect("added");
        }
        first.produce(&old, "t", 0, &["lost"]).expect("appended");
        let mut second = world.peer();
        let mut new = second.init(Some("id"), modern);
        assert_eq!(new.producer.id, old.producer.id);
        assert_eq!(new.producer.epoch, old.producer.epoch + 1);
        // The mark fenced it in the partition, and the coordinator knows.
        assert!(first.produce(&old, "t", 1, &["late"]).is_err());
        let fenced = Err(TransactionRefused::Fenced);
        assert_eq!(first.add(&old, &["t"]), fenced);
        assert_eq!(first.commit_offset(&old, ("g", "t"), 1), fenced);
        let ended = first.end(&mut old, true);
        assert_eq!(ended, Err(TransactionRefused::Fenced));
        if !modern {
            second.add(&new, &["t"]).expect("added");
        }
        second.produce(&new, "t", 0, &["kept"]).expect("appended");
        second.end(&mut new, true).expect("ended");
        world.commit();
        assert_eq!(world.values("t"), ["kept"]);
    }
}

#[test]
fn a_batch_needs_its_transaction() {
    let world = World::new(5);
    world.declare("t", "stream");
    world.declare("q", "queue");
    let mut peer = world.peer();
    let mut writing = peer.init(Some("id"), false);
    let outside = peer.produce(&writing, "t", 0, &["a"]);
    let refused = AppendRefused::Transaction(TransactionRefused::NotInTransaction);
    assert_eq!(outside, Err(refused.clone()));
    peer.add(&writing, &["t"]).expect("added");
    peer.produce(&writing, "t", 0, &["a"]).expect("appended");
    peer.end(&mut writing, true).expect("ended");
    // It comes late, and would stay open for ever.
    assert_eq!(peer.produce(&writing, "t", 1, &["b"]), Err(refused));
    assert_eq!(peer.add(&writing, &["q"]), Err(TransactionRefused::State));
    let mut modern = writing.clone();
    modern.modern = true;
    let queue = peer.produce(&modern, "q", 0, &["a"]);
    assert_eq!(queue, Err(AppendRefused::WorkQueue));
    world.declare("u", "stream");
    let lost = peer.produce(&modern, "u", 2, &["c"]);
    let expected = ProducerRefused::OutOfOrder {
        expected: 0,
        found: 2,
    };
    assert_eq!(lost, Err(AppendRefused::Producer(expected)));
    assert_eq!(
        peer.add(&writing, &["nowhere"]),
        Err(TransactionRefused::UnknownPartition)
    );
    let stranger = world::Writing {
        id: Some(Arc::from("nobody")),
        ..writing.clone()
    };
    let unknown = Err(TransactionRefused::UnknownProducer);
    assert_eq!(peer.add(&stranger, &["t"]), unknown);
    let unnamed = peer.init(Some("other"), true);
    let mut unnamed = world::Writing {
        producer: unnamed.producer,
        ..writing
    };
    unnamed.modern = true;
    let refused = peer.produce(&unnamed, "t", 0, &["a"]);
    let unknown = AppendRefused::Transaction(TransactionRefused::UnknownProducer);
    assert_eq!(refused, Err(unknown));
}

#[test]
fn what_is_open_for_too_long_is_aborted_also_after_a_crash() {
    for crash in BOTH {
        let mut world = World::new(6);
        world.declare("t", "stream");
        let mut peer = world.peer();
        let mut writing = peer.init(Some("id"), true);
        peer.produce(&writing, "t", 0, &["a"]).expect("appended");
        let committed = peer.commit_offset(&writing, ("g", "t"), 1);
        committed.expect("committed");
        world.commit();
        assert_eq!(world.committed("g", "t"), Err(()), "it may be aborted");
        if crash {
            drop(peer);
            world.crash();
            peer = world.peer();
        }
        world.pass(59_999);
        assert_eq!(world.fetch("t", true).stable, Offset(0));
        world.pass(1);
        world.commit();
        assert_eq!(world.fetch("t", true).stable, Offset(2));
        assert_eq!(world.values("t"), Vec::<String>::new());
        assert_eq!(world.committed("g", "t"), Ok(None));
        let ended = peer.end(&mut writing, true);
        assert_eq!(ended, Err(TransactionRefused::Fenced));
    }
}

#[test]
fn offsets_count_once_their_transaction_is_committed() {
    for modern in BOTH {
        let world = World::new(7);
        world.declare("t", "stream");
        let mut peer = world.peer();
        let mut writing = peer.init(Some("id"), modern);
        for (offset, committed, known) in [(5, true, 5), (9, false, 5), (7, true, 7)] {
            let commit = peer.commit_offset(&writing, ("g", "t"), offset);
            commit.expect("committed");
            assert_eq!(world.committed("g", "t"), Err(()));
            peer.end(&mut writing, committed).expect("ended");
            assert_eq!(world.committed("g", "t"), Ok(Some(known)));
        }
    }
}

#[test]
fn an_amqp_reader_is_handed_what_is_committed() {
    let world = World::new(8);
    world.declare("t", "stream");
    let mut reader = world.peer();
    reader.consume("t");
    let mut peer = world.peer();
    let mut writing = peer.init(Some("id"), true);
    let plain = peer.init(None, true);
    peer.produce(&writing, "t", 0, &["a", "b"])
        .expect("appended");
    peer.produce(&plain, "t", 0, &["plain"]).expect("appended");
    world.commit();
    assert!(reader.handed().is_empty(), "it is behind an open one");
    peer.end(&mut writing, true).expect("ended");
    assert!(reader.handed().is_empty(), "it is not durable");
    world.commit();
    let handed: Vec<(u64, String)> = reader.handed();
    let own = |offset: u64, value: &str| (offset, value.to_owned());
    assert_eq!(handed, [own(0, "a"), own(1, "b"), own(2, "plain")]);
    // More than its credit is taken back: what is hidden is settled for it.
    for nth in 0..8 {
        peer.produce(&writing, "t", 0, &["no", "no"])
            .expect("appended");
        peer.end(&mut writing, nth == 7).expect("ended");
    }
    peer.produce(&plain, "t", 1, &["end"]).expect("appended");
    world.commit();
    let handed = reader.handed();
    assert_eq!(handed, [own(25, "no"), own(26, "no"), own(28, "end")]);
    // One that comes later, and reads from the log.
    world.checkpoint();
    let mut late = world.peer();
    late.consume("t");
    let values: Vec<String> = late.handed().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "plain", "no", "no", "end"]);
}

#[test]
fn a_partition_that_goes_holds_nothing_up() {
    let world = World::new(9);
    world.declare("t", "stream");
    world.declare("u", "stream");
    let mut peer = world.peer();
    let mut writing = peer.init(Some("id"), true);
    peer.produce(&writing, "t", 0, &["a"]).expect("appended");
    peer.produce(&writing, "u", 0, &["a"]).expect("appended");
    world.delete("t");
    peer.end(&mut writing, true).expect("ended");
    world.commit();
    assert_eq!(world.values("u"), ["a"]);
}

#[test]
fn transactions_are_listed_and_described() {
    let mut world = World::new(10);
    world.declare("t", "stream");
    let mut peer = world.peer();
    let writing = peer.init(Some("b"), true);
    peer.init(Some("a"), true);
    peer.produce(&writing, "t", 0, &["x", "y"])
        .expect("appended");
    let all = Request::List(Filter {
        open_for_ms: -1,
        ..Filter::default()
    });
    let id = writing.producer.id;
    let Answer::Listed(Ok(Listed { transactions, .. })) = peer.ask(all).0 else {
        panic!("not listed");
    };
    let expected = [
        (Arc::from("a"), id + 1, "Empty"),
        (Arc::from("b"), id, "Ongoing"),
    ];
    assert_eq!(transactions, expected);
    let describe = Request::Describe(vec![Arc::from("b"), Arc::from("c")]);
    let Answer::Described(described) = peer.ask(describe).0 else {
        panic!("not described");
    };
    let found = described[0].1.clone().expect("it is there");
    assert_eq!(found.topics, [(Arc::from("t"), vec![0])]);
    assert_eq!(found.since_ms, Some(world.now_ms));
    assert_eq!(described[1].1, Err(TransactionRefused::NotFound));
    let producers = Request::DescribeProducers(vec![(Arc::from("t"), vec![0, 1])]);
    let Answer::Producers(topics) = peer.ask(producers).0 else {
        panic!("not described");
    };
    let active = topics[0].1[0].1.clone().expect("it is there");
    assert_eq!((active[0].producer_id, active[0].last_sequence), (id, 1));
    assert_eq!(active[0].open, Some(Offset(0)));
    assert_eq!(topics[0].1[1].1, Err(TransactionRefused::UnknownPartition));
    // Nobody used them for a week.
    world.pass(60_000);
    world.pass(7 * 24 * 3_600_000);
    world.commit();
    let all = Request::List(Filter {
        open_for_ms: -1,
        ..Filter::default()
    });
    let none = Answer::Listed(Ok(Listed::default()));
    assert_eq!(world.peer().ask(all.clone()).0, none);
    world.crash();
    assert_eq!(world.peer().ask(all).0, none);
}
