//! Records of a queue: peek, dead ones, redrive, move, leases.

use clap::Args;
use serde_json::{Value, json};

use super::Asked;
use super::api::{Api, path, with_query};
use super::arguments::{span_ms, text_pair};
use super::failure::Failure;
use super::job;
use super::listing::{
    Shown, bytes_text, column, print_done, print_json, print_list, print_text, shown,
};
use super::terminal::confirm;

/// Records to look at.
#[derive(Debug, Args)]
pub struct Peek {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Where to begin: first, next, last, an offset, or a time (RFC 3339).
    #[arg(long, value_name = "PLACE", default_value = "first")]
    from: String,
    /// How many.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    count: u32,
    /// Only records in this state: ready, leased, waiting, settled, kept.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only records whose payload, key or headers contain this.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only records with this header; may be given several times.
    #[arg(long, value_name = "HEADER=VALUE", value_parser = text_pair)]
    header: Vec<(String, String)>,
    /// Print headers and the whole payload too.
    #[arg(long, short)]
    long: bool,
}

/// Dead records to look at.
#[derive(Debug, Args)]
pub struct Dead {
    /// The queue that dead records go to.
    #[arg(value_name = "QUEUE")]
    name: String,
    #[command(flatten)]
    which: Which,
    /// How many.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    count: u32,
    /// Only count them, by queue and reason.
    #[arg(long)]
    summary: bool,
}

/// Which dead records.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those that died of this: rejected, expired, maxlen, delivery_limit.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only those that died in this queue.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only those that contain this.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

/// Dead records to send back.
#[derive(Debug, Args)]
pub struct Redrive {
    /// The queue that dead records went to.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// The record at this offset; may be given several times.
    #[arg(long, value_name = "OFFSET", required_unless_present = "all")]
    offset: Vec<u64>,
    /// All, or all that the other options leave.
    #[arg(long, conflicts_with = "offset")]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Where to, in place of where each came from: EXCHANGE/ROUTING_KEY, or /QUEUE.
    #[arg(long, value_name = "EXCHANGE/KEY", value_parser = target)]
    to: Option<(String, String)>,
    /// Only count what would be sent.
    #[arg(long)]
    dry_run: bool,
}

/// Records to move.
#[derive(Debug, Args)]
pub struct Move {
    /// The queue to take from.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// The queue to move to.
    #[arg(long, value_name = "QUEUE")]
    to: String,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only records that contain this.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only count what would be moved.
    #[arg(long)]
    dry_run: bool,
}

/// Leases to see or change.
#[derive(Debug, Args)]
pub struct Leases {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Take the record at this offset back from who holds it.
    #[arg(long, value_name = "OFFSET", conflicts_with = "extend")]
    release: Option<u64>,
    /// Give who holds the record at this offset longer.
    #[arg(long, value_name = "OFFSET", requires = "by")]
    extend: Option<u64>,
    /// How much longer, as 30s or 5m.
    #[arg(long, value_name = "SPAN", value_parser = span_ms, requires = "extend")]
    by: Option<u64>,
}

fn target(text: &str) -> Result<(String, String), String> {
    let (exchange, key) = text
        .split_once('/')
        .ok_or_else(|| "expected EXCHANGE/ROUTING_KEY, or /QUEUE".to_owned())?;
    Ok((exchange.to_owned(), key.to_owned()))
}

fn queue_path(api: &Api, name: &str, more: &[&str]) -> String {
    let parts = [&["bongsu", "v1", "queues", api.space(), name], more].concat();
    path(&parts)
}

