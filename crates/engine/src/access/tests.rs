use super::acl::{AclFilter, Pattern, PatternFilter};
use super::may::Asking;
use super::note::Note;
use super::request::{AclRefused, CredentialChange, CredentialRefused, Salted};
use super::scram::{Credential, Mechanism};
use super::*;
use crate::refused::{Kind, Permission, Refused};
use crate::router::SpaceId;
use acl::{Operation, Resource};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn asking(user: &Principal) -> Asking<'_> {
    Asking {
        user,
        host: "10.0.0.1",
        space: SpaceId::DEFAULT,
        space_name: "/",
    }
}

#[test]
fn guest_comes_in_from_loopback_with_the_password() {
    let users = Users::new();
    let guest = users.login("guest", "guest", true).unwrap();
    assert_eq!(&*guest.name, "guest");
    let all = users.check(asking(&guest), Permission::Configure, Kind::Queue, "q");
    assert_eq!(all, Ok(()));
    assert_eq!(users.anonymous(true), Ok(guest));
    assert!(users.anonymous(false).is_err());
    for (user, password, from_loopback) in [
        ("guest", "guest", false),
        ("guest", "guess", true),
        ("guest", "", true),
        ("guest", "guest ", true),
        ("", "", true),
        ("Guest", "guest", true),
    ] {
        let refused = Refused::Login {
            user: user.to_owned(),
        };
        let login = users.login(user, password, from_loopback);
        assert_eq!(login, Err(refused), "{user} {password}");
    }
}

/// RFC 7677, section 3.
#[test]
fn scram_is_the_rfcs() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let credential = Credential::of(Mechanism::Sha256, "pencil", salt, 4096);
    let auth_message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let proof = STANDARD
        .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        .unwrap();
    let signature = credential.proven(Mechanism::Sha256, auth_message.as_bytes(), &proof);
    let expected = STANDARD
        .decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        .unwrap();
    assert_eq!(signature, Some(expected));
    for (message, proof) in [
        (&auth_message[1..], &proof[..]),
        (auth_message, &proof[1..]),
        (auth_message, &[0; 32]),
    ] {
        let proven = credential.proven(Mechanism::Sha256, message.as_bytes(), proof);
        assert_eq!(proven, None);
    }
}

fn with_user(name: &str, password: &str, mechanism: Mechanism) -> Users {
    let mut users = Users::new();
    let credential = Credential::of(mechanism, password, b"salt".to_vec(), 4096);
    users.apply(Note::SetCredential {
        user: Arc::from(name),
        mechanism,
        credential,
    });
    users
}

#[test]
fn a_password_is_checked_against_what_is_kept_of_it() {
    for mechanism in [Mechanism::Sha256, Mechanism::Sha512] {
        let users = with_user("alice", "secret", mechanism);
        let alice = users.login("alice", "secret", false).unwrap();
        assert_eq!((&*alice.name, alice.administrator), ("alice", false));
        assert!(users.login("alice", "Secret", false).is_err());
        assert!(users.login("alice", "", true).is_err());
    }
}

#[test]
fn guest_with_a_password_of_its_own_has_no_other_and_stays_here() {
    let users = with_user("guest", "better", Mechanism::Sha512);
    assert!(users.login("guest", "guest", true).is_err());
    assert!(users.login("guest", "better", false).is_err());
    assert!(
        users
            .login("guest", "better", true)
            .unwrap()
            .is(ADMINISTRATOR)
    );
}

#[test]
fn who_does_not_exist_is_told_a_salt_as_well_and_always_the_same() {
    let mut users = with_user("alice", "secret", Mechanism::Sha256);
    users.configure(Settings::default(), [7; 32]);
    let (login, salt, iterations) = users.scram_begin(Mechanism::Sha256, "bob", true);
    let (_, again, _) = users.scram_begin(Mechanism::Sha256, "bob", true);
    let (_, other, _) = users.scram_begin(Mechanism::Sha256, "eve", true);
    assert_eq!((&salt, iterations), (&again, 4096));
    assert_ne!(salt, other);
    assert!(users.scram_end(&login, b"n=bob", &[0; 32]).is_err());
}

