//! `bongsu publish`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::Asked;
use super::api::path;
use super::arguments::{object, pair};
use super::failure::Failure;
use super::listing::print_done;

/// A message.
#[derive(Debug, Args)]
pub struct Options {
    /// The routing key; with the default exchange, the queue.
    #[arg(value_name = "KEY")]
    key: String,
    /// The payload; without, it is read from --file, else from the standard input.
    #[arg(value_name = "PAYLOAD", conflicts_with = "file")]
    payload: Option<String>,
    /// A file that is the payload; - is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The exchange.
    #[arg(long, short, value_name = "EXCHANGE", default_value = "")]
    exchange: String,
    /// A header; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, Value)>,
    /// A property: content_type, correlation_id, reply_to, expiration, message_id, priority …
    #[arg(long = "property", short, value_name = "NAME=VALUE", value_parser = pair)]
    properties: Vec<(String, Value)>,
}

/// Publishes.
pub fn run(asked: &Asked, options: &Options) -> Result<(), Failure> {
    let payload = match (&options.payload, &options.file) {
        (Some(payload), _) => payload.clone().into_bytes(),
        (None, Some(file)) if file != Path::new("-") => std::fs::read(file)
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?,
        (None, _) => {
            let mut payload = Vec::new();
            std::io::stdin().read_to_end(&mut payload)?;
            payload
        }
    };
    let mut properties = object(&options.properties);
    if properties["delivery_mode"].is_null() {
        properties["delivery_mode"] = json!(2);
    }
    if !options.headers.is_empty() {
        properties["headers"] = object(&options.headers);
    }
    let (payload, encoding) = match String::from_utf8(payload) {
        Ok(text) => (text, "string"),
        Err(bytes) => (STANDARD.encode(bytes.as_bytes()), "base64"),
    };
    let api = asked.api()?;
    // RabbitMQ's management has this name for the exchange without one.
    let exchange = match options.exchange.as_str() {
        "" => "amq.default",
        named => named,
    };
    let body = json!({
        "properties": properties,
        "routing_key": options.key,
        "payload": payload,
        "payload_encoding": encoding,
    });
    let at = path(&["api", "exchanges", api.space(), exchange, "publish"]);
    let found = api.post(&at, &body)?;
    if found["routed"] == json!(false) {
        let (exchange, key) = (&options.exchange, &options.key);
        let what = format!("no queue took it: exchange '{exchange}', key '{key}'");
        return Err(Failure::Failed(what));
    }
    print_done(
        asked.is_json,
        "published",
        &json!({ "done": "published", "routed": true }),
    )
}
