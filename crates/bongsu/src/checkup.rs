//! What can be seen on this machine: settings, disk, limits, certificates.
//!
//! The broker looks for whoever asks it, `bongsu doctor` where there is none to ask. Nothing is
//! changed; to measure syncs, a file is written into the data directory and removed.

mod certificate;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bongsu_admin::own::doctor::Check;
use bongsu_storage::Durability;
use rustix::process::{Resource, getrlimit};

use crate::cli::listing::bytes_text;
use crate::serve::FILES_OF_OUR_OWN;
use crate::settings::Settings;

/// All of them.
pub fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![
        doors(settings),
        users(settings),
        durability(settings),
        files(settings),
        memory(settings),
    ];
    checks.extend(disk(settings));
    checks.extend(certificates(settings));
    checks.push(clock(settings));
    checks
}

fn doors(settings: &Settings) -> Check {
    let plain = [
        ("AMQP", &settings.amqp_listen),
        ("Kafka", &settings.kafka_listen),
        ("HTTP", &settings.admin_listen),
    ];
    let is_open = |address: &&SocketAddr| !address.ip().is_loopback();
    let open: Vec<String> = plain
        .iter()
        .flat_map(|(name, addresses)| {
            let open = addresses.iter().filter(is_open);
            open.map(move |address| format!("{name} {address}"))
        })
        .collect();
    match open.is_empty() {
        true => Check::ok("listeners", "no plain listener beyond this machine"),
        false => Check::warn(
            "listeners",
            format!("without TLS beyond this machine: {}", open.join(", ")),
            "set tls.certificate and tls.key, and listen with the tls_listen settings",
        ),
    }
}

fn users(settings: &Settings) -> Check {
    let beyond = |addresses: &[SocketAddr]| addresses.iter().any(|a| !a.ip().is_loopback());
    let kafka = [&settings.kafka_listen[..], &settings.kafka_tls_listen].concat();
    if !settings.kafka_sasl_required && beyond(&kafka) {
        return Check::warn(
            "access",
            "Kafka clients from other machines need no login",
            "set kafka.sasl = \"required\"",
        );
    }
    let guest = settings
        .access_administrators
        .iter()
        .any(|name| name == "guest");
    match guest && settings.access_administrators.len() > 1 {
        true => Check::warn(
            "access",
            "guest is an administrator beside others",
            "take guest out of access.administrators, and delete the user",
        ),
        false => Check::ok("access", "logins are asked for where others can reach us"),
    }
}

fn durability(settings: &Settings) -> Check {
    let advice = "set data.durability = \"fsync\", unless losing what was confirmed is meant";
    match settings.data_durability {
        Durability::Fsync => Check::ok("durability", "a confirm survives a power cut"),
        Durability::Os => Check::warn("durability", "a power cut loses confirmed records", advice),
        Durability::Memory => {
            Check::warn("durability", "a restart loses confirmed records", advice)
        }
    }
}

fn files(settings: &Settings) -> Check {
    // A connection is a file; segments and the lane take some hundred.
    let needed = settings.limits_connections_max as u64 + FILES_OF_OUR_OWN;
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < needed => Check::warn(
            "open files",
            format!("the limit is {limit}, limits.connections_max needs {needed}"),
            "raise LimitNOFILE of the unit, or `ulimit -Hn`; or lower limits.connections_max",
        ),
        Some(limit) => Check::ok("open files", format!("the limit is {limit}")),
        None => Check::ok("open files", "no limit"),
    }
}

fn memory(settings: &Settings) -> Check {
    let allowed = settings.limits_memory_bytes + settings.limits_cache_bytes;
    let Some(there) = memory_bytes() else {
        return Check::warn(
            "memory",
            "how much this machine has cannot be read",
            "compare limits.memory_bytes with what the broker may use",
        );
    };
    let found = format!(
        "{} may be used of {}",
        bytes_text(allowed as f64),
        bytes_text(there as f64)
    );
    match allowed > there / 10 * 8 {
        true => Check::warn(
            "memory",
            found,
            "lower limits.memory_bytes below 80 % of what is there",
        ),
        false => Check::ok("memory", found),
    }
}

/// What this process may use: the control group's limit, else the machine's memory.
fn memory_bytes() -> Option<u64> {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    let about = fs::read_to_string("/proc/meminfo").ok()?;
    let line = about.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(group.unwrap_or(u64::MAX).min(kib * 1024))
}

fn disk(settings: &Settings) -> Vec<Check> {
    let dir = &settings.data_dir;
    let named = dir.display();
    let there = match fs::metadata(dir) {
        Ok(about) if about.is_dir() => dir.as_path(),
        Ok(_) => {
            let what = format!("{named} is no directory");
            return vec![Check::fail("data", what, "set data.dir")];
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("{named} is not there");
            let advice = "a broker makes it; if there should be data, set data.dir or --data";
            return vec![Check::warn("data", what, advice)];
        }
        Err(error) => {
            let what = format!("{named}: {error}");
            return vec![Check::fail(
                "data",
                what,
                "let this user read it, or ask another",
            )];
        }
    };
    vec![
        free(settings, there),
        file_system(there),
        sync_latency(there),
    ]
}

