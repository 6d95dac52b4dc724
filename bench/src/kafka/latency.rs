//! One record at a time, at a fixed rate: how long until it is confirmed, and until a
//! consumer has it.

use std::net::SocketAddr;
use std::thread;

use bongsu_record::kafka::Writer;

use super::load::{RECORD_BYTES, unix_ms};
use super::wire::{self, Connection, Positions};
use crate::Result;
use crate::cases::Options;
use crate::cases::load::{Sample, add_rates};
use crate::histogram::Histogram;
use crate::pace::Pace;
use crate::process::Tree;
use crate::report::Report;
use crate::run::Run;

/// The case's name.
pub const NAME: &str = "latency-5k";
/// The same with a sync before each answer.
pub const SYNCED: &str = "latency-5k-fsync";

/// The case of that name, if it is one of these.
pub fn named(name: &str) -> Option<&'static str> {
    [NAME, SYNCED].into_iter().find(|known| *known == name)
}

/// Runs the case.
pub fn run(name: &'static str, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let topic = &format!("bench-{name}-{}", std::process::id());
    Connection::open(options.broker)?.create_topic(topic, 1)?;
    let run = &Run::new();
    thread::scope(|scope| {
        let broker = options.broker;
        let consumer = scope.spawn(move || run.watch(consume(broker, topic, run)));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| scope.spawn(move || run.watch(produce(broker, topic, run))))
            .collect();
        run.wait(options.warmup, || false);
        let first = Sample::take(run, tree);
        run.measure(true);
        run.wait(options.seconds, || false);
        let second = Sample::take(run, tree);
        run.measure(false);
        run.stop_publishing();
        let mut times = Histogram::new();
        for producer in producers {
            times.merge(&producer.join().expect("producers do not panic")?);
        }
        run.wait_delivered(run.counts().confirmed, std::time::Duration::from_secs(30));
        run.stop();
        let ages = consumer.join().expect("consumers do not panic")?;
        let mut report = Report::new(name);
        add_rates(&mut report, true, RECORD_BYTES, &first, &second);
        report.add_quantiles(
            ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"],
            &times,
        );
        report.add_quantiles(["end_p50_ms", "end_p99_ms", "end_p999_ms"], &ages);
        Ok(report)
    })
}

/// Each record says at the front of its value when it was due, so that a broker that stops
/// is not spared what would have been sent meanwhile. Sender and receiver of answers are
/// threads of their own.
fn produce(broker: SocketAddr, topic: &str, run: &Run) -> Result<Histogram> {
    let mut sending = Connection::open(broker)?;
    let mut receiving = sending.other_end()?;
    let (tell, told) = std::sync::mpsc::channel::<u64>();
    thread::scope(|scope| {
        let receiver = scope.spawn(move || -> Result<Histogram> {
            let mut times = Histogram::new();
            for due_at in told {
                wire::produced(receiving.receive()?)?;
                run.add_confirmed(1);
                if run.measuring() {
                    times.record(run.now().saturating_sub(due_at));
                }
            }
            Ok(times)
        });
        let pace = Pace::new(RATE / PRODUCERS, run.now());
        let mut value = vec![b'x'; RECORD_BYTES];
        let mut number = 0;
        while run.publishing() {
            let due_at = pace.due_at(number);
            let now = run.now();
            if now < due_at {
                thread::sleep(std::time::Duration::from_nanos(due_at - now));
                continue;
            }
            value[..8].copy_from_slice(&due_at.to_be_bytes());
            let mut writer = Writer::new();
            writer.push(unix_ms(), None, Some(&value), &[]);
            let batch = writer.finish().ok_or("a batch has records")?;
            run.add_sent(1);
            sending.send(&wire::produce(topic, 0, batch.bytes()))?;
            if tell.send(due_at).is_err() {
                break;
            }
            number += 1;
        }
        drop(tell);
        receiver.join().expect("receivers do not panic")
    })
}

fn consume(broker: SocketAddr, topic: &str, run: &Run) -> Result<Histogram> {
    let mut connection = Connection::open(broker)?;
    let mut positions: Positions = vec![0];
    let mut ages = Histogram::new();
    while run.consuming() {
        connection.send(&wire::fetch(topic, &positions, 0))?;
        let answer = connection.receive()?;
        let now = run.now();
        let measuring = run.measuring();
        let count = wire::fetched(answer, &mut positions, |batch| {
            // The value is the last but for one byte, the number of headers.
            let at = batch.len() - 1 - RECORD_BYTES;
            let due_at = batch[at..at + 8].try_into().expect("eight bytes");
            if measuring {
                ages.record(now.saturating_sub(u64::from_be_bytes(due_at)));
            }
        })?;
        run.add_delivered(count);
    }
    Ok(ages)
}

/// Records a second.
const RATE: u32 = 5_000;
const PRODUCERS: u32 = 2;
