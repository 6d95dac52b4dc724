//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::group::classic::{Join, Joined, Leave, Leaving, Left, Protocol, Sync};
use bongsu_engine::group::{Answer, GroupError, Request};
use bongsu_engine::session::{Close, Effects, Now};

use super::{owned, text};
use crate::errors::{INCONSISTENT_GROUP_PROTOCOL, NONE, of_group};
use crate::session::{Head, Malformed, Session, decoded};

/// Of JoinGroup: from this version on, members come again with the id that they are given.
const ID_REQUIRED_FROM: i16 = 4;
/// Of JoinGroup: from this version on, there may be no protocol in the answer.
const NO_PROTOCOL_FROM: i16 = 7;
/// Of JoinGroup: from this version on, a leader may be told not to share out.
const MAY_SKIP_FROM: i16 = 9;
/// Of SyncGroup: from this version on, members say what they believe is shared out.
const SAYS_PROTOCOL_FROM: i16 = 5;
/// Of LeaveGroup: from this version on, several leave at once.
const SEVERAL_LEAVE_FROM: i16 = 3;
/// What members of a consumer group call what they share out.
const CONSUMER: &str = "consumer";

pub(crate) fn join(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: JoinGroupRequest = decoded(&head, &mut body)?;
    let shares_topics = &*request.protocol_type == CONSUMER;
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: Arc::from(&*protocol.name),
        metadata: Arc::from(&*protocol.metadata),
        topics: match shares_topics {
            true => subscribed(&protocol.metadata),
            false => None,
        },
    });
    let join = Join {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id.as_ref()),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        session_timeout_ms: request.session_timeout_ms,
        // The first version knows one timeout for both.
        rebalance_timeout_ms: match head.version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        id_required: head.version >= ID_REQUIRED_FROM,
        may_skip: head.version >= MAY_SKIP_FROM,
    };
    let member = request.member_id.clone();
    let group = request.group_id.clone();
    let asking = head.clone();
    let then = move |session: &mut Session, answer, effects: &mut Effects| {
        let Answer::Joined(result) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let response = match result {
            Ok(joined) => joined_response(&joined),
            Err(refused) => {
                let code = of_group(&refused);
                let member = match refused {
                    GroupError::MemberIdRequired { member } => text(&member),
                    _ => member,
                };
                let response = JoinGroupResponse::default()
                    .with_error_code(code)
                    .with_generation_id(-1)
                    .with_member_id(member);
                match head.version >= NO_PROTOCOL_FROM {
                    true => response.with_protocol_name(None),
                    false => response.with_protocol_name(Some(StrBytes::default())),
                }
            }
        };
        session.respond(&head, &response, effects);
    };
    session.ask_group(&asking, &group, Request::Join(join), effects, then);
    Ok(())
}

fn joined_response(joined: &Joined) -> JoinGroupResponse {
    let members = joined.members.iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.member))
            .with_group_instance_id(member.instance.as_deref().map(text))
            .with_metadata(Bytes::copy_from_slice(&member.metadata))
    });
    JoinGroupResponse::default()
        .with_error_code(NONE)
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(text(&joined.protocol_type)))
        .with_protocol_name(Some(text(&joined.protocol)))
        .with_leader(text(&joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(&joined.member))
        .with_members(members.collect())
}

pub(crate) fn sync(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: SyncGroupRequest = decoded(&head, &mut body)?;
    let says = request.protocol_type.is_some() && request.protocol_name.is_some();
    if head.version >= SAYS_PROTOCOL_FROM && !says {
        let response = SyncGroupResponse::default().with_error_code(INCONSISTENT_GROUP_PROTOCOL);
        session.respond(&head, &response, effects);
        return Ok(());
    }
    let assignments = request.assignments.iter();
    let sync = Sync {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id,
        protocol_type: owned(request.protocol_type.as_ref()),
        protocol: owned(request.protocol_name.as_ref()),
        assignments: assignments
            .map(|of| (of.member_id.to_string(), Arc::from(&*of.assignment)))
            .collect(),
    };
    let then = {
        let head = head.clone();
        move |session: &mut Session, answer, effects: &mut Effects| {
            let Answer::Synced(result) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let response = match result {
                Ok(synced) => SyncGroupResponse::default()
                    .with_error_code(NONE)
                    .with_protocol_type(Some(text(&synced.protocol_type)))
                    .with_protocol_name(Some(text(&synced.protocol)))
                    .with_assignment(Bytes::copy_from_slice(&synced.assignment)),
                Err(refused) => SyncGroupResponse::default().with_error_code(of_group(&refused)),
            };
            session.respond(&head, &response, effects);
        }
    };
    session.ask_group(&head, &request.group_id, Request::Sync(sync), effects, then);
    Ok(())
}

pub(crate) fn heartbeat(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: HeartbeatRequest = decoded(&head, &mut body)?;
    let heartbeat = Request::Heartbeat {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id,
    };
    let then = {
        let head = head.clone();
        move |session: &mut Session, answer, effects: &mut Effects| {
            let Answer::Alive(result) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let code = result.err().as_ref().map_or(NONE, of_group);
            let response = HeartbeatResponse::default().with_error_code(code);
            session.respond(&head, &response, effects);
        }
    };
    session.ask_group(&head, &request.group_id, heartbeat, effects, then);
    Ok(())
}

pub(crate) fn leave(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: LeaveGroupRequest = decoded(&head, &mut body)?;
    let members: Vec<Leaving> = if head.version >= SEVERAL_LEAVE_FROM {
        let members = request.members.iter().map(|who| Leaving {
            member: who.member_id.to_string(),
            instance: owned(who.group_instance_id.as_ref()),
        });
        members.collect()
    } else {
        vec![Leaving {
            member: request.member_id.to_string(),
            instance: None,
        }]
    };
    let leave = Leave {
        members: members.clone(),
    };
    let then = {
        let head = head.clone();
        move |session: &mut Session, answer, effects: &mut Effects| {
            let Answer::Left(result) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let response = left_response(&head, result, members);
            session.respond(&head, &response, effects);
        }
    };
    session.ask_group(
        &head,
        &request.group_id,
        Request::Leave(leave),
        effects,
        then,
    );
    Ok(())
}

fn left_response(
    head: &Head,
    result: Result<Vec<Left>, GroupError>,
    members: Vec<Leaving>,
) -> LeaveGroupResponse {
    let left = match result {
        Ok(left) => left,
        // There is no such group: nobody of those who were named is a member.
        Err(GroupError::UnknownMember) => {
            let left = members.into_iter().map(|who| Left {
                who,
                result: Err(GroupError::UnknownMember),
            });
            left.collect()
        }
        Err(refused) => return LeaveGroupResponse::default().with_error_code(of_group(&refused)),
    };
    let code = |left: &Left| left.result.as_ref().err().map_or(NONE, of_group);
    if head.version < SEVERAL_LEAVE_FROM {
        let code = left.first().map_or(NONE, code);
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let members = left.iter().map(|left| {
        MemberResponse::default()
            .with_member_id(text(&left.who.member))
            .with_group_instance_id(left.who.instance.as_deref().map(text))
            .with_error_code(code(left))
    });
    LeaveGroupResponse::default()
        .with_error_code(NONE)
        .with_members(members.collect())
}

/// The topics that a consumer says it reads: of every version of its metadata the same
/// beginning, `i16 version, i32 count, each: i16 length, name`. `None`: it is something else.
fn subscribed(metadata: &[u8]) -> Option<Arc<[String]>> {
    let (_, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.push(std::str::from_utf8(name).ok()?.to_owned());
        rest = after;
    }
    Some(Arc::from(topics))
}
