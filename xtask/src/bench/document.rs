//! The table's place in a document: between two comments, everything around them is a person's.

use std::path::Path;

use super::Result;

/// Puts `table` into the file: between the comments if it has them, or as all of a new file. A
/// file without them is left alone.
pub fn write(file: &Path, table: &str) -> Result<()> {
    let named = |error| format!("{}: {error}", file.display());
    let text = match std::fs::read_to_string(file) {
        Ok(text) => replace(&text, table).ok_or_else(|| {
            let name = file.display();
            format!("{name} has no place for the table: {BEGIN} and {END}, a line each")
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => table.to_owned(),
        Err(error) => return Err(named(error).into()),
    };
    Ok(std::fs::write(file, text).map_err(named)?)
}

fn replace(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        table.trim()
    ))
}

const BEGIN: &str = "<!-- written by cargo xtask bench -->";
const END: &str = "<!-- until here -->";

#[cfg(test)]
mod tests;
