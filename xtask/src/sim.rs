//! `cargo xtask sim`: a whole broker on trial, in a release build.

use std::process::ExitCode;

/// Runs it with the arguments after that.
pub fn run(arguments: &[String]) -> ExitCode {
    let status = crate::cargo()
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "bongsu-trial",
            "--",
        ])
        .args(arguments)
        .current_dir(crate::root())
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask sim: cargo does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
