//! Who is connected, with which channels and consumers: lists by pages, and how to send
//! somebody away.
//!
//! A page asks only the sessions it shows; everything else comes from what connections share
//! with the [registry](crate::registry). Who may see or close what is asked by the caller:
//! RabbitMQ shows users without the tag `monitoring` only their own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bongsu_engine::session::LinkId;
use bongsu_engine::session::describe::{self, Description};
use bongsu_record::Arguments;

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::registry::{Connection, ConnectionFacts, ConnectionId, Consumer};

/// Which connections; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    /// Of this user.
    pub user: Option<String>,
    /// In this space.
    pub space: Option<String>,
    /// Of this protocol.
    pub protocol: Option<String>,
    /// With this in its name, or in what the client calls itself.
    pub name: Option<String>,
}

/// Some of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Those of the page.
    pub items: Vec<T>,
    /// How many the filter lets through.
    pub filtered: usize,
    /// How many there are.
    pub total: usize,
}

/// An open channel.
#[derive(Clone, Debug)]
pub struct ChannelFacts {
    /// `127.0.0.1:40000 -> 127.0.0.1:5672 (1)`.
    pub name: String,
    /// Whose.
    pub connection: Arc<ConnectionFacts>,
    /// Its number within it.
    pub number: u32,
    /// How it stands; `None` if its session did not answer in time.
    pub stands: Option<describe::Channel>,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct ConsumerFacts {
    /// What it is called within its channel.
    pub tag: String,
    /// Whose.
    pub connection: ConnectionId,
    /// The connection's name.
    pub connection_name: String,
    /// Whose that is.
    pub user: Arc<str>,
    /// Where its client is; empty if that is gone.
    pub peer_host: String,
    /// Its port.
    pub peer_port: u16,
    /// The channel it is of.
    pub channel: u32,
    /// Its session's name of it.
    pub link: LinkId,
    /// Where the queue is.
    pub space: Arc<str>,
    /// The queue.
    pub queue: Arc<str>,
    /// What it is lent has to be settled.
    pub ack_required: bool,
    /// No other consumer beside it.
    pub exclusive: bool,
    /// Records it may hold at once; 0 = no limit.
    pub prefetch: u32,
    /// Higher is served first.
    pub priority: i64,
    /// It reads a stream, or along a queue.
    pub reads: bool,
    /// As given.
    pub arguments: Arguments,
    /// Records it holds.
    pub unsettled: u64,
    /// It is served; not where a queue has one active consumer and this one stands by.
    pub active: bool,
    /// It is the only one that is served, with others standing by or to come.
    pub single_active: bool,
}

/// Longest that a page waits for sessions to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

impl ConnectionFilter {
    fn admits(&self, connection: &Connection) -> bool {
        let Some(facts) = connection.facts() else {
            return false;
        };
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        let named = |part: &str| facts.name.contains(part) || facts.client.name.contains(part);
        is(&self.user, &facts.user)
            && is(&self.space, &facts.space)
            && is(&self.protocol, facts.peer.protocol)
            && self.name.as_deref().is_none_or(named)
    }

    fn admits_all(&self) -> bool {
        let all = [&self.user, &self.space, &self.protocol, &self.name];
        all.iter().all(|wanted| wanted.is_none())
    }
}

impl Broker {
    fn connections_of(&self, filter: &ConnectionFilter) -> (Vec<Arc<Connection>>, usize) {
        let mut connections = self.registry().connections();
        let total = connections.len();
        if !filter.admits_all() {
            connections.retain(|connection| filter.admits(connection));
        }
        (connections, total)
    }

    /// Connections, the oldest first: `range` of those that the filter lets through.
    pub fn list_connections(
        &self,
        filter: &ConnectionFilter,
        range: Range<usize>,
    ) -> Page<ConnectionFacts> {
        let (connections, total) = self.connections_of(filter);
        let shown = connections.get(within(&range, connections.len()));
        let shown = shown.unwrap_or_default().iter();
        Page {
            items: shown.filter_map(|connection| connection.facts()).collect(),
            filtered: connections.len(),
            total,
        }
    }

    /// One connection by its name (`127.0.0.1:40000 -> 127.0.0.1:5672`).
    pub fn connection_named(&self, name: &str) -> Option<ConnectionFacts> {
        self.registry().find_named(name)?.facts()
    }

    /// Channels of connections that the filter lets through, those of the oldest first.
    pub async fn list_channels(
        &self,
        filter: &ConnectionFilter,
        range: Range<usize>,
    ) -> Page<ChannelFacts> {
        let (connections, _) = self.connections_of(filter);
        let mut at = 0;
        let mut shown = Vec::new();
        for connection in connections {
            let numbers = connection.channels();
            let end = at + numbers.len();
            if at < range.end && range.start < end {
                let from = range.start.saturating_sub(at);
                let until = numbers.len().min(range.end - at);
                shown.push((connection, numbers[from..until].to_vec()));
            }
            at = end;
        }
        let asked: Vec<_> = shown.iter().map(|(one, _)| one.clone()).collect();
        let described = self.registry().describe(&asked, ANSWER_TIMEOUT).await;
        let mut items = Vec::new();
        for ((connection, numbers), described) in shown.iter().zip(&described) {
            let Some(facts) = connection.facts().map(Arc::new) else {
                continue;
            };
            let of = |number: &u32| channel_facts(&facts, *number, described.as_ref());
            items.extend(numbers.iter().map(of));
        }
        Page {
            items,
            filtered: at,
            total: at,
        }
    }

