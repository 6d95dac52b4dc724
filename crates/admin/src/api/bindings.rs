//! `/api/bindings`, and those of one queue or exchange.
//!
//! A binding is named by its `properties_key`: its routing key as a form has it, `~` if there
//! is none, and, behind a `~`, a hash of its arguments if it has some.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bongsu_broker::operator::catalog::BindingRow;
use bongsu_engine::catalog::SpaceId;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Binding, Call, Destination};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{exchanges, queues};
use crate::failure::Failure;
use crate::list;
use crate::percent;
use crate::route::{Answer, Context, Handling, Need, Route, boxed};
use crate::spaces::Shown;
use crate::value;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    list_route(
        "/api/bindings",
        "All bindings that are to be seen.",
        |context| boxed(all(context)),
    ),
    list_route(
        "/api/bindings/{vhost}",
        "The bindings of a virtual host.",
        |context| boxed(all(context)),
    ),
    list_route(
        "/api/queues/{vhost}/{name}/bindings",
        "Bindings that lead to a queue.",
        |context| boxed(of_queue(context)),
    ),
    list_route(
        "/api/exchanges/{vhost}/{name}/bindings/source",
        "Bindings that lead from an exchange.",
        |context| boxed(from_exchange(context)),
    ),
    list_route(
        "/api/exchanges/{vhost}/{name}/bindings/destination",
        "Bindings that lead to an exchange.",
        |context| boxed(to_exchange(context)),
    ),
    list_route(
        "/api/bindings/{vhost}/e/{source}/q/{destination}",
        "Bindings between an exchange and a queue.",
        |context| boxed(between(context, true)),
    ),
    list_route(
        "/api/bindings/{vhost}/e/{source}/e/{destination}",
        "Bindings between two exchanges.",
        |context| boxed(between(context, false)),
    ),
    Route {
        method: Method::POST,
        path: "/api/bindings/{vhost}/e/{source}/q/{destination}",
        need: Need::Management,
        summary: "Binds a queue to an exchange.",
        query: &[],
        body: BODY,
        handler: |context| boxed(bind(context, true)),
    },
    Route {
        method: Method::POST,
        path: "/api/bindings/{vhost}/e/{source}/e/{destination}",
        need: Need::Management,
        summary: "Binds an exchange to an exchange.",
        query: &[],
        body: BODY,
        handler: |context| boxed(bind(context, false)),
    },
    Route {
        method: Method::GET,
        path: "/api/bindings/{vhost}/e/{source}/q/{destination}/{properties_key}",
        need: Need::Management,
        summary: "One binding of a queue.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context, true)),
    },
    Route {
        method: Method::GET,
        path: "/api/bindings/{vhost}/e/{source}/e/{destination}/{properties_key}",
        need: Need::Management,
        summary: "One binding of an exchange.",
        query: &[],
        body: None,
        handler: |context| boxed(one(context, false)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/bindings/{vhost}/e/{source}/q/{destination}/{properties_key}",
        need: Need::Management,
        summary: "Takes a binding of a queue away.",
        query: &[],
        body: None,
        handler: |context| boxed(unbind(context, true)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/bindings/{vhost}/e/{source}/e/{destination}/{properties_key}",
        need: Need::Management,
        summary: "Takes a binding of an exchange away.",
        query: &[],
        body: None,
        handler: |context| boxed(unbind(context, false)),
    },
];

const BODY: Option<&str> = Some(
    r#"{"type":"object","properties":{"routing_key":{"type":"string"},
    "arguments":{"type":"object"}}}"#,
);

const fn list_route(
    path: &'static str,
    summary: &'static str,
    handler: fn(Context) -> Handling,
) -> Route {
    Route {
        method: Method::GET,
        path,
        need: Need::Management,
        summary,
        query: list::PARAMETERS,
        body: None,
        handler,
    }
}

async fn all(context: Context) -> Result<Answer, Failure> {
    let shown = Shown::of(&context)?;
    let broker = context.broker();
    let rows = broker.binding_rows(shown.only).into_iter();
    let mut bindings: Vec<Listed> = rows.map(Listed::Row).collect();
    let queues = broker.queue_rows(shown.only).into_iter();
    bindings
        .extend(queues.map(|queue| Listed::Default(queue.space, queue.definition.name.clone())));
    answer(&context, &shown, bindings)
}

