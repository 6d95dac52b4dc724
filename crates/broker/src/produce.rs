//! Appending to partitions: each batch on its own, as it came.
//!
//! A batch for a queue whose properties look at records is laid out for that first.

use std::sync::Arc;

use bongsu_engine::refused::Permission;
use bongsu_engine::session::Reply;
use bongsu_engine::session::records::{
    Append, AppendRefused, AppendRequest, Appended, PartitionRefused,
};
use bongsu_record::{Batch, Lsn};
use bongsu_storage::Error;

use crate::cell::{QueueCell, State};
use crate::handle::{Executed, SessionHandle};

impl SessionHandle {
    pub(crate) fn append_all(&mut self, request: AppendRequest) -> Executed {
        self.publishes = true;
        let mut last = Lsn(0);
        let mut results = Vec::with_capacity(request.appends.len());
        for append in &request.appends {
            results.push(self.append_one(append, &request, &mut last));
        }
        let wait = (last > Lsn(0)).then_some(last);
        Executed::Now(Reply::Appended { wait, results })
    }

    fn append_one(
        &mut self,
        append: &Append,
        _request: &AppendRequest,
        last: &mut Lsn,
    ) -> Result<Appended, AppendRefused> {
        let cell = self
            .partition(&append.topic, append.partition, Permission::Write)
            .map_err(AppendRefused::Partition)?;
        let mut state = cell.lock();
        if state.gone {
            let gone = PartitionRefused::Unknown;
            return Err(AppendRefused::Partition(gone));
        }
        self.append_to(&cell, &mut state, &append.batch, last)
    }

    fn append_to(
        &self,
        cell: &Arc<QueueCell>,
        state: &mut State,
        batch: &Batch,
        last: &mut Lsn,
    ) -> Result<Appended, AppendRefused> {
        let broker = self.broker();
        let base = state.machine.cursor().end();
        let appended = broker
            .storage()
            .append(&[(&cell.log, base)], batch, &[])
            .map_err(|error| self.append_failed(&error))?;
        *last = appended.lsn.max(*last);
        let handled = cell.appended(state, base, batch, broker);
        broker.noted(handled);
        Ok(Appended {
            base: Some(base),
            stamped_ms: None,
            start: cell.log.start(),
        })
    }

    fn append_failed(&self, error: &Error) -> AppendRefused {
        self.broker().report(error);
        AppendRefused::Storage
    }
}
