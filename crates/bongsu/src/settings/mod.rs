//! Every setting: one row of one table. Help, documentation, the sample file and the checks
//! derive from it.
//!
//! Precedence: environment over file over default. What is unknown or ill-typed is refused,
//! never ignored.

mod load;

mod value;

pub mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bongsu_net::proxy::Network;
use bongsu_storage::Durability;

use crate::logs::Levels;

#[cfg(test)]
use load::SettingError;
pub use load::load;
pub use value::{Kind, size as value_size};

/// One setting.
#[derive(Debug)]
pub struct Row {
    /// Its key: section and name.
    pub key: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// Its default, written as in a file.
    pub default: &'static str,
    /// What it means, for people.
    pub meaning: &'static str,
}

/// All settings.
pub const TABLE: &[Row] = &[
    Row {
        key: "data.dir",
        kind: Kind::Path,
        default: "./bongsu-data",
        meaning: "where everything is kept",
    },
    Row {
        key: "data.durability",
        kind: Kind::Word(&["fsync", "os", "memory"]),
        default: "fsync",
        meaning: "what a confirm means unless the queue says otherwise: fsync survives a power cut, \
                  os the broker's death, memory nothing",
    },
    Row {
        key: "data.checkpoint_bytes",
        kind: Kind::Bytes(1 << 20, 4 << 30),
        default: "32 MiB",
        meaning: "growth of the write-ahead log after which what is still alive moves to segments",
    },
    Row {
        key: "data.segment_bytes_max",
        kind: Kind::Bytes(1 << 20, 1 << 30),
        default: "64 MiB",
        meaning: "size at which a segment is sealed",
    },
    Row {
        key: "amqp.listen",
        kind: Kind::Addresses,
        default: "127.0.0.1:5672",
        meaning: "addresses for AMQP 0-9-1, separated by commas; empty: none",
    },
    Row {
        key: "amqp.tls_listen",
        kind: Kind::Addresses,
        default: "",
        meaning: "addresses for AMQP 0-9-1 under TLS, usually of port 5671; empty: none",
    },
    Row {
        key: "amqp.proxy_protocol",
        kind: Kind::Word(&["off", "required"]),
        default: "off",
        meaning: "whether a proxy in front of AMQP 0-9-1 says who the client is, by its PROXY header",
    },
    Row {
        key: "amqp.frame_bytes_max",
        kind: Kind::Bytes(4096, 16 << 20),
        default: "128 KiB",
        meaning: "largest frame offered to clients",
    },
    Row {
        key: "amqp.channel_max",
        kind: Kind::Count(1, 65535),
        default: "2047",
        meaning: "most channels on one connection",
    },
    Row {
        key: "amqp.heartbeat",
        kind: Kind::Duration(0, 65535),
        default: "60s",
        meaning: "heartbeat proposed to clients, in whole seconds; 0s: none",
    },
    Row {
        key: "amqp.message_bytes_max",
        kind: Kind::Bytes(1024, 512 << 20),
        default: "16 MiB",
        meaning: "largest message accepted",
    },
    Row {
        key: "kafka.listen",
        kind: Kind::Addresses,
        default: "127.0.0.1:9092",
        meaning: "addresses for Kafka, separated by commas; empty: none",
    },
    Row {
        key: "kafka.tls_listen",
        kind: Kind::Addresses,
        default: "",
        meaning: "addresses for Kafka under TLS, usually of port 9093; empty: none",
    },
    Row {
        key: "kafka.proxy_protocol",
        kind: Kind::Word(&["off", "required"]),
        default: "off",
        meaning: "whether a proxy in front of Kafka says who the client is, by its PROXY header",
    },
    Row {
        key: "kafka.advertised",
        kind: Kind::Place,
        default: "",
        meaning: "where Kafka clients are told to find this broker; empty: where they found it",
    },
    Row {
        key: "kafka.space",
        kind: Kind::Name,
        default: "/",
        meaning: "the space (virtual host) whose queues and topics Kafka clients see",
    },
    Row {
        key: "kafka.node_id",
        kind: Kind::Count(0, 2_147_483_647),
        default: "1",
        meaning: "the number by which Kafka clients know this broker",
    },
    Row {
        key: "kafka.request_bytes_max",
        kind: Kind::Bytes(64 << 10, 1 << 30),
        default: "100 MiB",
        meaning: "largest Kafka request accepted",
    },
    Row {
        key: "kafka.decompressed_bytes_max",
        kind: Kind::Bytes(1 << 20, 1 << 30),
        default: "128 MiB",
        meaning: "most that a compressed batch of a Kafka client may become",
    },
    Row {
        key: "kafka.idle",
        kind: Kind::Duration(1, 31_536_000),
        default: "600s",
        meaning: "a Kafka client that asks nothing for so long is sent away",
    },
    Row {
        key: "kafka.auto_create_topics",
        kind: Kind::Word(&["true", "false"]),
        default: "true",
        meaning: "a topic that a client asks for is made, if the client allows it",
    },
    Row {
        key: "kafka.partitions",
        kind: Kind::Count(1, 100_000),
        default: "1",
        meaning: "partitions of a topic for which nobody says how many",
    },
    Row {
        key: "kafka.topic_partitions_max",
        kind: Kind::Count(1, 100_000),
        default: "10000",
        meaning: "most partitions of one topic",
    },
    Row {
        key: "kafka.partitions_max",
        kind: Kind::Count(1, 10_000_000),
        default: "100000",
        meaning: "most partitions in all, queues counted too; beyond it no topic is made or grown",
    },
    Row {
        key: "kafka.group_initial_delay",
        kind: Kind::Duration(0, 3_600),
        default: "3s",
        meaning: "a group that was empty waits so long for more members",
    },
    Row {
        key: "kafka.group_session_timeout_min",
        kind: Kind::Duration(0, 86_400),
        default: "6s",
        meaning: "least session timeout that a member of a group may ask for",
    },
    Row {
        key: "kafka.group_session_timeout_max",
        kind: Kind::Duration(1, 86_400),
        default: "30m",
        meaning: "most session timeout that a member of a group may ask for",
    },
    Row {
        key: "kafka.group_members_max",
        kind: Kind::Count(1, 2_147_483_647),
        default: "2147483647",
        meaning: "most members of one group",
    },
    Row {
        key: "kafka.offset_metadata_bytes_max",
        kind: Kind::Bytes(0, 32 << 10),
        default: "4 KiB",
        meaning: "most that a consumer may write beside an offset",
    },
    Row {
        key: "kafka.offsets_retention",
        kind: Kind::Duration(1, 315_360_000),
        default: "168h",
        meaning: "offsets are forgotten when their group has been empty for so long",
    },
    Row {
        key: "kafka.transaction_timeout_max",
        kind: Kind::Duration(1, 2_147_483),
        default: "900s",
        meaning: "longest that a producer may ask its transactions to stay open",
    },
    Row {
        key: "kafka.transactional_id_expiration",
        kind: Kind::Duration(1, 315_360_000),
        default: "168h",
        meaning: "a transactional id is forgotten when it was not used for so long",
    },
    Row {
        key: "kafka.producer_id_expiration",
        kind: Kind::Duration(1, 315_360_000),
        default: "24h",
        meaning: "a partition forgets a producer that did not write to it for so long",
    },
    Row {
        key: "kafka.sasl",
        kind: Kind::Word(&["optional", "required"]),
        default: "optional",
        meaning: "whether Kafka clients must log in; else those of this machine need not",
    },
    Row {
        key: "kafka.reauthenticate",
        kind: Kind::Duration(0, 31_536_000),
        default: "0s",
        meaning: "a Kafka client has to log in again after so long; 0s: never",
    },
    Row {
        key: "admin.listen",
        kind: Kind::Addresses,
        default: "127.0.0.1:15672",
        meaning: "addresses for HTTP: the admin API, metrics and the console, separated by commas; \
                  empty: none",
    },
    Row {
        key: "admin.tls_listen",
        kind: Kind::Addresses,
        default: "",
        meaning: "addresses for HTTP under TLS, usually of port 15671; empty: none",
    },
    Row {
        key: "admin.proxy_protocol",
        kind: Kind::Word(&["off", "required"]),
        default: "off",
        meaning: "whether a proxy in front of HTTP says who the client is, by its PROXY header",
    },
    Row {
        key: "metrics.listen",
        kind: Kind::Addresses,
        default: "",
        meaning: "addresses for Prometheus alone, without a login, usually of port 15692; empty: \
                  none, and metrics are on the admin port, with one",
    },
    Row {
        key: "access.administrators",
        kind: Kind::Names,
        default: "",
        meaning: "users who may do everything, everywhere, whatever else is said of them",
    },
    Row {
        key: "access.without_acl",
        kind: Kind::Word(&["allow", "deny"]),
        default: "allow",
        meaning: "what users made by Kafka's tools may do to a thing that no ACL is about; never to \
                  access itself, and other users have permissions",
    },
    Row {
        key: "definitions.load",
        kind: Kind::File,
        default: "",
        meaning: "definitions (RabbitMQ's JSON) to import at each start; what is wrong in them stops it",
    },
    Row {
        key: "tls.certificate",
        kind: Kind::File,
        default: "",
        meaning: "the certificate and those between it and its authority, in PEM",
    },
    Row {
        key: "tls.key",
        kind: Kind::File,
        default: "",
        meaning: "the key of the certificate, in PEM: PKCS#8, PKCS#1 or SEC1",
    },
    Row {
        key: "tls.version_min",
        kind: Kind::Word(&["1.2", "1.3"]),
        default: "1.2",
        meaning: "oldest version of TLS that is spoken",
    },
    Row {
        key: "tls.client_certificates",
        kind: Kind::Word(&["none", "optional", "required"]),
        default: "none",
        meaning: "whether clients are asked for a certificate; one that is shown must be good",
    },
    Row {
        key: "tls.client_ca",
        kind: Kind::File,
        default: "",
        meaning: "authorities that certificates of clients come from, in PEM",
    },
    Row {
        key: "tls.identity",
        kind: Kind::Word(&[
            "common_name",
            "distinguished_name",
            "san_dns",
            "san_email",
            "san_uri",
        ]),
        default: "common_name",
        meaning: "the name in the certificate of a client that is the name of its user",
    },
    Row {
        key: "proxy.from",
        kind: Kind::Networks,
        default: "",
        meaning: "proxies whose PROXY header is believed: addresses and networks as 10.0.0.0/8",
    },
    Row {
        key: "oauth.jwks",
        kind: Kind::Text,
        default: "",
        meaning: "where the keys of tokens are: a file or a URL of a JSON Web Key Set; empty: no tokens",
    },
    Row {
        key: "oauth.ca",
        kind: Kind::File,
        default: "",
        meaning: "authorities for that URL, in PEM; empty: those that browsers trust",
    },
    Row {
        key: "oauth.issuer",
        kind: Kind::Text,
        default: "",
        meaning: "who has to have issued a token (iss); empty: whoever has the keys",
    },
    Row {
        key: "oauth.audience",
        kind: Kind::Text,
        default: "",
        meaning: "for whom a token has to be (aud): the name of this broker with its issuer",
    },
    Row {
        key: "oauth.scope_prefix",
        kind: Kind::Text,
        default: "",
        meaning: "what scopes begin with that are about this broker; empty: the audience and a dot",
    },
    Row {
        key: "oauth.scopes_claims",
        kind: Kind::Names,
        default: "scope",
        meaning: "claims of a token that hold its scopes; a.b is b in a",
    },
    Row {
        key: "oauth.username_claims",
        kind: Kind::Names,
        default: "sub, client_id",
        meaning: "claims of a token that may hold the name of its user; the first that does is taken",
    },
    Row {
        key: "oauth.clock_skew",
        kind: Kind::Duration(0, 600),
        default: "30s",
        meaning: "how much the clock of the issuer may differ",
    },
    Row {
        key: "limits.connections_max",
        kind: Kind::Count(1, 1_000_000),
        default: "65536",
        meaning: "most clients connected at once, over all listeners; never more than the limit of open files, less 512",
    },
    Row {
        key: "limits.memory_bytes",
        kind: Kind::Bytes(64 << 20, 1 << 40),
        default: "256 MiB",
        meaning: "records in memory and not yet in a segment; beyond it publishers wait",
    },
    Row {
        key: "limits.cache_bytes",
        kind: Kind::Bytes(1 << 20, 1 << 40),
        default: "16 MiB",
        meaning: "records kept in memory though they are in a segment, and read ahead",
    },
    Row {
        key: "limits.disk_free_bytes_min",
        kind: Kind::Bytes(0, 1 << 50),
        default: "256 MiB",
        meaning: "free room on the disk; below it publishers wait",
    },
    Row {
        key: "log.level",
        kind: Kind::Levels,
        default: "info",
        meaning: "what is written to standard error, by module; may be changed at run time",
    },
    Row {
        key: "log.format",
        kind: Kind::Word(&["text", "json"]),
        default: "text",
        meaning: "how: lines for people, or one JSON object a line",
    },
    Row {
        key: "traces.endpoint",
        kind: Kind::Url,
        default: "",
        meaning: "where spans go by OTLP over HTTP, as http://127.0.0.1:4318/v1/traces; empty: \
                  nothing is traced",
    },
    Row {
        key: "traces.sample",
        kind: Kind::Ratio,
        default: "0",
        meaning: "of records whose publisher says nothing of a trace, so many begin one; of others \
                  the publisher decides",
    },
    Row {
        key: "traces.service",
        kind: Kind::Name,
        default: "bongsu",
        meaning: "what this broker is called in traces",
    },
];

