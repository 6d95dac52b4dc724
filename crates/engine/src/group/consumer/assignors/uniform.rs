//! Equally much for everybody, and as it was.
//!
//! Where all want the same, nobody has two partitions more than another, and as few as
//! possible change hands: a member keeps what it has up to its quota, and the larger quotas
//! go to those who have the most.
//!
//! Where they do not, what is free goes to whoever has least of those who want it, and then a
//! partition goes from one member to another of its topic as long as that one has at least
//! two fewer. The sum of the squares shrinks with each move, so this ends.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Shares, Wishes};
use crate::catalog::TopicId;
use crate::group::consumer::topics::{Held, Partition};

/// See [`super::Assignor::Uniform`].
pub fn assign(wishes: &Wishes) -> Shares {
    match wishes.is_homogeneous() {
        true => assign_alike(wishes),
        false => assign_unlike(wishes),
    }
}

fn assign_alike(wishes: &Wishes) -> Shares {
    let (mut shares, mut free) = kept(wishes);
    let member_count = shares.len();
    if member_count == 0 {
        return shares;
    }
    let total = free.len() + shares.values().map(Held::len).sum::<usize>();
    let (quota, larger_count) = (total / member_count, total % member_count);
    let mut order: Vec<Arc<str>> = shares.keys().cloned().collect();
    order.sort_by_key(|id| Reverse(shares[id].len()));
    let quotas: BTreeMap<Arc<str>, usize> = (0..)
        .zip(order)
        .map(|(place, id)| (id, quota + usize::from(place < larger_count)))
        .collect();
    for (id, held) in &mut shares {
        while held.len() > quotas[id] {
            free.extend(held.pop_last());
        }
    }
    let mut free = free.into_iter();
    for (id, held) in &mut shares {
        let room = quotas[id] - held.len();
        held.extend(free.by_ref().take(room));
    }
    shares
}

/// What each member has and may keep, and what is nobody's. What two claim stays with the
/// first: targets never overlap, but what a restart finds may.
fn kept(wishes: &Wishes) -> (Shares, BTreeSet<Partition>) {
    let wanted: BTreeSet<TopicId> = wishes
        .members
        .values()
        .flat_map(|wish| wish.topics.iter().copied())
        .collect();
    let wanted: Vec<TopicId> = wanted.into_iter().collect();
    let mut free: BTreeSet<Partition> = wishes.partitions(&wanted).collect();
    let mut shares = Shares::new();
    for (id, wish) in &wishes.members {
        let held = wish.held.iter().copied();
        let kept =
            held.filter(|partition| wishes.wants(wish, *partition) && free.remove(partition));
        shares.insert(id.clone(), kept.collect());
    }
    (shares, free)
}

fn assign_unlike(wishes: &Wishes) -> Shares {
    let (mut shares, free) = kept(wishes);
    let mut wanting: BTreeMap<TopicId, Vec<Arc<str>>> = BTreeMap::new();
    for (id, wish) in &wishes.members {
        for topic in &wish.topics {
            wanting.entry(*topic).or_default().push(id.clone());
        }
    }
    // The least wanted topics first: their few members have no other choice.
    let mut free: Vec<Partition> = free.into_iter().collect();
    free.sort_by_key(|partition| (wanting[&partition.topic].len(), *partition));
    for partition in free {
        let least = wanting[&partition.topic]
            .iter()
            .min_by_key(|id| shares[*id].len());
        let least = least.expect("a free partition is of a topic that somebody wants");
        if let Some(held) = shares.get_mut(least) {
            held.insert(partition);
        }
    }
    loop {
        let mut moved = false;
        for (topic, members) in &wanting {
            moved |= level(*topic, members, &mut shares);
        }
        if !moved {
            return shares;
        }
    }
}

/// Moves partitions of one topic until nobody who has one has two more than another who wants
/// one. Returns whether any moved.
fn level(topic: TopicId, members: &[Arc<str>], shares: &mut Shares) -> bool {
    // By how many each has in all.
    let mut giving: BTreeSet<(usize, &Arc<str>)> = BTreeSet::new();
    let mut taking: BTreeSet<(usize, &Arc<str>)> = BTreeSet::new();
    for id in members {
        let held = &shares[id];
        taking.insert((held.len(), id));
        if last_of(topic, held).is_some() {
            giving.insert((held.len(), id));
        }
    }
    let mut moved = false;
    while let (Some(&(most, giver)), Some(&(least, taker))) = (giving.last(), taking.first()) {
        if most < least + 2 {
            break;
        }
        moved = true;
        giving.remove(&(most, giver));
        taking.remove(&(most, giver));
        giving.remove(&(least, taker));
        taking.remove(&(least, taker));
        let given = shares.get_mut(giver).and_then(|held| {
            let partition = last_of(topic, held)?;
            held.take(&partition)
        });
        if let Some(held) = shares.get_mut(taker) {
            held.extend(given);
        }
        taking.insert((most - 1, giver));
        if last_of(topic, &shares[giver]).is_some() {
            giving.insert((most - 1, giver));
        }
        taking.insert((least + 1, taker));
        giving.insert((least + 1, taker));
    }
    moved
}

fn last_of(topic: TopicId, held: &Held) -> Option<Partition> {
    let (first, last) = (0, u32::MAX);
    let place = |index| Partition { topic, index };
    held.range(place(first)..=place(last)).next_back().copied()
}
