//! Passwords as they are kept: Argon2id, or a hash that came from RabbitMQ.
//!
//! A password that is set here becomes Argon2id, whose every proof takes much memory and
//! milliseconds, and the credentials of SCRAM ([`Secrets::of`]). A hash that was imported is
//! tried as RabbitMQ does, and replaced at the first login that proves it.

use std::collections::BTreeMap;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha512};

use super::scram::{Credential, ITERATIONS_MIN, Mechanism, same_in_constant_time};

/// What is kept of a password. As text, `usual`, `scram`, an Argon2id hash as PHC strings have it
/// (`$argon2id$…`), or RabbitMQ's name of the hash, `:`, and the hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Password {
    /// The user's own name: that of `guest`, until it is given another.
    Usual,
    /// What the credentials of SCRAM say: they were set last.
    Scram,
    /// As a PHC string; it can be read and costs no more than [`MEMORY_KIB_MAX`] and
    /// [`PASSES_MAX`] say.
    Argon2id(String),
    /// Imported: four bytes of salt, then the hash.
    Imported(ImportedHash, Vec<u8>),
}

/// How RabbitMQ hashes passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ImportedHash {
    Sha256,
    Sha512,
    Md5,
}

/// All that is kept of one password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// `None`: nobody comes in by saying one, unless a credential of SCRAM says it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// For logins that do not say it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scram: BTreeMap<Mechanism, Credential>,
}

/// Chance that goes into new secrets, for each user anew.
pub type Salts = [u8; 48];

impl Secrets {
    /// Of a password that is set here. Takes tens of milliseconds, on purpose.
    pub fn of(password: &str, salts: &Salts) -> Secrets {
        let salt = |index: usize| salts[index * 16..(index + 1) * 16].to_vec();
        let scram = [Mechanism::Sha256, Mechanism::Sha512].into_iter().zip(1..);
        let scram = scram.map(|(mechanism, index)| {
            let credential = Credential::of(mechanism, password, salt(index), ITERATIONS_MIN);
            (mechanism, credential)
        });
        Secrets {
            scram: scram.collect(),
            password: Some(Password::argon2id(password, &salts[..16])),
        }
    }

    /// Of a password that was hashed elsewhere: `algorithm` by RabbitMQ's name, or empty for
    /// its usual one.
    pub fn hashed(algorithm: &str, hash: &str) -> Option<Secrets> {
        if hash.is_empty() {
            return Some(Secrets::default());
        }
        let password = match algorithm {
            ARGON2ID => Password::phc(hash)?,
            "" => Password::imported(ImportedHash::Sha256, hash)?,
            name => Password::imported(ImportedHash::by_name(name)?, hash)?,
        };
        Some(Secrets {
            password: Some(password),
            scram: BTreeMap::new(),
        })
    }
}

impl ImportedHash {
    /// By RabbitMQ's name.
    pub fn by_name(name: &str) -> Option<ImportedHash> {
        let all = [
            ImportedHash::Sha256,
            ImportedHash::Sha512,
            ImportedHash::Md5,
        ];
        all.into_iter().find(|hash| hash.name() == name)
    }

    /// RabbitMQ's name.
    pub fn name(self) -> &'static str {
        match self {
            ImportedHash::Sha256 => "rabbit_password_hashing_sha256",
            ImportedHash::Sha512 => "rabbit_password_hashing_sha512",
            ImportedHash::Md5 => "rabbit_password_hashing_md5",
        }
    }

    fn bytes(self) -> usize {
        match self {
            ImportedHash::Sha256 => 32,
            ImportedHash::Sha512 => 64,
            ImportedHash::Md5 => 16,
        }
    }

    fn hash(self, salt: &[u8], password: &str) -> Vec<u8> {
        let salted = [salt, password.as_bytes()].concat();
        match self {
            ImportedHash::Sha256 => Sha256::digest(salted).to_vec(),
            ImportedHash::Sha512 => Sha512::digest(salted).to_vec(),
            ImportedHash::Md5 => Md5::digest(salted).to_vec(),
        }
    }
}

impl Password {
    /// Takes milliseconds, on purpose.
    fn argon2id(password: &str, salt: &[u8]) -> Password {
        let salt = SaltString::encode_b64(salt).expect("16 bytes are a salt");
        let hash = hasher().hash_password(password.as_bytes(), &salt);
        Password::Argon2id(hash.expect("the costs are in range").to_string())
    }

