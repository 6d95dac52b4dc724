//! One exchange's bindings, in the shape its type routes by.

use std::collections::HashMap;
use std::sync::Arc;

use bongsu_record::Arguments;
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::router::hash::{Ring, Row, hash_keys};
use crate::router::headers::HeaderRules;
use crate::router::id::SpaceId;
use crate::router::publication::{Chance, Property, Publication, WindowId};
use crate::router::targets::{Target, Targets};
use crate::router::topic::{TopicScratch, TopicTrie};

/// How an exchange chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeType {
    /// Bindings whose key is the routing key.
    Direct,
    /// Every binding.
    Fanout,
    /// Bindings whose pattern matches the routing key.
    Topic,
    /// Bindings whose arguments match the message's headers.
    Headers,
    /// One binding, by a hash that stays when others come and go; keys are weights.
    ConsistentHash,
    /// One binding, by a hash modulo their count.
    ModulusHash,
    /// One binding, by chance.
    Random,
    /// The same: all queues are near.
    LocalRandom,
    /// Every binding, if the message's identity has not been seen.
    Deduplication,
    /// As the type in `x-delayed-type`, after the time in the header `x-delay`.
    Delayed,
}

impl ExchangeType {
    /// By the name that AMQP declares it with.
    pub fn by_name(name: &str) -> Option<ExchangeType> {
        let known = NAMES.iter().find(|(_, known)| *known == name);
        known.map(|(exchange_type, _)| *exchange_type)
    }

    /// All names that AMQP declares exchanges with.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// The name that AMQP declares it with.
    pub fn name(self) -> &'static str {
        let known = NAMES.iter().find(|(known, _)| *known == self);
        known.expect("each has its row").1
    }
}

const NAMES: [(ExchangeType, &str); 10] = [
    (ExchangeType::Direct, "direct"),
    (ExchangeType::Fanout, "fanout"),
    (ExchangeType::Topic, "topic"),
    (ExchangeType::Headers, "headers"),
    (ExchangeType::ConsistentHash, "x-consistent-hash"),
    (ExchangeType::ModulusHash, "x-modulus-hash"),
    (ExchangeType::Random, "x-random"),
    (ExchangeType::LocalRandom, "x-local-random"),
    (ExchangeType::Deduplication, "x-message-deduplication"),
    (ExchangeType::Delayed, "x-delayed-message"),
];

/// How an exchange routes: its definition, read once.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How it chooses; of a delayed one how the type behind it does.
    pub exchange_type: ExchangeType,
    /// Only exchanges publish to it.
    pub internal: bool,
    /// What a consistent hash is of.
    pub hash_on: HashOn,
    /// What it leads to is delayed.
    pub is_delayed: bool,
    /// What this window has seen is led nowhere.
    pub window: Option<WindowId>,
    /// Where it sends what it has no place for; may not exist.
    pub alternate: Option<Arc<str>>,
}

/// What `x-consistent-hash` looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashOn {
    /// The routing key.
    #[default]
    RoutingKey,
    /// A header, by name.
    Header(String),
    /// A property.
    Property(Property),
}

impl Rules {
    /// A plain exchange of a type.
    pub fn plain(exchange_type: ExchangeType) -> Rules {
        Rules {
            exchange_type,
            internal: false,
            hash_on: HashOn::RoutingKey,
            is_delayed: false,
            window: None,
            alternate: None,
        }
    }
}

/// An exchange as a publish sees it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) space: SpaceId,
    pub(super) name: Arc<str>,
    pub(super) internal: bool,
    pub(super) is_delayed: bool,
    pub(super) window: Option<WindowId>,
    pub(super) alternate: Option<Arc<str>>,
    pub(super) bindings: Bindings,
}

#[derive(Debug)]
pub(super) enum Bindings {
    Direct(HashMap<Box<str>, Targets, FixedState>),
    Fanout(Targets),
    Topic(TopicTrie),
    Headers(HeaderRules),
    Ring(Ring),
    Modulus(Row),
    Random(Row),
}

