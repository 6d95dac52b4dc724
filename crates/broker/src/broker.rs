//! What a process has one of: catalog, queues, storage, and who must be told what.
//!
//! A clone is another handle on the same broker.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bongsu_engine::Refused;
use bongsu_engine::catalog::{Catalog, Owner, QueueId, SpaceId};
use bongsu_engine::queue::{Input, LinkKey};
use bongsu_record::Lsn;
use bongsu_storage::disk::Disk;
use bongsu_storage::{Error, Storage, Threads};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

use crate::access::Access;
use crate::bounds::Throttles;
use crate::cell::QueueCell;
use crate::checkpoint::Source;
use crate::clerk::{Clerk, Desk};
use crate::compaction::Compactor;
use crate::groups::Groups;
use crate::handle::{SessionHandle, not_found};
use crate::operator::insight::Insight;
use crate::registry::Registry;
use crate::resources::{AlarmKind, Alarms};
use crate::share::Shares;
use crate::statistics::{Count, Statistics};
use crate::tokens::Tokens;
use crate::topics::TopicSettings;
use crate::traces::Traces;
use crate::transactions::Transactions;
use crate::windows::Windows;

/// Kind of the WAL notes and checkpoint sections that the catalog writes.
pub(crate) const CATALOG_NOTE: u8 = 1;

/// Everything up to here is durable.
pub type Durable = watch::Receiver<Lsn>;
/// Becomes true when the broker stops.
pub type Stopping = watch::Receiver<bool>;
/// Why publishers are held back, if they are.
pub type Alarm = watch::Receiver<Option<Arc<str>>>;

/// Bounds beyond which publishers wait. Consumers never do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of records in memory and not yet in a segment.
    pub memory_bytes: u64,
    /// Free room on the disk.
    pub disk_free_bytes_min: u64,
    /// Bytes waiting for a commit.
    pub pending_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: 256 << 20,
            disk_free_bytes_min: 256 << 20,
            pending_bytes: 16 << 20,
        }
    }
}

/// See the module's comment.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    /// Asked how much room is left.
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The running threads, and what they ask for the broker's state.
    threads: Mutex<Option<(Threads, Arc<Source>)>>,
    clerk: Mutex<Option<Clerk>>,
    compactor: Mutex<Option<Compactor>>,
    desk: Arc<Desk>,
    /// Unix milliseconds, where a test says what the time is.
    set_ms: AtomicU64,
    limits: Limits,
    access: Access,
    tokens: OnceLock<Arc<Tokens>>,
    catalog: RwLock<Catalog>,
    topics: RwLock<TopicSettings>,
    /// The catalog's epoch, to be looked at without its lock.
    route_epoch: AtomicU64,
    /// Position of the last catalog change.
    last_change: AtomicU64,
    cells: RwLock<HashMap<QueueId, Arc<QueueCell>>>,
    windows: Windows,
    transactions: Transactions,
    groups: Groups,
    shares: Shares,
    /// Empty: nothing is traced.
    traces: OnceLock<Arc<Traces>>,
    registry: Registry,
    throttles: Throttles,
    insight: Insight,
    statistics: Arc<Statistics>,
    /// Of random exchanges; a test sets its own.
    seed: AtomicU64,
    next_owner: AtomicU64,
    next_link: AtomicU64,
    durable: watch::Sender<Lsn>,
    stopping: watch::Sender<bool>,
    alarm: watch::Sender<Option<Arc<str>>>,
    /// As `alarm`, and for a moment while too much waits for a commit.
    alarmed: AtomicBool,
    alarms: Alarms,
    started_at_ms: u64,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Broker")
    }
}

