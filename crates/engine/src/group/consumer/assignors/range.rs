//! Runs of each topic, in the order of the members.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Shares, Wish, Wishes};
use crate::catalog::TopicId;
use crate::group::consumer::topics::Partition;

/// What is left of a topic.
struct Rest {
    next: u32,
    /// Of those who want the topic and have not got their run.
    members_left: u32,
    partition_count: u32,
}

/// See [`super::Assignor::Range`].
pub fn assign(wishes: &Wishes) -> Shares {
    let mut rests: BTreeMap<TopicId, Rest> = BTreeMap::new();
    for wish in wishes.members.values() {
        for topic in &wish.topics {
            let Some(&partition_count) = wishes.topics.get(topic) else {
                continue;
            };
            let rest = rests.entry(*topic).or_insert(Rest {
                next: 0,
                members_left: 0,
                partition_count,
            });
            rest.members_left += 1;
        }
    }
    let mut shares = Shares::new();
    for (id, wish) in in_place(wishes) {
        let held = shares.entry(id.clone()).or_default();
        for topic in &wish.topics {
            let Some(rest) = rests.get_mut(topic) else {
                continue;
            };
            // Rounding up for each of those who are left gives the longer runs to the first.
            let run = (rest.partition_count - rest.next).div_ceil(rest.members_left);
            rest.members_left -= 1;
            let end = rest.next + run;
            held.extend((rest.next..end).map(|index| Partition {
                topic: *topic,
                index,
            }));
            rest.next = end;
        }
    }
    shares
}

/// Those with a name across restarts first, by that name: a member that comes back under
/// another id has the same place, and so the same partitions.
fn in_place(wishes: &Wishes) -> Vec<(&Arc<str>, &Wish)> {
    let mut members: Vec<_> = wishes.members.iter().collect();
    members.sort_by_key(|(id, wish)| (wish.instance.is_none(), wish.instance.clone(), *id));
    members
}
