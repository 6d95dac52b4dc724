//! OffsetCommit, OffsetFetch, OffsetDelete.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use bongsu_engine::group::offsets::{
    Commit, CommitPartition, CommitTopic, DeleteOffsets, FetchOffsets, FetchTopic,
    FetchedPartition, FetchedTopic, Topic, TopicResults,
};
use bongsu_engine::group::{Answer, GroupError, Request};
use bongsu_engine::session::{Close, Effects, Now};

use super::by_id::{self, IDS_FROM};
use super::{owned, text};
use crate::errors::{NONE, of_group};
use crate::session::{Head, Malformed, Session, decoded};

/// Of OffsetCommit: from this version on, a group may be told to be there no more.
const NOT_FOUND_FROM: i16 = 9;
/// Of OffsetFetch: from this version on, an answer has an error of its own.
const TOP_ERROR_FROM: i16 = 2;
/// Of OffsetFetch: from this version on, several groups are asked for at once.
const GROUPS_FROM: i16 = 8;
/// What is answered where nothing is remembered.
const NOTHING: i64 = -1;

pub(crate) fn commit(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let by_id = head.version >= IDS_FROM;
    let request: OffsetCommitRequest = match by_id {
        true => decoded(&before(&head), &mut by_id::commit(&body)?)?,
        false => decoded(&head, &mut body)?,
    };
    let topics = request.topics.iter().map(|of| CommitTopic {
        topic: asked_for(&of.name, by_id),
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
    let commit = Commit {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id_or_member_epoch,
        retention_ms: request.retention_time_ms,
        knows_not_found: head.version >= NOT_FOUND_FROM,
        topics: topics.collect(),
    };
    let then = {
        let head = head.clone();
        move |session: &mut Session, answer, effects: &mut Effects| {
            let Answer::Committed(results) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let topics = each(results, |topic, partitions| {
                let partitions = partitions.iter().map(|(partition, code)| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(*partition)
                        .with_error_code(*code)
                });
                OffsetCommitResponseTopic::default()
                    .with_name(TopicName(text(&topic.name)))
                    .with_topic_id(Uuid::from_u128(topic.id.0))
                    .with_partitions(partitions.collect())
            });
            let response = OffsetCommitResponse::default().with_topics(topics);
            session.respond(&head, &response, effects);
        }
    };
    session.ask_group(
        &head,
        &request.group_id,
        Request::Commit(commit),
        effects,
        then,
    );
    Ok(())
}

pub(crate) fn fetch(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let by_id = head.version >= IDS_FROM;
    let request: OffsetFetchRequest = match by_id {
        true => decoded(&before(&head), &mut by_id::fetch(&body)?)?,
        false => decoded(&head, &mut body)?,
    };
    let require_stable = request.require_stable;
    let requests: Vec<(String, Request)> = if head.version >= GROUPS_FROM {
        let groups = request.groups.iter().map(|of| {
            let topics = of.topics.as_ref().map(|topics| {
                let topics = topics.iter();
                let topics = topics.map(|of| FetchTopic {
                    topic: asked_for(&of.name, by_id),
                    partitions: of.partition_indexes.clone(),
                });
                topics.collect()
            });
            let fetch = FetchOffsets {
                member: owned(of.member_id.as_ref()),
                member_epoch: of.member_epoch,
                require_stable,
                topics,
            };
            (of.group_id.to_string(), Request::FetchOffsets(fetch))
        });
        groups.collect()
    } else {
        let topics = request.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            let topics = topics.map(|of| FetchTopic {
                topic: named(&of.name),
                partitions: of.partition_indexes.clone(),
            });
            topics.collect()
        });
        let fetch = FetchOffsets {
            member: None,
            member_epoch: -1,
            require_stable,
            topics,
        };
        vec![(request.group_id.to_string(), Request::FetchOffsets(fetch))]
    };
    let asked = requests.clone();
    let then = {
        let head = head.clone();
        move |session: &mut Session, answers: Vec<(String, Answer)>, effects: &mut Effects| {
            let fetched = answers.into_iter().zip(asked);
            let fetched = fetched.map(|((_, answer), asked)| match (answer, asked) {
                (Answer::Fetched(result), (group, Request::FetchOffsets(asked))) => Some(Fetched {
                    group,
                    result,
                    asked,
                }),
                _ => None,
            });
            let Some(fetched) = fetched.collect::<Option<Vec<Fetched>>>() else {
                effects.close = Some(Close::Now);
                return;
            };
            let response = if head.version >= GROUPS_FROM {
                let groups = fetched.into_iter().map(of_each);
                OffsetFetchResponse::default().with_groups(groups.collect())
            } else {
                let one = fetched.into_iter().next();
                one.map(|one| of_one(&head, one)).unwrap_or_default()
            };
            session.respond(&head, &response, effects);
        }
    };
    session.ask_each(&head, requests, effects, then);
    Ok(())
}

