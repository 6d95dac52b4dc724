//! One session's hold on the broker: executes its calls, keeps its links, hands it what
//! its queues lent it. Dropping it gives everything back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bongsu_engine::Refused;
use bongsu_engine::catalog::arguments::{self, Place};
use bongsu_engine::queue::{Input, Link, LinkKey};
use bongsu_engine::refused::{Kind, Permission, StreamOperation};
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::{Call, Consume, LinkId, Now, Outcome, PoolId, Reply, Settle};
use bongsu_engine::stream::Filter;
use bongsu_record::{LogId, Lsn, Offset};
use bongsu_storage::{Error, Stored};

use crate::access::{Identity, REPLY_TO};
use crate::bounds::Throttled;
use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::fetch::{FetchWait, Fetching};
use crate::group::Ending;
use crate::groups::GroupWait;
use crate::outbox::{Item, Outbox, Pool, Target};
use crate::partitions::TopicCache;
use crate::publish::RouteCache;
use crate::registry::{Connection, ConnectionId, Consumer, Peer};
use crate::share::Sharing;
use crate::statistics::{Churn, SpaceStatistics};
use crate::traces::Traces;
use crate::traces::leading::{self, Reader};

mod count;
mod deliver;
mod get;
mod read;
mod work;

pub use work::{Executed, Job, aside};

/// See the module's comment.
#[derive(Debug)]
pub struct SessionHandle {
    pub(crate) broker: Broker,
    /// Its number, of this process only: owner of its exclusive queues.
    pub(crate) owner: u64,
    pub(crate) from_loopback: bool,
    /// Where its client is, as text; empty: nobody said.
    pub(crate) host: String,
    pub(crate) connection: Arc<Connection>,
    /// Where what it does is counted: in its space.
    statistics: Option<Arc<SpaceStatistics>>,
    pub(crate) identity: Identity,
    pub(crate) space: Option<SpaceId>,
    pub(crate) space_name: Arc<str>,
    /// Answers to calls that wait are pushed here too.
    pub(crate) outbox: Arc<Outbox>,
    links: HashMap<LinkId, LinkState>,
    pools: HashMap<PoolId, Arc<Pool>>,
    /// Swapped out of the outbox and not yet encoded.
    pending: VecDeque<Item>,
    /// What was read last, from whose log, and from where on.
    stored: Vec<Stored>,
    stored_of: Option<(LogId, Offset)>,
    /// Single records read along with it, by their offsets, and their log.
    along: BTreeMap<Offset, Stored>,
    along_of: Option<LogId>,
    pub(crate) routes: RouteCache,
    /// Topics as they were last resolved.
    pub(crate) topics: TopicCache,
    /// A fetch that waits, and where partitions tell that they have grown.
    pub(crate) fetching: Option<Fetching>,
    pub(crate) growth: Arc<FetchWait>,
    pub(crate) sharing: Sharing,
    /// A group that will answer.
    pub(crate) group_wait: Option<GroupWait>,
    pub(crate) publishes: bool,
    pub(crate) throttled: Throttled,
    /// Until when its client is not read.
    pub(crate) quiet_until: Option<std::time::Instant>,
    ended: bool,
}

#[derive(Debug)]
struct LinkState {
    cell: Arc<QueueCell>,
    key: LinkKey,
    target: Arc<Target>,
    auto_settle: bool,
    /// Served by the queue, not only by gets.
    consumes: bool,
    /// Reads, with this filter: what it holds goes back to nobody.
    reads: Option<Reads>,
}

#[derive(Clone, Debug)]
struct Reads {
    filter: Option<Arc<Filter>>,
}

/// What there is to hand to the session.
#[derive(Debug)]
pub enum Prepared {
    /// Nothing.
    Nothing,
    /// The deliveries put into the buffer.
    Deliver,
    /// A link was closed by the broker.
    Closed(LinkId),
    /// Nothing before this is durable: the mark of what is handed out next.
    Wait(Lsn),
    /// Records are on the disk: run the job where blocking is allowed, then
    /// [`SessionHandle::have_read`].
    Read(ReadJob),
    /// The answer to the call that waits.
    Reply(Reply),
    /// The job answers the call that waits.
    Job(Job),
}

/// Reads records of one queue from the disk.
#[derive(Debug)]
pub struct ReadJob {
    cell: Arc<QueueCell>,
    from: Offset,
    bytes_max: usize,
    /// Single records that are wanted next.
    along: Vec<Offset>,
}

