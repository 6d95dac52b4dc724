//! The settings as people read them: a table on the terminal, a sample file, a document.

use std::fmt::Write as _;

use super::{TABLE, environment_name};

/// An aligned table of all settings.
pub fn table() -> String {
    let rows: Vec<[String; 4]> = TABLE
        .iter()
        .map(|row| {
            [
                row.key.to_owned(),
                row.default.to_owned(),
                environment_name(row.key),
                row.meaning.to_owned(),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (key, default, environment) = (width(0), width(1), width(2));
    let mut out = String::new();
    for [k, d, e, meaning] in &rows {
        let _ = writeln!(out, "{k:key$}  {d:default$}  {e:environment$}  {meaning}");
    }
    out
}

/// A commented file with every default.
pub fn sample() -> String {
    let mut out = String::new();
    let mut section = "";
    for row in TABLE {
        let (part, name) = row.key.split_once('.').expect("keys have a section");
        if part != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}[{part}]");
            section = part;
        }
        let _ = writeln!(
            out,
            "# {}\n# accepted: {}",
            row.meaning,
            row.kind.accepted()
        );
        let _ = writeln!(out, "# {name} = \"{}\"", row.default);
    }
    out
}

/// `docs/configuration.md`.
#[cfg(test)]
pub fn document() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Made from the table in `crates/bongsu/src/settings/mod.rs`; a test keeps it so. A file is named with\n\
         `bongsu serve --config bongsu.toml` (`bongsu config --toml` prints a sample); the environment goes before\n\
         the file. A setting that nobody knows, or that is not accepted, stops the start with an error that names it.\n\n\
         | key | default | accepted | environment | meaning |\n|---|---|---|---|---|\n",
    );
    for row in TABLE {
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {} | `{}` | {} |",
            row.key,
            row.default,
            row.kind.accepted(),
            environment_name(row.key),
            row.meaning
        );
    }
    out
}
