//! The only threads of this crate: one commits, one checkpoints.
//!
//! The committer never waits for company where somebody waits for it: while it syncs,
//! what arrives is pending, and that is the next commit. Only settles and marks, which
//! nobody waits for, are let gather for [`LAZY_WAIT`].

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::checkpoint::CheckpointSource;
use crate::seam::Needs;
use crate::storage::Shared;

/// Wakes the committer; costs an appender one atomic swap while it is awake.
#[derive(Default)]
pub(crate) struct Wake {
    /// What the sleeping committer waits for: [`AWAKE`], [`NAPPING`] or [`ASLEEP`].
    state: AtomicU8,
    hurried: AtomicBool,
    lock: Mutex<()>,
    signal: Condvar,
}

impl Wake {
    /// A frame was appended.
    pub fn pending(&self, needs: Needs) {
        let state = self.state.load(Ordering::SeqCst);
        let wakes = match needs.hurry {
            true => state != AWAKE,
            false => state == ASLEEP,
        };
        if wakes {
            self.notify();
        }
    }

    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
        self.notify();
    }

    fn notify(&self) {
        let _held = self.lock.lock();
        self.state.store(AWAKE, Ordering::SeqCst);
        self.signal.notify_all();
    }

    /// Sleeps until notified, unless `ready` by the time it is known to sleep.
    fn sleep(&self, state: u8, timeout: Duration, ready: impl Fn() -> bool) {
        let mut held = self.lock.lock();
        self.state.store(state, Ordering::SeqCst);
        if !ready() && !self.hurried.load(Ordering::SeqCst) {
            self.signal.wait_for(&mut held, timeout);
        }
        self.state.store(AWAKE, Ordering::SeqCst);
    }
}

const AWAKE: u8 = 0;
/// Only lazy frames are pending.
const NAPPING: u8 = 1;
const ASLEEP: u8 = 2;

/// The running threads; dropping it stops and joins them. What is pending is committed
/// first.
pub struct Threads {
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    joins: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    signal: Condvar,
}

impl Stop {
    fn is_set(&self) -> bool {
        *self.stopped.lock()
    }

    /// True if told to stop within `timeout`.
    fn wait(&self, timeout: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.signal.wait_for(&mut stopped, timeout);
        }
        *stopped
    }
}

impl Threads {
    pub(crate) fn start(shared: &Arc<Shared>, source: Weak<dyn CheckpointSource>) -> Threads {
        let stop = Arc::new(Stop::default());
        let mut threads = Threads {
            shared: Arc::clone(shared),
            stop: Arc::clone(&stop),
            joins: Vec::new(),
        };
        let of_commit = (Arc::clone(shared), Arc::clone(&stop));
        threads.spawn("commit", move || commit_loop(&of_commit.0, &of_commit.1));
        let of_checkpoint = (Arc::clone(shared), stop);
        threads.spawn("checkpoint", move || {
            checkpoint_loop(&of_checkpoint.0, &source, &of_checkpoint.1);
        });
        threads
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) {
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        // Without threads nothing is ever confirmed: the process has no use.
        self.joins
            .push(spawned.expect("the system starts a thread"));
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        *self.stop.stopped.lock() = true;
        self.stop.signal.notify_all();
        self.shared.wake.hurry();
        for join in self.joins.drain(..) {
            let _ = join.join();
        }
    }
}

fn commit_loop(shared: &Shared, stop: &Stop) {
    let mut lazy_since: Option<Instant> = None;
    let mut idle_marked = true;
    while shared.check().is_ok() {
        let stopping = stop.is_set();
        let hurried = shared.wake.hurried.swap(false, Ordering::SeqCst) || stopping;
        let waiting = shared.lane.waiting();
        let rest = match waiting.map(|waiting| waiting.needs.hurry) {
            Some(false) if !hurried => {
                let since = *lazy_since.get_or_insert_with(Instant::now);
                LAZY_WAIT.checked_sub(since.elapsed())
            }
            _ => None,
        };
        match (waiting, rest) {
            (Some(_), None) => {
                lazy_since = None;
                idle_marked = false;
                if shared.commit(false).is_err() {
                    // Full, or failed: the checkpointer makes room, or nobody does.
                    if stopping || stop.wait(FULL_WAIT) {
                        return;
                    }
                }
            }
            (Some(_), Some(rest)) => {
                let urgent = || matches!(shared.lane.waiting(), Some(w) if w.needs.hurry);
                shared.wake.sleep(NAPPING, rest, urgent);
            }
            (None, _) if stopping => {
                let _ = shared.idle();
                return;
            }
            (None, _) => {
                let something = || shared.lane.waiting().is_some();
                if idle_marked {
                    shared.wake.sleep(ASLEEP, FOREVER, something);
                } else {
                    shared.wake.sleep(ASLEEP, IDLE_WAIT, something);
                    if !something() {
                        let _ = shared.idle();
                        idle_marked = true;
                    }
                }
            }
        }
    }
}

fn checkpoint_loop(shared: &Shared, source: &Weak<dyn CheckpointSource>, stop: &Stop) {
    let mut wait = CHECK_EVERY;
    while !stop.wait(wait) && shared.check().is_ok() {
        wait = CHECK_EVERY;
        // Zeros written here are zeros that no commit waits for.
        let _ = shared.lane.prepare();
        if !shared.checkpoint_due() {
            continue;
        }
        let Some(source) = source.upgrade() else {
            return;
        };
        if shared.checkpoint(source.as_ref()).is_err() {
            wait = RETRY_EVERY;
        }
    }
}

/// How long settles and marks wait for company.
const LAZY_WAIT: Duration = Duration::from_millis(5);
/// How long nothing is appended before the lane is idle.
const IDLE_WAIT: Duration = Duration::from_millis(50);
const FOREVER: Duration = Duration::from_secs(3600);
const FULL_WAIT: Duration = Duration::from_millis(50);
const CHECK_EVERY: Duration = Duration::from_millis(50);
const RETRY_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
