//! Rules of who may do what (ACLs): told, made, removed.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl,
};
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::access::acl::{Acl, AclFilter, Pattern, PatternFilter};
use bongsu_engine::access::request::AclRefused;
use bongsu_engine::access::{Answer, Request};
use bongsu_engine::session::{Effects, Now};

use super::{ask, said, text};
use crate::errors::access::of_acl;
use crate::errors::{Code, INVALID_REQUEST, NONE};
use crate::session::{Head, Malformed, Session, decoded};

mod numbers;

use numbers::{Number, OPERATIONS, PATTERNS, RESOURCES, number, value};

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeAclsRequest = decoded(&head, &mut body)?;
    let filter = filter(Asked {
        resource: request.resource_type_filter,
        name: request.resource_name_filter,
        pattern: request.pattern_type_filter,
        principal: request.principal_filter,
        host: request.host_filter,
        operation: request.operation,
        permission: request.permission_type,
    });
    let Some(filter) = filter else {
        let response = DescribeAclsResponse::default()
            .with_error_code(INVALID_REQUEST)
            .with_error_message(said("a filter that cannot be"));
        session.respond(&head, &response, effects);
        return Ok(());
    };
    ask(
        session,
        effects,
        Request::ListAcls(filter),
        move |session, answer, effects| {
            let Answer::Acls(found) = answer else {
                return false;
            };
            let response = match found {
                Ok(acls) => DescribeAclsResponse::default().with_resources(by_resource(&acls)),
                Err(refused) => {
                    let (code, says) = of_acl(refused);
                    DescribeAclsResponse::default()
                        .with_error_code(code)
                        .with_error_message(said(says))
                }
            };
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

/// Rules about the same things are side by side.
fn by_resource(acls: &[Arc<Acl>]) -> Vec<DescribeAclsResource> {
    let same = |one: &Arc<Acl>, other: &Arc<Acl>| {
        (one.resource, one.pattern, &one.name) == (other.resource, other.pattern, &other.name)
    };
    let resources = acls.chunk_by(same).map(|acls| {
        let told = acls.iter().map(|acl| {
            AclDescription::default()
                .with_principal(text(&acl.principal))
                .with_host(text(&acl.host))
                .with_operation(number(OPERATIONS, &acl.operation))
                .with_permission_type(permission_number(acl))
        });
        DescribeAclsResource::default()
            .with_resource_type(number(RESOURCES, &acls[0].resource))
            .with_resource_name(text(&acls[0].name))
            .with_pattern_type(number(PATTERNS, &acls[0].pattern))
            .with_acls(told.collect())
    });
    resources.collect()
}

pub(crate) fn create(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: CreateAclsRequest = decoded(&head, &mut body)?;
    let mut acls = Vec::new();
    let mut understood = Vec::new();
    for creation in &request.creations {
        let acl = (|| {
            Some(Acl {
                resource: value(RESOURCES, creation.resource_type)?,
                pattern: value(PATTERNS, creation.resource_pattern_type)?,
                name: Arc::from(creation.resource_name.as_str()),
                principal: Arc::from(creation.principal.as_str()),
                host: Arc::from(creation.host.as_str()),
                operation: value(OPERATIONS, creation.operation)?,
                allowed: permission(creation.permission_type)?,
            })
        })();
        understood.push(acl.is_some());
        acls.extend(acl);
    }
    ask(
        session,
        effects,
        Request::AddAcls(acls),
        move |session, answer, effects| {
            let Answer::AclsAdded(added) = answer else {
                return false;
            };
            let mut added = added.into_iter();
            let results = understood.into_iter().map(|understood| {
                let result = match understood {
                    true => added.next().unwrap_or(Err(AclRefused::Malformed)),
                    false => Err(AclRefused::Malformed),
                };
                let (code, says) = told(result);
                AclCreationResult::default()
                    .with_error_code(code)
                    .with_error_message(says)
            });
            let response = CreateAclsResponse::default().with_results(results.collect());
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

pub(crate) fn delete(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DeleteAclsRequest = decoded(&head, &mut body)?;
    let mut filters = Vec::new();
    let mut understood = Vec::new();
    for asked in request.filters {
        let filter = filter(Asked {
            resource: asked.resource_type_filter,
            name: asked.resource_name_filter,
            pattern: asked.pattern_type_filter,
            principal: asked.principal_filter,
            host: asked.host_filter,
            operation: asked.operation,
            permission: asked.permission_type,
        });
        understood.push(filter.is_some());
        filters.extend(filter);
    }
    ask(
        session,
        effects,
        Request::RemoveAcls(filters),
        move |session, answer, effects| {
            let Answer::AclsRemoved(removed) = answer else {
                return false;
            };
            let mut removed = removed.into_iter();
            let results = understood.into_iter().map(|understood| {
                let result = match understood {
                    true => removed.next().unwrap_or(Err(AclRefused::Malformed)),
                    false => Err(AclRefused::Malformed),
                };
                let (code, says) = told(result.as_ref().map(|_| ()).map_err(|refused| *refused));
                let matching = result.into_iter().flatten().map(|acl| {
                    DeleteAclsMatchingAcl::default()
                        .with_resource_type(number(RESOURCES, &acl.resource))
                        .with_resource_name(text(&acl.name))
                        .with_pattern_type(number(PATTERNS, &acl.pattern))
                        .with_principal(text(&acl.principal))
                        .with_host(text(&acl.host))
                        .with_operation(number(OPERATIONS, &acl.operation))
                        .with_permission_type(permission_number(&acl))
                });
                DeleteAclsFilterResult::default()
                    .with_error_code(code)
                    .with_error_message(says)
                    .with_matching_acls(matching.collect())
            });
            let response = DeleteAclsResponse::default().with_filter_results(results.collect());
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

/// A filter as it is in a request.
struct Asked {
    resource: Number,
    name: Option<StrBytes>,
    pattern: Number,
    principal: Option<StrBytes>,
    host: Option<StrBytes>,
    operation: Number,
    permission: Number,
}

fn filter(asked: Asked) -> Option<AclFilter> {
    let any = |number| number == ANY;
    Some(AclFilter {
        resource: match asked.resource {
            number if any(number) => None,
            number => Some(value(RESOURCES, number)?),
        },
        pattern: match asked.pattern {
            number if any(number) => PatternFilter::Any,
            MATCH => PatternFilter::Match,
            number => PatternFilter::Only(value::<Pattern>(PATTERNS, number)?),
        },
        name: asked.name.map(|name| name.to_string()),
        principal: asked.principal.map(|principal| principal.to_string()),
        host: asked.host.map(|host| host.to_string()),
        operation: match asked.operation {
            number if any(number) => None,
            number => Some(value(OPERATIONS, number)?),
        },
        allowed: match asked.permission {
            number if any(number) => None,
            number => Some(permission(number)?),
        },
    })
}

fn permission(number: Number) -> Option<bool> {
    match number {
        DENY => Some(false),
        ALLOW => Some(true),
        _ => None,
    }
}

fn permission_number(acl: &Acl) -> Number {
    match acl.allowed {
        true => ALLOW,
        false => DENY,
    }
}

fn told(result: Result<(), AclRefused>) -> (Code, Option<StrBytes>) {
    match result {
        Ok(()) => (NONE, None),
        Err(refused) => {
            let (code, says) = of_acl(refused);
            (code, said(says))
        }
    }
}

const ANY: Number = 1;
const MATCH: Number = 2;
const DENY: Number = 2;
const ALLOW: Number = 3;
