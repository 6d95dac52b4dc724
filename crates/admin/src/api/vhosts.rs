//! `/api/vhosts`: virtual hosts, which are spaces here.

use http::Method;
use serde_json::{Value, json};

use crate::api::{node, rate};
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

fn describe(context: &Context, space: &Space) -> Value {
    let broker = context.broker();
    let (mut ready, mut unacknowledged, mut others) = (0, 0, 0);
    for row in broker.queue_rows(Some(space.id)) {
        if let Some(counts) = broker.queue_counts(row.id) {
            ready += counts.ready;
            unacknowledged += counts.leased;
            others += counts.waiting + counts.dying;
        }
    }
    json!({
        "name": &*space.name,
        "description": "",
        "tags": [],
        "default_queue_type": "undefined",
        "metadata": { "description": "", "tags": [] },
        "tracing": false,
        "cluster_state": { node(context): "running" },
        "messages": ready + unacknowledged + others,
        "messages_details": rate(0.0),
        "messages_ready": ready,
        "messages_ready_details": rate(0.0),
        "messages_unacknowledged": unacknowledged,
        "messages_unacknowledged_details": rate(0.0),
    })
}