/// What a [`ReadJob`] found.
#[derive(Debug)]
pub struct HaveRead {
    cell: Arc<QueueCell>,
    from: Offset,
    result: Result<Vec<Stored>, Error>,
    along: BTreeMap<Offset, Stored>,
}

impl ReadJob {
    /// Blocks.
    pub fn run(self) -> HaveRead {
        let mut stored = Vec::new();
        let result = self.cell.log.fetch(self.from, self.bytes_max, &mut stored);
        let along = self.read_along();
        HaveRead {
            cell: self.cell,
            from: self.from,
            result: result.map(|()| stored),
            along,
        }
    }

    /// What cannot be read here is read again alone, and then reported.
    fn read_along(&self) -> BTreeMap<Offset, Stored> {
        let mut along = BTreeMap::new();
        let mut bytes = 0;
        for offset in &self.along {
            let mut stored = Vec::new();
            if self.cell.log.fetch(*offset, 1, &mut stored).is_err() || bytes > ALONG_BYTES_MAX {
                break;
            }
            let Some(found) = stored.first() else {
                continue;
            };
            // A copy: the batch is a slice of all that was read around it.
            bytes += found.batch.len();
            let (base, batch) = (found.base, found.batch.detached());
            along.insert(*offset, Stored { base, batch });
        }
        along
    }
}

impl SessionHandle {
    pub(crate) fn new(broker: Broker, owner: u64, from_loopback: bool) -> SessionHandle {
        // A publisher through a random exchange chooses as nobody else does.
        let seed = broker.route_seed() ^ owner;
        let outbox = Arc::<Outbox>::default();
        SessionHandle {
            topics: TopicCache::default(),
            connection: Connection::new(ConnectionId(owner), None, broker.now_ms()),
            statistics: None,
            fetching: None,
            group_wait: None,
            growth: FetchWait::new(&outbox),
            sharing: Sharing::new(&outbox),
            broker,
            owner,
            from_loopback,
            host: String::new(),
            identity: Identity::default(),
            space: None,
            space_name: Arc::default(),
            outbox,
            links: HashMap::new(),
            pools: HashMap::new(),
            pending: VecDeque::new(),
            stored: Vec::new(),
            stored_of: None,
            along: BTreeMap::new(),
            along_of: None,
            routes: RouteCache::seeded(seed),
            publishes: false,
            throttled: Throttled::default(),
            quiet_until: None,
            ended: false,
        }
    }

    /// Says where its client is: told to whoever describes its groups.
    #[must_use]
    pub fn from_host(mut self, address: std::net::IpAddr) -> SessionHandle {
        self.host = address.to_string();
        self
    }

    /// Says whose its client's certificate is, as was verified when it connected.
    #[must_use]
    pub fn with_certificate(mut self, user: Option<Arc<str>>) -> SessionHandle {
        self.identity.certified = user;
        self
    }

    /// Lists it among the connections, as that of this client.
    #[must_use]
    pub fn of_client(mut self, peer: Peer) -> SessionHandle {
        let id = ConnectionId(self.owner);
        self.connection = Connection::new(id, Some(peer), self.broker.now_ms());
        self.broker.registry().add(self.connection.clone());
        Churn::one(&self.broker.statistics().churn.connections_opened);
        self
    }

    /// What whoever watches knows of it.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Whether this session has published anything: only such are held back.
    pub fn publishes(&self) -> bool {
        self.publishes
    }

    /// Returns once something was put into the outbox.
    pub async fn woken(&self) {
        self.outbox.woken.notified().await;
    }

    /// Whether deliveries wait that [`SessionHandle::prepare`] has not handed out.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Executes one call.
    pub fn execute(&mut self, call: Call, now: Now) -> Executed {
        match self.broker.traces().cloned() {
            None => self.execute_call(call, now),
            Some(traces) => self.execute_traced(&traces, call, now),
        }
    }

