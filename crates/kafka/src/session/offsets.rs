//! ListOffsets.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use bongsu_engine::session::records::{OffsetsPart, OffsetsRequest, TopicRef, When};
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};

use super::{Head, Malformed, Session, decoded};
use crate::errors::{self, Code, INVALID_REQUEST, NONE, UNKNOWN_LEADER_EPOCH, UNSUPPORTED_VERSION};

/// Special values of a timestamp.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING: i64 = -6;
/// What is answered where there is none.
const UNKNOWN: i64 = -1;

/// Version 11 is as version 10, with one more special value.
const LAID_OUT: i16 = 10;

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let version = head.version;
    let head = Head {
        version: version.min(LAID_OUT),
        ..head
    };
    let request: ListOffsetsRequest = decoded(&head, &mut body)?;
    let mut named = HashSet::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter();
        named.extend(partitions.map(|partition| (&topic.name, partition.partition_index)));
    }
    let count: usize = request
        .topics
        .iter()
        .map(|topic| topic.partitions.len())
        .sum();
    let twice = named.len() < count;
    let mut parts = Vec::new();
    let mut asked = Vec::new();
    for topic in &request.topics {
        let name = TopicRef::Name(Arc::from(topic.name.as_str()));
        for partition in &topic.partitions {
            let when = match partition.current_leader_epoch > 0 {
                _ if twice => Err(INVALID_REQUEST),
                true => Err(UNKNOWN_LEADER_EPOCH),
                false => when(partition.timestamp, version),
            };
            asked.push(when);
            parts.push(OffsetsPart {
                topic: name.clone(),
                partition: partition.partition_index,
                when: when.unwrap_or(When::Never),
            });
        }
    }
    let call = Call::Offsets(Box::new(OffsetsRequest {
        parts,
        committed: request.isolation_level == 1,
    }));
    session.call(effects, call, move |session, reply, _, effects| {
        let Reply::Offsets(found) = reply else {
            effects.close = Some(Close::Now);
            return;
        };
        let mut found = found.into_iter().zip(asked);
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().zip(&mut found);
            let partitions = partitions.map(|(partition, (found, when))| {
                let answer = ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_timestamp(UNKNOWN)
                    .with_offset(UNKNOWN)
                    .with_leader_epoch(-1);
                match found {
                    _ if when.is_err() => answer.with_error_code(when.err().unwrap_or(NONE)),
                    Err(refused) => answer.with_error_code(errors::of_fetch(refused)),
                    Ok(found) => {
                        let answer = answer
                            .with_error_code(NONE)
                            .with_timestamp(found.timestamp_ms.unwrap_or(UNKNOWN));
                        match found.offset {
                            // Epochs are in the answer from version 4 on.
                            Some(offset) if head.version >= 4 => {
                                answer.with_offset(offset.0 as i64).with_leader_epoch(0)
                            }
                            Some(offset) => answer.with_offset(offset.0 as i64),
                            None => answer,
                        }
                    }
                }
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        let response = ListOffsetsResponse::default().with_topics(topics.collect());
        session.respond(&head, &response, effects);
    });
    Ok(())
}

/// What a timestamp asks for, where this version has such a value.
fn when(timestamp: i64, version: i16) -> Result<When, Code> {
    Ok(match timestamp {
        LATEST => When::Latest,
        EARLIEST => When::Earliest,
        MAX_TIMESTAMP if version >= 7 => When::MaxTimestamp,
        // All of a log is local.
        EARLIEST_LOCAL if version >= 8 => When::Earliest,
        LATEST_TIERED if version >= 9 => When::Never,
        EARLIEST_PENDING if version >= 11 => When::Never,
        unix_ms if unix_ms >= 0 => When::Time(unix_ms),
        _ => return Err(UNSUPPORTED_VERSION),
    })
}
