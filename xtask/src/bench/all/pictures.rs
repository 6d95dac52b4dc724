//! Which figures are drawn, and under which names.

use std::path::Path;

use super::super::Result;
use super::columns::Column;
use super::gathered::Gathered;
use super::steps::{AXES, WORKLOADS};
use super::{bars, lines};

/// Draws what there are figures of; the names that pictures were written under.
pub fn draw(gathered: &Gathered, columns: &[Column], out: &Path) -> Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for workload in WORKLOADS {
        let figures: &[(&str, &str)] = match workload.backlog {
            true => BACKLOG_FIGURES,
            false => FIGURES,
        };
        let panel = |(key, title): &(&'static str, &'static str)| bars::Panel {
            title,
            bars: columns
                .iter()
                .map(|column| {
                    let median = gathered.median(workload.name, column.id, key);
                    let value = median.map(|median| median.value);
                    (column.id, column.title.clone(), value)
                })
                .collect(),
        };
        let panels: Vec<_> = figures.iter().map(panel).collect();
        let title = format!("{}: {}", workload.name, workload.about);
        if let Some(picture) = bars::draw(&title, &panels) {
            std::fs::write(out.join(format!("{}.svg", workload.name)), picture)?;
            names.push(workload.name);
        }
    }
    for axis in AXES {
        let panel = |(key, title): &(&'static str, &'static str)| lines::Panel {
            title,
            lines: columns
                .iter()
                .map(|column| {
                    let points = gathered.line(axis, column.id, key);
                    (column.id, column.title.clone(), points)
                })
                .filter(|line| !line.2.is_empty())
                .collect(),
        };
        let panels: Vec<_> = GROWTH_FIGURES.iter().map(panel).collect();
        let title = format!("{}: {}", axis.name, axis.about);
        if let Some(picture) = lines::draw(&title, axis.unit, &panels) {
            std::fs::write(out.join(format!("{}.svg", axis.name)), picture)?;
            names.push(axis.name);
        }
    }
    Ok(names)
}

const FIGURES: &[(&str, &str)] = &[
    ("in_rate", "messages a second in (more is better)"),
    (
        "confirm_p99_ms",
        "publish to answer, p99, ms (less is better)",
    ),
    ("cpu_us", "broker CPU a message, µs (less is better)"),
    ("peak_mb", "broker peak memory, MB (less is better)"),
];
const BACKLOG_FIGURES: &[(&str, &str)] = &[
    ("fill_rate", "messages a second in (more is better)"),
    ("drain_rate", "messages a second out (more is better)"),
    (
        "drain_cpu_us",
        "broker CPU a message drained, µs (less is better)",
    ),
    ("peak_mb", "broker peak memory, MB (less is better)"),
];
const GROWTH_FIGURES: &[(&str, &str)] = &[
    ("in_rate", "messages a second"),
    ("cpu_us", "broker CPU a message, µs"),
    ("peak_mb", "broker peak memory, MB"),
];
