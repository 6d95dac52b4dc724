//! The batch format: records built, records read, a Kafka client's batch checked.

use std::hint::black_box;

use bongsu_record::Batch;
use bongsu_record::kafka::{Writer, validate};
use bongsu_record::native::{Builder, Origin};

/// A batch of so many records, built.
pub fn build() -> Box<dyn FnMut()> {
    Box::new(|| {
        black_box(batch());
    })
}

/// All of one gone through.
pub fn read() -> Box<dyn FnMut()> {
    let batch = batch();
    Box::new(move || {
        let records = black_box(&batch).native_records(0..COUNT as u32);
        let read: usize = records
            .map(|record| record.body.len() + record.routing_key().len())
            .sum();
        assert_eq!(black_box(read), COUNT as usize * (BODY_BYTES + KEY.len()));
    })
}

/// What a Kafka client sent, checked record by record.
pub fn validate_kafka() -> Box<dyn FnMut()> {
    let batch = kafka_batch();
    Box::new(move || {
        validate(black_box(&batch), usize::MAX).expect("a sound batch");
    })
}

/// A batch as AMQP makes them.
pub fn batch() -> Batch {
    let body = [b'x'; BODY_BYTES];
    let mut builder = Builder::new();
    for _ in 0..COUNT {
        let length = BODY_BYTES as u64;
        builder.begin(Origin::Amqp091, 0, b"amq.topic", KEY, PROPERTIES, length);
        builder.body(&body);
        builder.end();
    }
    builder.finish(0).expect("records")
}

/// A batch as Kafka's clients make them.
pub fn kafka_batch() -> Batch {
    let mut writer = Writer::new();
    for _ in 0..COUNT {
        writer.push(1_700_000_000_000, None, Some(&[b'x'; BODY_BYTES]), &[]);
    }
    writer.finish().expect("records")
}

/// Records of a batch.
pub const COUNT: u64 = 1000;
/// Bytes of each.
pub const BODY_BYTES: usize = 100;
/// Content type and delivery mode.
pub const PROPERTIES: &[u8] = b"\x90\x00\x0atext/plain\x02";
const KEY: &[u8] = b"key";
