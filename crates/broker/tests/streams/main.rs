//! Streams, and queues that keep what was settled: what readers see, what a retention
//! drops, what a crash leaves.

mod compaction;
mod crash;
mod shares;
mod subscriptions;
mod topics;
mod world;

use bongsu_engine::Refused;
use bongsu_engine::catalog::policy::{ApplyTo, Policy};
use bongsu_engine::refused::StreamOperation;
use bongsu_engine::session::{Call, LinkId, Outcome, Reply};
use bongsu_record::Value;
use world::{World, consume, text};

const R1: LinkId = LinkId(1);
const R2: LinkId = LinkId(2);

fn reader(link: LinkId, queue: &str, from: Value, credit: u32, more: &[(&str, Value)]) -> Call {
    let mut arguments = vec![("x-stream-offset", from)];
    arguments.extend_from_slice(more);
    consume(link, queue, credit, &arguments)
}

#[test]
fn every_reader_sees_everything_once_it_is_durable() {
    let mut world = World::new(1);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    world.publish("s", 0..5);
    world.done(reader(R1, "s", text("first"), 100, &[]));
    assert!(world.read().is_empty(), "nothing is durable");
    world.commit();
    assert_eq!(world.read(), (0..5).map(|n| (R1, n, n)).collect::<Vec<_>>());
    world.done(reader(R2, "s", Value::Int(3), 100, &[]));
    assert_eq!(world.read(), [(R2, 3, 3), (R2, 4, 4)]);
    world.publish("s", 5..6);
    world.commit();
    assert_eq!(world.read(), [(R1, 5, 5), (R2, 5, 5)]);
    world.settle(R1, 0..6, Outcome::Reject);
    for crash in [false, true] {
        match crash {
            true => world.crash(),
            false => world.restart(),
        }
        assert_eq!(world.ready("s"), 6);
        world.done(reader(R1, "s", Value::Int(4), 100, &[]));
        assert_eq!(world.read(), [(R1, 4, 4), (R1, 5, 5)]);
    }
}

#[test]
fn a_stream_declines_what_is_for_queues() {
    let mut world = World::new(2);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    world.declare("q", &[]);
    let refused = |reply| match reply {
        Reply::Refused(refused) => refused,
        other => panic!("{other:?}"),
    };
    let not = |operation| Refused::NotWithStreams {
        queue: "s".to_owned(),
        operation,
    };
    let get = Call::Get {
        link: R1,
        queue: "s".to_owned(),
        auto_settle: false,
    };
    assert_eq!(refused(world.call(get)), not(StreamOperation::Get));
    let purge = Call::PurgeQueue {
        name: "s".to_owned(),
    };
    assert_eq!(refused(world.call(purge)), not(StreamOperation::Purge));
    let mut automatic = reader(R1, "s", text("first"), 0, &[]);
    if let Call::Consume(consume) = &mut automatic {
        consume.auto_settle = true;
    }
    assert_eq!(
        refused(world.call(automatic)),
        not(StreamOperation::AutoSettle)
    );
    let unbounded = world.call(reader(R1, "s", text("first"), 0, &[]));
    let queue = "s".to_owned();
    assert_eq!(refused(unbounded), Refused::NoCredit { queue });
    let no_stream = world.call(reader(R1, "q", text("first"), 9, &[]));
    let argument = "x-stream-offset".to_owned();
    assert_eq!(refused(no_stream), Refused::OnlyForReaders { argument });
    // Without an offset, a stream's consumer reads what comes.
    world.publish("s", 0..2);
    world.done(consume(R1, "s", 9, &[]));
    world.publish("s", 2..3);
    world.commit();
    assert_eq!(world.read(), [(R1, 2, 2)]);
}