fn free(settings: &Settings, dir: &Path) -> Check {
    let Ok(about) = rustix::fs::statvfs(dir) else {
        let advice = "look at the disk";
        return Check::fail("disk", "how much is free cannot be read", advice);
    };
    let free = about.f_bavail * about.f_frsize;
    let least = settings.limits_disk_free_bytes_min;
    let (shown, limit) = (bytes_text(free as f64), bytes_text(least as f64));
    let advice = "make room, or let queues keep less (x-max-length, x-max-age, retention)";
    match free {
        free if free < least => {
            let what = format!("{shown} free: publishers wait below {limit}");
            Check::fail("disk", what, advice)
        }
        free if free < least.saturating_mul(4) => {
            let what = format!("{shown} free; publishers will wait below {limit}");
            Check::warn("disk", what, advice)
        }
        _ => Check::ok("disk", format!("{shown} free")),
    }
}

fn file_system(dir: &Path) -> Check {
    let Ok(about) = rustix::fs::statfs(dir) else {
        return Check::warn("file system", "it cannot be told", "");
    };
    let kind = about.f_type as u64 & 0xffff_ffff;
    let known = FILE_SYSTEMS.iter().find(|(number, ..)| *number == kind);
    match known {
        Some((_, name, "")) => Check::ok("file system", *name),
        Some((_, name, advice)) => Check::warn("file system", *name, *advice),
        None => Check::warn(
            "file system",
            format!("one of number {kind:#x}"),
            "make sure that fsync on it survives a power cut",
        ),
    }
}

/// Writes and syncs a few blocks, as a commit does.
fn sync_latency(dir: &Path) -> Check {
    let path = dir.join(format!("doctor-{}", std::process::id()));
    let measured = measure(&path);
    let _ = fs::remove_file(&path);
    let advice = "a commit takes as long: use a disk with a power-loss protected cache, or one \
                  that nobody else keeps busy";
    match measured {
        Err(error) => Check::fail(
            "sync",
            format!("cannot write into {}: {error}", dir.display()),
            "let the broker's user write there",
        ),
        Ok(median) => {
            let what = format!("a sync takes {:.1} ms", median.as_secs_f64() * 1000.0);
            match median > SLOW_SYNC {
                true => Check::warn("sync", what, advice),
                false => Check::ok("sync", what),
            }
        }
    }
}

fn measure(path: &Path) -> io::Result<Duration> {
    use std::os::unix::fs::FileExt as _;
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all_at(&vec![0; 4096 * SYNCS], 0)?;
    file.sync_all()?;
    let mut took = Vec::new();
    for number in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&[7; 4096], number as u64 * 4096)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took[SYNCS / 2])
}

fn certificates(settings: &Settings) -> Vec<Check> {
    let files = [&settings.tls_certificate, &settings.tls_client_ca];
    let files = files.into_iter().flatten();
    files.map(|path| certificate_of(path)).collect()
}

fn certificate_of(path: &Path) -> Check {
    let name = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let what = format!("{name}: {error}");
            return Check::fail("certificate", what, "TLS listeners do not start without it");
        }
    };
    let Some(end) = certificate::ends_at(&text) else {
        let what = format!("{name} has no certificate that can be read");
        return Check::fail("certificate", what, "it must be PEM");
    };
    let days = (end - now_seconds()).div_euclid(86_400);
    let advice = "renew it; the broker takes a new one up without a restart";
    match days {
        days if days < 0 => {
            let what = format!("{name} ended {} days ago", -days);
            Check::fail("certificate", what, advice)
        }
        days if days < 14 => {
            Check::warn("certificate", format!("{name} ends in {days} days"), advice)
        }
        days => Check::ok("certificate", format!("{name} ends in {days} days")),
    }
}

/// A clock that went back makes what expires, expire late.
fn clock(settings: &Settings) -> Check {
    let register = settings.data_dir.join("register");
    let written = fs::metadata(register).and_then(|about| about.modified());
    let ahead = written
        .ok()
        .and_then(|at| at.duration_since(SystemTime::now()).ok());
    match ahead.filter(|ahead| *ahead > CLOCK_SLACK) {
        Some(ahead) => Check::warn(
            "clock",
            format!(
                "the data directory was written {} s from now",
                ahead.as_secs()
            ),
            "the clock went back: let it follow a time server (chrony, systemd-timesyncd)",
        ),
        None => Check::ok("clock", "it does not run behind the data"),
    }
}

fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

const SYNCS: usize = 15;
const SLOW_SYNC: Duration = Duration::from_millis(20);
const CLOCK_SLACK: Duration = Duration::from_secs(60);
const NETWORK: &str =
    "a broker wants a local disk: syncs over a network are slow, and locks may lie";
/// Magic number (statfs(2)), name, and what to do.
const FILE_SYSTEMS: &[(u64, &str, &str)] = &[
    (0xef53, "ext4", ""),
    (0x5846_5342, "xfs", ""),
    (
        0x9123_683e,
        "btrfs",
        "set `chattr +C` on the data directory: copies on write slow the lane",
    ),
    (0x2fc1_2fc1, "zfs", ""),
    (0xf2f5_2010, "f2fs", ""),
    (
        0x0102_1994,
        "tmpfs",
        "it is memory: nothing survives a restart of the machine",
    ),
    (
        0x794c_7630,
        "overlayfs",
        "it is a container's own layer: mount a volume for the data",
    ),
    (0x6969, "nfs", NETWORK),
    (0xff53_4d42, "cifs", NETWORK),
    (0xfe53_4d42, "smb", NETWORK),
    (0x6573_5546, "fuse", NETWORK),
];
