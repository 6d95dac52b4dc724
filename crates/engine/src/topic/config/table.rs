//! The rows: each configuration a topic can have.

use super::value::Type;

/// One configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// As Kafka spells it.
    pub name: &'static str,
    /// What it may be.
    pub accepted: Type,
    /// As Kafka has it.
    pub default: &'static str,
    /// What is done with it.
    pub status: Status,
    /// What Kafka calls the broker's setting that it overrides, if there is one.
    pub synonym: Option<&'static str>,
    /// For people.
    pub meaning: &'static str,
}

/// What is done with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What it says happens; on a work queue too.
    Enforced,
    /// What it says happens on streams. A work queue's records go when they are settled.
    OfStreams,
    /// Any value is satisfied where each confirm waits for the disk anyhow, the log's
    /// durability being `fsync`; elsewhere only the default is accepted.
    IfSynced,
    /// Only its default is accepted: it is about something that is not here, as said.
    OnlyDefault(&'static str),
}

/// The row of that name.
pub fn row(name: &str) -> Option<&'static Row> {
    let place = TABLE.binary_search_by(|row| row.name.cmp(name)).ok()?;
    Some(&TABLE[place])
}

const ANY_LONG: Type = Type::Long(i64::MIN, i64::MAX);
const COUNT: Type = Type::Long(0, i64::MAX);
const FROM_ONE: Type = Type::Long(1, i64::MAX);
const NO_TIERS: Status = Status::OnlyDefault("there is no remote storage");
const NO_REPLICAS: Status = Status::OnlyDefault("there is one broker and no replication");
const FIXED_LEVEL: Status =
    Status::OnlyDefault("batches are compressed at one level of each codec");
const NO_SUCH_FILE: Status = Status::OnlyDefault("segments here have no such file");

const fn row_of(
    name: &'static str,
    accepted: Type,
    default: &'static str,
    status: Status,
    synonym: Option<&'static str>,
    meaning: &'static str,
) -> Row {
    Row {
        name,
        accepted,
        default,
        status,
        synonym,
        meaning,
    }
}

