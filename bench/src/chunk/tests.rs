use std::time::Duration;

use super::*;
use crate::plan::Schedule;

/// The payloads of all frames of the first two copies.
fn frames(chunk: &Chunk, kind: u8) -> Vec<Vec<u8>> {
    let mut input = wire::Input::new(0);
    let two = chunk.first(2);
    input.space()[..two.len()].copy_from_slice(two);
    input.filled(two.len());
    let mut payloads = Vec::new();
    while let Some(frame) = input.next_frame().unwrap() {
        if frame.kind == kind {
            payloads.push(frame.payload.to_vec());
        }
    }
    payloads
}

fn plan(stamp: Stamp, vary: Vary) -> Plan {
    Plan {
        stamp,
        vary,
        ..Plan::to_queue("q.")
    }
}

#[test]
fn stamps_land_at_the_start_of_each_body() {
    let mut chunk = Chunk::encode(&plan(Stamp::Time, Vary::Nothing));
    chunk.write(1, 7, 0x0102_0304_0506_0708, 9);
    let bodies = frames(&chunk, wire::BODY);
    assert_eq!(bodies[0][..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(bodies[1][..10], [1, 2, 3, 4, 5, 6, 7, 8, 8, 9]);
    assert_eq!(bodies[1].len(), 100);
}

#[test]
fn each_copy_says_what_makes_it_different() {
    let mut chunk = Chunk::encode(&plan(Stamp::None, Vary::Priority { levels: 10 }));
    chunk.write(1, 17, 0, 0);
    let last = |chunk: &Chunk| {
        let headers = frames(chunk, wire::HEADER);
        [*headers[0].last().unwrap(), *headers[1].last().unwrap()]
    };
    assert_eq!(last(&chunk), [0, 7]);

    let mut chunk = Chunk::encode(&plan(Stamp::None, Vary::Queue { count: 10_000 }));
    chunk.write(1, 10_321, 0, 0);
    let published = &frames(&chunk, wire::METHOD)[1];
    let key = b"\x0aq.000321".len();
    assert_eq!(
        &published[published.len() - key - 1..][..key],
        b"\x08q.000321"
    );

    let count = 100_000;
    let mut chunk = Chunk::encode(&plan(Stamp::Number, Vary::Group { count }));
    chunk.write(1, 42, 0, 0);
    let name = digits(group_of(42, count));
    let header = &frames(&chunk, wire::HEADER)[1];
    assert!(header.windows(6).any(|window| window == name.as_bytes()));
    assert_eq!(frames(&chunk, wire::BODY)[1][..8], 42_u64.to_be_bytes());
}

#[test]
fn a_delayed_message_carries_its_delay_and_when_it_is_due() {
    let schedule = Schedule {
        start: 9_000_000_000,
        spread: Duration::from_secs(1),
        jitter: Duration::ZERO,
        count: 1,
    };
    let mut chunk = Chunk::encode(&plan(Stamp::Time, Vary::Delay(schedule)));
    chunk.write(1, 0, 1, 1_000_000_000);
    let header = &frames(&chunk, wire::HEADER)[1];
    let expected = b"\x07x-delayI\x00\x00\x1f\x40";
    assert!(
        header
            .windows(expected.len())
            .any(|window| window == expected)
    );
    let due = &frames(&chunk, wire::BODY)[1][..8];
    assert_eq!(due, 9_000_000_000_u64.to_be_bytes());
}
