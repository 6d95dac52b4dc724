//! `/api/whoami`: who has logged in.

use http::Method;
use serde_json::json;

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/api/whoami",
    need: Need::Management,
    summary: "Who has logged in.",
    query: &[],
    body: None,
    handler: |context| boxed(whoami(context)),
}];

async fn whoami(context: Context) -> Result<Answer, Failure> {
    let user = context.operator()?.user();
    Ok(Answer::json(&json!({
        "name": &*user.name,
        "tags": user.tags.iter().collect::<Vec<_>>(),
    })))
}
