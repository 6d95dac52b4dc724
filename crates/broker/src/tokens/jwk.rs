//! Keys that tokens are signed with, as a set of them in JSON (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

/// What a token may be signed by. None of them is done with a secret that we share, so no
/// public key can be taken for one, and "none" is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// A public key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// How tokens name it.
    pub id: Option<String>,
    /// The only algorithm it is for, if it says so.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Algorithm {
    pub fn by_name(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RS256" => Algorithm::Rs256,
            "RS384" => Algorithm::Rs384,
            "RS512" => Algorithm::Rs512,
            "PS256" => Algorithm::Ps256,
            "PS384" => Algorithm::Ps384,
            "PS512" => Algorithm::Ps512,
            "ES256" => Algorithm::Es256,
            "ES384" => Algorithm::Es384,
            "EdDSA" | "Ed25519" => Algorithm::EdDsa,
            _ => return None,
        })
    }

    fn of_rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
        })
    }
}

impl Key {
    /// Whether the signature is of this key, made in this way.
    pub fn has_signed(&self, algorithm: Algorithm, said: &[u8], signature: &[u8]) -> bool {
        if self.only.is_some_and(|only| only != algorithm) {
            return false;
        }
        let verified = match (&self.material, algorithm) {
            (Material::Rsa { modulus, exponent }, algorithm) => {
                let Some(parameters) = algorithm.of_rsa() else {
                    return false;
                };
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(parameters, said, signature)
            }
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(said, signature)
            }
            (Material::P384(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(said, signature)
            }
            (Material::Ed25519(point), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, point).verify(said, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

/// The keys of a set that can be used; others, as those for encrypting, are passed over.
///
/// # Errors
/// It is no set, or has none.
pub(super) fn keys(json: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let listed = set.get("keys").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| "it has no list \"keys\"".to_owned())?;
    if listed.len() > KEYS_MAX {
        return Err(format!(
            "it has {} keys, at most {KEYS_MAX} are taken",
            listed.len()
        ));
    }
    let keys: Vec<Key> = listed.iter().filter_map(key).collect();
    match keys.is_empty() {
        true => Err("none of its keys can be used".to_owned()),
        false => Ok(keys),
    }
}

fn key(json: &Value) -> Option<Key> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let only = match text("alg") {
        None => None,
        Some(name) => Some(Algorithm::by_name(name)?),
    };
    let point = |coordinate_bytes: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        let fits = x.len() == coordinate_bytes && y.len() == coordinate_bytes;
        fits.then(|| [&[UNCOMPRESSED][..], &x, &y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rsa {
            modulus: bytes("n")?,
            exponent: bytes("e")?,
        },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x")?),
        _ => return None,
    };
    Some(Key {
        id: text("kid").map(str::to_owned),
        only,
        material,
    })
}

/// Of one set.
const KEYS_MAX: usize = 256;
/// What a point begins with of which both coordinates follow.
const UNCOMPRESSED: u8 = 4;
