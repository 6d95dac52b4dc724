//! Reading the catalog for people and tools: a few at a time, so that whoever lists a hundred
//! thousand queues holds the lock for moments only.

use std::ops::Bound;
use std::sync::Arc;

use crate::catalog::definition::{BindingDefinition, ExchangeDefinition, QueueDefinition};
use crate::catalog::names;
use crate::catalog::policy::Policy;
use crate::catalog::state::Catalog;
use crate::router::{QueueId, SpaceId};

impl Catalog {
    /// Up to `most` queues with numbers above `after`, by number.
    pub fn queues_after(
        &self,
        after: QueueId,
        most: usize,
    ) -> impl Iterator<Item = (QueueId, SpaceId, &Arc<QueueDefinition>)> {
        self.queues
            .range((Bound::Excluded(after), Bound::Unbounded))
            .take(most)
            .map(|(id, entry)| (*id, entry.space, &entry.definition))
    }

    /// The queue of that name, whosever it is.
    pub fn queue_by_name(
        &self,
        space: SpaceId,
        name: &str,
    ) -> Option<(QueueId, &Arc<QueueDefinition>)> {
        let (id, entry) = self.queue_entry(space, name)?;
        Some((id, &entry.definition))
    }

    /// Whether a queue is the broker's own: a place for answers, or a share group's
    /// subscription. Neither is listed.
    pub fn is_internal(definition: &QueueDefinition) -> bool {
        names::is_reply(&definition.name) || names::is_share(&definition.name)
    }

    /// An exchange and the policy that applies to it; the default one is none.
    pub fn exchange(
        &self,
        space: SpaceId,
        name: &str,
    ) -> Option<(&Arc<ExchangeDefinition>, Option<&Arc<Policy>>)> {
        let (_, entry) = self.exchange_entry(space, name)?;
        Some((&entry.definition, entry.policy.as_ref()))
    }

    /// All exchanges and the policies that apply to them, as [`Catalog::exchanges`].
    pub fn exchanges_with_policies(
        &self,
    ) -> impl Iterator<Item = (SpaceId, &Arc<ExchangeDefinition>, Option<&Arc<Policy>>)> {
        let entries = self.exchanges.values();
        entries.map(|entry| (entry.space, &entry.definition, entry.policy.as_ref()))
    }

    /// Bindings that lead to a queue; that of the default exchange is not among them.
    pub fn bindings_to_queue(&self, id: QueueId) -> impl Iterator<Item = BindingDefinition> {
        let entry = self.queues.get(&id).into_iter();
        let edges = entry.flat_map(|entry| &entry.inbound);
        edges.map(|edge| self.describe(edge))
    }

    /// Bindings that lead from an exchange.
    pub fn bindings_from(
        &self,
        space: SpaceId,
        exchange: &str,
    ) -> impl Iterator<Item = BindingDefinition> {
        let entry = self.exchange_entry(space, exchange).into_iter();
        let edges = entry.flat_map(|(_, entry)| &entry.outbound);
        edges.map(|edge| self.describe(edge))
    }

    /// Bindings that lead to an exchange.
    pub fn bindings_to_exchange(
        &self,
        space: SpaceId,
        exchange: &str,
    ) -> impl Iterator<Item = BindingDefinition> {
        let entry = self.exchange_entry(space, exchange).into_iter();
        let edges = entry.flat_map(|(_, entry)| &entry.inbound);
        edges.map(|edge| self.describe(edge))
    }

    /// The policy of that name.
    pub fn policy(&self, space: SpaceId, name: &str) -> Option<&Arc<Policy>> {
        self.policies.by_name(space, name)
    }
}
