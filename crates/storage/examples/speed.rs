//! How fast batches go into a data directory, and how long a confirm takes.
//!
//! `cargo run --release -p bongsu-storage --example speed [directory [backlog]]`

use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, LogId, Lsn, Offset};
use bongsu_storage::disk::LocalDisk;
use bongsu_storage::seam::memory::MemorySeam;
use bongsu_storage::{CheckpointSource, Durability, Log, Options, SectionWriter, Storage, Stored};

/// Everything is alive until its log is trimmed.
struct Source(Storage);

impl CheckpointSource for Source {
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool {
        self.0.log(log).is_some_and(|log| records.end > log.start())
    }

    fn sections(&self, out: &mut SectionWriter<'_>) {
        for log in self.0.logs() {
            out.put_log(&log, self.0.position(), b"");
        }
    }
}

fn batch(records: usize, body_bytes: usize) -> Batch {
    let mut builder = Builder::new();
    let body = vec![7; body_bytes];
    for _ in 0..records {
        builder.begin(Origin::Plain, 0, b"", b"key", b"", body_bytes as u64);
        builder.body(&body);
        builder.end();
    }
    builder.finish(0).expect("there are records")
}

fn wait(storage: &Storage, lsn: Lsn) {
    while storage.durable() < lsn {
        std::thread::sleep(Duration::from_micros(20));
    }
}

fn main() {
    let dir = std::env::args().nth(1);
    let dir = dir.unwrap_or_else(|| "bongsu-speed".to_owned());
    if std::env::args().any(|argument| argument == "backlog") {
        return backlog(&dir);
    }
    latency(&dir, Durability::Fsync);
    latency(&dir, Durability::Os);
    for (name, records, body, total) in [
        ("1 KiB batches of one record", 1, 1 << 10, 512 << 20),
        ("16 KiB batches of 100 records", 100, 160, 1 << 30),
        ("128 KiB batches", 128, 1 << 10, 2 << 30),
        ("1 MiB batches, direct", 1024, 1 << 10, 2 << 30),
    ] {
        for durability in [Durability::Fsync, Durability::Os] {
            throughput(&dir, name, durability, records, body, total);
        }
    }
    backlog(&dir);
    processor_only();
    fan_out(&dir);
}

fn open(dir: &str, durability: Durability) -> (Storage, Arc<Source>) {
    let _ = std::fs::remove_dir_all(dir);
    let options = Options {
        durability,
        ..Options::new(dir)
    };
    let (storage, recovery) = Storage::open(Arc::new(LocalDisk), options).expect("it opens");
    recovery.finish().expect("it is new");
    (storage.clone(), Arc::new(Source(storage)))
}

fn start(storage: &Storage, source: &Arc<Source>) -> bongsu_storage::Threads {
    let weak: Weak<Source> = Arc::downgrade(source);
    storage.start_threads(weak)
}

/// One at a time: what a single publisher with confirms sees.
fn latency(dir: &str, durability: Durability) {
    let (storage, source) = open(dir, durability);
    let threads = start(&storage, &source);
    let log = storage.create_log(LogId(1), Durability::Fsync);
    let batch = batch(1, 1000);
    let (send, receive) = std::sync::mpsc::channel();
    storage.on_durable(Box::new(move |lsn| {
        let _ = send.send(lsn);
    }));
    let mut took = Vec::new();
    for _ in 0..3000 {
        let started = Instant::now();
        let appended = storage.append(&[(&log, log.end())], &batch, &[]);
        let lsn = appended.expect("it appends").lsn;
        while receive.recv().expect("the committer runs") < lsn {}
        took.push(started.elapsed());
    }
    took.sort();
    println!(
        "confirm of one 1 KB record, {durability:?}: median {:?}, 99% {:?}, worst {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1]
    );
    drop(threads);
}

fn throughput(
    dir: &str,
    name: &str,
    durability: Durability,
    records: usize,
    body: usize,
    total: usize,
) {
    let (storage, source) = open(dir, durability);
    let threads = start(&storage, &source);
    let log = storage.create_log(LogId(1), durability);
    let batch = batch(records, body);
    let count = total / batch.len();
    let started = Instant::now();
    let mut last = Lsn(0);
    for index in 0..count {
        loop {
            match storage.append(&[(&log, log.end())], &batch, &[]) {
                Ok(appended) => {
                    last = appended.lsn;
                    break;
                }
                Err(error) if error.is_full() => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => panic!("{error}"),
            }
        }
        // A queue that keeps up: consumed a little behind.
        if index % 64 == 0 {
            log.trim(Offset(log.end().0.saturating_sub(4096)));
        }
    }
    wait(&storage, last);
    let took = started.elapsed();
    println!(
        "{name}, {durability:?}: {:.0} MB/s, {:.0} batches/s",
        (count * batch.len()) as f64 / took.as_secs_f64() / 1e6,
        count as f64 / took.as_secs_f64()
    );
    drop(threads);
}

