//! `/api/vhosts`: virtual hosts, which are spaces here.

use bongsu_broker::Broker;
use bongsu_broker::statistics::Activity;
use bongsu_engine::queue::why::Depth;
use http::Method;
use serde_json::{Value, json};

use crate::api::counts::{Of, message_stats};
use crate::api::node;
use crate::api::overview::totals;
use crate::failure::Failure;
use crate::list;
use crate::route::{Answer, Context, Need, Route, boxed};
use crate::spaces::{self, Space};

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
    let definition = broker.space_made_as(space.id);
    let definition = definition.as_deref();
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
        (
            "tracing",
            json!(definition.is_some_and(|space| space.tracing)),
        ),
        ("cluster_state", json!({ node(context): "running" })),
        ("message_stats", message_stats(&activity, Of::All)),
        ("protected_from_deletion", json!(false)),
    ] {
        described[name] = value;
    }
    described
}
