//! The network between a client and the broker: bytes arrive in order, late, in pieces, or
//! not at all.

use std::sync::Arc;
use std::time::Duration;

use bongsu_net::pipe::{End, pipe};
use bongsu_sim::Random;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// What may happen to one connection's bytes.
#[derive(Debug)]
pub struct Wire {
    state: Mutex<State>,
    changed: Notify,
    client: End,
    broker: End,
}

#[derive(Debug)]
struct State {
    /// Nothing passes before.
    split_until: Instant,
    end: Option<HowCut>,
}

/// Who learns of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowCut {
    /// Both sides, at once.
    Both,
    /// Only the client: to the broker it is silent from now on.
    ClientOnly,
}

impl Wire {
    /// A client's end and the broker's, joined; the task that carries the bytes lives as long
    /// as both sides do.
    pub fn lay(
        random: Random,
        on_arrival: impl Fn() + Send + Sync + 'static,
    ) -> (Arc<Wire>, End, End) {
        let (client, client_side) = pipe(PIPE_BYTES);
        let (broker, broker_side) = pipe(PIPE_BYTES);
        let wire = Arc::new(Wire {
            state: Mutex::new(State {
                split_until: Instant::now(),
                end: None,
            }),
            changed: Notify::new(),
            client: client_side,
            broker: broker_side,
        });
        tokio::spawn(carry(wire.clone(), random, on_arrival));
        (wire, client, broker)
    }

    /// Nothing passes for so long.
    pub fn split(&self, time: Duration) {
        let mut state = self.state.lock();
        state.split_until = state.split_until.max(Instant::now() + time);
    }

    /// The connection ends; what is on its way is lost.
    pub fn cut(&self, how: HowCut) {
        self.state.lock().end.get_or_insert(how);
        self.changed.notify_one();
    }

    /// Whether the broker has let the connection go: what it lent is free again.
    pub fn is_left_by_broker(&self) -> bool {
        self.broker.is_ended()
    }

    async fn passable(&self) {
        loop {
            let until = self.state.lock().split_until;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }

    async fn is_cut(&self) {
        while self.state.lock().end.is_none() {
            self.changed.notified().await;
        }
    }
}

async fn carry(wire: Arc<Wire>, mut random: Random, on_arrival: impl Fn()) {
    let (client, broker) = (&wire.client, &wire.broker);
    let there = pump(&wire, client, broker, random.fork(), &on_arrival);
    let back = pump(&wire, broker, client, random.fork(), &|| {});
    tokio::select! {
        biased;
        () = wire.is_cut() => {}
        () = there => {}
        () = back => {}
    }
    client.hang_up();
    let half_open = wire.state.lock().end == Some(HowCut::ClientOnly);
    while half_open && !broker.is_ended() {
        // It may say what it likes.
        broker.readable().await;
        let _ = broker.try_read(&mut [0; 4096]);
    }
    broker.hang_up();
}

async fn pump(wire: &Wire, from: &End, to: &End, mut random: Random, on_arrival: &impl Fn()) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        from.readable().await;
        // Cut anywhere, as a network does.
        let most = match random.below(10) {
            0 => 1 + random.below(20) as usize,
            1..4 => 1 + random.below(2000) as usize,
            _ => bytes.len(),
        };
        let count = match from.try_read(&mut bytes[..most]) {
            Ok(0) => return,
            Ok(count) => count,
            Err(_) => continue,
        };
        let late_us = match random.below(50) {
            0 => random.below(60_000),
            1..10 => random.below(5_000),
            _ => random.below(400),
        };
        sleep(Duration::from_micros(late_us)).await;
        wire.passable().await;
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            on_arrival();
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => to.writable().await,
                Err(_) => return,
            }
        }
    }
}

/// What an operating system keeps of a connection.
const PIPE_BYTES: usize = 64 << 10;