    /// Channels of one connection.
    pub async fn channels_of(&self, id: ConnectionId) -> Vec<ChannelFacts> {
        let Some(connection) = self.registry().find(id) else {
            return Vec::new();
        };
        let numbers = connection.channels();
        let asked = std::slice::from_ref(&connection);
        let mut described = self.registry().describe(asked, ANSWER_TIMEOUT).await;
        let described = described.pop().flatten();
        let Some(facts) = connection.facts().map(Arc::new) else {
            return Vec::new();
        };
        let of = |number: &u32| channel_facts(&facts, *number, described.as_ref());
        numbers.iter().map(of).collect()
    }

    /// Consumers of all queues of a space, or of all spaces, by connection.
    pub fn list_consumers(&self, space: Option<&str>, range: Range<usize>) -> Page<ConsumerFacts> {
        let wanted = space.map(|name| self.space(name).ok());
        let mut consumers: Vec<Arc<Consumer>> = Vec::new();
        for connection in self.registry().connections() {
            consumers.extend(connection.consumers());
        }
        let total = consumers.len();
        if let Some(wanted) = wanted {
            consumers.retain(|consumer| Some(consumer.space) == wanted);
        }
        let shown = consumers.get(within(&range, consumers.len()));
        let shown = shown.unwrap_or_default().iter();
        Page {
            items: shown
                .map(|consumer| self.consumer_facts(consumer))
                .collect(),
            filtered: consumers.len(),
            total,
        }
    }

    /// Consumers and readers of one queue, in the order they came.
    pub fn consumers_of(&self, space: &str, queue: &str) -> Vec<ConsumerFacts> {
        let space = self.space(space).ok();
        let id = space.and_then(|space| self.catalog().queue_id(space, queue));
        let cell = id.and_then(|id| self.cell(id));
        let consumers = cell.map(|cell| cell.consumers()).unwrap_or_default();
        consumers
            .iter()
            .map(|one| self.consumer_facts(one))
            .collect()
    }

    fn consumer_facts(&self, consumer: &Arc<Consumer>) -> ConsumerFacts {
        let connection = self.registry().find(consumer.connection);
        let peer = connection.as_ref().and_then(|connection| connection.peer());
        let peer = peer.map(|peer| peer.peer);
        let cell = self.cell(consumer.queue_id);
        let held = cell.as_ref().map(|cell| cell.held_by(consumer.key));
        let (unsettled, active, single_active) = held.unwrap_or((0, false, false));
        ConsumerFacts {
            tag: consumer.tag.clone(),
            connection: consumer.connection,
            connection_name: connection
                .as_ref()
                .map(|one| one.name())
                .unwrap_or_default(),
            user: connection
                .as_ref()
                .map(|one| one.user())
                .unwrap_or_default(),
            peer_host: peer
                .map(|at| at.ip().to_canonical().to_string())
                .unwrap_or_default(),
            peer_port: peer.map_or(0, |at| at.port()),
            channel: consumer.channel,
            link: consumer.link,
            space: consumer.space_name.clone(),
            queue: consumer.queue.clone(),
            ack_required: consumer.ack_required,
            exclusive: consumer.exclusive,
            prefetch: consumer.prefetch,
            priority: consumer.priority,
            reads: consumer.reads,
            arguments: consumer.arguments.clone(),
            unsettled,
            active,
            single_active,
        }
    }

    /// Closes a session as its protocol does, with a reason that its client is told; whether
    /// there is such a session.
    pub fn close_connection(&self, id: ConnectionId, reason: &str) -> bool {
        self.registry().evict(id, reason)
    }
}

impl QueueCell {
    /// Consumers and readers, in the order they came.
    pub(crate) fn consumers(&self) -> Vec<Arc<Consumer>> {
        let state = self.lock();
        let consumers = state.targets.values();
        consumers
            .filter_map(|target| target.consumer.clone())
            .collect()
    }

    /// Records that a consumer holds, whether it is served, and whether it alone is.
    fn held_by(&self, key: bongsu_engine::queue::LinkKey) -> (u64, bool, bool) {
        let state = self.lock();
        let links = state.machine.links();
        match links.held(key) {
            Some(held) => (held, links.is_served(key), links.active() == Some(key)),
            None => {
                let reading = state.reading.as_ref();
                (reading.map_or(0, |reading| reading.held(key)), true, false)
            }
        }
    }
}

fn channel_facts(
    connection: &Arc<ConnectionFacts>,
    number: u32,
    described: Option<&Description>,
) -> ChannelFacts {
    let mut stands = described
        .into_iter()
        .flat_map(|described| &described.channels);
    ChannelFacts {
        name: format!("{} ({number})", connection.name),
        connection: connection.clone(),
        number,
        stands: stands.find(|channel| channel.number == number).cloned(),
    }
}

fn within(range: &Range<usize>, length: usize) -> Range<usize> {
    let start = range.start.min(length);
    start..range.end.clamp(start, length)
}
