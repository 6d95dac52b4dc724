//! One step: a fresh broker, one run of the generator, bounded in time.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::super::result::{Figures, parse};
use super::super::{Places, Result};
use super::Options;
use super::columns::Column;
use super::steps::{BACKLOG, LIMITS_SHARE, Step, WARMUP_SECONDS, What};

/// Runs it; a line of figures, or of a backlog one a point.
pub fn run(
    step: &Step,
    column: &Column,
    options: &Options,
    places: &Places,
) -> Result<Vec<Figures>> {
    let patience = PATIENCE + Duration::from_secs_f64(step.seconds * 4.0);
    let seconds = options.seconds.to_string();
    let mut generator = generator(places);
    let (workload, point) = match step.what {
        What::Limits(_) => {
            let directory = places.work.join("limits");
            std::fs::create_dir_all(&directory)?;
            let each = (options.seconds / LIMITS_SHARE).to_string();
            generator.args(["limits", "--json", "--seconds", &each]);
            generator.arg("--dir").arg(&directory);
            return finish(&mut generator, patience);
        }
        What::Workload(workload, _) => (Some(workload), 0),
        What::Growth(axis, point) if axis.name == "connections" => (None, openable(point)),
        What::Growth(_, point) => (None, point),
    };
    let mut running = column.installed.start(places, true)?;
    match (workload, step.what) {
        (Some(workload), _) => {
            let protocol = column.installed.suite.name();
            generator.args(["workload", protocol, "run", "--case", workload.name]);
            generator.args(["--seconds", &seconds]);
            if options.quick {
                generator.args(["--backlog", "200000"]);
            }
        }
        (None, What::Growth(axis, _)) => {
            let name = if axis.name == BACKLOG {
                "backlog"
            } else {
                axis.name
            };
            generator.args(["growth", name, "--point", &point.to_string()]);
            generator.arg("--dir").arg(running.directory());
            generator.args(["--seconds", &(options.seconds / 2.0).to_string()]);
        }
        (None, _) => unreachable!("limits returned above"),
    }
    generator
        .args(["--json", "--warmup", &WARMUP_SECONDS.to_string()])
        .args(["--addr", &running.address().to_string()])
        .args(["--pid", &running.pid().to_string()]);
    let lines = finish(&mut generator, patience);
    // A broker that does not end in its own way is ended by being dropped.
    let stopped = running.stop();
    let lines = lines?;
    stopped?;
    Ok(lines)
}

fn generator(places: &Places) -> Command {
    let mut command = Command::new(&places.generator);
    command.args(["supervise", "--"]).arg(&places.generator);
    command
}

/// Waits for the generator's end, and reads what it printed.
fn finish(command: &mut Command, patience: Duration) -> Result<Vec<Figures>> {
    let mut child = Generator(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let (output, errors) = (child.0.stdout.take(), child.0.stderr.take());
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in output
            .into_iter()
            .flat_map(|out| BufReader::new(out).lines())
        {
            let Ok(line) = line else { break };
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    let said = thread::spawn(move || {
        let lines = errors
            .into_iter()
            .flat_map(|out| BufReader::new(out).lines());
        lines.map_while(std::result::Result::ok).last()
    });
    let deadline = Instant::now() + patience;
    let mut lines = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(line) => lines.push(parse(&line)?),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!("not done after {} s", patience.as_secs()).into());
            }
        }
    }
    let status = child.0.wait()?;
    reader.join().expect("readers do not panic");
    let said = said.join().expect("readers do not panic");
    match (status.success() && !lines.is_empty(), said) {
        (true, None) => Ok(lines),
        (true, Some(said)) => {
            // Such as a backlog that ended early, for want of room.
            eprintln!("    {said}");
            Ok(lines)
        }
        (false, said) => Err(said
            .unwrap_or_else(|| "the generator gave up".into())
            .into()),
    }
}

/// Killed when dropped.
struct Generator(Child);

impl Drop for Generator {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// So many connections, or as many as a process here may open.
fn openable(connections: u64) -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    // The hard limit; generator and brokers raise theirs to it.
    let files = line.and_then(|line| line.split_whitespace().nth(4)?.parse::<u64>().ok());
    connections.min(files.map_or(u64::MAX, |files| files.saturating_sub(FILES_BESIDE)))
}

/// Files of a broker beside its connections: Bongsu keeps 512, and the busy pair has two.
const FILES_BESIDE: u64 = 600;
/// Beside four times what it should take.
const PATIENCE: Duration = Duration::from_secs(60);
