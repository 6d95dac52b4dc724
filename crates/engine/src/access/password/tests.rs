use super::*;

fn imported(algorithm: &str, hash: &str) -> Password {
    let secrets = Secrets::hashed(algorithm, hash).expect("it is one");
    secrets.password.expect("it is there")
}

#[test]
fn what_is_set_is_proven_by_the_password_and_by_scram() {
    let secrets = Secrets::of("s3cret", &[7; 48]);
    let password = secrets.password.as_ref().unwrap();
    assert!(
        matches!(password, Password::Argon2id(phc) if phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"))
    );
    assert!(password.is_of("alice", "s3cret"));
    assert!(!password.is_of("alice", "s3cre"));
    assert!(!password.is_outdated() && !password.is_quick());
    for (mechanism, credential) in &secrets.scram {
        assert!(credential.is_of(*mechanism, "s3cret"));
        assert_eq!(credential.salt, [7; 16]);
    }
    assert_eq!(secrets.scram.len(), 2);
}

/// Made by RabbitMQ 3.10.8.
#[test]
fn rabbitmqs_hashes_are_proven() {
    let hash = "qoiqKlkfN9UwsuGGNDNB6KeUionuAUHyjf1m1pg4IYrEYZjy";
    for algorithm in ["", "rabbit_password_hashing_sha256"] {
        let password = imported(algorithm, hash);
        assert!(password.is_of("u1", "p1") && !password.is_of("u1", "p2"));
        assert!(password.is_outdated());
        assert_eq!(
            password.told(),
            ("rabbit_password_hashing_sha256", hash.to_owned())
        );
    }
    for hash in [ImportedHash::Sha512, ImportedHash::Md5] {
        let bytes = [&[1, 2, 3, 4][..], &hash.hash(&[1, 2, 3, 4], "pw")].concat();
        let password = imported(hash.name(), &STANDARD.encode(bytes));
        assert!(password.is_of("u", "pw") && !password.is_of("u", "pv"));
    }
    let told = rabbit_hash("p1", [0xaa, 0x88, 0xaa, 0x2a]);
    assert_eq!(told, hash);
}

#[test]
fn hashes_that_are_none_are_refused() {
    for (algorithm, hash) in [
        ("", "not base64!"),
        ("", "AAAA"),
        ("rabbit_password_hashing_sha1", "AAAA"),
        (
            "argon2id",
            "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        ),
        (
            "argon2id",
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA",
        ),
        // It would take a gigabyte to prove.
        (
            "argon2id",
            "$argon2id$v=19$m=1048576,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        ("argon2id", "x"),
    ] {
        assert_eq!(Secrets::hashed(algorithm, hash), None, "{algorithm} {hash}");
    }
    assert_eq!(Secrets::hashed("", ""), Some(Secrets::default()));
}

#[test]
fn passwords_are_kept_as_text() {
    let hash = "qoiqKlkfN9UwsuGGNDNB6KeUionuAUHyjf1m1pg4IYrEYZjy";
    let phc = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (password, text) in [
        (Password::Usual, "usual".to_owned()),
        (Password::Scram, "scram".to_owned()),
        (imported("argon2id", phc), phc.to_owned()),
        (
            imported("", hash),
            format!("rabbit_password_hashing_sha256:{hash}"),
        ),
    ] {
        assert_eq!(String::from(password.clone()), text);
        assert_eq!(Password::try_from(text), Ok(password));
    }
    assert!(Password::try_from("plain".to_owned()).is_err());
}
