//! What the broker is and does as a whole: a fixed number of samples, however much there is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bongsu_broker::Broker;
use bongsu_broker::resources::AlarmKind;
use bongsu_broker::statistics::{BUCKETS_US, Count, Counted};

use super::exposition::{Exposition, Kind};
use super::process::Process;

/// Who answers, as RabbitMQ tells it: dashboards join everything with it.
pub fn identity(text: &mut Exposition, node: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let name = "rabbitmq_build_info";
    text.family(name, Kind::Info, "Product and version");
    let labels = [
        ("product_name", "Bongsu"),
        ("product_version", version),
        ("rabbitmq_version", RABBITMQ_VERSION),
    ];
    text.sample(name, &labels, 1_u64);
    let name = "rabbitmq_identity_info";
    text.family(name, Kind::Info, "Name of the node, and of its cluster");
    let labels = [
        ("rabbitmq_node", node),
        ("rabbitmq_cluster", "bongsu"),
        ("rabbitmq_cluster_permanent_id", node),
    ];
    text.sample(name, &labels, 1_u64);
}

/// Memory, disk, files, alarms.
pub fn resources(text: &mut Exposition, broker: &Broker) {
    let resources = broker.resources();
    let process = Process::read();
    let limit = resources.memory_total_bytes;
    text.single(
        "rabbitmq_process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of the process",
        resources.memory_bytes,
    );
    text.single(
        "rabbitmq_resident_memory_limit_bytes",
        Kind::Gauge,
        "Memory that the process may have: of the machine, or of its control group",
        limit,
    );
    text.single(
        "rabbitmq_disk_space_available_bytes",
        Kind::Gauge,
        "Room on the disk of the data directory",
        resources.disk_free_bytes.unwrap_or(0),
    );
    text.single(
        "rabbitmq_disk_space_available_limit_bytes",
        Kind::Gauge,
        "Room on the disk below which publishers are held back",
        resources.disk_free_bytes_min,
    );
    text.single(
        "bongsu_disk_space_total_bytes",
        Kind::Gauge,
        "Size of the disk of the data directory",
        resources.disk_total_bytes.unwrap_or(0),
    );
    for (name, help, value) in [
        (
            "rabbitmq_process_open_fds",
            "Files and sockets that the process has open",
            process.open_files,
        ),
        (
            "rabbitmq_process_max_fds",
            "Files and sockets that the process may have open",
            process.open_files_max,
        ),
        (
            "rabbitmq_process_open_tcp_sockets",
            "Connections of clients",
            broker.registry().count() as u64,
        ),
        (
            "rabbitmq_process_max_tcp_sockets",
            "Files and sockets that the process may have open",
            process.open_files_max,
        ),
        (
            "bongsu_unwritten_bytes",
            "Bytes of records in memory that are in no segment yet",
            resources.unwritten_bytes,
        ),
        (
            "bongsu_unwritten_limit_bytes",
            "Unwritten bytes beyond which publishers are held back",
            resources.unwritten_bytes_max,
        ),
        (
            "bongsu_cached_bytes",
            "Bytes of records in memory that could be dropped from it",
            resources.cached_bytes,
        ),
        (
            "bongsu_commit_pending_bytes",
            "Bytes that wait for the next commit",
            resources.pending_bytes,
        ),
        (
            "bongsu_wal_bytes",
            "Bytes of the write-ahead log that a restart would replay",
            resources.lane_bytes,
        ),
    ] {
        text.single(name, Kind::Gauge, help, value);
    }
    let uptime_ms = broker.now_ms().saturating_sub(resources.started_at_ms);
    text.single(
        "rabbitmq_erlang_uptime_seconds",
        Kind::Gauge,
        "Time since the broker started",
        uptime_ms as f64 / 1000.0,
    );
    let checkpoints = resources.checkpoints;
    text.single(
        "bongsu_checkpoints_total",
        Kind::Counter,
        "Checkpoints taken",
        checkpoints.count,
    );
    text.single(
        "bongsu_checkpoint_seconds_total",
        Kind::Counter,
        "Time that checkpoints took",
        checkpoints.all.as_secs_f64(),
    );
    text.single(
        "bongsu_checkpoint_last_seconds",
        Kind::Gauge,
        "Time that the last checkpoint took",
        checkpoints.last.as_secs_f64(),
    );
    for (name, kind, help) in [
        (
            "rabbitmq_alarms_memory_used_watermark",
            AlarmKind::Memory,
            "1: publishers are held back, as too much waits to be written",
        ),
        (
            "rabbitmq_alarms_free_disk_space_watermark",
            AlarmKind::Disk,
            "1: publishers are held back, as the disk has too little room",
        ),
        (
            "bongsu_alarms_storage_failed",
            AlarmKind::Storage,
            "1: what is written does not arrive; restart the broker",
        ),
    ] {
        let on = resources.alarms.iter().any(|alarm| alarm.kind == kind);
        text.single(name, Kind::Gauge, help, u64::from(on));
    }
}

