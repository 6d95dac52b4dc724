//! What is known of one connection without asking its session.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use bongsu_engine::router::SpaceId;
use bongsu_engine::session::LinkId;
use bongsu_engine::session::describe::{Client, Description};
use bongsu_record::{Arguments, table};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{Consumer, PROPERTIES_BYTES_MAX, QUESTIONS_MAX};

/// A connection's number, of this process only: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Where a client is, and how it came in.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `AMQP 0-9-1`, `Kafka`.
    pub protocol: &'static str,
    /// The client's address.
    pub peer: SocketAddr,
    /// Ours, as the client found it.
    pub local: SocketAddr,
}

/// How the bytes are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.3`.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Subject of the client's certificate, if it showed one.
    pub peer_subject: Option<String>,
}

/// What a client is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectionState {
    /// It has not said who it is and where it works.
    Starting,
    /// It is served.
    Running,
    /// It publishes faster than can be taken, and is not read for a moment.
    Flow,
    /// It publishes while publishers are held back, and was told so.
    Blocked,
}

/// One client connection. Its driver writes, everybody may read.
#[derive(Debug)]
pub struct Connection {
    /// Its number; also that of its session.
    pub id: ConnectionId,
    /// `None`: no client's, but a session of the broker's own.
    peer: Option<Peer>,
    /// Unix milliseconds.
    pub connected_at_ms: u64,
    /// What went through it.
    pub traffic: Traffic,
    state: AtomicU8,
    facts: Mutex<Facts>,
    asked: Mutex<Vec<Question>>,
    wake: Notify,
}

/// What went through a connection. One writer: its driver.
#[derive(Debug, Default)]
pub struct Traffic {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
}

#[derive(Debug, Default)]
struct Facts {
    user: Option<Arc<str>>,
    space: Option<(SpaceId, Arc<str>)>,
    client: Option<Box<Kept>>,
    tls: Option<Arc<Tls>>,
    /// Ascending; mostly one.
    channels: Vec<u32>,
    consumers: BTreeMap<LinkId, Arc<Consumer>>,
    left: bool,
}

/// [`Client`] with its properties encoded: a third of the memory.
#[derive(Debug)]
struct Kept {
    name: Box<str>,
    mechanism: &'static str,
    properties: Box<[u8]>,
    frame_bytes_max: u64,
    channel_max: u32,
    heartbeat_s: u32,
}

/// What a session is asked by others than its client.
#[derive(Debug)]
pub enum Question {
    /// How it stands.
    Describe(oneshot::Sender<Description>),
    /// To take leave, with the reason.
    Leave(Arc<str>),
}

/// A connection at one moment.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Its number.
    pub id: ConnectionId,
    /// `127.0.0.1:40000 -> 127.0.0.1:5672`.
    pub name: String,
    /// Where the client is.
    pub peer: Peer,
    /// Unix milliseconds.
    pub connected_at_ms: u64,
    /// What it waits for.
    pub state: ConnectionState,
    /// Who it is; empty before it has said so.
    pub user: Arc<str>,
    /// Where it works; empty before it has said so.
    pub space: Arc<str>,
    /// What it says of itself.
    pub client: Client,
    /// How the bytes are protected, if they are.
    pub tls: Option<Arc<Tls>>,
    /// Channels open.
    pub channels: u32,
    /// Consumers on them.
    pub consumers: u32,
    /// Bytes read and written; socket reads and writes.
    pub bytes_in: u64,
    #[allow(missing_docs)]
    pub bytes_out: u64,
    #[allow(missing_docs)]
    pub reads: u64,
    #[allow(missing_docs)]
    pub writes: u64,
}

impl Traffic {
    /// So many bytes were read at once.
    pub fn read(&self, bytes: usize) {
        more(&self.bytes_in, bytes as u64);
        more(&self.reads, 1);
    }

