//! Members that do what they like. Whatever they do: each ticket is answered once, generations
//! only grow, a member is told its own share of its own generation, and once all behave, all
//! are in one generation.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One consumer.
#[derive(Default)]
struct Actor {
    name: String,
    instance: Option<String>,
    old: bool,
    member: String,
    generation: i32,
    /// As the leader: who else is there.
    members: Option<Vec<(String, String)>>,
    phase: Doing,
    /// What it waits for.
    ticket: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Doing {
    #[default]
    Joining,
    Asking,
    Reading,
}

struct Crowd {
    world: World,
    actors: Vec<Actor>,
    /// Whose each open ticket is.
    open: BTreeMap<u64, usize>,
    generation: i32,
}

impl Crowd {
    fn new(delay_ms: u64) -> Crowd {
        let settings = Settings {
            initial_delay_ms: delay_ms,
            ..Settings::default()
        };
        let actors = (0..5).map(|index| Actor {
            name: format!("a{index}"),
            instance: (index >= 3).then(|| format!("i{index}")),
            old: index == 1 || index == 4,
            ..Actor::default()
        });
        Crowd {
            world: World::new(settings),
            actors: actors.collect(),
            open: BTreeMap::new(),
            generation: 0,
        }
    }

    fn ask(&mut self, index: usize, request: Request) {
        let name = self.actors[index].name.clone();
        let ticket = self.world.ticket + 1;
        self.open.insert(ticket, index);
        self.actors[index].ticket = Some(ticket);
        let effects = self.world.ask(&name, request);
        self.take(effects);
    }

    /// As a consumer should.
    fn behave(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        if actor.ticket.is_some() {
            return;
        }
        let (member, instance) = (actor.member.clone(), actor.instance.clone());
        let generation = actor.generation;
        let request = match actor.phase {
            Doing::Joining => Request::Join(Join {
                id_required: member.is_empty() && !actor.old,
                may_skip: !actor.old,
                member,
                instance,
                protocol_type: "consumer".to_owned(),
                protocols: protocols("range", None, None),
                session_timeout_ms: 10_000,
                rebalance_timeout_ms: 5_000,
            }),
            Doing::Asking => Request::Sync(Sync {
                member,
                instance,
                generation,
                protocol_type: None,
                protocol: None,
                assignments: actor
                    .members
                    .take()
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(id, who)| (id, Arc::from(format!("{generation}:{who}").as_bytes())))
                    .collect(),
            }),
            Doing::Reading => Request::Heartbeat {
                member,
                instance,
                generation,
            },
        };
        self.ask(index, request);
    }

    fn hang_up(&mut self, index: usize, forgets: bool) {
        if let Some(ticket) = self.actors[index].ticket.take() {
            self.open.remove(&ticket);
            let effects = self.world.handle(Input::Abandon(Ticket(ticket)));
            self.take(effects);
        }
        let actor = &mut self.actors[index];
        actor.phase = Doing::Joining;
        if forgets {
            actor.member.clear();
        }
    }

    fn leave(&mut self, index: usize) {
        let actor = &self.actors[index];
        if actor.ticket.is_some() {
            return;
        }
        let who = Leaving {
            member: actor.member.clone(),
            instance: actor.instance.clone(),
        };
        let members = vec![who];
        self.ask(index, Request::Leave(Leave { members }));
    }

    fn wait(&mut self, ms: u64) {
        let until_ms = self.world.now_ms + ms;
        let effects = self.world.run_to(until_ms);
        self.take(effects.into_iter().map(|(_, effect)| effect).collect());
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Answer { ticket, answer } = effect else {
                continue;
            };
            let index = self.open.remove(&ticket.0);
            let index = index.expect("each ticket is answered once, and none that is given up");
            let actor = &mut self.actors[index];
            assert_eq!(actor.ticket.take(), Some(ticket.0));
            match answer {
                Answer::Joined(Ok(joined)) => {
                    assert!(
                        joined.generation >= self.generation,
                        "generations only grow"
                    );
                    self.generation = joined.generation;
                    actor.generation = joined.generation;
                    actor.member = joined.member.to_string();
                    actor.phase = Doing::Asking;
                    let leads = joined.leader == joined.member && !joined.skip_assignment;
                    let members = joined.members.iter().map(|member| {
                        let who = member.instance.as_ref().unwrap_or(&member.member);
                        (member.member.to_string(), who.to_string())
                    });
                    actor.members = leads.then(|| members.collect());
                }
                Answer::Synced(Ok(synced)) => {
                    let who = actor.instance.as_ref().unwrap_or(&actor.member);
                    let own = format!("{}:{who}", actor.generation);
                    assert_eq!(String::from_utf8_lossy(&synced.assignment), own);
                    actor.phase = Doing::Reading;
                }
                Answer::Alive(Ok(())) => {}
                Answer::Joined(Err(GroupError::MemberIdRequired { member })) => {
                    actor.member = member.to_string();
                }
                Answer::Joined(Err(error))
                | Answer::Synced(Err(error))
                | Answer::Alive(Err(error)) => {
                    actor.phase = Doing::Joining;
                    match error {
                        GroupError::RebalanceInProgress | GroupError::IllegalGeneration => {}
                        GroupError::UnknownMember | GroupError::FencedInstance => {
                            actor.member.clear();
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Answer::Left(_) => {
                    actor.phase = Doing::Joining;
                    actor.member.clear();
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Behave(usize),
    HangUp(usize, bool),
    Leave(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..5_usize).prop_map(Step::Behave),
        2 => (0..5_usize, any::<bool>()).prop_map(|(index, forgets)| Step::HangUp(index, forgets)),
        1 => (0..5_usize).prop_map(Step::Leave),
        3 => (1..8_000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn members_do_what_they_like(steps in steps(), delay_ms in prop_oneof![Just(0), Just(3_000_u64)]) {
        let mut crowd = Crowd::new(delay_ms);
        for step in steps {
            match step {
                Step::Behave(index) => crowd.behave(index),
                Step::HangUp(index, forgets) => crowd.hang_up(index, forgets),
                Step::Leave(index) => crowd.leave(index),
                Step::Wait(ms) => crowd.wait(ms),
            }
        }
        // Members that nobody is any more go within their session timeout.
        for _ in 0..60 {
            for index in 0..5 {
                crowd.behave(index);
            }
            crowd.wait(500);
        }
        for actor in &crowd.actors {
            prop_assert_eq!(actor.phase, Doing::Reading, "{}", actor.name);
            prop_assert_eq!(actor.generation, crowd.generation, "{}", actor.name);
        }
        prop_assert!(crowd.open.is_empty());
        let Answer::Described(Ok(described)) = describe(&mut crowd.world) else {
            panic!("it is there");
        };
        prop_assert_eq!(described.state, "Stable");
        prop_assert_eq!(described.members.len(), 5);
    }
}

fn describe(world: &mut World) -> Answer {
    let effects = world.ask("x", Request::Describe);
    match effects.into_iter().next() {
        Some(Effect::Answer { answer, .. }) => answer,
        other => panic!("{other:?}"),
    }
}