#[test]
fn a_queue_that_keeps_is_read_along_without_consuming() {
    let mut world = World::new(3);
    world.declare("q", &[("x-retention", text("1h"))]);
    world.publish("q", 0..10);
    world.commit();
    world.done(consume(R1, "q", 4, &[]));
    world.commit();
    assert_eq!(world.read().len(), 4);
    world.settle(R1, 0..4, Outcome::Accept);
    assert_eq!(world.read().len(), 4);
    world.settle(R1, 4..8, Outcome::Accept);
    assert_eq!(world.read().len(), 2);
    // What is out and what is settled, both are read; and both stay what they are.
    world.done(reader(R2, "q", text("first"), 0, &[]));
    assert_eq!(
        world.read(),
        (0..10).map(|n| (R2, n, n)).collect::<Vec<_>>()
    );
    world.settle(R1, 8..10, Outcome::Accept);
    assert_eq!(world.ready("q"), 0);
    for round in 0..3 {
        match round {
            0 => world.checkpoint(),
            1 => world.crash(),
            _ => world.restart(),
        }
        assert_eq!(world.ready("q"), 0);
        world.done(reader(LinkId(round + 3), "q", text("first"), 0, &[]));
        assert_eq!(world.read().len(), 10, "round {round}");
    }
    world.publish("q", 10..12);
    world.done(Call::PurgeQueue {
        name: "q".to_owned(),
    });
    world.commit();
    world.done(reader(R2, "q", Value::Int(10), 0, &[]));
    assert!(world.read().ends_with(&[(R2, 10, 10), (R2, 11, 11)]));
}

#[test]
fn age_drops_what_is_old_and_nothing_that_is_owed() {
    let mut world = World::new(4);
    world.declare(
        "s",
        &[("x-queue-type", text("stream")), ("x-max-age", text("10s"))],
    );
    world.declare("q", &[("x-retention", text("10s"))]);
    for number in 0..3 {
        world.publish("s", number..number + 1);
        world.publish("q", number..number + 1);
        world.commit();
        world.pass(6_000);
    }
    // 18 s have passed: 0 and 1 are over age, 2 is 6 s old.
    assert_eq!((world.ready("s"), world.ready("q")), (1, 3));
    assert_eq!(world.read_all("s"), [2]);
    assert_eq!(world.read_all("q"), [0, 1, 2], "nobody has had them");
    assert_eq!(world.get("q"), Some(0));
    world.pass(2_000);
    assert_eq!(world.read_all("q"), [1, 2]);
    world.commit();
    world.crash();
    assert_eq!(world.read_all("s"), [2]);
    assert_eq!(world.read_all("q"), [1, 2]);
    assert_eq!((world.get("q"), world.get("q")), (Some(1), Some(2)));
    world.pass(1_500);
    assert_eq!(world.read_all("q"), [2]);
    // Without anybody doing anything.
    world.pass(10_000);
    assert_eq!((world.read_all("s"), world.read_all("q")), (vec![], vec![]));
    world.restart();
    assert_eq!((world.read_all("s"), world.read_all("q")), (vec![], vec![]));
    assert_eq!(world.publish("s", 3..4), 3, "offsets go on");
}

#[test]
fn size_drops_the_oldest() {
    let mut world = World::new(5);
    let bytes = ("x-max-length-bytes", Value::Int(20_000));
    world.declare("s", &[("x-queue-type", text("stream")), bytes]);
    for number in 0..60 {
        world.publish("s", number..number + 1);
        world.commit();
        if number % 20 == 0 {
            world.checkpoint();
        }
    }
    world.pass(1_500);
    let kept = world.read_all("s");
    let first = kept[0];
    assert_eq!(kept, (first..60).collect::<Vec<_>>());
    // Bodies of 1000 bytes, and what is around them.
    assert!((15..20).contains(&kept.len()), "{kept:?}");
    world.crash();
    assert_eq!(world.read_all("s"), kept);
    world.restart();
    assert_eq!(world.read_all("s"), kept);
    let segments = world.segment_bytes();
    assert!(segments < 40_000, "{segments}");
}

