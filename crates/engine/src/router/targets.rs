//! What one key, pattern or exchange leads to: distinct targets, each counted, because two
//! bindings that differ only in their arguments lead to the same place twice.

use std::collections::BTreeMap;

use crate::router::id::{ExchangeId, QueueId};

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// To a queue.
    Queue(QueueId),
    /// On to an exchange.
    Exchange(ExchangeId),
}

/// Targets with the count of bindings that lead to each. Most keys lead to one place, and
/// a map costs hundreds of bytes, so one target stands without.
#[derive(Debug, Default)]
pub(super) enum Targets {
    #[default]
    None,
    One(Target, u32),
    Many(BTreeMap<Target, u32>),
}

impl Targets {
    pub(super) fn add(&mut self, target: Target) {
        match self {
            Targets::None => *self = Targets::One(target, 1),
            Targets::One(only, count) if *only == target => *count += 1,
            Targets::One(only, count) => {
                *self = Targets::Many(BTreeMap::from([(*only, *count), (target, 1)]));
            }
            Targets::Many(many) => *many.entry(target).or_default() += 1,
        }
    }

    /// Takes one binding to `target` away.
    pub(super) fn remove(&mut self, target: Target) {
        match self {
            Targets::One(only, count) if *only == target => {
                *count -= 1;
                if *count == 0 {
                    *self = Targets::None;
                }
            }
            Targets::Many(many) => {
                let count = many.get_mut(&target).expect("it was bound");
                *count -= 1;
                if *count == 0 {
                    many.remove(&target);
                }
                if many.is_empty() {
                    *self = Targets::None;
                }
            }
            Targets::None | Targets::One(..) => unreachable!("it was bound"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Targets::None)
    }

    pub(super) fn each(&self, mut visit: impl FnMut(Target)) {
        match self {
            Targets::None => {}
            Targets::One(target, _) => visit(*target),
            Targets::Many(many) => many.keys().copied().for_each(visit),
        }
    }
}
