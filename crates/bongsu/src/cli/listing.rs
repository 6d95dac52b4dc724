//! What commands print: aligned tables for people, JSON for programs.
//!
//! Both come from the same objects, so that a column has one name; what a name or a payload
//! holds that a terminal would obey is shown and not sent.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::terminal;

/// One column: its heading, where its value is in a row, and how it is shown.
pub struct Column {
    /// For people.
    pub heading: &'static str,
    /// A key of the row; with slashes, a path into it.
    pub key: &'static str,
    /// See [`Shown`].
    pub shown: Shown,
}

/// How a value is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Text,
    /// A number, to the right.
    Count,
    /// Bytes, as `1.5 MiB`.
    Bytes,
    /// Milliseconds, as `2 min`.
    Span,
    /// Unix milliseconds, as UTC.
    Time,
    /// A number each second.
    Rate,
}

/// A column of a table.
pub const fn column(heading: &'static str, key: &'static str, shown: Shown) -> Column {
    Column {
        heading,
        key,
        shown,
    }
}

/// Prints rows: a table, or a JSON array of them.
///
/// # Errors
/// The output's.
pub fn print_list(is_json: bool, columns: &[Column], rows: &[Value]) -> Result<(), Failure> {
    if is_json {
        return print_json(&Value::Array(rows.to_vec()));
    }
    if rows.is_empty() {
        eprintln!("nothing");
        return Ok(());
    }
    print_text(&table(columns, rows, terminal::has_colours()))
}

/// Prints one thing: its fields under each other, or JSON.
///
/// # Errors
/// The output's.
pub fn print_one(is_json: bool, one: &Value) -> Result<(), Failure> {
    if is_json {
        return print_json(one);
    }
    let mut fields = Vec::new();
    flatten("", one, &mut fields);
    let width = fields.iter().map(|(key, _)| width_of(key)).max();
    let width = width.unwrap_or(0);
    let (bold, plain) = marks(terminal::has_colours());
    let mut out = String::new();
    for (key, value) in fields {
        let gap = " ".repeat(width - width_of(&key));
        let _ = writeln!(out, "{bold}{key}{plain}{gap}  {value}");
    }
    print_text(&out)
}

/// Says that something was done: a sentence, or a JSON object.
///
/// # Errors
/// The output's.
pub fn print_done(is_json: bool, sentence: &str, object: &Value) -> Result<(), Failure> {
    match is_json {
        true => print_json(object),
        false => print_text(&format!("{sentence}\n")),
    }
}

/// Prints JSON.
///
/// # Errors
/// The output's.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("plain data with text keys");
    print_text(&format!("{text}\n"))
}

/// As `print!`, but a reader who has seen enough (`| head`) is no failure.
///
/// # Errors
/// The output's.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// An aligned table.
pub fn table(columns: &[Column], rows: &[Value], has_colours: bool) -> String {
    let cell = |row: &Value, column: &Column| shown(at(row, column.key), column.shown);
    let heading: Vec<String> = columns.iter().map(|c| c.heading.to_owned()).collect();
    let cells = rows
        .iter()
        .map(|row| columns.iter().map(|column| cell(row, column)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(cells).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|index| {
            lines
                .iter()
                .map(|line| width_of(&line[index]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let (bold, plain) = marks(has_colours);
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut text = String::new();
        for (index, cell) in line.iter().enumerate() {
            let gap = " ".repeat(widths[index] - width_of(cell));
            if index > 0 {
                text.push_str("  ");
            }
            match columns[index].shown {
                Shown::Text | Shown::Time => text.extend([cell.as_str(), &gap]),
                _ => text.extend([gap.as_str(), cell]),
            }
        }
        let text = text.trim_end();
        let _ = match number {
            0 => writeln!(out, "{bold}{text}{plain}"),
            _ => writeln!(out, "{text}"),
        };
    }
    out
}

/// Bold, and back.
pub fn marks(has_colours: bool) -> (&'static str, &'static str) {
    match has_colours {
        true => ("\x1b[1m", "\x1b[0m"),
        false => ("", ""),
    }
}

/// A value in a row: a key, or a path of them.
pub fn at<'a>(row: &'a Value, key: &str) -> &'a Value {
    let mut value = row;
    for part in key.split('/') {
        value = &value[part];
    }
    value
}

/// A value as people read it.
pub fn shown(value: &Value, how: Shown) -> String {
    let number = value.as_f64();
    match (how, number) {
        (_, None) => plain(value),
        (Shown::Bytes, Some(bytes)) => bytes_text(bytes),
        (Shown::Span, Some(ms)) => span_text(ms),
        (Shown::Time, Some(ms)) => time_text(ms),
        (Shown::Rate, Some(rate)) => match rate < 10.0 && rate > 0.0 {
            true => format!("{rate:.1}/s"),
            false => format!("{rate:.0}/s"),
        },
        (Shown::Text | Shown::Count, Some(_)) => plain(value),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => harmless(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            items.join(", ")
        }
        other => harmless(&other.to_string()),
    }
}

/// A text without what a terminal would obey.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        // Bidirectional marks would show another name than there is.
        let leads_astray = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match letter {
            letter if letter.is_control() || leads_astray => out.extend(letter.escape_default()),
            letter => out.push(letter),
        }
    }
    out
}

