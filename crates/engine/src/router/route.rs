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
use crate::router::exchange::{Bindings, Exchange, Rules};
use crate::router::hash::hash_text;
use crate::router::id::{ExchangeId, QueueId, SpaceId};
use crate::router::publication::{Attributes, Part, Property, Publication, RouteScratch, Routed};
use crate::router::targets::Target;

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

    /// As [`Router::route_all`], for a client's message with one key of which nothing but
    /// its headers is known, and where nothing is delayed or dropped on its way.
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
        let publication = Publication {
            space,
            exchange,
            routing_key,
            more_keys: &[],
            message: &HeadersOnly(headers),
            from_client: true,
        };
        let routed = self.route_all(&publication, scratch, queues)?;
        if routed.is_parted {
            queues.extend(scratch.parts.iter().flat_map(|part| &part.queues));
            in_order(queues);
        }
        Ok(routed)
    }

    /// The queues that a message goes to, ascending and each once, in `queues` (cleared
    /// first), but for those in [`RouteScratch::parts`]. No queue at all is not a refusal.
    ///
    /// An exchange that leads nowhere passes on to its alternate one, if that exists.
    ///
    /// # Errors
    /// [`Refused::NotFound`] and [`Refused::Internal`], about the exchange.
    #[inline]
    pub fn route_all(
        &self,
        publication: &Publication<'_>,
        scratch: &mut RouteScratch,
        queues: &mut Vec<QueueId>,
    ) -> Result<Routed, Refused> {
        queues.clear();
        if !scratch.parts.is_empty() {
            scratch.parts.clear();
        }
        if publication.exchange.is_empty() {
            self.by_name(publication, queues);
            in_order(queues);
            return Ok(Routed {
                cacheable: true,
                is_parted: false,
            });
        }
        self.route_through(publication, scratch, queues)
    }

    fn route_through(
        &self,
        publication: &Publication<'_>,
        scratch: &mut RouteScratch,
        queues: &mut Vec<QueueId>,
    ) -> Result<Routed, Refused> {
        let Publication {
            space, exchange, ..
        } = *publication;
        let id = self
            .exchange(space, exchange)
            .ok_or_else(|| Refused::NotFound {
                kind: Kind::Exchange,
                name: exchange.to_owned(),
            })?;
        if publication.from_client && self.entry(id).internal {
            return Err(Refused::Internal {
                exchange: exchange.to_owned(),
            });
        }
        let cacheable = self.route_from(id, publication, scratch, queues);
        in_order(queues);
        if scratch.parts.is_empty() {
            return Ok(Routed {
                cacheable,
                is_parted: false,
            });
        }
        for part in &mut scratch.parts {
            in_order(&mut part.queues);
            if !part.is_delayed {
                // What comes another way comes anyhow.
                part.queues
                    .retain(|queue| queues.binary_search(queue).is_err());
            }
        }
        scratch.parts.retain(|part| !part.queues.is_empty());
        Ok(Routed {
            cacheable,
            is_parted: !scratch.parts.is_empty(),
        })
    }

    fn route_from(
        &self,
        first: ExchangeId,
        publication: &Publication<'_>,
        scratch: &mut RouteScratch,
        queues: &mut Vec<QueueId>,
    ) -> bool {
        let decoded = OnceCell::new();
        let headers = || decoded.get_or_init(|| publication.message.headers());
        let RouteScratch {
            topic,
            met,
            ahead,
            parts,
            chance,
        } = scratch;
        met.clear();
        met.push(first);
        ahead.clear();
        ahead.push((first, 0));
        let mut cacheable = true;
        while let Some((id, mut part)) = ahead.pop() {
            let exchange = self.entry(id);
            if exchange.is_delayed || exchange.window.is_some() {
                let outer: Option<&Part> = part.checked_sub(1).map(|index| &parts[index]);
                parts.push(Part {
                    is_delayed: exchange.is_delayed || outer.is_some_and(|part| part.is_delayed),
                    window: exchange.window.or(outer.and_then(|part| part.window)),
                    queues: Vec::new(),
                });
                part = parts.len();
            }
            let queues = match part {
                0 => &mut *queues,
                part => &mut parts[part - 1].queues,
            };
            let mut pass_on = |next| {
                if let Err(place) = met.binary_search(&next) {
                    met.insert(place, next);
                    ahead.push((next, part));
                }
            };
            let mut leads_nowhere = true;
            let looked =
                exchange
                    .bindings
                    .each_match(publication, headers, topic, chance, |target| {
                        leads_nowhere = false;
                        match target {
                            Target::Queue(queue) => queues.push(queue),
                            Target::Exchange(next) => pass_on(next),
                        }
                    });
            cacheable &= !looked;
            if leads_nowhere && let Some(alternate) = &exchange.alternate {
                match self.exchange(exchange.space, alternate) {
                    Some(next) => pass_on(next),
                    None if alternate.is_empty() => self.by_name(publication, queues),
                    None => {}
                }
            }
        }
        cacheable
    }

    /// The default exchange.
    fn by_name(&self, publication: &Publication<'_>, queues: &mut Vec<QueueId>) {
        publication.each_key(|key| {
            if let Some(queue) = self.queue(publication.space, key) {
                queues.push(queue);
            }
        });
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
    pub fn add_exchange(&mut self, space: SpaceId, name: &Arc<str>, rules: &Rules) -> ExchangeId {
        let entry = Some(Exchange {
            space,
            name: Arc::clone(name),
            internal: rules.internal,
            is_delayed: rules.is_delayed,
            window: rules.window,
            alternate: rules.alternate.clone(),
            bindings: Bindings::new(rules, self.hash_seed),
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

    /// Where an exchange sends what it has no place for from now on.
    pub fn set_alternate(&mut self, id: ExchangeId, alternate: Option<Arc<str>>) {
        self.entry_mut(id).alternate = alternate;
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
        let label = match target {
            Target::Queue(id) => id.0,
            Target::Exchange(id) => hash_text(&self.entry(id).name),
        };
        let entry = self.entry_mut(source);
        entry.bindings.add(routing_key, arguments, target, label);
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

struct HeadersOnly<'a>(&'a dyn Fn() -> Arguments);

impl Attributes for HeadersOnly<'_> {
    fn headers(&self) -> Arguments {
        (self.0)()
    }

    fn property(&self, _: Property) -> Option<String> {
        None
    }
}

#[inline]
fn in_order(queues: &mut Vec<QueueId>) {
    if queues.len() > 1 && !queues.is_sorted_by(|one, next| one < next) {
        queues.sort_unstable();
        queues.dedup();
    }
}

#[cfg(test)]
mod tests;
