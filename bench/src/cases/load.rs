//! Steady load: one publisher, a consumer on each queue, all at once.
//!
//! Warm up, measure the counters' growth between two instants, stop the publisher, and wait until
//! every message has arrived: a broker that drops some would look fast.

use std::thread;
use std::time::{Duration, Instant};

use super::{Options, unique};
use crate::Result;
use crate::client::Client;
use crate::consumer::{Consumption, Look, Settle, consume};
use crate::histogram::Histogram;
use crate::plan::{Plan, Stamp, Vary};
use crate::process::Tree;
use crate::publisher::publish;
use crate::report::Report;
use crate::run::{Counts, Run};
use crate::wire::{Table, Value};

/// A row of the table of loads.
#[derive(Clone, Copy)]
pub struct Load {
    /// The case's name.
    pub name: &'static str,
    /// Durable queues and persistent messages.
    pub durable: bool,
    /// Size of each body.
    pub body_bytes: usize,
    /// Publishes that may wait for their confirm; nothing: no confirms.
    pub window: Option<usize>,
    /// Publishes a transaction, instead of confirms.
    pub transaction: Option<usize>,
    /// Publishes per second; nothing: as fast as the broker takes them.
    pub rate: Option<u32>,
    /// Whether messages carry their sending time.
    pub stamped: bool,
    /// How consumers acknowledge.
    pub settle: Settle,
    /// A fanout exchange to this many queues; nothing: the default exchange to one.
    pub fan: Option<usize>,
    /// Arguments of each queue.
    pub arguments: &'static Table<'static>,
    /// In what messages differ.
    pub vary: Vary,
    /// Messages wait so long in a queue without consumers, and are consumed from the one that
    /// dead letters go to; ages count from when they should come.
    pub dead_after: Option<Duration>,
}

/// Runs one load.
pub fn run(load: &Load, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let name = unique(load.name);
    let queues: Vec<String> = (0..load.fan.unwrap_or(1))
        .map(|number| format!("{name}.{number}"))
        .collect();
    let mut control = Client::connect(options.broker)?;
    for queue in &queues {
        control.declare_queue(queue, load.durable, load.arguments)?;
    }
    let waiting = load.dead_after.map(|_| format!("{name}.waiting"));
    if let (Some(after), Some(waiting)) = (load.dead_after, &waiting) {
        let arguments = [
            ("x-message-ttl", Value::Number(after.as_millis() as i64)),
            ("x-dead-letter-exchange", Value::Text("")),
            ("x-dead-letter-routing-key", Value::Text(&queues[0])),
        ];
        control.declare_queue(waiting, load.durable, &arguments)?;
    }
    if load.fan.is_some() {
        control.declare_exchange(&name, "fanout", &[])?;
        queues
            .iter()
            .try_for_each(|queue| control.bind(queue, &name, ""))?;
    }

    let plan = Plan {
        exchange: if load.fan.is_some() {
            name.clone()
        } else {
            String::new()
        },
        routing_key: match (load.fan, &waiting) {
            (Some(_), _) => String::new(),
            (None, Some(waiting)) => waiting.clone(),
            (None, None) => queues[0].clone(),
        },
        body_bytes: load.body_bytes,
        persistent: load.durable,
        window: load.window,
        transaction: load.transaction,
        rate: load.rate,
        count: None,
        stamp: if load.stamped {
            Stamp::Time
        } else {
            Stamp::None
        },
        vary: load.vary,
    };
    let report = measure(load, &plan, &queues, options, tree);

    // Also after a failure: the next case should find the broker empty.
    let cleaned = queues
        .iter()
        .chain(&waiting)
        .try_for_each(|queue| control.delete_queue(queue));
    let cleaned =
        cleaned.and_then(|()| load.fan.map_or(Ok(()), |_| control.delete_exchange(&name)));
    let report = report?;
    cleaned?;
    control.close()?;
    Ok(report)
}

