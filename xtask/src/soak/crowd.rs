//! Many connections that do nothing, held by a process of its own: one process has only so many
//! files, and at the end of a cable there is another network.
//!
//! `xtask soak-crowd COUNT HEARTBEAT_S USER QUEUE PREFETCH ADDRESS,…` prints
//! `holding N refused M: REASON` once all have been tried. Each line it then reads makes every
//! connection send a heartbeat; the end of its input is its end. The first connection consumes from
//! QUEUE, unless that is `-`, and settles nothing.

use super::wire::{Connection, HEARTBEAT};
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How a crowd behaves.
pub(super) struct Manner<'a> {
    pub(super) count: usize,
    /// 0: none.
    pub(super) heartbeat_s: u16,
    pub(super) user: &'a str,
    /// What the first of them consumes from, and how much it may have.
    pub(super) consumes: Option<(&'a str, u16)>,
    pub(super) addresses: Vec<SocketAddr>,
}

/// The process that holds them.
pub(super) struct Crowd {
    process: Child,
    pub(super) held: usize,
    pub(super) refused: usize,
    pub(super) reason: String,
}

impl Crowd {
    /// `command` runs this very program, perhaps elsewhere; see [`Crowd::here`].
    pub(super) fn gather(mut command: Command, manner: &Manner<'_>) -> Result<Self, String> {
        let (queue, prefetch) = manner.consumes.unwrap_or(("-", 0));
        let addresses: Vec<_> = manner.addresses.iter().map(SocketAddr::to_string).collect();
        let mut process = command
            .arg("soak-crowd")
            .args([manner.count.to_string(), manner.heartbeat_s.to_string()])
            .args([
                manner.user,
                queue,
                &prefetch.to_string(),
                &addresses.join(","),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting a crowd: {error}"))?;
        let output = process.stdout.take().expect("it is piped");
        let mut crowd = Self {
            process,
            held: 0,
            refused: 0,
            reason: String::new(),
        };
        let mut line = String::new();
        let _ = BufReader::new(output).read_line(&mut line);
        let (counts, reason) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
        let mut words = counts.split(' ').skip(1).step_by(2).map(str::parse);
        let (Some(Ok(held)), Some(Ok(refused))) = (words.next(), words.next()) else {
            return Err(format!("a crowd says {line:?}"));
        };
        (crowd.held, crowd.refused, crowd.reason) = (held, refused, reason.trim().to_owned());
        Ok(crowd)
    }

    /// This program, with as many files as a process may have.
    pub(super) fn here() -> Result<Command, String> {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $(ulimit -H -n); exec \"$0\" \"$@\""])
            .arg(program()?);
        Ok(command)
    }

    /// Everybody says that they are still there.
    pub(super) fn beat(&mut self) {
        if let Some(input) = self.process.stdin.as_mut() {
            let _ = input.write_all(b"beat\n");
        }
    }
}

/// Gone without a word, all at once.
impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ourselves.
pub(super) fn program() -> Result<std::path::PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("finding oneself: {error}"))
}

/// The process itself.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let [count, heartbeat_s, user, queue, prefetch, addresses] = arguments else {
        return ExitCode::from(2);
    };
    let addresses: Vec<SocketAddr> = addresses
        .split(',')
        .filter_map(|one| one.parse().ok())
        .collect();
    let (Ok(count), Ok(heartbeat_s), Ok(prefetch), false) = (
        count.parse::<usize>(),
        heartbeat_s.parse(),
        prefetch.parse(),
        addresses.is_empty(),
    ) else {
        return ExitCode::from(2);
    };
    let held = Mutex::new(Vec::with_capacity(count));
    let refused = Mutex::new((0, String::new()));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let opened =
                        Connection::open(addresses[at % addresses.len()], user, heartbeat_s);
                    let opened = opened.and_then(|mut one| {
                        if at == 0 && queue != "-" {
                            one.consume(queue, prefetch)?;
                        }
                        Ok(one)
                    });
                    match opened {
                        Ok(one) => held.lock().expect("nobody panics with it").push(one),
                        Err(error) => {
                            let mut refused = refused.lock().expect("nobody panics with it");
                            refused.0 += 1;
                            refused.1 = error.to_string().replace('\n', " ");
                        }
                    }
                }
            });
        }
    });
    let mut held = held.into_inner().expect("nobody panics with it");
    let (refused, reason) = refused.into_inner().expect("nobody panics with it");
    println!("holding {} refused {refused}: {reason}", held.len());
    for _ in stdin().lines().map_while(Result::ok) {
        for one in &mut held {
            let _ = one.socket.write_all(HEARTBEAT);
        }
    }
    ExitCode::SUCCESS
}

const THREADS: usize = 16;
