//! One reading of arguments.

use super::*;

fn of(pairs: &[(&str, Value)]) -> Properties {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Properties::of(&owned.collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn no_arguments_are_a_plain_queue() {
    assert_eq!(of(&[]), Properties::default());
    assert!(!of(&[]).judges());
}

#[test]
fn back_off_has_rabbitmqs_defaults() {
    let kind = ("x-delayed-retry-type", text("failed"));
    let min = ("x-delayed-retry-min", Value::Int(100));
    let max = ("x-delayed-retry-max", Value::Int(250));
    assert_eq!(of(std::slice::from_ref(&kind)).retry, None);
    let waits = |pairs: &[(&str, Value)]| {
        let retry = of(pairs).retry.unwrap();
        assert_eq!(retry.after, RetryAfter::Failed);
        [0, 1, 2, 3].map(|tries| retry.delay.after(tries))
    };
    assert_eq!(waits(&[kind.clone(), min.clone()]), [100, 100, 100, 100]);
    assert_eq!(waits(&[kind, min.clone(), max]), [100, 100, 200, 250]);
    let disabled = ("x-delayed-retry-type", text("disabled"));
    assert_eq!(of(&[disabled, min]).retry, None);
    let steps = Value::List(vec![Value::Int(5), Value::Int(50)]);
    assert_eq!(waits(&[("x-retry-delays", steps)]), [5, 5, 50, 50]);
}

#[test]
fn the_size_of_a_stream_is_a_retention() {
    let size = ("x-max-length-bytes", Value::Int(1000));
    let age = ("x-max-age", text("1m"));
    let stream = of(&[("x-queue-type", text("stream")), size.clone(), age.clone()]);
    assert!(stream.is_stream);
    assert_eq!(stream.bytes_max, None);
    let kept = |age_ms, bytes| Some(Retention { age_ms, bytes });
    assert_eq!(stream.retention, kept(Some(60_000), Some(1000)));
    let queue = of(&[size, age]);
    assert_eq!((queue.bytes_max, queue.retention), (Some(1000), None));
    let both = [
        ("x-retention", text("1h")),
        ("x-retention-bytes", Value::Int(9)),
    ];
    assert_eq!(of(&both[..1]).retention, kept(Some(3_600_000), None));
    assert_eq!(of(&both).retention, kept(Some(3_600_000), Some(9)));
}

#[test]
fn doubles_are_told_by_a_header() {
    let on = ("x-message-deduplication", Value::Bool(true));
    let header = |pairs: &[(&str, Value)]| of(pairs).deduplication.unwrap();
    let usual = Deduplication::default();
    assert_eq!(header(std::slice::from_ref(&on)), usual);
    let bounded = header(&[
        on,
        ("x-cache-size", text("10")),
        ("x-cache-ttl", Value::Int(5)),
        ("x-deduplication-header", text("id")),
    ]);
    assert_eq!((bounded.count_max, bounded.keep_ms), (Some(10), Some(5)));
    assert_eq!(bounded.header.as_deref(), Some("id"));
    let off = ("x-message-deduplication", Value::Bool(false));
    assert_eq!(of(&[off]).deduplication, None);
}

#[test]
fn a_limit_of_minus_one_is_none() {
    let limit = |int| of(&[("x-delivery-limit", Value::Int(int))]).delivery_limit;
    assert_eq!([limit(-1), limit(0), limit(3)], [None, Some(0), Some(3)]);
}
