//! What holds of every assignment, over random groups.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Members by number, each with the topics it wants; topics by number, with their partitions.
fn wishes(members: &BTreeMap<u8, BTreeSet<u8>>, topics: &BTreeMap<u8, u32>) -> Wishes {
    let id = |topic: &u8| TopicId(u128::from(*topic) + 1);
    Wishes {
        members: members
            .iter()
            .map(|(member, wanted)| {
                let wish = Wish {
                    topics: wanted.iter().map(id).collect(),
                    ..Wish::default()
                };
                (member_id(*member), wish)
            })
            .collect(),
        topics: topics.iter().map(|(t, count)| (id(t), *count)).collect(),
    }
}

fn member_id(number: u8) -> Arc<str> {
    format!("m{number:02}").into()
}

/// The same group after `shares` became its target.
fn given(mut wishes: Wishes, shares: &Shares) -> Wishes {
    for (id, wish) in &mut wishes.members {
        wish.held = shares.get(id).cloned().unwrap_or_default();
    }
    wishes
}

/// Every partition that somebody wants.
fn wanted(wishes: &Wishes) -> BTreeSet<Partition> {
    let members = wishes.members.values();
    members
        .flat_map(|wish| wishes.partitions(&wish.topics))
        .collect()
}

fn check_exclusive(wishes: &Wishes, shares: &Shares) {
    assert!(shares.keys().eq(wishes.members.keys()));
    let mut seen = BTreeSet::new();
    for (id, held) in shares {
        for partition in held {
            assert!(wishes.wants(&wishes.members[id], *partition));
            assert!(seen.insert(*partition), "{partition:?} twice");
        }
    }
    assert_eq!(seen, wanted(wishes));
}

fn moved(from: &Shares, to: &Shares) -> usize {
    let count = |(id, held): (&Arc<str>, &Held)| held.difference(&from[id]).count();
    to.iter()
        .filter(|(id, _)| from.contains_key(*id))
        .map(count)
        .sum()
}

fn sizes(shares: &Shares) -> (usize, usize) {
    let sizes = || shares.values().map(Held::len);
    (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0))
}

prop_compose! {
    fn some_topics()(topics in prop::collection::btree_map(0_u8..6, 1_u32..12, 1..6)) -> BTreeMap<u8, u32> {
        topics
    }
}

prop_compose! {
    fn alike()(topics in some_topics(), members in prop::collection::btree_set(0_u8..20, 1..12))
        -> (BTreeMap<u8, BTreeSet<u8>>, BTreeMap<u8, u32>) {
        let all: BTreeSet<u8> = topics.keys().copied().collect();
        (members.into_iter().map(|member| (member, all.clone())).collect(), topics)
    }
}

prop_compose! {
    fn unlike()(
        topics in some_topics(),
        // Topic 6 never exists.
        members in prop::collection::btree_map(0_u8..20, prop::collection::btree_set(0_u8..7, 0..5), 1..12),
    ) -> (BTreeMap<u8, BTreeSet<u8>>, BTreeMap<u8, u32>) {
        (members, topics)
    }
}

