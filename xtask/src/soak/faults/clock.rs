//! The clock of the wall jumps; the one that only counts does not, as with every correction by NTP,
//! by hand, or after a virtual machine was moved. libfaketime does both; it is told to leave the
//! second alone, because no kernel lets it jump.

use super::super::broker::Surroundings;
use super::super::wire;
use super::Soak;
use crate::test::setup;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// Where Debian has it.
pub(super) fn library() -> Result<PathBuf, String> {
    setup::need_faketime()?;
    let folders = fs::read_dir("/usr/lib").map_err(|error| error.to_string())?;
    let found = folders
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let found = found.into_iter().find(|path| path.exists());
    found.ok_or_else(|| "libfaketime.so.1 is not below /usr/lib".into())
}

pub(super) fn jumps(soak: &mut Soak) -> Result<(), String> {
    let file = soak.world.directory.join("clock");
    let set = |shift: &str| fs::write(&file, shift).map_err(|error| format!("the clock: {error}"));
    set("+0")?;
    let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let surroundings = Surroundings {
        environment: vec![
            of("LD_PRELOAD", &library()?.display().to_string()),
            of("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()),
            of("FAKETIME_CACHE_DURATION", "1"),
            of("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            of("DONT_FAKE_MONOTONIC", "1"),
            // Files have the time that the kernel gives them.
            of("NO_FAKE_STAT", "1"),
        ],
        ..Surroundings::default()
    };
    soak.broker.stop()?;
    soak.broker.launch(&surroundings)?;
    soak.wait_until(
        "clients of the broker with another clock",
        SERVED_AGAIN_MAX,
        Soak::all_moved,
    )?;

    let hour_ms = 3_600_000;
    drop(soak.queue_of(
        HOUR,
        &wire::numbered("x-message-ttl", hour_ms),
        100,
        b"an hour",
    )?);
    drop(soak.queue_of(
        DAY,
        &wire::numbered("x-message-ttl", 24 * hour_ms),
        100,
        b"a day",
    )?);
    for (shift, words, kill) in [
        ("+3h", "3 h forwards", false),
        ("-5h", "8 h backwards", true),
        ("+0", "back", false),
    ] {
        soak.watch.mark();
        set(shift)?;
        sleep(STAYS);
        soak.must_serve(SERVED_MAX);
        let cpu = soak.watch.cpu_over(Duration::from_secs(2));
        soak.must(
            cpu < CPU_MAX,
            &format!("{words}: the broker takes {cpu:.2} cores"),
        );
        let depths = [HOUR, DAY].map(|queue| {
            soak.client()?
                .depth(queue)
                .map_err(|error| error.to_string())
        });
        let [hour, day] = depths;
        let (hour, day) = (hour?, day?);
        soak.fact(format!("{words}: of 100 each are left with an hour's TTL {hour}, with a day's {day}; {cpu:.2} cores"));
        soak.must(
            hour == 0,
            &format!("{hour} of 100 records outlived their hour"),
        );
        soak.must(
            day == 100,
            &format!("{day} of 100 records are left that have a day"),
        );
        if kill {
            soak.broker.kill()?;
            soak.watch.mark();
            soak.broker.launch(&surroundings)?;
            soak.wait_until(
                "clients after a kill in the past",
                SERVED_AGAIN_MAX,
                Soak::all_moved,
            )?;
        }
    }
    for queue in [HOUR, DAY] {
        soak.client()?
            .delete(queue)
            .map_err(|error| error.to_string())?;
    }
    soak.broker.stop()?;
    soak.broker.launch(&Surroundings::default())
}

const HOUR: &str = "soak-hour";
const DAY: &str = "soak-day";
const STAYS: Duration = Duration::from_secs(5);
const SERVED_MAX: Duration = Duration::from_secs(5);
const SERVED_AGAIN_MAX: Duration = Duration::from_secs(20);
/// What the ledgers take, and then some.
const CPU_MAX: f64 = 1.0;
