//! Tokens that somebody else has signed (OAuth 2.0), and who comes in by them.
//!
//! Signatures are proven with the keys of whoever signs, which are read from where the
//! settings say: at the start, every [`READ_INTERVAL`], and when a token names a key that is
//! not known, though not more often than every [`UNKNOWN_INTERVAL`], and by one login at a
//! time: others with an unknown key are refused meanwhile, so nobody waits in line for a
//! slow issuer. Tokens are never logged; why one was refused is.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::access::scopes::Rights;
use bongsu_engine::access::{Granted, Principal};
use parking_lot::{Mutex, RwLock};

mod jwk;
mod jwt;

use jwk::Key;
use jwt::Token;

/// How often the keys are read.
pub const READ_INTERVAL: Duration = Duration::from_secs(300);
/// How often at most they are read because of a key that is not known.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(10);

/// What is set from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// Who has to have signed; `None`: whoever has the keys.
    pub issuer: Option<String>,
    /// For whom a token has to be: this broker's name with the issuer.
    pub audience: String,
    /// What scopes begin with that are about this broker.
    pub scope_prefix: String,
    /// Claims that may hold the user's name; the first that does is taken.
    pub username_claims: Vec<String>,
    /// Claims that hold scopes; `a.b` is b in a.
    pub scopes_claims: Vec<String>,
    /// How much the issuer's clock and ours may differ.
    pub clock_skew_ms: i64,
}

/// Where keys are read: a set in JSON (RFC 7517).
pub trait KeySource: Send + Sync {
    /// Blocks, not for ever.
    ///
    /// # Errors
    /// Why they could not be read, and from where.
    fn read(&self) -> Result<Vec<u8>, String>;
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // said below
pub enum TokenRefused {
    Malformed(&'static str),
    Algorithm,
    Key,
    Signature,
    Issuer,
    Audience,
    Expired,
    NotYet,
    Nobody,
}

impl fmt::Display for TokenRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenRefused::Malformed(cause) => cause,
            TokenRefused::Algorithm => "it is signed in a way that is not accepted",
            TokenRefused::Key => "the key it names is none of oauth.jwks",
            TokenRefused::Signature => "its signature is wrong",
            TokenRefused::Issuer => "it is not of oauth.issuer",
            TokenRefused::Audience => "it is not for oauth.audience",
            TokenRefused::Expired => "it has expired",
            TokenRefused::NotYet => "it is not valid yet",
            TokenRefused::Nobody => "none of oauth.username_claims names a user",
        })
    }
}

impl std::error::Error for TokenRefused {}

/// See the module's comment.
pub struct Tokens {
    settings: TokenSettings,
    source: Box<dyn KeySource>,
    keys: RwLock<Arc<[Key]>>,
    /// When they were read because of an unknown one.
    asked: Mutex<Option<Instant>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// With no keys yet.
    pub fn new(settings: TokenSettings, source: Box<dyn KeySource>) -> Tokens {
        Tokens {
            settings,
            source,
            keys: RwLock::new(Arc::new([])),
            asked: Mutex::new(None),
        }
    }

    /// Reads the keys. Blocks.
    ///
    /// # Errors
    /// Why they could not be; those from before stay.
    pub fn read_keys(&self) -> Result<(), String> {
        let read = self.source.read()?;
        let keys = jwk::keys(&read)?;
        *self.keys.write() = keys.into();
        Ok(())
    }

    /// Whether a password is to be taken for a token.
    pub fn is_one(&self, secret: &str) -> bool {
        jwt::looks_like_one(secret)
    }

    /// Who comes in by it. May block, if its key is not known.
    ///
    /// # Errors
    /// Nobody does.
    pub fn prove(&self, token: &str, now_ms: i64) -> Result<Principal, TokenRefused> {
        let read = Token::read(token)?;
        let mut proven = read.proven(&self.keys.read().clone());
        if proven == Err(TokenRefused::Key) && self.read_for_unknown() {
            proven = read.proven(&self.keys.read().clone());
        }
        let claims = proven?;
        let until_ms = jwt::checked(&claims, &self.settings, now_ms)?;
        let name = jwt::user_of(&claims, &self.settings)?;
        let scopes = jwt::scopes_of(&claims, &self.settings);
        let scopes = scopes.iter().map(String::as_str);
        let rights = Rights::of(scopes, &self.settings.scope_prefix);
        let Rights { scopes, tags } = rights;
        Ok(principal(&name, tags, scopes, until_ms))
    }

    /// Whether the keys were read again.
    fn read_for_unknown(&self) -> bool {
        let Some(mut asked) = self.asked.try_lock() else {
            return false;
        };
        if asked.is_some_and(|at| at.elapsed() < UNKNOWN_INTERVAL) {
            return false;
        }
        let read = self.read_keys();
        *asked = Some(Instant::now());
        read.inspect_err(|error| tracing::warn!("oauth.jwks: {error}"))
            .is_ok()
    }
}

/// Whoever comes in by a token has the rights it brings, whatever is known here under its
/// name.
fn principal(
    name: &str,
    tags: BTreeSet<Arc<str>>,
    scopes: Vec<bongsu_engine::access::granted::Scope>,
    until_ms: i64,
) -> Principal {
    Principal {
        name: Arc::from(name),
        administrator: false,
        tags,
        granted: Some(Arc::new(Granted {
            scopes,
            until_ms: Some(until_ms),
        })),
    }
}

#[cfg(test)]
mod tests;
