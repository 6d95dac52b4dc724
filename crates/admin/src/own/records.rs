//! `…/records`: peek, which consumes nothing, and `…/dead`: those of them that died.

use bongsu_broker::operator::matching::Wanted;
use bongsu_broker::operator::peek::{Look, RecordSeen, Seen};
use bongsu_broker::operator::queues::QueueKind;
use bongsu_engine::queue::Standing;
use bongsu_engine::stream::StreamOffset;
use http::Method;
use serde_json::{Map, Value, json};

use super::json;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/records",
        need: Need::Management,
        summary: "Records as they are, without consuming them. Also header.<name>=<value>. Go on with from=next; a page may be empty where much was looked through.",
        query: LOOK,
        body: None,
        handler: |context| boxed(records(context, false)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/dead",
        need: Need::Management,
        summary: "Records that another queue gave up, with where, why and how often.",
        query: LOOK,
        body: None,
        handler: |context| boxed(records(context, true)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/dead/summary",
        need: Need::Management,
        summary: "Dead records counted by the queue that gave them up last, and the reason. Go on with from=next and add up.",
        query: &[LOOK[0], LOOK[1]],
        body: None,
        handler: |context| boxed(summary(context)),
    },
];

const LOOK: &[Parameter] = &[
    Parameter {
        name: "from",
        summary: "first, last, next, an offset, a span like 2h, or a time like 2026-11-21T13:05Z.",
    },
    Parameter {
        name: "until",
        summary: "Where to end, itself not included: as from.",
    },
    Parameter {
        name: "count",
        summary: "Records, at most: 1 to 500, 20 without.",
    },
    Parameter {
        name: "state",
        summary: "ready, leased, waiting, dying, settled or kept.",
    },
    Parameter {
        name: "search",
        summary: "In the body, the key, or a header; capitals do not matter.",
    },
    Parameter {
        name: "reason",
        summary: "Why it died: rejected, expired, maxlen or delivery_limit.",
    },
    Parameter {
        name: "queue",
        summary: "Where it died.",
    },
    Parameter {
        name: "since",
        summary: "It died then or later: a span or a time.",
    },
    Parameter {
        name: "payload_bytes",
        summary: "Of each body, at most: 0 to 1048576, 4096 without.",
    },
];

async fn records(context: Context, died: bool) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let look = look(&context, died)?;
    let kind = operator.queue(space, name)?.kind;
    let seen = operator.peek(space, name, look).await?;
    Ok(Answer::json(&told(&seen, kind)))
}

fn look(context: &Context, died: bool) -> Result<Look, Failure> {
    let asked = |name: &str| context.query.get(name).filter(|text| !text.is_empty());
    let from = asked("from").map_or(Ok(StreamOffset::First), |text| json::place("from", text))?;
    let until = asked("until")
        .map(|text| json::place("until", text))
        .transpose()?;
    let standing = match asked("state").map(String::as_str) {
        None | Some("kept") => None,
        Some("ready") => Some(Standing::Ready),
        Some("leased") => Some(Standing::Leased),
        Some("waiting") => Some(Standing::Waiting),
        Some("dying") => Some(Standing::Dying),
        Some("settled") => Some(Standing::Settled),
        Some(other) => {
            let accepted = "ready, leased, waiting, dying, settled or kept";
            let reason = format!("state: expected {accepted}, got '{other}'");
            return Err(Failure::bad_request(reason));
        }
    };
    let count = json::number(context, "count", 20, 1..=json::PAGE_SIZE_MAX)?;
    let payload = json::number(context, "payload_bytes", 4096, 0..=PAYLOAD_BYTES_MAX)?;
    let wanted = wanted(
        |name| context.query.get(name).cloned(),
        json::header_filters(&context.query),
        (died, now_ms(context)),
    )?;
    // A page of large bodies is bounded as a whole.
    let payload = payload.min(PAGE_BYTES_MAX / count);
    Ok(Look {
        from,
        until,
        count: usize::try_from(count).unwrap_or(usize::MAX),
        standing,
        wanted,
        payload_bytes_max: usize::try_from(payload).unwrap_or(usize::MAX),
    })
}

