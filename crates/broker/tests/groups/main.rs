//! Groups as sessions see them: who waits is answered, who goes is missed, what was committed
//! is there after a crash.

mod world;

use bongsu_engine::group::offsets::FetchOffsets;
use bongsu_engine::group::{Answer, Call, Client, GroupError, Request};
use bongsu_sim::Random;
use world::World;

#[test]
fn two_consumers_share_out() {
    let mut world = World::new(1);
    world.declare("t");
    let (mut a, mut b) = (world.consumer(), world.consumer());
    assert_eq!(a.join(&world, "g"), None);
    assert_eq!(b.join(&world, "g"), None);
    assert_eq!(a.answer(), None, "more may come");
    world.pass(3_000);
    world.pass(3_000);
    let members = a.joined();
    assert_eq!(b.joined(), Vec::<String>::new());
    assert_eq!(members.len(), 2);
    assert_eq!(b.sync(&world, "g", &[]), None);
    let shares = [(&*a.member.clone(), "x"), (&*b.member.clone(), "y")];
    let Some(Answer::Synced(Ok(own))) = a.sync(&world, "g", &shares) else {
        panic!("the leader has its share");
    };
    assert_eq!(&*own.assignment, b"x");
    let Some(Answer::Synced(Ok(own))) = b.answer() else {
        panic!("the other has its share");
    };
    assert_eq!(&*own.assignment, b"y");
    assert_eq!(a.heartbeat(&world, "g"), Ok(()));
    // One of them says nothing for longer than it may.
    world.pass(9_000);
    assert_eq!(a.heartbeat(&world, "g"), Ok(()));
    world.pass(1_000);
    assert_eq!(
        a.heartbeat(&world, "g"),
        Err(GroupError::RebalanceInProgress)
    );
    assert_eq!(b.heartbeat(&world, "g"), Err(GroupError::UnknownMember));
}

#[test]
fn whoever_hangs_up_while_it_waits_is_not_waited_for() {
    let mut world = World::new(2);
    let (mut a, mut b) = (world.consumer(), world.consumer());
    assert_eq!(a.join(&world, "g"), None);
    assert_eq!(b.join(&world, "g"), None);
    drop(b);
    for _ in 0..10 {
        world.pass(1_000);
    }
    // It was a member for its session timeout, as it might have come back.
    let members = a.joined();
    assert_eq!(members, vec![a.member.clone()]);
}

#[test]
fn committed_offsets_last_and_members_do_not() {
    let mut world = World::new(3);
    world.declare("t");
    let mut a = world.consumer();
    assert_eq!(a.join(&world, "g"), None);
    world.pass(3_000);
    a.joined();
    let member = a.member.clone();
    a.sync(&world, "g", &[(&member, "all")]);
    let lsn = a.commit(&world, ("g", "t"), 7).expect("it is a member");
    assert!(lsn.is_some(), "it is told once it is durable");
    world.commit();
    assert!(lsn <= Some(world.broker.durable_lsn()));
    for crashes in 0..3 {
        match crashes {
            0 => world.crash(),
            1 => {
                world.checkpoint();
                world.crash();
            }
            _ => world.restart(),
        }
        let mut again = world.consumer();
        assert_eq!(again.fetch(&world, "g", "t"), Some(7));
        again.member.clone_from(&member);
        again.generation = 1;
        assert_eq!(again.heartbeat(&world, "g"), Err(GroupError::UnknownMember));
        let refused = again.commit(&world, ("g", "t"), 8);
        assert_eq!(refused, Err(GroupError::UnknownMember));
    }
    // Generations go on where they were.
    let mut next = world.consumer();
    assert_eq!(next.join(&world, "g"), None);
    world.pass(3_000);
    next.joined();
    assert_eq!(next.generation, 2);
}

#[test]
fn a_topic_that_goes_takes_its_offsets_along() {
    let mut world = World::new(4);
    world.declare("t");
    world.declare("u");
    let mut a = world.consumer();
    let unknown = a.commit(&world, ("g", "v"), 1);
    assert_eq!(unknown, Err(GroupError::UnknownTopic));
    a.commit(&world, ("g", "t"), 1).expect("nobody is a member");
    a.commit(&world, ("g", "u"), 2).expect("nobody is a member");
    world.commit();
    world.delete("t");
    world.declare("t");
    assert_eq!(a.fetch(&world, "g", "t"), None, "it is another one");
    assert_eq!(a.fetch(&world, "g", "u"), Some(2));
    let all = Request::FetchOffsets(FetchOffsets::default());
    let Some(Answer::Fetched(Ok(topics))) = a.ask(&world, "g", all) else {
        panic!("not fetched");
    };
    assert_eq!(topics.len(), 1);
    world.commit();
    world.crash();
    let mut a = world.consumer();
    assert_eq!(a.fetch(&world, "g", "t"), None);
    assert_eq!(a.fetch(&world, "g", "u"), Some(2));
}

#[test]
fn groups_are_listed_described_and_deleted() {
    let mut world = World::new(5);
    world.declare("t");
    let mut a = world.consumer();
    a.commit(&world, ("g", "t"), 1).expect("nobody is a member");
    assert_eq!(a.join(&world, "h"), None);
    let listed = |a: &mut world::Consumer, world: &World| match a.call(world, Call::List) {
        Some((Answer::Listed(listed), None)) => listed
            .iter()
            .map(|of| format!("{} {} {}", of.group, of.protocol_type, of.state))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let mut b = world.consumer();
    assert_eq!(
        listed(&mut b, &world),
        ["g  Empty", "h consumer PreparingRebalance"]
    );
    let delete = Call::Each {
        client: Client::default(),
        requests: ["g", "h", "i"]
            .map(|group| (group.to_owned(), Request::Delete))
            .to_vec(),
    };
    let Some((Answer::Each(answers), Some(_))) = b.call(&world, delete) else {
        panic!("not deleted");
    };
    let results: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(
        results,
        [
            Answer::Deleted(Ok(())),
            Answer::Deleted(Err(GroupError::NonEmpty)),
            Answer::Deleted(Err(GroupError::NotFound)),
        ]
    );
    assert_eq!(listed(&mut b, &world), ["h consumer PreparingRebalance"]);
    world.commit();
    world.crash();
    assert_eq!(listed(&mut world.consumer(), &world), Vec::<String>::new());
    world.pass(1);
}

#[test]
fn what_was_confirmed_is_there_after_a_crash() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        let mut random = Random::new(seed);
        world.declare("t");
        world.commit();
        let mut commits = Vec::new();
        let mut confirmed: Option<i64> = None;
        let mut offset = 0;
        let mut a = world.consumer();
        for _ in 0..200 {
            match random.below(12) {
                0..=6 => {
                    offset += 1;
                    let lsn = a.commit(&world, ("g", "t"), offset);
                    let lsn = lsn.expect("nobody is a member");
                    commits.push((lsn.expect("it is recorded"), offset));
                }
                7..=8 => world.commit(),
                9 => world.checkpoint(),
                10 => {
                    drop(a);
                    world.crash();
                    commits.clear();
                    a = world.consumer();
                    let found = a.fetch(&world, "g", "t");
                    assert!(
                        found >= confirmed,
                        "seed {seed}: {found:?} of {confirmed:?}"
                    );
                    assert!(found <= Some(offset));
                    confirmed = found;
                }
                _ => world.pass(1_000),
            }
            let durable = world.broker.durable_lsn();
            let safe = commits.iter().filter(|(lsn, _)| *lsn <= durable);
            confirmed = confirmed.max(safe.map(|(_, offset)| *offset).max());
        }
    }
}
