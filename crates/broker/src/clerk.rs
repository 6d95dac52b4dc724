//! The clerk: does for queues what is due without anybody asking. One thread; what it has
//! to do is in [`Desk`], which queues write to under their locks.
//!
//! Five kinds of work: a deadline has passed, of a queue or of whatever asked to be called; a
//! queue wants to be told facts of records that are in its log; dead records are to be moved;
//! a stream's subscriptions are to be told that it grew. Bounds: a queue is on each list at
//! most once, and is looked at in turns, a bounded piece at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bongsu_engine::catalog::QueueId;
use bongsu_engine::queue::Input;
use bongsu_record::Offset;
use bongsu_storage::Stored;
use parking_lot::{Condvar, Mutex};

use crate::broker::{Broker, WeakBroker};
use crate::cell::QueueCell;
use crate::facts;

/// What has deadlines, beside queues.
pub(crate) trait Due: Send + Sync + std::fmt::Debug {
    /// The time it asked for has come.
    fn due(self: Arc<Self>, broker: &Broker, now_ms: u64);
}

/// What the clerk has to do.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    /// When to look at which queue.
    alarms: BTreeSet<(u64, QueueId)>,
    /// Whom to call when; the second number keeps those of one time apart.
    calls: BTreeMap<(u64, u64), Weak<dyn Due>>,
    next_call: u64,
    tells: BTreeMap<QueueId, Vec<Range<Offset>>>,
    /// Queues with dead records.
    buries: BTreeSet<QueueId>,
    /// Streams whose subscriptions have to be told that they grew, or begin elsewhere.
    advances: BTreeSet<QueueId>,
    stopping: bool,
}

impl Work {
    fn first_ms(&self) -> Option<u64> {
        let alarm = self.alarms.first().map(|(at_ms, _)| *at_ms);
        let call = self.calls.first_key_value();
        let call = call.map(|((at_ms, _), _)| *at_ms);
        [alarm, call].into_iter().flatten().min()
    }
}

impl Desk {
    pub(crate) fn wake_at(&self, at_ms: u64, queue: QueueId) {
        let mut work = self.work.lock();
        let first = work.first_ms();
        work.alarms.insert((at_ms, queue));
        if first.is_none_or(|first| at_ms < first) {
            self.changed.notify_one();
        }
    }

    /// Calls it then; whoever asks twice is called twice.
    pub(crate) fn call_at<D: Due + 'static>(&self, at_ms: u64, whom: &Arc<D>) {
        let mut work = self.work.lock();
        let first = work.first_ms();
        let number = work.next_call;
        work.next_call += 1;
        let whom = Arc::downgrade(whom);
        work.calls.insert((at_ms, number), whom);
        if first.is_none_or(|first| at_ms < first) {
            self.changed.notify_one();
        }
    }

    pub(crate) fn tell(&self, queue: QueueId, records: Range<Offset>) {
        self.work
            .lock()
            .tells
            .entry(queue)
            .or_default()
            .push(records);
        self.changed.notify_one();
    }

    pub(crate) fn bury(&self, queue: QueueId) {
        if self.work.lock().buries.insert(queue) {
            self.changed.notify_one();
        }
    }

    pub(crate) fn advance(&self, queue: QueueId) {
        if self.work.lock().advances.insert(queue) {
            self.changed.notify_one();
        }
    }

    fn stop(&self) {
        self.work.lock().stopping = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to do; `false`: the broker stops.
    fn wait(&self, now_ms: impl Fn() -> u64) -> bool {
        let mut work = self.work.lock();
        loop {
            if work.stopping {
                return false;
            }
            if !work.tells.is_empty() || !work.buries.is_empty() || !work.advances.is_empty() {
                return true;
            }
            let Some(first_ms) = work.first_ms() else {
                self.changed.wait(&mut work);
                continue;
            };
            let left_ms = first_ms.saturating_sub(now_ms());
            if left_ms == 0 {
                return true;
            }
            // The clock of the machine may be set while this waits.
            let wait = Duration::from_millis(left_ms.min(WAIT_MS_MAX));
            self.changed.wait_for(&mut work, wait);
        }
    }
}

