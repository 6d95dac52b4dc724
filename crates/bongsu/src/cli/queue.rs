//! `bongsu queue …`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Asked;
use super::api::{path, with_query};
use super::arguments::{object, pair};
use super::failure::Failure;
use super::listing::{Shown, column, done, pick, print_done, print_list, print_one, shown};
use super::records;
use super::terminal::confirm;
use crate::replay;

/// What can be done to queues.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All queues of a space, or of all spaces.
    List(List),
    /// One queue: depth, rates, properties, and why nothing is delivered.
    Show(Name),
    /// Make a queue; the same again changes nothing.
    Declare(Declare),
    /// Delete a queue and what is in it.
    Delete(Delete),
    /// Drop all records that are ready.
    Purge(Name),
    /// Look at records; nothing is consumed.
    Peek(records::Peek),
    /// Search dead records by why they died, or count them.
    Dead(records::Dead),
    /// Publish messages again that a queue kept, or a stream has, to it or to another queue.
    Replay(Box<replay::Options>),
    /// Send dead records back to where they came from, or elsewhere.
    Redrive(records::Redrive),
    /// Move records to another queue.
    Move(records::Move),
    /// Why nothing is delivered.
    Why(Name),
    /// Who holds which record, and for how long; release or extend one.
    Leases(records::Leases),
}

/// Of a list.
#[derive(Debug, Args)]
pub struct List {
    /// Queues of all spaces.
    #[arg(long, short)]
    all_spaces: bool,
    /// Only names that contain this.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// By which column.
    #[arg(long, value_enum, default_value_t = Sort::Name)]
    sort: Sort,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Columns to sort by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sort {
    /// The name.
    Name,
    /// Records that are ready.
    Ready,
    /// Records that somebody holds.
    Leased,
    /// Consumers.
    Consumers,
}

/// Which queue.
#[derive(Debug, Args)]
pub struct Name {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    pub name: String,
}

/// A queue to make.
#[derive(Debug, Args)]
pub struct Declare {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Gone with the broker's process.
    #[arg(long)]
    transient: bool,
    /// Gone with its last consumer.
    #[arg(long)]
    auto_delete: bool,
    /// What it is: classic, quorum or stream.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// An argument, as x-max-length=1000; may be given several times.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    argument: Vec<(String, Value)>,
}

/// A queue to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Only if nothing is in it.
    #[arg(long)]
    if_empty: bool,
    /// Only if nobody consumes.
    #[arg(long)]
    if_unused: bool,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(options) => list(asked, options),
        Command::Show(name) => show(asked, "queues", &name.name),
        Command::Declare(options) => declare(asked, options),
        Command::Delete(options) => delete(asked, options),
        Command::Purge(name) => purge(asked, &name.name),
        Command::Peek(options) => records::peek(asked, options),
        Command::Dead(options) => records::dead(asked, options),
        Command::Replay(options) => replay::run(options, &super::amqp::url(asked)?, asked.is_json),
        Command::Redrive(options) => records::redrive(asked, options),
        Command::Move(options) => records::move_to(asked, options),
        Command::Why(name) => why(asked, &name.name),
        Command::Leases(options) => records::leases(asked, options),
    }
}

fn list(asked: &Asked, options: &List) -> Result<(), Failure> {
    let api = asked.api()?;
    let at = match options.all_spaces {
        true => path(&["api", "queues"]),
        false => path(&["api", "queues", api.space()]),
    };
    let mut query = Vec::new();
    if let Some(name) = &options.name {
        query.push(("name", name.as_str()));
    }
    let found = api.list(&at, &query)?;
    let mut rows: Vec<Value> = found.iter().map(row).collect();
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap_or(0);
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let by_number = |rows: &mut Vec<Value>, key: &str| {
        rows.sort_by_key(|row| (std::cmp::Reverse(number(row, key)), text(row, "name")));
    };
    match options.sort {
        Sort::Name => rows.sort_by_key(|row| (text(row, "space"), text(row, "name"))),
        Sort::Ready => by_number(&mut rows, "ready"),
        Sort::Leased => by_number(&mut rows, "leased"),
        Sort::Consumers => by_number(&mut rows, "consumers"),
    }
    if options.reverse {
        rows.reverse();
    }
    rows.truncate(options.limit.unwrap_or(usize::MAX));
    let columns = [
        column("SPACE", "space", Shown::Text),
        column("NAME", "name", Shown::Text),
        column("TYPE", "type", Shown::Text),
        column("DURABLE", "durable", Shown::Text),
        column("READY", "ready", Shown::Count),
        column("LEASED", "leased", Shown::Count),
        column("CONSUMERS", "consumers", Shown::Count),
        column("PUBLISH", "publish_rate", Shown::Rate),
        column("DELIVER", "deliver_rate", Shown::Rate),
        column("STATE", "state", Shown::Text),
    ];
    let from = usize::from(!options.all_spaces);
    print_list(asked.is_json, &columns[from..], &rows)
}

