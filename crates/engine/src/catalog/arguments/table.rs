//! The rows, queues' in the order in which RabbitMQ looks at them, then ours, then those
//! that are ignored.

use super::Accepted::{Age, Anything, Bool, Delays, Retention, StreamOffset, Text, Texts, Whole};
use super::Place::{Consumer, Exchange, Queue};
use super::Status::{AcceptAndIgnore, Enforced};
use super::accepted::{BYTE, COUNT, INT, LIMIT, POSITIVE, POSITIVE_SPAN, SPAN};
use super::{
    ALTERNATE_EXCHANGE, Accepted, DURABILITY, Place, QUEUE_TYPE, Row, SUBSCRIBE, SUBSCRIBE_FROM,
    Status,
};

#[rustfmt::skip]
/// Every known argument; see the module's comment.
pub const TABLE: &[Row] = &[
    row(QUEUE_TYPE, Queue, QUEUE_TYPES, Enforced),
    row("x-expires", Queue, POSITIVE_SPAN, Enforced),
    row("x-message-ttl", Queue, SPAN, Enforced),
    row("x-dead-letter-exchange", Queue, Text, Enforced),
    row("x-dead-letter-routing-key", Queue, Text, Enforced).needs("x-dead-letter-exchange"),
    row("x-dead-letter-strategy", Queue, STRATEGIES, Enforced),
    row("x-max-length", Queue, COUNT, Enforced),
    row("x-max-length-bytes", Queue, COUNT, Enforced),
    row("x-max-priority", Queue, BYTE, Enforced),
    row("x-overflow", Queue, OVERFLOWS, Enforced),
    row("x-single-active-consumer", Queue, Bool, Enforced),
    row("x-consumer-timeout", Queue, COUNT, Enforced),
    row("x-max-age", Queue, Age, Enforced),
    row("x-stream-max-segment-size-bytes", Queue, SEGMENT_BYTES, Enforced),
    row("x-delivery-limit", Queue, LIMIT, Enforced),
    row("x-delayed-retry-type", Queue, RETRY_TYPES, Enforced),
    row("x-delayed-retry-min", Queue, POSITIVE_SPAN, Enforced),
    row("x-delayed-retry-max", Queue, POSITIVE_SPAN, Enforced),
    row("x-retry-delays", Queue, Delays, Enforced),
    row("x-message-deduplication", Queue, Bool, Enforced),
    row("x-deduplication-header", Queue, Text, Enforced),
    row("x-cache-size", Queue, Whole, Enforced),
    row("x-cache-ttl", Queue, Whole, Enforced),
    row("x-group-key", Queue, Text, Enforced),
    row("x-fair-key", Queue, Text, Enforced),
    row("x-retention", Queue, Retention, Enforced),
    row("x-retention-bytes", Queue, POSITIVE, Enforced),
    row(SUBSCRIBE, Queue, Text, Enforced),
    row(SUBSCRIBE_FROM, Queue, StreamOffset, Enforced).needs(SUBSCRIBE),
    row("x-subscribe-isolation", Queue, ISOLATIONS, Enforced).needs(SUBSCRIBE),
    row("x-delivery-delay", Queue, SPAN, Enforced),
    row(DURABILITY, Queue, DURABILITIES, Enforced),
    row("x-cache-persistence", Queue, PERSISTENCES, AcceptAndIgnore),
    row("x-stream-filter-size-bytes", Queue, FILTER_BYTES, AcceptAndIgnore),
    row("x-consumer-disconnected-timeout", Queue, COUNT, AcceptAndIgnore),
    row("x-queue-mode", Queue, QUEUE_MODES, AcceptAndIgnore),
    row("x-queue-version", Queue, QUEUE_VERSIONS, AcceptAndIgnore),
    row("x-queue-master-locator", Queue, Text, AcceptAndIgnore),
    row("x-queue-leader-locator", Queue, LOCATORS, AcceptAndIgnore),
    row("x-initial-cluster-size", Queue, POSITIVE, AcceptAndIgnore),
    row("x-quorum-initial-group-size", Queue, POSITIVE, AcceptAndIgnore),
    row("x-quorum-target-group-size", Queue, POSITIVE, AcceptAndIgnore),
    row("x-member-placement-tag", Queue, Text, AcceptAndIgnore),
    row("x-max-in-memory-length", Queue, COUNT, AcceptAndIgnore),
    row("x-max-in-memory-bytes", Queue, COUNT, AcceptAndIgnore),

    row(ALTERNATE_EXCHANGE, Exchange, Text, Enforced),
    row("x-delayed-type", Exchange, Text, Enforced),
    row("x-message-deduplication", Exchange, Bool, Enforced),
    row("x-deduplication-header", Exchange, Text, Enforced),
    row("x-cache-size", Exchange, Whole, Enforced),
    row("x-cache-ttl", Exchange, Whole, Enforced),
    row("x-cache-persistence", Exchange, PERSISTENCES, AcceptAndIgnore),
    row("hash-header", Exchange, Text, Enforced),
    row("hash-property", Exchange, Text, Enforced),

    row("x-priority", Consumer, INT, Enforced),
    row("x-stream-offset", Consumer, StreamOffset, Enforced),
    row("x-stream-until", Consumer, StreamOffset, Enforced),
    row("x-stream-filter", Consumer, Texts, Enforced),
    row("x-stream-match-unfiltered", Consumer, Bool, Enforced),
    row("x-stream-automatic-offset-tracking", Consumer, Bool, Enforced),
    row("x-consumer-timeout", Consumer, COUNT, Enforced),
    row("x-credit", Consumer, Anything, AcceptAndIgnore),
    row("x-cancel-on-ha-failover", Consumer, Bool, AcceptAndIgnore),
];

