//! Spaces made, changed and deleted.

use crate::catalog::call::{Answer, Effect};
use crate::catalog::change::Change;
use crate::catalog::space::SpaceDefinition;
use crate::catalog::state::Catalog;
use crate::refused::Refused;
use crate::router::{QueueId, SpaceId};

impl Catalog {
    /// In place of what it was, if it is there.
    pub(super) fn declare_space(
        &mut self,
        space: SpaceDefinition,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        space.check()?;
        let known = self.space(&space.name).ok();
        if known.is_none() && self.spaces.len() >= SPACES_MAX {
            return Err(Refused::Unsupported {
                what: format!("more than {SPACES_MAX} spaces"),
            });
        }
        let id = known.unwrap_or(SpaceId(self.next_space));
        if self.space_definition(id).is_none_or(|is| **is != space) {
            self.change(Change::DeclareSpace { id, space }, true, effects);
        }
        let created = known.is_none();
        Ok(Answer::Space { id, created })
    }

    /// With all that is in it: one change, whatever there is.
    pub(super) fn delete_space(
        &mut self,
        name: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refused> {
        let id = self.space(name)?;
        let mut dropped: Vec<QueueId> = self.queues_in(id).collect();
        dropped.reverse();
        let exchanges = self.exchanges.values();
        let here = exchanges.filter(|entry| entry.space == id);
        let windows: Vec<_> = here.filter_map(|entry| entry.definition.window).collect();
        let name = name.to_owned();
        self.change(Change::DeleteSpace { id, name }, true, effects);
        effects.extend(dropped.into_iter().map(|id| Effect::DropQueue { id }));
        effects.extend(windows.into_iter().map(|id| Effect::DropWindow { id }));
        Ok(Answer::Space { id, created: false })
    }
}

/// Spaces at once.
const SPACES_MAX: usize = 10_000;
