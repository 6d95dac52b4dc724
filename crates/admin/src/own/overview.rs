//! The broker as a whole: what it holds, how fast it goes, how full it is, and the last hour.

use bongsu_broker::operator::queues::QueueKind;
use bongsu_broker::statistics::{Count, Rates};
use http::Method;
use serde_json::{Value, json};

use super::json;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/bongsu/v1/overview",
        need: Need::Management,
        summary: "Totals, rates, memory, disk, alarms and commit times.",
        query: &[],
        body: None,
        handler: |context| boxed(overview(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/history",
        need: Need::Management,
        summary: "Readings of the last hour, 5 s apart.",
        query: &[Parameter {
            name: "minutes",
            summary: "So far back: 1 to 60, 60 without.",
        }],
        body: None,
        handler: |context| boxed(history(context)),
    },
];

/// What a list or a page shows of rates.
pub fn rates(rates: &Rates) -> Value {
    let of = |count: Count| (rates.of(count) * 100.0).round() / 100.0;
    json!({
        "publish": of(Count::Publish),
        "confirm": of(Count::Confirm),
        "deliver": (rates.deliver_get() * 100.0).round() / 100.0,
        "ack": of(Count::Ack),
        "redeliver": of(Count::Redeliver),
        "return": of(Count::ReturnUnroutable),
        "dead_letter": of(Count::DeadLettered),
        "bytes_in": of(Count::BytesIn),
        "bytes_out": of(Count::BytesOut),
    })
}

async fn overview(context: Context) -> Result<Answer, Failure> {
    let broker = context.broker();
    let operator = context.operator()?;
    let mut streams = 0;
    let mut queues = 0;
    let mut groups = 0;
    for space in operator.spaces() {
        let named = operator.queue_names(&space, "")?;
        queues += named.len();
        streams += named
            .iter()
            .filter(|one| one.kind == QueueKind::Stream)
            .count();
        groups += operator.group_count(&space)?;
    }
    let statistics = broker.statistics();
    let depth = statistics.depth();
    let activity = broker.activity();
    let resources = broker.resources();
    let registry = broker.registry();
    let latency = statistics.commits.latency();
    let ms = |part: f64| latency.quantile_us(part).map(|us| us as f64 / 1000.0);
    let alarms: Vec<Value> = resources
        .alarms
        .iter()
        .map(|alarm| {
            json!({
                "kind": alarm.kind.name(),
                "reason": &*alarm.reason,
                "since_ms": alarm.since_ms,
            })
        })
        .collect();
    let now_ms = broker.now_ms();
    Ok(Answer::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": now_ms.saturating_sub(resources.started_at_ms),
        "now": now_ms,
        "data_dir": resources.data_dir,
        "totals": {
            "ready": depth.ready,
            "leased": depth.leased,
            "waiting": depth.waiting,
            "dying": depth.dying,
            "queues": queues,
            "streams": streams,
            "connections": registry.count(),
            "channels": registry.channel_count(),
            "consumers": registry.consumer_count(),
            "groups": groups,
            "exchanges": operator.exchange_count(),
        },
        "rates": rates(&activity.rates),
        "memory": {
            "used": resources.memory_bytes,
            "limit": resources.memory_total_bytes,
            "unwritten": resources.unwritten_bytes,
            "unwritten_limit": resources.unwritten_bytes_max,
            "cached": resources.cached_bytes,
        },
        "disk": {
            "free": resources.disk_free_bytes,
            "limit": resources.disk_free_bytes_min,
            "total": resources.disk_total_bytes,
            "log": resources.lane_bytes,
        },
        "alarms": alarms,
        "commit_ms": { "p50": ms(0.5), "p99": ms(0.99) },
    })))
}

async fn history(context: Context) -> Result<Answer, Failure> {
    let minutes = json::number(&context, "minutes", 60, 1..=60)?;
    let broker = context.broker();
    let since_ms = broker.now_ms().saturating_sub(minutes * 60_000);
    let points = broker.statistics().history.since(since_ms);
    let points: Vec<Value> = points
        .iter()
        .map(|point| {
            let of = |count: Count| (point.rates.of(count) * 100.0).round() / 100.0;
            json!({
                "at": point.at_ms,
                "publish": of(Count::Publish),
                "deliver": (point.rates.deliver_get() * 100.0).round() / 100.0,
                "ack": of(Count::Ack),
                "redeliver": of(Count::Redeliver),
                "ready": point.depth.ready,
                "leased": point.depth.leased,
                "waiting": point.depth.waiting,
                "dying": point.depth.dying,
                "memory_bytes": point.memory_bytes,
                "disk_free_bytes": point.disk_free_bytes,
                "connections": point.connections,
                "channels": point.channels,
                "consumers": point.consumers,
                "commit_p50_us": point.commit_p50_us,
                "commit_p99_us": point.commit_p99_us,
            })
        })
        .collect();
    Ok(Answer::json(&json!({
        "interval_ms": INTERVAL_MS,
        "points": points,
    })))
}

const INTERVAL_MS: u64 = 5_000;