    pub(crate) fn execute_call(&mut self, call: Call, now: Now) -> Executed {
        self.settle_identity();
        let result = match call {
            Call::Publish(publish) => {
                self.publishes = true;
                self.publish(&publish, now)
            }
            Call::Settle(settle) => {
                self.count_settle(&settle);
                self.settle(settle.link, &settle.ranges, settle.outcome);
                Ok(Executed::Now(Reply::Done))
            }
            Call::Login { user, password } => match self.broker.tokens() {
                Some(tokens) if tokens.is_one(&password) => self.login_token(password, now),
                _ => self.login(&user, &password),
            },
            Call::OpenSpace { space } => self.open_space(&space, true),
            Call::EnterSpace { space } => self.open_space(&space, false),
            Call::Consume(consume) => self.consume(&consume),
            Call::OpenChannel { channel } => self.open_channel(channel),
            Call::CloseChannel { channel } => {
                let registry = self.broker.registry();
                registry.close_channel(&self.connection, channel);
                Churn::one(&self.broker.statistics().churn.channels_closed);
                Ok(Executed::Now(Reply::Done))
            }
            Call::CloseLink { link, release } => {
                self.close_link(link, release);
                Ok(Executed::Now(Reply::Done))
            }
            Call::SetPool { pool, credit } => {
                let refused = self.pools.entry(pool).or_default().set_credit(credit);
                self.broker.resume(refused);
                Ok(Executed::Now(Reply::Done))
            }
            Call::Get {
                link,
                queue,
                auto_settle,
            } => self.get(link, &queue, auto_settle),
            Call::PurgeQueue { name } => self.purge(&name),
            Call::Commit { publishes, settles } => {
                self.publishes = true;
                self.commit(&publishes, &settles, now)
            }
            Call::LoginAnonymous => self.login_anonymous(),
            Call::LoginExternal => self.login_external(),
            Call::LoginToken { token } => self.login_token(token, now),
            Call::RenewLogin { secret } => self.renew_login(secret, now),
            Call::Append(request) => Ok(self.append_all(*request)),
            Call::Fetch(request) => Ok(self.fetch(*request, now)),
            Call::Offsets(request) => Ok(self.offsets(*request)),
            Call::Topic(request) => Ok(self.topic(*request)),
            Call::Transaction(request) => Ok(self.transaction(*request)),
            Call::Group(call) => self.group(*call),
            Call::Access(request) => self.access(*request),
            Call::Share(request) => Ok(self.share(*request, now)),
            Call::AwaitDurable(lsn) => Ok(Executed::Durable(lsn, Reply::Done)),
            change => self.change(change),
        };
        result.unwrap_or_else(|refused| Executed::Now(Reply::Refused(refused)))
    }

    fn open_space(&mut self, name: &str, asks: bool) -> Result<Executed, Refused> {
        let id = self.broker.space(name)?;
        if asks {
            self.may_enter(id, name)?;
        }
        let (user, bounds) = (self.user_name(), self.bounds(id));
        let registry = self.broker.registry();
        registry.enter(&self.connection, &user, (id, name), &bounds)?;
        if let Some(peer) = self.connection.peer() {
            let protocol = peer.protocol;
            tracing::debug!(peer = %peer.peer, protocol, %user, space = name, "entered a space");
        }
        self.is_in(id, Arc::from(name));
        self.statistics = Some(self.broker.statistics().space(id));
        Ok(Executed::Now(Reply::Done))
    }

    fn open_channel(&mut self, channel: u32) -> Result<Executed, Refused> {
        let registry = self.broker.registry();
        let bounds = self.bounds(self.in_space()?);
        registry.open_channel(&self.connection, channel, &bounds)?;
        Churn::one(&self.broker.statistics().churn.channels_opened);
        Ok(Executed::Now(Reply::Done))
    }

    /// The space the session works in.
    pub(crate) fn in_space(&self) -> Result<SpaceId, Refused> {
        self.space.ok_or_else(|| Refused::NotFound {
            kind: Kind::Space,
            name: String::new(),
        })
    }

    fn consume(&mut self, consume: &Consume) -> Result<Executed, Refused> {
        let cell = self.readable(&consume.queue)?;
        arguments::check(Place::Consumer, &consume.arguments)?;
        if cell.is_read(&consume.arguments) {
            return self.read(&cell, consume);
        }
        let link = Link {
            credit: consume.credit,
            priority: priority(consume)?,
            exclusive: consume.exclusive,
            timeout_ms: consume
                .arguments
                .get("x-consumer-timeout")
                .and_then(|timeout| u64::try_from(timeout.as_int()?).ok()),
        };
        let pool = consume
            .pool
            .map(|pool| Arc::clone(self.pools.entry(pool).or_default()));
        let key = self.broker.next_link_key();
        let consumer = self.consumer(&cell, key, consume, false);
        let target = Arc::new(Target {
            outbox: self.outbox.clone(),
            link: consume.link,
            pool,
            pooled: AtomicU64::new(0),
            consumer: Some(consumer.clone()),
        });
        let mut state = cell.lock();
        if state.gone {
            return Err(not_found(&consume.queue));
        }
        // RabbitMQ: a queue that chooses its one consumer itself takes no exclusive one.
        let contradicts = consume.exclusive && state.machine.properties().single_active;
        if contradicts || !state.machine.links().admits(consume.exclusive) {
            return Err(Refused::ExclusiveConsumer {
                queue: consume.queue.clone(),
            });
        }
        state.targets.insert(key, target.clone());
        // Deliveries pushed from here on reach the client behind the reply: the driver
        // takes them only after it has answered this call.
        let attached = cell.handle(&mut state, Input::Attach { key, link }, &self.broker);
        drop(state);
        self.broker.noted(attached);
        let registry = self.broker.registry();
        registry.consumes(&self.connection, consumer);
        self.links.insert(
            consume.link,
            LinkState {
                cell,
                key,
                target,
                auto_settle: consume.auto_settle,
                consumes: true,
                reads: None,
            },
        );
        Ok(Executed::Now(Reply::Done))
    }

