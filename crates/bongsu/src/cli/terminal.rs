//! What is said to somebody who sits there: questions, and secrets that are not shown.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::failure::Failure;

/// Whether colours are wanted on the standard output.
pub fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !unwanted && !dumb
}

/// Asks before something is lost. Where nobody sits there the command line was the answer.
///
/// # Errors
/// The answer is no.
pub fn confirm(is_sure: bool, what: &str) -> Result<(), Failure> {
    if is_sure || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    match ask(what)? {
        true => Ok(()),
        false => Err(Failure::Failed("nothing was changed".to_owned())),
    }
}

/// As [`confirm`], where silence is no consent.
///
/// # Errors
/// The answer is no, or nobody can be asked.
pub fn confirm_aloud(is_sure: bool, what: &str) -> Result<(), Failure> {
    if !is_sure && !io::stdin().is_terminal() {
        let nobody = format!("{what}: nobody can be asked here; say --yes");
        return Err(Failure::Usage(nobody));
    }
    confirm(is_sure, what)
}

fn ask(what: &str) -> io::Result<bool> {
    eprint!("{what}? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    Ok(answer == "y" || answer == "yes")
}

/// Reads a line that is not shown.
///
/// # Errors
/// Nobody sits there.
pub fn ask_secret(question: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let what = "no password: say --password-file, BONGSU_PASSWORD or the credentials file";
        return Err(Failure::Usage(what.to_owned()));
    }
    eprint!("{question}");
    io::stderr().flush()?;
    let shown = tcgetattr(&stdin).map_err(io::Error::from)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &hidden).map_err(io::Error::from)?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    let back = tcsetattr(&stdin, OptionalActions::Now, &shown);
    eprintln!();
    read?;
    back.map_err(io::Error::from)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
