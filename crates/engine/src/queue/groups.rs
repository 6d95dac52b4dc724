//! Records ordered by key: whose turn a key is, and which of its records is next.
//!
//! *Exclusive*: the records of a key go to one link at a time and in order, those of
//! other keys to other links (groups of SQS FIFO and JMS, order per key for competing
//! consumers). A record without key is a group of its own.
//! *Fair*: nobody owns a key, but ready records are handed out in turns between keys, so
//! that a tenant with a million of them delays another's first by one. Records without
//! key share one turn.
//!
//! Always: a record is ready, leased or parked (it came back and is delayed), or unknown.
//! A key has a holder exactly while records of it are leased (Exclusive), and then all
//! are leased to it. A record is never handed out before a parked one of its key with a
//! lower offset (Exclusive). What a key costs ends with its last record.
//! [`Groups::check`] asserts it. Every operation is O(log n).

use std::collections::{BTreeMap, BTreeSet};

use super::LinkKey;
use super::why::Locks;

/// What keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// One link at a time per key.
    Exclusive,
    /// Any link; keys in turns.
    Fair,
}

/// See the module's comment. Offsets are plain numbers here, keys are hashes.
#[derive(Debug)]
pub struct Groups {
    turns: Turns,
    ready: BTreeMap<u64, Option<u64>>,
    /// What is leased or parked.
    away: BTreeMap<u64, Away>,
    /// By key; without key only if Fair.
    groups: BTreeMap<Option<u64>, Group>,
    /// Exclusive: by who may take it (`None` = anybody), the next record of each group.
    servable: BTreeSet<(Option<LinkKey>, u64)>,
    /// Fair: the keys with ready records, who waits longest first.
    ring: BTreeMap<u64, Option<u64>>,
    /// Above all of `ring`.
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    key: Option<u64>,
    parked: bool,
}

#[derive(Debug, Default)]
struct Group {
    ready: BTreeSet<u64>,
    parked: BTreeSet<u64>,
    leased_count: u64,
    holder: Option<LinkKey>,
    /// Its entry in `servable`.
    servable: Option<(Option<LinkKey>, u64)>,
    /// Its entry in `ring`.
    turn: Option<u64>,
}

impl Groups {
    /// Without records.
    pub fn new(turns: Turns) -> Groups {
        Groups {
            turns,
            ready: BTreeMap::new(),
            away: BTreeMap::new(),
            groups: BTreeMap::new(),
            servable: BTreeSet::new(),
            ring: BTreeMap::new(),
            next_turn: 0,
        }
    }

    /// An unknown record is ready.
    pub fn offer(&mut self, offset: u64, key: Option<u64>) {
        debug_assert!(!self.away.contains_key(&offset), "a record is offered once");
        self.ready.insert(offset, key);
        self.update(offset, key, |group| {
            group.ready.insert(offset);
        });
    }

    /// An unknown record is parked: it was before a restart.
    pub fn offer_parked(&mut self, offset: u64, key: Option<u64>) {
        debug_assert!(
            !self.ready.contains_key(&offset),
            "a record is offered once"
        );
        self.away.insert(offset, Away { key, parked: true });
        self.update(offset, key, |group| {
            group.parked.insert(offset);
        });
    }

    /// A ready or parked record is gone: expired, purged, dropped. Others are left alone.
    pub fn withdraw(&mut self, offset: u64) {
        if let Some(key) = self.ready.remove(&offset) {
            self.update(offset, key, |group| {
                group.ready.remove(&offset);
            });
        } else if let Some(key) = self.come_back(offset, true) {
            self.update(offset, key, |_| ());
        }
    }