#[test]
fn guest_does_not_come_from_elsewhere_by_scram_either() {
    let users = with_user("guest", "better", Mechanism::Sha256);
    for (from_loopback, comes_in) in [(true, true), (false, false)] {
        let (login, salt, iterations) =
            users.scram_begin(Mechanism::Sha256, "guest", from_loopback);
        let proof = proof_of("better", salt, iterations, b"all that was said");
        let end = users.scram_end(&login, b"all that was said", &proof);
        assert_eq!(end.is_ok(), comes_in);
    }
}

/// As a client makes it.
fn proof_of(password: &str, salt: Vec<u8>, iterations: u32, auth_message: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, Mac};
    use sha2::{Digest, Sha256};
    let hmac = |key: &[u8], bytes: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(bytes);
        mac.finalize().into_bytes().to_vec()
    };
    let mut round = hmac(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = round.clone();
    for _ in 1..iterations {
        round = hmac(password.as_bytes(), &round);
        salted
            .iter_mut()
            .zip(&round)
            .for_each(|(all, one)| *all ^= one);
    }
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(&Sha256::digest(&client_key), auth_message);
    client_key
        .iter()
        .zip(&signature)
        .map(|(key, s)| key ^ s)
        .collect()
}

fn change(user: &str, mechanism: Mechanism, iterations: i64) -> CredentialChange {
    CredentialChange {
        user: user.to_owned(),
        mechanism,
        set: Some(Salted {
            salt: b"salt".to_vec(),
            iterations,
            salted_password: vec![1; mechanism.hash_bytes()],
        }),
    }
}

fn removal(user: &str, mechanism: Mechanism) -> CredentialChange {
    CredentialChange {
        set: None,
        ..change(user, mechanism, 0)
    }
}

