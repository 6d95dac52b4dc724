//! Policies set and cleared: what follows for queues that are there is said at once.

use std::sync::Arc;

use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::policy::Policy;
use crate::catalog::state::{Catalog, QueueEntry};
use crate::queue::properties::Properties;
use crate::refused::Refused;
use crate::router::{QueueId, SpaceId};

impl Catalog {
    pub(super) fn set_policy(
        &mut self,
        space: SpaceId,
        policy: Policy,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        self.check_space(space)?;
        policy.check()?;
        let known = self.policies.by_name(space, &policy.name);
        if known.is_none_or(|known| **known != policy) {
            self.reconfigure(Change::SetPolicy { space, policy }, effects);
        }
        Ok(Answer::Done)
    }

    /// One that is not there is as good as cleared.
    pub(super) fn clear_policy(&mut self, space: SpaceId, name: String, effects: &mut Vec<Effect>) {
        if self.policies.by_name(space, &name).is_some() {
            self.reconfigure(Change::ClearPolicy { space, name }, effects);
        }
    }

    fn reconfigure(&mut self, change: Change, effects: &mut Vec<Effect>) {
        let of = |entry: &QueueEntry| Arc::clone(&entry.properties);
        let before: Vec<(QueueId, Arc<Properties>)> = self
            .queues
            .iter()
            .map(|(id, entry)| (*id, of(entry)))
            .collect();
        self.change(change, true, effects);
        for (id, before) in before {
            // Equal ones are one and the same: they are shared.
            let properties = of(&self.queues[&id]);
            if !Arc::ptr_eq(&before, &properties) {
                effects.push(Effect::Reconfigure { id, properties });
            }
        }
    }
}
