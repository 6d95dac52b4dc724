//! Queues as people see them: how deep, how old, who holds what, and why nothing moves.
//!
//! Whoever may enter a space sees its queues, those of other sessions included; records are
//! shown to whoever may read the queue. A queue's lock is held for a few counters at a time;
//! the age of its oldest record is looked up in the log outside of it, and remembered until
//! another is the oldest.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::catalog::{QueueDefinition, QueueId};
use bongsu_engine::queue::why::{Code, Depth, Shut, Why};
use bongsu_engine::queue::{Held, LinkKey, Properties};
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::SpaceId;
use bongsu_record::{Messages, Offset};
use parking_lot::Mutex;

use super::Operator;
use crate::broker::Broker;
use crate::cell::{QueueCell, State};
use crate::handle::{SessionHandle, not_found, refused};
use crate::outbox::Target;
use crate::registry::{ConnectionId, Consumer};
use crate::statistics::Activity;

/// What a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueKind {
    /// Records go when they are settled.
    Queue,
    /// Records stay, and each reader has its own place.
    Stream,
    /// A queue of a stream's records.
    Subscription,
}

impl QueueKind {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            QueueKind::Queue => "queue",
            QueueKind::Stream => "stream",
            QueueKind::Subscription => "subscription",
        }
    }
}

/// A queue by its name.
#[derive(Clone, Debug)]
pub struct QueueName {
    /// Where it is.
    pub space: Arc<str>,
    /// What it is called there.
    pub name: Arc<str>,
    /// What it is.
    pub kind: QueueKind,
    id: QueueId,
}

/// A queue at one moment.
#[derive(Clone, Debug)]
pub struct QueueSeen {
    /// As it was declared.
    pub definition: Arc<QueueDefinition>,
    /// Where it is.
    pub space: Arc<str>,
    /// What it is.
    pub kind: QueueKind,
    /// The policy that applies to it.
    pub policy: Option<String>,
    /// What its arguments and policy come to.
    pub properties: Arc<Properties>,
    /// Whose records it consumes, if another's.
    pub source: Option<Arc<str>>,
    /// Records by state; of a stream, all are ready.
    pub depth: Depth,
    /// Consumers and readers.
    pub consumers: u32,
    /// First offset that is kept.
    pub start: Offset,
    /// Behind the last.
    pub end: Offset,
    /// Bytes of all that is kept.
    pub bytes: u64,
    /// Of these, in memory.
    pub memory_bytes: u64,
    /// Files.
    pub segments: usize,
    /// The first record that somebody is owed; of a stream, the first.
    pub oldest: Option<Offset>,
    /// What was counted of it.
    pub activity: Activity,
}

/// Why nothing is delivered, with what only the broker knows.
#[derive(Clone, Debug)]
pub struct WhySeen {
    /// What the queue says.
    pub why: Why,
    /// Publishers are held back, and why.
    pub alarm: Option<Arc<str>>,
    /// Readers of a stream, and those of them that hold as many as they may.
    pub readers: Option<(u32, u32)>,
    /// Where dead records go: exchange and routing key.
    pub dead_letter: Option<(String, Option<String>)>,
    /// Who those are that it names.
    pub who: BTreeMap<LinkKey, Who>,
}

/// Who holds leases, or consumes.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// What the client calls its consumer; empty: it has been cancelled, only gets, or is a
    /// member of a share group.
    pub tag: String,
    /// Its connection's name; empty if that is gone, or there is no consumer.
    pub connection: String,
    /// The channel it is of.
    pub channel: u32,
    /// Whose connection it is.
    pub user: Arc<str>,
}

/// A consumer or reader of a queue.
#[derive(Clone, Debug)]
pub struct ConsumerSeen {
    /// Its number.
    pub key: LinkKey,
    /// Who it is.
    pub who: Who,
    /// It reads, and competes with nobody.
    pub reads: bool,
    /// Records it may hold at once; 0 = no limit.
    pub prefetch: u64,
    /// Records it holds.
    pub held: u64,
    /// Higher is served first.
    pub priority: i64,
    /// No other beside it.
    pub exclusive: bool,
    /// What keeps it from being handed more.
    pub shut: Option<Shut>,
    /// Where only one is served: it is that one.
    pub active: bool,
    /// A reader's place: it has settled all below the first, and is handed the second next.
    pub place: Option<(Offset, Offset)>,
}

