//! What exists, for people and tools: rows of queues, exchanges, bindings and policies.
//!
//! The catalog's lock is held for [`CHUNK`] queues at a time, never across a whole list, and
//! a row holds shared definitions, not copies. What a queue holds just now is asked of the
//! queue ([`Broker::queue_counts`]), so that a page of a long list asks few.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::catalog::{
    ApplyTo, BindingDefinition, BindingEnd, Catalog, ExchangeDefinition, Input, Policy,
    QueueDefinition, QueueId, SpaceId,
};

use crate::broker::Broker;
use crate::statistics::Activity;

/// A queue as it is listed.
#[derive(Clone, Debug)]
pub struct QueueRow {
    /// Its number.
    pub id: QueueId,
    /// Where it is.
    pub space: SpaceId,
    /// As declared.
    pub definition: Arc<QueueDefinition>,
}

/// An exchange as it is listed.
#[derive(Clone, Debug)]
pub struct ExchangeRow {
    /// Where it is.
    pub space: SpaceId,
    /// As declared.
    pub definition: Arc<ExchangeDefinition>,
    /// The policy that applies to it.
    pub policy: Option<Arc<Policy>>,
}

/// A binding as it is listed: ends by their names.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingRow {
    /// What is recorded of it.
    pub definition: BindingDefinition,
    /// Its destination's name.
    pub destination: Arc<str>,
    /// The destination is a queue.
    pub to_queue: bool,
}

/// What a queue holds, and who is there.
#[derive(Clone, Debug, Default)]
pub struct QueueCounts {
    /// Records that can be delivered.
    pub ready: u64,
    /// Records out with consumers.
    pub leased: u64,
    /// Records that wait for their time.
    pub waiting: u64,
    /// Records that are being dropped or dead-lettered.
    pub dying: u64,
    /// Bytes of ready bodies, where the queue counts them.
    pub ready_bytes: u64,
    /// About as many bytes as the records take that it still holds, whatever their state.
    pub record_bytes: u64,
    /// Of those, bytes that are in memory.
    pub memory_bytes: u64,
    /// Consumers and readers.
    pub consumers: u32,
    /// A record that came now could be delivered at once.
    pub delivers: bool,
    /// The tag of the consumer beside whom there is no other.
    pub exclusive_consumer: Option<String>,
    /// The tag of the consumer who alone is served.
    pub single_active_consumer: Option<String>,
    /// First kept, and next offset of its log.
    pub start: u64,
    /// See `start`.
    pub end: u64,
    /// Its records are read, not consumed.
    pub is_stream: bool,
    /// When a client last used it other than by publishing, Unix milliseconds.
    pub used_ms: u64,
    /// The policy that applies.
    pub policy: Option<Arc<Policy>>,
    /// What was counted of it.
    pub activity: Activity,
}

impl Broker {
    /// All spaces, by number.
    pub fn space_names(&self) -> Vec<(SpaceId, Arc<str>)> {
        let catalog = self.catalog();
        let spaces = catalog.spaces();
        spaces
            .map(|(id, space)| (id, Arc::clone(&space.name)))
            .collect()
    }

    /// All queues of a space, or of all; not the broker's own.
    pub fn queue_rows(&self, of: Option<SpaceId>) -> Vec<QueueRow> {
        let mut rows = Vec::new();
        let mut after = QueueId(0);
        loop {
            let catalog = self.catalog();
            let mut seen = 0;
            for (id, space, definition) in catalog.queues_after(after, CHUNK) {
                (after, seen) = (id, seen + 1);
                let wanted = of.is_none_or(|of| of == space);
                if wanted && !Catalog::is_internal(definition) {
                    let definition = Arc::clone(definition);
                    rows.push(QueueRow {
                        id,
                        space,
                        definition,
                    });
                }
            }
            if seen < CHUNK {
                return rows;
            }
        }
    }

    /// How many queues a space has, the broker's own among them.
    pub fn queue_count(&self, space: SpaceId) -> u32 {
        self.catalog().queue_count(space)
    }

    /// One queue.
    pub fn queue_row(&self, space: SpaceId, name: &str) -> Option<QueueRow> {
        let catalog = self.catalog();
        let (id, definition) = catalog.queue_by_name(space, name)?;
        (!Catalog::is_internal(definition)).then(|| QueueRow {
            id,
            space,
            definition: Arc::clone(definition),
        })
    }

    /// What a queue holds just now; `None` if it is gone.
    pub fn queue_counts(&self, id: QueueId) -> Option<QueueCounts> {
        let cell = self.cell(id)?;
        let policy = self.catalog().queue_policy(id).cloned();
        let activity = cell.activity(self.now_ms());
        let state = cell.lock();
        let links = state.machine.links();
        let (exclusive, active) = (links.exclusive(), links.active());
        let delivers = links.any_servable();
        let tag = |key| {
            let consumer = state.targets.get(&key)?.consumer.as_ref()?;
            Some(consumer.tag.clone())
        };
        let cursor = state.machine.cursor();
        let is_stream = state.machine.properties().is_stream;
        let (start, end) = (cell.log.start().0, cell.log.end().0);
        let record_bytes = match (is_stream, cursor.first_owed()) {
            (true, _) => cell.log.size_bytes(),
            (false, Some(first)) => cell.log.bytes_between(first, cell.log.end(), u64::MAX),
            (false, None) => 0,
        };
        Some(QueueCounts {
            ready: match is_stream {
                true => end.saturating_sub(start),
                false => cursor.ready(),
            },
            leased: cursor.leased(),
            waiting: cursor.waiting(),
            dying: cursor.dying(),
            ready_bytes: state.machine.ready_bytes(),
            record_bytes,
            memory_bytes: cell.home.stats().memory_bytes,
            consumers: state.link_count(),
            delivers,
            exclusive_consumer: exclusive.and_then(tag),
            single_active_consumer: active.and_then(tag),
            start,
            end,
            is_stream,
            used_ms: state.used_ms,
            policy,
            activity,
        })
    }

