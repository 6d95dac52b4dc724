use super::*;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn one(seed: u64) -> (Tally, SimDisk) {
    let mut history = History::new(seed);
    let steps = 20 + history.random.below(160);
    history.run(steps);
    (history.tally, history.disk.clone())
}

#[test]
fn histories_with_crashes_lose_nothing_confirmed() {
    if let Some(seed) = env("BONGSU_SIM_SEED") {
        let (tally, _) = one(seed);
        println!("seed {seed}: {tally:?}");
        return;
    }
    let runs = env("BONGSU_SIM_RUNS").unwrap_or(4000);
    let mut total = Tally::default();
    for seed in 0..runs {
        let ran = std::panic::catch_unwind(|| one(seed).0);
        match ran {
            Ok(tally) => total += tally,
            Err(panic) => {
                eprintln!("seed {seed} failed; BONGSU_SIM_SEED={seed} runs it alone");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{runs} histories: {total:?}");
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    for seed in [3, 77, 1234] {
        let (first_tally, first) = one(seed);
        let (second_tally, second) = one(seed);
        assert_eq!(first_tally, second_tally);
        assert_eq!(first.operation_count(), second.operation_count());
        assert_eq!(first.files(), second.files());
        for (path, _) in first.files() {
            assert!(first.content(&path) == second.content(&path), "{path:?}");
        }
    }
}
