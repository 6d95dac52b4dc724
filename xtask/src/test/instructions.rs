//! Instructions of codecs and engine, counted by callgrind and held against `bench/instructions.txt`.
//!
//! A count does not depend on how busy a machine is, so a growth of a few hundredths can fail a build.
//! What could make it differ between machines is held still: the profile `instructions` builds the same
//! code, callgrind answers for the processor, and the C library is told to leave out what only some
//! processors have. A newer compiler may move counts; then they are blessed in a commit of their own.

use super::{Context, Tally, setup};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// One case: its name, the messages it works on, its instructions.
#[derive(Clone, Debug, PartialEq)]
struct Count {
    name: String,
    messages: u64,
    instructions: u64,
}

/// Counts all cases, and compares or writes down.
pub(super) fn run(context: &Context) -> Result<Tally, String> {
    setup::need_valgrind()?;
    let program = build(context)?;
    let file = context.root.join("bench/instructions.txt");
    let named = |error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(named)?;
    let known = parse(&text)?;
    let mut counted = Vec::new();
    for line in output(&mut Command::new(&program))?.lines() {
        let (name, messages) = line
            .split_once(' ')
            .ok_or("a case has a name and a number")?;
        if context.only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        counted.push(Count {
            name: name.to_owned(),
            messages: messages.parse().map_err(|_| format!("{line:?}"))?,
            instructions: count(&program, name)?,
        });
    }
    if context.bless {
        // What was not counted keeps its line.
        let mut all = known;
        for count in counted {
            match all.iter_mut().find(|known| known.name == count.name) {
                Some(known) => *known = count,
                None => all.push(count),
            }
        }
        fs::write(&file, shown(&all)).map_err(named)?;
        println!("   blessed: {}", file.display());
        return Ok(Tally {
            passed: all.len() as u32,
            ..Tally::default()
        });
    }
    let mut tally = Tally::default();
    for count in &counted {
        match judged(count, known.iter().find(|known| known.name == count.name)) {
            Ok(line) => {
                println!("   ok     {line}");
                tally.passed += 1;
            }
            Err(line) => {
                println!("   FAILED {line}");
                tally.failed += 1;
            }
        }
    }
    Ok(tally)
}

fn judged(count: &Count, known: Option<&Count>) -> Result<String, String> {
    let each = |count: &Count| count.instructions as f64 / count.messages as f64;
    let name = &count.name;
    let Some(known) = known else {
        return Err(format!(
            "instructions/{name}: {:.1} a message, and {BLESS} has not been said of it",
            each(count)
        ));
    };
    let change = each(count) / each(known) - 1.0;
    let line = format!(
        "instructions/{name}: {:.1} a message, {:.1} before ({:+.1} %)",
        each(count),
        each(known),
        change * 100.0
    );
    match change {
        more if more > GROWTH_MAX => Err(format!(
            "{line}; more than {:.0} % is not taken. If it is worth it: {BLESS}",
            GROWTH_MAX * 100.0
        )),
        less if less < -GROWTH_MAX => Ok(format!("{line}; hold on to it: {BLESS}")),
        _ => Ok(line),
    }
}

fn build(context: &Context) -> Result<std::path::PathBuf, String> {
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--profile", "instructions"])
        .args(["--package", "bench", "--example", "instructions"])
        .current_dir(&context.root)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("starting cargo: {error}"))?;
    match status.success() {
        true => Ok(context.target.join("instructions/examples/instructions")),
        false => Err("the cases do not build, see above".into()),
    }
}

/// What callgrind collects inside the function that is measured.
fn count(program: &Path, name: &str) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*instructions::measured*")
        .arg(program)
        .arg(name)
        .env("GLIBC_TUNABLES", PLAIN_PROCESSOR);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("starting valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() && count > 0 => Ok(count),
        _ => Err(format!("{name} was not counted: {said}")),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A line a case; what begins with `#` is for people.
fn parse(text: &str) -> Result<Vec<Count>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let wrong = || format!("bench/instructions.txt: {line:?} is no name and two numbers");
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, messages, instructions] = words[..] else {
                return Err(wrong());
            };
            Ok(Count {
                name: name.to_owned(),
                messages: messages.parse().map_err(|_| wrong())?,
                instructions: instructions.parse().map_err(|_| wrong())?,
            })
        })
        .collect()
}

fn shown(counts: &[Count]) -> String {
    let mut text = format!(
        "# Instructions of each case, as `{BLESS}` counted them:\n\
         # its name, how many messages it works on, how many instructions that took.\n"
    );
    for count in counts {
        let Count {
            name,
            messages,
            instructions,
        } = count;
        writeln!(text, "{name:<18} {messages:>6} {instructions:>12}")
            .expect("a string takes everything");
    }
    text
}

const BLESS: &str = "cargo xtask test instructions --bless";
/// A count may grow by so much before it fails.
const GROWTH_MAX: f64 = 0.05;
/// The C library's copies and searches for any x86-64; others know none of these words.
const PLAIN_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-BMI2,-AVX_Fast_Unaligned_Load";

#[cfg(test)]
mod tests;
