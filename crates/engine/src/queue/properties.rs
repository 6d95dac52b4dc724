//! What a queue was asked to be beyond first in, first out: one reading of its arguments
//! and of the policy that applies to it.
//!
//! [`Properties::of`] never fails: `catalog::arguments` has refused what it could not
//! read, and a policy is checked when it is set. All times are milliseconds.

use bongsu_record::{Arguments, Value};

use crate::catalog::arguments::SUBSCRIBE;
use crate::catalog::arguments::accepted::whole;
use crate::stream::Retention;
use crate::topic::config::TopicConfig;

/// See the module's comment. The default is a plain queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// Readers with a position each instead of competing consumers.
    pub is_stream: bool,
    /// Its consumers are told how often a record was tried (RabbitMQ: quorum queues).
    pub tells_tries: bool,
    /// Records older than this are expired once they are at the head.
    pub message_ttl_ms: Option<u64>,
    /// The queue goes after so long without consumers, gets and declarations.
    pub expires_ms: Option<u64>,
    /// Ready records it may hold.
    pub length_max: Option<u64>,
    /// Bytes of ready records' bodies it may hold.
    pub bytes_max: Option<u64>,
    /// What happens at those bounds.
    pub overflow: Overflow,
    /// Where dead records go; they are dropped without.
    pub dead_letter: Option<DeadLetter>,
    /// Failed tries after which a record is dead.
    pub delivery_limit: Option<u32>,
    /// How long a record waits before it is tried again.
    pub retry: Option<Retry>,
    /// Highest priority there is; without, priorities are not looked at.
    pub priority_max: Option<u8>,
    /// One consumer is served at a time, the next takes over when it goes.
    pub single_active: bool,
    /// A lease ends after so long, and its consumer is cancelled. Without, it lasts as long
    /// as its holder's session.
    pub consumer_timeout_ms: Option<u64>,
    /// Records with an identity seen before are dropped.
    pub deduplication: Option<Deduplication>,
    /// Records are ordered, or take turns, by a key.
    pub grouping: Option<Grouping>,
    /// What stays readable; without, a queue's records go once they are settled, and a
    /// stream's stay.
    pub retention: Option<Retention>,
    /// Bytes after which a stream's log begins a new segment.
    pub segment_bytes: Option<u64>,
    /// What it is as a topic.
    pub topic: TopicConfig,
    /// How long after its append a record waits before it is lent for the first time.
    pub delay_ms: Option<u64>,
    /// A subscription that also hands out what a transaction may still take back.
    pub uncommitted: bool,
}

/// What happens when a queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest ready records are dead.
    #[default]
    DropHead,
    /// New records are refused.
    RejectPublish,
    /// New records are refused, and dead.
    RejectPublishDlx,
}

/// Where dead records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The exchange; may not exist.
    pub exchange: String,
    /// In place of the record's own keys.
    pub routing_key: Option<String>,
    /// A dead record stays until a queue has taken it; else it is dropped where none does.
    pub at_least_once: bool,
}

/// How long a record that came back waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// After what.
    pub after: RetryAfter,
    /// How long.
    pub delay: RetryDelay,
}

/// What a back-off follows (`x-delayed-retry-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Whatever brought the record back.
    All,
    /// Only failed tries.
    Failed,
    /// Only records given back without failure.
    Returned,
}

/// How long a back-off is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryDelay {
    /// `min_ms` times the tries, at most `max_ms`.
    Linear {
        /// For each try.
        min_ms: u64,
        /// At most.
        max_ms: u64,
    },
    /// The n-th for the n-th try, the last for all after it.
    Steps(Vec<u64>),
}

impl RetryDelay {
    /// The wait after so many tries, at least 1.
    pub fn after(&self, tries: u32) -> u64 {
        match self {
            RetryDelay::Linear { min_ms, max_ms } => {
                min_ms.saturating_mul(u64::from(tries.max(1))).min(*max_ms)
            }
            RetryDelay::Steps(steps) => {
                let index = (tries.max(1) as usize - 1).min(steps.len().saturating_sub(1));
                steps.get(index).copied().unwrap_or(0)
            }
        }
    }
}

/// Which records are seen as the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deduplication {
    /// The header with the identity; `None`: [`DEDUPLICATION_HEADER`].
    pub header: Option<String>,
    /// Identities remembered; `None`: those of the records in the queue.
    pub count_max: Option<u64>,
    /// How long one is remembered.
    pub keep_ms: Option<u64>,
}

/// Records by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Where the key is.
    pub key: KeySource,
    /// `true`: keys take turns, any consumer gets any; `false`: a key's records go to one
    /// consumer at a time, in order.
    pub is_fair: bool,
}

/// Where a record's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Its routing key.
    RoutingKey,
    /// A header, by name.
    Header(String),
}

impl Deduplication {
    /// Of an exchange of type `x-message-deduplication`, or one whose arguments ask for it.
    pub fn of_exchange(arguments: &Arguments) -> Deduplication {
        Reader(arguments).window()
    }
}

