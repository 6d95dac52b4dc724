//! Moving what is still alive out of old lane files.

use std::ops::Range;

use bongsu_record::{LogId, Lsn, Offset};

use crate::Log;

/// Who knows what is alive: the broker.
pub trait CheckpointSource: Send + Sync {
    /// May any record of `records` still be needed? Asked of pinned batches, outside
    /// every storage lock; may take the queue's lock.
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool;

    /// Puts the broker's state, section by section; each log under its queue's lock.
    fn sections(&self, out: &mut SectionWriter<'_>);
}

/// Takes the sections of one checkpoint.
pub struct SectionWriter<'a> {
    _private: std::marker::PhantomData<&'a ()>,
}

impl SectionWriter<'_> {
    /// Puts a section of the broker's own: come back as they are in
    /// [`Recovery::sections`](crate::Recovery::sections).
    pub fn put(&mut self, kind: u8, id: u64, bytes: &[u8]) {
        let _ = (kind, id, bytes);
        todo!()
    }

    /// Puts one log and its queue's `state`. The caller holds the queue's lock and took
    /// `applied` = [`Storage::position`](crate::Storage::position) under it: `state`
    /// knows of every entry at or below `applied` and of none above.
    pub fn put_log(&mut self, log: &Log, applied: Lsn, state: &[u8]) {
        let _ = (log, applied, state);
        todo!()
    }
}
