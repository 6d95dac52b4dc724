//! Numbers of the things a publish passes through.

use std::fmt;

use bongsu_record::LogId;
use serde::{Deserialize, Serialize};

/// A space (AMQP: virtual host), for the life of a data directory.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SpaceId(pub u32);

impl SpaceId {
    /// That of `/` in a new data directory.
    pub const DEFAULT: SpaceId = SpaceId(0);
}

/// A queue, for the life of a data directory; never reused. Also the number of its log.
/// Grows with creation, so ascending order is a lock order everybody can keep.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct QueueId(pub u64);

impl QueueId {
    /// Its log.
    pub fn log(self) -> LogId {
        LogId(self.0)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An exchange's place in the router's memory: of this process only, and used again
/// after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub(crate) u32);
