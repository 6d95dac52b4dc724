//! One consumer: scans deliveries in a large read buffer, counts them and acknowledges.
//! Nothing is allocated or copied per message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Result;
use crate::client::{self, CHANNEL, Client};
use crate::histogram::Histogram;
use crate::plan::group_of;
use crate::run::Run;
use crate::wire::{self, Method, Table};

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

/// What to consume and what to look at.
#[derive(Clone, Copy)]
pub struct Consumption<'a> {
    /// A consumer on each of these.
    pub queues: &'a [String],
    /// How deliveries are settled; a prefetch is each consumer's.
    pub settle: Settle,
    /// Arguments of each consumer.
    pub arguments: &'a Table<'a>,
    /// What is looked at in each message.
    pub look: Look<'a>,
}

/// What is looked at in each message.
#[derive(Clone, Copy)]
pub enum Look<'a> {
    /// Only that it came.
    Nothing,
    /// Its age, less this time, which it should have taken. Nanoseconds.
    Age(u64),
    /// That it is not behind a later one of its group.
    Order(&'a GroupOrder),
}

/// The last number seen of each group, by all consumers together.
///
/// Sound because a group's next message is not delivered before the one before it was
/// acknowledged, and that is done after it was noted here.
pub struct GroupOrder {
    last: Box<[AtomicU64]>,
}

impl GroupOrder {
    /// Nothing seen of so many groups.
    pub fn new(groups: u64) -> Self {
        Self {
            last: (0..groups).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn see(&self, number: u64) -> Result<()> {
        let group = group_of(number, self.last.len() as u64) as usize;
        // One more than the number, so that 0 is none.
        let before = self.last[group].swap(number + 1, Relaxed);
        if before > number {
            return Err(format!(
                "message {number} of group {group} came after {}",
                before - 1
            )
            .into());
        }
        Ok(())
    }
}

/// Consumes until the run ends. Returns how old stamped messages were when read, of those that
/// fell into the measured time.
pub fn consume(broker: SocketAddr, wanted: Consumption<'_>, run: &Run) -> Result<Histogram> {
    let mut client = Client::connect(broker)?;
    let (ack_every, prefetch) = match wanted.settle {
        Settle::Automatic => (u32::MAX, 0),
        Settle::Acknowledge { every, prefetch } => (every, prefetch),
    };
    client.consume(wanted.queues, prefetch, wanted.arguments)?;

    let mut scan = Scan {
        body_left: 0,
        body_starts: false,
        tag: 0,
        whole_tag: 0,
        open: 0,
        ack_every,
        look: wanted.look,
        ages: Histogram::new(),
        acks: Vec::new(),
    };
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

struct Scan<'a> {
    body_left: u64,
    body_starts: bool,
    /// Of the delivery under way, and of the last that came whole: only that may be acknowledged.
    tag: u64,
    whole_tag: u64,
    open: u32,
    ack_every: u32,
    look: Look<'a>,
    ages: Histogram,
    /// Acknowledgements of one read, written together. Bound: 21 bytes a message in the buffer.
    acks: Vec<u8>,
}

impl Scan<'_> {
    /// Looks at every whole frame that was read; returns how many messages ended in them.
    fn take(&mut self, client: &mut Client, run: &Run) -> Result<u64> {
        let now = run.now();
        let measuring = run.measuring();
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
                    if self.body_starts {
                        match self.look {
                            Look::Nothing => {}
                            Look::Age(expected) if measuring => {
                                let due = wire::u64_at(frame.payload, 0)? + expected;
                                if now + EARLY_MAX < due {
                                    let early_ms = (due - now) as f64 / 1e6;
                                    return Err(format!("came {early_ms} ms early").into());
                                }
                                self.ages.record(now.saturating_sub(due));
                            }
                            Look::Age(_) => {}
                            Look::Order(order) => order.see(wire::u64_at(frame.payload, 0)?)?,
                        }
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
        self.whole_tag = self.tag;
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
            .longlong(self.whole_tag)
            .octet(u8::from(self.open > 1))
            .finish();
        self.acks.extend(ack);
        self.open = 0;
    }
}

/// The generator's clock and the broker's, and whole milliseconds, may differ by so much.
const EARLY_MAX: u64 = 2_000_000;

#[cfg(test)]
mod tests;
