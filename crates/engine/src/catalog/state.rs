//! The catalog's state, and changes applied to it.
//!
//! Always: both ends of a binding exist; the router knows exactly the queues, exchanges and
//! bindings that stand here; an owned queue is not durable; every queue number in use is
//! below `next_queue`, which is at most `reserved_end`. [`Catalog::check`] asserts it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bongsu_record::Arguments;

use crate::catalog::change::Change;
use crate::catalog::definition::{
    BindingDefinition, ExchangeDefinition, LogDurability, Owner, QueueDefinition,
};
use crate::refused::{Kind, Refused};
use crate::router::headers::compare_arguments;
use crate::router::{ExchangeId, ExchangeType, QueueId, Router, SpaceId, Target};
use crate::session::Destination;

/// Everything that exists, by name.
#[derive(Debug)]
pub struct Catalog {
    pub(super) settings: Settings,
    pub(super) router: Router,
    pub(super) queues: BTreeMap<QueueId, QueueEntry>,
    pub(super) exchanges: BTreeMap<ExchangeId, ExchangeEntry>,
    /// Exclusive queues by their session.
    pub(super) owned: BTreeSet<(Owner, QueueId)>,
    pub(super) next_queue: u64,
    pub(super) reserved_end: u64,
    no_arguments: Arc<Arguments>,
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
    /// Bindings to it.
    pub(super) inbound: BTreeSet<Arc<Edge>>,
}

#[derive(Debug)]
pub(super) struct ExchangeEntry {
    pub(super) space: SpaceId,
    pub(super) definition: Arc<ExchangeDefinition>,
    /// Bindings to it.
    pub(super) inbound: BTreeSet<Arc<Edge>>,
    /// Bindings from it.
    pub(super) outbound: BTreeSet<Arc<Edge>>,
}

/// A binding by numbers.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) source: ExchangeId,
    pub(super) target: Target,
    pub(super) routing_key: Box<str>,
    pub(super) arguments: Arc<Arguments>,
}