/// Leases of a queue.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    /// In runs of offsets.
    pub held: Vec<Held>,
    /// How many records are leased in all.
    pub total: u64,
    /// From where to go on, if there are more.
    pub next: Option<Offset>,
    /// Who the holders are.
    pub who: BTreeMap<LinkKey, Who>,
}

/// Who a link is, as its queue knows.
enum Known {
    Consumer(Arc<Consumer>),
    Holder(ConnectionId),
}

/// A queue found for somebody.
pub(crate) struct Found {
    pub session: SessionHandle,
    pub space: SpaceId,
    pub space_name: Arc<str>,
    pub cell: Arc<QueueCell>,
}

/// When the oldest record was appended, and which that was.
#[derive(Debug, Default)]
pub(crate) struct OldestKnown(Mutex<Option<(Offset, u64)>>);

impl Operator {
    /// A queue, and a session of this user in its space.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub(crate) fn find_queue(&self, space: &str, name: &str) -> Result<Found, Refused> {
        let session = self.session(space)?;
        let id = session.in_space()?;
        let queue = self.broker().catalog().router().queue(id, name);
        let cell = queue.and_then(|queue| self.broker().cell(queue));
        Ok(Found {
            session,
            space: id,
            space_name: Arc::from(space),
            cell: cell.ok_or_else(|| not_found(name))?,
        })
    }

    /// As [`Operator::find_queue`], for somebody who may do this to the queue.
    pub(crate) fn find_queue_to(
        &self,
        permission: Permission,
        space: &str,
        name: &str,
    ) -> Result<Found, Refused> {
        let found = self.find_queue(space, name)?;
        found.session.allowed(permission, Kind::Queue, name)?;
        Ok(found)
    }

    /// The spaces that this user may enter, by name.
    pub fn spaces(&self) -> Vec<String> {
        let names: Vec<Arc<str>> = {
            let catalog = self.broker().catalog();
            catalog
                .spaces()
                .map(|(_, space)| space.name.clone())
                .collect()
        };
        let mut names: Vec<String> = names
            .into_iter()
            .filter(|name| self.session(name).is_ok())
            .map(|name| name.to_string())
            .collect();
        names.sort_unstable();
        names
    }

    /// How many exchanges there are in the spaces that this user may enter, the default ones
    /// not among them.
    pub fn exchange_count(&self) -> u64 {
        let spaces = self.spaces();
        let catalog = self.broker().catalog();
        let exchanges = catalog.exchanges().filter(|(space, _)| {
            let name = catalog.space_name(*space);
            spaces.iter().any(|known| **known == *name)
        });
        exchanges.count() as u64
    }

    /// A queue as it is.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn queue(&self, space: &str, name: &str) -> Result<QueueSeen, Refused> {
        let found = self.find_queue(space, name)?;
        let broker = self.broker();
        let seen = broker.queue_seen(&found.cell, &found.space_name);
        seen.ok_or_else(|| not_found(name))
    }

    /// The queues of a space whose names contain a text, in the order of names: partitions
    /// beyond a topic's first and places of share groups are not among them.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn queue_names(&self, space: &str, text: &str) -> Result<Vec<QueueName>, Refused> {
        let id = self.session(space)?.in_space()?;
        let space: Arc<str> = Arc::from(space);
        let catalog = self.broker().catalog();
        let of_space = catalog.queues().filter(|(_, of, definition)| {
            *of == id
                && definition.part_of.is_none()
                && !definition.name.starts_with(SHARE_PREFIX)
                && definition.name.contains(text)
        });
        let named = of_space.map(|(id, _, definition)| {
            let is_stream = catalog.properties(id).is_some_and(|known| known.is_stream);
            QueueName {
                space: space.clone(),
                name: definition.name.clone(),
                kind: match (definition.source, is_stream) {
                    (Some(_), _) => QueueKind::Subscription,
                    (None, true) => QueueKind::Stream,
                    (None, false) => QueueKind::Queue,
                },
                id,
            }
        });
        let mut named: Vec<QueueName> = named.collect();
        named.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(named)
    }

    /// A queue of such a list as it is; `None`: it is gone.
    pub fn named(&self, named: &QueueName) -> Option<QueueSeen> {
        let cell = self.broker().cell(named.id)?;
        self.broker().queue_seen(&cell, &named.space)
    }

    /// When the oldest record of a queue was appended: Unix milliseconds. May read the disk.
    ///
    /// # Errors
    /// [`Refused::Storage`] and those of [`Operator::queue`].
    pub async fn oldest_ms(&self, seen: &QueueSeen) -> Result<Option<u64>, Refused> {
        let Some(oldest) = seen.oldest else {
            return Ok(None);
        };
        let found = self.find_queue(&seen.space, &seen.definition.name)?;
        let cell = found.cell;
        if let Some(known) = cell.oldest.get(oldest) {
            return Ok(Some(known));
        }
        self.blocking(move || cell.appended_ms(oldest)).await?
    }

    /// Why nothing of a queue is delivered, if it is so.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn why(&self, space: &str, name: &str) -> Result<WhySeen, Refused> {
        let found = self.find_queue(space, name)?;
        let state = found.cell.lock();
        if state.gone {
            return Err(not_found(name));
        }
        let mut why = state.machine.why(&|key| state.shut(key));
        let mut readers = None;
        let properties = state.machine.properties();
        if properties.is_stream {
            let at_credit = |reader: &bongsu_engine::stream::ReaderState| {
                reader.credit > 0 && reader.held_count >= u64::from(reader.credit)
            };
            let reading = state.reading.as_ref().map(|reading| reading.readers());
            let all: Vec<_> = reading.map(|all| all.all().collect()).unwrap_or_default();
            let full = all.iter().filter(|reader| at_credit(reader)).count();
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            readers = Some((count(all.len()), count(full)));
            why.depth = found.cell.depth(&state);
            why.consumers = count(all.len());
            why.at_prefetch = count(full);
            why.code = match (why.depth.ready, all.len()) {
                (0, _) => Code::Empty,
                (_, 0) => Code::NoConsumers,
                (_, count) if count == full => Code::AtPrefetch,
                _ => Code::Delivering,
            };
        }
        let dead_letter = properties.dead_letter.as_ref();
        let dead_letter = dead_letter.map(|to| (to.exchange.clone(), to.routing_key.clone()));
        let held = why.oldest_lease.map(|held| held.holder);
        let locks = why.locks.iter().filter_map(|lock| lock.holder);
        let named = held.into_iter().chain(locks).chain(why.single_active);
        let named = state.consumers(named);
        drop(state);
        Ok(WhySeen {
            why,
            alarm: self.broker().alarm().borrow().clone(),
            readers,
            dead_letter,
            who: self.who(named),
        })
    }

    /// Who consumes a queue, or reads it: so many from the one at that place on.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn consumers(
        &self,
        space: &str,
        name: &str,
        (skip, most): (usize, usize),
    ) -> Result<(Vec<ConsumerSeen>, u32), Refused> {
        let found = self.find_queue(space, name)?;
        let state = found.cell.lock();
        let active = state.machine.links().active();
        let links = state.machine.links().all().map(|link| ConsumerSeen {
            key: link.key,
            who: Who::default(),
            reads: false,
            prefetch: u64::from(link.link.credit),
            held: link.held_count,
            priority: link.link.priority,
            exclusive: link.link.exclusive,
            shut: match link.gated {
                true => state.shut(link.key),
                false => None,
            },
            active: active.is_none_or(|active| active == link.key),
            place: None,
        });
        let readers = state.reading.as_ref().map(|reading| reading.readers());
        let readers = readers.into_iter().flat_map(|readers| readers.all());
        let readers = readers.map(|reader| ConsumerSeen {
            key: reader.key,
            who: Who::default(),
            reads: true,
            prefetch: u64::from(reader.credit),
            held: reader.held_count,
            priority: 0,
            exclusive: false,
            shut: reader.gated.then(|| state.shut(reader.key)).flatten(),
            active: true,
            place: Some((reader.floor, reader.next)),
        });
        let mut all: Vec<_> = links.chain(readers).skip(skip).take(most).collect();
        let named = state.consumers(all.iter().map(|consumer| consumer.key));
        let total = state.link_count();
        drop(state);
        let mut who = self.who(named);
        for consumer in &mut all {
            consumer.who = who.remove(&consumer.key).unwrap_or_default();
        }
        Ok((all, total))
    }

    /// Who holds what of a queue, from an offset on: at most so many records, and
    /// [`LEASE_RUNS_MAX`] runs of them.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn leases(
        &self,
        space: &str,
        name: &str,
        (from, most): (Offset, u64),
    ) -> Result<Leases, Refused> {
        let found = self.find_queue(space, name)?;
        let state = found.cell.lock();
        let cursor = state.machine.cursor();
        let mut leases = Leases {
            total: cursor.leased(),
            ..Leases::default()
        };
        let mut left = most;
        for mut held in cursor.held_from(from) {
            held.start = held.start.max(from);
            if left == 0 || leases.held.len() >= LEASE_RUNS_MAX {
                leases.next = Some(held.start);
                break;
            }
            let end = held.end.min(held.start.plus(left));
            left -= end.0 - held.start.0;
            let rest = held.end > end;
            held.end = end;
            leases.held.push(held);
            if rest {
                leases.next = Some(end);
                break;
            }
        }
        let named = state.consumers(leases.held.iter().map(|held| held.holder));
        drop(state);
        leases.who = self.who(named);
        Ok(leases)
    }

    /// What connections say of who holds or consumes; asked without a queue's lock.
    fn who(&self, known: BTreeMap<LinkKey, Known>) -> BTreeMap<LinkKey, Who> {
        let told = known.into_iter().map(|(key, known)| {
            let (id, tag, channel) = match known {
                Known::Consumer(one) => (one.connection, one.tag.clone(), one.channel),
                Known::Holder(id) => (id, String::new(), 0),
            };
            let connection = self.broker().registry().find(id);
            let connection = connection.as_ref();
            let who = Who {
                tag,
                connection: connection.map(|one| one.name()).unwrap_or_default(),
                channel,
                user: connection.map(|one| one.user()).unwrap_or_default(),
            };
            (key, who)
        });
        told.collect()
    }

    /// Runs work that may read the disk: a bounded number of such at a time.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let turn = self.broker().insight().reads.clone();
        let turn = turn.acquire_owned().await.map_err(|_| super::failed())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| super::failed())
    }
}

