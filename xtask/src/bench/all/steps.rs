//! What is done, in order, and how long it should take.

use super::super::broker::Kind;
use super::Options;
use super::columns::Column;

/// One measurement.
pub struct Step {
    /// What.
    pub what: What,
    /// By which of the columns.
    pub column: usize,
    /// About how long it takes.
    pub seconds: f64,
}

/// What a step measures.
#[derive(Clone, Copy)]
pub enum What {
    /// The machine, in this round, from 1.
    Limits(u32),
    /// A workload, in this round, from 1.
    Workload(&'static Workload, u32),
    /// A point of an axis.
    Growth(&'static Axis, u64),
}

/// A workload of the generator's, and what its picture is called.
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// In words.
    pub about: &'static str,
    /// Whether it fills and drains.
    pub backlog: bool,
}

/// An axis of the generator's.
pub struct Axis {
    /// Its name.
    pub name: &'static str,
    /// In words.
    pub about: &'static str,
    /// Of the horizontal axis.
    pub unit: &'static str,
    /// Where Bongsu is measured.
    pub points: &'static [u64],
    /// Where the others are, in fewer.
    pub peer_points: &'static [u64],
    /// Where a quick run measures.
    pub quick_points: &'static [u64],
}

impl Step {
    /// For people.
    pub fn name(&self, rounds: u32) -> String {
        match self.what {
            What::Limits(round) => format!("{LIMITS} {round}/{rounds}"),
            What::Workload(workload, round) => format!("{} {round}/{rounds}", workload.name),
            What::Growth(axis, point) => format!("{} {point}", axis.name),
        }
    }
}

/// All that `--only` may say.
pub fn names() -> impl Iterator<Item = &'static str> {
    let workloads = WORKLOADS.iter().map(|workload| workload.name);
    let axes = AXES.iter().map(|axis| axis.name);
    [LIMITS].into_iter().chain(workloads).chain(axes)
}

/// The steps of a run.
pub fn plan(options: &Options, columns: &[Column]) -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 1..=options.rounds {
        if options.wants(LIMITS) {
            steps.push(Step {
                what: What::Limits(round),
                column: 0,
                seconds: 5.0 * options.seconds / LIMITS_SHARE,
            });
        }
        for workload in WORKLOADS.iter().filter(|w| options.wants(w.name)) {
            for (column, installed) in columns.iter().enumerate() {
                let measured = match workload.backlog {
                    true => options.seconds * 2.0,
                    false => WARMUP_SECONDS + options.seconds,
                };
                steps.push(Step {
                    what: What::Workload(workload, round),
                    column,
                    seconds: installed.turn_seconds() + measured,
                });
            }
        }
    }
    for axis in AXES.iter().filter(|axis| options.wants(axis.name)) {
        for (column, installed) in columns.iter().enumerate() {
            let points = match installed.installed.kind {
                Kind::Bongsu if installed.id != "bongsu-amqp" => continue,
                Kind::Bongsu if options.quick => axis.quick_points,
                Kind::Bongsu => axis.points,
                Kind::RabbitMq if options.quick => continue,
                Kind::RabbitMq => axis.peer_points,
                _ => continue,
            };
            for point in points {
                let each = WARMUP_SECONDS + options.seconds / 2.0;
                let passed = match axis.name {
                    // All points before it are passed too.
                    BACKLOG => each * f64::from(point.max(&10_000).ilog10() - 2),
                    _ => each,
                };
                steps.push(Step {
                    what: What::Growth(axis, *point),
                    column,
                    seconds: installed.turn_seconds() + passed + extra(axis, *point, installed),
                });
            }
        }
    }
    steps
}

/// Seconds that making so many takes.
fn extra(axis: &Axis, point: u64, column: &Column) -> f64 {
    let each = match (axis.name, column.ours()) {
        ("queues", true) => 0.000_5,
        ("queues", false) => 0.003,
        ("connections", true) => 0.000_1,
        ("connections", false) => 0.001,
        (BACKLOG, true) => 0.000_001,
        (BACKLOG, false) => 0.000_05,
        _ => 0.0,
    };
    1.0 + point as f64 * each
}

/// What is measured of the machine takes so much less time than a workload, each.
pub const LIMITS_SHARE: f64 = 2.0;
/// The name of the machine's own.
pub const LIMITS: &str = "limits";
/// The axis that passes its points in one go.
pub const BACKLOG: &str = "waiting";
/// Load before measuring begins.
pub const WARMUP_SECONDS: f64 = 1.0;

/// In the order they are measured and shown.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "persist-1k",
        about: "1 KiB, 1,000 unanswered, one publisher, one consumer",
        backlog: false,
    },
    Workload {
        name: "persist-100b",
        about: "100 B, 1,000 unanswered, one publisher, one consumer",
        backlog: false,
    },
    Workload {
        name: "fanout-10",
        about: "100 B, 1,000 unanswered, each read by ten",
        backlog: false,
    },
    Workload {
        name: "one-in-flight",
        about: "100 B, each sent once the last was answered",
        backlog: false,
    },
    Workload {
        name: "backlog",
        about: "a million of 100 B gathered, then drained",
        backlog: true,
    },
];

/// In the order they are measured and shown. A backlog is called by its points' name.
pub const AXES: &[Axis] = &[
    Axis {
        name: "queues",
        about: "durable queues, published to in turn, all consumed",
        unit: "queues",
        points: &[1, 10, 100, 1_000, 10_000],
        peer_points: &[1, 100, 1_000],
        quick_points: &[1, 100, 10_000],
    },
    Axis {
        name: "consumers",
        about: "consumers of one queue",
        unit: "consumers",
        points: &[1, 10, 100, 1_000],
        peer_points: &[1, 100, 1_000],
        quick_points: &[1, 1_000],
    },
    Axis {
        name: "size",
        about: "bytes of a message, up to 32 MiB unanswered",
        unit: "bytes",
        points: &[16, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20],
        peer_points: &[16, 4 << 10, 1 << 20, 16 << 20],
        quick_points: &[16, 64 << 10, 16 << 20],
    },
    Axis {
        name: "connections",
        about: "connections that do nothing beside one busy pair",
        unit: "connections",
        points: &[1, 100, 1_000, 10_000, 50_000],
        peer_points: &[1, 1_000, 10_000],
        quick_points: &[1, 10_000],
    },
    Axis {
        name: BACKLOG,
        about: "messages of 16 B waiting in the queue that a busy pair goes through",
        unit: "messages",
        points: &[100_000_000],
        peer_points: &[1_000_000],
        quick_points: &[1_000_000],
    },
];
