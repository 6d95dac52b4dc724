//! What walking a request costs beside decoding it: `cargo run --release -p bongsu-kafka
//! --example honest`.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

fn main() {
    let name = TopicName(StrBytes::from_static_str("orders"));
    let parts = |index| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(Bytes::from(vec![0; 1024])))
    };
    let topic = TopicProduceData::default()
        .with_name(name.clone())
        .with_partition_data((0..100).map(parts).collect());
    let produce = ProduceRequest::default().with_topic_data(vec![topic]);
    measure::<ProduceRequest>("Produce 12, 100 partitions", 0, 12, &produce);

    let parts = |index| FetchPartition::default().with_partition(index);
    let topic = FetchTopic::default().with_partitions((0..100).map(parts).collect());
    let fetch = FetchRequest::default().with_topics(vec![topic]);
    measure::<FetchRequest>("Fetch 17, 100 partitions", 1, 17, &fetch);
}

fn measure<R: Decodable + Encodable>(what: &str, key: i16, version: i16, request: &R) {
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, version).expect("it exists");
    let bytes = bytes.freeze();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        bongsu_kafka::honest::request(key, version, black_box(&bytes)).expect("honest");
    }
    let walked = begun.elapsed();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(R::decode(&mut black_box(bytes.clone()), version).expect("encoded"));
    }
    let decoded = begun.elapsed();
    let nanos = |all: std::time::Duration| all.as_nanos() / u128::from(ROUNDS);
    println!(
        "{what}, {} bytes: walked in {} ns, decoded in {} ns",
        bytes.len(),
        nanos(walked),
        nanos(decoded)
    );
}

const ROUNDS: u32 = 20_000;
