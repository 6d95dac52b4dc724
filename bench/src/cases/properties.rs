//! What optional properties cost a queue on which they never come to act: short loads in turns on
//! queues with one property each, with all and with none. In turns, because speed drifts.

use std::time::Duration;

use super::load::{self, Load};
use super::{Options, PERSISTENT};
use crate::Result;
use crate::report::Report;
use crate::wire::{Table, Value};

/// The case's name.
pub const NAME: &str = "properties";

/// Runs the loads.
pub fn run(options: &Options) -> Result<Report> {
    let short = Options {
        cases: Vec::new(),
        seconds: options.seconds / (2 * TURNS),
        warmup: Duration::from_millis(250),
        ..*options
    };
    let mut rates = vec![0.0; VARIANTS.len()];
    for _ in 0..TURNS {
        for ((_, arguments), rate) in VARIANTS.iter().zip(&mut rates) {
            let load = Load {
                name: NAME,
                arguments,
                ..PERSISTENT
            };
            let part = load::run(&load, &short, None)?;
            *rate += part.value("in_rate").unwrap_or_default() / f64::from(TURNS);
        }
    }
    let mut report = Report::new(NAME);
    for ((key, _), rate) in VARIANTS.iter().zip(rates) {
        report.add(key, rate);
    }
    Ok(report)
}

const TURNS: u32 = 2;

const VARIANTS: &[(&str, &Table<'static>)] = &[
    ("plain_rate", &[]),
    ("length_rate", &[LENGTH]),
    ("ttl_rate", &[TTL]),
    ("one_priority_rate", &[ONE_PRIORITY]),
    ("dead_letter_rate", &[DEAD_LETTERS]),
    ("all_rate", &[LENGTH, TTL, ONE_PRIORITY, DEAD_LETTERS]),
];

const LENGTH: (&str, Value<'_>) = ("x-max-length", Value::Number(10_000_000));
const TTL: (&str, Value<'_>) = ("x-message-ttl", Value::Number(3_600_000));
const ONE_PRIORITY: (&str, Value<'_>) = ("x-max-priority", Value::Number(1));
const DEAD_LETTERS: (&str, Value<'_>) = ("x-dead-letter-exchange", Value::Text("amq.fanout"));