/// What one group was asked, and answered.
struct Fetched {
    group: String,
    result: Result<Vec<FetchedTopic>, GroupError>,
    asked: FetchOffsets,
}

fn of_each(fetched: Fetched) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(GroupId(text(&fetched.group)));
    let topics = match fetched.result {
        Ok(topics) => topics,
        Err(refused) => return response.with_error_code(of_group(&refused)),
    };
    let topics = topics.into_iter().map(|of| {
        let partitions = of.partitions.iter().map(|of_partition| {
            let (offset, epoch, metadata, code) = told(of_partition);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(of_partition.partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(metadata))
                .with_error_code(code)
        });
        OffsetFetchResponseTopics::default()
            .with_name(TopicName(text(&of.topic.name)))
            .with_topic_id(Uuid::from_u128(of.topic.id.0))
            .with_partitions(partitions.collect())
    });
    response.with_topics(topics.collect())
}

fn of_one(head: &Head, fetched: Fetched) -> OffsetFetchResponse {
    let (topics, code) = match fetched.result {
        Ok(topics) => (topics, NONE),
        Err(refused) if head.version >= TOP_ERROR_FROM => (Vec::new(), of_group(&refused)),
        // There is no other place to say it.
        Err(refused) => (refused_all(fetched.asked, &refused), NONE),
    };
    let topics = topics.into_iter().map(|of| {
        let partitions = of.partitions.iter().map(|of_partition| {
            let (offset, epoch, metadata, code) = told(of_partition);
            OffsetFetchResponsePartition::default()
                .with_partition_index(of_partition.partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(metadata))
                .with_error_code(code)
        });
        OffsetFetchResponseTopic::default()
            .with_name(TopicName(text(&of.topic.name)))
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default()
        .with_error_code(code)
        .with_topics(topics.collect())
}

fn refused_all(asked: FetchOffsets, refused: &GroupError) -> Vec<FetchedTopic> {
    let topics = asked.topics.unwrap_or_default().into_iter();
    let topics = topics.map(|of| FetchedTopic {
        topic: of.topic,
        partitions: of
            .partitions
            .into_iter()
            .map(|partition| FetchedPartition {
                partition,
                committed: Err(refused.clone()),
            })
            .collect(),
    });
    topics.collect()
}

/// Offset, leader epoch, metadata, code.
fn told(of: &FetchedPartition) -> (i64, i32, StrBytes, i16) {
    match &of.committed {
        Ok(Some(said)) => (said.offset, said.leader_epoch, text(&said.metadata), NONE),
        Ok(None) => (NOTHING, -1, StrBytes::default(), NONE),
        Err(refused) => (NOTHING, -1, StrBytes::default(), of_group(refused)),
    }
}

pub(crate) fn delete(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: OffsetDeleteRequest = decoded(&head, &mut body)?;
    let topics = request.topics.iter().map(|of| FetchTopic {
        topic: named(&of.name),
        partitions: of.partitions.iter().map(|of| of.partition_index).collect(),
    });
    let delete = DeleteOffsets {
        topics: topics.collect(),
    };
    let then = {
        let head = head.clone();
        move |session: &mut Session, answer, effects: &mut Effects| {
            let Answer::DeletedOffsets(result) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let response = match result {
                Ok(results) => {
                    let topics = each(results, |topic, partitions| {
                        let partitions = partitions.iter().map(|(partition, code)| {
                            OffsetDeleteResponsePartition::default()
                                .with_partition_index(*partition)
                                .with_error_code(*code)
                        });
                        OffsetDeleteResponseTopic::default()
                            .with_name(TopicName(text(&topic.name)))
                            .with_partitions(partitions.collect())
                    });
                    OffsetDeleteResponse::default().with_topics(topics)
                }
                Err(refused) => OffsetDeleteResponse::default().with_error_code(of_group(&refused)),
            };
            session.respond(&head, &response, effects);
        }
    };
    let request_of = Request::DeleteOffsets(delete);
    session.ask_group(&head, &request.group_id, request_of, effects, then);
    Ok(())
}

fn named(name: &TopicName) -> Topic {
    Topic {
        name: Arc::from(&***name),
        ..Topic::default()
    }
}

fn asked_for(name: &TopicName, by_id: bool) -> Topic {
    match by_id {
        true => Topic {
            id: by_id::number(name),
            ..Topic::default()
        },
        false => named(name),
    }
}

/// The same request, as of the version that knows topics by name.
fn before(head: &Head) -> Head {
    Head {
        version: IDS_FROM - 1,
        ..head.clone()
    }
}

fn each<T>(results: TopicResults, of: impl Fn(&Topic, &[(i32, i16)]) -> T) -> Vec<T> {
    let topics = results.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter();
        let partitions = partitions.map(|(partition, result)| {
            let code = result.err().as_ref().map_or(NONE, of_group);
            (partition, code)
        });
        let partitions: Vec<(i32, i16)> = partitions.collect();
        of(&topic, &partitions)
    });
    topics.collect()
}
