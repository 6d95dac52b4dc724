//! Answers to ShareFetch and ShareAcknowledge, written around the batches' own bytes.

use bytes::BufMut;
use kafka_protocol::messages::ApiKey;

use bongsu_engine::session::Attached;
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::share::Answer;
use bongsu_engine::share::call::{Fetched, PartKey};

use super::super::fetch::answer::Writer;
use super::super::{Head, Malformed, begin, end};
use crate::errors::{self, Code, NONE};

/// The whole answer, with its length in front.
pub(super) fn encode(head: &Head, answer: &Answer) -> Result<(Vec<u8>, Vec<Attached>), Malformed> {
    let mut writer = Writer::flexible();
    begin(head, &mut writer.out)?;
    let (code, lock_ms) = match answer {
        Answer::Refused(refused) => (errors::of_share(*refused), 0),
        Answer::Fetched { lock_ms, .. } | Answer::Settled { lock_ms, .. } => (NONE, *lock_ms),
        _ => return Err(Malformed),
    };
    writer.out.put_i32(0);
    writer.out.put_i16(code);
    writer.no_text();
    if head.key == ApiKey::ShareFetch || head.version >= 2 {
        writer
            .out
            .put_i32(i32::try_from(lock_ms).unwrap_or(i32::MAX));
    }
    match answer {
        Answer::Fetched { parts, .. } => {
            by_topic(&mut writer, parts, |part| &part.key, fetched);
        }
        Answer::Settled { parts, .. } => {
            let of = |writer: &mut Writer, (key, done): &(PartKey, Result<(), _>)| {
                writer.out.put_i32(key.partition);
                writer.out.put_i16(code_of(done));
                writer.no_text();
                no_leader(writer);
                writer.tags();
            };
            by_topic(&mut writer, parts, |(key, _)| key, of);
        }
        _ => writer.count(0),
    }
    // Nobody else leads anything.
    writer.count(0);
    writer.tags();
    end(0, writer.attached_bytes, &mut writer.out);
    Ok((writer.out, writer.attached))
}

fn fetched(writer: &mut Writer, part: &Fetched) {
    writer.out.put_i32(part.key.partition);
    writer
        .out
        .put_i16(part.refused.map_or(NONE, errors::of_share));
    writer.no_text();
    writer
        .out
        .put_i16(part.settled.as_ref().map_or(NONE, code_of));
    writer.no_text();
    no_leader(writer);
    writer.records(&part.batches);
    writer.count(part.acquired.len());
    for (records, deliveries) in &part.acquired {
        writer.out.put_i64(records.start.0 as i64);
        writer.out.put_i64(records.end.0 as i64 - 1);
        writer
            .out
            .put_i16(i16::try_from(*deliveries).unwrap_or(i16::MAX));
        writer.tags();
    }
    writer.tags();
}

fn code_of(done: &Result<(), bongsu_engine::share::Refused>) -> Code {
    match done {
        Ok(()) => NONE,
        Err(refused) => errors::of_share(*refused),
    }
}

/// There is one leader, and it is this one: said only where it is another.
fn no_leader(writer: &mut Writer) {
    writer.out.put_i32(-1);
    writer.out.put_i32(-1);
    writer.tags();
}

/// Partitions under their topics: those of a topic need not follow each other.
fn by_topic<T>(
    writer: &mut Writer,
    parts: &[T],
    key: impl Fn(&T) -> &PartKey,
    each: impl Fn(&mut Writer, &T),
) {
    let mut topics: Vec<(&TopicRef, Vec<&T>)> = Vec::new();
    for part in parts {
        let topic = &key(part).topic;
        match topics.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, parts)) => parts.push(part),
            None => topics.push((topic, vec![part])),
        }
    }
    writer.count(topics.len());
    for (topic, parts) in topics {
        match topic {
            TopicRef::Id(id) => writer.out.put_u128(id.0),
            TopicRef::Name(_) => writer.out.put_u128(0),
        }
        writer.count(parts.len());
        parts.into_iter().for_each(|part| each(writer, part));
        writer.tags();
    }
}
