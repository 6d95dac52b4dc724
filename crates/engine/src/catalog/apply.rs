//! Changes applied to the state: nothing else alters it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::change::Change;
use crate::catalog::definition::{
    BindingDefinition, BindingEnd, ExchangeDefinition, QueueDefinition,
};
use crate::catalog::edge::Edge;
use crate::catalog::effective;
use crate::catalog::state::{Catalog, ExchangeEntry, QueueEntry};
use crate::router::{ExchangeId, QueueId, Rules, SpaceId, Target};

impl Catalog {
    /// Applies a change. Whether it altered anything: replaying changes that the state has
    /// seen already, followed by all that came after them, leads to the same state again,
    /// so a snapshot may be older or younger than the place its replay starts from.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Found { cluster } => {
                let news = self.cluster != *cluster;
                self.cluster = *cluster;
                news
            }
            Change::DeclareSpace { id, space } => self.set_space(*id, space),
            Change::DeleteSpace { id, .. } => self.remove_space(*id),
            Change::ReserveSpaceIds { end } => {
                let more = *end > self.next_space;
                self.next_space = self.next_space.max(*end);
                more
            }
            Change::ConfigureGroup {
                space,
                group,
                configs,
            } => self.group_configured(*space, group, configs),
            Change::ConfigureTopic { id, topic, .. } => self.configure_topic(*id, topic),
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
            Change::SetPolicy { space, policy } => {
                let known = self.policies.by_name(*space, &policy.name);
                if known.is_some_and(|known| **known == *policy) {
                    return false;
                }
                self.policies.set(*space, policy);
                self.follow_policies(*space);
                true
            }
            Change::ClearPolicy { space, name } => {
                if self.policies.by_name(*space, name).is_none() {
                    return false;
                }
                self.policies.clear(*space, name);
                self.follow_policies(*space);
                true
            }
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
        let policy = self.policies.of_exchange(space, &definition.name);
        let alternate = effective::alternate(definition, policy.as_deref());
        let rules = Rules {
            alternate: alternate.clone(),
            ..definition.rules()
        };
        let id = self.router.add_exchange(space, &definition.name, &rules);
        if let Some(window) = definition.window {
            self.number_taken(window.0);
        }
        let entry = ExchangeEntry {
            space,
            definition: Arc::new(definition.clone()),
            policy,
            alternate,
            inbound: BTreeSet::new(),
            outbound: BTreeSet::new(),
        };
        self.exchanges.insert(id, entry);
        true
    }

    pub(super) fn remove_exchange(&mut self, id: ExchangeId) {
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
        let policy = self.policies.of_queue(space, definition);
        let properties = self.shared.properties(definition, policy.as_deref());
        let entry = QueueEntry {
            space,
            definition: Arc::new(definition.clone()),
            policy,
            properties,
            inbound: BTreeSet::new(),
        };
        self.queues.insert(id, entry);
        if let Some(entry) = self.spaces.get_mut(&space) {
            entry.queue_count += 1;
        }
        self.subscription_added(id);
        self.number_taken(id.0);
        self.topic_added(id);
        true
    }

    fn number_taken(&mut self, number: u64) {
        self.next_queue = self.next_queue.max(number + 1);
        self.reserved_end = self.reserved_end.max(self.next_queue);
    }

    pub(super) fn remove_queue(&mut self, id: QueueId) -> bool {
        let Some(entry) = self.queues.get(&id) else {
            return false;
        };
        let edges: Vec<_> = entry.inbound.iter().cloned().collect();
        for edge in edges {
            self.remove_edge(&edge);
        }
        self.topic_removed(id);
        self.subscription_removed(id);
        let entry = self.queues.remove(&id).expect("it was there");
        self.router
            .remove_queue(entry.space, &entry.definition.name);
        if let Some(owner) = entry.definition.owner {
            self.owned.remove(&(owner, id));
        }
        if let Some(space) = self.spaces.get_mut(&entry.space) {
            space.queue_count -= 1;
        }
        true
    }

    fn follow_policies(&mut self, space: SpaceId) {
        for entry in self.queues.values_mut().filter(|one| one.space == space) {
            let definition = &entry.definition;
            entry.policy = self.policies.of_queue(space, definition);
            entry.properties = self.shared.properties(definition, entry.policy.as_deref());
        }
        for (id, entry) in &mut self.exchanges {
            if entry.space != space {
                continue;
            }
            let definition = &entry.definition;
            entry.policy = self.policies.of_exchange(space, &definition.name);
            let alternate = effective::alternate(definition, entry.policy.as_deref());
            if entry.alternate != alternate {
                entry.alternate.clone_from(&alternate);
                self.router.set_alternate(*id, alternate);
            }
        }
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
    fn edge(&self, binding: &BindingDefinition) -> Option<Edge> {
        Some(Edge {
            source: self.router.exchange(binding.space, &binding.source)?,
            target: match &binding.destination {
                BindingEnd::Queue(id) if !self.queues.contains_key(id) => return None,
                BindingEnd::Queue(id) => Target::Queue(*id),
                BindingEnd::Exchange(name) => {
                    Target::Exchange(self.router.exchange(binding.space, name)?)
                }
            },
            routing_key: binding.routing_key.as_str().into(),
            // Bindings without arguments are most of them, and share one empty table.
            arguments: match binding.arguments.is_empty() {
                true => Arc::clone(&self.no_arguments),
                false => Arc::new(binding.arguments.clone()),
            },
        })
    }
}
