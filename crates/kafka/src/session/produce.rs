//! Produce: batches are checked at the door and pass through as they are.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::session::records::{Append, AppendRefused, AppendRequest, Appended, TopicRef};
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};
use bongsu_record::kafka::{Records, Validated, validate};
use bongsu_record::{Batch, Malformed as BatchMalformed};

use super::{Head, Malformed, Session, decoded};
use crate::errors::{
    self, CORRUPT_MESSAGE, Code, INVALID_RECORD, INVALID_REQUIRED_ACKS, INVALID_TXN_STATE, NONE,
    TRANSACTION_ABORTABLE, UNSUPPORTED_COMPRESSION_TYPE,
};

/// From this version on, zstd is known.
const ZSTD_FROM: i16 = 7;
/// From this version on, clients know an error that a transaction can be aborted after.
const ABORTABLE_FROM: i16 = 11;
/// From this version on, producing adds a partition to a transaction (KIP-890).
const ADDS_PARTITIONS_FROM: i16 = 12;
/// From this version on, records that are wrong are named.
const RECORD_ERRORS_FROM: i16 = 8;
/// From this version on, topics are given by number.
const IDS_FROM: i16 = 13;

/// One partition of a request: its place in the answer, or why it goes no further.
type Checked = Result<(Batch, Validated), (Code, Option<String>)>;

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ProduceRequest = decoded(&head, &mut body)?;
    let mut appends = Vec::new();
    let mut refused = Vec::new();
    for topic in &request.topic_data {
        let reference = match head.version >= IDS_FROM {
            true => TopicRef::Id(TopicId(topic.topic_id.as_u128())),
            false => TopicRef::Name(Arc::from(topic.name.as_str())),
        };
        for partition in &topic.partition_data {
            let checked = match request.acks {
                -1..=1 => checked(partition.records.as_ref(), &head, session),
                _ => Err((INVALID_REQUIRED_ACKS, None)),
            };
            match checked {
                Ok((batch, seen)) => {
                    refused.push(None);
                    appends.push(Append {
                        topic: reference.clone(),
                        partition: partition.index,
                        batch,
                        seen,
                    });
                }
                Err(error) => refused.push(Some(error)),
            }
        }
    }
    let batches: Vec<Batch> = appends.iter().map(|append| append.batch.clone()).collect();
    let unfolded_max = session.settings.decompressed_bytes_max;
    let transactional_id = request.transactional_id.as_ref();
    let call = Call::Append(Box::new(AppendRequest {
        appends,
        transactional_id: transactional_id.map(|id| Arc::from(id.as_str())),
        adds_partitions: head.version >= ADDS_PARTITIONS_FROM,
        all_replicas: request.acks == -1,
        client: session.client_name(&head),
    }));
    session.call(effects, call, move |session, reply, _, effects| {
        let Reply::Appended {
            wait,
            results,
            throttle_ms,
        } = reply
        else {
            effects.close = Some(Close::Now);
            return;
        };
        if request.acks == 0 {
            // No answer is wanted; a client that was refused learns it by this.
            let failed = refused.iter().any(Option::is_some) || results.iter().any(Result::is_err);
            if failed {
                effects.close = Some(Close::Flushed);
            }
            return;
        }
        let mut results = results.into_iter().zip(batches);
        let mut refused = refused.into_iter();
        let responses = request.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|partition| {
                let mut keyless = Vec::new();
                let answer = match refused.next().flatten() {
                    Some(error) => Err(error),
                    None => match results.next() {
                        Some((result, batch)) => result.map_err(|refused| {
                            if refused == AppendRefused::NoKey {
                                keyless = keyless_records(&batch, unfolded_max);
                            }
                            told(errors::of_append(&refused), &head)
                        }),
                        None => Err((CORRUPT_MESSAGE, None)),
                    },
                };
                let answer = answered(partition.index, answer, head.version);
                match head.version >= RECORD_ERRORS_FROM {
                    true => answer.with_record_errors(keyless),
                    false => answer,
                }
            });
            let partitions = partitions.collect();
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions)
        });
        let response = ProduceResponse::default()
            .with_responses(responses.collect())
            .with_throttle_time_ms(i32::try_from(throttle_ms).unwrap_or(i32::MAX));
        session.respond_after(wait, &head, &response, effects);
    });
    Ok(())
}

