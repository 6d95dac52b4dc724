//! The same work over every protocol: what each broker is asked for in its clients' own words.
//!
//! A row of `WORKLOADS` says what is wanted (how large, how many unanswered, how many readers); a
//! [`Peer`] says how one protocol does that. Peers differ in how many records a request holds and in
//! how a reader says that it has one, as their clients do; the module of each tells how.

mod amqp;

mod kafka;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cases::Options;
use crate::cases::load::{Sample, add_rates};
use crate::histogram::Histogram;
use crate::nats::Nats;
use crate::process::Tree;
use crate::redis::Redis;
use crate::report::Report;
use crate::run::Run;

/// How one protocol's clients do the work.
pub trait Peer: Sync {
    /// Makes what messages go into, with so many readers that each get all of them.
    fn prepare(&mut self, readers: usize) -> Result<()>;

    /// Publishes as `flow` says until its count or the run's end, and awaits all answers. How long
    /// those took that came in the measured time.
    fn publish(&self, flow: &Flow, run: &Run) -> Result<Histogram>;

    /// Reads as that reader until the run's end, and says so to the broker.
    fn consume(&self, reader: usize, flow: &Flow, run: &Run) -> Result<()>;
}

/// What is published.
#[derive(Clone, Copy)]
pub struct Flow {
    /// Size of each body.
    pub body_bytes: usize,
    /// How many may be unanswered.
    pub window: usize,
    /// How many in all; nothing: until the run's end.
    pub count: Option<u64>,
}

/// Whose words are spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// AMQP 0-9-1.
    Amqp,
    /// Kafka's.
    Kafka,
    /// NATS with JetStream.
    Nats,
    /// Redis' streams.
    Redis,
}

impl Protocol {
    /// The protocol of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "amqp" => Some(Self::Amqp),
            "kafka" => Some(Self::Kafka),
            "nats" => Some(Self::Nats),
            "redis" => Some(Self::Redis),
            _ => None,
        }
    }

    /// Its client's ways with a broker.
    pub fn peer(self, broker: SocketAddr) -> Box<dyn Peer> {
        match self {
            Self::Amqp => Box::new(amqp::Amqp::new(broker)),
            Self::Kafka => Box::new(kafka::Kafka::new(broker)),
            Self::Nats => Box::new(Nats::new(broker)),
            Self::Redis => Box::new(Redis::new(broker)),
        }
    }
}

/// A row of the table.
struct Workload {
    name: &'static str,
    body_bytes: usize,
    window: usize,
    readers: usize,
    /// Fills first, and then drains, instead of both at once.
    backlog: bool,
}

/// The names of all workloads.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORKLOADS.iter().map(|workload| workload.name)
}

/// Runs the one workload asked for and prints its figures.
pub fn run(protocol: Protocol, options: &Options) -> Result<()> {
    let [name] = options.cases.as_slice() else {
        return Err("one --case is wanted".into());
    };
    let workload = WORKLOADS.iter().find(|workload| workload.name == *name);
    let workload = workload.ok_or_else(|| {
        let names: Vec<_> = names().collect();
        format!(
            "there is no workload {name}; there are {}",
            names.join(", ")
        )
    })?;
    let tree = options.pid.map(Tree::new).transpose()?;
    let mut peer = protocol.peer(options.broker);
    peer.prepare(workload.readers)?;
    let report = match workload.backlog {
        true => backlog(workload, peer.as_ref(), options, tree)?,
        false => steady(
            workload.name,
            &workload.flow(),
            workload.readers,
            peer.as_ref(),
            options,
            tree,
        )?,
    };
    match options.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.table()),
    }
    Ok(())
}

impl Workload {
    fn flow(&self) -> Flow {
        Flow {
            body_bytes: self.body_bytes,
            window: self.window,
            count: None,
        }
    }
}

/// Everybody at once for a while; then all that was confirmed must have come out.
pub fn steady(
    name: &'static str,
    flow: &Flow,
    readers: usize,
    peer: &dyn Peer,
    options: &Options,
    tree: Option<Tree>,
) -> Result<Report> {
    let mut report = Report::new(name);
    let run = &Run::new();
    let delivered = measured(
        &mut report,
        run,
        flow,
        readers,
        peer,
        options,
        tree,
        |sent| sent * readers as u64,
    )?;
    let wanted = run.counts().sent * readers as u64;
    match delivered == wanted {
        true => Ok(report),
        false => Err(format!("{delivered} of {wanted} messages came out").into()),
    }
}

/// The same with messages `waiting` in front, which stay behind if they are too many: says how many.
pub fn steady_beside(
    waiting: u64,
    report: &mut Report,
    flow: &Flow,
    peer: &dyn Peer,
    options: &Options,
    tree: Option<Tree>,
) -> Result<u64> {
    let run = &Run::new();
    let delivered = measured(report, run, flow, 1, peer, options, tree, |_| 0)?;
    let sent = run.counts().sent;
    (waiting + sent)
        .checked_sub(delivered)
        .ok_or_else(|| format!("{delivered} of {} came out", waiting + sent).into())
}

