//! Records moved by hand: redrive, move, replay; and the jobs that do it.
//!
//! A request waits for its job for [`WAIT_MAX`]; what takes longer is answered 202 with the
//! job's number, and goes on.

use std::sync::Arc;
use std::time::Duration;

use bongsu_broker::operator::jobs::{Job, JobKind, JobState};
use bongsu_broker::operator::moving::{Destination, NotBegun, Transfer};
use bongsu_engine::Refused;
use bongsu_engine::refused::Kind;
use bongsu_engine::stream::StreamOffset;
use bongsu_record::Offset;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{self, Page};
use super::records::wanted;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/bongsu/v1/queues/{space}/{queue}/redrive",
        need: Need::Management,
        summary: "Dead records back to the queue that gave them up first, or elsewhere.",
        query: &[],
        body: Some(
            r#"{"type":"object","properties":{
"offsets":{"type":"array","items":{"type":"integer","minimum":0},"maxItems":10000},
"all":{"type":"boolean"},"from":{"type":["string","integer"]},"until":{"type":["string","integer"]},
"reason":{"type":"string"},"queue":{"type":"string"},"search":{"type":"string"},"since":{"type":"string"},
"filter":{"type":"object","additionalProperties":{"type":"string"}},
"limit":{"type":"integer","minimum":1},
"to":{"type":["object","null"],"properties":{"exchange":{"type":"string"},"routing_key":{"type":"string"}}},
"rate":{"type":"integer","minimum":1},"dry_run":{"type":"boolean"}}}"#,
        ),
        handler: |context| boxed(begin(context, JobKind::Redrive)),
    },
    Route {
        method: Method::POST,
        path: "/bongsu/v1/queues/{space}/{queue}/move",
        need: Need::Management,
        summary: "Ready records to another queue, as they are.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["to"],"properties":{"to":{"type":"string"},
"offsets":{"type":"array","items":{"type":"integer","minimum":0},"maxItems":10000},
"from":{"type":["string","integer"]},"until":{"type":["string","integer"]},
"search":{"type":"string"},"filter":{"type":"object","additionalProperties":{"type":"string"}},
"limit":{"type":"integer","minimum":1},
"rate":{"type":"integer","minimum":1},"dry_run":{"type":"boolean"}}}"#,
        ),
        handler: |context| boxed(begin(context, JobKind::Move)),
    },
    Route {
        method: Method::POST,
        path: "/bongsu/v1/queues/{space}/{queue}/replay",
        need: Need::Management,
        summary: "What a stream has, or a queue has kept, published once more; nothing is taken out.",
        query: &[],
        body: Some(
            r#"{"type":"object","properties":{"to":{"type":["string","object","null"]},
"from":{"type":["string","integer"]},"until":{"type":["string","integer"]},
"search":{"type":"string"},"filter":{"type":"object","additionalProperties":{"type":"string"}},
"limit":{"type":"integer","minimum":1},
"rate":{"type":"integer","minimum":1},"dry_run":{"type":"boolean"}}}"#,
        ),
        handler: |context| boxed(begin(context, JobKind::Replay)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/jobs",
        need: Need::Management,
        summary: "Redrives, moves and replays that are under way, and the last that were.",
        query: &[
            Parameter {
                name: "page",
                summary: "From 1.",
            },
            Parameter {
                name: "page_size",
                summary: "1 to 500, 100 without.",
            },
        ],
        body: None,
        handler: |context| boxed(jobs(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/jobs/{id}",
        need: Need::Management,
        summary: "How one of them stands.",
        query: &[],
        body: None,
        handler: |context| boxed(job(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/bongsu/v1/jobs/{id}",
        need: Need::Management,
        summary: "Stops one of them behind what it is doing; what is done stays done.",
        query: &[],
        body: None,
        handler: |context| boxed(cancel(context)),
    },
];

/// What all three take.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    offsets: Option<Vec<u64>>,
    #[serde(default)]
    all: bool,
    from: Option<PlaceText>,
    until: Option<PlaceText>,
    reason: Option<String>,
    queue: Option<String>,
    search: Option<String>,
    since: Option<String>,
    #[serde(default)]
    filter: std::collections::BTreeMap<String, String>,
    limit: Option<u64>,
    to: Option<To>,
    rate: Option<u32>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PlaceText {
    Offset(u64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum To {
    Queue(String),
    Route(ToRoute),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToRoute {
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    routing_key: String,
}

async fn begin(context: Context, kind: JobKind) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let body: Body = match context.body.is_empty() && kind == JobKind::Replay {
        true => Body::default(),
        false => context.json()?,
    };
    let transfer = transfer(&context, kind, body)?;
    let job = operator.transfer(space, name, transfer).await;
    let job = job.map_err(not_begun)?;
    // Whoever waits is told how it went; it goes on anyway.
    let _ = tokio::time::timeout(WAIT_MAX, job.ended()).await;
    let told = told(&job);
    Ok(match job.state() {
        JobState::Running => Answer::json(&told).with_status(StatusCode::ACCEPTED),
        JobState::Failed(reason) if job.progress().moved == 0 => {
            return Err(conflict(reason));
        }
        _ => Answer::json(&told),
    })
}

fn transfer(context: &Context, kind: JobKind, body: Body) -> Result<Transfer, Failure> {
    let bad = |reason: &str| Err(Failure::bad_request(reason));
    match kind {
        JobKind::Redrive => {
            let names_some = body.reason.is_some() || body.queue.is_some();
            let meant = body.offsets.is_some() || body.all || names_some || body.search.is_some();
            if !meant {
                return bad("say which: offsets, or all: true, or a reason, a queue or a search");
            }
            if body.offsets.is_some() && body.all {
                return bad("offsets and all: one of both");
            }
        }
        JobKind::Move if body.to.is_none() => return bad("to: expected the name of a queue"),
        JobKind::Move | JobKind::Replay if body.reason.is_some() || body.queue.is_some() => {
            return bad("reason and queue are for redrive");
        }
        JobKind::Replay if body.offsets.is_some() => {
            return bad("offsets: a replay goes from a place to a place");
        }
        JobKind::Move | JobKind::Replay => {}
    }
    if body.limit == Some(0) || body.rate == Some(0) {
        return bad("limit and rate: at least 1");
    }
    let own = context.part("queue");
    let to = match (kind, body.to) {
        (JobKind::Redrive, None) => Destination::Origin,
        (_, None) => Destination::Queue(own.to_owned()),
        (_, Some(To::Queue(name))) => Destination::Queue(name),
        (_, Some(To::Route(route))) => Destination::Route {
            exchange: route.exchange,
            routing_key: route.routing_key,
        },
    };
    let place = |name: &str, place: Option<PlaceText>| match place {
        None => Ok(None),
        Some(PlaceText::Offset(offset)) => Ok(Some(StreamOffset::Offset(Offset(offset)))),
        Some(PlaceText::Text(text)) => json::place(name, &text).map(Some),
    };
    let now_ms = i64::try_from(context.broker().now_ms()).unwrap_or(i64::MAX);
    let asked = |name: &str| match name {
        "search" => body.search.clone(),
        "reason" => body.reason.clone(),
        "queue" => body.queue.clone(),
        "since" => body.since.clone(),
        _ => None,
    };
    let headers = body.filter.clone().into_iter().collect();
    // Of all in a queue only those that died; of offsets, whatever was named.
    let died = kind == JobKind::Redrive && body.offsets.is_none() && to == Destination::Origin;
    let wanted = wanted(asked, headers, (died, now_ms))?;
    Ok(Transfer {
        kind,
        offsets: body
            .offsets
            .map(|all| all.into_iter().map(Offset).collect()),
        from: place("from", body.from)?.unwrap_or(StreamOffset::First),
        until: place("until", body.until)?,
        wanted,
        limit: body.limit,
        to,
        rate: body.rate,
        dry_run: body.dry_run,
    })
}

fn not_begun(why: NotBegun) -> Failure {
    match why {
        NotBegun::Refused(Refused::NotFound { kind, name }) => {
            let kind = match kind {
                Kind::Exchange => "exchange",
                Kind::Space => "virtual host",
                _ => "queue",
            };
            Failure::not_found(format!("there is no {kind} '{name}'"))
        }
        NotBegun::Refused(Refused::TakesNone { queue }) => conflict(format!(
            "'{queue}' is a subscription: it takes no records of its own"
        )),
        NotBegun::Refused(refused) => refused.into(),
        NotBegun::Invalid(reason) => Failure::bad_request(reason),
        NotBegun::Conflict(reason) => conflict(reason),
        NotBegun::TooMany(most) => Failure {
            status: StatusCode::TOO_MANY_REQUESTS,
            error: "too_many_jobs",
            reason: format!("{most} jobs are under way: wait for one, or stop one"),
        },
    }
}

/// 409.
pub fn conflict(reason: impl Into<String>) -> Failure {
    Failure {
        status: StatusCode::CONFLICT,
        error: "conflict",
        reason: reason.into(),
    }
}

fn told(job: &Job) -> Value {
    let progress = job.progress();
    let (state, error) = match job.state() {
        JobState::Running => ("running", None),
        JobState::Done => ("done", None),
        JobState::Cancelled => ("cancelled", None),
        JobState::Failed(reason) => ("failed", Some(reason)),
    };
    let failed: Vec<Value> = progress
        .failures
        .iter()
        .map(|failure| json!({ "offset": failure.offset.0, "reason": failure.reason }))
        .collect();
    json!({
        "id": job.id,
        "job": job.is_running().then_some(job.id),
        "kind": job.kind.name(),
        "space": job.space,
        "queue": job.queue,
        "to": job.to,
        "user": &*job.user,
        "state": state,
        "dry_run": job.dry_run,
        "done": progress.done,
        "total": job.total,
        "matched": progress.matched,
        "count": progress.matched,
        "moved": progress.moved,
        "bytes": progress.bytes,
        "failed": failed,
        "failed_count": progress.failed,
        "next": progress.next.map(|next| next.0),
        "started_at": job.started_ms,
        "ended_at": job.ended_ms(),
        "error": error,
    })
}

/// Whoever monitors sees all jobs; others their own.
fn may_see(context: &Context, job: &Job) -> Result<bool, Failure> {
    let user = context.operator()?.user();
    let watches = ["administrator", "monitoring"];
    let watches = watches.iter().any(|tag| user.tags.contains(*tag));
    Ok(user.administrator || watches || user.name == job.user)
}

async fn jobs(context: Context) -> Result<Answer, Failure> {
    let page = Page::of(&context)?;
    let mut seen = Vec::new();
    for job in context.operator()?.jobs() {
        if may_see(&context, &job)? {
            seen.push(job);
        }
    }
    let total = seen.len() as u64;
    let items = page.cut(seen);
    let items = items.iter().map(|job| told(job)).collect();
    Ok(Answer::json(&page.answer(items, total)))
}

fn find(context: &Context) -> Result<Arc<Job>, Failure> {
    let text = context.part("id");
    let none = || Failure::not_found(format!("there is no job '{text}'"));
    let id = text.parse().map_err(|_| none())?;
    let job = context.operator()?.job(id).ok_or_else(none)?;
    match may_see(context, &job)? {
        true => Ok(job),
        false => Err(none()),
    }
}

async fn job(context: Context) -> Result<Answer, Failure> {
    Ok(Answer::json(&told(&*find(&context)?)))
}

async fn cancel(context: Context) -> Result<Answer, Failure> {
    let job = find(&context)?;
    let user = context.operator()?.user();
    let is_administrator = user.administrator || user.tags.contains("administrator");
    if !is_administrator && user.name != job.user {
        return Err(Failure::not_authorised("Access refused"));
    }
    if !job.is_running() {
        return Err(conflict(format!("job {} has ended", job.id)));
    }
    tracing::info!(
        "user '{}' stops job {} of user '{}'",
        user.name,
        job.id,
        job.user
    );
    job.cancel();
    let _ = tokio::time::timeout(WAIT_MAX, job.ended()).await;
    Ok(Answer::json(&told(&job)))
}

/// How long a request waits for its job.
const WAIT_MAX: Duration = Duration::from_secs(5);
