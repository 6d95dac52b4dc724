//! What there is: Metadata, DescribeTopicPartitions and DescribeCluster.
//!
//! One broker is the cluster, its controller, and the leader of every partition, in the
//! epoch 0 for ever.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::session::{Close, Effects, Now};
use bongsu_engine::topic::call::{Refused, TopicRef};
use bongsu_engine::topic::request::{Info, Topics};
use bongsu_engine::topic::{Answer, Request};

use super::topics::{ask, text, topic_name, uuid};
use super::{Head, Malformed, Session, decoded};
use crate::errors::topics::of_topic;
use crate::errors::{
    Code, INVALID_REQUEST, MISMATCHED_ENDPOINT_TYPE, NONE, UNSUPPORTED_ENDPOINT_TYPE,
};

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: MetadataRequest = decoded(&head, &mut body)?;
    // In version 0 an empty list is all; since then, null is, and an empty list is none.
    let wants_all = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && head.version == 0,
    };
    let asked = request.topics.filter(|_| !wants_all).unwrap_or_default();
    if head.version < IDS_FROM
        && asked
            .iter()
            .any(|topic| topic.name.is_none() || !topic.topic_id.is_nil())
    {
        // Kafka declines the whole: in these versions the field is there and not for use.
        let topics = asked.iter().map(|topic| {
            let name = topic.name.clone().or_else(|| Some(topic_name("")));
            unknown(INVALID_REQUEST, name, topic.topic_id, head.version)
        });
        let topics = topics.collect();
        let response = response(session, &head, 0, topics);
        session.respond(&head, &response, effects);
        return Ok(());
    }
    let request = Request::Topics {
        which: (!wants_all).then(|| asked.iter().map(reference).collect()),
        create: request.allow_auto_topic_creation,
    };
    ask(
        session,
        effects,
        request,
        move |session, answer, effects| {
            let Answer::Topics(found) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let Topics { cluster, topics } = found;
            let mut asked = asked.into_iter();
            let node = BrokerId(session.settings.node_id);
            let topics = topics.into_iter().map(|found| {
                let asked = asked.next();
                match found {
                    Ok(info) => topic(&info, node, head.version),
                    Err(refused) => {
                        let (name, id) =
                            asked.map_or((None, Uuid::nil()), |one| (one.name, one.topic_id));
                        unknown(of_topic(&refused).0, name, id, head.version)
                    }
                }
            });
            let topics = topics.collect();
            let response = response(session, &head, cluster, topics);
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

/// A number counts before a name.
fn reference(topic: &MetadataRequestTopic) -> TopicRef {
    match &topic.name {
        Some(name) if topic.topic_id.is_nil() => TopicRef::Name(Arc::from(name.as_str())),
        _ => TopicRef::Id(TopicId(topic.topic_id.as_u128())),
    }
}

fn response(
    session: &Session,
    head: &Head,
    cluster: u128,
    topics: Vec<MetadataResponseTopic>,
) -> MetadataResponse {
    let settings = &session.settings;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(settings.node_id))
        .with_host(text(settings.advertised_host.clone()))
        .with_port(i32::from(settings.advertised_port))
        .with_rack(None);
    let response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(BrokerId(settings.node_id))
        .with_topics(topics);
    match head.version {
        2.. => response.with_cluster_id(Some(cluster_id(cluster))),
        _ => response,
    }
}

fn topic(info: &Info, node: BrokerId, version: i16) -> MetadataResponseTopic {
    let partitions = indexes(info).map(|index| {
        let partition = MetadataResponsePartition::default()
            .with_error_code(NONE)
            .with_partition_index(index)
            .with_leader_id(node)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        match version {
            7.. => partition.with_leader_epoch(0),
            _ => partition,
        }
    });
    let topic = MetadataResponseTopic::default()
        .with_error_code(NONE)
        .with_name(Some(topic_name(&info.name)))
        .with_is_internal(false)
        .with_partitions(partitions.collect());
    match version {
        10.. => topic.with_topic_id(uuid(info.id)),
        _ => topic,
    }
}

fn unknown(code: Code, name: Option<TopicName>, id: Uuid, version: i16) -> MetadataResponseTopic {
    let topic = MetadataResponseTopic::default().with_error_code(code);
    match version {
        IDS_FROM.. => topic.with_name(name).with_topic_id(id),
        _ => topic.with_name(name),
    }
}

fn indexes(info: &Info) -> std::ops::Range<i32> {
    0..i32::try_from(info.partitions).unwrap_or(i32::MAX)
}

/// Topics by name, page by page.
pub(crate) fn describe_partitions(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeTopicPartitionsRequest = decoded(&head, &mut body)?;
    let from = request.cursor.map(|cursor| {
        let name = cursor.topic_name.to_string();
        (name, cursor.partition_index)
    });
    let is_negative = from.as_ref().is_some_and(|(_, index)| *index < 0);
    let mut names: Vec<String> = request
        .topics
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    names.sort_unstable();
    names.dedup();
    if let Some((first, _)) = &from {
        names.retain(|name| name >= first);
        // The one to go on with may not have been named; it is looked at all the same.
        if !request.topics.is_empty() && names.first() != Some(first) {
            names.insert(0, first.clone());
        }
    }
    let limit = request.response_partition_limit.clamp(1, PARTITIONS_MAX) as usize;
    let which = match request.topics.is_empty() {
        true => None,
        false => Some(
            names
                .iter()
                .map(|name| TopicRef::Name(Arc::from(name.as_str())))
                .collect(),
        ),
    };
    let request = Request::Topics {
        which,
        create: false,
    };
    ask(
        session,
        effects,
        request,
        move |session, answer, effects| {
            let Answer::Topics(found) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            if is_negative {
                // Kafka has no place in this answer to say what is wrong with the cursor.
                effects.close = Some(Close::Flushed);
                return;
            }
            let found = by_name(found.topics, names);
            let found = found.into_iter().filter(|(name, _)| {
                let is_before = from.as_ref().is_some_and(|(first, _)| name < first);
                !is_before
            });
            let node = BrokerId(session.settings.node_id);
            let page = page(found, from.as_ref(), limit, node);
            session.respond(&head, &page, effects);
        },
    );
    Ok(())
}

/// Each topic with the name it was asked for by, in the order of names.
fn by_name(
    found: Vec<Result<Info, Refused>>,
    names: Vec<String>,
) -> Vec<(String, Result<Info, Refused>)> {
    if names.is_empty() {
        let found = found.into_iter().flatten();
        return found
            .map(|info| (info.name.to_string(), Ok(info)))
            .collect();
    }
    names.into_iter().zip(found).collect()
}

fn page(
    topics: impl Iterator<Item = (String, Result<Info, Refused>)>,
    from: Option<&(String, i32)>,
    limit: usize,
    node: BrokerId,
) -> DescribeTopicPartitionsResponse {
    let mut room = limit;
    let mut told = Vec::new();
    let mut next = None;
    for (name, found) in topics {
        let begin = match from {
            Some((first, index)) if *first == name => *index,
            _ => 0,
        };
        let at = |index: i32| {
            Cursor::default()
                .with_topic_name(topic_name(&name))
                .with_partition_index(index)
        };
        if room == 0 {
            next = Some(at(begin));
            break;
        }
        let topic =
            DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(&name)));
        let info = match found {
            Ok(info) => info,
            Err(refused) => {
                told.push(topic.with_error_code(of_topic(&refused).0));
                continue;
            }
        };
        let mut indexes = indexes(&info).skip(begin as usize);
        let partitions: Vec<_> = indexes
            .by_ref()
            .take(room)
            .map(|index| one(index, node))
            .collect();
        room -= partitions.len();
        told.push(
            topic
                .with_error_code(NONE)
                .with_topic_id(uuid(info.id))
                .with_partitions(partitions),
        );
        if let Some(index) = indexes.next() {
            next = Some(at(index));
            break;
        }
    }
    DescribeTopicPartitionsResponse::default()
        .with_topics(told)
        .with_next_cursor(next)
}

