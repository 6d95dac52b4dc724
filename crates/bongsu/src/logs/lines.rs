//! One record as one line, whatever is in it: names and texts of clients come with their
//! control characters escaped, so that nobody writes a line of somebody else's.
//!
//! Text: `time  LEVEL module: message name=value …`. JSON: an object with `time` (RFC 3339,
//! UTC), `level`, `module`, `message` and `fields`, an object by name.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// For people.
pub struct Text;

/// For programs.
pub struct Json;

/// What a record says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'a str,
    module: &'a str,
    message: &'a str,
    fields: &'a Map<String, Value>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Said {
    fn of(event: &Event<'_>) -> Said {
        let mut said = Said::default();
        event.record(&mut said);
        said
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => drop(self.fields.insert(name.to_owned(), value)),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let said = Said::of(event);
        let metadata = event.metadata();
        write_json(writer, *metadata.level(), metadata.target(), &said)
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let said = Said::of(event);
        let metadata = event.metadata();
        write_text(writer, *metadata.level(), metadata.target(), &said)
    }
}

fn write_json(mut writer: Writer<'_>, level: Level, module: &str, said: &Said) -> fmt::Result {
    let line = Line {
        time: &time()?,
        level: word(level),
        module,
        message: &said.message,
        fields: &said.fields,
    };
    let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
    writeln!(writer, "{line}")
}

fn write_text(mut writer: Writer<'_>, level: Level, module: &str, said: &Said) -> fmt::Result {
    let level = match (writer.has_ansi_escapes(), level) {
        (false, level) => format!("{level:>5}"),
        (true, Level::ERROR) => format!("\x1b[31m{level:>5}\x1b[0m"),
        (true, Level::WARN) => format!("\x1b[33m{level:>5}\x1b[0m"),
        (true, Level::INFO) => format!("\x1b[32m{level:>5}\x1b[0m"),
        (true, level) => format!("\x1b[34m{level:>5}\x1b[0m"),
    };
    write!(writer, "{} {level} {module}: ", time()?)?;
    write_escaped(&mut writer, &said.message)?;
    for (name, value) in &said.fields {
        write!(writer, " {name}=")?;
        match value {
            Value::String(text) => write_escaped(&mut writer, text)?,
            value => write!(writer, "{value}")?,
        }
    }
    writer.write_char('\n')
}

/// Control characters as `\n`, `\u{1b}`; the rest as it is.
fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character.is_control() {
            true => write!(writer, "{}", character.escape_default())?,
            false => writer.write_char(character)?,
        }
    }
    Ok(())
}

fn time() -> Result<String, fmt::Error> {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    Ok(time)
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Said {
        let mut fields = Map::new();
        fields.insert("user".to_owned(), "a\nb\u{1b}[31m\u{9b}".into());
        fields.insert("count".to_owned(), 3.into());
        Said {
            message: "login\r\nERROR forged".to_owned(),
            fields,
        }
    }

    #[test]
    fn a_record_is_one_line_of_text() {
        let mut out = String::new();
        let writer = Writer::new(&mut out);
        write_text(writer, Level::WARN, "bongsu_net", &hostile()).expect("written");
        let (time, rest) = out.split_once(' ').expect("a time");
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        let expected = concat!(
            " WARN bongsu_net: login\\r\\nERROR forged count=3 ",
            "user=a\\nb\\u{1b}[31m\\u{9b}\n"
        );
        assert_eq!(rest, expected);
    }

    #[test]
    fn a_record_is_one_object() {
        let mut out = String::new();
        let writer = Writer::new(&mut out);
        write_json(writer, Level::WARN, "bongsu_net", &hostile()).expect("written");
        assert_eq!(out.matches('\n').count(), 1, "{out}");
        let line: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["module"], "bongsu_net");
        assert_eq!(line["message"], "login\r\nERROR forged");
        assert_eq!(line["fields"]["user"], "a\nb\u{1b}[31m\u{9b}");
        assert_eq!(line["fields"]["count"], 3);
        assert!(line["time"].as_str().expect("text").ends_with('Z'));
    }
}
