use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::kafka::{Records, Writer};
use crate::value::{Arguments, Value};

fn properties() -> Properties<'static> {
    Properties {
        content_type: Some(b"text/plain"),
        content_encoding: Some(b"gzip"),
        priority: Some(5),
        correlation_id: Some(b"c-1"),
        reply_to: Some(b"q"),
        expiration: Some(Duration::from_millis(60_000)),
        message_id: Some(b"m-1"),
        timestamp_s: Some(1_700_000_000),
        message_type: Some(b"order"),
        user_id: Some(b"guest"),
        app_id: Some(b"till"),
    }
}

/// What pika 1.4.4 sends for these properties with `{"a": "b"}` as headers and delivery
/// mode 2, cluster id unset.
const GOLDEN: &[u8] = b"\xff\xf8\
    \x0atext/plain\x04gzip\
    \x00\x00\x00\x08\x01aS\x00\x00\x00\x01b\
    \x02\x05\x03c-1\x01q\x0560000\x03m-1\
    \x00\x00\x00\x00\x65\x53\xf1\x00\
    \x05order\x05guest\x04till";

fn table() -> Arguments {
    Arguments::from([("a".to_owned(), Value::Text("b".to_owned()))])
}

#[test]
fn amqp_block_is_what_clients_send() {
    let mut out = Vec::new();
    amqp091::encode(properties(), table(), true, &mut out);
    assert_eq!(out, GOLDEN);
    let fields = amqp091::read(GOLDEN).expect("sound");
    assert_eq!(fields.properties, properties());
    assert_eq!(fields.delivery_mode, Some(2));
    assert_eq!(fields.headers(), Ok(table()));
}

#[test]
fn cut_amqp_block_is_short_and_a_longer_one_trails() {
    for end in 0..GOLDEN.len() {
        assert_eq!(
            amqp091::read(&GOLDEN[..end]),
            Err(BlockMalformed::Short),
            "{end}"
        );
    }
    let longer = [GOLDEN, b"x"].concat();
    assert_eq!(
        amqp091::read(&longer),
        Err(BlockMalformed::Trailing { bytes: 1 })
    );
}

#[test]
fn second_flags_word_may_say_nothing() {
    assert_eq!(amqp091::read(b"\0\0"), Ok(amqp091::Fields::default()));
    let priority =
        amqp091::read(b"\x08\x01\0\x01\0\0\x07").map(|fields| fields.properties.priority);
    assert_eq!(priority, Ok(Some(7)));
    let refused = |word| Err(BlockMalformed::Flags(word));
    assert_eq!(amqp091::read(b"\0\x01\0\x02"), refused(2));
    assert_eq!(amqp091::read(b"\0\x01\x80\0"), refused(0x8000));
    assert_eq!(amqp091::read(b"\0\x02"), refused(2));
    assert_eq!(amqp091::read(b"\0\x01"), Err(BlockMalformed::Short));
}

#[test]
fn lying_table_is_named_when_it_is_read() {
    let fields = amqp091::read(b"\x20\0\0\0\0\x02\x05a").expect("the table's length fits");
    let refused = BlockMalformed::Table(crate::table::TableMalformed::Short);
    assert_eq!(fields.headers(), Err(refused));
}

#[test]
fn text_too_long_for_amqp_becomes_a_header() {
    let long = vec![b'x'; 256];
    let given = Properties {
        correlation_id: Some(&long),
        reply_to: Some(&long[..255]),
        ..Properties::default()
    };
    let mut out = Vec::new();
    amqp091::encode(given, Arguments::new(), false, &mut out);
    let fields = amqp091::read(&out).expect("sound");
    assert_eq!(fields.properties.correlation_id, None);
    assert_eq!(fields.properties.reply_to, Some(&long[..255]));
    let headers = fields.headers().expect("sound");
    assert_eq!(headers["correlation-id"], Value::Text("x".repeat(256)));
}

#[test]
fn long_header_name_is_cut_between_characters() {
    let headers = Arguments::from([("é".repeat(200), Value::Bool(true))]);
    let mut out = Vec::new();
    amqp091::encode(Properties::default(), headers, false, &mut out);
    let read = amqp091::read(&out)
        .expect("sound")
        .headers()
        .expect("sound");
    assert_eq!(
        read,
        Arguments::from([("é".repeat(127), Value::Bool(true))])
    );
}

fn block(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        pairs::push(name.as_bytes(), value, &mut out).expect("short");
    }
    out
}

#[test]
fn pairs_are_sorted_into_properties_and_headers() {
    let block = block(&[
        ("content-type", b"text/plain"),
        ("priority", b"5"),
        ("expiration", b"60000"),
        ("x", b"first"),
        ("x", b"second"),
        ("content-type", b"text/html"),
        ("bytes", b"\xff"),
    ]);
    let pairs = pairs::read(&block).expect("sound");
    let properties = pairs.properties();
    assert_eq!(properties.content_type, Some(&b"text/plain"[..]));
    assert_eq!(properties.priority, Some(5));
    assert_eq!(properties.expiration, Some(Duration::from_mins(1)));
    let text = |text: &str| Value::Text(text.to_owned());
    let expected = [
        ("bytes".to_owned(), Value::Bytes(vec![0xff])),
        ("content-type".to_owned(), text("text/html")),
        ("x".to_owned(), text("first")),
    ];
    assert_eq!(pairs.headers(), Arguments::from(expected));
}

#[test]
fn value_that_fits_no_property_stays_a_header() {
    for wrong in ["", "high", "-1", "+1", "256", "1.0", " 1"] {
        let block = block(&[("priority", wrong.as_bytes())]);
        let pairs = pairs::read(&block).expect("sound");
        assert_eq!(pairs.properties(), Properties::default(), "{wrong}");
        assert_eq!(pairs.headers()["priority"].as_text(), Some(wrong));
    }
}

