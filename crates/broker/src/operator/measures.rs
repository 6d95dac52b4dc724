//! What monitoring reads of each object, by pages: counters and gauges, no names looked up
//! that nobody asked for. Queues in the order of their ids, so that pages fit together.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::catalog::QueueId;
use bongsu_engine::queue::why::Depth;
use bongsu_engine::router::SpaceId;

use super::sessions::Page;
use crate::broker::Broker;
use crate::statistics::Counted;

/// A queue as monitoring sees it.
#[derive(Clone, Debug)]
pub struct QueueMeasure {
    /// Where it is.
    pub space: Arc<str>,
    /// What it is called there.
    pub name: Arc<str>,
    /// Records by state; of a stream, all are ready.
    pub depth: Depth,
    /// Consumers and readers.
    pub consumers: u32,
    /// Bytes of all that is kept.
    pub bytes: u64,
    /// Of these, in memory.
    pub memory_bytes: u64,
    /// How long the lease has lasted that has lasted longest, in milliseconds; 0: there is
    /// none, or it is not among the first.
    pub oldest_lease_ms: u64,
    /// What was counted of it.
    pub counted: Counted,
}

/// An exchange as monitoring sees it; only those that anything was published to are counted.
#[derive(Clone, Debug)]
pub struct ExchangeMeasure {
    /// Where it is.
    pub space: Arc<str>,
    /// What it is called there; empty: the default one.
    pub name: String,
    /// What was counted of it.
    pub counted: Counted,
}

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spaces.
    pub spaces: u64,
    /// Queues, streams and partitions among them.
    pub queues: u64,
    /// Exchanges, those that are always there included.
    pub exchanges: u64,
}

impl Broker {
    /// Queues of a space, or of all: `range` of them.
    pub fn measure_queues(&self, space: Option<&str>, range: Range<usize>) -> Page<QueueMeasure> {
        let cells = self.all_cells();
        let total = cells.len();
        let wanted = space.map(|space| self.space(space).ok());
        let is_wanted = |of: SpaceId| wanted.is_none_or(|wanted| wanted == Some(of));
        let of_space = cells.iter().filter(|cell| is_wanted(cell.space));
        let (mut filtered, mut items) = (0, Vec::new());
        let names = Names::of(self);
        let now_ms = self.now_ms();
        for cell in of_space {
            if range.contains(&filtered) {
                let state = cell.lock();
                let (depth, consumers) = (cell.depth(&state), state.link_count());
                let oldest = state.machine.cursor().oldest_held(LEASES_LOOKED_AT);
                drop(state);
                let counts = cell.counts();
                items.push(QueueMeasure {
                    space: names.space(cell.space),
                    name: cell.name.clone(),
                    depth,
                    consumers,
                    bytes: cell.home.size_bytes(),
                    memory_bytes: cell.home.stats().memory_bytes,
                    oldest_lease_ms: oldest.map_or(0, |held| now_ms.saturating_sub(held.since_ms)),
                    counted: counts.map(|counts| counts.counted()).unwrap_or_default(),
                });
            }
            filtered += 1;
        }
        Page {
            items,
            filtered,
            total,
        }
    }

    /// Exchanges of a space, or of all, by space and name: `range` of them.
    pub fn measure_exchanges(
        &self,
        space: Option<&str>,
        range: Range<usize>,
    ) -> Page<ExchangeMeasure> {
        let names = Names::of(self);
        let (mut total, mut filtered, mut items) = (0, 0, Vec::new());
        for (id, name) in &names.0 {
            let counted = self.statistics().space(*id).exchanges_counted();
            total += counted.len();
            if space.is_some_and(|space| *space != **name) {
                continue;
            }
            for (exchange, counted) in counted {
                if range.contains(&filtered) {
                    items.push(ExchangeMeasure {
                        space: name.clone(),
                        name: exchange,
                        counted,
                    });
                }
                filtered += 1;
            }
        }
        Page {
            items,
            filtered,
            total,
        }
    }

    /// How many there are of each.
    pub fn totals(&self) -> Totals {
        let catalog = self.catalog();
        Totals {
            spaces: catalog.spaces().count() as u64,
            queues: self.cell_count() as u64,
            exchanges: catalog.exchanges().count() as u64,
        }
    }

    /// The age of the oldest record that somebody is owed, for each of these queues, in
    /// milliseconds: looked up in their logs, so it may read the disk; `None` of those that owe
    /// nothing. To be called where blocking is allowed.
    pub fn oldest_ages(&self, queues: &[(Arc<str>, Arc<str>)]) -> Vec<Option<u64>> {
        let now_ms = self.now_ms();
        let age = |(space, name): &(Arc<str>, Arc<str>)| {
            let space = self.space(space).ok()?;
            let id: QueueId = self.catalog().queue_id(space, name)?;
            let at_ms = self.cell(id)?.oldest_at()?;
            Some(now_ms.saturating_sub(at_ms))
        };
        queues.iter().map(age).collect()
    }
}

/// Leases of a queue that are looked at for the oldest.
const LEASES_LOOKED_AT: usize = 1024;

/// Names of spaces, looked up once.
struct Names(Vec<(SpaceId, Arc<str>)>);

impl Names {
    fn of(broker: &Broker) -> Names {
        let catalog = broker.catalog();
        let mut names: Vec<(SpaceId, Arc<str>)> = catalog
            .spaces()
            .map(|(id, space)| (id, space.name.clone()))
            .collect();
        names.sort_unstable_by_key(|(id, _)| *id);
        Names(names)
    }

    fn space(&self, id: SpaceId) -> Arc<str> {
        let found = self.0.binary_search_by_key(&id, |(id, _)| *id);
        found.map_or_else(|_| Arc::default(), |index| self.0[index].1.clone())
    }
}
