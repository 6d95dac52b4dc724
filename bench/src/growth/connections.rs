//! A busy pair beside connections that do nothing.
//!
//! The idle ones are held by processes of their own, each with its share and its own source address:
//! a process may open some ten thousand files, and an address has some ten thousand ports.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cases::Options;
use crate::client::Client;
use crate::process::{Tree, raise_file_limit};
use crate::report::Report;
use crate::workload::{Flow, Protocol, steady};

/// Opens so many, and then measures the pair.
pub fn run(count: u64, options: &Options, tree: Option<Tree>) -> Result<Report> {
    let before = tree.map(|tree| tree.resident_bytes());
    let begun = Instant::now();
    let mut holders = Vec::new();
    for share in 0..count.div_ceil(SHARE) {
        let mine = SHARE.min(count - share * SHARE);
        holders.push(Holder::start(options.broker, share as u8, mine)?);
    }
    holders.iter_mut().try_for_each(Holder::wait)?;
    let opened_in = begun.elapsed().as_secs_f64();
    sleep(SETTLE_TIME);
    let grown = match (tree, before) {
        (Some(tree), Some(before)) => Some(tree.resident_bytes().saturating_sub(before)),
        _ => None,
    };
    let flow = Flow {
        body_bytes: 100,
        window: 1000,
        count: None,
    };
    let mut peer = Protocol::Amqp.peer(options.broker);
    peer.prepare(1)?;
    let mut report = steady("connections", &flow, 1, peer.as_ref(), options, tree)?;
    report.add("open_rate", count as f64 / opened_in);
    if let Some(grown) = grown {
        report.add("connection_kb", grown as f64 / 1e3 / count.max(1) as f64);
    }
    Ok(report)
}

/// What a holder does: opens its share, says so, and holds them until its input ends.
pub fn hold(broker: SocketAddr, share: u8, count: u64) -> Result<()> {
    raise_file_limit();
    let source = Ipv4Addr::new(127, 0, 0, share + 2);
    let mut held = Vec::new();
    for _ in 0..count {
        // Only the socket: a buffer for each would be more than the broker's.
        held.push(Client::connect_from(broker, source)?.socket);
    }
    println!("held");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(())
}

struct Holder(Child);

impl Holder {
    fn start(broker: SocketAddr, share: u8, count: u64) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["hold", &broker.to_string()])
            .args([share.to_string(), count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    fn wait(&mut self) -> Result<()> {
        let output = self.0.stdout.take().ok_or("a holder has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim() {
            "held" => Ok(()),
            _ => Err("not all connections were opened".into()),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connections of one holder.
const SHARE: u64 = 12_000;
const SETTLE_TIME: Duration = Duration::from_secs(1);
