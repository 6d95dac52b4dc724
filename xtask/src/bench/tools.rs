//! Kafka's own tools for performance, against either broker: what their users would see.

use std::path::Path;
use std::process::Command;

use super::broker::Installed;
use super::result::Figures;
use super::{Places, Result};

/// Produces with the one tool and consumes with the other.
pub fn run(broker: &Installed, places: &Places) -> Result<Figures> {
    let mut running = broker.start(places, false)?;
    let tools = Installed::kafka_tools();
    let server = running.address().to_string();
    let create = ["--create", "--topic", TOPIC, "--partitions", "12"];
    tool(&tools, "topics", &server, &create)?;
    let produce = [
        "--topic",
        TOPIC,
        "--num-records",
        RECORDS,
        "--record-size",
        "1024",
        "--throughput",
        "-1",
        "--command-property",
        "acks=all",
        "--command-property",
        "batch.size=131072",
        "--command-property",
        "linger.ms=5",
        "--command-property",
        "buffer.memory=134217728",
    ];
    let produced = tool(&tools, "producer-perf-test", &server, &produce)?;
    let consume = [
        "--topic",
        TOPIC,
        "--num-records",
        RECORDS,
        "--timeout",
        "60000",
    ];
    let consumed = tool(&tools, "consumer-perf-test", &server, &consume)?;
    running.stop()?;
    // "… records sent, 812345.6 records/sec (793.31 MB/sec), … 12 ms 99th, …"
    let summary = produced.lines().rev().find(|line| line.contains("99.9th"));
    let summary = summary.ok_or_else(|| format!("the producer said {produced:?}"))?;
    let rate = before(summary, " records/sec")?;
    let p99 = before(summary, " ms 99th")?;
    // start.time, end.time, MB, MB/s, records, records/s, rebalance.ms, fetch.ms, MB/s, records/s
    let row = consumed.lines().rev().find(|line| line.starts_with("20"));
    let row = row.ok_or_else(|| format!("the consumer said {consumed:?}"))?;
    let fetched: f64 = row.rsplit(", ").next().unwrap_or_default().trim().parse()?;
    Ok(vec![
        ("in_rate".to_owned(), rate),
        ("confirm_p99_ms".to_owned(), p99),
        ("out_rate".to_owned(), fetched),
    ])
}

fn tool(tools: &Path, name: &str, server: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(tools)
        .arg(name)
        .args(["--bootstrap-server", server])
        .args(arguments)
        // Enough for its buffers, and the compiler that makes it fast.
        .env("KAFKA_JVM", "-Xmx512m -XX:+UseParallelGC")
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{name} failed: {said}").into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The number right before `unit`.
fn before(line: &str, unit: &str) -> Result<f64> {
    let end = line
        .find(unit)
        .ok_or_else(|| format!("no {unit:?} in {line:?}"))?;
    let number = line[..end].rsplit([' ', ',']).next().unwrap_or_default();
    Ok(number.parse()?)
}

const TOPIC: &str = "perf";
const RECORDS: &str = "2000000";