impl Broker {
    pub(crate) fn assemble(
        storage: Storage,
        (disk, dir): (Arc<dyn Disk>, PathBuf),
        limits: Limits,
        catalog: Catalog,
        (cells, windows, transactions): (HashMap<QueueId, Arc<QueueCell>>, Windows, Transactions),
    ) -> Broker {
        let durable = watch::Sender::new(storage.durable());
        let teller = durable.clone();
        let statistics = Arc::<Statistics>::default();
        let timed = statistics.clone();
        storage.on_durable(Box::new(move |lsn| {
            timed.commits.durable(lsn);
            teller.send_replace(lsn);
        }));
        let broker = Broker {
            inner: Arc::new(Inner {
                disk,
                dir,
                threads: Mutex::new(None),
                clerk: Mutex::new(None),
                compactor: Mutex::new(None),
                desk: Arc::default(),
                set_ms: AtomicU64::new(0),
                limits,
                access: Access::default(),
                tokens: OnceLock::new(),
                route_epoch: AtomicU64::new(catalog.epoch()),
                catalog: RwLock::new(catalog),
                topics: RwLock::default(),
                last_change: AtomicU64::new(0),
                cells: RwLock::new(cells),
                windows,
                transactions,
                groups: Groups::default(),
                shares: Shares::default(),
                traces: OnceLock::new(),
                registry: Registry::default(),
                throttles: Throttles::default(),
                insight: Insight::default(),
                statistics,
                seed: AtomicU64::new(RandomState::new().build_hasher().finish()),
                next_owner: AtomicU64::new(1),
                next_link: AtomicU64::new(1),
                durable,
                stopping: watch::Sender::new(false),
                alarm: watch::Sender::new(None),
                alarmed: AtomicBool::new(false),
                alarms: Alarms::default(),
                started_at_ms: unix_ms(),
                storage,
            }),
        };
        broker.fail_with_storage();
        for cell in broker.all_cells() {
            // Each looks at what it has to do: what was due meanwhile, what it must ask.
            broker.clerk().wake_at(0, cell.id);
            cell.tell_subscribers(&broker);
            cell.show(&mut cell.lock(), &broker);
        }
        broker.wake_transactions();
        broker
    }

    /// A lane that failed takes nothing more: whoever publishes is told so, call by call,
    /// and the log says what to do once.
    fn fail_with_storage(&self) {
        let alarm = self.inner.alarm.clone();
        self.storage().on_failed(Box::new(move |error| {
            tracing::error!("storage failed: {error}; restart the broker");
            alarm.send_replace(Some(Arc::from(format!("storage failed: {error}"))));
        }));
    }

    /// Starts the threads that commit and checkpoint.
    pub fn start(&self) {
        let source = Arc::new(Source::new(self.downgrade()));
        let weak: std::sync::Weak<Source> = Arc::downgrade(&source);
        let threads = self.storage().start_threads(weak);
        *self.inner.threads.lock() = Some((threads, source));
        *self.inner.clerk.lock() = Some(self.start_clerk());
        *self.inner.compactor.lock() = Some(self.start_compactor());
        self.found();
    }

    /// As [`Broker::start`], but without threads: whoever calls this decides when the steps
    /// are done ([`Broker::step_commit`] and the others).
    pub fn start_stepped(&self) {
        self.found();
    }

    /// What the broker decides for its topics.
    pub fn topic_settings(&self) -> TopicSettings {
        *self.inner.topics.read()
    }

    /// To be called before clients come.
    pub fn set_topic_settings(&self, settings: TopicSettings) {
        *self.inner.topics.write() = settings;
    }

    /// Where everything is kept, and how many bytes can still be written there, if the disk
    /// can say.
    pub(crate) fn room(&self) -> (String, Option<u64>) {
        let dir = &self.inner.dir;
        let free = self.inner.disk.free_bytes(dir).ok();
        (dir.display().to_string(), free)
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        match self.inner.set_ms.load(Ordering::Relaxed) {
            0 => unix_ms(),
            set_ms => set_ms,
        }
    }

    /// Makes it a time, from here on: for tests that decide when things are due.
    pub fn set_time(&self, unix_ms: u64) {
        self.inner.set_ms.store(unix_ms, Ordering::Relaxed);
    }

    /// What exchanges have seen.
    pub(crate) fn windows(&self) -> &Windows {
        &self.inner.windows
    }

    /// What is counted.
    pub fn statistics(&self) -> &Statistics {
        &self.inner.statistics
    }