impl Broker {
    fn queue_seen(&self, cell: &Arc<QueueCell>, space: &Arc<str>) -> Option<QueueSeen> {
        let (definition, policy, properties) = {
            let catalog = self.catalog();
            let definition = catalog.queue(cell.id)?.clone();
            let policy = catalog.queue_policy(cell.id);
            let properties = catalog.properties(cell.id)?.clone();
            (definition, policy.map(|p| p.name.clone()), properties)
        };
        let state = cell.lock();
        if state.gone {
            return None;
        }
        let depth = cell.depth(&state);
        let consumers = state.link_count();
        let (start, end) = (cell.log.start(), state.machine.cursor().end());
        let oldest = match properties.is_stream {
            true => (start < end).then_some(start),
            false => state.machine.cursor().first_owed(),
        };
        drop(state);
        // A subscription has none of its own.
        let stats = cell.home.stats();
        Some(QueueSeen {
            definition,
            space: space.clone(),
            kind: match (&cell.source, properties.is_stream) {
                (Some(_), _) => QueueKind::Subscription,
                (None, true) => QueueKind::Stream,
                (None, false) => QueueKind::Queue,
            },
            policy,
            properties,
            source: cell.source.as_ref().map(|source| source.name.clone()),
            depth,
            consumers,
            start,
            end,
            bytes: cell.home.size_bytes(),
            memory_bytes: stats.memory_bytes,
            segments: stats.segment_count,
            oldest,
            activity: cell.activity(self.now_ms()),
        })
    }
}

