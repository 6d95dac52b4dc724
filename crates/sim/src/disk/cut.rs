//! What is left after the power went.

use std::collections::BTreeSet;

use super::{Inode, SimDisk, apply};
use crate::random::Random;

impl SimDisk {
    /// Cuts the power, if it is not off yet, and turns it on again: of all that was not
    /// synced a random part is there. Every handle and lock is gone.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        let mut random = state.random.fork();
        // Sometimes nothing more got out, sometimes nearly all, mostly some.
        let keep = *random.pick(&[0, 2, 8, 14, 16]);
        let changes = std::mem::take(&mut state.name_changes);
        let mut broken_inodes = BTreeSet::new();
        let mut broken_names = BTreeSet::new();
        for change in changes {
            let touches = broken_inodes.contains(&change.inode)
                || change
                    .sets
                    .iter()
                    .any(|(name, _)| broken_names.contains(name));
            if !touches && random.chance(keep, 16) {
                apply(&mut state.durable_names, &change.sets);
            } else {
                broken_inodes.insert(change.inode);
                broken_names.extend(change.sets.into_iter().map(|(name, _)| name));
            }
        }
        state.names = state.durable_names.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.inodes.retain(|inode, _| named.contains(inode));
        for inode in state.inodes.values_mut() {
            inode.crash(&mut random, keep);
        }
        state.generation += 1;
        state.locks.clear();
        state.off = false;
    }
}

impl Inode {
    fn crash(&mut self, random: &mut Random, keep: u64) {
        if self.durable.len() != self.current.len() && random.chance(keep, 16) {
            self.durable.resize(self.current.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            if random.chance(keep, 16) {
                self.copy_sector(sector);
            }
        }
        self.current = self.durable.clone();
    }
}