    /// What whoever watches is told of a consumer.
    pub(crate) fn consumer(
        &self,
        cell: &QueueCell,
        key: LinkKey,
        consume: &Consume,
        reads: bool,
    ) -> Arc<Consumer> {
        Arc::new(Consumer {
            connection: self.connection.id,
            link: consume.link,
            key,
            channel: consume.channel,
            tag: consume.tag.clone(),
            space: cell.space,
            space_name: self.connection.space_name(),
            queue_id: cell.id,
            queue: cell.name.clone(),
            ack_required: !consume.auto_settle,
            exclusive: consume.exclusive,
            prefetch: consume.credit,
            priority: priority(consume).unwrap_or(0),
            reads,
            arguments: consume.arguments.clone(),
        })
    }

    fn close_link(&mut self, link: LinkId, release: bool) {
        let state = match release {
            true => self.links.remove(&link),
            false => None,
        };
        let Some(state) = state.as_ref().or_else(|| self.links.get(&link)) else {
            return;
        };
        let (cell, key, target) = (state.cell.clone(), state.key, state.target.clone());
        let (consumes, reads) = (state.consumes, state.reads.is_some());
        self.broker.registry().consumed(&self.connection, link);
        // What was lent and not yet encoded goes back now: a client that cancelled must
        // get nothing more, nor hold what it never saw.
        let unsent = self.take_unsent(link);
        let mut locked = cell.lock();
        // Without its target the link is refused by the gate, so nothing returned here
        // goes to it again.
        locked.targets.remove(&key);
        match release {
            true => locked.holders.remove(&key),
            false => locked.holders.insert(key, self.connection.id),
        };
        if !unsent.is_empty() && !reads {
            // Whoever never saw them did not fail with them.
            let settle = Input::Settle {
                key,
                ranges: &unsent,
                outcome: Outcome::Release,
            };
            let released = cell.handle(&mut locked, settle, &self.broker);
            self.broker.noted(released);
        }
        let outcome = release.then_some(Outcome::Fail);
        if consumes {
            locked.used_ms = self.broker.now_ms();
        }
        let detach = Input::Detach { key, outcome };
        let detached = cell.handle(&mut locked, detach, &self.broker);
        self.broker.noted(detached);
        let gone = locked.gone;
        drop(locked);
        let unsent_count = unsent.iter().map(|range| range.end.0 - range.start.0).sum();
        let refused = target.ended(if release { u64::MAX } else { unsent_count });
        self.broker.resume(refused);
        if let Some(state) = self.links.get_mut(&link) {
            state.consumes = false;
        }
        if consumes && !gone {
            self.broker.link_closed(&cell);
        }
    }

    /// Takes the link's leases that were not encoded out of outbox and pending.
    fn take_unsent(&mut self, link: LinkId) -> Vec<Range<Offset>> {
        self.outbox.take_all(&mut self.pending);
        let mut unsent = Vec::new();
        self.pending.retain(|item| match item {
            Item::Lease(lease) if lease.link == link => {
                unsent.push(lease.records.clone());
                false
            }
            _ => true,
        });
        let count = unsent.iter().map(|range| range.end.0 - range.start.0).sum();
        let refused = self.outbox.written(count);
        self.broker.resume(refused);
        unsent
    }

