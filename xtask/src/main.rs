//! Development tasks: `cargo xtask TASK`.

mod audit;
mod bench;
mod mutants;
mod package;
mod sim;
mod soak;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((task, rest)) if task == "audit" => audit::run(rest),
        Some((task, rest)) if task == "bench" => bench::run(rest),
        Some((task, rest)) if task == "mutants" => mutants::run(rest),
        Some((task, rest)) if task == "package" => package::run(rest),
        Some((task, rest)) if task == "sim" => sim::run(rest),
        Some((task, rest)) if task == "soak" => soak::run(rest),
        // Of soak's own.
        Some((task, rest)) if task == "soak-crowd" => soak::crowd(rest),
        Some((task, rest)) if task == "test" => test::run(rest),
        Some((task, _)) if task == "tidy" => tidy::run(),
        _ => {
            eprintln!("usage: cargo xtask audit|bench|mutants|package|sim|soak|test|tidy [--help]");
            ExitCode::from(2)
        }
    }
}

/// The workspace.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("xtask lies in the workspace").to_path_buf()
}

/// The cargo that runs us.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo builds.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}
