//! `bongsu group …`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Asked;
use super::api::{Api, path, with_query};
use super::failure::Failure;
use super::listing::{Shown, column, done, print_done, print_list, print_one};
use super::terminal::confirm;

/// What can be done to groups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All groups, and how far behind they are.
    List,
    /// One group: members, partitions, lag.
    Show(Name),
    /// Set where a group goes on. Nobody may be in it.
    Move(Move),
    /// Forget a group and its offsets.
    Delete(Name),
}

/// Which group.
#[derive(Debug, Args)]
pub struct Name {
    /// The group.
    #[arg(value_name = "GROUP")]
    name: String,
}

/// Where a group is to go on.
#[derive(Debug, Args)]
pub struct Move {
    /// The group.
    #[arg(value_name = "GROUP")]
    name: String,
    /// In which topic.
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// In which partition; without, in all.
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u32>,
    /// Where: first, last, an offset, or a time (RFC 3339).
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Only show what it would be.
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(asked),
        Command::Show(name) => show(asked, &name.name),
        Command::Move(options) => move_to(asked, options),
        Command::Delete(name) => delete(asked, &name.name),
    }
}

/// A group's path: it is of a space.
fn place(api: &Api, name: &str, more: &[&str]) -> String {
    let parts = [&["bongsu", "v1", "groups", name], more].concat();
    with_query(&path(&parts), &[("space", api.space())])
}

fn list(asked: &Asked) -> Result<(), Failure> {
    let api = asked.api()?;
    let rows = api.list("/bongsu/v1/groups", &[("space", api.space())])?;
    let columns = [
        column("NAME", "name", Shown::Text),
        column("KIND", "kind", Shown::Text),
        column("STATE", "state", Shown::Text),
        column("PARTITIONS", "partition_count", Shown::Count),
        column("LAG", "lag", Shown::Count),
    ];
    print_list(asked.is_json, &columns, &rows)
}

fn show(asked: &Asked, name: &str) -> Result<(), Failure> {
    let api = asked.api()?;
    let found = api.get(&place(&api, name, &[]))?;
    if asked.is_json {
        return print_one(true, &found);
    }
    let mut head = found.clone();
    let fields = head.as_object_mut();
    let partitions = fields.and_then(|fields| fields.remove("partitions"));
    print_one(false, &head)?;
    let partitions = partitions.and_then(|list| list.as_array().cloned());
    let columns = [
        column("TOPIC", "topic", Shown::Text),
        column("PARTITION", "partition", Shown::Count),
        column("COMMITTED", "committed", Shown::Count),
        column("END", "end", Shown::Count),
        column("LAG", "lag", Shown::Count),
        column("BEHIND", "oldest_lag_ms", Shown::Span),
        column("MEMBER", "member", Shown::Text),
    ];
    match partitions {
        Some(rows) if !rows.is_empty() => print_list(false, &columns, &rows),
        _ => Ok(()),
    }
}

fn move_to(asked: &Asked, options: &Move) -> Result<(), Failure> {
    let api = asked.api()?;
    let mut body = json!({ "topic": options.topic, "dry_run": options.dry_run });
    body["to"] = match options.to.parse::<u64>() {
        Ok(offset) => json!(offset),
        Err(_) => json!(options.to),
    };
    if let Some(partition) = options.partition {
        body["partition"] = json!(partition);
    }
    if !options.dry_run {
        let (group, topic, to) = (&options.name, &options.topic, &options.to);
        let what = format!("let group '{group}' go on in topic '{topic}' at {to}");
        confirm(asked.is_sure, &what)?;
    }
    let at = place(&api, &options.name, &["offsets"]);
    let found = api.post(&at, &body)?;
    print_one(asked.is_json, &found)
}

fn delete(asked: &Asked, name: &str) -> Result<(), Failure> {
    confirm(
        asked.is_sure,
        &format!("forget group '{name}' and its offsets"),
    )?;
    let api = asked.api()?;
    api.delete(&place(&api, name, &[]))?;
    let sentence = format!("group '{name}' is deleted");
    print_done(asked.is_json, &sentence, &done("deleted", "group", name))
}
