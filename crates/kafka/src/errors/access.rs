//! Codes of logins, credentials and rules.

use bongsu_engine::access::quota::QuotaRefused;
use bongsu_engine::access::request::{AclRefused, CredentialRefused};

use super::{Code, INVALID_REQUEST, KAFKA_STORAGE_ERROR, POLICY_VIOLATION};

pub(crate) const CLUSTER_AUTHORIZATION_FAILED: Code = 31;
pub(crate) const UNSUPPORTED_SASL_MECHANISM: Code = 33;
pub(crate) const ILLEGAL_SASL_STATE: Code = 34;
pub(crate) const SASL_AUTHENTICATION_FAILED: Code = 58;
pub(crate) const RESOURCE_NOT_FOUND: Code = 91;
pub(crate) const DUPLICATE_RESOURCE: Code = 92;
pub(crate) const UNACCEPTABLE_CREDENTIAL: Code = 93;

/// Of credentials, and what to say of it.
pub(crate) fn of_credential(refused: CredentialRefused) -> (Code, &'static str) {
    match refused {
        CredentialRefused::Access => (CLUSTER_AUTHORIZATION_FAILED, "not authorized"),
        CredentialRefused::NotFound => (RESOURCE_NOT_FOUND, "the user has no such credential"),
        CredentialRefused::Duplicate => (DUPLICATE_RESOURCE, "the user is named twice"),
        CredentialRefused::Name => (UNACCEPTABLE_CREDENTIAL, "a user's name has 1 to 1024 bytes"),
        CredentialRefused::FewIterations => (UNACCEPTABLE_CREDENTIAL, "too few iterations"),
        CredentialRefused::ManyIterations => (UNACCEPTABLE_CREDENTIAL, "too many iterations"),
        CredentialRefused::Malformed => (
            UNACCEPTABLE_CREDENTIAL,
            "a salt or a salted password that cannot be",
        ),
        CredentialRefused::Full => (POLICY_VIOLATION, "there are too many users"),
        CredentialRefused::Storage => (KAFKA_STORAGE_ERROR, "the disk failed"),
    }
}

/// Of rules, and what to say of it.
pub(crate) fn of_acl(refused: AclRefused) -> (Code, &'static str) {
    match refused {
        AclRefused::Access => (CLUSTER_AUTHORIZATION_FAILED, "not authorized"),
        AclRefused::Malformed => (INVALID_REQUEST, "a rule that cannot be"),
        AclRefused::Full => (POLICY_VIOLATION, "there are too many rules"),
        AclRefused::Storage => (KAFKA_STORAGE_ERROR, "the disk failed"),
    }
}

/// Of quotas, and what to say of it.
pub(crate) fn of_quota(refused: QuotaRefused) -> (Code, &'static str) {
    match refused {
        QuotaRefused::Access => (
            CLUSTER_AUTHORIZATION_FAILED,
            "Cluster authorization failed.",
        ),
        QuotaRefused::Full => (POLICY_VIOLATION, "there are too many quotas"),
        QuotaRefused::Storage => (KAFKA_STORAGE_ERROR, "the disk failed"),
    }
}
