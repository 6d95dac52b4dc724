//! Settings from file and environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bongsu_storage::Durability;

use crate::logs::Levels;

use super::value::{Kind, Value};
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
        /// The known name that looks like it, if one does.
        nearest: Option<String>,
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
            } => {
                write!(f, "{key} = {value} ({source}): no such setting; ")?;
                if let Some(nearest) = nearest {
                    write!(f, "did you mean {nearest}? ")?;
                }
                write!(f, "`bongsu config` lists all")
            }
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
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, SettingError> {
    let mut values = BTreeMap::new();
    let mut said = BTreeMap::new();
    for row in TABLE {
        values.insert(row.key, read(row, row.key, row.default, "default")?);
    }
    if let Some(path) = file {
        let source = path.display().to_string();
        for (key, value) in file_settings(path)? {
            let row = TABLE.iter().find(|row| row.key == key);
            let row = row.ok_or_else(|| {
                unknown(&key, &value.to_string(), &source, |row| row.key.to_owned())
            })?;
            let text = plain(row.kind, &value)
                .ok_or_else(|| invalid(row, &key, value.to_string(), &source))?;
            values.insert(row.key, read(row, &key, &text, &source)?);
            said.insert(row.key, text);
        }
    }
    for (name, value) in environment {
        let name = name.to_string_lossy();
        if !name.starts_with("BONGSU_") || crate::cli::VARIABLES.contains(&&*name) {
            continue;
        }
        let row = TABLE.iter().find(|row| environment_name(row.key) == name);
        let row = row.ok_or_else(|| {
            let value = format!("\"{}\"", value.to_string_lossy());
            unknown(&name, &value, ENVIRONMENT, |row| environment_name(row.key))
        })?;
        // Guessing at a path that is not UTF-8 would open another directory than meant.
        let text = value
            .to_str()
            .ok_or_else(|| invalid(row, &name, format!("{value:?}"), ENVIRONMENT))?;
        values.insert(row.key, read(row, &name, text, ENVIRONMENT)?);
        said.insert(row.key, text.to_owned());
    }
    Ok(typed(&values, said))
}

fn read(row: &Row, key: &str, value: &str, source: &str) -> Result<Value, SettingError> {
    row.kind
        .read(value)
        .ok_or_else(|| invalid(row, key, format!("\"{value}\""), source))
}

fn invalid(row: &Row, key: &str, shown: String, source: &str) -> SettingError {
    SettingError::Invalid {
        key: key.to_owned(),
        value: shown,
        source: source.to_owned(),
        accepted: row.kind.accepted(),
    }
}

fn unknown(key: &str, shown: &str, source: &str, name_of: impl Fn(&Row) -> String) -> SettingError {
    let near = TABLE
        .iter()
        .map(name_of)
        .map(|name| (distance(&name, key), name))
        .min()
        .filter(|(edits, name)| *edits <= name.len() / 3);
    SettingError::Unknown {
        key: key.to_owned(),
        value: shown.to_owned(),
        source: source.to_owned(),
        nearest: near.map(|(_, name)| name),
    }
}

/// The file's settings by dotted keys.
fn file_settings(path: &Path) -> Result<Vec<(String, toml::Value)>, SettingError> {
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
                let dotted = |(name, value)| (format!("{section}.{name}"), value);
                settings.extend(rows.into_iter().map(dotted));
            }
            value => settings.push((section, value)),
        }
    }
    Ok(settings)
}

/// A value of the file as text; a number only where a bare number is meant, so that
/// `dir = 5` or `listen = true` is refused and not made into a name.
fn plain(kind: Kind, value: &toml::Value) -> Option<String> {
    match (kind, value) {
        (_, toml::Value::String(text)) => Some(text.clone()),
        (Kind::Ratio, toml::Value::Float(ratio)) => Some(ratio.to_string()),
        (Kind::Bytes(..) | Kind::Count(..) | Kind::Ratio, toml::Value::Integer(number)) => {
            Some(number.to_string())
        }
        _ => None,
    }
}

