//! Power cuts in the middle of transactions: each is there as a whole or not at all.

use std::collections::BTreeSet;

use bongsu_record::Lsn;
use bongsu_sim::Random;
use bongsu_sim::disk::Fault;

use super::world::{World, Writing};

const TOPICS: [&str; 3] = ["t", "u", "v"];

/// The power goes at each operation of the disk between the end of a transaction and long
/// after it.
#[test]
fn an_end_is_everywhere_or_nowhere_whenever_the_power_goes() {
    let (mut whole, mut absent) = (0, 0);
    for operation in 1.. {
        let mut world = World::new(operation);
        TOPICS
            .iter()
            .for_each(|topic| world.declare(topic, "stream"));
        let mut peer = world.peer();
        let mut writing = peer.init(Some("id"), operation % 2 == 0);
        if !writing.modern {
            peer.add(&writing, &TOPICS).expect("added");
        }
        for topic in TOPICS {
            // The last goes straight to its segment.
            let value = match topic {
                "v" => "x".repeat(5_000),
                _ => "a".to_owned(),
            };
            peer.produce(&writing, topic, 0, &[&value])
                .expect("appended");
        }
        peer.commit_offset(&writing, ("g", "t"), 7)
            .expect("committed");
        world.commit();
        world.disk.set_fault(operation, Fault::PowerCut);
        let lsn = peer.end(&mut writing, true).ok();
        let _ = world.broker.step_commit();
        let confirmed = lsn.is_some_and(|lsn| lsn <= world.broker.durable_lsn());
        let _ = world.broker.step_checkpoint();
        let _ = world.broker.step_commit();
        let happened = world.disk.clear_fault();
        drop(peer);
        world.crash();
        let there: BTreeSet<bool> = TOPICS
            .iter()
            .map(|topic| !world.values(topic).is_empty())
            .collect();
        assert_eq!(there.len(), 1, "operation {operation}: in some only");
        let committed = there.contains(&true);
        assert!(committed || !confirmed, "operation {operation}: lost");
        match committed {
            true => {
                assert_eq!(world.committed("g", "t"), Ok(Some(7)));
                whole += 1;
            }
            false => {
                absent += 1;
                // Still open, and its time is up some day.
                assert_eq!(world.committed("g", "t"), Err(()));
                world.pass(60_000);
                world.commit();
                assert_eq!(world.committed("g", "t"), Ok(None));
            }
        }
        for topic in TOPICS {
            let part = world.fetch(topic, true);
            assert_eq!(part.stable, part.durable_end, "operation {operation}");
        }
        if !happened {
            break;
        }
    }
    assert!(whole > 3 && absent > 1, "{whole} whole, {absent} absent");
}

/// What became of one transaction, as its producer knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Not ended, or aborted, or refused.
    Lost,
    /// Ended; durable with this.
    Ended(Lsn),
    /// Ended and confirmed.
    Confirmed,
    /// Ended, and then the power went.
    Unknown,
}

struct Client {
    writing: Writing,
    /// Number of the next record, by topic.
    sequences: [i32; 3],
    /// The transaction that is open, by number.
    open: Option<usize>,
}