    /// A hash that was made elsewhere, if it is one and proving it costs what one may.
    fn phc(text: &str) -> Option<Password> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let fits = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.hash.is_some()
            && params.m_cost() <= MEMORY_KIB_MAX
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() <= PASSES_MAX;
        fits.then(|| Password::Argon2id(text.to_owned()))
    }

    fn imported(hash: ImportedHash, base64: &str) -> Option<Password> {
        let bytes = STANDARD.decode(base64.trim()).ok()?;
        let fits = bytes.len() == IMPORTED_SALT_BYTES + hash.bytes();
        fits.then_some(Password::Imported(hash, bytes))
    }

    /// RabbitMQ's name of the hash, or [`ARGON2ID`]; and the hash. What [`Secrets::hashed`]
    /// reads. Empty for the usual one, which is no secret, and for SCRAM's, told elsewhere.
    pub fn told(&self) -> (&'static str, String) {
        match self {
            Password::Usual | Password::Scram => (ImportedHash::Sha256.name(), String::new()),
            Password::Argon2id(phc) => (ARGON2ID, phc.clone()),
            Password::Imported(hash, bytes) => (hash.name(), STANDARD.encode(bytes)),
        }
    }

    /// Whether proving it takes no time worth mentioning.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self, Password::Usual)
    }

    /// Whether it is better replaced when the password is known.
    pub(super) fn is_outdated(&self) -> bool {
        matches!(self, Password::Imported(..))
    }

    /// Whether this is the password of that user.
    pub(super) fn is_of(&self, user: &str, password: &str) -> bool {
        match self {
            Password::Scram => false,
            Password::Usual => same_in_constant_time(user.as_bytes(), password.as_bytes()),
            Password::Argon2id(phc) => {
                let Ok(hash) = PasswordHash::new(phc) else {
                    return false;
                };
                let verified = hasher().verify_password(password.as_bytes(), &hash);
                verified.is_ok()
            }
            Password::Imported(hash, bytes) => {
                let (salt, hashed) = bytes.split_at(IMPORTED_SALT_BYTES);
                // What costs an attacker nothing shall not be told from what costs: the
                // login that proves it makes Argon2id of it anyway, one that fails waits.
                same_in_constant_time(&hash.hash(salt, password), hashed)
            }
        }
    }
}

/// As long as proving a password takes, for users that have none.
pub(super) fn take_as_long(password: &str) {
    let salt = [0; 16];
    std::hint::black_box(Password::argon2id(password, &salt));
}

/// What RabbitMQ would keep of a password: `rabbit_password_hashing_sha256`, in base64.
pub fn rabbit_hash(password: &str, salt: [u8; IMPORTED_SALT_BYTES]) -> String {
    let hash = ImportedHash::Sha256.hash(&salt, password);
    STANDARD.encode([&salt[..], &hash].concat())
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the costs are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl TryFrom<String> for Password {
    type Error = String;

    fn try_from(text: String) -> Result<Password, String> {
        match text.as_str() {
            USUAL => return Ok(Password::Usual),
            SCRAM => return Ok(Password::Scram),
            _ => {}
        }
        let read = match text.split_once(':') {
            Some((name, hash)) => {
                let named = ImportedHash::by_name(name);
                named.and_then(|named| Password::imported(named, hash))
            }
            None => Password::phc(&text),
        };
        read.ok_or_else(|| "a password's hash cannot be read".to_owned())
    }
}

impl From<Password> for String {
    fn from(password: Password) -> String {
        match password {
            Password::Usual => USUAL.to_owned(),
            Password::Scram => SCRAM.to_owned(),
            Password::Argon2id(phc) => phc,
            Password::Imported(hash, bytes) => {
                format!("{}:{}", hash.name(), STANDARD.encode(bytes))
            }
        }
    }
}

/// The name of our own hash, beside RabbitMQ's.
pub const ARGON2ID: &str = "argon2id";
/// RabbitMQ's salts.
pub const IMPORTED_SALT_BYTES: usize = 4;
const USUAL: &str = "usual";
const SCRAM: &str = "scram";
/// OWASP's least for Argon2id: 19 MiB, two passes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// What proving an imported Argon2id hash may cost.
pub const MEMORY_KIB_MAX: u32 = 64 * 1024;
/// See [`MEMORY_KIB_MAX`]; of lanes, too.
pub const PASSES_MAX: u32 = 8;

#[cfg(test)]
mod tests;
