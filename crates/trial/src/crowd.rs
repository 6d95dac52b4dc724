//! Many tasks polled as one, in the order of their numbers.
//!
//! Whoever waits for the same thing is woken in an order that tokio draws by lot. Here a wake
//! only says that somebody is to be polled, and all who are, are polled in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See the module's comment. Clones are the same crowd.
#[derive(Clone, Default)]
pub struct Crowd {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    new: Vec<(u64, Boxed)>,
    woken: BTreeSet<u64>,
    waker: Option<Waker>,
    next: u64,
    count: usize,
    most: usize,
}

struct One {
    number: u64,
    crowd: Arc<Mutex<Inner>>,
}

impl Crowd {
    /// One more.
    pub fn join(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next += 1;
        inner.count += 1;
        inner.most = inner.most.max(inner.count);
        inner.new.push((number, Box::pin(task)));
        inner.wake(number);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.inner.lock().count
    }

    /// How many there were at once, at most.
    pub fn most(&self) -> usize {
        self.inner.lock().most
    }

    /// Polls them, for ever.
    pub async fn run(self) {
        let mut tasks: BTreeMap<u64, Boxed> = BTreeMap::new();
        poll_fn(|context| self.poll(&mut tasks, context)).await;
    }

    fn poll(&self, tasks: &mut BTreeMap<u64, Boxed>, context: &mut Context<'_>) -> Poll<()> {
        let woken = {
            let mut inner = self.inner.lock();
            inner.waker = Some(context.waker().clone());
            tasks.extend(inner.new.drain(..));
            std::mem::take(&mut inner.woken)
        };
        // Once each: who is woken meanwhile has its turn when this task has its next.
        for number in woken {
            let Some(task) = tasks.get_mut(&number) else {
                continue;
            };
            let one = Arc::new(One {
                number,
                crowd: self.inner.clone(),
            });
            let waker = Waker::from(one);
            if task
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                tasks.remove(&number);
                self.inner.lock().count -= 1;
            }
        }
        Poll::Pending
    }
}

impl Inner {
    fn wake(&mut self, number: u64) {
        self.woken.insert(number);
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl Wake for One {
    fn wake(self: Arc<Self>) {
        self.crowd.lock().wake(self.number);
    }
}
