//! What stays of a batch.

use bongsu_record::kafka::{self, Records};
use bongsu_record::native::Builder;
use bongsu_record::{Batch, Messages, Offset};

use super::CompactOptions;
use super::map::KeyMap;
use super::scan::Found;

/// Puts the keys of a batch into the map. What cannot be read has none: it stays.
pub(super) fn read_keys(unit: &Found, options: &CompactOptions<'_>, map: &mut KeyMap) {
    if unit.batch.is_control() || is_aborted(unit, options) {
        return;
    }
    let limit_bytes = options.decompressed_bytes_max;
    let Ok(messages) = Messages::open(&unit.batch, unit.base, limit_bytes) else {
        return;
    };
    for message in messages.iter() {
        if let Some(key) = message.key() {
            map.put(key, message.offset());
        }
    }
}

fn is_aborted(unit: &Found, options: &CompactOptions<'_>) -> bool {
    let batch = &unit.batch;
    batch.is_transactional() && (options.is_aborted)(batch.producer_id(), unit.base)
}

/// What became of a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Cleaned {
    Same,
    /// In its place, from the front; none: it is gone.
    Parts(Vec<(Offset, Batch)>),
}

/// The second half of a round.
pub(super) struct Cleaner<'a> {
    pub options: &'a CompactOptions<'a>,
    pub map: &'a KeyMap,
    /// The log's.
    pub start: Offset,
    /// Below, the map knows every key since the last round.
    pub end: Offset,
    pub dropped_count: u64,
}

impl Cleaner<'_> {
    pub fn clean(&mut self, unit: &Found) -> Cleaned {
        let batch = &unit.batch;
        let gone = match unit.end() > self.end {
            // Of a batch that the round does not reach, neither keys nor its time are known.
            true => false,
            false if batch.is_control() => !is_aborted(unit, self.options),
            false => is_aborted(unit, self.options),
        };
        if gone || unit.end() <= self.start {
            self.dropped_count += u64::from(batch.record_count());
            return Cleaned::Parts(Vec::new());
        }
        if batch.is_control() {
            return Cleaned::Same;
        }
        match batch.is_native() {
            true => self.clean_native(unit),
            false => self.clean_kafka(unit),
        }
    }

    fn is_latest(&self, key: Option<&[u8]>, offset: Offset) -> bool {
        let latest = key.and_then(|key| self.map.latest(key));
        latest.is_none_or(|latest| latest <= offset)
    }

    fn clean_kafka(&mut self, unit: &Found) -> Cleaned {
        let (batch, limit_bytes) = (&unit.batch, self.options.decompressed_bytes_max);
        let Ok(records) = Records::open(batch, limit_bytes) else {
            return Cleaned::Same;
        };
        let is_reached = unit.end() <= self.end;
        let horizon_ms = batch.delete_horizon();
        let is_past = is_reached && horizon_ms.is_some_and(|ms| ms <= self.options.now_ms);
        let stays = |record: &kafka::Record<'_>| {
            let offset = unit.base.plus(u64::from(record.offset_delta));
            self.is_latest(record.key, offset) && !(is_past && is_tombstone(record))
        };
        let staying = || records.iter().filter(|record| stays(record));
        let count = staying().count() as u32;
        // From the first time on that a tombstone is the only one of its key.
        let begins = is_reached && horizon_ms.is_none() && staying().any(|r| is_tombstone(&r));
        if count == batch.record_count() && !begins {
            return Cleaned::Same;
        }
        let retention_ms = self.options.delete_retention_ms;
        let horizon_ms = begins.then(|| self.options.now_ms.saturating_add(retention_ms));
        let kept = kafka::retain(batch, &records, horizon_ms, |record| stays(record));
        self.dropped_count += u64::from(batch.record_count() - count);
        Cleaned::Parts(kept.map(|kept| (unit.base, kept)).into_iter().collect())
    }

    /// Native records have no gaps between them: each run of those that stay is a batch.
    fn clean_native(&mut self, unit: &Found) -> Cleaned {
        let batch = &unit.batch;
        let count = batch.record_count();
        let mut parts = Vec::new();
        let mut builder = Builder::new();
        let mut begin = unit.base;
        let mut kept_count = 0;
        let mut finish = |builder: &mut Builder, begin: Offset| {
            let part = builder.finish(batch.base_timestamp());
            parts.extend(part.map(|part| (begin, part)));
        };
        for (index, record) in (0..).zip(batch.native_records(0..count)) {
            let offset = unit.base.plus(index);
            let key = record.property(bongsu_record::native::tag::ROUTING_KEY);
            if self.is_latest(key, offset) {
                if builder.is_empty() {
                    begin = offset;
                }
                builder.copy(&record, &record.terms());
                kept_count += 1;
            } else {
                finish(&mut builder, begin);
            }
        }
        if kept_count == count {
            return Cleaned::Same;
        }
        finish(&mut builder, begin);
        self.dropped_count += u64::from(count - kept_count);
        Cleaned::Parts(parts)
    }
}

/// A key without a value.
fn is_tombstone(record: &kafka::Record<'_>) -> bool {
    record.key.is_some() && record.value.is_none()
}
