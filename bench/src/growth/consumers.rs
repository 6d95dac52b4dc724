//! Consumers of one queue, spread over connections.

use std::thread;

use crate::Result;
use crate::cases::Options;
use crate::cases::load::{Sample, add_rates};
use crate::client::Client;
use crate::consumer::{Consumption, Look, Settle, consume};
use crate::histogram::Histogram;
use crate::plan::{Plan, Stamp};
use crate::process::Tree;
use crate::publisher::publish;
use crate::report::Report;
use crate::run::Run;

/// One publisher, and so many consumers of its queue.
pub fn run(count: u64, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let queue = format!("bench.consumers.{}", std::process::id());
    Client::connect(options.broker)?.declare_queue(&queue, true, &[])?;
    let connections = count.clamp(1, CONNECTIONS_MAX);
    let plan = &Plan {
        stamp: Stamp::Time,
        ..Plan::to_queue(&queue)
    };
    // Together they may hold what one would.
    let prefetch = (PREFETCH / count.max(1)).max(10) as u16;
    let settle = Settle::Acknowledge {
        every: u32::from(prefetch).min(100),
        prefetch,
    };
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let run = &Run::new();
    let broker = options.broker;
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..connections)
            .map(|number| {
                let mine = count / connections + u64::from(number < count % connections);
                let queues = vec![queue.clone(); mine as usize];
                scope.spawn(move || {
                    let wanted = Consumption {
                        queues: &queues,
                        settle,
                        arguments: &[],
                        look: Look::Age(0),
                    };
                    run.watch(consume(broker, wanted, run))
                })
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
        let arrived = confirms.is_err() || run.wait_delivered(sent, options.seconds * 10);
        run.stop();
        let mut ages = Histogram::new();
        for consumer in consumers {
            ages.merge(&consumer.join().expect("consumers do not panic")?);
        }
        let confirms = confirms?;
        if !arrived {
            let delivered = run.counts().delivered;
            return Err(format!("{delivered} of {sent} messages came out").into());
        }
        let mut report = Report::new("consumers");
        add_rates(&mut report, true, plan.body_bytes, &first, &second);
        report.add_quantiles(
            ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"],
            &confirms,
        );
        report.add_quantiles(["end_p50_ms", "end_p99_ms", "end_p999_ms"], &ages);
        if let Some(tree) = tree {
            report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        }
        Ok(report)
    })
}

const CONNECTIONS_MAX: u64 = 20;
const PREFETCH: u64 = 2000;
