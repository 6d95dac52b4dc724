//! Steady load with consumers at the tail, and reading what has gathered.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bongsu_record::compression::Codec;

use super::wire::{self, Connection, Positions};
use crate::Result;
use crate::cases::Options;
use crate::cases::load::{Sample, add_rates};
use crate::histogram::Histogram;
use crate::process::Tree;
use crate::report::Report;
use crate::run::Run;

/// A load.
pub struct Load {
    /// The case's name.
    pub name: &'static str,
    /// Of its topic.
    pub partitions: i32,
    /// Records of 1 KiB in a batch.
    pub records: usize,
    /// Of its batches.
    pub codec: Codec,
    /// Gathers so many bytes first, then reads them.
    pub catch_up_bytes: Option<u64>,
}

impl Load {
    /// A steady load.
    pub const fn of(name: &'static str, partitions: i32, records: usize, codec: Codec) -> Load {
        Load {
            name,
            partitions,
            records,
            codec,
            catch_up_bytes: None,
        }
    }
}

/// Runs a load against a broker.
pub fn run(load: &Load, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let topic = format!("bench-{}-{}", load.name, std::process::id());
    Connection::open(options.broker)?.create_topic(&topic, load.partitions)?;
    match load.catch_up_bytes {
        None => steady(load, &topic, options, tree),
        Some(bytes) => catch_up(load, &topic, bytes, options, tree),
    }
}

fn steady(load: &Load, topic: &str, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let run = &Run::new();
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    thread::scope(|scope| {
        let broker = options.broker;
        let consumer = scope.spawn(move || run.watch(consume(broker, topic, load, run, u64::MAX)));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|part| {
                scope.spawn(move || run.watch(produce(broker, topic, load, part, run, u64::MAX)))
            })
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
        let confirmed = run.counts().confirmed;
        let drain = Instant::now();
        let arrived = run.wait_delivered(confirmed, DRAIN_TIME_MAX);
        let late = drain.elapsed();
        run.stop();
        consumer.join().expect("consumers do not panic")?;
        let delivered = run.counts().delivered;
        if !arrived || delivered != confirmed {
            return Err(format!("{delivered} of {confirmed} records came out").into());
        }
        let mut report = Report::new(load.name);
        add_rates(&mut report, true, RECORD_BYTES, &first, &second);
        report.add_quantiles(
            ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"],
            &times,
        );
        if let Some(tree) = tree {
            report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        }
        report.add("drained_s", late.as_secs_f64());
        Ok(report)
    })
}

/// Gathers `bytes`, has the kernel forget them where it may be asked to, and reads them.
fn catch_up(
    load: &Load,
    topic: &str,
    bytes: u64,
    options: &Options,
    tree: Option<Tree>,
) -> Result<Report> {
    let run = &Run::new();
    let wanted = bytes / RECORD_BYTES as u64;
    let begun = Instant::now();
    let broker = options.broker;
    thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|part| {
                scope.spawn(move || run.watch(produce(broker, topic, load, part, run, wanted)))
            })
            .collect();
        for producer in producers {
            producer.join().expect("producers do not panic")?;
        }
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    let filled = begun.elapsed();
    let gathered = run.counts().confirmed;
    let forgotten = forget_pages();
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let cpu_before = tree.map(|tree| tree.cpu());
    let begun = Instant::now();
    consume(broker, topic, load, run, gathered)?;
    let drained = begun.elapsed();
    let mut report = Report::new(load.name);
    report.add("fill_rate", gathered as f64 / filled.as_secs_f64());
    report.add("drain_rate", gathered as f64 / drained.as_secs_f64());
    report.add("cold", f64::from(u8::from(forgotten)));
    if let (Some(tree), Some(before)) = (tree, cpu_before) {
        let cpu = (tree.cpu() - before).as_secs_f64();
        report.add("drain_cpu_us", cpu * 1e6 / gathered as f64);
        report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
    }
    Ok(report)
}

/// Whether the kernel let go of what it had of files: only root may ask.
fn forget_pages() -> bool {
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

/// Sends batches to each partition in turn until `wanted` records are confirmed by all
/// producers, or the run says so. How long answers took.
fn produce(
    broker: SocketAddr,
    topic: &str,
    load: &Load,
    part: i32,
    run: &Run,
    wanted: u64,
) -> Result<Histogram> {
    let batch = wire::batch(load.records, RECORD_BYTES, load.codec, unix_ms())?;
    let mine = (part..load.partitions).step_by(PRODUCERS as usize);
    let mut requests: Vec<_> = mine
        .map(|partition| wire::produce(topic, partition, batch.bytes()))
        .collect();
    if requests.is_empty() {
        // Of one partition each producer has its share.
        requests.push(wire::produce(topic, 0, batch.bytes()));
    }
    let mut connection = Connection::open(broker)?;
    let mut times = Histogram::new();
    let mut on_way = std::collections::VecDeque::new();
    let mut next = 0;
    loop {
        let more = run.publishing() && run.counts().sent < wanted;
        while more && on_way.len() < ON_WAY {
            on_way.push_back(run.now());
            run.add_sent(load.records);
            connection.send(&requests[next])?;
            next = (next + 1) % requests.len();
        }
        let Some(sent_at) = on_way.pop_front() else {
            return Ok(times);
        };
        wire::produced(connection.receive()?)?;
        run.add_confirmed(load.records as u64);
        if run.measuring() {
            times.record(run.now() - sent_at);
        }
    }
}

/// Reads all partitions until `wanted` records have come, or the run says so.
fn consume(broker: SocketAddr, topic: &str, load: &Load, run: &Run, wanted: u64) -> Result<()> {
    let mut connection = Connection::open(broker)?;
    let mut positions: Positions = vec![0; load.partitions as usize];
    let mut found = 0;
    let mut first = 0;
    while run.consuming() && found < wanted {
        connection.send(&wire::fetch(topic, &positions, first))?;
        let count = wire::fetched(connection.receive()?, &mut positions, |_| ())?;
        // Others are served first next time.
        first = (first + 1) % positions.len();
        found += count;
        run.add_delivered(count);
    }
    Ok(())
}

/// Now, for batches.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// Bytes of a record's value.
pub const RECORD_BYTES: usize = 1024;
/// Connections that produce.
const PRODUCERS: i32 = 2;
/// Requests on the way on one connection.
const ON_WAY: usize = 5;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(120);
