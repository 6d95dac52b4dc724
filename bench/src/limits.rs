//! What the machine itself can do: the bounds that no broker on it can pass.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{ReadWriteFlags, pwritev2};

use crate::Result;
use crate::histogram::Histogram;
use crate::report::Report;

/// Measures each for `seconds`, with files in `directory`.
pub fn measure(directory: &Path, seconds: Duration, json: bool) -> Result<()> {
    let mut report = Report::new("limits");
    let (synced, times) = appends(directory, 4 << 10, seconds)?;
    report.add("sync_4k_rate", synced);
    report.add_quantiles(
        ["sync_4k_p50_ms", "sync_4k_p99_ms", "sync_4k_p999_ms"],
        &times,
    );
    let (synced, _) = appends(directory, 256 << 10, seconds)?;
    report.add("sync_256k_rate", synced);
    let (synced, times) = rewrites(directory, 4 << 10, seconds)?;
    report.add("rewrite_4k_rate", synced);
    report.add_quantiles(
        [
            "rewrite_4k_p50_ms",
            "rewrite_4k_p99_ms",
            "rewrite_4k_p999_ms",
        ],
        &times,
    );
    report.add("disk_mb", bandwidth(directory, seconds)?);
    report.add("loopback_mb", loopback(seconds)?);
    report.add("clock_mhz", clock_mhz());
    match json {
        true => println!("{}", report.json()),
        false => print!("{}", report.table()),
    }
    Ok(())
}

/// Appends of so many bytes with a sync after each: how many a second.
fn appends(directory: &Path, bytes: usize, time: Duration) -> Result<(f64, Histogram)> {
    let path = directory.join("limits");
    let mut file = File::create(&path)?;
    let block = vec![7; bytes];
    let mut times = Histogram::new();
    let rate = repeated(time, &mut times, |_| {
        file.write_all(&block)?;
        Ok(file.sync_data()?)
    })?;
    std::fs::remove_file(path)?;
    Ok((rate, times))
}

/// Writes of so many bytes in a row into a file that is as long already, each synced: what is left of a
/// sync where the file system has nothing to note. How many a second.
fn rewrites(directory: &Path, bytes: usize, time: Duration) -> Result<(f64, Histogram)> {
    let path = directory.join("limits");
    let mut file = File::create(&path)?;
    for _ in 0..REWRITTEN_BYTES >> 20 {
        file.write_all(&vec![0; 1 << 20])?;
    }
    file.sync_all()?;
    let block = vec![7; bytes];
    let mut times = Histogram::new();
    let rate = repeated(time, &mut times, |number| {
        let at = number * bytes as u64 % REWRITTEN_BYTES;
        Ok(pwritev2(&file, &[IoSlice::new(&block)], at, ReadWriteFlags::DSYNC).map(drop)?)
    })?;
    std::fs::remove_file(path)?;
    Ok((rate, times))
}

/// Does it again and again, with its number: how often a second, and how long each took.
fn repeated(
    time: Duration,
    times: &mut Histogram,
    mut step: impl FnMut(u64) -> Result<()>,
) -> Result<f64> {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < time {
        let at = Instant::now();
        step(count)?;
        times.record(at.elapsed().as_nanos() as u64);
        count += 1;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Writes in a row, synced every 16 MiB: megabytes a second.
fn bandwidth(directory: &Path, time: Duration) -> Result<f64> {
    let path = directory.join("limits");
    let mut file = File::create(&path)?;
    let block = vec![7; 1 << 20];
    let begun = Instant::now();
    let mut written = 0_u64;
    while begun.elapsed() < time && written < WRITTEN_MAX {
        for _ in 0..16 {
            file.write_all(&block)?;
        }
        file.sync_data()?;
        written += 16 << 20;
    }
    let rate = written as f64 / begun.elapsed().as_secs_f64() / 1e6;
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// One thread writes 64 KiB at a time, another reads them: megabytes a second.
fn loopback(time: Duration) -> Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut writer = TcpStream::connect(listener.local_addr()?)?;
    let (mut reader, _) = listener.accept()?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let reading = scope.spawn(move || -> std::io::Result<u64> {
            let mut buffer = vec![0; 256 << 10];
            let mut count = 0;
            loop {
                match reader.read(&mut buffer)? {
                    0 => return Ok(count),
                    read => count += read as u64,
                }
            }
        });
        let block = vec![7; 64 << 10];
        while begun.elapsed() < time {
            writer.write_all(&block)?;
        }
        drop(writer);
        let count = reading.join().expect("readers do not panic")?;
        Ok(count as f64 / begun.elapsed().as_secs_f64() / 1e6)
    })
}

/// What the processor says of its clock; 0 where it says nothing.
fn clock_mhz() -> f64 {
    let said = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = said.lines().find(|line| line.starts_with("cpu MHz"));
    let number = line.and_then(|line| line.split(':').nth(1));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0.0)
}

const REWRITTEN_BYTES: u64 = 64 << 20;
const WRITTEN_MAX: u64 = 4 << 30;
