//! DescribeProducers, DescribeTransactions, ListTransactions.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::list_transactions_response::TransactionState as ListedState;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, ListTransactionsRequest, ListTransactionsResponse, ProducerId,
    TopicName, TransactionalId,
};

use bongsu_engine::producers::Active;
use bongsu_engine::session::{Close, Effects, Now};
use bongsu_engine::transaction::call::{Described, Filter};
use bongsu_engine::transaction::{Answer, Request};

use super::text;
use crate::errors::{NONE, of_transaction};
use crate::session::{Head, Malformed, Session, decoded};

/// What is answered where there is none.
const NOTHING: i64 = -1;

pub(crate) fn describe_producers(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeProducersRequest = decoded(&head, &mut body)?;
    let topics = request.topics.iter();
    let topics = topics.map(|of| (Arc::from(of.name.as_str()), of.partition_indexes.clone()));
    let request = Request::DescribeProducers(topics.collect());
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::Producers(topics) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, result)| {
                let response = PartitionResponse::default().with_partition_index(partition);
                match result {
                    Ok(active) => {
                        response.with_active_producers(active.iter().map(producer).collect())
                    }
                    Err(refused) => response.with_error_code(of_transaction(refused)),
                }
            });
            TopicResponse::default()
                .with_name(TopicName(text(&topic)))
                .with_partitions(partitions.collect())
        });
        let response = DescribeProducersResponse::default().with_topics(topics.collect());
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn producer(active: &Active) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(active.producer_id))
        .with_producer_epoch(i32::from(active.epoch))
        .with_last_sequence(active.last_sequence)
        .with_last_timestamp(i64::try_from(active.last_ms).unwrap_or(NOTHING))
        // Marks carry 0: there is one coordinator.
        .with_coordinator_epoch(0)
        .with_current_txn_start_offset(active.open.map_or(NOTHING, |first| first.0 as i64))
}

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeTransactionsRequest = decoded(&head, &mut body)?;
    let ids = request.transactional_ids.iter();
    let request = Request::Describe(ids.map(|id| Arc::from(id.as_str())).collect());
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::Described(described) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let states = described.into_iter().map(|(id, result)| {
            let state =
                TransactionState::default().with_transactional_id(TransactionalId(text(&id)));
            match result {
                Ok(described) => filled(state, &described),
                Err(refused) => state.with_error_code(of_transaction(refused)),
            }
        });
        let response =
            DescribeTransactionsResponse::default().with_transaction_states(states.collect());
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn filled(state: TransactionState, described: &Described) -> TransactionState {
    let topics = described.topics.iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(text(topic)))
            .with_partitions(partitions.clone())
    });
    let since_ms = described.since_ms.and_then(|ms| i64::try_from(ms).ok());
    state
        .with_error_code(NONE)
        .with_transaction_state(text(described.state))
        .with_transaction_timeout_ms(i32::try_from(described.timeout_ms).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(since_ms.unwrap_or(NOTHING))
        .with_producer_id(ProducerId(described.producer.id))
        .with_producer_epoch(described.producer.epoch)
        .with_topics(topics.collect())
}

pub(crate) fn list(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ListTransactionsRequest = decoded(&head, &mut body)?;
    let pattern = request.transactional_id_pattern.as_ref();
    let filter = Filter {
        states: request
            .state_filters
            .iter()
            .map(|state| state.to_string())
            .collect(),
        producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
        open_for_ms: request.duration_filter,
        id_pattern: pattern.map(|pattern| pattern.to_string()),
    };
    let request = Request::List(filter);
    session.ask_transactions(request, effects, move |session, answer, effects| {
        let Answer::Listed(result) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let response = ListTransactionsResponse::default();
        let response = match result {
            Err(refused) => response.with_error_code(of_transaction(refused)),
            Ok(listed) => {
                let states = listed.transactions.iter().map(|(id, producer_id, state)| {
                    ListedState::default()
                        .with_transactional_id(TransactionalId(text(id)))
                        .with_producer_id(ProducerId(*producer_id))
                        .with_transaction_state(text(state))
                });
                let unknown = listed.unknown_states.iter().map(|state| text(state));
                response
                    .with_unknown_state_filters(unknown.collect())
                    .with_transaction_states(states.collect())
            }
        };
        session.respond(&head, &response, effects);
    });
    Ok(())
}
