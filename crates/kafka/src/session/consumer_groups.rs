//! Groups that the broker shares out for (ConsumerGroupHeartbeat, ConsumerGroupDescribe), and
//! the members of share groups (ShareGroupHeartbeat, ShareGroupDescribe).

use bytes::Bytes;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, GroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse,
    ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, TopicName,
    consumer_group_describe_response as consumer, consumer_group_heartbeat_response as heartbeat,
    share_group_describe_response as share, share_group_heartbeat_response as share_heartbeat,
};
use uuid::Uuid;

use bongsu_engine::group::consumer::group::NamedPartitions;
use bongsu_engine::group::consumer::{
    Beat, Beaten, Description, Held, MemberDescription, Partition,
};
use bongsu_engine::group::{Answer, Request};
use bongsu_engine::session::{Close, Effects, Now};

use super::groups::admin::{ALL_OPERATIONS, NOT_ASKED};
use super::groups::{owned, text};
use super::{Head, Malformed, Session, decoded};
use crate::errors::{GROUP_ID_NOT_FOUND, NONE, of_beat, of_group};

/// Of ConsumerGroupHeartbeat: from this version on, members make up their ids.
const NAMES_ITSELF_FROM: i16 = 1;
/// What ConsumerGroupDescribe says of a member that uses this protocol.
const CONSUMER_MEMBER: i8 = 1;

pub(crate) fn heartbeat(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ConsumerGroupHeartbeatRequest = decoded(&head, &mut body)?;
    let beat = Beat {
        member: request.member_id.to_string(),
        names_itself: head.version >= NAMES_ITSELF_FROM,
        epoch: request.member_epoch,
        instance: owned(request.instance_id.as_ref()),
        rack: owned(request.rack_id.as_ref()),
        rebalance_timeout_ms: u32::try_from(request.rebalance_timeout_ms).ok(),
        topics: request.subscribed_topic_names.as_deref().map(names),
        pattern: owned(request.subscribed_topic_regex.as_ref()),
        assignor: owned(request.server_assignor.as_ref()),
        held: request.topic_partitions.as_ref().map(|topics| {
            let partitions = topics.iter().flat_map(|of| {
                let indexes = of.partitions.iter().copied();
                indexes.map(|index| partition(of.topic_id, index))
            });
            partitions.collect::<Held>()
        }),
    };
    let group = request.group_id;
    let asking = head.clone();
    let then = move |session: &mut Session, answer, effects: &mut Effects| {
        let response = match answer {
            Answer::Beaten(Ok(told)) => beaten(&told),
            Answer::Beaten(Err(refused)) => {
                let (code, message) = of_beat(&refused);
                ConsumerGroupHeartbeatResponse::default()
                    .with_error_code(code)
                    .with_error_message(message.as_deref().map(text))
            }
            _ => {
                effects.close = Some(Close::Now);
                return;
            }
        };
        session.respond(&head, &response, effects);
    };
    session.ask_group(
        &asking,
        &group,
        Request::Beat(Box::new(beat)),
        effects,
        then,
    );
    Ok(())
}

fn beaten(told: &Beaten) -> ConsumerGroupHeartbeatResponse {
    let assignment = told.assignment.as_ref().map(|topics| {
        let topics = topics.iter().map(|(topic, indexes)| {
            heartbeat::TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(topic.0))
                .with_partitions(wire(indexes))
        });
        heartbeat::Assignment::default().with_topic_partitions(topics.collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(NONE)
        .with_member_id(Some(text(&told.member)))
        .with_member_epoch(told.epoch)
        .with_heartbeat_interval_ms(interval(told))
        .with_assignment(assignment)
}

pub(crate) fn share_heartbeat(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ShareGroupHeartbeatRequest = decoded(&head, &mut body)?;
    let beat = Beat {
        member: request.member_id.to_string(),
        names_itself: true,
        epoch: request.member_epoch,
        rack: owned(request.rack_id.as_ref()),
        topics: request.subscribed_topic_names.as_deref().map(names),
        ..Beat::default()
    };
    let group = request.group_id;
    let asking = head.clone();
    let then = move |session: &mut Session, answer, effects: &mut Effects| {
        let response = match answer {
            Answer::Beaten(Ok(told)) => share_beaten(&told),
            Answer::Beaten(Err(refused)) => {
                let (code, message) = of_beat(&refused);
                ShareGroupHeartbeatResponse::default()
                    .with_error_code(code)
                    .with_error_message(message.as_deref().map(text))
            }
            _ => {
                effects.close = Some(Close::Now);
                return;
            }
        };
        session.respond(&head, &response, effects);
    };
    session.ask_group(
        &asking,
        &group,
        Request::ShareBeat(Box::new(beat)),
        effects,
        then,
    );
    Ok(())
}

fn share_beaten(told: &Beaten) -> ShareGroupHeartbeatResponse {
    let assignment = told.assignment.as_ref().map(|topics| {
        let topics = topics.iter().map(|(topic, indexes)| {
            share_heartbeat::TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(topic.0))
                .with_partitions(wire(indexes))
        });
        share_heartbeat::Assignment::default().with_topic_partitions(topics.collect())
    });
    ShareGroupHeartbeatResponse::default()
        .with_error_code(NONE)
        .with_member_id(Some(text(&told.member)))
        .with_member_epoch(told.epoch)
        .with_heartbeat_interval_ms(interval(told))
        .with_assignment(assignment)
}

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ConsumerGroupDescribeRequest = decoded(&head, &mut body)?;
    let operations = operations(request.include_authorized_operations);
    let requests = asked(&request.group_ids, &Request::DescribeConsumers);
    let asking = head.clone();
    let then = move |session: &mut Session, answers: Answers, effects: &mut Effects| {
        let mut groups = Vec::with_capacity(answers.len());
        for (group, answer) in answers {
            let Answer::Members(result) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let described = match result {
                Ok(described) => {
                    described_consumers(&described).with_authorized_operations(operations)
                }
                Err(refused) => {
                    let code = of_group(&refused);
                    consumer::DescribedGroup::default()
                        .with_error_code(code)
                        .with_error_message(
                            not_found(code, &group, "consumer").as_deref().map(text),
                        )
                }
            };
            groups.push(described.with_group_id(GroupId(text(&group))));
        }
        let response = ConsumerGroupDescribeResponse::default().with_groups(groups);
        session.respond(&head, &response, effects);
    };
    session.ask_each(&asking, requests, effects, then);
    Ok(())
}

