//! The real clients: programs that keep a ledger and tell what moves (`tests/clients/soak/told.py`).

use super::broker::Broker;
use super::watch::{Moved, Watch, Who};
use crate::test::broker::send_signal;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

pub(super) struct Ledger {
    who: Who,
    process: Child,
    /// What it says beside ticks and violations.
    lines: Receiver<String>,
}

impl Ledger {
    pub(super) fn start(
        who: Who,
        directory: &Path,
        broker: &Broker,
        watch: &Arc<Watch>,
    ) -> Result<Self, String> {
        let mut process = Command::new(directory.join(".venv/bin/python"))
            .arg(who.program())
            .current_dir(directory)
            .env(
                "AMQP_URL",
                format!("amqp://guest:guest@{}/%2f", broker.amqp(0)),
            )
            .env("KAFKA_BOOTSTRAP", broker.kafka().to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {}: {error}", who.program()))?;
        let output = process.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        let watch = watch.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(counts) = line.strip_prefix("tick ") {
                    watch.moved(who, Moved::parse(counts));
                } else if let Some(text) = line.strip_prefix("violation ") {
                    watch.violated(&format!("{}: {text}", who.name()));
                } else if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            who,
            process,
            lines,
        })
    }

    /// The rest of the line that begins with this word.
    pub(super) fn wait(&mut self, word: &str, patience: Duration) -> Result<String, String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.map_err(|_| format!("{} does not say {word:?}", self.who.program()))?;
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// Stops the program where it is, as a machine that swaps would.
    pub(super) fn signal(&self, signal: &str) {
        send_signal(signal, self.process.id(), false);
    }

    /// Lets it drain and draw its sums.
    pub(super) fn stop(&mut self) {
        if let Some(input) = self.process.stdin.as_mut() {
            let _ = input.write_all(b"stop\n");
        }
    }

    /// Its last words.
    pub(super) fn end(mut self) -> Result<String, String> {
        let words = self.wait("done", END_MAX)?;
        let _ = self.process.wait();
        Ok(words)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// More than the programs themselves wait for each thing at their end.
const END_MAX: Duration = Duration::from_secs(400);
