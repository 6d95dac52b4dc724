//! What a queue and an exchange are in effect: their arguments and the one policy that
//! applies to them.
//!
//! As RabbitMQ merges them: of two numbers the lower counts, of all else the argument; but a
//! stream follows its policy. Queues that come out the same share one [`Properties`].

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_record::{Arguments, Value};

use crate::catalog::arguments::{DURABILITY, Place, QUEUE_TYPE, Status, TABLE};
use crate::catalog::definition::{ExchangeDefinition, QueueDefinition, TopicDefinition};
use crate::catalog::names;
use crate::catalog::policy::{Compiled, Policy, Thing};
use crate::queue::properties::Properties;
use crate::router::{SpaceId, compare_arguments};
use crate::topic::config;

/// The policies of all spaces, each space's in the order they are tried.
#[derive(Debug, Default)]
pub(super) struct Policies(BTreeMap<SpaceId, Vec<Compiled>>);

impl Policies {
    pub(super) fn all(&self) -> impl Iterator<Item = (SpaceId, &Arc<Policy>)> {
        self.0
            .iter()
            .flat_map(|(space, policies)| policies.iter().map(|one| (*space, &one.policy)))
    }

    pub(super) fn by_name(&self, space: SpaceId, name: &str) -> Option<&Arc<Policy>> {
        let policies = self.0.get(&space)?;
        let found = policies.iter().find(|one| one.policy.name == name)?;
        Some(&found.policy)
    }

    /// In place of one of that name.
    pub(super) fn set(&mut self, space: SpaceId, policy: &Policy) {
        self.clear(space, &policy.name);
        let policies = self.0.entry(space).or_default();
        let policy = Compiled::new(policy);
        let place = policies.partition_point(|one| one.before(&policy).is_lt());
        policies.insert(place, policy);
    }

    pub(super) fn clear(&mut self, space: SpaceId, name: &str) {
        if let Some(policies) = self.0.get_mut(&space) {
            policies.retain(|one| one.policy.name != name);
        }
    }

    pub(super) fn clear_all(&mut self, space: SpaceId) {
        self.0.remove(&space);
    }

    pub(super) fn of_exchange(&self, space: SpaceId, name: &str) -> Option<Arc<Policy>> {
        self.of(space, Thing::Exchange, name)
    }

    pub(super) fn of_queue(
        &self,
        space: SpaceId,
        definition: &QueueDefinition,
    ) -> Option<Arc<Policy>> {
        if names::is_reply(&definition.name) || names::is_share(&definition.name) {
            return None;
        }
        self.of(space, thing(definition), definition.topic_name())
    }

    fn of(&self, space: SpaceId, thing: Thing, name: &str) -> Option<Arc<Policy>> {
        let mut policies = self.0.get(&space)?.iter();
        let found = policies.find(|policy| policy.applies(thing, name))?;
        Some(Arc::clone(&found.policy))
    }
}

/// Properties that queues share, by what they were read from.
#[derive(Debug, Default)]
pub(super) struct Shared {
    known: BTreeMap<(ByArguments, Option<TopicDefinition>), Arc<Properties>>,
    /// Entries at which those that nobody holds are dropped, so that they are never more
    /// than those in use, or [`SWEPT_MIN`].
    sweep_at: usize,
}

impl Shared {
    pub(super) fn properties(
        &mut self,
        definition: &QueueDefinition,
        policy: Option<&Policy>,
    ) -> Arc<Properties> {
        let merged = ByArguments(merge(definition, policy));
        let key = (merged, definition.topic.clone());
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known
                .retain(|_, properties| Arc::strong_count(properties) > 1);
            self.sweep_at = SWEPT_MIN.max(2 * self.known.len());
        }
        let mut properties = Properties::of(&key.0.0);
        config::apply(key.1.as_ref(), &mut properties);
        let properties = Arc::new(properties);
        self.known.insert(key, Arc::clone(&properties));
        properties
    }
}

/// Where an exchange sends what it has no place for.
pub(super) fn alternate(
    definition: &ExchangeDefinition,
    policy: Option<&Policy>,
) -> Option<Arc<str>> {
    let of_policy = || {
        let value = policy?.definition.get("alternate-exchange")?;
        value.as_text().map(Arc::from)
    };
    definition.rules().alternate.or_else(of_policy)
}

fn thing(definition: &QueueDefinition) -> Thing {
    match definition
        .arguments
        .get(QUEUE_TYPE)
        .and_then(Value::as_text)
    {
        Some("stream") => Thing::Stream,
        Some("quorum") => Thing::Quorum,
        _ => Thing::Classic,
    }
}

/// Only what says something about a queue's behaviour: of the rest each queue may have its
/// own, and they would share nothing.
fn merge(definition: &QueueDefinition, policy: Option<&Policy>) -> Arguments {
    let follows_policy = thing(definition) == Thing::Stream;
    let mut merged = Arguments::new();
    for (name, value) in &definition.arguments {
        if counts(name) {
            merged.insert(name.clone(), value.clone());
        }
    }
    let backs_off = merged.contains_key("x-delayed-retry-type");
    for (name, value) in policy.into_iter().flat_map(Policy::arguments) {
        if !counts(&name) || (backs_off && name == "x-retry-delays") {
            continue;
        }
        let keeps_own = merged.get(&name).is_some_and(|own| {
            let lower =
                matches!((bound(own), bound(value)), (Some(own), Some(other)) if other < own);
            !lower && !follows_policy
        });
        if !keeps_own {
            merged.insert(name, value.clone());
        }
    }
    merged
}

fn counts(name: &str) -> bool {
    name != DURABILITY
        && TABLE.iter().any(|row| {
            let is_queues = row.place == Place::Queue && row.status == Status::Enforced;
            is_queues && row.name == name
        })
}

/// A number as a bound: below 0 is none at all.
fn bound(value: &Value) -> Option<u64> {
    value
        .as_int()
        .map(|int| u64::try_from(int).unwrap_or(u64::MAX))
}

#[derive(Debug)]
struct ByArguments(Arguments);

impl Ord for ByArguments {
    fn cmp(&self, other: &ByArguments) -> Ordering {
        compare_arguments(&self.0, &other.0)
    }
}

impl PartialOrd for ByArguments {
    fn partial_cmp(&self, other: &ByArguments) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByArguments {
    fn eq(&self, other: &ByArguments) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByArguments {}

const SWEPT_MIN: usize = 64;
