//! `bongsu status`: how a running broker is, in one look.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::Asked;
use super::failure::Failure;
use super::listing::{Shown, at, marks, print_done, print_json, print_text, shown};
use super::terminal::has_colours;

/// What is asked.
#[derive(Debug, Args)]
pub struct Options {
    /// Only whether it is ready for clients, by the exit code; needs no login.
    #[arg(long)]
    ready: bool,
}

/// Asks and shows.
pub fn run(asked: &Asked, options: &Options) -> Result<(), Failure> {
    if options.ready {
        let found = asked.api()?.get("/health/ready")?;
        return print_done(asked.is_json, "ready", &found);
    }
    let overview = asked.api()?.get("/bongsu/v1/overview")?;
    match asked.is_json {
        true => print_json(&overview),
        false => print_text(&lines(&overview, has_colours())),
    }
}

/// The overview in a few lines.
pub fn lines(overview: &Value, has_colours: bool) -> String {
    let (bold, plain) = marks(has_colours);
    let of = |key: &str, how: Shown| shown(at(overview, key), how);
    let count = |key: &str| of(key, Shown::Count);
    let rate = |key: &str| of(&format!("rates/{key}"), Shown::Rate);
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{bold}{name:<12}{plain}{text}");
    };
    let up = of("uptime_ms", Shown::Span);
    line("bongsu", format!("{}, up {up}", of("version", Shown::Text)));
    line(
        "records",
        format!(
            "{} ready, {} leased, {} waiting, {} dying",
            count("totals/ready"),
            count("totals/leased"),
            count("totals/waiting"),
            count("totals/dying")
        ),
    );
    line(
        "rates",
        format!(
            "publish {}, deliver {}, ack {}, redeliver {}",
            rate("publish"),
            rate("deliver"),
            rate("ack"),
            rate("redeliver")
        ),
    );
    line(
        "objects",
        format!(
            "{} queues, {} streams, {} exchanges, {} groups",
            count("totals/queues"),
            count("totals/streams"),
            count("totals/exchanges"),
            count("totals/groups")
        ),
    );
    line(
        "clients",
        format!(
            "{} connections, {} channels, {} consumers",
            count("totals/connections"),
            count("totals/channels"),
            count("totals/consumers")
        ),
    );
    let (used, limit) = (
        of("memory/used", Shown::Bytes),
        of("memory/limit", Shown::Bytes),
    );
    line("memory", format!("{used} of {limit}"));
    let (free, limit) = (
        of("disk/free", Shown::Bytes),
        of("disk/limit", Shown::Bytes),
    );
    line(
        "disk",
        format!("{free} free, publishers wait below {limit}"),
    );
    let ms = |key: &str| of(key, Shown::Text);
    line(
        "commit",
        format!(
            "{} ms median, {} ms 99%",
            ms("commit_ms/p50"),
            ms("commit_ms/p99")
        ),
    );
    let none = Vec::new();
    let alarms = overview["alarms"].as_array().unwrap_or(&none);
    if alarms.is_empty() {
        line("alarms", "none".to_owned());
    }
    for alarm in alarms {
        let (red, plain) = match has_colours {
            true => ("\x1b[31m", "\x1b[0m"),
            false => ("", ""),
        };
        let (kind, reason) = (shown(&alarm["kind"], Shown::Text), &alarm["reason"]);
        let reason = shown(reason, Shown::Text);
        line("alarm", format!("{red}{kind}: {reason}{plain}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_overview_is_a_few_lines() {
        let overview = json!({
            "version": "1.0", "uptime_ms": 7_300_000,
            "totals": { "ready": 3, "leased": 1, "waiting": 0, "dying": 0, "queues": 2 },
            "rates": { "publish": 12.0 },
            "memory": { "used": 1_048_576, "limit": 2_097_152 },
            "disk": { "free": 1_073_741_824_u64, "limit": 1024 },
            "alarms": [{ "kind": "disk", "reason": "low\u{1b}" }],
        });
        let lines = lines(&overview, false);
        for part in [
            "bongsu      1.0, up 2.0 h\n",
            "3 ready, 1 leased",
            "publish 12/s, deliver -",
            "1.0 MiB of 2.0 MiB",
            "disk: low\\u{1b}",
        ] {
            assert!(lines.contains(part), "{part} in {lines}");
        }
    }
}
