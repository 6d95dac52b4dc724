//! Client quotas: what kafka-configs sets for users and clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::EntryData as Asked;
use kafka_protocol::messages::alter_client_quotas_response as altered;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response as described;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::access::quota::{Entity, Part, QuotaChange, QuotaKey};
use bongsu_engine::access::{Answer, Request};
use bongsu_engine::session::{Effects, Now};

use super::super::{Head, Malformed, Session, decoded};
use super::{ask, text};
use crate::errors::access::of_quota;
use crate::errors::{Code, INVALID_REQUEST, NONE, UNSUPPORTED_VERSION};

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeClientQuotasRequest = decoded(&head, &mut body)?;
    let filter = match Filter::of(&request.components, request.strict) {
        Ok(filter) => filter,
        Err((code, says)) => {
            let response = DescribeClientQuotasResponse::default()
                .with_error_code(code)
                .with_error_message(Some(StrBytes::from_string(says)))
                .with_entries(None);
            session.respond(&head, &response, effects);
            return Ok(());
        }
    };
    ask(
        session,
        effects,
        Request::DescribeQuotas,
        move |session, answer, effects| {
            let Answer::Quotas(quotas) = answer else {
                return false;
            };
            let response = match quotas {
                Ok(quotas) => {
                    let quotas = quotas.iter().filter(|(entity, _)| filter.means(entity));
                    let entries = quotas.map(|(entity, quotas)| {
                        let values = quotas.iter().map(|(key, value)| {
                            described::ValueData::default()
                                .with_key(StrBytes::from_static_str(name_of(*key)))
                                .with_value(*value as f64)
                        });
                        let entity = sides(entity).map(|(kind, part)| {
                            described::EntityData::default()
                                .with_entity_type(StrBytes::from_static_str(kind))
                                .with_entity_name(name_of_part(part))
                        });
                        described::EntryData::default()
                            .with_entity(entity.collect())
                            .with_values(values.collect())
                    });
                    DescribeClientQuotasResponse::default().with_entries(Some(entries.collect()))
                }
                Err(refused) => {
                    let (code, says) = of_quota(refused);
                    DescribeClientQuotasResponse::default()
                        .with_error_code(code)
                        .with_error_message(Some(StrBytes::from_static_str(says)))
                        .with_entries(None)
                }
            };
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

pub(crate) fn alter(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: AlterClientQuotasRequest = decoded(&head, &mut body)?;
    let changes: Vec<Result<QuotaChange, (Code, String)>> =
        request.entries.iter().map(change_of).collect();
    let sound = changes.iter().filter_map(|change| change.as_ref().ok());
    let asked = match request.validate_only {
        true => Vec::new(),
        false => sound.cloned().collect(),
    };
    ask(
        session,
        effects,
        Request::AlterQuotas(asked),
        move |session, answer, effects| {
            let Answer::QuotasAltered(results) = answer else {
                return false;
            };
            let mut results = results.into_iter();
            let entries = request.entries.iter().zip(changes).map(|(entry, change)| {
                let entity = entry.entity.iter().map(|side| {
                    altered::EntityData::default()
                        .with_entity_type(side.entity_type.clone())
                        .with_entity_name(side.entity_name.clone())
                });
                let (code, says) = match change {
                    Err((code, says)) => (code, Some(StrBytes::from_string(says))),
                    Ok(_) => match results.next() {
                        None | Some(Ok(())) => (NONE, None),
                        Some(Err(refused)) => {
                            let (code, says) = of_quota(refused);
                            (code, Some(StrBytes::from_static_str(says)))
                        }
                    },
                };
                altered::EntryData::default()
                    .with_error_code(code)
                    .with_error_message(says)
                    .with_entity(entity.collect())
            });
            let response = AlterClientQuotasResponse::default().with_entries(entries.collect());
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

fn change_of(entry: &Asked) -> Result<QuotaChange, (Code, String)> {
    let invalid = |says: String| (INVALID_REQUEST, says);
    let mut entity = Entity::default();
    for side in &entry.entity {
        let part = match side.entity_name.as_deref() {
            None => Part::Default,
            Some("") => return Err(invalid(format!("Empty {} name", &*side.entity_type))),
            Some(name) => Part::Named(Arc::from(name)),
        };
        let place = match &*side.entity_type {
            USER => &mut entity.user,
            CLIENT => &mut entity.client,
            other => {
                return Err(invalid(format!(
                    "Unhandled client quota entity type: {other}"
                )));
            }
        };
        if place.replace(part).is_some() {
            let kind = &*side.entity_type;
            return Err(invalid(format!(
                "Duplicate client quota entity type: {kind}"
            )));
        }
    }
    if entity == Entity::default() {
        return Err(invalid("Invalid empty client quota entity".to_owned()));
    }
    // Of a key that comes twice, the last.
    let mut set = BTreeMap::new();
    for op in &entry.ops {
        let key = key_of(&op.key)
            .ok_or_else(|| invalid(format!("Invalid configuration key {}", &*op.key)))?;
        set.insert(
            key,
            match op.remove {
                true => None,
                false => Some(bytes_per_s(&op.key, op.value).map_err(invalid)?),
            },
        );
    }
    Ok(QuotaChange {
        entity,
        set: set.into_iter().collect(),
    })
}

fn bytes_per_s(key: &str, value: f64) -> Result<u64, String> {
    if value.is_nan() || value <= 0.0 {
        return Err(format!("Quota {key} must be greater than 0"));
    }
    if value > i64::MAX as f64 {
        return Err(format!("Proposed value for {key} is too large for a LONG."));
    }
    let whole = (value + FRACTION).floor();
    if (whole - value).abs() > FRACTION {
        return Err(format!("{key} cannot be a fractional value."));
    }
    Ok(whole as u64)
}

/// Which entities are asked for.
struct Filter {
    user: Wanted,
    client: Wanted,
}

enum Wanted {
    /// It may be there or not.
    Whatever,
    /// It must not be there.
    Nothing,
    /// It must be there.
    Any,
    /// It must be this.
    Only(Part),
}

impl Filter {
    fn of(components: &[ComponentData], strict: bool) -> Result<Filter, (Code, String)> {
        let unsaid = || match strict {
            true => Wanted::Nothing,
            false => Wanted::Whatever,
        };
        let (mut user, mut client, mut nowhere) = (None, None, false);
        for component in components {
            let name = component._match.as_deref();
            let wanted = match (component.match_type, name) {
                (0, Some(name)) => Wanted::Only(Part::Named(Arc::from(name))),
                (1, _) => Wanted::Only(Part::Default),
                (2, _) => Wanted::Any,
                (other, _) => {
                    let says = format!("Unexpected match type {other}");
                    return Err((INVALID_REQUEST, says));
                }
            };
            let place = match &*component.entity_type {
                USER => &mut user,
                CLIENT => &mut client,
                // Addresses have no quotas here, so nothing is found.
                IP => {
                    nowhere = true;
                    continue;
                }
                "" => {
                    let says = "Unexpected empty filter component entity type".to_owned();
                    return Err((INVALID_REQUEST, says));
                }
                other => {
                    let says = format!("Custom entity type '{other}' not supported");
                    return Err((UNSUPPORTED_VERSION, says));
                }
            };
            if place.replace(wanted).is_some() {
                let kind = &*component.entity_type;
                let says = format!("Duplicate filter component entity type: {kind}");
                return Err((INVALID_REQUEST, says));
            }
        }
        if nowhere && (user.is_some() || client.is_some()) {
            let says = "Invalid entity filter component combination, IP filter component \
                        should not be used with user or clientId filter component.";
            return Err((INVALID_REQUEST, says.to_owned()));
        }
        Ok(match nowhere {
            true => Filter {
                user: Wanted::Nothing,
                client: Wanted::Nothing,
            },
            false => Filter {
                user: user.unwrap_or_else(unsaid),
                client: client.unwrap_or_else(unsaid),
            },
        })
    }

    fn means(&self, entity: &Entity) -> bool {
        self.user.means(entity.user.as_ref()) && self.client.means(entity.client.as_ref())
    }
}

impl Wanted {
    fn means(&self, part: Option<&Part>) -> bool {
        match (self, part) {
            (Wanted::Whatever, _) | (Wanted::Nothing, None) | (Wanted::Any, Some(_)) => true,
            (Wanted::Only(wanted), Some(part)) => wanted == part,
            _ => false,
        }
    }
}

fn sides(entity: &Entity) -> impl Iterator<Item = (&'static str, &Part)> {
    let user = entity.user.iter().map(|part| (USER, part));
    user.chain(entity.client.iter().map(|part| (CLIENT, part)))
}

fn name_of_part(part: &Part) -> Option<StrBytes> {
    match part {
        Part::Named(name) => Some(text(name)),
        Part::Default => None,
    }
}

fn name_of(key: QuotaKey) -> &'static str {
    match key {
        QuotaKey::ProducerByteRate => "producer_byte_rate",
        QuotaKey::ConsumerByteRate => "consumer_byte_rate",
    }
}

/// Those that are kept; what threads and mutations may cost is not, and is refused.
fn key_of(name: &str) -> Option<QuotaKey> {
    let all = [QuotaKey::ProducerByteRate, QuotaKey::ConsumerByteRate];
    all.into_iter().find(|key| name_of(*key) == name)
}

const USER: &str = "user";
const CLIENT: &str = "client-id";
const IP: &str = "ip";
/// What is no fraction of a byte.
const FRACTION: f64 = 1e-6;