/// The running thread. Dropping it waits for its end.
#[derive(Debug)]
pub(crate) struct Clerk {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    pub(crate) fn start(desk: &Arc<Desk>, broker: WeakBroker) -> Clerk {
        let clerk_desk = desk.clone();
        let work = move || {
            while clerk_desk.wait(crate::broker::unix_ms) {
                let Some(broker) = broker.upgrade() else {
                    return;
                };
                broker.step_clerk();
            }
        };
        let thread = std::thread::Builder::new().name("bongsu-clerk".to_owned());
        Clerk {
            desk: desk.clone(),
            // Without it nothing expires: as bad as no memory for a thread.
            thread: Some(thread.spawn(work).expect("a thread can be started")),
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.desk.stop();
        if let Some(thread) = self.thread.take() {
            // The last handle on the broker may be the clerk's own.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Broker {
    /// Does what is due: the clerk's thread calls this, and tests that decide when. `false`:
    /// there was nothing.
    pub fn step_clerk(&self) -> bool {
        let now_ms = self.now_ms();
        let advances = std::mem::take(&mut self.clerk().work.lock().advances);
        let (due, calls, tells, buries) = {
            let mut work = self.clerk().work.lock();
            let later = work.alarms.split_off(&(now_ms + 1, QueueId(0)));
            let due = std::mem::replace(&mut work.alarms, later);
            let later = work.calls.split_off(&(now_ms + 1, 0));
            let calls = std::mem::replace(&mut work.calls, later);
            let tells = std::mem::take(&mut work.tells);
            (due, calls, tells, std::mem::take(&mut work.buries))
        };
        let mut worked =
            !due.is_empty() || !calls.is_empty() || !tells.is_empty() || !buries.is_empty();
        worked |= !advances.is_empty();
        for queue in advances {
            if let Some(cell) = self.cell(queue) {
                self.advance(&cell);
            }
        }
        for whom in calls.into_values() {
            if let Some(whom) = whom.upgrade() {
                whom.due(self, now_ms);
            }
        }
        for (_, queue) in due {
            if let Some(cell) = self.cell(queue) {
                self.look_at(&cell, now_ms);
            }
        }
        for (queue, ranges) in tells {
            if let Some(cell) = self.cell(queue) {
                for records in ranges {
                    self.tell(&cell, &records);
                }
            }
        }
        for queue in buries {
            if let Some(cell) = self.cell(queue) {
                self.bury(&cell);
            }
        }
        worked
    }

    /// A deadline of the queue has passed, or seemed to.
    fn look_at(&self, cell: &Arc<QueueCell>, now_ms: u64) {
        let mut state = cell.lock();
        if state.gone {
            return;
        }
        state.alarm_ms = None;
        let unused = state.link_count() == 0
            && state
                .machine
                .properties()
                .expires_ms
                .is_some_and(|ms| state.used_ms.saturating_add(ms) <= now_ms);
        if unused {
            drop(state);
            self.expire_queue(cell);
            return;
        }
        let tends = state
            .reading
            .as_mut()
            .is_some_and(|reading| reading.take_due(now_ms));
        if state.machine.cursor().dying() > 0 {
            // No queue took them when they were to be moved.
            self.clerk().bury(cell.id);
        }
        let handled = cell.handle(&mut state, Input::Timeout, self);
        drop(state);
        self.noted(handled);
        if tends {
            self.tend(cell);
        }
    }

    /// Reads records and tells the queue what it must know of them.
    fn tell(&self, cell: &Arc<QueueCell>, records: &Range<Offset>) {
        let properties = cell.lock().machine.properties().clone();
        let mut stored: Vec<Stored> = Vec::new();
        if let Err(error) = cell.log.fetch(records.start, TELL_BYTES_MAX, &mut stored) {
            // The queue stands still where it is: its records cannot be read anyway.
            self.report(&error);
            return;
        }
        let mut facts = Vec::new();
        let mut end = records.start;
        for stored in &stored {
            let count = u64::from(stored.batch.offset_count());
            let first = records.start.0.saturating_sub(stored.base.0).min(count);
            let last = records.end.0.saturating_sub(stored.base.0).min(count);
            if first < last {
                let range = first as u32..last as u32;
                facts::of(&stored.batch, stored.base, range, &properties, &mut facts);
            }
            end = end.max(stored.base.plus(last.max(first)));
        }
        if stored.is_empty() {
            end = records.end;
        }
        let records = records.start..end.min(records.end);
        let input = Input::Facts {
            records,
            facts: &facts,
        };
        let mut state = cell.lock();
        if state.gone {
            return;
        }
        let handled = cell.handle(&mut state, input, self);
        drop(state);
        self.noted(handled);
    }

    /// Starts the clerk.
    pub(crate) fn start_clerk(&self) -> Clerk {
        Clerk::start(self.desk(), self.downgrade())
    }
}

/// Most of a log that is read at once to tell its queue of it.
const TELL_BYTES_MAX: usize = 4 << 20;
/// However far the next alarm is, the clock is looked at this often.
const WAIT_MS_MAX: u64 = 1_000;
