//! Publishes through a small router.

use std::cell::Cell;

use bongsu_record::Value;

use super::*;

const SPACE: SpaceId = SpaceId::DEFAULT;

struct World {
    router: Router,
    scratch: RouteScratch,
}

impl World {
    fn new() -> World {
        World {
            router: Router::new(3),
            scratch: RouteScratch::default(),
        }
    }

    fn exchange(&mut self, name: &str, exchange_type: ExchangeType) -> ExchangeId {
        self.router
            .add_exchange(SPACE, &Arc::from(name), exchange_type, false)
    }

    fn queues(&mut self, count: u64) {
        for number in 1..=count {
            let name = Arc::from(format!("q{number}"));
            self.router.add_queue(SPACE, &name, QueueId(number));
        }
    }

    fn bind(&mut self, from: ExchangeId, target: Target, key: &str) {
        self.router.bind(from, target, key, &Arc::default());
    }

    fn route(&mut self, exchange: &str, key: &str) -> (Vec<u64>, bool) {
        let mut queues = vec![QueueId(99)];
        let routed = self.router.route(
            SPACE,
            exchange,
            key,
            &|| unreachable!("nobody asks for headers"),
            &mut self.scratch,
            &mut queues,
        );
        let queues = queues.iter().map(|id| id.0).collect();
        (queues, routed.expect("routed").cacheable)
    }
}

#[test]
fn default_exchange_leads_to_the_queue_of_that_name() {
    let mut world = World::new();
    world.queues(2);
    assert_eq!(world.route("", "q2"), (vec![2], true));
    assert_eq!(world.route("", "q3"), (vec![], true));
    world.router.remove_queue(SPACE, "q2");
    assert_eq!(world.route("", "q2"), (vec![], true));
}

#[test]
fn queues_come_once_and_in_order() {
    let mut world = World::new();
    world.queues(4);
    let topic = world.exchange("t", ExchangeType::Topic);
    let direct = world.exchange("d", ExchangeType::Direct);
    for (queue, key) in [(4, "a.*"), (2, "#"), (4, "a.b"), (1, "*.b"), (2, "a.#")] {
        world.bind(topic, Target::Queue(QueueId(queue)), key);
    }
    world.bind(topic, Target::Exchange(direct), "a.b");
    for queue in [3, 1] {
        world.bind(direct, Target::Queue(QueueId(queue)), "a.b");
    }
    assert_eq!(world.route("t", "a.b"), (vec![1, 2, 3, 4], true));
    assert_eq!(world.route("t", "c"), (vec![2], true));
}

#[test]
fn cycles_of_exchanges_end() {
    let mut world = World::new();
    world.queues(2);
    let names = ["x", "y", "z"];
    let ids = names.map(|name| world.exchange(name, ExchangeType::Fanout));
    for (index, id) in ids.iter().enumerate() {
        for next in [ids[(index + 1) % 3], *id] {
            world.bind(*id, Target::Exchange(next), "");
        }
    }
    world.bind(ids[1], Target::Queue(QueueId(2)), "");
    world.bind(ids[2], Target::Queue(QueueId(1)), "");
    for name in names {
        assert_eq!(world.route(name, "k"), (vec![1, 2], true));
    }
}

#[test]
fn headers_are_asked_for_once_and_only_where_they_decide() {
    let mut world = World::new();
    world.queues(2);
    let first = world.exchange("first", ExchangeType::Headers);
    let second = world.exchange("second", ExchangeType::Headers);
    assert_eq!(world.route("first", ""), (vec![], true));
    let rule = Arc::new(Arguments::from([("k".to_owned(), Value::Int(1))]));
    world
        .router
        .bind(first, Target::Queue(QueueId(1)), "", &rule);
    world
        .router
        .bind(first, Target::Exchange(second), "", &rule);
    world
        .router
        .bind(second, Target::Queue(QueueId(2)), "", &rule);
    let calls = Cell::new(0);
    let mut queues = Vec::new();
    let routed = world.router.route(
        SPACE,
        "first",
        "",
        &|| {
            calls.set(calls.get() + 1);
            (*rule).clone()
        },
        &mut world.scratch,
        &mut queues,
    );
    assert_eq!(routed, Ok(Routed { cacheable: false }));
    assert_eq!(queues, [QueueId(1), QueueId(2)]);
    assert_eq!(calls.get(), 1);
}

#[test]
fn internal_and_missing_exchanges_are_refused_to_clients() {
    let mut world = World::new();
    world.queues(1);
    let name = Arc::from("inside");
    let inside = world
        .router
        .add_exchange(SPACE, &name, ExchangeType::Fanout, true);
    world.bind(inside, Target::Queue(QueueId(1)), "");
    let outside = world.exchange("outside", ExchangeType::Fanout);
    world.bind(outside, Target::Exchange(inside), "");
    assert_eq!(world.route("outside", ""), (vec![1], true));
    let refused = |exchange: &str| {
        let headers = Arguments::new;
        world.router.route(
            SPACE,
            exchange,
            "",
            &headers,
            &mut RouteScratch::default(),
            &mut Vec::new(),
        )
    };
    let internal = Refused::Internal {
        exchange: "inside".to_owned(),
    };
    assert_eq!(refused("inside"), Err(internal));
    let missing = Refused::NotFound {
        kind: Kind::Exchange,
        name: "nowhere".to_owned(),
    };
    assert_eq!(refused("nowhere"), Err(missing));
}
