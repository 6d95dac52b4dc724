//! `/bongsu/v1/queues`: queues, streams and subscriptions as they are, and why nothing moves.

use bongsu_broker::operator::Operator;
use bongsu_broker::operator::queues::{QueueKind, QueueName, QueueSeen};
use bongsu_engine::queue::Properties;
use bongsu_engine::queue::properties::Overflow;
use bongsu_engine::queue::why::{Code, Shut};
use bongsu_record::Offset;
use http::Method;
use serde_json::{Value, json};

use super::json::{self, Page};
use super::overview;
use super::why;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues",
        need: Need::Management,
        summary: "Queues, streams and subscriptions, with their depth by state.",
        query: LIST,
        body: None,
        handler: |context| boxed(list(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}",
        need: Need::Management,
        summary: "One queue: depth by state, oldest age, size, settings, and why nothing is delivered.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/why",
        need: Need::Management,
        summary: "Why nothing is delivered: a code, a sentence, and the facts behind it.",
        query: &[],
        body: None,
        handler: |context| boxed(why_of(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/consumers",
        need: Need::Management,
        summary: "Who consumes or reads a queue, what each holds, and what keeps it from more.",
        query: PAGED,
        body: None,
        handler: |context| boxed(consumers(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/queues/{space}/{queue}/leases",
        need: Need::Management,
        summary: "Who holds which record, for how long, and until when. Go on with from=next.",
        query: &[
            Parameter {
                name: "from",
                summary: "The offset to begin at; 0 without.",
            },
            Parameter {
                name: "page_size",
                summary: "Records, at most: 1 to 500, 100 without.",
            },
        ],
        body: None,
        handler: |context| boxed(leases(context)),
    },
];

const PAGED: &[Parameter] = &[
    Parameter {
        name: "page",
        summary: "From 1.",
    },
    Parameter {
        name: "page_size",
        summary: "1 to 500, 100 without.",
    },
];

const LIST: &[Parameter] = &[
    Parameter {
        name: "space",
        summary: "Only those of this space.",
    },
    Parameter {
        name: "name",
        summary: "Only those whose name contains this.",
    },
    Parameter {
        name: "kind",
        summary: "queue, stream or subscription.",
    },
    Parameter {
        name: "state",
        summary: "stuck: there is something to deliver, and it is not (a stream that nobody reads is not stuck); busy: there is something; idle: without consumers.",
    },
    Parameter {
        name: "sort",
        summary: "A member of the items, like depth.ready; by space and name without.",
    },
    Parameter {
        name: "sort_reverse",
        summary: "true: the other way round.",
    },
    PAGED[0],
    PAGED[1],
];

async fn list(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let page = Page::of(&context)?;
    let asked = |name: &str| context.query.get(name).filter(|text| !text.is_empty());
    let kind = asked("kind");
    if let Some(kind) = kind
        && !["queue", "stream", "subscription"].contains(&kind.as_str())
    {
        let reason = format!("kind: expected queue, stream or subscription, got '{kind}'");
        return Err(Failure::bad_request(reason));
    }
    let state = match asked("state").map(String::as_str) {
        None => State::Any,
        Some("stuck") => State::Stuck,
        Some("busy") => State::Busy,
        Some("idle") => State::Idle,
        Some(other) => {
            let reason = format!("state: expected stuck, busy or idle, got '{other}'");
            return Err(Failure::bad_request(reason));
        }
    };
    let text = asked("name").map_or("", String::as_str);
    let spaces = match asked("space") {
        Some(space) => vec![space.clone()],
        None => operator.spaces(),
    };
    let mut named: Vec<QueueName> = Vec::new();
    for space in spaces {
        let queues = operator.queue_names(&space, text)?;
        named.extend(
            queues
                .into_iter()
                .filter(|queue| kind.is_none_or(|kind| kind == queue.kind.name()))
                .filter(|queue| state.holds(operator, queue)),
        );
    }
    let total = named.len() as u64;
    // Only a page is looked at, but where all have to be compared.
    let named = match asked("sort") {
        None => page.cut(named),
        Some(_) => {
            let told = (0_u64..).zip(&named).filter_map(|(index, name)| {
                let mut item = told(&operator.named(name)?);
                item["index"] = json!(index);
                Some(item)
            });
            let mut items: Vec<Value> = told.collect();
            json::sort(&context, &mut items);
            let order = page.cut(items).into_iter();
            let order = order.filter_map(|item| usize::try_from(item["index"].as_u64()?).ok());
            order
                .filter_map(|index| named.get(index).cloned())
                .collect()
        }
    };
    let seen: Vec<QueueSeen> = named
        .iter()
        .filter_map(|name| operator.named(name))
        .collect();
    let mut items = Vec::with_capacity(seen.len());
    for queue in &seen {
        let mut item = with_age(operator, queue).await?;
        // A queue that goes meanwhile has no cause.
        if let Ok(why) = why_told(&context, &queue.space, &queue.definition.name) {
            let told = ["delivering", "code", "text"];
            let told = told.map(|member| (member.to_owned(), why[member].clone()));
            item["why"] = Value::Object(told.into_iter().collect());
        }
        items.push(item);
    }
    Ok(Answer::json(&page.answer(items, total)))
}

/// Which queues a list is of.
#[derive(Clone, Copy)]
enum State {
    Any,
    Stuck,
    Busy,
    Idle,
}

impl State {
    fn holds(self, operator: &Operator, named: &QueueName) -> bool {
        if matches!(self, State::Any) {
            return true;
        }
        let Some(queue) = operator.named(named) else {
            return false;
        };
        let stuck = || {
            let why = operator.why(&queue.space, &queue.definition.name);
            why.is_ok_and(|seen| match seen.why.code {
                Code::Delivering
                | Code::Empty
                | Code::AllLeased
                | Code::WaitingForTime
                | Code::Reading => false,
                // What a stream has is kept for whoever comes.
                Code::NoConsumers => named.kind != QueueKind::Stream,
                Code::DeadLetterStuck
                | Code::SingleActiveIdle
                | Code::AtPrefetch
                | Code::SlowConsumers
                | Code::GroupLocked => true,
            })
        };
        match self {
            State::Any => true,
            State::Stuck => queue.depth.owed() > 0 && stuck(),
            State::Busy => queue.depth.owed() > 0,
            State::Idle => queue.consumers == 0,
        }
    }
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let seen = operator.queue(space, name)?;
    let mut item = with_age(operator, &seen).await?;
    item["why"] = why_told(&context, space, name)?;
    Ok(Answer::json(&item))
}

async fn why_of(context: Context) -> Result<Answer, Failure> {
    let (space, name) = (context.part("space"), context.part("queue"));
    Ok(Answer::json(&why_told(&context, space, name)?))
}

fn why_told(context: &Context, space: &str, name: &str) -> Result<Value, Failure> {
    let operator = context.operator()?;
    let seen = operator.why(space, name)?;
    Ok(why::told(&seen, context.broker().now_ms()))
}

async fn consumers(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let page = Page::of(&context)?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let part = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (seen, total) = operator.consumers(space, name, (part(page.skip()), part(page.size)))?;
    let items = seen.iter().map(|consumer| {
        json!({
            "consumer": consumer.key.0.to_string(),
            "tag": consumer.who.tag,
            "connection": consumer.who.connection,
            "channel": consumer.who.channel,
            "user": &*consumer.who.user,
            "reads": consumer.reads,
            "prefetch": consumer.prefetch,
            "held": consumer.held,
            "priority": consumer.priority,
            "exclusive": consumer.exclusive,
            "active": consumer.active,
            "at_prefetch": consumer.prefetch > 0 && consumer.held >= consumer.prefetch
                || matches!(consumer.shut, Some(Shut::Pool(_))),
            "slow": matches!(consumer.shut, Some(Shut::Outbox)),
            "shared_prefetch": match consumer.shut {
                Some(Shut::Pool(credit)) => Some(credit),
                _ => None,
            },
            "settled_below": consumer.place.map(|(floor, _)| floor.0),
            "next_offset": consumer.place.map(|(_, next)| next.0),
        })
    });
    Ok(Answer::json(
        &page.answer(items.collect(), u64::from(total)),
    ))
}

async fn leases(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let from = json::number(&context, "from", 0, 0..=u64::MAX)?;
    let most = json::number(
        &context,
        "page_size",
        json::PAGE_SIZE,
        1..=json::PAGE_SIZE_MAX,
    )?;
    let (space, name) = (context.part("space"), context.part("queue"));
    let leases = operator.leases(space, name, (Offset(from), most))?;
    let now_ms = context.broker().now_ms();
    let mut items = Vec::new();
    for held in &leases.held {
        let who = leases.who.get(&held.holder);
        for offset in held.start.0..held.end.0 {
            items.push(json!({
                "offset": offset,
                "consumer": held.holder.0.to_string(),
                "tag": who.map(|who| &who.tag),
                "connection": who.map(|who| &who.connection),
                "user": who.map(|who| &*who.user),
                "leased_at": held.since_ms,
                "leased_for_ms": now_ms.saturating_sub(held.since_ms),
                "deadline_in_ms": held.deadline_ms.map(|at_ms| at_ms.saturating_sub(now_ms)),
                "tries": held.tries.acquired,
                "failed": held.tries.failed,
            }));
        }
    }
    Ok(Answer::json(&json!({
        "items": items,
        "total": leases.total,
        "next": leases.next.map(|next| next.0),
    })))
}

async fn with_age(operator: &Operator, queue: &QueueSeen) -> Result<Value, Failure> {
    let mut item = told(queue);
    // A queue that goes meanwhile has no age, and one whose log cannot be read is still shown.
    let oldest_ms = operator.oldest_ms(queue).await.unwrap_or(None);
    let now_ms = operator.broker().now_ms();
    item["oldest_at"] = json!(oldest_ms);
    item["oldest_age_ms"] = json!(oldest_ms.map(|at_ms| now_ms.saturating_sub(at_ms)));
    Ok(item)
}

/// A queue, but for what has to be looked up in its log.
pub fn told(queue: &QueueSeen) -> Value {
    let definition = &queue.definition;
    json!({
        "name": &*definition.name,
        "space": &*queue.space,
        "kind": queue.kind.name(),
        "durable": definition.durable,
        "exclusive": definition.owner.is_some(),
        "auto_delete": definition.auto_delete,
        "arguments": json::arguments(&definition.arguments),
        "policy": queue.policy,
        "effective": effective(&queue.properties),
        "source": queue.source.as_deref(),
        "depth": {
            "ready": queue.depth.ready,
            "leased": queue.depth.leased,
            "waiting": queue.depth.waiting,
            "dying": queue.depth.dying,
            "total": queue.depth.owed(),
        },
        "rates": overview::rates(&queue.activity.rates),
        "consumers": queue.consumers,
        "start": queue.start.0,
        "end": queue.end.0,
        "bytes": queue.bytes,
        "memory_bytes": queue.memory_bytes,
        "segments": queue.segments,
        "retention": queue.properties.retention.map(|retention| json!({
            "age_ms": retention.age_ms,
            "bytes": retention.bytes,
        })),
    })
}

/// What arguments and policy come to; what is not said is left out.
pub fn effective(properties: &Properties) -> Value {
    let overflow = match properties.overflow {
        Overflow::DropHead => "drop-head",
        Overflow::RejectPublish => "reject-publish",
        Overflow::RejectPublishDlx => "reject-publish-dlx",
    };
    let bounded = properties.length_max.is_some() || properties.bytes_max.is_some();
    let dead_letter = properties.dead_letter.as_ref();
    let all = [
        ("message_ttl_ms", json!(properties.message_ttl_ms)),
        ("expires_ms", json!(properties.expires_ms)),
        ("length_max", json!(properties.length_max)),
        ("bytes_max", json!(properties.bytes_max)),
        ("overflow", json!(bounded.then_some(overflow))),
        (
            "dead_letter_exchange",
            json!(dead_letter.map(|to| &to.exchange)),
        ),
        (
            "dead_letter_routing_key",
            json!(dead_letter.and_then(|to| to.routing_key.as_ref())),
        ),
        ("delivery_limit", json!(properties.delivery_limit)),
        ("priority_max", json!(properties.priority_max)),
        (
            "single_active_consumer",
            json!(properties.single_active.then_some(true)),
        ),
        ("consumer_timeout_ms", json!(properties.consumer_timeout_ms)),
        ("delay_ms", json!(properties.delay_ms)),
    ];
    let said = all.into_iter().filter(|(_, value)| !value.is_null());
    let said = said.map(|(name, value)| (name.to_owned(), value));
    Value::Object(said.collect())
}
