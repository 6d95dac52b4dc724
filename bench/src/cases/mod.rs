//! The cases, a row each: steady load in [`load`], a million messages in [`backlog`], a million
//! that wait for their time in [`delayed`], queues by the thousand in [`queues`], what properties
//! cost that never come to act in [`properties`], many connections that do nothing in [`idle`].

pub mod load;

mod backlog;

mod delayed;

mod properties;

pub mod queues;

mod idle;

use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use crate::consumer::Settle;
use crate::plan::{GROUP_HEADER, Vary};
use crate::process::Tree;
use crate::report::Report;
use crate::wire::Value;

use backlog::Backlog;
use load::Load;

/// What to run against whom.
pub struct Options {
    /// The broker.
    pub broker: SocketAddr,
    /// The broker's process, to measure what it uses.
    pub pid: Option<u32>,
    /// Names of cases; empty means all that can be measured.
    pub cases: Vec<String>,
    /// Measured time of each load.
    pub seconds: Duration,
    /// Load before measuring begins.
    pub warmup: Duration,
    /// Messages of the cases that gather some.
    pub backlog: u64,
    /// Number of idle queues.
    pub queues: u64,
    /// Number of idle connections.
    pub connections: usize,
    /// JSON instead of tables.
    pub json: bool,
    /// The broker is the caller's to restart, and thrown away afterwards; see [`crate::driven`].
    pub driven: bool,
}

/// The names of all cases, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOADS
        .iter()
        .map(|load| load.name)
        .chain([properties::NAME])
        .chain(BACKLOGS.iter().map(|backlog| backlog.name))
        .chain([delayed::NAME, queues::BUSY, queues::IDLE, idle::NAME])
}

/// Runs the cases asked for, and prints each as it ends. A case that fails does not stop the
/// others, but fails the whole.
pub fn run(options: &Options) -> Result<()> {
    if let Some(unknown) = options
        .cases
        .iter()
        .find(|asked| !names().any(|name| name == *asked))
    {
        return Err(format!("there is no case {unknown}; try bench list").into());
    }
    let tree = options.pid.map(Tree::new).transpose()?;
    let asked = |name: &str| match options.cases.is_empty() {
        true => name != idle::NAME || tree.is_some(),
        false => options.cases.iter().any(|case| case == name),
    };
    let mut failed = 0;
    for name in names().filter(|name| asked(name)) {
        match run_one(name, options, tree) {
            Ok(report) if options.json => println!("{}", report.json()),
            Ok(report) => print!("{}", report.table()),
            Err(error) => {
                eprintln!("bench: {name}: {error}");
                failed += 1;
            }
        }
    }
    if failed > 0 {
        Err(format!("{failed} cases failed").into())
    } else {
        Ok(())
    }
}

fn run_one(name: &str, options: &Options, tree: Option<Tree>) -> Result<Report> {
    if let Some(load) = LOADS.iter().find(|load| load.name == name) {
        return load::run(load, options, tree);
    }
    if let Some(backlog) = BACKLOGS.iter().find(|backlog| backlog.name == name) {
        return backlog::run(backlog, options, tree);
    }
    match name {
        properties::NAME => properties::run(options, tree),
        delayed::NAME => delayed::run(options, tree),
        queues::BUSY => queues::busy(options, tree),
        queues::IDLE => queues::idle(options, tree),
        _ => idle::run(options, tree),
    }
}

/// A name for a queue or exchange that no other run uses.
fn unique(case: &str) -> String {
    format!("bench.{case}.{}", std::process::id())
}

const LOADS: &[Load] = &[
    Load {
        name: "persistent-1k",
        body_bytes: 1024,
        ..PERSISTENT
    },
    PERSISTENT,
    Load {
        name: "transient-100b",
        durable: false,
        window: None,
        settle: Settle::Automatic,
        ..PERSISTENT
    },
    Load {
        name: "fanout-10",
        fan: Some(10),
        ..PERSISTENT
    },
    Load {
        name: "latency-5k",
        // Not a limit but a bound: two seconds behind.
        window: Some(10_000),
        rate: Some(5_000),
        stamped: true,
        settle: Settle::Acknowledge {
            every: 1,
            prefetch: 2000,
        },
        ..PERSISTENT
    },
    Load {
        name: "one-in-flight",
        window: Some(1),
        stamped: true,
        settle: Settle::Acknowledge {
            every: 1,
            prefetch: 2000,
        },
        ..PERSISTENT
    },
    Load {
        name: "priority-10",
        arguments: &[("x-max-priority", Value::Number(10))],
        vary: Vary::Priority { levels: 10 },
        ..PERSISTENT
    },
    Load {
        name: "tx-1",
        transaction: Some(1),
        ..PERSISTENT
    },
    Load {
        name: "tx-100",
        transaction: Some(100),
        ..PERSISTENT
    },
    Load {
        name: "ttl-dead-letter",
        dead_after: Some(Duration::from_millis(500)),
        ..PERSISTENT
    },
    Load {
        name: "ttl-5k",
        dead_after: Some(Duration::from_millis(500)),
        window: Some(10_000),
        rate: Some(5_000),
        stamped: true,
        ..PERSISTENT
    },
];

const BACKLOGS: &[Backlog] = &[
    BACKLOG,
    Backlog {
        name: "groups-100k",
        arguments: &[("x-group-key", Value::Text(GROUP_HEADER))],
        groups: Some(100_000),
        consumers: 4,
        ..BACKLOG
    },
    Backlog {
        name: "stream-1m",
        arguments: &[("x-queue-type", Value::Text("stream"))],
        consumers: 0,
        replay: true,
        ..BACKLOG
    },
    Backlog {
        name: "retention-1m",
        arguments: &[("x-retention", Value::Text("1h"))],
        replay: true,
        ..BACKLOG
    },
];

const BACKLOG: Backlog = Backlog {
    name: "backlog-1m",
    arguments: &[],
    groups: None,
    consumers: 1,
    replay: false,
};

const PERSISTENT: Load = Load {
    name: "persistent-100b",
    durable: true,
    body_bytes: 100,
    window: Some(1000),
    transaction: None,
    rate: None,
    stamped: false,
    settle: Settle::Acknowledge {
        every: 100,
        prefetch: 2000,
    },
    fan: None,
    arguments: &[],
    vary: Vary::Nothing,
    dead_after: None,
};