impl QueueCell {
    /// Records by state; of a stream, all are ready.
    pub(crate) fn depth(&self, state: &State) -> Depth {
        match state.machine.properties().is_stream {
            true => Depth {
                ready: self.ready(state),
                ..Depth::default()
            },
            false => state.machine.depth(),
        }
    }

    /// When the first record that somebody is owed was appended: Unix milliseconds. May read
    /// the disk.
    pub(crate) fn oldest_at(&self) -> Option<u64> {
        let state = self.lock();
        let oldest = match state.machine.properties().is_stream {
            true => {
                let start = self.log.start();
                (start < state.machine.cursor().end()).then_some(start)
            }
            false => state.machine.cursor().first_owed(),
        };
        drop(state);
        let oldest = oldest?;
        match self.oldest.get(oldest) {
            Some(known) => Some(known),
            None => self.appended_ms(oldest).ok()?,
        }
    }

    /// As [`QueueCell::time_at`], and remembers it for the next who asks.
    fn appended_ms(&self, offset: Offset) -> Result<Option<u64>, Refused> {
        let at_ms = self.time_at(offset)?;
        if let Some(at_ms) = at_ms {
            *self.oldest.0.lock() = Some((offset, at_ms));
        }
        Ok(at_ms)
    }

    /// When a record was appended: Unix milliseconds. Of a batch of Kafka's, its highest
    /// timestamp: those are its producer's, and may be compressed. Reads the disk; hold no
    /// lock.
    pub(crate) fn time_at(&self, offset: Offset) -> Result<Option<u64>, Refused> {
        let mut stored = Vec::new();
        let fetched = self.log.fetch(offset, 1, &mut stored);
        fetched.map_err(|error| refused(&error))?;
        let Some(found) = stored.first() else {
            return Ok(None);
        };
        let at_ms = match found.batch.is_native() {
            true => {
                let messages = Messages::open(&found.batch, found.base, 0).ok();
                let message = messages.as_ref().and_then(|all| all.at(offset));
                message.map(|message| message.timestamp_ms())
            }
            false => None,
        };
        let at_ms = at_ms.unwrap_or_else(|| found.batch.max_timestamp());
        Ok(u64::try_from(at_ms).ok())
    }
}