/// How many there are, and how many came and went.
pub fn objects(text: &mut Exposition, broker: &Broker) {
    let registry = broker.registry();
    let totals = broker.totals();
    for (name, help, value) in [
        (
            "rabbitmq_connections",
            "Connections",
            registry.count() as u64,
        ),
        ("rabbitmq_channels", "Channels", registry.channel_count()),
        ("rabbitmq_consumers", "Consumers", registry.consumer_count()),
        ("rabbitmq_queues", "Queues and streams", totals.queues),
        ("rabbitmq_exchanges", "Exchanges", totals.exchanges),
        ("rabbitmq_vhosts", "Virtual hosts", totals.spaces),
    ] {
        text.single(name, Kind::Gauge, help, value);
    }
    let mut by_protocol: BTreeMap<&'static str, u64> =
        PROTOCOLS.iter().map(|protocol| (*protocol, 0)).collect();
    for connection in registry.connections() {
        if let Some(peer) = connection.peer() {
            *by_protocol.entry(peer.protocol).or_default() += 1;
        }
    }
    let name = "bongsu_connections";
    text.family(name, Kind::Gauge, "Connections by protocol");
    for (protocol, count) in by_protocol {
        text.sample(name, &[("protocol", protocol)], count);
    }
    churn(text, broker, "rabbitmq_");
}

/// What came and went.
pub fn churn(text: &mut Exposition, broker: &Broker, prefix: &str) {
    let churn = broker.churn();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    for (name, help, value) in [
        (
            "connections_opened_total",
            "Connections opened",
            read(&churn.connections_opened),
        ),
        (
            "connections_closed_total",
            "Connections closed",
            read(&churn.connections_closed),
        ),
        (
            "channels_opened_total",
            "Channels opened",
            read(&churn.channels_opened),
        ),
        (
            "channels_closed_total",
            "Channels closed",
            read(&churn.channels_closed),
        ),
        (
            "queues_declared_total",
            "Queues declared",
            read(&churn.queues_declared),
        ),
        (
            "queues_created_total",
            "Queues created",
            read(&churn.queues_created),
        ),
        (
            "queues_deleted_total",
            "Queues deleted",
            read(&churn.queues_deleted),
        ),
    ] {
        text.single(&format!("{prefix}{name}"), Kind::Counter, help, value);
    }
}

/// Records: what happened to them, and what there are.
pub fn records(text: &mut Exposition, broker: &Broker) {
    let statistics = broker.statistics();
    let counted = statistics.counted();
    let depth = statistics.depth();
    for (name, help, value) in [
        (
            "rabbitmq_queue_messages_ready",
            "Messages ready to be delivered",
            depth.ready,
        ),
        (
            "rabbitmq_queue_messages_unacked",
            "Messages delivered and not acknowledged",
            depth.leased,
        ),
        (
            "rabbitmq_queue_messages",
            "Messages of all queues",
            depth.owed(),
        ),
        (
            "bongsu_queue_messages_waiting",
            "Messages not to be delivered before some time",
            depth.waiting,
        ),
        (
            "bongsu_queue_messages_dying",
            "Messages on their way to where dead ones go",
            depth.dying,
        ),
    ] {
        text.single(name, Kind::Gauge, help, value);
    }
    for (name, help, counts) in COUNTERS {
        text.single(name, Kind::Counter, help, sum(&counted, counts));
    }
}

/// How long commits take.
pub fn commits(text: &mut Exposition, broker: &Broker) {
    let latency = broker.statistics().commits.latency();
    let name = "bongsu_commit_latency_seconds";
    let help =
        "Time from an append to its being durable: of each commit the one that waited longest";
    text.family(name, Kind::Histogram, help);
    let mut count = 0;
    let bucket = format!("{name}_bucket");
    for (bound_us, found) in BUCKETS_US.iter().zip(latency.buckets) {
        count += found;
        let bound = format!("{}", *bound_us as f64 / 1e6);
        text.sample(&bucket, &[("le", bound.as_str())], count);
    }
    text.sample(&bucket, &[("le", "+Inf")], latency.count());
    text.sample(&format!("{name}_sum"), &[], latency.sum_us as f64 / 1e6);
    text.sample(&format!("{name}_count"), &[], latency.count());
}

pub(super) fn sum(counted: &Counted, counts: &[Count]) -> u64 {
    counts.iter().map(|count| counted.of(*count)).sum()
}

