//! The levels of the log: how much is said, by module.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use http::{Method, StatusCode};

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// The levels of the log, as whoever writes it keeps them.
pub trait LogLevels: Debug + Send + Sync {
    /// Level by module; that of everything else is `default`.
    fn levels(&self) -> BTreeMap<String, String>;

    /// Sets levels by module, from here on; none: the module has no level of its own. All of
    /// it is done or nothing.
    ///
    /// # Errors
    /// For people: an unknown module or level.
    fn change(&self, change: &BTreeMap<String, Option<String>>) -> Result<(), String>;
}

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/bongsu/v1/log-levels",
        need: Need::Administrator,
        summary: "The level of the log by module; that of everything else is `default`.",
        query: &[],
        body: None,
        handler: |context| boxed(read(context)),
    },
    Route {
        method: Method::PUT,
        path: "/bongsu/v1/log-levels",
        need: Need::Administrator,
        summary: "Sets levels of the log by module, until the broker stops; null: as `default`.",
        query: &[],
        body: Some(SCHEMA),
        handler: |context| boxed(write(context)),
    },
];

async fn read(context: Context) -> Result<Answer, Failure> {
    Ok(Answer::json(&kept(&context)?.levels()))
}

async fn write(context: Context) -> Result<Answer, Failure> {
    let change: BTreeMap<String, Option<String>> = context.json()?;
    let levels = kept(&context)?;
    levels.change(&change).map_err(Failure::bad_request)?;
    let user = context.operator()?.user().name.clone();
    tracing::info!(%user, "log levels are set: {}", said(&change));
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn said(change: &BTreeMap<String, Option<String>>) -> String {
    let pairs = change.iter();
    let pairs = pairs.map(|(module, level)| match level {
        Some(level) => format!("{module}={level}"),
        None => format!("{module} as default"),
    });
    pairs.collect::<Vec<_>>().join(", ")
}

fn kept(context: &Context) -> Result<Arc<dyn LogLevels>, Failure> {
    let levels = context.admin.settings.log_levels.clone();
    levels.ok_or_else(|| Failure::not_found("this process writes no log"))
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":{"type":["string","null"],
"enum":["off","error","warn","info","debug","trace",null]}}"#;
