//! Topics made, deleted and grown, and records deleted from the front of their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use bongsu_engine::catalog::{Configs, TopicId};
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};
use bongsu_engine::topic::call::{Change, Changed, Refused, TopicRef};
use bongsu_engine::topic::config::Described;
use bongsu_engine::topic::{Answer, Request};

use super::{Head, Malformed, Session, configs, decoded};
use crate::errors::topics::of_topic;
use crate::errors::{Code, INVALID_CONFIG, INVALID_REQUEST, NONE};

/// A code and its words.
pub(crate) type Said = (Code, String);

/// Asks the broker about topics; `then` goes on with its answer.
pub(crate) fn ask(
    session: &mut Session,
    effects: &mut Effects,
    request: Request,
    then: impl FnOnce(&mut Session, Answer, &mut Effects) + Send + 'static,
) {
    let call = Call::Topic(Box::new(request));
    session.call(effects, call, |session, reply, _, effects| match reply {
        Reply::Topic(answer) => then(session, *answer, effects),
        _ => effects.close = Some(Close::Now),
    });
}

/// What the broker says of the next thing that was asked for.
pub(crate) fn next_of<T>(
    answers: &mut impl Iterator<Item = Result<T, Refused>>,
) -> Result<T, Said> {
    match answers.next() {
        Some(answer) => answer.map_err(|refused| of_topic(&refused)),
        None => Err((INVALID_REQUEST, "no answer".to_owned())),
    }
}

/// Asks for changes; `then` goes on with what became of each.
pub(crate) fn change(
    session: &mut Session,
    effects: &mut Effects,
    changes: Vec<Change>,
    only_check: bool,
    then: impl FnOnce(&mut Session, Vec<Result<Changed, Refused>>, &mut Effects) + Send + 'static,
) {
    let request = Request::Change {
        changes,
        only_check,
    };
    ask(
        session,
        effects,
        request,
        |session, answer, effects| match answer {
            Answer::Changed(changed) => then(session, changed, effects),
            _ => effects.close = Some(Close::Now),
        },
    );
}

pub(crate) fn create(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: CreateTopicsRequest = decoded(&head, &mut body)?;
    let mut named = named(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut planned: Vec<(TopicName, Result<(), Said>)> = Vec::new();
    let mut changes = Vec::new();
    let node_id = session.settings.node_id;
    for topic in &request.topics {
        let change = match named.get_mut(topic.name.as_str()) {
            Some(1) => creation(topic, node_id),
            Some(count @ 2..) => {
                *count = 0;
                Err((INVALID_REQUEST, "Duplicate topic name.".to_owned()))
            }
            // It was said of the first of that name.
            _ => continue,
        };
        let change = change.map(|change| changes.push(change));
        planned.push((topic.name.clone(), change));
    }
    let only_check = request.validate_only;
    change(
        session,
        effects,
        changes,
        only_check,
        move |session, changed, effects| {
            let mut changed = changed.into_iter();
            let topics = planned.into_iter().map(|(name, planned)| {
                let made = planned.and_then(|()| next_of(&mut changed));
                created(name, made, head.version)
            });
            let response = CreateTopicsResponse::default().with_topics(topics.collect());
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

/// Kafka's order: assignments exclude numbers; then the replication, then the partitions.
fn creation(topic: &CreatableTopic, node_id: i32) -> Result<Change, Said> {
    let name = topic.name.to_string();
    let partitions = if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            let asked = i32::from(topic.replication_factor);
            return Err(of_topic(&Refused::Replication { asked }));
        }
        match topic.num_partitions {
            -1 => None,
            asked @ ..1 => {
                let asked = i64::from(asked);
                return Err(of_topic(&Refused::PartitionCount { asked, max: 0 }));
            }
            count => Some(count.unsigned_abs()),
        }
    } else {
        let both = |what: &str| {
            let said = format!("A manual partition assignment was specified, but {what}");
            Err((INVALID_REQUEST, said))
        };
        if topic.replication_factor != -1 {
            return both("replication factor was not set to -1.");
        }
        if topic.num_partitions != -1 {
            return both("numPartitions was not set to -1.");
        }
        let assigned = topic.assignments.iter();
        let mut indexes: Vec<i32> = assigned.clone().map(|one| one.partition_index).collect();
        indexes.sort_unstable();
        for assignment in assigned {
            assignable(&assignment.broker_ids, node_id)?;
        }
        if let Some(pair) = indexes.windows(2).find(|pair| pair[0] == pair[1]) {
            let cause = format!(
                "Found multiple manual partition assignments for partition {}",
                pair[0]
            );
            return Err(of_topic(&Refused::Assignment { cause }));
        }
        if indexes
            .iter()
            .zip(0..)
            .any(|(index, place)| *index != place)
        {
            let cause = "partitions should be a consecutive 0-based integer sequence".to_owned();
            return Err(of_topic(&Refused::Assignment { cause }));
        }
        Some(indexes.len() as u32)
    };
    let mut configs = Configs::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let said = format!(
                "Null value not supported for topic configs: {}",
                config.name
            );
            return Err((INVALID_CONFIG, said));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    Ok(Change::Create {
        name,
        partitions,
        configs,
    })
}

/// Whether partitions can be put there: there is this broker and no other.
pub(crate) fn assignable(brokers: &[BrokerId], node_id: i32) -> Result<(), Said> {
    let cause = match brokers {
        [broker] if broker.0 == node_id => return Ok(()),
        [] => "The manual partition assignment includes an empty replica list.".to_owned(),
        [broker, rest @ ..] if rest.contains(broker) => format!(
            "The manual partition assignment includes the broker {} more than once.",
            broker.0
        ),
        _ => {
            let other = brokers.iter().find(|broker| broker.0 != node_id);
            format!(
                "The manual partition assignment includes broker {}, but no such broker is \
                 registered.",
                other.map_or(node_id, |broker| broker.0)
            )
        }
    };
    Err(of_topic(&Refused::Assignment { cause }))
}

fn created(name: TopicName, made: Result<Changed, Said>, version: i16) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name);
    match made {
        Err((code, said)) => {
            let result = result
                .with_error_code(code)
                .with_error_message(Some(text(said)));
            // As Kafka: what nobody asked for is -1 or absent.
            match version {
                5.. => result.with_configs(Some(Vec::new())),
                _ => result,
            }
        }
        Ok(changed) => {
            let result = result.with_error_code(NONE);
            let result = match version {
                7.. => result.with_topic_id(uuid(changed.id)),
                _ => result,
            };
            match version {
                5.. => result
                    .with_num_partitions(i32::try_from(changed.partitions).unwrap_or(i32::MAX))
                    .with_replication_factor(1)
                    .with_configs(Some(changed.configs.into_iter().map(configured).collect())),
                _ => result,
            }
        }
    }
}

