//! A queue that grows tenfold from point to point, and at each point a pair that goes through it:
//! what is published goes behind everything that waits, what is consumed comes from its front.

use std::time::{Duration, Instant};

use super::{Growth, show};
use crate::Result;
use crate::cases::Options;
use crate::process::Tree;
use crate::report::Report;
use crate::run::Run;
use crate::workload::{Flow, Peer, Protocol, steady_beside};

/// Passes the points from none to `growth.point`, as far as room and time allow.
pub fn run(growth: &Growth, options: &Options, tree: Option<Tree>) -> Result<()> {
    let mut peer = Protocol::Amqp.peer(options.broker);
    peer.prepare(1)?;
    let mut waiting = 0;
    let mut point = 0;
    loop {
        let mut report = Report::new("backlog");
        if point > waiting {
            let wanted = point - waiting;
            if let Some(reason) = too_little_room(growth, wanted)? {
                eprintln!("bench: {point} messages would not fit: {reason}");
                return Ok(());
            }
            let begun = Instant::now();
            let filled = fill(peer.as_ref(), wanted, options)?;
            waiting += filled;
            report.add("fill_rate", filled as f64 / begun.elapsed().as_secs_f64());
            if filled < wanted {
                eprintln!("bench: {waiting} of {point} messages after {FILL_TIME_MAX:?}");
                return Ok(());
            }
        }
        if let Some(tree) = tree {
            report.add("held_mb", tree.resident_bytes() as f64 / 1e6);
        }
        let flow = flow(None);
        let passed = steady_beside(waiting, &mut report, &flow, peer.as_ref(), options, tree)?;
        waiting = passed;
        report.add("point", point as f64);
        show(&report, options);
        if point >= growth.point {
            return Ok(());
        }
        point = (point * 10).clamp(FIRST, growth.point.max(FIRST));
    }
}

fn fill(peer: &dyn Peer, count: u64, options: &Options) -> Result<u64> {
    let run = &Run::new();
    std::thread::scope(|scope| {
        let publisher =
            scope.spawn(move || run.watch(peer.publish(&flow(Some(count)), run)).map(drop));
        let time_max = FILL_TIME_MAX.max(options.seconds);
        run.wait(time_max, || publisher.is_finished());
        run.stop_publishing();
        publisher.join().expect("publishers do not panic")
    })?;
    Ok(run.counts().confirmed)
}

fn flow(count: Option<u64>) -> Flow {
    Flow {
        body_bytes: BODY_BYTES,
        window: 1000,
        count,
    }
}

/// Why so many more messages would not fit, if they would not.
fn too_little_room(growth: &Growth, count: u64) -> Result<Option<String>> {
    let Some(directory) = &growth.directory else {
        return Ok(None);
    };
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail * disk.f_frsize;
    let needed = count * BYTES_EACH_MAX + ROOM_LEFT;
    Ok((free < needed).then(|| format!("{} GB of disk are free", free / 1_000_000_000)))
}

/// The first point after none.
const FIRST: u64 = 10_000;
/// Small, so that the count, not the disk, is what grows.
const BODY_BYTES: usize = 16;
/// More than any of the brokers takes on disk for such a message.
const BYTES_EACH_MAX: u64 = 110;
const ROOM_LEFT: u64 = 6 << 30;
const FILL_TIME_MAX: Duration = Duration::from_secs(150);
