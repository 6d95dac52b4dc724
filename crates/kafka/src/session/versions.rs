//! ApiVersions: the table, told to clients.

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::session::{Effects, Now};

use super::{Head, Malformed, Session, decoded};
use crate::api::{FEATURES, TABLE};
use crate::errors::{INVALID_REQUEST, NONE, UNSUPPORTED_VERSION};

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ApiVersionsRequest = decoded(&head, &mut body)?;
    let named = [
        &request.client_software_name,
        &request.client_software_version,
    ];
    let error = match head.version < 3 || named.iter().all(|name| is_software(name.as_str())) {
        true => NONE,
        false => INVALID_REQUEST,
    };
    let response = match error {
        NONE => response(NONE, head.version),
        error => ApiVersionsResponse::default().with_error_code(error),
    };
    if error == NONE && head.version >= 3 {
        let [name, version] = named;
        session.runs(name, version, effects);
    }
    session.respond(&head, &response, effects);
    Ok(())
}

/// A name or version of a client's software (KIP-511): letters, digits, and between them
/// also dashes and dots.
fn is_software(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_inner)
}

/// A version that is not known yet is answered in version 0, which every client reads, with
/// the versions of this one request (KIP-511).
pub(crate) fn refuse(
    session: &mut Session,
    frame: &Bytes,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let correlation = frame.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let head = Head {
        key: ApiKey::ApiVersions,
        version: 0,
        correlation_id: i32::from_be_bytes(correlation.ok_or(Malformed)?),
        client_id: None,
    };
    let mut response = response(UNSUPPORTED_VERSION, 0);
    response
        .api_keys
        .retain(|row| row.api_key == ApiKey::ApiVersions as i16);
    session.respond(&head, &response, effects);
    Ok(())
}

fn response(error: i16, version: i16) -> ApiVersionsResponse {
    let keys = TABLE.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.told_from)
            .with_max_version(api.max)
    });
    let response = ApiVersionsResponse::default()
        .with_error_code(error)
        .with_api_keys(keys.collect());
    if version < 3 {
        return response;
    }
    let supported = FEATURES.iter().map(|(name, max)| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version(0)
            .with_max_version(*max)
    });
    let finalized = FEATURES.iter().map(|(name, max)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version_level(*max)
            .with_max_version_level(*max)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(0)
}
