//! `cargo xtask mutants`: proves that trials have teeth. Each mutation of a list breaks the
//! broker on purpose, in a copy of the sources; trials of the broken broker must fail, or the
//! tests beside them.

mod table;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use table::{MUTATIONS, Mutation};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What became of a mutation.
enum Fate {
    /// What was not as it must be.
    Caught(String),
    Survived,
    /// It is no broker any more, or the place is not there.
    Broken(String),
}

/// Runs `cargo xtask mutants` with the arguments after that.
pub fn run(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match all(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(arguments: &[String]) -> Result<bool> {
    let mut seeds = 600;
    let mut only: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => {
                for mutation in MUTATIONS {
                    println!("{:<28} {}", mutation.name, mutation.breaks);
                }
                return Ok(true);
            }
            "--seeds" => seeds = arguments.next().ok_or("--seeds needs a number")?.parse()?,
            name if MUTATIONS.iter().any(|mutation| mutation.name == name) => only.push(name),
            other => return Err(format!("no mutation is called {other}; --list tells all").into()),
        }
    }
    let root = crate::root();
    let work = crate::target(&root).join("mutants");
    let tree = work.join("tree");
    let mut survived = 0;
    let chosen = |mutation: &&Mutation| only.is_empty() || only.contains(&mutation.name);
    let count = MUTATIONS.iter().filter(chosen).count();
    copy(&root, &tree)?;
    // What is not broken must pass, or nothing is proven.
    match tried(None, &tree, &work, seeds.min(60))? {
        Fate::Survived => {}
        Fate::Caught(violation) => return Err(format!("unbroken, it fails: {violation}").into()),
        Fate::Broken(why) => return Err(why.into()),
    }
    for (mutation, nth) in MUTATIONS.iter().filter(chosen).zip(1..) {
        if std::io::stderr().is_terminal() {
            eprint!("\r{nth} of {count}: {:<40}\r", mutation.name);
            let _ = std::io::stderr().flush();
        }
        let began = Instant::now();
        let fate = tried(Some(mutation), &tree, &work, seeds)?;
        let seconds = began.elapsed().as_secs();
        match fate {
            Fate::Caught(violation) => {
                println!(
                    "caught    {:<28} {seconds:>4} s  {violation}",
                    mutation.name
                );
            }
            Fate::Survived => {
                survived += 1;
                println!(
                    "SURVIVED  {:<28} {seconds:>4} s  {}",
                    mutation.name, mutation.breaks
                );
            }
            Fate::Broken(why) => {
                survived += 1;
                println!("NOT MADE  {:<28} {seconds:>4} s  {why}", mutation.name);
            }
        }
    }
    println!("{count} mutations, {survived} not caught");
    Ok(survived == 0)
}

/// Breaks the copy, puts it on trial, and mends it.
fn tried(mutation: Option<&Mutation>, tree: &Path, work: &Path, seeds: u64) -> Result<Fate> {
    let mended: Option<(PathBuf, String)> = match mutation {
        None => None,
        Some(mutation) => {
            let path = tree.join(mutation.file);
            let text = std::fs::read_to_string(&path)?;
            let found = text.matches(mutation.from).count();
            if found == 0 {
                let why = format!("{} does not say: {}", mutation.file, mutation.from);
                return Ok(Fate::Broken(why));
            }
            std::fs::write(&path, text.replace(mutation.from, mutation.to))?;
            Some((path, text))
        }
    };
    let mut fate = on_trial(tree, work, seeds);
    if mutation.is_some() && matches!(fate, Ok(Fate::Survived)) {
        fate = under_test(tree, work);
    }
    if let Some((path, text)) = mended {
        std::fs::write(path, text)?;
    }
    fate
}

fn on_trial(tree: &Path, work: &Path, seeds: u64) -> Result<Fate> {
    let built = cargo_in(tree, work)
        .args(["build", "--quiet", "--package", "bongsu-trial"])
        .output()?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        let line = said.lines().find(|line| line.starts_with("error"));
        return Ok(Fate::Broken(line.unwrap_or("it does not build").to_owned()));
    }
    let output = Command::new("timeout")
        .args(["--signal=KILL", &SECONDS_MAX.to_string()])
        .arg(work.join("target/debug/bongsu-trial"))
        .args([
            "--no-shrink",
            "--failures",
            "1",
            "--seeds",
            &seeds.to_string(),
        ])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let violation = said
        .lines()
        .find(|line| line.starts_with("seed "))
        .map(str::to_owned);
    Ok(match (output.status.code(), violation) {
        (Some(0), _) => Fate::Survived,
        (_, Some(violation)) => Fate::Caught(violation),
        (Some(137) | None, None) => Fate::Caught(format!("no end within {SECONDS_MAX} s")),
        (code, None) => Fate::Broken(format!("trials ended with {code:?} and told nothing")),
    })
}

/// Cargo in the copy. Builds and tests share what is built, so their options are the same.
fn cargo_in(tree: &Path, work: &Path) -> Command {
    let mut command = crate::cargo();
    command
        .args(["--config", "profile.dev.debug=false"])
        .args(["--config", "build.rustflags=['-Adead_code', '-Aunused']"])
        .env("CARGO_TARGET_DIR", work.join("target"))
        .current_dir(tree);
    command
}

/// What no trial of these seeds comes upon, a test on the same virtual time may do on purpose, or a
/// trial that was kept because it failed once.
fn under_test(tree: &Path, work: &Path) -> Result<Fate> {
    let tested = cargo_in(tree, work)
        .args([
            "test",
            "--quiet",
            "--package",
            "bongsu-trial",
            "--test",
            "driver",
            "--test",
            "trials",
        ])
        .output()?;
    let said = String::from_utf8_lossy(&tested.stdout);
    let failed = said.lines().find(|line| line.contains("FAILED"));
    Ok(match (tested.status.success(), failed) {
        (true, _) => Fate::Survived,
        (false, Some(line)) => Fate::Caught(format!("its tests: {}", line.trim())),
        (false, None) => Fate::Broken("its tests do not build".to_owned()),
    })
}

/// Copies what a build of the trials needs.
fn copy(root: &Path, tree: &Path) -> Result<()> {
    if tree.exists() {
        std::fs::remove_dir_all(tree)?;
    }
    std::fs::create_dir_all(tree)?;
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .args([
            "--",
            "crates",
            "bench",
            "xtask",
            "console",
            "Cargo.toml",
            "Cargo.lock",
            "clippy.toml",
        ])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err("git does not list the sources".into());
    }
    for name in String::from_utf8(listed.stdout)?.split('\0') {
        let from = root.join(name);
        if name.is_empty() || !from.is_file() {
            continue;
        }
        let to = tree.join(name);
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(from, to)?;
    }
    Ok(())
}

/// Longest that trials of one mutation take.
const SECONDS_MAX: u64 = 600;

const HELP: &str = "\
Breaks the broker on purpose, in a copy, and demands that trials notice.

  cargo xtask mutants [--seeds N] [--list] [NAME…]

  --seeds N   trials for each, at most (600)
  --list      what is broken, and stops
";
