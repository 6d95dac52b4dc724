//! Kafka batches for queues that look at their records: laid out as a queue protocol's,
//! with the terms that their headers ask for.

use bongsu_record::blocks::amqp091::block_of;
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};
use bongsu_record::{Batch, Messages, Offset};

/// The same records, as an AMQP client would have sent them to this queue; `None` if they
/// cannot be read, or what they say has no place there.
pub(crate) fn for_queue(batch: &Batch, unfolded_bytes_max: usize) -> Option<Batch> {
    let messages = Messages::open(batch, Offset(0), unfolded_bytes_max).ok()?;
    let mut builder = Builder::new();
    for message in messages.iter() {
        let properties = message.properties().ok()?;
        let terms = Terms {
            ttl_ms: properties
                .expiration
                .and_then(|time| u64::try_from(time.as_millis()).ok()),
            deliver_at_ms: None,
            priority: properties.priority,
        };
        let block = block_of(&message).ok()?;
        let body = message.body();
        builder.begin_with(
            Origin::Amqp091,
            PERSISTENT,
            b"",
            message.routing_key(),
            &terms,
            &block,
            body.len() as u64,
        );
        builder.body(body);
        builder.end();
    }
    let laid_out = builder.finish(batch.header().base_timestamp)?;
    Some(laid_out.with_producer_of(batch))
}

/// Whether some record says when it need not be delivered any more: a queue that looks at
/// nothing else looks at that.
pub(crate) fn may_expire(batch: &Batch, unfolded_bytes_max: usize) -> bool {
    let Ok(messages) = Messages::open(batch, Offset(0), unfolded_bytes_max) else {
        return false;
    };
    messages.iter().any(|message| {
        let properties = message.properties();
        properties.is_ok_and(|properties| properties.expiration.is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bongsu_record::kafka::{Header, Writer};

    #[test]
    fn terms_keys_and_headers_come_along() {
        let mut writer = Writer::new();
        let header = |name, value| Header {
            name,
            value: Some(value),
        };
        let headers = [
            header(&b"priority"[..], &b"7"[..]),
            header(b"expiration", b"1500"),
            header(b"tenant", b"a"),
        ];
        writer.push(1_000, Some(b"key"), Some(b"body"), &headers);
        writer.push(2_000, None, None, &[]);
        let batch = writer.finish().unwrap();
        assert!(may_expire(&batch, 1 << 20));
        let laid_out = for_queue(&batch, 1 << 20).unwrap();
        assert_eq!(laid_out.record_count(), 2);
        let first = laid_out.native_record(0).unwrap();
        assert_eq!(
            (first.routing_key(), first.body),
            (&b"key"[..], &b"body"[..])
        );
        assert_eq!(first.terms().priority, Some(7));
        assert_eq!(first.terms().ttl_ms, Some(1500));
        let messages = Messages::open(&laid_out, Offset(0), 0).unwrap();
        let headers = messages.get(0).unwrap().headers().unwrap();
        assert_eq!(
            headers.get("tenant").and_then(|value| value.as_text()),
            Some("a")
        );
        assert_eq!(laid_out.native_record(1).unwrap().body, b"");
    }
}
