//! `bongsu user …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Asked;
use super::api::{Api, path};
use super::failure::Failure;
use super::listing::{Shown, column, done, pick, print_done, print_list};
use super::reach::password_of;
use super::terminal::{ask_secret, confirm};

/// What can be done to users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All users.
    List,
    /// Make a user.
    Add(Add),
    /// Delete a user.
    Delete(Name),
    /// Set a user's password.
    Password(Password),
    /// Set a user's tags: administrator, monitoring, policymaker, management.
    Tags(Tags),
    /// Show a user's permissions, or set them in a space.
    Permit(Permit),
    /// Show a user's limits, or set them.
    Limits(Limits),
}

/// Which user.
#[derive(Debug, Args)]
pub struct Name {
    /// The user.
    #[arg(value_name = "USER")]
    name: String,
}

/// Where the new password is from.
#[derive(Debug, Args)]
pub struct Secret {
    /// A file whose first line is the new password; - is the standard input. Without, it is
    /// asked for.
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

/// A user to make.
#[derive(Debug, Args)]
pub struct Add {
    /// The user.
    #[arg(value_name = "USER")]
    name: String,
    #[command(flatten)]
    secret: Secret,
    /// A tag; may be given several times.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Without a password: only certificates and tokens let this user in.
    #[arg(long, conflicts_with = "new_password_file")]
    no_password: bool,
}

/// A new password.
#[derive(Debug, Args)]
pub struct Password {
    /// The user.
    #[arg(value_name = "USER")]
    name: String,
    #[command(flatten)]
    secret: Secret,
}

/// New tags.
#[derive(Debug, Args)]
pub struct Tags {
    /// The user.
    #[arg(value_name = "USER")]
    name: String,
    /// The tags; none takes all away.
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
}

/// Permissions in a space.
#[derive(Debug, Args)]
pub struct Permit {
    /// The user.
    #[arg(value_name = "USER")]
    name: String,
    /// What may be declared and deleted: a regular expression of names.
    #[arg(long, value_name = "PATTERN")]
    configure: Option<String>,
    /// What may be published to.
    #[arg(long, value_name = "PATTERN")]
    write: Option<String>,
    /// What may be consumed from.
    #[arg(long, value_name = "PATTERN")]
    read: Option<String>,
    /// Take all permissions in the space away.
    #[arg(long, conflicts_with_all = ["configure", "write", "read"])]
    none: bool,
}

/// Limits.
#[derive(Debug, Args)]
pub struct Limits {
    /// The user.
    #[arg(value_name = "USER")]
    name: String,
    /// Connections at most; -1 takes the limit away.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_connections: Option<i64>,
    /// Channels at most; -1 takes the limit away.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_channels: Option<i64>,
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(asked),
        Command::Add(options) => add(asked, options),
        Command::Delete(name) => delete(asked, &name.name),
        Command::Password(options) => password(asked, options),
        Command::Tags(options) => tags(asked, options),
        Command::Permit(options) => permit(asked, options),
        Command::Limits(options) => limits(asked, options),
    }
}

fn list(asked: &Asked) -> Result<(), Failure> {
    let found = asked.api()?.list("/api/users", &[])?;
    let rows: Vec<Value> = found
        .iter()
        .map(|user| {
            // Older brokers say tags as one text.
            let tags = match &user["tags"] {
                Value::String(text) => json!(
                    text.split(',')
                        .filter(|t| !t.is_empty())
                        .collect::<Vec<_>>()
                ),
                other => other.clone(),
            };
            json!({ "name": user["name"], "tags": tags, "limits": user["limits"] })
        })
        .collect();
    let columns = [
        column("NAME", "name", Shown::Text),
        column("TAGS", "tags", Shown::Text),
    ];
    print_list(asked.is_json, &columns, &rows)
}

impl Secret {
    fn read(&self, name: &str) -> Result<String, Failure> {
        let password = match &self.new_password_file {
            Some(path) => password_of(path)?,
            None => {
                let first = ask_secret(&format!("New password of {name}: "))?;
                if ask_secret("The same again: ")? != first {
                    return Err(Failure::Usage("the two passwords differ".to_owned()));
                }
                first
            }
        };
        match password.is_empty() {
            true => Err(Failure::Usage("the new password is empty".to_owned())),
            false => Ok(password),
        }
    }
}

fn add(asked: &Asked, options: &Add) -> Result<(), Failure> {
    let api = asked.api()?;
    let name = &options.name;
    match api.get(&path(&["api", "users", name])) {
        Err(Failure::NotFound(_)) => {}
        Ok(_) => return Err(Failure::Failed(format!("user '{name}' is there already"))),
        Err(failure) => return Err(failure),
    }
    let mut body = json!({ "tags": options.tag.join(",") });
    match options.no_password {
        true => body["password_hash"] = json!(""),
        false => body["password"] = json!(options.secret.read(name)?),
    }
    api.put(&path(&["api", "users", name]), &body)?;
    let sentence =
        format!("user '{name}' is there; `bongsu user permit {name}` lets it do something");
    print_done(asked.is_json, &sentence, &done("added", "user", name))
}