    /// Leases the next record for a link to it: of the groups that are free or its own the
    /// lowest offset (Exclusive), of the key in turn the lowest (Fair). `None` = there is
    /// none for this link.
    pub fn take(&mut self, holder: LinkKey) -> Option<u64> {
        let offset = match self.turns {
            Turns::Exclusive => self.next_for(holder)?,
            Turns::Fair => {
                let (_, key) = self.ring.pop_first()?;
                let group = self.groups.get_mut(&key).expect("a key in turn is known");
                group.turn = None;
                *group
                    .ready
                    .first()
                    .expect("a key in turn has ready records")
            }
        };
        let key = self.ready.remove(&offset).expect("what is next is ready");
        self.away.insert(offset, Away { key, parked: false });
        self.update(offset, key, |group| {
            group.ready.remove(&offset);
            group.leased_count += 1;
            group.holder = Some(holder);
        });
        Some(offset)
    }

    /// A record's lease ended for good. One that is not leased is left alone.
    pub fn ended(&mut self, offset: u64) {
        if let Some(key) = self.come_back(offset, false) {
            self.update(offset, key, |_| ());
        }
    }

    /// A leased record came back: it is ready again, at its place. One that is not leased
    /// is left alone.
    pub fn returned(&mut self, offset: u64) {
        if let Some(key) = self.come_back(offset, false) {
            self.offer(offset, key);
        }
    }

    /// A leased record came back and is delayed. Until [`Groups::unparked`] its key serves
    /// none behind it (Exclusive). One that is not leased is left alone.
    pub fn parked(&mut self, offset: u64) {
        if let Some(key) = self.come_back(offset, false) {
            self.offer_parked(offset, key);
        }
    }

    /// A parked record is ready again, at its place. One that is not parked is left alone.
    pub fn unparked(&mut self, offset: u64) {
        if let Some(key) = self.come_back(offset, true) {
            self.offer(offset, key);
        }
    }

    /// Whether [`Groups::take`] would find a record for this link.
    pub fn could_serve(&self, holder: LinkKey) -> bool {
        match self.turns {
            Turns::Exclusive => self.next_for(holder).is_some(),
            Turns::Fair => !self.ready.is_empty(),
        }
    }

    /// How many records are ready, those included whose key is another link's or waits.
    pub fn ready_count(&self) -> u64 {
        self.ready.len() as u64
    }

    /// The lowest ready record.
    pub fn first(&self) -> Option<u64> {
        self.ready.first_key_value().map(|(offset, _)| *offset)
    }

