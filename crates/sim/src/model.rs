//! What must be in a data directory: a list of groups, and what they come to.

use std::collections::{BTreeMap, BTreeSet};

use bongsu_storage::Durability;

/// One atomic group, as it was appended.
#[derive(Clone, Debug)]
pub struct Group {
    /// As append or record returned it.
    pub lsn: u64,
    /// Whether its commit need not sync: only logs of `os` durability.
    pub written_only: bool,
    /// What it does.
    pub effects: Vec<Effect>,
}

/// A part of a group.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A log comes to be.
    Create(u64, Durability),
    /// A log goes.
    Remove(u64),
    /// Records, by their numbers, at the log's end.
    Append(u64, Vec<u64>),
    /// Offsets nobody needs any more.
    Settle(u64, Vec<u64>),
    /// The log's records below the offset were handed out.
    Mark(u64, u64),
    /// A note, by its number.
    Note(u64, Vec<u8>),
}

/// What the groups come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Logs of fsync and os durability, and the names of the others.
    pub logs: BTreeMap<u64, Contents>,
    /// Notes.
    pub notes: BTreeMap<u64, Vec<u8>>,
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// As created.
    pub durability: Durability,
    /// Record numbers, by offset.
    pub records: Vec<u64>,
    /// Settled offsets.
    pub settled: BTreeSet<u64>,
    /// As marked.
    pub next: u64,
}

impl World {
    /// The world after `groups`.
    pub fn after(groups: &[Group]) -> World {
        let mut world = World::default();
        groups.iter().for_each(|group| world.apply(group));
        world
    }

    /// One more group happened.
    pub fn apply(&mut self, group: &Group) {
        for effect in &group.effects {
            match effect {
                Effect::Create(log, durability) => {
                    let contents = Contents {
                        durability: *durability,
                        ..Contents::default()
                    };
                    self.logs.insert(*log, contents);
                }
                Effect::Remove(log) => {
                    self.logs.remove(log);
                }
                Effect::Append(log, records) => {
                    if let Some(log) = self.logs.get_mut(log) {
                        log.records.extend(records);
                    }
                }
                Effect::Settle(log, offsets) => {
                    if let Some(log) = self.logs.get_mut(log) {
                        log.settled.extend(offsets);
                    }
                }
                Effect::Mark(log, next) => {
                    if let Some(log) = self.logs.get_mut(log) {
                        log.next = log.next.max(*next);
                    }
                }
                Effect::Note(id, bytes) => {
                    self.notes.insert(*id, bytes.clone());
                }
            }
        }
    }
}
