//! The whole broker without sockets and threads, on a disk that loses power: seeded
//! histories of declarations, publishes, fan-outs, consumers, gets, settles, purges,
//! commits and checkpoints, ended anywhere, recovery included.
//!
//! After each recovery: what was confirmed and not settled is in its queue, once and in
//! order; what was durably settled or purged is not; what was not confirmed is in all its
//! queues or in none; what exists is what was durably declared, and leads where it did;
//! what a client was handed comes back as redelivered, what nobody can have seen does not.
//!
//! `BONGSU_SIM_SEED=n` runs one history, `BONGSU_SIM_RUNS=n` so many, `BONGSU_SIM_TRACE=1`
//! says what happens.
//!
//! Reading order: [`world`] (what must be there), [`history`] (one life after the other),
//! [`steps`] and [`consume`] (what clients do), [`verify`] (what a recovery must find);
//! [`scenes`] (full disks, failed syncs and large fan-outs, on purpose).

mod world;

mod history;

mod steps;

mod consume;

mod verify;

mod scenes;

use history::{History, Tally};

fn one(seed: u64) -> History {
    let mut history = History::new(seed);
    let steps = 20 + history.random.below(180);
    history.run(steps);
    history
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn broker_keeps_what_it_confirmed() {
    if let Some(seed) = setting("BONGSU_SIM_SEED") {
        let tally = one(seed).tally;
        println!("seed {seed}: {tally:?}");
        return;
    }
    let runs = setting("BONGSU_SIM_RUNS").unwrap_or(4000);
    let mut total = Tally::default();
    for seed in 0..runs {
        match std::panic::catch_unwind(|| one(seed).tally) {
            Ok(tally) => total += tally,
            Err(panic) => {
                eprintln!("seed {seed} failed; BONGSU_SIM_SEED={seed} runs it alone");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{runs} histories: {total:?}");
    assert!(total.ends >= runs, "every history ends at least once");
}

/// Also that no order comes from hashing: each broker draws seeds of its own.
#[test]
fn the_same_seed_writes_the_same_bytes_and_tells_the_same() {
    for seed in 0..20 {
        let (first, second) = (one(seed), one(seed));
        assert_eq!(first.tally, second.tally, "seed {seed}");
        let (first, second) = (first.disk, second.disk);
        assert_eq!(first.operation_count(), second.operation_count());
        assert_eq!(first.files(), second.files());
        for (path, _) in first.files() {
            assert!(first.content(&path) == second.content(&path), "{path:?}");
        }
    }
}
