use std::time::Duration;

use super::*;
use crate::kafka::{Header, Writer};
use crate::native::Builder;
use crate::value::Value;

const TIME_MS: i64 = 1_700_000_000_123;
const LIMIT_BYTES: usize = 1 << 20;

fn properties() -> Properties<'static> {
    Properties {
        content_type: Some(b"text/plain"),
        priority: Some(5),
        correlation_id: Some(b"\xff not UTF-8"),
        expiration: Some(Duration::from_millis(60_000)),
        timestamp_s: Some(1_600_000_000),
        ..Properties::default()
    }
}

fn headers() -> Arguments {
    [
        ("tries".to_owned(), Value::Int(3)),
        ("where".to_owned(), Value::Text("산".to_owned())),
    ]
    .into()
}

/// The same message as publishers of three protocols, and none, would leave it.
fn sample() -> Batch {
    let mut amqp = Vec::new();
    amqp091::encode(properties(), headers(), true, &mut amqp);
    let mut pairs_block = Vec::new();
    for (name, value) in properties().pairs() {
        pairs::push(name.as_bytes(), &value, &mut pairs_block).expect("short");
    }
    pairs::push(b"tries", b"3", &mut pairs_block).expect("short");
    pairs::push("where".as_bytes(), "산".as_bytes(), &mut pairs_block).expect("short");
    let mut builder = Builder::new();
    for (origin, flags, block) in [
        (Origin::Plain, 0, &[][..]),
        (Origin::Amqp091, PERSISTENT, &amqp),
        (Origin::Pairs, PERSISTENT, &pairs_block),
    ] {
        builder.begin(origin, flags, b"hills", b"a.b", block, 4);
        builder.body(b"fire");
        builder.end();
    }
    builder.finish(TIME_MS).expect("three")
}

fn open(batch: &Batch) -> Messages {
    Messages::open(batch, Offset(100), LIMIT_BYTES).expect("sound")
}

/// Any batch as a Kafka client gets it.
fn as_kafka(messages: &Messages) -> Batch {
    let mut writer = Writer::new();
    for message in messages.iter() {
        kafka_block::push(&message, &mut writer).expect("sound");
    }
    writer.finish().expect("one at least")
}

fn text_headers() -> Arguments {
    let mut headers = headers();
    // Pairs do not say what is a number.
    headers.insert("tries".to_owned(), Value::Text("3".to_owned()));
    headers
}

#[test]
fn native_messages_read_the_same_whoever_wrote_them() {
    let batch = sample();
    let messages = open(&batch);
    assert_eq!((messages.count(), messages.iter().count()), (3, 3));
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message.offset(), Offset(100 + index as u64));
        assert_eq!(message.timestamp_ms(), TIME_MS);
        assert_eq!(
            (message.exchange(), message.routing_key()),
            (&b"hills"[..], &b"a.b"[..])
        );
        assert_eq!(
            (message.key(), message.body()),
            (Some(&b"a.b"[..]), &b"fire"[..])
        );
        assert_eq!(message.is_persistent(), index > 0);
    }
    let get = |index| messages.get(index).expect("it");
    assert_eq!(get(0).properties(), Ok(Properties::default()));
    assert_eq!(get(0).headers(), Ok(Arguments::new()));
    assert_eq!(
        (get(1).properties(), get(1).headers()),
        (Ok(properties()), Ok(headers()))
    );
    assert_eq!(
        (get(2).properties(), get(2).headers()),
        (Ok(properties()), Ok(text_headers()))
    );
    assert!(messages.get(3).is_none());
}

