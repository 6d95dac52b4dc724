//! The command line.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::replay;
use crate::serve;
use crate::settings::{self, show};

/// One message broker for the clients you already have.
#[derive(Debug, Parser)]
#[command(name = "bongsu", version, disable_help_subcommand = true, after_help = SETTINGS_HELP)]
struct Arguments {
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
    },
    /// Show every setting: key, default, unit, environment variable, meaning.
    Config {
        /// Print a commented sample file instead.
        #[arg(long)]
        toml: bool,
    },
    /// What a running broker has: queues.
    #[command(subcommand)]
    Queue(Queue),
}

#[derive(Debug, Subcommand)]
enum Queue {
    /// Publish messages again that a queue kept, or a stream has, to it or to another queue.
    Replay(Box<replay::Options>),
}

/// Does what the command line says.
///
/// # Errors
/// For people.
pub fn run() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Some(Command::Config { toml: true }) => print(&show::sample())?,
        Some(Command::Config { toml: false }) => print(&show::table())?,
        Some(Command::Serve { config }) => start(config)?,
        Some(Command::Queue(Queue::Replay(options))) => replay::run(&options)?,
        None => start(None)?,
    }
    Ok(())
}

fn start(config: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let settings = settings::load(config.as_deref(), std::env::vars_os())?;
    serve::run(settings)
}

/// As `print!`, but a reader who has seen enough (`| head`) is no failure.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

const SETTINGS_HELP: &str = "\
Settings come from the environment, else the file named with `serve --config`, else their defaults; \
`bongsu config` lists them, `bongsu config --toml` prints a file to begin with.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Arguments::command().debug_assert();
        let parse = |line: &[&str]| Arguments::try_parse_from(line).map(|found| found.command);
        assert!(matches!(parse(&["bongsu"]), Ok(None)));
        assert!(matches!(
            parse(&["bongsu", "serve", "--config", "bongsu.toml"]),
            Ok(Some(Command::Serve { config: Some(path) })) if path.ends_with("bongsu.toml")
        ));
        assert!(matches!(
            parse(&["bongsu", "config", "--toml"]),
            Ok(Some(Command::Config { toml: true }))
        ));
        assert!(parse(&["bongsu", "srve"]).is_err());
        let replay = |more: &[&str]| parse(&[&["bongsu", "queue", "replay"], more].concat());
        let all = "orders --from 2h --until 2026-11-21 --to retry --filter kind=a --filter n=1 --rate 50 --dry-run";
        let all: Vec<&str> = all.split(' ').collect();
        assert!(matches!(
            replay(&all),
            Ok(Some(Command::Queue(Queue::Replay(_))))
        ));
        assert!(replay(&["orders"]).is_ok());
        let wrong: [&[&str]; 5] = [
            &[],
            &["orders", "--from", "then"],
            &["orders", "--filter", "kind"],
            &["orders", "--rate", "0"],
            &["orders", "--url", "http://there"],
        ];
        for line in wrong {
            assert!(replay(line).is_err(), "{line:?}");
        }
    }
}
