//! The catalog's state, and what can be asked of it.
//!
//! Always: both ends of a binding exist; the router knows exactly the queues, exchanges and
//! bindings that stand here; an owned queue is not durable; a topic's partitions are numbered
//! without gaps, and their settings are those of its first; every number in use, of a queue
//! or a window, is below `next_queue`, which is at most `reserved_end`; exactly the exchanges
//! that drop what they have seen have a window; a thing has the policy that applies to it. [`Catalog::check`] asserts it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bongsu_record::Arguments;

use crate::catalog::change::Change;
use crate::catalog::definition::{
    BindingDefinition, BindingEnd, Configs, ExchangeDefinition, LogDurability, Owner,
    QueueDefinition,
};
use crate::catalog::edge::Edge;
use crate::catalog::effective::{Policies, Shared};
use crate::catalog::names;
use crate::catalog::policy::Policy;
use crate::catalog::space::{SpaceDefinition, SpaceEntry};
use crate::queue::properties::{Deduplication, Properties};
use crate::refused::{Kind, Refused};
use crate::router::{ExchangeId, ExchangeType, QueueId, Router, SpaceId, Target, WindowId};

/// Everything that exists, by name.
#[derive(Debug)]
pub struct Catalog {
    pub(super) settings: Settings,
    pub(super) spaces: BTreeMap<SpaceId, SpaceEntry>,
    pub(super) space_ids: BTreeMap<Arc<str>, SpaceId>,
    pub(super) next_space: u32,
    pub(super) router: Router,
    pub(super) queues: BTreeMap<QueueId, QueueEntry>,
    pub(super) exchanges: BTreeMap<ExchangeId, ExchangeEntry>,
    /// Exclusive queues by their session.
    pub(super) owned: BTreeSet<(Owner, QueueId)>,
    /// What share groups are configured to; none is empty.
    pub(super) group_configs: BTreeMap<(SpaceId, String), Configs>,
    /// Subscriptions by whose records they consume.
    pub(super) subscribed: BTreeSet<(QueueId, QueueId)>,
    pub(super) next_queue: u64,
    pub(super) reserved_end: u64,
    pub(super) no_arguments: Arc<Arguments>,
    pub(super) policies: Policies,
    pub(super) shared: Shared,
    /// 0: not given yet.
    pub(super) cluster: u128,
    /// Partitions beyond the first, by topic.
    pub(super) parts: BTreeMap<(QueueId, u32), QueueId>,
    /// Topics whose names have dots or underscores, by the name with the one for the other.
    pub(super) alike: BTreeSet<(SpaceId, Box<str>, QueueId)>,
}

/// What the broker decides for its catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of durable queues that do not say.
    pub durability: LogDurability,
    /// See [`Router::new`].
    pub hash_seed: u64,
}

#[derive(Debug)]
pub(super) struct QueueEntry {
    pub(super) space: SpaceId,
    pub(super) definition: Arc<QueueDefinition>,
    /// The one that applies.
    pub(super) policy: Option<Arc<Policy>>,
    /// What both come to.
    pub(super) properties: Arc<Properties>,
    /// Bindings to it.
    pub(super) inbound: BTreeSet<Arc<Edge>>,
}

#[derive(Debug)]
pub(super) struct ExchangeEntry {
    pub(super) space: SpaceId,
    pub(super) definition: Arc<ExchangeDefinition>,
    /// The one that applies.
    pub(super) policy: Option<Arc<Policy>>,
    /// What both come to.
    pub(super) alternate: Option<Arc<str>>,
    /// Bindings to it.
    pub(super) inbound: BTreeSet<Arc<Edge>>,
    /// Bindings from it.
    pub(super) outbound: BTreeSet<Arc<Edge>>,
}

impl Catalog {
    /// The catalog of a new data directory: one space, `/`, with its `amq.…` exchanges.
    pub fn new(settings: Settings) -> Catalog {
        let mut catalog = Catalog {
            settings,
            spaces: BTreeMap::new(),
            space_ids: BTreeMap::new(),
            next_space: 0,
            router: Router::new(settings.hash_seed),
            queues: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            owned: BTreeSet::new(),
            group_configs: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            next_queue: FIRST_QUEUE,
            reserved_end: FIRST_QUEUE,
            no_arguments: Arc::default(),
            policies: Policies::default(),
            shared: Shared::default(),
            cluster: 0,
            parts: BTreeMap::new(),
            alike: BTreeSet::new(),
        };
        catalog.apply(&Change::DeclareSpace {
            id: SpaceId::DEFAULT,
            space: SpaceDefinition::named(FIRST_SPACE),
        });
        catalog
    }

