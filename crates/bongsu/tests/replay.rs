//! `bongsu queue replay` against a running broker, as its user sees it: what it says, its
//! exit code, and what is in the queues afterwards.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bongsu_broker::{Broker, Limits, SessionHandle};
use bongsu_engine::session::{Call, DeclareQueue, LinkId, Now, Publish, Reply};
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_record::{Arguments, Value, table};
use bongsu_storage::disk::LocalDisk;
use bongsu_storage::{Durability, Options};

/// A data directory with two queues: `kept`, which keeps what was settled, with twenty
/// messages that somebody had; and `other`.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bongsu-replay-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        let folder = Folder(path);
        let (broker, mut session) = folder.open();
        let forever = Value::Text("forever".to_owned());
        let keeps = Arguments::from([("x-retention".to_owned(), forever)]);
        declare(&mut session, "kept", keeps);
        declare(&mut session, "other", Arguments::new());
        for number in 0..20 {
            publish(&mut session, "kept", number);
        }
        while broker.step_commit().expect("committed") {}
        assert_eq!(drain(&mut session, "kept"), (0..20).collect::<Vec<_>>());
        while broker.step_commit().expect("committed") {}
        folder
    }

    fn open(&self) -> (Broker, SessionHandle) {
        let (options, limits) = (Options::new(&self.0), Limits::default());
        let disk = Arc::new(LocalDisk);
        let (broker, _) =
            Broker::open(disk, options, Durability::Fsync, limits).expect("a data directory");
        let mut session = broker.session(true);
        let (user, password) = ("guest".to_owned(), "guest".to_owned());
        call(&mut session, Call::Login { user, password });
        let space = "/".to_owned();
        call(&mut session, Call::OpenSpace { space });
        (broker, session)
    }

    /// What is ready in a queue, once the broker is down.
    fn left(&self, queue: &str) -> Vec<u64> {
        let (_broker, mut session) = self.open();
        drain(&mut session, queue)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn call(session: &mut SessionHandle, call: Call) -> Reply {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 1_700_000_000_000,
    };
    let executed = session.execute(call, now);
    let reply = executed.into_reply().expect("none of these calls waits");
    assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
    reply
}

fn declare(session: &mut SessionHandle, name: &str, arguments: Arguments) {
    let declare = DeclareQueue {
        name: name.to_owned(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments,
    };
    call(session, Call::DeclareQueue(declare));
}

/// A message with a number as its body, which says in a header whether that is even.
fn publish(session: &mut SessionHandle, queue: &str, number: u64) {
    let parity = if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    let parity = Value::Text(parity.to_owned());
    let mut block = vec![0x20, 0];
    table::encode(
        &Arguments::from([("parity".to_owned(), parity)]),
        &mut block,
    );
    let body = number.to_string();
    let mut builder = Builder::new();
    let (key, bytes) = (queue.as_bytes(), body.len() as u64);
    builder.begin(Origin::Amqp091, PERSISTENT, b"", key, &block, bytes);
    builder.body(body.as_bytes());
    builder.end();
    call(
        session,
        Call::Publish(Publish {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            more_keys: Vec::new(),
            batch: builder.finish(1_700_000_000_000).expect("a record"),
        }),
    );
}

fn drain(session: &mut SessionHandle, queue: &str) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let get = Call::Get {
            link: LinkId(1),
            queue: queue.to_owned(),
            auto_settle: true,
        };
        let Reply::Got(Some((delivery, _))) = call(session, get) else {
            return found;
        };
        let index = (delivery.records.start.0 - delivery.base.0) as u32;
        let record = delivery.batch.native_record(index).expect("it");
        let body = std::str::from_utf8(record.body).expect("digits");
        found.push(body.parse().expect("a number"));
    }
}

/// A running broker; killed when dropped.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn on(folder: &Folder) -> Running {
        let mut child = command()
            .arg("serve")
            .env("BONGSU_DATA_DIR", &folder.0)
            .env("BONGSU_AMQP_LISTEN", "127.0.0.1:0")
            .env("BONGSU_KAFKA_LISTEN", "")
            .env("BONGSU_ADMIN_LISTEN", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line).expect("text");
            assert!(read > 0, "it ended");
            if let Some((_, address)) = line.split_once("AMQP 0-9-1") {
                break address.trim().to_owned();
            }
        };
        child.stdout = Some(lines.into_inner());
        let url = format!("amqp://guest:guest@{address}/%2f");
        Running { child, url }
    }

    fn replay(&self, arguments: &str) -> Output {
        command()
            .args(["queue", "replay"])
            .args(arguments.split_whitespace())
            .env("BONGSU_URL", &self.url)
            .output()
            .expect("it runs")
    }

    /// What a replay that succeeds says.
    fn says(&self, arguments: &str) -> String {
        let output = self.replay(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bongsu"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BONGSU_") {
            command.env_remove(name);
        }
    }
    command
}

#[test]
fn what_was_kept_goes_to_another_queue_or_back() {
    let folder = Folder::new();
    let broker = Running::on(&folder);
    assert_eq!(
        broker.says("kept --dry-run"),
        "would replay 20 of 20 messages of queue 'kept' into queue 'kept'\n"
    );
    assert_eq!(
        broker.says("kept --to other --filter parity=odd --until 10"),
        "replayed 5 of 10 messages of queue 'kept' into queue 'other'\n"
    );
    assert_eq!(
        broker.says("kept --to other --from 17 --rate 1000"),
        "replayed 3 of 3 messages of queue 'kept' into queue 'other'\n"
    );
    assert_eq!(
        broker.says("kept --from 2023-11-14 --until 5"),
        "replayed 5 of 5 messages of queue 'kept' into queue 'kept'\n"
    );
    // What was replayed is kept as well, and nothing is there that was not kept.
    assert_eq!(
        broker.says("kept --from 2024-01-01 --dry-run"),
        "would replay 5 of 5 messages of queue 'kept' into queue 'kept'\n"
    );
    assert_eq!(
        broker.says("kept --from 9999"),
        "replayed 0 of 0 messages of queue 'kept' into queue 'kept'\n"
    );
    // What was confirmed survives any death.
    drop(broker);
    assert_eq!(folder.left("other"), [1, 3, 5, 7, 9, 17, 18, 19]);
    assert_eq!(folder.left("kept"), [0, 1, 2, 3, 4]);
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let folder = Folder::new();
    let broker = Running::on(&folder);
    for (arguments, code, said) in [
        (
            "other",
            1,
            "invalid arg 'x-stream-offset' for queue 'other'",
        ),
        ("nowhere", 3, "NOT_FOUND - no queue 'nowhere'"),
        ("kept --to nowhere", 3, "NOT_FOUND - no queue 'nowhere'"),
        (
            "kept --url amqp://guest:wrong@127.0.0.1:1/",
            5,
            "cannot reach the broker at 127.0.0.1:1",
        ),
        ("kept --from yesterday", 2, "a span like 2h"),
        ("kept --filter parity", 2, "HEADER=VALUE"),
        ("", 2, "<NAME>"),
    ] {
        let output = broker.replay(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {errors}");
        assert!(errors.contains(said), "{arguments}: {errors}");
    }
    drop(broker);
    assert_eq!(folder.left("kept"), Vec::<u64>::new());
}
