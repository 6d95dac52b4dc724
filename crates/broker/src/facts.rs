//! What a queue is told of the records in a batch: the one place where its rules meet a
//! record's bytes.

use std::ops::Range;

use bongsu_engine::queue::dedup::Identity;
use bongsu_engine::queue::properties::{
    DEDUPLICATION_HEADER, Deduplication, KeySource, Properties,
};
use bongsu_engine::queue::{Fact, FactRun, push_fact};
use bongsu_record::message::Message;
use bongsu_record::native::Record;
use bongsu_record::{Batch, Offset, Value};

/// Appends the facts of some records of a batch, by index, whose first record is at `base`.
pub(crate) fn of(
    batch: &Batch,
    base: Offset,
    records: Range<u32>,
    properties: &Properties,
    out: &mut Vec<FactRun>,
) {
    let at_ms = u64::try_from(batch.header().base_timestamp).unwrap_or(0);
    let looks_inside =
        batch.has_terms() || properties.grouping.is_some() || properties.bytes_max.is_some();
    if !looks_inside || !batch.is_native() {
        let fact = Fact {
            at_ms,
            ..Fact::default()
        };
        let start = base.0 + u64::from(records.start);
        out.push(FactRun {
            records: start..base.0 + u64::from(records.end),
            fact,
        });
        return;
    }
    for (index, record) in (records.start..).zip(batch.native_records(records.clone())) {
        let terms = record.terms();
        let fact = Fact {
            at_ms: at_ms.saturating_add_signed(i64::from(record.timestamp_delta_ms)),
            ttl_ms: terms.ttl_ms,
            deliver_at_ms: terms.deliver_at_ms.unwrap_or(0),
            // Looked at only where there are priorities: else it would part equal runs.
            priority: properties
                .priority_max
                .and(terms.priority)
                .unwrap_or_default(),
            key: key(&record, properties),
            bytes: match properties.bytes_max {
                Some(_) => u32::try_from(record.body.len()).unwrap_or(u32::MAX),
                None => 0,
            },
        };
        push_fact(out, base.0 + u64::from(index), fact);
    }
}

/// The key of the group a record is in.
fn key(record: &Record<'_>, properties: &Properties) -> Option<u64> {
    let identity = match &properties.grouping.as_ref()?.key {
        KeySource::RoutingKey => Identity::of(record.routing_key()),
        KeySource::Header(name) => identity(record, name)?,
    };
    let [a, b, c, d, e, f, g, h, ..] = identity.to_bytes();
    Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// The identity of a header's value, if the record has it.
pub(crate) fn identity(record: &Record<'_>, header: &str) -> Option<Identity> {
    let headers = Message::native(*record, Offset(0), 0).headers().ok()?;
    Some(match headers.get(header)? {
        Value::Text(text) => Identity::of(text.as_bytes()),
        Value::Bytes(bytes) => Identity::of(bytes),
        other => Identity::of(format!("{other:?}").as_bytes()),
    })
}

/// The header that names a record for deduplication.
pub(crate) fn identity_header(settings: &Deduplication) -> &str {
    let header = settings.header.as_deref();
    header.unwrap_or(DEDUPLICATION_HEADER)
}