/// The settings as the broker uses them.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the table says what each means
pub struct Settings {
    pub data_dir: PathBuf,
    pub data_durability: Durability,
    pub data_checkpoint_bytes: u64,
    pub data_segment_bytes_max: u64,
    pub amqp_listen: Vec<std::net::SocketAddr>,
    pub amqp_tls_listen: Vec<std::net::SocketAddr>,
    pub amqp_proxy_protocol: bool,
    pub amqp_frame_bytes_max: u32,
    pub amqp_channel_max: u16,
    pub amqp_heartbeat: Duration,
    pub amqp_message_bytes_max: u64,
    pub kafka_listen: Vec<std::net::SocketAddr>,
    pub kafka_tls_listen: Vec<std::net::SocketAddr>,
    pub kafka_proxy_protocol: bool,
    pub kafka_advertised: Option<(String, u16)>,
    pub kafka_space: String,
    pub kafka_node_id: i32,
    pub kafka_request_bytes_max: usize,
    pub kafka_decompressed_bytes_max: usize,
    pub kafka_idle: Duration,
    pub kafka_sasl_required: bool,
    pub kafka_reauthenticate: Option<Duration>,
    pub admin_listen: Vec<std::net::SocketAddr>,
    pub metrics_listen: Vec<std::net::SocketAddr>,
    pub admin_tls_listen: Vec<std::net::SocketAddr>,
    pub admin_proxy_protocol: bool,
    pub access_administrators: Vec<String>,
    pub access_open: bool,
    pub kafka_auto_create_topics: bool,
    pub kafka_partitions: u32,
    pub kafka_topic_partitions_max: u32,
    pub kafka_partitions_max: u32,
    pub kafka_group_initial_delay: Duration,
    pub kafka_group_session_timeout_min: Duration,
    pub kafka_group_session_timeout_max: Duration,
    pub kafka_group_members_max: usize,
    pub kafka_offset_metadata_bytes_max: usize,
    pub kafka_offsets_retention: Duration,
    pub kafka_transaction_timeout_max: Duration,
    pub kafka_transactional_id_expiration: Duration,
    pub kafka_producer_id_expiration: Duration,
    pub definitions_load: Option<PathBuf>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_version_min: String,
    pub tls_client_certificates: String,
    pub tls_client_ca: Option<PathBuf>,
    pub tls_identity: String,
    pub proxy_from: Vec<Network>,
    pub oauth_jwks: String,
    pub oauth_ca: Option<PathBuf>,
    pub oauth_issuer: Option<String>,
    pub oauth_audience: String,
    pub oauth_scope_prefix: String,
    pub oauth_scopes_claims: Vec<String>,
    pub oauth_username_claims: Vec<String>,
    pub oauth_clock_skew: Duration,
    pub limits_connections_max: usize,
    pub limits_memory_bytes: u64,
    pub limits_cache_bytes: u64,
    pub limits_disk_free_bytes_min: u64,
    pub log_levels: Levels,
    pub log_json: bool,
    pub traces_endpoint: Option<String>,
    pub traces_sample: f64,
    pub traces_service: String,
    /// What was said in the file and in the environment, by key.
    pub said: BTreeMap<&'static str, String>,
}

/// The environment variable of a key.
pub fn environment_name(key: &str) -> String {
    format!("BONGSU_{}", key.replace('.', "_").to_uppercase())
}

#[cfg(test)]
mod tests;
