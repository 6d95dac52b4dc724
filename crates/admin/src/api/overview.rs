//! The broker as a whole: `/api/overview`, its one node, who has logged in, and what there is
//! to know of it once.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_engine::queue::why::Depth;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::counts::{Of, message_stats};
use crate::api::{node, rate};
use crate::failure::Failure;
use crate::list;
use crate::route::{Answer, Context, Need, Route, boxed};
use crate::spaces;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route::get(
        "/api/overview",
        Need::Management,
        "The broker at a glance.",
        |context| boxed(overview(context)),
    ),
    Route::get(
        "/api/whoami",
        Need::Management,
        "Who has logged in.",
        |context| boxed(whoami(context)),
    ),
    Route::get(
        "/api/nodes",
        Need::Monitoring,
        "The nodes: one.",
        |context| boxed(nodes(context)),
    ),
    Route::get(
        "/api/nodes/{node}",
        Need::Monitoring,
        "A node.",
        |context| boxed(one_node(context)),
    ),
    Route::get(
        "/api/nodes/{node}/memory",
        Need::Monitoring,
        "Memory of a node.",
        |context| boxed(memory(context)),
    ),
    Route::get(
        "/api/cluster-name",
        Need::Management,
        "What the cluster is called.",
        |context| boxed(cluster_name(context)),
    ),
    Route::get(
        "/api/extensions",
        Need::Management,
        "Extensions of the console: none.",
        |_| boxed(async { Ok(Answer::json(&json!([]))) }),
    ),
    Route::get(
        "/api/auth",
        Need::Nobody,
        "How the console logs in: with a password.",
        |_| {
            boxed(async {
                Ok(Answer::json(&json!({
                    "oauth_enabled": false,
                    "enable_uaa": false,
                    "uaa_client_id": "",
                    "uaa_location": "",
                })))
            })
        },
    ),
    Route::get(
        "/api/auth/hash_password/{password}",
        Need::Management,
        "A password as RabbitMQ's definitions keep it.",
        |context| boxed(hash_password(context)),
    ),
    Route::get(
        "/api/feature-flags",
        Need::Management,
        "Feature flags: all there are, and on.",
        |context| boxed(feature_flags(context)),
    ),
    Route::get(
        "/api/deprecated-features",
        Need::Management,
        "Deprecated features: none.",
        |_| boxed(async { Ok(Answer::json(&json!([]))) }),
    ),
    Route::get(
        "/api/deprecated-features/used",
        Need::Management,
        "Those in use: none.",
        |_| boxed(async { Ok(Answer::json(&json!([]))) }),
    ),
];

async fn whoami(context: Context) -> Result<Answer, Failure> {
    let user = context.operator()?.user();
    Ok(Answer::json(&json!({
        "name": &*user.name,
        "tags": user.tags.iter().collect::<Vec<_>>(),
    })))
}

async fn overview(context: Context) -> Result<Answer, Failure> {
    let broker = context.broker();
    let operator = context.operator()?;
    let spaces = spaces::visible(operator);
    let sees_all = spaces::sees_all(operator);
    let (activity, depth) = match sees_all {
        true => (broker.activity(), broker.statistics().depth()),
        false => crate::api::vhosts::sums(broker, &spaces),
    };
    let registry = broker.registry();
    let exchanges: usize = spaces
        .iter()
        .map(|space| broker.exchange_rows(Some(space.id)).len() + 1)
        .sum();
    let mut overview = json!({
        "management_version": VERSION,
        "rates_mode": "basic",
        "sample_retention_policies": { "global": [600, 3600], "basic": [600, 3600],
            "detailed": [600] },
        "exchange_types": exchange_types(),
        "product_version": env!("CARGO_PKG_VERSION"),
        "product_name": "Bongsu",
        "rabbitmq_version": VERSION,
        "cluster_name": cluster(&context),
        "erlang_version": "",
        "erlang_full_version": "",
        "release_series_support_status": "supported",
        "cluster_tags": {},
        "node_tags": {},
        "default_queue_type": "classic",
        "disable_stats": false,
        "is_op_policy_updating_enabled": false,
        "enable_queue_totals": false,
        "message_stats": message_stats(&activity, Of::All),
        "churn_rates": churn(&context),
        "queue_totals": totals(&depth),
        "object_totals": {
            "channels": registry.channel_count(),
            "connections": registry.count(),
            "consumers": registry.consumer_count(),
            "exchanges": exchanges,
            "queues": crate::api::vhosts::queue_count(broker, &spaces),
        },
        "statistics_db_event_queue": 0,
        "node": node(&context),
    });
    if sees_all {
        overview["listeners"] = listeners(&context);
        overview["contexts"] = contexts(&context);
    }
    Ok(list::one(&context, overview))
}

