//! NATS with JetStream: a stream in files, a durable pull consumer for each reader. A publish is
//! answered once it is stored, and synced if the server has `sync_interval: always`; a reader asks for
//! a thousand at a time, two such requests on the way, and acknowledges every hundredth with all
//! before it.

mod wire;

use std::net::SocketAddr;

use crate::Result;
use crate::histogram::Histogram;
use crate::pipeline::{self, Line};
use crate::run::Run;
use crate::workload::{Flow, Peer};

use wire::{Heard, next, publication};

/// A NATS server.
pub struct Nats {
    broker: SocketAddr,
}

impl Nats {
    /// That server.
    pub fn new(broker: SocketAddr) -> Self {
        Self { broker }
    }

    /// Connects, and hears whatever is sent to `inbox`.
    fn connect(&self, inbox: &str) -> Result<Line> {
        let mut line = Line::open(self.broker)?;
        let options =
            r#"{"verbose":false,"pedantic":false,"lang":"bench","version":"0","protocol":1}"#;
        line.send(format!("CONNECT {options}\r\nSUB {inbox} 1\r\nPING\r\n").as_bytes())?;
        wait(&mut line, |heard| Ok(matches!(heard, Heard::Pong)))?;
        Ok(line)
    }
}

impl Peer for Nats {
    fn prepare(&mut self, readers: usize) -> Result<()> {
        let mut line = self.connect("_INBOX.prepare")?;
        let mut ask = |subject: &str, body: &str| -> Result<()> {
            line.send(&publication(subject, "_INBOX.prepare", body.as_bytes()))?;
            wait(&mut line, |heard| {
                let Heard::Message(message) = heard else {
                    return Ok(false);
                };
                let said = String::from_utf8_lossy(message.body);
                match said.contains("\"error\"") {
                    true => Err(format!("{subject}: {said}").into()),
                    false => Ok(true),
                }
            })
        };
        ask(
            "$JS.API.STREAM.CREATE.BENCH",
            r#"{"name":"BENCH","subjects":["bench"],"storage":"file","retention":"limits","num_replicas":1}"#,
        )?;
        for reader in 0..readers {
            let body = format!(
                r#"{{"stream_name":"BENCH","config":{{"durable_name":"r{reader}","ack_policy":"all","deliver_policy":"all","max_ack_pending":4000}}}}"#
            );
            ask(
                &format!("$JS.API.CONSUMER.DURABLE.CREATE.BENCH.r{reader}"),
                &body,
            )?;
        }
        Ok(())
    }

    fn publish(&self, flow: &Flow, run: &Run) -> Result<Histogram> {
        let mut line = self.connect("_INBOX.acks")?;
        let message = publication("bench", "_INBOX.acks", &vec![b'x'; flow.body_bytes]);
        pipeline::publish(&mut line, &message, flow, run, |bytes| {
            let (mut used, mut count) = (0, 0);
            while let Some((length, heard)) = next(&bytes[used..])? {
                used += length;
                if let Heard::Message(message) = heard {
                    if !message.body.starts_with(b"{\"stream\"") {
                        let said = String::from_utf8_lossy(message.body);
                        return Err(format!("a publish was answered by {said}").into());
                    }
                    count += 1;
                }
            }
            Ok((used, count))
        })
    }

    fn consume(&self, reader: usize, flow: &Flow, run: &Run) -> Result<()> {
        let inbox = format!("_INBOX.reader{reader}");
        let mut line = self.connect(&inbox)?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.BENCH.r{reader}");
        let pull = publication(
            &subject,
            &inbox,
            format!("{{\"batch\":{PULL_COUNT}}}").as_bytes(),
        );
        line.send(&pull.repeat(2))?;
        let every = if flow.window == 1 { 1 } else { 100 };
        let (mut asked_before, mut open) = (0, 0);
        let mut last = Vec::new();
        let mut said = Vec::new();
        while run.consuming() {
            let came = line.receive()?;
            let (mut used, mut delivered) = (0, 0);
            while let Some((length, heard)) = next(&line.bytes()[used..])? {
                if let Heard::Message(message) = heard {
                    let reply = message.reply.ok_or_else(|| {
                        format!(
                            "pull answered by {:?}",
                            String::from_utf8_lossy(message.body)
                        )
                    })?;
                    delivered += 1;
                    open += 1;
                    last.clear();
                    last.extend_from_slice(reply);
                    if open == every {
                        wire::acknowledge(&last, &mut said);
                        open = 0;
                    }
                }
                used += length;
            }
            line.used(used);
            run.add_delivered(delivered);
            asked_before += delivered;
            while asked_before >= PULL_COUNT {
                asked_before -= PULL_COUNT;
                said.extend(&pull);
            }
            if !came && open > 0 {
                wire::acknowledge(&last, &mut said);
                open = 0;
            }
            if !said.is_empty() {
                line.send(&said)?;
                said.clear();
            }
        }
        Ok(())
    }
}

/// Passes over what the server says until it is what is wanted. Its pings are not answered: it has
/// patience for some, and they are minutes apart.
fn wait(line: &mut Line, mut wanted: impl FnMut(Heard<'_>) -> Result<bool>) -> Result<()> {
    loop {
        let found = line.wait_for(|bytes| match next(bytes)? {
            Some((used, heard)) => Ok(Some((used, wanted(heard)?))),
            None => Ok(None),
        })?;
        if found {
            return Ok(());
        }
    }
}

const PULL_COUNT: u64 = 1000;
