//! `cargo xtask bench`: Bongsu beside RabbitMQ or Apache Kafka, on this machine, in the same
//! durability.
//!
//! Each case, round and broker gets a fresh broker on an empty directory, and only one broker runs
//! at a time: an idle RabbitMQ burns CPU, and a used one keeps memory. Rounds alternate, because a
//! machine's speed drifts; medians are compared. Where a case asks for it, the broker is restarted
//! on its data while the generator waits, but RabbitMQ is not: where that is asked for, it takes
//! longer than the whole comparison. What takes long is done once.
//!
//! `cargo xtask bench all` is [`all`]: every peer on the same workloads, and how cost grows.
//!
//! Reading order: [`broker`] (started and always stopped), [`result`] (what the load generator
//! said, medians), [`table`] (for people and for Markdown), [`document`] (where that goes).

mod broker;

mod peers;

mod result;

mod table;

mod document;

mod tools;

mod all;

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use broker::{Installed, Kind, Running};
use result::Results;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs `cargo xtask bench` with the arguments after that.
pub fn run(arguments: &[String]) -> ExitCode {
    let outcome = match arguments.split_first() {
        Some((all, rest)) if all == "all" => all::run(rest),
        _ => compare(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &[String]) -> Result<()> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{HELP}");
        return Ok(());
    };
    let began = Instant::now();
    let places = Places::find()?;
    build("bench")?;
    let brokers = installed(&options, &places)?;
    let cases = options.choose_cases(&places)?;

    let mut results = Results::default();
    for round in 1..=options.rounds {
        for case in &cases {
            for broker in &brokers {
                if results.failed(case, broker.kind) || round > rounds_max(case, broker.kind) {
                    continue;
                }
                let turn = format!("round {round}/{} {case:<17}{}", options.rounds, broker.kind);
                let measured = match case.as_str() {
                    PERF_TOOLS => tools::run(broker, &places),
                    _ => run_case(case, broker, &options, &places),
                };
                match measured {
                    Ok(figures) => {
                        eprintln!("{turn:<40} {}", table::headline(&figures));
                        results.add(case, broker.kind, figures);
                    }
                    Err(error) => {
                        eprintln!("{turn:<40} failed: {error}");
                        results.fail(case, broker.kind);
                    }
                }
            }
        }
    }
    eprintln!("took {} minutes", began.elapsed().as_secs().div_ceil(60));
    // Ours to remove: it is named after this process.
    let _ = std::fs::remove_dir_all(&places.work);

    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let rows = table::rows(&cases, &brokers, &results);
    print!("{}", table::text(&rows, &brokers, colours));
    if let Some(file) = &options.markdown {
        let table = table::markdown(&rows, &brokers, &options);
        document::write(file, options.suite, &table)?;
    }
    match results.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} of the cases failed").into()),
    }
}

/// How often a case is worth running against a broker: 0 if it lacks what the case is about.
fn rounds_max(case: &str, kind: Kind) -> u32 {
    match kind {
        Kind::RabbitMq if RABBITMQ_LACKS.contains(&case) => 0,
        Kind::RabbitMq if RABBITMQ_ONCE.contains(&case) => 1,
        _ if ONCE.contains(&case) => 1,
        _ => u32::MAX,
    }
}

/// One case against one fresh broker.
fn run_case(
    case: &str,
    broker: &Installed,
    options: &Options,
    places: &Places,
) -> Result<result::Figures> {
    let synced = options.suite == Suite::Amqp || case.ends_with(SYNCED);
    let mut running = broker.start(places, synced)?;
    let mut generator = Command::new(&places.generator)
        .args(["supervise", "--"])
        .arg(&places.generator)
        .args(options.suite.words())
        .args(["run", "--json", "--driven", "--case", case])
        .args(["--addr", &running.address().to_string()])
        .args(["--pid", &running.pid().to_string()])
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--warmup", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let outcome = drive(&mut generator, &mut running, broker, places);
    if outcome.is_err() {
        // Fails only if it has ended already, and then that is the error.
        let _ = generator.kill();
    }
    let status = generator.wait()?;
    let line = outcome?;
    running.stop()?;
    if !status.success() {
        return Err("the load generator gave up".into());
    }
    let mut figures = result::parse(&line)?;
    if case == IDLE {
        let first = figures.iter().find(|(key, _)| key == "first_s");
        let first = first.map_or(0.0, |(_, seconds)| *seconds);
        figures.push(("start_s".to_owned(), running.start_seconds() + first));
    }
    Ok(figures)
}

