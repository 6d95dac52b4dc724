//! `/api/parameters` and `/api/global-parameters`: what RabbitMQ's plugins keep. Here there
//! are limits of virtual hosts, which have paths of their own; nothing else is taken.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::{node, vhosts};
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};
use crate::spaces::Shown;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route::get(
        "/api/parameters",
        Need::Management,
        "All parameters.",
        |context| boxed(all(context)),
    ),
    Route::get(
        "/api/parameters/{component}",
        Need::Management,
        "Parameters of a component.",
        |context| boxed(all(context)),
    ),
    Route::get(
        "/api/parameters/{component}/{vhost}",
        Need::Management,
        "Parameters of a component in a virtual host.",
        |context| boxed(all(context)),
    ),
    Route::get(
        "/api/parameters/{component}/{vhost}/{name}",
        Need::Management,
        "One parameter.",
        |context| boxed(one(context)),
    ),
    Route {
        method: Method::PUT,
        path: "/api/parameters/{component}/{vhost}/{name}",
        need: Need::Policymaker,
        summary: "Sets a parameter: limits of virtual hosts only.",
        query: &[],
        body: Some(r#"{"type":"object","required":["value"]}"#),
        handler: |context| boxed(put(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/parameters/{component}/{vhost}/{name}",
        need: Need::Policymaker,
        summary: "Takes a parameter away.",
        query: &[],
        body: None,
        handler: |context| boxed(delete(context)),
    },
    Route::get(
        "/api/global-parameters",
        Need::Management,
        "Global parameters.",
        |context| boxed(globals(context)),
    ),
    Route::get(
        "/api/global-parameters/{name}",
        Need::Management,
        "A global parameter.",
        |context| boxed(global(context)),
    ),
    Route {
        method: Method::PUT,
        path: "/api/global-parameters/{name}",
        need: Need::Administrator,
        summary: "Refused: nothing here is set by one.",
        query: &[],
        body: Some(r#"{"type":"object","required":["value"]}"#),
        handler: |context| {
            boxed(async move {
                context.fields()?.require(&["value"])?;
                let name = context.part("name");
                Err(Failure::bad_request(format!(
                    "global parameter {name} not found"
                )))
            })
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/global-parameters/{name}",
        need: Need::Administrator,
        summary: "There is none to take away.",
        query: &[],
        body: None,
        handler: |_| boxed(async { Err(Failure::object_not_found()) }),
    },
];

async fn all(context: Context) -> Result<Answer, Failure> {
    let rows = rows(&context)?;
    Ok(Answer::json(&rows))
}

fn rows(context: &Context) -> Result<Vec<Value>, Failure> {
    let component = context.path.get("component").map(String::as_str);
    if component.is_some_and(|component| component != LIMITS) {
        return Ok(Vec::new());
    }
    let shown = Shown::of(context)?;
    let rows = context.broker().space_rows().into_iter();
    let rows = rows.filter(|row| shown.name(row.id).is_some() && !row.definition.limits.is_none());
    let rows = rows.map(|row| {
        json!({
            "value": vhosts::limits_json(&row.definition.limits),
            "vhost": &*row.definition.name,
            "component": LIMITS,
            "name": "limits",
        })
    });
    Ok(rows.collect())
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let rows = rows(&context)?;
    let name = context.part("name");
    let found = rows.iter().find(|row| row["name"] == name);
    found
        .map(Answer::json)
        .ok_or_else(Failure::object_not_found)
}

async fn put(context: Context) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    fields.require(&["value"])?;
    match context.part("component") {
        LIMITS if context.operator()?.administers() => {}
        LIMITS => return Err(Failure::not_authorised("Not administrator user")),
        "policy" => {
            let reason = "policies may not be set using this method";
            return Err(Failure::bad_request(reason));
        }
        other => {
            return Err(Failure::bad_request(format!(
                "Validation failed\n\ncomponent {other} not found\n"
            )));
        }
    }
    let limits = vhosts::read_limits(fields.get("value").unwrap_or(&Value::Null))?;
    let space = context.space()?;
    context.operator()?.limit_space(&space.name, limits).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn delete(context: Context) -> Result<Answer, Failure> {
    let rows = rows(&context)?;
    let name = context.part("name");
    if !rows.iter().any(|row| row["name"] == name) {
        return Err(Failure::object_not_found());
    }
    if !context.operator()?.administers() {
        return Err(Failure::not_authorised("Not administrator user"));
    }
    let space = context.space()?;
    let none = bongsu_engine::catalog::SpaceLimits::default();
    context.operator()?.limit_space(&space.name, none).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn globals(context: Context) -> Result<Answer, Failure> {
    Ok(Answer::json(&global_rows(&context)))
}

fn global_rows(context: &Context) -> Vec<Value> {
    vec![json!({ "name": "cluster_name", "value": node(context) })]
}

async fn global(context: Context) -> Result<Answer, Failure> {
    let rows = global_rows(&context);
    let name = context.part("name");
    let found = rows.iter().find(|row| row["name"] == name);
    found
        .map(Answer::json)
        .ok_or_else(Failure::object_not_found)
}

const LIMITS: &str = "vhost-limits";
