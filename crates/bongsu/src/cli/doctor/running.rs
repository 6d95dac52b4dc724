//! What a running broker says: alarms, queues where nothing moves, users.

use std::time::{SystemTime, UNIX_EPOCH};

use bongsu_admin::own::doctor::Check;
use serde_json::Value;

use crate::cli::api::{Api, path, with_query};
use crate::cli::failure::Failure;
use crate::cli::listing::{Shown, shown};

/// All of them; with those of the broker's own machine, if `with_machine`.
pub fn checks(api: &Api, with_machine: bool) -> Vec<Check> {
    let ready = match api.get("/health/ready") {
        Ok(_) => Check::ok("broker", "it is ready for clients"),
        Err(failure @ Failure::Connect(_)) => {
            let advice = "start it, or say --url; --offline looks at this machine only";
            return vec![Check::fail("broker", failure.to_string(), advice)];
        }
        Err(failure) => Check::fail("broker", failure.to_string(), "look at its log"),
    };
    let mut checks = vec![ready];
    match api.get("/api/whoami") {
        Ok(_) => {}
        Err(failure) => {
            let advice = "say --user and a password of a user with the tag monitoring";
            checks.push(Check::fail("login", failure.to_string(), advice));
            return checks;
        }
    }
    if with_machine {
        checks.extend(machine(api));
    }
    match api.get("/bongsu/v1/overview") {
        Ok(overview) => checks.extend([alarms(&overview), clock(&overview)]),
        Err(failure) => {
            checks.push(Check::warn(
                "alarms",
                failure.to_string(),
                "look at its log",
            ));
        }
    }
    checks.extend(queues(api));
    checks.extend(guest(api));
    checks
}

/// What the broker finds about itself and its machine.
fn machine(api: &Api) -> Vec<Check> {
    let found = api.get("/bongsu/v1/doctor").and_then(|mut found| {
        let items = found["items"].take();
        serde_json::from_value::<Vec<Check>>(items)
            .map_err(|error| Failure::Failed(format!("its check-up cannot be read: {error}")))
    });
    found.unwrap_or_else(|failure| {
        let advice = "ask as a user with the tag monitoring";
        vec![Check::warn("check-up", failure.to_string(), advice)]
    })
}

/// Expiry and schedules go by the broker's clock.
fn clock(overview: &Value) -> Check {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let here = since.map_or(0, |since| since.as_millis() as i64);
    let there = overview["now"].as_i64().unwrap_or(here);
    let seconds = (there - here) / 1000;
    match seconds.abs() > CLOCK_SLACK_S {
        true => Check::warn(
            "broker's clock",
            format!("it differs from this machine's by {seconds} s"),
            "let both follow a time server",
        ),
        false => Check::ok("broker's clock", "as this machine's"),
    }
}

fn alarms(overview: &Value) -> Check {
    let alarms: Vec<String> = overview["alarms"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|alarm| shown(&alarm["reason"], Shown::Text))
        .collect();
    match alarms.is_empty() {
        true => Check::ok("alarms", "none"),
        false => Check::fail(
            "alarms",
            alarms.join("; "),
            "publishers are held back until it is over: make room, or raise the limit",
        ),
    }
}

/// The deepest queues, and why those do not move that do not.
fn queues(api: &Api) -> Vec<Check> {
    let query = [
        ("kind", "queue"),
        ("sort", "depth.total"),
        ("sort_reverse", "true"),
        ("page_size", "50"),
    ];
    let found = match api.get(&with_query("/bongsu/v1/queues", &query)) {
        Ok(found) => found,
        Err(failure) => {
            return vec![Check::warn(
                "queues",
                failure.to_string(),
                "look at its log",
            )];
        }
    };
    let deep = found["items"].as_array().cloned().unwrap_or_default();
    let deep = deep.iter().filter(|queue| number(queue, "total") > 0);
    let stuck: Vec<Check> = deep.filter_map(|queue| stuck(api, queue)).collect();
    match stuck.is_empty() {
        true => vec![Check::ok("queues", "everything that can be delivered is")],
        false => stuck,
    }
}

fn number(queue: &Value, state: &str) -> u64 {
    queue["depth"][state].as_u64().unwrap_or(0)
}

fn stuck(api: &Api, queue: &Value) -> Option<Check> {
    let (space, name) = (queue["space"].as_str()?, queue["name"].as_str()?);
    let why = api.get(&path(&["bongsu", "v1", "queues", space, name, "why"]));
    let why = why.ok()?;
    if why["delivering"] == true {
        return None;
    }
    let advice = match why["code"].as_str()? {
        "empty" | "waiting_for_time" | "all_leased" | "reading" => return None,
        "no_consumers" => "start a consumer, let records expire (x-message-ttl), or delete it",
        "at_prefetch" => {
            "consumers do not acknowledge: see `bongsu queue leases`, raise the prefetch, add \
             consumers, or set x-consumer-timeout"
        }
        "slow_consumers" => {
            "consumers do not read what they are sent: add some, or make them faster"
        }
        "blocked" => "publishers are held back: see alarms",
        _ => "see `bongsu queue why`",
    };
    let text = shown(&why["text"], Shown::Text);
    let found = format!("'{name}' in space '{space}': {text}");
    Some(Check::warn("stuck queue", found, advice))
}

/// The user that everybody knows.
fn guest(api: &Api) -> Option<Check> {
    let users = api.list("/api/users", &[]).ok()?;
    let is_there = users.iter().any(|user| user["name"] == "guest");
    Some(match is_there && users.len() > 1 {
        true => Check::warn(
            "users",
            "the user guest is still there beside others",
            "delete it: it gets in from this machine only, but with a password that all know",
        ),
        false if users.len() == 1 => Check::ok("users", "1 user"),
        false => Check::ok("users", format!("{} users", users.len())),
    })
}

const CLOCK_SLACK_S: i64 = 30;
