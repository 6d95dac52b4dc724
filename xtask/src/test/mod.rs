//! `cargo xtask test`: everything that must pass, from nothing but a compiler.
//!
//! The suites are rows of one table (`suites`). Each gets what it needs installed (`setup`), a
//! broker of its own on a free port (`broker`), and its programs run under a deadline (`program`).
//! A suite that cannot start counts as one failure and does not keep the others from running.

pub(crate) mod broker;
mod instructions;
mod package;
mod program;
pub(crate) mod setup;
mod suites;

use broker::{Broker, Product};
use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What one suite came to.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Where things are, and what the caller asked for.
struct Context {
    root: PathBuf,
    target: PathBuf,
    product: Product,
    /// Whether the broker could be built or installed; asked for by every suite, done once.
    broker: OnceCell<Result<(), String>>,
    /// The broker that Kafka's suites share: their topics and groups have names of their own.
    kafka: RefCell<Option<Broker>>,
    /// After the slash of `--only suite/name`: one scenario, or what pytest's `-k` takes.
    only: Option<String>,
    /// What is counted is written down instead of compared.
    bless: bool,
}

/// Runs the suites the arguments select and prints the closing line.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let request = match Request::parse(arguments) {
        Ok(request) => request,
        Err(text) => {
            eprintln!("{text}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let root = crate::root();
    let target = crate::target(&root);
    let context = Context {
        root,
        target,
        product: request.product,
        broker: OnceCell::new(),
        kafka: RefCell::new(None),
        only: request.only,
        bless: request.bless,
    };

    let mut rows = Vec::new();
    for suite in request.suites {
        println!("== {}: {}", suite.name, suite.about);
        let start = Instant::now();
        let tally = suites::run(suite, &context).unwrap_or_else(|error| {
            println!("FAILED {}: {error}", suite.name);
            Tally {
                failed: 1,
                ..Tally::default()
            }
        });
        rows.push((suite.name, tally, start.elapsed()));
    }
    if let Some(broker) = context.kafka.take() {
        let failed = rows.iter().any(|(_, tally, _)| tally.failed > 0);
        let log = broker.log_tail();
        if let Err(reason) = broker.stop(failed) {
            println!("FAILED the shared broker's stop: {reason}\n{log}");
            let failed = Tally {
                failed: 1,
                ..Tally::default()
            };
            rows.push(("stop", failed, Duration::ZERO));
        }
    }
    print_table(&rows);
    let total = rows
        .iter()
        .fold(Tally::default(), |sum, (_, tally, _)| Tally {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            skipped: sum.skipped + tally.skipped,
        });
    println!("{}", closing_line(total));
    // A selection that ran nothing must not look like a success.
    ExitCode::from(u8::from(total.failed > 0 || total.passed == 0))
}

struct Request {
    suites: Vec<&'static suites::Suite>,
    product: Product,
    only: Option<String>,
    bless: bool,
}

impl Request {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut groups = Vec::new();
        let mut only = None;
        let mut bless = false;
        let mut product = Product::Bongsu;
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--only" => only = Some(words.next().ok_or("--only needs a name")?.clone()),
                "--bless" => bless = true,
                "--against" => {
                    product = match words.next().map(String::as_str) {
                        Some("rabbitmq") => Product::RabbitMq,
                        Some("kafka") => Product::Kafka,
                        Some("bongsu") => Product::Bongsu,
                        other => {
                            return Err(format!(
                                "--against takes bongsu, rabbitmq or kafka, got {}",
                                other.unwrap_or("nothing")
                            ));
                        }
                    }
                }
                group => groups.push(group),
            }
        }
        let (suite, only) = match only {
            Some(only) => match only.split_once('/') {
                Some((suite, rest)) => (Some(suite.to_owned()), Some(rest.to_owned())),
                None => (Some(only), None),
            },
            None => (None, None),
        };
        for name in groups.iter().copied().chain(suite.as_deref()) {
            if !suites::ALL.iter().any(|row| row.answers_to(name)) {
                return Err(format!("no suite is called {name}"));
            }
        }
        let suites: Vec<_> = suites::ALL
            .iter()
            .filter(|row| groups.is_empty() || groups.iter().any(|name| row.answers_to(name)))
            .filter(|row| suite.as_ref().is_none_or(|name| row.answers_to(name)))
            // Our own tests say nothing about another broker.
            .filter(|row| product == Product::Bongsu || row.judge == Some(product))
            .collect();
        if suites.is_empty() {
            return Err("the selection is empty".into());
        }
        Ok(Self {
            suites,
            product,
            only,
            bless,
        })
    }
}

fn print_table(rows: &[(&str, Tally, Duration)]) {
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    println!(
        "\n{:width$}  {:>6}  {:>6}  {:>7}  {:>8}",
        "suite", "passed", "failed", "skipped", "seconds"
    );
    for (name, tally, time) in rows {
        println!(
            "{name:width$}  {:>6}  {:>6}  {:>7}  {:>8.1}",
            tally.passed,
            tally.failed,
            tally.skipped,
            time.as_secs_f64()
        );
    }
    println!();
}

/// Exactly `N passed, N failed`, and `, N skipped` only where something was.
fn closing_line(total: Tally) -> String {
    let mut line = format!("{} passed, {} failed", total.passed, total.failed);
    if total.skipped > 0 {
        line += &format!(", {} skipped", total.skipped);
    }
    line
}

const USAGE: &str = "\
usage: cargo xtask test [unit|clients|amqp|kafka|operate|SUITE]...
                        [--only SUITE[/NAME]] [--against rabbitmq|kafka] [--bless]

  unit      cargo test --workspace
  instructions  what codecs and engine take, counted by callgrind, beside bench/instructions.txt
  clients   everything but these two
  amqp      against a broker each: pika, aio-pika, amqplib, amqp091-go, lapin, java,
            amqp-connection-manager, celery, spring, bunny, php-amqplib, topologies,
            conformance, kill
  kafka     against one broker for all: kafka-conformance, kafka-python, mapping, kafka-kill, kafka-tools,
            kafka-java, kafka-go, kafkajs, kafka-spring
  operate   whoever runs it: admin, health, sessions, metrics, tls, logs, cli, traces, console, package, insight,
            hostile, soak
  --only    one suite, or one scenario of it: pika/reconnect, conformance/test_headers
  --against run the clients against Debian's rabbitmq-server, or against Apache Kafka,
            instead of Bongsu
  --bless   write down what instructions counts, instead of comparing it";

#[cfg(test)]
mod tests;