async fn summary(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let look = look(&context, true)?;
    let seen = operator
        .dead_summary(space, name, (look.from, look.until))
        .await?;
    let mut by: Vec<Value> = seen
        .by
        .iter()
        .map(|((queue, reason), died)| {
            json!({
                "queue": queue,
                "reason": reason,
                "count": died.count,
                "oldest": died.oldest_s.saturating_mul(1000),
                "newest": died.newest_s.saturating_mul(1000),
            })
        })
        .collect();
    by.sort_by_key(|item| std::cmp::Reverse(item["count"].as_u64()));
    Ok(Answer::json(&json!({
        "by": by,
        "total": seen.by.values().map(|died| died.count).sum::<u64>(),
        "others": seen.others,
        "looked_at": seen.looked_at,
        "next": seen.next.map(|next| next.0),
    })))
}

/// What `search`, `reason`, `queue`, `since` and headers ask for.
///
/// # Errors
/// 400.
pub fn wanted(
    asked: impl Fn(&str) -> Option<String>,
    headers: Vec<(String, String)>,
    (died, now_ms): (bool, i64),
) -> Result<Wanted, Failure> {
    let asked = |name: &str| asked(name).filter(|text| !text.is_empty());
    let since_ms = match asked("since").map(|text| json::place("since", &text)) {
        None => None,
        Some(Ok(StreamOffset::Time { unix_ms })) => Some(unix_ms),
        Some(Ok(StreamOffset::Interval { age_ms })) => Some(now_ms.saturating_sub_unsigned(age_ms)),
        Some(Ok(_)) => return Err(Failure::bad_request("since: expected a span or a time")),
        Some(Err(failure)) => return Err(failure),
    };
    Ok(Wanted {
        search: asked("search"),
        headers,
        died,
        reason: asked("reason"),
        queue: asked("queue"),
        since_ms,
    })
}

fn now_ms(context: &Context) -> i64 {
    i64::try_from(context.broker().now_ms()).unwrap_or(i64::MAX)
}

fn told(seen: &Seen, kind: QueueKind) -> Value {
    let items: Vec<Value> = seen
        .records
        .iter()
        .map(|record| item(record, kind))
        .collect();
    json!({
        "items": items,
        "next": seen.next.map(|next| next.0),
        "looked_at": seen.looked_at,
    })
}

fn item(record: &RecordSeen, kind: QueueKind) -> Value {
    let state = match (kind, record.standing) {
        (QueueKind::Stream, _) => "kept",
        (_, Standing::Ready) => "ready",
        (_, Standing::Leased) => "leased",
        (_, Standing::Waiting) => "waiting",
        (_, Standing::Dying) => "dying",
        (_, Standing::Settled) => "settled",
    };
    let (payload, encoding) = match &record.payload {
        Some(payload) => json::payload(payload, record.truncated),
        None => (Value::Null, "string"),
    };
    let key = record.key.as_deref().map(json::bytes);
    let properties = record.properties.iter();
    let properties = properties.map(|(name, field)| ((*name).to_owned(), json::value(field)));
    let deaths: Vec<Value> = record
        .deaths
        .iter()
        .map(|death| {
            json!({
                "queue": death.queue,
                "reason": death.reason,
                "count": death.count,
                "time": death.time_s.saturating_mul(1000),
                "exchange": death.exchange,
                "routing_keys": death.routing_keys,
            })
        })
        .collect();
    let last = record.deaths.first();
    let mut item = json!({
        "offset": record.offset.0,
        "at": record.at_ms,
        "state": state,
        "size": record.size,
        "exchange": String::from_utf8_lossy(&record.exchange),
        "routing_key": String::from_utf8_lossy(&record.routing_key),
        "key": key.as_ref().map(|(key, _)| key),
        "key_encoding": key.as_ref().map(|(_, encoding)| encoding),
        "headers": json::arguments(&record.headers),
        "properties": properties.collect::<Map<String, Value>>(),
        "payload": payload,
        "payload_encoding": encoding,
        "payload_truncated": record.truncated,
        "origin": record.origin,
        "redelivered": record.tries.acquired > 0,
        "tries": record.tries.acquired,
        "failed": record.tries.failed,
        "until": record.until_ms,
    });
    if let Some(last) = last {
        item["deaths"] = Value::Array(deaths);
        item["reason"] = json!(last.reason);
        item["from_queue"] = json!(last.queue);
    }
    if let Some(why) = &record.unreadable {
        item["unreadable"] = json!(why);
    }
    item
}

const PAYLOAD_BYTES_MAX: u64 = 1 << 20;
/// Of all bodies of a page, at most.
const PAGE_BYTES_MAX: u64 = 8 << 20;