/// What a client of that version is told: not every one knows that aborting helps.
fn told((code, message): (Code, Option<String>), head: &Head) -> (Code, Option<String>) {
    match code {
        TRANSACTION_ABORTABLE if head.version < ABORTABLE_FROM => (INVALID_TXN_STATE, message),
        code => (code, message),
    }
}

/// Which records have no key.
fn keyless_records(batch: &Batch, unfolded_max: usize) -> Vec<BatchIndexAndErrorMessage> {
    let Ok(records) = Records::open(batch, unfolded_max) else {
        return Vec::new();
    };
    let keyless = (0..)
        .zip(records.iter())
        .filter(|(_, record)| record.key.is_none());
    let errors = keyless.map(|(index, _)| {
        let message = StrBytes::from_static_str("a record of a compacted topic needs a key");
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(message))
    });
    errors.collect()
}

fn answered(
    index: i32,
    answer: Result<Appended, (Code, Option<String>)>,
    version: i16,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1);
    match answer {
        Ok(appended) => {
            let base = appended.base.map_or(-1, |base| base.0 as i64);
            response
                .with_error_code(NONE)
                .with_base_offset(base)
                .with_log_append_time_ms(appended.stamped_ms.unwrap_or(-1))
                .with_log_start_offset(appended.start.0 as i64)
        }
        Err((code, message)) => {
            let response = response.with_error_code(code);
            match message.filter(|_| version >= 8) {
                Some(message) => response.with_error_message(Some(StrBytes::from_string(message))),
                None => response,
            }
        }
    }
}

/// The one batch of a partition, if it is as it must be.
fn checked(records: Option<&Bytes>, head: &Head, session: &Session) -> Checked {
    let invalid = |what: &str| (INVALID_RECORD, Some(what.to_owned()));
    let records = records.filter(|records| !records.is_empty());
    let records = records.ok_or_else(|| invalid("a partition has exactly one batch"))?;
    // Before anything else, for what is behind it depends on it.
    match records.get(MAGIC_AT).map(|magic| *magic as i8) {
        Some(MAGIC) | None => {}
        Some(0 | 1) => return Err(invalid("only batches of magic 2 are accepted")),
        Some(_) => return Err((CORRUPT_MESSAGE, None)),
    }
    if records.len() >= LENGTH_END && Batch::length_at(records).is_err() {
        return Err((CORRUPT_MESSAGE, None));
    }
    let batch = Batch::parse(records).map_err(|malformed| match malformed {
        BatchMalformed::Short { .. } => invalid("the batch is cut short"),
        BatchMalformed::Count(_) => invalid("the count of records is wrong"),
        _ => (CORRUPT_MESSAGE, None),
    })?;
    if batch.len() != records.len() {
        return Err(invalid("a partition has exactly one batch"));
    }
    let header = batch.header();
    if header.base_offset != 0 {
        return Err(invalid("the first offset of a producer's batch is 0"));
    }
    if header.attributes & NOT_A_PRODUCERS != 0 {
        return Err(invalid("attributes that no producer may set"));
    }
    match header.attributes & CODEC {
        ZSTD if head.version < ZSTD_FROM => return Err((UNSUPPORTED_COMPRESSION_TYPE, None)),
        0..=4 => {}
        _ => return Err(invalid("no such codec")),
    }
    let seen = validate(&batch, session.settings.decompressed_bytes_max);
    let seen = seen.map_err(|malformed| (INVALID_RECORD, Some(malformed.to_string())))?;
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(invalid("a producer numbers its batches from 0"));
    }
    // A client may say another highest time than its records have.
    let batch = match header.max_timestamp == seen.max_timestamp_ms {
        true => batch,
        false => batch.with_max_timestamp(seen.max_timestamp_ms),
    };
    Ok((batch, seen))
}

/// Behind a batch's length.
const LENGTH_END: usize = 12;
/// Where a batch, and a message of the older formats, says which it is.
const MAGIC_AT: usize = 16;
const MAGIC: i8 = 2;
/// Bits of the attributes.
const CODEC: i16 = 0b111;
const ZSTD: i16 = 4;
/// All but codec, timestamp type, transactional: a control batch, ours, unknown.
const NOT_A_PRODUCERS: i16 = !0b1_1111;
