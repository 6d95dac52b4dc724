//! Random groups of clients that lose answers, fall silent, and obey otherwise.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::beat::{self, Beat};
use super::histories::World;
use super::settings::Settings;
use super::topics::{Held, Partition, Topics};
use super::*;

/// A client as the Java library is: it holds what it was told, and gives up what it is no
/// longer told at once.
#[derive(Clone, Debug, Default)]
struct Client {
    epoch: i32,
    held: Held,
    topics: Vec<String>,
    heard_ms: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Join { client: u8, topics: u8 },
    Beat { client: u8, lost: bool },
    Want { client: u8, topics: u8 },
    Leave { client: u8 },
    Topic { topic: u8, partition_count: u32 },
    Wait { ms: u64 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0_u8..5;
    prop_oneof![
        3 => (client.clone(), 1_u8..8).prop_map(|(client, topics)| Step::Join { client, topics }),
        20 => (client.clone(), prop::bool::weighted(0.1)).prop_map(|(client, lost)| Step::Beat { client, lost }),
        1 => (client.clone(), 1_u8..8).prop_map(|(client, topics)| Step::Want { client, topics }),
        1 => client.prop_map(|client| Step::Leave { client }),
        1 => (0_u8..3, 0_u32..6).prop_map(|(topic, partition_count)| Step::Topic { topic, partition_count }),
        2 => (0_u64..300).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ]
}

struct Model {
    world: World,
    group: ConsumerGroup,
    clients: BTreeMap<u8, Client>,
    notes: Vec<Note>,
    now_ms: u64,
}

const SETTINGS: Settings = Settings {
    session_timeout_ms: 1000,
    heartbeat_interval_ms: 100,
    members_max: 4,
};

fn names(topics: u8) -> Vec<String> {
    let named = (0..3).filter(|bit| topics & (1 << bit) != 0);
    named.map(|bit| format!("t{bit}")).collect()
}

impl Model {
    fn new() -> Model {
        let mut world = World::default();
        world.set("t0", 3);
        world.set("t1", 2);
        Model {
            world,
            group: ConsumerGroup::new(SETTINGS),
            clients: BTreeMap::new(),
            notes: Vec::new(),
            now_ms: 1,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Join { client, topics } => {
                let joined = Client {
                    topics: names(*topics),
                    ..Client::default()
                };
                self.clients.insert(*client, joined);
                self.beat(*client, false);
            }
            Step::Beat { client, lost } => self.beat(*client, *lost),
            Step::Want { client, topics } => {
                if let Some(known) = self.clients.get_mut(client) {
                    known.topics = names(*topics);
                    self.beat(*client, false);
                }
            }
            Step::Leave { client } => {
                if self.clients.remove(client).is_some() {
                    let left = self.send(
                        *client,
                        &Beat {
                            epoch: beat::LEAVE,
                            ..Beat::default()
                        },
                    );
                    // Perhaps it was out already.
                    assert!(matches!(left, Ok(_) | Err(Refused::UnknownMember { .. })));
                }
            }
            Step::Topic {
                topic,
                partition_count,
            } => {
                let name = format!("t{topic}");
                let before = self.world.by_name(&name).map_or(0, |t| t.partition_count);
                // Topics only grow.
                if *partition_count == 0 || *partition_count > before {
                    self.world.set(&name, *partition_count);
                    self.group.topics_changed(&self.world, &mut self.notes);
                }
            }
            Step::Wait { ms } => {
                self.now_ms += ms;
                if self.group.deadline_ms().is_some_and(|at| at <= self.now_ms) {
                    self.group.timeout(self.now_ms, &mut self.notes);
                    assert!(self.group.deadline_ms().is_none_or(|at| at > self.now_ms));
                }
                // Who was not answered for so long knows that it is out.
                let until = self.now_ms.saturating_sub(1000);
                self.clients.retain(|_, client| client.heard_ms > until);
            }
            Step::Restart => {
                let mut again = ConsumerGroup::new(SETTINGS);
                for note in &self.notes {
                    again.replay(note.clone());
                }
                again.replayed(self.now_ms);
                again.topics_changed(&self.world, &mut self.notes);
                let mut bytes = Vec::new();
                for note in again.notes() {
                    note.encode(&mut bytes);
                }
                self.group = again;
                // Its checkpoint says the same as its notes.
                let mut rest = &bytes[..];
                self.notes.clear();
                while !rest.is_empty() {
                    self.notes.push(Note::decode(&mut rest).expect("own notes"));
                }
            }
        }
        self.check();
    }

    fn send(&mut self, client: u8, beat: &Beat) -> Result<Beaten, Refused> {
        let beat = Beat {
            member: format!("m{client}"),
            names_itself: true,
            ..beat.clone()
        };
        let asker = Asker {
            client_id: "c",
            client_host: "h",
            token: 0,
        };
        let answer = self
            .group
            .beat(&beat, asker, &self.world, self.now_ms, &mut self.notes);
        self.group.check();
        answer
    }

    fn beat(&mut self, client: u8, lost: bool) {
        let Some(mut known) = self.clients.get(&client).cloned() else {
            return;
        };
        let beat = Beat {
            epoch: known.epoch,
            rebalance_timeout_ms: Some(400),
            topics: Some(known.topics.clone()),
            held: Some(known.held.clone()),
            ..Beat::default()
        };
        let answer = self.send(client, &beat);
        match answer {
            _ if lost => return,
            Ok(told) => {
                known.epoch = told.epoch;
                known.heard_ms = self.now_ms;
                let assignment = told.assignment.expect("all was said");
                let parts = assignment.into_iter();
                known.held = parts
                    .flat_map(|(topic, indexes)| {
                        indexes
                            .into_iter()
                            .map(move |index| Partition { topic, index })
                    })
                    .collect();
            }
            Err(Refused::FencedEpoch { .. } | Refused::UnknownMember { .. }) => {
                known.epoch = 0;
                known.held.clear();
            }
            Err(Refused::Full { .. }) => {
                self.clients.remove(&client);
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
        self.clients.insert(client, known);
    }

    /// No two clients believe to hold the same. One that did not give up in time what it was
    /// to, and has not heard yet that it is out, is Kafka's risk as ours; here, all are heard
    /// of before that.
    fn check(&self) {
        self.group.check();
        let mut seen = BTreeSet::new();
        for (name, client) in &self.clients {
            if self.group.member(&format!("m{name}")).is_none() {
                continue;
            }
            for partition in &client.held {
                assert!(seen.insert(*partition), "{partition:?} is held twice");
            }
        }
    }

    /// With nothing else happening, all partitions come to be held, each by one.
    fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            for client in 0..5 {
                self.beat(client, false);
                self.check();
            }
            let expected = match self.clients.is_empty() {
                true => GroupState::Empty,
                false => GroupState::Stable,
            };
            // Who left the model silently is out after a session.
            self.now_ms += 300;
            self.group.timeout(self.now_ms, &mut self.notes);
            if self.group.state() == expected && rounds > 5 {
                break;
            }
            rounds += 1;
            assert!(rounds < 20, "{:?}", self.group.describe(&self.world));
        }
        let mut wanted = BTreeSet::new();
        for client in self.clients.values() {
            for shape in client
                .topics
                .iter()
                .filter_map(|name| self.world.by_name(name))
            {
                let topic = shape.id;
                wanted.extend((0..shape.partition_count).map(|index| Partition { topic, index }));
            }
        }
        let held: BTreeSet<Partition> = self
            .clients
            .values()
            .flat_map(|client| client.held.iter().copied())
            .collect();
        assert_eq!(held, wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nobody_holds_what_another_holds(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.settle();
    }
}