    /// The router, which always follows the catalog.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Grows with every change that may lead some publish elsewhere.
    pub fn epoch(&self) -> u64 {
        self.router.epoch()
    }

    /// The number of the queue that a request to delete `name` means.
    pub fn queue_id(&self, space: SpaceId, name: &str) -> Option<QueueId> {
        self.router.queue(space, &names::clean(name))
    }

    /// The queue of that name, if this session may use it.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Locked`].
    pub fn find_queue(
        &self,
        space: SpaceId,
        owner: Owner,
        name: &str,
    ) -> Result<(QueueId, &Arc<QueueDefinition>), Refused> {
        let (id, entry) = self
            .queue_entry(space, name)
            .ok_or_else(|| not_found(Kind::Queue, name))?;
        entry.check_access(owner)?;
        Ok((id, &entry.definition))
    }

    /// A queue by its number.
    pub fn queue(&self, id: QueueId) -> Option<&Arc<QueueDefinition>> {
        self.queues.get(&id).map(|entry| &entry.definition)
    }

    /// What a queue's arguments and policy come to; equal ones are shared.
    pub fn properties(&self, id: QueueId) -> Option<&Arc<Properties>> {
        self.queues.get(&id).map(|entry| &entry.properties)
    }

    /// The policy that applies to a queue.
    pub fn queue_policy(&self, id: QueueId) -> Option<&Arc<Policy>> {
        self.queues.get(&id)?.policy.as_ref()
    }

    /// The type of an exchange, if it is there.
    pub fn exchange_type(&self, space: SpaceId, name: &str) -> Option<ExchangeType> {
        let (_, entry) = self.exchange_entry(space, name)?;
        Some(entry.definition.exchange_type)
    }

    /// The policy that applies to an exchange.
    pub fn exchange_policy(&self, space: SpaceId, name: &str) -> Option<&Arc<Policy>> {
        self.exchange_entry(space, name)?.1.policy.as_ref()
    }

    /// All policies, by space, in the order in which they are tried.
    pub fn policies(&self) -> impl Iterator<Item = (SpaceId, &Arc<Policy>)> {
        self.policies.all()
    }

    /// All queues, by number.
    pub fn queues(&self) -> impl Iterator<Item = (QueueId, SpaceId, &Arc<QueueDefinition>)> {
        self.queues
            .iter()
            .map(|(id, entry)| (*id, entry.space, &entry.definition))
    }

    /// All exchanges, in no particular order, the default one not among them.
    pub fn exchanges(&self) -> impl Iterator<Item = (SpaceId, &Arc<ExchangeDefinition>)> {
        self.exchanges
            .values()
            .map(|entry| (entry.space, &entry.definition))
    }

    /// Windows of exchanges that drop what they have seen, in no particular order.
    pub fn windows(&self) -> impl Iterator<Item = (WindowId, Deduplication)> {
        self.exchanges.values().filter_map(|entry| {
            let definition = &entry.definition;
            let settings = Deduplication::of_exchange(&definition.arguments);
            Some((definition.window?, settings))
        })
    }

    /// All bindings, grouped by source, those of the default exchange not among them.
    pub fn bindings(&self) -> impl Iterator<Item = BindingDefinition> {
        self.exchanges
            .values()
            .flat_map(|entry| &entry.outbound)
            .map(|edge| self.describe(edge))
    }

    pub(super) fn describe(&self, edge: &Edge) -> BindingDefinition {
        let source = &self.exchanges[&edge.source];
        BindingDefinition {
            space: source.space,
            source: source.definition.name.to_string(),
            destination: match edge.target {
                Target::Queue(id) => BindingEnd::Queue(id),
                Target::Exchange(id) => {
                    BindingEnd::Exchange(self.exchanges[&id].definition.name.to_string())
                }
            },
            routing_key: edge.routing_key.to_string(),
            arguments: (*edge.arguments).clone(),
        }
    }

