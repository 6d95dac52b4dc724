//! What optional properties cost a queue on which they never come to act: short loads in turns on
//! queues with one property each, with all and with none. In turns, because speed drifts.

use std::time::Duration;

use super::load::{self, Load};
use super::{Options, PERSISTENT};
use crate::Result;
use crate::process::Tree;
use crate::report::Report;
use crate::wire::{Table, Value};

/// The case's name.
pub const NAME: &str = "properties";

/// Runs the loads.
pub fn run(options: &Options, tree: Option<Tree>) -> Result<Report> {
    let short = Options {
        cases: Vec::new(),
        seconds: options.seconds / (2 * TURNS),
        warmup: Duration::from_millis(250),
        ..*options
    };
    let mut sums = vec![(0.0, 0.0); VARIANTS.len()];
    for _ in 0..TURNS {
        for (variant, (rate, cpu)) in VARIANTS.iter().zip(&mut sums) {
            let load = Load {
                name: NAME,
                arguments: variant.arguments,
                ..PERSISTENT
            };
            let part = load::run(&load, &short, tree)?;
            *rate += part.value("in_rate").unwrap_or_default();
            *cpu += part.value("cpu_us").unwrap_or_default();
        }
    }
    let mut report = Report::new(NAME);
    for (variant, (rate, cpu)) in VARIANTS.iter().zip(sums) {
        report.add(variant.rate_key, rate / f64::from(TURNS));
        if tree.is_some() {
            report.add(variant.cpu_key, cpu / f64::from(TURNS));
        }
    }
    Ok(report)
}

/// One kind of queue, and the keys of its figures.
struct Variant {
    rate_key: &'static str,
    cpu_key: &'static str,
    arguments: &'static Table<'static>,
}

const TURNS: u32 = 2;

const VARIANTS: &[Variant] = &[
    Variant {
        rate_key: "plain_rate",
        cpu_key: "plain_cpu_us",
        arguments: &[],
    },
    Variant {
        rate_key: "length_rate",
        cpu_key: "length_cpu_us",
        arguments: &[LENGTH],
    },
    Variant {
        rate_key: "ttl_rate",
        cpu_key: "ttl_cpu_us",
        arguments: &[TTL],
    },
    Variant {
        rate_key: "one_priority_rate",
        cpu_key: "one_priority_cpu_us",
        arguments: &[ONE_PRIORITY],
    },
    Variant {
        rate_key: "dead_letter_rate",
        cpu_key: "dead_letter_cpu_us",
        arguments: &[DEAD_LETTERS],
    },
    Variant {
        rate_key: "all_rate",
        cpu_key: "all_cpu_us",
        arguments: &[LENGTH, TTL, ONE_PRIORITY, DEAD_LETTERS],
    },
];

const LENGTH: (&str, Value<'_>) = ("x-max-length", Value::Number(10_000_000));
const TTL: (&str, Value<'_>) = ("x-message-ttl", Value::Number(3_600_000));
const ONE_PRIORITY: (&str, Value<'_>) = ("x-max-priority", Value::Number(1));
const DEAD_LETTERS: (&str, Value<'_>) = ("x-dead-letter-exchange", Value::Text("amq.fanout"));
