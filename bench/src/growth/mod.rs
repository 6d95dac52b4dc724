//! How cost grows along one axis: the same load with ten times as many queues, consumers, bytes,
//! messages waiting or connections. Over AMQP 0-9-1; each run is one point, but for [`backlog`],
//! which passes all its points on the way to the last.

mod backlog;

mod connections;

mod consumers;

use std::path::PathBuf;

use crate::Result;
use crate::cases::{Options, queues};
use crate::process::Tree;
use crate::report::Report;
use crate::workload::{Flow, Protocol, steady};

pub use connections::hold;

/// A way to grow.
#[derive(Clone, Copy)]
pub enum Axis {
    /// Durable queues, published to in turn, with ten connections that consume from all.
    Queues,
    /// Consumers of one queue.
    Consumers,
    /// Bytes of a body.
    Size,
    /// Messages waiting in one queue.
    Backlog,
    /// Connections that do nothing.
    Connections,
}

/// What is asked for.
pub struct Growth {
    /// Along what.
    pub axis: Axis,
    /// How far; of a backlog the last of the points.
    pub point: u64,
    /// Where the broker's files are, to see how much room there is.
    pub directory: Option<PathBuf>,
}

impl Axis {
    /// The axis of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "queues" => Some(Self::Queues),
            "consumers" => Some(Self::Consumers),
            "size" => Some(Self::Size),
            "backlog" => Some(Self::Backlog),
            "connections" => Some(Self::Connections),
            _ => None,
        }
    }
}

/// Measures the point, and prints a line of figures.
pub fn run(growth: &Growth, options: &Options) -> Result<()> {
    let tree = options.pid.map(Tree::new).transpose()?;
    let point = growth.point;
    let mut report = match growth.axis {
        Axis::Queues => queues::many(point, options, tree)?,
        Axis::Consumers => consumers::run(point, options, tree)?,
        Axis::Size => size(point, options, tree)?,
        Axis::Connections => connections::run(point, options, tree)?,
        Axis::Backlog => return backlog::run(growth, options, tree),
    };
    report.add("point", point as f64);
    show(&report, options);
    Ok(())
}

/// One publisher and one consumer, with as much on the way as a client would have.
fn size(bytes: u64, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let window = (BYTES_ON_WAY / bytes.max(1)).clamp(2, 1000) as usize;
    let flow = Flow {
        body_bytes: bytes as usize,
        window,
        count: None,
    };
    let mut peer = Protocol::Amqp.peer(options.broker);
    peer.prepare(1)?;
    steady("size", &flow, 1, peer.as_ref(), options, tree)
}

fn show(report: &Report, options: &Options) {
    match options.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.table()),
    }
}

const BYTES_ON_WAY: u64 = 32 << 20;
