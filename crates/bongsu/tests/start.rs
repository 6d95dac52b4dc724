//! The binary, as whoever starts it sees it: what it says, how it ends, and what it makes of
//! a damaged, foreign or busy data directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bongsu_broker::{Broker, Limits};
use bongsu_engine::session::{Call, DeclareQueue, LinkId, Now, Publish, Reply};
use bongsu_record::Arguments;
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_storage::disk::LocalDisk;
use bongsu_storage::{Durability, Options};
use rustix::process::{Pid, Signal, kill_process};

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bongsu-start-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(folder: &Folder, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bongsu"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BONGSU_") {
            command.env_remove(name);
        }
    }
    command
        .env("BONGSU_DATA_DIR", folder.data())
        .env("BONGSU_AMQP_LISTEN", "127.0.0.1:0")
        .env("BONGSU_KAFKA_LISTEN", "")
        .env("BONGSU_ADMIN_LISTEN", "")
        .envs(more.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running broker and its summary.
struct Running {
    child: Child,
    summary: String,
}

fn start(folder: &Folder) -> Running {
    let mut child = command(folder, &[]).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut summary = String::new();
    while !summary.contains("AMQP 0-9-1") {
        let read = lines.read_line(&mut summary).expect("text");
        assert!(read > 0, "it ended: {summary}");
    }
    child.stdout = Some(lines.into_inner());
    Running { child, summary }
}

impl Running {
    fn end(mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process");
        kill_process(pid, signal).expect("it runs");
        self.child.wait().expect("it ends").code()
    }
}

/// What a start that fails says.
fn refused(folder: &Folder, more: &[(&str, &str)]) -> String {
    let output = command(folder, more).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// Puts confirmed records into the data directory, and leaves it as a crash would.
fn fill(folder: &Folder, count: u64) {
    let options = Options::new(folder.data());
    let disk = Arc::new(LocalDisk);
    let limits = Limits::default();
    let (broker, _) = Broker::open(disk, options, Durability::Fsync, limits).expect("a new one");
    let mut session = broker.session(true);
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let mut calls = vec![
        Call::Login {
            user: "guest".to_owned(),
            password: "guest".to_owned(),
        },
        Call::OpenSpace {
            space: "/".to_owned(),
        },
        Call::DeclareQueue(declare()),
    ];
    for number in 0..count {
        let mut builder = Builder::new();
        builder.begin(Origin::Plain, PERSISTENT, b"", b"orders", b"", 0);
        builder.body(format!("order {number} {}", "x".repeat(3000)).as_bytes());
        builder.end();
        calls.push(Call::Publish(Publish {
            exchange: String::new(),
            routing_key: "orders".to_owned(),
            more_keys: Vec::new(),
            batch: builder.finish(0).expect("one record"),
        }));
    }
    for call in calls {
        let executed = session.execute(call, now);
        let reply = executed.into_reply().expect("none of these calls waits");
        assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
        // One block a publish, so that there is a middle to be damaged.
        broker.step_commit().expect("committed");
    }
}

fn declare() -> DeclareQueue {
    DeclareQueue {
        name: "orders".to_owned(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    }
}

fn count(folder: &Folder) -> u64 {
    let options = Options::new(folder.data());
    let opened = Broker::open(
        Arc::new(LocalDisk),
        options,
        Durability::Fsync,
        Limits::default(),
    );
    let (broker, _) = opened.expect("it opens");
    let mut session = broker.session(true);
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let login = Call::Login {
        user: "guest".to_owned(),
        password: "guest".to_owned(),
    };
    let space = "/".to_owned();
    session.execute(login, now);
    session.execute(Call::OpenSpace { space }, now);
    let mut count = 0;
    loop {
        let call = Call::Get {
            link: LinkId(1),
            queue: "orders".to_owned(),
            auto_settle: true,
        };
        let executed = session.execute(call, now);
        let reply = executed.into_reply().expect("none of these calls waits");
        match reply {
            Reply::Got(Some(_)) => count += 1,
            Reply::Got(None) => return count,
            other => panic!("{other:?}"),
        }
    }
}

/// The files below a folder with their bytes, the lock file's own aside.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                ahead.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                files.push((path, bytes));
            }
        }
    }
    files.sort();
    files
}

