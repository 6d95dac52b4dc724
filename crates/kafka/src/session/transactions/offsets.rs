//! TxnOffsetCommit: offsets of a group that count once the transaction is committed.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use bongsu_engine::group::GroupError;
use bongsu_engine::group::offsets::{Commit, CommitPartition, CommitTopic, Topic};
use bongsu_engine::session::{Close, Effects, Now};
use bongsu_engine::transaction::{Answer, Request, TransactionRefused};

use super::{member, text};
use crate::errors::{
    Code, ILLEGAL_GENERATION, INVALID_GROUP_ID, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, NONE,
    of_group, of_transaction,
};
use crate::session::{Head, Malformed, Session, decoded};

/// From this version on, clients know an error that a transaction can be aborted after.
const ABORTABLE_FROM: i16 = 4;
/// From this version on, the group need not have been added (KIP-890).
const ADDS_GROUP_FROM: i16 = 5;

pub(crate) fn commit(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: TxnOffsetCommitRequest = decoded(&head, &mut body)?;
    if request.group_id.is_empty() {
        let refused = refused_all(&request, INVALID_GROUP_ID);
        session.respond(&head, &refused, effects);
        return Ok(());
    }
    let topics = request.topics.iter().map(|of| CommitTopic {
        topic: Topic {
            name: Arc::from(of.name.as_str()),
            ..Topic::default()
        },
        partitions: of
            .partitions
            .iter()
            .map(|said| CommitPartition {
                partition: said.partition_index,
                offset: said.committed_offset,
                leader_epoch: said.committed_leader_epoch,
                metadata: Arc::from(said.committed_metadata.as_deref().unwrap_or_default()),
            })
            .collect(),
    });
    let instance = request.group_instance_id.as_ref();
    let commit = Commit {
        member: request.member_id.to_string(),
        instance: instance.map(|name| name.to_string()),
        generation: request.generation_id,
        retention_ms: -1,
        knows_not_found: false,
        topics: topics.collect(),
    };
    let call = Request::CommitOffsets {
        of: member(
            &request.transactional_id,
            request.producer_id,
            request.producer_epoch,
        ),
        group: Arc::from(request.group_id.as_str()),
        commit,
        adds_group: head.version >= ADDS_GROUP_FROM,
    };
    session.ask_transactions(call, effects, move |session, answer, effects| {
        let Answer::CommittedOffsets(result) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let response = match result {
            Err(refused) => refused_all(&request, of_coordinator(refused, head.version)),
            Ok(results) => {
                let topics = results.iter().map(|(topic, partitions)| {
                    let partitions = partitions.iter().map(|(partition, result)| {
                        let code = result.as_ref().map_or_else(of_member, |()| NONE);
                        answered(*partition, code)
                    });
                    TxnOffsetCommitResponseTopic::default()
                        .with_name(TopicName(text(&topic.name)))
                        .with_partitions(partitions.collect())
                });
                TxnOffsetCommitResponse::default().with_topics(topics.collect())
            }
        };
        session.respond(&head, &response, effects);
    });
    Ok(())
}

/// What the coordinator declined, as a group's coordinator says it.
fn of_coordinator(refused: TransactionRefused, version: i16) -> Code {
    match refused {
        TransactionRefused::Fenced => INVALID_PRODUCER_EPOCH,
        TransactionRefused::NotInTransaction if version < ABORTABLE_FROM => INVALID_TXN_STATE,
        refused => of_transaction(refused),
    }
}

/// What the group declined: of members, clients know the classic kind's errors only.
fn of_member(refused: &GroupError) -> Code {
    match refused {
        GroupError::NotFound | GroupError::StaleMemberEpoch | GroupError::FencedMemberEpoch => {
            ILLEGAL_GENERATION
        }
        refused => of_group(refused),
    }
}

fn refused_all(request: &TxnOffsetCommitRequest, code: Code) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|of| {
        let partitions = of.partitions.iter();
        let partitions = partitions.map(|said| answered(said.partition_index, code));
        TxnOffsetCommitResponseTopic::default()
            .with_name(of.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn answered(partition: i32, code: Code) -> TxnOffsetCommitResponsePartition {
    TxnOffsetCommitResponsePartition::default()
        .with_partition_index(partition)
        .with_error_code(code)
}
