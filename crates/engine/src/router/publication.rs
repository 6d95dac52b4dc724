//! A publish as the router sees it, and what becomes of it.

use bongsu_record::Arguments;
use serde::{Deserialize, Serialize};

use crate::router::id::{ExchangeId, QueueId, SpaceId};
use crate::router::topic::TopicScratch;

/// One message on its way, or several that have all of this in common.
#[derive(Clone, Copy)]
pub struct Publication<'a> {
    /// Where.
    pub space: SpaceId,
    /// The exchange; empty: the default one.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: &'a str,
    /// More of them; a queue that several lead to is named once.
    pub more_keys: &'a [String],
    /// Asked only where it decides.
    pub message: &'a dyn Attributes,
    /// The broker's own (a dead record) may go to an internal exchange, a client's not.
    pub from_client: bool,
}

impl Publication<'_> {
    /// Visits every routing key, mostly one.
    #[inline]
    pub(super) fn each_key(&self, mut visit: impl FnMut(&str)) {
        visit(self.routing_key);
        for key in self.more_keys {
            visit(key);
        }
    }
}

/// What else of a message may decide where it goes.
pub trait Attributes {
    /// Its headers. Asked at most once a publish.
    fn headers(&self) -> Arguments;

    /// One of its properties as a text.
    fn property(&self, property: Property) -> Option<String>;
}

/// The properties that `hash-property` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Property {
    CorrelationId,
    MessageId,
    Timestamp,
}

impl Property {
    /// By its name in `hash-property`.
    pub fn by_name(name: &str) -> Option<Property> {
        Some(match name {
            "correlation_id" => Property::CorrelationId,
            "message_id" => Property::MessageId,
            "timestamp" => Property::Timestamp,
            _ => return None,
        })
    }
}

/// How a publish was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The same exchange and routing keys lead to the same queues and parts until
    /// [`Router::epoch`](crate::router::Router::epoch) changes. `false` if more was looked
    /// at, or chance decided.
    pub cacheable: bool,
    /// [`RouteScratch::parts`] says more.
    pub is_parted: bool,
}

/// Queues behind an exchange that delays or drops what passes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The header `x-delay` is obeyed.
    pub is_delayed: bool,
    /// What this window has seen goes no further.
    pub window: Option<WindowId>,
    /// Ascending and each once.
    pub queues: Vec<QueueId>,
}

/// A window of identities that an exchange has seen, for the life of a data directory;
/// never reused. Numbered together with the queues, so both may be keys of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowId(pub u64);

/// Buffers for routing, kept by each publisher.
#[derive(Debug, Default)]
pub struct RouteScratch {
    pub(super) topic: TopicScratch,
    /// Exchanges met, sorted: each is passed once, so cycles end.
    pub(super) met: Vec<ExchangeId>,
    /// Exchanges met and still to be passed, with the part they belong to.
    pub(super) ahead: Vec<(ExchangeId, PartIndex)>,
    pub(super) parts: Vec<Part>,
    pub(super) chance: Chance,
}

/// 0: what is neither delayed nor looked through; else a part's index and 1.
pub(super) type PartIndex = usize;

impl RouteScratch {
    /// Buffers whose random exchanges choose by `seed`, which should be random itself.
    pub fn seeded(seed: u64) -> RouteScratch {
        RouteScratch {
            chance: Chance(seed),
            ..RouteScratch::default()
        }
    }

    /// Of the last publish: queues that are not among those of the route, because what goes
    /// to them is delayed or looked through first. Mostly none.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// Numbers that nobody expects (SplitMix64), one after the other.
#[derive(Debug, Default)]
pub(super) struct Chance(u64);

impl Chance {
    /// One below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let wide = u128::from(mix(self.0)) * end as u128;
        (wide >> 64) as usize
    }
}

/// Spreads a number over all its bits.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
