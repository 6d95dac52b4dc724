use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const NOW: i64 = NOW_MS / 1000;

fn settings() -> TokenSettings {
    TokenSettings {
        issuer: Some("https://issuer".to_owned()),
        audience: "bongsu".to_owned(),
        scope_prefix: "bongsu.".to_owned(),
        username_claims: vec!["preferred".to_owned(), "sub".to_owned()],
        scopes_claims: vec!["scope".to_owned(), "realm.roles".to_owned()],
        clock_skew_ms: 30_000,
    }
}

/// Somebody who signs, with keys numbered from 0.
#[derive(Clone, Copy)]
struct Issuer;

impl Issuer {
    fn pair(number: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
    }

    fn keys(numbers: &[u8]) -> Vec<u8> {
        let keys = numbers.iter().map(|number| {
            let pair = Issuer::pair(*number);
            let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("k{number}"), "x": x})
        });
        json!({"keys": keys.collect::<Vec<_>>()})
            .to_string()
            .into_bytes()
    }

    fn sign(number: u8, head: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let said = format!("{}.{}", part(head), part(claims));
        let signature = Issuer::pair(number).sign(said.as_bytes());
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Of key 0, with these claims changed; `null` takes one away.
    fn token(changes: Value) -> String {
        let mut claims = json!({
            "iss": "https://issuer", "sub": "anna", "aud": ["other", "bongsu"],
            "exp": NOW + 60, "iat": NOW - 1, "scope": "bongsu.read:*/* openid",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        Issuer::sign(0, &json!({"alg": "EdDSA", "kid": "k0"}), &claims)
    }
}

/// Gives out sets of keys, one after the other; the last again and again.
struct Sets(Vec<Vec<u8>>, Arc<AtomicUsize>);

impl KeySource for Sets {
    fn read(&self) -> Result<Vec<u8>, String> {
        let at = self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.0[at.min(self.0.len() - 1)].clone())
    }
}

fn tokens(sets: &[&[u8]]) -> (Tokens, Arc<AtomicUsize>) {
    let reads = Arc::<AtomicUsize>::default();
    let sets = sets.iter().map(|set| set.to_vec()).collect();
    let tokens = Tokens::new(settings(), Box::new(Sets(sets, reads.clone())));
    tokens.read_keys().unwrap();
    (tokens, reads)
}

fn prove(token: &str) -> Result<Principal, TokenRefused> {
    tokens(&[&Issuer::keys(&[0, 1])]).0.prove(token, NOW_MS)
}

fn proven(changes: Value) -> Result<Principal, TokenRefused> {
    prove(&Issuer::token(changes))
}

#[test]
fn a_good_token_lets_its_user_in_with_its_rights_for_as_long_as_it_lasts() {
    let anna = proven(json!({"scope": "bongsu.read:*/* bongsu.tag:monitoring openid"})).unwrap();
    assert_eq!(&*anna.name, "anna");
    assert!(!anna.administrator);
    assert_eq!(anna.tags, BTreeSet::from([Arc::from("monitoring")]));
    let granted = anna.granted.unwrap();
    assert_eq!(granted.scopes.len(), 1);
    assert_eq!(granted.until_ms, Some((NOW + 60) * 1000 + 30_000));
}

#[test]
fn times_are_bounds() {
    let exp = |exp: i64| proven(json!({ "exp": exp })).map(drop);
    // The clocks may differ by half a minute.
    assert_eq!(exp(NOW - 29), Ok(()));
    assert_eq!(exp(NOW - 30), Err(TokenRefused::Expired));
    let nbf = |nbf: i64| proven(json!({ "nbf": nbf })).map(drop);
    assert_eq!(nbf(NOW + 30), Ok(()));
    assert_eq!(nbf(NOW + 31), Err(TokenRefused::NotYet));
    let iat = |iat: i64| proven(json!({ "iat": iat })).map(drop);
    assert_eq!(iat(NOW + 31), Err(TokenRefused::NotYet));
    for bad in [
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"nbf": []}),
    ] {
        let refused = proven(bad.clone()).map(drop);
        assert!(matches!(refused, Err(TokenRefused::Malformed(_))), "{bad}");
    }
    // Far away is far away, not before.
    assert_eq!(proven(json!({"exp": 1e300})).map(drop), Ok(()));
    assert_eq!(exp(i64::MIN), Err(TokenRefused::Expired));
}