/// A queue of the management API in our words.
pub fn row(queue: &Value) -> Value {
    pick(
        queue,
        &[
            ("space", "vhost"),
            ("name", "name"),
            ("type", "type"),
            ("durable", "durable"),
            ("ready", "messages_ready"),
            ("leased", "messages_unacknowledged"),
            ("consumers", "consumers"),
            ("publish_rate", "message_stats/publish_details/rate"),
            ("deliver_rate", "message_stats/deliver_get_details/rate"),
            ("ack_rate", "message_stats/ack_details/rate"),
            ("state", "state"),
            ("policy", "policy"),
            ("arguments", "arguments"),
        ],
    )
}

/// Shows one queue or stream.
pub fn show(asked: &Asked, kind: &str, name: &str) -> Result<(), Failure> {
    let api = asked.api()?;
    let found = api.get(&path(&["bongsu", "v1", kind, api.space(), name]))?;
    print_one(asked.is_json, &found)
}

fn declare(asked: &Asked, options: &Declare) -> Result<(), Failure> {
    let mut arguments = options.argument.clone();
    if let Some(kind) = &options.kind {
        arguments.push(("x-queue-type".to_owned(), json!(kind)));
    }
    let body = json!({
        "durable": !options.transient,
        "auto_delete": options.auto_delete,
        "arguments": object(&arguments),
    });
    declare_with(asked, "queue", &options.name, &body)
}

/// Makes a queue or a stream.
pub fn declare_with(asked: &Asked, noun: &str, name: &str, body: &Value) -> Result<(), Failure> {
    let api = asked.api()?;
    api.put(&path(&["api", "queues", api.space(), name]), body)?;
    let sentence = format!("{noun} '{name}' is there");
    print_done(asked.is_json, &sentence, &done("declared", noun, name))
}

fn delete(asked: &Asked, options: &Delete) -> Result<(), Failure> {
    let name = &options.name;
    let mut query = Vec::new();
    if options.if_empty {
        query.push(("if-empty", "true"));
    }
    if options.if_unused {
        query.push(("if-unused", "true"));
    }
    delete_with(asked, "queue", name, &query)
}

/// Deletes a queue or a stream.
pub fn delete_with(
    asked: &Asked,
    noun: &str,
    name: &str,
    query: &[(&str, &str)],
) -> Result<(), Failure> {
    let api = asked.api()?;
    let space = api.space();
    let what = format!("delete {noun} '{name}' of space '{space}' and all that is in it");
    confirm(asked.is_sure, &what)?;
    let at = path(&["api", "queues", space, name]);
    api.delete(&with_query(&at, query))?;
    let sentence = format!("{noun} '{name}' is deleted");
    print_done(asked.is_json, &sentence, &done("deleted", noun, name))
}

fn purge(asked: &Asked, name: &str) -> Result<(), Failure> {
    let api = asked.api()?;
    let space = api.space();
    confirm(
        asked.is_sure,
        &format!("drop all ready records of queue '{name}' of space '{space}'"),
    )?;
    api.delete(&path(&["api", "queues", space, name, "contents"]))?;
    let sentence = format!("queue '{name}' is purged");
    print_done(asked.is_json, &sentence, &done("purged", "queue", name))
}

fn why(asked: &Asked, name: &str) -> Result<(), Failure> {
    let api = asked.api()?;
    let found = api.get(&path(&["bongsu", "v1", "queues", api.space(), name, "why"]))?;
    let delivering = match found["delivering"].as_bool() {
        Some(true) => "delivering",
        _ => "not delivering",
    };
    let text = shown(&found["text"], Shown::Text);
    print_done(asked.is_json, &format!("{delivering}: {text}"), &found)
}
