//! Members of share groups, on streams and on work queues.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_broker::{Executed, Prepared, SessionHandle};
use bongsu_engine::catalog::Configs;
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::session::{Call, LinkId, Now, Outcome, Reply};
use bongsu_engine::share::call::{
    Describe, DescribedPart, Fate, Fetch, Fetched, Member, PartKey, PartSettles, Settle,
};
use bongsu_engine::share::{Answer, Refused, Request};
use bongsu_record::{Lsn, Offset};
use bongsu_sim::Random;

use super::world::{World, consume, text};

const C1: LinkId = LinkId(1);

fn part(topic: &str) -> PartKey {
    PartKey {
        topic: TopicRef::Name(topic.into()),
        partition: 0,
    }
}

fn member(name: &str) -> Member {
    Member {
        group: "g".into(),
        member: name.into(),
    }
}

fn fetch(name: &str, epoch: i32, topic: &str, count_max: u64) -> Fetch {
    Fetch {
        member: member(name),
        epoch,
        wait_ms: 0,
        bytes_max: 1 << 20,
        count_max,
        whole_batches: false,
        renews: false,
        parts: vec![part(topic)],
        forgotten: Vec::new(),
        settles: Vec::new(),
    }
}

fn settles(topic: &str, fates: &[(Range<u64>, Fate)]) -> Vec<PartSettles> {
    let fates = fates.iter();
    let fates = fates.map(|(range, fate)| (Offset(range.start)..Offset(range.end), *fate));
    vec![PartSettles {
        key: part(topic),
        settles: Ok(fates.collect()),
    }]
}

fn share(world: &mut World, request: Request) -> (Answer, Option<Lsn>) {
    match world.call(Call::Share(Box::new(request))) {
        Reply::Share { answer, wait } => (*answer, wait),
        other => panic!("{other:?}"),
    }
}

fn fetched(world: &mut World, fetch: Fetch) -> Vec<Fetched> {
    match share(world, Request::Fetch(fetch)).0 {
        Answer::Fetched { parts, .. } => parts,
        other => panic!("{other:?}"),
    }
}

/// What was acquired of one topic: offset and delivery.
fn acquired(parts: &[Fetched]) -> Vec<(u64, u32)> {
    let runs = parts.iter().flat_map(|part| &part.acquired);
    let each = runs.flat_map(|(r, count)| (r.start.0..r.end.0).map(|offset| (offset, *count)));
    each.collect()
}

/// Settles in a request of its own.
fn settle(
    world: &mut World,
    name: &str,
    epoch: i32,
    fates: &[(Range<u64>, Fate)],
) -> Result<(), Refused> {
    let request = Request::Settle(Settle {
        member: member(name),
        epoch,
        renews: fates.iter().any(|(_, fate)| *fate == Fate::Renewed),
        settles: settles("s", fates),
    });
    match share(world, request).0 {
        Answer::Settled { parts, .. } => parts[0].1,
        Answer::Refused(refused) => Err(refused),
        other => panic!("{other:?}"),
    }
}

fn configure(world: &mut World, pairs: &[(&str, &str)]) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let configs: Configs = pairs.iter().map(owned).collect();
    let space = SpaceId::DEFAULT;
    world
        .broker
        .configure_group(space, "g", configs)
        .expect("taken");
}

/// A stream with so many records, and a group that begins with its first.
fn world(seed: u64, count: u64, more: &[(&str, &str)]) -> World {
    let mut world = World::new(seed);
    world.declare("s", &[("x-queue-type", text("stream"))]);
    let mut configs = vec![("share.auto.offset.reset", "earliest")];
    configs.extend_from_slice(more);
    configure(&mut world, &configs);
    if count > 0 {
        world.publish("s", 0..count);
    }
    world.commit();
    world
}

#[test]
fn members_share_records_and_settle_them() {
    let mut world = world(1, 5, &[]);
    let first = fetched(&mut world, fetch("a", 0, "s", 2));
    assert_eq!(acquired(&first), [(0, 1), (1, 1)]);
    assert_eq!(first[0].batches.len(), 1, "whole batches are sent");
    assert_eq!(
        acquired(&fetched(&mut world, fetch("b", 0, "s", 9))),
        [(2, 1), (3, 1), (4, 1)]
    );
    let fates = [(0..1, Fate::Accepted), (1..2, Fate::Released)];
    assert_eq!(settle(&mut world, "a", 1, &fates), Ok(()));
    assert_eq!(
        settle(
            &mut world,
            "b",
            1,
            &[(2..3, Fate::Gap), (3..4, Fate::Rejected)]
        ),
        Ok(())
    );
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 2, "s", 9))),
        [(1, 2)]
    );
    // What a member does not hold, it cannot settle; and then none of it.
    assert_eq!(
        settle(
            &mut world,
            "a",
            3,
            &[(1..2, Fate::Accepted), (4..5, Fate::Accepted)]
        ),
        Err(Refused::NotHeld)
    );
    assert_eq!(
        settle(&mut world, "a", 4, &[(1..2, Fate::Accepted)]),
        Ok(())
    );
    // The session of b ends: what it holds goes back.
    let _ = settle(&mut world, "b", -1, &[]);
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 5, "s", 9))),
        [(4, 2)]
    );
}