impl Bindings {
    pub(super) fn new(rules: &Rules, seed: u64) -> Bindings {
        match rules.exchange_type {
            ExchangeType::Direct => {
                Bindings::Direct(HashMap::with_hasher(FixedState::with_seed(seed)))
            }
            // What a delayed exchange could not be read from delays all it gets.
            ExchangeType::Fanout | ExchangeType::Deduplication | ExchangeType::Delayed => {
                Bindings::Fanout(Targets::None)
            }
            ExchangeType::Topic => Bindings::Topic(TopicTrie::new(seed)),
            ExchangeType::Headers => Bindings::Headers(HeaderRules::default()),
            ExchangeType::ConsistentHash => Bindings::Ring(Ring::new(rules.hash_on.clone())),
            ExchangeType::ModulusHash => Bindings::Modulus(Row::default()),
            ExchangeType::Random | ExchangeType::LocalRandom => Bindings::Random(Row::default()),
        }
    }

    /// `label` names the target, the same in every process.
    pub(super) fn add(
        &mut self,
        key: &str,
        arguments: &Arc<Arguments>,
        target: Target,
        label: u64,
    ) {
        match self {
            Bindings::Direct(keys) => match keys.get_mut(key) {
                Some(targets) => targets.add(target),
                None => keys.entry(key.into()).or_default().add(target),
            },
            Bindings::Fanout(targets) => targets.add(target),
            Bindings::Topic(trie) => trie.add(key, target),
            Bindings::Headers(rules) => rules.add(arguments, target),
            Bindings::Ring(ring) => ring.add(key, target, label),
            Bindings::Modulus(row) | Bindings::Random(row) => row.add(target),
        }
    }

    pub(super) fn remove(&mut self, key: &str, arguments: &Arc<Arguments>, target: Target) {
        match self {
            Bindings::Direct(keys) => {
                let targets = keys.get_mut(key).expect("it was bound");
                targets.remove(target);
                if targets.is_empty() {
                    keys.remove(key);
                }
            }
            Bindings::Fanout(targets) => targets.remove(target),
            Bindings::Topic(trie) => trie.remove(key, target),
            Bindings::Headers(rules) => rules.remove(arguments, target),
            Bindings::Ring(ring) => ring.remove(key, target),
            Bindings::Modulus(row) | Bindings::Random(row) => row.remove(target),
        }
    }

    /// Visits where a message goes from here; one target may come several times. Whether
    /// more than its keys decided.
    pub(super) fn each_match<'a>(
        &self,
        publication: &Publication<'_>,
        headers: impl FnOnce() -> &'a Arguments,
        topic: &mut TopicScratch,
        chance: &mut Chance,
        mut visit: impl FnMut(Target),
    ) -> bool {
        match self {
            Bindings::Direct(targets) => {
                publication.each_key(|key| {
                    if let Some(targets) = targets.get(key) {
                        targets.each(&mut visit);
                    }
                });
            }
            Bindings::Fanout(targets) => targets.each(visit),
            Bindings::Topic(trie) => {
                publication.each_key(|key| trie.each_match(key, topic, &mut visit));
            }
            Bindings::Headers(rules) => {
                if !rules.is_empty() {
                    rules.each_match(headers(), visit);
                    return true;
                }
            }
            Bindings::Ring(ring) => {
                let (target, looked) = ring.choose(publication, headers);
                target.into_iter().for_each(visit);
                return looked;
            }
            Bindings::Modulus(row) => {
                let modulo = |count| (hash_keys(publication) % count as u64) as usize;
                row.choose(modulo).into_iter().for_each(visit);
            }
            Bindings::Random(row) => {
                row.choose(|count| chance.below(count))
                    .into_iter()
                    .for_each(visit);
                return true;
            }
        }
        false
    }
}
