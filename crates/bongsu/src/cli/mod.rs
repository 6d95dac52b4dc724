//! The command line: a file a noun.
//!
//! A command asks a running broker over its HTTP port ([`api`]), with the rights of whoever
//! asks ([`reach`]); a few work on a data directory instead. What it prints is a table or
//! JSON ([`listing`]), how it ends an exit code ([`failure`]).

pub mod failure;

mod reach;

mod terminal;

mod api;

pub mod listing;

mod arguments;

mod amqp;

mod job;

mod status;

mod queue;

mod records;

mod stream;

mod group;

mod exchange;

mod user;

mod space;

mod connection;

mod publish;

mod definitions;

mod consume;

mod bench;

mod top;

mod backup;

mod doctor;

mod repair;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::serve;
use crate::settings::{self, show};
use api::Api;
use failure::Failure;
use listing::print_text;
pub use reach::VARIABLES;
use reach::{Place, Reach};

/// One message broker for the clients you already have.
#[derive(Debug, Parser)]
#[command(name = "bongsu", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker (also without any command).
    Serve {
        /// Settings file; the environment goes before it.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The data directory, in place of the settings'.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Show every setting: key, default, unit, environment variable, meaning.
    Config {
        /// Print a commented sample file instead.
        #[arg(long)]
        toml: bool,
    },
    /// How a running broker is.
    Status(status::Options),
    /// A running broker, live in the terminal.
    Top(top::Options),
    /// Queues, and what is in them.
    #[command(subcommand)]
    Queue(queue::Command),
    /// Streams: logs that readers keep their own place in.
    #[command(subcommand)]
    Stream(stream::Command),
    /// Groups of consumers, and how far behind they are.
    #[command(subcommand)]
    Group(group::Command),
    /// Exchanges and their bindings.
    #[command(subcommand)]
    Exchange(exchange::Command),
    /// Users, their tags, permissions and limits.
    #[command(subcommand)]
    User(user::Command),
    /// Spaces (virtual hosts).
    #[command(subcommand)]
    Space(space::Command),
    /// Connections of clients.
    #[command(subcommand)]
    Connection(connection::Command),
    /// Publish a message.
    Publish(publish::Options),
    /// Consume messages, and print them.
    Consume(consume::Options),
    /// A small load, to see what this broker gives.
    Bench(bench::Options),
    /// Look for what is wrong or dangerous, and say what to do.
    Doctor(doctor::Options),
    /// Copy all that a running broker has.
    Backup(backup::Backup),
    /// Make a data directory of a backup.
    Restore(backup::Restore),
    /// Check a data directory that no broker uses, and mend what can be.
    Repair(repair::Options),
    /// Users, spaces, queues, exchanges, bindings and policies as one JSON document.
    #[command(subcommand)]
    Definitions(definitions::Command),
    /// Print what a shell needs to complete this command line.
    Completion {
        /// Of which shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What a command is given.
struct Asked {
    place: Place,
    is_json: bool,
    is_sure: bool,
    names_space: bool,
}

impl Asked {
    fn new(reach: &Reach) -> Result<Asked, Failure> {
        Ok(Asked {
            place: reach.place()?,
            is_json: reach.json,
            is_sure: reach.yes,
            names_space: reach.names_space(),
        })
    }

    fn api(&self) -> Result<Api, Failure> {
        Api::new(self.place.clone())
    }
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    match run_command(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bongsu: {}", listing::harmless_lines(&failure.to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run_command(arguments: Arguments) -> Result<(), Failure> {
    let reach = &arguments.reach;
    let asked = || Asked::new(reach);
    match arguments.command {
        None => start(None, None),
        Some(Command::Serve { config, data }) => start(config, data),
        Some(Command::Config { toml: true }) => print_text(&show::sample()),
        Some(Command::Config { toml: false }) => print_text(&show::table()),
        Some(Command::Status(options)) => status::run(&asked()?, &options),
        Some(Command::Top(options)) => top::run(&asked()?, &options),
        Some(Command::Consume(options)) => consume::run(&asked()?, &options),
        Some(Command::Bench(options)) => bench::run(&asked()?, &options),
        Some(Command::Doctor(options)) => doctor::run(reach, &options),
        Some(Command::Backup(options)) => backup::backup(&asked()?, &options),
        Some(Command::Repair(options)) => repair::run((reach.json, reach.yes), &options),
        Some(Command::Restore(options)) => backup::restore(reach.json, &options),

        Some(Command::Queue(command)) => queue::run(&asked()?, &command),
        Some(Command::Stream(command)) => stream::run(&asked()?, &command),
        Some(Command::Group(command)) => group::run(&asked()?, &command),
        Some(Command::Exchange(command)) => exchange::run(&asked()?, &command),
        Some(Command::User(command)) => user::run(&asked()?, &command),
        Some(Command::Space(command)) => space::run(&asked()?, &command),
        Some(Command::Connection(command)) => connection::run(&asked()?, &command),
        Some(Command::Publish(options)) => publish::run(&asked()?, &options),
        Some(Command::Definitions(command)) => definitions::run(&asked()?, &command),
        Some(Command::Completion { shell }) => complete(shell),
    }
}

fn start(config: Option<PathBuf>, data: Option<PathBuf>) -> Result<(), Failure> {
    let settings = settings::load(config.as_deref(), std::env::vars_os());
    let mut settings = settings.map_err(|error| Failure::Failed(error.to_string()))?;
    if let Some(data) = data {
        let told = data.to_string_lossy().into_owned();
        settings.said.insert("data.dir", told);
        settings.data_dir = data;
    }
    Ok(serve::run(settings)?)
}

fn complete(shell: Shell) -> Result<(), Failure> {
    use clap_complete::Shell as Known;
    let shell = match shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "bongsu", &mut script);
    print_text(&String::from_utf8_lossy(&script))
}

const AFTER_HELP: &str = "\
Settings come from the environment, else the file named with `serve --config`, else their defaults; \
`bongsu config` lists them, `bongsu config --toml` prints a file to begin with.

Exit codes: 0 done, 1 failed, 2 the command line cannot be meant, 3 there is no such thing, \
4 not allowed, 5 the broker cannot be reached.";

#[cfg(test)]
mod tests;
