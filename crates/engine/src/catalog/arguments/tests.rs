//! What is accepted of whom.

use std::collections::BTreeSet;

use super::*;
use crate::catalog::definition::{LogDurability, Owner};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn arguments(pairs: &[(&str, Value)]) -> Arguments {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    owned.collect()
}

/// What is wrong, in short; `fits` if nothing is.
fn verdict(place: Place, pairs: &[(&str, Value)]) -> String {
    match check(place, &arguments(pairs)) {
        Ok(()) => "fits".to_owned(),
        Err(Refused::ArgumentType {
            argument, found, ..
        }) => format!("{argument} is {found}"),
        Err(Refused::InvalidArgument {
            argument, value, ..
        }) => format!("{argument}: {value}"),
        Err(Refused::ArgumentAlone { argument, needs }) => format!("{argument} needs {needs}"),
        Err(Refused::ArgumentsExclude { one, other }) => format!("{one} or {other}"),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_row_is_there_once_and_looks_at_its_value() {
    let mut seen = BTreeSet::new();
    for row in TABLE {
        let known = seen.insert((row.place as u8, row.name));
        assert!(known, "{} twice", row.name);
        let wrong = verdict(row.place, &[(row.name, Value::Nothing)]);
        match row.accepted {
            Accepted::Anything => assert_eq!(wrong, "fits"),
            Accepted::StreamOffset => assert_eq!(wrong, format!("{}: undefined", row.name)),
            _ => assert_eq!(wrong, format!("{} is void", row.name)),
        }
    }
    let unknown = [("x-anything", Value::Nothing)];
    assert_eq!(verdict(Place::Queue, &unknown), "fits");
}

#[test]
fn values_are_bounded_as_rabbitmq_bounds_them() {
    let int = Value::Int;
    let list = |delays: &[i64]| Value::List(delays.iter().map(|ms| Value::Int(*ms)).collect());
    let rows = [
        ("x-max-priority", int(0), "fits"),
        ("x-max-priority", int(255), "fits"),
        ("x-max-priority", int(256), "x-max-priority: 256"),
        ("x-message-ttl", int(0), "fits"),
        ("x-message-ttl", int(-1), "x-message-ttl: -1"),
        ("x-message-ttl", int(315_360_000_000), "fits"),
        (
            "x-message-ttl",
            int(315_360_000_001),
            "x-message-ttl: 315360000001",
        ),
        ("x-message-ttl", text("5"), "x-message-ttl is longstr"),
        (
            "x-message-ttl",
            Value::Time(5),
            "x-message-ttl is timestamp",
        ),
        ("x-expires", int(0), "x-expires: 0"),
        ("x-expires", int(1), "fits"),
        ("x-delivery-limit", int(-1), "fits"),
        ("x-delivery-limit", int(-2), "x-delivery-limit: -2"),
        ("x-overflow", text("reject-publish-dlx"), "fits"),
        ("x-overflow", text("spill"), "x-overflow: spill"),
        ("x-dead-letter-strategy", text("at-least-once"), "fits"),
        ("x-queue-version", int(3), "x-queue-version: 3"),
        ("x-max-age", text("7D"), "fits"),
        ("x-max-age", text("7"), "x-max-age: 7"),
        ("x-max-age", text("0s"), "x-max-age: 0s"),
        ("x-max-age", text("D"), "x-max-age: D"),
        ("x-delayed-retry-type", text("disabled"), "fits"),
        ("x-delayed-retry-min", int(0), "x-delayed-retry-min: 0"),
        ("x-retry-delays", list(&[0, 1_000, 60_000]), "fits"),
        ("x-retry-delays", list(&[]), "x-retry-delays: []"),
        (
            "x-retry-delays",
            list(&[-1]),
            "x-retry-delays: [{signedint,-1}]",
        ),
        ("x-retry-delays", int(1), "x-retry-delays is signedint"),
        ("x-cache-size", text("100"), "fits"),
        ("x-cache-size", text("many"), "x-cache-size: many"),
        ("x-cache-size", int(0), "x-cache-size: 0"),
        (
            "x-dead-letter-routing-key",
            text("k"),
            "x-dead-letter-routing-key needs x-dead-letter-exchange",
        ),
        ("x-mine", Value::Float(f64::INFINITY), "x-mine: inf"),
    ];
    for (name, value, expected) in rows {
        assert_eq!(verdict(Place::Queue, &[(name, value)]), expected);
    }
    let both = [("x-group-key", text("k")), ("x-fair-key", text("k"))];
    assert_eq!(verdict(Place::Queue, &both), "x-group-key or x-fair-key");
}

#[test]
fn consumers_say_where_they_begin() {
    let texts = |texts: &[&str]| Value::List(texts.iter().map(|word| text(word)).collect());
    let rows = [
        ("x-stream-offset", text("first"), "fits"),
        ("x-stream-offset", text("1h"), "fits"),
        ("x-stream-offset", text("middle"), "x-stream-offset: middle"),
        ("x-stream-offset", Value::Int(0), "fits"),
        ("x-stream-offset", Value::Int(-1), "fits"),
        ("x-stream-until", text("next"), "fits"),
        ("x-stream-until", text("1d"), "x-stream-until: 1d"),
        ("x-stream-offset", Value::Time(1_700_000_000), "fits"),
        ("x-stream-filter", text("eu"), "fits"),
        ("x-stream-filter", texts(&["eu", "us"]), "fits"),
        (
            "x-stream-filter",
            Value::Int(1),
            "x-stream-filter is signedint",
        ),
        ("x-priority", Value::Int(-5), "fits"),
        ("x-cancel-on-ha-failover", Value::Bool(true), "fits"),
    ];
    for (name, value, expected) in rows {
        assert_eq!(verdict(Place::Consumer, &[(name, value)]), expected);
    }
}

#[test]
fn streams_are_durable_and_everybodys() {
    let stream = |durable, owner, auto_delete, more: &[(&str, Value)]| {
        let mut pairs = vec![(QUEUE_TYPE, text("stream"))];
        pairs.extend_from_slice(more);
        check_queue(&QueueDefinition {
            name: "s".into(),
            durable,
            owner,
            auto_delete,
            arguments: arguments(&pairs),
            log: LogDurability::Fsync,
            topic: None,
            part_of: None,
            source: None,
        })
    };
    let property = |property| {
        let queue = "s".to_owned();
        Err(Refused::StreamProperty { queue, property })
    };
    let not_for = |argument: &str| {
        let argument = argument.to_owned();
        Err(Refused::NotForStreams { argument })
    };
    assert_eq!(stream(true, None, false, &[]), Ok(()));
    assert_eq!(stream(false, None, false, &[]), property("non-durable"));
    assert_eq!(
        stream(false, Some(Owner(1)), false, &[]),
        property("exclusive-owner")
    );
    assert_eq!(stream(false, None, true, &[]), property("auto-delete"));
    let taken = [
        ("x-max-age", text("7D")),
        ("x-max-length-bytes", Value::Int(1)),
        ("x-queue-leader-locator", text("balanced")),
        ("x-stream-max-segment-size-bytes", Value::Int(100_000)),
        ("x-durability", text("os")),
        ("x-mine", Value::Int(1)),
    ];
    assert_eq!(stream(true, None, false, &taken), Ok(()));
    let ttl = [("x-message-ttl", Value::Int(1))];
    assert_eq!(stream(false, None, false, &ttl), not_for("x-message-ttl"));
}
