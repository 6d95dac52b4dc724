//! Producers and their transactions: the coordinator's requests.
//!
//! Reading order: here (who a producer is, what its transaction touches, how it ends),
//! [`offsets`] (what it commits), [`admin`] (what operators ask).

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::session::{Call, Close, Effects, Now, Reply};
use bongsu_engine::transaction::call::{AddPartitions, AddedTo, Member};
use bongsu_engine::transaction::{Answer, Producer, Request, TransactionRefused};

use super::{Head, Malformed, Session, decoded};
use crate::errors::{
    Code, INVALID_PRODUCER_EPOCH, INVALID_REQUEST, INVALID_TXN_STATE, NONE, of_transaction,
};

pub(crate) mod admin;
pub(crate) mod offsets;

/// Of AddPartitionsToTxn, AddOffsetsToTxn and EndTxn: from this version on, clients tell a
/// producer that was fenced from one whose epoch is wrong (KIP-588).
const FENCED_FROM: i16 = 2;
/// Of InitProducerId, the same.
const INIT_FENCED_FROM: i16 = 4;
/// Of AddPartitionsToTxn: from this version on, it is several transactions', and asked by
/// brokers.
const BATCHED_FROM: i16 = 4;
/// Of AddPartitionsToTxn: from this version on, an error that aborting helps against is known.
const ABORTABLE_FROM: i16 = 5;
/// Of EndTxn: from this version on, the producer's next transaction has a new epoch
/// (KIP-890).
const BUMPS_FROM: i16 = 5;
/// No producer, no epoch.
const NOBODY: Producer = Producer { id: -1, epoch: -1 };

impl Session {
    /// Asks about transactions; `then` goes on with the answer.
    fn ask_transactions(
        &mut self,
        request: Request,
        effects: &mut Effects,
        then: impl FnOnce(&mut Session, Answer, &mut Effects) + Send + 'static,
    ) {
        let call = Call::Transaction(Box::new(request));
        self.call(effects, call, |session, reply, _, effects| match reply {
            Reply::Transaction(answer) => then(session, *answer, effects),
            _ => effects.close = Some(Close::Now),
        });
    }
}

pub(crate) fn init(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: InitProducerIdRequest = decoded(&head, &mut body)?;
    let expected = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    if (expected.id == NOBODY.id) != (expected.epoch == NOBODY.epoch) {
        let refused = initialized(INVALID_REQUEST, NOBODY);
        session.respond(&head, &refused, effects);
        return Ok(());
    }
    let transactional_id = request.transactional_id.as_ref();
    let request = Request::Init {
        transactional_id: transactional_id.map(|id| Arc::from(id.as_str())),
        timeout_ms: request.transaction_timeout_ms,
        expected: (expected != NOBODY).then_some(expected),
    };
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::Initialized(result) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let response = match result {
            Ok(producer) => initialized(NONE, producer),
            Err(refused) => initialized(code(refused, &head, INIT_FENCED_FROM), NOBODY),
        };
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn initialized(code: Code, producer: Producer) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code)
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
}

pub(crate) fn add_partitions(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: AddPartitionsToTxnRequest = decoded(&head, &mut body)?;
    let all = match head.version >= BATCHED_FROM {
        true => {
            let all = request.transactions.iter().map(|one| AddPartitions {
                of: member(&one.transactional_id, one.producer_id, one.producer_epoch),
                only_verifies: one.verify_only,
                topics: topics(&one.topics),
            });
            all.collect()
        }
        false => vec![AddPartitions {
            of: member(
                &request.v3_and_below_transactional_id,
                request.v3_and_below_producer_id,
                request.v3_and_below_producer_epoch,
            ),
            only_verifies: false,
            topics: topics(&request.v3_and_below_topics),
        }],
    };
    let request = Request::AddPartitions(all);
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::Added(added) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let mut results = added
            .iter()
            .map(|added| (added, topic_results(added, &head)));
        let response = AddPartitionsToTxnResponse::default();
        let response = match head.version >= BATCHED_FROM {
            true => {
                let results = results.map(|(added, topics)| {
                    AddPartitionsToTxnResult::default()
                        .with_transactional_id(TransactionalId(text(&added.transactional_id)))
                        .with_topic_results(topics)
                });
                response.with_results_by_transaction(results.collect())
            }
            false => {
                let topics = results.next().map(|(_, topics)| topics);
                response.with_results_by_topic_v3_and_below(topics.unwrap_or_default())
            }
        };
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn topics(topics: &[AddPartitionsToTxnTopic]) -> Vec<(Arc<str>, Vec<i32>)> {
    let topics = topics.iter();
    let topics = topics.map(|of| (Arc::from(of.name.as_str()), of.partitions.clone()));
    topics.collect()
}

fn topic_results(added: &AddedTo, head: &Head) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = added.topics.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|(partition, result)| {
            let code = match result {
                Ok(()) => NONE,
                Err(TransactionRefused::NotInTransaction) if head.version < ABORTABLE_FROM => {
                    INVALID_TXN_STATE
                }
                Err(refused) => code(*refused, head, FENCED_FROM),
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(code)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(TopicName(text(topic)))
            .with_results_by_partition(partitions.collect())
    });
    topics.collect()
}

pub(crate) fn add_offsets(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: AddOffsetsToTxnRequest = decoded(&head, &mut body)?;
    let request = Request::AddOffsets {
        of: member(
            &request.transactional_id,
            request.producer_id,
            request.producer_epoch,
        ),
        group: Arc::from(request.group_id.as_str()),
    };
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::AddedOffsets(result) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let code = result.map_or_else(|refused| code(refused, &head, FENCED_FROM), |()| NONE);
        let response = AddOffsetsToTxnResponse::default().with_error_code(code);
        session.respond(&head, &response, effects);
    });
    Ok(())
}

pub(crate) fn end(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: EndTxnRequest = decoded(&head, &mut body)?;
    let request = Request::End {
        of: member(
            &request.transactional_id,
            request.producer_id,
            request.producer_epoch,
        ),
        committed: request.committed,
        bumps_epoch: head.version >= BUMPS_FROM,
    };
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::Ended(result) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let (code, producer) = match result {
            Ok(producer) if head.version >= BUMPS_FROM => (NONE, producer),
            Ok(_) => (NONE, NOBODY),
            Err(refused) => (code(refused, &head, FENCED_FROM), NOBODY),
        };
        let response = EndTxnResponse::default()
            .with_error_code(code)
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch);
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn member(id: &TransactionalId, producer_id: ProducerId, epoch: i16) -> Member {
    Member {
        transactional_id: Arc::from(id.as_str()),
        producer: Producer {
            id: producer_id.0,
            epoch,
        },
    }
}

/// The code for a client of that version.
fn code(refused: TransactionRefused, head: &Head, fenced_from: i16) -> Code {
    match refused {
        TransactionRefused::Fenced if head.version < fenced_from => INVALID_PRODUCER_EPOCH,
        refused => of_transaction(refused),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
