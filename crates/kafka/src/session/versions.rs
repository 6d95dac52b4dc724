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
use crate::errors::{NONE, UNSUPPORTED_VERSION};

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let _: ApiVersionsRequest = decoded(&head, &mut body)?;
    session.respond(&head, &response(NONE, head.version), effects);
    Ok(())
}

/// A version that is not known yet is answered with the list, in version 0, which every
/// client reads (KIP-511).
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
    session.respond(&head, &response(UNSUPPORTED_VERSION, 0), effects);
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
