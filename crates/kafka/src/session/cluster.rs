//! What a cluster of one broker answers to those who look after larger ones: where leaders'
//! epochs end, what is on the disk, and that nothing has to be elected or moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, ElectLeadersRequest, ElectLeadersResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use bongsu_engine::session::{Close, Effects, Now};
use bongsu_engine::topic::call::{Refused, TopicRef};
use bongsu_engine::topic::{Answer, Request};

use super::topics::{Said, ask, assignable, text, topic_name};
use super::{Head, Malformed, Session, decoded};
use crate::errors::topics::of_topic;
use crate::errors::{ELECTION_NOT_NEEDED, NO_REASSIGNMENT_IN_PROGRESS, NONE, UNKNOWN_LEADER_EPOCH};

/// Where the records of an epoch end: of the only one, where the log does.
pub(crate) fn epochs(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: OffsetForLeaderEpochRequest = decoded(&head, &mut body)?;
    let mut parts = Vec::new();
    for topic in &request.topics {
        let name = TopicRef::Name(Arc::from(topic.topic.as_str()));
        for partition in &topic.partitions {
            parts.push((name.clone(), partition.partition, partition.leader_epoch));
        }
    }
    let ask_for = Request::Epochs { parts };
    ask(
        session,
        effects,
        ask_for,
        move |session, answer, effects| {
            let Answer::Epochs(ends) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let mut ends = ends.into_iter();
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().zip(&mut ends);
                let partitions = partitions.map(|(asked, end)| {
                    let result = EpochEndOffset::default()
                        .with_partition(asked.partition)
                        .with_leader_epoch(-1)
                        .with_end_offset(-1);
                    // A client that knows another epoch than there is has other news to get first.
                    let code = match asked.current_leader_epoch {
                        ..=-1 | 0 => NONE,
                        1.. => UNKNOWN_LEADER_EPOCH,
                    };
                    match end {
                        Err(refused) => result.with_error_code(of_topic(&refused).0),
                        Ok(_) if code != NONE => result.with_error_code(code),
                        Ok(found) => result
                            .with_error_code(NONE)
                            .with_leader_epoch(found.epoch.unwrap_or(-1))
                            .with_end_offset(found.end.map_or(-1, |end| end.0 as i64)),
                    }
                });
                OffsetForLeaderTopicResult::default()
                    .with_topic(topic.topic.clone())
                    .with_partitions(partitions.collect())
            });
            let topics = topics.collect();
            let response = OffsetForLeaderEpochResponse::default().with_topics(topics);
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

/// There is one directory.
pub(crate) fn log_dirs(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeLogDirsRequest = decoded(&head, &mut body)?;
    let which = request.topics.map(|topics| {
        let named = topics.into_iter();
        let named = named.map(|topic| (topic.topic.to_string(), topic.partitions));
        named.collect()
    });
    let ask_for = Request::Sizes { which };
    ask(
        session,
        effects,
        ask_for,
        move |session, answer, effects| {
            let Answer::Sizes(sizes) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let mut topics: BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
            for (name, index, bytes) in sizes.partitions {
                let partition = DescribeLogDirsPartition::default()
                    .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
                    .with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX))
                    .with_offset_lag(0)
                    .with_is_future_key(false);
                topics.entry(name).or_default().push(partition);
            }
            let topics = topics.into_iter().map(|(name, partitions)| {
                DescribeLogDirsTopic::default()
                    .with_name(topic_name(&name))
                    .with_partitions(partitions)
            });
            let dir = DescribeLogDirsResult::default()
                .with_error_code(NONE)
                .with_log_dir(text(sizes.dir))
                .with_topics(topics.collect());
            let dir = match (head.version, sizes.free_bytes) {
                (4.., Some(bytes)) => {
                    dir.with_usable_bytes(i64::try_from(bytes).unwrap_or(i64::MAX))
                }
                _ => dir,
            };
            let response = DescribeLogDirsResponse::default().with_results(vec![dir]);
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

/// Every partition has the only leader there can be.
pub(crate) fn elect(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ElectLeadersRequest = decoded(&head, &mut body)?;
    let asked = request.topic_partitions.unwrap_or_default();
    let topics = asked.iter();
    let topics = topics.map(|topic| TopicRef::Name(Arc::from(topic.topic.as_str())));
    let look = Request::Topics {
        which: Some(topics.collect()),
        create: false,
    };
    ask(session, effects, look, move |session, answer, effects| {
        let Answer::Topics(found) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let results = asked.iter().zip(found.topics).map(|(topic, found)| {
            let partitions = topic.partitions.iter().map(|index| {
                let (code, said) = match there(&found, *index) {
                    Ok(()) => (
                        ELECTION_NOT_NEEDED,
                        "Leader election not needed for topic partition.".to_owned(),
                    ),
                    Err(said) => said,
                };
                PartitionResult::default()
                    .with_partition_id(*index)
                    .with_error_code(code)
                    .with_error_message(Some(text(said)))
            });
            ReplicaElectionResult::default()
                .with_topic(topic.topic.clone())
                .with_partition_result(partitions.collect())
        });
        let response =
            ElectLeadersResponse::default().with_replica_election_results(results.collect());
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn there(
    found: &Result<bongsu_engine::topic::request::Info, Refused>,
    index: i32,
) -> Result<(), Said> {
    match found {
        Ok(info) if u32::try_from(index).is_ok_and(|index| index < info.partitions) => Ok(()),
        Ok(_) => Err(of_topic(&Refused::Partition)),
        Err(refused) => Err(of_topic(refused)),
    }
}

/// Partitions can be moved to where they are, and there is never a move to take back.
pub(crate) fn reassign(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: AlterPartitionReassignmentsRequest = decoded(&head, &mut body)?;
    let topics = request.topics.iter();
    let topics = topics.map(|topic| TopicRef::Name(Arc::from(topic.name.as_str())));
    let look = Request::Topics {
        which: Some(topics.collect()),
        create: false,
    };
    ask(session, effects, look, move |session, answer, effects| {
        let Answer::Topics(found) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let node_id = session.settings.node_id;
        let results = request
            .topics
            .iter()
            .zip(found.topics)
            .map(|(topic, found)| {
                let partitions = topic.partitions.iter().map(|partition| {
                    let index = partition.partition_index;
                    let moved = there(&found, index).and_then(|()| match &partition.replicas {
                        Some(replicas) => assignable(replicas, node_id),
                        None => Err((
                            NO_REASSIGNMENT_IN_PROGRESS,
                            "No partition reassignment is in progress.".to_owned(),
                        )),
                    });
                    let (code, said) = match moved {
                        Ok(()) => (NONE, None),
                        Err((code, said)) => (code, Some(text(said))),
                    };
                    ReassignablePartitionResponse::default()
                        .with_partition_index(index)
                        .with_error_code(code)
                        .with_error_message(said)
                });
                ReassignableTopicResponse::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
        let response =
            AlterPartitionReassignmentsResponse::default().with_responses(results.collect());
        let response = match head.version {
            1.. => response
                .with_allow_replication_factor_change(request.allow_replication_factor_change),
            _ => response,
        };
        session.respond(&head, &response, effects);
    });
    Ok(())
}

/// None is under way.
pub(crate) fn reassignments(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let _: ListPartitionReassignmentsRequest = decoded(&head, &mut body)?;
    let response = ListPartitionReassignmentsResponse::default();
    session.respond(&head, &response, effects);
    Ok(())
}
