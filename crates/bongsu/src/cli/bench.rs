//! `bongsu bench`: a small load, to see what this broker on this machine gives.
//!
//! One thread for each publisher and each consumer, each with a connection of its own. A
//! payload carries the moment of its publishing, so the time from publish to delivery is
//! measured on one clock. Figures to compare products with come from elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bongsu_record::Arguments;
use clap::Args;
use serde_json::json;

use super::api::path;
use super::arguments::span_ms;
use super::failure::Failure;
use super::listing::{bytes_text, print_done};
use super::{Asked, amqp};
use crate::replay::{Client, Event, Progress, Url};

/// A load.
#[derive(Debug, Args)]
pub struct Options {
    /// How long, as 10s or 2m.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span_ms)]
    duration: u64,
    /// Bytes of a payload; at least 8.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u64).range(8..=16 << 20)
    )]
    size: u64,
    /// Connections that publish.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=64)
    )]
    publishers: u32,
    /// Connections that consume.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=64)
    )]
    consumers: u32,
    /// Publishes not yet confirmed, at most, by each publisher.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=100_000)
    )]
    in_flight: u64,
}

#[derive(Default)]
struct Counts {
    published: AtomicU64,
    consumed: AtomicU64,
    over: AtomicBool,
    confirm_us: Mutex<Vec<u64>>,
    deliver_us: Mutex<Vec<u64>>,
}

/// Runs it on a queue of its own, which is deleted afterwards.
pub fn run(asked: &Asked, options: &Options) -> Result<(), Failure> {
    let api = asked.api()?;
    let url = amqp::url(asked)?;
    let queue = format!("bongsu-bench-{}", std::process::id());
    let at = path(&["api", "queues", api.space(), &queue]);
    api.put(&at, &json!({ "durable": true, "arguments": {} }))?;
    let counts = Arc::new(Counts::default());
    let measured = measure(options, &url, &queue, &counts);
    let gone = api.delete(&at);
    let elapsed = measured?;
    gone?;
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let per_second = |count: u64| (count as f64 / elapsed.as_secs_f64()).round();
    let (published, consumed) = (count(&counts.published), count(&counts.consumed));
    let confirm = quantiles(&counts.confirm_us);
    let deliver = quantiles(&counts.deliver_us);
    let rate = bytes_text(per_second(published) * options.size as f64);
    let sentence = format!(
        "published  {} records/s ({rate}/s), confirmed after {}\n\
         consumed   {} records/s, delivered after {}",
        per_second(published),
        said(confirm),
        per_second(consumed),
        said(deliver),
    );
    let object = json!({
        "seconds": elapsed.as_secs_f64(),
        "size": options.size,
        "published": published,
        "consumed": consumed,
        "publish_rate": per_second(published),
        "consume_rate": per_second(consumed),
        "confirm_us": told(confirm),
        "deliver_us": told(deliver),
    });
    print_done(asked.is_json, &sentence, &object)
}

fn measure(
    options: &Options,
    url: &Url,
    queue: &str,
    counts: &Arc<Counts>,
) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut threads = Vec::new();
    for _ in 0..options.consumers {
        let mut client = Client::connect(url)?;
        client.consume(queue, CREDIT, &Arguments::new())?;
        let counts = Arc::clone(counts);
        threads.push(thread::spawn(move || consume(client, begun, &counts)));
    }
    let (size, in_flight) = (options.size as usize, options.in_flight);
    for _ in 0..options.publishers {
        let mut client = Client::connect(url)?;
        client.confirm()?;
        let (queue, counts) = (queue.to_owned(), Arc::clone(counts));
        threads.push(thread::spawn(move || {
            publish(client, &queue, (size, in_flight), begun, &counts)
        }));
    }
    let end = begun + Duration::from_millis(options.duration);
    let mut progress = Progress::new();
    while Instant::now() < end && threads.iter().any(|thread| !thread.is_finished()) {
        thread::sleep(Duration::from_millis(50).min(end - Instant::now().min(end)));
        if progress.is_due() {
            progress.show_bar(begun.elapsed().as_millis() as u64, options.duration);
        }
    }
    progress.end();
    let elapsed = begun.elapsed();
    counts.over.store(true, Ordering::Release);
    // A consumer waits for a record that will not come; the queue's end wakes it.
    for thread in threads.split_off(options.consumers as usize) {
        thread.join().map_err(|_| panicked())??;
    }
    Ok(elapsed)
}

