//! Kafka's transactions: records in two partitions, visible together or never.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey, EndTxnRequest, EndTxnResponse,
    ProducerId, TopicName, TransactionalId,
};

use super::Actor;
use crate::amqp::Gone;
use crate::host::Protocol;
use crate::kafka::{Kafka, Producer, TOPIC, text};
use crate::ledger::{Queue, Who, body};

/// The transactional identity of a client.
pub fn identity(place: usize) -> String {
    format!("transactions-{place}")
}

/// Transactions until it is done.
pub async fn run(actor: &mut Actor) {
    while let Some((who, end)) = actor.connect(Protocol::Kafka).await {
        let mut client = Kafka::new(end);
        let _gone = transact(actor, &who, &mut client).await;
        actor.pause(100).await;
    }
}

async fn transact(actor: &mut Actor, who: &Who, client: &mut Kafka) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    let name = identity(actor.place);
    // Ends whatever was open.
    let producer = loop {
        match client.producer(Some(&name)).await? {
            Ok(producer) => break producer,
            Err(_) if actor.goes_on() => actor.pause(200).await,
            Err(_) => return Ok(()),
        }
    };
    let mut sequences = [0; 2];
    let mut seq = 0;
    while actor.goes_on() {
        actor.acted();
        let commits = actor.random.chance(3, 4);
        if !add(client, &name, producer).await? {
            return Err(Gone);
        }
        let mut parts = Vec::new();
        for (number, next) in (0..).zip(&mut sequences) {
            let count = 1 + actor.random.below(3) as i32;
            let ids: Vec<u64> = (0..count)
                .map(|_| {
                    seq += 1;
                    ledger.send(who, seq, 0, &[Queue::Topic])
                })
                .collect();
            let values: Vec<Vec<u8>> = ids.iter().map(|id| body(*id, 50)).collect();
            let of = (producer, Some(name.as_str()));
            let produced = client.produce(of, number, *next, &values).await?;
            let Ok(base) = produced else {
                // Whatever it was, the next producer of this name ends it.
                return Err(Gone);
            };
            *next += count;
            for (id, offset) in ids.iter().zip(base..) {
                ledger.topic(|topic| topic.confirmed(number, Some(offset), *id));
                parts.push((number, *id));
            }
            actor.pause(30).await;
        }
        // Until it is told to end with a commit it cannot be committed.
        let transaction = ledger.topic(|topic| Ok(topic.ending(parts)));
        let Some(transaction) = transaction else {
            return Err(Gone);
        };
        if !commits {
            ledger.topic(|topic| {
                topic.ended(transaction, false);
                Ok(())
            });
        }
        let end = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&name)))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(commits);
        let answer: EndTxnResponse = client.ask(ApiKey::EndTxn, 3, &end).await?;
        if answer.error_code != 0 {
            return Err(Gone);
        }
        if commits {
            ledger.topic(|topic| {
                topic.ended(transaction, true);
                Ok(())
            });
        }
        actor.pause(150).await;
    }
    Ok(())
}

async fn add(client: &mut Kafka, name: &str, producer: Producer) -> Result<bool, Gone> {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_partitions(vec![0, 1]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(TransactionalId(text(name)))
        .with_v3_and_below_producer_id(ProducerId(producer.id))
        .with_v3_and_below_producer_epoch(producer.epoch)
        .with_v3_and_below_topics(vec![topic]);
    let answer: AddPartitionsToTxnResponse =
        client.ask(ApiKey::AddPartitionsToTxn, 3, &request).await?;
    let mut results = answer
        .results_by_topic_v3_and_below
        .iter()
        .flat_map(|topic| &topic.results_by_partition);
    Ok(results.all(|result| result.partition_error_code == 0))
}
