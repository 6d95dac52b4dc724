//! Logs of which only the last record of each key is kept: when they are compacted, and up to
//! where. How is storage's.
//!
//! A thread of its own looks at them every few seconds, the dirtiest first: reading and writing
//! gigabytes must delay no timer. A log is due once enough of it was not looked at, or something
//! in it has waited for too long. What is open is sealed when it is old enough: only sealed
//! segments are compacted.
//!
//! Nothing is touched that is not durable, that belongs to a transaction which is still open, or
//! that is younger than its topic says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bongsu_engine::catalog::QueueId;
use bongsu_engine::topic::config::Compaction;
use bongsu_record::Offset;
use bongsu_storage::{CompactOptions, Compacted, Dirt, Error, Stored};
use parking_lot::{Condvar, Mutex};

use crate::broker::{Broker, WeakBroker};
use crate::cell::QueueCell;
use crate::fetch::limit;

/// The running thread. Dropping it waits for its end, which comes soon.
#[derive(Debug)]
pub(crate) struct Compactor {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    /// Looked at in the middle of a compaction.
    is_set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Compactor {
    pub(crate) fn start(broker: WeakBroker) -> Compactor {
        let stop = Arc::new(Stop::default());
        let stopping = stop.clone();
        let work = move || {
            let mut failed = Failed::new();
            while stopping.wait() {
                let Some(broker) = broker.upgrade() else {
                    return;
                };
                let go_on = || !stopping.is_set.load(Ordering::Relaxed);
                broker.compact_all(&mut failed, &go_on);
            }
        };
        let thread = std::thread::Builder::new().name("bongsu-compactor".to_owned());
        Compactor {
            stop,
            // Without it logs grow: as bad as no memory for a thread.
            thread: Some(thread.spawn(work).expect("a thread can be started")),
        }
    }
}

impl Stop {
    /// False: it is to stop.
    fn wait(&self) -> bool {
        let mut lock = self.lock.lock();
        if !self.is_set.load(Ordering::Relaxed) {
            self.changed.wait_for(&mut lock, EVERY);
        }
        !self.is_set.load(Ordering::Relaxed)
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        {
            let _lock = self.stop.lock.lock();
            self.stop.is_set.store(true, Ordering::Relaxed);
        }
        self.stop.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The last handle on the broker may be the thread's own.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Logs that could not be compacted, and when to try again: Unix milliseconds.
type Failed = BTreeMap<QueueId, u64>;

/// A log that is to be compacted.
struct Due {
    cell: Arc<QueueCell>,
    compaction: Compaction,
    bound: Offset,
    dirty_ratio: f64,
}

impl Broker {
    /// Compacts what is due: its thread calls this, and tests that decide when.
    pub fn step_compaction(&self) -> Vec<Compacted> {
        self.compact_all(&mut Failed::new(), &|| true)
    }

    fn compact_all(&self, failed: &mut Failed, go_on: &dyn Fn() -> bool) -> Vec<Compacted> {
        let now_ms = self.now_ms();
        failed.retain(|_, until_ms| *until_ms > now_ms);
        let mut all = Vec::new();
        for cell in self.all_cells() {
            if failed.contains_key(&cell.id) {
                continue;
            }
            match self.due(&cell) {
                Ok(due) => all.extend(due),
                Err(error) => self.not_compacted(&cell, &error, failed),
            }
        }
        all.sort_by(|a, b| b.dirty_ratio.total_cmp(&a.dirty_ratio));
        let mut done = Vec::new();
        for due in all.into_iter().take_while(|_| go_on()) {
            match self.compact(&due, go_on) {
                Ok(compacted) => {
                    let name = &due.cell.name;
                    tracing::debug!("{name} is compacted: {compacted:?}");
                    done.push(compacted);
                }
                Err(error) => self.not_compacted(&due.cell, &error, failed),
            }
        }
        done
    }

    /// It stays as it is: whole, and larger than it need be.
    fn not_compacted(&self, cell: &QueueCell, error: &Error, failed: &mut Failed) {
        self.report(error);
        failed.insert(cell.id, self.now_ms() + AGAIN_MS);
    }

    fn due(&self, cell: &Arc<QueueCell>) -> Result<Option<Due>, Error> {
        let (compaction, segment_ms, mut bound) = {
            let state = cell.lock();
            let properties = state.machine.properties();
            let topic = &properties.topic;
            let compaction = topic.compaction.filter(|_| properties.is_stream);
            let Some(compaction) = compaction.filter(|_| !state.gone && cell.source.is_none())
            else {
                return Ok(None);
            };
            let bounds = cell.log.bounds(self.durable_lsn());
            (compaction, topic.segment_ms, limit(&state, &bounds, true))
        };
        let now_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        let ago = |ms: u64| now_ms.saturating_sub_unsigned(ms);
        let unsealed_ms = cell.log.unsealed_since()?;
        let sealed_after_ms = segment_ms.min(compaction.lag_max_ms);
        if unsealed_ms.is_some_and(|since_ms| since_ms <= ago(sealed_after_ms)) {
            cell.log.seal()?;
        }
        if compaction.lag_min_ms > 0 {
            let young = ago(compaction.lag_min_ms).saturating_add(1);
            bound = bound.min(cell.log.offset_at_time(young)?);
        }
        let dirt = cell.log.dirt(bound);
        let Some(dirty_start) = dirt.dirty_start else {
            return Ok(None);
        };
        let dirty_ratio = ratio(&dirt);
        // By default nothing waits for too long.
        let forever = compaction.lag_max_ms > i64::MAX.unsigned_abs() / 2;
        let is_due = dirty_ratio >= compaction.dirty_ratio_min
            || (!forever && time_at(cell, dirty_start)? <= ago(compaction.lag_max_ms));
        Ok(is_due.then(|| Due {
            cell: cell.clone(),
            compaction,
            bound,
            dirty_ratio,
        }))
    }

    fn compact(&self, due: &Due, go_on: &dyn Fn() -> bool) -> Result<Compacted, Error> {
        let is_aborted = |producer_id: i64, offset: Offset| {
            let state = due.cell.lock();
            let producers = state.producers.as_deref();
            producers.is_some_and(|known| known.is_aborted(producer_id, offset))
        };
        let is_there = || go_on() && !due.cell.lock().gone;
        due.cell.log.compact(&CompactOptions {
            bound: due.bound,
            now_ms: i64::try_from(self.now_ms()).unwrap_or(i64::MAX),
            delete_retention_ms: i64::try_from(due.compaction.delete_retention_ms)
                .unwrap_or(i64::MAX),
            map_bytes_max: MAP_BYTES_MAX,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
            is_aborted: &is_aborted,
            go_on: &is_there,
        })
    }

    /// Starts the thread.
    pub(crate) fn start_compactor(&self) -> Compactor {
        Compactor::start(self.downgrade())
    }
}

/// How much of what could be compacted was not.
fn ratio(dirt: &Dirt) -> f64 {
    let all_bytes = (dirt.clean_bytes + dirt.dirty_bytes).max(1);
    dirt.dirty_bytes as f64 / all_bytes as f64
}

/// Time of the batch at the offset: Unix milliseconds.
fn time_at(cell: &QueueCell, offset: Offset) -> Result<i64, Error> {
    let mut stored: Vec<Stored> = Vec::new();
    cell.log.fetch(offset, 1, &mut stored)?;
    let first = stored.first();
    Ok(first.map_or(i64::MAX, |stored| stored.batch.base_timestamp()))
}

/// How often logs are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// A log that could not be compacted is left alone for so long.
const AGAIN_MS: u64 = 600_000;
/// Some 400 000 keys a round; a log of more takes several.
const MAP_BYTES_MAX: usize = 16 << 20;
/// A batch that unfolds to more stays as it is.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;
