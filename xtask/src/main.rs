//! Development tasks: `cargo xtask TASK`.

mod test;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((task, rest)) if task == "test" => test::run(rest),
        _ => {
            eprintln!("usage: cargo xtask test [--help]");
            ExitCode::from(2)
        }
    }
}
