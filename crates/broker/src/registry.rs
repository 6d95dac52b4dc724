//! Who is connected: every client connection of every protocol, with what is known of it.
//!
//! Each session's driver shares a [`Connection`] with whoever looks: what was agreed once and
//! a few counters. What changes with every message stays the session's own; it is asked for
//! ([`Registry::describe`]), and answers when its task next runs. So an idle connection costs
//! its entry and nothing else, and a list of fifty thousand asks none of them.
//!
//! Bounds: [`PROPERTIES_BYTES_MAX`] of what a client says of itself; [`QUESTIONS_MAX`] who
//! wait for one session's answer.
//!
//! Locks are leaves: nothing else is locked while one of these is held.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bongsu_engine::Refused;
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::LinkId;
use bongsu_engine::session::describe::Description;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::bounds::Bounds;

mod connection;
mod consumer;

pub use connection::{
    Connection, ConnectionFacts, ConnectionId, ConnectionState, Peer, Question, Tls, Traffic,
};
pub use consumer::Consumer;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Registry {
    connections: RwLock<BTreeMap<ConnectionId, Arc<Connection>>>,
    held: Mutex<Holders>,
    channels_open: AtomicU64,
    consumers_open: AtomicU64,
}

/// How much each user and space has open.
#[derive(Debug, Default)]
struct Holders {
    users: HashMap<Arc<str>, Held>,
    spaces: HashMap<SpaceId, (Arc<str>, Held)>,
}

/// How much somebody has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Connections.
    pub connections: u32,
    /// Channels of them.
    pub channels: u32,
}