/// As [`harmless`], line by line.
pub fn harmless_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(harmless).collect();
    lines.join("\n")
}

/// `1.5 MiB`.
pub fn bytes_text(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = units[unit];
    match value < 10.0 && unit != "B" {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

/// `250 ms`, `14 s`, `3 min`, `2.5 h`, `4 d`.
pub fn span_text(ms: f64) -> String {
    let (seconds, minutes, hours) = (ms / 1e3, ms / 60e3, ms / 3600e3);
    match ms {
        ms if ms < 1e3 => format!("{ms:.0} ms"),
        ms if ms < 120e3 => format!("{seconds:.0} s"),
        ms if ms < 7200e3 => format!("{minutes:.0} min"),
        ms if ms < 172_800e3 => format!("{hours:.1} h"),
        _ => format!("{:.0} d", hours / 24.0),
    }
}

/// `2026-11-21 13:05:30Z`.
pub fn time_text(ms: f64) -> String {
    let seconds = (ms / 1e3).floor() as i64;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil from days, as Howard Hinnant has it: years that begin in March.
    let day = days + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let part = (5 * of_year + 2) / 153;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let date = of_year - (153 * part + 2) / 5 + 1;
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Columns that a text takes on a terminal.
pub fn width_of(text: &str) -> usize {
    let wide = |letter: char| {
        matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
    };
    text.chars()
        .map(|letter| 1 + usize::from(wide(letter)))
        .sum()
}

fn flatten(before: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let key = |name: &str| match before {
        "" => harmless(name),
        before => format!("{before}.{}", harmless(name)),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&key(name), value, out);
            }
        }
        Value::Object(_) => {}
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&key(&index.to_string()), item, out);
            }
        }
        value => {
            let name = before.rsplit('.').next().unwrap_or(before);
            let how = match name {
                name if name.ends_with("bytes") => Shown::Bytes,
                name if name.ends_with("_ms") => Shown::Span,
                name if name.ends_with("_at") => Shown::Time,
                _ => Shown::Text,
            };
            out.push((before.to_owned(), shown(value, how)));
        }
    }
}

/// An object of some fields of another, under their own names.
pub fn pick(row: &Value, fields: &[(&str, &str)]) -> Value {
    let picked = fields
        .iter()
        .map(|(name, key)| ((*name).to_owned(), at(row, key).clone()));
    Value::Object(picked.collect::<Map<_, _>>())
}

/// `{"done": what, name: value}`.
pub fn done(what: &str, name: &str, value: &str) -> Value {
    json!({ "done": what, name: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let columns = [
            column("NAME", "name", Shown::Text),
            column("READY", "depth/ready", Shown::Count),
            column("SIZE", "bytes", Shown::Bytes),
        ];
        let rows = [
            json!({ "name": "a", "depth": { "ready": 1000 }, "bytes": 1536 }),
            json!({ "name": "큐\u{1b}[2J", "depth": { "ready": 2 } }),
        ];
        let shown = "NAME         READY     SIZE\n\
                     a             1000  1.5 KiB\n\
                     큐\\u{1b}[2J      2        -\n";
        assert_eq!(table(&columns, &rows, false), shown);
    }

    #[test]
    fn numbers_are_shown_as_people_say_them() {
        assert_eq!(bytes_text(0.0), "0 B");
        assert_eq!(bytes_text(1023.0), "1023 B");
        assert_eq!(bytes_text(64.0 * 1024.0 * 1024.0), "64 MiB");
        assert_eq!(span_text(999.0), "999 ms");
        assert_eq!(span_text(840_000.0), "14 min");
        assert_eq!(span_text(9e6), "2.5 h");
        // As `date -u -d @… +%FT%T` has them.
        assert_eq!(time_text(0.0), "1970-01-01 00:00:00Z");
        assert_eq!(time_text(951_825_600_999.0), "2000-02-29 12:00:00Z");
        assert_eq!(time_text(1_795_266_330_000.0), "2026-11-21 13:05:30Z");
        assert_eq!(shown(&json!(0.25), Shown::Rate), "0.2/s");
        assert_eq!(shown(&json!(["a", "b"]), Shown::Text), "a, b");
    }
}
