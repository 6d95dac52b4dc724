//! A line that says how far it is, where somebody is watching.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

pub struct Progress {
    is_watched: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    pub fn new() -> Progress {
        Progress {
            is_watched: io::stderr().is_terminal(),
            next: Instant::now() + EVERY,
            shown: false,
        }
    }

    /// Whether somebody watches and saw nothing new for a while.
    pub fn is_due(&self) -> bool {
        self.is_watched && Instant::now() >= self.next
    }

    /// Shows the line in place of the last one.
    pub fn show(&mut self, line: &str) {
        self.next = Instant::now() + EVERY;
        self.shown = true;
        // Back to the front, and what is left of a longer line before it taken away. A
        // terminal that is gone does not stop the work.
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    /// Shows a bar of what is done of all; of all that nobody knows, a count.
    pub fn show_bar(&mut self, done: u64, total: u64) {
        let Some(percent) = (done.min(total) * 100).checked_div(total) else {
            return self.show(&format!("{done} done"));
        };
        let full = "#".repeat(percent as usize * BAR_LETTERS / 100);
        self.show(&format!(
            "[{full:<BAR_LETTERS$}] {percent:>3}%  {done} of {total}"
        ));
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

const BAR_LETTERS: usize = 30;
const EVERY: Duration = Duration::from_millis(250);
