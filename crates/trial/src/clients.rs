//! Those who take part: each a task that comes back whenever it loses its connection, until
//! its time is over or it has done all it was to do.

use std::sync::Arc;
use std::time::Duration;

use bongsu_net::pipe::End;
use bongsu_sim::Random;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::amqp::{Amqp, Gone};
use crate::host::{Host, Protocol};
use crate::ledger::{Ledger, Who};
use crate::plan::{Client, Role};
use crate::wire::Wire;

pub mod consumer;

pub mod follower;

pub mod producer;

pub mod publisher;

pub mod reader;

pub mod transactor;

pub mod transactions;

/// What all who take part share.
pub struct World {
    /// Where the broker is.
    pub host: Arc<Host>,
    /// What they know.
    pub ledger: Arc<Ledger>,
    /// The last connection of each.
    pub wires: Mutex<Vec<Option<Arc<Wire>>>>,
    random: Mutex<Random>,
}

/// One of them.
pub struct Actor {
    /// All of them.
    pub world: Arc<World>,
    /// Its place among them.
    pub place: usize,
    /// Its choices.
    pub random: Random,
    /// What it may still do.
    pub actions: u32,
    /// It goes on until then.
    pub until: Instant,
    /// Nothing fails in this trial: what is there is delivered soon.
    pub is_calm: bool,
}

impl World {
    /// A world of so many.
    pub fn new(host: Arc<Host>, ledger: Arc<Ledger>, count: usize, random: Random) -> Arc<World> {
        Arc::new(World {
            host,
            ledger,
            wires: Mutex::new(vec![None; count]),
            random: Mutex::new(random),
        })
    }

    /// A connection to the broker, if it is there.
    pub fn connect(&self, place: usize, protocol: Protocol) -> Option<(Who, End)> {
        if !self.host.is_up() {
            return None;
        }
        let host = self.host.clone();
        let random = self.random.lock().fork();
        let (wire, client, broker) = Wire::lay(random, move || host.tick());
        self.host.accept(protocol, broker);
        if let Some(last) = self.wires.lock().get_mut(place) {
            *last = Some(wire.clone());
        }
        let number = self.ledger.connection();
        Some((Who { number, wire }, client))
    }
}

impl Actor {
    /// Takes part.
    pub async fn act(mut self, client: Client) {
        match client.role {
            Role::Publish(to) => publisher::run(&mut self, to).await,
            Role::Consume(from) => consumer::run(&mut self, from).await,
            Role::Transact => transactor::run(&mut self).await,
            Role::Follow => follower::run(&mut self).await,
            Role::Produce => producer::run(&mut self).await,
            Role::ProduceInTransactions => transactions::run(&mut self).await,
            Role::Read => reader::run(&mut self).await,
        }
    }

    /// Whether it still has something to do, and time.
    pub fn goes_on(&self) -> bool {
        self.actions > 0 && Instant::now() < self.until
    }

    /// One thing less to do.
    pub fn acted(&mut self) {
        self.actions = self.actions.saturating_sub(1);
    }

    /// Waits for some time up to this.
    pub async fn pause(&mut self, ms_max: u64) {
        let pause = self.random.below(ms_max * 1000 + 1);
        sleep(Duration::from_micros(pause)).await;
    }

    /// A connection of this protocol, tried until there is one or the time is over.
    pub async fn connect(&mut self, protocol: Protocol) -> Option<(Who, End)> {
        while self.goes_on() {
            if let Some(connected) = self.world.connect(self.place, protocol) {
                return Some(connected);
            }
            self.pause(200).await;
        }
        None
    }

    /// One of AMQP with a channel.
    pub async fn open(&mut self) -> Option<(Who, Amqp)> {
        while let Some((who, end)) = self.connect(Protocol::Amqp).await {
            match Amqp::open(end).await {
                Ok(client) => return Some((who, client)),
                Err(Gone) => self.pause(100).await,
            }
        }
        None
    }
}
