//! A binding by numbers, as both of its ends keep it.

use std::cmp::Ordering;
use std::sync::Arc;

use bongsu_record::Arguments;

use crate::router::{ExchangeId, Target, compare_arguments};

/// Ordered by source, then target, so that an exchange's bindings to queues come first and
/// in the order of their numbers.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) source: ExchangeId,
    pub(super) target: Target,
    pub(super) routing_key: Box<str>,
    pub(super) arguments: Arc<Arguments>,
}

impl Ord for Edge {
    fn cmp(&self, other: &Edge) -> Ordering {
        (self.source, self.target)
            .cmp(&(other.source, other.target))
            .then_with(|| self.routing_key.cmp(&other.routing_key))
            .then_with(|| compare_arguments(&self.arguments, &other.arguments))
    }
}

impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Edge) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Edge {
    fn eq(&self, other: &Edge) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Edge {}
