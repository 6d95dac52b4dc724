//! Looking up offsets of partitions.

use std::sync::Arc;

use bongsu_engine::refused::Permission;
use bongsu_engine::session::Reply;
use bongsu_engine::session::records::{FetchRefused, FoundOffset, OffsetsRequest, When};
use bongsu_record::{Lsn, Offset};

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::fetch::limit;
use crate::handle::{Executed, Job, SessionHandle};

type Looked = Result<FoundOffset, FetchRefused>;

impl SessionHandle {
    pub(crate) fn offsets(&mut self, request: OffsetsRequest) -> Executed {
        let durable = self.broker().durable_lsn();
        let mut blocks = false;
        let mut wanted = Vec::with_capacity(request.parts.len());
        for part in &request.parts {
            let cell = self.partition(&part.topic, part.partition, Permission::Read);
            blocks |= matches!(part.when, When::Time(_) | When::MaxTimestamp);
            wanted.push((cell.map_err(FetchRefused::Partition), part.when));
        }
        let broker = self.broker().clone();
        let committed = request.committed;
        let look = move || {
            let found = wanted.into_iter().map(|(cell, when)| {
                let cell = cell?;
                look_up(&cell, when, committed, durable, &broker)
            });
            Reply::Offsets(found.collect())
        };
        match blocks {
            true => Executed::Job(Job::new(look)),
            false => Executed::Now(look()),
        }
    }
}

fn look_up(
    cell: &Arc<QueueCell>,
    when: When,
    committed: bool,
    durable: Lsn,
    broker: &Broker,
) -> Looked {
    let (bounds, end) = {
        let state = cell.lock();
        let bounds = cell.log.bounds(durable);
        (bounds, limit(&state, &bounds, committed))
    };
    let at = |offset: Option<Offset>, timestamp_ms| {
        Ok(FoundOffset {
            offset,
            timestamp_ms,
        })
    };
    let failed = |error| {
        broker.report(&error);
        FetchRefused::Storage
    };
    match when {
        When::Earliest => at(Some(bounds.start), None),
        When::Latest => at(Some(end), None),
        When::Never => at(None, None),
        When::Time(unix_ms) => {
            let found = cell.log.record_at_time(unix_ms).map_err(failed)?;
            match found.filter(|found| found.offset < end) {
                Some(found) => at(Some(found.offset), Some(found.timestamp_ms)),
                None => at(None, None),
            }
        }
        When::MaxTimestamp => {
            let found = cell.log.record_of_max_time().map_err(failed)?;
            match found.filter(|found| found.offset < end) {
                Some(found) => at(Some(found.offset), Some(found.timestamp_ms)),
                None => at(None, None),
            }
        }
    }
}
