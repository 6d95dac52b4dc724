//! The table's place in a document: between two comments, everything around them is a person's.

use std::path::Path;

use super::{Result, Suite};

/// Puts `table` into the file: between the comments if it has them, or as all of a new file. A
/// file without them is left alone.
pub fn write(file: &Path, suite: Suite, table: &str) -> Result<()> {
    write_between(file, begin(suite), table)
}

/// The same after the comment `begin`.
pub fn write_between(file: &Path, begin: &str, table: &str) -> Result<()> {
    let named = |error| format!("{}: {error}", file.display());
    let text = match std::fs::read_to_string(file) {
        Ok(text) => replace(&text, begin, table).ok_or_else(|| {
            let name = file.display();
            format!("{name} has no place for the table: {begin} and {END}, a line each")
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => table.to_owned(),
        Err(error) => return Err(named(error).into()),
    };
    Ok(std::fs::write(file, text).map_err(named)?)
}

fn replace(document: &str, begin: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{begin}\n\n{}\n\n{END}{after}",
        table.trim()
    ))
}

/// Each comparison has a place of its own.
fn begin(suite: Suite) -> &'static str {
    match suite {
        Suite::Kafka => "<!-- written by cargo xtask bench kafka -->",
        _ => "<!-- written by cargo xtask bench -->",
    }
}

const END: &str = "<!-- until here -->";

#[cfg(test)]
mod tests;
