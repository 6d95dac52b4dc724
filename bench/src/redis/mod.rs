//! Redis: a stream, with a consumer group for each reader. A publish is an XADD, answered once it is
//! synced if the server has `appendfsync always`; a reader takes up to a thousand by XREADGROUP and
//! acknowledges them by one XACK. A single reader also trims what it has read: a stream is memory.

mod resp;

use std::net::SocketAddr;

use crate::Result;
use crate::histogram::Histogram;
use crate::pipeline::{self, Line};
use crate::run::Run;
use crate::workload::{Flow, Peer};

use resp::{Entries, command};

/// A Redis server.
pub struct Redis {
    broker: SocketAddr,
    readers: usize,
}

impl Redis {
    /// That server.
    pub fn new(broker: SocketAddr) -> Self {
        Self { broker, readers: 1 }
    }
}

impl Peer for Redis {
    fn prepare(&mut self, readers: usize) -> Result<()> {
        self.readers = readers;
        let mut line = Line::open(self.broker)?;
        for reader in 0..readers {
            let group = reader.to_string();
            line.send(&command(&[
                "XGROUP", "CREATE", STREAM, &group, "0", "MKSTREAM",
            ]))?;
            line.wait_for(|bytes| Ok(resp::answer(bytes)?.map(|used| (used, ()))))?;
        }
        Ok(())
    }

    fn publish(&self, flow: &Flow, run: &Run) -> Result<Histogram> {
        let body = "x".repeat(flow.body_bytes);
        let message = command(&["XADD", STREAM, "*", "b", &body]);
        let mut line = Line::open(self.broker)?;
        pipeline::publish(&mut line, &message, flow, run, |bytes| {
            let (mut used, mut count) = (0, 0);
            while let Some(bytes) = resp::answer(&bytes[used..])? {
                used += bytes;
                count += 1;
            }
            Ok((used, count))
        })
    }

    fn consume(&self, reader: usize, _: &Flow, run: &Run) -> Result<()> {
        let mut line = Line::open(self.broker)?;
        let group = reader.to_string();
        let take = command(&[
            "XREADGROUP",
            "GROUP",
            &group,
            "c",
            "COUNT",
            "1000",
            "BLOCK",
            "100",
            "STREAMS",
            STREAM,
            ">",
        ]);
        let mut entries = Entries::default();
        while run.consuming() {
            line.send(&take)?;
            loop {
                let (used, done) = entries.scan(line.bytes())?;
                line.used(used);
                if done {
                    break;
                }
                line.receive()?;
            }
            if entries.ids.is_empty() {
                continue;
            }
            run.add_delivered(entries.ids.len() as u64);
            let ids = entries.ids.iter().map(String::as_str);
            let acknowledge: Vec<&str> = ["XACK", STREAM, &group].into_iter().chain(ids).collect();
            let mut said = command(&acknowledge);
            let mut answers = 1;
            if self.readers == 1 {
                let last = entries.ids.last().expect("there are some");
                said.extend(command(&["XTRIM", STREAM, "MINID", "~", last]));
                answers = 2;
            }
            line.send(&said)?;
            for _ in 0..answers {
                line.wait_for(|bytes| Ok(resp::answer(bytes)?.map(|used| (used, ()))))?;
            }
            entries.ids.clear();
        }
        Ok(())
    }
}

const STREAM: &str = "bench";
