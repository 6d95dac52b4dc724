//! Which policies are taken, and which names they match.

use super::*;

fn policy(pattern: &str, pairs: &[(&str, Value)]) -> Policy {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    Policy {
        name: "p".to_owned(),
        pattern: pattern.to_owned(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: owned.collect(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn settings_are_checked_as_the_arguments_are() {
    let int = Value::Int;
    let rows = [
        ("message-ttl", int(0), None),
        ("message-ttl", int(-1), Some("message-ttl")),
        ("message-ttl", text("5"), Some("message-ttl")),
        ("expires", int(0), Some("expires")),
        ("overflow", text("reject-publish"), None),
        ("overflow", text("spill"), Some("overflow")),
        ("alternate-exchange", text("ae"), None),
        ("alternate-exchange", int(1), Some("alternate-exchange")),
        // Without its exchange: that may be an argument.
        ("dead-letter-routing-key", text("k"), None),
        ("retry-delays", Value::List(vec![int(5)]), None),
        ("retention", text("7D"), None),
        ("max-age", text("7"), Some("max-age")),
        ("x-cache-size", int(5), None),
        ("cache-size", int(0), Some("cache-size")),
        ("ha-mode", text("all"), None),
        ("queue-mode", text("lazy"), None),
        // These decide how a queue was built.
        ("max-priority", int(5), Some("max-priority")),
        ("queue-type", text("stream"), Some("queue-type")),
        ("durability", text("os"), Some("durability")),
        ("pigeons", int(5), Some("pigeons")),
        ("x-pigeons", int(5), Some("x-pigeons")),
        ("delayed-retry-type", text("disabled"), None),
        (
            "delayed-retry-type",
            text("all"),
            Some("delayed-retry-type"),
        ),
    ];
    for (key, value, wrong) in rows {
        let refused = policy("", &[(key, value.clone())]).check().err();
        let about = refused.map(|refused| match refused {
            Refused::InvalidArgument { argument, .. }
            | Refused::ArgumentType { argument, .. }
            | Refused::ArgumentAlone { argument, .. } => argument,
            other => panic!("{other:?}"),
        });
        assert_eq!(about.as_deref(), wrong, "{key} {value:?}");
    }
}

#[test]
fn every_setting_is_an_argument() {
    for key in SETTINGS {
        let name = argument(key);
        assert!(TABLE.iter().any(|row| row.name == name), "{key}");
    }
}

#[test]
fn a_policy_needs_a_name_a_pattern_and_a_setting() {
    let setting = [("expires", Value::Int(5))];
    let mut nameless = policy("", &setting);
    nameless.name.clear();
    let retry = [
        ("delayed-retry-min", Value::Int(5)),
        ("delayed-retry-max", Value::Int(4)),
    ];
    let long = "a".repeat(PATTERN_BYTES_MAX + 1);
    let wrong = [
        (nameless, "name"),
        (policy("(", &setting), "pattern"),
        (policy(&long, &setting), "pattern"),
        (policy(r"(\w{999}){999}", &setting), "pattern"),
        (policy("", &[]), "definition"),
        (policy("", &retry), "delayed-retry-max"),
    ];
    for (policy, about) in wrong {
        let Err(Refused::InvalidArgument { argument, .. }) = policy.check() else {
            panic!("{about} is wrong");
        };
        assert_eq!(argument, about);
    }
}

#[test]
fn patterns_are_found_anywhere_in_a_name() {
    let matches = |pattern: &str, name: &str| {
        let policy = policy(pattern, &[("expires", Value::Int(5))]);
        policy.check().unwrap();
        Compiled::new(&policy).applies(Thing::Classic, name)
    };
    assert!(matches("", "anything"));
    assert!(matches("ord", "my.orders"));
    assert!(!matches("^ord", "my.orders"));
    assert!(matches(r"^(?!amq\.).*", "orders"));
    assert!(!matches(r"^(?!amq\.).*", "amq.gen-x"));
    assert!(matches(r"^([a-z]+)\.\1$", "eu.eu"));
    // It would take years: RabbitMQ gives up too.
    assert!(!matches(r"^(?=(a+)+$)(a|aa)+\1b", &"a".repeat(200)));
}

#[test]
fn a_policy_applies_to_what_it_says() {
    use Thing::{Classic, Exchange, Quorum, Stream};
    let rows = [
        ("all", vec![Exchange, Classic, Quorum, Stream]),
        ("queues", vec![Classic, Quorum, Stream]),
        ("classic_queues", vec![Classic]),
        ("quorum_queues", vec![Quorum]),
        ("streams", vec![Stream]),
        ("exchanges", vec![Exchange]),
    ];
    for (name, things) in rows {
        let mut policy = policy("", &[("max-length-bytes", Value::Int(5))]);
        policy.apply_to = ApplyTo::by_name(name).unwrap();
        for thing in [Exchange, Classic, Quorum, Stream] {
            let applies = Compiled::new(&policy).applies(thing, "q");
            assert_eq!(applies, things.contains(&thing), "{name} {thing:?}");
        }
    }
    // A stream passes over what asks too much of it.
    let expiring = policy("", &[("message-ttl", Value::Int(5))]);
    assert!(!Compiled::new(&expiring).applies(Stream, "s"));
    assert!(Compiled::new(&expiring).applies(Classic, "s"));
}
