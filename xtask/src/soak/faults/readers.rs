//! Consumers that stop reading: hostile ones on both protocols, then real ones that are stopped.

use super::super::wire::Connection;
use super::{Soak, mib};
use crate::soak::watch::Who;
use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

pub(super) fn stop_reading(soak: &mut Soak) -> Result<(), String> {
    let count = soak.size.of(50, 5);
    let (records, bytes) = soak.size.of((20_000, 4096), (2000, 4096));
    drop(soak.queue_of(QUEUE, &[], records, &vec![3; bytes])?);
    soak.watch.mark();
    let mut consumers = Vec::new();
    for _ in 0..count {
        let mut one = soak.client()?;
        one.consume(QUEUE, 0).map_err(|error| error.to_string())?;
        consumers.push(one);
        consumers.push(browser(soak)?);
    }
    let fetchers = (0..count)
        .map(|_| fetcher(soak))
        .collect::<Result<Vec<_>, String>>()?;
    sleep(
        soak.size
            .of(Duration::from_secs(12), Duration::from_secs(3)),
    );
    soak.must_serve(SERVED_MAX);
    soak.fact(format!(
        "{} AMQP consumers of {} that read nothing, {} Kafka consumers with 50 fetches each: most memory {}",
        count,
        mib((records * bytes) as u64),
        fetchers.len(),
        mib(soak.watch.memory_peak_bytes())
    ));
    drop((consumers, fetchers));
    // What they were lent is there again, to the last.
    let back = soak.wait_until("all records to be ready again", BACK_MAX, |soak| {
        let depth = soak
            .client()
            .and_then(|mut one| one.depth(QUEUE).map_err(|error| error.to_string()));
        depth.is_ok_and(|depth| depth as usize == records)
    })?;
    soak.client()?
        .delete(QUEUE)
        .map_err(|error| error.to_string())?;
    soak.fact(format!(
        "they left: all {records} records ready again after {back:.1?}"
    ));

    for (who, seconds) in soak.size.of(
        &[(Who::Kafka, 15), (Who::Amqp, 25)][..],
        &[(Who::Kafka, 3)][..],
    ) {
        soak.watch.mark();
        ledger(soak, *who).signal("STOP");
        sleep(Duration::from_secs(*seconds));
        let other = Who::BOTH[1 - *who as usize];
        soak.must_serve_one(other, SERVED_MAX);
        ledger(soak, *who).signal("CONT");
        soak.watch.mark();
        let back = soak.wait_until("the ledger that was stopped", BACK_MAX, Soak::all_moved)?;
        soak.fact(format!(
            "{}'s ledger stopped for {seconds} s: served again after {back:.1?}",
            who.name()
        ));
    }
    Ok(())
}

fn ledger(soak: &Soak, who: Who) -> &super::super::Ledger {
    match who {
        Who::Amqp => &soak.amqp,
        Who::Kafka => &soak.kafka,
    }
}

/// Asks for the same record over and over and reads no answer.
fn browser(soak: &Soak) -> Result<Connection, String> {
    let mut one = soak.client()?;
    let get = crate::soak::wire::Arguments::default()
        .short(0)
        .short_text(QUEUE)
        .octet(0);
    let gets = get.frame(crate::soak::wire::GET).repeat(5000);
    // Past some point nobody reads what it says either.
    let _ = one
        .socket
        .set_write_timeout(Some(Duration::from_millis(200)));
    let _ = one.socket.write_all(&gets);
    Ok(one)
}

/// Fifty Fetch requests (version 4) of a megabyte each, from the start of the ledger's topic.
fn fetcher(soak: &Soak) -> Result<TcpStream, String> {
    let mut request = Vec::new();
    request.extend(1i16.to_be_bytes());
    request.extend(4i16.to_be_bytes());
    request.extend(7i32.to_be_bytes());
    request.extend((-1i16).to_be_bytes());
    for number in [-1i32, 100, 1, 50 << 20] {
        request.extend(number.to_be_bytes());
    }
    request.push(0);
    request.extend(1i32.to_be_bytes());
    request.extend((soak.topic.len() as i16).to_be_bytes());
    request.extend(soak.topic.as_bytes());
    request.extend(1i32.to_be_bytes());
    request.extend(0i32.to_be_bytes());
    request.extend(0i64.to_be_bytes());
    request.extend((1i32 << 20).to_be_bytes());
    let mut framed = (request.len() as i32).to_be_bytes().to_vec();
    framed.extend(request);
    let failed = |error: std::io::Error| format!("a Kafka client: {error}");
    let mut socket = TcpStream::connect(soak.broker.kafka()).map_err(failed)?;
    socket
        .set_write_timeout(Some(Duration::from_millis(200)))
        .map_err(failed)?;
    let _ = socket.write_all(&framed.repeat(50));
    Ok(socket)
}

/// Of all kinds together.
pub(super) const COUNT_MAX: u64 = 150;
/// What the broker may keep for one: the megabyte that waits for it, the answer that went beyond,
/// what it asked for and was not looked at, and records that are on their way to it.
pub(super) const BYTES_MAX: u64 = 3 << 20;
const QUEUE: &str = "soak-unread";
const SERVED_MAX: Duration = Duration::from_secs(5);
const BACK_MAX: Duration = Duration::from_secs(20);