fn one(index: i32, node: BrokerId) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(NONE)
        .with_partition_index(index)
        .with_leader_id(node)
        .with_leader_epoch(0)
        .with_replica_nodes(vec![node])
        .with_isr_nodes(vec![node])
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}

pub(crate) fn describe_cluster(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeClusterRequest = decoded(&head, &mut body)?;
    if request.endpoint_type != BROKERS {
        // The controller has no address of its own.
        let (code, said) = match request.endpoint_type {
            CONTROLLERS => (
                MISMATCHED_ENDPOINT_TYPE,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
                 type CONTROLLER",
            ),
            _ => (UNSUPPORTED_ENDPOINT_TYPE, "Unsupported endpoint type"),
        };
        let response = DescribeClusterResponse::default()
            .with_error_code(code)
            .with_error_message(Some(StrBytes::from_static_str(said)));
        let response = match request.endpoint_type {
            _ if head.version == 0 => response,
            asked => response.with_endpoint_type(asked),
        };
        session.respond(&head, &response, effects);
        return Ok(());
    }
    let none = Request::Topics {
        which: Some(Vec::new()),
        create: false,
    };
    ask(session, effects, none, move |session, answer, effects| {
        let Answer::Topics(found) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let settings = &session.settings;
        let broker = DescribeClusterBroker::default()
            .with_broker_id(BrokerId(settings.node_id))
            .with_host(text(settings.advertised_host.clone()))
            .with_port(i32::from(settings.advertised_port))
            .with_rack(None);
        let response = DescribeClusterResponse::default()
            .with_error_code(NONE)
            .with_cluster_id(cluster_id(found.cluster))
            .with_controller_id(BrokerId(settings.node_id))
            .with_brokers(vec![broker]);
        session.respond(&head, &response, effects);
    });
    Ok(())
}

