//! Logins over the wire, against the engine's users: every mechanism, right and wrong, in
//! order and out of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_engine::Refused;
use bongsu_engine::access::note::Note;
use bongsu_engine::access::scram::{Credential, Mechanism};
use bongsu_engine::access::{Answer, Request, ScramLogin, Users};
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_kafka::{Logins, Session};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ListOffsetsRequest, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

mod harness;

struct World {
    session: Session,
    now: Now,
    users: Users,
    from_loopback: bool,
    scram: Option<ScramLogin>,
    /// Who is in, by the broker.
    user: Option<String>,
    out: Vec<u8>,
    closed: bool,
}

impl World {
    fn new(logins: Logins) -> World {
        let instant = Instant::now();
        let mut users = Users::new();
        for mechanism in [Mechanism::Sha256, Mechanism::Sha512] {
            for user in ["alice", "bob"] {
                let salt = b"salt".to_vec();
                users.apply(Note::SetCredential {
                    user: Arc::from(user),
                    mechanism,
                    credential: Credential::of(mechanism, "secret", salt, 4096),
                });
            }
        }
        World {
            session: Session::new(harness::settings(), 7, instant).with_logins(logins),
            now: Now {
                instant,
                unix_ms: 1_700_000_000_000,
            },
            users,
            from_loopback: true,
            scram: None,
            user: None,
            out: Vec::new(),
            closed: false,
        }
    }

    fn input(&mut self, input: Input<'_>) -> usize {
        let mut effects = Effects::default();
        let used = self.session.handle(input, self.now, &mut effects);
        while let Some(call) = effects.call.take() {
            let reply = Input::Reply(self.answer(call));
            self.session.handle(reply, self.now, &mut effects);
        }
        self.out.append(&mut effects.out);
        self.closed |= effects.close.is_some();
        used
    }

    fn answer(&mut self, call: Call) -> Reply {
        let refused = |refused: Refused| Reply::Refused(refused);
        match call {
            Call::Login { user, password } => {
                match self.users.login(&user, &password, self.from_loopback) {
                    Ok(principal) => {
                        self.user = Some(principal.name.to_string());
                        Reply::Done
                    }
                    Err(error) => refused(error),
                }
            }
            Call::LoginAnonymous => match self.users.anonymous(self.from_loopback) {
                Ok(principal) => {
                    self.user = Some(principal.name.to_string());
                    Reply::Done
                }
                Err(error) => refused(error),
            },
            Call::EnterSpace { .. } => Reply::Done,
            Call::Access(request) => match *request {
                Request::ScramBegin { mechanism, user } => {
                    let begun = self.users.scram_begin(mechanism, &user, self.from_loopback);
                    let (login, salt, iterations) = begun;
                    self.scram = Some(login);
                    let nonce = "server+nonce/".to_owned();
                    Reply::Access(Box::new(Answer::ScramBegun {
                        salt,
                        iterations,
                        nonce,
                    }))
                }
                Request::ScramEnd {
                    auth_message,
                    proof,
                } => {
                    let login = self.scram.take().expect("it has begun");
                    match self.users.scram_end(&login, &auth_message, &proof) {
                        Ok((principal, server_signature)) => {
                            self.user = Some(principal.name.to_string());
                            Reply::Access(Box::new(Answer::ScramEnded { server_signature }))
                        }
                        Err(error) => refused(error),
                    }
                }
                other => panic!("{other:?}"),
            },
            Call::Offsets(_) => Reply::Offsets(Vec::new()),
            other => panic!("{other:?}"),
        }
    }