#[test]
fn sessions_are_opened_followed_and_ended() {
    let mut world = world(2, 1, &[]);
    let refused = |world: &mut World, fetch| match share(world, Request::Fetch(fetch)).0 {
        Answer::Refused(refused) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(&mut world, fetch("a", 1, "s", 9)),
        Refused::NoSession
    );
    assert_eq!(fetched(&mut world, fetch("a", 0, "s", 9)).len(), 1);
    assert_eq!(refused(&mut world, fetch("a", 2, "s", 9)), Refused::Epoch);
    assert_eq!(
        settle(&mut world, "a", 0, &[(0..1, Fate::Accepted)]),
        Err(Refused::Epoch)
    );
    let mut with_settles = fetch("a", 0, "s", 9);
    with_settles.settles = settles("s", &[(0..1, Fate::Accepted)]);
    assert_eq!(refused(&mut world, with_settles), Refused::Malformed);
    // One that is opened again holds nothing of the one before.
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 0, "s", 9))),
        [(0, 2)]
    );
    let mut last = fetch("a", -1, "s", 9);
    last.parts.clear();
    last.settles = settles("s", &[(0..1, Fate::Accepted)]);
    let answered = fetched(&mut world, last);
    assert_eq!(answered[0].settled, Some(Ok(())));
    assert_eq!(
        refused(&mut world, fetch("a", 1, "s", 9)),
        Refused::NoSession
    );
    let nameless = Fetch {
        member: Member {
            group: "".into(),
            member: "a".into(),
        },
        ..fetch("a", 0, "s", 9)
    };
    assert_eq!(refused(&mut world, nameless), Refused::Group);
}

#[test]
fn locks_end_are_renewed_and_counted() {
    let mut world = world(
        3,
        2,
        &[
            ("share.delivery.count.limit", "2"),
            ("share.record.lock.duration.ms", "5000"),
        ],
    );
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 0, "s", 9))),
        [(0, 1), (1, 1)]
    );
    world.pass(4_000);
    assert_eq!(settle(&mut world, "a", 1, &[(0..1, Fate::Renewed)]), Ok(()));
    world.pass(1_000);
    // Only the one that was not renewed.
    assert_eq!(
        acquired(&fetched(&mut world, fetch("b", 0, "s", 9))),
        [(1, 2)]
    );
    world.pass(5_000);
    // The other was delivered as often as it may be.
    assert_eq!(
        acquired(&fetched(&mut world, fetch("b", 1, "s", 9))),
        [(0, 2)]
    );
    assert_eq!(
        settle(&mut world, "a", 2, &[(0..1, Fate::Accepted)]),
        Err(Refused::NotHeld)
    );
    assert_eq!(
        settle(&mut world, "b", 2, &[(0..1, Fate::Released)]),
        Ok(())
    );
    assert!(fetched(&mut world, fetch("b", 3, "s", 9)).is_empty());
}

#[test]
fn dead_letters_back_off_and_delay_are_a_groups_too() {
    let mut world = world(
        4,
        0,
        &[
            ("bongsu.dead.letter.routing.key", "dead"),
            ("bongsu.delay.ms", "1000"),
            ("bongsu.retry.backoff.ms", "300"),
        ],
    );
    world.declare("dead", &[]);
    assert!(fetched(&mut world, fetch("a", 0, "s", 9)).is_empty());
    world.publish("s", 0..2);
    world.commit();
    world.clerk();
    assert!(fetched(&mut world, fetch("a", 1, "s", 9)).is_empty());
    world.pass(1_000);
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 2, "s", 9))),
        [(0, 1), (1, 1)]
    );
    let fates = [(0..1, Fate::Rejected), (1..2, Fate::Released)];
    assert_eq!(settle(&mut world, "a", 3, &fates), Ok(()));
    world.clerk();
    assert_eq!(world.get("dead"), Some(0));
    assert!(fetched(&mut world, fetch("a", 4, "s", 9)).is_empty());
    world.pass(300);
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 5, "s", 9))),
        [(1, 2)]
    );
    // From now on there is none of that.
    configure(&mut world, &[]);
    world.publish("s", 2..3);
    world.commit();
    world.clerk();
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 6, "s", 9))),
        [(2, 1)]
    );
}

