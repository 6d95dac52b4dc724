//! ShareFetch, ShareAcknowledge, and where share groups are (KIP-932).
//!
//! The second versions of the first two are not among the messages that are made from
//! Kafka's definitions: what they add to a request is cut out ([`wire`]) before the rest is
//! decoded as the first version, and answers are written by hand in any case, so that
//! batches are sent as they lie in memory.
//!
//! Reading order: here (requests to calls), [`answer`], [`places`].

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{ShareAcknowledgeRequest, ShareFetchRequest};
use kafka_protocol::protocol::Decodable;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};
use bongsu_engine::share::call::{Fate, Fetch, Member, PartKey, PartSettles, Settle};
use bongsu_engine::share::{Answer, Refused, Request};
use bongsu_record::{Lsn, Offset};

use super::{Head, Malformed, Session};
use crate::honest;

mod answer;
pub(crate) mod places;
mod wire;

/// One batch of acknowledgements: first, last (included), and one type for all or each.
type Acknowledged<'a> = (i64, i64, &'a [i8]);

pub(crate) fn fetch(
    session: &mut Session,
    head: Head,
    body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    honest::request(head.key as i16, head.version, &body).map_err(|_| Malformed)?;
    let (mut body, added) = match head.version {
        2.. => wire::fetch(&body)?,
        _ => (body, wire::Added::default()),
    };
    let request = ShareFetchRequest::decode(&mut body, 1).map_err(|_| Malformed)?;
    let bytes = |count: i32| u64::try_from(count).unwrap_or(0);
    let mut parts = Vec::new();
    let mut settles = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = part_key(topic.topic_id.as_u128(), partition.partition_index);
            let batches = &partition.acknowledgement_batches;
            if !batches.is_empty() {
                let batches = batches.iter().map(|batch| {
                    let types = batch.acknowledge_types.as_slice();
                    (batch.first_offset, batch.last_offset, types)
                });
                settles.push(PartSettles {
                    key: key.clone(),
                    settles: fates(batches, added.renews),
                });
            }
            parts.push(key);
        }
    }
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let id = topic.topic_id.as_u128();
        topic
            .partitions
            .iter()
            .map(move |index| part_key(id, *index))
    });
    let forgotten = forgotten.collect();
    let has_limits = request.max_wait_ms != 0
        || request.min_bytes != 0
        || request.max_bytes != 0
        || request.max_records != 0;
    let member = member(
        request.group_id.as_ref().map(|group| group.0.as_str()),
        request.member_id.as_deref(),
    );
    let member = match member {
        // Whoever renews acquires nothing.
        Ok(_) if added.renews && has_limits => Err(Refused::Malformed),
        member => member,
    };
    let member = match member {
        Ok(member) => member,
        Err(refused) => {
            let answer = Answer::Refused(refused);
            return respond(session, &head, &answer, effects);
        }
    };
    // Whoever ends a session says for which partitions it settles, and wants nothing of them.
    let parts = if request.share_session_epoch < 0 {
        Vec::new()
    } else {
        parts
    };
    let call = Request::Fetch(Fetch {
        member,
        epoch: request.share_session_epoch,
        wait_ms: u32::try_from(request.max_wait_ms).unwrap_or(0),
        bytes_max: bytes(request.max_bytes),
        count_max: bytes(request.max_records),
        whole_batches: !added.counts_records,
        renews: added.renews,
        parts,
        forgotten,
        settles,
    });
    ask(session, head, call, effects);
    Ok(())
}

pub(crate) fn acknowledge(
    session: &mut Session,
    head: Head,
    body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    honest::request(head.key as i16, head.version, &body).map_err(|_| Malformed)?;
    let (mut body, added) = match head.version {
        2.. => wire::acknowledge(&body)?,
        _ => (body, wire::Added::default()),
    };
    let request = ShareAcknowledgeRequest::decode(&mut body, 1).map_err(|_| Malformed)?;
    let mut settles = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter().map(|batch| {
                let types = batch.acknowledge_types.as_slice();
                (batch.first_offset, batch.last_offset, types)
            });
            settles.push(PartSettles {
                key: part_key(topic.topic_id.as_u128(), partition.partition_index),
                settles: fates(batches, added.renews),
            });
        }
    }
    match member(
        request.group_id.as_ref().map(|group| group.0.as_str()),
        request.member_id.as_deref(),
    ) {
        Ok(member) => {
            let call = Request::Settle(Settle {
                member,
                epoch: request.share_session_epoch,
                renews: added.renews,
                settles,
            });
            ask(session, head, call, effects);
            Ok(())
        }
        Err(refused) => respond(session, &head, &Answer::Refused(refused), effects),
    }
}

