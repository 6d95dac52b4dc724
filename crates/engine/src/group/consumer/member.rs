//! One member, and its walk from what it holds to what it shall hold.
//!
//! ```text
//!             the target leaves it all it has
//!        ┌───────────────────────────────────────┐
//!     Stable ──▶ Unrevoked ──▶ Unreleased ──▶ Stable, in the target's epoch
//!            it must    │  others have    │
//!          give some up │  yet to give up │
//! ```
//! It stays in its epoch until it has given up what is no longer its own; from then on it is
//! in the target's, and is given what it shall have as others let go of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assignors::Assignor;
use super::beat::Beat;
use super::topics::{Held, Partition};

/// A member of a consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where it is on its way; [`super::beat::LEAVE_FOR_A_WHILE`] while it is away.
    pub epoch: i32,
    /// Where it was before. A beat from there is taken if it holds nothing that it should
    /// not: the answer may have been lost.
    pub previous_epoch: i32,
    /// How far it is.
    pub state: MemberState,
    /// Its name across restarts.
    pub instance: Option<Arc<str>>,
    /// Where it says it is.
    pub rack: Option<Arc<str>>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: u32,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where its client is, as text.
    pub client_host: Arc<str>,
    /// Topics it wants.
    pub topics: BTreeSet<Arc<str>>,
    /// Topics it wants, by a pattern.
    pub pattern: Option<Arc<str>>,
    /// How it wants the group to share out.
    pub assignor: Option<Assignor>,
    /// What it may hold.
    pub assigned: Held,
    /// What it has been told to give up, and may still hold.
    pub revoking: Held,
}

/// How far a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what the target of its epoch gives it.
    #[default]
    Stable,
    /// It has yet to give partitions up.
    Unrevoked,
    /// Others have yet to give up what it shall have.
    Unreleased,
}

impl Member {
    /// It has what this target gives it.
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// What nobody else may have.
    pub fn holding(&self) -> impl Iterator<Item = Partition> + '_ {
        self.assigned.iter().chain(&self.revoking).copied()
    }

    /// Takes over what a beat says of itself.
    pub(super) fn hear(&mut self, beat: &Beat, client_id: &str, client_host: &str) {
        let update = |known: &mut Option<Arc<str>>, said: &Option<String>| {
            if let Some(said) = said
                && known.as_deref() != Some(said)
            {
                *known = Some(said.as_str().into());
            }
        };
        update(&mut self.instance, &beat.instance);
        update(&mut self.rack, &beat.rack);
        update(&mut self.pattern, &beat.pattern);
        if self.pattern.as_deref() == Some("") {
            self.pattern = None;
        }
        if let Some(timeout_ms) = beat.rebalance_timeout_ms {
            self.rebalance_timeout_ms = timeout_ms;
        }
        if let Some(name) = &beat.assignor {
            self.assignor = Assignor::named(name);
        }
        if let Some(topics) = &beat.topics {
            self.topics = topics.iter().map(|name| name.as_str().into()).collect();
        }
        if *self.client_id != *client_id {
            self.client_id = client_id.into();
        }
        if *self.client_host != *client_host {
            self.client_host = client_host.into();
        }
    }

    /// Goes as far towards a target as it can. `is_free` says of a partition that nobody else
    /// holds it.
    pub(super) fn reconcile(
        &mut self,
        target_epoch: i32,
        target: &Held,
        beat: &Beat,
        is_free: &dyn Fn(&Partition) -> bool,
    ) {
        if self.is_reconciled_to(target_epoch) {
            return;
        }
        if self.state == MemberState::Unrevoked {
            if beat.may_hold(&self.revoking) {
                return;
            }
            // What it was to give up is given up: it has done what its next epoch asked.
            self.enter(self.epoch + 1);
        }
        let kept: Held = self.assigned.intersection(target).copied().collect();
        let revoking: Held = self.assigned.difference(target).copied().collect();
        if !revoking.is_empty() && beat.may_hold(&revoking) {
            self.state = MemberState::Unrevoked;
            self.assigned = kept;
            self.revoking = revoking;
            return;
        }
        let mut unreleased = false;
        let given = target.difference(&kept).filter(|partition| {
            let free = is_free(partition);
            unreleased |= !free;
            free
        });
        let given: Held = given.copied().collect();
        self.assigned = kept;
        self.assigned.extend(given);
        self.revoking.clear();
        self.state = match unreleased {
            true => MemberState::Unreleased,
            false => MemberState::Stable,
        };
        self.enter(target_epoch);
    }

    pub(super) fn enter(&mut self, epoch: i32) {
        if self.epoch != epoch {
            self.previous_epoch = std::mem::replace(&mut self.epoch, epoch);
        }
    }
}
