//! Topics made, grown, configured, deleted, and what a restart finds of them.

use bongsu_record::Value;

use crate::catalog::tests::{durable_lines, empty, replay};
use crate::catalog::{Answer, Catalog, Configs, Effect, Input, Owner, SpaceId, TopicId, TopicKind};
use crate::refused;
use crate::session::DeclareQueue;
use crate::topic::call::{Bounds, Change, Changed, Refused, TopicRef};
use crate::topic::config::alter::ConfigRefused;
use crate::topic::config::{Alteration, Operation, Source, describe};
use crate::topic::name::NameInvalid;

const SPACE: SpaceId = SpaceId::DEFAULT;
const BOUNDS: Bounds = Bounds {
    usual: 2,
    per_topic_max: 10,
    in_all_max: 20,
};

/// A catalog, and what it recorded.
struct World {
    catalog: Catalog,
    recorded: Vec<Vec<u8>>,
    effects: Vec<Effect>,
}

impl World {
    fn new() -> World {
        let mut world = World {
            catalog: empty(),
            recorded: Vec::new(),
            effects: Vec::new(),
        };
        world.catalog.found(u128::MAX, &mut world.effects);
        world.record();
        world
    }

    fn record(&mut self) {
        for effect in &self.effects {
            if let Effect::Durable(change) = effect {
                self.recorded.push(change.encode());
            }
        }
        self.catalog.check();
    }

    fn change(&mut self, change: Change) -> Result<Changed, Refused> {
        self.effects.clear();
        let checked = self.handle(change.clone(), true);
        assert!(self.effects.is_empty(), "checks have no effects");
        let changed = self.handle(change, false);
        match (&checked, &changed) {
            (Ok(checked), Ok(changed)) => assert_eq!(checked.partitions, changed.partitions),
            _ => assert_eq!(checked, changed),
        }
        assert!(changed.is_ok() || self.effects.is_empty());
        self.record();
        changed
    }

    fn handle(&mut self, change: Change, only_check: bool) -> Result<Changed, Refused> {
        let effects = &mut self.effects;
        self.catalog
            .handle_topic(SPACE, change, BOUNDS, only_check, effects)
    }

    fn create(&mut self, name: &str, partitions: u32) -> Result<Changed, Refused> {
        self.create_with(name, partitions, &[])
    }

    fn create_with(
        &mut self,
        name: &str,
        partitions: u32,
        configs: &[(&str, &str)],
    ) -> Result<Changed, Refused> {
        let owned = configs.iter();
        let owned = owned.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.change(Change::Create {
            name: name.to_owned(),
            partitions: Some(partitions),
            configs: owned.collect(),
        })
    }

    fn set(&mut self, topic: &str, config: &str, value: &str) -> Result<Changed, Refused> {
        self.change(Change::Alter {
            name: topic.to_owned(),
            alterations: vec![Alteration {
                name: config.to_owned(),
                operation: Operation::Set(Some(value.to_owned())),
            }],
        })
    }

    fn declare(&mut self, name: &str, arguments: &[(&str, Value)]) {
        let arguments = arguments.iter();
        self.queues(Input::DeclareQueue {
            space: SPACE,
            owner: Owner(1),
            declare: DeclareQueue {
                name: name.to_owned(),
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                arguments: arguments
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
            },
            token: 0,
        })
        .unwrap();
    }

    fn delete(&mut self, name: &str) -> Result<Answer, refused::Refused> {
        self.queues(Input::DeleteQueue {
            space: SPACE,
            owner: Owner(1),
            name: name.to_owned(),
            if_unused: false,
            if_empty: false,
            links: 0,
            ready: 0,
        })
    }

    fn queues(&mut self, input: Input) -> Result<Answer, refused::Refused> {
        self.effects.clear();
        let answer = self.catalog.handle(input, &mut self.effects);
        self.record();
        answer
    }