const fn row(name: &'static str, place: Place, accepted: Accepted, status: Status) -> Row {
    Row {
        name,
        place,
        accepted,
        status,
        needs: None,
    }
}

impl Row {
    const fn needs(mut self, other: &'static str) -> Row {
        self.needs = Some(other);
        self
    }
}

const QUEUE_TYPES: Accepted = Accepted::OneOf(
    &["classic", "quorum", "stream"],
    "classic, quorum, or stream",
);
const STRATEGIES: Accepted = Accepted::OneOf(
    &["at-most-once", "at-least-once"],
    "at-most-once or at-least-once",
);
const OVERFLOWS: Accepted = Accepted::OneOf(
    &["drop-head", "reject-publish", "reject-publish-dlx"],
    "drop-head, reject-publish, or reject-publish-dlx",
);
const RETRY_TYPES: Accepted = Accepted::OneOf(
    &["all", "failed", "returned", "disabled"],
    "all, failed, returned, or disabled",
);
const DURABILITIES: Accepted = Accepted::OneOf(&["fsync", "os", "memory"], "fsync, os, or memory");
const ISOLATIONS: Accepted =
    Accepted::OneOf(&["committed", "uncommitted"], "committed or uncommitted");
const PERSISTENCES: Accepted = Accepted::OneOf(&["disk", "memory"], "disk or memory");
const QUEUE_MODES: Accepted = Accepted::OneOf(&["default", "lazy"], "default or lazy");
const QUEUE_VERSIONS: Accepted = Accepted::Integer(1, 2, "an integer from 1 to 2");
const LOCATORS: Accepted = Accepted::OneOf(
    &["client-local", "balanced", "random", "least-leaders"],
    "client-local, balanced, random, or least-leaders",
);
/// RabbitMQ's bounds.
const SEGMENT_BYTES: Accepted =
    Accepted::Integer(0, 3_000_000_000, "an integer from 0 to 3000000000");
const FILTER_BYTES: Accepted = Accepted::Integer(16, 255, "an integer from 16 to 255");
