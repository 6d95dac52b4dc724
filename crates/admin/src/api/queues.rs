//! `/api/queues`: queues, as RabbitMQ's management describes them.

use bongsu_broker::operator::catalog::{QueueCounts, QueueRow};
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, DeclareQueue};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::api::counts::{Of, message_stats};
use crate::api::{connections, node, rate};
use crate::failure::Failure;
use crate::list;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};
use crate::spaces::Shown;
use crate::value;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/queues",
        need: Need::Management,
        summary: "All queues that are to be seen.",
        query: LIST,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/queues/{vhost}",
        need: Need::Management,
        summary: "The queues of a virtual host.",
        query: LIST,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/queues/{vhost}/{name}",
        need: Need::Management,
        summary: "One queue.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context)),
    },
    Route {
        method: Method::PUT,
        path: "/api/queues/{vhost}/{name}",
        need: Need::Management,
        summary: "Declares a queue: 201 if it was not there.",
        query: &[],
        body: Some(
            r#"{"type":"object","properties":{"durable":{"type":"boolean"},
            "auto_delete":{"type":"boolean"},"arguments":{"type":"object"},
            "node":{"type":"string"}}}"#,
        ),
        handler: |context| boxed(declare(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/queues/{vhost}/{name}",
        need: Need::Management,
        summary: "Deletes a queue.",
        query: &[
            Parameter {
                name: "if-empty",
                summary: "`true`: only if it holds nothing.",
            },
            Parameter {
                name: "if-unused",
                summary: "`true`: only if it has no consumers.",
            },
        ],
        body: None,
        handler: |context| boxed(delete(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/queues/{vhost}/{name}/contents",
        need: Need::Management,
        summary: "Drops what is ready.",
        query: &[],
        body: None,
        handler: |context| boxed(purge(context)),
    },
    Route {
        method: Method::POST,
        path: "/api/queues/{vhost}/{name}/actions",
        need: Need::Management,
        summary: "Of mirrored queues: there is nothing to synchronise, and nothing to cancel.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["action"],"properties":{"action":{"enum":
            ["sync","cancel_sync"]}}}"#,
        ),
        handler: |context| boxed(act(context)),
    },
];

/// What lists of queues understand.
const LIST: &[Parameter] = &{
    let mut parameters = [Parameter {
        name: "disable_stats",
        summary: "`true`: only what a queue is declared as.",
    }; list::PARAMETERS.len() + 2];
    parameters[1] = Parameter {
        name: "enable_queue_totals",
        summary: "`true`: with disable_stats, how much it holds, too.",
    };
    let mut index = 0;
    while index < list::PARAMETERS.len() {
        parameters[index + 2] = list::PARAMETERS[index];
        index += 1;
    }
    parameters
};

async fn all(context: Context) -> Result<Answer, Failure> {
    tokio::task::spawn_blocking(move || listed(&context))
        .await
        .unwrap_or_else(|_| Err(Failure::bad_request("the list could not be made")))
}

fn listed(context: &Context) -> Result<Answer, Failure> {
    let shown = Shown::of(context)?;
    let mut rows = context.broker().queue_rows(shown.only);
    rows.retain(|row| shown.name(row.space).is_some());
    let detail = match (
        context.query("disable_stats"),
        context.query("enable_queue_totals"),
    ) {
        (Some("true"), Some("true")) => Detail::Totals,
        (Some("true"), _) => Detail::Declared,
        _ => Detail::Listed,
    };
    let space = |row: &QueueRow| shown.name(row.space).map_or("", |name| &**name);
    list::answer(
        context,
        rows,
        |row| &row.definition.name,
        |one, other| {
            let key = |row| (space(row), &row.definition.name);
            key(one).cmp(&key(other))
        },
        |row| describe(context, row, space(row), detail),
    )
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let space = &context.space()?.name;
    let described = describe(&context, &row, space, Detail::Alone);
    Ok(list::one(&context, described))
}

/// The queue that the path names.
///
/// # Errors
/// 404.
pub fn find(context: &Context) -> Result<QueueRow, Failure> {
    let row = context
        .broker()
        .queue_row(context.space()?.id, context.part("name"));
    row.ok_or_else(Failure::object_not_found)
}

async fn declare(context: Context) -> Result<Answer, Failure> {
    let name = context.part("name").to_owned();
    let fields = context.fields()?;
    let was_there = find(&context).is_ok();
    let declare = DeclareQueue {
        name: name.clone(),
        passive: false,
        durable: fields.boolean("durable", false)?,
        exclusive: false,
        auto_delete: fields.boolean("auto_delete", false)?,
        arguments: value::arguments(&fields.object("arguments")?)?,
    };
    context
        .call(Call::DeclareQueue(declare), (Kind::Queue, &name))
        .await?;
    Ok(Answer::empty(match was_there {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::CREATED,
    }))
}

