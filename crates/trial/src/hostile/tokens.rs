//! Any bytes at all, as somebody's token, as what an issuer signs, and as an issuer's keys.

use std::str::from_utf8;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bongsu_broker::tokens::{KeySource, TokenSettings, Tokens};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// Four parts with a zero byte between them: a set of keys, a token's header and its claims,
/// which get signed, and a whole token. Whether the signed one lets somebody in.
///
/// # Panics
/// If anything is let in that the issuer has not signed, or that is not for this broker and
/// now; or if reading it panics.
pub fn check(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (set, head, claims, whole) = (part(), part(), part(), part());

    let ours = Issuer::new();
    let tokens = trusting(ours.keys());
    if let Ok(whole) = from_utf8(whole) {
        assert!(tokens.prove(whole, NOW_MS).is_err(), "not of the issuer");
    }
    let said = ours.signs(head, claims);
    let let_in = tokens.prove(&said.token(), NOW_MS);
    if let Ok(user) = &let_in {
        let claims: Value = serde_json::from_slice(claims).expect("it was understood");
        assert_eq!(claims["iss"], ISSUER);
        assert!(claims["aud"].to_string().contains(AUDIENCE));
        assert!(claims["exp"].as_f64().expect("a time") > (NOW_MS - SKEW_MS) as f64 / 1000.0);
        assert_eq!(claims["sub"], *user.name);
        assert!(!user.name.is_empty() && !user.administrator);
        for bent in said.bent() {
            assert!(tokens.prove(&bent, NOW_MS).is_err(), "{bent}");
        }
    }

    // An issuer is trusted; what it says may still be nonsense.
    let tokens = trusting(set.to_vec());
    let _ = tokens.prove(&said.token(), NOW_MS);
    if let Ok(whole) = from_utf8(whole) {
        let _ = tokens.is_one(whole);
        let _ = tokens.prove(whole, NOW_MS);
    }
    let_in.is_ok()
}

const NOW_MS: i64 = 1_800_000_000_000;
const SKEW_MS: i64 = 30_000;
const ISSUER: &str = "https://issuer";
const AUDIENCE: &str = "bongsu";

struct Issuer(Ed25519KeyPair);

/// What is signed, and the signature.
struct Signed {
    said: String,
    signature: Vec<u8>,
}

struct Set(Vec<u8>);

impl KeySource for Set {
    fn read(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
}

fn trusting(keys: Vec<u8>) -> Tokens {
    let settings = TokenSettings {
        issuer: Some(ISSUER.to_owned()),
        audience: AUDIENCE.to_owned(),
        scope_prefix: "bongsu.".to_owned(),
        username_claims: vec!["sub".to_owned()],
        scopes_claims: vec!["scope".to_owned(), "realm.roles".to_owned()],
        clock_skew_ms: SKEW_MS,
    };
    let tokens = Tokens::new(settings, Box::new(Set(keys)));
    // Without keys nobody is let in.
    let _ = tokens.read_keys();
    tokens
}

impl Issuer {
    fn new() -> Issuer {
        Issuer(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed will do"))
    }

    fn keys(&self) -> Vec<u8> {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
        json!({ "keys": [key] }).to_string().into_bytes()
    }

    fn signs(&self, head: &[u8], claims: &[u8]) -> Signed {
        let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        let said = format!("{}.{}", part(head), part(claims));
        let signature = self.0.sign(said.as_bytes()).as_ref().to_vec();
        Signed { said, signature }
    }
}

impl Signed {
    fn token(&self) -> String {
        format!("{}.{}", self.said, URL_SAFE_NO_PAD.encode(&self.signature))
    }

    /// Tokens that nobody has signed.
    fn bent(&self) -> impl Iterator<Item = String> {
        let (head, claims) = self.said.split_once('.').expect("of two parts");
        let mut others = self.signature.clone();
        others[self.said.len() % self.signature.len()] ^= 1;
        let others = URL_SAFE_NO_PAD.encode(others);
        let signature = URL_SAFE_NO_PAD.encode(&self.signature);
        // A space more at the end of the claims, which JSON does not mind.
        let mut more = URL_SAFE_NO_PAD.decode(claims).expect("it was encoded");
        more.push(b' ');
        let more = URL_SAFE_NO_PAD.encode(more);
        [
            format!("{}.{others}", self.said),
            format!("{head}.{more}.{signature}"),
            format!("{}.", self.said),
        ]
        .into_iter()
    }
}
