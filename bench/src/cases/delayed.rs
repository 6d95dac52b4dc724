//! A million messages that wait for their time: what they cost while they wait, also over a
//! restart, and how punctual they are. They come due evenly, and mostly not in the order they were
//! sent in, so what holds them must sort.

use std::thread;
use std::time::Duration;

use super::{Options, PERSISTENT, unique};
use crate::Result;
use crate::client::Client;
use crate::consumer::{Consumption, Look, consume};
use crate::driven;
use crate::plan::{Plan, Schedule, Stamp, Vary};
use crate::process::Tree;
use crate::publisher::publish;
use crate::report::Report;
use crate::run::Run;
use crate::wire::Value;

/// The case's name.
pub const NAME: &str = "delayed-1m";

/// Fills, restarts, and waits for all to come.
pub fn run(options: &Options, tree: Option<Tree>) -> Result<Report> {
    let name = unique(NAME);
    let mut control = Client::connect(options.broker)?;
    let kind = [("x-delayed-type", Value::Text("direct"))];
    control.declare_exchange(&name, "x-delayed-message", &kind)?;
    control.declare_queue(&name, true, &[])?;
    control.bind(&name, &name, &name)?;
    // The broker is restarted on the way, which ends every connection.
    control.close()?;
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let report = fill_and_wait(&name, options, tree);
    let mut control = Client::connect(options.broker)?;
    let cleaned = control
        .delete_queue(&name)
        .and_then(|()| control.delete_exchange(&name));
    let report = report?;
    cleaned?;
    control.close()?;
    Ok(report)
}

fn fill_and_wait(name: &str, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let run = &Run::new();
    run.measure(true);
    let count = options.backlog;
    let schedule = Schedule {
        start: DUE_AFTER.as_nanos() as u64,
        spread: SPREAD,
        jitter: JITTER,
        count,
    };
    let plan = &Plan {
        exchange: name.to_owned(),
        count: Some(count),
        stamp: Stamp::Time,
        vary: Vary::Delay(schedule),
        ..Plan::to_queue(name)
    };
    let in_time = |what: &str| match Duration::from_nanos(run.now()) {
        now if now < DUE_AFTER => Ok(()),
        now => Err(format!(
            "{what} took {now:?}, and the first are due at {DUE_AFTER:?}"
        )),
    };
    let broker = options.broker;
    let mut report = Report::new(NAME);

    let started = run.now();
    let confirms = thread::scope(|scope| {
        let publisher = scope.spawn(move || run.watch(publish(broker, plan, run)));
        publisher.join().expect("publishers do not panic")
    })?;
    let seconds = (run.now() - started) as f64 / 1e9;
    report.add("fill_rate", count as f64 / seconds);
    report.add_quantiles(
        ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"],
        &confirms,
    );
    in_time("publishing")?;
    if let Some(tree) = tree {
        report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        report.add("held_mb", tree.resident_bytes() as f64 / 1e6);
    }

    let mut tree = tree;
    if let Some(restarted) = driven::restart(options, name)? {
        report.add("restart_s", restarted.seconds);
        report.add("restarted_mb", restarted.tree.resident_bytes() as f64 / 1e6);
        tree = Some(restarted.tree);
        in_time("publishing and a restart")?;
    }

    let queues = [name.to_owned()];
    let wanted = Consumption {
        queues: &queues,
        settle: PERSISTENT.settle,
        arguments: &[],
        look: Look::Age(0),
    };
    let cpu_before = tree.map(|tree| tree.cpu());
    let ages = thread::scope(|scope| -> Result<_> {
        let consumer = scope.spawn(move || run.watch(consume(broker, wanted, run)));
        run.wait(
            DUE_AFTER.saturating_sub(Duration::from_nanos(run.now())),
            || false,
        );
        let arrived = run.wait_delivered(count, TIME_MAX);
        run.stop();
        let ages = consumer.join().expect("consumers do not panic")?;
        match run.counts().delivered {
            delivered if arrived && delivered == count => Ok(ages),
            delivered => Err(format!("{delivered} of {count} messages came out").into()),
        }
    })?;
    report.add_quantiles(["late_p50_ms", "late_p99_ms", "late_p999_ms"], &ages);
    if let (Some(tree), Some(before)) = (tree, cpu_before) {
        let cpu = (tree.cpu() - before).as_secs_f64();
        report.add("drain_cpu_us", cpu * 1e6 / count as f64);
    }
    Ok(report)
}

/// Publishing and the restart must fit into this.
const DUE_AFTER: Duration = Duration::from_secs(15);
const SPREAD: Duration = Duration::from_secs(20);
const JITTER: Duration = Duration::from_secs(1);
const TIME_MAX: Duration = Duration::from_secs(300);
