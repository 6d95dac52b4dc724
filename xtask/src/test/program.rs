//! A client program under watch: its lines, its deadline, and its wish to see the broker die.

use super::broker::{Broker, send_signal};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How a program shows that it has done its work.
#[derive(Clone, Copy)]
pub(super) enum Done<'a> {
    /// It ends by itself, with exit code 0.
    Exit,
    /// It printed this line, and ends by itself.
    LineAndExit(&'a str),
    /// It printed this line; it runs on, as a user's program does, and is ended.
    Line(&'a str),
}

/// Runs the program; `Err` has the reason and all it printed.
///
/// Each line `KILL ME` it prints is answered by the broker's SIGKILL and restart.
pub(super) fn run(
    mut command: Command,
    broker: &mut Broker,
    done: Done<'_>,
    timeout: Duration,
) -> Result<String, String> {
    let mut child = command
        .env("AMQP_URL", broker.url())
        .env("KAFKA_BOOTSTRAP", broker.kafka())
        .env("HTTP_URL", broker.http())
        .env("BROKER_PROGRAM", broker.program())
        .env("KAFKA_SASL_BOOTSTRAP", broker.kafka_sasl())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("starting {}: {error}", command.get_program().display()))?;
    let mut output = String::new();
    let result = watch(&mut child, broker, done, timeout, &mut output);
    // Whatever happened, nothing of it is left running.
    if matches!(child.try_wait(), Ok(None)) {
        let _ = child.kill();
    }
    let _ = child.wait();
    match result {
        Ok(()) => Ok(output),
        Err(reason) => Err(format!("{reason}\n-- its output:\n{}", output.trim_end())),
    }
}

fn watch(
    child: &mut Child,
    broker: &mut Broker,
    done: Done<'_>,
    timeout: Duration,
    output: &mut String,
) -> Result<(), String> {
    let lines = lines_of(child);
    let deadline = Instant::now() + timeout;
    let mut seen = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if line == "KILL ME" => broker.kill_and_restart()?,
            Ok(line) => {
                output.push_str(&line);
                output.push('\n');
                match done {
                    Done::Line(wanted) if line == wanted => {
                        send_signal("TERM", child.id(), false);
                        return Ok(());
                    }
                    Done::LineAndExit(wanted) if line == wanted => seen = true,
                    _ => {}
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("not done after {timeout:?}"));
            }
        }
    }
    let status = child
        .wait()
        .map_err(|error| format!("waiting for it: {error}"))?;
    match done {
        _ if !status.success() => Err(format!("left with {status}")),
        Done::LineAndExit(wanted) if !seen => Err(format!("did not print {wanted:?}")),
        Done::Line(wanted) => Err(format!("ended without printing {wanted:?}")),
        _ => Ok(()),
    }
}

/// Both outputs, line by line; disconnects when the program has closed both.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    forward(stdout, sender.clone());
    forward(stderr, sender);
    receiver
}

fn forward(pipe: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
}
