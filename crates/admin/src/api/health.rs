//! Health checks, as RabbitMQ's: 200 and `{"status": "ok"}`, or 503 and why not.

use http::StatusCode;
use serde_json::{Value, json};

use crate::api::overview::{check_node, protocol};
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route::get(
        "/api/health/checks/alarms",
        Need::Management,
        "No alarm is on.",
        |context| boxed(alarms(context)),
    ),
    Route::get(
        "/api/health/checks/local-alarms",
        Need::Management,
        "No alarm is on here.",
        |context| boxed(alarms(context)),
    ),
    Route::get(
        "/api/health/checks/certificate-expiration/{within}/{unit}",
        Need::Management,
        "Certificates are good for so many days, weeks, months or years.",
        |context| boxed(certificates(context)),
    ),
    Route::get(
        "/api/health/checks/port-listener/{port}",
        Need::Management,
        "Something listens on a port.",
        |context| boxed(port(context)),
    ),
    Route::get(
        "/api/health/checks/protocol-listener/{protocol}",
        Need::Management,
        "A protocol is listened for.",
        |context| boxed(protocols(context)),
    ),
    Route::get(
        "/api/health/checks/virtual-hosts",
        Need::Management,
        "All virtual hosts run.",
        |_| boxed(ok()),
    ),
    Route::get(
        "/api/health/checks/node-is-mirror-sync-critical",
        Need::Management,
        "There are no mirrors.",
        |_| boxed(single_node()),
    ),
    Route::get(
        "/api/health/checks/node-is-quorum-critical",
        Need::Management,
        "There is one node.",
        |_| boxed(single_node()),
    ),
    Route::get(
        "/api/health/checks/ready-to-serve-clients",
        Need::Management,
        "Clients may come.",
        |context| boxed(ready(context)),
    ),
    Route::get(
        "/api/health/checks/is-in-service",
        Need::Management,
        "Clients may come.",
        |context| boxed(ready(context)),
    ),
    Route::get(
        "/api/health/checks/below-node-connection-limit",
        Need::Management,
        "More clients may come.",
        |_| boxed(ok()),
    ),
    Route::get(
        "/api/health/checks/metadata-store/initialized",
        Need::Management,
        "What exists is known.",
        |_| boxed(ok()),
    ),
    Route::get(
        "/api/health/checks/quorum-queues-without-elected-leaders/all-vhosts",
        Need::Management,
        "All queues have a leader.",
        |_| boxed(ok()),
    ),
    Route::get(
        "/api/healthchecks/node",
        Need::Management,
        "No alarm is on, and the broker answers.",
        |context| boxed(node_check(context)),
    ),
    Route::get(
        "/api/healthchecks/node/{node}",
        Need::Management,
        "The same of a node.",
        |context| boxed(node_check(context)),
    ),
    Route::get(
        "/api/aliveness-test/{vhost}",
        Need::Management,
        "The virtual host takes and gives messages.",
        |context| boxed(alive(context)),
    ),
];

async fn ok() -> Result<Answer, Failure> {
    Ok(Answer::json(&json!({ "status": "ok" })))
}

async fn single_node() -> Result<Answer, Failure> {
    Ok(Answer::json(
        &json!({ "status": "ok", "reason": "single node cluster" }),
    ))
}

fn failed(mut why: Value) -> Answer {
    why["status"] = json!("failed");
    Answer::json(&why).with_status(StatusCode::SERVICE_UNAVAILABLE)
}

async fn alarms(context: Context) -> Result<Answer, Failure> {
    match alarm(&context) {
        None => ok().await,
        Some(failed) => Ok(failed),
    }
}

fn alarm(context: &Context) -> Option<Answer> {
    let alarms = context.broker().resources().alarms;
    if alarms.is_empty() {
        return None;
    }
    let node = crate::api::node(context);
    let alarms = alarms.iter();
    let alarms: Vec<Value> = alarms
        .map(|alarm| {
            json!({ "node": node, "resource": alarm.kind.name(), "reason": &*alarm.reason })
        })
        .collect();
    Some(failed(json!({
        "reason": "There are alarms in effect in the cluster",
        "alarms": alarms,
    })))
}

async fn node_check(context: Context) -> Result<Answer, Failure> {
    if !context.part("node").is_empty() {
        check_node(&context)?;
    }
    alarms(context).await
}

async fn ready(context: Context) -> Result<Answer, Failure> {
    let stops = *context.broker().stopping().borrow();
    match stops {
        false => ok().await,
        true => Ok(failed(json!({ "reason": "the broker stops" }))),
    }
}

/// Publishers wait, if at all, for an alarm: a test message would only show what is known.
async fn alive(context: Context) -> Result<Answer, Failure> {
    context.session()?;
    let storage = context.broker().resources().alarms.into_iter();
    let mut storage = storage.filter(|alarm| alarm.kind.name() == "storage");
    match storage.next() {
        None => ok().await,
        Some(alarm) => Ok(failed(json!({ "reason": &*alarm.reason }))),
    }
}

async fn port(context: Context) -> Result<Answer, Failure> {
    let port: u16 = context
        .part("port")
        .parse()
        .map_err(|_| Failure::bad_request("Invalid port"))?;
    let ports: Vec<u16> = context
        .listeners()
        .iter()
        .map(|(_, address)| address.port())
        .collect();
    Ok(match ports.contains(&port) {
        true => Answer::json(&json!({ "status": "ok", "port": port })),
        false => failed(json!({
            "reason": "No active listener", "missing": port, "ports": ports,
        })),
    })
}

async fn protocols(context: Context) -> Result<Answer, Failure> {
    let asked = context.part("protocol");
    let wanted = match asked {
        "amqp091" | "amqp" | "amqp0.9.1" | "amqp0-9-1" => "amqp",
        "amqps" | "amqp/ssl" => "amqp/ssl",
        "management" => "http",
        other => other,
    };
    let listeners = context.listeners();
    let listeners = listeners.iter();
    let known: Vec<&str> = listeners.map(|(name, _)| protocol(name)).collect();
    Ok(match known.contains(&wanted) {
        true => Answer::json(&json!({ "status": "ok", "protocol": wanted })),
        false => failed(json!({
            "reason": "No active listener", "missing": asked, "protocols": known,
        })),
    })
}

async fn certificates(context: Context) -> Result<Answer, Failure> {
    let within: Option<u64> = context.part("within").parse().ok();
    let within = within.ok_or_else(|| Failure::bad_request("Invalid expiration value."))?;
    let days = match context.part("unit") {
        "days" | "day" => 1,
        "weeks" | "week" => 7,
        "months" | "month" => 30,
        "years" | "year" => 365,
        _ => {
            let reason = "Time unit not recognised. Supported units: days, weeks, months, years.";
            return Err(Failure::bad_request(reason));
        }
    };
    let until_s = context.broker().now_ms() / 1000;
    let until_s = until_s.saturating_add(within.saturating_mul(days * 86_400));
    let expiring = match context.admin.settings.tls.clone() {
        None => None,
        Some(tls) => tokio::task::spawn_blocking(move || tls.expires_s())
            .await
            .unwrap_or_default(),
    };
    Ok(match expiring.filter(|expires_s| *expires_s <= until_s) {
        None => Answer::json(&json!({ "status": "ok" })),
        Some(expires_s) => failed(json!({
            "reason": "Certificates expiring",
            "expired": [{ "node": crate::api::node(&context),
                "expires_on": crate::time::iso(expires_s.saturating_mul(1000)) }],
        })),
    })
}
