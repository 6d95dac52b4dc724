//! One page: what was done to the broker, how it and its clients fared.

use super::picture;
use super::watch::{Band, Sample};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One fault of a run.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) must: &'static str,
    pub(super) at_s: f64,
    pub(super) seconds: f64,
    pub(super) facts: Vec<String>,
    /// The longest without a confirm, and without a delivery, of either ledger.
    pub(super) standstills: [Duration; 2],
    /// From its end until all were served.
    pub(super) recovery: Option<Duration>,
    pub(super) memory_peak_bytes: u64,
    /// Lines of the broker's log.
    pub(super) warnings: usize,
}

/// A run.
pub(super) struct Summary {
    pub(super) command: String,
    pub(super) seconds: f64,
    pub(super) disk: String,
    pub(super) calm: String,
    pub(super) rows: Vec<Row>,
    pub(super) skipped: Vec<(&'static str, String)>,
    /// The ledgers' last words.
    pub(super) sums: Vec<String>,
    pub(super) violations: Vec<String>,
    pub(super) samples: Vec<Sample>,
    pub(super) bands: Vec<Band>,
}

pub(super) fn write(page: &Path, summary: &Summary) -> Result<(), String> {
    let picture = page.with_extension("svg");
    let name = picture
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let text = page_of(summary, &name.unwrap_or_default());
    if let Some(folder) = page.parent() {
        let _ = fs::create_dir_all(folder);
    }
    for (path, text) in [(page, text), (&picture, picture::draw(summary))] {
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// For the terminal: the sums, and what did not hold.
pub(super) fn in_short(summary: &Summary) -> String {
    let mut lines = summary.sums.clone();
    lines.extend(
        summary
            .violations
            .iter()
            .map(|text| format!("VIOLATION {text}")),
    );
    lines.push(format!(
        "{} faults, {} skipped, {} violations in {:.0} s",
        summary.rows.len(),
        summary.skipped.len(),
        summary.violations.len(),
        summary.seconds
    ));
    lines.join("\n")
}

pub(super) fn page_of(summary: &Summary, picture: &str) -> String {
    let held = match summary.violations.len() {
        0 => "All held.".to_owned(),
        count => format!("**{count} violations**, below."),
    };
    let mut text = format!(
        "# Soak: {:.0} minutes\n\n    {}\n\n{held} Disk: {}. Calm: {}.\n\n",
        summary.seconds / 60.0,
        summary.command,
        summary.disk,
        summary.calm
    );
    text += &format!("![rates and memory over time]({picture})\n\n");
    summary
        .sums
        .iter()
        .for_each(|sum| text += &format!("- {sum}\n"));
    text += "\n";
    text += &table(summary);
    text += "\nOf all times a fault was on the worst: the longest that either ledger went without a confirm and\n\
             without a delivery, and from its end until all were served again. Warnings are lines of the\n\
             broker's log. Below, the time each went worst.\n\n";
    for row in worst_of_each(&summary.rows) {
        let (name, at_s) = (row.name, row.at_s);
        text += &format!("**{name}**, at {at_s:.0} s. Must hold: {}.\n\n", row.must);
        for fact in &row.facts {
            text += &format!("- {fact}\n");
        }
        text += "\n";
    }
    if !summary.skipped.is_empty() {
        text += "Skipped:\n\n";
        for (name, reason) in &summary.skipped {
            text += &format!("- {name}: {reason}\n");
        }
        text += "\n";
    }
    if !summary.violations.is_empty() {
        text += "## Violations\n\n";
        summary
            .violations
            .iter()
            .for_each(|line| text += &format!("- {line}\n"));
    }
    text
}

/// Of each fault the time it went worst, in the order they were first on: a page stays a page
/// however many hours it is about.
fn worst_of_each(rows: &[Row]) -> Vec<&Row> {
    let mut worst: Vec<&Row> = Vec::new();
    for row in rows {
        let badness = |row: &Row| (row.recovery.is_none(), row.standstills[0]);
        match worst.iter_mut().find(|known| known.name == row.name) {
            Some(known) if badness(row) > badness(known) => *known = row,
            Some(_) => {}
            None => worst.push(row),
        }
    }
    worst
}

fn table(summary: &Summary) -> String {
    let head = [
        "fault",
        "times",
        "lasted",
        "no confirm",
        "no delivery",
        "served again",
        "memory",
        "warnings",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for fault in worst_of_each(&summary.rows) {
        let all = || summary.rows.iter().filter(|row| row.name == fault.name);
        let most = |of: fn(&Row) -> Duration| all().map(of).max().unwrap_or_default().as_secs_f64();
        let never = all().any(|row| row.recovery.is_none());
        let memory = all().map(|row| row.memory_peak_bytes).max().unwrap_or(0);
        rows.push([
            fault.name.to_owned(),
            all().count().to_string(),
            format!("{:.0} s", all().map(|row| row.seconds).fold(0.0, f64::max)),
            format!("{:.1} s", most(|row| row.standstills[0])),
            format!("{:.1} s", most(|row| row.standstills[1])),
            match never {
                true => "never".to_owned(),
                false => format!("{:.1} s", most(|row| row.recovery.unwrap_or_default())),
            },
            format!("{} MiB", memory >> 20),
            all().map(|row| row.warnings).sum::<usize>().to_string(),
        ]);
    }
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            text += &match column {
                0 => format!("| {cell:width$} "),
                _ => format!("| {cell:>width$} "),
            };
        }
        text += "|\n";
        if at == 0 {
            for (column, width) in widths.iter().enumerate() {
                let line = "-".repeat(width + 1);
                text += &if column == 0 {
                    format!("|{line}-")
                } else {
                    format!("|{line}:")
                };
            }
            text += "|\n";
        }
    }
    text
}
