//! `cargo xtask audit`: what we are made of. Every package of the lock files is held against
//! RustSec's advisories (a copy of them, in `supply/advisories.tsv`), and its licence and where it
//! comes from against what is allowed.
//!
//! `cargo xtask audit --update CLONE` makes the copy anew from a clone of
//! <https://github.com/rustsec/advisory-db>.

mod advisories;

mod licences;

use std::path::Path;
use std::process::ExitCode;

use advisories::{Advisory, Severity};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs `cargo xtask audit` with the arguments after that.
pub fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => audit(),
        ["--update", clone] => advisories::update(Path::new(clone), &copy()),
        _ => {
            eprintln!("usage: cargo xtask audit [--update CLONE-OF-ADVISORY-DB]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask audit: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What was looked at.
///
/// # Errors
/// What is wrong, a line each.
pub fn audit() -> Result<String> {
    let known = advisories::read(&copy())?;
    let mut wrong = Vec::new();
    let mut count = 0;
    for lock in LOCKS {
        let path = crate::root().join(lock);
        let text = std::fs::read_to_string(&path)?;
        for package in packages(&text) {
            count += 1;
            wrong.extend(of_package(&package, lock, &known.advisories)?);
        }
    }
    let licensed = licences::check(&mut wrong)?;
    for (id, _) in EXCEPTIONS {
        if !known.advisories.iter().any(|advisory| advisory.id == *id) {
            wrong.push(format!("the exception for {id} is for nothing"));
        }
    }
    if wrong.is_empty() {
        Ok(format!(
            "{count} packages in {} lock files, {} advisories of {}, licences of {licensed}: nothing is wrong",
            LOCKS.len(),
            known.advisories.len(),
            known.date
        ))
    } else {
        Err(wrong.join("\n").into())
    }
}

/// A package of a lock file.
#[derive(Debug, PartialEq, Eq)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    source: Option<&'a str>,
}

fn packages(lock: &str) -> impl Iterator<Item = Package<'_>> {
    lock.split("[[package]]").skip(1).map(|text| {
        let field = |name: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(" = \"")?
                    .strip_suffix('"')
            })
        };
        Package {
            name: field("name").unwrap_or_default(),
            version: field("version").unwrap_or_default(),
            source: field("source"),
        }
    })
}

fn of_package(package: &Package<'_>, lock: &str, known: &[Advisory]) -> Result<Vec<String>> {
    let Package {
        name,
        version,
        source,
    } = package;
    let mut wrong = Vec::new();
    if source.is_some_and(|source| source != CRATES_IO) {
        wrong.push(format!(
            "{lock}: {name} {version} comes from {}",
            source.unwrap_or_default()
        ));
    }
    if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
        wrong.push(format!("{lock}: {name} {version}: {why}"));
    }
    let version: semver::Version = version.parse()?;
    for advisory in known.iter().filter(|advisory| advisory.package == *name) {
        let is_excepted = EXCEPTIONS.iter().any(|(id, _)| *id == advisory.id);
        if advisory.severity != Severity::Notice && advisory.concerns(&version) && !is_excepted {
            wrong.push(format!(
                "{lock}: {name} {version}: {} {:?}: {}; patched: {}",
                advisory.id, advisory.severity, advisory.title, advisory.patched
            ));
        }
    }
    Ok(wrong)
}

fn copy() -> std::path::PathBuf {
    crate::root().join("supply/advisories.tsv")
}

/// Lock files of what we build.
const LOCKS: &[&str] = &["Cargo.lock", "fuzz/Cargo.lock"];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Never, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls's"),
    ("native-tls", "TLS is rustls's"),
    ("async-std", "one runtime is enough"),
];
/// Advisories that do not concern us, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[cfg(test)]
mod tests;
