//! A run that somebody else drives, who also started the broker and can start it again.
//!
//! One line asks for that, one answers:
//!
//! ```text
//! restart                            what the generator writes
//! restarted PID SECONDS              what it reads once the broker listens again; how long that took
//! refused                            what it reads instead if that broker is not to be restarted
//! ```

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use crate::Result;
use crate::cases::Options;
use crate::client::Client;
use crate::process::Tree;

/// A broker that came back.
pub struct Restarted {
    /// Its process.
    pub tree: Tree,
    /// From its start to its first answer about a queue.
    pub seconds: f64,
}

/// Has the broker stopped and started again, and asks it about `queue`. Nothing if nobody
/// drives, or whoever does refuses.
pub fn restart(options: &Options, queue: &str) -> Result<Option<Restarted>> {
    if !options.driven {
        return Ok(None);
    }
    println!("restart");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    let wrong = || format!("asked for a restart and was told {answer:?}");
    if answer.trim() == "refused" {
        return Ok(None);
    }
    let mut words = answer.split_whitespace();
    if words.next() != Some("restarted") {
        return Err(wrong().into());
    }
    let pid = words.next().and_then(|word| word.parse().ok());
    let seconds = words.next().and_then(|word| word.parse::<f64>().ok());
    let (Some(pid), Some(seconds)) = (pid, seconds) else {
        return Err(wrong().into());
    };
    let asked = Instant::now();
    let mut control = Client::connect(options.broker)?;
    control.check_queue(queue)?;
    let seconds = seconds + asked.elapsed().as_secs_f64();
    control.close()?;
    Ok(Some(Restarted {
        tree: Tree::new(pid)?,
        seconds,
    }))
}