    fn frame(&mut self, body: &[u8]) {
        let mut frame = (body.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        let mut rest = frame.as_slice();
        while !rest.is_empty() && !self.closed {
            let used = self.input(Input::Bytes(rest));
            rest = &rest[used..];
        }
    }

    fn send<R: Encodable>(&mut self, key: ApiKey, version: i16, request: &R) {
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(7);
        let mut body = BytesMut::new();
        let head_version = key.request_header_version(version);
        header.encode(&mut body, head_version).expect("a header");
        request.encode(&mut body, version).expect("a request");
        self.frame(&body);
    }

    fn receive<R: Decodable>(&mut self, key: ApiKey, version: i16) -> R {
        let mut bytes = Bytes::from(std::mem::take(&mut self.out));
        assert_eq!(bytes.get_i32() as usize, bytes.len(), "one answer");
        let head_version = key.response_header_version(version);
        ResponseHeader::decode(&mut bytes, head_version).expect("a header");
        let response = R::decode(&mut bytes, version).expect("a response");
        assert!(bytes.is_empty());
        response
    }

    fn handshake(&mut self, version: i16, mechanism: &str) -> SaslHandshakeResponse {
        let mechanism = StrBytes::from_string(mechanism.to_owned());
        let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
        self.send(ApiKey::SaslHandshake, version, &request);
        self.receive(ApiKey::SaslHandshake, version)
    }

    /// What is said, and what is answered once nothing more is to be waited for.
    fn say(&mut self, version: i16, said: &[u8]) -> SaslAuthenticateResponse {
        let said = Bytes::copy_from_slice(said);
        let request = SaslAuthenticateRequest::default().with_auth_bytes(said);
        self.send(ApiKey::SaslAuthenticate, version, &request);
        if self.out.is_empty() {
            self.wait();
        }
        self.receive(ApiKey::SaslAuthenticate, version)
    }

    /// Until the session's deadline, and a moment before it: nothing happens.
    fn wait(&mut self) {
        let deadline = self.session.deadline().expect("one");
        assert!(deadline > self.now.instant);
        self.now.instant = deadline - Duration::from_millis(1);
        self.input(Input::Timeout);
        assert!(self.out.is_empty() && !self.closed);
        self.now.instant = deadline;
        self.input(Input::Timeout);
    }

    /// Whether a request that needs a user is answered.
    fn is_served(&mut self) -> bool {
        self.send(ApiKey::ListOffsets, 5, &ListOffsetsRequest::default());
        let answered = !self.out.is_empty();
        self.out.clear();
        assert_eq!(answered, !self.closed);
        answered
    }
}

const REQUIRED: Logins = Logins {
    required: true,
    lifetime: None,
    tokens: false,
};

/// Whether somebody gets in so, and the code otherwise.
fn scram(world: &mut World, mechanism: Mechanism, user: &str, password: &str) -> i16 {
    let first = format!("n={user},r=client");
    let challenge = world.say(2, format!("n,,{first}").as_bytes());
    assert_eq!(challenge.error_code, 0);
    let server = String::from_utf8(challenge.auth_bytes.to_vec()).expect("text");
    let part = |name: &str| {
        let found = server.split(',').find_map(|part| part.strip_prefix(name));
        found.expect("it is there").to_owned()
    };
    let salt = STANDARD.decode(part("s=")).expect("base64");
    let iterations = part("i=").parse().expect("a number");
    let last = format!("c=biws,r={}", part("r="));
    let said = format!("{first},{server},{last}");
    let proof = proof_of(mechanism, password, &salt, iterations, said.as_bytes());
    let end = world.say(2, format!("{last},p={}", STANDARD.encode(proof)).as_bytes());
    if end.error_code == 0 {
        let credential = Credential::of(mechanism, password, salt, iterations);
        let proof = proof_of(
            mechanism,
            password,
            &credential.salt,
            iterations,
            said.as_bytes(),
        );
        let signature = credential.proven(mechanism, said.as_bytes(), &proof);
        let expected = format!("v={}", STANDARD.encode(signature.expect("the same")));
        assert_eq!(
            end.auth_bytes,
            expected.as_bytes(),
            "the broker knows it, too"
        );
    }
    end.error_code
}

/// As a client makes it: of a key that only its password gives.
fn proof_of(
    mechanism: Mechanism,
    password: &str,
    salt: &[u8],
    iterations: u32,
    said: &[u8],
) -> Vec<u8> {
    let salted = mechanism.salted(password, salt, iterations);
    let client_key = mechanism.keyed(&salted, b"Client Key");
    let stored_key = mechanism.hash(&client_key);
    let signature = mechanism.keyed(&stored_key, said);
    client_key
        .iter()
        .zip(&signature)
        .map(|(key, s)| key ^ s)
        .collect()
}

#[test]
fn plain_lets_in_who_knows_the_password() {
    for (said, user) in [
        (&b"\0alice\0secret"[..], Some("alice")),
        (b"alice\0alice\0secret", Some("alice")),
        (b"\0guest\0guest", Some("guest")),
        (b"\0alice\0Secret", None),
        (b"\0nobody\0secret", None),
        (b"bob\0alice\0secret", None),
        (b"\0alice\0secret\0", None),
        (b"\0alice", None),
        (b"\0\0", None),
        (b"\0\xff\0secret", None),
        (b"", None),
    ] {
        let mut world = World::new(REQUIRED);
        let handshake = world.handshake(1, "PLAIN");
        assert_eq!(handshake.error_code, 0);
        let answer = world.say(1, said);
        match user {
            Some(_) => {
                assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
                assert!(world.is_served());
            }
            None => {
                assert_eq!(answer.error_code, 58, "{said:?}");
                let says = answer.error_message.expect("why");
                assert_eq!(says.as_str(), "Authentication failed: invalid credentials");
                assert!(world.closed, "{said:?}");
            }
        }
        assert_eq!(world.user.as_deref(), user, "{said:?}");
    }
}

#[test]
fn scram_lets_in_who_proves_the_password() {
    for (name, mechanism) in [
        ("SCRAM-SHA-256", Mechanism::Sha256),
        ("SCRAM-SHA-512", Mechanism::Sha512),
    ] {
        for (user, password, code) in [
            ("alice", "secret", 0),
            ("alice", "Secret", 58),
            ("nobody", "secret", 58),
            ("guest", "guest", 58),
        ] {
            let mut world = World::new(REQUIRED);
            world.handshake(1, name);
            assert_eq!(
                scram(&mut world, mechanism, user, password),
                code,
                "{name} {user}"
            );
            assert_eq!(world.closed, code != 0);
            assert_eq!(world.user.is_some(), code == 0);
        }
        for said in [&b"n,,n=alice"[..], b"p=x,,n=alice,r=1", b"\xff"] {
            let mut world = World::new(REQUIRED);
            world.handshake(1, name);
            assert_eq!(world.say(2, said).error_code, 58);
            assert!(world.closed);
        }
    }
}

#[test]
fn old_clients_say_it_without_a_header() {
    let mut world = World::new(REQUIRED);
    assert_eq!(world.handshake(0, "PLAIN").error_code, 0);
    world.frame(b"\0alice\0secret");
    assert_eq!(std::mem::take(&mut world.out), [0; 4]);
    assert!(world.is_served());

    let mut world = World::new(REQUIRED);
    world.handshake(0, "PLAIN");
    world.frame(b"\0alice\0wrong");
    assert!(world.out.is_empty() && !world.closed);
    world.wait();
    assert!(
        world.out.is_empty() && world.closed,
        "there is no answer to say it in"
    );
}

#[test]
fn mechanisms_are_told_and_others_refused() {
    let mut world = World::new(REQUIRED);
    let handshake = world.handshake(1, "OAUTHBEARER");
    let offered = handshake.mechanisms.iter().map(|name| name.as_str());
    let offered: Vec<_> = offered.collect();
    assert_eq!(offered, ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    assert_eq!(handshake.error_code, 33);
    assert!(world.closed);
}

#[test]
fn what_is_out_of_order_ends_the_connection() {
    // Nothing before a login, if one is required; ApiVersions always.
    let mut world = World::new(REQUIRED);
    world.send(ApiKey::ApiVersions, 0, &ApiVersionsRequest::default());
    assert!(!world.out.is_empty() && !world.closed);
    world.out.clear();
    assert!(!world.is_served());
    // Nothing else once it has begun.
    let mut world = World::new(Logins::default());
    world.handshake(1, "PLAIN");
    assert!(!world.is_served());
    // No answer before the question.
    let mut world = World::new(REQUIRED);
    assert_eq!(world.say(1, b"\0alice\0secret").error_code, 34);
    assert!(world.closed && world.user.is_none());
    // Two handshakes.
    let mut world = World::new(REQUIRED);
    world.handshake(1, "PLAIN");
    assert_eq!(world.handshake(1, "PLAIN").error_code, 34);
    assert!(world.closed);
}

#[test]
fn who_need_not_log_in_may_and_who_did_not_stays_who_he_is() {
    let mut world = World::new(Logins::default());
    world.handshake(1, "PLAIN");
    assert_eq!(world.say(1, b"\0alice\0secret").error_code, 0);
    assert!(world.is_served());
    assert_eq!(world.user.as_deref(), Some("alice"));

    let mut world = World::new(Logins::default());
    assert!(world.is_served());
    assert_eq!(world.user.as_deref(), Some("guest"));
    assert_eq!(world.handshake(1, "PLAIN").error_code, 34);
    assert!(world.closed);

    let mut world = World::new(Logins::default());
    world.from_loopback = false;
    assert!(!world.is_served());
}

#[test]
fn a_login_ends_unless_it_is_made_again_by_the_same_user() {
    let lifetime = Duration::from_secs(10);
    let logins = Logins {
        required: true,
        lifetime: Some(lifetime),
        tokens: false,
    };
    let logged_in = || {
        let mut world = World::new(logins);
        world.handshake(1, "PLAIN");
        let answer = world.say(1, b"\0alice\0secret");
        assert_eq!(answer.session_lifetime_ms, 10_000);
        world
    };
    let mut world = logged_in();
    world.now.instant += lifetime;
    assert!(world.is_served(), "to the last");
    world.handshake(1, "PLAIN");
    assert_eq!(world.say(1, b"\0alice\0secret").error_code, 0);
    world.now.instant += lifetime;
    assert!(world.is_served());
    world.now.instant += Duration::from_millis(1);
    // Late, and yet in time for nothing but this.
    world.handshake(1, "PLAIN");
    assert_eq!(world.say(1, b"\0alice\0secret").error_code, 0);
    assert!(world.is_served());
    world.now.instant += lifetime + Duration::from_millis(1);
    assert!(!world.is_served());

    for said in [&b"\0bob\0secret"[..], b"\0alice\0wrong"] {
        let mut world = logged_in();
        world.handshake(1, "PLAIN");
        assert_eq!(world.say(1, said).error_code, 58);
        assert!(world.closed);
    }
}

#[test]
fn whoever_was_refused_is_not_heard_again() {
    let mut world = World::new(REQUIRED);
    world.handshake(1, "PLAIN");
    let wrong =
        SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"\0alice\0wrong"));
    world.send(ApiKey::SaslAuthenticate, 1, &wrong);
    assert!(world.out.is_empty());
    let right =
        SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"\0alice\0secret"));
    world.send(ApiKey::SaslAuthenticate, 1, &right);
    assert!(world.out.is_empty() && world.user.is_none());
    world.wait();
    let answer: SaslAuthenticateResponse = world.receive(ApiKey::SaslAuthenticate, 1);
    assert_eq!(answer.error_code, 58);
    assert!(world.closed);
}