/// Runs everybody, waits for so many deliveries as `wanted` makes of what was sent, and says how
/// many there were.
#[expect(clippy::too_many_arguments, reason = "what a measurement is of")]
fn measured(
    report: &mut Report,
    run: &Run,
    flow: &Flow,
    readers: usize,
    peer: &dyn Peer,
    options: &Options,
    tree: Option<Tree>,
    wanted: impl Fn(u64) -> u64,
) -> Result<u64> {
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..readers)
            .map(|reader| scope.spawn(move || run.watch(peer.consume(reader, flow, run))))
            .collect();
        let publisher = scope.spawn(|| run.watch(peer.publish(flow, run)));
        run.wait(options.warmup, || false);
        let first = Sample::take(run, tree);
        run.measure(true);
        run.wait(options.seconds, || false);
        let second = Sample::take(run, tree);
        run.measure(false);

        run.stop_publishing();
        let confirms = publisher.join().expect("publishers do not panic");
        let drain = Instant::now();
        if confirms.is_ok() {
            run.wait_delivered(wanted(run.counts().sent), TIME_MAX);
        }
        let late = drain.elapsed();
        run.stop();
        for consumer in consumers {
            consumer.join().expect("consumers do not panic")?;
        }
        let confirms = confirms?;
        add_rates(report, true, flow.body_bytes, &first, &second);
        report.add_quantiles(CONFIRMS, &confirms);
        if let Some(tree) = tree {
            report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
        }
        report.add("drained_s", late.as_secs_f64());
        Ok(run.counts().delivered)
    })
}

/// Publishes so many with nobody reading, or for so long as the option says if that is sooner, and
/// reads them all: a broker that syncs each message alone would take minutes.
fn backlog(
    workload: &Workload,
    peer: &dyn Peer,
    options: &Options,
    tree: Option<Tree>,
) -> Result<Report> {
    let flow = Flow {
        count: Some(options.backlog),
        ..workload.flow()
    };
    if let Some(tree) = tree {
        tree.forget_peak();
    }
    let cpu = || tree.map_or(Duration::ZERO, |tree| tree.cpu());

    let run = &Run::new();
    run.measure(true);
    let (begun, before) = (Instant::now(), cpu());
    let confirms = thread::scope(|scope| {
        let publisher = scope.spawn(|| run.watch(peer.publish(&flow, run)));
        run.wait(options.seconds * FILL_SHARE, || publisher.is_finished());
        run.stop_publishing();
        publisher.join().expect("publishers do not panic")
    })?;
    let (filled_in, filled_for) = (begun.elapsed().as_secs_f64(), cpu() - before);
    let gathered = run.counts().confirmed;

    let run = &Run::new();
    let (begun, before) = (Instant::now(), cpu());
    let drained_in = thread::scope(|scope| {
        let consumer = scope.spawn(|| run.watch(peer.consume(0, &flow, run)));
        run.wait_delivered(gathered, TIME_MAX);
        let drained_in = begun.elapsed().as_secs_f64();
        run.stop();
        consumer.join().expect("consumers do not panic")?;
        Ok::<f64, Box<dyn std::error::Error + Send + Sync>>(drained_in)
    })?;
    let drained_for = cpu() - before;
    let delivered = run.counts().delivered;
    if delivered != gathered {
        return Err(format!("{delivered} of {gathered} messages came out").into());
    }

    let mut report = Report::new(workload.name);
    let gathered = gathered as f64;
    report.add("gathered", gathered);
    report.add("fill_rate", gathered / filled_in);
    report.add("drain_rate", gathered / drained_in);
    report.add_quantiles(CONFIRMS, &confirms);
    if let Some(tree) = tree {
        report.add("fill_cpu_us", filled_for.as_secs_f64() * 1e6 / gathered);
        report.add("drain_cpu_us", drained_for.as_secs_f64() * 1e6 / gathered);
        report.add("peak_mb", tree.peak_bytes() as f64 / 1e6);
    }
    Ok(report)
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "persist-1k",
        body_bytes: 1024,
        ..PERSIST
    },
    PERSIST,
    Workload {
        name: "fanout-10",
        readers: 10,
        ..PERSIST
    },
    Workload {
        name: "one-in-flight",
        window: 1,
        ..PERSIST
    },
    Workload {
        name: "backlog",
        backlog: true,
        ..PERSIST
    },
];
const PERSIST: Workload = Workload {
    name: "persist-100b",
    body_bytes: 100,
    window: 1000,
    readers: 1,
    backlog: false,
};
const CONFIRMS: [&str; 3] = ["confirm_p50_ms", "confirm_p99_ms", "confirm_p999_ms"];
/// A backlog is filled for so many times a load's time at most.
const FILL_SHARE: u32 = 2;
const TIME_MAX: Duration = Duration::from_secs(120);