#[test]
fn every_origin_is_delivered_over_kafka_and_back_over_amqp() {
    let batch = sample();
    let native = open(&batch);
    let batch = as_kafka(&native);
    let kafka = open(&batch);
    for index in 1..3 {
        let message = kafka.get(index).expect("it");
        assert_eq!(message.offset(), Offset(100 + u64::from(index)));
        assert_eq!(message.timestamp_ms(), TIME_MS);
        assert_eq!(
            (message.key(), message.body()),
            (Some(&b"a.b"[..]), &b"fire"[..])
        );
        assert_eq!(message.properties(), Ok(properties()));
        assert_eq!(message.headers(), Ok(text_headers()));
        let block = amqp091::block_of(&message).expect("sound");
        let fields = amqp091::read(&block).expect("sound");
        assert_eq!(fields.properties, properties());
        assert_eq!(fields.headers(), Ok(text_headers()));
        assert_eq!(fields.delivery_mode, Some(2));
    }
    // Once it is Kafka's, it is passed on as it is.
    assert_eq!(as_kafka(&kafka).bytes(), batch.bytes());
}

#[test]
fn own_protocol_gets_its_own_bytes() {
    let batch = sample();
    let messages = open(&batch);
    let message = messages.get(1).expect("AMQP's");
    let Block::Amqp091(raw) = message.block() else {
        panic!("another block: {message:?}");
    };
    let block = amqp091::block_of(&message).expect("raw");
    assert_eq!(block.as_ptr(), raw.as_ptr(), "not copied");
    let message = messages.get(2).expect("pairs");
    let block = amqp091::block_of(&message).expect("made");
    assert_eq!(
        amqp091::read(&block).map(|fields| fields.properties),
        Ok(properties())
    );
    let message = messages.get(0).expect("plain");
    let block = amqp091::block_of(&message).expect("made");
    assert_eq!(
        &block[..],
        b"\x10\0\x01",
        "delivery mode 1 and nothing else"
    );
}

#[test]
fn kafka_time_is_amqp_time_and_null_is_empty() {
    let mut writer = Writer::new();
    let long_key = [b'k'; 256];
    let trace = Header {
        name: b"trace",
        value: None,
    };
    writer.push(TIME_MS, Some(&long_key), None, &[trace]);
    writer.push(-1, None, Some(b"x"), &[]);
    let batch = writer.finish().expect("two");
    let messages = open(&batch);
    let message = messages.get(0).expect("first");
    assert_eq!((message.value(), message.body()), (None, &b""[..]));
    assert_eq!(
        (message.key(), message.routing_key()),
        (Some(&long_key[..]), &b""[..])
    );
    let block = amqp091::block_of(&message).expect("made");
    let fields = amqp091::read(&block).expect("sound");
    assert_eq!(fields.properties.timestamp_s, Some(1_700_000_000));
    let expected = [
        ("trace".to_owned(), Value::Nothing),
        ("x-key".to_owned(), Value::Text("k".repeat(256))),
    ];
    assert_eq!(fields.headers(), Ok(expected.into()));
    let message = messages.get(1).expect("second");
    assert_eq!((message.key(), message.timestamp_ms()), (None, -1));
    assert_eq!(
        message.properties(),
        Ok(Properties::default()),
        "no time before 1970"
    );
}

#[test]
fn malformed_blocks_are_refused_when_asked_for() {
    let mut builder = Builder::new();
    for origin in [Origin::Amqp091, Origin::Pairs] {
        builder.begin(origin, 0, b"", b"", b"\xff", 1);
        builder.body(b"x");
        builder.end();
    }
    let batch = builder.finish(TIME_MS).expect("two");
    for message in open(&batch).iter() {
        assert_eq!((message.body(), message.key()), (&b"x"[..], None));
        assert_eq!(message.properties(), Err(BlockMalformed::Short));
        assert_eq!(message.headers(), Err(BlockMalformed::Short));
        let mut writer = Writer::new();
        assert_eq!(
            kafka_block::push(&message, &mut writer),
            Err(BlockMalformed::Short)
        );
        assert!(writer.is_empty());
    }
    let mut record = batch.native_record(0).expect("first");
    record.origin = 250;
    let message = Message::native(record, Offset(0), TIME_MS);
    assert_eq!(message.headers(), Err(BlockMalformed::Origin(250)));
    assert_eq!(
        amqp091::block_of(&message),
        Err(BlockMalformed::Origin(250))
    );
}
