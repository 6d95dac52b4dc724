//! One record for a client that asks for one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bongsu_engine::Refused;
use bongsu_engine::refused::StreamOperation;
use bongsu_engine::session::{Delivery, LinkId, Outcome, Reply};
use bongsu_record::Offset;
use bongsu_storage::Stored;

use super::read::sifted_kafka;
use super::{Executed, LinkState, SessionHandle, refused};
use crate::cell::{Got, QueueCell};
use crate::outbox::Target;
use crate::statistics::Count;

impl SessionHandle {
    pub(super) fn get(
        &mut self,
        link: LinkId,
        queue: &str,
        auto_settle: bool,
    ) -> Result<Executed, Refused> {
        let cell = self.readable(queue)?;
        cell.is_no_stream(&cell.lock(), StreamOperation::Get)?;
        let key = self.getting(link, &cell);
        let now_ms = self.broker.now_ms();
        loop {
            let (leased, left) = {
                let mut locked = cell.lock();
                locked.used_ms = now_ms;
                let leased = cell.get(&mut locked, key, &self.broker);
                if leased.is_some() {
                    locked.holders.insert(key, self.connection.id);
                }
                (leased, locked.machine.cursor().ready())
            };
            let Some(got) = leased else {
                self.count(Some(&cell), Count::GetEmpty, 1, now_ms);
                return Ok(Executed::Now(Reply::Got(None)));
            };
            let records = got.records.clone();
            let found = read_one(&cell, records.start).map_err(|error| {
                self.settle(link, std::slice::from_ref(&records), Outcome::Release);
                refused(&error)
            })?;
            let after = got.after;
            let Some(delivery) = found.and_then(|found| delivery(link, &cell, got, found)) else {
                // Nobody is to see it: it is passed over as where a consumer is handed it.
                self.settle(link, &[records], Outcome::Accept);
                continue;
            };
            let count = match auto_settle {
                true => Count::GetNoAck,
                false => Count::Get,
            };
            self.count(Some(&cell), count, 1, now_ms);
            if delivery.redelivered {
                self.count(Some(&cell), Count::Redeliver, 1, now_ms);
            }
            if let (Some(traces), Some(state)) = (self.broker.traces(), self.links.get(&link)) {
                let how = (None, delivery.redelivered);
                traces.delivered(&cell, &records, self.reader(state), how);
            }
            if auto_settle {
                self.settle(link, &[records], Outcome::Accept);
            }
            let got = Reply::Got(Some((delivery, left)));
            return Ok(match after {
                Some(lsn) => Executed::Durable(lsn, got),
                None => Executed::Now(got),
            });
        }
    }

    /// The link that gets from this queue, made if it is the first time.
    fn getting(&mut self, link: LinkId, cell: &Arc<QueueCell>) -> bongsu_engine::queue::LinkKey {
        let (broker, outbox) = (&self.broker, &self.outbox);
        let state = self.links.entry(link).or_insert_with(|| LinkState {
            cell: cell.clone(),
            key: broker.next_link_key(),
            target: Arc::new(Target {
                outbox: outbox.clone(),
                link,
                pool: None,
                pooled: AtomicU64::new(0),
                consumer: None,
            }),
            auto_settle: false,
            consumes: false,
            reads: None,
        });
        // The queue may have been deleted and declared again under its old name.
        if state.cell.id != cell.id {
            state.cell = cell.clone();
        }
        state.key
    }
}

/// One record for one client that asked: a read from the disk may block here. `None` if it
/// is there no longer.
fn read_one(cell: &QueueCell, at: Offset) -> Result<Option<Stored>, bongsu_storage::Error> {
    let mut stored = Vec::new();
    if !cell.log.read(at, 1, &mut stored) {
        stored.clear();
        cell.log.fetch(at, 1, &mut stored)?;
    }
    let first = stored.into_iter().next();
    Ok(first.filter(|found| found.base <= at))
}

/// What is delivered of it; `None` for what nobody is to see.
fn delivery(link: LinkId, cell: &QueueCell, got: Got, found: Stored) -> Option<Delivery> {
    let batch = &found.batch;
    if cell.hides(found.base, batch) {
        return None;
    }
    let whole = batch.is_native() || (batch.is_dense() && !batch.is_control());
    let delivery = Delivery {
        link,
        batch: found.batch,
        base: found.base,
        records: got.records,
        redelivered: got.tries.acquired > 0,
        tries: got.tells_tries.then_some(got.tries),
        tell_offsets: false,
    };
    let is_there = whole || !sifted_kafka(None, &delivery).0.is_empty();
    is_there.then_some(delivery)
}