    /// What holds of a topic, and who says so.
    fn told(&self, topic: &str, config: &str) -> (String, Source) {
        let topic = self.catalog.topic(SPACE, topic).unwrap();
        let names = [config.to_owned()];
        let mut described = describe::describe(&topic, Some(&names), 1 << 26);
        let described = described.remove(0);
        (described.value, described.source)
    }

    fn names(&self) -> Vec<String> {
        let topics = self.catalog.topics(SPACE);
        topics.map(|topic| topic.name.to_string()).collect()
    }
}

fn stream() -> (&'static str, Value) {
    ("x-queue-type", Value::Text("stream".to_owned()))
}

#[test]
fn durable_queues_with_names_that_kafka_takes_are_topics() {
    let mut world = World::new();
    world.declare("work", &[]);
    world.declare("events", &[stream()]);
    world.declare("not a topic", &[]);
    world.create("orders", 3).unwrap();
    assert_eq!(world.names(), ["work", "events", "orders"]);
    let topic = |name| world.catalog.topic(SPACE, name).unwrap();
    assert_eq!(topic("work").kind, TopicKind::Queue);
    assert_eq!(topic("events").kind, TopicKind::Stream);
    assert_eq!(topic("orders").partitions.len(), 3);
    assert_eq!(world.catalog.topic(SPACE, "orders/1"), None);
    let orders = topic("orders");
    assert_eq!(
        world.catalog.topic_by_id(SPACE, orders.id),
        Some(orders.clone())
    );
    assert_eq!(world.catalog.topic_by_id(SPACE, TopicId(7)), None);
    let of_second = world.catalog.partition_of(orders.partitions[1]);
    assert_eq!(of_second, Some((orders.id, orders.name.clone(), 1)));
    // A number that is no topic's first partition is no topic's.
    let second = world.catalog.topic_id(orders.partitions[1]);
    assert_eq!(world.catalog.topic_by_id(SPACE, second), None);
    let by_id = world.catalog.partitions_by_id(SPACE, orders.id).unwrap();
    assert_eq!(by_id, (orders.name, orders.partitions));
}

#[test]
fn a_restart_finds_topics_as_they_were() {
    let mut world = World::new();
    world
        .create_with("orders", 2, &[("retention.ms", "1000")])
        .unwrap();
    world.set("orders", "cleanup.policy", "compact").unwrap();
    world
        .change(Change::Grow {
            name: "orders".to_owned(),
            partitions: 4,
        })
        .unwrap();
    world.create("gone", 3).unwrap();
    world.delete("gone").unwrap();
    let topics = |catalog: &Catalog| catalog.topics(SPACE).collect::<Vec<_>>();
    let replayed = replay(&world.recorded);
    assert_eq!(topics(&replayed), topics(&world.catalog));
    assert_eq!(replayed.cluster(), world.catalog.cluster());
    // A replay that begins before its snapshot.
    let lines = durable_lines(&world.catalog);
    let lines = lines.into_iter().map(String::into_bytes);
    let twice: Vec<Vec<u8>> = lines.chain(world.recorded.iter().cloned()).collect();
    assert_eq!(topics(&replay(&twice)), topics(&world.catalog));
}

#[test]
fn a_cluster_has_one_number_for_ever() {
    let mut world = World::new();
    let cluster = world.catalog.cluster();
    assert_eq!(cluster, 0x7fff_ffff_ffff_4fff_bfff_ffff_ffff_ffff);
    world.effects.clear();
    world.catalog.found(5, &mut world.effects);
    assert!(world.effects.is_empty());
    assert_eq!(world.catalog.cluster(), cluster);
}