/// What queues hold, as RabbitMQ sums it up.
pub fn totals(depth: &Depth) -> Value {
    let messages = depth.ready + depth.leased + depth.waiting + depth.dying;
    json!({
        "messages": messages,
        "messages_details": rate(0.0),
        "messages_ready": depth.ready,
        "messages_ready_details": rate(0.0),
        "messages_unacknowledged": depth.leased,
        "messages_unacknowledged_details": rate(0.0),
    })
}

fn churn(context: &Context) -> Value {
    let churn = context.broker().churn();
    let mut out = json!({});
    for (name, counter) in [
        ("connection_created", &churn.connections_opened),
        ("connection_closed", &churn.connections_closed),
        ("channel_created", &churn.channels_opened),
        ("channel_closed", &churn.channels_closed),
        ("queue_declared", &churn.queues_declared),
        ("queue_created", &churn.queues_created),
        ("queue_deleted", &churn.queues_deleted),
    ] {
        out[name] = json!(counter.load(Ordering::Relaxed));
        out[format!("{name}_details")] = rate(0.0);
    }
    out
}

fn exchange_types() -> Value {
    let types = bongsu_engine::catalog::ExchangeType::names();
    types
        .map(|name| json!({ "name": name, "description": name, "enabled": true }))
        .collect()
}

/// What listens, as RabbitMQ calls its protocols.
pub fn protocol(name: &str) -> &str {
    match name {
        "AMQP 0-9-1" => "amqp",
        "AMQPS" => "amqp/ssl",
        "HTTP" => "http",
        "HTTPS" => "https",
        "Kafka" => "kafka",
        "Kafka TLS" => "kafka/ssl",
        other => other,
    }
}

fn listeners(context: &Context) -> Value {
    let node = node(context);
    let listeners = context.listeners();
    let listeners = listeners.iter().map(|(name, address)| {
        json!({
            "node": node,
            "protocol": protocol(name),
            "ip_address": address.ip().to_string(),
            "port": address.port(),
            "socket_opts": { "backlog": 4096, "nodelay": true },
        })
    });
    listeners.collect()
}

fn contexts(context: &Context) -> Value {
    let node = node(context);
    let listeners = context.listeners();
    let http = listeners
        .iter()
        .filter(|(name, _)| name.starts_with("HTTP"));
    let contexts = http.map(|(_, address)| {
        json!({
            "node": node,
            "description": "Bongsu Management",
            "path": "/",
            "ip": address.ip().to_string(),
            "port": address.port().to_string(),
            "ssl_opts": [],
        })
    });
    contexts.collect()
}

