//! One exchange's bindings, in the shape its type routes by.

use std::collections::HashMap;
use std::sync::Arc;

use bongsu_record::Arguments;
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::router::headers::HeaderRules;
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
}

impl ExchangeType {
    /// By the name that AMQP declares it with.
    pub fn by_name(name: &str) -> Option<ExchangeType> {
        Some(match name {
            "direct" => ExchangeType::Direct,
            "fanout" => ExchangeType::Fanout,
            "topic" => ExchangeType::Topic,
            "headers" => ExchangeType::Headers,
            _ => return None,
        })
    }

    /// The name that AMQP declares it with.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeType::Direct => "direct",
            ExchangeType::Fanout => "fanout",
            ExchangeType::Topic => "topic",
            ExchangeType::Headers => "headers",
        }
    }
}

/// An exchange as a publish sees it. What decides beyond key and headers (an alternate
/// exchange, a hash ring) is another field here or another row of [`Bindings`].
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) name: Arc<str>,
    pub(super) internal: bool,
    pub(super) bindings: Bindings,
}

#[derive(Debug)]
pub(super) enum Bindings {
    Direct(HashMap<Box<str>, Targets, FixedState>),
    Fanout(Targets),
    Topic(TopicTrie),
    Headers(HeaderRules),
}

impl Bindings {
    pub(super) fn new(exchange_type: ExchangeType, seed: u64) -> Bindings {
        match exchange_type {
            ExchangeType::Direct => {
                Bindings::Direct(HashMap::with_hasher(FixedState::with_seed(seed)))
            }
            ExchangeType::Fanout => Bindings::Fanout(Targets::None),
            ExchangeType::Topic => Bindings::Topic(TopicTrie::new(seed)),
            ExchangeType::Headers => Bindings::Headers(HeaderRules::default()),
        }
    }

    pub(super) fn add(&mut self, key: &str, arguments: &Arc<Arguments>, target: Target) {
        match self {
            Bindings::Direct(keys) => match keys.get_mut(key) {
                Some(targets) => targets.add(target),
                None => keys.entry(key.into()).or_default().add(target),
            },
            Bindings::Fanout(targets) => targets.add(target),
            Bindings::Topic(trie) => trie.add(key, target),
            Bindings::Headers(rules) => rules.add(arguments, target),
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
        }
    }

    /// Visits where a message goes from here; one target may come several times. Whether
    /// its headers were looked at.
    pub(super) fn each_match<'a>(
        &self,
        key: &str,
        headers: impl FnOnce() -> &'a Arguments,
        scratch: &mut TopicScratch,
        visit: impl FnMut(Target),
    ) -> bool {
        match self {
            Bindings::Direct(keys) => {
                if let Some(targets) = keys.get(key) {
                    targets.each(visit);
                }
            }
            Bindings::Fanout(targets) => targets.each(visit),
            Bindings::Topic(trie) => trie.each_match(key, scratch, visit),
            Bindings::Headers(rules) => {
                if !rules.is_empty() {
                    rules.each_match(headers(), visit);
                    return true;
                }
            }
        }
        false
    }
}
