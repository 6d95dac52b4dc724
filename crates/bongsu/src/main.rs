//! The binary: settings, command line, wiring.

mod allocator;

mod cli;

mod logs;

mod replay;

mod doors;

mod serve;

mod settings;

mod supervised;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_back_at_once();
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bongsu: {error}");
            ExitCode::FAILURE
        }
    }
}
