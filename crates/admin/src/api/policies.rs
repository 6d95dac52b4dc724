//! `/api/policies`, operator policies, and parameters, of which policies are one component.

use bongsu_broker::operator::catalog::apply_to_name;
use bongsu_engine::Refused;
use bongsu_engine::catalog::{ApplyTo, Policy};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fields::Fields;
use crate::list;
use crate::route::{Answer, Context, Need, Route, boxed};
use crate::spaces::Shown;
use crate::value;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/policies",
        need: Need::Management,
        summary: "All policies that are to be seen.",
        query: list::PARAMETERS,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/policies/{vhost}",
        need: Need::Management,
        summary: "The policies of a virtual host.",
        query: list::PARAMETERS,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/policies/{vhost}/{name}",
        need: Need::Management,
        summary: "One policy.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context)),
    },
    Route {
        method: Method::PUT,
        path: "/api/policies/{vhost}/{name}",
        need: Need::Policymaker,
        summary: "Sets a policy: 201 if it was not there.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["pattern","definition"],"properties":{
            "pattern":{"type":"string"},"definition":{"type":"object"},
            "priority":{"type":"integer"},"apply-to":{"enum":["all","queues","exchanges",
            "classic_queues","quorum_queues","streams"]}}}"#,
        ),
        handler: |context| boxed(put(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/policies/{vhost}/{name}",
        need: Need::Policymaker,
        summary: "Takes a policy away.",
        query: &[],
        body: None,
        handler: |context| boxed(delete(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/operator-policies",
        need: Need::Management,
        summary: "Operator policies: none.",
        query: &[],
        body: None,
        handler: |_| boxed(none()),
    },
    Route {
        method: Method::GET,
        path: "/api/operator-policies/{vhost}",
        need: Need::Management,
        summary: "Operator policies: none.",
        query: &[],
        body: None,
        handler: |_| boxed(none()),
    },
    Route {
        method: Method::GET,
        path: "/api/operator-policies/{vhost}/{name}",
        need: Need::Management,
        summary: "Operator policies: none.",
        query: &[],
        body: None,
        handler: |_| boxed(async { Err(Failure::object_not_found()) }),
    },
    Route {
        method: Method::PUT,
        path: "/api/operator-policies/{vhost}/{name}",
        need: Need::Administrator,
        summary: "Refused: limits of virtual hosts and users do what they are for.",
        query: &[],
        body: Some(r#"{"type":"object"}"#),
        handler: |_| {
            boxed(async {
                Err(Failure::bad_request(
                    "operator policies are not supported; use limits of virtual hosts and users",
                ))
            })
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/operator-policies/{vhost}/{name}",
        need: Need::Administrator,
        summary: "There is none.",
        query: &[],
        body: None,
        handler: |_| boxed(async { Err(Failure::object_not_found()) }),
    },
];

async fn none() -> Result<Answer, Failure> {
    Ok(Answer::json(&json!([])))
}

async fn all(context: Context) -> Result<Answer, Failure> {
    let shown = Shown::of(&context)?;
    let mut rows = context.broker().policy_rows(shown.only);
    rows.retain(|(space, _)| shown.name(*space).is_some());
    let space = |id| shown.name(id).map_or("", |name| &**name);
    list::answer(
        &context,
        rows,
        |(_, policy)| &policy.name,
        |(one, a), (other, b)| (space(*one), &a.name).cmp(&(space(*other), &b.name)),
        |(id, policy)| describe(policy, space(*id)),
    )
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let space = context.space()?;
    let policy = context.broker().policy_row(space.id, context.part("name"));
    let policy = policy.ok_or_else(Failure::object_not_found)?;
    Ok(list::one(&context, describe(&policy, &space.name)))
}

async fn put(context: Context) -> Result<Answer, Failure> {
    let space = context.space()?;
    let policy = read(context.part("name"), &context.fields()?)?;
    let was_there = context
        .broker()
        .policy_row(space.id, &policy.name)
        .is_some();
    let put = context.broker().put_policy(space.id, policy).await;
    put.map_err(invalid)?;
    Ok(Answer::empty(match was_there {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::CREATED,
    }))
}

async fn delete(context: Context) -> Result<Answer, Failure> {
    let space = context.space()?;
    let name = context.part("name");
    if context.broker().policy_row(space.id, name).is_none() {
        return Err(Failure::object_not_found());
    }
    context.broker().delete_policy(space.id, name).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// A policy as RabbitMQ's definitions have it.
///
/// # Errors
/// 400, in RabbitMQ's words where it has some.
pub fn read(name: &str, fields: &Fields) -> Result<Policy, Failure> {
    fields.require(&["pattern", "definition"])?;
    let shown = |name: &str| {
        fields
            .get(name)
            .map_or_else(|| "null".to_owned(), Value::to_string)
    };
    let pattern = fields.get("pattern").and_then(Value::as_str);
    let pattern = pattern.ok_or_else(|| {
        failed(format!(
            "pattern should be a binary but was {}",
            shown("pattern")
        ))
    })?;
    let priority = match fields.get("priority") {
        None => 0,
        Some(value) => value
            .as_i64()
            .ok_or_else(|| failed(format!("priority should be a number, actually was {value}")))?,
    };
    let said = fields.get("apply-to").or_else(|| fields.get("apply_to"));
    let apply_to = match said.map(|said| said.as_str().unwrap_or("")) {
        None => ApplyTo::All,
        Some(said) => ApplyTo::by_name(said).ok_or_else(|| {
            failed(format!(
                "apply-to '{said}' unrecognised; should be 'queues', 'classic_queues', \
                 'quorum_queues', 'streams', 'exchanges' or 'all'"
            ))
        })?,
    };
    let policy = Policy {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        apply_to,
        priority,
        definition: value::arguments(&fields.object("definition")?)?,
    };
    policy.check().map_err(invalid)?;
    Ok(policy)
}

fn failed(why: String) -> Failure {
    Failure::bad_request(format!("Validation failed\n\n{why}\n"))
}

fn invalid(refused: Refused) -> Failure {
    match refused {
        Refused::InvalidArgument {
            argument,
            value,
            accepted,
        } => failed(match (argument.as_str(), accepted) {
            ("pattern", _) => {
                format!("pattern should be regular expression but is invalid: '{value}'")
            }
            ("definition", _) => "no policy provided".to_owned(),
            (argument, "a known policy setting") => {
                format!("{argument} is not a recognised policy setting")
            }
            (argument, accepted) => {
                format!("'{value}' is not a valid {argument}: expected {accepted}")
            }
        }),
        Refused::ArgumentType {
            argument,
            found,
            accepted,
        } => failed(format!(
            "{argument} should be {accepted}, actually was {found}"
        )),
        Refused::ArgumentAlone { argument, needs } => {
            failed(format!("{argument} says nothing without {needs}"))
        }
        other => Failure::from(other),
    }
}

/// A policy as RabbitMQ describes it.
pub fn describe(policy: &Policy, space: &str) -> Value {
    json!({
        "vhost": space,
        "name": policy.name,
        "pattern": policy.pattern,
        "apply-to": apply_to_name(policy.apply_to),
        "definition": value::object(&policy.definition),
        "priority": policy.priority,
    })
}