#[test]
fn a_tracked_reader_goes_on_where_it_was() {
    let mut world = World::new(6);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    world.publish("s", 0..10);
    world.commit();
    let tracking = [("x-stream-automatic-offset-tracking", Value::Bool(true))];
    let tracked = || reader(R1, "s", text("first"), 100, &tracking);
    world.done(tracked());
    assert_eq!(world.read().len(), 10);
    world.settle(R1, 0..3, Outcome::Accept);
    world.settle(R1, 5..7, Outcome::Accept);
    world.pass(1_500);
    world.commit();
    world.crash();
    world.done(tracked());
    assert_eq!(world.read()[0], (R1, 3, 3));
    // What it did in the last second is lost with a crash; not when it takes its leave.
    world.settle(R1, 3..6, Outcome::Accept);
    world.crash();
    world.done(tracked());
    assert_eq!(world.read()[0], (R1, 3, 3));
    world.settle(R1, 3..6, Outcome::Accept);
    world.done(Call::CloseLink {
        link: R1,
        release: true,
    });
    world.pass(0);
    world.commit();
    world.crash();
    world.done(tracked());
    assert_eq!(world.read()[0], (R1, 6, 6));
    // Nor when the broker does; and a checkpoint knows it.
    world.settle(R1, 6..8, Outcome::Accept);
    world.restart();
    world.checkpoint();
    world.crash();
    world.done(tracked());
    assert_eq!(world.read()[0], (R1, 8, 8));
    // Another name is another reader.
    let mut other = tracked();
    if let Call::Consume(consume) = &mut other {
        consume.link = R2;
        consume.name = "other".to_owned();
    }
    world.done(other);
    assert_eq!(world.read()[0], (R2, 0, 0));
}

#[test]
fn a_filter_leaves_out_what_is_not_wanted() {
    let mut world = World::new(7);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    let colours = ["red", "blue", "", "red", "blue", "blue", "blue", "red"];
    for (number, colour) in (0..).zip(colours) {
        world.publish_coloured("s", number, colour);
    }
    world.commit();
    // Credit of one: what is left out does not count against it.
    let filter = [("x-stream-filter", text("red"))];
    world.done(reader(R1, "s", text("first"), 1, &filter));
    for number in [0, 3, 7] {
        assert_eq!(world.read(), [(R1, number, number)]);
        world.settle(R1, number..number + 1, Outcome::Accept);
    }
    let filter = [
        ("x-stream-filter", text("red")),
        ("x-stream-match-unfiltered", Value::Bool(true)),
    ];
    world.done(reader(R2, "s", text("first"), 9, &filter));
    let found: Vec<u64> = world.read().iter().map(|(_, number, _)| *number).collect();
    assert_eq!(found, [0, 2, 3, 7]);
}

#[test]
fn a_reader_with_an_end_is_closed_there() {
    let mut world = World::new(8);
    world.declare("q", &[("x-retention", text("forever"))]);
    world.publish("q", 0..5);
    world.commit();
    let until = |place| [("x-stream-until", place)];
    world.done(reader(R1, "q", Value::Int(1), 2, &until(text("next"))));
    world.publish("q", 5..6);
    world.commit();
    assert_eq!(world.read().len(), 2);
    assert!(world.closed.is_empty());
    world.settle(R1, 1..3, Outcome::Accept);
    assert_eq!(world.read(), [(R1, 3, 3), (R1, 4, 4)]);
    assert_eq!(world.closed, [R1]);
    assert_eq!(world.links("q"), 0);
    // Nothing to read is an end, too.
    world.done(reader(R2, "q", Value::Int(4), 2, &until(Value::Int(4))));
    assert!(world.read().is_empty());
    assert_eq!(world.closed, [R1, R2]);
}

#[test]
fn what_the_retention_takes_from_a_reader_is_no_debt_of_its() {
    let mut world = World::new(9);
    world.declare(
        "s",
        &[("x-queue-type", text("stream")), ("x-max-age", text("5s"))],
    );
    world.publish("s", 0..3);
    world.commit();
    world.checkpoint();
    // Handed out and not yet sent when it goes.
    world.done(reader(R1, "s", text("first"), 3, &[]));
    world.pass(7_000);
    assert_eq!(world.ready("s"), 0);
    world.publish("s", 3..6);
    world.commit();
    assert_eq!(world.read(), [(R1, 3, 3), (R1, 4, 4), (R1, 5, 5)]);
}

