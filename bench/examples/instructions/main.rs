//! Work whose instructions are counted: `cargo xtask test instructions` runs each case under callgrind
//! and compares the count with `bench/instructions.txt`.
//!
//! `instructions CASE` runs one case, `instructions` alone tells their names. A case sets up, works a
//! few times so that buffers have grown, and then works `TIMES` times inside `measured`: only what
//! happens there is counted. No socket, no disk, no thread, and nothing that differs from run to run.

#![allow(
    clippy::disallowed_methods,
    reason = "sessions want an instant to begin with"
)]

mod amqp;

mod kafka;

mod queue;

mod records;

#[allow(dead_code, reason = "only its requests are wanted here")]
#[path = "../../src/kafka/wire.rs"]
mod wire;

use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A case's name, how many messages it works on each time, and the work once it is set up.
struct Case(&'static str, u64, fn() -> Box<dyn FnMut()>);

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        CASES
            .iter()
            .for_each(|Case(name, messages, _)| println!("{name} {}", messages * TIMES));
        return ExitCode::SUCCESS;
    };
    let Some(Case(_, _, prepare)) = CASES.iter().find(|case| case.0 == name) else {
        eprintln!("there is no case {name}");
        return ExitCode::FAILURE;
    };
    let mut work = prepare();
    (0..WARM_TIMES).for_each(|_| work());
    measured(&mut *work);
    ExitCode::SUCCESS
}

/// What is counted, found by its name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        work();
    }
}

const CASES: &[Case] = &[
    Case("amqp-publish", amqp::PUBLISHED, amqp::publish),
    Case("amqp-deliver", amqp::DELIVERED, amqp::deliver),
    Case("kafka-produce", kafka::RECORDS, kafka::produce),
    Case("kafka-fetch", kafka::RECORDS, kafka::fetch),
    Case("queue-lend", queue::COUNT, queue::lend),
    Case("queue-priorities", queue::COUNT, queue::priorities),
    Case("record-build", records::COUNT, records::build),
    Case("record-read", records::COUNT, records::read),
    Case("record-validate", records::COUNT, records::validate_kafka),
];
const WARM_TIMES: u64 = 3;
const TIMES: u64 = 20;