fn delete(asked: &Asked, name: &str) -> Result<(), Failure> {
    confirm(asked.is_sure, &format!("delete user '{name}'"))?;
    asked.api()?.delete(&path(&["api", "users", name]))?;
    let sentence = format!("user '{name}' is deleted");
    print_done(asked.is_json, &sentence, &done("deleted", "user", name))
}

/// The user as it is, so that a change of one thing keeps the other.
fn existing(api: &Api, name: &str) -> Result<Value, Failure> {
    api.get(&path(&["api", "users", name]))
}

fn tags_text(user: &Value) -> String {
    match &user["tags"] {
        Value::Array(tags) => {
            let tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
            tags.join(",")
        }
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn password(asked: &Asked, options: &Password) -> Result<(), Failure> {
    let api = asked.api()?;
    let name = &options.name;
    let user = existing(&api, name)?;
    let password = options.secret.read(name)?;
    let body = json!({ "tags": tags_text(&user), "password": password });
    api.put(&path(&["api", "users", name]), &body)?;
    let sentence = format!("user '{name}' has a new password");
    print_done(asked.is_json, &sentence, &done("password", "user", name))
}

fn tags(asked: &Asked, options: &Tags) -> Result<(), Failure> {
    let api = asked.api()?;
    let name = &options.name;
    let user = existing(&api, name)?;
    let mut body = json!({ "tags": options.tags.join(",") });
    for key in ["password_hash", "hashing_algorithm"] {
        if !user[key].is_null() {
            body[key] = user[key].clone();
        }
    }
    api.put(&path(&["api", "users", name]), &body)?;
    let sentence = match options.tags.is_empty() {
        true => format!("user '{name}' has no tags"),
        false => format!("user '{name}' has the tags {}", options.tags.join(", ")),
    };
    print_done(asked.is_json, &sentence, &done("tags", "user", name))
}

fn permit(asked: &Asked, options: &Permit) -> Result<(), Failure> {
    let api = asked.api()?;
    let (space, name) = (api.space(), &options.name);
    let at = path(&["api", "permissions", space, name]);
    if options.none {
        api.delete(&at)?;
        let sentence = format!("user '{name}' may nothing in space '{space}'");
        return print_done(asked.is_json, &sentence, &done("permissions", "user", name));
    }
    let given = [&options.configure, &options.write, &options.read];
    if given.iter().all(|pattern| pattern.is_none()) {
        let found = api.get(&path(&["api", "users", name, "permissions"]))?;
        let fields = [
            ("space", "vhost"),
            ("configure", "configure"),
            ("write", "write"),
            ("read", "read"),
        ];
        let found = found.as_array().cloned().unwrap_or_default();
        let rows: Vec<_> = found.iter().map(|row| pick(row, &fields)).collect();
        let columns = [
            column("SPACE", "space", Shown::Text),
            column("CONFIGURE", "configure", Shown::Text),
            column("WRITE", "write", Shown::Text),
            column("READ", "read", Shown::Text),
        ];
        return print_list(asked.is_json, &columns, &rows);
    }
    let before = match api.get(&at) {
        Ok(before) => before,
        Err(Failure::NotFound(_)) => json!({}),
        Err(failure) => return Err(failure),
    };
    // What is not named stays; what never was is nothing.
    let pattern = |given: &Option<String>, key: &str| match given {
        Some(pattern) => json!(pattern),
        None => json!(before[key].as_str().unwrap_or("^$")),
    };
    let body = json!({
        "configure": pattern(&options.configure, "configure"),
        "write": pattern(&options.write, "write"),
        "read": pattern(&options.read, "read"),
    });
    api.put(&at, &body)?;
    let sentence = format!(
        "user '{name}' may in space '{space}': configure {}, write {}, read {}",
        body["configure"], body["write"], body["read"]
    );
    print_done(asked.is_json, &sentence, &done("permissions", "user", name))
}

fn limits(asked: &Asked, options: &Limits) -> Result<(), Failure> {
    let given = [
        ("max-connections", options.max_connections),
        ("max-channels", options.max_channels),
    ];
    set_limits(asked, "user", &options.name, "user-limits", &given)
}

/// Shows limits of a user or a space, or sets them.
pub fn set_limits(
    asked: &Asked,
    noun: &str,
    name: &str,
    family: &str,
    given: &[(&str, Option<i64>)],
) -> Result<(), Failure> {
    let api = asked.api()?;
    if given.iter().all(|(_, value)| value.is_none()) {
        let found = api.get(&path(&["api", family, name]))?;
        let found = found.as_array().and_then(|all| all.first().cloned());
        let values = found.map_or_else(|| json!({}), |found| found["value"].clone());
        let rows = values.as_object().into_iter().flatten();
        let rows: Vec<_> = rows
            .map(|(k, v)| json!({ "limit": k, "value": v }))
            .collect();
        let columns = [
            column("LIMIT", "limit", Shown::Text),
            column("VALUE", "value", Shown::Count),
        ];
        return print_list(asked.is_json, &columns, &rows);
    }
    for (limit, value) in given {
        let at = path(&["api", family, name, limit]);
        match value {
            None => {}
            Some(value) if *value < 0 => drop(api.delete(&at)?),
            Some(value) => drop(api.put(&at, &json!({ "value": value }))?),
        }
    }
    let sentence = format!("the limits of {noun} '{name}' are set");
    print_done(asked.is_json, &sentence, &done("limits", noun, name))
}
