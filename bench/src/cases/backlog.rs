//! A backlog: fill a durable queue that nobody reads, then drain it.

use std::thread;
use std::time::{Duration, Instant};

use super::{Options, PERSISTENT, unique};
use crate::Result;
use crate::client::Client;
use crate::consumer::consume;
use crate::process::Tree;
use crate::publisher::{Plan, publish};
use crate::report::Report;
use crate::run::Run;

/// The case's name.
pub const NAME: &str = "backlog-1m";

/// Fills and drains.
pub fn run(options: &Options, tree: Option<Tree>) -> Result<Report> {
    let queue = unique(NAME);
    let mut control = Client::connect(options.broker)?;
    control.declare_queue(&queue, true)?;
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let report = fill_and_drain(&queue, options, tree);
    let cleaned = control.delete_queue(&queue);
    let report = report?;
    cleaned?;
    control.close()?;
    Ok(report)
}

fn fill_and_drain(queue: &str, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let plan = Plan {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        body_bytes: PERSISTENT.body_bytes,
        persistent: true,
        window: PERSISTENT.window,
        rate: None,
        count: Some(options.backlog),
        stamped: false,
    };
    let mut report = Report::new(NAME);
    let cpu = || tree.map_or(Duration::ZERO, |tree| tree.cpu());
    let run = &Run::new();
    run.measure(true);
    let broker = options.broker;

    thread::scope(|scope| {
        let (start, cpu_before) = (Instant::now(), cpu());
        let plan = &plan;
        let publisher = scope.spawn(move || run.watch(publish(broker, plan, run)));
        run.wait(TIME_MAX, || publisher.is_finished());
        run.stop_publishing();
        let confirms = publisher.join().expect("publishers do not panic")?;
        let seconds = start.elapsed().as_secs_f64();
        let filled = run.counts().confirmed;
        report.add("fill_rate", filled as f64 / seconds);
        report.add_some("confirm_p50_ms", confirms.quantile_ms(0.5));
        report.add_some("confirm_p99_ms", confirms.quantile_ms(0.99));
        report.add_some("confirm_p999_ms", confirms.quantile_ms(0.999));
        let cpu_between = cpu();

        let start = Instant::now();
        let settle = PERSISTENT.settle;
        let consumer = scope.spawn(move || run.watch(consume(broker, queue, settle, false, run)));
        let arrived = run.wait_delivered(filled, TIME_MAX);
        let seconds = start.elapsed().as_secs_f64();
        let cpu_after = cpu();
        run.stop();
        consumer.join().expect("consumers do not panic")?;
        let delivered = run.counts().delivered;
        if !arrived || delivered != filled {
            return Err(format!("{delivered} of {filled} messages came out").into());
        }
        report.add("drain_rate", filled as f64 / seconds);
        if let Some(tree) = tree {
            let per_message = |time: Duration| time.as_secs_f64() * 1e6 / filled as f64;
            report.add("fill_cpu_us", per_message(cpu_between - cpu_before));
            report.add("drain_cpu_us", per_message(cpu_after - cpu_between));
            report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        }
        Ok(report)
    })
}

const TIME_MAX: Duration = Duration::from_secs(300);
