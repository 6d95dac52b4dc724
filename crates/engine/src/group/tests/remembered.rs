//! Random commits, plain and in transactions: what a group remembers is what a naive map says,
//! what was recorded, and what a checkpoint would know.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Commit(u8, i64),
    Pend(u8, u8, i64),
    End(u8, bool),
    Forget(u8),
    TopicDeleted(u8),
    Restart,
}

const TOPICS: [&str; 3] = ["t", "u", "v"];

/// Of six partitions, this one: topic and number.
fn at(index: u8) -> (&'static str, i32) {
    (TOPICS[usize::from(index % 3)], i32::from(index / 3 % 2))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u8, 0..1_000_i64).prop_map(|(index, offset)| Step::Commit(index, offset)),
        4 => (0..3_u8, 0..6_u8, 0..1_000_i64).prop_map(|(who, index, offset)| Step::Pend(who, index, offset)),
        2 => (0..3_u8, any::<bool>()).prop_map(|(who, commit)| Step::End(who, commit)),
        1 => (0..6_u8).prop_map(Step::Forget),
        1 => (0..3_u8).prop_map(Step::TopicDeleted),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// Offset, and when it was said.
type Said = (i64, usize);

#[derive(Default)]
struct Naive {
    committed: BTreeMap<(&'static str, i32), Said>,
    pending: BTreeMap<u8, BTreeMap<(&'static str, i32), Said>>,
}

impl Naive {
    fn forget(&mut self, is_gone: impl Fn(&(&'static str, i32)) -> bool) {
        self.committed.retain(|place, _| !is_gone(place));
        self.pending.retain(|_, places| {
            places.retain(|place, _| !is_gone(place));
            !places.is_empty()
        });
    }
}

fn run(world: &mut World, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    step(world, &words);
}

proptest! {
    #[test]
    fn what_is_remembered_is_what_was_said(steps in steps()) {
        let mut world = World::new(Settings::default());
        let mut naive = Naive::default();
        for (time, step) in steps.into_iter().enumerate() {
            match step {
                Step::Commit(index, offset) => {
                    let (topic, partition) = at(index);
                    run(&mut world, &format!("commit {topic}/{partition}={offset}"));
                    naive.committed.insert((topic, partition), (offset, time));
                }
                Step::Pend(who, index, offset) => {
                    let (topic, partition) = at(index);
                    run(&mut world, &format!("pend producer={who} {topic}/{partition}={offset}"));
                    let open = naive.pending.entry(who).or_default();
                    open.insert((topic, partition), (offset, time));
                }
                Step::End(who, commit) => {
                    let how = if commit { "commit" } else { "abort" };
                    run(&mut world, &format!("end {who} {how}"));
                    let ended = naive.pending.remove(&who).filter(|_| commit);
                    for (place, said) in ended.into_iter().flatten() {
                        let is_later = naive.committed.get(&place).is_none_or(|old| old.1 < said.1);
                        if is_later {
                            naive.committed.insert(place, said);
                        }
                    }
                }
                Step::Forget(index) => {
                    let place = at(index);
                    run(&mut world, &format!("forget {}/{}", place.0, place.1));
                    naive.forget(|other| *other == place);
                }
                Step::TopicDeleted(index) => {
                    let name = TOPICS[usize::from(index)];
                    run(&mut world, &format!("topic-deleted {name}"));
                    naive.forget(|(topic, _)| *topic == name);
                }
                Step::Restart => world.restart(),
            }
            let offsets = world.group.offsets();
            let found: BTreeMap<_, _> = offsets.committed().map(|(at, said)| (at, said.offset)).collect();
            let expected = naive.committed.iter();
            let expected: BTreeMap<_, _> = expected
                .map(|((name, partition), said)| ((topic(name).id, *partition), said.0))
                .collect();
            prop_assert_eq!(found, expected);
            for index in 0..6 {
                let (name, partition) = at(index);
                let is_pending = naive.pending.values().any(|of| of.contains_key(&(name, partition)));
                prop_assert_eq!(offsets.is_pending((topic(name).id, partition)), is_pending);
            }
        }
    }
}
