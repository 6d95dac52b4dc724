//! JSON, as much of it as results are made of.

use std::fmt::{self, Display, Formatter};

/// A value.
pub enum Json {
    /// A text.
    Text(String),
    /// A number; what is not finite becomes null.
    Number(f64),
    /// Values in order.
    List(Vec<Json>),
    /// Members in order.
    Object(Vec<(&'static str, Json)>),
    /// Members whose names are not known before.
    Figures(Vec<(String, f64)>),
}

impl Json {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Json {
    /// Objects and lists take a line a member, figures one line.
    fn write(&self, f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Self::Text(text) => write_text(f, text),
            Self::Number(number) if number.is_finite() => write!(f, "{number}"),
            Self::Number(_) => f.write_str("null"),
            Self::Figures(figures) => {
                f.write_str("{")?;
                for (at, (name, value)) in figures.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    write_text(f, name)?;
                    f.write_str(": ")?;
                    Self::Number(*value).write(f, 0)?;
                }
                f.write_str("}")
            }
            Self::List(values) => {
                let each = |f: &mut Formatter<'_>, value: &Json| value.write(f, depth + 1);
                write_all(f, depth, ['[', ']'], values, each)
            }
            Self::Object(members) => {
                write_all(f, depth, ['{', '}'], members, |f, (name, value)| {
                    write_text(f, name)?;
                    f.write_str(": ")?;
                    value.write(f, depth + 1)
                })
            }
        }
    }
}

fn write_all<T>(
    f: &mut Formatter<'_>,
    depth: usize,
    [open, close]: [char; 2],
    items: &[T],
    each: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return write!(f, "{open}{close}");
    }
    write!(f, "{open}")?;
    for (at, item) in items.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(f, "{comma}\n{:1$}", "", 2 * (depth + 1))?;
        each(f, item)?;
    }
    write!(f, "\n{:1$}{close}", "", 2 * depth)
}

fn write_text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests;
