//! DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest,
};
use kafka_protocol::protocol::Decodable;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};
use bongsu_engine::share::call::{Describe, Described, PartKey};
use bongsu_engine::share::{Answer, Refused, Request};

use super::super::fetch::answer::Writer;
use super::super::{Head, Malformed, Session, begin, end};
use super::when_durable;
use crate::errors::{self, Code, NONE};
use crate::honest;

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    honest::request(head.key as i16, head.version, &body).map_err(|_| Malformed)?;
    // Version 1 asks the same, and is told more.
    let request = DescribeShareGroupOffsetsRequest::decode(&mut body, 0).map_err(|_| Malformed)?;
    let groups = request.groups.iter().map(|group| Describe {
        group: Arc::from(&*group.group_id.0),
        topics: group.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            topics
                .map(|topic| (Arc::from(&*topic.topic_name.0), topic.partitions.clone()))
                .collect()
        }),
    });
    let call = Request::Describe(groups.collect());
    ask(session, head, call, effects);
    Ok(())
}

pub(crate) fn alter(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    honest::request(head.key as i16, head.version, &body).map_err(|_| Malformed)?;
    let request = AlterShareGroupOffsetsRequest::decode(&mut body, 0).map_err(|_| Malformed)?;
    let parts = request.topics.iter().flat_map(|topic| {
        let name: Arc<str> = Arc::from(&*topic.topic_name.0);
        topic.partitions.iter().map(move |partition| {
            let key = PartKey {
                topic: TopicRef::Name(name.clone()),
                partition: partition.partition_index,
            };
            (key, partition.start_offset)
        })
    });
    let call = Request::Alter {
        group: Arc::from(&*request.group_id.0),
        parts: parts.collect(),
    };
    ask(session, head, call, effects);
    Ok(())
}

pub(crate) fn delete(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    honest::request(head.key as i16, head.version, &body).map_err(|_| Malformed)?;
    let request = DeleteShareGroupOffsetsRequest::decode(&mut body, 0).map_err(|_| Malformed)?;
    let topics = request.topics.iter();
    let call = Request::Forget {
        group: Arc::from(&*request.group_id.0),
        topics: topics
            .map(|topic| Arc::from(&*topic.topic_name.0))
            .collect(),
    };
    ask(session, head, call, effects);
    Ok(())
}

fn ask(session: &mut Session, head: Head, request: Request, effects: &mut Effects) {
    let call = Call::Share(Box::new(request));
    session.call(effects, call, move |session, reply, _, effects| {
        let Reply::Share { wait, answer } = reply else {
            effects.close = Some(Close::Now);
            return;
        };
        when_durable(
            session,
            wait,
            effects,
            move |session, effects| match encode(&head, &answer) {
                Ok(out) => session.respond_encoded(out, Vec::new(), effects),
                Err(Malformed) => effects.close = Some(Close::Now),
            },
        );
    });
}

fn encode(head: &Head, answer: &Answer) -> Result<Vec<u8>, Malformed> {
    let mut writer = Writer::flexible();
    begin(head, &mut writer.out)?;
    writer.out.put_i32(0);
    match answer {
        Answer::Described(groups) => {
            writer.count(groups.len());
            for (group, described) in groups {
                writer.text(group);
                let (topics, code) = match described {
                    Ok(topics) => (topics.as_slice(), NONE),
                    Err(refused) => (&[][..], errors::of_share(*refused)),
                };
                writer.count(topics.len());
                for topic in topics {
                    described_topic(&mut writer, topic, head.version >= 1);
                }
                writer.out.put_i16(code);
                writer.no_text();
                writer.tags();
            }
        }
        Answer::Altered(altered) => {
            let none = Vec::new();
            let parts = top(&mut writer, altered, &none);
            let topics: Vec<_> = parts
                .chunk_by(|one, other| one.0.topic == other.0.topic)
                .collect();
            writer.count(topics.len());
            for parts in topics {
                topic_name(&mut writer, &parts[0].0.topic, parts[0].1);
                writer.count(parts.len());
                for (key, _, done) in parts {
                    writer.out.put_i32(key.partition);
                    writer.out.put_i16(code_of(done));
                    writer.no_text();
                    writer.tags();
                }
                writer.tags();
            }
        }
        Answer::Forgotten(forgotten) => {
            let none = Vec::new();
            let topics = top(&mut writer, forgotten, &none);
            writer.count(topics.len());
            for (name, id, done) in topics {
                topic_name(&mut writer, &TopicRef::Name(name.clone()), *id);
                writer.out.put_i16(code_of(done));
                writer.no_text();
                writer.tags();
            }
        }
        _ => return Err(Malformed),
    }
    writer.tags();
    end(0, 0, &mut writer.out);
    Ok(writer.out)
}

/// The error of the whole request, and what there is to say of its parts.
fn top<'a, T>(writer: &mut Writer, done: &'a Result<T, Refused>, none: &'a T) -> &'a T {
    let code = done
        .as_ref()
        .err()
        .map_or(NONE, |refused| errors::of_share(*refused));
    writer.out.put_i16(code);
    writer.no_text();
    done.as_ref().unwrap_or(none)
}

fn topic_name(writer: &mut Writer, topic: &TopicRef, id: TopicId) {
    match topic {
        TopicRef::Name(name) => writer.text(name),
        TopicRef::Id(_) => writer.text(""),
    }
    writer.out.put_u128(id.0);
}

fn described_topic(writer: &mut Writer, topic: &Described, tells_lag: bool) {
    topic_name(writer, &TopicRef::Name(topic.topic.clone()), topic.id);
    writer.count(topic.parts.len());
    for part in &topic.parts {
        writer.out.put_i32(part.partition);
        writer
            .out
            .put_i64(part.place.map_or(-1, |(start, _)| start.0 as i64));
        // The one leader's epoch.
        writer.out.put_i32(0);
        if tells_lag {
            let lag = part
                .place
                .map(|(_, owed)| i64::try_from(owed).unwrap_or(i64::MAX));
            writer.out.put_i64(lag.unwrap_or(-1));
        }
        writer
            .out
            .put_i16(part.refused.map_or(NONE, errors::of_share));
        writer.no_text();
        writer.tags();
    }
    writer.tags();
}

fn code_of(done: &Result<(), Refused>) -> Code {
    done.as_ref()
        .err()
        .map_or(NONE, |refused| errors::of_share(*refused))
}