impl OldestKnown {
    fn get(&self, offset: Offset) -> Option<u64> {
        let known = *self.0.lock();
        known.filter(|(of, _)| *of == offset).map(|(_, ms)| ms)
    }
}

impl State {
    /// Why the gate of a link is shut, if it is one that was refused.
    pub(crate) fn shut(&self, key: LinkKey) -> Option<Shut> {
        Some(self.targets.get(&key)?.shut())
    }

    /// What is known of these.
    fn consumers(&self, keys: impl Iterator<Item = LinkKey>) -> BTreeMap<LinkKey, Known> {
        let known = keys.filter_map(|key| {
            let target = self.targets.get(&key);
            let consumer = target.and_then(|target| target.consumer.clone());
            let known = match consumer {
                Some(consumer) => Known::Consumer(consumer),
                None => Known::Holder(*self.holders.get(&key)?),
            };
            Some((key, known))
        });
        known.collect()
    }
}

impl Target {
    /// Of a link that was refused: at its pool's bound, or else its session does not read.
    fn shut(&self) -> Shut {
        match self.pool.as_ref().map(|pool| pool.held_of()) {
            Some((held, credit)) if credit > 0 && held >= credit => Shut::Pool(credit),
            _ => Shut::Outbox,
        }
    }
}

/// Runs of leases told at once.
pub const LEASE_RUNS_MAX: usize = 10_000;
/// What names of share groups' places begin with.
const SHARE_PREFIX: &str = "$share/";
