//! The suites' kinds, and how each is run and counted; the rows are in `table`.

mod table;

use super::broker::{Broker, Product};
use super::program::{self, Done};
use super::setup::{self, Ecosystem};
use super::{Context, Tally, instructions, package};
use std::cell::RefMut;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
pub(super) use table::ALL;

/// One row of the table.
pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) about: &'static str,
    /// Whose behaviour it pins.
    pub(super) judge: Option<Product>,
    kind: Kind,
}

enum Kind {
    /// `cargo test --workspace`.
    Workspace,
    /// A program that takes a scenario's name; the folder is the suite's name.
    Client {
        ecosystem: Ecosystem,
        program: &'static [&'static str],
        /// Whether `hello` ends by itself once it has printed its line.
        hello_ends: bool,
    },
    /// A program that takes one of its own scenarios' names and prints `ok …` for each
    /// behaviour it has checked, or `skipped …` with the reason.
    Library {
        ecosystem: Ecosystem,
        program: &'static [&'static str],
        scenarios: &'static [&'static str],
    },
    /// pytest over `tests/clients/pika/conformance`.
    Conformance,
    /// pytest over a folder of `tests/clients/operate`, with a broker of its own.
    Operate { folder: &'static str },
    /// Instructions counted by callgrind.
    Instructions,
    /// The static binary and the Debian package.
    Package,
    /// Real faults, a small part of each: that whoever soaks finds the driver as it should be.
    Soak,
    /// The ledger over many kills; one test.
    Kill,
    /// pytest over a folder of `tests/clients/kafka-python-suites`, on the shared broker.
    KafkaPytest { folder: &'static str },
    /// As `Library`, on the shared broker.
    KafkaLibrary {
        ecosystem: Ecosystem,
        program: &'static [&'static str],
        scenarios: &'static [&'static str],
    },
}

impl Suite {
    pub(super) fn answers_to(&self, name: &str) -> bool {
        self.name == name
            || self.group == name
            || (name == "clients" && !matches!(self.kind, Kind::Workspace | Kind::Instructions))
    }
}

/// Prepares and runs one suite.
pub(super) fn run(suite: &Suite, context: &Context) -> Result<Tally, String> {
    let clients = context.root.join("tests/clients");
    match &suite.kind {
        Kind::Workspace => workspace(context),
        Kind::Client {
            ecosystem,
            program,
            hello_ends,
        } => {
            let done = |scenario| match (scenario, hello_ends) {
                ("hello", true) => Done::LineAndExit(GREETING),
                ("hello", false) => Done::Line(GREETING),
                _ => Done::Exit,
            };
            scenarios(suite, context, *ecosystem, program, SCENARIOS, done)
        }
        Kind::Library {
            ecosystem,
            program,
            scenarios: names,
        } => scenarios(suite, context, *ecosystem, program, names, |_| Done::Exit),
        Kind::Conformance => {
            let directory = clients.join("pika");
            setup::prepare_broker(context)?;
            setup::prepare(Ecosystem::Python, &directory)?;
            let mut broker = Broker::start(context, suite.name)?;
            let tally = pytest(context, &directory, "conformance", &mut broker);
            finish(suite, broker, tally)
        }
        Kind::Operate { folder } => {
            let directory = clients.join("operate");
            setup::prepare_broker(context)?;
            setup::prepare(Ecosystem::Python, &directory)?;
            match *folder {
                "admin" => setup::need_rabbitmqadmin()?,
                "tls" => {
                    for (ecosystem, client) in CLIENTS_UNDER_TLS {
                        setup::prepare(*ecosystem, &clients.join(client))?;
                    }
                }
                _ => {}
            }
            let mut broker = Broker::start(context, suite.name)?;
            let tally = pytest(context, &directory, folder, &mut broker);
            finish(suite, broker, tally)
        }
        Kind::KafkaPytest { folder } => {
            let directory = clients.join("kafka-python-suites");
            setup::prepare_kafka(context)?;
            setup::prepare(Ecosystem::Python, &directory)?;
            setup::need_kcat()?;
            let mut shared = shared(context)?;
            let broker = shared.as_mut().expect("it was started");
            Ok(pytest(context, &directory, folder, broker))
        }
        Kind::KafkaLibrary {
            ecosystem,
            program,
            scenarios: names,
        } => {
            let directory = clients.join(suite.name);
            setup::prepare_kafka(context)?;
            setup::prepare(*ecosystem, &directory)?;
            let mut shared = shared(context)?;
            let broker = shared.as_mut().expect("it was started");
            Ok(run_all(
                suite,
                context,
                program,
                names,
                |_| Done::Exit,
                broker,
            ))
        }
        Kind::Instructions => instructions::run(context),
        Kind::Package => package::run(context),
        Kind::Soak => soak(context),
        Kind::Kill => {
            setup::prepare_broker(context)?;
            setup::need_python()?;
            let mut broker = Broker::start(context, suite.name)?;
            let mut command = Command::new("python3");
            command
                .arg("ledger.py")
                .env("BONGSU_JUDGE", context.product.name())
                .current_dir(clients.join("kill"));
            let timeout = match context.product {
                Product::Bongsu => KILL_TIMEOUT,
                // It takes seconds to start; thirty times that is its business.
                Product::RabbitMq | Product::Kafka => KILL_TIMEOUT * 4,
            };
            let mut tally = Tally::default();
            let result = program::run(command, &mut broker, Done::Exit, timeout);
            if let Ok(text) = &result {
                print!("{text}");
            }
            count(suite, "ledger", result.map(drop), &broker, &mut tally);
            finish(suite, broker, tally)
        }
    }
}

