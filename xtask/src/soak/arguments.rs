//! What the caller asked for.

use super::faults;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much of everything is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// What the documents speak of: tens of thousands of connections.
    Full,
    /// A tenth and less: whether the driver itself still works.
    Small,
}

impl Size {
    pub(super) const fn of<T: Copy>(self, full: T, small: T) -> T {
        match self {
            Self::Full => full,
            Self::Small => small,
        }
    }
}

/// One run.
pub(super) struct Request {
    pub(super) time: Duration,
    /// Names of faults; all if empty.
    pub(super) only: Vec<String>,
    pub(super) seed: u64,
    /// Where the page goes; the picture goes beside it.
    pub(super) report: Option<PathBuf>,
    /// A broker that was built already.
    pub(super) program: Option<PathBuf>,
    pub(super) size: Size,
    /// The words themselves.
    said: String,
}

impl Request {
    pub(super) fn wants(&self, fault: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == fault)
    }

    /// What repeats this run, as far as a machine does.
    pub(super) fn command(&self) -> String {
        let seed = match self.said.contains("--seed") {
            true => String::new(),
            false => format!(" --seed {}", self.seed),
        };
        format!("cargo xtask soak {}{seed}", self.said).replace("soak  ", "soak ")
    }

    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut request = Self {
            time: Duration::from_secs(MINUTES_BY_DEFAULT * 60),
            only: Vec::new(),
            seed: now.map_or(1, |now| now.as_secs() % 1_000_000),
            report: None,
            program: None,
            size: Size::Full,
            said: String::new(),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            let number = |text: &String| {
                let number = text.parse::<u64>();
                number.map_err(|_| format!("{word} takes a whole number, got {text:?}"))
            };
            match word.as_str() {
                "--minutes" => match number(value()?)? {
                    minutes @ 1..=MINUTES_MAX => request.time = Duration::from_secs(minutes * 60),
                    other => {
                        return Err(format!("--minutes takes 1 to {MINUTES_MAX}, got {other}"));
                    }
                },
                "--seed" => request.seed = number(value()?)?,
                "--only" => request.only = value()?.split(',').map(str::to_owned).collect(),
                "--report" => request.report = Some(value()?.into()),
                "--program" => request.program = Some(value()?.into()),
                "--small" => request.size = Size::Small,
                _ => return Err(format!("{word:?} is no option of soak")),
            }
        }
        request.said = arguments.join(" ");
        let known = |name: &String| faults::ALL.iter().any(|fault| fault.name == name);
        match request.only.iter().find(|name| !known(name)) {
            Some(name) => Err(format!("no fault is called {name:?}")),
            None => Ok(request),
        }
    }
}

/// With every fault and a line about it.
pub(super) fn usage() -> String {
    let width = faults::ALL.iter().map(|fault| fault.name.len()).max();
    let mut text = String::from(
        "usage: cargo xtask soak [--minutes N] [--only FAULT,..] [--seed N] [--report FILE.md]\n\
         \x20                       [--small] [--program FILE]\n\n\
         \x20 --minutes  how long faults are begun, 15 by default; a fault and the end are not cut short\n\
         \x20 --only     these faults, separated by commas\n\
         \x20 --seed     the order of the faults and their moments\n\
         \x20 --report   where the page goes, target/soak/report.md by default; its picture beside it\n\
         \x20 --small    a tenth of each fault and less\n\
         \x20 --program  a broker that is built already, instead of a release build\n\nfaults:\n",
    );
    for fault in faults::ALL {
        let width = width.unwrap_or(0);
        text += &format!("  {:width$}  {}\n", fault.name, fault.about);
    }
    text
}

const MINUTES_BY_DEFAULT: u64 = 15;
const MINUTES_MAX: u64 = 7 * 24 * 60;
