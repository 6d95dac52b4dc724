//! The router, and one publish through it.
//!
//! Names lead to numbers once, at the exchange and at its queues; bindings hold numbers.
//! Hash maps are looked up and never walked, so that hashing decides no order: what a
//! publish leads to comes out in ascending [`QueueId`], the order in which a publisher
//! locks the queues.
//!
//! Always: a binding that was added is removed before its exchange or its queue is. The
//! catalog keeps that.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use bongsu_record::Arguments;
use foldhash::fast::FixedState;

use crate::refused::{Kind, Refused};
use crate::router::exchange::{Bindings, Exchange, ExchangeType};
use crate::router::id::{ExchangeId, QueueId, SpaceId};
use crate::router::targets::Target;
use crate::router::topic::TopicScratch;

/// Exchanges, their bindings, and the names of queues.
#[derive(Debug)]
pub struct Router {
    spaces: Vec<Names>,
    exchanges: Vec<Option<Exchange>>,
    free: Vec<ExchangeId>,
    epoch: u64,
    hash_seed: u64,
}

#[derive(Debug)]
struct Names {
    exchanges: HashMap<Arc<str>, ExchangeId, FixedState>,
    queues: HashMap<Arc<str>, QueueId, FixedState>,
}

/// How a publish was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The same exchange and routing key lead to the same queues until [`Router::epoch`]
    /// changes. `false` if headers were looked at.
    pub cacheable: bool,
}

/// Buffers for routing, kept by each publisher.
#[derive(Debug, Default)]
pub struct RouteScratch {
    topic: TopicScratch,
    /// Exchanges met, sorted: each is passed once, so cycles end.
    met: Vec<ExchangeId>,
    /// Exchanges met and still to be passed.
    ahead: Vec<ExchangeId>,
}

impl Router {
    /// An empty router. `hash_seed` should differ between processes, so that nobody can
    /// prepare names that collide; it decides nothing else.
    pub fn new(hash_seed: u64) -> Router {
        Router {
            spaces: Vec::new(),
            exchanges: Vec::new(),
            free: Vec::new(),
            epoch: 0,
            hash_seed,
        }
    }

    /// Grows with every change that may lead some publish elsewhere.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The queues that a message published by a client goes to, ascending and each once,
    /// in `queues` (cleared first). `headers` is called at most once, and only if a headers
    /// exchange is met. No queue at all is not a refusal.
    ///
    /// # Errors
    /// [`Refused::NotFound`] and [`Refused::Internal`], about the exchange.
    pub fn route(
        &self,
        space: SpaceId,
        exchange: &str,
        routing_key: &str,
        headers: &dyn Fn() -> Arguments,
        scratch: &mut RouteScratch,
        queues: &mut Vec<QueueId>,
    ) -> Result<Routed, Refused> {
        queues.clear();
        if exchange.is_empty() {
            queues.extend(self.queue(space, routing_key));
            return Ok(Routed { cacheable: true });
        }
        let id = self
            .exchange(space, exchange)
            .ok_or_else(|| Refused::NotFound {
                kind: Kind::Exchange,
                name: exchange.to_owned(),
            })?;
        if self.entry(id).internal {
            return Err(Refused::Internal {
                exchange: exchange.to_owned(),
            });
        }
        Ok(self.route_from(id, routing_key, headers, scratch, queues))
    }

    fn route_from(
        &self,
        first: ExchangeId,
        routing_key: &str,
        headers: &dyn Fn() -> Arguments,
        scratch: &mut RouteScratch,
        queues: &mut Vec<QueueId>,
    ) -> Routed {
        let decoded = OnceCell::new();
        let RouteScratch { topic, met, ahead } = scratch;
        met.clear();
        met.push(first);
        ahead.clear();
        ahead.push(first);
        let mut cacheable = true;
        while let Some(id) = ahead.pop() {
            let looked = self.entry(id).bindings.each_match(
                routing_key,
                || decoded.get_or_init(headers),
                topic,
                |target| match target {
                    Target::Queue(queue) => queues.push(queue),
                    Target::Exchange(next) => {
                        if let Err(place) = met.binary_search(&next) {
                            met.insert(place, next);
                            ahead.push(next);
                        }
                    }
                },
            );
            cacheable &= !looked;
        }
        if !queues.is_sorted_by(|one, next| one < next) {
            queues.sort_unstable();
            queues.dedup();
        }
        Routed { cacheable }
    }

