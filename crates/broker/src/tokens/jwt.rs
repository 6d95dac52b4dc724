//! One token: three parts, of which the third signs the others (RFC 7515, 7519).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jwk::{Algorithm, Key};
use super::{TokenRefused, TokenSettings};

/// Largest that is looked at.
pub(super) const TOKEN_BYTES_MAX: usize = 32 * 1024;
/// Keys that are tried for a token that names none.
const TRIED_MAX: usize = 8;

/// A token in its parts, not proven yet.
pub(super) struct Token<'a> {
    /// What was signed.
    said: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    /// The key it is signed with.
    pub key_id: Option<String>,
}

/// What it says, proven.
pub(super) type Claims = Map<String, Value>;

/// Whether a secret has the looks of a token: a header in JSON, and two dots. No password
/// that somebody chose looks so.
pub(super) fn looks_like_one(secret: &str) -> bool {
    secret.starts_with("eyJ") && secret.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Token<'a> {
    pub fn read(text: &'a str) -> Result<Token<'a>, TokenRefused> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::Malformed("it is too large"));
        }
        let malformed = || TokenRefused::Malformed("it is not three parts of base64url");
        let (said, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (head, claims) = said.split_once('.').ok_or_else(malformed)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let head = object(&decoded(head)?)?;
        if head.contains_key("crit") {
            return Err(TokenRefused::Malformed(
                "it says that not to know it all is critical",
            ));
        }
        let name = head.get("alg").and_then(Value::as_str).unwrap_or_default();
        let algorithm = Algorithm::by_name(name).ok_or(TokenRefused::Algorithm)?;
        let key_id = head.get("kid").and_then(Value::as_str);
        Ok(Token {
            said,
            claims,
            signature: decoded(signature)?,
            algorithm,
            key_id: key_id.map(str::to_owned),
        })
    }

    /// What it says, if one of the keys has signed it.
    pub fn proven(&self, keys: &[Key]) -> Result<Claims, TokenRefused> {
        let fitting = keys.iter().filter(|key| match (&self.key_id, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_), None) => false,
            (None, _) => true,
        });
        let mut fitting = fitting.take(TRIED_MAX).peekable();
        if fitting.peek().is_none() {
            return Err(TokenRefused::Key);
        }
        let (algorithm, said) = (self.algorithm, self.said.as_bytes());
        if !fitting.any(|key| key.has_signed(algorithm, said, &self.signature)) {
            return Err(TokenRefused::Signature);
        }
        let claims = URL_SAFE_NO_PAD.decode(self.claims);
        object(&claims.map_err(|_| TokenRefused::Malformed("its claims are not base64url"))?)
    }
}

fn object(json: &[u8]) -> Result<Map<String, Value>, TokenRefused> {
    let read = serde_json::from_slice(json);
    read.map_err(|_| TokenRefused::Malformed("it is not JSON"))
}

/// Whether they are of our issuer, for us, and now: until when, in Unix milliseconds, the
/// clocks' difference added.
pub(super) fn checked(
    claims: &Claims,
    settings: &TokenSettings,
    now_ms: i64,
) -> Result<i64, TokenRefused> {
    if let Some(issuer) = &settings.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(TokenRefused::Issuer);
    }
    let is_ours = |audience: &str| audience == settings.audience;
    let for_us = match claims.get("aud") {
        // Several in one text, as some issuers write them.
        Some(Value::String(text)) => is_ours(text) || text.split(' ').any(is_ours),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(is_ours),
        _ => false,
    };
    if !for_us {
        return Err(TokenRefused::Audience);
    }
    let skew_ms = settings.clock_skew_ms;
    let until_ms = time(claims, "exp")?.ok_or(TokenRefused::Malformed("it never ends"))?;
    let until_ms = until_ms.saturating_add(skew_ms);
    if until_ms <= now_ms {
        return Err(TokenRefused::Expired);
    }
    for claim in ["nbf", "iat"] {
        if time(claims, claim)?.is_some_and(|from| from > now_ms.saturating_add(skew_ms)) {
            return Err(TokenRefused::NotYet);
        }
    }
    Ok(until_ms)
}

/// Unix milliseconds; in tokens they are seconds, and may have a fraction.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, TokenRefused> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite());
    let seconds = seconds.ok_or(TokenRefused::Malformed("its times are no numbers"))?;
    // Beyond what there is of either it stays at the end.
    #[allow(clippy::cast_possible_truncation)]
    Ok(Some((seconds * 1000.0) as i64))
}

/// Whose it is.
pub(super) fn user_of(claims: &Claims, settings: &TokenSettings) -> Result<String, TokenRefused> {
    let names = settings.username_claims.iter();
    let mut names = names.filter_map(|name| claims.get(name).and_then(Value::as_str));
    let name = names.find(|name| !name.is_empty());
    let name = name.ok_or(TokenRefused::Nobody)?;
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(TokenRefused::Nobody);
    }
    Ok(name.to_owned())
}

/// All scopes, wherever they stand; a map names them by audience.
pub(super) fn scopes_of(claims: &Claims, settings: &TokenSettings) -> Vec<String> {
    let mut scopes = Vec::new();
    for path in &settings.scopes_claims {
        // A name with dots in it is a name, if there is one; else it is a path.
        let found = claims.get(path).or_else(|| {
            let (first, rest) = path.split_once('.')?;
            let steps = rest.split('.');
            steps.fold(claims.get(first), |at, step| at?.get(step))
        });
        match found {
            Some(Value::Object(by_audience)) => {
                let ours = by_audience.get(&settings.audience);
                let prefixed = words(ours).map(|scope| format!("{}{scope}", settings.scope_prefix));
                scopes.extend(prefixed);
            }
            found => scopes.extend(words(found).map(str::to_owned)),
        }
    }
    scopes
}

/// One text with spaces, or a list of texts.
fn words(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let text = value.and_then(Value::as_str).into_iter();
    let listed = list.filter_map(Value::as_str);
    let words = text.flat_map(|text| text.split(' ').filter(|word| !word.is_empty()));
    words.chain(listed)
}

/// Of a user.
const NAME_BYTES_MAX: usize = 255;
