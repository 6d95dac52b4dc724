//! AMQP 0-9-1: persistent messages to durable queues, confirmed; consumers acknowledge every
//! hundredth with all before it. Several readers are queues behind a fanout exchange.

use std::net::SocketAddr;

use super::{Flow, Peer};
use crate::Result;
use crate::client::Client;
use crate::consumer::{Consumption, Look, Settle, consume};
use crate::histogram::Histogram;
use crate::plan::Plan;
use crate::publisher::publish;
use crate::run::Run;

/// A broker of AMQP 0-9-1.
pub struct Amqp {
    broker: SocketAddr,
    name: String,
    readers: usize,
}

impl Amqp {
    /// Names of its own on that broker.
    pub fn new(broker: SocketAddr) -> Self {
        Self {
            broker,
            name: format!("bench.work.{}", std::process::id()),
            readers: 1,
        }
    }

    fn queue(&self, reader: usize) -> String {
        format!("{}.{reader}", self.name)
    }
}

impl Peer for Amqp {
    fn prepare(&mut self, readers: usize) -> Result<()> {
        self.readers = readers;
        let mut control = Client::connect(self.broker)?;
        if readers > 1 {
            control.declare_exchange(&self.name, "fanout", &[])?;
        }
        for reader in 0..readers {
            let queue = self.queue(reader);
            control.declare_queue(&queue, true, &[])?;
            if readers > 1 {
                control.bind(&queue, &self.name, "")?;
            }
        }
        control.close()
    }

    fn publish(&self, flow: &Flow, run: &Run) -> Result<Histogram> {
        let mut plan = Plan {
            body_bytes: flow.body_bytes,
            window: Some(flow.window),
            count: flow.count,
            ..Plan::to_queue(&self.queue(0))
        };
        if self.readers > 1 {
            plan.exchange.clone_from(&self.name);
            plan.routing_key.clear();
        }
        publish(self.broker, &plan, run)
    }

    fn consume(&self, reader: usize, flow: &Flow, run: &Run) -> Result<()> {
        // As many as a thousand in flight are worth, of two thousand that may be open.
        let every = (flow.window as u32 / 10).max(1);
        let wanted = Consumption {
            queues: &[self.queue(reader)],
            settle: Settle::Acknowledge {
                every,
                prefetch: (2 * flow.window).clamp(2, 2000) as u16,
            },
            arguments: &[],
            look: Look::Nothing,
        };
        consume(self.broker, wanted, run).map(drop)
    }
}
