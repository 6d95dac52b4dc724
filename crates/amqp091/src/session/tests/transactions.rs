//! What a connection's transactions may gather.

use super::client::said;
use super::world::{Seen, World, told};
use crate::codec::frame;
use crate::codec::method::Method;

fn in_tx() -> World {
    let mut world = World::new();
    for words in [
        "header",
        "start-ok",
        "tune-ok 4096",
        "open /",
        "1 open",
        "2 open",
    ] {
        world.read(&said(words));
    }
    world.read(&said("1 tx-select"));
    world.read(&said("2 tx-select"));
    world.seen.clear();
    world
}

/// Publishes so many messages of so many zero bytes, a thousand in a read.
fn publish(world: &mut World, channel: u16, count: usize, body_bytes: usize) {
    let mut one = Vec::new();
    Method::BasicPublish {
        ticket: 0,
        exchange: "logs",
        routing_key: "a",
        bits: 0,
    }
    .write(channel, &mut one);
    frame::write(frame::HEADER, channel, &mut one, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        out.extend_from_slice(&(body_bytes as u64).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    });
    if body_bytes > 0 {
        let body = vec![0; body_bytes];
        frame::write(frame::BODY, channel, &mut one, |out| {
            out.extend_from_slice(&body)
        });
    }
    let mut left = count;
    while left > 0 {
        let now = left.min(1000);
        world.read(&one.repeat(now));
        left -= now;
    }
}

fn last_words(world: &World) -> String {
    let mut seen = world.seen.iter().rev();
    let last = seen.find(|seen| matches!(seen, Seen::Out(_)));
    told(last.expect("an answer")).pop().unwrap()
}

#[test]
fn messages_are_counted_over_all_channels_until_they_are_committed() {
    let mut world = in_tx();
    let most = 1 << 18;
    publish(&mut world, 1, most - 1, 0);
    publish(&mut world, 2, 1, 0);
    assert!(world.seen.is_empty());
    world.read(&said("1 tx-commit"));
    publish(&mut world, 1, most - 1, 0);
    publish(&mut world, 2, 1, 0);
    let text = "transactions of 262145 messages and acknowledgements are larger than max count \
                262144";
    assert_eq!(
        last_words(&world),
        format!(
            "2 ChannelClose {{ code: 406, text: \"PRECONDITION_FAILED - {text}\", class: 60, \
             method: 40 }}"
        )
    );
    // What the closed channel held is free again.
    let before = world.seen.len();
    publish(&mut world, 1, 1, 0);
    assert_eq!(world.seen.len(), before);
    world.read(&said("1 tx-rollback"));
    publish(&mut world, 1, most, 0);
    assert_eq!(last_words(&world), "1 TxRollbackOk");
}

#[test]
fn bytes_are_counted_with_headers() {
    let mut world = in_tx();
    // 998 bytes of body and 2 of block.
    let most = (64 << 20) / 1000;
    publish(&mut world, 1, most, 998);
    assert!(world.seen.is_empty());
    publish(&mut world, 1, 1, 998);
    let bytes = (most + 1) * 1000;
    let text = format!("transactions of {bytes} bytes are larger than max size 67108864");
    assert_eq!(
        last_words(&world),
        format!(
            "1 ChannelClose {{ code: 406, text: \"PRECONDITION_FAILED - {text}\", class: 60, \
             method: 40 }}"
        )
    );
}