#[test]
fn others_tokens_are_refused() {
    use TokenRefused::{Audience, Issuer as OfIssuer, Nobody};
    for (changes, refused) in [
        (json!({"iss": "https://issuer/"}), OfIssuer),
        (json!({"iss": null}), OfIssuer),
        (json!({"iss": ["https://issuer"]}), OfIssuer),
        (json!({"aud": null}), Audience),
        (json!({"aud": "bongsu2"}), Audience),
        (json!({"aud": ["other"]}), Audience),
        (json!({"aud": {"bongsu": 1}}), Audience),
        (json!({"sub": null}), Nobody),
        (json!({"sub": ""}), Nobody),
        (json!({"sub": "a\u{0}b"}), Nobody),
        (json!({"sub": "x".repeat(256)}), Nobody),
    ] {
        assert_eq!(proven(changes.clone()).map(drop), Err(refused), "{changes}");
    }
    assert!(proven(json!({"aud": "bongsu"})).is_ok());
    assert!(proven(json!({"aud": "other bongsu"})).is_ok());
    assert_eq!(&*proven(json!({"preferred": "bo"})).unwrap().name, "bo");
}

#[test]
fn scopes_stand_where_the_settings_say() {
    let count = |changes: Value| proven(changes).unwrap().granted.unwrap().scopes.len();
    assert_eq!(
        count(json!({"scope": ["bongsu.read:a/b", "bongsu.write:a/b", 7]})),
        2
    );
    assert_eq!(count(json!({"scope": null})), 0);
    assert_eq!(count(json!({"realm": {"roles": ["bongsu.write:*/*"]}})), 2);
    assert_eq!(count(json!({"realm.roles": "bongsu.write:*/*"})), 2);
    let by_audience = json!({"bongsu": "read:a/b write:a/b", "other": ["configure:*/*"]});
    assert_eq!(count(json!({"scope": by_audience})), 2);
    assert_eq!(count(json!({"realm": "bongsu.read:*/*"})), 1);
}

