//! Which user a client's certificate is of: one of its names, as it is set.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// The subject's common name: the last, if there are several.
    #[default]
    CommonName,
    /// The whole subject as RFC 4514 writes it: `CN=app,O=Example`.
    DistinguishedName,
    /// The first alternative name that is a DNS name.
    SanDns,
    /// The first that is a mail address.
    SanEmail,
    /// The first that is a URI.
    SanUri,
}

/// When a certificate ends, Unix seconds; `None` if it is none.
pub fn expires_s(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let ends = certificate.tbs_certificate.validity.not_after;
    Some(ends.to_unix_duration().as_secs())
}

/// The user's name; `None` where the certificate has none of that kind.
pub fn name_of(certificate: &CertificateDer<'_>, naming: Naming) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let name = match naming {
        Naming::CommonName => {
            let mut attributes = certificate
                .subject
                .0
                .iter()
                .flat_map(|names| names.0.iter());
            let value = &attributes.rfind(|one| one.oid == CN)?.value;
            Utf8StringRef::try_from(value)
                .map(|text| text.as_str().to_owned())
                .or_else(|_| PrintableStringRef::try_from(value).map(|t| t.as_str().to_owned()))
                .or_else(|_| TeletexStringRef::try_from(value).map(|t| t.as_str().to_owned()))
                .or_else(|_| Ia5StringRef::try_from(value).map(|t| t.as_str().to_owned()))
                .ok()?
        }
        Naming::DistinguishedName => certificate.subject.to_string(),
        Naming::SanDns | Naming::SanEmail | Naming::SanUri => {
            let (_, names) = certificate.get::<SubjectAltName>().ok()??;
            names.0.iter().find_map(|name| match (naming, name) {
                (Naming::SanDns, GeneralName::DnsName(name))
                | (Naming::SanEmail, GeneralName::Rfc822Name(name))
                | (Naming::SanUri, GeneralName::UniformResourceIdentifier(name)) => {
                    Some(name.as_str().to_owned())
                }
                _ => None,
            })?
        }
    };
    // A name that ends early for others is no name.
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}