fn configured(described: Described) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(StrBytes::from_static_str(described.row.name))
        .with_value(Some(text(described.value)))
        .with_read_only(false)
        .with_config_source(configs::source(described.source))
        .with_is_sensitive(false)
}

pub(crate) fn delete(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DeleteTopicsRequest = decoded(&head, &mut body)?;
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| (Some(name), Uuid::nil()));
    let by_either = request
        .topics
        .into_iter()
        .map(|one| (one.name, one.topic_id));
    let asked: Vec<(Option<TopicName>, Uuid)> = by_name.chain(by_either).collect();
    let mut counts: BTreeMap<(Option<String>, Uuid), u32> = BTreeMap::new();
    let key = |name: &Option<TopicName>, id: Uuid| (name.as_ref().map(|name| name.to_string()), id);
    for (name, id) in &asked {
        *counts.entry(key(name, *id)).or_default() += 1;
    }
    let mut planned = Vec::new();
    let mut changes = Vec::new();
    for (name, id) in asked {
        let count = counts.get_mut(&key(&name, id)).map(std::mem::take);
        let invalid = |said: &str| Err((INVALID_REQUEST, said.to_owned()));
        let change = match (&name, id.is_nil(), count) {
            (_, _, None | Some(0)) => continue,
            (None, true, _) => invalid("Neither topic name nor id were specified."),
            (Some(_), false, _) => invalid("You may not specify both topic name and topic id."),
            (Some(_), true, Some(2..)) => invalid("Duplicate topic name."),
            (None, false, Some(2..)) => invalid("Duplicate topic id."),
            (Some(name), true, _) => Ok(TopicRef::Name(Arc::from(name.as_str()))),
            (None, false, _) => Ok(TopicRef::Id(TopicId(id.as_u128()))),
        };
        let change = change.map(|topic| changes.push(Change::Delete { topic }));
        planned.push((name, id, change));
    }
    change(
        session,
        effects,
        changes,
        false,
        move |session, changed, effects| {
            let mut changed = changed.into_iter();
            let results = planned.into_iter().map(|(name, id, planned)| {
                let deleted = planned.and_then(|()| next_of(&mut changed));
                deleted_result(name, id, deleted, head.version)
            });
            let response = DeleteTopicsResponse::default().with_responses(results.collect());
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

fn deleted_result(
    name: Option<TopicName>,
    id: Uuid,
    deleted: Result<Changed, Said>,
    version: i16,
) -> DeletableTopicResult {
    let result = DeletableTopicResult::default();
    let (name, id, result) = match deleted {
        Ok(changed) => {
            let name = Some(topic_name(&changed.name));
            (name, uuid(changed.id), result.with_error_code(NONE))
        }
        Err((code, said)) => {
            let result = result.with_error_code(code);
            let result = match version {
                5.. => result.with_error_message(Some(text(said))),
                _ => result,
            };
            (name, id, result)
        }
    };
    match version {
        6.. => result.with_name(name).with_topic_id(id),
        _ => result.with_name(name),
    }
}

pub(crate) fn grow(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: CreatePartitionsRequest = decoded(&head, &mut body)?;
    let mut named = named(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut planned = Vec::new();
    let mut changes = Vec::new();
    for topic in request.topics {
        let count = named.get_mut(topic.name.as_str()).map(std::mem::take);
        let change = match count {
            None | Some(0) => continue,
            Some(1) => growth(&topic, session.settings.node_id),
            Some(_) => Err((INVALID_REQUEST, "Duplicate topic name.".to_owned())),
        };
        let change = change.map(|change| changes.push(change));
        planned.push((topic, change));
    }
    let only_check = request.validate_only;
    // How many there are decides how many assignments there must be.
    let which = planned
        .iter()
        .map(|(topic, _)| TopicRef::Name(Arc::from(topic.name.as_str())));
    let look = Request::Topics {
        which: Some(which.collect()),
        create: false,
    };
    ask(session, effects, look, move |session, answer, effects| {
        let Answer::Topics(found) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let mut kept = Vec::new();
        let mut wanted = changes.into_iter();
        for ((topic, planned), found) in planned.iter_mut().zip(found.topics) {
            if planned.is_err() {
                continue;
            }
            let change = wanted.next();
            let current = found.map_or(0, |info| i64::from(info.partitions));
            let more = i64::from(topic.count) - current;
            match (&topic.assignments, change) {
                (Some(assigned), _) if current > 0 && more > 0 && assigned.len() as i64 != more => {
                    let cause = format!(
                        "Attempted to add {more} additional partition(s), but only {} \
                         assignment(s) were specified.",
                        assigned.len()
                    );
                    *planned = Err(of_topic(&Refused::Assignment { cause }));
                }
                (_, change) => kept.extend(change),
            }
        }
        change(
            session,
            effects,
            kept,
            only_check,
            move |session, changed, effects| {
                let mut changed = changed.into_iter();
                let results = planned.into_iter().map(|(topic, planned)| {
                    let grown = planned.and_then(|()| next_of(&mut changed).map(|_| ()));
                    let result = CreatePartitionsTopicResult::default().with_name(topic.name);
                    match grown {
                        Ok(()) => result.with_error_code(NONE).with_error_message(None),
                        Err((code, said)) => result
                            .with_error_code(code)
                            .with_error_message(Some(text(said))),
                    }
                });
                let response = CreatePartitionsResponse::default().with_results(results.collect());
                session.respond(&head, &response, effects);
            },
        );
    });
    Ok(())
}

fn growth(topic: &CreatePartitionsTopic, node_id: i32) -> Result<Change, Said> {
    for assignment in topic.assignments.iter().flatten() {
        assignable(&assignment.broker_ids, node_id)?;
    }
    Ok(Change::Grow {
        name: topic.name.to_string(),
        // Fewer than none are no more than there are.
        partitions: u32::try_from(topic.count).unwrap_or(0),
    })
}

pub(crate) fn delete_records(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DeleteRecordsRequest = decoded(&head, &mut body)?;
    let mut parts = Vec::new();
    for topic in &request.topics {
        let name = TopicRef::Name(Arc::from(topic.name.as_str()));
        for partition in &topic.partitions {
            let offset = (partition.offset != HIGH_WATERMARK).then_some(partition.offset);
            parts.push((name.clone(), partition.partition_index, offset));
        }
    }
    let ask_for = Request::Trim { parts };
    ask(
        session,
        effects,
        ask_for,
        move |session, answer, effects| {
            let Answer::Trimmed(trimmed) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let mut trimmed = trimmed.into_iter();
            let topics = request.topics.into_iter().map(|topic| {
                let partitions = topic.partitions.iter().zip(&mut trimmed);
                let partitions = partitions.map(|(partition, trimmed)| {
                    let (code, start) = match trimmed {
                        Ok(start) => (NONE, i64::try_from(start.0).unwrap_or(i64::MAX)),
                        Err(refused) => (of_topic(&refused).0, -1),
                    };
                    DeleteRecordsPartitionResult::default()
                        .with_partition_index(partition.partition_index)
                        .with_low_watermark(start)
                        .with_error_code(code)
                });
                let partitions = partitions.collect();
                DeleteRecordsTopicResult::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            });
            let response = DeleteRecordsResponse::default().with_topics(topics.collect());
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

/// How often each name is there.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

pub(crate) fn text(text: String) -> StrBytes {
    StrBytes::from_string(text)
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn uuid(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// All that is durable.
const HIGH_WATERMARK: i64 = -1;