    /// So many bytes were written at once.
    pub fn wrote(&self, bytes: usize) {
        more(&self.bytes_out, bytes as u64);
        more(&self.writes, 1);
    }
}

/// With one writer, a load and a store are enough.
fn more(counter: &AtomicU64, count: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(count), Ordering::Relaxed);
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, peer: Option<Peer>, now_ms: u64) -> Arc<Connection> {
        Arc::new(Connection {
            id,
            peer,
            connected_at_ms: now_ms,
            traffic: Traffic::default(),
            state: AtomicU8::new(ConnectionState::Starting as u8),
            facts: Mutex::default(),
            asked: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// `127.0.0.1:40000 -> 127.0.0.1:5672`, as RabbitMQ names it; empty for a session of the
    /// broker's own.
    pub fn name(&self) -> String {
        let Some(peer) = &self.peer else {
            return String::new();
        };
        let at = |address: SocketAddr| {
            SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
        };
        format!("{} -> {}", at(peer.peer), at(peer.local))
    }

    /// Where its client is.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.peer.is_some()
    }

    /// Everything about it, as it is.
    pub fn facts(&self) -> Option<ConnectionFacts> {
        let peer = self.peer.clone()?;
        let facts = self.facts.lock();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Some(ConnectionFacts {
            id: self.id,
            name: self.name(),
            peer,
            connected_at_ms: self.connected_at_ms,
            state: self.state(),
            user: facts.user.clone().unwrap_or_default(),
            space: facts
                .space
                .as_ref()
                .map(|(_, name)| name.clone())
                .unwrap_or_default(),
            client: facts
                .client
                .as_ref()
                .map(|kept| kept.client())
                .unwrap_or_default(),
            tls: facts.tls.clone(),
            channels: u32::try_from(facts.channels.len()).unwrap_or(u32::MAX),
            consumers: u32::try_from(facts.consumers.len()).unwrap_or(u32::MAX),
            bytes_in: count(&self.traffic.bytes_in),
            bytes_out: count(&self.traffic.bytes_out),
            reads: count(&self.traffic.reads),
            writes: count(&self.traffic.writes),
        })
    }

    /// What it waits for.
    pub fn state(&self) -> ConnectionState {
        match self.state.load(Ordering::Relaxed) {
            0 => ConnectionState::Starting,
            1 => ConnectionState::Running,
            2 => ConnectionState::Flow,
            _ => ConnectionState::Blocked,
        }
    }

    /// What it waits for is another.
    pub fn set_state(&self, state: ConnectionState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// The client has said who it is.
    pub fn set_client(&self, client: Client) {
        self.facts.lock().client = Some(Box::new(Kept::of(client)));
    }

    /// How its bytes are protected.
    pub fn set_tls(&self, tls: Tls) {
        self.facts.lock().tls = Some(Arc::new(tls));
    }

    /// Where it works.
    pub fn space(&self) -> Option<SpaceId> {
        self.facts.lock().space.as_ref().map(|(id, _)| *id)
    }

    /// As that is called; empty before it has said where it works.
    pub fn space_name(&self) -> Arc<str> {
        let facts = self.facts.lock();
        let space = facts.space.as_ref();
        space.map(|(_, name)| name.clone()).unwrap_or_default()
    }

    /// Who it is; empty before it has said so.
    pub fn user(&self) -> Arc<str> {
        self.facts.lock().user.clone().unwrap_or_default()
    }

    /// Whether it has said that it is this one.
    pub fn is_of_user(&self, user: &str) -> bool {
        self.facts.lock().user.as_deref() == Some(user)
    }

    /// Its consumers, ascending by link.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.facts.lock().consumers.values().cloned().collect()
    }

    /// Numbers of the channels that are open, ascending.
    pub fn channels(&self) -> Vec<u32> {
        self.facts.lock().channels.clone()
    }

    /// How many.
    pub fn channel_count(&self) -> u32 {
        u32::try_from(self.facts.lock().channels.len()).unwrap_or(u32::MAX)
    }

    /// Puts a question to the session; `false` if it takes none any more.
    pub fn ask(&self, question: Question) -> bool {
        if self.facts.lock().left {
            return false;
        }
        let mut asked = self.asked.lock();
        if asked.len() >= QUESTIONS_MAX && matches!(question, Question::Describe(_)) {
            // Who gave up waiting makes room.
            asked.retain(|question| match question {
                Question::Describe(answer) => !answer.is_closed(),
                Question::Leave(_) => true,
            });
            if asked.len() >= QUESTIONS_MAX {
                return false;
            }
        }
        asked.push(question);
        drop(asked);
        self.wake.notify_one();
        true
    }

    /// Returns once somebody asks something.
    pub async fn asked(&self) {
        self.wake.notified().await;
    }

    /// What was asked.
    pub fn take_questions(&self) -> Vec<Question> {
        std::mem::take(&mut *self.asked.lock())
    }

    pub(crate) fn entered(&self, user: Arc<str>, space: (SpaceId, Arc<str>)) {
        let mut facts = self.facts.lock();
        facts.user = Some(user);
        facts.space = Some(space);
        self.set_state(ConnectionState::Running);
    }

    pub(crate) fn holders(&self) -> Option<(Arc<str>, SpaceId)> {
        let facts = self.facts.lock();
        Some((facts.user.clone()?, facts.space.as_ref()?.0))
    }

    /// It is gone: nobody is answered any more. How many channels and consumers it had.
    pub(crate) fn left(&self) -> (u64, u64) {
        let mut facts = self.facts.lock();
        facts.left = true;
        let channels = std::mem::take(&mut facts.channels).len();
        let consumers = std::mem::take(&mut facts.consumers).len();
        drop(facts);
        self.asked.lock().clear();
        (channels as u64, consumers as u64)
    }

    /// A channel was opened or closed; whether it was not already.
    pub(crate) fn channel(&self, channel: u32, is_open: bool) -> bool {
        if !self.is_listed() {
            return false;
        }
        let channels = &mut self.facts.lock().channels;
        match (channels.binary_search(&channel), is_open) {
            (Err(index), true) => channels.insert(index, channel),
            (Ok(index), false) => drop(channels.remove(index)),
            _ => return false,
        }
        true
    }

    /// Whether it has one more consumer now.
    pub(crate) fn consumes(&self, consumer: Arc<Consumer>) -> bool {
        if !self.is_listed() {
            return false;
        }
        let consumers = &mut self.facts.lock().consumers;
        consumers.insert(consumer.link, consumer).is_none()
    }

    /// Whether it has one consumer less now.
    pub(crate) fn consumed(&self, link: LinkId) -> bool {
        self.facts.lock().consumers.remove(&link).is_some()
    }
}

impl Kept {
    fn of(client: Client) -> Kept {
        let mut properties = Vec::new();
        table::encode(&client.properties, &mut properties);
        if properties.len() > PROPERTIES_BYTES_MAX {
            properties.clear();
        }
        let mut name = client.name;
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        Kept {
            name: name.into_boxed_str(),
            mechanism: client.mechanism,
            properties: properties.into_boxed_slice(),
            frame_bytes_max: client.frame_bytes_max,
            channel_max: client.channel_max,
            heartbeat_s: client.heartbeat_s,
        }
    }

    fn client(&self) -> Client {
        let properties = match table::decode(&self.properties) {
            Ok((properties, _)) => properties,
            // Too long to be kept.
            Err(_) => Arguments::new(),
        };
        Client {
            name: self.name.to_string(),
            mechanism: self.mechanism,
            properties,
            frame_bytes_max: self.frame_bytes_max,
            channel_max: self.channel_max,
            heartbeat_s: self.heartbeat_s,
        }
    }
}

/// Of what a client calls itself.
const NAME_BYTES_MAX: usize = 1024;
