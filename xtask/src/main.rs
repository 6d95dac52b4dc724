//! Development tasks: `cargo xtask TASK`.

mod bench;
mod test;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((task, rest)) if task == "bench" => bench::run(rest),
        Some((task, rest)) if task == "test" => test::run(rest),
        Some((task, _)) if task == "tidy" => tidy::run(),
        _ => {
            eprintln!("usage: cargo xtask bench|test|tidy [--help]");
            ExitCode::from(2)
        }
    }
}
