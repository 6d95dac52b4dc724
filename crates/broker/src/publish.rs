//! A publish: one batch to all queues its route leads to, as one group.
//!
//! Queues are locked in ascending order of their ids, all of them, from taking the base
//! offsets until the batch is in the WAL: so each log has its records in WAL order, and a
//! fan-out is there in all queues or in none.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::{QueueId, RouteScratch, SpaceId};
use bongsu_engine::session::{Now, Publish, Reply, Settle};
use bongsu_record::message::Message;
use bongsu_record::native::Builder;
use bongsu_record::{Arguments, Batch, Lsn, Offset};

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::group::{Group, Part};
use crate::handle::{Executed, SessionHandle, refused};

/// The queues of a route, ascending by id.
pub(crate) type Cells = Arc<[Arc<QueueCell>]>;

/// The last route of a session. Most publishers use one at a time.
#[derive(Debug, Default)]
pub struct RouteCache {
    epoch: u64,
    exchange: String,
    routing_key: String,
    cells: Cells,
    filled: bool,
    scratch: RouteScratch,
    queues: Vec<QueueId>,
}

impl SessionHandle {
    pub(crate) fn publish(&mut self, publish: &Publish, now: Now) -> Result<Executed, Refused> {
        self.allowed(Permission::Write, Kind::Exchange, &publish.exchange)?;
        let space = self.in_space()?;
        if let Some(cells) = self.cached(space, publish, 0)? {
            return self.broker.append(&cells, &publish.batch);
        }
        let mut waits = None;
        let mut all_routed = true;
        let mut all_refused = Vec::new();
        let mut first = 0;
        for part in self.parts(space, publish, now)? {
            let count = part.batch.record_count();
            let executed = self.broker.append(&part.cells, &part.batch)?;
            if let Executed::Now(Reply::Published {
                wait,
                routed,
                refused,
            }) = executed
            {
                waits = waits.max(wait);
                all_routed &= routed;
                let refused = refused.into_iter();
                all_refused.extend(refused.map(|range| range.start + first..range.end + first));
            }
            first += count;
        }
        Ok(Executed::Now(Reply::Published {
            wait: waits,
            routed: all_routed,
            refused: all_refused,
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
        let mut group = Group::default();
        let mut counts = Vec::with_capacity(publishes.len());
        for publish in publishes {
            self.allowed(Permission::Write, Kind::Exchange, &publish.exchange)?;
            let parts = self.parts(space, publish, now)?;
            counts.push(parts.len());
            group.parts.extend(parts);
        }
        group.endings = self.endings(settles);
        let grouped = self.broker.group(&group)?;
        drop(group);
        self.ended(settles);
        self.broker.bury_refused(grouped.dead);
        let mut routed = grouped.routed.into_iter();
        let unrouted = (0..publishes.len()).zip(counts).filter_map(|(index, count)| {
            let any = routed.by_ref().take(count).fold(false, |any, one| any | one);
            (!any).then_some(index)
        });
        Ok(Executed::Now(Reply::Committed {
            unrouted: unrouted.collect(),
            wait: (grouped.lsn > Lsn(0)).then_some(grouped.lsn),
        }))
    }

    /// The batches of a publish, each with its queues: one, unless each record has a route
    /// of its own.
    fn parts(
        &mut self,
        space: SpaceId,
        publish: &Publish,
        now: Now,
    ) -> Result<Vec<Part>, Refused> {
        if let Some(cells) = self.cached(space, publish, 0)? {
            let batch = publish.batch.clone();
            return Ok(vec![Part { cells, batch }]);
        }
        let mut parts = Vec::new();
        let mut run = Run::default();
        for index in 0..publish.batch.record_count() {
            let cells = self.cells_of(space, publish, index)?;
            if run.leads_elsewhere(&cells) {
                parts.extend(run.take(now));
            }
            run.push(cells, &publish.batch, index);
        }
        parts.extend(run.take(now));
        Ok(parts)
    }

    /// The route, if one holds for all records with this exchange and routing key.
    fn cached(
        &mut self,
        space: SpaceId,
        publish: &Publish,
        index: u32,
    ) -> Result<Option<Cells>, Refused> {
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
        let (cells, cacheable) = self.route(space, publish, index)?;
        let cacheable = cacheable && publish.more_keys.is_empty();
        self.routes.filled = cacheable;
        if !cacheable {
            return Ok((publish.batch.record_count() == 1).then_some(cells));
        }
        self.routes.epoch = epoch;
        self.routes.exchange.clone_from(&publish.exchange);
        self.routes.routing_key.clone_from(&publish.routing_key);
        self.routes.cells = cells.clone();
        Ok(Some(cells))
    }

    fn cells_of(
        &mut self,
        space: SpaceId,
        publish: &Publish,
        index: u32,
    ) -> Result<Cells, Refused> {
        self.route(space, publish, index).map(|(cells, _)| cells)
    }

    fn route(
        &mut self,
        space: SpaceId,
        publish: &Publish,
        index: u32,
    ) -> Result<(Cells, bool), Refused> {
        let RouteCache {
            scratch, queues, ..
        } = &mut self.routes;
        let headers = || headers_of(&publish.batch, index);
        let catalog = self.broker.catalog();
        let exchange = &publish.exchange;
        let mut of = |key: &str, queues: &mut Vec<QueueId>| {
            let router = catalog.router();
            router.route(space, exchange, key, &headers, scratch, queues)
        };
        let routed = of(&publish.routing_key, queues)?;
        if !publish.more_keys.is_empty() {
            let mut more = Vec::new();
            for key in &publish.more_keys {
                of(key, &mut more)?;
                queues.append(&mut more);
            }
            queues.sort_unstable();
            queues.dedup();
        }
        drop(catalog);
        Ok((self.broker.cells(queues), routed.cacheable))
    }
}

/// Consecutive records with one route.
#[derive(Default)]
struct Run {
    cells: Option<Cells>,
    builder: Builder,
}

impl Run {
    fn leads_elsewhere(&self, cells: &Cells) -> bool {
        self.cells.as_ref().is_some_and(|known| {
            let ids = |cells: &[Arc<QueueCell>]| cells.iter().map(|c| c.id).collect::<Vec<_>>();
            ids(known) != ids(cells)
        })
    }

    fn push(&mut self, cells: Cells, batch: &Batch, index: u32) {
        self.cells = Some(cells);
        let Some(record) = batch.native_record(index) else {
            return;
        };
        self.builder.copy(&record, &record.terms());
    }

    fn take(&mut self, now: Now) -> Option<Part> {
        let cells = self.cells.take()?;
        let batch = self.builder.finish(now.unix_ms)?;
        Some(Part { cells, batch })
    }
}

impl Broker {
    /// Appends `batch` to every queue of `cells` (ascending by id) and lends it on.
    pub(crate) fn append(
        &self,
        cells: &Cells,
        batch: &Batch,
    ) -> Result<Executed, Refused> {
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
}

impl Broker {
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
        self.bury_refused(grouped.dead);
        Ok(Executed::Now(Reply::Published {
            wait: (grouped.lsn > Lsn(0)).then_some(grouped.lsn),
            routed: grouped.routed.first().copied().unwrap_or(false),
            refused: grouped.refused.pop().unwrap_or_default(),
        }))
    }
}

/// Headers that cannot be read match nothing: the publisher's session has checked their
/// shape, so this is a table nested too deep.
fn headers_of(batch: &Batch, index: u32) -> Arguments {
    let base_timestamp_ms = batch.header().base_timestamp;
    batch
        .native_record(index)
        .map(|record| Message::native(record, Offset(u64::from(index)), base_timestamp_ms))
        .and_then(|message| message.headers().ok())
        .unwrap_or_default()
}