/// Shows records; nothing is consumed.
pub fn peek(asked: &Asked, options: &Peek) -> Result<(), Failure> {
    let api = asked.api()?;
    let (count, from) = (options.count.to_string(), options.from.clone());
    let mut query = vec![("from".to_owned(), from), ("count".to_owned(), count)];
    let mut add = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            query.push((name.to_owned(), value.clone()));
        }
    };
    add("state", &options.state);
    add("search", &options.search);
    for (name, value) in &options.header {
        query.push((format!("header.{name}"), value.clone()));
    }
    let at = queue_path(&api, &options.name, &["records"]);
    let found = api.get(&with_pairs(&at, &query))?;
    let rows = items(&found);
    match asked.is_json {
        true => print_json(&found),
        false if options.long => print_text(&long(&rows)),
        false => print_list(
            false,
            &[
                column("OFFSET", "offset", Shown::Count),
                column("TIME", "at", Shown::Time),
                column("STATE", "state", Shown::Text),
                column("SIZE", "size", Shown::Bytes),
                column("EXCHANGE", "exchange", Shown::Text),
                column("ROUTING KEY", "routing_key", Shown::Text),
                column("PAYLOAD", "payload", Shown::Text),
            ],
            &rows.iter().map(shortened).collect::<Vec<_>>(),
        ),
    }
}

/// Shows dead records, or how many there are.
pub fn dead(asked: &Asked, options: &Dead) -> Result<(), Failure> {
    let api = asked.api()?;
    if options.summary {
        let found = api.get(&queue_path(&api, &options.name, &["dead", "summary"]))?;
        let rows = found["by"].as_array().cloned().unwrap_or_default();
        let columns = [
            column("QUEUE", "queue", Shown::Text),
            column("REASON", "reason", Shown::Text),
            column("COUNT", "count", Shown::Count),
            column("OLDEST", "oldest", Shown::Time),
        ];
        return print_list(asked.is_json, &columns, &rows);
    }
    let mut query = vec![("count".to_owned(), options.count.to_string())];
    let which = &options.which;
    for (name, value) in [
        ("reason", &which.reason),
        ("queue", &which.queue),
        ("search", &which.search),
    ] {
        query.extend(value.clone().map(|value| (name.to_owned(), value)));
    }
    let at = queue_path(&api, &options.name, &["dead"]);
    let found = api.get(&with_pairs(&at, &query))?;
    let rows = items(&found);
    let columns = [
        column("OFFSET", "offset", Shown::Count),
        column("TIME", "at", Shown::Time),
        column("REASON", "reason", Shown::Text),
        column("FROM", "from_queue", Shown::Text),
        column("TRIES", "tries", Shown::Count),
        column("SIZE", "size", Shown::Bytes),
        column("PAYLOAD", "payload", Shown::Text),
    ];
    match asked.is_json {
        true => print_json(&found),
        false => print_list(
            false,
            &columns,
            &rows.iter().map(shortened).collect::<Vec<_>>(),
        ),
    }
}

/// Sends dead records back.
pub fn redrive(asked: &Asked, options: &Redrive) -> Result<(), Failure> {
    let api = asked.api()?;
    let which = &options.which;
    let mut body = json!({ "dry_run": options.dry_run });
    if options.all {
        body["all"] = json!(true);
    } else {
        body["offsets"] = json!(options.offset);
    }
    let fields = [
        ("reason", json!(which.reason)),
        ("queue", json!(which.queue)),
        ("search", json!(which.search)),
        ("limit", json!(options.limit)),
    ];
    set(&mut body, fields);
    if let Some((exchange, key)) = &options.to {
        body["to"] = json!({ "exchange": exchange, "routing_key": key });
    }
    let at = queue_path(&api, &options.name, &["redrive"]);
    let found = job::wait(&api, api.post(&at, &body)?)?;
    account(asked, "redriven", options.dry_run, &found)
}

/// Moves records.
pub fn move_to(asked: &Asked, options: &Move) -> Result<(), Failure> {
    let api = asked.api()?;
    let mut body = json!({ "to": options.to, "dry_run": options.dry_run });
    let fields = [
        ("search", json!(options.search)),
        ("limit", json!(options.limit)),
    ];
    set(&mut body, fields);
    if !options.dry_run {
        let (from, to) = (&options.name, &options.to);
        confirm(
            asked.is_sure,
            &format!("move records from queue '{from}' to queue '{to}'"),
        )?;
    }
    let at = queue_path(&api, &options.name, &["move"]);
    let found = job::wait(&api, api.post(&at, &body)?)?;
    account(asked, "moved", options.dry_run, &found)
}

