//! Queues that consume a stream's records.

use bongsu_engine::Refused;
use bongsu_engine::session::{Call, LinkId, Outcome, Publish, Reply};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Lsn, Value};
use bongsu_sim::Random;

use super::world::{World, consume, text};

const C1: LinkId = LinkId(1);
const C2: LinkId = LinkId(2);

fn world(seed: u64, stream: &[(&str, Value)]) -> World {
    let mut world = World::new(seed);
    let mut arguments = vec![("x-queue-type", text("stream"))];
    arguments.extend_from_slice(stream);
    world.declare("s", &arguments);
    world
}

fn subscribe(world: &mut World, name: &str, from: Value, more: &[(&str, Value)]) {
    let mut arguments = vec![("x-subscribe", text("s")), ("x-subscribe-from", from)];
    arguments.extend_from_slice(more);
    world.declare(name, &arguments);
}

/// Publishes, and lets it be told.
fn publish(world: &mut World, numbers: std::ops::Range<u64>) {
    world.publish("s", numbers);
    world.clerk();
    world.commit();
}

#[test]
fn consumers_of_a_subscription_compete_for_the_records_of_a_stream() {
    let mut world = world(1, &[]);
    publish(&mut world, 0..3);
    subscribe(&mut world, "all", text("first"), &[]);
    subscribe(&mut world, "new", text("next"), &[]);
    assert_eq!((world.ready("all"), world.ready("new")), (3, 0));
    world.done(consume(C1, "all", 2, &[]));
    world.done(consume(C2, "all", 2, &[]));
    world.commit();
    let found = world.read();
    assert_eq!(
        found.iter().map(|(_, n, _)| *n).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    world.settle(C1, 0..3, Outcome::Accept);
    world.settle(C2, 0..3, Outcome::Accept);
    publish(&mut world, 3..5);
    let found = world.read();
    assert_eq!(found.iter().map(|(_, n, _)| *n).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(world.get("new"), Some(3));
    // The stream has all of it.
    assert_eq!(world.read_all("s").len(), 5);
}

#[test]
fn nothing_is_handed_out_before_it_is_durable() {
    let mut world = world(2, &[]);
    subscribe(&mut world, "all", text("first"), &[]);
    world.done(consume(C1, "all", 0, &[]));
    publish(&mut world, 0..1);
    assert_eq!(world.read().len(), 1);
    world.publish("s", 1..3);
    world.clerk();
    assert!(world.read().is_empty());
    world.commit();
    assert_eq!(world.read().len(), 2);
}

#[test]
fn what_was_settled_stays_so_and_what_was_lent_comes_back() {
    let mut world = world(3, &[]);
    publish(&mut world, 0..4);
    subscribe(&mut world, "all", text("first"), &[]);
    subscribe(&mut world, "later", Value::Int(2), &[]);
    world.done(consume(C1, "all", 3, &[]));
    world.commit();
    assert_eq!(world.read().len(), 3);
    world.settle(C1, 1..2, Outcome::Accept);
    world.commit();
    for checkpoint in [false, true] {
        if checkpoint {
            world.checkpoint();
        }
        world.crash();
        assert_eq!((world.ready("all"), world.ready("later")), (3, 2));
    }
    world.restart();
    world.done(consume(C1, "all", 0, &[]));
    world.done(consume(C2, "later", 0, &[]));
    world.commit();
    let found = world.read();
    let of = |link| {
        let own = found.iter().filter(move |(of, _, _)| *of == link);
        own.map(|(_, number, _)| *number).collect::<Vec<_>>()
    };
    assert_eq!(of(C1), [0, 2, 3]);
    assert_eq!(of(C2), [2, 3]);
}

#[test]
fn what_a_stream_drops_its_subscriptions_miss() {
    let mut world = world(4, &[("x-max-age", text("5s"))]);
    publish(&mut world, 0..2);
    subscribe(&mut world, "all", text("first"), &[]);
    world.done(consume(C1, "all", 1, &[]));
    world.commit();
    assert_eq!(world.read().len(), 1);
    world.pass(6_000);
    publish(&mut world, 2..4);
    world.pass(1_000);
    world.clerk();
    assert_eq!(world.ready("all"), 1, "one of the new ones is lent by now");
    assert_eq!(world.read(), [(C1, 2, 2)]);
}

#[test]
fn a_subscription_goes_with_its_stream_and_takes_no_records() {
    let mut world = world(5, &[]);
    subscribe(&mut world, "all", text("first"), &[]);
    world.done(consume(C1, "all", 1, &[]));
    let mut builder = Builder::new();
    builder.begin(Origin::Amqp091, 0, b"", b"all", &[0, 0], 0);
    builder.end();
    let publish = Call::Publish(Publish {
        exchange: String::new(),
        routing_key: "all".to_owned(),
        more_keys: Vec::new(),
        batch: builder.finish(0).expect("a record"),
    });
    let reply = world.call(publish);
    assert!(
        matches!(reply, Reply::Published { routed: false, .. }),
        "{reply:?}"
    );
    world.done(Call::DeleteQueue {
        name: "s".to_owned(),
        if_unused: false,
        if_empty: false,
    });
    world.read();
    assert_eq!(world.closed, [C1]);
    world.commit();
    world.restart();
    let again = world.call(consume(C1, "all", 1, &[]));
    assert!(matches!(again, Reply::Refused(Refused::NotFound { .. })));
}

#[test]
fn it_delays_backs_off_and_has_dead_letters() {
    let mut world = world(6, &[]);
    world.declare("dead", &[]);
    let more = [
        ("x-delivery-delay", Value::Int(2_000)),
        ("x-delivery-limit", Value::Int(1)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
        ("x-retry-delays", Value::List(vec![Value::Int(500)])),
    ];
    subscribe(&mut world, "later", text("first"), &more);
    world.done(consume(C1, "later", 0, &[]));
    publish(&mut world, 0..1);
    world.pass(1_999);
    assert!(world.read().is_empty());
    world.pass(1);
    world.commit();
    assert_eq!(world.read(), [(C1, 0, 0)]);
    world.settle(C1, 0..1, Outcome::Fail);
    assert!(world.read().is_empty());
    world.pass(500);
    assert_eq!(world.read(), [(C1, 0, 0)]);
    world.settle(C1, 0..1, Outcome::Fail);
    world.clerk();
    assert_eq!(world.get("dead"), Some(0));
    assert_eq!(world.read_all("s"), [0]);
}

/// Random histories over power cuts: what was settled and synced is never seen again, what
/// was not settled comes back.
#[test]
fn random_histories_of_subscriptions_survive_power_cuts() {
    for seed in 0..40 {
        history(seed);
    }
}

fn history(seed: u64) {
    let mut world = world(seed, &[]);
    let mut random = Random::new(seed);
    subscribe(&mut world, "all", text("first"), &[]);
    // Of each record: confirmed; settled, and what was recorded by then; safely settled.
    let mut waits = Vec::new();
    let mut settled = std::collections::BTreeMap::new();
    // Settled, and a crash may have taken that back.
    let mut perhaps = std::collections::BTreeSet::new();
    let mut held: Vec<u64> = Vec::new();
    let mut attached = false;
    for _ in 0..120 {
        match random.below(12) {
            0..3 => {
                let first = waits.len() as u64;
                let count = 1 + random.below(4);
                let wait = world.publish_waited("s", (first..first + count).map(|n| (n, "")));
                waits.extend((0..count).map(|_| wait));
            }
            3..5 => world.clerk(),
            5..7 => world.commit(),
            7..9 => {
                if !attached {
                    world.done(consume(C1, "all", 8, &[]));
                    attached = true;
                }
                for (_, number, offset) in world.read() {
                    assert_eq!(number, offset, "no confirmed record was lost before it");
                    let durable = world.broker.durable_lsn();
                    assert!(waits[number as usize] <= durable);
                    let known = settled.get(&number);
                    assert_ne!(known, Some(&Lsn(0)), "seed {seed}: {number} again");
                    held.push(number);
                }
            }
            9 if !held.is_empty() => {
                let at = random.below(held.len() as u64) as usize;
                let number = held.swap_remove(at);
                world.settle(C1, number..number + 1, Outcome::Accept);
                settled.insert(number, world.broker.position());
            }
            10 => world.checkpoint(),
            11 if random.below(3) == 0 => {
                let durable = world.broker.durable_lsn();
                world.crash();
                attached = false;
                held.clear();
                // What nobody confirmed may be gone, and its numbers are used again.
                let end = world.ready("s");
                assert!(waits.iter().filter(|wait| **wait <= durable).count() as u64 <= end);
                waits.truncate(end as usize);
                waits.fill(Lsn(0));
                settled.retain(|number, lsn| {
                    let safe = *lsn <= durable;
                    if !safe {
                        perhaps.insert(*number);
                    }
                    *lsn = Lsn(0);
                    safe
                });
            }
            _ => {}
        }
    }
    world.restart();
    let count = waits.len() as u64;
    world.done(consume(C1, "all", 0, &[]));
    world.commit();
    let seen: Vec<u64> = world
        .read()
        .into_iter()
        .map(|(_, number, _)| number)
        .collect();
    for number in 0..count {
        if settled.contains_key(&number) {
            assert!(!seen.contains(&number), "seed {seed}: {number} again");
        } else if !perhaps.contains(&number) {
            assert!(seen.contains(&number), "seed {seed}: {number} is lost");
        }
    }
}
