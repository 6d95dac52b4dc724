//! The comparison as a table: a row for each figure of each case, a column for each broker.

use std::fmt::Write;

use super::broker::{Installed, Kind};
use super::result::{Figures, Median, Results};
use super::{Options, root};

/// One row: what was measured, by each broker, and how many times better the first is.
pub struct Row {
    case: String,
    metric: &'static str,
    cells: Vec<String>,
    ratio: Option<f64>,
}

enum Better {
    Higher,
    Lower,
    /// Shown so that the others can be trusted.
    Neither,
}

/// A figure's key in the generator's JSON, its name, which way is better, its decimals.
struct Metric(&'static str, &'static str, Better, usize);

/// All rows with a figure in them.
pub fn rows(cases: &[String], brokers: &[Installed], results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in cases {
        for Metric(key, name, better, decimals) in METRICS {
            let medians: Vec<Option<Median>> = brokers
                .iter()
                .map(|broker| results.median(case, broker.kind, key))
                .collect();
            if medians.iter().all(Option::is_none) {
                continue;
            }
            let cell = |(median, broker): (&Option<Median>, &Installed)| match median {
                Some(median) => shown(*median, *decimals),
                None if results.failed(case, broker.kind) => "failed".to_owned(),
                None => "-".to_owned(),
            };
            rows.push(Row {
                case: case.clone(),
                metric: name,
                cells: medians.iter().zip(brokers).map(cell).collect(),
                ratio: ratio(&medians, better),
            });
        }
    }
    rows
}

/// For people at a terminal.
pub fn text(rows: &[Row], brokers: &[Installed], colours: bool) -> String {
    let mut table = vec![titles(brokers)];
    table.extend(rows.iter().map(Row::columns));
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..table[0].len()).filter_map(width).collect();

    let mut text = String::new();
    let mut case = "";
    for (number, columns) in table.iter().enumerate() {
        let ratio = number.checked_sub(1).and_then(|row| rows[row].ratio);
        for (column, (content, width)) in columns.iter().zip(&widths).enumerate() {
            let repeated = column == 0 && content == case;
            let content = if repeated { "" } else { content.as_str() };
            let cell = match column {
                0 | 1 => format!("{content:<width$}  "),
                _ => format!("{content:>width$}  "),
            };
            let colour = match ratio {
                Some(ratio) if colours && column + 1 == columns.len() => {
                    if ratio >= 1.0 {
                        GREEN
                    } else {
                        RED
                    }
                }
                _ => "",
            };
            let reset = if colour.is_empty() { "" } else { RESET };
            text.push_str(&format!("{colour}{cell}{reset}"));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        case = &columns[0];
    }
    text
}

/// For a document.
pub fn markdown(rows: &[Row], brokers: &[Installed], options: &Options) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "Medians of {} rounds of {} s on {cores} cores, brokers and load generator together; \
         ± is half the range over the rounds, and what has none was measured once.",
        options.rounds, options.seconds
    );
    if brokers.len() > 1 {
        text +=
            " A ratio above 1 means that Bongsu does better; no figure, that the other lacks it.";
    }
    text += "\n\n";
    let columns = titles(brokers);
    let line = |columns: &[String]| format!("| {} |\n", columns.join(" | "));
    text += &line(&columns);
    let aligned = |column: usize| if column < 2 { "---" } else { "---:" }.to_owned();
    text += &line(&(0..columns.len()).map(aligned).collect::<Vec<_>>());
    rows.iter().for_each(|row| text += &line(&row.columns()));
    let ours = brokers.iter().any(|broker| broker.kind == Kind::Bongsu);
    if let Some(commit) = commit().filter(|_| ours) {
        writeln!(text, "\nBongsu at {commit}.").expect("a string takes everything");
    }
    text
}

/// What a progress line says of one round.
pub fn headline(figures: &Figures) -> String {
    let wanted = METRICS
        .iter()
        .filter(|metric| HEADLINES.contains(&metric.0));
    let parts = wanted.filter_map(|Metric(key, name, _, decimals)| {
        let (_, value) = figures.iter().find(|(found, _)| found == key)?;
        Some(format!("{name} {}", grouped(*value, *decimals)))
    });
    parts.collect::<Vec<_>>().join("; ")
}

impl Row {
    fn columns(&self) -> Vec<String> {
        let mut columns = vec![self.case.clone(), self.metric.to_owned()];
        columns.extend(self.cells.iter().cloned());
        if self.cells.len() > 1 {
            columns.push(
                self.ratio
                    .map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            );
        }
        columns
    }
}

fn titles(brokers: &[Installed]) -> Vec<String> {
    let mut titles = vec!["case".to_owned(), "figure".to_owned()];
    titles.extend(brokers.iter().map(|broker| broker.title.clone()));
    if brokers.len() > 1 {
        titles.push("ratio".to_owned());
    }
    titles
}

fn ratio(medians: &[Option<Median>], better: &Better) -> Option<f64> {
    let [Some(first), Some(second)] = medians else {
        return None;
    };
    let ratio = match better {
        Better::Higher => first.value / second.value,
        Better::Lower => second.value / first.value,
        Better::Neither => return None,
    };
    ratio.is_finite().then_some(ratio)
}

/// A median, and how far its rounds lie apart.
pub fn shown(median: Median, decimals: usize) -> String {
    let value = grouped(median.value, decimals);
    if median.rounds < 2 {
        value
    } else {
        format!("{value} ±{:.0}%", median.spread * 100.0)
    }
}