#[test]
fn members_and_consumers_compete_for_a_work_queue() {
    let mut world = World::new(5);
    world.declare("q", &[]);
    world.publish("q", 0..6);
    world.done(consume(C1, "q", 2, &[]));
    world.commit();
    assert_eq!(world.read(), [(C1, 0, 0), (C1, 1, 1)]);
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 0, "q", 3))),
        [(2, 1), (3, 1), (4, 1)]
    );
    world.settle(C1, 0..2, Outcome::Accept);
    assert_eq!(world.read(), [(C1, 5, 5)]);
    let mut next = fetch("a", 1, "q", 9);
    next.settles = settles("q", &[(2..4, Fate::Accepted), (4..5, Fate::Released)]);
    let answered = fetched(&mut world, next);
    assert_eq!(answered[0].settled, Some(Ok(())));
    // It had credit left: whoever is quicker.
    assert_eq!(world.read(), [(C1, 4, 4)]);
    world.settle(C1, 4..6, Outcome::Accept);
    assert_eq!(world.ready("q"), 0);
}

#[test]
fn bytes_bound_an_answer_and_what_has_no_room_was_not_tried() {
    let mut world = world(6, 0, &[]);
    for number in 0..4 {
        world.publish("s", number..number + 1);
    }
    world.commit();
    let mut small = fetch("a", 0, "s", 9);
    small.bytes_max = 1_500;
    assert_eq!(acquired(&fetched(&mut world, small)), [(0, 1)]);
    assert_eq!(
        acquired(&fetched(&mut world, fetch("b", 0, "s", 9))),
        [(1, 1), (2, 1), (3, 1)]
    );
    // A batch that is sent anyway is acquired as a whole, if the member likes.
    world.publish("s", 4..9);
    world.commit();
    world.clerk();
    let mut whole = fetch("a", 1, "s", 2);
    whole.whole_batches = true;
    assert_eq!(acquired(&fetched(&mut world, whole)).len(), 5);
}

#[test]
fn places_are_told_moved_and_forgotten() {
    let mut world = world(7, 5, &[]);
    let describe = |world: &mut World| {
        let topics = None;
        let group = "g".into();
        let request = Request::Describe(vec![Describe { group, topics }]);
        match share(world, request).0 {
            Answer::Described(mut groups) => groups.remove(0).1,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(describe(&mut world), Err(Refused::NoGroup));
    fetched(&mut world, fetch("a", 0, "s", 2));
    assert_eq!(
        settle(&mut world, "a", 1, &[(0..2, Fate::Accepted)]),
        Ok(())
    );
    let group: Arc<str> = "g".into();
    let alter = |world: &mut World, start| {
        let parts = vec![(part("s"), start)];
        let group = group.clone();
        match share(world, Request::Alter { group, parts }).0 {
            Answer::Altered(altered) => altered.map(|all| all[0].2),
            other => panic!("{other:?}"),
        }
    };
    let at = |place: Option<(u64, u64)>| {
        vec![DescribedPart {
            partition: 0,
            place: place.map(|(start, owed)| (Offset(start), owed)),
            refused: None,
        }]
    };
    assert_eq!(
        describe(&mut world).expect("there")[0].parts,
        at(Some((2, 3)))
    );
    assert_eq!(alter(&mut world, 1), Err(Refused::HasMembers));
    let _ = settle(&mut world, "a", -1, &[]);
    assert_eq!(alter(&mut world, -1), Ok(Err(Refused::Malformed)));
    assert_eq!(alter(&mut world, 1), Ok(Ok(())));
    world.commit();
    world.crash();
    assert_eq!(
        describe(&mut world).expect("there")[0].parts,
        at(Some((1, 4)))
    );
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 0, "s", 2))),
        [(1, 1), (2, 1)]
    );
    let _ = settle(&mut world, "a", -1, &[]);
    let topics = vec![Arc::from("s")];
    match share(
        &mut world,
        Request::Forget {
            group: group.clone(),
            topics,
        },
    )
    .0
    {
        Answer::Forgotten(Ok(all)) => assert_eq!(all[0].2, Ok(())),
        other => panic!("{other:?}"),
    }
    assert_eq!(describe(&mut world), Err(Refused::NoGroup));
}

