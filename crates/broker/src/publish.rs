//! A publish: one batch to all queues its route leads to, as one group.
//!
//! Queues are locked in ascending order of their ids, all of them, from taking the base
//! offsets until the batch is in the WAL: so each log has its records in WAL order, and a
//! fan-out is there in all queues or in none.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::queue::Input;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::{QueueId, RouteScratch, SpaceId};
use bongsu_engine::session::{Now, Publish, Reply};
use bongsu_record::message::Message;
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_record::{Arguments, Batch, Lsn, Offset};

use crate::broker::Broker;
use crate::cell::QueueCell;
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
        // A headers exchange: each record has a route of its own.
        let mut waits = None;
        let mut all_routed = true;
        let mut run = Run::default();
        for index in 0..publish.batch.record_count() {
            let cells = self.cells_of(space, publish, index)?;
            if run.leads_elsewhere(&cells) {
                run.append(&self.broker, now, &mut waits, &mut all_routed)?;
            }
            run.push(cells, &publish.batch, index);
        }
        run.append(&self.broker, now, &mut waits, &mut all_routed)?;
        Ok(Executed::Now(Reply::Published {
            wait: waits,
            routed: all_routed,
            refused: Vec::new(),
        }))
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
            && routes.epoch == epoch
            && routes.exchange == publish.exchange
            && routes.routing_key == publish.routing_key
        {
            return Ok(Some(routes.cells.clone()));
        }
        let (cells, cacheable) = self.route(space, publish, index)?;
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
        let routed = self.broker.catalog().router().route(
            space,
            &publish.exchange,
            &publish.routing_key,
            &headers,
            scratch,
            queues,
        )?;
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
        let origin = match record.origin {
            1 => Origin::Amqp091,
            2 => Origin::Pairs,
            _ => Origin::Plain,
        };
        self.builder.begin(
            origin,
            record.flags & PERSISTENT,
            record.exchange(),
            record.routing_key(),
            record.header,
            record.body.len() as u64,
        );
        self.builder.body(record.body);
        self.builder.end();
    }

    fn append(
        &mut self,
        broker: &Broker,
        now: Now,
        waits: &mut Option<Lsn>,
        all_routed: &mut bool,
    ) -> Result<(), Refused> {
        let (Some(cells), Some(batch)) = (self.cells.take(), self.builder.finish(now.unix_ms))
        else {
            return Ok(());
        };
        if let Executed::Now(Reply::Published { wait, routed, .. }) =
            broker.append(&cells, &batch)?
        {
            *waits = (*waits).max(wait);
            *all_routed &= routed;
        }
        Ok(())
    }
}

impl Broker {
    /// Appends `batch` to every queue of `cells` (ascending by id) and lends it on.
    pub(crate) fn append(
        &self,
        cells: &[Arc<QueueCell>],
        batch: &Batch,
    ) -> Result<Executed, Refused> {
        let storage = self.storage();
        let count = u64::from(batch.record_count());
        let mut locked = Vec::with_capacity(cells.len());
        for cell in cells {
            let state = cell.lock();
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
            let input = Input::Append { count };
            let handled = cell.handle(&mut state, input, Some((base, batch)), storage);
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
