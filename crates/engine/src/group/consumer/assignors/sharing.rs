//! Partitions to members that share them, as Kafka's `simple` assignor: nobody idle, nothing
//! unread, and as it was.
//!
//! With at least as many partitions as members, each goes to one member, and nobody has two
//! more than another. With more members, each partition goes to as many as it takes for
//! everybody to have one. Where members want different topics, this holds of each topic by
//! itself, with whoever has least chosen first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Shares, Wish, Wishes};
use crate::group::consumer::topics::{Held, Partition};

/// As clients call it.
pub const NAME: &str = "simple";

/// Shares out.
pub fn assign(wishes: &Wishes) -> Shares {
    let mut shares: Shares = wishes
        .members
        .keys()
        .map(|id| (id.clone(), Held::new()))
        .collect();
    let everybody: Vec<_> = wishes.members.iter().collect();
    match everybody.first() {
        Some((_, first)) if wishes.is_homogeneous() => {
            let partitions: Vec<Partition> = wishes.partitions(&first.topics).collect();
            share(&partitions, &everybody, &mut shares);
        }
        _ => {
            for topic in wishes.topics.keys() {
                let wanting = everybody.iter().copied();
                let wanting: Vec<_> = wanting
                    .filter(|(_, wish)| wish.topics.binary_search(topic).is_ok())
                    .collect();
                let partitions: Vec<Partition> = wishes.partitions(&[*topic]).collect();
                share(&partitions, &wanting, &mut shares);
            }
        }
    }
    shares
}

/// Adds shares of these partitions for these members.
fn share(partitions: &[Partition], members: &[(&Arc<str>, &Wish)], shares: &mut Shares) {
    if partitions.is_empty() || members.is_empty() {
        return;
    }
    let sharing = members.len().div_ceil(partitions.len());
    let places = partitions.len() * sharing;
    let (quota, larger_count) = (places / members.len(), places % members.len());
    // How many members each partition has; those that are not full.
    let mut open: BTreeMap<Partition, usize> =
        partitions.iter().map(|partition| (*partition, 0)).collect();
    let mut kept: Vec<(&Arc<str>, Held)> = Vec::new();
    for (id, wish) in members {
        let mut held = Held::new();
        for partition in &wish.held {
            let Some(had) = open.get_mut(partition) else {
                continue;
            };
            if *had < sharing {
                *had += 1;
                held.insert(*partition);
            }
        }
        kept.push((id, held));
    }
    // The larger quotas to those who have most of these, then to those who have least of all.
    kept.sort_by_key(|(id, held)| (Reverse(held.len()), shares[*id].len(), *id));
    for (place, (_, held)) in (0..).zip(&mut kept) {
        while held.len() > quota + usize::from(place < larger_count) {
            let given = held
                .pop_last()
                .and_then(|partition| open.get_mut(&partition));
            *given.expect("held partitions are of these") -= 1;
        }
    }
    let mut wanted: BTreeSet<(usize, Partition)> = open
        .into_iter()
        .filter(|(_, had)| *had < sharing)
        .map(|(partition, had)| (had, partition))
        .collect();
    // Each takes what fewest have. If all that is left is its own already, it has less than
    // its quota: others share more.
    for (place, (_, held)) in (0..).zip(&mut kept) {
        while held.len() < quota + usize::from(place < larger_count) {
            let fits = |(_, partition): &&(usize, Partition)| !held.contains(partition);
            let Some(&(had, partition)) = wanted.iter().find(fits) else {
                break;
            };
            wanted.remove(&(had, partition));
            if had + 1 < sharing {
                wanted.insert((had + 1, partition));
            }
            held.insert(partition);
        }
    }
    for (id, held) in kept {
        shares.entry(id.clone()).or_default().extend(held);
    }
}