/// Answers the generator's requests; returns the last line it wrote, its figures. Its protocol is
/// described in `bench/src/driven.rs`.
fn drive(
    generator: &mut Child,
    running: &mut Running,
    broker: &Installed,
    places: &Places,
) -> Result<String> {
    let (Some(mut requests), Some(answers)) = (generator.stdin.take(), generator.stdout.take())
    else {
        return Err("the load generator was started without pipes".into());
    };
    let mut last = String::new();
    for line in BufReader::new(answers).lines() {
        last = line?;
        if last == "restart" {
            if broker.kind == Kind::RabbitMq {
                // With a hundred thousand queues it was not there after ten minutes.
                writeln!(requests, "refused")?;
                continue;
            }
            running.restart(broker, places)?;
            let (pid, seconds) = (running.pid(), running.start_seconds());
            writeln!(requests, "restarted {pid} {seconds}")?;
        }
    }
    Ok(last)
}

fn installed(options: &Options, places: &Places) -> Result<Vec<Installed>> {
    let mut brokers = Vec::new();
    if options.only.is_none_or(|only| only == Kind::Bongsu) {
        build("bongsu")?;
        brokers.push(Installed::bongsu(places, options.suite));
    }
    if options.suite == Suite::Kafka {
        if options.only != Some(Kind::Bongsu) {
            brokers.push(Installed::kafka());
        }
    } else if options.only != Some(Kind::Bongsu) {
        match Installed::rabbitmq() {
            Some(rabbitmq) => brokers.push(rabbitmq),
            None => eprintln!(
                "rabbitmq-server is not installed, so there is nothing to compare with; \
                 on Debian: apt-get install rabbitmq-server"
            ),
        }
    }
    if brokers.is_empty() {
        Err("there is no broker to measure".into())
    } else {
        Ok(brokers)
    }
}

fn build(package: &str) -> Result<()> {
    eprintln!("building {package}");
    let status = crate::cargo()
        .args(["build", "--quiet", "--release", "--package", package])
        .current_dir(root())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{package} does not build").into())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Where things are.
pub struct Places {
    /// The release builds.
    release: PathBuf,
    /// The load generator.
    generator: PathBuf,
    /// The brokers' data, removed at the end.
    work: PathBuf,
    /// Brokers that were brought here.
    peers: PathBuf,
}

/// By which protocol brokers are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// AMQP 0-9-1.
    Amqp,
    /// Kafka's protocol.
    Kafka,
    /// NATS'; only in [`all`].
    Nats,
    /// Redis'; only in [`all`].
    Redis,
}

impl Suite {
    /// Its name in the generator's words.
    fn name(self) -> &'static str {
        match self {
            Suite::Amqp => "amqp",
            Suite::Kafka => "kafka",
            Suite::Nats => "nats",
            Suite::Redis => "redis",
        }
    }

    /// What the generator is told.
    fn words(self) -> &'static [&'static str] {
        match self {
            Suite::Amqp => &[],
            Suite::Kafka => &["kafka"],
            Suite::Nats => &["workload", "nats"],
            Suite::Redis => &["workload", "redis"],
        }
    }
}

impl Places {
    fn find() -> Result<Self> {
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(target)?,
            None => root().join("target"),
        };
        let runs = target.join("bench-runs");
        sweep(&runs);
        let release = target.join("release");
        Ok(Self {
            generator: release.join("bench"),
            work: runs.join(std::process::id().to_string()),
            release,
            peers: target.join("bench-peers"),
        })
    }
}

