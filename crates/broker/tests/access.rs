//! Users and rules: who gets in, what they may do through any protocol's calls, and that a
//! crash forgets none of it.

use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Limits, SessionHandle};
use bongsu_engine::access::acl::{Acl, AclFilter, Operation, Pattern, Resource};
use bongsu_engine::access::request::{AclRefused, CredentialChange, CredentialRefused, Salted};
use bongsu_engine::access::scram::Mechanism;
use bongsu_engine::access::{Answer, Request, Settings};
use bongsu_engine::catalog::Configs;
use bongsu_engine::group::{self, GroupError};
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::session::{Call, DeclareQueue, Now, Publish, Reply};
use bongsu_engine::topic::call::{Change, Refused as TopicRefused};
use bongsu_engine::transaction::{self, TransactionRefused};
use bongsu_engine::{Refused, topic};
use bongsu_record::Arguments;
use bongsu_record::native::{Builder, Origin};
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

fn open(disk: &SimDisk) -> Broker {
    let disk = Arc::new(disk.clone());
    let options = Options::new("/data");
    let (broker, _) =
        Broker::open(disk, options, Durability::Fsync, Limits::default()).expect("it opens");
    broker.set_time(1_700_000_000_000);
    broker
}

fn call(session: &mut SessionHandle, call: Call) -> Reply {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 1_700_000_000_000,
    };
    let executed = session.execute(call, now);
    executed.into_reply().expect("it does not wait")
}

/// A session of a user, from this machine or another; or why there is none.
fn log_in(
    broker: &Broker,
    (user, password): (&str, &str),
    from_loopback: bool,
) -> Result<SessionHandle, Refused> {
    let mut session = broker.session(from_loopback);
    let (user, password) = (user.to_owned(), password.to_owned());
    if let Reply::Refused(refused) = call(&mut session, Call::Login { user, password }) {
        return Err(refused);
    }
    let space = "/".to_owned();
    match call(&mut session, Call::OpenSpace { space }) {
        Reply::Done => Ok(session),
        other => panic!("{other:?}"),
    }
}

fn guest(broker: &Broker) -> SessionHandle {
    log_in(broker, ("guest", "guest"), true).expect("it is its password")
}