#[test]
fn a_partition_goes_with_its_topic_and_not_alone() {
    let mut world = World::new();
    world.create("orders", 3).unwrap();
    let refused = world.delete("orders/2").unwrap_err();
    let part = refused::Refused::PartOfTopic {
        queue: "orders/2".to_owned(),
        topic: "orders".to_owned(),
    };
    assert_eq!(refused, part);
    let before = world.catalog.epoch();
    world.delete("orders").unwrap();
    assert!(world.catalog.epoch() > before);
    let dropped = world.effects.iter();
    let dropped = dropped.filter(|effect| matches!(effect, Effect::DropQueue { .. }));
    assert_eq!(dropped.count(), 3);
    assert_eq!(world.catalog.queues().count(), 0);
    let again = world.create("orders", 1).unwrap();
    assert_eq!(again.partitions, 1);
    let topic = TopicRef::Id(again.id);
    world
        .change(Change::Delete {
            topic: topic.clone(),
        })
        .unwrap();
    let id = again.id;
    assert_eq!(
        world.change(Change::Delete { topic }),
        Err(Refused::UnknownId { id })
    );
}

#[test]
fn names_are_those_that_kafka_takes() {
    let mut world = World::new();
    let long = "x".repeat(250);
    for (name, cause) in [
        ("", NameInvalid::Empty),
        (".", NameInvalid::Dots),
        ("..", NameInvalid::Dots),
        (&*long, NameInvalid::TooLong),
        ("a/1", NameInvalid::Character),
        ("봉수", NameInvalid::Character),
    ] {
        let name = name.to_owned();
        assert_eq!(
            world.create(&name, 1),
            Err(Refused::Name {
                cause,
                name: name.clone()
            })
        );
    }
    for name in ["amq.mine", "__consumer_offsets"] {
        let name = name.to_owned();
        assert_eq!(
            world.create(&name, 1),
            Err(Refused::Reserved { name: name.clone() })
        );
    }
    world.create(&long[1..], 10).unwrap();
    world.create("a.b_c", 1).unwrap();
    let (name, other) = ("a_b.c".to_owned(), "a.b_c".to_owned());
    assert_eq!(
        world.create("a_b.c", 1),
        Err(Refused::Alike { name, other })
    );
    let name = "a.b_c".to_owned();
    assert_eq!(world.create("a.b_c", 1), Err(Refused::Exists { name }));
    world.delete("a.b_c").unwrap();
    world.create("a_b.c", 1).unwrap();
}

#[test]
fn partitions_are_counted() {
    let mut world = World::new();
    let usual = Change::Create {
        name: "usual".to_owned(),
        partitions: None,
        configs: Configs::new(),
    };
    assert_eq!(world.change(usual).unwrap().partitions, 2);
    world.delete("usual").unwrap();
    let count = |asked| Err(Refused::PartitionCount { asked, max: 10 });
    assert_eq!(world.create("a", 0), count(0));
    assert_eq!(world.create("a", 11), count(11));
    world.create("a", 10).unwrap();
    world.create("b", 9).unwrap();
    assert_eq!(world.create("c", 2), Err(Refused::TooMany { max: 20 }));
    world.declare("work", &[]);
    let grow = |name: &str, partitions| Change::Grow {
        name: name.to_owned(),
        partitions,
    };
    let name = || "b".to_owned();
    let not_more = Refused::NotMore {
        name: name(),
        current: 9,
        asked: 9,
    };
    assert_eq!(world.change(grow("b", 9)), Err(not_more));
    assert_eq!(
        world.change(grow("b", 10)),
        Err(Refused::TooMany { max: 20 })
    );
    let name = "work".to_owned();
    assert_eq!(
        world.change(grow("work", 2)),
        Err(Refused::WorkQueue { name })
    );
    world.delete("a").unwrap();
    world.declare("b/9", &[]);
    let queue = "b/9".to_owned();
    assert_eq!(
        world.change(grow("b", 10)),
        Err(Refused::InTheWay { queue })
    );
    world.delete("b/9").unwrap();
    let before = world.catalog.epoch();
    assert_eq!(world.change(grow("b", 10)).unwrap().partitions, 10);
    assert!(world.catalog.epoch() > before);
}

