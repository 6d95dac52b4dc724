//! What a case measured, as a table for people and as one line of JSON for the comparison.

use std::fmt::Write;

use crate::histogram::Histogram;

/// The results of one case, in the order of `METRICS` when shown.
pub struct Report {
    case: &'static str,
    values: Vec<(&'static str, f64)>,
}

/// A figure's key in JSON, its name in the table, its decimals.
struct Metric(&'static str, &'static str, usize);

impl Report {
    /// No results yet.
    pub fn new(case: &'static str) -> Self {
        Self {
            case,
            values: Vec::new(),
        }
    }

    /// Adds a figure; `key` is one of `METRICS`.
    pub fn add(&mut self, key: &'static str, value: f64) {
        assert!(
            METRICS.iter().any(|metric| metric.0 == key),
            "{key} is not in the table"
        );
        self.values.push((key, value));
    }

    /// Adds the median, the 99th and the 99.9th percentile, if anything was counted.
    pub fn add_quantiles(&mut self, keys: [&'static str; 3], times: &Histogram) {
        for (key, share) in keys.into_iter().zip([0.5, 0.99, 0.999]) {
            if let Some(value) = times.quantile_ms(share) {
                self.add(key, value);
            }
        }
    }

    /// A figure added before.
    pub fn value(&self, key: &str) -> Option<f64> {
        self.values
            .iter()
            .find(|(found, _)| *found == key)
            .map(|(_, value)| *value)
    }

    /// One flat object: the case's name and the figures by key.
    pub fn json(&self) -> String {
        let mut line = format!("{{\"case\":\"{}\"", self.case);
        for (key, value) in self.values.iter().filter(|(_, value)| value.is_finite()) {
            write!(line, ",\"{key}\":{value:.4}").expect("a string takes everything");
        }
        line + "}"
    }

    /// The case's name and a line for each figure.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n", self.case);
        for Metric(key, name, decimals) in METRICS {
            for (_, value) in self.values.iter().filter(|(found, _)| found == key) {
                writeln!(text, "  {name:<34}{:>14}", grouped(*value, *decimals))
                    .expect("a string takes everything");
            }
        }
        text
    }
}

/// `12345.678` as `12,345.7`.
fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let digits = plain.find('.').unwrap_or(plain.len());
    let mut text = String::new();
    for (at, character) in plain.chars().enumerate() {
        if at > 0 && at < digits && (digits - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(character);
    }
    text
}

const METRICS: &[Metric] = &[
    Metric("point", "point", 0),
    Metric("sync_4k_rate", "appends of 4 KiB synced a second", 0),
    Metric("sync_4k_p50_ms", "append of 4 KiB synced p50, ms", 3),
    Metric("sync_4k_p99_ms", "append of 4 KiB synced p99, ms", 3),
    Metric("sync_4k_p999_ms", "append of 4 KiB synced p99.9, ms", 3),
    Metric("sync_256k_rate", "appends of 256 KiB synced a second", 0),
    Metric("rewrite_4k_rate", "rewrites of 4 KiB synced a second", 0),
    Metric("rewrite_4k_p50_ms", "rewrite of 4 KiB synced p50, ms", 3),
    Metric("rewrite_4k_p99_ms", "rewrite of 4 KiB synced p99, ms", 3),
    Metric("rewrite_4k_p999_ms", "rewrite of 4 KiB synced p99.9, ms", 3),
    Metric("disk_mb", "written in a row, MB/s", 0),
    Metric("loopback_mb", "loopback, MB/s", 0),
    Metric("clock_mhz", "clock, MHz", 0),
    Metric("open_rate", "connections opened a second", 0),
    Metric("in_rate", "in, msg/s", 0),
    Metric("out_rate", "out, msg/s", 0),
    Metric("in_mb", "in, MB/s of bodies", 1),
    Metric("plain_rate", "in, plain queue, msg/s", 0),
    Metric("length_rate", "in, maximum length not reached, msg/s", 0),
    Metric("ttl_rate", "in, TTL not reached, msg/s", 0),
    Metric("one_priority_rate", "in, one priority, msg/s", 0),
    Metric(
        "dead_letter_rate",
        "in, dead letters that never are, msg/s",
        0,
    ),
    Metric("all_rate", "in, all of these, msg/s", 0),
    Metric("plain_cpu_us", "CPU per message, plain queue, µs", 2),
    Metric(
        "length_cpu_us",
        "CPU per message, maximum length not reached, µs",
        2,
    ),
    Metric("ttl_cpu_us", "CPU per message, TTL not reached, µs", 2),
    Metric(
        "one_priority_cpu_us",
        "CPU per message, one priority, µs",
        2,
    ),
    Metric(
        "dead_letter_cpu_us",
        "CPU per message, dead letters that never are, µs",
        2,
    ),
    Metric("all_cpu_us", "CPU per message, all of these, µs", 2),
    Metric("declare_rate", "queues declared a second", 0),
    Metric("gathered", "gathered, messages", 0),
    Metric("fill_rate", "fill, msg/s", 0),
    Metric("drain_rate", "drain, msg/s", 0),
    Metric("replay_rate", "read again, msg/s", 0),
    Metric("confirm_p50_ms", "confirm p50, ms", 3),
    Metric("confirm_p99_ms", "confirm p99, ms", 3),
    Metric("confirm_p999_ms", "confirm p99.9, ms", 3),
    Metric("commit_p50_ms", "commit p50, ms", 3),
    Metric("commit_p99_ms", "commit p99, ms", 3),
    Metric("commit_p999_ms", "commit p99.9, ms", 3),
    Metric("end_p50_ms", "end to end p50, ms", 3),
    Metric("end_p99_ms", "end to end p99, ms", 3),
    Metric("end_p999_ms", "end to end p99.9, ms", 3),
    Metric("late_p50_ms", "behind its time p50, ms", 3),
    Metric("late_p99_ms", "behind its time p99, ms", 3),
    Metric("late_p999_ms", "behind its time p99.9, ms", 3),
    Metric("cpu_us", "broker CPU per message in, µs", 2),
    Metric("fill_cpu_us", "broker CPU per message filled, µs", 2),
    Metric("drain_cpu_us", "broker CPU per message drained, µs", 2),
    Metric("replay_cpu_us", "broker CPU per message read again, µs", 2),
    Metric("peak_mb", "broker peak RSS, MB", 1),
    Metric("held_mb", "broker RSS with all of it waiting, MB", 1),
    Metric("queue_kb", "RSS per queue, KB", 2),
    Metric("restart_s", "start-up with all of it waiting, s", 3),
    Metric("restarted_mb", "broker RSS after that start, MB", 1),
    Metric("cold", "read from a cold cache, 1 = yes", 0),
    Metric("first_s", "first record confirmed after, s", 3),
    Metric("idle_mb", "idle broker RSS, MB", 1),
    Metric("idle_cpu_percent", "idle broker CPU, % of a core", 2),
    Metric("connection_kb", "RSS per idle connection, KB", 1),
    Metric("own_cpu_us", "generator CPU per message in, µs", 2),
    Metric("own_cores", "generator CPU, cores", 2),
    Metric("drained_s", "drained after the end, s", 2),
];

#[cfg(test)]
mod tests;
