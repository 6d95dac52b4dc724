//! Publishers that outrun the disk.

use super::super::wire;
use super::disk::stutter;
use super::{Soak, mib};
use crate::soak::watch::What;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn flood(soak: &mut Soak) -> Result<(), String> {
    let before = soak.world.free_bytes()?;
    let publishers = (0..soak.size.of(8, 2)).map(|_| {
        let mut one = soak.client()?;
        one.declare(QUEUE, &[]).map_err(|error| error.to_string())?;
        // Held back, it may wait for as long as it takes.
        one.socket
            .set_write_timeout(Some(Duration::from_millis(500)))
            .map_err(|error| error.to_string())?;
        Ok(one)
    });
    let publishers = publishers.collect::<Result<Vec<_>, String>>()?;
    let ended = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    let until = Instant::now()
        + soak
            .size
            .of(Duration::from_secs(25), Duration::from_secs(5));
    let most = soak.size.of(1 << 30, 128 << 20);
    let begun = Instant::now();
    let stuttered = thread::scope(|scope| {
        for mut one in publishers {
            let (ended, written) = (&ended, &written);
            scope.spawn(move || {
                let frames = wire::publish(QUEUE, &[5; 4096]).repeat(16);
                let mut at = 0;
                while !ended.load(Ordering::Relaxed) {
                    match one.socket.write(&frames[at..]) {
                        Ok(count) => {
                            at = (at + count) % frames.len();
                            written.fetch_add(count as u64, Ordering::Relaxed);
                        }
                        Err(error) if is_timeout(&error) => {}
                        Err(_) => return,
                    }
                }
            });
        }
        let goes_on = || Instant::now() < until && written.load(Ordering::Relaxed) < most;
        let stuttered = stutter(&soak.world, goes_on);
        ended.store(true, Ordering::Relaxed);
        stuttered
    });
    stuttered?;
    let seconds = begun.elapsed().as_secs_f64();
    let written = written.into_inner();
    soak.must_serve(SERVED_MAX);
    soak.fact(format!(
        "{} in {seconds:.0} s, {:.0} MiB/s; most memory {}; longest without a confirm for others {:.1?}",
        mib(written),
        written as f64 / seconds / (1 << 20) as f64,
        mib(soak.watch.memory_peak_bytes()),
        soak.worst(What::Confirms)
    ));
    soak.client()?
        .delete(QUEUE)
        .map_err(|error| format!("deleting {QUEUE}: {error}"))?;
    let back = soak.wait_until("the disk to have its room again", ROOM_MAX, |soak| {
        soak.world
            .free_bytes()
            .is_ok_and(|free| free + ROOM_KEPT_BYTES >= before)
    })?;
    soak.fact(format!("its queue deleted: room is back after {back:.1?}"));
    Ok(())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

const QUEUE: &str = "soak-flood";
const SERVED_MAX: Duration = Duration::from_secs(20);
const ROOM_MAX: Duration = Duration::from_secs(30);
/// What the ledgers wrote meanwhile, and files of the log that are kept for their next use.
const ROOM_KEPT_BYTES: u64 = 192 << 20;
