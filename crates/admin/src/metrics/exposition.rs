//! The text that Prometheus reads (format 0.0.4), or OpenMetrics 1.0.0.
//!
//! They differ in what a counter's family is called (without `_total` in OpenMetrics), in the
//! end (`# EOF`), and in their content type. Families are written once each, samples right
//! behind; so callers write family by family.

use std::fmt::Write as _;

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, but for a restart; its samples end in `_total`.
    Counter,
    /// Anything.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Always 1, with facts as labels.
    Info,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    open: bool,
}

impl Exposition {
    /// Nothing yet; `open`: as OpenMetrics.
    pub fn new(open: bool) -> Exposition {
        Exposition {
            text: String::new(),
            open,
        }
    }

    /// The format's content type.
    pub fn content_type(&self) -> &'static str {
        match self.open {
            true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            false => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// A family begins: `name` as its samples are called.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (called, kind) = match (kind, self.open) {
            (Kind::Counter, true) => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            (Kind::Counter, false) => (name, "counter"),
            (Kind::Histogram, _) => (name, "histogram"),
            (Kind::Info, true) => (name.strip_suffix("_info").unwrap_or(name), "info"),
            (Kind::Gauge | Kind::Info, _) => (name, "gauge"),
        };
        self.text.push_str("# HELP ");
        self.text.push_str(called);
        self.text.push(' ');
        escaped(help, false, &mut self.text);
        // Writing to a string does not fail.
        let _ = write!(self.text, "\n# TYPE {called} {kind}\n");
    }

    /// One sample of the family.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escaped(text, true, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value.into() {
            Value::Whole(value) => writeln!(self.text, " {value}"),
            Value::Real(value) => writeln!(self.text, " {value}"),
        };
    }

    /// A family with one sample and no labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<Value>) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// All of it.
    pub fn finish(mut self) -> String {
        if self.open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Of a sample.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// Anything; finite.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Real(value)
    }
}

/// Backslash and line feed, and in labels the quote, cannot stand for themselves.
fn escaped(text: &str, quotes: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(open: bool) -> String {
        let mut text = Exposition::new(open);
        text.family("a_total", Kind::Counter, "A \\ and\na line.");
        text.sample("a_total", &[("queue", "q\"\\\n")], 7_u64);
        text.family("b_info", Kind::Info, "B.");
        text.sample("b_info", &[("x", "1"), ("y", "")], 1_u64);
        text.single("c_seconds", Kind::Gauge, "C \"quoted\".", 0.5);
        text.finish()
    }

    #[test]
    fn names_and_texts_are_as_each_format_wants_them() {
        assert_eq!(
            written(false),
            "# HELP a_total A \\\\ and\\na line.\n# TYPE a_total counter\n\
             a_total{queue=\"q\\\"\\\\\\n\"} 7\n\
             # HELP b_info B.\n# TYPE b_info gauge\nb_info{x=\"1\",y=\"\"} 1\n\
             # HELP c_seconds C \"quoted\".\n# TYPE c_seconds gauge\nc_seconds 0.5\n"
        );
        let open = written(true);
        assert!(open.starts_with("# HELP a A \\\\ and\\na line.\n# TYPE a counter\na_total{"));
        assert!(open.contains("# TYPE b info\nb_info{"));
        assert!(open.ends_with("# EOF\n"));
    }
}
