//! Reads the topic from the first record on, and commits how far it is.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    ApiKey, GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};

use super::Actor;
use super::producer::RETRIABLE;
use crate::amqp::Gone;
use crate::host::Protocol;
use crate::kafka::{Kafka, TOPIC, text};
use crate::ledger::{Ledger, identity};

/// Reads until it is done.
pub async fn run(actor: &mut Actor) {
    while let Some((_, end)) = actor.connect(Protocol::Kafka).await {
        let mut client = Kafka::new(end);
        let _gone = read(actor, &mut client).await;
        actor.pause(100).await;
    }
}

async fn read(actor: &mut Actor, client: &mut Kafka) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    let group = format!("group-{}", actor.place);
    let mut next = [0; 2];
    for (partition, next) in (0..).zip(&mut next) {
        let Some(offset) = stands(client, &group, partition).await? else {
            actor.pause(200).await;
            return Ok(());
        };
        ledger.topic(|topic| topic.stands(&group, partition, offset));
        *next = offset.max(0);
    }
    let committed = actor.random.chance(1, 2);
    while actor.goes_on() {
        actor.acted();
        for (partition, next) in (0..).zip(&mut next) {
            let fetched = client.fetch(partition, *next, committed).await?;
            if RETRIABLE.contains(&fetched.code) {
                // The disk is gone, and the process soon.
                return Err(Gone);
            }
            if fetched.code != 0 {
                let (code, at) = (fetched.code, *next);
                ledger.violated(format!(
                    "a fetch of partition {partition} from offset {at} was refused with {code}"
                ));
                return Err(Gone);
            }
            for (offset, value) in &fetched.records {
                if let Some(value) = value {
                    note(&ledger, partition, *offset, value, committed);
                }
            }
            *next = fetched.next;
        }
        if actor.random.chance(1, 3) {
            for (partition, next) in (0..).zip(next) {
                ledger.topic(|topic| {
                    topic.committing(&group, partition, next);
                    Ok(())
                });
                if commit(client, &group, partition, next).await? {
                    ledger.topic(|topic| {
                        topic.committed(&group, partition, next);
                        Ok(())
                    });
                }
            }
        }
        actor.pause(150).await;
    }
    Ok(())
}

/// A record was read; `committed`: by who sees only what is.
pub fn note(ledger: &Ledger, partition: i32, offset: i64, value: &[u8], committed: bool) {
    match identity(value) {
        Some(id) => {
            ledger.say(|| format!("offset {offset} of partition {partition} has {id}"));
            ledger.topic(|topic| {
                if committed {
                    topic.visible(partition, id);
                }
                topic.read(partition, offset, id)
            });
            let of = ledger.sender(id);
            match of {
                Some(of) => drop(ledger.topic(|topic| topic.in_order(partition, offset, of))),
                None => ledger.violated(format!(
                    "offset {offset} of partition {partition} has record {id}, which was refused or never sent"
                )),
            }
        }
        None => ledger.violated(format!(
            "offset {offset} of partition {partition} has {} bytes that nobody sent",
            value.len()
        )),
    }
}

/// Where a group is; `None`: not now.
async fn stands(client: &mut Kafka, group: &str, partition: i32) -> Result<Option<i64>, Gone> {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_partition_indexes(vec![partition]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![topic]));
    let answer: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 5, &request).await?;
    let part = answer
        .topics
        .first()
        .and_then(|topic| topic.partitions.first());
    Ok(part
        .filter(|part| answer.error_code == 0 && part.error_code == 0)
        .map(|part| part.committed_offset))
}

async fn commit(
    client: &mut Kafka,
    group: &str,
    partition: i32,
    offset: i64,
) -> Result<bool, Gone> {
    let part = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_partitions(vec![part]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let answer: OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, 8, &request).await?;
    Ok(answer.topics[0].partitions[0].error_code == 0)
}