#[test]
fn only_what_a_known_key_has_signed_is_believed() {
    use TokenRefused::{Algorithm, Key, Malformed, Signature};
    let claims = json!({"iss": "https://issuer", "sub": "a", "aud": "bongsu", "exp": NOW + 1});
    let signed = |number: u8, head: Value| Issuer::sign(number, &head, &claims);
    let read = |token: &str| prove(token).map(drop);
    assert_eq!(
        read(&signed(1, json!({"alg": "EdDSA", "kid": "k1"}))),
        Ok(())
    );
    // Whichever it is, if it says none.
    assert_eq!(read(&signed(1, json!({"alg": "EdDSA"}))), Ok(()));
    assert_eq!(
        read(&signed(1, json!({"alg": "EdDSA", "kid": "k0"}))),
        Err(Signature)
    );
    assert_eq!(
        read(&signed(2, json!({"alg": "EdDSA", "kid": "k2"}))),
        Err(Key)
    );
    assert_eq!(read(&signed(2, json!({"alg": "EdDSA"}))), Err(Signature));
    for name in ["none", "None", "HS256", "HS512", "ES512", "", "eddsa"] {
        assert_eq!(
            read(&signed(0, json!({"alg": name, "kid": "k0"}))),
            Err(Algorithm),
            "{name}"
        );
    }
    // A key is not for every algorithm that there is.
    assert_eq!(
        read(&signed(0, json!({"alg": "ES256", "kid": "k0"}))),
        Err(Signature)
    );
    assert_eq!(
        read(&signed(0, json!({"alg": "RS256", "kid": "k0"}))),
        Err(Signature)
    );
    let critical = read(&signed(
        0,
        json!({"alg": "EdDSA", "kid": "k0", "crit": ["b64"]}),
    ));
    assert!(matches!(critical, Err(Malformed(_))));

    let good = Issuer::token(json!({}));
    let (said, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = said.split_once('.').unwrap();
    let other = Issuer::token(json!({"sub": "root"}));
    let other = other.split('.').nth(1).unwrap();
    assert_eq!(read(&format!("{head}.{other}.{signature}")), Err(Signature));
    assert_eq!(read(&format!("{said}.")), Err(Signature));
    for bad in [
        "",
        "..",
        "a.b.c",
        "eyJ.eyJ.x",
        said,
        &format!("{good}.x"),
        &format!("{good}="),
        &format!("e30.{other}.{signature}").replace("e30", "W10"),
        &format!("{}.{other}.{signature}", "e30".repeat(20_000)),
    ] {
        assert!(matches!(read(bad), Err(Malformed(_))), "{bad:.80}");
    }
}

#[test]
fn every_algorithm_is_verified_as_others_sign() {
    let signed: Value = serde_json::from_str(include_str!("signed.json")).unwrap();
    let keys = signed["jwks"].to_string().into_bytes();
    let by = signed["tokens"].as_object().unwrap();
    assert_eq!(by.len(), 9);
    let settings = TokenSettings {
        issuer: None,
        ..settings()
    };
    let source = Sets(vec![keys], Arc::default());
    let tokens = Tokens::new(settings, Box::new(source));
    tokens.read_keys().unwrap();
    for (name, token) in by {
        let token = token.as_str().unwrap();
        let proven = tokens.prove(token, NOW_MS).map(|anna| anna.name);
        assert_eq!(proven, Ok(Arc::from("anna")), "{name}");
        // The same signature, said to be made otherwise.
        for other in by.keys().filter(|other| *other != name) {
            let (_, rest) = token.split_once('.').unwrap();
            let head = Token::read(by[other].as_str().unwrap()).unwrap().key_id;
            let head = URL_SAFE_NO_PAD.encode(json!({"alg": other, "kid": head}).to_string());
            let refused = tokens.prove(&format!("{head}.{rest}"), NOW_MS).map(drop);
            assert_eq!(refused, Err(TokenRefused::Signature), "{name} as {other}");
        }
    }
}

#[test]
fn an_unknown_key_is_asked_for_but_not_all_the_time() {
    let (before, after) = (Issuer::keys(&[1]), Issuer::keys(&[0, 1]));
    let (tokens, reads) = tokens(&[&before, &before, &after]);
    let token = Issuer::token(json!({}));
    let prove = || tokens.prove(&token, NOW_MS).map(drop);
    assert_eq!(prove(), Err(TokenRefused::Key));
    assert_eq!(reads.load(Ordering::Relaxed), 2);
    // It was asked for a moment ago.
    assert_eq!(prove(), Err(TokenRefused::Key));
    assert_eq!(reads.load(Ordering::Relaxed), 2);
    tokens.read_keys().unwrap();
    assert_eq!(prove(), Ok(()));
}

#[test]
fn keys_that_cannot_be_read_leave_those_from_before() {
    let good = Issuer::keys(&[0]);
    let sets: [&[u8]; 5] = [
        &good,
        b"",
        b"{}",
        br#"{"keys": []}"#,
        br#"{"keys": [{"kty": "oct"}]}"#,
    ];
    let (tokens, _) = tokens(&sets);
    for _ in 1..sets.len() {
        tokens.read_keys().unwrap_err();
    }
    assert!(tokens.prove(&Issuer::token(json!({})), NOW_MS).is_ok());
}

#[test]
fn passwords_are_not_taken_for_tokens() {
    let is_one = jwt::looks_like_one;
    assert!(is_one(&Issuer::token(json!({}))));
    for password in ["guest", "a.b.c", "eyJ", "eyJ.x", "eyJ.x.y.z", ""] {
        assert!(!is_one(password), "{password}");
    }
}
