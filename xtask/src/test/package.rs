//! What is handed out, tried as whoever gets it would: the static binary alone in an empty
//! directory that is its whole world, and what is in the Debian package.

use super::broker::Broker;
use super::program::{self, Done};
use super::setup::{self, Ecosystem};
use super::{Context, Tally};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Builds both and tries them.
pub(super) fn run(context: &Context) -> Result<Tally, String> {
    setup::need_musl()?;
    if let Err(reason) = crate::package::need_target() {
        // A machine that reaches package registries alone may not reach rustup's.
        println!("   skipped package: no static binary can be built here: {reason}");
        return Ok(Tally {
            skipped: 2,
            ..Tally::default()
        });
    }
    let pika = context.root.join("tests/clients/pika");
    setup::prepare(Ecosystem::Python, &pika)?;
    let packaged = crate::package::package(&context.root, &context.target)?;
    let mut tally = Tally::default();
    let mut count = |what: &str, result: Result<(), String>| match result {
        Ok(()) => {
            println!("   ok     package/{what}");
            tally.passed += 1;
        }
        Err(reason) => {
            println!("   FAILED package/{what}: {reason}");
            tally.failed += 1;
        }
    };
    count("contents", contents(&packaged.debian));
    count("alone", alone(context, &packaged.binary, &pika));
    Ok(tally)
}

/// All that an administrator looks for, owned by root.
fn contents(debian: &Path) -> Result<(), String> {
    let listed = output(Command::new("dpkg-deb").arg("--contents").arg(debian))?;
    for path in [
        "./usr/bin/bongsu",
        "./etc/bongsu/bongsu.toml",
        "./lib/systemd/system/bongsu.service",
        "./usr/share/doc/bongsu/copyright",
        "./usr/share/bash-completion/completions/bongsu",
    ] {
        let line = listed.lines().find(|line| line.ends_with(path));
        let line = line.ok_or_else(|| format!("{path} is missing:\n{listed}"))?;
        if !line.contains("root/root") {
            return Err(format!("not root's: {line}"));
        }
    }
    let marked = output(Command::new("dpkg-deb").arg("--info").arg(debian))?;
    match marked.contains("conffiles") {
        true => Ok(()),
        false => Err(format!("the settings would be overwritten:\n{marked}")),
    }
}

/// A client greets a broker that sees no file but itself and its data.
fn alone(context: &Context, binary: &Path, pika: &Path) -> Result<(), String> {
    let world = context.target.join("package/world");
    let _ = fs::remove_dir_all(&world);
    let failed = |error: std::io::Error| format!("{}: {error}", world.display());
    fs::create_dir_all(&world).map_err(failed)?;
    fs::copy(binary, world.join("bongsu")).map_err(failed)?;
    let mut broker = Broker::start_alone(context, "package", &world)?;
    let mut command = Command::new(pika.join(".venv/bin/python"));
    command.args(["client.py", "hello"]).current_dir(pika);
    let greeted = program::run(command, &mut broker, Done::LineAndExit(GREETING), TIMEOUT);
    broker.stop(greeted.is_err())?;
    greeted.map(drop)
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

const GREETING: &str = "Received: Hello, Broker!";
const TIMEOUT: Duration = Duration::from_secs(60);
