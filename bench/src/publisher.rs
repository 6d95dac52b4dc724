//! One publisher: writes copies of one encoded message, many in a write, and reads confirms.
//!
//! One thread does both ends of its socket. That cannot lock up: what the broker may have to say
//! is bounded by the window (a confirm is 21 bytes), so it always fits the socket's buffers while
//! the publisher is stuck in a write.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::Result;
use crate::chunk::Chunk;
use crate::client::{self, CHANNEL, Client, TICK};
use crate::histogram::Histogram;
use crate::pace::Pace;
use crate::plan::Plan;
use crate::run::Run;
use crate::window::Window;
use crate::wire::{self, Method};

/// Publishes until the plan's count or the run's end, awaits outstanding confirms and returns
/// the confirm latencies that fell into the measured time.
pub fn publish(broker: SocketAddr, plan: &Plan, run: &Run) -> Result<Histogram> {
    let mut client = Client::connect(broker)?;
    if plan.transaction.is_some() {
        client.select_transactions()?;
    } else if plan.window.is_some() {
        client.select_confirms()?;
    }
    let mut publisher = Publisher {
        chunk: Chunk::encode(plan),
        window: plan
            .window
            .filter(|_| plan.transaction.is_none())
            .map(Window::new),
        pace: plan.rate.map(|rate| Pace::new(rate, run.now())),
        latencies: Histogram::new(),
        sent: 0,
        client,
        plan,
        run,
    };
    match plan.transaction {
        Some(count) => publisher.commit_all(count)?,
        None => publisher.publish_all()?,
    }
    publisher.client.close()?;
    Ok(publisher.latencies)
}

struct Publisher<'a> {
    chunk: Chunk,
    window: Option<Window>,
    pace: Option<Pace>,
    latencies: Histogram,
    sent: u64,
    client: Client,
    plan: &'a Plan,
    run: &'a Run,
}

impl Publisher<'_> {
    fn publish_all(&mut self) -> Result<()> {
        let mut writes = 0_u64;
        while self.run.publishing() && self.left() > 0 {
            let now = self.run.now();
            let count = self.may_send(now);
            if count > 0 {
                self.send(count, now)?;
                writes += 1;
            }
            if self.window.is_none() {
                // Nothing is awaited, but a broker that closes should be heard.
                if writes.is_multiple_of(64) {
                    self.read_ready()?;
                }
            } else if count > 0 && self.may_send(now) > 0 {
                self.read_ready()?;
            } else {
                self.read_or_wait()?;
            }
        }
        self.await_confirms()
    }

    /// How many may go out in one write.
    fn may_send(&self, now: u64) -> usize {
        let free = self.window.as_ref().map_or(usize::MAX, Window::free);
        let due = self
            .pace
            .as_ref()
            .map_or(u64::MAX, |pace| pace.due(now) - self.sent);
        let left = due.min(self.left());
        free.min(self.chunk.messages)
            .min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn left(&self) -> u64 {
        self.plan.count.map_or(u64::MAX, |count| count - self.sent)
    }

    fn send(&mut self, count: usize, now: u64) -> Result<()> {
        let differs = self.chunk.differs();
        for index in 0..count {
            let number = self.sent + index as u64;
            // A paced message counts from when it was due: the broker may not hide its stalls by
            // stalling the generator.
            let at = self.pace.as_ref().map_or(now, |pace| pace.due_at(number));
            if differs {
                self.chunk.write(index, number, at, now);
            }
            if let Some(window) = &mut self.window {
                window.sent(at);
            }
        }
        client::send(&mut self.client.socket, self.chunk.first(count))?;
        self.sent += count as u64;
        self.run.add_sent(count);
        Ok(())
    }

    /// One transaction after another, each of `count` messages; their latencies are the commits'.
    fn commit_all(&mut self, count: usize) -> Result<()> {
        let commit = Method::new(CHANNEL, wire::TX_COMMIT).finish();
        while self.run.publishing() && self.left() > 0 {
            let now = self.run.now();
            let count = count
                .min(self.chunk.messages)
                .min(usize::try_from(self.left()).unwrap_or(usize::MAX));
            self.send(count, now)?;
            self.client.send(&commit)?;
            self.client.answer(wire::TX_COMMIT_OK)?;
            if self.run.measuring() {
                self.latencies.record(self.run.now() - now);
            }
            self.run.add_confirmed(count as u64);
        }
        Ok(())
    }

    fn await_confirms(&mut self) -> Result<()> {
        let mut last = (usize::MAX, Instant::now());
        while let Some(waiting) = self
            .window
            .as_ref()
            .map(Window::in_flight)
            .filter(|n| *n > 0)
        {
            if waiting < last.0 {
                last = (waiting, Instant::now());
            } else if last.1.elapsed() > CONFIRM_TIMEOUT {
                return Err(
                    format!("{waiting} publishes unconfirmed after {CONFIRM_TIMEOUT:?}").into(),
                );
            }
            if self.client.receive()? {
                self.take_confirms()?;
            }
        }
        Ok(())
    }

    /// Reads what is there already.
    fn read_ready(&mut self) -> Result<()> {
        let socket = &self.client.socket;
        match recv(socket, self.client.input.space(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err("broker closed the publisher's connection without a word".into()),
            Ok((count, _)) => {
                self.client.input.filled(count);
                self.take_confirms()
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(format!("read: {error}").into()),
        }
    }

    /// Reads once something comes, the next message is due or a tick is over.
    fn read_or_wait(&mut self) -> Result<()> {
        let Some(pace) = &self.pace else {
            if self.client.receive()? {
                self.take_confirms()?;
            }
            return Ok(());
        };
        let due = Duration::from_nanos(pace.due_at(self.sent).saturating_sub(self.run.now()));
        let wait = Timespec::try_from(due.min(TICK)).expect("a tick fits");
        let mut polled = [PollFd::new(&self.client.socket, PollFlags::IN)];
        match poll(&mut polled, Some(&wait)) {
            Ok(0) | Err(Errno::INTR) => Ok(()),
            Ok(_) => self.read_ready(),
            Err(error) => Err(format!("poll: {error}").into()),
        }
    }

    fn take_confirms(&mut self) -> Result<()> {
        let now = self.run.now();
        let measuring = self.run.measuring();
        let mut confirmed = 0;
        while let Some(frame) = self.client.input.next_frame()? {
            let method = frame.method();
            match (method, &mut self.window) {
                (Some(wire::BASIC_ACK), Some(window)) => {
                    let tag = wire::u64_at(frame.payload, 4)?;
                    let multiple = frame.payload.get(12).is_some_and(|bits| bits & 1 == 1);
                    window.confirmed(tag, multiple, |sent_at| {
                        confirmed += 1;
                        if measuring {
                            self.latencies.record(now.saturating_sub(sent_at));
                        }
                    })?;
                }
                (Some(wire::BASIC_NACK), _) => return Err("broker refused a publish".into()),
                _ => client::refuse_close(method, frame.payload)?,
            }
        }
        self.run.add_confirmed(confirmed);
        Ok(())
    }
}

const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
