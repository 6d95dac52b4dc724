//! Users, permissions and spaces as those who run a broker change them: what holds for
//! clients from then on, also after a crash.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bongsu_broker::operator::Operator;
use bongsu_broker::operator::users::{NewSecrets, UserChange};
use bongsu_broker::{Broker, Limits, SessionHandle};
use bongsu_engine::Refused;
use bongsu_engine::access::{UserLimits, UserRefused};
use bongsu_engine::catalog::{SpaceDefinition, SpaceLimits};
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{
    Binding, Call, DeclareExchange, DeclareQueue, Destination, Now, Publish, Reply,
};
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Arguments, Value};
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn open(disk: &SimDisk) -> Broker {
    let disk = Arc::new(disk.clone());
    let options = Options::new("/data");
    let (broker, _) =
        Broker::open(disk, options, Durability::Fsync, Limits::default()).expect("it opens");
    broker.set_time(1_700_000_000_000);
    broker
}

/// What a future comes to, while what it waits for is committed.
fn done<T>(broker: &Broker, future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                broker.step_commit().expect("committed");
                std::thread::yield_now();
            }
        });
        let result = runtime.block_on(future);
        is_done.store(true, Ordering::Release);
        result
    })
}

fn operator(broker: &Broker, user: &str, password: &str) -> Result<Operator, Refused> {
    done(broker, broker.operator(user, password, HERE))
}

fn guest(broker: &Broker) -> Operator {
    operator(broker, "guest", "guest").expect("it is its password")
}

fn change(broker: &Broker, by: &Operator, change: UserChange) -> Result<bool, UserRefused> {
    done(broker, by.change_user(change))
}

fn call(session: &mut SessionHandle, call: Call) -> Reply {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 1_700_000_000_000,
    };
    let executed = session.execute(call, now);
    executed.into_reply().expect("it does not wait")
}

/// A client's session in a space; or why there is none.
fn client(
    broker: &Broker,
    (user, password): (&str, &str),
    space: &str,
) -> Result<SessionHandle, Refused> {
    let mut session = broker.session(false).from_host(ELSEWHERE);
    let (user, password) = (user.to_owned(), password.to_owned());
    let space = space.to_owned();
    for ask in [Call::Login { user, password }, Call::OpenSpace { space }] {
        if let Reply::Refused(refused) = call(&mut session, ask) {
            return Err(refused);
        }
    }
    Ok(session)
}

fn put(user: &str, secrets: NewSecrets) -> UserChange {
    UserChange::Put {
        user: user.to_owned(),
        secrets,
        tags: BTreeSet::new(),
    }
}

fn permit(user: &str, space: &str, [configure, write, read]: [&str; 3]) -> UserChange {
    UserChange::Permit {
        user: user.to_owned(),
        space: space.to_owned(),
        configure: configure.to_owned(),
        write: write.to_owned(),
        read: read.to_owned(),
    }
}

/// A broker with `ann`, who may do this in `/`.
fn with_ann(disk: &SimDisk, patterns: [&str; 3]) -> Broker {
    let broker = open(disk);
    let by = guest(&broker);
    let password = NewSecrets::Password("secret".to_owned());
    assert_eq!(change(&broker, &by, put("ann", password)), Ok(true));
    assert_eq!(change(&broker, &by, permit("ann", "/", patterns)), Ok(true));
    broker
}