/// A counter: its name, what it counts, and of what it is the sum.
pub(super) type Counter = (&'static str, &'static str, &'static [Count]);

/// All messages of all protocols. The first block has the names of RabbitMQ since 3.9, the
/// second those before it.
const COUNTERS: &[Counter] = &[
    (
        "rabbitmq_global_messages_received_total",
        "Messages published",
        &[Count::Publish],
    ),
    (
        "rabbitmq_global_messages_confirmed_total",
        "Messages confirmed to their publishers",
        &[Count::Confirm],
    ),
    (
        "rabbitmq_global_messages_routed_total",
        "Messages put into queues by exchanges, one for each",
        &[Count::PublishOut],
    ),
    (
        "rabbitmq_global_messages_unroutable_dropped_total",
        "Messages that no queue took, dropped",
        &[Count::DropUnroutable],
    ),
    (
        "rabbitmq_global_messages_unroutable_returned_total",
        "Messages that no queue took, returned",
        &[Count::ReturnUnroutable],
    ),
    (
        "rabbitmq_global_messages_delivered_total",
        "Messages delivered, got or fetched",
        &[
            Count::Deliver,
            Count::DeliverNoAck,
            Count::Get,
            Count::GetNoAck,
        ],
    ),
    (
        "rabbitmq_global_messages_delivered_consume_manual_ack_total",
        "Messages delivered to consumers that acknowledge",
        &[Count::Deliver],
    ),
    (
        "rabbitmq_global_messages_delivered_consume_auto_ack_total",
        "Messages delivered to consumers that need not, and fetched by Kafka's clients",
        &[Count::DeliverNoAck],
    ),
    (
        "rabbitmq_global_messages_delivered_get_manual_ack_total",
        "Messages got, to be acknowledged",
        &[Count::Get],
    ),
    (
        "rabbitmq_global_messages_delivered_get_auto_ack_total",
        "Messages got, acknowledged at once",
        &[Count::GetNoAck],
    ),
    (
        "rabbitmq_global_messages_get_empty_total",
        "Times that a message was to be got and there was none",
        &[Count::GetEmpty],
    ),
    (
        "rabbitmq_global_messages_redelivered_total",
        "Messages delivered though they were before",
        &[Count::Redeliver],
    ),
    (
        "rabbitmq_global_messages_acknowledged_total",
        "Messages acknowledged",
        &[Count::Ack],
    ),
    (
        "rabbitmq_global_messages_dead_lettered_rejected_total",
        "Messages dead because a consumer rejected them",
        &[Count::Rejected],
    ),
    (
        "rabbitmq_global_messages_dead_lettered_expired_total",
        "Messages dead because they were not consumed in time",
        &[Count::Expired],
    ),
    (
        "rabbitmq_global_messages_dead_lettered_maxlen_total",
        "Messages dead because their queue was full",
        &[Count::MaxLength],
    ),
    (
        "rabbitmq_global_messages_dead_lettered_delivery_limit_total",
        "Messages dead because they failed too often",
        &[Count::DeliveryLimit],
    ),
    (
        "bongsu_messages_dead_lettered_total",
        "Messages moved on to where their queue's dead ones go",
        &[Count::DeadLettered],
    ),
    (
        "bongsu_bytes_in_total",
        "Bytes of what was published, as batches hold them",
        &[Count::BytesIn],
    ),
    (
        "bongsu_bytes_out_total",
        "Bytes of what was delivered and fetched, as batches hold them",
        &[Count::BytesOut],
    ),
    (
        "rabbitmq_channel_messages_published_total",
        "Messages published",
        &[Count::Publish],
    ),
    (
        "rabbitmq_channel_messages_confirmed_total",
        "Messages confirmed to their publishers",
        &[Count::Confirm],
    ),
    (
        "rabbitmq_channel_messages_unroutable_dropped_total",
        "Messages that no queue took, dropped",
        &[Count::DropUnroutable],
    ),
    (
        "rabbitmq_channel_messages_unroutable_returned_total",
        "Messages that no queue took, returned",
        &[Count::ReturnUnroutable],
    ),
    (
        "rabbitmq_channel_messages_delivered_total",
        "Messages delivered to consumers that need not acknowledge",
        &[Count::DeliverNoAck],
    ),
    (
        "rabbitmq_channel_messages_delivered_ack_total",
        "Messages delivered to consumers that acknowledge",
        &[Count::Deliver],
    ),
    (
        "rabbitmq_channel_messages_redelivered_total",
        "Messages delivered though they were before",
        &[Count::Redeliver],
    ),
    (
        "rabbitmq_channel_messages_acked_total",
        "Messages acknowledged",
        &[Count::Ack],
    ),
    (
        "rabbitmq_channel_get_total",
        "Messages got, acknowledged at once",
        &[Count::GetNoAck],
    ),
    (
        "rabbitmq_channel_get_ack_total",
        "Messages got, to be acknowledged",
        &[Count::Get],
    ),
    (
        "rabbitmq_channel_get_empty_total",
        "Times that a message was to be got and there was none",
        &[Count::GetEmpty],
    ),
    (
        "rabbitmq_queue_messages_published_total",
        "Messages put into queues by exchanges, one for each",
        &[Count::PublishOut],
    ),
];

/// What there is a listener for.
const PROTOCOLS: &[&str] = &["AMQP 0-9-1", "Kafka"];
/// Of the RabbitMQ whose behaviour this is, as AMQP's clients are told.
const RABBITMQ_VERSION: &str = "4.0.0";
