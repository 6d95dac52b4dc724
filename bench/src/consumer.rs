//! One consumer: scans deliveries in a large read buffer, counts them and acknowledges.
//! Nothing is allocated or copied per message.

use std::net::SocketAddr;

use crate::Result;
use crate::client::{self, CHANNEL, Client};
use crate::histogram::Histogram;
use crate::run::Run;
use crate::wire::{self, Method};

/// How deliveries are settled.
#[derive(Clone, Copy)]
pub enum Settle {
    /// By the broker as it sends them.
    Automatic,
    /// By the consumer, every `every` of them, of which at most `prefetch` may be open.
    Acknowledge {
        /// 1: each alone; more: with multiple set.
        every: u32,
        /// The broker's limit of open deliveries.
        prefetch: u16,
    },
}

/// Consumes `queue` until the run ends. Returns how old stamped messages were when read, of those
/// that fell into the measured time.
pub fn consume(
    broker: SocketAddr,
    queue: &str,
    settle: Settle,
    stamped: bool,
    run: &Run,
) -> Result<Histogram> {
    let mut client = Client::connect(broker)?;
    let (ack_every, prefetch) = match settle {
        Settle::Automatic => (u32::MAX, 0),
        Settle::Acknowledge { every, prefetch } => (every, prefetch),
    };
    client.consume(queue, prefetch)?;

    let mut scan = Scan {
        body_left: 0,
        body_starts: false,
        tag: 0,
        open: 0,
        ack_every,
        stamped,
        ages: Histogram::new(),
        acks: Vec::new(),
    };
    // The answer to basic.consume may have come with the first deliveries behind it.
    run.add_delivered(scan.take(&mut client, run)?);
    while run.consuming() {
        let delivered = if client.receive()? {
            scan.take(&mut client, run)?
        } else {
            0
        };
        run.add_delivered(delivered);
        if delivered == 0 && prefetch > 0 {
            // Quiet: no batch will fill up soon.
            scan.acknowledge_open();
        }
        if !scan.acks.is_empty() {
            client::send(&mut client.socket, &scan.acks)?;
            scan.acks.clear();
        }
    }
    client.close()?;
    Ok(scan.ages)
}

struct Scan {
    body_left: u64,
    body_starts: bool,
    tag: u64,
    open: u32,
    ack_every: u32,
    stamped: bool,
    ages: Histogram,
    /// Acknowledgements of one read, written together. Bound: 21 bytes a message in the buffer.
    acks: Vec<u8>,
}

impl Scan {
    /// Looks at every whole frame that was read; returns how many messages ended in them.
    fn take(&mut self, client: &mut Client, run: &Run) -> Result<u64> {
        let now = run.now();
        let measuring = run.measuring() && self.stamped;
        let mut delivered = 0;
        while let Some(frame) = client.input.next_frame()? {
            match frame.kind {
                wire::METHOD => self.take_method(&frame)?,
                wire::HEADER => {
                    self.body_left = wire::u64_at(frame.payload, 4)?;
                    self.body_starts = true;
                    if self.body_left == 0 {
                        delivered += 1;
                        self.delivered();
                    }
                }
                wire::BODY => {
                    let size = frame.payload.len() as u64;
                    if size > self.body_left {
                        return Err("broker sent more body than it announced".into());
                    }
                    if measuring && self.body_starts {
                        let sent_at = wire::u64_at(frame.payload, 0)?;
                        self.ages.record(now.saturating_sub(sent_at));
                    }
                    self.body_starts = false;
                    self.body_left -= size;
                    if self.body_left == 0 {
                        delivered += 1;
                        self.delivered();
                    }
                }
                _ => {}
            }
        }
        Ok(delivered)
    }

    fn take_method(&mut self, frame: &wire::Frame<'_>) -> Result<()> {
        match frame.method() {
            Some(wire::BASIC_DELIVER) => {
                let name_bytes = *frame.payload.get(4).ok_or(wire::Malformed::Truncated)?;
                self.tag = wire::u64_at(frame.payload, 5 + usize::from(name_bytes))?;
                Ok(())
            }
            Some(wire::BASIC_CANCEL) => Err("broker cancelled the consumer".into()),
            method => client::refuse_close(method, frame.payload),
        }
    }

    fn delivered(&mut self) {
        if self.ack_every == u32::MAX {
            return;
        }
        self.open += 1;
        if self.open == self.ack_every {
            self.acknowledge_open();
        }
    }

    fn acknowledge_open(&mut self) {
        if self.open == 0 {
            return;
        }
        let ack = Method::new(CHANNEL, wire::BASIC_ACK)
            .longlong(self.tag)
            .octet(u8::from(self.open > 1))
            .finish();
        self.acks.extend(ack);
        self.open = 0;
    }
}
