//! `bongsu exchange …`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Asked;
use super::api::{Api, path, with_query};
use super::arguments::{object, pair};
use super::failure::Failure;
use super::listing::{Shown, column, done, pick, print_done, print_list};
use super::terminal::confirm;

/// What can be done to exchanges.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All exchanges of a space.
    List,
    /// What is bound to an exchange.
    Bindings(Name),
    /// Make an exchange; the same again changes nothing.
    Declare(Declare),
    /// Delete an exchange and its bindings.
    Delete(Delete),
    /// Bind a queue or an exchange to an exchange.
    Bind(Bind),
    /// Take a binding away.
    Unbind(Bind),
}

/// Which exchange.
#[derive(Debug, Args)]
pub struct Name {
    /// The exchange.
    #[arg(value_name = "EXCHANGE")]
    name: String,
}

/// An exchange to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The exchange.
    #[arg(value_name = "EXCHANGE")]
    name: String,
    /// Only if nothing is bound to it.
    #[arg(long)]
    if_unused: bool,
}

/// An exchange to make.
#[derive(Debug, Args)]
pub struct Declare {
    /// The exchange.
    #[arg(value_name = "EXCHANGE")]
    name: String,
    /// What it does: direct, fanout, topic, headers and others that the broker knows.
    #[arg(long = "type", value_name = "TYPE", default_value = "direct")]
    kind: String,
    /// Gone with the broker's process.
    #[arg(long)]
    transient: bool,
    /// Gone with its last binding.
    #[arg(long)]
    auto_delete: bool,
    /// Only for other exchanges, not for publishers.
    #[arg(long)]
    internal: bool,
    /// An argument; may be given several times.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    argument: Vec<(String, Value)>,
}

/// A binding.
#[derive(Debug, Args)]
pub struct Bind {
    /// From where.
    #[arg(value_name = "EXCHANGE")]
    source: String,
    /// To where.
    #[arg(value_name = "QUEUE")]
    destination: String,
    /// The routing key or pattern.
    #[arg(long, short, value_name = "KEY", default_value = "")]
    key: String,
    /// The destination is an exchange.
    #[arg(long)]
    to_exchange: bool,
    /// An argument; may be given several times.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    argument: Vec<(String, Value)>,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(asked),
        Command::Bindings(name) => bindings(asked, &name.name),
        Command::Declare(options) => declare(asked, options),
        Command::Delete(options) => delete(asked, options),
        Command::Bind(options) => bind(asked, options),
        Command::Unbind(options) => unbind(asked, options),
    }
}

fn list(asked: &Asked) -> Result<(), Failure> {
    let api = asked.api()?;
    let found = api.list(&path(&["api", "exchanges", api.space()]), &[])?;
    let fields = [
        ("space", "vhost"),
        ("name", "name"),
        ("type", "type"),
        ("durable", "durable"),
        ("auto_delete", "auto_delete"),
        ("internal", "internal"),
        ("publish_in_rate", "message_stats/publish_in_details/rate"),
        ("publish_out_rate", "message_stats/publish_out_details/rate"),
        ("arguments", "arguments"),
    ];
    let rows: Vec<_> = found.iter().map(|row| pick(row, &fields)).collect();
    let columns = [
        column("NAME", "name", Shown::Text),
        column("TYPE", "type", Shown::Text),
        column("DURABLE", "durable", Shown::Text),
        column("INTERNAL", "internal", Shown::Text),
        column("IN", "publish_in_rate", Shown::Rate),
        column("OUT", "publish_out_rate", Shown::Rate),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn bindings(asked: &Asked, name: &str) -> Result<(), Failure> {
    let api = asked.api()?;
    let at = path(&["api", "exchanges", api.space(), name, "bindings", "source"]);
    let rows = api.get(&at)?.as_array().cloned().unwrap_or_default();
    let columns = [
        column("SOURCE", "source", Shown::Text),
        column("TO", "destination_type", Shown::Text),
        column("DESTINATION", "destination", Shown::Text),
        column("KEY", "routing_key", Shown::Text),
        column("ARGUMENTS", "arguments", Shown::Text),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn declare(asked: &Asked, options: &Declare) -> Result<(), Failure> {
    let api = asked.api()?;
    let body = json!({
        "type": options.kind,
        "durable": !options.transient,
        "auto_delete": options.auto_delete,
        "internal": options.internal,
        "arguments": object(&options.argument),
    });
    let name = &options.name;
    api.put(&path(&["api", "exchanges", api.space(), name]), &body)?;
    let sentence = format!("exchange '{name}' is there");
    print_done(
        asked.is_json,
        &sentence,
        &done("declared", "exchange", name),
    )
}

fn delete(asked: &Asked, options: &Delete) -> Result<(), Failure> {
    let api = asked.api()?;
    let name = &options.name;
    confirm(
        asked.is_sure,
        &format!("delete exchange '{name}' and its bindings"),
    )?;
    let at = path(&["api", "exchanges", api.space(), name]);
    let query = [("if-unused", "true")];
    let query = &query[..usize::from(options.if_unused)];
    api.delete(&with_query(&at, query))?;
    let sentence = format!("exchange '{name}' is deleted");
    print_done(asked.is_json, &sentence, &done("deleted", "exchange", name))
}

fn between(api: &Api, options: &Bind) -> String {
    let kind = if options.to_exchange { "e" } else { "q" };
    path(&[
        "api",
        "bindings",
        api.space(),
        "e",
        &options.source,
        kind,
        &options.destination,
    ])
}

fn bind(asked: &Asked, options: &Bind) -> Result<(), Failure> {
    let api = asked.api()?;
    let body = json!({ "routing_key": options.key, "arguments": object(&options.argument) });
    api.post(&between(&api, options), &body)?;
    said(asked, "bound", options)
}

fn unbind(asked: &Asked, options: &Bind) -> Result<(), Failure> {
    let api = asked.api()?;
    let at = between(&api, options);
    let found = api.get(&at)?;
    let arguments = object(&options.argument);
    let is_meant = |binding: &&Value| {
        binding["routing_key"] == options.key && binding["arguments"] == arguments
    };
    let mut found = found.as_array().into_iter().flatten();
    let binding = found.find(is_meant).ok_or_else(|| {
        let (from, to, key) = (&options.source, &options.destination, &options.key);
        let what = format!("'{to}' is not bound to exchange '{from}' with the key '{key}'");
        Failure::NotFound(what)
    })?;
    let key = binding["properties_key"].as_str().unwrap_or("~");
    api.delete(&format!("{at}{}", path(&[key])))?;
    said(asked, "unbound", options)
}

fn said(asked: &Asked, what: &str, options: &Bind) -> Result<(), Failure> {
    let (from, to, key) = (&options.source, &options.destination, &options.key);
    let sentence = format!("'{to}' is {what}: exchange '{from}', key '{key}'");
    let object = json!({ "done": what, "source": from, "destination": to, "routing_key": key });
    print_done(asked.is_json, &sentence, &object)
}