/// Several producers of both forms, fenced by each other, over crashes at any time.
#[test]
fn every_transaction_is_whole_or_absent() {
    let seeds = match std::env::var("BONGSU_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (1..150).collect::<Vec<u64>>(),
    };
    let mut seen = [0; 2];
    for seed in seeds {
        let mut random = Random::new(seed);
        let mut world = World::new(seed);
        TOPICS
            .iter()
            .for_each(|topic| world.declare(topic, "stream"));
        world.commit();
        let mut clients: Vec<Option<Client>> = vec![None, None, None];
        let mut fates: Vec<(Fate, BTreeSet<usize>)> = Vec::new();
        for _ in 0..120 {
            step(&mut world, &mut random, &mut clients, &mut fates);
            let durable = world.broker.durable_lsn();
            for (fate, _) in &mut fates {
                if matches!(fate, Fate::Ended(lsn) if *lsn <= durable) {
                    *fate = Fate::Confirmed;
                }
            }
        }
        world.commit();
        // What is open ends some day.
        world.pass(60_000);
        world.commit();
        let read = TOPICS.map(|topic| world.values(topic));
        for (number, (fate, topics)) in fates.iter().enumerate() {
            let value = format!("{number}");
            let there: BTreeSet<bool> = topics
                .iter()
                .map(|topic| read[*topic].contains(&value))
                .collect();
            assert!(there.len() <= 1, "seed {seed}: {number} is in some only");
            let Some(committed) = there.first() else {
                continue;
            };
            match fate {
                Fate::Lost => assert!(!committed, "seed {seed}: {number} came back"),
                Fate::Confirmed => assert!(committed, "seed {seed}: {number} is lost"),
                Fate::Ended(_) | Fate::Unknown => {}
            }
            seen[usize::from(*committed)] += 1;
        }
        for topic in TOPICS {
            let part = world.fetch(topic, true);
            assert_eq!(part.stable, part.durable_end, "seed {seed}: {topic} hangs");
            let mut values = world.values(topic);
            values.sort_unstable();
            let count = values.len();
            values.dedup();
            assert_eq!(values.len(), count, "seed {seed}: twice in {topic}");
        }
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
}

fn step(
    world: &mut World,
    random: &mut Random,
    clients: &mut [Option<Client>],
    fates: &mut Vec<(Fate, BTreeSet<usize>)>,
) {
    let who = random.below(3) as usize;
    match random.below(20) {
        0..11 => {
            let mut peer = world.peer();
            let client = clients[who].get_or_insert_with(|| Client {
                // Two of them have the same id, and fence each other.
                writing: peer.init(Some(["a", "a", "b"][who]), who != 2),
                sequences: [0; 3],
                open: None,
            });
            let topic = random.below(3) as usize;
            let writing = &client.writing;
            if !writing.modern && peer.add(writing, &[TOPICS[topic]]).is_err() {
                clients[who] = None;
                return;
            }
            let number = *client.open.get_or_insert_with(|| {
                fates.push((Fate::Lost, BTreeSet::new()));
                fates.len() - 1
            });
            if fates[number].1.contains(&topic) {
                return;
            }
            let value = format!("{number}");
            let sequence = client.sequences[topic];
            let sent = peer.produce(&client.writing, TOPICS[topic], sequence, &[&value]);
            if sent.is_err() {
                clients[who] = None;
                return;
            }
            // Its answer is lost: it is sent again.
            if random.chance(1, 4) {
                let again = peer.produce(&client.writing, TOPICS[topic], sequence, &[&value]);
                assert_eq!(again.map(|(base, _)| base), sent.map(|(base, _)| base));
            }
            client.sequences[topic] += 1;
            fates[number].1.insert(topic);
        }
        11..14 => {
            let Some(client) = &mut clients[who] else {
                return;
            };
            let Some(number) = client.open.take() else {
                return;
            };
            let committed = random.chance(3, 4);
            match world.peer().end(&mut client.writing, committed) {
                Ok(lsn) if committed => fates[number].0 = Fate::Ended(lsn),
                Ok(_) => {}
                Err(_) => clients[who] = None,
            }
            if let Some(client) = &mut clients[who]
                && client.writing.modern
            {
                client.sequences = [0; 3];
            }
        }
        14 | 15 => world.commit(),
        16 => world.checkpoint(),
        17 => {
            let ms = random.below(30_000);
            world.pass(ms);
        }
        _ => {
            if random.chance(1, 2) {
                let operation = 1 + random.below(8);
                world.disk.set_fault(operation, Fault::PowerCut);
                let _ = world.broker.step_commit();
                let _ = world.broker.step_checkpoint();
            }
            let durable = world.broker.durable_lsn();
            for (fate, _) in fates.iter_mut() {
                if let Fate::Ended(lsn) = *fate {
                    *fate = match lsn <= durable {
                        true => Fate::Confirmed,
                        false => Fate::Unknown,
                    };
                }
            }
            world.crash();
            // What they were doing is as they left it, or lost; they begin anew.
            clients.fill_with(|| None);
        }
    }
}