#[test]
fn what_was_set_counts_before_the_declaration_and_that_before_the_default() {
    let mut world = World::new();
    world.create("made", 2).unwrap();
    world.declare("declared", &[stream()]);
    let aged = ("x-max-age", Value::Text("1h".to_owned()));
    world.declare("aged", &[stream(), aged]);
    let told = |value: &str, source| (value.to_owned(), source);
    assert_eq!(
        world.told("made", "retention.ms"),
        told("604800000", Source::Default)
    );
    assert_eq!(
        world.told("declared", "retention.ms"),
        told("-1", Source::Declaration)
    );
    assert_eq!(
        world.told("aged", "retention.ms"),
        told("3600000", Source::Declaration)
    );
    let retention = |world: &World, name| {
        let topic = world.catalog.topic(SPACE, name).unwrap();
        let of_last = topic.partitions.last().unwrap();
        world.catalog.properties(*of_last).unwrap().retention
    };
    assert_eq!(retention(&world, "made").unwrap().age_ms, Some(604_800_000));
    assert_eq!(retention(&world, "declared"), None);
    for name in ["made", "declared", "aged"] {
        world.set(name, "retention.ms", "5000").unwrap();
        assert!(matches!(
            world.effects.last(),
            Some(Effect::Reconfigure { .. })
        ));
        assert_eq!(
            world.told(name, "retention.ms"),
            told("5000", Source::Topic)
        );
        assert_eq!(retention(&world, name).unwrap().age_ms, Some(5000));
    }
    world.set("made", "retention.ms", "-1").unwrap();
    assert_eq!(retention(&world, "made"), None);
    let usual = Change::Replace {
        name: "aged".to_owned(),
        configs: Configs::new(),
    };
    world.change(usual).unwrap();
    assert_eq!(retention(&world, "aged").unwrap().age_ms, Some(3_600_000));
    // Compaction alone drops nothing for its age.
    world.set("made", "retention.ms", "5000").unwrap();
    world.set("made", "cleanup.policy", "compact").unwrap();
    assert_eq!(retention(&world, "made"), None);
    let same = world.set("made", "cleanup.policy", "compact");
    assert!(same.is_ok() && world.effects.is_empty());
}

#[test]
fn work_queues_take_what_is_about_producers() {
    let mut world = World::new();
    world.declare("work", &[]);
    let name = "retention.ms";
    let refused = Refused::Config(ConfigRefused::WorkQueue { name });
    assert_eq!(world.set("work", name, "1"), Err(refused));
    world.set("work", "max.message.bytes", "100").unwrap();
    let topic = world.catalog.topic(SPACE, "work").unwrap();
    assert_eq!(topic.properties.topic.message_bytes_max, 100);
    let name = "none".to_owned();
    assert_eq!(
        world.set("none", "max.message.bytes", "1"),
        Err(Refused::Unknown { name })
    );
}

#[test]
fn a_subscription_names_its_partition_where_there_are_several() {
    let mut world = World::new();
    world.create("orders", 2).unwrap();
    let subscribe = |name: &str, topic: &str| Input::Subscribe {
        space: SPACE,
        owner: Owner(1),
        declare: DeclareQueue {
            name: name.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: [("x-subscribe".to_owned(), Value::Text(topic.to_owned()))].into(),
        },
        token: 0,
        start: bongsu_record::Offset(0),
    };
    let mut effects = Vec::new();
    let mut declared = |name, topic| {
        let answer = world.catalog.handle(subscribe(name, topic), &mut effects);
        world.catalog.check();
        answer
    };
    assert!(matches!(
        declared("a", "orders"),
        Err(refused::Refused::InvalidArgument { .. })
    ));
    let (first, second) = (declared("a", "orders/0"), declared("b", "orders/1"));
    assert!(matches!(first, Ok(Answer::Queue { created: true, .. })));
    assert!(matches!(second, Ok(Answer::Queue { created: true, .. })));
    // They are no topics themselves, and go with theirs.
    assert!(world.catalog.topic(SPACE, "a").is_none());
    let topic = TopicRef::Name("orders".into());
    world.change(Change::Delete { topic }).unwrap();
    assert!(world.catalog.queue_id(SPACE, "b").is_none());
}
