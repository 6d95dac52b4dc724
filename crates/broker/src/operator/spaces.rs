//! Spaces, for people and tools: made, changed, limited, deleted.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::access::Asking;
use bongsu_engine::catalog::{Answer, Input, SpaceDefinition, SpaceId, SpaceLimits};
use bongsu_engine::refused::{Kind, Permission};
use bongsu_record::Lsn;

use crate::broker::Broker;
use crate::operator::Operator;
use crate::operator::users::UserChange;

/// A space as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceRow {
    /// Its number.
    pub id: SpaceId,
    /// What it was made as.
    pub definition: Arc<SpaceDefinition>,
    /// Queues in it.
    pub queue_count: u32,
}

impl Broker {
    /// All spaces, by number.
    pub fn space_rows(&self) -> Vec<SpaceRow> {
        let catalog = self.catalog();
        let spaces = catalog.spaces().map(|(id, definition)| SpaceRow {
            id,
            definition: Arc::clone(definition),
            queue_count: catalog.queue_count(id),
        });
        spaces.collect()
    }

    /// One space.
    pub fn space_named(&self, name: &str) -> Option<SpaceRow> {
        let catalog = self.catalog();
        let id = catalog.space(name).ok()?;
        Some(SpaceRow {
            id,
            definition: Arc::clone(catalog.space_definition(id)?),
            queue_count: catalog.queue_count(id),
        })
    }

    /// What a space may hold, and how fast it may grow; one that is gone has no limits.
    pub fn space_limits(&self, space: SpaceId) -> SpaceLimits {
        let catalog = self.catalog();
        let definition = catalog.space_definition(space);
        definition
            .map(|definition| definition.limits)
            .unwrap_or_default()
    }
}

impl Operator {
    /// Whether it may see a space: all, by its tag, or those that it may enter.
    pub fn may_see(&self, space: &str) -> bool {
        self.administers() || self.user.is(MONITORING) || self.may_enter(space)
    }

    /// Whether it may enter a space.
    pub fn may_enter(&self, space: &str) -> bool {
        let Ok(id) = self.broker.space(space) else {
            return false;
        };
        let asking = Asking {
            user: &self.user,
            host: &self.host.to_string(),
            space: id,
            space_name: space,
        };
        self.broker.access().users.read().may_enter(asking)
    }

    /// Makes a space, or another of it, and waits until that is durable; whether it is new.
    /// Who makes one may do everything in it.
    ///
    /// # Errors
    /// [`Refused::Denied`] if it may not; what is wrong with the definition; storage's.
    pub async fn put_space(&self, space: SpaceDefinition) -> Result<bool, Refused> {
        let (is_new, lsn) = self.put_space_soon(space).await?;
        if let Some(lsn) = lsn {
            self.await_durable(lsn).await;
        }
        Ok(is_new)
    }

    /// As [`Operator::put_space`], without waiting: it is durable once that position is.
    ///
    /// # Errors
    /// As there.
    pub async fn put_space_soon(
        &self,
        space: SpaceDefinition,
    ) -> Result<(bool, Option<Lsn>), Refused> {
        self.may_change(&space.name)?;
        let name = space.name.to_string();
        let (answer, lsn) = self.broker.change(Input::DeclareSpace { space })?;
        let is_new = matches!(answer, Answer::Space { created: true, .. });
        let mut last = lsn;
        if is_new {
            let all = || ".*".to_owned();
            let permit = UserChange::Permit {
                user: self.user.name.to_string(),
                space: name,
                configure: all(),
                write: all(),
                read: all(),
            };
            // Who brought its rights along is no user here, and has them anyway.
            let (_, lsn) = self.change_users_soon(vec![permit]).await;
            last = last.max(lsn);
        }
        Ok((is_new, last))
    }

    /// Limits a space, and waits until that is durable.
    ///
    /// # Errors
    /// As [`Operator::put_space`]; [`Refused::NotFound`].
    pub async fn limit_space(&self, space: &str, limits: SpaceLimits) -> Result<(), Refused> {
        let row = self.broker.space_named(space);
        let row = row.ok_or_else(|| Refused::NotFound {
            kind: Kind::Space,
            name: space.to_owned(),
        })?;
        let definition = SpaceDefinition {
            limits,
            ..SpaceDefinition::clone(&row.definition)
        };
        self.put_space(definition).await.map(|_| ())
    }

    /// Deletes a space with all that is in it, sends away whoever is in it, and waits until
    /// it is durable.
    ///
    /// # Errors
    /// [`Refused::Denied`] if it may not; [`Refused::NotFound`]; storage's.
    pub async fn delete_space(&self, space: &str) -> Result<(), Refused> {
        self.may_change(space)?;
        let name = space.to_owned();
        let (answer, lsn) = self.broker.change(Input::DeleteSpace { name })?;
        if let Answer::Space { id, .. } = answer {
            let reason = format!("vhost '{space}' is down");
            self.broker.registry().evict_space(id, &reason);
        }
        self.broker.forget_permissions();
        if let Some(lsn) = lsn {
            self.await_durable(lsn).await;
        }
        Ok(())
    }

    fn may_change(&self, space: &str) -> Result<(), Refused> {
        match self.administers() {
            true => Ok(()),
            false => Err(Refused::Denied {
                permission: Permission::Configure,
                kind: Kind::Space,
                name: space.to_owned(),
                user: self.user.name.to_string(),
            }),
        }
    }
}

/// The tag of who may see everything.
const MONITORING: &str = "monitoring";
