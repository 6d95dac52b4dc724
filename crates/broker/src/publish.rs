//! A publish: one batch to all queues its route leads to, as one group.
//!
//! Queues are locked in ascending order of their ids, all of them, from taking the base
//! offsets until the batch is in the WAL: so each log has its records in WAL order, and a
//! fan-out is there in all queues or in none.
//!
//! Mostly all records of a batch have one route, which is remembered. Where each has its
//! own, where an exchange delays or drops some, a [`Plan`] is made, record by record.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::{Attributes, QueueId, RouteScratch, SpaceId, WindowId};
use bongsu_engine::session::{Now, Publish, Reply, Settle};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Batch, Lsn};

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::group::{Group, Grouped, Part};
use crate::handle::{Executed, SessionHandle, refused};
use crate::route::{Address, OfRecord, Way, delay_ms, delayed_block};
use crate::statistics::{Count, ExchangeCounts};
use crate::windows::{Passing, Window};

/// The queues of a route, ascending by id.
pub(crate) type Cells = Arc<[Arc<QueueCell>]>;

/// Whether two routes are the same queues.
pub(crate) fn lead_to_the_same(one: &Cells, other: &Cells) -> bool {
    let ids = one.iter().map(|cell| cell.id);
    ids.eq(other.iter().map(|cell| cell.id))
}

/// The last route of a session. Most publishers use one at a time.
#[derive(Debug, Default)]
pub struct RouteCache {
    epoch: u64,
    exchange: String,
    routing_key: String,
    cells: Cells,
    filled: bool,
    /// Where the last exchange is counted, by name, as long as nothing changes.
    counted: Option<(String, u64, Arc<ExchangeCounts>)>,
    scratch: RouteScratch,
    queues: Vec<QueueId>,
}

impl RouteCache {
    pub(crate) fn seeded(seed: u64) -> RouteCache {
        RouteCache {
            scratch: RouteScratch::seeded(seed),
            ..RouteCache::default()
        }
    }
}

impl SessionHandle {
    /// The default exchange is a way to every queue: rules about those that it leads to
    /// count.
    fn may_publish(&self, publish: &Publish) -> Result<(), Refused> {
        let exchange = &publish.exchange;
        let keys = || std::iter::once(&publish.routing_key).chain(&publish.more_keys);
        if exchange.is_empty() {
            return keys().try_for_each(|key| self.allowed_to_publish(key));
        }
        self.allowed(Permission::Write, Kind::Exchange, exchange)?;
        keys().try_for_each(|key| self.allowed_key(Permission::Write, exchange, key))
    }

    pub(crate) fn publish(&mut self, publish: &Publish, now: Now) -> Result<Executed, Refused> {
        self.may_publish(publish)?;
        let space = self.in_space()?;
        if let Some(cells) = self.cached(space, publish)? {
            let executed = self.broker.append(&cells, &publish.batch)?;
            let count = u64::from(publish.batch.record_count());
            self.count_published(publish, count * cells.len() as u64, now);
            return Ok(executed);
        }
        let routes = self.routes_of(space, publish)?;
        let windows = self.windows_of(std::slice::from_ref(&routes));
        let mut passing = Passing::lock(&windows);
        let plan = Plan::of(&publish.batch, &routes, &mut passing, now);
        let out = plan.out();
        let group = Group {
            notes: passing.notes(self.broker.now_ms()),
            parts: plan.parts,
            ..Group::default()
        };
        let grouped = match self.broker.group(&group) {
            Ok(grouped) => grouped,
            Err(refused) => {
                passing.forget();
                return Err(refused);
            }
        };
        drop(passing);
        self.count_published(publish, out, now);
        let refused = in_batch(&grouped.refused, &plan.indexes);
        let routed = plan.all_routed && grouped.routed.iter().all(|routed| *routed);
        let durable = windows.iter().any(|(_, window)| window.durable);
        let wait = self.broker.wait_of(&grouped, durable);
        self.broker.bury_refused(grouped.dead);
        Ok(Executed::Now(Reply::Published {
            wait,
            routed,
            refused,
        }))
    }