/// A backlog of 2 GiB: filled, then drained while the checkpointer works.
fn backlog(dir: &str) {
    let (storage, source) = open(dir, Durability::Fsync);
    let threads = start(&storage, &source);
    let log = storage.create_log(LogId(1), Durability::Fsync);
    let batch = batch(100, 160);
    let started = Instant::now();
    let count = (2usize << 30) / batch.len();
    let mut last = Lsn(0);
    for _ in 0..count {
        last = loop {
            match storage.append(&[(&log, log.end())], &batch, &[]) {
                Ok(appended) => break appended.lsn,
                Err(error) if error.is_full() => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => panic!("{error}"),
            }
        };
    }
    wait(&storage, last);
    let rate = 2.0 * 1024.0 * 1024.0 * 1024.0 / started.elapsed().as_secs_f64() / 1e6;
    println!("2 GiB that nobody consumes: {rate:.0} MB/s (WAL and segments: two writes)");
    while storage.checkpoint_due() {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("  {:?}", storage.pressure());
    println!("  {:?}", log.stats());
    for fetch_bytes in [256 << 10, 1 << 20, 8 << 20] {
        read(&log, fetch_bytes);
    }
    drop(threads);
    let started = Instant::now();
    storage.close(source.as_ref()).expect("it closes");
    let closed = started.elapsed();
    drop((log, source, storage));
    let started = Instant::now();
    let opened = Storage::open(Arc::new(LocalDisk), Options::new(dir));
    let (_storage, recovery) = opened.expect("it opens");
    let report = recovery.finish().expect("it recovers");
    println!(
        "  closed in {closed:?}, opened in {:?}, clean {}",
        started.elapsed(),
        report.clean
    );
}

/// What a reader that catches up gets, so many bytes at once.
fn read(log: &Log, fetch_bytes: usize) {
    let started = Instant::now();
    let busy = processor_time();
    let mut from = log.start();
    let mut bytes = 0;
    let mut out: Vec<Stored> = Vec::new();
    loop {
        out.clear();
        log.fetch(from, fetch_bytes, &mut out).expect("it reads");
        let Some(last) = out.last() else {
            break;
        };
        from = last.base.plus(u64::from(last.batch.offset_count()));
        bytes += out.iter().map(|stored| stored.batch.len()).sum::<usize>();
    }
    let rate = bytes as f64 / started.elapsed().as_secs_f64() / 1e6;
    let busy = bytes as f64 / (processor_time() - busy).as_secs_f64() / 1e6;
    println!(
        "  read {} MB of it, {} KiB a fetch: {rate:.0} MB/s, {busy:.0} MB a second of processor",
        bytes / 1_000_000,
        fetch_bytes >> 10
    );
}

/// What this thread has had of a processor: on a machine that others use, steadier than time.
fn processor_time() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = said.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// What the processor does for a byte: the whole path on a disk that costs nothing but a
/// memcpy of its own.
fn processor_only() {
    let options = Options::new("memory");
    let memory = MemorySeam::new();
    let (storage, recovery) = Storage::open_on(memory.seams(), options).expect("it opens");
    recovery.finish().expect("it is new");
    let log = storage.create_log(LogId(1), Durability::Fsync);
    for (name, batch) in [("1 KiB", batch(1, 1 << 10)), ("16 KiB", batch(100, 160))] {
        let count = (256 << 20) / batch.len();
        let started = Instant::now();
        for _ in 0..count {
            storage
                .append(&[(&log, log.end())], &batch, &[])
                .expect("it appends");
        }
        let took = started.elapsed();
        println!(
            "append of {name} alone, memory seam: {:.2} us, {:.0} MB/s",
            took.as_secs_f64() * 1e6 / count as f64,
            (count * batch.len()) as f64 / took.as_secs_f64() / 1e6
        );
        storage.commit_step().expect("it commits");
        log.trim(log.end());
        storage
            .checkpoint(&Source(storage.clone()))
            .expect("it checkpoints");
    }
}

fn fan_out(dir: &str) {
    let (storage, source) = open(dir, Durability::Fsync);
    let threads = start(&storage, &source);
    let logs: Vec<_> = (1..=1000)
        .map(|id| storage.create_log(LogId(id), Durability::Fsync))
        .collect();
    let batch = batch(1, 1 << 10);
    let started = Instant::now();
    let rounds = 2000;
    let mut last = Lsn(0);
    for _ in 0..rounds {
        let targets: Vec<_> = logs.iter().map(|log| (log, log.end())).collect();
        last = storage
            .append(&targets, &batch, &[])
            .expect("it appends")
            .lsn;
        for log in &logs {
            log.trim(log.end());
        }
    }
    wait(&storage, last);
    let rate = f64::from(rounds * 1000) / started.elapsed().as_secs_f64();
    println!("fan-out to 1000 logs: {rate:.0} deliveries/s");
    drop(threads);
    drop((logs, source, storage));
    let _ = std::fs::remove_dir_all(dir);
}