    /// The ready records with their keys, in order of offset.
    pub fn ready(&self) -> impl Iterator<Item = (u64, Option<u64>)> + '_ {
        self.ready.iter().map(|(offset, key)| (*offset, *key))
    }

    /// Who holds a key (Exclusive).
    pub fn holder(&self, key: u64) -> Option<LinkKey> {
        self.groups.get(&Some(key))?.holder
    }

    /// Who holds keys that have ready records: up to so many holders, and how many keys of
    /// each, counted up to [`LOCKED_KEYS_COUNTED`] together (Exclusive). Keys whose first
    /// record is parked come last, nobody's.
    pub fn locks(&self, most: usize) -> Vec<Locks> {
        let mut locks: Vec<Locks> = Vec::new();
        let held = self.servable.iter().filter_map(|(holder, _)| *holder);
        for holder in held.take(LOCKED_KEYS_COUNTED) {
            let is_full = locks.len() == most;
            match locks.last_mut() {
                Some(last) if last.holder == Some(holder) => last.keys += 1,
                _ if is_full => break,
                _ => locks.push(Locks {
                    holder: Some(holder),
                    keys: 1,
                }),
            }
        }
        let groups = self.groups.values().take(LOCKED_KEYS_COUNTED);
        let parked = groups.filter(|group| !group.ready.is_empty() && group.servable.is_none());
        let keys = parked.count() as u64;
        if keys > 0 && self.turns == Turns::Exclusive {
            locks.push(Locks { holder: None, keys });
        }
        locks
    }

    /// How many keys cost memory.
    pub fn key_count(&self) -> usize {
        self.groups.len()
    }

    fn next_for(&self, holder: LinkKey) -> Option<u64> {
        let first_of = |who| {
            let mut entries = self.servable.range((who, 0)..=(who, u64::MAX));
            entries.next().map(|(_, offset)| *offset)
        };
        let own = first_of(Some(holder));
        own.into_iter().chain(first_of(None)).min()
    }

    /// Takes a parked or a leased record out; returns its key.
    fn come_back(&mut self, offset: u64, parked: bool) -> Option<Option<u64>> {
        let key = match self.away.get(&offset) {
            Some(away) if away.parked == parked => away.key,
            _ => return None,
        };
        self.away.remove(&offset);
        if let Some(group) = self.groups.get_mut(&key) {
            match parked {
                true => _ = group.parked.remove(&offset),
                false => group.leased_count -= 1,
            }
        }
        Some(key)
    }

    /// Changes a record's group and whatever follows: holder, place in line, existence.
    fn update(&mut self, offset: u64, key: Option<u64>, change: impl FnOnce(&mut Group)) {
        if self.turns == Turns::Exclusive && key.is_none() {
            // A group of its own takes no more than its place in line.
            match self.ready.contains_key(&offset) {
                true => self.servable.insert((None, offset)),
                false => self.servable.remove(&(None, offset)),
            };
            return;
        }
        let group = self.groups.entry(key).or_default();
        change(group);
        if group.leased_count == 0 || self.turns == Turns::Fair {
            group.holder = None;
        }
        match self.turns {
            Turns::Exclusive => {
                let next = group.next().map(|offset| (group.holder, offset));
                if next != group.servable {
                    if let Some(before) = group.servable {
                        self.servable.remove(&before);
                    }
                    self.servable.extend(next);
                    group.servable = next;
                }
            }
            Turns::Fair => match (group.turn, group.ready.is_empty()) {
                (None, false) => {
                    group.turn = Some(self.next_turn);
                    self.ring.insert(self.next_turn, key);
                    self.next_turn += 1;
                }
                (Some(turn), true) => {
                    group.turn = None;
                    self.ring.remove(&turn);
                }
                _ => (),
            },
        }
        if group.is_idle() {
            self.groups.remove(&key);
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        let exclusive = self.turns == Turns::Exclusive;
        let mut servable = BTreeSet::new();
        let mut ring = BTreeMap::new();
        let mut counts = (0, 0, 0);
        for (key, group) in &self.groups {
            assert!(!group.is_idle(), "an idle key");
            assert!(group.ready.iter().all(|at| self.ready.get(at) == Some(key)));
            let is_parked = |away: &Away| away.parked && away.key == *key;
            assert!(group.parked.iter().all(|at| is_parked(&self.away[at])));
            let leased = |away: &&Away| !away.parked && away.key == *key;
            assert_eq!(
                group.leased_count,
                self.away.values().filter(leased).count() as u64
            );
            assert_eq!(group.holder.is_some(), exclusive && group.leased_count > 0);
            servable.extend(group.servable);
            ring.extend(group.turn.map(|turn| (turn, *key)));
            if exclusive {
                let next = group.next().map(|offset| (group.holder, offset));
                assert_eq!(group.servable, next);
            } else {
                assert_eq!(group.turn.is_some(), !group.ready.is_empty());
            }
            counts.0 += group.ready.len();
            counts.1 += group.parked.len();
            counts.2 += group.leased_count;
        }
        if exclusive {
            let alone = self.ready().filter(|(_, key)| key.is_none());
            servable.extend(alone.map(|(offset, _)| (None, offset)));
        } else {
            assert_eq!(counts.0, self.ready.len());
            assert_eq!(counts.1 + counts.2 as usize, self.away.len());
        }
        assert_eq!(servable, self.servable);
        assert_eq!(ring, self.ring);
        assert!(self.ready.keys().all(|at| !self.away.contains_key(at)));
    }
}

impl Group {
    /// The record to serve next, in order of offset.
    fn next(&self) -> Option<u64> {
        let first = *self.ready.first()?;
        let waits = self.parked.first().is_some_and(|parked| *parked < first);
        (!waits).then_some(first)
    }

    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.parked.is_empty() && self.leased_count == 0
    }
}

/// Keys looked at to tell who holds them.
const LOCKED_KEYS_COUNTED: usize = 10_000;

#[cfg(test)]
mod tests;