/// Every configuration of Kafka 4.3's topics, by name.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row_of(
        "cleanup.policy", Type::List(&["compact", "delete"]), "delete", Status::OfStreams,
        Some("log.cleanup.policy"),
        "delete: records go by their age and the log's size. compact: of each key the last record stays. Both: both.",
    ),
    row_of(
        "compression.gzip.level", Type::Level(1, 9, -1), "-1", FIXED_LEVEL,
        Some("compression.gzip.level"),
        "The level, where compression.type is gzip; -1 is the usual one.",
    ),
    row_of(
        "compression.lz4.level", Type::Int(1, 17), "9", FIXED_LEVEL,
        Some("compression.lz4.level"),
        "The level, where compression.type is lz4.",
    ),
    row_of(
        "compression.type",
        Type::Word(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer",
        Status::Enforced, Some("compression.type"),
        "How batches are compressed when they are appended; producer: they stay as they came.",
    ),
    row_of(
        "compression.zstd.level", Type::Int(-131_072, 22), "3", FIXED_LEVEL,
        Some("compression.zstd.level"),
        "The level, where compression.type is zstd.",
    ),
    row_of(
        "delete.retention.ms", COUNT, "86400000", Status::OfStreams,
        Some("log.cleaner.delete.retention.ms"),
        "How long a record that says its key is gone stays after compaction: milliseconds.",
    ),
    row_of(
        "file.delete.delay.ms", COUNT, "60000",
        Status::OnlyDefault("files are deleted once a checkpoint does not need them"),
        Some("log.segment.delete.delay.ms"),
        "How long Kafka waits before it deletes a file.",
    ),
    row_of(
        "flush.messages", FROM_ONE, "9223372036854775807", Status::IfSynced,
        Some("log.flush.interval.messages"),
        "Records after which the log is written to the disk; with durability fsync it always is.",
    ),
    row_of(
        "flush.ms", COUNT, "9223372036854775807", Status::IfSynced,
        Some("log.flush.interval.ms"),
        "Milliseconds after which the log is written to the disk; with durability fsync it always is.",
    ),
    row_of(
        "follower.replication.throttled.replicas", Type::List(&[]), "", NO_REPLICAS, None,
        "Replicas whose replication is throttled, as followers.",
    ),
    row_of(
        "index.interval.bytes", Type::Int(0, i32::MAX), "4096", NO_SUCH_FILE,
        Some("log.index.interval.bytes"),
        "Bytes between two entries of a segment's index.",
    ),
    row_of(
        "leader.replication.throttled.replicas", Type::List(&[]), "", NO_REPLICAS, None,
        "Replicas whose replication is throttled, as leaders.",
    ),
    row_of(
        "local.retention.bytes", Type::Long(-2, i64::MAX), "-2", NO_TIERS,
        Some("log.local.retention.bytes"),
        "Bytes kept here of what is in remote storage too.",
    ),
    row_of(
        "local.retention.ms", Type::Long(-2, i64::MAX), "-2", NO_TIERS,
        Some("log.local.retention.ms"),
        "How long records are kept here that are in remote storage too.",
    ),
    row_of(
        "max.compaction.lag.ms", FROM_ONE, "9223372036854775807", Status::OfStreams,
        Some("log.cleaner.max.compaction.lag.ms"),
        "A log with an older record that compaction has not looked at is compacted in any case: milliseconds.",
    ),
    row_of(
        "max.message.bytes", Type::Int(0, i32::MAX), "1048588", Status::Enforced,
        Some("message.max.bytes"),
        "The largest batch that is accepted: bytes, after compression.",
    ),
    row_of(
        "message.timestamp.after.max.ms", COUNT, "3600000", Status::Enforced,
        Some("log.message.timestamp.after.max.ms"),
        "How far ahead of the broker's time a producer's may be: milliseconds. Not looked at with LogAppendTime.",
    ),
    row_of(
        "message.timestamp.before.max.ms", COUNT, "9223372036854775807", Status::Enforced,
        Some("log.message.timestamp.before.max.ms"),
        "How far behind the broker's time a producer's may be: milliseconds. Not looked at with LogAppendTime.",
    ),
    row_of(
        "message.timestamp.type", Type::Word(&["CreateTime", "LogAppendTime"]), "CreateTime",
        Status::Enforced, Some("log.message.timestamp.type"),
        "Whether records have the time their producer gave them, or that of their append.",
    ),
    row_of(
        "min.cleanable.dirty.ratio", Type::Double(0.0, 1.0), "0.5", Status::OfStreams,
        Some("log.cleaner.min.cleanable.ratio"),
        "A log is compacted once so much of it, of 1, has not been looked at.",
    ),
    row_of(
        "min.compaction.lag.ms", COUNT, "0", Status::OfStreams,
        Some("log.cleaner.min.compaction.lag.ms"),
        "How long a record stays before compaction may drop it: milliseconds.",
    ),
    row_of(
        "min.insync.replicas", Type::Int(1, i32::MAX), "1", Status::Enforced,
        Some("min.insync.replicas"),
        "Replicas that must have what a producer with acks=all sends. There is one: with more, such producers are refused.",
    ),
    row_of(
        "preallocate", Type::Boolean, "false",
        Status::OnlyDefault("segments are written once, whole"), Some("log.preallocate"),
        "Whether files are given their size when they are made.",
    ),
    row_of(
        "remote.log.copy.disable", Type::Boolean, "false", NO_TIERS, None,
        "Whether nothing more is copied to remote storage.",
    ),
    row_of(
        "remote.log.delete.on.disable", Type::Boolean, "false", NO_TIERS, None,
        "Whether remote storage is emptied when it is disabled.",
    ),
    row_of(
        "remote.storage.enable", Type::Boolean, "false", NO_TIERS, None,
        "Whether segments are copied to remote storage.",
    ),
    row_of(
        "retention.bytes", ANY_LONG, "-1", Status::OfStreams, Some("log.retention.bytes"),
        "The oldest batches go, so that a partition takes up at most so many bytes; -1: no limit.",
    ),
    row_of(
        "retention.ms", Type::Long(-1, i64::MAX), "604800000", Status::OfStreams,
        Some("log.retention.ms"),
        "Older batches go: milliseconds; -1: none does.",
    ),
    row_of(
        "segment.bytes", Type::Int(1024 * 1024, i32::MAX), "1073741824", Status::OfStreams,
        Some("log.segment.bytes"),
        "Bytes after which the log begins a new segment, at most 1 GiB; if not set, the broker's data.segment_bytes_max.",
    ),
    row_of(
        "segment.index.bytes", Type::Int(4, i32::MAX), "10485760", NO_SUCH_FILE,
        Some("log.index.size.max.bytes"),
        "The size of a segment's index.",
    ),
    row_of(
        "segment.jitter.ms", COUNT, "0",
        Status::OnlyDefault("segments are sealed by one thread, one after the other"),
        Some("log.roll.jitter.ms"),
        "A random part of segment.ms.",
    ),
    row_of(
        "segment.ms", FROM_ONE, "604800000", Status::OfStreams, Some("log.roll.ms"),
        "The age at which a segment of a compacted topic is sealed, however small: milliseconds.",
    ),
    row_of(
        "unclean.leader.election.enable", Type::Boolean, "false", NO_REPLICAS,
        Some("unclean.leader.election.enable"),
        "Whether a replica that is behind may become leader.",
    ),
];
