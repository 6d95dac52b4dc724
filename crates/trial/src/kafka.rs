//! A client of Kafka's protocol, as little as a ledger needs: one request at a time. The
//! messages are `kafka-protocol`'s, batches included, so that both sides of what is judged are
//! not ours.

use std::collections::BTreeSet;
use std::time::Duration;

use bongsu_net::pipe::End;
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, InitProducerIdRequest, InitProducerIdResponse,
    ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::time::{Instant, sleep_until};

use crate::amqp::Gone;

/// See the module's comment.
pub struct Kafka {
    end: End,
    correlation: i32,
}

/// A producer, as the broker knows it.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    /// Its number.
    pub id: i64,
    /// Which of those that have it.
    pub epoch: i16,
}

/// A part of a partition.
#[derive(Debug)]
pub struct Fetched {
    /// The error's code, or 0.
    pub code: i16,
    /// Behind the last that was fetched, control records included.
    pub next: i64,
    /// Offset and value; control records have none.
    pub records: Vec<(i64, Option<Bytes>)>,
}

/// The topic that trials are about.
pub const TOPIC: &str = "topic";

impl Kafka {
    /// On a connection that is there.
    pub fn new(end: End) -> Kafka {
        Kafka {
            end,
            correlation: 0,
        }
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// [`Gone`], also if there is no answer in time.
    pub async fn ask<Q: Encodable, A: Decodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> Result<A, Gone> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("trial")));
        let mut frame = BytesMut::new();
        let header_version = key.request_header_version(version);
        header.encode(&mut frame, header_version).expect("a header");
        request.encode(&mut frame, version).expect("a request");
        let mut bytes = (frame.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&frame);
        let until = Instant::now() + PATIENCE;
        self.write(&bytes, until).await?;
        let length = self.read(4, until).await?;
        let length = i32::from_be_bytes(length[..].try_into().expect("four bytes"));
        let mut answer = Bytes::from(self.read(length as usize, until).await?);
        let header_version = key.response_header_version(version);
        let header = ResponseHeader::decode(&mut answer, header_version).expect("a header");
        assert_eq!(header.correlation_id, self.correlation);
        let decoded = A::decode(&mut answer, version).expect("an answer");
        assert!(
            !answer.has_remaining(),
            "{key:?} has {} bytes more",
            answer.remaining()
        );
        Ok(decoded)
    }

    /// A producer's number.
    ///
    /// # Errors
    /// [`Gone`]; inside it the error's code.
    pub async fn producer(
        &mut self,
        transactional_id: Option<&str>,
    ) -> Result<Result<Producer, i16>, Gone> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))))
            .with_transaction_timeout_ms(30_000);
        let answer: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 4, &request).await?;
        Ok(match answer.error_code {
            0 => Ok(Producer {
                id: answer.producer_id.0,
                epoch: answer.producer_epoch,
            }),
            code => Err(code),
        })
    }

    /// Appends to a partition: the first offset, or the error's code.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn produce(
        &mut self,
        (producer, transactional_id): (Producer, Option<&str>),
        partition: i32,
        sequence: i32,
        values: &[Vec<u8>],
    ) -> Result<Result<i64, i16>, Gone> {
        let records: Vec<Record> = values
            .iter()
            .zip(0..)
            .map(|(value, index)| Record {
                transactional: transactional_id.is_some(),
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: producer.id,
                producer_epoch: producer.epoch,
                timestamp_type: TimestampType::Creation,
                offset: i64::from(index),
                sequence: sequence + index,
                // Past, wherever the clock jumps to.
                timestamp: 1_699_964_000_000,
                key: None,
                value: Some(Bytes::from(value.clone())),
                headers: Default::default(),
            })
            .collect();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        let mut batch = BytesMut::new();
        RecordBatchEncoder::encode(&mut batch, &records, &options).expect("a batch");
        let part = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch.freeze()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partition_data(vec![part]);
        let request = ProduceRequest::default()
            .with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))))
            .with_acks(-1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![topic]);
        let answer: ProduceResponse = self.ask(ApiKey::Produce, 9, &request).await?;
        let part = &answer.responses[0].partition_responses[0];
        Ok(match part.error_code {
            0 => Ok(part.base_offset),
            code => Err(code),
        })
    }

    /// Reads a partition from an offset on; `committed`: only what is.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn fetch(
        &mut self,
        partition: i32,
        from: i64,
        committed: bool,
    ) -> Result<Fetched, Gone> {
        let part = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(from)
            .with_partition_max_bytes(64 << 10);
        let topic = FetchTopic::default()
            .with_topic(TopicName(text(TOPIC)))
            .with_partitions(vec![part]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(200)
            .with_min_bytes(1)
            .with_max_bytes(256 << 10)
            .with_isolation_level(i8::from(committed))
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer: FetchResponse = self.ask(ApiKey::Fetch, 12, &request).await?;
        let mut fetched = Fetched {
            code: answer.error_code,
            next: from,
            records: Vec::new(),
        };
        let Some(topic) = answer.responses.first() else {
            return Ok(fetched);
        };
        let part = &topic.partitions[0];
        fetched.code = part.error_code;
        let mut records = part.records.clone().unwrap_or_default();
        let sets = RecordBatchDecoder::decode_all(&mut records).expect("whole batches");
        let mut aborted = part.aborted_transactions.clone().unwrap_or_default();
        aborted.sort_by_key(|one| std::cmp::Reverse(one.first_offset));
        let mut aborting = BTreeSet::new();
        for record in sets.into_iter().flat_map(|set| set.records) {
            while aborted
                .last()
                .is_some_and(|one| one.first_offset <= record.offset)
            {
                aborting.extend(aborted.pop().map(|one| one.producer_id.0));
            }
            let is_aborted = record.transactional && aborting.contains(&record.producer_id);
            if record.control {
                aborting.remove(&record.producer_id);
            }
            if record.offset < from {
                continue;
            }
            assert_eq!(record.offset, fetched.next, "offsets are dense");
            fetched.next = record.offset + 1;
            let is_hidden = record.control || (committed && is_aborted);
            let value = record.value.filter(|_| !is_hidden);
            fetched.records.push((record.offset, value));
        }
        Ok(fetched)
    }

    async fn write(&mut self, bytes: &[u8], until: Instant) -> Result<(), Gone> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.end.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        biased;
                        () = self.end.writable() => {}
                        () = sleep_until(until) => return Err(Gone),
                    }
                }
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    async fn read(&mut self, count: usize, until: Instant) -> Result<Vec<u8>, Gone> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.end.try_read(&mut bytes[filled..]) {
                Ok(0) => return Err(Gone),
                Ok(more) => filled += more,
                Err(_) => {
                    tokio::select! {
                        biased;
                        () = self.end.readable() => {}
                        () = sleep_until(until) => return Err(Gone),
                    }
                }
            }
        }
        Ok(bytes)
    }
}

/// A text as the messages want it.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A broker that does not answer for so long is gone.
const PATIENCE: Duration = Duration::from_secs(8);
