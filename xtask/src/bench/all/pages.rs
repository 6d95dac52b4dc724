//! The section of `docs/performance.md`: pictures, a table of medians, the machine's limits.

use super::super::table::{grouped, shown};
use super::columns::Column;
use super::gathered::Gathered;
use super::steps::{AXES, WORKLOADS};
use super::{limits, machine};

/// All of it, as Markdown.
pub fn section(gathered: &Gathered, columns: &[Column], pictures: &[&'static str]) -> String {
    let (rounds, seconds) = gathered.settings;
    let mut text = format!(
        "{}; medians of {rounds} rounds of {seconds} s, brokers in turns, generator on the same \
         machine; Bongsu at {}, {}. ± is half the range over the rounds.\n\n",
        machine::sentence(),
        machine::commit(),
        machine::now()
    );
    for workload in WORKLOADS {
        if pictures.contains(&workload.name) {
            text += &format!(
                "![{0}: {1}](performance/{0}.svg)\n\n",
                workload.name, workload.about
            );
        }
    }
    text += &medians(gathered, columns);
    if let Some(tables) = limits::tables(gathered, columns) {
        text += "\n### How far from the machine's limits\n\n";
        text += &tables;
    }
    if AXES.iter().any(|axis| pictures.contains(&axis.name)) {
        text += "\n### How cost grows\n\n";
        for axis in AXES.iter().filter(|axis| pictures.contains(&axis.name)) {
            text += &format!(
                "![{0}: {1}](performance/{0}.svg)\n\n",
                axis.name, axis.about
            );
        }
        text += &growth(gathered, columns);
    }
    let mut failed = gathered.failed_steps().peekable();
    if failed.peek().is_some() {
        text += "\nNot measured:\n\n";
        for (what, id, reason) in failed {
            text += &format!("- {what} on {id}: {reason}\n");
        }
    }
    if gathered.skipped() > 0 {
        text += &format!(
            "\nThere was no time for {} measurements.\n",
            gathered.skipped()
        );
    }
    text
}

/// A row a figure, a column a broker.
fn medians(gathered: &Gathered, columns: &[Column]) -> String {
    let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
    let mut text = format!("| workload | figure | {} |\n", titles.join(" | "));
    text += &format!("| --- | --- |{}\n", " ---: |".repeat(columns.len()));
    let before = text.len();
    for workload in WORKLOADS {
        for (key, name, decimals) in FIGURES {
            let medians: Vec<_> = columns
                .iter()
                .map(|column| gathered.median(workload.name, column.id, key))
                .collect();
            if medians.iter().all(Option::is_none) {
                continue;
            }
            let cells = medians
                .into_iter()
                .map(|median| median.map_or("-".to_owned(), |median| shown(median, *decimals)));
            let cells = cells.collect::<Vec<_>>().join(" | ");
            text += &format!("| {} | {name} | {cells} |\n", workload.name);
        }
    }
    match text.len() == before {
        true => String::new(),
        false => text,
    }
}

/// A row a point: rate, cost, memory.
fn growth(gathered: &Gathered, columns: &[Column]) -> String {
    let mut text = String::from(
        "| axis | broker | point | msg/s | publish to answer p99, ms | CPU a message, µs \
         | peak memory, MB |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for axis in AXES {
        for column in columns {
            let rates = gathered.line(axis, column.id, "in_rate");
            for (point, rate) in rates {
                let figure = |key, decimals| {
                    let line = gathered.line(axis, column.id, key);
                    let found = line.iter().find(|(at, _)| *at == point);
                    found.map_or("-".to_owned(), |(_, value)| grouped(*value, decimals))
                };
                text += &format!(
                    "| {} | {} | {} | {} | {} | {} | {} |\n",
                    axis.name,
                    column.title,
                    grouped(point, 0),
                    grouped(rate, 0),
                    figure("confirm_p99_ms", 3),
                    figure("cpu_us", 2),
                    figure("peak_mb", 0)
                );
            }
        }
    }
    text
}

const FIGURES: &[(&str, &str, usize)] = &[
    ("in_rate", "in, msg/s", 0),
    ("out_rate", "out, msg/s", 0),
    ("gathered", "gathered, messages", 0),
    ("fill_rate", "in, msg/s", 0),
    ("drain_rate", "out, msg/s", 0),
    ("confirm_p50_ms", "publish to answer p50, ms", 3),
    ("confirm_p99_ms", "publish to answer p99, ms", 3),
    ("cpu_us", "broker CPU a message, µs", 2),
    ("fill_cpu_us", "broker CPU a message in, µs", 2),
    ("drain_cpu_us", "broker CPU a message out, µs", 2),
    ("peak_mb", "broker peak memory, MB", 0),
];