    fn settle(&mut self, link: LinkId, ranges: &[Range<Offset>], outcome: Outcome) {
        let Some(state) = self.links.get(&link) else {
            return;
        };
        let count = ranges.iter().map(|range| range.end.0 - range.start.0).sum();
        let input = Input::Settle {
            key: state.key,
            ranges,
            outcome,
        };
        let cell = &state.cell;
        let settled = cell.handle(&mut cell.lock(), input, &self.broker);
        if let Some(traces) = self.broker.traces() {
            self.trace_settle(traces, state, ranges, outcome);
        }
        let refused = state.target.ended(count);
        self.broker.noted(settled);
        self.broker.resume(refused);
    }

    fn trace_settle(
        &self,
        traces: &Traces,
        state: &LinkState,
        ranges: &[Range<Offset>],
        outcome: Outcome,
    ) {
        let stays = state.reads.is_some() || state.cell.source.is_some();
        let since = (leading::now_ns(), stays);
        let reader = self.reader(state);
        traces.settled(&state.cell, ranges, reader, Some(outcome), since);
    }

    fn reader(&self, state: &LinkState) -> Reader<'_> {
        Reader {
            key: state.key.0,
            connection: Some(&self.connection),
            ..Reader::default()
        }
    }

    /// What settles of a group mean for queues.
    pub(crate) fn endings<'a>(&self, settles: &'a [Settle]) -> Vec<Ending<'a>> {
        let endings = settles.iter().filter_map(|settle| {
            let state = self.links.get(&settle.link)?;
            Some(Ending {
                cell: state.cell.clone(),
                key: state.key,
                ranges: &settle.ranges,
                outcome: settle.outcome,
            })
        });
        endings.collect()
    }

    /// Settles of a group have happened: what they counted against has room again.
    pub(crate) fn ended(&self, settles: &[Settle]) {
        for settle in settles {
            self.count_settle(settle);
            if let Some(state) = self.links.get(&settle.link) {
                if let Some(traces) = self.broker.traces() {
                    self.trace_settle(traces, state, &settle.ranges, settle.outcome);
                }
                let ranges = settle.ranges.iter();
                let count = ranges.map(|range| range.end.0 - range.start.0).sum();
                self.broker.resume(state.target.ended(count));
            }
        }
    }

    fn purge(&mut self, name: &str) -> Result<Executed, Refused> {
        let cell = self.readable(name)?;
        let mut state = cell.lock();
        cell.is_no_stream(&state, StreamOperation::Purge)?;
        let count = state.machine.cursor().ready();
        let storage = self.broker.storage();
        let purged = cell.handle(&mut state, Input::Purge, &self.broker);
        drop(state);
        match purged {
            // A purge that came back after a crash would surprise: its answer waits.
            Ok(Some(lsn)) => {
                storage.hurry();
                Ok(Executed::Durable(lsn, Reply::Count(count)))
            }
            Ok(None) => Ok(Executed::Now(Reply::Count(count))),
            Err(error) => Err(refused(&error)),
        }
    }

    fn readable(&self, queue: &str) -> Result<Arc<QueueCell>, Refused> {
        // What answers come to is the client's own, and nobody else finds it.
        if !queue.starts_with(REPLY_TO) {
            self.allowed(Permission::Read, Kind::Queue, queue)?;
        }
        self.broker.queue(self.in_space()?, queue, self.owner)
    }
}

impl SessionHandle {
    /// Gives everything back: leases, links, exclusive queues. Whoever is told goodbye after
    /// this finds it so.
    pub fn end(&mut self) {
        // In the order of their numbers: what goes back first is lent on first.
        let mut links: Vec<LinkId> = self.links.keys().copied().collect();
        links.sort_unstable();
        for link in links {
            self.close_link(link, true);
        }
        if !std::mem::replace(&mut self.ended, true) {
            self.growth.end();
            self.end_shares();
            self.abandon_group();
            self.broker.session_closed(self.owner);
            self.count_end();
            self.broker.registry().remove(&self.connection);
        }
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.end();
    }
}

fn priority(consume: &Consume) -> Result<i64, Refused> {
    let Some(value) = consume.arguments.get("x-priority") else {
        return Ok(0);
    };
    value.as_int().ok_or_else(|| Refused::InvalidArgument {
        argument: "x-priority".to_owned(),
        value: format!("{value:?}"),
        accepted: "an integer",
    })
}

pub(crate) fn not_found(queue: &str) -> Refused {
    Refused::NotFound {
        kind: Kind::Queue,
        name: queue.to_owned(),
    }
}

pub(crate) fn refused(error: &Error) -> Refused {
    Refused::Storage {
        cause: error.to_string(),
    }
}

/// Bytes of single records read along with another, about.
const ALONG_BYTES_MAX: usize = 1 << 20;
