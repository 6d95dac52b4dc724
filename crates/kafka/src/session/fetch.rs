//! Fetch: batches pass from the log to the socket without a copy.
//!
//! Reading order: here (a request, its session, the call), [`sessions`] (which partitions a
//! client reads, so that it need not say them each time), [`answer`] (the answer, written
//! around the batches' own bytes).

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::session::records::{FetchPart, FetchRequest as Wanted, FetchedPart, TopicRef};
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};

use super::{Head, Malformed, Session, decoded};
use crate::errors::{
    Code, FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, NONE, UNKNOWN_LEADER_EPOCH,
};

pub(crate) mod answer;
pub(crate) mod sessions;

pub(crate) use sessions::Sessions;
use sessions::{Part, PartKey, Seen};

/// From this version on, topics are given by number.
pub(super) const IDS_FROM: i16 = 13;

/// What is answered, and to which session it belongs.
struct Plan {
    session_id: i32,
    parts: Vec<Part>,
    /// Leave out what has not changed since it was told last.
    changes_only: bool,
}

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: FetchRequest = decoded(&head, &mut body)?;
    let plan = match plan(session, &request, head.version) {
        Ok(plan) => plan,
        Err(code) => {
            refuse(session, &head, code, effects);
            return Ok(());
        }
    };
    let mut wanted = Vec::with_capacity(plan.parts.len());
    for part in &plan.parts {
        wanted.push(FetchPart {
            topic: part.key.topic.clone(),
            partition: part.key.partition,
            offset: part.offset,
            bytes_max: u64::try_from(part.bytes_max).unwrap_or(0),
        });
    }
    let call = Call::Fetch(Box::new(Wanted {
        parts: wanted,
        wait_ms: u32::try_from(request.max_wait_ms).unwrap_or(0),
        bytes_min: u64::try_from(request.min_bytes).unwrap_or(0),
        bytes_max: u64::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(ANSWER_BYTES_MAX),
        committed: request.isolation_level == 1,
        answer_refused: true,
        client: session.client_name(&head),
    }));
    session.call(
        effects,
        call,
        move |session, reply, _, effects| match reply {
            Reply::Fetched(fetched) => answer_fetched(session, &head, plan, fetched, effects),
            Reply::Throttled(throttle_ms) => {
                let answer = answer::Answer {
                    code: NONE,
                    session_id: plan.session_id,
                    throttle_ms,
                    parts: &[],
                };
                send(session, &head, &answer, effects);
            }
            _ => effects.close = Some(Close::Now),
        },
    );
    Ok(())
}

/// Which partitions the request means, and what becomes of its session (KIP-227).
fn plan(session: &mut Session, request: &FetchRequest, version: i16) -> Result<Plan, Code> {
    let by_id = version >= IDS_FROM;
    let asked = asked(request, by_id);
    let (id, epoch) = (request.session_id, request.session_epoch);
    let sessions = &mut session.fetches;
    if version < 7 || epoch == FINAL {
        sessions.close(id);
        return Ok(Plan {
            session_id: 0,
            parts: asked,
            changes_only: false,
        });
    }
    if epoch == INITIAL {
        sessions.close(id);
        let session_id = match asked.is_empty() {
            true => 0,
            false => sessions.open(asked.clone()),
        };
        return Ok(Plan {
            session_id,
            parts: asked,
            changes_only: false,
        });
    }
    let known = sessions.find(id).ok_or(FETCH_SESSION_ID_NOT_FOUND)?;
    if known.epoch != epoch {
        return Err(INVALID_FETCH_SESSION_EPOCH);
    }
    known.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let topic_ref = topic_ref(by_id, topic.topic_id.as_u128(), &topic.topic);
        forgotten.extend(topic.partitions.iter().map(|partition| PartKey {
            topic: topic_ref.clone(),
            partition: *partition,
        }));
    }
    known.update(asked, &forgotten);
    Ok(Plan {
        session_id: id,
        parts: known.parts(),
        changes_only: true,
    })
}

fn asked(request: &FetchRequest, by_id: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    for topic in &request.topics {
        let topic_ref = topic_ref(by_id, topic.topic_id.as_u128(), &topic.topic);
        parts.extend(topic.partitions.iter().map(|partition| Part {
            key: PartKey {
                topic: topic_ref.clone(),
                partition: partition.partition,
            },
            offset: partition.fetch_offset,
            bytes_max: partition.partition_max_bytes,
            leader_epoch: partition.current_leader_epoch,
            seen: None,
        }));
    }
    parts
}

fn topic_ref(by_id: bool, id: u128, name: &str) -> TopicRef {
    match by_id {
        true => TopicRef::Id(TopicId(id)),
        false => TopicRef::Name(Arc::from(name)),
    }
}

fn answer_fetched(
    session: &mut Session,
    head: &Head,
    plan: Plan,
    fetched: Vec<FetchedPart>,
    effects: &mut Effects,
) {
    let mut told = Vec::with_capacity(plan.parts.len());
    let mut known = session.fetches.find(plan.session_id);
    let mut served = Vec::new();
    for (part, found) in plan.parts.iter().zip(fetched) {
        // There is one epoch, of one leader.
        let code = match part.leader_epoch > 0 {
            true => UNKNOWN_LEADER_EPOCH,
            false => answer::code_of(&found, head.version),
        };
        let seen = Seen {
            code,
            start: found.start,
            durable_end: found.durable_end,
            stable: found.stable,
        };
        let has_records = code == NONE && !found.batches.is_empty();
        let news = has_records || code != NONE || Some(seen) != part.seen;
        if let Some(known) = &mut known {
            known.told(&part.key, seen);
            if has_records {
                served.push(part.key.clone());
            }
        }
        if news || !plan.changes_only {
            told.push((part.key.clone(), code, found));
        }
    }
    if let Some(known) = known {
        known.served(served);
    }
    let answer = answer::Answer {
        code: NONE,
        session_id: plan.session_id,
        throttle_ms: 0,
        parts: &told,
    };
    send(session, head, &answer, effects);
}

fn refuse(session: &mut Session, head: &Head, code: Code, effects: &mut Effects) {
    let answer = answer::Answer {
        code,
        session_id: 0,
        throttle_ms: 0,
        parts: &[],
    };
    send(session, head, &answer, effects);
}

fn send(session: &mut Session, head: &Head, answer: &answer::Answer<'_>, effects: &mut Effects) {
    match answer.encode(head) {
        Ok((out, attached)) => session.respond_encoded(out, attached, effects),
        Err(Malformed) => effects.close = Some(Close::Now),
    }
}

/// Epochs of a fetch session that mean something else.
const INITIAL: i32 = 0;
const FINAL: i32 = -1;
/// As Kafka's `fetch.max.bytes`: whatever a client asks for.
const ANSWER_BYTES_MAX: u64 = 55 << 20;
