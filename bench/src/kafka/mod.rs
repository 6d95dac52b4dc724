//! Kafka: batches in, batches out, and how long each takes.
//!
//! The batches of a load are encoded once and sent again and again: what is measured is the
//! broker. Producers ask that all replicas have a batch, with up to five requests on the
//! way, as Kafka's own do. Reading order: [`wire`], [`load`] (steady load, and reading what
//! has gathered), [`latency`] (one record at a time, at a fixed rate).

mod latency;

pub mod load;

pub mod wire;

use bongsu_record::compression::Codec;

use crate::Result;
use crate::cases::Options;
use crate::process::Tree;
use crate::report::Report;

use load::Load;

/// The names of all cases, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    let loads = LOADS.iter().map(|load| load.name);
    loads.chain([latency::NAME, latency::SYNCED, IDLE])
}

/// Runs the one case asked for, and prints its figures as a line of JSON.
///
/// # Errors
/// Whatever went wrong, for people.
pub fn run(options: &Options) -> Result<()> {
    let [name] = options.cases.as_slice() else {
        return Err("one --case is wanted".into());
    };
    let tree = options.pid.map(Tree::new).transpose()?;
    let report = if let Some(load) = LOADS.iter().find(|load| load.name == *name) {
        load::run(load, options, tree)?
    } else if let Some(name) = latency::named(name) {
        latency::run(name, options, tree)?
    } else if name == IDLE {
        idle(options, tree)?
    } else {
        return Err(format!("there is no case {name}; try bench kafka list").into());
    };
    match options.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.table()),
    }
    Ok(())
}

/// What a broker holds that has answered one record.
fn idle(options: &Options, tree: Option<Tree>) -> Result<Report> {
    let tree = tree.ok_or("needs --pid, there is nothing else to measure")?;
    let begun = std::time::Instant::now();
    let mut connection = wire::Connection::open(options.broker)?;
    connection.ask_for_topic("idle", 1)?;
    let batch = wire::batch(1, 1024, Codec::None, load::unix_ms())?;
    let mut tries = 0;
    loop {
        connection.send(&wire::produce("idle", 0, batch.bytes()))?;
        match wire::produced(connection.receive()?) {
            Err(error) if tries > 1000 => return Err(error),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Ok(()) => break,
        }
        tries += 1;
    }
    let first = begun.elapsed();
    let cpu_before = tree.cpu();
    let watched = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(5));
    let busy = (tree.cpu() - cpu_before).as_secs_f64() / watched.elapsed().as_secs_f64();
    let mut report = Report::new(IDLE);
    report.add("first_s", first.as_secs_f64());
    report.add("idle_mb", tree.resident_bytes() as f64 / 1e6);
    report.add("idle_cpu_percent", busy * 100.0);
    Ok(report)
}

/// The case of a broker that has nothing to do.
pub const IDLE: &str = "idle";

const LOADS: &[Load] = &[
    Load::of("p1-16k", 1, 16, Codec::None),
    Load::of("p1-256k", 1, 256, Codec::None),
    Load::of("p12-16k", 12, 16, Codec::None),
    Load::of("p12-256k", 12, 256, Codec::None),
    Load::of("p1-64k-lz4", 1, 64, Codec::Lz4),
    Load::of("p12-64k-lz4", 12, 64, Codec::Lz4),
    Load::of("p1-16k-fsync", 1, 16, Codec::None),
    Load::of("p12-16k-fsync", 12, 16, Codec::None),
    Load::of("p12-256k-fsync", 12, 256, Codec::None),
    Load::of("partitions-2k", 2000, 16, Codec::None),
    Load {
        catch_up_bytes: Some(4 << 30),
        ..Load::of("catch-up", 12, 256, Codec::None)
    },
];