fn typed(values: &BTreeMap<&'static str, Value>, said: BTreeMap<&'static str, String>) -> Settings {
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
    let names = |key| match &values[key] {
        Value::Names(names) => names.clone(),
        other => unreachable!("{key} is names in the table, not {other:?}"),
    };
    let file = |key| Some(PathBuf::from(text(key))).filter(|file| !file.as_os_str().is_empty());
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
        amqp_tls_listen: addresses("amqp.tls_listen"),
        amqp_proxy_protocol: text("amqp.proxy_protocol") == "required",
        amqp_frame_bytes_max: small("amqp.frame_bytes_max"),
        amqp_channel_max: u16::try_from(small("amqp.channel_max"))
            .expect("the table bounds it below 2^16"),
        amqp_heartbeat: heartbeat,
        amqp_message_bytes_max: number("amqp.message_bytes_max"),
        kafka_listen: addresses("kafka.listen"),
        kafka_tls_listen: addresses("kafka.tls_listen"),
        kafka_proxy_protocol: text("kafka.proxy_protocol") == "required",
        kafka_advertised: match &values["kafka.advertised"] {
            Value::Place(place) => place.clone(),
            other => unreachable!("kafka.advertised is a place in the table, not {other:?}"),
        },
        kafka_space: text("kafka.space").to_owned(),
        kafka_node_id: i32::try_from(small("kafka.node_id"))
            .expect("the table bounds it below 2^31"),
        kafka_request_bytes_max: small("kafka.request_bytes_max") as usize,
        kafka_decompressed_bytes_max: small("kafka.decompressed_bytes_max") as usize,
        kafka_idle: duration("kafka.idle"),
        kafka_sasl_required: text("kafka.sasl") == "required",
        kafka_reauthenticate: Some(duration("kafka.reauthenticate")).filter(|d| !d.is_zero()),
        admin_listen: addresses("admin.listen"),
        metrics_listen: addresses("metrics.listen"),
        admin_tls_listen: addresses("admin.tls_listen"),
        admin_proxy_protocol: text("admin.proxy_protocol") == "required",
        access_administrators: match &values["access.administrators"] {
            Value::Names(names) => names.clone(),
            other => unreachable!("access.administrators is names in the table, not {other:?}"),
        },
        access_open: text("access.without_acl") == "allow",
        kafka_auto_create_topics: text("kafka.auto_create_topics") == "true",
        kafka_partitions: small("kafka.partitions"),
        kafka_topic_partitions_max: small("kafka.topic_partitions_max"),
        kafka_partitions_max: small("kafka.partitions_max"),
        kafka_group_initial_delay: duration("kafka.group_initial_delay"),
        kafka_group_session_timeout_min: duration("kafka.group_session_timeout_min"),
        kafka_group_session_timeout_max: duration("kafka.group_session_timeout_max"),
        kafka_group_members_max: small("kafka.group_members_max") as usize,
        kafka_offset_metadata_bytes_max: small("kafka.offset_metadata_bytes_max") as usize,
        kafka_offsets_retention: duration("kafka.offsets_retention"),
        kafka_transaction_timeout_max: duration("kafka.transaction_timeout_max"),
        kafka_transactional_id_expiration: duration("kafka.transactional_id_expiration"),
        kafka_producer_id_expiration: duration("kafka.producer_id_expiration"),
        definitions_load: file("definitions.load"),
        tls_certificate: file("tls.certificate"),
        tls_key: file("tls.key"),
        tls_version_min: text("tls.version_min"),
        tls_client_certificates: text("tls.client_certificates"),
        tls_client_ca: file("tls.client_ca"),
        tls_identity: text("tls.identity"),
        proxy_from: match &values["proxy.from"] {
            Value::Networks(networks) => networks.clone(),
            other => unreachable!("proxy.from is networks in the table, not {other:?}"),
        },
        oauth_jwks: text("oauth.jwks"),
        oauth_ca: file("oauth.ca"),
        oauth_issuer: Some(text("oauth.issuer")).filter(|issuer| !issuer.is_empty()),
        oauth_audience: text("oauth.audience"),
        oauth_scope_prefix: text("oauth.scope_prefix"),
        oauth_scopes_claims: names("oauth.scopes_claims"),
        oauth_username_claims: names("oauth.username_claims"),
        oauth_clock_skew: duration("oauth.clock_skew"),
        limits_connections_max: small("limits.connections_max") as usize,
        limits_memory_bytes: number("limits.memory_bytes"),
        limits_cache_bytes: number("limits.cache_bytes"),
        limits_disk_free_bytes_min: number("limits.disk_free_bytes_min"),
        log_levels: Levels::parse(&text("log.level")).expect("the table accepts no other"),
        log_json: text("log.format") == "json",
        traces_endpoint: Some(text("traces.endpoint")).filter(|url| !url.is_empty()),
        traces_sample: match &values["traces.sample"] {
            Value::Ratio(ratio) => *ratio,
            other => unreachable!("traces.sample is a ratio in the table, not {other:?}"),
        },
        traces_service: text("traces.service"),
        said,
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

const ENVIRONMENT: &str = "environment";