    /// The exchange of that name.
    pub fn exchange(&self, space: SpaceId, name: &str) -> Option<ExchangeId> {
        self.names(space)?.exchanges.get(name).copied()
    }

    /// The queue of that name.
    pub fn queue(&self, space: SpaceId, name: &str) -> Option<QueueId> {
        self.names(space)?.queues.get(name).copied()
    }

    /// Adds an exchange whose name is free.
    pub fn add_exchange(
        &mut self,
        space: SpaceId,
        name: &Arc<str>,
        exchange_type: ExchangeType,
        internal: bool,
    ) -> ExchangeId {
        let entry = Some(Exchange {
            name: Arc::clone(name),
            internal,
            bindings: Bindings::new(exchange_type, self.hash_seed),
        });
        let id = match self.free.pop() {
            Some(id) => {
                self.exchanges[id.0 as usize] = entry;
                id
            }
            None => {
                self.exchanges.push(entry);
                let last = self.exchanges.len() - 1;
                ExchangeId(u32::try_from(last).expect("fewer than 4 billion exchanges"))
            }
        };
        let taken = self.names_mut(space).exchanges.insert(Arc::clone(name), id);
        assert!(taken.is_none(), "the name {name} is free");
        self.epoch += 1;
        id
    }

    /// Removes an exchange that no binding leads to or from.
    pub fn remove_exchange(&mut self, space: SpaceId, id: ExchangeId) {
        let entry = self.exchanges[id.0 as usize].take().expect("it is there");
        self.names_mut(space).exchanges.remove(&entry.name);
        self.free.push(id);
        self.epoch += 1;
    }

    /// Adds a queue whose name is free.
    pub fn add_queue(&mut self, space: SpaceId, name: &Arc<str>, id: QueueId) {
        let taken = self.names_mut(space).queues.insert(Arc::clone(name), id);
        assert!(taken.is_none(), "the name {name} is free");
        self.epoch += 1;
    }

    /// Removes a queue that no binding leads to.
    pub fn remove_queue(&mut self, space: SpaceId, name: &str) {
        self.names_mut(space).queues.remove(name);
        self.epoch += 1;
    }

    /// Adds a binding that is not there yet.
    pub fn bind(
        &mut self,
        source: ExchangeId,
        target: Target,
        routing_key: &str,
        arguments: &Arc<Arguments>,
    ) {
        let entry = self.entry_mut(source);
        entry.bindings.add(routing_key, arguments, target);
        self.epoch += 1;
    }

    /// Removes a binding that is there.
    pub fn unbind(
        &mut self,
        source: ExchangeId,
        target: Target,
        routing_key: &str,
        arguments: &Arc<Arguments>,
    ) {
        let entry = self.entry_mut(source);
        entry.bindings.remove(routing_key, arguments, target);
        self.epoch += 1;
    }

    fn names(&self, space: SpaceId) -> Option<&Names> {
        self.spaces.get(space.0 as usize)
    }

    fn names_mut(&mut self, space: SpaceId) -> &mut Names {
        let index = space.0 as usize;
        while self.spaces.len() <= index {
            let state = FixedState::with_seed(self.hash_seed);
            self.spaces.push(Names {
                exchanges: HashMap::with_hasher(state.clone()),
                queues: HashMap::with_hasher(state),
            });
        }
        &mut self.spaces[index]
    }

    fn entry(&self, id: ExchangeId) -> &Exchange {
        self.exchanges[id.0 as usize]
            .as_ref()
            .expect("bindings to an exchange go before it goes")
    }

    fn entry_mut(&mut self, id: ExchangeId) -> &mut Exchange {
        self.exchanges[id.0 as usize]
            .as_mut()
            .expect("bindings of an exchange go before it goes")
    }
}

#[cfg(test)]
mod tests;
