//! The command line.

use std::error::Error;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::serve;
use crate::settings::{self, show};

/// One message broker for the clients you already have.
#[derive(Debug, Parser)]
#[command(name = "bongsu", version, disable_help_subcommand = true)]
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
    /// Show every setting: key, default, environment variable, meaning.
    Config {
        /// Print a commented sample file instead.
        #[arg(long)]
        toml: bool,
    },
}

/// Does what the command line says.
///
/// # Errors
/// For people.
pub fn run() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Some(Command::Config { toml: true }) => print!("{}", show::sample()),
        Some(Command::Config { toml: false }) => print!("{}", show::table()),
        Some(Command::Serve { config }) => start(config)?,
        None => start(None)?,
    }
    Ok(())
}

fn start(config: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    });
    let settings = settings::load(config.as_deref(), environment)?;
    serve::run(settings)
}
