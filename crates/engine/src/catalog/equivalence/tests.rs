//! What a client reads when it declares again with other values.

use super::*;
use crate::catalog::definition::LogDurability;

fn queue(durable: bool, auto_delete: bool, arguments: &[(&str, Value)]) -> QueueDefinition {
    QueueDefinition {
        name: "q".into(),
        durable,
        owner: None,
        auto_delete,
        arguments: arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        log: LogDurability::Memory,
        topic: None,
        part_of: None,
        source: None,
    }
}

fn words(current: &QueueDefinition, requested: &QueueDefinition) -> String {
    match check_queue(current, requested) {
        Ok(()) => "the same".to_owned(),
        Err(Refused::Inequivalent {
            argument,
            requested,
            current,
            ..
        }) => format!("'{argument}': received {requested} but current is {current}"),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn differences_are_worded_as_rabbitmq_words_them() {
    let text = |text: &str| Value::Text(text.to_owned());
    let ttl = |value: Value| queue(true, false, &[("x-message-ttl", value)]);
    let kind = |value: &str| queue(true, false, &[("x-queue-type", text(value))]);
    let plain = || queue(true, false, &[]);
    let rows = [
        (plain(), plain(), "the same"),
        (
            plain(),
            queue(false, true, &[]),
            "'durable': received 'false' but current is 'true'",
        ),
        (
            plain(),
            queue(true, true, &[]),
            "'auto_delete': received 'true' but current is 'false'",
        ),
        (
            plain(),
            ttl(Value::Int(5)),
            "'x-message-ttl': received the value '5' of type 'signedint' but current is none",
        ),
        (
            ttl(Value::Int(5_000_000_000)),
            plain(),
            "'x-message-ttl': received none but current is the value '5000000000' of type 'long'",
        ),
        (
            ttl(Value::Int(5)),
            ttl(Value::Int(6)),
            "'x-message-ttl': received '6' but current is '5'",
        ),
        (ttl(Value::Int(5)), ttl(Value::Time(5)), "the same"),
        (
            ttl(Value::Int(5)),
            ttl(Value::Float(5.0)),
            "'x-message-ttl': received '5.0' but current is '5'",
        ),
        (
            ttl(Value::Int(5)),
            ttl(text("5")),
            "'x-message-ttl': received '5' but current is '5'",
        ),
        (
            ttl(Value::Int(5)),
            ttl(Value::Nothing),
            "'x-message-ttl': received none but current is '5'",
        ),
        (
            ttl(Value::Int(5)),
            ttl(Value::List(vec![
                Value::Int(1),
                text("a"),
                Value::Bool(true),
            ])),
            "'x-message-ttl': received '[{signedint,1},{longstr,<<\"a\">>},{bool,true}]' but \
             current is '5'",
        ),
        (
            ttl(Value::Int(5)),
            ttl(Value::Map(Arguments::from([(
                "k".to_owned(),
                Value::Int(1),
            )]))),
            "'x-message-ttl': received '[{<<\"k\">>,signedint,1}]' but current is '5'",
        ),
        (plain(), kind("classic"), "the same"),
        (kind("classic"), plain(), "the same"),
        (
            plain(),
            kind("quorum"),
            "'x-queue-type': received the value 'quorum' of type 'longstr' but current is none",
        ),
        (
            kind("quorum"),
            kind("classic"),
            "'x-queue-type': received 'classic' but current is 'quorum'",
        ),
        (
            queue(true, false, &[("x-mine", Value::Int(1))]),
            queue(true, false, &[("x-mine", Value::Int(2))]),
            "the same",
        ),
        (
            queue(
                true,
                false,
                &[("x-single-active-consumer", Value::Bool(true))],
            ),
            plain(),
            "'x-single-active-consumer': received none but current is the value 'true' of type \
             'bool'",
        ),
    ];
    for (current, requested, expected) in rows {
        assert_eq!(words(&current, &requested), expected);
    }
}
