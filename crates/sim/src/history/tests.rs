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

/// The file that an error names.
fn named(error: &Error) -> Option<&std::path::Path> {
    match error {
        Error::Corrupt { path, .. }
        | Error::Missing { path, .. }
        | Error::Format { path, .. }
        | Error::Io { path, .. } => Some(path),
        _ => None,
    }
}

/// Runs histories to a quiet end, damages one file of each, and looks: all that was
/// confirmed is there, or an error names the file.
fn damage(runs: u64, change: fn(&mut Random, &SimDisk, &std::path::Path, u64)) -> (u64, u64) {
    let (mut harmless, mut found) = (0, 0);
    for seed in 0..runs {
        let mut history = History::new(seed ^ 0xdead);
        if !history.is_synced() {
            continue;
        }
        for _ in 0..80 {
            history.step();
            if history.broker.is_none() {
                history.recover();
            }
        }
        history.settle_down();
        let files = history.disk.files();
        for _ in 0..4 {
            let disk = history.disk.fork();
            let (path, length) = history.random().pick(&files).clone();
            change(history.random(), &disk, &path, length);
            match history.verify_on(disk) {
                Ok(()) => harmless += 1,
                Err(error) => {
                    // Of several files that are gone, any one: `lane-00000002-*`.
                    let names = named(&error).is_some_and(|named| {
                        let named = named.to_string_lossy();
                        let path = path.to_string_lossy();
                        named == path
                            || named.strip_suffix('*').is_some_and(|n| path.starts_with(n))
                    });
                    assert!(names, "seed {seed}: {path:?} was damaged, and: {error}");
                    found += 1;
                }
            }
        }
    }
    (harmless, found)
}

#[test]
fn a_flipped_bit_is_harmless_or_named() {
    let (harmless, found) = damage(400, |random, disk, path, length| {
        // Headers and what is behind them more often than the zeros at the end.
        let bound = match random.chance(1, 2) {
            true => length.min(8 << 10),
            false => length,
        };
        if bound > 0 {
            let at = random.below(bound) as usize;
            let bit = random.below(8);
            disk.damage(path, |bytes| bytes[at] ^= 1 << bit);
        }
    });
    println!("{harmless} harmless, {found} found");
    assert!(harmless > 100 && found > 100);
}

#[test]
fn a_file_that_is_cut_short_is_harmless_or_named() {
    let (harmless, found) = damage(300, |random, disk, path, length| {
        let left = random.below(length.max(1)) as usize;
        disk.damage(path, |bytes| bytes.truncate(left));
    });
    println!("{harmless} harmless, {found} found");
    assert!(harmless > 50 && found > 100);
}

#[test]
fn a_file_that_is_gone_is_harmless_or_named() {
    let (harmless, found) = damage(300, |_, disk, path, _| disk.take_away(path));
    println!("{harmless} harmless, {found} found");
    assert!(harmless > 50 && found > 100);
}

fn opened(disk: &SimDisk) -> Result<Broker, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (broker, _) = Broker::open(disk, Options::new("/data"))?;
    Ok(broker)
}

#[test]
fn a_read_only_disk_is_refused_by_name() {
    let disk = SimDisk::new(1);
    disk.set_read_only(true);
    let refused = opened(&disk).err().unwrap();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    assert!(refused.to_string().contains("/data"), "{refused}");
}

#[test]
fn a_second_broker_is_told_of_the_lock_file() {
    let disk = SimDisk::new(1);
    let first = opened(&disk).unwrap();
    let refused = opened(&disk).err().unwrap();
    assert!(refused.to_string().contains("/data/lock"), "{refused}");
    drop(first);
    opened(&disk).unwrap();
}

#[test]
fn a_newer_format_is_refused_by_both_numbers() {
    let disk = SimDisk::new(1);
    drop(opened(&disk).unwrap());
    let path = std::path::Path::new("/data/register");
    disk.damage(path, |bytes| {
        bytes[11] = 9;
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
    });
    let refused = opened(&disk).err().unwrap();
    let expected = "/data/register has format 9, this program reads up to 1";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn a_full_disk_refuses_appends_and_recovers_when_drained() {
    let disk = SimDisk::new(1);
    let options = Options {
        lane_file_bytes: 64 << 10,
        checkpoint_bytes: 64 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 64 << 10,
        ..Options::new("/data")
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (broker, _) = Broker::open(shared, options).unwrap();
    let storage = &broker.storage;
    disk.set_capacity(1 << 20);
    let created = EntryRef::Note {
        kind: kind::CREATE,
        id: 1,
        bytes: &[0],
    };
    storage.record(&[created]).unwrap();
    let log = storage.create_log(LogId(1), Durability::Fsync);
    let queue = Queue {
        log: Arc::clone(&log),
        settled: BTreeSet::new(),
        next: 0,
    };
    broker.state.lock().queues.insert(1, queue);
    for round in 0..3 {
        let mut refused = false;
        for number in 0..2000u64 {
            let batch = batch(&[number], 4000);
            refused = match storage.append(&[(&log, log.end())], &batch, &[]) {
                Ok(_) => storage.commit_step().is_err_and(|error| !error.is_full()),
                Err(error) => error.is_full(),
            };
            if refused {
                break;
            }
            if storage.checkpoint_due() {
                // Full, too, before long: the last one stands.
                let _ = storage.checkpoint(&broker);
            }
        }
        assert!(refused, "round {round}: 1 MiB holds no 8 MB");
        assert!(storage.failed().is_none() && storage.pressure().full);
        // Consumers go on, and what they settle makes room.
        let end = log.end();
        let range = log.start()..end;
        storage
            .record(&[EntryRef::Settle {
                log: LogId(1),
                ranges: std::slice::from_ref(&range),
            }])
            .unwrap();
        {
            let mut state = broker.state.lock();
            let queue = state.queues.get_mut(&1).unwrap();
            queue.settled.extend(range.start.0..range.end.0);
            queue.trim();
        }
        let _ = storage.commit_step();
        storage.checkpoint(&broker).unwrap();
        storage.commit_step().unwrap();
        assert!(!storage.pressure().full, "round {round}");
        assert_eq!(storage.durable(), storage.position());
    }
}
