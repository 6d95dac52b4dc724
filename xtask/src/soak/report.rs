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
    text += "\nLongest: of either ledger, without a confirm and without a delivery. Again: from the fault's end\n\
             until all were served. Lines: warnings in the broker's log.\n\n";
    for row in &summary.rows {
        text += &format!("**{}** (at {:.0} s; {}):\n", row.name, row.at_s, row.must);
        row.facts
            .iter()
            .for_each(|fact| text += &format!("{fact}.\n"));
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

fn table(summary: &Summary) -> String {
    let head = [
        "fault",
        "lasted",
        "no confirm",
        "no delivery",
        "served again",
        "memory",
        "lines",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for row in &summary.rows {
        rows.push([
            row.name.to_owned(),
            format!("{:.0} s", row.seconds),
            format!("{:.1} s", row.standstills[0].as_secs_f64()),
            format!("{:.1} s", row.standstills[1].as_secs_f64()),
            row.recovery.map_or("never".to_owned(), |time| {
                format!("{:.1} s", time.as_secs_f64())
            }),
            format!("{} MiB", row.memory_peak_bytes >> 20),
            row.warnings.to_string(),
        ]);
    }
    let mut widths = [0; 7];
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
