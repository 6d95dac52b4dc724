//! SCRAM (RFC 5802, RFC 7677), the server's side: what is kept of a password, and how a
//! client proves that it knows it.
//!
//! Neither the password nor what would let somebody log in with it is kept: a stolen
//! [`Credential`] must still be broken. Messages on the wire are the protocols' affair; here
//! is only what is computed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::core_api::BlockSizeUser;
use hmac::{Mac, SimpleHmac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256, Sha512};

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Mechanism {
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

/// What is kept of a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Chosen by whoever set the password.
    #[serde(with = "as_base64")]
    pub salt: Vec<u8>,
    /// How often the password was hashed: [`ITERATIONS_MIN`] to [`ITERATIONS_MAX`].
    pub iterations: u32,
    /// Proves the client.
    #[serde(with = "as_base64")]
    pub stored_key: Vec<u8>,
    /// Proves the server.
    #[serde(with = "as_base64")]
    pub server_key: Vec<u8>,
}

impl Credential {
    /// Of a password that was salted and hashed elsewhere.
    pub fn salted(
        mechanism: Mechanism,
        salt: Vec<u8>,
        iterations: u32,
        salted_password: &[u8],
    ) -> Credential {
        let client_key = mechanism.keyed(salted_password, b"Client Key");
        Credential {
            salt,
            iterations,
            stored_key: mechanism.hash(&client_key),
            server_key: mechanism.keyed(salted_password, b"Server Key"),
        }
    }

    /// Of a password. Takes milliseconds, on purpose.
    pub fn of(mechanism: Mechanism, password: &str, salt: Vec<u8>, iterations: u32) -> Credential {
        let salted = mechanism.salted(password, &salt, iterations);
        Credential::salted(mechanism, salt, iterations, &salted)
    }

    /// Whether this is the password. Takes milliseconds, on purpose.
    pub fn is_of(&self, mechanism: Mechanism, password: &str) -> bool {
        let salted = mechanism.salted(password, &self.salt, self.iterations);
        let client_key = mechanism.keyed(&salted, b"Client Key");
        same_in_constant_time(&mechanism.hash(&client_key), &self.stored_key)
    }

    /// Whether `proof` proves the password, over all that was said (`auth_message`); if so,
    /// what proves the server to the client.
    pub fn proven(
        &self,
        mechanism: Mechanism,
        auth_message: &[u8],
        proof: &[u8],
    ) -> Option<Vec<u8>> {
        let signature = mechanism.keyed(&self.stored_key, auth_message);
        if proof.len() != signature.len() {
            return None;
        }
        let pairs = proof.iter().zip(&signature);
        let client_key: Vec<u8> = pairs.map(|(proof, signature)| proof ^ signature).collect();
        same_in_constant_time(&mechanism.hash(&client_key), &self.stored_key)
            .then(|| mechanism.keyed(&self.server_key, auth_message))
    }
}

impl Mechanism {
    /// Bytes of a hash.
    pub fn hash_bytes(self) -> usize {
        match self {
            Mechanism::Sha256 => 32,
            Mechanism::Sha512 => 64,
        }
    }

    /// The hash.
    pub fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Mechanism::Sha256 => Sha256::digest(bytes).to_vec(),
            Mechanism::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// HMAC.
    pub fn keyed(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Mechanism::Sha256 => keyed::<Sha256>(key, &[bytes]),
            Mechanism::Sha512 => keyed::<Sha512>(key, &[bytes]),
        }
    }

    /// `Hi` of RFC 5802: PBKDF2 with one block. What whoever sets a password sends.
    pub fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Mechanism::Sha256 => salted::<Sha256>(password, salt, iterations),
            Mechanism::Sha512 => salted::<Sha512>(password, salt, iterations),
        }
    }
}

fn salted<D: Digest + BlockSizeUser + Clone>(
    password: &str,
    salt: &[u8],
    iterations: u32,
) -> Vec<u8> {
    // Keyed once: what a round costs is two blocks of the hash.
    let ready = SimpleHmac::<D>::new_from_slice(password.as_bytes()).expect("any key will do");
    let mut first = ready.clone();
    first.update(salt);
    first.update(&1_u32.to_be_bytes());
    let mut round = first.finalize().into_bytes();
    let mut all = round.to_vec();
    for _ in 1..iterations {
        let mut next = ready.clone();
        next.update(&round);
        round = next.finalize().into_bytes();
        for (all, round) in all.iter_mut().zip(&round) {
            *all ^= round;
        }
    }
    all
}

fn keyed<D: Digest + BlockSizeUser>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = SimpleHmac::<D>::new_from_slice(key).expect("any key will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Takes as long for a near miss as for a far one; only the length shows.
pub(super) fn same_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let difference = one
        .iter()
        .zip(other)
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    std::hint::black_box(difference) == 0
}

mod as_base64 {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(de::Error::custom)
    }
}

/// Fewer hashes than this are refused: RFC 7677.
pub const ITERATIONS_MIN: u32 = 4096;
/// More would let whoever logs in keep the broker busy.
pub const ITERATIONS_MAX: u32 = 16384;