proptest! {
    #[test]
    fn everything_wanted_goes_to_one_who_wants_it((members, topics) in prop_oneof![alike(), unlike()]) {
        let wishes = wishes(&members, &topics);
        for assignor in Assignor::ALL {
            let shares = assignor.assign(&wishes);
            check_exclusive(&wishes, &shares);
            let again = given(wishes.clone(), &shares);
            prop_assert_eq!(assignor.assign(&again), shares);
        }
    }

    #[test]
    fn uniform_moves_no_more_than_it_must(
        (members, topics) in alike(),
        (others, changed) in alike(),
    ) {
        // From any group to any other: no assignment within one of each other moves less.
        let before = Assignor::Uniform.assign(&wishes(&members, &topics));
        let mut next = wishes(&others, &changed);
        for (id, wish) in &mut next.members {
            wish.held = before.get(id).cloned().unwrap_or_default();
        }
        let after = Assignor::Uniform.assign(&next);
        check_exclusive(&next, &after);
        let (least, most) = sizes(&after);
        prop_assert!(most <= least + 1);

        let mut kept: Vec<usize> = next
            .members
            .values()
            .map(|wish| wish.held.iter().filter(|p| next.wants(wish, **p)).count())
            .collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        let total: usize = after.values().map(Held::len).sum();
        let larger = total % kept.len();
        let quota = |place: usize| total / kept.len() + usize::from(place < larger);
        let could_stay: usize = kept.iter().enumerate().map(|(place, count)| (*count).min(quota(place))).sum();
        let stayed: usize = after.iter().map(|(id, held)| held.intersection(&next.members[id].held).count()).sum();
        prop_assert_eq!(stayed, could_stay);
    }

    #[test]
    fn one_leaving_moves_only_what_it_had((members, topics) in alike(), who in any::<prop::sample::Index>()) {
        let all = wishes(&members, &topics);
        let before = Assignor::Uniform.assign(&all);
        let mut left = given(all, &before);
        let gone = who.get(&left.members.keys().cloned().collect::<Vec<_>>()).clone();
        left.members.remove(&gone);
        let after = Assignor::Uniform.assign(&left);
        if !left.members.is_empty() {
            check_exclusive(&left, &after);
            prop_assert_eq!(moved(&before, &after), before[&gone].len());
        }
    }

    #[test]
    fn unlike_wishes_are_levelled_per_topic((members, topics) in unlike()) {
        let wishes = wishes(&members, &topics);
        let shares = Assignor::Uniform.assign(&wishes);
        for (giver, held) in &shares {
            for (taker, wish) in &wishes.members {
                let could = held.iter().any(|partition| wishes.wants(wish, *partition));
                prop_assert!(!could || held.len() < shares[taker].len() + 2);
            }
            prop_assert!(wishes.members.contains_key(giver));
        }
    }

    #[test]
    fn ranges_go_together(member_count in 1_u8..8, partition_count in 1_u32..12) {
        // Topics with equally many partitions: who has one of the first has it of the second.
        let members = (0..member_count).map(|member| (member, BTreeSet::from([0, 1]))).collect();
        let shares = Assignor::Range.assign(&wishes(&members, &BTreeMap::from([(0, partition_count), (1, partition_count)])));
        for held in shares.values() {
            let of = |topic| held.iter().filter(move |p| p.topic == TopicId(topic)).map(|p| p.index).collect::<Vec<_>>();
            prop_assert_eq!(of(1), of(2));
            let run = of(1);
            prop_assert!(run.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        }
        let (least, most) = sizes(&shares);
        prop_assert!(most <= least + 2);
    }

    #[test]
    fn sharing_leaves_nobody_idle_and_nothing_unread((members, topics) in prop_oneof![alike(), unlike()]) {
        let wishes = wishes(&members, &topics);
        let shares = sharing::assign(&wishes);
        let read: BTreeSet<Partition> = shares.values().flatten().copied().collect();
        prop_assert_eq!(&read, &wanted(&wishes));
        for (id, wish) in &wishes.members {
            prop_assert!(shares[id].iter().all(|partition| wishes.wants(wish, *partition)));
            prop_assert_eq!(shares[id].is_empty(), wishes.partitions(&wish.topics).next().is_none());
        }
        if wishes.is_homogeneous() {
            let (least, most) = sizes(&shares);
            prop_assert!(most <= least + 1);
            if read.len() >= shares.len() {
                check_exclusive(&wishes, &shares);
            }
        }
        prop_assert_eq!(sharing::assign(&given(wishes.clone(), &shares)), shares);
    }

    #[test]
    fn sharing_survives_any_change((members, topics) in prop_oneof![alike(), unlike()], (others, changed) in prop_oneof![alike(), unlike()]) {
        let before = sharing::assign(&wishes(&members, &topics));
        let mut next = wishes(&others, &changed);
        for (id, wish) in &mut next.members {
            wish.held = before.get(id).cloned().unwrap_or_default();
        }
        let after = sharing::assign(&next);
        let read: BTreeSet<Partition> = after.values().flatten().copied().collect();
        prop_assert_eq!(&read, &wanted(&next));
        for (id, wish) in &next.members {
            prop_assert_eq!(after[id].is_empty(), next.partitions(&wish.topics).next().is_none());
        }
    }
}

#[test]
fn a_static_member_keeps_its_range() {
    let member = |id: &str, instance: &str| {
        let wish = Wish {
            instance: Some(instance.into()),
            topics: vec![TopicId(1)],
            held: Held::new(),
        };
        (Arc::from(id), wish)
    };
    let topics = BTreeMap::from([(TopicId(1), 5)]);
    let before = Wishes {
        members: BTreeMap::from([member("b", "one"), member("a", "two")]),
        topics: topics.clone(),
    };
    let after = Wishes {
        members: BTreeMap::from([member("z", "one"), member("a", "two")]),
        topics,
    };
    assert_eq!(
        Assignor::Range.assign(&before)["b"],
        Assignor::Range.assign(&after)["z"]
    );
}