#[test]
fn cut_pairs_are_refused() {
    let whole = block(&[("name", b"value"), ("n", b"")]);
    let ends: Vec<usize> = (0..=whole.len())
        .filter(|end| pairs::read(&whole[..*end]).is_ok())
        .collect();
    assert_eq!(ends, [0, 13, 18]);
    let mut out = Vec::new();
    let refused = pairs::push(b"n", &[0; 65_536], &mut out);
    assert_eq!(
        refused,
        Err(pairs::TooLong {
            found_bytes: 65_536
        })
    );
    assert!(out.is_empty());
}

#[test]
fn last_kafka_header_counts_and_null_is_nothing() {
    let pairs: [(&str, Option<&[u8]>); 5] = [
        ("x", Some(b"first")),
        ("x", Some(b"second")),
        ("null", None),
        ("type", None),
        ("type", Some(b"order")),
    ];
    let headers = pairs.map(|(name, value)| crate::kafka::Header {
        name: name.as_bytes(),
        value,
    });
    let mut writer = Writer::new();
    writer.push(0, None, None, &headers);
    let batch = writer.finish().expect("one");
    let records = Records::open(&batch, 0).expect("sound");
    let headers = records.get(0).expect("it").headers;
    assert_eq!(kafka::properties(headers).message_type, Some(&b"order"[..]));
    let expected = [
        ("null".to_owned(), Value::Nothing),
        ("type".to_owned(), Value::Nothing),
        ("x".to_owned(), Value::Text("second".to_owned())),
    ];
    assert_eq!(kafka::headers(headers), Arguments::from(expected));
}

#[test]
fn values_as_text() {
    let check = |value: Value, expected: &str| {
        let text = text_of(&value).map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(text.as_deref(), Some(expected));
    };
    assert_eq!(text_of(&Value::Nothing), None);
    let text = |text: &str| Value::Text(text.to_owned());
    check(text("a \"b\""), "a \"b\"");
    check(Value::Bool(true), "true");
    check(Value::Int(-5), "-5");
    check(Value::Float(1.5), "1.5");
    check(Value::Float(1e300), "1e300");
    check(Value::Float(f64::NAN), "NaN");
    check(Value::Time(7), "7");
    let decimal = |scale, mantissa| Value::Decimal { scale, mantissa };
    check(decimal(0, 314), "314");
    check(decimal(2, 314), "3.14");
    check(decimal(4, 314), "0.0314");
    check(decimal(3, 314), "0.314");
    check(Value::Bytes(b"raw".to_vec()), "raw");
    let bytes = |length| Value::Bytes(b"fire"[..length].to_vec());
    let list = vec![bytes(0), bytes(1), bytes(2), bytes(3), bytes(4)];
    check(Value::List(list), r#"["","Zg==","Zmk=","Zmly","ZmlyZQ=="]"#);
    let map = [
        (
            "a\n".to_owned(),
            Value::List(vec![Value::Nothing, Value::Float(f64::INFINITY)]),
        ),
        (
            "b".to_owned(),
            Value::Map([("\\".to_owned(), text("\"é\""))].into()),
        ),
    ];
    check(
        Value::Map(map.into()),
        r#"{"a\u000a":[null,null],"b":{"\\":"\"é\""}}"#,
    );
}

type Texts = [Option<Vec<u8>>; 8];

fn texts(bytes_max: usize) -> impl Strategy<Value = Texts> {
    let text = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=bytes_max));
    [
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
    ]
}

fn fill<'a>(texts: &'a Texts, numbers: (Option<u8>, Option<u64>, Option<u64>)) -> Properties<'a> {
    let mut properties = Properties {
        priority: numbers.0,
        expiration: numbers.1.map(Duration::from_millis),
        timestamp_s: numbers.2,
        ..Properties::default()
    };
    for ((_, slot), text) in properties.texts().into_iter().zip(texts) {
        *slot = text.as_deref();
    }
    properties
}

proptest! {
    #[test]
    fn amqp_block_survives(
        texts in texts(255),
        numbers: (Option<u8>, Option<u64>, Option<u64>),
        names in proptest::collection::btree_map("[a-z]{0,20}", any::<i64>(), 0..5),
        persistent: bool,
    ) {
        let properties = fill(&texts, numbers);
        let headers: Arguments = names.into_iter().map(|(n, v)| (n, Value::Int(v))).collect();
        let mut out = b"before".to_vec();
        amqp091::encode(properties, headers.clone(), persistent, &mut out);
        let fields = amqp091::read(&out[6..]).expect("sound");
        prop_assert_eq!(fields.properties, properties);
        prop_assert_eq!(fields.headers(), Ok(headers));
        prop_assert_eq!(fields.delivery_mode, Some(if persistent { 2 } else { 1 }));
    }

    #[test]
    fn properties_survive_as_pairs(
        texts in texts(300),
        numbers: (Option<u8>, Option<u64>, Option<u64>),
    ) {
        let properties = fill(&texts, numbers);
        let mut block = Vec::new();
        for (name, value) in properties.pairs() {
            pairs::push(name.as_bytes(), &value, &mut block).expect("short");
        }
        let pairs = pairs::read(&block).expect("sound");
        prop_assert_eq!(pairs.properties(), properties);
        prop_assert_eq!(pairs.headers(), Arguments::new());
    }

    #[test]
    fn noise_never_panics(block in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(fields) = amqp091::read(&block) {
            let _ = fields.headers();
        }
        if let Ok(pairs) = pairs::read(&block) {
            let _ = (pairs.properties(), pairs.headers());
        }
    }
}