/// One program against one broker, once for each scenario.
fn scenarios(
    suite: &Suite,
    context: &Context,
    ecosystem: Ecosystem,
    program: &[&str],
    names: &[&'static str],
    done: impl Fn(&'static str) -> Done<'static>,
) -> Result<Tally, String> {
    let directory = context.root.join("tests/clients").join(suite.name);
    setup::prepare_broker(context)?;
    setup::prepare(ecosystem, &directory)?;
    let mut broker = Broker::start(context, suite.name)?;
    let tally = run_all(suite, context, program, names, done, &mut broker);
    finish(suite, broker, tally)
}

fn run_all(
    suite: &Suite,
    context: &Context,
    program: &[&str],
    names: &[&'static str],
    done: impl Fn(&'static str) -> Done<'static>,
    broker: &mut Broker,
) -> Tally {
    let directory = context.root.join("tests/clients").join(suite.name);
    let mut tally = Tally::default();
    for &scenario in names {
        if context.only.as_deref().is_some_and(|only| only != scenario) {
            continue;
        }
        // A relative program is looked up in the client's folder.
        let mut command = if program[0].contains('/') {
            Command::new(directory.join(program[0]))
        } else {
            Command::new(program[0])
        };
        command
            .args(&program[1..])
            .arg(scenario)
            .env("BONGSU_JUDGE", context.product.name())
            .current_dir(&directory);
        let result = program::run(command, broker, done(scenario), SCENARIO_TIMEOUT);
        let checked = result.as_deref().unwrap_or_default().to_owned();
        if checked.lines().any(|line| line.starts_with("skipped ")) {
            println!("   skipped {}/{scenario}", suite.name);
            tally.skipped += 1;
        } else {
            count(suite, scenario, result.map(drop), broker, &mut tally);
        }
        for line in checked.lines() {
            if let Some(behaviour) = line
                .strip_prefix("ok ")
                .or_else(|| line.strip_prefix("skipped "))
            {
                println!("          {behaviour}");
            }
        }
    }
    tally
}

/// pytest over one folder, counted by its last line.
fn pytest(context: &Context, directory: &Path, folder: &str, broker: &mut Broker) -> Tally {
    let mut command = Command::new(directory.join(".venv/bin/python"));
    command
        .args(["-m", "pytest", "-q", "-rs", "--tb=short", folder])
        .env("BONGSU_JUDGE", context.product.name())
        .current_dir(directory);
    if let Some(only) = &context.only {
        command.args(["-k", only]);
    }
    let result = program::run(command, broker, Done::Exit, CONFORMANCE_TIMEOUT);
    let (Ok(text) | Err(text)) = &result;
    let mut tally = tally_of_pytest(text);
    for line in text.lines().filter(|line| line.starts_with("SKIPPED")) {
        println!("   {line}");
    }
    if let Err(text) = &result {
        println!("{text}\n{}", broker.log_tail());
        tally.failed = tally.failed.max(1);
    }
    tally
}

/// The broker that Kafka's suites share, started by the first of them.
fn shared(context: &Context) -> Result<RefMut<'_, Option<Broker>>, String> {
    setup::prepare_broker(context)?;
    let mut shared = context.kafka.borrow_mut();
    if shared.is_none() {
        *shared = Some(Broker::start(context, "kafka")?);
    }
    Ok(shared)
}

fn workspace(context: &Context) -> Result<Tally, String> {
    let mut child = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(&context.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("starting cargo: {error}"))?;
    // What cargo says of its progress goes straight through; the tests' own lines are read.
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().expect("stdout is piped"))
        .lines()
        .map_while(Result::ok)
    {
        text += &line;
        text.push('\n');
    }
    let status = child
        .wait()
        .map_err(|error| format!("waiting for cargo: {error}"))?;
    let mut tally = tally_of_cargo(&text);
    if !status.success() {
        println!("{text}");
        tally.failed = tally.failed.max(1);
    }
    Ok(tally)
}

fn count(
    suite: &Suite,
    scenario: &str,
    result: Result<(), String>,
    broker: &Broker,
    tally: &mut Tally,
) {
    match result {
        Ok(()) => {
            println!("   ok     {}/{scenario}", suite.name);
            tally.passed += 1;
        }
        Err(reason) => {
            println!("   FAILED {}/{scenario}: {reason}", suite.name);
            println!("{}", broker.log_tail());
            tally.failed += 1;
        }
    }
}

/// Each fault that was on counts.
fn soak(context: &Context) -> Result<Tally, String> {
    setup::prepare_broker(context)?;
    let program = context.target.join("release/bongsu").display().to_string();
    let report = context.target.join("soak/small.md").display().to_string();
    let size = ["--small", "--minutes", "1", "--seed", "1"];
    let faults = ["--only", SMALL_SOAK];
    let paths = ["--program", &program, "--report", &report];
    let outcome = crate::soak::tried(&[&size[..], &faults, &paths].concat())?;
    Ok(Tally {
        passed: u32::try_from(outcome.faults).unwrap_or(0),
        failed: u32::try_from(outcome.violations).unwrap_or(1),
        skipped: u32::try_from(outcome.skipped).unwrap_or(0),
    })
}

/// Stops the broker; a bad end is one more failure.
fn finish(suite: &Suite, broker: Broker, mut tally: Tally) -> Result<Tally, String> {
    let log = broker.log_tail();
    if let Err(reason) = broker.stop(tally.failed > 0) {
        println!("   FAILED {}/stop: {reason}\n{log}", suite.name);
        tally.failed += 1;
    }
    Ok(tally)
}

/// The sum of all `test result:` lines.
pub(super) fn tally_of_cargo(text: &str) -> Tally {
    let mut tally = Tally::default();
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let (_, counts) = line.split_once(". ").unwrap_or_default();
        add(counts, "; ", &mut tally);
    }
    tally
}

/// The counts of pytest's last line.
pub(super) fn tally_of_pytest(text: &str) -> Tally {
    let mut tally = Tally::default();
    let last = text
        .lines()
        .rev()
        .find(|line| line.contains(" in ") && line.starts_with(|c: char| c.is_ascii_digit()));
    if let Some((counts, _)) = last.and_then(|line| line.rsplit_once(" in ")) {
        add(counts, ", ", &mut tally);
    }
    tally
}

fn add(counts: &str, separator: &str, tally: &mut Tally) {
    for part in counts.split(separator) {
        let Some((number, word)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u32>() else {
            continue;
        };
        match word {
            "passed" => tally.passed += number,
            "failed" | "error" | "errors" => tally.failed += number,
            "skipped" | "ignored" => tally.skipped += number,
            _ => {}
        }
    }
}

/// What a minute has room for; each way to be in the broker's way once.
const SMALL_SOAK: &str = "kill,disk-full,disk-slow,storm,half-open,idle,queues,descriptors";
/// Programs of other suites that `operate/tls` runs as well.
const CLIENTS_UNDER_TLS: &[(Ecosystem, &str)] = &[
    (Ecosystem::Java, "java"),
    (Ecosystem::Java, "kafka-java"),
    (Ecosystem::Go, "amqp091-go"),
    (Ecosystem::Go, "kafka-go"),
];
const SCENARIOS: &[&str] = &["hello", "work_queue", "reconnect"];
const GREETING: &str = "Received: Hello, Broker!";
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(120);
const CONFORMANCE_TIMEOUT: Duration = Duration::from_secs(600);
const KILL_TIMEOUT: Duration = Duration::from_secs(150);
