//! A policy: what things whose names match a pattern are given beside their arguments.
//!
//! Its settings are the arguments without their `x-`, as RabbitMQ spells them; those that
//! can change while a queue has records and consumers. What decides how a queue was built
//! (its type, priorities, groups, durability) is no policy's.

use std::cmp::Ordering;
use std::sync::Arc;

use bongsu_record::{Arguments, Value};
use fancy_regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::catalog::arguments::{self, ALTERNATE_EXCHANGE, OF_STREAMS, Place, TABLE};
use crate::catalog::names::NAME_BYTES_MAX;
use crate::refused::Refused;

/// See the module's comment. It is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Unique in its space.
    pub name: String,
    /// A regular expression; found anywhere in a name, it matches.
    pub pattern: String,
    /// Which things.
    #[serde(default)]
    pub apply_to: ApplyTo,
    /// Of several that match, the highest applies alone; of several of these, the first by
    /// name.
    #[serde(default)]
    pub priority: i64,
    /// Settings, at least one.
    pub definition: Arguments,
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ApplyTo {
    #[default]
    All,
    Queues,
    ClassicQueues,
    QuorumQueues,
    Streams,
    Exchanges,
}

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Exchange,
    Classic,
    Quorum,
    Stream,
}

impl ApplyTo {
    /// By its name in RabbitMQ's `apply-to`.
    pub fn by_name(name: &str) -> Option<ApplyTo> {
        Some(match name {
            "all" => ApplyTo::All,
            "queues" => ApplyTo::Queues,
            "classic_queues" => ApplyTo::ClassicQueues,
            "quorum_queues" => ApplyTo::QuorumQueues,
            "streams" => ApplyTo::Streams,
            "exchanges" => ApplyTo::Exchanges,
            _ => return None,
        })
    }

    fn includes(self, thing: Thing) -> bool {
        match self {
            ApplyTo::All => true,
            ApplyTo::Queues => thing != Thing::Exchange,
            ApplyTo::ClassicQueues => thing == Thing::Classic,
            ApplyTo::QuorumQueues => thing == Thing::Quorum,
            ApplyTo::Streams => thing == Thing::Stream,
            ApplyTo::Exchanges => thing == Thing::Exchange,
        }
    }
}

impl Policy {
    /// Refuses a policy that says nothing, or something that cannot be read.
    ///
    /// # Errors
    /// [`Refused::InvalidArgument`] and [`Refused::ArgumentType`], about `name`, `pattern`,
    /// `definition` or a setting; [`Refused::ArgumentAlone`].
    pub fn check(&self) -> Result<(), Refused> {
        let invalid = |argument: &str, value: &str, accepted| Refused::InvalidArgument {
            argument: argument.to_owned(),
            value: value.to_owned(),
            accepted,
        };
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX {
            return Err(invalid("name", &self.name, "1 to 255 bytes"));
        }
        if compile(&self.pattern).is_none() {
            let accepted = "a regular expression of at most 1024 bytes";
            return Err(invalid("pattern", &self.pattern, accepted));
        }
        if self.definition.is_empty() {
            return Err(invalid("definition", "", "at least one setting"));
        }
        for (key, value) in &self.definition {
            check_setting(key, value)?;
        }
        arguments::check_values(&self.definition)?;
        self.check_retry()
    }

    /// RabbitMQ 4.3 asks this of policies, not of arguments.
    fn check_retry(&self) -> Result<(), Refused> {
        let kind = self.setting("delayed-retry-type").and_then(Value::as_text);
        let min = self.setting("delayed-retry-min");
        let max = self.setting("delayed-retry-max");
        if kind.is_some_and(|kind| kind != "disabled") && min.is_none() {
            return Err(Refused::ArgumentAlone {
                argument: "delayed-retry-type".to_owned(),
                needs: "delayed-retry-min",
            });
        }
        match (min, max) {
            (Some(min), Some(max)) if max.as_int() < min.as_int() => Err(arguments::invalid(
                "delayed-retry-max",
                max,
                "no smaller than delayed-retry-min",
            )),
            _ => Ok(()),
        }
    }

    fn setting(&self, key: &str) -> Option<&Value> {
        self.definition.get(key)
    }

