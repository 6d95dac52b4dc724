use proptest::prelude::*;

use super::*;
use crate::batch::Batch;
use crate::id::Offset;
use crate::native::{Builder, Origin};
use crate::value::Arguments;

/// What RabbitMQ 3.10.8 made of messages that pika published: block in, publish and
/// death, block out.
const OBSERVED: &str = include_str!("observed.txt");

fn batch(origin: Origin, exchange: &str, routing_key: &str, block: &[u8]) -> Batch {
    let mut builder = Builder::new();
    builder.begin(
        origin,
        0,
        exchange.as_bytes(),
        routing_key.as_bytes(),
        block,
        2,
    );
    builder.body(b"hi");
    builder.end();
    builder.finish(1_000).expect("one record")
}

fn message(batch: &Batch) -> Message<'_> {
    Message::native(
        batch.native_record(0).expect("one record"),
        Offset(0),
        1_000,
    )
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .map(|digit| (digit as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn reason(name: &str) -> Reason {
    let all = [
        Reason::Rejected,
        Reason::Expired,
        Reason::MaxLen,
        Reason::DeliveryLimit,
    ];
    all.into_iter()
        .find(|reason| reason.name() == name)
        .expect("a reason")
}

/// The block without what RabbitMQ writes only from 3.13 on.
fn without_last_death(block: &[u8]) -> Vec<u8> {
    let parts = amqp091::split(block).expect("own block");
    let mut out = Vec::new();
    amqp091::join(&parts, &mut out, |out| {
        for field in parts.fields().map(Result::unwrap) {
            if !LAST_DEATH.contains(&field.name) {
                table::put_field(field, out);
            }
        }
        Ok::<(), ()>(())
    })
    .expect("nothing refuses");
    out
}

fn headers(block: &[u8]) -> Arguments {
    amqp091::read(block)
        .expect("a block")
        .headers()
        .expect("a table")
}

#[test]
fn blocks_are_rabbitmqs_byte_for_byte() {
    let mut count = 0;
    for case in OBSERVED
        .split("\n\n")
        .filter(|case| !case.trim().is_empty())
    {
        let lines: Vec<&str> = case.trim().lines().collect();
        let [name, block, from, out] = lines[..] else {
            panic!("not four lines: {case}");
        };
        let from: Vec<&str> = from.split(' ').collect();
        let ["from", exchange, routing_key, queue, why, time_s, own_key] = from[..] else {
            panic!("not a publish and a death: {from:?}");
        };
        let block = bytes(block.strip_prefix("in ").unwrap());
        let batch = batch(Origin::Amqp091, exchange, routing_key, &block);
        let message = message(&batch);
        let death = Death {
            queue,
            reason: reason(why),
            exchange: message.exchange(),
            routing_keys: &routing_keys(&message).expect("a block"),
            time_s: time_s.parse().unwrap(),
            has_own_key: own_key != "-",
        };
        let after = block_after(&message, &death).expect("a block");
        let expected = bytes(out.strip_prefix("out ").unwrap());
        assert_eq!(
            headers(&without_last_death(&after)),
            headers(&expected),
            "{name}"
        );
        assert_eq!(without_last_death(&after), expected, "{name}");
        let last = headers(&after);
        assert_eq!(last["x-last-death-queue"].as_text(), Some(queue), "{name}");
        assert_eq!(last["x-last-death-reason"].as_text(), Some(why), "{name}");
        assert_eq!(
            last["x-last-death-exchange"].as_text(),
            Some(exchange),
            "{name}"
        );
        assert_eq!(amqp091::read(&after).unwrap().properties.expiration, None);
        count += 1;
    }
    assert!(count >= 16, "only {count} cases were read");
}

/// One death after another, as (queue, reason).
fn after_deaths(deaths: &[(&str, Reason)]) -> Vec<u8> {
    let mut block = b"\0\0".to_vec();
    for (time_s, (queue, reason)) in deaths.iter().enumerate() {
        let batch = batch(Origin::Amqp091, "", queue, &block);
        let death = Death {
            queue,
            reason: *reason,
            exchange: b"",
            routing_keys: &[queue.as_bytes()],
            time_s: time_s as u64,
            has_own_key: true,
        };
        block = block_after(&message(&batch), &death).expect("a block");
    }
    block
}

#[test]
fn deaths_are_in_order_of_the_last_and_counted_by_queue_and_reason() {
    let block = after_deaths(&[
        ("a", Reason::Rejected),
        ("b", Reason::Expired),
        ("c", Reason::MaxLen),
        ("a", Reason::Expired),
        ("b", Reason::Expired),
        ("a", Reason::DeliveryLimit),
    ]);
    let headers = headers(&block);
    let Value::List(deaths) = &headers["x-death"] else {
        panic!("x-death is an array");
    };
    let shown: Vec<_> = deaths
        .iter()
        .map(|death| {
            let Value::Map(death) = death else {
                panic!("a death is a table");
            };
            let text = |name| death[name].as_text().unwrap();
            let time = &death["time"];
            format!(
                "{} {} {:?} {time:?}",
                text("queue"),
                text("reason"),
                death["count"]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a delivery_limit Int(1) Time(5)",
            "b expired Int(2) Time(1)",
            "a expired Int(1) Time(3)",
            "c maxlen Int(1) Time(2)",
            "a rejected Int(1) Time(0)",
        ]
    );
    assert_eq!(headers["x-first-death-reason"].as_text(), Some("rejected"));
    assert_eq!(
        headers["x-last-death-reason"].as_text(),
        Some("delivery_limit")
    );
}

#[test]
fn a_way_round_that_nobody_ends_is_a_cycle() {
    let automatic = after_deaths(&[("a", Reason::Expired), ("b", Reason::MaxLen)]);
    assert!(cycles(&automatic, "a") && cycles(&automatic, "b") && !cycles(&automatic, "c"));
    let rejected_last = after_deaths(&[("a", Reason::Expired), ("b", Reason::Rejected)]);
    assert!(!cycles(&rejected_last, "a") && !cycles(&rejected_last, "b"));
    let rejected_before = after_deaths(&[("b", Reason::Rejected), ("a", Reason::Expired)]);
    assert!(cycles(&rejected_before, "a") && !cycles(&rejected_before, "b"));
    // Expired there once, rejected there later: the rejection counts.
    let both = after_deaths(&[
        ("a", Reason::Expired),
        ("a", Reason::Rejected),
        ("b", Reason::Expired),
    ]);
    assert!(!cycles(&both, "a") && cycles(&both, "b"));
    assert!(!cycles(b"\0\0", "a") && !cycles(b"", "a"));
}

#[test]
fn what_no_broker_wrote_is_no_cycle() {
    let with = |x_death: Value| amqp091::with_headers(b"\0\0", &[("x-death", &x_death)]).unwrap();
    assert!(!cycles(&with(Value::Text("a".to_owned())), "a"));
    let expired = Value::Map(Arguments::from([
        ("queue".to_owned(), Value::Text("a".to_owned())),
        ("reason".to_owned(), Value::Text("expired".to_owned())),
    ]));
    assert!(cycles(&with(Value::List(vec![expired.clone()])), "a"));
    assert!(!cycles(
        &with(Value::List(vec![Value::Int(1), expired])),
        "a"
    ));
}

#[test]
fn a_message_of_another_protocol_dies_too() {
    let mut block = Vec::new();
    crate::blocks::pairs::push(b"tenant", b"t1", &mut block).unwrap();
    crate::blocks::pairs::push(b"expiration", b"9", &mut block).unwrap();
    for (origin, block) in [(Origin::Pairs, &block[..]), (Origin::Plain, &[])] {
        let batch = batch(origin, "ex", "rk", block);
        let message = message(&batch);
        assert_eq!(routing_keys(&message), Ok(vec![&b"rk"[..]]));
        let death = Death {
            queue: "q",
            reason: Reason::Expired,
            exchange: b"ex",
            routing_keys: &[b"rk"],
            time_s: 7,
            has_own_key: false,
        };
        let after = block_after(&message, &death).expect("a block");
        let headers = headers(&after);
        assert_eq!(headers.contains_key("tenant"), origin == Origin::Pairs);
        assert_eq!(headers["x-first-death-queue"].as_text(), Some("q"));
        assert_eq!(amqp091::read(&after).unwrap().properties.expiration, None);
    }
}

#[test]
fn a_malformed_block_does_not_die() {
    let death = Death {
        queue: "q",
        reason: Reason::Expired,
        exchange: b"",
        routing_keys: &[],
        time_s: 0,
        has_own_key: false,
    };
    let block = after_deaths(&[("a", Reason::Rejected)]);
    for length in 0..block.len() {
        let batch = batch(Origin::Amqp091, "", "rk", &block[..length]);
        assert!(
            block_after(&message(&batch), &death).is_err(),
            "{length} bytes"
        );
        assert!(routing_keys(&message(&batch)).is_err(), "{length} bytes");
    }
    // The array of deaths is cut, and nothing else.
    let cut = b"\x20\0\0\0\0\x0f\x07x-deathA\0\0\0\x02F\0";
    let batch = batch(Origin::Amqp091, "", "rk", cut);
    assert_eq!(
        block_after(&message(&batch), &death),
        Err(BlockMalformed::Table(TableMalformed::Short))
    );
    assert!(!cycles(cut, "q"));
}

proptest! {
    /// Whatever a client puts into x-death is refused or stays a block, with the new death
    /// in front.
    #[test]
    fn any_history_is_refused_or_continued(
        letter in prop::sample::select(b"AFSVl".to_vec()),
        entry in prop::collection::vec(any::<u8>(), 0..40),
        in_table in any::<bool>(),
    ) {
        let mut x_death = entry;
        if in_table {
            let length = u32::try_from(x_death.len()).unwrap().to_be_bytes();
            x_death.splice(0..0, [&b"F"[..], &length].concat());
        }
        let mut block = b"\x20\0\0\0\0\0\x07x-death".to_vec();
        block.push(letter);
        block.extend_from_slice(&u32::try_from(x_death.len()).unwrap().to_be_bytes());
        block.extend_from_slice(&x_death);
        table::patch_length(&mut block, 2);
        let batch = batch(Origin::Amqp091, "", "rk", &block);
        let death = Death {
            queue: "q",
            reason: Reason::Expired,
            exchange: b"",
            routing_keys: &[],
            time_s: 0,
            has_own_key: false,
        };
        if let Ok(after) = block_after(&message(&batch), &death) {
            prop_assert!(cycles(&after, "q"));
            prop_assert!(amqp091::read(&after).is_ok());
        }
    }
}

#[test]
fn a_message_that_is_sent_back_has_no_history() {
    let headers = Arguments::from([
        ("x-first-death-custom".to_owned(), Value::Int(7)),
        ("kind".to_owned(), Value::Text("a".to_owned())),
    ]);
    let mut block = Vec::new();
    amqp091::encode(Default::default(), headers.clone(), true, &mut block);
    let alive = batch(Origin::Amqp091, "x", "k", &block);
    let death = Death {
        queue: "q",
        reason: Reason::Rejected,
        exchange: b"x",
        routing_keys: &[b"k"],
        time_s: 1,
        has_own_key: false,
    };
    let known = block_after(&message(&alive), &death).expect("a block");
    let dead = batch(Origin::Amqp091, "", "dead", &known);
    block = block_before(&message(&dead)).expect("a block");
    let back = batch(Origin::Amqp091, "x", "k", &block);
    let mut expected = headers;
    expected.insert(REDRIVE_COUNT.to_owned(), Value::Int(1));
    assert_eq!(message(&back).headers(), Ok(expected.clone()));
    // It dies and is sent back once more.
    let known = block_after(&message(&back), &death).expect("a block");
    let dead = batch(Origin::Amqp091, "", "dead", &known);
    block = block_before(&message(&dead)).expect("a block");
    let back = batch(Origin::Amqp091, "x", "k", &block);
    expected.insert(REDRIVE_COUNT.to_owned(), Value::Int(2));
    assert_eq!(message(&back).headers(), Ok(expected));
}
