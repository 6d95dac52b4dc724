//! Topics of which the last record of each key is kept.

use bongsu_broker::Prepared;
use bongsu_engine::catalog::Configs;
use bongsu_engine::session::records::{Append, AppendRequest, TopicRef};
use bongsu_engine::session::{Call, LinkId, Outcome, Reply};
use bongsu_engine::topic::call::Change;
use bongsu_engine::topic::{Answer, Request};
use bongsu_record::kafka::{Writer, validate};
use bongsu_record::{Messages, Offset};
use bongsu_storage::Compacted;

use super::world::{World, consume, text};

const LIMIT_BYTES: usize = 1 << 20;

fn topic(configs: &[(&str, &str)]) -> World {
    let mut world = World::new(7);
    let all = [("cleanup.policy", "compact"), ("segment.ms", "10000")];
    let all = all.iter().chain(configs);
    let configs: Configs = all
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let create = Request::Change {
        changes: vec![Change::Create {
            name: "t".to_owned(),
            partitions: Some(1),
            configs,
        }],
        only_check: false,
    };
    match world.call(Call::Topic(Box::new(create))) {
        Reply::Topic(answer) => match *answer {
            Answer::Changed(changed) => assert!(changed[0].is_ok(), "{changed:?}"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    world.commit();
    world
}

/// One batch of keys, each with its number as its value; no number, no value.
fn append(world: &mut World, records: &[(&str, Option<u64>)]) {
    let mut writer = Writer::new();
    for (key, number) in records {
        let value = number.map(|number| number.to_string());
        let value = value.as_ref().map(String::as_bytes);
        writer.push(world.now_ms as i64, Some(key.as_bytes()), value, &[]);
    }
    let batch = writer.finish().expect("records");
    let seen = validate(&batch, LIMIT_BYTES).expect("sound");
    let request = AppendRequest {
        appends: vec![Append {
            topic: TopicRef::Name("t".into()),
            partition: 0,
            batch,
            seen,
        }],
        transactional_id: None,
        adds_partitions: false,
        all_replicas: false,
        client: "".into(),
    };
    world.done(Call::Append(Box::new(request)));
    world.commit();
}

/// What a reader is delivered that may hold two records at once: offset, key, value.
fn read(world: &mut World, link: u32) -> Vec<(u64, String, String)> {
    let link = LinkId(link);
    let arguments = [
        ("x-stream-offset", text("first")),
        ("x-stream-until", text("next")),
    ];
    world.done(consume(link, "t", 2, &arguments));
    let mut found = Vec::new();
    let mut deliveries = Vec::new();
    loop {
        deliveries.clear();
        match world.session.prepare(&mut deliveries, 4000) {
            Prepared::Deliver => {
                for delivery in &deliveries {
                    let opened = Messages::open(&delivery.batch, delivery.base, LIMIT_BYTES);
                    let messages = opened.expect("sound");
                    for offset in delivery.records.start.0..delivery.records.end.0 {
                        let message = messages.at(Offset(offset)).expect("only what is there");
                        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                        let key = text(message.key().expect("a key"));
                        found.push((offset, key, text(message.body())));
                    }
                }
                world.session.delivered(&deliveries);
                for delivery in deliveries.clone() {
                    let records = delivery.records.start.0..delivery.records.end.0;
                    world.settle(link, records, Outcome::Accept);
                }
            }
            Prepared::Read(job) => world.session.have_read(job.run()),
            Prepared::Closed(closed) => {
                assert_eq!(closed, link, "at its end");
                return found;
            }
            other => panic!("a reader without room stops here: {other:?}"),
        }
    }
}

fn offsets(world: &mut World, link: u32) -> Vec<u64> {
    let found = read(world, link).into_iter();
    found.map(|(offset, _, _)| offset).collect()
}

fn pass(world: &mut World, ms: u64) -> Vec<Compacted> {
    world.pass(ms);
    world.broker.step_compaction()
}

#[test]
fn the_last_record_of_each_key_stays_and_readers_pass_the_gaps() {
    let mut world = topic(&[("min.cleanable.dirty.ratio", "0.3")]);
    for number in 0..40 {
        let keys = [
            ("a", Some(number)),
            ("b", Some(number)),
            ("c", Some(number)),
        ];
        append(&mut world, &keys[..1 + number as usize % 3]);
    }
    let before = read(&mut world, 1);
    assert_eq!(before.len(), 79);
    // Nothing is sealed yet.
    assert!(pass(&mut world, 9_000).is_empty());
    let done = pass(&mut world, 1_000);
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].dropped_count, done[0].cleaned), (76, Offset(79)));
    let value = |offset, key: &str, number: u64| (offset, key.to_owned(), number.to_string());
    let latest = [value(76, "b", 38), value(77, "c", 38), value(78, "a", 39)];
    assert_eq!(read(&mut world, 2), latest);
    // Offsets go on, and nothing is dirty.
    assert!(pass(&mut world, 60_000).is_empty());
    append(&mut world, &[("b", None)]);
    assert_eq!(offsets(&mut world, 3), [76, 77, 78, 79]);
    world.checkpoint();
    world.crash();
    assert_eq!(offsets(&mut world, 4), [76, 77, 78, 79]);
}

