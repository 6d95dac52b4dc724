//! What a queue, an exchange and a binding are declared as.
//!
//! These are recorded. A field added later carries `#[serde(default)]`, so that records of
//! an older broker still read; a field is never renamed or given another meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_record::{Arguments, Value};
use serde::{Deserialize, Serialize};

use crate::catalog::arguments::ALTERNATE_EXCHANGE;
use crate::router::{ExchangeType, HashOn, Property, QueueId, Rules, SpaceId, WindowId};

/// A session, as the one that an exclusive queue belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner(pub u64);

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogDurability {
    /// Once the disk has it: survives a power failure.
    Fsync,
    /// Once the operating system has it: survives the broker's death, not the machine's.
    Os,
    /// At once: gone with the broker.
    Memory,
}

impl LogDurability {
    /// By its name in settings and in the argument `x-durability`.
    pub fn by_name(name: &str) -> Option<LogDurability> {
        Some(match name {
            "fsync" => LogDurability::Fsync,
            "os" => LogDurability::Os,
            "memory" => LogDurability::Memory,
            _ => return None,
        })
    }
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueDefinition {
    /// Its name, unique in its space.
    pub name: Arc<str>,
    /// It survives a restart. Never with an owner.
    #[serde(default)]
    pub durable: bool,
    /// Exclusive to this session, and gone with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Gone when its last link closes.
    #[serde(default)]
    pub auto_delete: bool,
    /// As declared.
    #[serde(default, skip_serializing_if = "Arguments::is_empty")]
    pub arguments: Arguments,
    /// What its log promises; settled at declaration, so that a later default does not
    /// change what its producers were told.
    #[serde(default = "strongest")]
    pub log: LogDurability,
    /// What was said of it as a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicDefinition>,
    /// Which partition of which topic it is, if not the first: then its name is the
    /// topic's, `/` and the partition's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<PartOf>,
    /// Whose records it consumes, if they are not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl QueueDefinition {
    /// Its own name, or that of the topic that it is a part of: what policies look at.
    pub fn topic_name(&self) -> &str {
        match (self.part_of, self.name.rsplit_once('/')) {
            (Some(_), Some((topic, _))) => topic,
            _ => &self.name,
        }
    }
}

/// What was said of a queue as a topic, beside its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicDefinition {
    /// It was made as a topic: what nobody configured is as Kafka has it, not as RabbitMQ.
    #[serde(default)]
    pub made_as_topic: bool,
    /// As set, by name; see [`config`](crate::topic::config).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: Configs,
}

/// Configurations of a topic that were set, by name.
pub type Configs = BTreeMap<String, String>;

/// A partition beyond a topic's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// The topic's first partition.
    pub first: QueueId,
    /// From 1; without gaps.
    pub index: u32,
}

/// Whose records a subscription consumes. It goes when they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// A stream, or a partition of a topic.
    pub queue: QueueId,
    /// Offset of the first record that was of interest when it was made.
    pub start: u64,
}

/// An exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeDefinition {
    /// Its name, unique in its space.
    pub name: Arc<str>,
    /// How it chooses.
    #[serde(rename = "type")]
    pub exchange_type: ExchangeType,
    /// It survives a restart.
    #[serde(default)]
    pub durable: bool,
    /// Gone when its last binding as a source goes.
    #[serde(default)]
    pub auto_delete: bool,
    /// Only exchanges publish to it.
    #[serde(default)]
    pub internal: bool,
    /// As declared.
    #[serde(default, skip_serializing_if = "Arguments::is_empty")]
    pub arguments: Arguments,
    /// What it has seen, if it drops what it has seen before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowId>,
}

impl ExchangeDefinition {
    /// Whether messages that it has seen are dropped.
    pub fn deduplicates(&self) -> bool {
        self.exchange_type == ExchangeType::Deduplication
            || matches!(
                self.arguments.get("x-message-deduplication"),
                Some(Value::Bool(true))
            )
    }

    /// How it routes.
    pub fn rules(&self) -> Rules {
        let text = |name: &str| self.arguments.get(name).and_then(Value::as_text);
        let is_delayed = self.exchange_type == ExchangeType::Delayed;
        let exchange_type = match text("x-delayed-type") {
            Some(name) if is_delayed => ExchangeType::by_name(name).unwrap_or(self.exchange_type),
            _ => self.exchange_type,
        };
        let hash_on = match (text("hash-header"), text("hash-property")) {
            (Some(header), _) => HashOn::Header(header.to_owned()),
            (None, Some(name)) => {
                Property::by_name(name).map_or(HashOn::RoutingKey, HashOn::Property)
            }
            (None, None) => HashOn::RoutingKey,
        };
        Rules {
            exchange_type,
            internal: self.internal,
            hash_on,
            is_delayed,
            window: self.window,
            alternate: text(ALTERNATE_EXCHANGE).map(Arc::from),
        }
    }
}

/// A binding. Two are the same if everything here is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BindingDefinition {
    /// Where it is.
    pub space: SpaceId,
    /// The exchange it leads from.
    pub source: String,
    /// Where it leads.
    pub destination: BindingEnd,
    /// Key or pattern.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub routing_key: String,
    /// `x-match` and headers.
    #[serde(default, skip_serializing_if = "Arguments::is_empty")]
    pub arguments: Arguments,
}

/// What a binding leads to. A queue by its number: a name may come to mean another queue,
/// and a change that is replayed must not follow it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingEnd {
    /// A queue.
    Queue(QueueId),
    /// An exchange by name.
    Exchange(String),
}

fn strongest() -> LogDurability {
    LogDurability::Fsync
}
