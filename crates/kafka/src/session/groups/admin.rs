//! ListGroups, DescribeGroups, DeleteGroups.

use bytes::Bytes;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::group::classic::Described;
use bongsu_engine::group::{Answer, Call as GroupCall, GroupError, GroupKind, Listed, Request};
use bongsu_engine::session::{Close, Effects, Now};

use super::text;
use crate::errors::{NONE, of_group};
use crate::session::{Head, Malformed, Session, decoded};

/// Of ListGroups: from this version on, states are told.
const STATES_FROM: i16 = 4;
/// Of ListGroups: from this version on, kinds are told.
const KINDS_FROM: i16 = 5;
/// Of DescribeGroups: from this version on, a group that is not there is an error.
const NOT_FOUND_FROM: i16 = 6;
/// What is told of who may do what, where nobody asks.
pub(crate) const NOT_ASKED: i32 = i32::MIN;
/// Read, delete, describe, describe and alter configurations: all that can be allowed of a
/// group, as bits by their numbers.
pub(crate) const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(crate) fn list(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ListGroupsRequest = decoded(&head, &mut body)?;
    session.ask_groups(GroupCall::List, effects, move |session, answer, effects| {
        let Answer::Listed(listed) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let is_among = |filter: &[StrBytes], what: &str| {
            let mut filter = filter.iter();
            filter.len() == 0 || filter.any(|wanted| wanted.eq_ignore_ascii_case(what))
        };
        let wanted = listed.iter().filter(|of| {
            is_among(&request.states_filter, of.state)
                && is_among(&request.types_filter, kind(of.kind))
        });
        let groups = wanted.map(|of| listed_group(&head, of));
        let response = ListGroupsResponse::default().with_groups(groups.collect());
        session.respond(&head, &response, effects);
    });
    Ok(())
}

fn listed_group(head: &Head, of: &Listed) -> ListedGroup {
    let mut listed = ListedGroup::default()
        .with_group_id(GroupId(text(&of.group)))
        .with_protocol_type(text(&of.protocol_type));
    if head.version >= STATES_FROM {
        listed = listed.with_group_state(text(of.state));
    }
    if head.version >= KINDS_FROM {
        listed = listed.with_group_type(text(kind(of.kind)));
    }
    listed
}

fn kind(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Classic => "classic",
        GroupKind::Consumer => "consumer",
        GroupKind::Share => "share",
    }
}

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeGroupsRequest = decoded(&head, &mut body)?;
    let operations = match request.include_authorized_operations {
        true => ALL_OPERATIONS,
        false => NOT_ASKED,
    };
    let requests = request.groups.iter();
    let requests = requests.map(|group| (group.to_string(), Request::Describe));
    let then = {
        let head = head.clone();
        move |session: &mut Session, answers: Vec<(String, Answer)>, effects: &mut Effects| {
            let groups = answers.into_iter().map(|(group, answer)| {
                let described = match answer {
                    Answer::Described(Ok(described)) => {
                        described_group(&described).with_authorized_operations(operations)
                    }
                    Answer::Described(Err(refused)) => undescribed(&head, &group, &refused),
                    _ => return None,
                };
                Some(described.with_group_id(GroupId(text(&group))))
            });
            let Some(groups) = groups.collect() else {
                effects.close = Some(Close::Now);
                return;
            };
            let response = DescribeGroupsResponse::default().with_groups(groups);
            session.respond(&head, &response, effects);
        }
    };
    session.ask_each(&head, requests.collect(), effects, then);
    Ok(())
}

fn described_group(described: &Described) -> DescribedGroup {
    let members = described.members.iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(&member.member))
            .with_group_instance_id(member.instance.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            // As Java writes addresses.
            .with_client_host(text(&format!("/{}", member.client_host)))
            .with_member_metadata(Bytes::copy_from_slice(&member.metadata))
            .with_member_assignment(Bytes::copy_from_slice(&member.assignment))
    });
    DescribedGroup::default()
        .with_group_state(text(described.state))
        .with_protocol_type(text(&described.protocol_type))
        .with_protocol_data(text(&described.protocol))
        .with_members(members.collect())
}

fn undescribed(head: &Head, group: &str, refused: &GroupError) -> DescribedGroup {
    let described = DescribedGroup::default().with_authorized_operations(NOT_ASKED);
    match refused {
        GroupError::NotFound if head.version < NOT_FOUND_FROM => {
            described.with_group_state(text("Dead"))
        }
        GroupError::NotFound => described
            .with_group_state(text("Dead"))
            .with_error_code(of_group(refused))
            .with_error_message(Some(text(&format!("Group {group} not found.")))),
        other => described.with_error_code(of_group(other)),
    }
}

pub(crate) fn delete(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DeleteGroupsRequest = decoded(&head, &mut body)?;
    let requests = request.groups_names.iter();
    let requests = requests.map(|group| (group.to_string(), Request::Delete));
    let then = {
        let head = head.clone();
        move |session: &mut Session, answers: Vec<(String, Answer)>, effects: &mut Effects| {
            let results = answers.into_iter().map(|(group, answer)| match answer {
                Answer::Deleted(result) => {
                    let code = result.err().as_ref().map_or(NONE, of_group);
                    let result = DeletableGroupResult::default().with_error_code(code);
                    Some(result.with_group_id(GroupId(text(&group))))
                }
                _ => None,
            });
            let Some(results) = results.collect() else {
                effects.close = Some(Close::Now);
                return;
            };
            let response = DeleteGroupsResponse::default().with_results(results);
            session.respond(&head, &response, effects);
        }
    };
    session.ask_each(&head, requests.collect(), effects, then);
    Ok(())
}
