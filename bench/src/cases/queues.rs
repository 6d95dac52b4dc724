//! Queues by the thousand: ten thousand with a consumer each, a hundred thousand that are there.

use std::thread;
use std::time::{Duration, Instant};

use super::load::{Sample, add_rates};
use super::{Options, PERSISTENT, unique};
use crate::Result;
use crate::client::Client;
use crate::consumer::{Consumption, Look, consume};
use crate::driven;
use crate::histogram::Histogram;
use crate::plan::{Plan, Stamp, Vary, digits};
use crate::process::Tree;
use crate::publisher::publish;
use crate::report::Report;
use crate::run::Run;

/// The name of the case with consumers.
pub const BUSY: &str = "queues-10k";
/// The name of the case without.
pub const IDLE: &str = "queues-100k-idle";

/// Publishes to each queue in turn, and consumes from all.
pub fn busy(options: &Options, tree: Option<Tree>) -> Result<Report> {
    many(BUSY_COUNT, options, tree)
}

/// The same with so many queues.
pub fn many(count: u64, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let mut report = Report::new(BUSY);
    let queues = declare(BUSY, count, options, tree, &mut report)?;
    let loaded = load(&queues, options, tree, &mut report);
    delete(&queues, options)?;
    loaded?;
    Ok(report)
}

fn load(
    queues: &[String],
    options: &Options,
    tree: Option<Tree>,
    report: &mut Report,
) -> Result<()> {
    let plan = &Plan {
        vary: Vary::Queue {
            count: queues.len() as u64,
        },
        stamp: Stamp::Time,
        ..Plan::to_queue(&prefix(BUSY))
    };
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let run = &Run::new();
    let broker = options.broker;
    thread::scope(|scope| {
        let consumers: Vec<_> = queues
            .chunks(queues.len().div_ceil(CONSUMER_CONNECTIONS))
            .map(|queues| {
                let wanted = Consumption {
                    queues,
                    settle: PERSISTENT.settle,
                    arguments: &[],
                    look: Look::Age(0),
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
        let sent = run.counts().sent;
        let arrived = confirms.is_err() || run.wait_delivered(sent, TIME_MAX);
        run.stop();
        let mut ages = Histogram::new();
        for consumer in consumers {
            ages.merge(&consumer.join().expect("consumers do not panic")?);
        }
        let confirms = confirms?;
        let delivered = run.counts().delivered;
        if !arrived || delivered != sent {
            return Err(format!("{delivered} of {sent} messages came out").into());
        }
        add_rates(report, true, plan.body_bytes, &first, &second);
        report.add_quantiles(
            ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"],
            &confirms,
        );
        report.add_quantiles(["end_p50_ms", "end_p99_ms", "end_p999_ms"], &ages);
        if let Some(tree) = tree {
            report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        }
        Ok(())
    })
}

/// Declares queues, restarts the broker, and does nothing else.
pub fn idle(options: &Options, tree: Option<Tree>) -> Result<Report> {
    let mut report = Report::new(IDLE);
    let queues = declare(IDLE, options.queues, options, tree, &mut report)?;
    let last = queues.last().ok_or("no queues asked for")?;
    if let Some(restarted) = driven::restart(options, last)? {
        report.add("restart_s", restarted.seconds);
        thread::sleep(SETTLE_TIME);
        report.add("restarted_mb", restarted.tree.resident_bytes() as f64 / 1e6);
    }
    delete(&queues, options)?;
    Ok(report)
}

/// Declares so many, and reports how fast that went and what it left in memory.
fn declare(
    case: &str,
    count: u64,
    options: &Options,
    tree: Option<Tree>,
    report: &mut Report,
) -> Result<Vec<String>> {
    let prefix = prefix(case);
    let queues: Vec<String> = (0..count)
        .map(|number| prefix.clone() + &digits(number))
        .collect();
    let mut control = Client::connect(options.broker)?;
    let bytes_before = tree.map(|tree| tree.resident_bytes());
    let start = Instant::now();
    control.declare_queues(&queues, true)?;
    let seconds = start.elapsed().as_secs_f64();
    control.close()?;
    report.add("declare_rate", count as f64 / seconds);
    if let (Some(before), Some(tree)) = (bytes_before, tree) {
        thread::sleep(SETTLE_TIME);
        let grown = tree.resident_bytes().saturating_sub(before);
        report.add("queue_kb", grown as f64 / 1e3 / count as f64);
    }
    Ok(queues)
}

/// Deletes them, unless the broker is thrown away anyway: some take minutes for it.
fn delete(queues: &[String], options: &Options) -> Result<()> {
    if options.driven {
        return Ok(());
    }
    let mut control = Client::connect(options.broker)?;
    queues
        .iter()
        .try_for_each(|queue| control.delete_queue(queue))?;
    control.close()
}

fn prefix(case: &str) -> String {
    unique(case) + "."
}

const BUSY_COUNT: u64 = 10_000;
const CONSUMER_CONNECTIONS: usize = 10;
const SETTLE_TIME: Duration = Duration::from_secs(1);
const TIME_MAX: Duration = Duration::from_secs(120);