#[test]
fn a_fetch_waits_for_what_comes_ripe() {
    let mut world = world(8, 0, &[]);
    let now = || Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let mut waits = fetch("a", 0, "s", 9);
    waits.wait_ms = 60_000;
    let call = Call::Share(Box::new(Request::Fetch(waits)));
    assert!(matches!(
        world.session.execute(call, now()),
        Executed::Later
    ));
    assert!(world.session.deadline().is_some());
    world.publish("s", 0..1);
    world.commit();
    world.clerk();
    let answered = |session: &mut SessionHandle| match session.prepare(&mut Vec::new(), 1_000) {
        Prepared::Reply(Reply::Share { answer, .. }) => match *answer {
            Answer::Fetched { parts, .. } => acquired(&parts),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(answered(&mut world.session), [(0, 1)]);
    // And for what somebody gives back.
    let mut other = world.broker.session(true);
    for call in [
        Call::LoginAnonymous,
        Call::OpenSpace {
            space: "/".to_owned(),
        },
    ] {
        other.execute(call, now());
    }
    let mut waits = fetch("b", 0, "s", 9);
    waits.wait_ms = 60_000;
    let call = Call::Share(Box::new(Request::Fetch(waits)));
    assert!(matches!(other.execute(call, now()), Executed::Later));
    assert_eq!(
        settle(&mut world, "a", 1, &[(0..1, Fate::Released)]),
        Ok(())
    );
    assert_eq!(answered(&mut other), [(0, 2)]);
    // A connection that goes gives back what its members hold.
    drop(other);
    assert_eq!(
        acquired(&fetched(&mut world, fetch("a", 2, "s", 9))),
        [(0, 3)]
    );
    // Nothing comes: the deadline ends it.
    let mut waits = fetch("a", 3, "s", 9);
    waits.wait_ms = 1;
    let call = Call::Share(Box::new(Request::Fetch(waits)));
    assert!(matches!(
        world.session.execute(call, now()),
        Executed::Later
    ));
    let late = Now {
        instant: Instant::now() + Duration::from_secs(1),
        unix_ms: 0,
    };
    assert!(matches!(
        world.session.expire(late),
        Some(Executed::Now(Reply::Share { .. }))
    ));
}

/// Random histories over power cuts: what was settled for good and is durable is not
/// acquired again, all else is.
#[test]
fn what_a_group_settled_stays_so_over_power_cuts() {
    for seed in 0..30 {
        history(seed);
    }
}

fn history(seed: u64) {
    let mut world = world(seed, 0, &[("share.delivery.count.limit", "1000")]);
    let mut random = Random::new(seed);
    let mut waits: Vec<Lsn> = Vec::new();
    // Settled, with what that is durable.
    let mut settled = std::collections::BTreeMap::new();
    let mut perhaps = std::collections::BTreeSet::new();
    let mut held: Vec<u64> = Vec::new();
    let mut epoch = 0;
    for _ in 0..150 {
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
                let request = fetch("a", epoch, "s", 1 + random.below(5));
                let (answer, wait) = share(&mut world, Request::Fetch(request));
                epoch += 1;
                let Answer::Fetched { parts, .. } = answer else {
                    panic!("{answer:?}");
                };
                let found = acquired(&parts);
                if !found.is_empty() {
                    // A client is told only then.
                    while wait.is_some_and(|lsn| lsn > world.broker.durable_lsn()) {
                        world.commit();
                    }
                }
                for (offset, _) in found {
                    assert!(waits[offset as usize] <= world.broker.durable_lsn());
                    assert_eq!(settled.get(&offset), None, "seed {seed}: {offset} again");
                    held.push(offset);
                }
            }
            9..11 if !held.is_empty() => {
                let at = random.below(held.len() as u64) as usize;
                let offset = held.swap_remove(at);
                let fate = match random.below(3) {
                    0 => Fate::Released,
                    1 => Fate::Rejected,
                    _ => Fate::Accepted,
                };
                assert_eq!(
                    settle(&mut world, "a", epoch, &[(offset..offset + 1, fate)]),
                    Ok(())
                );
                epoch += 1;
                if fate != Fate::Released {
                    settled.insert(offset, world.broker.position());
                    perhaps.remove(&offset);
                }
            }
            11 => match random.below(3) {
                0 => world.checkpoint(),
                1 => {
                    let durable = world.broker.durable_lsn();
                    world.crash();
                    epoch = 0;
                    held.clear();
                    let end = world.ready("s");
                    assert!(waits.iter().filter(|wait| **wait <= durable).count() as u64 <= end);
                    waits.truncate(end as usize);
                    waits.iter_mut().for_each(|wait| *wait = Lsn(0));
                    settled.retain(|offset, lsn| {
                        let safe = *lsn <= durable;
                        if !safe {
                            perhaps.insert(*offset);
                        }
                        *lsn = Lsn(0);
                        safe
                    });
                }
                _ => {}
            },
            _ => {}
        }
    }
    world.commit();
    world.clerk();
    let mut seen: Vec<u64> = held;
    loop {
        let found = acquired(&fetched(&mut world, fetch("a", epoch, "s", 1_000)));
        epoch += 1;
        if found.is_empty() {
            break;
        }
        seen.extend(found.iter().map(|(offset, _)| *offset));
    }
    for offset in 0..waits.len() as u64 {
        if settled.contains_key(&offset) {
            assert!(!seen.contains(&offset), "seed {seed}: {offset} again");
        } else if !perhaps.contains(&offset) {
            assert!(seen.contains(&offset), "seed {seed}: {offset} is lost");
        }
    }
}
