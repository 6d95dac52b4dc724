//! `bongsu doctor`: looks for what is wrong or dangerous, and says what to do.
//!
//! Two parts: the machine ([`checkup`]: settings, disk, limits, certificates; this one, or that
//! of a broker elsewhere, which looks itself), and a running broker ([`running`]: alarms, stuck
//! queues, users).

mod running;

use std::path::PathBuf;

use bongsu_admin::own::doctor::{Check, State};
use clap::Args;
use serde_json::json;

use super::Asked;
use super::failure::Failure;
use super::listing::{harmless, print_json, print_text};
use super::reach::Reach;
use super::terminal::has_colours;
use crate::{checkup, settings};

/// What to look at.
#[derive(Debug, Args)]
pub struct Options {
    /// The broker's settings file; the environment goes before it, as for serve.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, in place of the settings'.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only this machine: no broker is asked.
    #[arg(long)]
    offline: bool,
    /// Only the broker, which may be on another machine, and that machine as the broker sees it.
    #[arg(long, conflicts_with_all = ["offline", "config", "data"])]
    remote: bool,
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "OK",
        State::Warn => "WARN",
        State::Fail => "FAIL",
    }
}

fn colour(state: State) -> &'static str {
    match state {
        State::Ok => "\x1b[32m",
        State::Warn => "\x1b[33m",
        State::Fail => "\x1b[31m",
    }
}

/// Looks, and says.
pub fn run(reach: &Reach, options: &Options) -> Result<(), Failure> {
    let mut checks = Vec::new();
    if !options.remote {
        match settings::load(options.config.as_deref(), std::env::vars_os()) {
            Ok(mut settings) => {
                if let Some(data) = &options.data {
                    settings.data_dir.clone_from(data);
                }
                checks.extend(checkup::checks(&settings));
            }
            Err(error) => checks.push(Check::fail(
                "settings",
                error.to_string(),
                "a broker does not start with it",
            )),
        }
    }
    if !options.offline {
        let asked = Asked::new(reach)?;
        checks.extend(running::checks(&asked.api()?, options.remote));
    }
    match reach.json {
        true => print_json(&json!(checks))?,
        false => print_text(&lines(&checks, has_colours()))?,
    }
    let failed = checks.iter().filter(|check| check.state == State::Fail);
    match failed.count() {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 check failed".to_owned())),
        count => Err(Failure::Failed(format!("{count} checks failed"))),
    }
}

fn lines(checks: &[Check], has_colours: bool) -> String {
    let width = checks.iter().map(|check| check.check.len()).max();
    let width = width.unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (colour, plain) = match has_colours {
            true => (colour(check.state), "\x1b[0m"),
            false => ("", ""),
        };
        let (word, found) = (word(check.state), harmless(&check.found));
        out.push_str(&format!(
            "{colour}{word:<4}{plain}  {:width$}  {found}\n",
            check.check
        ));
        if !check.advice.is_empty() {
            let advice = harmless(&check.advice);
            out.push_str(&format!("      {:width$}  -> {advice}\n", ""));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_was_found() {
        let checks = [
            Check::ok("clock", "2026"),
            Check::warn("memory", "little", "buy more"),
        ];
        let expected = "OK    clock   2026\n\
                        WARN  memory  little\n              -> buy more\n";
        assert_eq!(lines(&checks, false), expected);
        assert_eq!(json!(checks)[1]["state"], "WARN");
    }
}
