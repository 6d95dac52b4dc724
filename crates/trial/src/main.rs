//! `cargo xtask sim`: runs trials, shrinks those that fail, says how to run them again.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use bongsu_trial::plan::Plan;
use bongsu_trial::run::{Outcome, run};
use bongsu_trial::shrink::shrink;
use parking_lot::Mutex;

/// What is asked for.
struct Options {
    first: u64,
    count: u64,
    threads: usize,
    shrinks: bool,
    keep: Option<PathBuf>,
    plan: Option<PathBuf>,
    failures_max: usize,
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("sim: {error}");
            return ExitCode::FAILURE;
        }
    };
    match &options.plan {
        Some(path) => one(path),
        None => many(&options),
    }
}

fn one(path: &std::path::Path) -> ExitCode {
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let plan = read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    let plan: Plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("sim: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let outcome = run(&plan);
    println!("{outcome:#?}");
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    }
}

fn many(options: &Options) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(options.first);
    let end = options.first + options.count;
    let failures: Mutex<BTreeMap<u64, String>> = Mutex::default();
    let total = Mutex::new(bongsu_trial::ledger::Tally::default());
    let shows = std::io::stderr().is_terminal();
    thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failures.lock().len() >= options.failures_max {
                        return;
                    }
                    let Outcome {
                        violation, tally, ..
                    } = run(&Plan::of_seed(seed));
                    *total.lock() += tally;
                    if let Some(violation) = violation {
                        eprintln!("seed {seed}: {violation}");
                        failures.lock().insert(seed, violation);
                    }
                    if shows && (seed - options.first).is_multiple_of(100) {
                        eprint!("\r{} of {} ", seed - options.first, options.count);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} trials in {seconds:.1} s, {} failed: {:?}",
        options.count,
        failures.len(),
        total.into_inner()
    );
    for seed in failures.keys().take(if options.shrinks { 3 } else { 0 }) {
        told_smaller(*seed, options);
    }
    match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Shrinks what fails, and says or keeps what is left.
fn told_smaller(seed: u64, options: &Options) {
    let (plan, tries) = shrink(&Plan::of_seed(seed), TRIES_MAX);
    let violation = run(&plan).violation.unwrap_or_default();
    let text = serde_json::to_string_pretty(&plan).expect("a plan is plain data");
    println!("\nseed {seed}, after {tries} tries: {violation}");
    if options.keep.is_none() {
        println!("{text}");
    }
    if let Some(folder) = &options.keep {
        let path = folder.join(format!("seed-{seed}.json"));
        match std::fs::write(&path, text + "\n") {
            Ok(()) => println!("kept as {}", path.display()),
            Err(error) => eprintln!("sim: {}: {error}", path.display()),
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            first: 0,
            count: 1000,
            threads: thread::available_parallelism().map_or(1, usize::from),
            shrinks: true,
            keep: None,
            plan: None,
            failures_max: 3,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--seeds" => options.count = number(&value()?)?,
                "--from" => options.first = number(&value()?)?,
                "--seed" => {
                    options.first = number(&value()?)?;
                    options.count = 1;
                }
                "--threads" => options.threads = number(&value()?)?.clamp(1, 64) as usize,
                "--failures" => options.failures_max = number(&value()?)? as usize,
                "--no-shrink" => options.shrinks = false,
                "--keep" => options.keep = Some(PathBuf::from(value()?)),
                "--plan" => options.plan = Some(PathBuf::from(value()?)),
                other => return Err(format!("unknown argument {other}; --help lists all")),
            }
        }
        Ok(Some(options))
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

/// Plans tried to make one smaller.
const TRIES_MAX: u32 = 400;

const HELP: &str = "\
Puts a whole broker on trial: virtual time, a disk and a network that fail, clients that keep a ledger.

  --seeds N      so many trials (1000), each of its own seed
  --from N       the first seed (0)
  --seed N       just this one
  --plan FILE    the trial of a file
  --failures N   stops after so many that fail (3)
  --no-shrink    does not make what fails smaller
  --keep FOLDER  writes what fails, made smaller, there
  --threads N    at once (as many as there are processors)
";