async fn delete(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let name = row.definition.name.to_string();
    let call = Call::DeleteQueue {
        name: name.clone(),
        if_unused: context.query("if-unused") == Some("true"),
        if_empty: context.query("if-empty") == Some("true"),
    };
    context.call(call, (Kind::Queue, &name)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn purge(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let name = row.definition.name.to_string();
    let call = Call::PurgeQueue { name: name.clone() };
    context.call(call, (Kind::Queue, &name)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn act(context: Context) -> Result<Answer, Failure> {
    find(&context)?;
    let fields = context.fields()?;
    match fields.required_text("action")? {
        "sync" | "cancel_sync" => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        other => Err(Failure::bad_request(format!("unknown action: {other}"))),
    }
}

/// How much is said of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What it is declared as.
    Declared,
    /// And how much it holds.
    Totals,
    /// And what it does.
    Listed,
    /// And with whom.
    Alone,
}

/// A queue as RabbitMQ describes it.
pub fn describe(context: &Context, row: &QueueRow, space: &str, detail: Detail) -> Value {
    let definition = &row.definition;
    let queue_type = definition.arguments.get("x-queue-type");
    let queue_type = queue_type.and_then(|value| value.as_text());
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        out.insert(name.to_owned(), value);
    };
    put("name", json!(&*definition.name));
    put("vhost", json!(space));
    put("durable", json!(definition.durable));
    put("auto_delete", json!(definition.auto_delete));
    put("exclusive", json!(definition.owner.is_some()));
    put("arguments", value::object(&definition.arguments));
    put("type", json!(queue_type.unwrap_or("classic")));
    put("node", json!(node(context)));
    put("state", json!("running"));
    if detail == Detail::Declared {
        return Value::Object(out);
    }
    let counts = context.broker().queue_counts(row.id).unwrap_or_default();
    let unacknowledged = counts.leased;
    // What waits for its time, or to be dead-lettered, is there and not ready.
    let ready = counts.ready;
    let messages = ready + unacknowledged + counts.waiting + counts.dying;
    put("messages", json!(messages));
    put("messages_ready", json!(ready));
    put("messages_unacknowledged", json!(unacknowledged));
    if detail == Detail::Totals {
        return Value::Object(out);
    }
    put("messages_details", rate(0.0));
    put("messages_ready_details", rate(0.0));
    put("messages_unacknowledged_details", rate(0.0));
    put("messages_delayed", json!(counts.waiting));
    put("message_stats", message_stats(&counts.activity, Of::Queue));
    put("consumers", json!(counts.consumers));
    let bytes = |count: u64| counts.record_bytes / messages.max(1) * count;
    // Bodies alone where the queue counts them; elsewhere what the records take.
    let ready_bytes = match counts.ready_bytes {
        0 => bytes(ready),
        counted => counted,
    };
    put(
        "message_bytes",
        json!(ready_bytes + bytes(messages - ready)),
    );
    put("message_bytes_ready", json!(ready_bytes));
    put("message_bytes_unacknowledged", json!(bytes(unacknowledged)));
    put("memory", json!(counts.memory_bytes));
    put("policy", named(&counts));
    put("operator_policy", Value::Null);
    put("effective_policy_definition", effective(&counts));
    put("exclusive_consumer_tag", json!(counts.exclusive_consumer));
    put(
        "single_active_consumer_tag",
        json!(counts.single_active_consumer),
    );
    // RabbitMQ's is an average of the last seconds, this is how it is just now.
    put("consumer_utilisation", json!(u8::from(counts.delivers)));
    put("consumer_capacity", json!(u8::from(counts.delivers)));
    put("head_message_timestamp", Value::Null);
    put("recoverable_slaves", Value::Null);
    if counts.consumers == 0 && counts.used_ms > 0 {
        put("idle_since", json!(crate::time::iso(counts.used_ms)));
    }
    if detail == Detail::Alone {
        let consumers = context.broker().consumers_of(space, &definition.name);
        let consumers = consumers.iter();
        put(
            "consumer_details",
            consumers
                .map(|consumer| connections::describe_consumer(context, consumer))
                .collect(),
        );
        put("deliveries", json!([]));
        put("incoming", json!([]));
    }
    if counts.is_stream || queue_type == Some("quorum") {
        put("members", json!([node(context)]));
        put("online", json!([node(context)]));
        put("leader", json!(node(context)));
    }
    if counts.is_stream {
        put("segments", json!(1));
        put("first_offset", json!(counts.start));
        put("next_offset", json!(counts.end));
    }
    Value::Object(out)
}

fn named(counts: &QueueCounts) -> Value {
    let policy = counts.policy.as_ref();
    policy.map_or(Value::Null, |policy| json!(policy.name))
}

fn effective(counts: &QueueCounts) -> Value {
    let policy = counts.policy.as_ref();
    policy.map_or_else(|| json!({}), |policy| value::object(&policy.definition))
}