    pub(crate) fn throttles(&self) -> &Throttles {
        &self.inner.throttles
    }

    /// Who is connected.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Groups of consumers.
    pub(crate) fn shares(&self) -> &Shares {
        &self.inner.shares
    }

    /// Who looks into it, and what was started so.
    pub(crate) fn insight(&self) -> &Insight {
        &self.inner.insight
    }

    /// Who makes spans, if any are made.
    pub fn traces(&self) -> Option<&Arc<Traces>> {
        self.inner.traces.get()
    }

    pub(crate) fn set_traces(&self, traces: Traces) {
        self.inner.traces.get_or_init(|| Arc::new(traces));
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    /// Who has which transaction open.
    pub(crate) fn transactions(&self) -> &Transactions {
        &self.inner.transactions
    }

    pub(crate) fn route_seed(&self) -> u64 {
        self.inner.seed.load(Ordering::Relaxed)
    }

    /// Makes the choices of random exchanges the same in each run of a test.
    pub fn set_seed(&self, seed: u64) {
        self.inner.seed.store(seed, Ordering::Relaxed);
    }

    /// What the clerk has to do.
    pub(crate) fn clerk(&self) -> &Desk {
        &self.inner.desk
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.inner.desk
    }

    /// Commits what is pending, where no thread does: for tests that decide when.
    ///
    /// # Errors
    /// Storage's.
    pub fn step_commit(&self) -> Result<bool, Error> {
        self.storage().commit_step()
    }

    /// As the committer does when nothing was committed for a while: leaves a mark that
    /// proves the last commit durable.
    ///
    /// # Errors
    /// Storage's.
    pub fn step_idle(&self) -> Result<bool, Error> {
        self.storage().idle_step()
    }

    /// Takes a checkpoint, where no thread does: for tests that decide when.
    ///
    /// # Errors
    /// Storage's.
    pub fn step_checkpoint(&self) -> Result<bool, Error> {
        self.storage().checkpoint(&Source::new(self.downgrade()))
    }

    /// What each log belongs to, as `name in space`: for who looks at files.
    pub fn names_of_logs(&self) -> std::collections::BTreeMap<u64, String> {
        let cells = self.all_cells();
        let catalog = self.catalog();
        let named = cells.iter().map(|cell| {
            let (name, space) = (&cell.name, catalog.space_name(cell.space));
            (cell.log.id().0, format!("'{name}' in space '{space}'"))
        });
        named.collect()
    }

    /// Pins what is durable now, for a copy of the data directory; after a checkpoint, so that
    /// little of the lane belongs to it. `None`: a copy is being made already.
    ///
    /// # Errors
    /// Storage's.
    pub fn pin(&self) -> Result<Option<bongsu_storage::backup::Pinned>, Error> {
        self.step_checkpoint()?;
        self.storage().pin()
    }

    /// End of everything recorded: what was done so far survives once this is durable.
    pub fn position(&self) -> Lsn {
        self.storage().position()
    }

    /// A new session's hold on the broker.
    pub fn session(&self, from_loopback: bool) -> SessionHandle {
        let owner = self.inner.next_owner.fetch_add(1, Ordering::Relaxed);
        SessionHandle::new(self.clone(), owner, from_loopback)
    }

    /// Tells every session to take leave. New ones are told at once.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// Writes a last checkpoint and seals the lane, so that the next start replays
    /// nothing. Sessions should have ended.
    ///
    /// # Errors
    /// Storage's; then the next start replays.
    pub fn close(&self) -> Result<(), Error> {
        *self.inner.compactor.lock() = None;
        *self.inner.clerk.lock() = None;
        *self.inner.threads.lock() = None;
        for cell in self.all_cells() {
            let rested = cell.handle(&mut cell.lock(), Input::Rest, self);
            self.noted(rested);
        }
        let source = Source::new(self.downgrade());
        self.storage().close(&source)
    }

    /// Follows the durable position.
    pub fn durable(&self) -> Durable {
        self.inner.durable.subscribe()
    }

    /// The durable position.
    pub fn durable_lsn(&self) -> Lsn {
        self.storage().durable()
    }

    /// Follows the broker's stop.
    pub fn stopping(&self) -> Stopping {
        self.inner.stopping.subscribe()
    }

    /// Follows the reason for which publishers are held back.
    pub fn alarm(&self) -> Alarm {
        self.inner.alarm.subscribe()
    }

    /// Whether publishers must wait: an alarm, or for a moment, because too much waits for
    /// a commit or to be moved to segments. Half the memory is for that moment, so that an
    /// alarm, which clients are told of, means that the disk does not keep up.
    pub fn holds_publishers(&self) -> bool {
        let pressure = self.storage().pressure();
        let limits = &self.inner.limits;
        self.inner.alarmed.load(Ordering::Relaxed)
            || pressure.lane_pending_bytes > limits.pending_bytes
            || pressure.pinned_bytes > limits.memory_bytes / 2
    }

    /// Looks at memory and disk; to be called a few times a second.
    pub fn watch_limits(&self) {
        let pressure = self.storage().pressure();
        let limits = &self.inner.limits;
        // A disk that cannot say is judged by whether it takes writes.
        let free = self.inner.disk.free_bytes(&self.inner.dir);
        let disk_free_bytes = free.unwrap_or(u64::MAX);
        let alarm = if let Some(error) = self.storage().failed() {
            Some((AlarmKind::Storage, format!("storage failed: {error}")))
        } else if pressure.pinned_bytes > limits.memory_bytes {
            let reason = format!(
                "low on memory: {} bytes of records wait to be written, the limit is {}",
                pressure.pinned_bytes, limits.memory_bytes
            );
            Some((AlarmKind::Memory, reason))
        } else if disk_free_bytes < limits.disk_free_bytes_min {
            let reason = format!(
                "low on disk: {} bytes are free, the limit is {}",
                disk_free_bytes, limits.disk_free_bytes_min
            );
            Some((AlarmKind::Disk, reason))
        } else {
            // Room there may be, and no open files left, or a quota.
            let lack = self.storage().lack();
            lack.map(|lack| (AlarmKind::Disk, format!("the disk takes no more: {lack}")))
        };
        let alarm = alarm.map(|(kind, reason)| (kind, Arc::<str>::from(reason)));
        let reason = alarm.as_ref().map(|(_, reason)| reason.clone());
        self.inner.alarms.set(alarm, self.now_ms());
        self.inner
            .alarmed
            .store(reason.is_some(), Ordering::Relaxed);
        let changed = self.inner.alarm.send_if_modified(|current| {
            let changed = current.is_some() != reason.is_some();
            if changed {
                current.clone_from(&reason);
            }
            changed
        });
        match (changed, &reason) {
            (true, Some(reason)) => tracing::warn!("publishers are held back: {reason}"),
            (true, None) => tracing::info!("publishers go on"),
            (false, _) => {}
        }
        self.sample();
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn alarms(&self) -> &Alarms {
        &self.inner.alarms
    }

    pub(crate) fn started_at_ms(&self) -> u64 {
        self.inner.started_at_ms
    }

    pub(crate) fn disk_total_bytes(&self) -> Option<u64> {
        self.inner.disk.total_bytes(&self.inner.dir).ok()
    }

    /// Counts something that was done to a queue, and so in its space.
    pub(crate) fn count_of(&self, cell: &QueueCell, count: Count, more: u64) {
        if more > 0 {
            let now_ms = self.now_ms();
            cell.count(count, more, now_ms);
            let stripe = cell.id.0 as usize;
            cell.space_statistics(self)
                .count(stripe, count, more, now_ms);
        }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    pub(crate) fn set_tokens(&self, tokens: Arc<Tokens>) {
        if self.inner.tokens.set(tokens).is_err() {
            tracing::error!("tokens are taken already as they were set first");
        }
    }

    /// What proves tokens, if any are taken.
    pub(crate) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.inner.tokens.get().cloned()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.inner.access
    }

    pub(crate) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.inner.catalog.read()
    }

    pub(crate) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.inner.catalog.write()
    }