fn described_consumers(described: &Description) -> consumer::DescribedGroup {
    let assignment = |topics: &[NamedPartitions]| {
        let topics = topics.iter().map(|(id, name, indexes)| {
            consumer::TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(id.0))
                .with_topic_name(TopicName(text(name)))
                .with_partitions(wire(indexes))
        });
        consumer::Assignment::default().with_topic_partitions(topics.collect())
    };
    let members = described.members.iter().map(|of| {
        let member = &of.member;
        consumer::Member::default()
            .with_member_id(text(&of.id))
            .with_instance_id(member.instance.as_deref().map(text))
            .with_rack_id(member.rack.as_deref().map(text))
            .with_member_epoch(member.epoch)
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&host(&member.client_host)))
            .with_subscribed_topic_names(wanted(of))
            .with_subscribed_topic_regex(member.pattern.as_deref().map(text))
            .with_assignment(assignment(&of.assigned))
            .with_target_assignment(assignment(&of.target))
            .with_member_type(CONSUMER_MEMBER)
    });
    consumer::DescribedGroup::default()
        .with_group_state(text(described.state.name()))
        .with_group_epoch(described.epoch)
        .with_assignment_epoch(described.target_epoch)
        .with_assignor_name(text(described.assignor))
        .with_members(members.collect())
}

pub(crate) fn share_describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ShareGroupDescribeRequest = decoded(&head, &mut body)?;
    let operations = operations(request.include_authorized_operations);
    let requests = asked(&request.group_ids, &Request::DescribeShare);
    let asking = head.clone();
    let then = move |session: &mut Session, answers: Answers, effects: &mut Effects| {
        let mut groups = Vec::with_capacity(answers.len());
        for (group, answer) in answers {
            let Answer::Members(result) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let described = match result {
                Ok(described) => described_share(&described).with_authorized_operations(operations),
                Err(refused) => {
                    let code = of_group(&refused);
                    share::DescribedGroup::default()
                        .with_error_code(code)
                        .with_error_message(not_found(code, &group, "share").as_deref().map(text))
                }
            };
            groups.push(described.with_group_id(GroupId(text(&group))));
        }
        let response = ShareGroupDescribeResponse::default().with_groups(groups);
        session.respond(&head, &response, effects);
    };
    session.ask_each(&asking, requests, effects, then);
    Ok(())
}

fn described_share(described: &Description) -> share::DescribedGroup {
    let members = described.members.iter().map(|of| {
        let topics = of.assigned.iter().map(|(id, name, indexes)| {
            share::TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(id.0))
                .with_topic_name(TopicName(text(name)))
                .with_partitions(wire(indexes))
        });
        let assignment = share::Assignment::default().with_topic_partitions(topics.collect());
        share::Member::default()
            .with_member_id(text(&of.id))
            .with_rack_id(of.member.rack.as_deref().map(text))
            .with_member_epoch(of.member.epoch)
            .with_client_id(text(&of.member.client_id))
            .with_client_host(text(&host(&of.member.client_host)))
            .with_subscribed_topic_names(wanted(of))
            .with_assignment(assignment)
    });
    share::DescribedGroup::default()
        .with_group_state(text(described.state.name()))
        .with_group_epoch(described.epoch)
        .with_assignment_epoch(described.target_epoch)
        .with_assignor_name(text(described.assignor))
        .with_members(members.collect())
}

type Answers = Vec<(String, Answer)>;

fn asked(groups: &[GroupId], request: &Request) -> Vec<(String, Request)> {
    let groups = groups.iter();
    groups
        .map(|group| (group.to_string(), request.clone()))
        .collect()
}

fn not_found(code: i16, group: &str, kind: &str) -> Option<String> {
    (code == GROUP_ID_NOT_FOUND).then(|| format!("Group {group} is not a {kind} group."))
}

fn operations(asked: bool) -> i32 {
    match asked {
        true => ALL_OPERATIONS,
        false => NOT_ASKED,
    }
}

fn names(topics: &[TopicName]) -> Vec<String> {
    topics.iter().map(|topic| topic.to_string()).collect()
}

fn wanted(of: &MemberDescription) -> Vec<TopicName> {
    of.member
        .topics
        .iter()
        .map(|name| TopicName(text(name)))
        .collect()
}

/// A partition as a client names it; one that cannot exist is nobody's.
fn partition(topic: Uuid, index: i32) -> Partition {
    Partition {
        topic: bongsu_engine::catalog::TopicId(topic.as_u128()),
        index: u32::try_from(index).unwrap_or(u32::MAX),
    }
}

/// Partitions as the wire has them; there are far fewer than 2^31.
fn wire(indexes: &[u32]) -> Vec<i32> {
    indexes.iter().map(|index| *index as i32).collect()
}

/// As Java writes addresses.
fn host(host: &str) -> String {
    format!("/{host}")
}

fn interval(told: &Beaten) -> i32 {
    i32::try_from(told.heartbeat_interval_ms).unwrap_or(i32::MAX)
}