/// Damages one file, and checks that the start names it, changes nothing, and works again
/// with every record once the damage is undone.
fn damaged(folder: &Folder, name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> String {
    let files = contents(&folder.data());
    let found = files
        .iter()
        .find(|(path, _)| path.to_string_lossy().contains(name));
    let (path, good) = found.unwrap_or_else(|| panic!("no {name} in {:?}", folder.data()));
    let mut bad = good.clone();
    damage(&mut bad);
    fs::write(path, &bad).expect("written");
    let before = contents(&folder.data());
    let error = refused(folder, &[]);
    assert!(
        error.contains(&*path.to_string_lossy()),
        "{error} names {path:?}"
    );
    assert!(
        contents(&folder.data()) == before,
        "a refused start changed something"
    );
    fs::write(path, good).expect("written back");
    error
}

#[test]
fn start_says_what_it_found_and_stops_in_order() {
    let folder = Folder::new();
    let begun = Instant::now();
    let first = start(&folder);
    assert!(
        begun.elapsed().as_secs() < 5,
        "ready within a second, five under load"
    );
    assert!(first.summary.contains("new"), "{}", first.summary);
    assert_eq!(first.end(Signal::TERM), Some(0));
    let second = start(&folder);
    assert!(
        second.summary.contains("stopped cleanly"),
        "{}",
        second.summary
    );
    assert_eq!(second.end(Signal::INT), Some(0));
    let third = start(&folder);
    assert_eq!(third.end(Signal::KILL), None);
    let fourth = start(&folder);
    assert!(
        fourth.summary.contains("after a crash"),
        "{}",
        fourth.summary
    );
    assert_eq!(fourth.end(Signal::TERM), Some(0));
}

#[test]
fn second_broker_is_told_of_the_first() {
    let folder = Folder::new();
    let first = start(&folder);
    let error = refused(&folder, &[]);
    assert!(error.contains("another broker"), "{error}");
    assert!(error.contains("lock"), "{error}");
    assert_eq!(first.end(Signal::TERM), Some(0));
}

#[test]
fn busy_address_and_wrong_settings_are_named() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let error = refused(&folder, &[("BONGSU_AMQP_LISTEN", &address)]);
    assert!(error.contains(&address), "{error}");
    let error = refused(&folder, &[("BONGSU_AMQP_FRAME_BYTES_MAX", "7")]);
    for part in ["BONGSU_AMQP_FRAME_BYTES_MAX", "7", "4 KiB"] {
        assert!(error.contains(part), "{error} names {part}");
    }
    let error = refused(&folder, &[("BONGSU_NO_SUCH_THING", "1")]);
    assert!(error.contains("BONGSU_NO_SUCH_THING"), "{error}");
}

#[test]
fn folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    fs::write(folder.data(), "a file").expect("written");
    let error = refused(&folder, &[]);
    assert!(error.contains(&*folder.data().to_string_lossy()), "{error}");
}

#[test]
fn damage_is_named_and_nothing_is_lost() {
    let folder = Folder::new();
    fill(&folder, 20);
    // The middle of the lane, with durable blocks behind it.
    let error = damaged(&folder, "lane-", |bytes| bytes[40_000] ^= 4);
    assert!(error.contains("byte"), "{error}");
    damaged(&folder, "register", |bytes| bytes[20] ^= 1);
    damaged(&folder, "register", |bytes| bytes.truncate(10));
    assert_eq!(count(&folder), 20);
}

#[test]
fn damaged_checkpoint_is_named_and_nothing_is_lost() {
    let folder = Folder::new();
    fill(&folder, 20);
    // An orderly stop leaves a checkpoint and a segment, or the records in the checkpoint.
    assert_eq!(start(&folder).end(Signal::TERM), Some(0));
    damaged(&folder, "checkpoint", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    damaged(&folder, "checkpoint", |bytes| bytes.truncate(30));
    assert_eq!(count(&folder), 20);
}