    pub(crate) fn space(&self, name: &str) -> Result<SpaceId, Refused> {
        self.catalog().space(name)
    }

    pub(crate) fn route_epoch(&self) -> u64 {
        self.inner.route_epoch.load(Ordering::Acquire)
    }

    pub(crate) fn set_route_epoch(&self, epoch: u64) {
        self.inner.route_epoch.store(epoch, Ordering::Release);
    }

    /// The last catalog change, unless it is durable.
    pub(crate) fn last_change(&self) -> Option<Lsn> {
        let lsn = Lsn(self.inner.last_change.load(Ordering::Acquire));
        (lsn > self.durable_lsn()).then_some(lsn)
    }

    pub(crate) fn set_last_change(&self, lsn: Lsn) {
        self.inner.last_change.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// The queue of that name, if this session may use it.
    pub(crate) fn queue(
        &self,
        space: SpaceId,
        name: &str,
        owner: u64,
    ) -> Result<Arc<QueueCell>, Refused> {
        let id = self.catalog().find_queue(space, Owner(owner), name)?.0;
        self.cell(id).ok_or_else(|| not_found(name))
    }

    pub(crate) fn cell(&self, id: QueueId) -> Option<Arc<QueueCell>> {
        self.inner.cells.read().get(&id).cloned()
    }

    /// The queues of a route, in its order.
    pub(crate) fn cells(&self, ids: &[QueueId]) -> Arc<[Arc<QueueCell>]> {
        let cells = self.inner.cells.read();
        let found = ids.iter().filter_map(|id| cells.get(id));
        // What a subscription hands out is another's: nothing leads to it.
        let found = found.filter(|cell| cell.source.is_none());
        found.cloned().collect()
    }

    pub(crate) fn put_cell(&self, cell: Arc<QueueCell>) {
        self.inner.cells.write().insert(cell.id, cell);
    }

    pub(crate) fn take_cell(&self, id: QueueId) -> Option<Arc<QueueCell>> {
        self.inner.cells.write().remove(&id)
    }

    /// How many queues there are.
    pub(crate) fn cell_count(&self) -> usize {
        self.inner.cells.read().len()
    }

    /// All queues, ascending by id: an order of effects must not come from hashing.
    pub(crate) fn all_cells(&self) -> Vec<Arc<QueueCell>> {
        let mut cells: Vec<_> = self.inner.cells.read().values().cloned().collect();
        cells.sort_unstable_by_key(|cell| cell.id);
        cells
    }

    pub(crate) fn next_link_key(&self) -> LinkKey {
        LinkKey(self.inner.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// Random bits for a name that nobody guesses.
    pub(crate) fn token(&self) -> u128 {
        let bits = || u128::from(RandomState::new().build_hasher().finish());
        (bits() << 64) | bits()
    }

    /// Tells queues that links they were refused for may be asked again.
    pub(crate) fn resume(&self, refused: Vec<(Arc<QueueCell>, LinkKey)>) {
        for (cell, key) in refused {
            let input = Input::Resume { key };
            let resumed = cell.handle(&mut cell.lock(), input, self);
            self.noted(resumed);
        }
    }

    /// A settle or mark that could not be recorded costs a redelivery, not a record.
    pub(crate) fn noted(&self, recorded: Result<Option<Lsn>, Error>) {
        if let Err(error) = recorded {
            self.report(&error);
        }
    }

    pub(crate) fn report(&self, error: &Error) {
        // A lane that failed is reported once, where it fails.
        if self.storage().failed().is_none() {
            tracing::error!("{error}");
        }
    }

    pub(crate) fn downgrade(&self) -> WeakBroker {
        WeakBroker(Arc::downgrade(&self.inner))
    }
}

/// The machine's time.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// A handle that does not keep the broker alive.
pub(crate) struct WeakBroker(std::sync::Weak<Inner>);

impl WeakBroker {
    pub(crate) fn upgrade(&self) -> Option<Broker> {
        self.0.upgrade().map(|inner| Broker { inner })
    }
}