    /// Publishes and settles as one group.
    pub(crate) fn commit(
        &mut self,
        publishes: &[Publish],
        settles: &[Settle],
        now: Now,
    ) -> Result<Executed, Refused> {
        let space = self.in_space()?;
        let mut routes = Vec::with_capacity(publishes.len());
        for publish in publishes {
            self.may_publish(publish)?;
            routes.push(self.routes_of(space, publish)?);
        }
        let windows = self.windows_of(&routes);
        let mut passing = Passing::lock(&windows);
        let mut group = Group::default();
        let mut counts = Vec::with_capacity(publishes.len());
        let mut out = Vec::with_capacity(publishes.len());
        for (publish, routes) in publishes.iter().zip(&routes) {
            let plan = Plan::of(&publish.batch, routes, &mut passing, now);
            out.push(plan.out());
            counts.push((plan.parts.len(), plan.all_routed));
            group.parts.extend(plan.parts);
        }
        group.notes = passing.notes(self.broker.now_ms());
        group.endings = self.endings(settles);
        group.strict = true;
        let grouped: Grouped = match self.broker.group(&group) {
            Ok(grouped) => grouped,
            Err(refused) => {
                passing.forget();
                return Err(refused);
            }
        };
        drop((passing, group));
        for (publish, out) in publishes.iter().zip(out) {
            self.count_published(publish, out, now);
        }
        let durable = windows.iter().any(|(_, window)| window.durable);
        let wait = self.broker.wait_of(&grouped, durable);
        self.ended(settles);
        self.broker.bury_refused(grouped.dead);
        let mut routed = grouped.routed.into_iter();
        let unrouted = (0..publishes.len()).zip(counts);
        let unrouted = unrouted.filter_map(|(index, (count, all_routed))| {
            let taken = routed.by_ref().take(count).all(|routed| routed);
            (!all_routed || !taken).then_some(index)
        });
        Ok(Executed::Now(Reply::Committed {
            unrouted: unrouted.collect(),
            wait,
        }))
    }

    /// A batch was taken, and put so many records into queues.
    fn count_published(&mut self, publish: &Publish, out: u64, now: Now) {
        let Some(space) = self.space_statistics() else {
            return;
        };
        let now_ms = u64::try_from(now.unix_ms).unwrap_or(0);
        let count = u64::from(publish.batch.record_count());
        let stripe = self.owner as usize;
        space.count(stripe, Count::Publish, count, now_ms);
        space.count(stripe, Count::BytesIn, publish.batch.len() as u64, now_ms);
        space.count(stripe, Count::PublishIn, count, now_ms);
        space.count(stripe, Count::PublishOut, out, now_ms);
        let epoch = self.broker.route_epoch();
        let counts = match &self.routes.counted {
            Some((of, at, counts)) if *at == epoch && *of == publish.exchange => counts,
            _ => {
                let counts = space.exchange(&publish.exchange);
                let counted = (publish.exchange.clone(), epoch, counts);
                &self.routes.counted.insert(counted).2
            }
        };
        counts.add(0, Count::PublishIn, count, now_ms);
        counts.add(0, Count::PublishOut, out, now_ms);
        self.throttle(count, publish.batch.len() as u64, now_ms);
    }

    /// The route, if one holds for all records with this exchange and routing key, and is a
    /// plain one.
    fn cached(&mut self, space: SpaceId, publish: &Publish) -> Result<Option<Cells>, Refused> {
        let epoch = self.broker.route_epoch();
        let routes = &self.routes;
        if routes.filled
            && publish.more_keys.is_empty()
            && routes.epoch == epoch
            && routes.exchange == publish.exchange
            && routes.routing_key == publish.routing_key
        {
            return Ok(Some(routes.cells.clone()));
        }
        let (mut ways, cacheable) = self.ways(space, publish, 0)?;
        let is_plain = ways.len() == 1;
        let cells = ways.swap_remove(0).cells;
        self.routes.filled = is_plain && cacheable && publish.more_keys.is_empty();
        if !self.routes.filled {
            let holds = cacheable || publish.batch.record_count() == 1;
            return Ok((is_plain && holds).then_some(cells));
        }
        self.routes.epoch = epoch;
        self.routes.exchange.clone_from(&publish.exchange);
        self.routes.routing_key.clone_from(&publish.routing_key);
        self.routes.cells = cells.clone();
        Ok(Some(cells))
    }

    /// The ways of each record of a publish.
    fn routes_of(&mut self, space: SpaceId, publish: &Publish) -> Result<Routes, Refused> {
        let (ways, cacheable) = self.ways(space, publish, 0)?;
        if cacheable {
            return Ok(Routes::Same(ways));
        }
        let mut each = vec![ways];
        for index in 1..publish.batch.record_count() {
            each.push(self.ways(space, publish, index)?.0);
        }
        Ok(Routes::Each(each))
    }