impl Properties {
    /// Reads arguments that were checked.
    pub fn of(arguments: &Arguments) -> Properties {
        let reader = Reader(arguments);
        let kind = reader.text("x-queue-type").unwrap_or("classic");
        if kind == "stream" {
            return Properties::of_stream(arguments);
        }
        Properties {
            is_stream: false,
            tells_tries: kind == "quorum",
            message_ttl_ms: reader.count("x-message-ttl"),
            expires_ms: reader.count("x-expires"),
            length_max: reader.count("x-max-length"),
            bytes_max: reader.count("x-max-length-bytes"),
            overflow: match reader.text("x-overflow") {
                Some("reject-publish") => Overflow::RejectPublish,
                Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
                _ => Overflow::DropHead,
            },
            dead_letter: reader.dead_letter(),
            delivery_limit: reader
                .int("x-delivery-limit")
                .and_then(|limit| u32::try_from(limit).ok()),
            retry: reader.retry(),
            priority_max: reader
                .count("x-max-priority")
                .map(|max| u8::try_from(max).unwrap_or(u8::MAX)),
            single_active: reader.is_true("x-single-active-consumer"),
            consumer_timeout_ms: reader.count("x-consumer-timeout").filter(|ms| *ms > 0),
            deduplication: reader.deduplication(),
            grouping: reader.grouping(),
            // What a subscription reads is another's to keep.
            retention: match reader.text(SUBSCRIBE) {
                Some(_) => None,
                None => Retention::of_queue(arguments),
            },
            segment_bytes: None,
            topic: TopicConfig::default(),
            delay_ms: reader.count("x-delivery-delay").filter(|ms| *ms > 0),
            uncommitted: reader.text("x-subscribe-isolation") == Some("uncommitted"),
        }
    }

    /// A stream has readers and a retention, and nothing of what a queue has, not by a
    /// policy either.
    fn of_stream(arguments: &Arguments) -> Properties {
        Properties {
            is_stream: true,
            retention: Some(Retention::of_stream(arguments)).filter(Retention::is_bounded),
            segment_bytes: Reader(arguments).count("x-stream-max-segment-size-bytes"),
            ..Properties::default()
        }
    }

    /// Whether records stay readable when they are settled, or never are.
    pub fn keeps(&self) -> bool {
        self.is_stream || self.retention.is_some()
    }

    /// Whether the queue needs to know something of each record before it may be lent.
    pub fn judges(&self) -> bool {
        self.message_ttl_ms.is_some()
            || self.bytes_max.is_some()
            || self.priority_max.is_some()
            || self.grouping.is_some()
            || self.deduplication.is_some()
            || self.delay_ms.is_some()
    }
}

struct Reader<'a>(&'a Arguments);

impl<'a> Reader<'a> {
    fn int(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_int()
    }

    fn count(&self, name: &str) -> Option<u64> {
        self.int(name).and_then(|int| u64::try_from(int).ok())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_text()
    }

    fn is_true(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Bool(true)))
    }

    fn dead_letter(&self) -> Option<DeadLetter> {
        Some(DeadLetter {
            exchange: self.text("x-dead-letter-exchange")?.to_owned(),
            routing_key: self.text("x-dead-letter-routing-key").map(str::to_owned),
            at_least_once: self.text("x-dead-letter-strategy") == Some("at-least-once"),
        })
    }

    fn retry(&self) -> Option<Retry> {
        if let Some(Value::List(steps)) = self.0.get("x-retry-delays") {
            let steps: Vec<u64> = steps
                .iter()
                .filter_map(|step| u64::try_from(step.as_int()?).ok())
                .collect();
            let after = RetryAfter::Failed;
            let delay = RetryDelay::Steps(steps);
            return Some(Retry { after, delay });
        }
        let after = match self.text("x-delayed-retry-type")? {
            "all" => RetryAfter::All,
            "failed" => RetryAfter::Failed,
            "returned" => RetryAfter::Returned,
            _ => return None,
        };
        // RabbitMQ: without a least wait there is none, without a longest it does not grow.
        let min_ms = self.count("x-delayed-retry-min")?;
        let max_ms = self.count("x-delayed-retry-max").unwrap_or(min_ms);
        let delay = RetryDelay::Linear { min_ms, max_ms };
        Some(Retry { after, delay })
    }

    fn deduplication(&self) -> Option<Deduplication> {
        self.is_true("x-message-deduplication")
            .then(|| self.window())
    }

    fn window(&self) -> Deduplication {
        Deduplication {
            header: self.text("x-deduplication-header").map(str::to_owned),
            count_max: self.0.get("x-cache-size").and_then(whole),
            keep_ms: self.0.get("x-cache-ttl").and_then(whole),
        }
    }

    fn grouping(&self) -> Option<Grouping> {
        let (name, is_fair) = match self.text("x-group-key") {
            Some(name) => (name, false),
            None => (self.text("x-fair-key")?, true),
        };
        let key = match name {
            "routing-key" => KeySource::RoutingKey,
            header => KeySource::Header(header.to_owned()),
        };
        Some(Grouping { key, is_fair })
    }
}

/// The header of records that the plugin looks at.
pub const DEDUPLICATION_HEADER: &str = "x-deduplication-header";

#[cfg(test)]
mod tests;