/// Shows leases, or changes one.
pub fn leases(asked: &Asked, options: &Leases) -> Result<(), Failure> {
    let api = asked.api()?;
    let lease = |offset: u64, what: &str| {
        queue_path(&api, &options.name, &["leases", &offset.to_string(), what])
    };
    if let Some(offset) = options.release {
        let found = api.post(&lease(offset, "release"), &json!({}))?;
        let sentence = format!("the record at {offset} is ready again");
        return print_done(asked.is_json, &sentence, &found);
    }
    if let (Some(offset), Some(ms)) = (options.extend, options.by) {
        let found = api.post(&lease(offset, "extend"), &json!({ "ms": ms }))?;
        let sentence = format!("the lease of the record at {offset} is {ms} ms longer");
        return print_done(asked.is_json, &sentence, &found);
    }
    let at = queue_path(&api, &options.name, &["leases"]);
    let (mut rows, mut from) = (Vec::new(), "0".to_owned());
    loop {
        let query = [("from", from.as_str()), ("page_size", "500")];
        let found = api.get(&with_query(&at, &query))?;
        rows.extend(items(&found));
        match found["next"].as_u64() {
            Some(next) => from = next.to_string(),
            None => break,
        }
    }
    let columns = [
        column("OFFSET", "offset", Shown::Count),
        column("CONSUMER", "tag", Shown::Text),
        column("CONNECTION", "connection", Shown::Text),
        column("HELD FOR", "leased_for_ms", Shown::Span),
        column("DEADLINE IN", "deadline_in_ms", Shown::Span),
        column("TRIES", "tries", Shown::Count),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn account(asked: &Asked, done: &str, dry_run: bool, found: &Value) -> Result<(), Failure> {
    let count = |key: &str| shown(&found[key], Shown::Count);
    let sentence = match dry_run {
        true => format!("{} records would be {done}", count("matched")),
        false => format!("{} of {} records {done}", count("moved"), count("matched")),
    };
    print_done(asked.is_json, &sentence, found)?;
    let failed = found["failed_count"].as_u64().unwrap_or_default();
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{failed} records stay where they are: {}",
            found["failed"]
        ))),
    }
}

fn set<const N: usize>(body: &mut Value, fields: [(&str, Value); N]) {
    for (name, value) in fields {
        if !value.is_null() {
            body[name] = value;
        }
    }
}

fn items(found: &Value) -> Vec<Value> {
    found["items"].as_array().cloned().unwrap_or_default()
}

fn with_pairs(path: &str, pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    with_query(path, &pairs)
}

/// A record with as much of its payload as fits a line.
fn shortened(record: &Value) -> Value {
    let mut record = record.clone();
    let is_text = record["payload_encoding"] == "string";
    let payload = record["payload"].as_str().unwrap_or_default();
    let short: String = payload.chars().take(PAYLOAD_LETTERS).collect();
    let more = match short.len() < payload.len() {
        true => "…",
        false => "",
    };
    record["payload"] = match is_text {
        true => json!(format!("{short}{more}")),
        false => json!(format!("base64:{short}{more}")),
    };
    record
}

/// Records one after the other, with all that is known of them.
fn long(records: &[Value]) -> String {
    let mut out = String::new();
    for record in records {
        let size = bytes_text(record["size"].as_f64().unwrap_or(0.0));
        out.push_str(&format!(
            "── {} ── {} ── {} ── {size}\n",
            record["offset"],
            shown(&record["at"], Shown::Time),
            shown(&record["state"], Shown::Text),
        ));
        let fields = record.as_object().into_iter().flatten();
        let known = [
            "offset",
            "at",
            "state",
            "size",
            "payload",
            "payload_encoding",
        ];
        for (name, value) in fields.filter(|(name, _)| !known.contains(&name.as_str())) {
            if !value.is_null() {
                out.push_str(&format!("{name}: {}\n", shown(value, Shown::Text)));
            }
        }
        out.push('\n');
        let payload = record["payload"].as_str().unwrap_or_default();
        out.push_str(&super::listing::harmless_lines(payload));
        out.push_str("\n\n");
    }
    out
}

const PAYLOAD_LETTERS: usize = 60;
