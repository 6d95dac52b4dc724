//! The binary: settings, command line, wiring.

mod allocator;

mod checkup;

mod cli;

mod logs;

mod replay;

mod doors;

mod serve;

mod settings;

mod traces;

mod supervised;

mod tokens;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_back_soon();
    cli::run()
}
