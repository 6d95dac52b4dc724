//! Metrics for Prometheus, under RabbitMQ's paths and names where they mean the same.
//!
//! `/metrics` is about the broker as a whole: as long with a million queues as with one.
//! `/metrics/per-object` and `/metrics/detailed` are about each object; they are bounded, and
//! beyond the bound asked for by pages. On the admin port who asks has logged in and may see
//! everything; the listener of metrics alone is open, as RabbitMQ's is.
//!
//! Reading order: [`exposition`] (the text), [`broker`], [`objects`], `process`.

use http::{Method, header};

pub mod exposition;

pub mod broker;

pub mod objects;

mod process;

use exposition::Exposition;
use objects::{FAMILIES, Family, OBJECTS_MAX, Scope};

use crate::api::node;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// What all paths of metrics begin with.
pub const PATH: &str = "/metrics";

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/metrics",
        need: Need::Monitoring,
        summary: "The broker as a whole, for Prometheus.",
        query: &[],
        body: None,
        handler: |context| boxed(whole(context)),
    },
    Route {
        method: Method::GET,
        path: "/metrics/per-object",
        need: Need::Monitoring,
        summary: "The broker and each queue, exchange, channel and connection, for Prometheus.",
        query: PAGED,
        body: None,
        handler: |context| boxed(per_object(context)),
    },
    Route {
        method: Method::GET,
        path: "/metrics/detailed",
        need: Need::Monitoring,
        summary: "Families of metrics of each object, for Prometheus.",
        query: DETAILED,
        body: None,
        handler: |context| boxed(detailed(context)),
    },
];

/// Those, as one family of the table.
pub const FAMILY: &[&[Route]] = &[ROUTES];

/// Whether a route is one of them.
pub fn is_of(route: &Route) -> bool {
    route.path.starts_with(PATH)
}

const PAGED: &[Parameter] = &[
    Parameter {
        name: "vhost",
        summary: "Only of this virtual host.",
    },
    Parameter {
        name: "page",
        summary: "Which page, from 1.",
    },
    Parameter {
        name: "page_size",
        summary: "Objects of each kind on a page.",
    },
];

const DETAILED: &[Parameter] = &[
    Parameter {
        name: "family",
        summary: "Which families; may come several times.",
    },
    Parameter {
        name: "vhost",
        summary: "Only of this virtual host.",
    },
    Parameter {
        name: "page",
        summary: "Which page, from 1.",
    },
    Parameter {
        name: "page_size",
        summary: "Objects of each kind on a page.",
    },
];

async fn whole(context: Context) -> Result<Answer, Failure> {
    let mut text = begun(&context);
    let of = context.broker();
    broker::resources(&mut text, of);
    broker::objects(&mut text, of);
    broker::records(&mut text, of);
    broker::commits(&mut text, of);
    Ok(answer(text))
}

async fn per_object(context: Context) -> Result<Answer, Failure> {
    let scope = scope(&context, "")?;
    let mut text = begun(&context);
    let of = context.broker();
    broker::resources(&mut text, of);
    broker::objects(&mut text, of);
    broker::commits(&mut text, of);
    for family in [
        Family::QueueCoarse,
        Family::QueueConsumers,
        Family::Queue,
        Family::QueueDelivery,
        Family::Group,
        Family::Exchange,
        Family::Channel,
        Family::ConnectionCoarse,
        Family::Connection,
    ] {
        objects::write(&mut text, family, of, &scope).await?;
    }
    Ok(answer(text))
}

async fn detailed(context: Context) -> Result<Answer, Failure> {
    let scope = scope(&context, "detailed_")?;
    let mut wanted: Vec<Family> = Vec::new();
    let pairs = context.pairs.iter();
    let asked = pairs.filter(|(name, _)| name == "family");
    let names = asked.flat_map(|(_, names)| names.split(','));
    for name in names.filter(|name| !name.is_empty()) {
        let known = FAMILIES.iter().find(|(known, _)| *known == name);
        let (_, family) = known.ok_or_else(|| {
            let names: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
            Failure::bad_request(format!(
                "family '{name}' is not one of {}",
                names.join(", ")
            ))
        })?;
        if !wanted.contains(family) {
            wanted.push(*family);
        }
    }
    let mut text = begun(&context);
    for family in wanted {
        objects::write(&mut text, family, context.broker(), &scope).await?;
    }
    Ok(answer(text))
}

fn begun(context: &Context) -> Exposition {
    let accepts = context.headers.get_all(header::ACCEPT).iter();
    let open = accepts
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"));
    let mut text = Exposition::new(open);
    broker::identity(&mut text, &node(context));
    text
}

fn scope(context: &Context, infix: &'static str) -> Result<Scope, Failure> {
    let number = |name: &str| match context.query.get(name) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) if (1..=usize::MAX / 2).contains(&number) => Ok(Some(number)),
            _ => Err(Failure::bad_request(format!(
                "{name}: '{text}' is not a number from 1"
            ))),
        },
    };
    let page_size = number("page_size")?;
    if let Some(size) = page_size.filter(|size| *size > OBJECTS_MAX) {
        return Err(Failure::bad_request(format!(
            "page_size: {size} is more than {OBJECTS_MAX}"
        )));
    }
    let page = number("page")?;
    let page = match (page, page_size) {
        (None, None) => None,
        (page, size) => Some((page.unwrap_or(1), size.unwrap_or(OBJECTS_MAX))),
    };
    Ok(Scope {
        space: context.query.get("vhost").cloned(),
        page,
        infix,
    })
}

fn answer(text: Exposition) -> Answer {
    let content_type = text.content_type();
    Answer::of(content_type, text.finish())
}
