//! `/api/vhosts`: virtual hosts, which are spaces here.

use bongsu_broker::Broker;
use bongsu_broker::operator::spaces::SpaceRow;
use bongsu_broker::statistics::Activity;
use bongsu_engine::catalog::{SpaceDefinition, SpaceLimits};
use bongsu_engine::queue::why::Depth;
use bongsu_engine::refused::Kind;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::counts::{Of, message_stats};
use crate::api::node;
use crate::api::overview::{check_node, totals};
use crate::api::users::limit_of;
use crate::failure::Failure;
use crate::fields::{Fields, wrong};
use crate::list;
use crate::route::{Answer, Context, Need, Route, boxed};
use crate::spaces::{self, Shown, Space};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/vhosts",
        need: Need::Management,
        summary: "All virtual hosts that are to be seen.",
        query: list::PARAMETERS,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/vhosts/{vhost}",
        need: Need::Management,
        summary: "One virtual host.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context)),
    },
    Route {
        method: Method::PUT,
        path: "/api/vhosts/{vhost}",
        need: Need::Administrator,
        summary: "Makes a virtual host, or changes what is said of it.",
        query: &[],
        body: Some(
            r#"{"type":"object","properties":{"description":{"type":"string"},
            "tags":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},
            "tracing":{"type":"boolean"},"default_queue_type":{"type":"string"}}}"#,
        ),
        handler: |context| boxed(put(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/vhosts/{vhost}",
        need: Need::Administrator,
        summary: "Deletes a virtual host with all that is in it.",
        query: &[],
        body: None,
        handler: |context| boxed(delete(context)),
    },
    Route {
        method: Method::POST,
        path: "/api/vhosts/{vhost}/start/{node}",
        need: Need::Administrator,
        summary: "Starts a virtual host, which all are.",
        query: &[],
        body: None,
        handler: |context| boxed(start(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/vhost-limits",
        need: Need::Management,
        summary: "Limits of virtual hosts.",
        query: &[],
        body: None,
        handler: |context| boxed(limits(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/vhost-limits/{vhost}",
        need: Need::Management,
        summary: "Limits of a virtual host.",
        query: &[],
        body: None,
        handler: |context| boxed(limits(context)),
    },
    Route {
        method: Method::PUT,
        path: "/api/vhost-limits/{vhost}/{limit}",
        need: Need::Administrator,
        summary: "Limits a virtual host.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["value"],"properties":{
            "value":{"type":"integer"}}}"#,
        ),
        handler: |context| boxed(put_limit(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/vhost-limits/{vhost}/{limit}",
        need: Need::Administrator,
        summary: "Takes a limit away.",
        query: &[],
        body: None,
        handler: |context| boxed(delete_limit(context)),
    },
];

async fn all(context: Context) -> Result<Answer, Failure> {
    let spaces = spaces::visible(context.operator()?);
    list::answer(
        &context,
        spaces,
        |space| &space.name,
        Ord::cmp,
        |space| describe(&context, space),
    )
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let described = describe(&context, context.space()?);
    Ok(list::one(&context, described))
}

async fn put(context: Context) -> Result<Answer, Failure> {
    let name = context.part("vhost");
    let known = context.broker().space_named(name);
    let known = known.map(|row| SpaceDefinition::clone(&row.definition));
    let space = read(name, &context.fields()?, known)?;
    let is_new = context.operator()?.put_space(space).await;
    let is_new = is_new.map_err(|refused| Failure::of(refused, name, (Kind::Space, name)))?;
    Ok(Answer::empty(match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    }))
}

/// A space as RabbitMQ's definitions have it; what is not said stays as it is.
///
/// # Errors
/// 400.
pub fn read(
    name: &str,
    fields: &Fields,
    known: Option<SpaceDefinition>,
) -> Result<SpaceDefinition, Failure> {
    let mut space = known.unwrap_or_else(|| SpaceDefinition::named(name));
    // 3.8 and later put these beside the name in definitions, too.
    let metadata = Fields(fields.object("metadata")?);
    for fields in [&metadata, fields] {
        if let Some(description) = fields.text("description")? {
            description.clone_into(&mut space.description);
        }
        match fields.get("tags") {
            None => {}
            Some(Value::String(tags)) => {
                let tags = tags.split(',').map(str::trim);
                space.tags = tags
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            Some(Value::Array(tags)) => {
                let tags = tags.iter().map(|tag| {
                    let text = tag.as_str().map(str::to_owned);
                    text.ok_or_else(|| wrong("not_string", "tags", tag))
                });
                space.tags = tags.collect::<Result<_, _>>()?;
            }
            Some(other) => return Err(wrong("not_tags", "tags", other)),
        }
        if let Some(queue_type) = fields
            .text("default_queue_type")?
            .or(fields.text("defaultqueuetype")?)
        {
            let queue_type = Some(queue_type).filter(|name| *name != "undefined");
            space.default_queue_type = queue_type.map(str::to_owned);
        }
        if fields.boolean("tracing", false)? {
            // RabbitMQ's firehose: who turned it on would wait for copies that never come.
            return Err(Failure::bad_request(
                "tracing is not there; spans are (setting traces.endpoint)",
            ));
        }
    }
    Ok(space)
}

async fn delete(context: Context) -> Result<Answer, Failure> {
    let name = found(&context)?.definition.name.clone();
    let deleted = context.operator()?.delete_space(&name).await;
    deleted.map_err(|refused| Failure::of(refused, &name, (Kind::Space, &name)))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// The space that the path names, for administrators.
fn found(context: &Context) -> Result<SpaceRow, Failure> {
    let row = context.broker().space_named(context.part("vhost"));
    row.ok_or_else(Failure::object_not_found)
}

async fn start(context: Context) -> Result<Answer, Failure> {
    found(&context)?;
    check_node(&context)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn limits(context: Context) -> Result<Answer, Failure> {
    let shown = Shown::of(&context)?;
    let rows = context.broker().space_rows().into_iter();
    let rows = rows.filter(|row| shown.name(row.id).is_some() && !row.definition.limits.is_none());
    let rows = rows.map(|row| {
        json!({ "vhost": &*row.definition.name, "value": limits_json(&row.definition.limits) })
    });
    Ok(Answer::json(&rows.collect::<Vec<_>>()))
}

async fn put_limit(context: Context) -> Result<Answer, Failure> {
    let row = found(&context).map_err(|_| Failure::no_space())?;
    let fields = context.fields()?;
    fields.require(&["value"])?;
    let value = fields.get("value").cloned().unwrap_or(Value::Null);
    limit(&context, &row, &value).await
}

async fn delete_limit(context: Context) -> Result<Answer, Failure> {
    let row = found(&context)?;
    limit(&context, &row, &Value::from(-1)).await
}

async fn limit(context: &Context, row: &SpaceRow, value: &Value) -> Result<Answer, Failure> {
    let mut limits = row.definition.limits;
    set(&mut limits, context.part("limit"), value)?;
    let name = &row.definition.name;
    let limited = context.operator()?.limit_space(name, limits).await;
    limited.map_err(|refused| Failure::of(refused, name, (Kind::Space, name)))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Limits of a space as RabbitMQ names them, and our own.
pub fn limits_json(limits: &SpaceLimits) -> Value {
    let set = limits.named().into_iter();
    let set = set.filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    Value::Object(set.collect())
}

/// Limits of a space as RabbitMQ's definitions have them.
///
/// # Errors
/// 400.
pub fn read_limits(value: &Value) -> Result<SpaceLimits, Failure> {
    let mut limits = SpaceLimits::default();
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                set(&mut limits, name, value)?;
            }
        }
        // RabbitMQ's spelling of none.
        Value::Array(list) if list.is_empty() => {}
        other => return Err(wrong("not_object", "limits", other)),
    }
    Ok(limits)
}

fn set(limits: &mut SpaceLimits, name: &str, value: &Value) -> Result<(), Failure> {
    let number = limit_of(name, value).map_err(|failure| {
        Failure::bad_request(format!("Validation failed\n\n{}\n", failure.reason))
    })?;
    match limits.set(name, number) {
        true => Ok(()),
        false => Err(Failure::bad_request(format!(
            "Validation failed\n\nUnrecognised terms [{name}] in limits\n"
        ))),
    }
}

/// What was counted in spaces, and what their queues hold.
pub fn sums(broker: &Broker, spaces: &[Space]) -> (Activity, Depth) {
    let (mut activity, mut depth) = (Activity::default(), Depth::default());
    for (of_space, holds) in spaces
        .iter()
        .filter_map(|space| broker.space_activity(&space.name))
    {
        activity.add(&of_space);
        depth.ready += holds.ready;
        depth.leased += holds.leased;
        depth.waiting += holds.waiting;
        depth.dying += holds.dying;
    }
    (activity, depth)
}

/// How many queues spaces have.
pub fn queue_count(broker: &Broker, spaces: &[Space]) -> u64 {
    let counts = spaces.iter().map(|space| broker.queue_count(space.id));
    counts.map(u64::from).sum()
}

fn describe(context: &Context, space: &Space) -> Value {
    let broker = context.broker();
    let (activity, depth) = sums(broker, std::slice::from_ref(space));
    let row = broker.space_named(&space.name);
    let definition = row.as_ref().map(|row| &row.definition);
    let description = definition.map_or("", |space| &space.description);
    let tags = definition.map_or(&[][..], |space| &space.tags);
    let queue_type = definition.and_then(|space| space.default_queue_type.as_deref());
    let queue_type = queue_type.unwrap_or("undefined");
    let mut described = totals(&depth);
    for (name, value) in [
        ("name", json!(&*space.name)),
        ("description", json!(description)),
        ("tags", json!(tags)),
        ("default_queue_type", json!(queue_type)),
        (
            "metadata",
            json!({ "description": description, "tags": tags,
            "default_queue_type": queue_type }),
        ),
        ("tracing", json!(false)),
        ("cluster_state", json!({ node(context): "running" })),
        ("message_stats", message_stats(&activity, Of::All)),
        ("protected_from_deletion", json!(false)),
    ] {
        described[name] = value;
    }
    described
}
