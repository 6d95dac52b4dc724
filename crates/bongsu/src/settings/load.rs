//! Settings from file and environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bongsu_storage::Durability;

use super::value::Value;
use super::{Row, Settings, TABLE, environment_name};

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingError {
    /// The file cannot be read, or is not TOML.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Nobody knows it.
    Unknown {
        /// As written.
        key: String,
        /// Its value.
        value: String,
        /// File or environment.
        source: String,
        /// The known name that looks most like it.
        nearest: String,
    },
    /// Its value is not accepted.
    Invalid {
        /// As written.
        key: String,
        /// Its value.
        value: String,
        /// File or environment.
        source: String,
        /// What is accepted.
        accepted: String,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingError::File { path, cause } => write!(f, "{}: {cause}", path.display()),
            SettingError::Unknown {
                key,
                value,
                source,
                nearest,
            } => write!(
                f,
                "{key} = {value} ({source}): no such setting; did you mean {nearest}? \
                 `bongsu config` lists all"
            ),
            SettingError::Invalid {
                key,
                value,
                source,
                accepted,
            } => write!(f, "{key} = {value} ({source}): accepted is {accepted}"),
        }
    }
}

impl std::error::Error for SettingError {}

/// Reads `file`, if one is named, and the `BONGSU_…` variables of `environment`.
///
/// # Errors
/// The first setting that cannot be used.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingError> {
    let mut values = BTreeMap::new();
    for row in TABLE {
        values.insert(row.key, read(row, row.key, row.default, "default")?);
    }
    if let Some(path) = file {
        for (key, value) in file_settings(path)? {
            let source = path.display().to_string();
            let row = TABLE.iter().find(|row| row.key == key);
            let row =
                row.ok_or_else(|| unknown(&key, &value, &source, |row| row.key.to_owned()))?;
            values.insert(row.key, read(row, &key, &value, &source)?);
        }
    }
    let named = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("BONGSU_"));
    for (name, value) in named {
        let row = TABLE.iter().find(|row| environment_name(row.key) == name);
        let name_of = |row: &Row| environment_name(row.key);
        let row = row.ok_or_else(|| unknown(&name, &value, "environment", name_of))?;
        values.insert(row.key, read(row, &name, &value, "environment")?);
    }
    Ok(typed(&values))
}

fn read(row: &Row, key: &str, value: &str, source: &str) -> Result<Value, SettingError> {
    row.kind.read(value).ok_or_else(|| SettingError::Invalid {
        key: key.to_owned(),
        value: format!("\"{value}\""),
        source: source.to_owned(),
        accepted: row.kind.accepted(),
    })
}

fn unknown(key: &str, value: &str, source: &str, name_of: impl Fn(&Row) -> String) -> SettingError {
    let nearest = TABLE
        .iter()
        .map(name_of)
        .min_by_key(|name| distance(name, key));
    SettingError::Unknown {
        key: key.to_owned(),
        value: format!("\"{value}\""),
        source: source.to_owned(),
        nearest: nearest.unwrap_or_default(),
    }
}

/// The file's settings as dotted keys, every value as text.
fn file_settings(path: &Path) -> Result<Vec<(String, String)>, SettingError> {
    let failed = |cause: String| SettingError::File {
        path: path.to_owned(),
        cause,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| failed(error.to_string()))?;
    let mut settings = Vec::new();
    for (section, value) in table {
        match value {
            toml::Value::Table(rows) => {
                for (name, value) in rows {
                    settings.push((format!("{section}.{name}"), plain(value)));
                }
            }
            value => settings.push((section, plain(value))),
        }
    }
    Ok(settings)
}

fn plain(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn typed(values: &BTreeMap<&'static str, Value>) -> Settings {
    let text = |key| match &values[key] {
        Value::Text(text) => text.clone(),
        other => unreachable!("{key} is text in the table, not {other:?}"),
    };
    let number = |key| match &values[key] {
        Value::Number(number) => *number,
        other => unreachable!("{key} is a number in the table, not {other:?}"),
    };
    let duration = |key| match &values[key] {
        Value::Duration(duration) => *duration,
        other => unreachable!("{key} is a duration in the table, not {other:?}"),
    };
    let addresses = |key| match &values[key] {
        Value::Addresses(addresses) => addresses.clone(),
        other => unreachable!("{key} is a list of addresses in the table, not {other:?}"),
    };
    let small = |key| u32::try_from(number(key)).expect("the table bounds it below 2^32");
    let heartbeat: Duration = duration("amqp.heartbeat");
    Settings {
        data_dir: PathBuf::from(text("data.dir")),
        data_durability: match text("data.durability").as_str() {
            "os" => Durability::Os,
            "memory" => Durability::Memory,
            _ => Durability::Fsync,
        },
        data_checkpoint_bytes: number("data.checkpoint_bytes"),
        data_segment_bytes_max: number("data.segment_bytes_max"),
        amqp_listen: addresses("amqp.listen"),
        amqp_frame_bytes_max: small("amqp.frame_bytes_max"),
        amqp_channel_max: u16::try_from(small("amqp.channel_max"))
            .expect("the table bounds it below 2^16"),
        amqp_heartbeat: heartbeat,
        amqp_message_bytes_max: number("amqp.message_bytes_max"),
        limits_connections_max: small("limits.connections_max") as usize,
        limits_memory_bytes: number("limits.memory_bytes"),
        limits_cache_bytes: number("limits.cache_bytes"),
        limits_disk_free_bytes_min: number("limits.disk_free_bytes_min"),
        log_level: text("log.level"),
    }
}

/// Edits that make one word the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != *b))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row[other.len()]
}
