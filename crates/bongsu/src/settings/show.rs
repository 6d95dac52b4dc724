//! The settings as people read them: a table on the terminal, a sample file, a document.

use std::fmt::Write as _;

use bongsu_admin::own::settings::Setting;

use super::{Row, Settings, TABLE, environment_name};

/// An aligned table of all settings under a heading.
pub fn table() -> String {
    let heading = ["KEY", "DEFAULT", "UNIT", "ENVIRONMENT", "MEANING"].map(str::to_owned);
    let rows = TABLE.iter().map(|row| {
        [
            row.key.to_owned(),
            row.default.to_owned(),
            row.kind.unit(),
            environment_name(row.key),
            row.meaning.to_owned(),
        ]
    });
    let lines: Vec<[String; 5]> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let (key, default, unit, environment) = (width(0), width(1), width(2), width(3));
    let mut out = String::new();
    for [k, d, u, e, meaning] in &lines {
        let _ = writeln!(
            out,
            "{k:key$}  {d:default$}  {u:unit$}  {e:environment$}  {meaning}"
        );
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

/// Every setting with the value that is in effect, as it was said.
pub fn in_effect(settings: &Settings) -> Vec<Setting> {
    let of = |row: &Row| {
        let said = settings.said.get(row.key).map(|said| said.trim());
        Setting {
            key: row.key,
            value: said.unwrap_or(row.default).to_owned(),
            default: row.default,
            is_default: said.is_none_or(|said| row.kind.read(said) == row.kind.read(row.default)),
            environment: environment_name(row.key),
            accepted: row.kind.accepted(),
            meaning: row.meaning,
        }
    };
    TABLE.iter().map(of).collect()
}

/// `docs/configuration.md`.
#[cfg(test)]
pub fn document() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Made from the table in `crates/bongsu/src/settings/mod.rs`; a test keeps it so. A file is named with\n\
         `bongsu serve --config bongsu.toml` (`bongsu config --toml` prints a sample); the environment goes before\n\
         the file. A setting that nobody knows, or that is not accepted, stops the start with an error that names it.\n\
         In the file, words, paths, addresses, durations and sizes with a unit are strings (`\"64 MiB\"`); bare numbers\n\
         need no quotes. Durations are whole seconds, written `10s`, `2m`, `1h` or `5000ms`.\n\n\
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