#[test]
fn a_log_is_due_when_enough_of_it_is_dirty_or_too_old() {
    let mut world = topic(&[
        ("min.cleanable.dirty.ratio", "0.6"),
        ("max.compaction.lag.ms", "100000"),
    ]);
    for number in 0..40 {
        append(&mut world, &[(&number.to_string(), Some(number))]);
    }
    assert_eq!(pass(&mut world, 10_000)[0].dropped_count, 0);
    append(&mut world, &[("1", Some(7)), ("2", Some(7))]);
    assert!(pass(&mut world, 10_000).is_empty());
    assert!(pass(&mut world, 89_999).is_empty());
    let done = pass(&mut world, 1);
    assert_eq!(done[0].dropped_count, 2);
}

#[test]
fn what_is_young_is_not_touched() {
    let mut world = topic(&[
        ("min.cleanable.dirty.ratio", "0"),
        ("min.compaction.lag.ms", "50000"),
    ]);
    append(&mut world, &[("a", Some(1)), ("a", Some(2))]);
    assert!(pass(&mut world, 10_000).is_empty());
    append(&mut world, &[("a", Some(3))]);
    assert!(pass(&mut world, 39_999).is_empty());
    let done = pass(&mut world, 1);
    assert_eq!((done[0].dropped_count, done[0].cleaned), (1, Offset(2)));
    assert_eq!(offsets(&mut world, 1), [1, 2]);
    let done = pass(&mut world, 10_000);
    assert_eq!((done[0].dropped_count, done[0].cleaned), (1, Offset(3)));
    assert_eq!(offsets(&mut world, 2), [2]);
}

#[test]
fn a_crash_leaves_the_old_or_the_new() {
    let configs = [
        ("min.cleanable.dirty.ratio", "0"),
        ("delete.retention.ms", "1000"),
    ];
    let mut world = topic(&configs);
    for number in 0..30 {
        append(
            &mut world,
            &[("a", Some(number)), ("b", None), ("c", Some(1))],
        );
    }
    pass(&mut world, 10_000);
    // No checkpoint knows of it.
    world.crash();
    let after = offsets(&mut world, 1);
    assert!(after.len() == 90 || after == [87, 88, 89], "{after:?}");
    pass(&mut world, 10_000);
    assert_eq!(offsets(&mut world, 2), [87, 88, 89]);
    world.checkpoint();
    world.crash();
    assert_eq!(offsets(&mut world, 3), [87, 88, 89]);
    append(&mut world, &[("c", Some(2))]);
    // The tombstone has been there for its time.
    pass(&mut world, 10_000);
    assert_eq!(offsets(&mut world, 4), [87, 90]);
    world.restart();
    assert_eq!(offsets(&mut world, 5), [87, 90]);
}