    /// All exchanges of a space, or of all; the default one is none.
    pub fn exchange_rows(&self, of: Option<SpaceId>) -> Vec<ExchangeRow> {
        let catalog = self.catalog();
        let rows = catalog.exchanges_with_policies();
        let rows = rows.filter(|(space, _, _)| of.is_none_or(|of| of == *space));
        rows.map(|(space, definition, policy)| ExchangeRow {
            space,
            definition: Arc::clone(definition),
            policy: policy.cloned(),
        })
        .collect()
    }

    /// One exchange.
    pub fn exchange_row(&self, space: SpaceId, name: &str) -> Option<ExchangeRow> {
        let catalog = self.catalog();
        let (definition, policy) = catalog.exchange(space, name)?;
        Some(ExchangeRow {
            space,
            definition: Arc::clone(definition),
            policy: policy.cloned(),
        })
    }

    /// All bindings of a space, or of all, but those of the default exchange.
    pub fn binding_rows(&self, of: Option<SpaceId>) -> Vec<BindingRow> {
        let catalog = self.catalog();
        let bindings = catalog.bindings();
        let bindings = bindings.filter(|binding| of.is_none_or(|of| of == binding.space));
        rows(&catalog, bindings)
    }

    /// Bindings that lead to a queue, but that of the default exchange.
    pub fn bindings_to_queue(&self, id: QueueId) -> Vec<BindingRow> {
        let catalog = self.catalog();
        rows(&catalog, catalog.bindings_to_queue(id))
    }

    /// Bindings that lead from an exchange, which is not the default one.
    pub fn bindings_from(&self, space: SpaceId, exchange: &str) -> Vec<BindingRow> {
        let catalog = self.catalog();
        rows(&catalog, catalog.bindings_from(space, exchange))
    }

    /// Bindings that lead to an exchange.
    pub fn bindings_to_exchange(&self, space: SpaceId, exchange: &str) -> Vec<BindingRow> {
        let catalog = self.catalog();
        rows(&catalog, catalog.bindings_to_exchange(space, exchange))
    }

    /// All policies of a space, or of all, in the order in which they are tried.
    pub fn policy_rows(&self, of: Option<SpaceId>) -> Vec<(SpaceId, Arc<Policy>)> {
        let catalog = self.catalog();
        let policies = catalog.policies();
        let policies = policies.filter(|(space, _)| of.is_none_or(|of| of == *space));
        policies
            .map(|(space, policy)| (space, Arc::clone(policy)))
            .collect()
    }

    /// One policy.
    pub fn policy_row(&self, space: SpaceId, name: &str) -> Option<Arc<Policy>> {
        self.catalog().policy(space, name).cloned()
    }

    /// Sets a policy and waits until it is durable.
    ///
    /// # Errors
    /// Its pattern or a setting cannot be read; storage takes nothing.
    pub async fn put_policy(&self, space: SpaceId, policy: Policy) -> Result<(), Refused> {
        self.change_durably(Input::SetPolicy { space, policy })
            .await
    }

    /// Takes a policy away, and waits until that is durable.
    ///
    /// # Errors
    /// Storage takes nothing.
    pub async fn delete_policy(&self, space: SpaceId, name: &str) -> Result<(), Refused> {
        let name = name.to_owned();
        self.change_durably(Input::ClearPolicy { space, name })
            .await
    }

    async fn change_durably(&self, input: Input) -> Result<(), Refused> {
        let (_, lsn) = self.change(input)?;
        if let Some(lsn) = lsn {
            let mut durable = self.durable();
            let _ = durable.wait_for(|durable| *durable >= lsn).await;
        }
        Ok(())
    }
}

fn rows(catalog: &Catalog, bindings: impl Iterator<Item = BindingDefinition>) -> Vec<BindingRow> {
    let named = bindings.filter_map(|definition| {
        let (destination, to_queue) = match &definition.destination {
            BindingEnd::Queue(id) => (Arc::clone(&catalog.queue(*id)?.name), true),
            BindingEnd::Exchange(name) => (Arc::from(name.as_str()), false),
        };
        Some(BindingRow {
            definition,
            destination,
            to_queue,
        })
    });
    named.collect()
}

/// What a policy is for, as RabbitMQ says it.
pub fn apply_to_name(apply_to: ApplyTo) -> &'static str {
    match apply_to {
        ApplyTo::All => "all",
        ApplyTo::Queues => "queues",
        ApplyTo::ClassicQueues => "classic_queues",
        ApplyTo::QuorumQueues => "quorum_queues",
        ApplyTo::Streams => "streams",
        ApplyTo::Exchanges => "exchanges",
    }
}

/// Queues looked at under one hold of the catalog's lock.
const CHUNK: usize = 2048;
