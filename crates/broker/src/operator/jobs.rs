//! Jobs: redrives, moves and replays that are under way, and the last that were.
//!
//! Each is a task of its own that does a piece at a time where blocking is allowed, and looks
//! between two of them whether it was cancelled or the broker stops. Jobs are not recorded:
//! after a restart there are none, and what each had done by then is done.
//!
//! Bounds: [`RUNNING_MAX`] at a time, [`ENDED_MAX`] remembered, [`FAILURES_MAX`] reasons of
//! each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bongsu_record::Offset;
use parking_lot::Mutex;
use tokio::sync::watch;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Dead records go back to where they came from.
    Redrive,
    /// Records go to another queue.
    Move,
    /// Records are published once more.
    Replay,
}

impl JobKind {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            JobKind::Redrive => "redrive",
            JobKind::Move => "move",
            JobKind::Replay => "replay",
        }
    }
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It goes on.
    Running,
    /// It has done all it was to do.
    Done,
    /// Somebody stopped it, or the broker stopped.
    Cancelled,
    /// It cannot go on.
    Failed(String),
}

/// A record that was not moved, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotMoved {
    /// Which.
    pub offset: Offset,
    /// Why.
    pub reason: String,
}

/// What a job has done so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Offsets it has gone by.
    pub done: u64,
    /// Records that were meant.
    pub matched: u64,
    /// Records that are elsewhere by now.
    pub moved: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Records that were meant and not moved.
    pub failed: u64,
    /// The first of them.
    pub failures: Vec<NotMoved>,
    /// All below was gone by.
    pub next: Option<Offset>,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Job {
    /// Its number, of this process only.
    pub id: u64,
    /// What it does.
    pub kind: JobKind,
    /// Where.
    pub space: String,
    /// With which queue's records.
    pub queue: String,
    /// Where they go, for people.
    pub to: String,
    /// Who started it.
    pub user: Arc<str>,
    /// Nothing is done, only counted.
    pub dry_run: bool,
    /// Offsets it has to go by.
    pub total: u64,
    /// Unix milliseconds.
    pub started_ms: u64,
    ended_ms: AtomicU64,
    cancelled: AtomicBool,
    progress: Mutex<Progress>,
    state: watch::Sender<JobState>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    list: Mutex<BTreeMap<u64, Arc<Job>>>,
    next: AtomicU64,
}

/// What a new job is about.
pub(crate) struct Order {
    pub kind: JobKind,
    pub space: String,
    pub queue: String,
    pub to: String,
    pub user: Arc<str>,
    pub dry_run: bool,
    pub total: u64,
    pub now_ms: u64,
}

impl Jobs {
    /// A new one, running; `None`: too many are.
    pub(crate) fn start(&self, order: Order) -> Option<Arc<Job>> {
        let mut list = self.list.lock();
        let running = list.values().filter(|job| job.is_running()).count();
        if running >= RUNNING_MAX {
            return None;
        }
        while list.len() - running >= ENDED_MAX {
            let oldest = list.values().find(|job| !job.is_running());
            let oldest = oldest.map(|job| job.id)?;
            list.remove(&oldest);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Arc::new(Job {
            id,
            kind: order.kind,
            space: order.space,
            queue: order.queue,
            to: order.to,
            user: order.user,
            dry_run: order.dry_run,
            total: order.total,
            started_ms: order.now_ms,
            ended_ms: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            progress: Mutex::default(),
            state: watch::Sender::new(JobState::Running),
        });
        list.insert(id, job.clone());
        Some(job)
    }

    /// All of them, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        self.list.lock().values().rev().cloned().collect()
    }

    /// One of them.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Job>> {
        self.list.lock().get(&id).cloned()
    }
}

impl Job {
    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        *self.state.borrow() == JobState::Running
    }

    /// How it stands.
    pub fn state(&self) -> JobState {
        self.state.borrow().clone()
    }

    /// What it has done so far.
    pub fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    /// When it ended: Unix milliseconds.
    pub fn ended_ms(&self) -> Option<u64> {
        match self.ended_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(ms),
        }
    }

    /// It ends before its next piece.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Returns once it has ended.
    pub async fn ended(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| *state != JobState::Running).await;
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock());
    }

    pub(crate) fn end(&self, state: JobState, now_ms: u64) {
        self.ended_ms.store(now_ms, Ordering::Relaxed);
        self.state.send_replace(state);
    }
}

impl Progress {
    pub(crate) fn fail(&mut self, offset: Offset, reason: impl Into<String>) {
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            let reason = reason.into();
            self.failures.push(NotMoved { offset, reason });
        }
    }
}

/// Jobs at a time.
pub const RUNNING_MAX: usize = 8;
/// Jobs that have ended and can still be asked for.
pub const ENDED_MAX: usize = 100;
/// Records whose failure is told one by one.
pub const FAILURES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            kind: JobKind::Move,
            space: "/".to_owned(),
            queue: "q".to_owned(),
            to: "r".to_owned(),
            user: Arc::from("guest"),
            dry_run: false,
            total: 1,
            now_ms: 5,
        }
    }

    #[test]
    fn jobs_are_bounded_and_the_oldest_ended_are_forgotten() {
        let jobs = Jobs::default();
        let running: Vec<_> = (0..RUNNING_MAX)
            .map(|_| jobs.start(order()).expect("room"))
            .collect();
        assert!(jobs.start(order()).is_none());
        for job in &running[1..] {
            job.end(JobState::Done, 9);
        }
        let mut last = 0;
        for _ in 0..2 * ENDED_MAX {
            let job = jobs.start(order()).expect("room");
            job.end(JobState::Failed("no".to_owned()), 9);
            last = job.id;
        }
        let all = jobs.all();
        assert_eq!(all.len(), ENDED_MAX + 1);
        assert_eq!(all[0].id, last);
        // Whatever goes on is never forgotten.
        assert!(jobs.find(running[0].id).is_some_and(|job| job.is_running()));
        assert!(jobs.find(running[1].id).is_none());
    }

    #[test]
    fn failures_are_counted_beyond_those_told() {
        let mut progress = Progress::default();
        for offset in 0..2 * FAILURES_MAX as u64 {
            progress.fail(Offset(offset), "leased");
        }
        assert_eq!(progress.failed, 2 * FAILURES_MAX as u64);
        assert_eq!(progress.failures.len(), FAILURES_MAX);
    }
}
