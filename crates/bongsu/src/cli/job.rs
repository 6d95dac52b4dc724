//! Long work of the broker: waits for a job, and shows how far it is.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::api::{Api, path};
use super::failure::Failure;
use crate::replay::Progress;

/// The answer, once the work is done: at once if it is no job.
pub fn wait(api: &Api, answer: Value) -> Result<Value, Failure> {
    let Some(job) = answer["job"].as_u64().map(|job| job.to_string()) else {
        return Ok(answer);
    };
    let mut progress = Progress::new();
    let at = path(&["bongsu", "v1", "jobs", &job]);
    loop {
        let found = match answer["state"] == "running" {
            true => api.get(&at)?,
            false => answer.clone(),
        };
        let state = found["state"].as_str().unwrap_or_default();
        match state {
            "done" => {
                progress.end();
                return Ok(found);
            }
            "failed" | "cancelled" => {
                progress.end();
                let error = found["error"].as_str().unwrap_or(state);
                return Err(Failure::Failed(format!("job {job}: {error}")));
            }
            _ => {}
        }
        if progress.is_due() {
            let (done, total) = (found["done"].as_u64(), found["total"].as_u64());
            progress.show_bar(done.unwrap_or(0), total.unwrap_or(0));
        }
        thread::sleep(EVERY);
    }
}

const EVERY: Duration = Duration::from_millis(100);
