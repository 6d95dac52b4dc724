//! More clients than the broker may have files.

use super::super::broker::Surroundings;
use super::super::wire::{Connection, PATIENCE};
use super::{Soak, publish_confirmed};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

pub(super) fn exhaust(soak: &mut Soak) -> Result<(), String> {
    soak.broker.stop()?;
    let files_max = soak.size.of(1024, 256);
    soak.broker.launch(&Surroundings {
        files_max: Some(files_max),
        ..Surroundings::default()
    })?;
    soak.watch.mark();
    soak.wait_until(
        "clients of the broker with few files",
        SERVED_AGAIN_MAX,
        Soak::all_moved,
    )?;
    let mut worker = soak.client()?;
    worker
        .declare(QUEUE, &[])
        .map_err(|error| error.to_string())?;

    soak.watch.mark();
    let wanted = files_max as usize * 2;
    let (mut held, mut refused, mut hung) = (Vec::new(), 0, 0);
    let mut slowest = Duration::ZERO;
    for at in 0..wanted {
        let begun = Instant::now();
        match Connection::open(soak.broker.amqp(at), "guest", 0).map_err(|error| error.kind()) {
            Ok(one) => held.push(one),
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => hung += 1,
            Err(_) => refused += 1,
        }
        slowest = slowest.max(begun.elapsed());
        if hung >= HUNG_SEEN_MAX {
            break;
        }
    }
    let cpu = soak.watch.cpu_over(Duration::from_secs(3));
    let files = soak.watch.last().file_count;
    soak.fact(format!(
        "{files_max} files: {} clients let in, {refused} sent away, {hung} kept waiting, the slowest answer \
         {slowest:.1?}; {files} files open, {cpu:.2} cores",
        held.len()
    ));
    soak.must(
        hung == 0,
        &format!("{hung} clients were neither let in nor sent away within {PATIENCE:?}"),
    );
    soak.must(
        held.len() + 20 > files_max as usize / 2,
        "half of the files are for clients, and were not",
    );
    soak.must(
        cpu < CPU_MAX,
        &format!("out of files, the broker takes {cpu:.2} cores"),
    );
    // What needs new files: segments and lanes of the log.
    let (count, bytes) = soak.size.of((40_000, 4096), (4000, 4096));
    publish_confirmed(&mut worker, QUEUE, count, &vec![9; bytes])
        .map_err(|error| format!("who was in before cannot publish: {error}"))?;
    soak.must_serve(SERVED_MAX);
    soak.fact(format!(
        "{} MiB published meanwhile by who was in",
        (count * bytes) >> 20
    ));
    worker.delete(QUEUE).map_err(|error| error.to_string())?;
    drop(held);
    let begun = Instant::now();
    soak.wait_until("a new client to be let in", SERVED_MAX, |soak| {
        soak.client().is_ok()
    })?;
    soak.fact(format!(
        "they left: a new client is let in after {:.2?}",
        begun.elapsed()
    ));
    soak.broker.stop()?;
    soak.broker.launch(&Surroundings::default())
}

const QUEUE: &str = "soak-files";
/// Enough to know.
const HUNG_SEEN_MAX: usize = 3;
const SERVED_MAX: Duration = Duration::from_secs(5);
const SERVED_AGAIN_MAX: Duration = Duration::from_secs(20);
const CPU_MAX: f64 = 1.0;
