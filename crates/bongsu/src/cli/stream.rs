//! `bongsu stream …`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Asked;
use super::api::path;
use super::arguments::{object, pair};
use super::failure::Failure;
use super::listing::{Shown, column, print_list};
use super::{queue, records};

/// What can be done to streams.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All streams.
    List,
    /// One stream: its partitions, and who reads them.
    Show(queue::Name),
    /// Make a stream; the same again changes nothing.
    Declare(Declare),
    /// Delete a stream and all its records.
    Delete(queue::Name),
    /// Look at records.
    Peek(records::Peek),
}

/// A stream to make.
#[derive(Debug, Args)]
pub struct Declare {
    /// The stream.
    #[arg(value_name = "STREAM")]
    name: String,
    /// How long records are kept, as 7D or 12h.
    #[arg(long, value_name = "AGE")]
    max_age: Option<String>,
    /// How many bytes are kept.
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// An argument; may be given several times.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    argument: Vec<(String, Value)>,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(asked),
        Command::Show(name) => queue::show(asked, "streams", &name.name),
        Command::Declare(options) => declare(asked, options),
        Command::Delete(name) => queue::delete_with(asked, "stream", &name.name, &[]),
        Command::Peek(options) => records::peek(asked, options),
    }
}

fn list(asked: &Asked) -> Result<(), Failure> {
    let api = asked.api()?;
    let space = [("space", api.space())];
    let space = &space[..usize::from(asked.names_space)];
    let rows = api.list(&path(&["bongsu", "v1", "streams"]), space)?;
    let columns = [
        column("SPACE", "space", Shown::Text),
        column("NAME", "name", Shown::Text),
        column("PARTITIONS", "partition_count", Shown::Count),
        column("RECORDS", "count", Shown::Count),
        column("BYTES", "bytes", Shown::Bytes),
        column("READERS", "readers", Shown::Count),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn declare(asked: &Asked, options: &Declare) -> Result<(), Failure> {
    let mut arguments = options.argument.clone();
    arguments.push(("x-queue-type".to_owned(), json!("stream")));
    if let Some(age) = &options.max_age {
        arguments.push(("x-max-age".to_owned(), json!(age)));
    }
    if let Some(bytes) = options.max_bytes {
        arguments.push(("x-max-length-bytes".to_owned(), json!(bytes)));
    }
    let body = json!({ "durable": true, "arguments": object(&arguments) });
    queue::declare_with(asked, "stream", &options.name, &body)
}