impl Registry {
    /// All connections, ascending by id: the oldest first.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.connections.read().values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.connections.read().len()
    }

    /// How many channels they have open.
    pub fn channel_count(&self) -> u64 {
        self.channels_open.load(Ordering::Relaxed)
    }

    /// How many consumers there are on them, readers included.
    pub fn consumer_count(&self) -> u64 {
        self.consumers_open.load(Ordering::Relaxed)
    }

    /// One of them.
    pub fn find(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.connections.read().get(&id).cloned()
    }

    /// The connection of that name (`127.0.0.1:40000 -> 127.0.0.1:5672`); looks at all.
    pub fn find_named(&self, name: &str) -> Option<Arc<Connection>> {
        let connections = self.connections.read();
        let mut all = connections.values();
        all.find(|connection| connection.name() == name).cloned()
    }

    /// What a user has open.
    pub fn held_by_user(&self, user: &str) -> Held {
        let held = self.held.lock();
        held.users.get(user).copied().unwrap_or_default()
    }

    /// What is open in a space.
    pub fn held_by_space(&self, space: SpaceId) -> Held {
        let held = self.held.lock();
        held.spaces
            .get(&space)
            .map(|(_, held)| *held)
            .unwrap_or_default()
    }

    /// How the sessions stand, in the order asked; `None` of those who are gone or did not
    /// answer in time. All are asked at once, so it takes `within` at most.
    pub async fn describe(
        &self,
        connections: &[Arc<Connection>],
        within: Duration,
    ) -> Vec<Option<Description>> {
        let asked: Vec<_> = connections
            .iter()
            .map(|connection| {
                let (answer, answered) = oneshot::channel();
                connection
                    .ask(Question::Describe(answer))
                    .then_some(answered)
            })
            .collect();
        let deadline = tokio::time::Instant::now() + within;
        let mut descriptions = Vec::with_capacity(asked.len());
        for answered in asked {
            descriptions.push(match answered {
                Some(answered) => match tokio::time::timeout_at(deadline, answered).await {
                    Ok(Ok(description)) => Some(description),
                    Ok(Err(_)) | Err(_) => None,
                },
                None => None,
            });
        }
        descriptions
    }

    /// Closes a session as its protocol does, with a reason that its client is told; whether
    /// there is such a session.
    pub fn evict(&self, id: ConnectionId, reason: &str) -> bool {
        let connection = self.find(id);
        connection.is_some_and(|connection| connection.ask(Question::Leave(Arc::from(reason))))
    }

    /// Closes all sessions of a user; how many.
    pub fn evict_user(&self, user: &str, reason: &str) -> usize {
        self.evict_all(reason, |connection| connection.is_of_user(user))
    }

    /// Closes all sessions in a space; how many.
    pub fn evict_space(&self, space: SpaceId, reason: &str) -> usize {
        self.evict_all(reason, |connection| connection.space() == Some(space))
    }

    fn evict_all(&self, reason: &str, which: impl Fn(&Connection) -> bool) -> usize {
        let reason: Arc<str> = Arc::from(reason);
        let connections = self.connections();
        let chosen = connections.iter().filter(|connection| which(connection));
        let left = chosen.filter(|connection| connection.ask(Question::Leave(reason.clone())));
        left.count()
    }

    pub(crate) fn add(&self, connection: Arc<Connection>) {
        self.connections.write().insert(connection.id, connection);
    }

    pub(crate) fn remove(&self, connection: &Connection) {
        if self.connections.write().remove(&connection.id).is_none() {
            return;
        }
        let mut held = self.held.lock();
        held.leave(connection);
        let (channels, consumers) = connection.left();
        self.channels_open.fetch_sub(channels, Ordering::Relaxed);
        self.consumers_open.fetch_sub(consumers, Ordering::Relaxed);
    }

    /// A connection's user has entered a space.
    ///
    /// # Errors
    /// [`Refused::LimitReached`].
    pub(crate) fn enter(
        &self,
        connection: &Connection,
        user: &str,
        space: (SpaceId, &str),
        bounds: &Bounds,
    ) -> Result<(), Refused> {
        if !connection.is_listed() {
            return Ok(());
        }
        let mut held = self.held.lock();
        // Who logs in again enters again, and has its place.
        if connection.holders().is_none() {
            let of_user = held.users.get(user).copied().unwrap_or_default();
            let of_space = held.spaces.get(&space.0).map(|(_, held)| *held);
            bounds.admit_connection((user, of_user), (space.1, of_space.unwrap_or_default()))?;
        }
        held.leave(connection);
        let (user, name) = held.enter(user, space);
        connection.entered(user, (space.0, name));
        let channels = connection.channel_count();
        held.of(connection, |held| {
            held.connections += 1;
            held.channels += channels;
        });
        Ok(())
    }

    pub(crate) fn consumes(&self, connection: &Connection, consumer: Arc<Consumer>) {
        if connection.consumes(consumer) {
            self.consumers_open.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn consumed(&self, connection: &Connection, link: LinkId) {
        if connection.consumed(link) {
            self.consumers_open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A channel is opened, if it has a place.
    ///
    /// # Errors
    /// [`Refused::LimitReached`].
    pub(crate) fn open_channel(
        &self,
        connection: &Connection,
        channel: u32,
        bounds: &Bounds,
    ) -> Result<(), Refused> {
        let mut held = self.held.lock();
        if let Some((user, _)) = connection.holders() {
            let of_user = held.users.get(&user).copied().unwrap_or_default();
            bounds.admit_channel(&user, of_user)?;
        }
        self.channel(&mut held, connection, channel, true);
        Ok(())
    }

    /// A channel is closed.
    pub(crate) fn close_channel(&self, connection: &Connection, channel: u32) {
        self.channel(&mut self.held.lock(), connection, channel, false);
    }

    fn channel(&self, held: &mut Holders, connection: &Connection, channel: u32, is_open: bool) {
        if connection.channel(channel, is_open) {
            match is_open {
                true => self.channels_open.fetch_add(1, Ordering::Relaxed),
                false => self.channels_open.fetch_sub(1, Ordering::Relaxed),
            };
            held.of(connection, |held| match is_open {
                true => held.channels += 1,
                false => held.channels = held.channels.saturating_sub(1),
            });
        }
    }
}

impl Holders {
    fn enter(&mut self, user: &str, (space, name): (SpaceId, &str)) -> (Arc<str>, Arc<str>) {
        let user = match self.users.get_key_value(user) {
            Some((known, _)) => known.clone(),
            None => Arc::from(user),
        };
        self.users.entry(user.clone()).or_default();
        let named = || (Arc::from(name), Held::default());
        let (name, _) = self.spaces.entry(space).or_insert_with(named);
        (user, name.clone())
    }

    fn of(&mut self, connection: &Connection, change: impl Fn(&mut Held)) {
        let Some((user, space)) = connection.holders() else {
            return;
        };
        if let Some(held) = self.users.get_mut(&*user) {
            change(held);
            if *held == Held::default() {
                self.users.remove(&*user);
            }
        }
        if let Some((_, held)) = self.spaces.get_mut(&space) {
            change(held);
            if *held == Held::default() {
                self.spaces.remove(&space);
            }
        }
    }

    fn leave(&mut self, connection: &Connection) {
        let channels = connection.channel_count();
        self.of(connection, |held| {
            held.connections = held.connections.saturating_sub(1);
            held.channels = held.channels.saturating_sub(channels);
        });
    }
}

/// What is kept of what a client says of itself, encoded; more is not kept at all.
pub const PROPERTIES_BYTES_MAX: usize = 8 << 10;
/// Who may wait for one session's answer; others are told that there is none.
pub const QUESTIONS_MAX: usize = 16;

#[cfg(test)]
mod tests;
