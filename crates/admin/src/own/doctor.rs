//! The check-up of the process and its machine: what is wrong or dangerous, and what to do.
//!
//! Looking takes a moment and writes a file to see how long a sync takes, so it is done by one
//! at a time, and who asks again within [`KEPT`] is told what was found.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// As it should be.
    Ok,
    /// May be meant; may not.
    Warn,
    /// Something does not work, or will not for long.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, for programs.
    pub check: Cow<'static, str>,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

impl Check {
    /// All is well.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Check {
        Check::of(check, State::Ok, found, "")
    }

    /// It may not be meant.
    pub fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check::of(check, State::Warn, found, advice)
    }

    /// It does not work.
    pub fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check::of(check, State::Fail, found, advice)
    }

    fn of(
        check: &'static str,
        state: State,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Check {
        Check {
            check: check.into(),
            state,
            found: found.into(),
            advice: advice.into(),
        }
    }
}

/// Looks, for whoever asks over HTTP.
pub struct Doctor {
    /// Blocks while it looks.
    look: Box<dyn Fn() -> Vec<Check> + Send + Sync>,
    last: Arc<Mutex<Option<Found>>>,
}

struct Found {
    since: Instant,
    checks: Vec<Check>,
}

impl Doctor {
    /// Looks with `look`, which may block for as long as the disk makes it.
    pub fn new(look: impl Fn() -> Vec<Check> + Send + Sync + 'static) -> Doctor {
        Doctor {
            look: Box::new(look),
            last: Arc::default(),
        }
    }

    /// What there is to tell, at most [`KEPT`] old.
    async fn checks(self: Arc<Doctor>) -> Result<Vec<Check>, tokio::task::JoinError> {
        // The lock goes along: who asked may leave before the disk has answered.
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let looking = tokio::task::spawn_blocking(move || {
            let is_fresh = |found: &&Found| found.since.elapsed() < KEPT;
            if let Some(found) = last.as_ref().filter(is_fresh) {
                return found.checks.clone();
            }
            let checks = (self.look)();
            *last = Some(Found {
                since: Instant::now(),
                checks: checks.clone(),
            });
            checks
        });
        looking.await
    }
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor").finish_non_exhaustive()
    }
}

/// See the module's comment.
pub const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/bongsu/v1/doctor",
    need: Need::Monitoring,
    summary: "What is wrong or dangerous about the broker's settings, disk, limits, certificates and clock.",
    query: &[],
    body: None,
    handler: |context| boxed(read(context)),
}];

async fn read(context: Context) -> Result<Answer, Failure> {
    let doctor = context.admin.settings.doctor.clone();
    let doctor = doctor.ok_or_else(|| Failure::not_found("this process has no check-up"))?;
    let checks = doctor.checks().await.map_err(|error| {
        let reason = error.to_string();
        Failure::with(StatusCode::INTERNAL_SERVER_ERROR, "check-up", reason)
    })?;
    Ok(Answer::json(&json!({ "items": checks })))
}

/// How long it is told what was found, without looking again.
pub const KEPT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
