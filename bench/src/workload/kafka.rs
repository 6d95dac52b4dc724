//! Kafka: five requests on the way, each with a fifth of what may be unanswered in one batch,
//! acks=all; a reader keeps its place itself. Several readers read the same partition.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bongsu_record::compression::Codec;

use super::{Flow, Peer};
use crate::Result;
use crate::histogram::Histogram;
use crate::kafka::load::unix_ms;
use crate::kafka::wire::{self, Connection, Positions};
use crate::run::Run;

/// A broker that speaks Kafka's protocol.
pub struct Kafka {
    broker: SocketAddr,
    topic: String,
}

impl Kafka {
    /// A topic of its own on that broker.
    pub fn new(broker: SocketAddr) -> Self {
        Self {
            broker,
            topic: format!("bench-work-{}", std::process::id()),
        }
    }
}

impl Peer for Kafka {
    fn prepare(&mut self, _: usize) -> Result<()> {
        Connection::open(self.broker)?.create_topic(&self.topic, 1)
    }

    fn publish(&self, flow: &Flow, run: &Run) -> Result<Histogram> {
        let on_way_max = ON_WAY.min(flow.window);
        let records = flow.window / on_way_max;
        let batch = wire::batch(records, flow.body_bytes, Codec::None, unix_ms())?;
        let request = wire::produce(&self.topic, 0, batch.bytes());
        let mut connection = Connection::open(self.broker)?;
        let mut times = Histogram::new();
        let mut on_way = VecDeque::new();
        loop {
            let wanted = flow.count.unwrap_or(u64::MAX);
            while run.publishing() && run.counts().sent < wanted && on_way.len() < on_way_max {
                on_way.push_back(run.now());
                run.add_sent(records);
                connection.send(&request)?;
            }
            let Some(sent_at) = on_way.pop_front() else {
                return Ok(times);
            };
            wire::produced(connection.receive()?)?;
            run.add_confirmed(records as u64);
            if run.measuring() {
                // Every record of a batch waited as long.
                (0..records).for_each(|_| times.record(run.now() - sent_at));
            }
        }
    }

    fn consume(&self, _: usize, _: &Flow, run: &Run) -> Result<()> {
        let mut connection = Connection::open(self.broker)?;
        let mut positions: Positions = vec![0];
        while run.consuming() {
            connection.send(&wire::fetch(&self.topic, &positions, 0))?;
            let count = wire::fetched(connection.receive()?, &mut positions, |_| ())?;
            run.add_delivered(count);
        }
        Ok(())
    }
}

/// Requests on the way on one connection, as Kafka's producers have it.
const ON_WAY: usize = 5;
