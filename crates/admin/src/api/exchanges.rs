//! `/api/exchanges`: exchanges, as RabbitMQ's management describes them.

use bongsu_broker::operator::catalog::ExchangeRow;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, DeclareExchange};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::counts::{Of, message_stats};
use crate::failure::Failure;
use crate::list;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};
use crate::spaces::Shown;
use crate::value;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/exchanges",
        need: Need::Management,
        summary: "All exchanges that are to be seen.",
        query: list::PARAMETERS,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/exchanges/{vhost}",
        need: Need::Management,
        summary: "The exchanges of a virtual host.",
        query: list::PARAMETERS,
        body: None,
        handler: |context| boxed(all(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/exchanges/{vhost}/{name}",
        need: Need::Management,
        summary: "One exchange; `amq.default` is the one without a name.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context)),
    },
    Route {
        method: Method::PUT,
        path: "/api/exchanges/{vhost}/{name}",
        need: Need::Management,
        summary: "Declares an exchange: 201 if it was not there.",
        query: &[],
        body: Some(
            r#"{"type":"object","properties":{"type":{"type":"string"},
            "durable":{"type":"boolean"},"auto_delete":{"type":"boolean"},
            "internal":{"type":"boolean"},"arguments":{"type":"object"}}}"#,
        ),
        handler: |context| boxed(declare(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/exchanges/{vhost}/{name}",
        need: Need::Management,
        summary: "Deletes an exchange.",
        query: &[Parameter {
            name: "if-unused",
            summary: "`true`: only if nothing is bound to it.",
        }],
        body: None,
        handler: |context| boxed(delete(context)),
    },
];

async fn all(context: Context) -> Result<Answer, Failure> {
    let shown = Shown::of(&context)?;
    let rows = context.broker().exchange_rows(shown.only);
    let rows = rows.into_iter().filter_map(|row| {
        let space = shown.name(row.space)?.to_string();
        Some(Listed {
            space,
            row: Some(row),
        })
    });
    let defaults = shown.all().map(|(_, name)| Listed {
        space: name.to_string(),
        row: None,
    });
    list::answer(
        &context,
        rows.chain(defaults).collect(),
        Listed::name,
        |one, other| (&one.space, one.name()).cmp(&(&other.space, other.name())),
        |listed| {
            let mut described = describe(listed.row.as_ref(), &listed.space);
            let broker = context.broker();
            let activity = broker.exchange_activity(&listed.space, listed.name());
            described["message_stats"] = message_stats(&activity, Of::Exchange);
            described
        },
    )
}

struct Listed {
    space: String,
    /// `None`: the default exchange.
    row: Option<ExchangeRow>,
}

impl Listed {
    fn name(&self) -> &str {
        self.row.as_ref().map_or("", |row| &row.definition.name)
    }
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let space = &context.space()?.name;
    let mut described = describe(row.as_ref(), space);
    let name = row.as_ref().map_or("", |row| &*row.definition.name);
    let activity = context.broker().exchange_activity(space, name);
    described["message_stats"] = message_stats(&activity, Of::Exchange);
    described["incoming"] = json!([]);
    described["outgoing"] = json!([]);
    Ok(list::one(&context, described))
}

/// The exchange that the path names; `None`: the default one.
///
/// # Errors
/// 404.
pub fn find(context: &Context) -> Result<Option<ExchangeRow>, Failure> {
    let name = name(context.part("name"));
    if name.is_empty() {
        return Ok(None);
    }
    let row = context.broker().exchange_row(context.space()?.id, name);
    row.map(Some).ok_or_else(Failure::object_not_found)
}

/// What an exchange is called in a path.
pub fn name(said: &str) -> &str {
    match said {
        "amq.default" => "",
        name => name,
    }
}

async fn declare(context: Context) -> Result<Answer, Failure> {
    let name = name(context.part("name")).to_owned();
    let fields = context.fields()?;
    let was_there = find(&context).is_ok();
    let declare = DeclareExchange {
        name: name.clone(),
        exchange_type: fields.text("type")?.unwrap_or("direct").to_owned(),
        passive: false,
        durable: fields.boolean("durable", false)?,
        auto_delete: fields.boolean("auto_delete", false)?,
        internal: fields.boolean("internal", false)?,
        arguments: value::arguments(&fields.object("arguments")?)?,
    };
    context
        .call(Call::DeclareExchange(declare), (Kind::Exchange, &name))
        .await?;
    Ok(Answer::empty(match was_there {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::CREATED,
    }))
}

async fn delete(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let name = row.map_or(String::new(), |row| row.definition.name.to_string());
    let call = Call::DeleteExchange {
        name: name.clone(),
        if_unused: context.query("if-unused") == Some("true"),
    };
    context.call(call, (Kind::Exchange, &name)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// An exchange as RabbitMQ describes it; `None`: the default one.
pub fn describe(row: Option<&ExchangeRow>, space: &str) -> Value {
    let Some(row) = row else {
        return json!({
            "name": "", "vhost": space, "type": "direct", "durable": true,
            "auto_delete": false, "internal": false, "arguments": {},
            "user_who_performed_action": "rmq-internal",
        });
    };
    let definition = &row.definition;
    let mut described = json!({
        "name": &*definition.name,
        "vhost": space,
        "type": definition.exchange_type.name(),
        "durable": definition.durable,
        "auto_delete": definition.auto_delete,
        "internal": definition.internal,
        "arguments": value::object(&definition.arguments),
    });
    if let Some(policy) = &row.policy {
        described["policy"] = json!(policy.name);
    }
    described
}