fn panicked() -> Failure {
    Failure::Failed("a thread of the load ended early".to_owned())
}

fn publish(
    mut client: Client,
    queue: &str,
    (size, in_flight): (usize, u64),
    begun: Instant,
    counts: &Counts,
) -> Result<(), Failure> {
    let mut body = vec![b'x'; size];
    let mut sent: std::collections::VecDeque<(u64, Instant)> = std::collections::VecDeque::new();
    let mut number = 0;
    loop {
        let over = counts.over.load(Ordering::Acquire);
        while !over && (sent.len() as u64) < in_flight {
            let now = Instant::now();
            let at = now.duration_since(begun).as_micros() as u64;
            body[..8].copy_from_slice(&at.to_be_bytes());
            // delivery-mode 2
            client.publish(queue, &[0x10, 0, 2], &body);
            number += 1;
            sent.push_back((number, now));
            if client.is_full() {
                client.flush()?;
            }
        }
        if sent.is_empty() {
            return Ok(client.close()?);
        }
        match client.next()? {
            Event::Confirmed { number, multiple } => {
                let now = Instant::now();
                let mut taken = Vec::new();
                sent.retain(|(own, at)| {
                    let is_in = *own == number || (multiple && *own < number);
                    if is_in {
                        taken.push(now.duration_since(*at).as_micros() as u64);
                    }
                    !is_in
                });
                let count = taken.len() as u64;
                counts.published.fetch_add(count, Ordering::Relaxed);
                keep(&counts.confirm_us, &taken);
            }
            Event::Unconfirmed => {
                return Err(Failure::Failed("the broker refused a publish".to_owned()));
            }
            Event::Returned(code, text) => {
                return Err(Failure::Failed(format!("returned: {code} {text}")));
            }
            _ => {}
        }
    }
}

fn consume(mut client: Client, begun: Instant, counts: &Counts) -> Result<(), Failure> {
    while let Event::Deliver(delivered) = client.next()? {
        let sent = delivered
            .body
            .first_chunk()
            .map_or(0, |b| u64::from_be_bytes(*b));
        let now = begun.elapsed().as_micros() as u64;
        if !counts.over.load(Ordering::Acquire) {
            counts.consumed.fetch_add(1, Ordering::Relaxed);
            keep(&counts.deliver_us, &[now.saturating_sub(sent)]);
        }
        client.acknowledge(delivered.tag);
    }
    Ok(())
}

fn keep(into: &Mutex<Vec<u64>>, values: &[u64]) {
    let mut kept = into
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let room = SAMPLES_MAX.saturating_sub(kept.len());
    kept.extend(values.iter().take(room));
}

/// Median, 99 % and the largest.
fn quantiles(of: &Mutex<Vec<u64>>) -> Option<[u64; 3]> {
    let mut all = of.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_unstable();
    let at = |part: usize| all.get((all.len().saturating_sub(1)) * part / 100).copied();
    Some([at(50)?, at(99)?, at(100)?])
}

fn said(quantiles: Option<[u64; 3]>) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    match quantiles {
        None => "-".to_owned(),
        Some([median, most, max]) => format!(
            "{:.1} ms median, {:.1} ms 99%, {:.1} ms at most",
            ms(median),
            ms(most),
            ms(max)
        ),
    }
}

fn told(quantiles: Option<[u64; 3]>) -> serde_json::Value {
    match quantiles {
        None => serde_json::Value::Null,
        Some([median, most, max]) => json!({ "p50": median, "p99": most, "max": max }),
    }
}

/// Read ahead of what is acknowledged.
const CREDIT: u16 = 1000;
/// Beyond, figures no longer change for more.
const SAMPLES_MAX: usize = 5_000_000;