/// 128 bits in base 64, as Kafka writes them.
pub(crate) fn cluster_id(cluster: u128) -> StrBytes {
    let digit = |index: i32| {
        let shift = 122 - 6 * index;
        let bits = if shift >= 0 {
            cluster >> shift
        } else {
            cluster << -shift
        };
        char::from(BASE64_URL[(bits & 63) as usize])
    };
    text((0..22).map(digit).collect())
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// From this version on, topics can be asked for by number.
const IDS_FROM: i16 = 12;
/// Of endpoints, in DescribeCluster.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
/// On one page, as with Kafka.
const PARTITIONS_MAX: i32 = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_told_as_kafka_tells_it() {
        assert_eq!(cluster_id(0).as_str(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(cluster_id(u128::MAX).as_str(), "_____________________w");
        let known = 0x0123_4567_89ab_4def_8123_4567_89ab_cdef;
        assert_eq!(cluster_id(known).as_str(), "ASNFZ4mrTe-BI0VniavN7w");
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let info = |name: &str, partitions| {
            let id = TopicId(7);
            let name: Arc<str> = name.into();
            (
                name.to_string(),
                Ok(Info {
                    id,
                    name,
                    partitions,
                }),
            )
        };
        let topics = || vec![info("a", 3), info("b", 1), info("c", 2)];
        let mut from = None;
        let mut seen = Vec::new();
        for _ in 0..10 {
            let first = from.as_ref().map(|(name, _): &(String, i32)| name.clone());
            let rest = topics().into_iter();
            let rest = rest.filter(|(name, _)| first.as_ref().is_none_or(|first| name >= first));
            let page = page(rest, from.as_ref(), 2, BrokerId(1));
            let mut count = 0;
            for topic in &page.topics {
                let name = topic.name.as_ref().unwrap().to_string();
                for partition in &topic.partitions {
                    seen.push((name.clone(), partition.partition_index));
                    count += 1;
                }
            }
            assert!(count <= 2);
            let Some(next) = page.next_cursor else {
                let all = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("c", 0), ("c", 1)];
                let all: Vec<_> = all.map(|(name, index)| (name.to_owned(), index)).into();
                assert_eq!(seen, all);
                return;
            };
            from = Some((next.topic_name.to_string(), next.partition_index));
        }
        panic!("it has no end");
    }
}