fn describe_node(context: &Context) -> Value {
    let broker = context.broker();
    let resources = broker.resources();
    let is_on = |kind: &str| {
        resources
            .alarms
            .iter()
            .any(|alarm| alarm.kind.name() == kind)
    };
    let now_ms = broker.now_ms();
    json!({
        "name": node(context),
        "type": "disc",
        "running": true,
        "being_drained": false,
        "partitions": [],
        "os_pid": std::process::id().to_string(),
        "mem_used": resources.memory_bytes,
        "mem_used_details": rate(0.0),
        "mem_limit": resources.memory_total_bytes,
        "mem_alarm": is_on("memory"),
        "mem_calculation_strategy": "rss",
        "disk_free": resources.disk_free_bytes.unwrap_or(0),
        "disk_free_details": rate(0.0),
        "disk_free_limit": resources.disk_free_bytes_min,
        "disk_free_alarm": is_on("disk") || is_on("storage"),
        "fd_total": 0,
        "fd_used": 0,
        "fd_used_details": rate(0.0),
        "sockets_total": 0,
        "sockets_used": broker.registry().count(),
        "sockets_used_details": rate(0.0),
        "proc_total": 0,
        "proc_used": 0,
        "proc_used_details": rate(0.0),
        "rates_mode": "basic",
        "uptime": now_ms.saturating_sub(resources.started_at_ms),
        "run_queue": 0,
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "exchange_types": exchange_types(),
        "auth_mechanisms": [
            { "name": "PLAIN", "description": "SASL PLAIN authentication mechanism",
              "enabled": true },
        ],
        "applications": [
            { "name": "bongsu", "description": "Bongsu", "version": env!("CARGO_PKG_VERSION") },
        ],
        "contexts": contexts(context),
        "enabled_plugins": [],
        "config_files": [],
        "log_files": [],
        "db_dir": resources.data_dir,
        "net_ticktime": 60,
        "cluster_links": [],
        "metrics_gc_queue_length": {},
    })
}

async fn nodes(context: Context) -> Result<Answer, Failure> {
    let described = describe_node(&context);
    list::answer(
        &context,
        vec![described],
        |node| node["name"].as_str().unwrap_or_default(),
        |_, _| std::cmp::Ordering::Equal,
        Value::clone,
    )
}

async fn one_node(context: Context) -> Result<Answer, Failure> {
    check_node(&context)?;
    let described = describe_node(&context);
    Ok(list::one(&context, described))
}

async fn memory(context: Context) -> Result<Answer, Failure> {
    check_node(&context)?;
    let resources = context.broker().resources();
    Ok(Answer::json(&json!({ "memory": {
        "unwritten_records": resources.unwritten_bytes,
        "cached_records": resources.cached_bytes,
        "pending": resources.pending_bytes,
        "total": { "rss": resources.memory_bytes },
        "strategy": "rss",
    } })))
}

/// Refuses any node but this.
///
/// # Errors
/// 404.
pub fn check_node(context: &Context) -> Result<(), Failure> {
    match context.part("node") == node(context) {
        true => Ok(()),
        false => Err(Failure::object_not_found()),
    }
}

fn cluster(context: &Context) -> String {
    node(context)
}

async fn cluster_name(context: Context) -> Result<Answer, Failure> {
    Ok(Answer::json(&json!({ "name": cluster(&context) })))
}

/// Salt and hash as RabbitMQ has them: `base64(salt ‖ SHA-256(salt ‖ password))`.
async fn hash_password(context: Context) -> Result<Answer, Failure> {
    let mut salt = [0_u8; 4];
    getrandom::fill(&mut salt).map_err(|error| Failure::bad_request(error.to_string()))?;
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update(context.part("password"));
    let mut hash = salt.to_vec();
    hash.extend_from_slice(&hasher.finalize());
    Ok(Answer::json(&json!({ "ok": STANDARD.encode(hash) })))
}

/// RabbitMQ's tools ask whether what they rely on is on. Everything here always is.
async fn feature_flags(_context: Context) -> Result<Answer, Failure> {
    let flags = FEATURES.iter().map(|(name, description)| {
        json!({
            "name": name, "desc": description, "doc_url": "", "state": "enabled",
            "stability": "required", "provided_by": "bongsu",
        })
    });
    Ok(Answer::json(&flags.collect::<Vec<_>>()))
}

const FEATURES: [(&str, &str); 6] = [
    ("quorum_queue", "Queues with x-queue-type quorum"),
    ("stream_queue", "Queues with x-queue-type stream"),
    (
        "user_limits",
        "Limits on connections and channels of a user",
    ),
    (
        "virtual_host_metadata",
        "Description and tags of virtual hosts",
    ),
    ("stream_filtering", "Readers of streams filter"),
    ("detailed_queues_endpoint", "GET /api/queues with pages"),
];

/// The version of RabbitMQ whose paths these are: tools parse it.
pub const VERSION: &str = "4.1.0";