/// Calls the broker; the answer waits until what it says is durable.
fn ask(session: &mut Session, head: Head, request: Request, effects: &mut Effects) {
    let call = Call::Share(Box::new(request));
    session.call(effects, call, move |session, reply, _, effects| {
        let Reply::Share { wait, answer } = reply else {
            effects.close = Some(Close::Now);
            return;
        };
        when_durable(session, wait, effects, move |session, effects| {
            if respond(session, &head, &answer, effects).is_err() {
                effects.close = Some(Close::Now);
            }
        });
    });
}

pub(super) fn when_durable(
    session: &mut Session,
    wait: Option<Lsn>,
    effects: &mut Effects,
    then: impl FnOnce(&mut Session, &mut Effects) + Send + 'static,
) {
    match wait {
        None => then(session, effects),
        Some(lsn) => {
            let call = Call::AwaitDurable(lsn);
            session.call(effects, call, move |session, _, _, effects| {
                then(session, effects);
            });
        }
    }
}

fn respond(
    session: &mut Session,
    head: &Head,
    answer: &Answer,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let (out, attached) = answer::encode(head, answer)?;
    session.respond_encoded(out, attached, effects);
    Ok(())
}

fn member(group: Option<&str>, member: Option<&str>) -> Result<Member, Refused> {
    let group = group.filter(|group| !group.is_empty());
    let member = member.filter(|member| !member.is_empty());
    Ok(Member {
        group: Arc::from(group.ok_or(Refused::Group)?),
        member: Arc::from(member.ok_or(Refused::Malformed)?),
    })
}

fn part_key(topic: u128, partition: i32) -> PartKey {
    PartKey {
        topic: TopicRef::Id(TopicId(topic)),
        partition,
    }
}

/// What became of which records. As with Kafka: batches ascend, and say one type for all of
/// their records or one for each.
fn fates<'a>(
    batches: impl Iterator<Item = Acknowledged<'a>>,
    renews: bool,
) -> Result<Vec<(Range<Offset>, Fate)>, Refused> {
    let mut fates: Vec<(Range<Offset>, Fate)> = Vec::new();
    let mut next = 0;
    for (first, last, types) in batches {
        let count = last
            .checked_sub(first)
            .and_then(|count| count.checked_add(1));
        let count = count.and_then(|count| u64::try_from(count).ok());
        let (Some(count), Ok(start)) = (count.filter(|c| *c > 0), u64::try_from(first)) else {
            return Err(Refused::Malformed);
        };
        if start < next || (types.len() != 1 && types.len() as u64 != count) {
            return Err(Refused::Malformed);
        }
        next = start + count;
        if let [only] = types {
            fates.push((Offset(start)..Offset(next), fate(*only, renews)?));
            continue;
        }
        for (offset, kind) in (start..).zip(types) {
            let fate = fate(*kind, renews)?;
            match fates.last_mut() {
                Some((run, known)) if run.end == Offset(offset) && *known == fate => {
                    run.end = Offset(offset + 1);
                }
                _ => fates.push((Offset(offset)..Offset(offset + 1), fate)),
            }
        }
    }
    Ok(fates)
}

fn fate(kind: i8, renews: bool) -> Result<Fate, Refused> {
    match kind {
        0 => Ok(Fate::Gap),
        1 => Ok(Fate::Accepted),
        2 => Ok(Fate::Released),
        3 => Ok(Fate::Rejected),
        4 if renews => Ok(Fate::Renewed),
        _ => Err(Refused::Malformed),
    }
}
