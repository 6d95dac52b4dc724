//! Leases that people end or lengthen, and what waits for its time.

use bongsu_broker::operator::leases::Leased;
use bongsu_broker::operator::schedule::buckets;
use bongsu_engine::queue::LinkKey;
use bongsu_record::Offset;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::json;
use super::moves::conflict;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/bongsu/v1/queues/{space}/{queue}/leases/{offset}/release",
        need: Need::Management,
        summary: "Takes one record from who holds it: it goes back to its queue, to others first.",
        query: &[],
        body: None,
        handler: |context| boxed(release(context)),
    },
    Route {
        method: Method::POST,
        path: "/bongsu/v1/queues/{space}/{queue}/consumers/{consumer}/release",
        need: Need::Management,
        summary: "Takes all that one consumer holds back to the queue.",
        query: &[],
        body: None,
        handler: |context| boxed(release_all(context)),
    },
    Route {
        method: Method::POST,
        path: "/bongsu/v1/queues/{space}/{queue}/leases/{offset}/extend",
        need: Need::Management,
        summary: "Lets one record be held for so many milliseconds from now on.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["ms"],"properties":{"ms":{"type":"integer","minimum":1,"maximum":604800000}}}"#,
        ),
        handler: |context| boxed(extend(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/schedule",
        need: Need::Management,
        summary: "How many records wait for which time, and which are due first.",
        query: &[
            Parameter {
                name: "buckets",
                summary: "Spans of equal width from the first time to the last: 1 to 500, 20 without.",
            },
            Parameter {
                name: "count",
                summary: "Records told one by one: 0 to 500, 20 without.",
            },
        ],
        body: None,
        handler: |context| boxed(schedule(context)),
    },
];

fn number(context: &Context, part: &str, what: &str) -> Result<u64, Failure> {
    let text = context.part(part);
    text.parse()
        .map_err(|_| Failure::bad_request(format!("{part}: expected {what}, got '{text}'")))
}

async fn release(context: Context) -> Result<Answer, Failure> {
    let offset = number(&context, "offset", "an offset")?;
    let released = release_of(&context, Leased::Record(Offset(offset))).await?;
    match released {
        0 => Err(conflict(format!("record {offset} is not leased"))),
        count => Ok(Answer::json(&json!({ "released": count }))),
    }
}

async fn release_all(context: Context) -> Result<Answer, Failure> {
    let key = number(&context, "consumer", "a consumer's number")?;
    let released = release_of(&context, Leased::Consumer(LinkKey(key))).await?;
    Ok(Answer::json(&json!({ "released": released })))
}

async fn release_of(context: &Context, which: Leased) -> Result<u64, Failure> {
    let (space, name) = (context.part("space"), context.part("queue"));
    Ok(context.operator()?.release(space, name, which).await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extend {
    ms: u64,
}

async fn extend(context: Context) -> Result<Answer, Failure> {
    let offset = number(&context, "offset", "an offset")?;
    let Extend { ms } = context.json()?;
    if !(1..=EXTEND_MS_MAX).contains(&ms) {
        let reason = format!("ms: expected 1 to {EXTEND_MS_MAX}, got {ms}");
        return Err(Failure::bad_request(reason));
    }
    let (space, name) = (context.part("space"), context.part("queue"));
    let extended = context
        .operator()?
        .extend(space, name, (Offset(offset), ms))?;
    match extended {
        false => Err(conflict(format!("record {offset} is not leased"))),
        true => Ok(Answer::json(
            &json!({ "offset": offset, "deadline_in_ms": ms }),
        )),
    }
}

async fn schedule(context: Context) -> Result<Answer, Failure> {
    let count = json::number(&context, "buckets", 20, 1..=500)?;
    let first = json::number(&context, "count", 20, 0..=500)?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let seen = context.operator()?.schedule(space, name, first)?;
    let now_ms = context.broker().now_ms();
    let buckets = buckets(&seen.spans, count);
    let buckets: Vec<_> = buckets
        .iter()
        .map(|span| json!({ "from": span.start_ms, "until": span.end_ms, "count": span.count }))
        .collect();
    let items: Vec<_> = seen
        .first
        .iter()
        .map(|(at_ms, offset)| {
            let in_ms = at_ms.saturating_sub(now_ms);
            json!({ "offset": offset.0, "at": at_ms, "in_ms": in_ms })
        })
        .collect();
    Ok(Answer::json(&json!({
        "count": seen.count,
        "next_at": seen.next_ms,
        "buckets": buckets,
        "items": items,
    })))
}

/// A week.
const EXTEND_MS_MAX: u64 = 604_800_000;