    /// The settings by the names of the arguments they stand for.
    pub(super) fn arguments(&self) -> impl Iterator<Item = (String, &Value)> {
        self.definition
            .iter()
            .map(|(key, value)| (argument(key), value))
    }

    /// Whether a stream can have it: RabbitMQ passes a policy over that asks of a stream
    /// what it cannot do.
    fn suits_streams(&self) -> bool {
        self.definition.keys().all(|key| {
            let argument = argument(key);
            let is_ignored = IGNORED.contains(&key.as_str());
            is_ignored || argument == ALTERNATE_EXCHANGE || OF_STREAMS.contains(&&*argument)
        })
    }
}

/// A policy ready to be tried.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) policy: Arc<Policy>,
    /// `None` if another version of this broker took what this one cannot read; it matches
    /// nothing then.
    regex: Option<Regex>,
}

impl Compiled {
    pub(super) fn new(policy: &Policy) -> Compiled {
        Compiled {
            regex: compile(&policy.pattern),
            policy: Arc::new(policy.clone()),
        }
    }

    /// A name that takes too many steps to try does not match.
    pub(super) fn applies(&self, thing: Thing, name: &str) -> bool {
        self.policy.apply_to.includes(thing)
            && (thing != Thing::Stream || self.policy.suits_streams())
            && self
                .regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(name).unwrap_or(false))
    }

    /// Which one is tried first.
    pub(super) fn before(&self, other: &Compiled) -> Ordering {
        let (one, other) = (&self.policy, &other.policy);
        let by_priority = other.priority.cmp(&one.priority);
        by_priority.then_with(|| one.name.cmp(&other.name))
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    RegexBuilder::new(pattern)
        .delegate_size_limit(COMPILED_BYTES_MAX)
        .max_prog_size(STEPS_MAX)
        .backtrack_limit(BACKTRACK_COUNT_MAX)
        .build()
        .ok()
}

fn check_setting(key: &str, value: &Value) -> Result<(), Refused> {
    if IGNORED.contains(&key) {
        return Ok(());
    }
    let name = argument(key);
    let of_queues = TABLE.iter().find(|row| {
        let place = match name == ALTERNATE_EXCHANGE {
            true => Place::Exchange,
            false => Place::Queue,
        };
        row.place == place && row.name == name
    });
    match of_queues {
        Some(row) if SETTINGS.contains(&plain(key)) => row.accepted.check(key, value),
        _ => Err(arguments::invalid(key, value, "a known policy setting")),
    }
}

/// The deduplication plugin's settings carry the `x-` of its arguments.
fn plain(key: &str) -> &str {
    key.strip_prefix("x-").unwrap_or(key)
}

fn argument(key: &str) -> String {
    match key {
        ALTERNATE_EXCHANGE => key.to_owned(),
        key => format!("x-{}", plain(key)),
    }
}

/// What a policy may set.
const SETTINGS: [&str; 25] = [
    ALTERNATE_EXCHANGE,
    "message-ttl",
    "expires",
    "max-length",
    "max-length-bytes",
    "overflow",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "dead-letter-strategy",
    "delivery-limit",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
    "retry-delays",
    "consumer-timeout",
    "retention",
    "retention-bytes",
    "max-age",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
    "message-deduplication",
    "deduplication-header",
    "cache-size",
    "cache-ttl",
    "cache-persistence",
];

/// What RabbitMQ's policies may set and has no counterpart here.
const IGNORED: [&str; 17] = [
    "consumer-disconnected-timeout",
    "ha-mode",
    "ha-params",
    "ha-promote-on-failure",
    "ha-promote-on-shutdown",
    "ha-sync-batch-size",
    "ha-sync-mode",
    "initial-cluster-size",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "member-placement-tag",
    "queue-leader-locator",
    "queue-master-locator",
    "queue-mode",
    "queue-version",
    "target-group-size",
    "quorum-target-group-size",
];

const PATTERN_BYTES_MAX: usize = 1024;
const COMPILED_BYTES_MAX: usize = 1024 * 1024;
const STEPS_MAX: usize = 64 * 1024;
const BACKTRACK_COUNT_MAX: usize = 100_000;

#[cfg(test)]
mod tests;