/// Removes what runs that were interrupted left behind; directories are named by process.
fn sweep(runs: &Path) {
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The command line.
pub struct Options {
    suite: Suite,
    cases: Vec<String>,
    rounds: u32,
    seconds: f64,
    only: Option<Kind>,
    markdown: Option<PathBuf>,
}

impl Options {
    /// Nothing if only help was asked for.
    fn parse(arguments: &[String]) -> Result<Option<Self>> {
        let mut options = Self {
            suite: Suite::Amqp,
            cases: Vec::new(),
            rounds: 3,
            seconds: 8.0,
            only: None,
            markdown: None,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        match arguments.next() {
            Some("amqp") => {}
            Some("kafka") => options.suite = Suite::Kafka,
            None | Some("--help" | "-h") => return Ok(None),
            Some(other) => {
                return Err(
                    format!("there is no comparison {other}; only all, amqp and kafka").into(),
                );
            }
        }
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name {
                "--case" => options.cases.push(value()?.to_owned()),
                "--rounds" => options.rounds = read(name, value()?)?,
                "--seconds" => options.seconds = read(name, value()?)?,
                "--only" => options.only = Some(read(name, value()?)?),
                "--markdown" => options.markdown = Some(value()?.into()),
                "--help" | "-h" => return Ok(None),
                _ => {
                    return Err(format!("{name} is not known; try cargo xtask bench --help").into());
                }
            }
        }
        Ok(Some(options))
    }

    /// The generator's cases, in its order, that were asked for.
    fn choose_cases(&self, places: &Places) -> Result<Vec<String>> {
        let mut list = Command::new(&places.generator);
        let output = list.args(self.suite.words()).arg("list").output()?;
        let mut all: Vec<String> = String::from_utf8(output.stdout)?
            .lines()
            .map(str::to_owned)
            .collect();
        if self.suite == Suite::Kafka {
            all.push(PERF_TOOLS.to_owned());
        }
        if let Some(unknown) = self.cases.iter().find(|case| !all.contains(case)) {
            return Err(format!("there is no case {unknown}; there are {}", all.join(", ")).into());
        }
        let asked = |case: &String| self.cases.is_empty() || self.cases.contains(case);
        Ok(all.into_iter().filter(asked).collect())
    }
}

fn read<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| format!("{name} cannot be {value:?}").into())
}

const IDLE: &str = "idle";
/// Kafka's own tools for performance.
const PERF_TOOLS: &str = "perf-tools";
/// Names of cases that end in this ask for a sync before each answer.
const SYNCED: &str = "-fsync";
/// Debian's RabbitMQ knows no delayed messages, no groups, and no reading again of a queue.
const RABBITMQ_LACKS: &[&str] = &["groups-100k", "retention-1m", "delayed-1m"];
/// Half a minute to five each, and steady.
const RABBITMQ_ONCE: &[&str] = &[
    "properties",
    "backlog-1m",
    "stream-1m",
    "queues-10k",
    "queues-100k-idle",
];
/// Half a minute each.
const ONCE: &[&str] = &["delayed-1m", "queues-100k-idle"];

const HELP: &str = "\
cargo xtask bench all [options]
  Every broker that can be had on the same workloads, how cost grows, and what the machine could do;
  see cargo xtask bench all --help.

cargo xtask bench amqp|kafka [options]
  Measures Bongsu beside RabbitMQ over AMQP 0-9-1, or beside Apache Kafka, a fresh broker for each
  case. Kafka's cases run at page-cache durability on both sides, and with a sync before each answer
  where their name ends in -fsync; Kafka comes from Maven.

    --case NAME            only this case; may be repeated
    --rounds N             how often each is measured; medians are shown (3)
    --seconds S            measured time of each timed case (8)
    --only BROKER          bongsu, rabbitmq or kafka
    --markdown FILE        write the table there too, in a document between its two comments
";
