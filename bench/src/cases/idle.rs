//! Doing nothing: what an idle broker holds and burns, and what each idle connection adds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Options;
use crate::Result;
use crate::client::Client;
use crate::process::{Tree, raise_file_limit};
use crate::report::Report;

/// The case's name.
pub const NAME: &str = "idle";

/// Watches the broker alone, then with connections.
pub fn run(options: &Options, tree: Option<Tree>) -> Result<Report> {
    let tree = tree.ok_or("needs --pid, there is nothing else to measure")?;
    raise_file_limit();
    let (start, cpu_before) = (Instant::now(), tree.cpu());
    sleep(SETTLE_TIME);
    let busy = (tree.cpu() - cpu_before).as_secs_f64() / start.elapsed().as_secs_f64();
    let alone = tree.resident_bytes();

    let connections = (0..options.connections)
        .map(|_| Client::connect_buffered(options.broker, 0))
        .collect::<Result<Vec<Client>>>()?;
    sleep(SETTLE_TIME);
    let grown = tree.resident_bytes().saturating_sub(alone);
    for connection in connections {
        connection.close()?;
    }

    let mut report = Report::new(NAME);
    report.add("idle_mb", alone as f64 / 1e6);
    report.add("idle_cpu_percent", busy * 100.0);
    report.add(
        "connection_kb",
        grown as f64 / 1e3 / options.connections.max(1) as f64,
    );
    Ok(report)
}

const SETTLE_TIME: Duration = Duration::from_secs(5);
