//! Many connections: that come and go, that come and stay.

use super::super::crowd::{Crowd, Manner};
use super::super::wire::{self, Connection};
use super::Soak;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub(super) fn storm(soak: &mut Soak) -> Result<(), String> {
    let files = soak.watch.last().file_count;
    let count = soak.size.of(48_000, 300);
    let addresses: Vec<_> = (0..4).map(|at| soak.broker.amqp(at)).collect();
    let (next, whole, broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + STORM_MAX;
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count || Instant::now() > until {
                        return;
                    }
                    let address = addresses[at as usize % addresses.len()];
                    let (counter, done) = match at % 2 {
                        0 => (
                            &whole,
                            Connection::open(address, "guest", 60).and_then(Connection::close),
                        ),
                        _ => (&broken, break_off(address, at / 2 % 5)),
                    };
                    counter.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    soak.must_serve(SERVED_MAX);
    let (whole, broken) = (whole.into_inner(), broken.into_inner());
    let tried = next.into_inner().min(count);
    soak.must(
        whole + broken >= tried - tried / 1000,
        &format!("{whole} and {broken} of {tried} were served"),
    );
    let gone = forgotten(soak, files)?;
    soak.fact(format!(
        "{whole} logins and {broken} that broke off in {seconds:.1} s, {:.0}/s; forgotten {gone:.1?} later",
        (whole + broken) as f64 / seconds
    ));
    Ok(())
}

/// Leaves in the middle of its login: politely, with what it was told unread (a reset), or in the
/// middle of a frame.
fn break_off(address: SocketAddr, stage: u64) -> std::io::Result<()> {
    let mut one = Connection::reach(address)?;
    let mut piece = [0; 4096];
    if stage > 0 {
        one.socket.write_all(wire::PROTOCOL_HEADER)?;
    }
    if stage > 1 {
        one.socket.read(&mut piece).map(drop)?;
    }
    match stage {
        2 => one.socket.write_all(&wire::start_ok("guest")[..20]),
        3 => one.socket.write_all(&wire::start_ok("guest")),
        4 => {
            one.socket.write_all(&wire::start_ok("guest"))?;
            one.socket.read(&mut piece).map(drop)
        }
        _ => Ok(()),
    }
}

pub(super) fn idle(soak: &mut Soak) -> Result<(), String> {
    let before = soak.watch.last();
    let wanted = soak.size.of(50_000, 500);
    // Both ends have a file for each.
    let count = wanted.min(soak.world.files_max.saturating_sub(FILES_SPARED) as usize);
    if count < wanted {
        let limit = soak.world.files_max;
        soak.fact(format!(
            "{count} instead of {wanted}: a process may have {limit} files here (ulimit -H -n)"
        ));
    }
    let begun = Instant::now();
    let manner = Manner {
        count,
        heartbeat_s: 60,
        user: "guest",
        consumes: None,
        addresses: (0..4).map(|at| soak.broker.amqp(at)).collect(),
    };
    let mut crowd = Crowd::gather(Crowd::here()?, &manner)?;
    let opened = begun.elapsed().as_secs_f64();
    soak.must(
        crowd.refused == 0,
        &format!(
            "{} of {count} were refused: {}",
            crowd.refused, crowd.reason
        ),
    );
    let stays = soak
        .size
        .of(Duration::from_secs(30), Duration::from_secs(3));
    sleep(stays / 2);
    crowd.beat();
    sleep(stays / 2);
    let cpu = soak.watch.cpu_over(Duration::from_secs(3));
    let during = soak.watch.last();
    soak.must_serve(SERVED_MAX);
    let each = during.memory_bytes.saturating_sub(before.memory_bytes) / crowd.held.max(1) as u64;
    soak.must(
        each <= IDLE_BYTES_MAX || soak.size.of(false, true),
        &format!("{each} bytes for each idle connection"),
    );
    soak.fact(format!(
        "{} opened in {opened:.1} s, {:.0}/s; {} MiB then, {:.1} KiB each; {cpu:.2} cores",
        crowd.held,
        crowd.held as f64 / opened,
        during.memory_bytes >> 20,
        each as f64 / 1024.0
    ));
    drop(crowd);
    let gone = forgotten(soak, before.file_count)?;
    sleep(Duration::from_secs(1));
    soak.fact(format!(
        "all gone at once: forgotten {gone:.1?} later, {} MiB then",
        soak.watch.last().memory_bytes >> 20
    ));
    Ok(())
}

/// Until the broker has no more files than before, and some for the ledgers.
pub(super) fn forgotten(soak: &Soak, files: u64) -> Result<Duration, String> {
    soak.wait_until("connections to be forgotten", FORGOTTEN_MAX, |soak| {
        soak.watch.last().file_count <= files + 40
    })
}

/// What an idle connection may take.
pub(super) const IDLE_BYTES_MAX: u64 = 32 << 10;
const THREADS: usize = 16;
const STORM_MAX: Duration = Duration::from_secs(30);
const SERVED_MAX: Duration = Duration::from_secs(5);
const FORGOTTEN_MAX: Duration = Duration::from_secs(15);
/// Files of a process that are no clients: the broker keeps 512 for itself, and the ledgers are there.
const FILES_SPARED: u64 = 600;
