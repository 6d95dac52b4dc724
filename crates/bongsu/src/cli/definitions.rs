//! `bongsu definitions …`: everything but records, as one document.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use super::Asked;
use super::api::path;
use super::failure::Failure;
use super::listing::{done, print_done, print_json};

/// What can be done with definitions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print them, or write them to a file; with --space only those of the space.
    Export {
        /// A file to write; without, they are printed.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Read them from a file; RabbitMQ's own are taken as they are.
    Import {
        /// The file; - is the standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does it.
pub fn run(asked: &Asked, command: &Command) -> Result<(), Failure> {
    let api = asked.api()?;
    let at = match asked.names_space {
        true => path(&["api", "definitions", api.space()]),
        false => path(&["api", "definitions"]),
    };
    match command {
        Command::Export { file: None } => print_json(&api.get(&at)?),
        Command::Export { file: Some(file) } => {
            let text = serde_json::to_string_pretty(&api.get(&at)?);
            let text = text.expect("plain data with text keys");
            write_secret(file, text.as_bytes())
                .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
            let name = file.display().to_string();
            let sentence = format!("definitions are in {name}");
            print_done(asked.is_json, &sentence, &done("exported", "file", &name))
        }
        Command::Import { file } => {
            let text = read(file)?;
            let wrong = |error| Failure::Usage(format!("{}: {error}", file.display()));
            let definitions: Value = serde_json::from_str(&text).map_err(wrong)?;
            api.post(&at, &definitions)?;
            let name = file.display().to_string();
            let sentence = format!("definitions of {name} are imported");
            print_done(asked.is_json, &sentence, &done("imported", "file", &name))
        }
    }
}

/// Definitions hold hashes of passwords: nobody else may read them.
fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