fn declare(name: &str, arguments: Arguments) -> Call {
    Call::DeclareQueue(DeclareQueue {
        name: name.to_owned(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments,
    })
}

fn exchange(name: &str, arguments: Arguments) -> Call {
    Call::DeclareExchange(DeclareExchange {
        name: name.to_owned(),
        exchange_type: "topic".to_owned(),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments,
    })
}

fn bind(queue: &str, source: &str, key: &str) -> Call {
    Call::Bind(Binding {
        source: source.to_owned(),
        destination: Destination::Queue(queue.to_owned()),
        routing_key: key.to_owned(),
        arguments: Arguments::new(),
    })
}

fn publish(exchange: &str, key: &str) -> Call {
    let mut builder = Builder::new();
    let (of, by) = (exchange.as_bytes(), key.as_bytes());
    builder.begin(Origin::Amqp091, 0, of, by, &[0, 0], 1000);
    builder.body(b"body");
    builder.end();
    Call::Publish(Publish {
        exchange: exchange.to_owned(),
        routing_key: key.to_owned(),
        more_keys: Vec::new(),
        batch: builder.finish(0).expect("one record"),
    })
}

/// What it was refused for: the thing's name, or the routing key.
fn denied(reply: Reply) -> Option<String> {
    match reply {
        Reply::Refused(Refused::Denied { name, .. }) => Some(name),
        Reply::Refused(Refused::TopicDenied { routing_key, .. }) => Some(routing_key),
        Reply::Refused(other) => panic!("{other:?}"),
        _ => None,
    }
}

#[test]
fn who_is_made_comes_in_where_it_is_permitted_also_after_a_crash() {
    for checkpoint in [false, true] {
        let disk = SimDisk::new(1);
        let broker = with_ann(&disk, ["", "", ".*"]);
        let by = guest(&broker);
        let limits = UserLimits {
            connections_max: Some(3),
            ..UserLimits::default()
        };
        let user = "ann".to_owned();
        assert_eq!(
            change(&broker, &by, UserChange::Limits { user, limits }),
            Ok(true)
        );
        let guest_goes = UserChange::Delete {
            user: "guest".to_owned(),
        };
        assert_eq!(change(&broker, &by, guest_goes), Ok(true));
        assert!(by.again().is_none());
        if checkpoint {
            broker.step_checkpoint().expect("taken");
        }
        disk.kill();
        drop((by, broker));
        disk.crash();
        let broker = open(&disk);
        // It is not made again because it is not there.
        assert!(operator(&broker, "guest", "guest").is_err());
        assert!(client(&broker, ("ann", "secret"), "/").is_ok());
        assert!(client(&broker, ("ann", "Secret"), "/").is_err());
        assert_eq!(broker.user_limits("ann"), limits);
        let rows = broker.user_rows();
        assert_eq!((rows.len(), &*rows[0].name), (1, "ann"));
        assert_eq!(rows[0].password_hash.0, "argon2id");
        assert_eq!(rows[0].scram.len(), 2);
    }
}

#[test]
fn only_administrators_change_users_and_spaces() {
    let disk = SimDisk::new(2);
    let broker = with_ann(&disk, [".*", ".*", ".*"]);
    let ann = operator(&broker, "ann", "secret").expect("it is its password");
    let refused = change(&broker, &ann, put("eve", NewSecrets::None));
    assert_eq!(refused, Err(UserRefused::Access));
    let space = done(&broker, ann.put_space(SpaceDefinition::named("mine")));
    assert!(matches!(space, Err(Refused::Denied { .. })));
    assert!(done(&broker, ann.delete_space("/")).is_err());
    assert!(ann.may_enter("/") && ann.may_see("/") && !ann.may_enter("mine"));
    // Its tag may be given meanwhile.
    let tags = UserChange::Tags {
        user: "ann".to_owned(),
        tags: BTreeSet::from([Arc::from("administrator")]),
    };
    assert_eq!(change(&broker, &guest(&broker), tags), Ok(true));
    let ann = ann.again().expect("it is there");
    assert!(ann.administers());
    let is_new = done(&broker, ann.put_space(SpaceDefinition::named("mine")));
    assert_eq!(is_new, Ok(true));
    // Who made it may do everything in it.
    assert!(ann.may_enter("mine"));
    assert!(client(&broker, ("ann", "secret"), "mine").is_ok());
}

#[test]
fn permissions_are_rabbitmqs() {
    let disk = SimDisk::new(3);
    let broker = with_ann(&disk, ["^own", "^own|^amq\\.default$", "^own|^amq\\.gen-"]);
    let ann = &mut client(&broker, ("ann", "secret"), "/").expect("it may");
    let none = Arguments::new;
    let to = |argument: &str, name: &str| {
        Arguments::from([(argument.to_owned(), Value::Text(name.to_owned()))])
    };
    assert_eq!(denied(call(ann, declare("own", none()))), None);
    assert_eq!(denied(call(ann, exchange("own.x", none()))), None);
    let cases = [
        (declare("other", none()), Some("other")),
        (exchange("other", none()), Some("other")),
        (
            declare("own.dead", to("x-dead-letter-exchange", "other")),
            Some("other"),
        ),
        (
            declare("own.dead", to("x-dead-letter-exchange", "own.x")),
            None,
        ),
        (
            exchange("own.alt", to("alternate-exchange", "other")),
            Some("other"),
        ),
        (bind("own", "amq.topic", "k"), Some("amq.topic")),
        (bind("own", "own.x", "k"), None),
        (publish("amq.topic", "k"), Some("amq.topic")),
        (publish("own.x", "k"), None),
        // The exchange is what is permitted, whatever queue it leads to.
        (publish("", "other"), None),
        // A name is looked at as it will be known.
        (declare("\nother", none()), Some("other")),
        (
            Call::PurgeQueue {
                name: "other".to_owned(),
            },
            Some("other"),
        ),
        (
            Call::DeleteExchange {
                name: "other".to_owned(),
                if_unused: false,
            },
            Some("other"),
        ),
    ];
    for (ask, expected) in cases {
        let asked = format!("{ask:?}");
        assert_eq!(denied(call(ann, ask)).as_deref(), expected, "{asked}");
    }
    // The broker makes a name up, and then it is a name like any other.
    let reply = call(ann, declare("", none()));
    assert!(denied(reply).is_some_and(|name| name.starts_with("amq.gen-")));
    // What holds is what is permitted now.
    let by = guest(&broker);
    let more = permit("ann", "/", [".*", "", ""]);
    assert_eq!(change(&broker, &by, more), Ok(false));
    assert_eq!(denied(call(ann, declare("other", none()))), None);
    assert_eq!(
        denied(call(ann, publish("own.x", "k"))).as_deref(),
        Some("own.x")
    );
    assert_eq!(denied(call(ann, publish("", "own"))).as_deref(), Some(""));
}

#[test]
fn routing_keys_of_topic_exchanges_are_permitted_apart() {
    let disk = SimDisk::new(4);
    let broker = with_ann(&disk, [".*", ".*", ".*"]);
    let by = guest(&broker);
    for exchange in ["amq.topic", "amq.direct"] {
        let keys = UserChange::PermitKeys {
            user: "ann".to_owned(),
            space: "/".to_owned(),
            exchange: exchange.to_owned(),
            write: "^{username}\\.".to_owned(),
            read: "^all\\.".to_owned(),
        };
        assert_eq!(change(&broker, &by, keys), Ok(true));
    }
    let ann = &mut client(&broker, ("ann", "secret"), "/").expect("it may");
    call(ann, declare("q", Arguments::new()));
    for (ask, expected) in [
        (publish("amq.topic", "ann.1"), None),
        (publish("amq.topic", "bob.1"), Some("bob.1")),
        (bind("q", "amq.topic", "all.#"), None),
        (bind("q", "amq.topic", "ann.#"), Some("ann.#")),
        // Of other exchanges nothing is asked.
        (publish("amq.direct", "bob.1"), None),
        (publish("amq.fanout", "bob.1"), None),
    ] {
        let asked = format!("{ask:?}");
        assert_eq!(denied(call(ann, ask)).as_deref(), expected, "{asked}");
    }
    let all = UserChange::PermitAllKeys {
        user: "ann".to_owned(),
        space: "/".to_owned(),
        exchange: None,
    };
    assert_eq!(change(&broker, &by, all), Ok(true));
    assert_eq!(denied(call(ann, publish("amq.topic", "bob.1"))), None);
}

#[test]
fn spaces_come_and_go_with_all_that_is_in_them() {
    for checkpoint in [false, true] {
        let disk = SimDisk::new(5);
        let broker = with_ann(&disk, ["", "", ""]);
        let by = guest(&broker);
        let shop = SpaceDefinition {
            limits: SpaceLimits {
                queues_max: Some(1),
                ..SpaceLimits::default()
            },
            ..SpaceDefinition::named("shop")
        };
        assert_eq!(done(&broker, by.put_space(shop)), Ok(true));
        let all = permit("ann", "shop", [".*", ".*", ".*"]);
        assert_eq!(change(&broker, &by, all), Ok(true));
        let mut ann = client(&broker, ("ann", "secret"), "shop").expect("it may");
        let ann_asks = &mut ann;
        assert_eq!(denied(call(ann_asks, declare("q", Arguments::new()))), None);
        let full = call(ann_asks, declare("q2", Arguments::new()));
        assert!(matches!(
            full,
            Reply::Refused(Refused::QueueLimit { max: 1, .. })
        ));
        call(ann_asks, publish("", "q"));
        if checkpoint {
            broker.step_checkpoint().expect("taken");
        }
        assert_eq!(done(&broker, by.delete_space("shop")), Ok(()));
        // Who is still in it makes nothing there.
        let late = call(ann_asks, declare("late", Arguments::new()));
        assert!(matches!(late, Reply::Refused(_)));
        disk.kill();
        drop((ann, by, broker));
        disk.crash();
        let broker = open(&disk);
        let gone = Refused::NotFound {
            kind: Kind::Space,
            name: "shop".to_owned(),
        };
        assert_eq!(client(&broker, ("ann", "secret"), "shop").err(), Some(gone));
        assert_eq!(broker.permission_rows(Some("ann"), None).len(), 1);
        // Another of that name is another: nothing that was permitted comes back.
        let by = guest(&broker);
        let again = done(&broker, by.put_space(SpaceDefinition::named("shop")));
        assert_eq!(again, Ok(true));
        let refused = client(&broker, ("ann", "secret"), "shop").err();
        assert!(matches!(refused, Some(Refused::Denied { .. })));
        assert_eq!(
            broker.space_named("shop").map(|row| row.queue_count),
            Some(0)
        );
    }
}

#[test]
fn a_hash_of_rabbitmqs_proves_a_user_and_becomes_a_better_one() {
    let disk = SimDisk::new(6);
    let broker = open(&disk);
    let by = guest(&broker);
    let hash = NewSecrets::Hash {
        algorithm: "rabbit_password_hashing_sha256".to_owned(),
        hash: "qoiqKlkfN9UwsuGGNDNB6KeUionuAUHyjf1m1pg4IYrEYZjy".to_owned(),
    };
    assert_eq!(change(&broker, &by, put("u1", hash)), Ok(true));
    let hashed_by = || broker.user_row("u1").map(|row| row.password_hash.0);
    assert!(operator(&broker, "u1", "p2").is_err());
    assert_eq!(hashed_by(), Some("rabbit_password_hashing_sha256"));
    assert!(operator(&broker, "u1", "p1").is_ok());
    assert_eq!(hashed_by(), Some("argon2id"));
    assert!(operator(&broker, "u1", "p1").is_ok());
    // A proof that was remembered is none for another password.
    let password = NewSecrets::Password("p3".to_owned());
    assert_eq!(change(&broker, &by, put("u1", password)), Ok(false));
    assert!(operator(&broker, "u1", "p1").is_err());
    let bad = NewSecrets::Hash {
        algorithm: "rot13".to_owned(),
        hash: "AAAA".to_owned(),
    };
    let refused = change(&broker, &by, put("u1", bad));
    assert!(matches!(refused, Err(UserRefused::Hash { .. })));
}

#[test]
fn changes_that_cannot_be_are_refused_one_by_one() {
    let disk = SimDisk::new(7);
    let broker = with_ann(&disk, ["", "", ""]);
    let by = guest(&broker);
    let changes = vec![
        permit("nobody", "/", ["", "", ""]),
        permit("ann", "nowhere", ["", "", ""]),
        permit("ann", "/", ["(", "", ""]),
        put("", NewSecrets::None),
        UserChange::Delete {
            user: "nobody".to_owned(),
        },
        put("bob", NewSecrets::None),
    ];
    let results = done(&broker, by.change_users(changes));
    assert!(matches!(
        &results[..],
        [
            Err(UserRefused::NotFound { .. }),
            Err(UserRefused::NoSpace { .. }),
            Err(UserRefused::Pattern {
                which: "configure",
                ..
            }),
            Err(UserRefused::Name { .. }),
            Err(UserRefused::NotFound { .. }),
            Ok(true)
        ]
    ));
}

/// Who guesses learns nothing from the answer, also not of users that there are not.
#[test]
fn a_wrong_password_is_refused_the_same_for_everybody() {
    let disk = SimDisk::new(8);
    let broker = with_ann(&disk, ["", "", ""]);
    for user in ["ann", "nobody", "guest"] {
        let refused = Refused::Login {
            user: user.to_owned(),
        };
        let login = operator(&broker, user, "wrong").err();
        assert_eq!(login, Some(refused));
    }
}
