//! Deliveries that differ from the plain case: large bodies, and records that other
//! protocols brought.

use bongsu_engine::session::{Delivery, Input, LinkId, Tries};
use bongsu_record::blocks::amqp091;
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Arguments, Batch, Offset, Value, table};

use super::client::said;
use super::world::{Seen, World, shown};
use crate::codec::frame;

fn consuming() -> World {
    let mut world = World::new();
    for words in [
        "header",
        "start-ok",
        "tune-ok 4096",
        "open /",
        "1 open",
        "1 consume q c",
    ] {
        world.read(&said(words));
    }
    world.seen.clear();
    world
}

fn deliver(world: &mut World, batch: Batch) -> Vec<u8> {
    deliver_told(world, batch, None, false)
}

fn deliver_told(
    world: &mut World,
    batch: Batch,
    tries: Option<Tries>,
    tell_offsets: bool,
) -> Vec<u8> {
    let records = Offset(0)..Offset(u64::from(batch.record_count()));
    let (link, base, redelivered) = (LinkId(0), Offset(0), false);
    world.input(Input::Deliver(&[Delivery {
        link,
        batch,
        base,
        records,
        redelivered,
        tries,
        tell_offsets,
    }]));
    match world.seen.pop() {
        Some(Seen::Out(out)) => out,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_body_is_split_at_the_agreed_frame_size() {
    let body: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
    let mut builder = Builder::new();
    builder.begin(Origin::Amqp091, 0, b"", b"q", &[0, 0], body.len() as u64);
    builder.body(&body);
    builder.end();
    let out = deliver(&mut consuming(), builder.finish(0).unwrap());
    let (mut rest, mut joined, mut frames) = (&out[..], Vec::new(), 0);
    while let Some((frame, used)) = frame::scan(rest, 4096).unwrap() {
        assert!(used <= 4096);
        if frame.kind == frame::BODY {
            joined.extend_from_slice(frame.payload);
            frames += 1;
        }
        rest = &rest[used..];
    }
    assert_eq!((joined, frames), (body, 3));
}

#[test]
fn records_of_string_pairs_have_their_properties() {
    let mut pairs = Vec::new();
    for (name, value) in [("content-type", "text/plain"), ("colour", "red")] {
        for text in [name, value] {
            pairs.extend_from_slice(&(text.len() as u16).to_be_bytes());
            pairs.extend_from_slice(text.as_bytes());
        }
    }
    let mut builder = Builder::new();
    builder.begin(Origin::Pairs, 0, b"", b"q", &pairs, 2);
    builder.body(b"hi");
    builder.end();
    let out = deliver(&mut consuming(), builder.finish(0).unwrap());
    let (_, used) = frame::scan(&out, 4096).unwrap().unwrap();
    let (header, _) = frame::scan(&out[used..], 4096).unwrap().unwrap();
    let block = bongsu_record::blocks::amqp091::read(&header.payload[12..]).unwrap();
    assert_eq!(block.properties.content_type, Some(&b"text/plain"[..]));
    let headers = block.headers().unwrap();
    assert_eq!(headers["colour"].as_text(), Some("red"));
}

#[test]
fn contents_of_several_channels_may_be_under_way() {
    let mut world = World::new();
    for words in [
        "header",
        "start-ok",
        "tune-ok 0",
        "open /",
        "1 open",
        "2 open",
        "3 open",
    ] {
        world.read(&said(words));
    }
    // Each lacks its last byte.
    for channel in 1..=3 {
        let mut bytes = Vec::new();
        for (kind, payload) in [
            (frame::METHOD, &[0, 60, 0, 40, 0, 0, 0, 0, 0][..]),
            (
                frame::HEADER,
                &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0],
            ),
            (frame::BODY, &[7; 999]),
        ] {
            frame::write(kind, channel, &mut bytes, |out| {
                out.extend_from_slice(payload)
            });
        }
        world.read(&bytes);
    }
    world.seen.clear();
    let mut last = Vec::new();
    frame::write(frame::BODY, 2, &mut last, |out| out.push(7));
    world.read(&last);
    assert!(
        matches!(&world.seen[..], [Seen::Call(_)]),
        "{:?}",
        world.seen
    );
    assert_eq!(world.carried(), 0);
    world.read(&said("1 close"));
    let answered = match &world.seen[..] {
        [_, Seen::Out(out)] => shown(out),
        other => panic!("{other:?}"),
    };
    // A method in the middle of a content is out of place.
    assert!(answered[0].contains("505"), "{answered:?}");
}

/// Headers of every message in `out`.
fn headers_of(out: &[u8]) -> Vec<Arguments> {
    let mut rest = out;
    let mut all = Vec::new();
    while let Some((frame, used)) = frame::scan(rest, 4096).unwrap() {
        if frame.kind == frame::HEADER {
            let fields = amqp091::read(&frame.payload[12..]).unwrap();
            all.push(fields.headers().unwrap());
        }
        rest = &rest[used..];
    }
    all
}

#[test]
fn consumers_are_told_of_tries_and_offsets_in_headers() {
    let mut builder = Builder::new();
    let mut block = vec![0x20, 0];
    let former = ("x-delivery-count".to_owned(), Value::Int(9));
    let own = ("own".to_owned(), Value::Bool(true));
    table::encode(&Arguments::from([former, own.clone()]), &mut block);
    for (origin, block) in [
        (Origin::Amqp091, &block[..]),
        (Origin::Amqp091, &[0, 0]),
        (Origin::Plain, &[]),
    ] {
        builder.begin(origin, 0, b"", b"q", block, 0);
        builder.end();
    }
    let batch = builder.finish(0).unwrap();
    let tries = Tries {
        acquired: 4,
        failed: 3,
    };
    let out = deliver_told(&mut consuming(), batch.clone(), Some(tries), true);
    let told = |offset| {
        Arguments::from([
            ("x-delivery-count".to_owned(), Value::Int(3)),
            ("x-acquired-count".to_owned(), Value::Int(4)),
            ("x-stream-offset".to_owned(), Value::Int(offset)),
        ])
    };
    let mut first = told(0);
    first.extend([own]);
    assert_eq!(headers_of(&out), [first, told(1), told(2)]);
    let out = deliver(&mut consuming(), batch.clone());
    assert_eq!(headers_of(&out)[0]["x-delivery-count"], Value::Int(9));
    let out = deliver_told(&mut consuming(), batch, None, true);
    let alone = ("x-stream-offset".to_owned(), Value::Int(1));
    assert_eq!(headers_of(&out)[1], Arguments::from([alone]));
}