async fn of_queue(context: Context) -> Result<Answer, Failure> {
    let row = queues::find(&context)?;
    let name = row.definition.name.clone();
    let rows = context.broker().bindings_to_queue(row.id).into_iter();
    let default = std::iter::once(Listed::Default(row.space, name));
    let bindings = default.chain(rows.map(Listed::Row)).collect();
    answer(&context, &Shown::of(&context)?, bindings)
}

async fn from_exchange(context: Context) -> Result<Answer, Failure> {
    let space = context.space()?.id;
    let bindings = match exchanges::find(&context)? {
        Some(row) => {
            let rows = context.broker().bindings_from(space, &row.definition.name);
            rows.into_iter().map(Listed::Row).collect()
        }
        None => {
            let queues = context.broker().queue_rows(Some(space)).into_iter();
            let queues = queues.map(|queue| Listed::Default(space, queue.definition.name.clone()));
            queues.collect()
        }
    };
    answer(&context, &Shown::of(&context)?, bindings)
}

async fn to_exchange(context: Context) -> Result<Answer, Failure> {
    let space = context.space()?.id;
    let rows = match exchanges::find(&context)? {
        Some(row) => context
            .broker()
            .bindings_to_exchange(space, &row.definition.name),
        None => Vec::new(),
    };
    let rows = rows.into_iter().map(Listed::Row).collect();
    answer(&context, &Shown::of(&context)?, rows)
}

async fn between(context: Context, to_queue: bool) -> Result<Answer, Failure> {
    let listed = found(&context, to_queue)?;
    answer(&context, &Shown::of(&context)?, listed)
}

async fn one(context: Context, to_queue: bool) -> Result<Answer, Failure> {
    let listed = find(&context, to_queue)?;
    let space = &context.space()?.name;
    Ok(list::one(&context, listed.describe(space)))
}

async fn bind(context: Context, to_queue: bool) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    let routing_key = fields.text("routing_key")?.unwrap_or_default().to_owned();
    if routing_key.len() > ROUTING_KEY_BYTES_MAX {
        return Err(Failure::bad_request(format!(
            "the routing key has {} bytes, at most {ROUTING_KEY_BYTES_MAX} are taken",
            routing_key.len()
        )));
    }
    let arguments = value::arguments(&fields.object("arguments")?)?;
    let destination = context.part("destination").to_owned();
    let key = properties_key(&routing_key, &value::object(&arguments));
    let binding = Binding {
        source: exchanges::name(context.part("source")).to_owned(),
        destination: end(&destination, to_queue),
        routing_key,
        arguments,
    };
    context
        .call(
            Call::Bind(binding),
            (Kind::Exchange, context.part("source")),
        )
        .await?;
    // Relative to the path, and encoded once more than the key already is.
    let place = format!(
        "{}/{}",
        percent::encode_form(&destination),
        // What parts it is no letter of a key, and stays as it is.
        percent::encode_form(&key).replace("%7E", "~")
    );
    let place = HeaderValue::from_str(&place).expect("a form is of ASCII");
    Ok(Answer::empty(StatusCode::CREATED).with_header(header::LOCATION, place))
}

