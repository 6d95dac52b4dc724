//! What can be configured of a topic: one table, from which setting, describing and
//! documenting derive.
//!
//! A configuration is either enforced, or accepted as long as it says what goes without
//! saying: none is taken and not followed. What was set is recorded as text by name
//! ([`Configs`]); [`apply`] reads it into a queue's [`Properties`], where [`TopicConfig`]
//! holds the numbers that nothing but a topic has.
//!
//! Three layers, the first that says something counts: what was set on the topic; what its
//! declaration as a queue and its policy say (`x-max-age` and so on; a stream keeps all if
//! they say nothing); Kafka's default, for a topic that was made as one.
//!
//! Reading order: this file, [`table`] (the rows), [`value`] (what they may be), [`alter`]
//! (setting), [`describe`].

pub mod alter;

pub mod describe;

pub mod table;

pub mod value;

use crate::catalog::{Configs, TopicDefinition};
use crate::queue::properties::Properties;
use crate::stream::Retention;

pub use alter::{Alteration, Operation};
pub use describe::{Described, Source};
pub use table::{Row, TABLE};

/// What a topic asks of a producer's batches, and of its own upkeep. The default is Kafka's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicConfig {
    /// Largest batch accepted, as it came (`max.message.bytes`).
    pub message_bytes_max: u64,
    /// Whose time records have (`message.timestamp.type`).
    pub timestamps: Timestamps,
    /// How far behind the broker's time a producer's may be: milliseconds.
    pub timestamp_before_max_ms: u64,
    /// How far ahead of it: milliseconds.
    pub timestamp_after_max_ms: u64,
    /// How batches are compressed (`compression.type`).
    pub compression: Compression,
    /// Replicas that must have a record before a producer that asks for all is answered.
    /// There is one: of more, such a producer is told that they are not there.
    pub replicas_min: u32,
    /// Whether records go for their age or the log's size, and may be deleted by hand.
    pub deletes: bool,
    /// Whether only the last record of each key is kept, and how.
    pub compaction: Option<Compaction>,
    /// A segment that is so old is sealed: milliseconds.
    pub segment_ms: u64,
}

/// Whose time records have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// The producer's (`CreateTime`).
    #[default]
    Producer,
    /// The broker's, when they were appended (`LogAppendTime`).
    Append,
}

/// How batches are compressed before they are appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As the producer sent them.
    #[default]
    Producer,
    /// Not.
    Uncompressed,
    /// By gzip.
    Gzip,
    /// By snappy.
    Snappy,
    /// By LZ4.
    Lz4,
    /// By Zstandard.
    Zstd,
}

/// How a log is compacted. All times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// A record stays at least so long.
    pub lag_min_ms: u64,
    /// A log with an older record that was not looked at is compacted in any case.
    pub lag_max_ms: u64,
    /// A log is compacted once so much of it, of 1, was not looked at.
    pub dirty_ratio_min: f64,
    /// How long a record that says its key is gone stays after compaction.
    pub delete_retention_ms: u64,
}

impl Default for TopicConfig {
    fn default() -> TopicConfig {
        TopicConfig::of(&Configs::new())
    }
}

impl TopicConfig {
    /// Reads what was set; what was not is as Kafka has it. Values were checked.
    pub fn of(configs: &Configs) -> TopicConfig {
        let read = Read(configs);
        let policy = read.text("cleanup.policy");
        let says = |word: &str| policy.split(',').any(|one| one.trim() == word);
        let compacts = says("compact");
        TopicConfig {
            message_bytes_max: read.count("max.message.bytes"),
            timestamps: match read.text("message.timestamp.type") {
                "LogAppendTime" => Timestamps::Append,
                _ => Timestamps::Producer,
            },
            timestamp_before_max_ms: read.count("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: read.count("message.timestamp.after.max.ms"),
            compression: read.compression(),
            replicas_min: u32::try_from(read.count("min.insync.replicas")).unwrap_or(u32::MAX),
            deletes: says("delete"),
            compaction: compacts.then(|| Compaction {
                lag_min_ms: read.count("min.compaction.lag.ms"),
                lag_max_ms: read.count("max.compaction.lag.ms"),
                dirty_ratio_min: read
                    .text("min.cleanable.dirty.ratio")
                    .trim()
                    .parse()
                    .unwrap_or(0.5),
                delete_retention_ms: read.count("delete.retention.ms"),
            }),
            segment_ms: read.count("segment.ms"),
        }
    }
}

/// Makes a queue's properties, which so far follow its arguments and policy, those of a
/// topic.
pub fn apply(topic: Option<&TopicDefinition>, properties: &mut Properties) {
    let Some(topic) = topic else {
        return;
    };
    properties.topic = TopicConfig::of(&topic.configs);
    if !properties.is_stream {
        return;
    }
    let read = Read(&topic.configs);
    let mut retention = properties.retention.unwrap_or_default();
    // Below 0 there is no limit.
    let bound = |value: i64| u64::try_from(value).ok();
    if let Some(ms) = read.set("retention.ms") {
        retention.age_ms = bound(ms);
    } else if topic.made_as_topic && retention.age_ms.is_none() {
        retention.age_ms = Some(read.count("retention.ms"));
    }
    if let Some(bytes) = read.set("retention.bytes") {
        retention.bytes = bound(bytes);
    }
    // A log that is only compacted drops nothing for its age or its size.
    if !properties.topic.deletes {
        retention = Retention::default();
    }
    properties.retention = Some(retention).filter(Retention::is_bounded);
    if let Some(bytes) = read.set("segment.bytes").and_then(bound) {
        properties.segment_bytes = Some(bytes.min(SEGMENT_BYTES_MAX));
    }
}

/// Storage makes no larger ones.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

struct Read<'a>(&'a Configs);

impl<'a> Read<'a> {
    fn text(&self, name: &str) -> &'a str {
        match self.0.get(name) {
            Some(value) => value,
            None => table::row(name).map_or("", |row| row.default),
        }
    }

    /// What was set, if anything was.
    fn set(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.trim().parse().ok()
    }

    fn count(&self, name: &str) -> u64 {
        let value = self.text(name).trim().parse::<i64>();
        value.map_or(0, |value| u64::try_from(value).unwrap_or(0))
    }

    fn compression(&self) -> Compression {
        match self.text("compression.type") {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => Compression::Producer,
        }
    }
}

#[cfg(test)]
mod tests;
