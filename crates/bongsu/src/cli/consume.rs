//! `bongsu consume`: messages as they come, over AMQP.

use std::io::IsTerminal as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_record::{Arguments, Value};
use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::listing::{harmless_lines, print_text};
use super::{Asked, amqp};
use crate::replay::message::headers;
use crate::replay::{Client, Delivered, Event, place};

/// What to consume.
#[derive(Debug, Args)]
pub struct Options {
    /// The queue or stream.
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// End after so many; without, go on until interrupted.
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// Give every message back when this ends: nothing is consumed, though others do not get
    /// them meanwhile, and they are flagged as redelivered. `queue peek` disturbs nobody.
    #[arg(long)]
    no_ack: bool,
    /// Of a stream: where to begin; first, last, next, an offset, a span like 2h or a time.
    #[arg(long, value_name = "PLACE", value_parser = place::parse)]
    from: Option<Value>,
    /// Messages in flight at most.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    prefetch: u16,
    /// Payloads only, each as it is, with a line end behind it.
    #[arg(long)]
    raw: bool,
}

/// Consumes.
pub fn run(asked: &Asked, options: &Options) -> Result<(), Failure> {
    let url = amqp::url(asked)?;
    let mut client = Client::connect(&url)?;
    let from = options.from.clone();
    let arguments: Arguments = from
        .map(|from| ("x-stream-offset".to_owned(), from))
        .into_iter()
        .collect();
    // No more than is wanted: what is read ahead would be flagged as redelivered.
    let wanted = options.count.unwrap_or(u64::MAX);
    let credit = u16::try_from(wanted).map_or(options.prefetch, |n| n.min(options.prefetch));
    if wanted == 0 {
        return Ok(client.close()?);
    }
    client.consume(&options.queue, credit, &arguments)?;
    let mut count = 0;
    let is_raw = options.raw && !asked.is_json;
    while count < wanted {
        match client.next()? {
            Event::Deliver(delivered) => {
                show(asked.is_json, is_raw, &delivered)?;
                count += 1;
                // What was shown is consumed; acknowledged together when nothing is at hand.
                if !options.no_ack {
                    client.acknowledge(delivered.tag);
                }
            }
            Event::Finished => {
                let what = format!("the broker ended it: queue '{}' may be gone", options.queue);
                return Err(Failure::Failed(what));
            }
            _ => {}
        }
    }
    Ok(client.close()?)
}

fn show(is_json: bool, is_raw: bool, delivered: &Delivered) -> Result<(), Failure> {
    let text = std::str::from_utf8(&delivered.body);
    if is_raw {
        use std::io::Write as _;
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&delivered.body)?;
        stdout.write_all(b"\n")?;
        return Ok(stdout.flush()?);
    }
    let headers = headers(&delivered.block);
    let headers: serde_json::Map<_, _> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value_json(value)))
        .collect();
    if is_json {
        // A line each, so that a program need not wait for the end.
        let (payload, encoding) = match text {
            Ok(text) => (text.to_owned(), "string"),
            Err(_) => (STANDARD.encode(&delivered.body), "base64"),
        };
        let object = json!({
            "exchange": delivered.exchange,
            "routing_key": delivered.routing_key,
            "redelivered": delivered.redelivered,
            "headers": headers,
            "payload": payload,
            "payload_encoding": encoding,
        });
        return print_text(&format!("{object}\n"));
    }
    let payload = match text {
        Ok(text) if std::io::stdout().is_terminal() => harmless_lines(text),
        Ok(text) => text.to_owned(),
        Err(_) => format!("base64:{}", STANDARD.encode(&delivered.body)),
    };
    print_text(&format!("{payload}\n"))
}

fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!(text),
        Value::Int(int) => json!(int),
        Value::Bool(on) => json!(on),
        Value::Float(float) => json!(float),
        Value::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        Value::Time(seconds) => json!(seconds),
        Value::List(values) => values.iter().map(value_json).collect(),
        Value::Map(table) => {
            let fields = table.iter();
            let fields = fields.map(|(name, value)| (name.clone(), value_json(value)));
            serde_json::Value::Object(fields.collect())
        }
        _ => serde_json::Value::Null,
    }
}
