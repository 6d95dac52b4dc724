//! Whether the broker lives, and whether it takes what is published: for probes, which do
//! not log in.

use http::{Method, StatusCode};
use serde_json::json;

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/health/live",
        need: Need::Nobody,
        summary: "The process answers.",
        query: &[],
        body: None,
        handler: |context| boxed(live(context)),
    },
    Route {
        method: Method::GET,
        path: "/health/ready",
        need: Need::Nobody,
        summary: "Clients may come and publish: 503 while an alarm holds publishers back.",
        query: &[],
        body: None,
        handler: |context| boxed(ready(context)),
    },
];

async fn live(_context: Context) -> Result<Answer, Failure> {
    Ok(Answer::json(&json!({ "status": "ok" })))
}

async fn ready(context: Context) -> Result<Answer, Failure> {
    let reason = context.broker().alarm().borrow().clone();
    if *context.broker().stopping().borrow() {
        return Ok(Answer::json(&json!({ "status": "stopping" }))
            .with_status(StatusCode::SERVICE_UNAVAILABLE));
    }
    match reason {
        None => Ok(Answer::json(&json!({ "status": "ok" }))),
        Some(reason) => Ok(
            Answer::json(&json!({ "status": "held back", "reason": &*reason }))
                .with_status(StatusCode::SERVICE_UNAVAILABLE),
        ),
    }
}
