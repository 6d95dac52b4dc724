//! What the catalog records: one row for each thing that can happen to its state.
//!
//! A change is a JSON object on one line, `{"declare_queue":{"space":0,"id":7,…}}`; golden
//! lines are in `tests.rs`. JSON, because catalogs live for years, are read in an editor
//! when something is wrong, and a declaration is far from hot. An unknown field is left
//! unread and a missing one takes its default; an unknown row is refused, because skipping
//! it would lose something somebody was told exists.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::definition::{
    BindingDefinition, Configs, ExchangeDefinition, QueueDefinition, TopicDefinition,
};
use crate::catalog::policy::Policy;
use crate::catalog::space::SpaceDefinition;
use crate::router::{QueueId, SpaceId};

/// One thing that happened to the catalog. Applying the durable ones in their order gives
/// the durable state, whatever transient ones stood between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Queue numbers below `end` may be in use, by transient queues too: a restart goes on
    /// from there.
    ReserveQueueIds {
        /// Not included.
        end: u64,
    },
    /// The cluster has its number, once for all.
    Found {
        /// 32 digits of base 16.
        #[serde(with = "digits")]
        cluster: u128,
    },
    /// A new space, with its `amq.…` exchanges; or what it is from now on.
    DeclareSpace {
        /// Its number for ever.
        id: SpaceId,
        /// What.
        space: SpaceDefinition,
    },
    /// A space and all that was in it are gone.
    DeleteSpace {
        /// Which.
        id: SpaceId,
        /// For people.
        name: String,
    },
    /// Space numbers below `end` have been used.
    ReserveSpaceIds {
        /// Not included.
        end: u32,
    },
    /// A new exchange.
    DeclareExchange {
        /// Where.
        space: SpaceId,
        /// What.
        exchange: ExchangeDefinition,
    },
    /// An exchange and all bindings from it and to it are gone.
    DeleteExchange {
        /// Where.
        space: SpaceId,
        /// Which.
        name: String,
    },
    /// A new queue.
    DeclareQueue {
        /// Where.
        space: SpaceId,
        /// Its number for ever.
        id: QueueId,
        /// What.
        queue: QueueDefinition,
    },
    /// What is said of a queue as a topic, in place of what was.
    ConfigureTopic {
        /// Its first partition.
        id: QueueId,
        /// For people.
        name: String,
        /// What.
        topic: TopicDefinition,
    },
    /// What a share group is configured to, in place of what it was.
    ConfigureGroup {
        /// Where.
        space: SpaceId,
        /// Which.
        group: String,
        /// What was set; nothing: the group has no configuration.
        configs: Configs,
    },
    /// A queue and all bindings to it are gone.
    DeleteQueue {
        /// Which.
        id: QueueId,
        /// For people.
        name: String,
    },
    /// A new binding.
    Bind(BindingDefinition),
    /// A binding is gone.
    Unbind(BindingDefinition),
    /// A policy, in place of one of its name.
    SetPolicy {
        /// Where.
        space: SpaceId,
        /// What.
        policy: Policy,
    },
    /// A policy is gone.
    ClearPolicy {
        /// Where.
        space: SpaceId,
        /// Which.
        name: String,
    },
}

/// Bytes that are not a change this broker can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeMalformed {
    /// What is wrong, for people.
    pub cause: String,
}

impl Change {
    /// One line of JSON, without the line's end.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names are strings and floats are finite")
    }

    /// Reads what [`Change::encode`] wrote.
    ///
    /// # Errors
    /// [`ChangeMalformed`].
    pub fn decode(bytes: &[u8]) -> Result<Change, ChangeMalformed> {
        serde_json::from_slice(bytes).map_err(|error| ChangeMalformed {
            cause: error.to_string(),
        })
    }
}

impl fmt::Display for ChangeMalformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a catalog change: {}", self.cause)
    }
}

impl std::error::Error for ChangeMalformed {}

/// 128 bits as text: many who read JSON take numbers for floats.
mod digits {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}