async fn unbind(context: Context, to_queue: bool) -> Result<Answer, Failure> {
    let Listed::Row(row) = find(&context, to_queue)? else {
        return Err(Failure::bad_request(
            "a queue is always bound to the default exchange",
        ));
    };
    let binding = Binding {
        source: row.definition.source.clone(),
        destination: end(&row.destination, to_queue),
        routing_key: row.definition.routing_key.clone(),
        arguments: row.definition.arguments.clone(),
    };
    let of = (Kind::Exchange, &*row.definition.source);
    context.call(Call::Unbind(binding), of).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn end(name: &str, to_queue: bool) -> Destination {
    match to_queue {
        true => Destination::Queue(name.to_owned()),
        false => Destination::Exchange(name.to_owned()),
    }
}

/// Bindings between what the path names.
fn found(context: &Context, to_queue: bool) -> Result<Vec<Listed>, Failure> {
    let space = context.space()?.id;
    let broker = context.broker();
    let source = exchanges::name(context.part("source"));
    let destination = context.part("destination");
    if to_queue && source.is_empty() {
        let queue = broker.queue_row(space, destination).into_iter();
        let queue = queue.map(|queue| Listed::Default(space, queue.definition.name.clone()));
        return Ok(queue.collect());
    }
    let rows = broker.bindings_from(space, source).into_iter();
    let rows = rows.filter(|row| row.to_queue == to_queue && &*row.destination == destination);
    Ok(rows.map(Listed::Row).collect())
}

fn find(context: &Context, to_queue: bool) -> Result<Listed, Failure> {
    let key = context.part("properties_key");
    let mut listed = found(context, to_queue)?.into_iter();
    let found = listed.find(|listed| listed.is_called(key));
    found.ok_or_else(Failure::object_not_found)
}

fn answer(context: &Context, shown: &Shown, mut bindings: Vec<Listed>) -> Result<Answer, Failure> {
    bindings.retain(|listed| shown.name(listed.space()).is_some());
    let space = |listed: &Listed| shown.name(listed.space()).map_or("", |name| &**name);
    list::answer(
        context,
        bindings,
        Listed::source,
        |one, other| {
            let key = |listed| (space(listed), Listed::key(listed));
            key(one).cmp(&key(other))
        },
        |listed| listed.describe(space(listed)),
    )
}

/// A binding: one that was made, or that of a queue to the default exchange.
enum Listed {
    Row(BindingRow),
    Default(SpaceId, std::sync::Arc<str>),
}

impl Listed {
    fn space(&self) -> SpaceId {
        match self {
            Listed::Row(row) => row.definition.space,
            Listed::Default(space, _) => *space,
        }
    }

    fn source(&self) -> &str {
        match self {
            Listed::Row(row) => &row.definition.source,
            Listed::Default(..) => "",
        }
    }

    fn key(&self) -> (&str, &str, &str) {
        match self {
            Listed::Row(row) => {
                let definition = &row.definition;
                (
                    &definition.source,
                    &row.destination,
                    &definition.routing_key,
                )
            }
            Listed::Default(_, queue) => ("", queue, queue),
        }
    }

    fn parts(&self) -> (&str, &str, bool, &str, Value) {
        let (source, destination, routing_key) = self.key();
        let (to_queue, arguments) = match self {
            Listed::Row(row) => (row.to_queue, value::object(&row.definition.arguments)),
            Listed::Default(..) => (true, json!({})),
        };
        (source, destination, to_queue, routing_key, arguments)
    }

    fn is_called(&self, key: &str) -> bool {
        let (_, _, _, routing_key, arguments) = self.parts();
        let is_bare = arguments.as_object().is_none_or(|object| object.is_empty());
        properties_key(routing_key, &arguments) == key
            || (is_bare && !routing_key.is_empty() && routing_key == key)
    }

    fn describe(&self, space: &str) -> Value {
        let (source, destination, to_queue, routing_key, arguments) = self.parts();
        json!({
            "source": source,
            "vhost": space,
            "destination": destination,
            "destination_type": if to_queue { "queue" } else { "exchange" },
            "routing_key": routing_key,
            "properties_key": properties_key(routing_key, &arguments),
            "arguments": arguments,
        })
    }
}

/// See the module's comment.
fn properties_key(routing_key: &str, arguments: &Value) -> String {
    let is_bare = arguments.as_object().is_none_or(|object| object.is_empty());
    if routing_key.is_empty() && is_bare {
        return "~".to_owned();
    }
    let mut key = percent::encode_form(routing_key);
    if !is_bare {
        // Names are in order, so equal arguments have equal texts.
        let digest = Sha256::digest(arguments.to_string().as_bytes());
        key.push('~');
        key.push_str(&URL_SAFE_NO_PAD.encode(&digest[..4]));
    }
    key
}

/// A routing key is a short string.
const ROUTING_KEY_BYTES_MAX: usize = 255;
