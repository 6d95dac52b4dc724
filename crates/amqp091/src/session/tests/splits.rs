//! How bytes are cut into reads makes no difference but to how much is gathered.

use std::collections::BTreeMap;

use bongsu_engine::session::{Call, Publish};
use proptest::prelude::*;

use super::client::said;
use super::world::{Seen, World, shown, told};
use crate::codec::frame;
use crate::codec::method::Method;

/// What a conversation came to, whatever was gathered: confirmed tags, published and settled
/// records one by one, and everything else, in order for each channel.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    confirmed: BTreeMap<u16, u64>,
    published: Vec<String>,
    settled: BTreeMap<String, Vec<u64>>,
    frames: BTreeMap<u16, Vec<String>>,
    calls: Vec<String>,
}

fn sum(seen: &[Seen]) -> Sum {
    let mut sum = Sum::default();
    for seen in seen {
        match seen {
            // How many are refused at once depends on how many were gathered.
            Seen::Call(Call::Publish(publish)) if publish.exchange == "missing" => {}
            Seen::Call(Call::Publish(publish)) => {
                sum.published.extend(records(publish));
            }
            Seen::Call(Call::Commit { publishes, settles }) => {
                let publishes = publishes.iter().flat_map(records);
                sum.calls
                    .extend(publishes.map(|record| format!("commit {record}")));
                let settles = settles.iter();
                sum.calls
                    .extend(settles.map(|settle| format!("commit {settle:?}")));
            }
            Seen::Call(Call::Settle(bongsu_engine::session::Settle {
                link,
                ranges,
                outcome,
            })) => {
                let offsets = sum
                    .settled
                    .entry(format!("{link:?} {outcome:?}"))
                    .or_default();
                for range in ranges {
                    offsets.extend(range.start.0..range.end.0);
                }
            }
            Seen::Out(out) => {
                let mut rest = &out[..];
                while let Ok(Some((frame, used))) = frame::scan(rest, 1 << 20) {
                    match Method::decode(frame.payload) {
                        Ok(Method::BasicAck { delivery_tag, .. })
                            if frame.kind == frame::METHOD =>
                        {
                            let last = sum.confirmed.insert(frame.channel, delivery_tag);
                            assert!(last < Some(delivery_tag));
                        }
                        method => {
                            // Its tags begin again.
                            if let Ok(Method::ChannelOpenOk { .. }) = method {
                                sum.confirmed.remove(&frame.channel);
                            }
                            let frames = sum.frames.entry(frame.channel).or_default();
                            frames.extend(shown(&rest[..used]));
                        }
                    }
                    rest = &rest[used..];
                }
                assert!(rest.is_empty());
            }
            other => sum.calls.extend(told(other)),
        }
    }
    sum.calls.sort();
    sum
}

fn records(publish: &Publish) -> Vec<String> {
    let records = publish
        .batch
        .native_records(0..publish.batch.record_count());
    records
        .map(|record| format!("{} {record:?}", publish.exchange))
        .collect()
}

/// A conversation: the lines chosen by number.
fn conversation(choices: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in BEGIN {
        bytes.extend(said(line));
    }
    for choice in choices {
        bytes.extend(said(LINES[choice % LINES.len()]));
    }
    bytes
}

fn whole(bytes: &[u8]) -> Sum {
    let mut world = World::new();
    world.read(bytes);
    sum(&world.seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn reads_may_be_cut_anywhere(
        choices in proptest::collection::vec(any::<usize>(), 0..40),
        cuts in proptest::collection::vec(0usize..1000, 0..30),
    ) {
        let bytes = conversation(&choices);
        let mut world = World::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (read, later) = rest.split_at((cut * cut / 500).min(rest.len()));
            world.read(read);
            rest = later;
        }
        world.read(rest);
        prop_assert_eq!(sum(&world.seen), whole(&bytes));
    }
}

#[test]
fn single_bytes_come_to_the_same() {
    let choices: Vec<usize> = (0..LINES.len()).collect();
    let bytes = conversation(&choices);
    let mut world = World::new();
    for byte in &bytes {
        world.read(&[*byte]);
    }
    assert_eq!(sum(&world.seen), whole(&bytes));
}

const BEGIN: &[&str] = &[
    "header",
    "start-ok",
    "tune-ok 4096",
    "open /",
    "1 open",
    "2 open",
    "2 confirm",
    "1 declare q",
    "3 open",
    "3 tx-select",
];

/// Lines after which the conversation goes on, and some that end a channel.
pub(super) const LINES: &[&str] = &[
    "1 publish logs a one",
    "1 publish logs a two persistent",
    "1 publish logs b three",
    "2 publish logs a four",
    "2 publish logs durable five",
    "2 publish nowhere a six mandatory",
    "2 publish logs a seven",
    "1 get q",
    "1 get q",
    "1 ack 1",
    "1 ack 2",
    "1 ack 0 multiple",
    "1 nack 0 multiple requeue",
    "1 recover requeue",
    "beat",
    "1 declare r",
    "1 qos 5",
    "1 qos 5 global",
    "1 bind q logs key",
    "2 publish missing a lost",
    "2 close-ok",
    "2 open",
    "2 confirm",
    "3 publish logs a eight",
    "3 publish logs a nine",
    "3 publish nowhere a ten mandatory",
    "3 get q",
    "3 get q",
    "3 ack 0 multiple",
    "3 nack 0 multiple requeue",
    "3 recover requeue",
    "3 tx-commit",
    "3 tx-rollback",
    "1 consume amq.rabbitmq.reply-to r no-ack",
    "1 publish logs a eleven reply-to=amq.rabbitmq.reply-to",
    "1 cancel r",
    "1 close-ok",
    "1 open",
    "2 publish logs a twelve cc=b expiration=60",
];