#[test]
fn what_was_read_for_one_that_left_is_not_taken_for_another() {
    let mut world = World::new(13);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    for number in 0..60 {
        world.publish("s", number..number + 1);
    }
    world.commit();
    world.checkpoint();
    // On the disk alone: too much for what is kept in memory.
    world.crash();
    world.done(reader(R1, "s", Value::Int(40), 5, &[]));
    world.done(reader(R2, "s", Value::Int(10), 5, &[]));
    let job = world.read_job();
    world.done(Call::CloseLink {
        link: R1,
        release: false,
    });
    world.session.have_read(job.run());
    assert_eq!(
        world.read(),
        (10..15).map(|n| (R2, n, n)).collect::<Vec<_>>()
    );
}

#[test]
fn readers_count_as_consumers() {
    let mut world = World::new(10);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    world.done(consume(R1, "s", 5, &[]));
    assert_eq!(world.links("s"), 1);
    let delete = |if_unused| Call::DeleteQueue {
        name: "s".to_owned(),
        if_unused,
        if_empty: true,
    };
    assert!(matches!(
        world.call(delete(true)),
        Reply::Refused(Refused::InUse { .. })
    ));
    world.publish("s", 0..3);
    world.commit();
    assert!(matches!(world.call(delete(false)), Reply::Count(_)));
    world.read();
    assert_eq!(world.closed, [R1]);
}

fn policy(name: &str, pattern: &str, definition: &[(&str, Value)]) -> Policy {
    Policy {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: world::table_of(definition),
    }
}

#[test]
fn a_policy_keeps_what_is_settled_from_then_on() {
    let mut world = World::new(11);
    world.declare("q", &[]);
    world.publish("q", 0..6);
    assert_eq!((world.get("q"), world.get("q")), (Some(0), Some(1)));
    let keep = policy("keep", "^q$", &[("retention", text("1h"))]);
    world.broker.set_policy("/", keep).expect("a policy");
    assert_eq!((world.get("q"), world.get("q")), (Some(2), Some(3)));
    world.commit();
    assert_eq!(world.read_all("q"), [2, 3, 4, 5]);
    for round in 0..3 {
        match round {
            0 => world.checkpoint(),
            1 => world.crash(),
            _ => world.restart(),
        }
        assert_eq!(world.read_all("q"), [2, 3, 4, 5], "round {round}");
        assert_eq!(world.ready("q"), 2);
    }
    // Who reads when it is taken away is not harmed, and gets what is still owed.
    world.done(reader(R1, "q", text("first"), 2, &[]));
    assert_eq!(world.read().len(), 2);
    world.broker.clear_policy("/", "keep").expect("no policy");
    world.settle(R1, 2..4, Outcome::Accept);
    assert_eq!(world.read(), [(R1, 4, 4), (R1, 5, 5)]);
    assert_eq!((world.get("q"), world.get("q")), (Some(4), Some(5)));
    world.done(Call::CloseLink {
        link: R1,
        release: true,
    });
    world.commit();
    world.restart();
    let refused = world.call(reader(R1, "q", text("first"), 2, &[]));
    assert!(matches!(
        refused,
        Reply::Refused(Refused::OnlyForReaders { .. })
    ));
    assert_eq!(world.segment_bytes(), 0);
}

#[test]
fn a_policy_bounds_a_stream_and_makes_no_queue_of_it() {
    let mut world = World::new(12);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    for number in 0..4 {
        world.publish("s", number..number + 1);
        world.commit();
        world.pass(3_000);
    }
    // What is for queues is not for streams.
    let of_queues = policy("of-queues", "", &[("message-ttl", Value::Int(1))]);
    world.broker.set_policy("/", of_queues).expect("a policy");
    world.pass(2_000);
    assert_eq!(world.read_all("s"), [0, 1, 2, 3]);
    let bound = policy("bound", "^s$", &[("max-age", text("7s"))]);
    world.broker.set_policy("/", bound).expect("a policy");
    world.pass(0);
    // Published 5 s ago, and 8, 11 and 14.
    assert_eq!(world.read_all("s"), [3]);
    world.restart();
    assert_eq!(world.read_all("s"), [3]);
    world.broker.clear_policy("/", "bound").expect("no policy");
    world.pass(60_000);
    assert_eq!(world.read_all("s"), [3]);
}
