//! Streams as topics: made, grown, trimmed and told of, whatever the disk does meanwhile.

use bongsu_broker::topics::TopicSettings;
use bongsu_engine::Refused as QueueRefused;
use bongsu_engine::catalog::Configs;
use bongsu_engine::session::{Call, LinkId, Reply};
use bongsu_engine::topic::call::{Change, Changed, Refused, TopicRef};
use bongsu_engine::topic::request::{EpochEnd, Info};
use bongsu_engine::topic::{Answer, Request};
use bongsu_record::Offset;

use super::world::{World, text};

fn ask(world: &mut World, request: Request) -> Answer {
    match world.call(Call::Topic(Box::new(request))) {
        Reply::Topic(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn change(world: &mut World, changes: Vec<Change>) -> Vec<Result<Changed, Refused>> {
    let only_check = false;
    match ask(
        world,
        Request::Change {
            changes,
            only_check,
        },
    ) {
        Answer::Changed(changed) => changed,
        other => panic!("{other:?}"),
    }
}

fn create(name: &str, partitions: u32) -> Change {
    Change::Create {
        name: name.to_owned(),
        partitions: Some(partitions),
        configs: Configs::new(),
    }
}

fn by_name(name: &str) -> TopicRef {
    TopicRef::Name(name.into())
}

fn topics(world: &mut World, which: Option<&[&str]>, create: bool) -> Vec<Result<Info, Refused>> {
    let which = which.map(|names| names.iter().map(|name| by_name(name)).collect());
    match ask(world, Request::Topics { which, create }) {
        Answer::Topics(topics) => topics.topics,
        other => panic!("{other:?}"),
    }
}

fn names(world: &mut World) -> Vec<(String, u32)> {
    let all = topics(world, None, false).into_iter();
    let all = all.map(|info| info.expect("it is there"));
    all.map(|info| (info.name.to_string(), info.partitions))
        .collect()
}

fn trim(
    world: &mut World,
    topic: &str,
    partition: i32,
    to: Option<i64>,
) -> Result<Offset, Refused> {
    let parts = vec![(by_name(topic), partition, to)];
    match ask(world, Request::Trim { parts }) {
        Answer::Trimmed(mut trimmed) => trimmed.remove(0),
        other => panic!("{other:?}"),
    }
}

fn end(world: &mut World, topic: &str, partition: i32, epoch: i32) -> Result<EpochEnd, Refused> {
    let parts = vec![(by_name(topic), partition, epoch)];
    match ask(world, Request::Epochs { parts }) {
        Answer::Epochs(mut ends) => ends.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_survive_what_their_answers_waited_for() {
    let mut world = World::new(11);
    let made = change(
        &mut world,
        vec![create("orders", 3), create("a/b", 1), create("logs", 1)],
    );
    assert!(made[0].is_ok() && made[1].is_err() && made[2].is_ok());
    world.commit();
    let both = [("logs".to_owned(), 1), ("orders".to_owned(), 3)];
    let id = made[0].as_ref().unwrap().id;
    for _ in 0..2 {
        assert_eq!(names(&mut world), both);
        assert_eq!(
            topics(&mut world, Some(&["orders"]), false)[0]
                .as_ref()
                .unwrap()
                .id,
            id
        );
        world.crash();
    }
    let grow = Change::Grow {
        name: "orders".to_owned(),
        partitions: 5,
    };
    assert_eq!(
        change(&mut world, vec![grow])[0]
            .as_ref()
            .unwrap()
            .partitions,
        5
    );
    // Nobody waited for that.
    world.crash();
    assert_eq!(names(&mut world), both);
    let topic = TopicRef::Id(id);
    change(&mut world, vec![Change::Delete { topic }])[0]
        .as_ref()
        .unwrap();
    world.commit();
    world.crash();
    assert_eq!(names(&mut world), both[..1]);
}

#[test]
fn a_partition_is_a_stream_to_amqp_that_is_not_deleted_alone() {
    let mut world = World::new(12);
    change(&mut world, vec![create("orders", 2)])[0]
        .as_ref()
        .unwrap();
    world.publish("orders/1", 0..5);
    world.commit();
    assert_eq!(world.read_all("orders/1"), [0, 1, 2, 3, 4]);
    assert!(world.read_all("orders").is_empty());
    let delete = |name: &str| Call::DeleteQueue {
        name: name.to_owned(),
        if_unused: false,
        if_empty: false,
    };
    let refused = world.call(delete("orders/1"));
    assert!(
        matches!(refused, Reply::Refused(QueueRefused::PartOfTopic { .. })),
        "{refused:?}"
    );
    let arguments = [("x-stream-offset", text("first"))];
    world.done(super::world::consume(LinkId(1), "orders/1", 10, &arguments));
    let unused = Call::DeleteQueue {
        name: "orders".to_owned(),
        if_unused: true,
        if_empty: false,
    };
    let refused = world.call(unused);
    assert!(
        matches!(refused, Reply::Refused(QueueRefused::InUse { .. })),
        "{refused:?}"
    );
    world.done(delete("orders"));
    assert!(names(&mut world).is_empty());
}

#[test]
fn what_was_deleted_from_the_front_does_not_come_back() {
    let mut world = World::new(13);
    change(&mut world, vec![create("orders", 2)])[0]
        .as_ref()
        .unwrap();
    world.declare("work", &[]);
    for number in 0..10 {
        world.publish("orders/1", number..number + 1);
    }
    let offset = |offset| Refused::Offset { offset };
    assert_eq!(
        trim(&mut world, "orders", 1, Some(5)),
        Err(offset(5)),
        "it is not durable"
    );
    world.commit();
    assert_eq!(trim(&mut world, "orders", 1, Some(11)), Err(offset(11)));
    assert_eq!(trim(&mut world, "orders", 1, Some(-2)), Err(offset(-2)));
    assert_eq!(
        trim(&mut world, "orders", 2, Some(0)),
        Err(Refused::Partition)
    );
    let name = "work".to_owned();
    assert_eq!(
        trim(&mut world, "work", 0, None),
        Err(Refused::WorkQueue { name })
    );
    assert_eq!(trim(&mut world, "orders", 1, Some(6)), Ok(Offset(6)));
    assert_eq!(trim(&mut world, "orders", 1, Some(3)), Ok(Offset(6)));
    assert_eq!(world.read_all("orders/1"), [6, 7, 8, 9]);
    world.commit();
    world.crash();
    assert_eq!(world.read_all("orders/1"), [6, 7, 8, 9]);
    world.checkpoint();
    world.crash();
    assert_eq!(world.read_all("orders/1"), [6, 7, 8, 9]);
    assert_eq!(trim(&mut world, "orders", 1, None), Ok(Offset(10)));
    world.commit();
    world.restart();
    assert!(world.read_all("orders/1").is_empty());
    world.publish("orders/1", 10..11);
    world.commit();
    assert_eq!(world.read_all("orders/1"), [10]);
    let ended = EpochEnd {
        epoch: Some(0),
        end: Some(Offset(11)),
    };
    assert_eq!(end(&mut world, "orders", 1, 0), Ok(ended));
    let none = EpochEnd {
        epoch: None,
        end: None,
    };
    assert_eq!(end(&mut world, "orders", 1, 1), Ok(none));
    assert_eq!(end(&mut world, "none", 0, 0), Err(Refused::Partition));
}

#[test]
fn topics_are_made_on_request_where_the_settings_say_so() {
    let mut world = World::new(14);
    let unknown = |name: &str| {
        Err(Refused::Unknown {
            name: name.to_owned(),
        })
    };
    assert_eq!(topics(&mut world, Some(&["a"]), false), [unknown("a")]);
    let mut settings = TopicSettings {
        auto_create: false,
        ..TopicSettings::default()
    };
    settings.bounds.usual = 4;
    world.broker.set_topic_settings(settings);
    assert_eq!(topics(&mut world, Some(&["a"]), true), [unknown("a")]);
    settings.auto_create = true;
    world.broker.set_topic_settings(settings);
    let made = topics(&mut world, Some(&["a", "a", "b c"]), true);
    assert_eq!(made[0].as_ref().unwrap().partitions, 4);
    assert_eq!(made[0], made[1]);
    assert!(matches!(made[2], Err(Refused::Name { .. })));
    // A queue that is nobody's topic is in the way of one.
    let mut only_check = vec![create("a", 1), create("c", 1)];
    only_check.push(Change::Grow {
        name: "a".to_owned(),
        partitions: 9,
    });
    let asked = Request::Change {
        changes: only_check,
        only_check: true,
    };
    let Answer::Changed(checked) = ask(&mut world, asked) else {
        panic!("changes");
    };
    assert!(checked[0].is_err() && checked[1].is_ok() && checked[2].is_ok());
    assert_eq!(names(&mut world), [("a".to_owned(), 4)]);
}

#[test]
fn sizes_are_those_of_the_logs() {
    let mut world = World::new(15);
    change(&mut world, vec![create("orders", 2)])[0]
        .as_ref()
        .unwrap();
    world.publish("orders/1", 0..20);
    world.commit();
    world.checkpoint();
    let sizes = |world: &mut World, which| match ask(world, Request::Sizes { which }) {
        Answer::Sizes(sizes) => sizes.partitions,
        other => panic!("{other:?}"),
    };
    let all = sizes(&mut world, None);
    assert_eq!(all.len(), 2);
    assert!(all[0].2 == 0 && all[1].2 > 20_000, "{all:?}");
    let one = sizes(&mut world, Some(vec![("orders".to_owned(), vec![1, 7])]));
    assert_eq!(one, all[1..]);
}