fn ask(session: &mut SessionHandle, request: Request) -> Answer {
    match call(session, Call::Access(Box::new(request))) {
        Reply::Access(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn password(user: &str, password: &str, mechanism: Mechanism) -> Request {
    let salt = b"salt".to_vec();
    let set = Salted {
        salted_password: mechanism.salted(password, &salt, 4096),
        iterations: 4096,
        salt,
    };
    let change = CredentialChange {
        user: user.to_owned(),
        mechanism,
        set: Some(set),
    };
    Request::AlterCredentials {
        changes: vec![change],
    }
}

fn acl(user: &str, operation: Operation, resource: Resource, name: &str) -> Acl {
    Acl {
        resource,
        pattern: Pattern::Literal,
        name: Arc::from(name),
        principal: Arc::from(format!("User:{user}")),
        host: Arc::from("*"),
        operation,
        allowed: true,
    }
}

fn with_alice(disk: &SimDisk, acls: Vec<Acl>) -> Broker {
    let broker = open(disk);
    let mut guest = guest(&broker);
    let altered = ask(&mut guest, password("alice", "secret", Mechanism::Sha256));
    assert_eq!(altered, Answer::Altered(vec![("alice".to_owned(), Ok(()))]));
    let count = acls.len();
    let added = ask(&mut guest, Request::AddAcls(acls));
    assert_eq!(added, Answer::AclsAdded(vec![Ok(()); count]));
    broker.step_commit().expect("committed");
    broker
}

fn closed(broker: &Broker) {
    broker.configure_access(Settings {
        open: false,
        ..Settings::default()
    });
}

#[test]
fn who_may_come_in_survives_a_crash_and_a_checkpoint() {
    for checkpoint in [false, true] {
        let disk = SimDisk::new(1);
        let rule = acl("alice", Operation::Read, Resource::Topic, "orders");
        let broker = with_alice(&disk, vec![rule.clone()]);
        if checkpoint {
            broker.step_checkpoint().expect("taken");
        }
        let mut session = guest(&broker);
        ask(&mut session, password("bob", "safe", Mechanism::Sha512));
        broker.step_commit().expect("committed");
        ask(&mut session, password("eve", "lost", Mechanism::Sha512));
        disk.kill();
        drop((session, broker));
        disk.crash();
        let broker = open(&disk);
        assert!(log_in(&broker, ("alice", "secret"), false).is_ok());
        assert!(log_in(&broker, ("bob", "safe"), false).is_ok());
        for (user, password) in [("alice", "safe"), ("eve", "lost"), ("guest", "guest")] {
            let refused = Refused::Login {
                user: user.to_owned(),
            };
            let login = log_in(&broker, (user, password), false);
            assert_eq!(login.err(), Some(refused), "{user}");
        }
        let all = ask(&mut guest(&broker), Request::ListAcls(AclFilter::default()));
        assert_eq!(all, Answer::Acls(Ok(vec![Arc::new(rule)])));
    }
}

#[test]
fn a_password_is_proven_without_being_said() {
    let disk = SimDisk::new(2);
    let broker = with_alice(&disk, Vec::new());
    let begin = |session: &mut SessionHandle| {
        let request = Request::ScramBegin {
            mechanism: Mechanism::Sha256,
            user: "alice".to_owned(),
        };
        match ask(session, request) {
            Answer::ScramBegun { salt, nonce, .. } => (salt, nonce),
            other => panic!("{other:?}"),
        }
    };
    let mut session = broker.session(false);
    let (salt, nonce) = begin(&mut session);
    assert_eq!(salt, b"salt");
    assert!(nonce.len() == 24 && nonce != begin(&mut session).1);
    let end = Request::ScramEnd {
        auth_message: b"n=alice".to_vec(),
        proof: vec![0; 32],
    };
    // A wrong proof, and one without a beginning.
    for _ in 0..2 {
        let reply = call(&mut session, Call::Access(Box::new(end.clone())));
        assert!(matches!(reply, Reply::Refused(Refused::Login { .. })));
    }
}

#[test]
fn only_administrators_change_who_may_come_in() {
    let disk = SimDisk::new(3);
    let broker = with_alice(&disk, Vec::new());
    let mut alice = log_in(&broker, ("alice", "secret"), false).expect("it is its password");
    let altered = ask(&mut alice, password("guest", "mine", Mechanism::Sha256));
    let denied = Err(CredentialRefused::Access);
    assert_eq!(altered, Answer::Altered(vec![("guest".to_owned(), denied)]));
    let rule = acl("alice", Operation::All, Resource::Cluster, "kafka-cluster");
    let added = ask(&mut alice, Request::AddAcls(vec![rule.clone()]));
    assert_eq!(added, Answer::AclsAdded(vec![Err(AclRefused::Access)]));
    let removed = ask(&mut alice, Request::RemoveAcls(vec![AclFilter::default()]));
    assert_eq!(removed, Answer::AclsRemoved(vec![Err(AclRefused::Access)]));
    // Nobody in particular changes nothing, either.
    let mut nobody = broker.session(true);
    let added = ask(&mut nobody, Request::AddAcls(vec![rule.clone()]));
    assert_eq!(added, Answer::AclsAdded(vec![Err(AclRefused::Access)]));

    let added = ask(&mut guest(&broker), Request::AddAcls(vec![rule]));
    assert_eq!(added, Answer::AclsAdded(vec![Ok(())]));
    let altered = ask(&mut alice, password("bob", "new", Mechanism::Sha256));
    assert_eq!(altered, Answer::Altered(vec![("bob".to_owned(), Ok(()))]));
}

fn declare(session: &mut SessionHandle, name: &str, passive: bool) -> Reply {
    let declare = DeclareQueue {
        name: name.to_owned(),
        passive,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    call(session, Call::DeclareQueue(declare))
}

fn publish(session: &mut SessionHandle, queue: &str) -> Reply {
    let mut builder = Builder::new();
    builder.begin(Origin::Amqp091, 0, b"", queue.as_bytes(), &[0, 0], 1000);
    builder.body(b"body");
    builder.end();
    let publish = Publish {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        more_keys: Vec::new(),
        batch: builder.finish(0).expect("one record"),
    };
    call(session, Call::Publish(publish))
}

#[test]
fn rules_hold_for_queues() {
    let disk = SimDisk::new(4);
    let rules = vec![
        acl("alice", Operation::Write, Resource::Topic, "in"),
        acl("alice", Operation::Alter, Resource::Topic, "own"),
    ];
    let broker = with_alice(&disk, rules);
    closed(&broker);
    let mut guest = guest(&broker);
    for name in ["in", "out"] {
        assert!(matches!(
            declare(&mut guest, name, false),
            Reply::Queue { .. }
        ));
    }
    let mut alice = log_in(&broker, ("alice", "secret"), true).expect("it is its password");
    assert!(matches!(publish(&mut alice, "in"), Reply::Published { .. }));
    let denied = |reply| matches!(reply, Reply::Refused(Refused::Denied { .. }));
    assert!(denied(publish(&mut alice, "out")));
    assert!(denied(declare(&mut alice, "new", false)));
    assert!(matches!(
        declare(&mut alice, "own", false),
        Reply::Queue { .. }
    ));
    assert!(denied(call(
        &mut alice,
        Call::PurgeQueue {
            name: "in".to_owned()
        }
    )));
}

fn created(session: &mut SessionHandle, name: &str) -> Result<(), TopicRefused> {
    let create = Change::Create {
        name: name.to_owned(),
        partitions: Some(1),
        configs: Configs::new(),
    };
    changed(session, create)
}

fn changed(session: &mut SessionHandle, change: Change) -> Result<(), TopicRefused> {
    let request = topic::Request::Change {
        changes: vec![change],
        only_check: false,
    };
    match call(session, Call::Topic(Box::new(request))) {
        Reply::Topic(answer) => match *answer {
            topic::Answer::Changed(mut changed) => changed.remove(0).map(|_| ()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_hold_for_topics_groups_and_transactions() {
    let disk = SimDisk::new(5);
    let rules = vec![
        acl("alice", Operation::Create, Resource::Topic, "mine"),
        acl("alice", Operation::Delete, Resource::Group, "mine"),
        acl("alice", Operation::Read, Resource::Group, "other"),
        acl("alice", Operation::Write, Resource::TransactionalId, "mine"),
    ];
    let broker = with_alice(&disk, rules);
    closed(&broker);
    let mut alice = log_in(&broker, ("alice", "secret"), false).expect("it is its password");
    assert_eq!(created(&mut alice, "mine"), Ok(()));
    assert_eq!(created(&mut alice, "other"), Err(TopicRefused::Access));
    let delete = Change::Delete {
        topic: TopicRef::Name("mine".into()),
    };
    assert_eq!(changed(&mut alice, delete), Err(TopicRefused::Access));

    for (name, expected) in [
        ("mine", GroupError::NotFound),
        ("other", GroupError::Denied),
    ] {
        let one = group::Call::To {
            group: name.to_owned(),
            client: group::Client::default(),
            request: group::Request::Delete,
        };
        match call(&mut alice, Call::Group(Box::new(one))) {
            Reply::Group(answer) => {
                assert_eq!(*answer, group::Answer::Deleted(Err(expected)), "{name}");
            }
            other => panic!("{other:?}"),
        }
        let allowed = name == "mine";
        let init = transaction::Request::Init {
            transactional_id: Some(Arc::from(name)),
            timeout_ms: 1000,
            expected: None,
        };
        match call(&mut alice, Call::Transaction(Box::new(init))) {
            Reply::Transaction(answer) => match *answer {
                transaction::Answer::Initialized(result) => {
                    assert_eq!(result.is_ok(), allowed, "{name}");
                    if !allowed {
                        assert_eq!(result, Err(TransactionRefused::IdDenied));
                    }
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_rule_that_is_gone_holds_no_longer_for_who_is_in() {
    let disk = SimDisk::new(6);
    let rule = acl("alice", Operation::Write, Resource::Topic, "in");
    let broker = with_alice(&disk, vec![rule]);
    closed(&broker);
    let mut guest = guest(&broker);
    declare(&mut guest, "in", false);
    let mut alice = log_in(&broker, ("alice", "secret"), true).expect("it is its password");
    assert!(matches!(publish(&mut alice, "in"), Reply::Published { .. }));
    let removed = ask(&mut guest, Request::RemoveAcls(vec![AclFilter::default()]));
    assert!(matches!(removed, Answer::AclsRemoved(removed) if removed[0].is_ok()));
    assert!(matches!(publish(&mut alice, "in"), Reply::Refused(_)));
}