fn altered(
    users: &mut Users,
    changes: Vec<CredentialChange>,
) -> Vec<Result<(), CredentialRefused>> {
    let mut notes = Vec::new();
    let results = users.alter_credentials(changes, &mut notes);
    notes.into_iter().for_each(|note| users.apply(note));
    results.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn credentials_are_set_told_and_removed() {
    use Mechanism::{Sha256, Sha512};
    let mut users = Users::new();
    let set = vec![
        change("alice", Sha256, 4096),
        change("bob", Sha512, 8192),
        change("alice", Sha512, 16384),
    ];
    assert_eq!(altered(&mut users, set), [Ok(()), Ok(())]);
    let all = users.credentials(None);
    let alice = (
        "alice".to_owned(),
        Ok(vec![(Sha256, 4096), (Sha512, 16384)]),
    );
    let bob = ("bob".to_owned(), Ok(vec![(Sha512, 8192)]));
    assert_eq!(all, [alice.clone(), bob]);
    let wanted = ["eve", "alice", "bob", "bob"].map(str::to_owned);
    let some = users.credentials(Some(&wanted));
    let eve = ("eve".to_owned(), Err(CredentialRefused::NotFound));
    let twice = ("bob".to_owned(), Err(CredentialRefused::Duplicate));
    assert_eq!(some, [eve, alice, twice]);

    let removed = altered(
        &mut users,
        vec![removal("alice", Sha256), removal("bob", Sha256)],
    );
    assert_eq!(removed, [Ok(()), Err(CredentialRefused::NotFound)]);
    assert_eq!(
        altered(&mut users, vec![removal("alice", Sha512)]),
        [Ok(())]
    );
    assert_eq!(users.credentials(None).len(), 1);
}

#[test]
fn credentials_that_cannot_be_are_refused() {
    use Mechanism::Sha256;
    let mut users = Users::new();
    let mut short = change("alice", Sha256, 4096);
    short.set.as_mut().unwrap().salted_password.pop();
    let mut unsalted = change("alice", Sha256, 4096);
    unsalted.set.as_mut().unwrap().salt.clear();
    for (changes, refused) in [
        (vec![change("", Sha256, 4096)], CredentialRefused::Name),
        (
            vec![change("a", Sha256, 4095)],
            CredentialRefused::FewIterations,
        ),
        (
            vec![change("a", Sha256, -1)],
            CredentialRefused::FewIterations,
        ),
        (
            vec![change("a", Sha256, 16385)],
            CredentialRefused::ManyIterations,
        ),
        (vec![short], CredentialRefused::Malformed),
        (vec![unsalted], CredentialRefused::Malformed),
        (
            vec![change("a", Sha256, 4096), removal("a", Sha256)],
            CredentialRefused::Duplicate,
        ),
    ] {
        assert_eq!(altered(&mut users, changes), [Err(refused)]);
    }
    assert!(users.credentials(None).is_empty());
}

fn acl(line: &str) -> Acl {
    let words: Vec<&str> = line.split(' ').collect();
    let json = format!(
        r#"{{"allowed":{},"principal":"{}","host":"{}","operation":"{}","resource":"{}","pattern":"{}","name":"{}"}}"#,
        words[0] == "allow",
        words[1],
        words[2],
        words[3],
        words[4],
        words[5],
        words[6]
    );
    serde_json::from_str(&json).unwrap()
}

fn ruled(lines: &[&str], open: bool) -> Users {
    let mut users = Users::new();
    let settings = Settings {
        open,
        ..Settings::default()
    };
    users.configure(settings, [0; 32]);
    for name in ["alice", "bob", "eve", "mal", "zoe", "nobody"] {
        users.apply(Note::SetCredential {
            user: Arc::from(name),
            mechanism: Mechanism::Sha256,
            credential: Credential::of(Mechanism::Sha256, "secret", b"salt".to_vec(), 1),
        });
    }
    let mut notes = Vec::new();
    let rules = lines.iter().map(|line| acl(line)).collect();
    let added = users.add_acls(rules, &mut notes);
    assert!(added.iter().all(Result::is_ok));
    notes.into_iter().for_each(|note| users.apply(note));
    users
}

fn may(users: &Users, user: &str, operation: Operation, name: &str) -> bool {
    let user = users.principal(user);
    users.may(asking(&user), operation, Resource::Topic, name)
}

#[test]
fn rules_allow_and_deny() {
    use Operation::{Alter, Describe, DescribeConfigs, Read, Write};
    let users = ruled(
        &[
            "allow User:alice * read topic literal orders",
            "allow User:* * describe topic literal orders",
            "deny User:bob * all topic prefixed ord",
            "allow User:eve 10.0.0.1 write topic prefixed ord",
            "allow User:mal 10.0.0.2 write topic prefixed ord",
            "allow User:zoe * alter_configs topic literal *",
        ],
        false,
    );
    for (user, operation, name, expected) in [
        ("alice", Read, "orders", true),
        ("alice", Describe, "orders", true),
        ("alice", Write, "orders", false),
        ("alice", Read, "orders2", false),
        ("bob", Describe, "orders", false),
        ("bob", Read, "ordnung", false),
        ("eve", Write, "ordnung", true),
        ("mal", Write, "ordnung", false),
        ("nobody", Describe, "orders", true),
        ("zoe", DescribeConfigs, "anything", true),
        ("zoe", Describe, "anything", false),
        ("zoe", Alter, "anything", false),
        ("guest", Alter, "orders", true),
    ] {
        assert_eq!(
            may(&users, user, operation, name),
            expected,
            "{user} {operation:?} {name}"
        );
    }
}

#[test]
fn what_no_rule_is_about_is_open_or_closed_as_it_is_set_but_access_itself_is_closed() {
    for open in [true, false] {
        let users = ruled(&["allow User:alice * read topic literal orders"], open);
        let alice = users.principal("alice");
        assert_eq!(may(&users, "alice", Operation::Write, "other"), open);
        assert!(!may(&users, "bob", Operation::Read, "orders"));
        let group = users.may(asking(&alice), Operation::Read, Resource::Group, "orders");
        assert_eq!(group, open);
        assert_eq!(users.may_all(asking(&alice), Operation::Describe), open);
        assert!(!users.may_all(asking(&alice), Operation::Alter));
        assert!(users.may_all(asking(&users.principal("guest")), Operation::Alter));
    }
    let users = ruled(
        &["allow User:alice * alter cluster literal kafka-cluster"],
        false,
    );
    assert!(users.may_all(asking(&users.principal("alice")), Operation::Alter));
}

#[test]
fn filters_mean_rules() {
    let users = ruled(
        &[
            "allow User:alice * read topic literal orders",
            "allow User:alice * read topic literal *",
            "allow User:bob * write topic prefixed ord",
            "deny User:bob * write group literal orders",
        ],
        true,
    );
    let named = |pattern| AclFilter {
        resource: Some(Resource::Topic),
        name: Some("orders".to_owned()),
        pattern,
        ..AclFilter::default()
    };
    assert_eq!(users.acls(&AclFilter::default()).len(), 4);
    assert_eq!(users.acls(&named(PatternFilter::Any)).len(), 1);
    assert_eq!(users.acls(&named(PatternFilter::Match)).len(), 3);
    assert_eq!(
        users
            .acls(&named(PatternFilter::Only(Pattern::Literal)))
            .len(),
        1
    );
    assert_eq!(
        users
            .acls(&named(PatternFilter::Only(Pattern::Prefixed)))
            .len(),
        0
    );
    let denied = AclFilter {
        allowed: Some(false),
        ..AclFilter::default()
    };
    assert_eq!(users.acls(&denied).len(), 1);
    let of_bob = AclFilter {
        principal: Some("User:bob".to_owned()),
        ..AclFilter::default()
    };
    let mut notes = Vec::new();
    let removed = users.remove_acls(&[of_bob, denied], &mut notes);
    // Told twice, removed once.
    assert_eq!((removed[0].len(), removed[1].len(), notes.len()), (2, 1, 2));
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let users = Users::new();
    for line in [
        "allow alice * read topic literal orders",
        "allow User: * read topic literal orders",
        "allow User:alice * read topic literal ",
        "allow User:alice  read topic literal orders",
        "allow User:alice * read cluster literal other",
    ] {
        let mut notes = Vec::new();
        let added = users.add_acls(vec![acl(line)], &mut notes);
        assert_eq!(added, [Err(AclRefused::Malformed)], "{line}");
        assert!(notes.is_empty());
    }
}

/// What data directories contain.
#[test]
fn notes_are_lines() {
    let credential = Credential {
        salt: b"salt".to_vec(),
        iterations: 4096,
        stored_key: b"stored".to_vec(),
        server_key: b"server".to_vec(),
    };
    let (user, mechanism) = (Arc::from("alice"), Mechanism::Sha256);
    let notes = [
        Note::SetCredential {
            user,
            mechanism,
            credential,
        },
        Note::AddAcl(acl("allow User:alice * read topic literal orders")),
    ];
    let golden = concat!(
        r#"{"set_credential":{"user":"alice","mechanism":"SCRAM-SHA-256","credential":"#,
        r#"{"salt":"c2FsdA==","iterations":4096,"stored_key":"c3RvcmVk","server_key":"c2VydmVy"}}}"#,
        "\n",
        r#"{"add_acl":{"resource":"topic","pattern":"literal","name":"orders","#,
        r#""principal":"User:alice","host":"*","operation":"read","allowed":true}}"#,
        "\n",
    );
    let mut lines = Vec::new();
    notes.iter().for_each(|note| note.encode(&mut lines));
    assert_eq!(std::str::from_utf8(&lines), Ok(golden));

    let mut users = Users::new();
    users.replay(golden.as_bytes()).unwrap();
    users.replay(golden.as_bytes()).unwrap();
    let mut again = Vec::new();
    users.encode(&mut again);
    assert_eq!(again, golden.as_bytes());
    users
        .replay(
            br#"{"remove_credential":{"user":"alice","mechanism":"SCRAM-SHA-256"}}
{"remove_acl":{"resource":"topic","pattern":"literal","name":"orders","principal":"User:alice","host":"*","operation":"read","allowed":true}}"#,
        )
        .unwrap();
    again.clear();
    users.encode(&mut again);
    assert!(again.is_empty());
    assert!(users.replay(b"{\"add_user\":1}").is_err());
}
