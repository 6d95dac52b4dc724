//! Leases that people end or lengthen: of a consumer that sits on them, or that needs longer.
//!
//! A lease that is taken back goes to whoever else has room, and only then to the one who had
//! it. Its consumer is not told: what it says of the record later is about a lease that it no
//! longer has, and changes nothing.

use bongsu_engine::Refused;
use bongsu_engine::queue::{Input, LinkKey};
use bongsu_engine::refused::Permission;
use bongsu_record::{Lsn, Offset};

use super::Operator;
use crate::handle::refused;

/// Whose leases are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased {
    /// That of one record.
    Record(Offset),
    /// All that one consumer holds.
    Consumer(LinkKey),
}

impl Operator {
    /// Gives records back to their queue; how many. Done once it is durable.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`], [`Refused::Storage`].
    pub async fn release(&self, space: &str, name: &str, which: Leased) -> Result<u64, Refused> {
        let found = self.find_queue_to(Permission::Read, space, name)?;
        let (holder, range) = match which {
            Leased::Record(offset) => (None, offset..offset.plus(1)),
            Leased::Consumer(key) => (Some(key), Offset(0)..Offset(u64::MAX)),
        };
        let (count, recorded) = {
            let mut state = found.cell.lock();
            let before = state.machine.cursor().leased_of(holder, &range);
            let input = Input::Revoke {
                holder,
                ranges: std::slice::from_ref(&range),
            };
            let recorded = found.cell.handle(&mut state, input, self.broker());
            (before, recorded)
        };
        let lsn = recorded.map_err(|error| refused(&error))?;
        if count > 0 {
            let user = &self.user().name;
            tracing::info!(
                "user '{user}' gives {count} records back to queue '{name}' in '{space}': {which:?}"
            );
        }
        self.until_durable(lsn).await;
        Ok(count)
    }

    /// A record is lent for so many milliseconds from now on; whether it is lent at all.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn extend(
        &self,
        space: &str,
        name: &str,
        (offset, lock_ms): (Offset, u64),
    ) -> Result<bool, Refused> {
        let found = self.find_queue_to(Permission::Read, space, name)?;
        let mut state = found.cell.lock();
        let held = state.machine.cursor().held_from(offset).next();
        let Some(held) = held.filter(|held| held.start <= offset) else {
            return Ok(false);
        };
        let range = offset..offset.plus(1);
        let input = Input::Extend {
            key: held.holder,
            ranges: std::slice::from_ref(&range),
            lock_ms: lock_ms.max(1),
        };
        // Leases are not recorded.
        let extended = found.cell.handle(&mut state, input, self.broker());
        drop(state);
        self.broker().noted(extended);
        let user = &self.user().name;
        tracing::info!(
            "user '{user}' lets the lease of {offset} in queue '{name}' of '{space}' last {lock_ms} ms"
        );
        Ok(true)
    }

    /// Waits for what was recorded, if anything was.
    pub(crate) async fn until_durable(&self, lsn: Option<Lsn>) {
        if let Some(lsn) = lsn {
            self.broker().storage().hurry();
            self.await_durable(lsn).await;
        }
    }
}
