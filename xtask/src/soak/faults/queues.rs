//! Queues that appear and vanish.

use super::super::http;
use super::super::wire::{self, Arguments};
use super::{Soak, mib};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn come_and_go(soak: &mut Soak) -> Result<(), String> {
    let count = soak.size.of(10_000, 200);
    let queues = |soak: &Soak| http::metric(soak.broker.metrics(), "rabbitmq_queues");
    let (before, at_first) = (queues(soak)?, soak.watch.last());
    let free = soak.world.free_bytes()?;
    for round in 1..=2 {
        let mut took = Vec::new();
        for step in [declare, publish, get, delete] {
            let begun = Instant::now();
            each(soak, count, step)?;
            took.push(format!("{:.1}", begun.elapsed().as_secs_f64()));
        }
        let left = queues(soak)?;
        soak.must(
            left == before,
            &format!("{left} queues are left of {before}"),
        );
        soak.fact(format!(
            "round {round}: {count} declared, published to, got from, deleted in {} s; most memory {}",
            took.join(", "),
            mib(soak.watch.memory_peak_bytes())
        ));
    }
    soak.must_serve(SERVED_MAX);
    let back = soak.wait_until("memory and disk to come back", BACK_MAX, |soak| {
        soak.watch.last().memory_bytes <= at_first.memory_bytes + KEPT_BYTES
            && soak
                .world
                .free_bytes()
                .is_ok_and(|now| now + KEPT_BYTES >= free)
    })?;
    soak.fact(format!(
        "{} before, {} {back:.1?} after; the disk has {} less",
        mib(at_first.memory_bytes),
        mib(soak.watch.last().memory_bytes),
        mib(free.saturating_sub(soak.world.free_bytes()?))
    ));
    Ok(())
}

type Step = fn(&mut wire::Connection, &str) -> io::Result<()>;

/// One step for all queues, by several clients.
fn each(soak: &Soak, count: usize, step: Step) -> Result<(), String> {
    let clients = (0..CLIENTS)
        .map(|_| soak.client())
        .collect::<Result<Vec<_>, String>>()?;
    let done: io::Result<()> = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(at, mut one)| {
                scope.spawn(move || {
                    (at..count)
                        .step_by(CLIENTS)
                        .try_for_each(|number| step(&mut one, &format!("soak-many-{number}")))
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a client does not panic"))
    });
    done.map_err(|error| format!("one of {count} queues: {error}"))
}

fn declare(one: &mut wire::Connection, queue: &str) -> io::Result<()> {
    one.declare(queue, &[]).map(drop)
}

fn publish(one: &mut wire::Connection, queue: &str) -> io::Result<()> {
    use std::io::Write;
    one.socket.write_all(&wire::publish(queue, &[1; 200]))?;
    match queue.ends_with("00") {
        // Now and then one waits, so that not all of it is on its way at once.
        true => one.depth(queue).map(drop),
        false => Ok(()),
    }
}

fn get(one: &mut wire::Connection, queue: &str) -> io::Result<()> {
    use std::io::Write;
    // Without an ack.
    let arguments = Arguments::default().short(0).short_text(queue).octet(1);
    one.socket.write_all(&arguments.frame(wire::GET))?;
    match one.wait(&[wire::GET_OK, (60, 72)])?.0 {
        wire::GET_OK => Ok(()),
        _ => Err(io::Error::other(format!("{queue} is empty"))),
    }
}

fn delete(one: &mut wire::Connection, queue: &str) -> io::Result<()> {
    one.delete(queue)
}

const CLIENTS: usize = 16;
const SERVED_MAX: Duration = Duration::from_secs(10);
const BACK_MAX: Duration = Duration::from_secs(30);
/// Of memory and of disk: what the ledgers take meanwhile, and what the log keeps for its next use.
const KEPT_BYTES: u64 = 192 << 20;
