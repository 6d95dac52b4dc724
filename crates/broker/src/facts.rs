//! What a queue is told of the records in a batch: the one place where its rules meet a
//! record's bytes.

use std::ops::Range;

use bongsu_engine::queue::dedup::Identity;
use bongsu_engine::queue::properties::{
    DEDUPLICATION_HEADER, Deduplication, KeySource, Properties,
};
use bongsu_engine::queue::{Fact, FactRun, push_fact};
use bongsu_record::message::{Message, Messages};
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
    if looks_inside && !batch.is_native() {
        return of_kafka(batch, base, &records, properties, out);
    }
    if !looks_inside {
        let fact = Fact {
            at_ms,
            deliver_at_ms: delayed(at_ms, 0, properties),
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
        let at_ms = at_ms.saturating_add_signed(i64::from(record.timestamp_delta_ms));
        let fact = Fact {
            at_ms,
            ttl_ms: terms.ttl_ms,
            deliver_at_ms: delayed(at_ms, terms.deliver_at_ms.unwrap_or(0), properties),
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

/// As [`of`], of records as Kafka's clients write them. A batch that cannot be read is
/// told of all the same: whoever delivers it finds out.
fn of_kafka(
    batch: &Batch,
    base: Offset,
    records: &Range<u32>,
    properties: &Properties,
    out: &mut Vec<FactRun>,
) {
    let Ok(messages) = Messages::open(batch, base, DECOMPRESSED_BYTES_MAX) else {
        return;
    };
    let wanted = base.plus(u64::from(records.start))..base.plus(u64::from(records.end));
    for message in messages.iter().filter(|m| wanted.contains(&m.offset())) {
        let at_ms = u64::try_from(message.timestamp_ms()).unwrap_or(0);
        let identity = properties.grouping.as_ref().and_then(|by| match &by.key {
            KeySource::RoutingKey => message.key().map(Identity::of),
            KeySource::Header(name) => identity_in(&message, name),
        });
        let fact = Fact {
            at_ms,
            ttl_ms: None,
            deliver_at_ms: delayed(at_ms, 0, properties),
            priority: 0,
            key: identity.map(hashed),
            bytes: match properties.bytes_max {
                Some(_) => u32::try_from(message.body().len()).unwrap_or(u32::MAX),
                None => 0,
            },
        };
        push_fact(out, message.offset().0, fact);
    }
}

/// When a record may be lent, by its own terms and by the queue's: Unix milliseconds.
fn delayed(at_ms: u64, own_ms: u64, properties: &Properties) -> u64 {
    match properties.delay_ms {
        Some(delay_ms) => own_ms.max(at_ms.saturating_add(delay_ms)),
        None => own_ms,
    }
}

/// The key of the group a record is in.
fn key(record: &Record<'_>, properties: &Properties) -> Option<u64> {
    let identity = match &properties.grouping.as_ref()?.key {
        KeySource::RoutingKey => Identity::of(record.routing_key()),
        KeySource::Header(name) => identity(record, name)?,
    };
    Some(hashed(identity))
}

fn hashed(identity: Identity) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = identity.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The identity of a header's value, if the record has it.
pub(crate) fn identity(record: &Record<'_>, header: &str) -> Option<Identity> {
    identity_in(&Message::native(*record, Offset(0), 0), header)
}

fn identity_in(message: &Message<'_>, header: &str) -> Option<Identity> {
    let headers = message.headers().ok()?;
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

/// What a compressed batch may unfold to in memory while it is looked through.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;
