//! How a call went, and the work that may be left of it.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::session::Reply;
use bongsu_record::Lsn;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::access::Late;

/// How a call went.
#[derive(Debug)]
pub enum Executed {
    /// Answer now.
    Now(Reply),
    /// Answer once this position is durable.
    Durable(Lsn, Reply),
    /// The job answers: run it where blocking is allowed.
    Job(Job),
    /// The answer comes as [`Prepared::Reply`](super::Prepared::Reply), or by [`SessionHandle::expire`](super::SessionHandle::expire) at
    /// [`SessionHandle::deadline`](super::SessionHandle::deadline).
    Later,
}

impl Executed {
    /// The answer, worked out here and now if it blocks, and whatever may not be durable;
    /// `None` where it comes later.
    pub fn into_reply(self) -> Option<Reply> {
        match self {
            Executed::Now(reply) | Executed::Durable(_, reply) => Some(reply),
            Executed::Job(job) => Some(job.run()),
            Executed::Later => None,
        }
    }
}

/// Work that may block, for instance on the disk, and leads to the answer to a call.
pub struct Job {
    work: Box<dyn FnOnce() -> (Reply, Option<Late>) + Send>,
    turn: Turn,
}

/// When a job runs, and is answered.
enum Turn {
    /// At once.
    Now,
    /// At once, but its answer may be late.
    Late,
    /// As soon as there is a place; its answer may be late.
    Place(Arc<Semaphore>),
}

/// Runs what may block where nobody waits for its thread.
///
/// A runtime of one thread does it in its turn: it is a simulation's, where nothing may depend
/// on how fast another thread is.
pub fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => tokio::spawn(async move { work() }),
        _ => tokio::task::spawn_blocking(work),
    }
}

impl Job {
    pub(crate) fn new(work: impl FnOnce() -> Reply + Send + 'static) -> Job {
        Job {
            work: Box::new(|| (work(), None)),
            turn: Turn::Now,
        }
    }

    /// Of which only so many run at once as there are places, and whose answer may be late.
    pub(crate) fn proving(
        places: Arc<Semaphore>,
        work: impl FnOnce() -> (Reply, Option<Late>) + Send + 'static,
    ) -> Job {
        Job {
            work: Box::new(work),
            turn: Turn::Place(places),
        }
    }

    /// Nothing but a late refusal.
    pub(crate) fn late(refused: Refused, late: Late) -> Job {
        Job {
            work: Box::new(|| (Reply::Refused(refused), Some(late))),
            turn: Turn::Late,
        }
    }

    /// Blocks; does not wait where the answer should be late.
    pub fn run(self) -> Reply {
        (self.work)().0
    }

    /// Runs it where blocking is allowed, in its turn, and answers when it is time to.
    pub fn start(self) -> JoinHandle<Reply> {
        let work = self.work;
        let places = match self.turn {
            Turn::Now => return aside(move || work().0),
            Turn::Late => None,
            Turn::Place(places) => Some(places),
        };
        tokio::spawn(async move {
            let place = match places {
                Some(places) => places.acquire_owned().await.ok(),
                None => None,
            };
            let done = aside(work).await;
            drop(place);
            let (reply, late) = done.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => (Reply::Refused(crate::operator::failed()), None),
            });
            if let Some(late) = late {
                late.wait().await;
            }
            reply
        })
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}
