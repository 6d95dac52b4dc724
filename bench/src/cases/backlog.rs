//! A backlog: fill a durable queue that nobody reads, then drain it, or read it and leave it.

use std::thread;
use std::time::{Duration, Instant};

use super::{Options, PERSISTENT, unique};
use crate::Result;
use crate::client::Client;
use crate::consumer::{Consumption, GroupOrder, Look, consume};
use crate::histogram::Histogram;
use crate::plan::{Plan, Stamp, Vary};
use crate::process::Tree;
use crate::publisher::publish;
use crate::report::Report;
use crate::run::Run;
use crate::wire::{Table, Value};

/// A row of the table of backlogs.
#[derive(Clone, Copy)]
pub struct Backlog {
    /// The case's name.
    pub name: &'static str,
    /// The queue's arguments.
    pub arguments: &'static Table<'static>,
    /// Messages belong to so many groups, whose order is checked.
    pub groups: Option<u64>,
    /// How many drain it; 0: it is not drained.
    pub consumers: usize,
    /// Whether it is read from its start in the end, by a consumer with `x-stream-offset`.
    pub replay: bool,
}

/// Fills and drains.
pub fn run(backlog: &Backlog, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let queue = unique(backlog.name);
    let mut control = Client::connect(options.broker)?;
    control.declare_queue(&queue, true, backlog.arguments)?;
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let report = fill_and_drain(backlog, &queue, options, tree);
    let cleaned = control.delete_queue(&queue);
    let report = report?;
    cleaned?;
    control.close()?;
    Ok(report)
}

fn fill_and_drain(
    backlog: &Backlog,
    queue: &str,
    options: &Options,
    tree: Option<Tree>,
) -> Result<Report> {
    let mut plan = Plan {
        count: Some(options.backlog),
        ..Plan::to_queue(queue)
    };
    let order = backlog.groups.map(GroupOrder::new);
    if let Some(count) = backlog.groups {
        plan.vary = Vary::Group { count };
        plan.stamp = Stamp::Number;
    }
    let queues = [queue.to_owned()];
    let drained = Consumption {
        queues: &queues,
        settle: PERSISTENT.settle,
        arguments: &[],
        look: order.as_ref().map_or(Look::Nothing, Look::Order),
    };
    let replayed = Consumption {
        arguments: &[("x-stream-offset", Value::Text("first"))],
        look: Look::Nothing,
        ..drained
    };

    let mut report = Report::new(backlog.name);
    let count = options.backlog;
    let mut meter = Meter {
        tree,
        count,
        report: &mut report,
    };
    let confirms = meter.time("fill_rate", "fill_cpu_us", || fill(&plan, count, options))?;
    if backlog.consumers > 0 {
        meter.time("drain_rate", "drain_cpu_us", || {
            take(drained, backlog.consumers, count, options)
        })?;
    }
    if backlog.replay {
        meter.time("replay_rate", "replay_cpu_us", || {
            take(replayed, 1, count, options)
        })?;
    }
    report.add_quantiles(
        ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"],
        &confirms,
    );
    if let Some(tree) = tree {
        report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
    }
    Ok(report)
}

/// Reports how fast a phase went, and what each message of it cost the broker.
struct Meter<'a> {
    tree: Option<Tree>,
    count: u64,
    report: &'a mut Report,
}

impl Meter<'_> {
    fn time<T>(
        &mut self,
        rate_key: &'static str,
        cpu_key: &'static str,
        phase: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let cpu_before = self.tree.map(|tree| tree.cpu());
        let start = Instant::now();
        let outcome = phase()?;
        let seconds = start.elapsed().as_secs_f64();
        self.report.add(rate_key, self.count as f64 / seconds);
        if let (Some(before), Some(tree)) = (cpu_before, self.tree) {
            let cpu = (tree.cpu() - before).as_secs_f64();
            self.report.add(cpu_key, cpu * 1e6 / self.count as f64);
        }
        Ok(outcome)
    }
}

/// Publishes a plan of `count` messages and returns once all are confirmed.
pub fn fill(plan: &Plan, count: u64, options: &Options) -> Result<Histogram> {
    let run = &Run::new();
    run.measure(true);
    let broker = options.broker;
    thread::scope(|scope| {
        let publisher = scope.spawn(move || run.watch(publish(broker, plan, run)));
        run.wait(TIME_MAX, || publisher.is_finished());
        run.stop_publishing();
        let confirms = publisher.join().expect("publishers do not panic")?;
        match run.counts().confirmed {
            confirmed if confirmed == count => Ok(confirms),
            confirmed => Err(format!("{confirmed} of {count} confirmed in {TIME_MAX:?}").into()),
        }
    })
}

/// Consumes until `count` messages came, by so many consumers. More than that is an error too.
pub fn take(
    wanted: Consumption<'_>,
    consumers: usize,
    count: u64,
    options: &Options,
) -> Result<()> {
    let run = &Run::new();
    let broker = options.broker;
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..consumers)
            .map(|_| scope.spawn(move || run.watch(consume(broker, wanted, run))))
            .collect();
        let arrived = run.wait_delivered(count, TIME_MAX);
        run.stop();
        for consumer in consumers {
            consumer.join().expect("consumers do not panic")?;
        }
        match run.counts().delivered {
            delivered if arrived && delivered == count => Ok(()),
            delivered => Err(format!("{delivered} of {count} messages came out").into()),
        }
    })
}

const TIME_MAX: Duration = Duration::from_secs(300);
