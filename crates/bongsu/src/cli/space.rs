//! `bongsu space …`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Asked;
use super::api::path;
use super::failure::Failure;
use super::listing::{Shown, column, done, pick, print_done, print_list};
use super::terminal::confirm;
use super::user::set_limits;

/// What can be done to spaces.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All spaces.
    List,
    /// Make a space.
    Add(Add),
    /// Delete a space and everything in it.
    Delete(Name),
    /// Show a space's limits, or set them.
    Limits(Limits),
}

/// Which space.
#[derive(Debug, Args)]
pub struct Name {
    /// The space.
    #[arg(value_name = "NAME")]
    name: String,
}

/// A space to make.
#[derive(Debug, Args)]
pub struct Add {
    /// The space.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Limits.
#[derive(Debug, Args)]
pub struct Limits {
    /// The space.
    #[arg(value_name = "NAME")]
    name: String,
    /// Connections at most; -1 takes the limit away.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_connections: Option<i64>,
    /// Queues at most; -1 takes the limit away.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_queues: Option<i64>,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(asked),
        Command::Add(options) => add(asked, options),
        Command::Delete(name) => delete(asked, &name.name),
        Command::Limits(options) => {
            let given = [
                ("max-connections", options.max_connections),
                ("max-queues", options.max_queues),
            ];
            set_limits(asked, "space", &options.name, "vhost-limits", &given)
        }
    }
}

fn list(asked: &Asked) -> Result<(), Failure> {
    let found = asked.api()?.list("/api/vhosts", &[])?;
    let fields = [
        ("name", "name"),
        ("description", "description"),
        ("ready", "messages_ready"),
        ("leased", "messages_unacknowledged"),
    ];
    let rows: Vec<_> = found.iter().map(|row| pick(row, &fields)).collect();
    let columns = [
        column("NAME", "name", Shown::Text),
        column("READY", "ready", Shown::Count),
        column("LEASED", "leased", Shown::Count),
        column("DESCRIPTION", "description", Shown::Text),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn add(asked: &Asked, options: &Add) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(description) = &options.description {
        body["description"] = json!(description);
    }
    let name = &options.name;
    asked.api()?.put(&path(&["api", "vhosts", name]), &body)?;
    let sentence = format!("space '{name}' is there");
    print_done(asked.is_json, &sentence, &done("added", "space", name))
}

fn delete(asked: &Asked, name: &str) -> Result<(), Failure> {
    let what = format!("delete space '{name}' with all its queues, exchanges and records");
    confirm(asked.is_sure, &what)?;
    asked.api()?.delete(&path(&["api", "vhosts", name]))?;
    let sentence = format!("space '{name}' is deleted");
    print_done(asked.is_json, &sentence, &done("deleted", "space", name))
}