impl Catalog {
    /// The catalog of a new data directory: one space, `/`, with its `amq.…` exchanges.
    pub fn new(settings: Settings) -> Catalog {
        let mut catalog = Catalog {
            settings,
            router: Router::new(settings.hash_seed),
            queues: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            owned: BTreeSet::new(),
            next_queue: FIRST_QUEUE,
            reserved_end: FIRST_QUEUE,
            no_arguments: Arc::default(),
        };
        for (name, exchange_type) in PREDECLARED {
            catalog.apply(&Change::DeclareExchange {
                space: SpaceId::DEFAULT,
                exchange: ExchangeDefinition {
                    name: name.into(),
                    exchange_type,
                    durable: true,
                    auto_delete: false,
                    internal: false,
                    arguments: Arguments::new(),
                },
            });
        }
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

    /// The space of that name.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub fn space(&self, name: &str) -> Result<SpaceId, Refused> {
        match name {
            "/" => Ok(SpaceId::DEFAULT),
            _ => Err(not_found(Kind::Space, name)),
        }
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

    /// All bindings, grouped by source, those of the default exchange not among them.
    pub fn bindings(&self) -> impl Iterator<Item = BindingDefinition> {
        self.exchanges
            .values()
            .flat_map(|entry| &entry.outbound)
            .map(|edge| self.describe(edge))
    }

    /// Applies a change. Whether it altered anything: replaying changes that the state has
    /// seen already, followed by all that came after them, leads to the same state again,
    /// so a snapshot may be older or younger than the place its replay starts from.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::ReserveQueueIds { end } => {
                let more = *end > self.reserved_end;
                self.reserved_end = self.reserved_end.max(*end);
                more
            }
            Change::DeclareExchange { space, exchange } => self.add_exchange(*space, exchange),
            Change::DeleteExchange { space, name } => match self.router.exchange(*space, name) {
                Some(id) => {
                    self.remove_exchange(id);
                    true
                }
                None => false,
            },
            Change::DeclareQueue { space, id, queue } => self.add_queue(*space, *id, queue),
            Change::DeleteQueue { id, .. } => self.remove_queue(*id),
            Change::Bind(binding) => match self.edge(binding) {
                Some(edge) => self.add_edge(edge),
                None => false,
            },
            Change::Unbind(binding) => match self.edge(binding) {
                Some(edge) => self.remove_edge(&edge),
                None => false,
            },
        }
    }

    /// Ends a replay: queue numbers go on from the reserved ones, since transient queues
    /// that nobody remembers may have had any of them.
    pub fn replayed(&mut self) {
        self.next_queue = self.reserved_end;
    }

    fn add_exchange(&mut self, space: SpaceId, definition: &ExchangeDefinition) -> bool {
        if let Some(id) = self.router.exchange(space, &definition.name) {
            if *self.exchanges[&id].definition == *definition {
                return false;
            }
            self.remove_exchange(id);
        }
        let id = self.router.add_exchange(
            space,
            &definition.name,
            definition.exchange_type,
            definition.internal,
        );
        let entry = ExchangeEntry {
            space,
            definition: Arc::new(definition.clone()),
            inbound: BTreeSet::new(),
            outbound: BTreeSet::new(),
        };
        self.exchanges.insert(id, entry);
        true
    }

    fn remove_exchange(&mut self, id: ExchangeId) {
        let entry = &self.exchanges[&id];
        let edges: Vec<_> = entry.inbound.union(&entry.outbound).cloned().collect();
        for edge in edges {
            self.remove_edge(&edge);
        }
        let entry = self.exchanges.remove(&id).expect("it was there");
        self.router.remove_exchange(entry.space, id);
    }

    fn add_queue(&mut self, space: SpaceId, id: QueueId, definition: &QueueDefinition) -> bool {
        let named = self.router.queue(space, &definition.name);
        if named == Some(id) && *self.queues[&id].definition == *definition {
            return false;
        }
        for old in named.into_iter().chain([id]) {
            self.remove_queue(old);
        }
        self.router.add_queue(space, &definition.name, id);
        if let Some(owner) = definition.owner {
            self.owned.insert((owner, id));
        }
        let entry = QueueEntry {
            space,
            definition: Arc::new(definition.clone()),
            inbound: BTreeSet::new(),
        };
        self.queues.insert(id, entry);
        self.next_queue = self.next_queue.max(id.0 + 1);
        self.reserved_end = self.reserved_end.max(self.next_queue);
        true
    }

    fn remove_queue(&mut self, id: QueueId) -> bool {
        let Some(entry) = self.queues.get(&id) else {
            return false;
        };
        let edges: Vec<_> = entry.inbound.iter().cloned().collect();
        for edge in edges {
            self.remove_edge(&edge);
        }
        let entry = self.queues.remove(&id).expect("it was there");
        self.router
            .remove_queue(entry.space, &entry.definition.name);
        if let Some(owner) = entry.definition.owner {
            self.owned.remove(&(owner, id));
        }
        true
    }

    fn add_edge(&mut self, edge: Edge) -> bool {
        let edge = Arc::new(edge);
        let source = self.exchanges.get_mut(&edge.source).expect("it is there");
        if !source.outbound.insert(Arc::clone(&edge)) {
            return false;
        }
        self.inbound(edge.target).insert(Arc::clone(&edge));
        self.router
            .bind(edge.source, edge.target, &edge.routing_key, &edge.arguments);
        true
    }

    fn remove_edge(&mut self, edge: &Edge) -> bool {
        let source = self.exchanges.get_mut(&edge.source).expect("it is there");
        if !source.outbound.remove(edge) {
            return false;
        }
        self.inbound(edge.target).remove(edge);
        self.router
            .unbind(edge.source, edge.target, &edge.routing_key, &edge.arguments);
        true
    }

    fn inbound(&mut self, target: Target) -> &mut BTreeSet<Arc<Edge>> {
        match target {
            Target::Queue(id) => {
                let entry = self.queues.get_mut(&id);
                &mut entry.expect("the ends of a binding exist").inbound
            }
            Target::Exchange(id) => {
                let entry = self.exchanges.get_mut(&id);
                &mut entry.expect("the ends of a binding exist").inbound
            }
        }
    }

    /// A binding by numbers; `None` if one end does not exist.
    pub(super) fn edge(&self, binding: &BindingDefinition) -> Option<Edge> {
        let source = self.router.exchange(binding.space, &binding.source)?;
        let target = match &binding.destination {
            Destination::Queue(name) => Target::Queue(self.router.queue(binding.space, name)?),
            Destination::Exchange(name) => {
                Target::Exchange(self.router.exchange(binding.space, name)?)
            }
        };
        Some(Edge {
            source,
            target,
            routing_key: binding.routing_key.as_str().into(),
            // Bindings without arguments are most of them, and share one empty table.
            arguments: match binding.arguments.is_empty() {
                true => Arc::clone(&self.no_arguments),
                false => Arc::new(binding.arguments.clone()),
            },
        })
    }

    pub(super) fn describe(&self, edge: &Edge) -> BindingDefinition {
        let source = &self.exchanges[&edge.source];
        BindingDefinition {
            space: source.space,
            source: source.definition.name.to_string(),
            destination: match edge.target {
                Target::Queue(id) => {
                    Destination::Queue(self.queues[&id].definition.name.to_string())
                }
                Target::Exchange(id) => {
                    Destination::Exchange(self.exchanges[&id].definition.name.to_string())
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
            if let Some(owner) = definition.owner {
                assert!(self.owned.contains(&(owner, *id)));
            }
            edges += entry.inbound.len() as i64;
        }
        for (id, entry) in &self.exchanges {
            let name = &entry.definition.name;
            assert_eq!(self.router.exchange(entry.space, name), Some(*id));
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
        assert!(
            self.owned
                .iter()
                .all(|(_, id)| self.queues.contains_key(id))
        );
        assert!(self.next_queue <= self.reserved_end);
    }
}

impl QueueEntry {
    /// Anybody may use a queue without an owner.
    pub(super) fn check_access(&self, owner: Owner) -> Result<(), Refused> {
        match self.definition.owner {
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

impl Ord for Edge {
    fn cmp(&self, other: &Edge) -> std::cmp::Ordering {
        (self.source, self.target)
            .cmp(&(other.source, other.target))
            .then_with(|| self.routing_key.cmp(&other.routing_key))
            .then_with(|| compare_arguments(&self.arguments, &other.arguments))
    }
}

impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Edge) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Edge {
    fn eq(&self, other: &Edge) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Edge {}

/// Exchanges that every space has, as RabbitMQ's do.
pub(super) const PREDECLARED: [(&str, ExchangeType); 5] = [
    ("amq.direct", ExchangeType::Direct),
    ("amq.fanout", ExchangeType::Fanout),
    ("amq.headers", ExchangeType::Headers),
    ("amq.match", ExchangeType::Headers),
    ("amq.topic", ExchangeType::Topic),
];

/// 0 stays free: nobody's log.
const FIRST_QUEUE: u64 = 1;