/// `12345.678` as `12,345.7`. Figures are never negative.
pub fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let digits = plain.find('.').unwrap_or(plain.len());
    let mut text = String::new();
    for (at, character) in plain.chars().enumerate() {
        if at > 0 && at < digits && (digits - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(character);
    }
    text
}

fn commit() -> Option<String> {
    let git = ["describe", "--always", "--dirty"];
    let output = std::process::Command::new("git")
        .args(git)
        .current_dir(root())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

const METRICS: &[Metric] = &[
    Metric("sync_4k_rate", "syncs a second", Better::Higher, 0),
    Metric("disk_mb", "disk, MB/s", Better::Higher, 0),
    Metric("loopback_mb", "loopback, MB/s", Better::Higher, 0),
    Metric("in_rate", "in, msg/s", Better::Higher, 0),
    Metric("out_rate", "out, msg/s", Better::Higher, 0),
    Metric("in_mb", "in, MB/s", Better::Higher, 1),
    Metric("plain_rate", "in, plain queue, msg/s", Better::Higher, 0),
    Metric(
        "length_rate",
        "in, maximum length not reached, msg/s",
        Better::Higher,
        0,
    ),
    Metric("ttl_rate", "in, TTL not reached, msg/s", Better::Higher, 0),
    Metric(
        "one_priority_rate",
        "in, one priority, msg/s",
        Better::Higher,
        0,
    ),
    Metric(
        "dead_letter_rate",
        "in, dead letters that never are, msg/s",
        Better::Higher,
        0,
    ),
    Metric("all_rate", "in, all of these, msg/s", Better::Higher, 0),
    Metric(
        "plain_cpu_us",
        "CPU per message, plain queue, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "length_cpu_us",
        "CPU per message, maximum length not reached, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "ttl_cpu_us",
        "CPU per message, TTL not reached, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "one_priority_cpu_us",
        "CPU per message, one priority, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "dead_letter_cpu_us",
        "CPU per message, dead letters that never are, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "all_cpu_us",
        "CPU per message, all of these, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "declare_rate",
        "queues declared a second",
        Better::Higher,
        0,
    ),
    Metric("fill_rate", "fill, msg/s", Better::Higher, 0),
    Metric("drain_rate", "drain, msg/s", Better::Higher, 0),
    Metric("replay_rate", "read again, msg/s", Better::Higher, 0),
    Metric("confirm_p50_ms", "confirm p50, ms", Better::Lower, 3),
    Metric("confirm_p99_ms", "confirm p99, ms", Better::Lower, 3),
    Metric("confirm_p999_ms", "confirm p99.9, ms", Better::Lower, 3),
    Metric("commit_p50_ms", "commit p50, ms", Better::Lower, 3),
    Metric("commit_p99_ms", "commit p99, ms", Better::Lower, 3),
    Metric("commit_p999_ms", "commit p99.9, ms", Better::Lower, 3),
    Metric("end_p50_ms", "end to end p50, ms", Better::Lower, 3),
    Metric("end_p99_ms", "end to end p99, ms", Better::Lower, 3),
    Metric("end_p999_ms", "end to end p99.9, ms", Better::Lower, 3),
    Metric("late_p50_ms", "behind its time p50, ms", Better::Lower, 3),
    Metric("late_p99_ms", "behind its time p99, ms", Better::Lower, 3),
    Metric(
        "late_p999_ms",
        "behind its time p99.9, ms",
        Better::Lower,
        3,
    ),
    Metric("cpu_us", "broker CPU per message, µs", Better::Lower, 2),
    Metric(
        "fill_cpu_us",
        "broker CPU per message filled, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "drain_cpu_us",
        "broker CPU per message drained, µs",
        Better::Lower,
        2,
    ),
    Metric(
        "replay_cpu_us",
        "broker CPU per message read again, µs",
        Better::Lower,
        2,
    ),
    Metric("peak_mb", "broker peak RSS, MB", Better::Lower, 0),
    Metric(
        "held_mb",
        "RSS with all of it waiting, MB",
        Better::Lower,
        0,
    ),
    Metric("queue_kb", "RSS per queue, KB", Better::Lower, 2),
    Metric("restart_s", "start-up with all of it, s", Better::Lower, 2),
    Metric("restarted_mb", "RSS after that start, MB", Better::Lower, 0),
    Metric("start_s", "start-up with nothing, s", Better::Lower, 2),
    Metric(
        "cold",
        "read from a cold cache, 1 = yes",
        Better::Neither,
        0,
    ),
    Metric("idle_mb", "idle RSS, MB", Better::Lower, 0),
    Metric(
        "idle_cpu_percent",
        "idle CPU, % of a core",
        Better::Lower,
        2,
    ),
    Metric(
        "connection_kb",
        "RSS per idle connection, KB",
        Better::Lower,
        1,
    ),
    Metric("own_cores", "generator CPU, cores", Better::Neither, 2),
];
const HEADLINES: &[&str] = &[
    "sync_4k_rate",
    "disk_mb",
    "loopback_mb",
    "in_rate",
    "out_rate",
    "declare_rate",
    "fill_rate",
    "drain_rate",
    "replay_rate",
    "late_p99_ms",
    "restart_s",
    "plain_rate",
    "all_rate",
    "idle_mb",
    "cpu_us",
];
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";
