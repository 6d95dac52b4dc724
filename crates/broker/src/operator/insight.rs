//! What looking into the broker takes of it: how many look at the disk at a time, and the
//! jobs that are under way.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::jobs::Jobs;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Insight {
    /// One is taken while somebody's look reads the disk.
    pub(crate) reads: Arc<Semaphore>,
    /// Under way, and the last that were.
    pub(crate) jobs: Jobs,
}

impl Default for Insight {
    fn default() -> Insight {
        Insight {
            reads: Arc::new(Semaphore::new(READS_MAX)),
            jobs: Jobs::default(),
        }
    }
}

/// Looks that may read the disk at a time: each may hold [`super::peek::UNFOLDED_BYTES_MAX`].
const READS_MAX: usize = 4;
