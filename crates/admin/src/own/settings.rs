//! How the process was started: every setting with its value. None of them is a secret; keys
//! and passwords are in files and are named by their paths.

use http::Method;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// One setting, as people read it.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Section and name.
    pub key: &'static str,
    /// In effect, as in the file.
    pub value: String,
    /// As in the file.
    pub default: &'static str,
    /// Whether nobody said otherwise.
    pub is_default: bool,
    /// The variable that sets it.
    pub environment: String,
    /// What it accepts.
    pub accepted: String,
    /// What it means.
    pub meaning: &'static str,
}

/// See the module's comment.
pub const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/bongsu/v1/settings",
    need: Need::Monitoring,
    summary: "Every setting with its value, its default and its meaning, as the broker was started.",
    query: &[],
    body: None,
    handler: |context| boxed(read(context)),
}];

async fn read(context: Context) -> Result<Answer, Failure> {
    let items = &context.admin.settings.started_with;
    Ok(Answer::json(
        &json!({ "items": items, "total": items.len() }),
    ))
}
