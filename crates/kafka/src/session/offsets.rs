//! ListOffsets.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use bongsu_engine::session::records::{OffsetsPart, OffsetsRequest, TopicRef, When};
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};

use super::{Head, Malformed, Session, decoded};
use crate::errors::{self, NONE, UNSUPPORTED_VERSION};

/// Special values of a timestamp.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// What is answered where there is none.
const UNKNOWN: i64 = -1;

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ListOffsetsRequest = decoded(&head, &mut body)?;
    let mut parts = Vec::new();
    let mut asked = Vec::new();
    for topic in &request.topics {
        let name = TopicRef::Name(Arc::from(topic.name.as_str()));
        for partition in &topic.partitions {
            let when = when(partition.timestamp, head.version);
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
                    _ if when.is_none() => answer.with_error_code(UNSUPPORTED_VERSION),
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

/// What a timestamp asks for; `None` where this version has no such value.
fn when(timestamp: i64, version: i16) -> Option<When> {
    Some(match timestamp {
        LATEST => When::Latest,
        EARLIEST => When::Earliest,
        MAX_TIMESTAMP if version >= 7 => When::MaxTimestamp,
        // All of a log is local.
        EARLIEST_LOCAL if version >= 8 => When::Earliest,
        LATEST_TIERED if version >= 9 => When::Never,
        unix_ms if unix_ms >= 0 => When::Time(unix_ms),
        _ => return None,
    })
}
