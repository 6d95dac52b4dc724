//! What became of spans.

use http::Method;
use serde_json::json;

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/bongsu/v1/traces",
    need: Need::Monitoring,
    summary: "Whether spans are made, and how many were made, exported and dropped.",
    query: &[],
    body: None,
    handler: |context| boxed(read(context)),
}];

async fn read(context: Context) -> Result<Answer, Failure> {
    let traces = context.broker().traces();
    let counts = traces.map(|traces| traces.counts()).unwrap_or_default();
    Ok(Answer::json(&json!({
        "enabled": traces.is_some(),
        "made": counts.made,
        "exported": counts.exported,
        "dropped": counts.dropped,
        "records_followed": counts.remembered,
        "records_forgotten": counts.forgotten,
    })))
}
