//! Who asks: HTTP Basic, with the users of every protocol.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_broker::Broker;
use bongsu_broker::operator::Operator;

use crate::failure::Failure;
use crate::route::Need;

/// Lets in who may.
///
/// # Errors
/// 401: no or wrong credentials, or a user without the tag.
pub async fn let_in(
    broker: &Broker,
    headers: &HeaderMap,
    peer: IpAddr,
    need: Need,
) -> Result<Option<Operator>, Failure> {
    if need == Need::Nobody {
        return Ok(None);
    }
    let (user, password) = basic(headers).ok_or_else(|| Failure::not_authorised("Login failed"))?;
    let operator = broker.operator(&user, &password, peer).await?;
    if !may(&operator, need) {
        return Err(Failure::not_authorised("Not management user"));
    }
    Ok(Some(operator))
}

/// Whether the tags of who asks are enough.
fn may(operator: &Operator, need: Need) -> bool {
    let user = operator.user();
    let tagged = |tag: &str| user.tags.contains(tag);
    if user.administrator || tagged("administrator") {
        return true;
    }
    match need {
        Need::Nobody => true,
        Need::Management => tagged("management") || tagged("policymaker") || tagged("monitoring"),
        Need::Policymaker => tagged("policymaker"),
        Need::Monitoring => tagged("monitoring"),
        Need::Administrator => false,
    }
}

/// `Authorization: Basic …` (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