    fn ways(
        &mut self,
        space: SpaceId,
        publish: &Publish,
        index: u32,
    ) -> Result<(Vec<Way>, bool), Refused> {
        let RouteCache {
            scratch, queues, ..
        } = &mut self.routes;
        let address = Address {
            space,
            exchange: &publish.exchange,
            routing_key: &publish.routing_key,
            more_keys: &publish.more_keys,
            from_client: true,
        };
        let record = OfRecord(publish.batch.native_record(index));
        self.broker.ways(&address, &record, scratch, queues)
    }

    /// The windows that records pass, ascending.
    fn windows_of(&self, routes: &[Routes]) -> Vec<(WindowId, Arc<Window>)> {
        let ways = routes.iter().flat_map(Routes::all);
        let mut ids: Vec<WindowId> = ways.filter_map(|way| way.window).collect();
        ids.sort_unstable();
        ids.dedup();
        let windows = ids.into_iter();
        windows
            .filter_map(|id| Some((id, self.broker.windows().find(id)?)))
            .collect()
    }
}

/// The ways of the records of one batch.
enum Routes {
    Same(Vec<Way>),
    Each(Vec<Vec<Way>>),
}

impl Routes {
    fn of(&self, index: u32) -> &[Way] {
        match self {
            Routes::Same(ways) => ways,
            Routes::Each(each) => each.get(index as usize).map_or(&[], Vec::as_slice),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Way> {
        let (same, each) = match self {
            Routes::Same(ways) => (ways.as_slice(), &[][..]),
            Routes::Each(each) => (&[][..], each.as_slice()),
        };
        same.iter().chain(each.iter().flatten())
    }
}

/// What of a batch goes where.
#[derive(Default)]
struct Plan {
    parts: Vec<Part>,
    /// For each part, the indexes of its records in the batch.
    indexes: Vec<Vec<u32>>,
    /// Every record has a queue.
    all_routed: bool,
}

impl Plan {
    fn of(batch: &Batch, routes: &Routes, passing: &mut Passing<'_>, now: Now) -> Plan {
        let mut plan = Plan {
            all_routed: true,
            ..Plan::default()
        };
        if let Routes::Same(ways) = routes
            && let [way] = ways.as_slice()
        {
            plan.all_routed = !way.cells.is_empty();
            plan.indexes.push((0..batch.record_count()).collect());
            plan.parts.push(Part {
                cells: way.cells.clone(),
                batch: batch.clone(),
            });
            return plan;
        }
        let mut run = Run::default();
        for index in 0..batch.record_count() {
            let mut routed = false;
            for way in routes.of(index).iter().filter(|way| !way.cells.is_empty()) {
                routed = true;
                if let Some(delay_ms) = pass(way, batch, index, passing, now) {
                    if run.leads_elsewhere(&way.cells) {
                        plan.take(&mut run, batch);
                    }
                    run.push(&way.cells, batch, index, (delay_ms, now));
                }
            }
            plan.all_routed &= routed;
        }
        plan.take(&mut run, batch);
        plan
    }

    /// Records that are put into queues, one for each.
    fn out(&self) -> u64 {
        let parts = self.parts.iter();
        let out = parts.map(|part| u64::from(part.batch.record_count()) * part.cells.len() as u64);
        out.sum()
    }

    fn take(&mut self, run: &mut Run, batch: &Batch) {
        let taken = std::mem::take(run);
        let mut builder = taken.builder;
        if let (Some(cells), Some(batch)) =
            (taken.cells, builder.finish(batch.header().base_timestamp))
        {
            self.parts.push(Part { cells, batch });
            self.indexes.push(taken.indexes);
        }
    }
}

/// For how long a record is delayed, 0 for not at all, if it goes this way.
fn pass(way: &Way, batch: &Batch, index: u32, passing: &mut Passing<'_>, now: Now) -> Option<u64> {
    if !way.is_delayed && way.window.is_none() {
        return Some(0);
    }
    let record = batch.native_record(index);
    let headers = OfRecord(record).headers();
    let now_ms = u64::try_from(now.unix_ms).unwrap_or(0);
    if let Some(window) = way.window
        && let Some(record) = record
    {
        let keep_ms = headers.get("x-cache-ttl").and_then(|ttl| ttl.as_int());
        let keep_ms = keep_ms.and_then(|ms| u64::try_from(ms).ok());
        if !passing.passes(window, &record, keep_ms, now_ms) {
            return None;
        }
    }
    let delay_ms = way.is_delayed.then(|| delay_ms(&headers)).flatten();
    Some(delay_ms.unwrap_or(0))
}

/// Consecutive records with one way.
#[derive(Default)]
struct Run {
    cells: Option<Cells>,
    builder: Builder,
    indexes: Vec<u32>,
}

impl Run {
    fn leads_elsewhere(&self, cells: &Cells) -> bool {
        let known = self.cells.as_ref();
        known.is_some_and(|known| !lead_to_the_same(known, cells))
    }

    fn push(&mut self, cells: &Cells, batch: &Batch, index: u32, (delay_ms, now): (u64, Now)) {
        let Some(mut record) = batch.native_record(index) else {
            return;
        };
        let mut terms = record.terms();
        let mut block = None;
        if delay_ms > 0 {
            let now_ms = u64::try_from(now.unix_ms).unwrap_or(0);
            terms.deliver_at_ms = Some(now_ms.saturating_add(delay_ms));
            if record.origin == Origin::Amqp091 as u8 {
                block = delayed_block(record.header, delay_ms);
            }
        }
        if let Some(block) = &block {
            record.header = block;
        }
        self.cells = Some(cells.clone());
        self.builder.copy(&record, &terms);
        self.indexes.push(index);
    }
}

/// Indexes within parts as ranges of indexes in the batch.
fn in_batch(refused: &[Vec<Range<u32>>], indexes: &[Vec<u32>]) -> Vec<Range<u32>> {
    let mut all: Vec<u32> = Vec::new();
    for (ranges, indexes) in refused.iter().zip(indexes) {
        let within = ranges.iter().flat_map(Range::clone);
        all.extend(within.filter_map(|at| indexes.get(at as usize)));
    }
    all.sort_unstable();
    all.dedup();
    let mut out: Vec<Range<u32>> = Vec::new();
    for index in all {
        match out.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => out.push(index..index + 1),
        }
    }
    out
}

impl Broker {
    /// Appends `batch` to every queue of `cells` (ascending by id) and lends it on.
    pub(crate) fn append(&self, cells: &Cells, batch: &Batch) -> Result<Executed, Refused> {
        let storage = self.storage();
        let mut locked = Vec::with_capacity(cells.len());
        for cell in cells.iter() {
            let state = cell.lock();
            if state.machine.screens() {
                drop((locked, state));
                return self.append_screened(cells, batch);
            }
            if !state.gone {
                locked.push((cell, state));
            }
        }
        if locked.is_empty() {
            return Ok(Executed::Now(Reply::Published {
                wait: None,
                routed: false,
                refused: Vec::new(),
            }));
        }
        let targets: Vec<_> = locked
            .iter()
            .map(|(cell, state)| (&cell.log, state.machine.cursor().end()))
            .collect();
        let appended = storage
            .append(&targets, batch, &[])
            .map_err(|error| refused(&error))?;
        self.statistics()
            .commits
            .appended(appended.lsn, storage.durable());
        let bases: Vec<_> = targets.iter().map(|(_, base)| *base).collect();
        let mut failed = None;
        for ((cell, mut state), base) in locked.into_iter().zip(bases) {
            let handled = cell.appended(&mut state, base, batch, self);
            failed = failed.or(handled.err());
        }
        if let Some(error) = failed {
            self.report(&error);
        }
        Ok(Executed::Now(Reply::Published {
            wait: (appended.lsn > Lsn(0)).then_some(appended.lsn),
            routed: true,
            refused: Vec::new(),
        }))
    }

    /// What a group's confirm waits for. What was left out because it was seen before is as
    /// safe as all that is recorded by now, its original included.
    fn wait_of(&self, grouped: &Grouped, windows: bool) -> Option<Lsn> {
        let recorded = self.position();
        let wait = match grouped.lsn {
            Lsn(0) if windows || grouped.seen_before => recorded,
            lsn => lsn,
        };
        let waits = wait > Lsn(0) && wait > self.durable_lsn();
        if waits && grouped.lsn == Lsn(0) {
            self.storage().hurry();
        }
        waits.then_some(wait)
    }

    /// As [`Broker::append`], where some queue may not take all of it.
    fn append_screened(&self, cells: &Cells, batch: &Batch) -> Result<Executed, Refused> {
        let group = Group {
            parts: vec![Part {
                cells: cells.clone(),
                batch: batch.clone(),
            }],
            ..Group::default()
        };
        let mut grouped = self.group(&group)?;
        let wait = self.wait_of(&grouped, false);
        self.bury_refused(grouped.dead);
        Ok(Executed::Now(Reply::Published {
            wait,
            routed: grouped.routed.first().copied().unwrap_or(false),
            refused: grouped.refused.pop().unwrap_or_default(),
        }))
    }
}