    /// A binding outlives a restart exactly if both its ends do.
    pub(super) fn is_durable(&self, edge: &Edge) -> bool {
        let target = match edge.target {
            Target::Queue(id) => self.queues[&id].definition.durable,
            Target::Exchange(id) => self.exchanges[&id].definition.durable,
        };
        target && self.exchanges[&edge.source].definition.durable
    }

    pub(super) fn queue_entry(&self, space: SpaceId, name: &str) -> Option<(QueueId, &QueueEntry)> {
        let id = self.router.queue(space, name)?;
        Some((id, &self.queues[&id]))
    }

    pub(super) fn exchange_entry(
        &self,
        space: SpaceId,
        name: &str,
    ) -> Option<(ExchangeId, &ExchangeEntry)> {
        let id = self.router.exchange(space, name)?;
        Some((id, &self.exchanges[&id]))
    }

    /// Asserts what the module comment promises. Tests call it after every step.
    pub fn check(&self) {
        let mut edges = 0_i64;
        for (id, entry) in &self.queues {
            let definition = &entry.definition;
            assert_eq!(self.router.queue(entry.space, &definition.name), Some(*id));
            assert!(definition.owner.is_none() || !definition.durable);
            assert!(id.0 < self.next_queue);
            let policy = self.policies.of_queue(entry.space, definition);
            assert_eq!(entry.policy, policy);
            if let Some(owner) = definition.owner {
                assert!(self.owned.contains(&(owner, *id)));
            }
            edges += entry.inbound.len() as i64;
        }
        for (id, entry) in &self.exchanges {
            let definition = &entry.definition;
            let id_there = self.router.exchange(entry.space, &definition.name);
            assert_eq!(id_there, Some(*id));
            let policy = self.policies.of_exchange(entry.space, &definition.name);
            assert_eq!(entry.policy, policy);
            assert_eq!(definition.window.is_some(), definition.deduplicates());
            assert!(definition.window.is_none_or(|id| id.0 < self.next_queue));
            for edge in &entry.outbound {
                assert_eq!(edge.source, *id);
                let there = match edge.target {
                    Target::Queue(id) => self.queues[&id].inbound.contains(edge),
                    Target::Exchange(id) => self.exchanges[&id].inbound.contains(edge),
                };
                assert!(there);
                edges -= 1;
            }
            edges += entry.inbound.len() as i64;
        }
        assert_eq!(edges, 0);
        self.check_parts();
        self.check_spaces();
        assert!(
            self.owned
                .iter()
                .all(|(_, id)| self.queues.contains_key(id))
        );
        self.check_subscriptions();
        assert!(self.next_queue <= self.reserved_end);
    }
}

impl QueueEntry {
    /// Anybody may use a queue without an owner; of a place for another's answers nobody
    /// is told.
    pub(super) fn check_access(&self, owner: Owner) -> Result<(), Refused> {
        let name = &self.definition.name;
        match self.definition.owner {
            Some(other) if other != owner && names::is_reply(name) => {
                Err(not_found(Kind::Queue, name))
            }
            Some(other) if other != owner => Err(locked(&self.definition.name)),
            _ => Ok(()),
        }
    }
}

pub(super) fn locked(queue: &str) -> Refused {
    Refused::Locked {
        queue: queue.to_owned(),
    }
}

pub(super) fn not_found(kind: Kind, name: &str) -> Refused {
    Refused::NotFound {
        kind,
        name: name.to_owned(),
    }
}

/// Exchanges that every space has, as RabbitMQ's do.
pub(super) const PREDECLARED: [(&str, ExchangeType); 5] = [
    ("amq.direct", ExchangeType::Direct),
    ("amq.fanout", ExchangeType::Fanout),
    ("amq.headers", ExchangeType::Headers),
    ("amq.match", ExchangeType::Headers),
    ("amq.topic", ExchangeType::Topic),
];

/// The space of a new data directory.
pub(super) const FIRST_SPACE: &str = "/";

/// 0 stays free: nobody's log.
const FIRST_QUEUE: u64 = 1;