fn measure(
    load: &Load,
    plan: &Plan,
    queues: &[String],
    options: &Options,
    tree: Option<Tree>,
) -> Result<Report> {
    let run = &Run::new();
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    thread::scope(|scope| {
        let broker = options.broker;
        let consumers: Vec<_> = queues
            .iter()
            .map(|queue| {
                let wanted = Consumption {
                    queues: std::slice::from_ref(queue),
                    settle: load.settle,
                    arguments: &[],
                    look: if load.stamped {
                        Look::Age(load.dead_after.unwrap_or_default().as_nanos() as u64)
                    } else {
                        Look::Nothing
                    },
                };
                scope.spawn(move || run.watch(consume(broker, wanted, run)))
            })
            .collect();
        let publisher = scope.spawn(move || run.watch(publish(broker, plan, run)));

        run.wait(options.warmup, || false);
        let first = Sample::take(run, tree);
        run.measure(true);
        run.wait(options.seconds, || false);
        let second = Sample::take(run, tree);
        run.measure(false);

        run.stop_publishing();
        let confirms = publisher.join().expect("publishers do not panic");
        let counts = run.counts();
        let wanted = counts.sent * queues.len() as u64;
        let drain = Instant::now();
        let arrived = confirms.is_err() || run.wait_delivered(wanted, DRAIN_TIME_MAX);
        let late = drain.elapsed();
        run.stop();
        let mut ages = Histogram::new();
        for consumer in consumers {
            ages.merge(&consumer.join().expect("consumers do not panic")?);
        }
        let confirms = confirms?;
        let delivered = run.counts().delivered;
        if !arrived || delivered != wanted {
            return Err(format!("{delivered} of {wanted} messages came out").into());
        }

        let mut report = report(load, &first, &second, &confirms, &ages);
        if let Some(tree) = tree {
            report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        }
        report.add("drained_s", late.as_secs_f64());
        Ok(report)
    })
}

fn report(
    load: &Load,
    first: &Sample,
    second: &Sample,
    confirms: &Histogram,
    ages: &Histogram,
) -> Report {
    let mut report = Report::new(load.name);
    let confirmed = load.window.is_some() || load.transaction.is_some();
    add_rates(&mut report, confirmed, load.body_bytes, first, second);
    report.add_quantiles(
        if load.transaction.is_some() {
            ["commit_p50_ms", "commit_p99_ms", "commit_p999_ms"]
        } else {
            ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"]
        },
        confirms,
    );
    report.add_quantiles(
        if load.dead_after.is_some() {
            ["late_p50_ms", "late_p99_ms", "late_p999_ms"]
        } else {
            ["end_p50_ms", "end_p99_ms", "end_p999_ms"]
        },
        ages,
    );
    report
}

/// Adds what went through between two samples and what it cost. What was `confirmed` counts, or
/// without confirms what was sent.
pub fn add_rates(
    report: &mut Report,
    confirmed: bool,
    body_bytes: usize,
    first: &Sample,
    second: &Sample,
) {
    let seconds = (second.at - first.at).as_secs_f64();
    let taken = |counts: &Counts| match confirmed {
        true => counts.confirmed,
        false => counts.sent,
    };
    let came_in = (taken(&second.counts) - taken(&first.counts)) as f64;
    let went_out = (second.counts.delivered - first.counts.delivered) as f64;
    report.add("in_rate", came_in / seconds);
    report.add("out_rate", went_out / seconds);
    report.add("in_mb", came_in * body_bytes as f64 / seconds / 1e6);
    if let (Some(first), Some(second)) = (first.broker_cpu, second.broker_cpu) {
        report.add("cpu_us", (second - first).as_secs_f64() * 1e6 / came_in);
    }
    let own = (second.own_cpu - first.own_cpu).as_secs_f64();
    report.add("own_cpu_us", own * 1e6 / came_in);
    report.add("own_cores", own / seconds);
}

/// Counters and costs at one instant.
pub struct Sample {
    at: Instant,
    counts: Counts,
    broker_cpu: Option<Duration>,
    own_cpu: Duration,
}

impl Sample {
    /// All of them now.
    pub fn take(run: &Run, tree: Option<Tree>) -> Self {
        Self {
            broker_cpu: tree.map(|tree| tree.cpu()),
            own_cpu: Tree::own().cpu(),
            counts: run.counts(),
            at: Instant::now(),
        }
    }
}

const DRAIN_TIME_MAX: Duration = Duration::from_secs(120);
