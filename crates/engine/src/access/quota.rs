//! How fast clients may produce and consume: Kafka's client quotas.
//!
//! A quota is set for an entity: a user, a client (by the id it gives itself), both, or the
//! default of either. Of all that concern a request the most particular one holds, in Kafka's
//! order. Who shares a quota follows from the entity: one of a user is all its clients'
//! together, a default is everybody's for himself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Users;
use super::note::Note;

/// One side of an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// By name.
    Named(Arc<str>),
    /// Whoever has none of his own.
    Default,
}

/// Whom a quota is for; at least one side is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Part>,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Part>,
}

/// What is bounded, in bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKey {
    /// What is produced.
    ProducerByteRate,
    /// What is fetched.
    ConsumerByteRate,
}

/// The quotas that there are.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    by_entity: BTreeMap<Entity, BTreeMap<QuotaKey, u64>>,
}

/// Who counts together against a quota.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shared {
    /// The user, where users are told apart.
    pub user: Option<Arc<str>>,
    /// The client, where clients are told apart.
    pub client: Option<Arc<str>>,
    /// What is bounded.
    pub key: QuotaKey,
}

impl Quotas {
    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.by_entity.is_empty()
    }

    /// How many entities have one.
    pub fn len(&self) -> usize {
        self.by_entity.len()
    }

    /// All, by entity.
    pub fn all(&self) -> impl Iterator<Item = (&Entity, &BTreeMap<QuotaKey, u64>)> {
        self.by_entity.iter()
    }

    /// Sets or, with `None`, removes one; `value` is more than 0.
    pub fn set(&mut self, entity: &Entity, key: QuotaKey, value: Option<u64>) {
        match value {
            Some(value) => {
                let quotas = self.by_entity.entry(entity.clone()).or_default();
                quotas.insert(key, value);
            }
            None => {
                if let Some(quotas) = self.by_entity.get_mut(entity) {
                    quotas.remove(&key);
                    if quotas.is_empty() {
                        self.by_entity.remove(entity);
                    }
                }
            }
        }
    }

    /// The quota that holds for a client of a user, and who shares it.
    pub fn of(&self, user: &Arc<str>, client: &Arc<str>, key: QuotaKey) -> Option<(Shared, u64)> {
        let named = |name: &Arc<str>| Some(Part::Named(name.clone()));
        let by_default = || Some(Part::Default);
        let order: [(Option<Part>, Option<Part>); 8] = [
            (named(user), named(client)),
            (named(user), by_default()),
            (named(user), None),
            (by_default(), named(client)),
            (by_default(), by_default()),
            (by_default(), None),
            (None, named(client)),
            (None, by_default()),
        ];
        order.into_iter().find_map(|(of_user, of_client)| {
            let shared = Shared {
                user: of_user.is_some().then(|| user.clone()),
                client: of_client.is_some().then(|| client.clone()),
                key,
            };
            let entity = Entity {
                user: of_user,
                client: of_client,
            };
            let value = self.by_entity.get(&entity)?.get(&key)?;
            Some((shared, *value))
        })
    }
}

/// An entity and what is set for it.
pub type EntityQuotas = (Entity, Vec<(QuotaKey, u64)>);

/// One entity's change.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaChange {
    /// Whose.
    pub entity: Entity,
    /// What becomes of each: `None` removes it.
    pub set: Vec<(QuotaKey, Option<u64>)>,
}

impl Users {
    /// All quotas, by entity.
    pub fn all_quotas(&self) -> Vec<EntityQuotas> {
        let told = |quotas: &BTreeMap<QuotaKey, u64>| {
            quotas.iter().map(|(key, value)| (*key, *value)).collect()
        };
        let all = self.quotas.all();
        all.map(|(entity, quotas)| (entity.clone(), told(quotas)))
            .collect()
    }

    /// Sets and removes quotas; `notes` is what is to be recorded.
    pub fn alter_quotas(
        &self,
        changes: Vec<QuotaChange>,
        notes: &mut Vec<Note>,
    ) -> Vec<Result<(), QuotaRefused>> {
        let mut count = self.quotas.len();
        let alter = |change: QuotaChange| {
            let is_new = !self.quotas.by_entity.contains_key(&change.entity);
            let sets = change.set.iter().any(|(_, value)| value.is_some());
            if is_new && sets {
                if count >= QUOTAS_MAX {
                    return Err(QuotaRefused::Full);
                }
                count += 1;
            }
            notes.extend(change.set.iter().map(|(key, value)| Note::SetQuota {
                entity: change.entity.clone(),
                key: *key,
                value: *value,
            }));
            Ok(())
        };
        changes.into_iter().map(alter).collect()
    }
}

/// Why quotas are not told or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaRefused {
    /// The user may not.
    Access,
    /// There are as many as there may be.
    Full,
    /// The disk failed: restart.
    Storage,
}

/// Entities that have quotas.
pub const QUOTAS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(user: Option<&str>, client: Option<&str>) -> Entity {
        let part = |name: &str| match name {
            "*" => Part::Default,
            name => Part::Named(Arc::from(name)),
        };
        Entity {
            user: user.map(part),
            client: client.map(part),
        }
    }

    #[test]
    fn the_most_particular_quota_holds() {
        let order = [
            (Some("alice"), Some("app")),
            (Some("alice"), Some("*")),
            (Some("alice"), None),
            (Some("*"), Some("app")),
            (Some("*"), Some("*")),
            (Some("*"), None),
            (None, Some("app")),
            (None, Some("*")),
        ];
        let key = QuotaKey::ProducerByteRate;
        let (user, client) = (Arc::from("alice"), Arc::from("app"));
        let mut quotas = Quotas::default();
        assert_eq!(quotas.of(&user, &client, key), None);
        for (value, (of_user, of_client)) in (1..).zip(order.iter().rev()) {
            let entity = entity(*of_user, *of_client);
            quotas.set(&entity, key, Some(value));
            let (shared, is) = quotas.of(&user, &client, key).expect("just set");
            assert_eq!(is, value);
            assert_eq!(shared.user.is_some(), of_user.is_some());
            assert_eq!(shared.client.is_some(), of_client.is_some());
            assert_eq!(quotas.of(&user, &client, QuotaKey::ConsumerByteRate), None);
        }
        assert_eq!(quotas.len(), 8);
        for (of_user, of_client) in order {
            quotas.set(&entity(of_user, of_client), key, None);
        }
        assert!(quotas.is_empty());
    }

    #[test]
    fn others_are_not_concerned() {
        let mut quotas = Quotas::default();
        let key = QuotaKey::ConsumerByteRate;
        quotas.set(&entity(Some("alice"), Some("app")), key, Some(5));
        let of = |user: &str, client: &str| quotas.of(&Arc::from(user), &Arc::from(client), key);
        assert!(of("alice", "app").is_some());
        assert!(of("alice", "other").is_none());
        assert!(of("bob", "app").is_none());
    }
}
