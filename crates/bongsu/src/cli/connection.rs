//! `bongsu connection …`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Asked;
use super::api::path;
use super::failure::Failure;
use super::listing::{Shown, column, done, pick, print_done, print_list};
use super::terminal::confirm;

/// What can be done to connections.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All connections.
    List(List),
    /// Close a connection; what it held goes back to its queues.
    Close(Close),
}

/// Of a list.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this user.
    #[arg(long = "of", value_name = "USER")]
    user: Option<String>,
}

/// Which to close.
#[derive(Debug, Args)]
pub struct Close {
    /// Its name, as the list has it.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(options) => list(asked, options),
        Command::Close(options) => close(asked, &options.name),
    }
}

fn list(asked: &Asked, options: &List) -> Result<(), Failure> {
    let found = asked.api()?.list("/api/connections", &[])?;
    let fields = [
        ("name", "name"),
        ("user", "user"),
        ("space", "vhost"),
        ("protocol", "protocol"),
        ("peer_host", "peer_host"),
        ("peer_port", "peer_port"),
        ("channels", "channels"),
        ("state", "state"),
        ("ssl", "ssl"),
        ("client", "client_properties/product"),
        ("connected_at", "connected_at"),
    ];
    let mut rows: Vec<Value> = found.iter().map(|row| pick(row, &fields)).collect();
    if let Some(user) = &options.user {
        rows.retain(|row| row["user"] == user.as_str());
    }
    let columns = [
        column("NAME", "name", Shown::Text),
        column("USER", "user", Shown::Text),
        column("SPACE", "space", Shown::Text),
        column("PROTOCOL", "protocol", Shown::Text),
        column("CHANNELS", "channels", Shown::Count),
        column("STATE", "state", Shown::Text),
        column("TLS", "ssl", Shown::Text),
        column("CLIENT", "client", Shown::Text),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn close(asked: &Asked, name: &str) -> Result<(), Failure> {
    confirm(asked.is_sure, &format!("close connection '{name}'"))?;
    asked.api()?.delete(&path(&["api", "connections", name]))?;
    let sentence = format!("connection '{name}' is closed");
    print_done(
        asked.is_json,
        &sentence,
        &done("closed", "connection", name),
    )
}
