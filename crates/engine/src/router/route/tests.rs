//! Publishes through a small router.

use std::cell::Cell;

use bongsu_record::Value;

use super::*;
use crate::router::{ExchangeType, WindowId};

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
            .add_exchange(SPACE, &Arc::from(name), &Rules::plain(exchange_type))
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
    assert_eq!(
        routed,
        Ok(Routed {
            cacheable: false,
            is_parted: false
        })
    );
    assert_eq!(queues, [QueueId(1), QueueId(2)]);
    assert_eq!(calls.get(), 1);
}

#[test]
fn internal_and_missing_exchanges_are_refused_to_clients() {
    let mut world = World::new();
    world.queues(1);
    let name = Arc::from("inside");
    let inside = world.router.add_exchange(
        SPACE,
        &name,
        &Rules {
            internal: true,
            ..Rules::plain(ExchangeType::Fanout)
        },
    );
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

impl World {
    fn rules(&mut self, name: &str, rules: Rules) -> ExchangeId {
        self.router.add_exchange(SPACE, &Arc::from(name), &rules)
    }

    /// The queues, and by part: delayed, window, queues.
    #[allow(clippy::type_complexity)]
    fn parted(
        &mut self,
        exchange: &str,
        keys: &[&str],
    ) -> (Vec<u64>, Vec<(bool, Option<u64>, Vec<u64>)>) {
        let more_keys: Vec<String> = keys[1..].iter().map(|&key| key.into()).collect();
        let publication = Publication {
            space: SPACE,
            exchange,
            routing_key: keys[0],
            more_keys: &more_keys,
            message: &HeadersOnly(&Arguments::new),
            from_client: true,
        };
        let mut queues = Vec::new();
        let routed = self
            .router
            .route_all(&publication, &mut self.scratch, &mut queues)
            .unwrap();
        let numbers = |queues: &[QueueId]| queues.iter().map(|id| id.0).collect::<Vec<_>>();
        let parts: Vec<_> = self
            .scratch
            .parts()
            .iter()
            .map(|part| {
                let window = part.window.map(|id| id.0);
                (part.is_delayed, window, numbers(&part.queues))
            })
            .collect();
        assert_eq!(routed.is_parted, !parts.is_empty());
        (numbers(&queues), parts)
    }
}

#[test]
fn alternates_take_what_leads_nowhere() {
    let mut world = World::new();
    world.queues(3);
    let to = |alternate: &str, exchange_type| Rules {
        alternate: Some(alternate.into()),
        ..Rules::plain(exchange_type)
    };
    let first = world.rules("first", to("second", ExchangeType::Direct));
    let second = world.rules("second", to("third", ExchangeType::Direct));
    world.bind(first, Target::Queue(QueueId(1)), "a");
    world.bind(second, Target::Queue(QueueId(2)), "b");
    assert_eq!(world.route("first", "a"), (vec![1], true));
    assert_eq!(world.route("first", "b"), (vec![2], true));
    // There is no third yet; and once there is, it leads back.
    assert_eq!(world.route("first", "c"), (vec![], true));
    let third = world.rules("third", to("first", ExchangeType::Direct));
    assert_eq!(world.route("first", "c"), (vec![], true));
    world.router.set_alternate(third, Some("".into()));
    assert_eq!(world.route("first", "q3"), (vec![3], true));
    // One that leads on to an exchange leads somewhere.
    let dead_end = world.exchange("dead end", ExchangeType::Fanout);
    world.bind(first, Target::Exchange(dead_end), "b");
    assert_eq!(world.route("first", "b"), (vec![], true));
    world.router.set_alternate(first, None);
    assert_eq!(world.route("first", "q3"), (vec![], true));
}

#[test]
fn several_keys_lead_to_each_queue_once() {
    let mut world = World::new();
    world.queues(4);
    let direct = world.exchange("d", ExchangeType::Direct);
    let topic = world.exchange("t", ExchangeType::Topic);
    for (queue, key) in [(1, "a"), (2, "b"), (3, "b"), (3, "a")] {
        world.bind(direct, Target::Queue(QueueId(queue)), key);
        world.bind(topic, Target::Queue(QueueId(queue)), key);
    }
    world.bind(topic, Target::Queue(QueueId(4)), "#");
    assert_eq!(world.parted("d", &["a", "b", "z"]).0, [1, 2, 3]);
    assert_eq!(world.parted("d", &["z", "b", "b"]).0, [2, 3]);
    assert_eq!(world.parted("t", &["b", "a"]).0, [1, 2, 3, 4]);
    assert_eq!(world.parted("", &["q3", "q1", "q9", "q3"]).0, [1, 3]);
}

#[test]
fn one_binding_is_chosen_by_hash_or_by_chance() {
    let mut world = World::new();
    world.queues(8);
    let modulus = world.exchange("m", ExchangeType::ModulusHash);
    let random = world.exchange("r", ExchangeType::Random);
    let ring = world.exchange("c", ExchangeType::ConsistentHash);
    for name in ["m", "r", "c"] {
        assert!(world.route(name, "k").0.is_empty());
    }
    for queue in 1..=8 {
        for exchange in [modulus, random, ring] {
            world.bind(exchange, Target::Queue(QueueId(queue)), "1");
        }
    }
    let mut met = [[false; 9]; 3];
    for key in 0..200 {
        let key = format!("k{key}");
        for (index, name) in ["m", "r", "c"].into_iter().enumerate() {
            let (queues, cacheable) = world.route(name, &key);
            assert_eq!(queues.len(), 1);
            assert_eq!(cacheable, name != "r");
            met[index][queues[0] as usize] = true;
            if name != "r" {
                assert_eq!(world.route(name, &key).0, queues);
            }
        }
    }
    assert!(met.iter().all(|met| met[1..].iter().all(|met| *met)));
    // Another seed, another sequence.
    let mut first = |seed| {
        world.scratch = RouteScratch::seeded(seed);
        (0..8)
            .map(|_| world.route("r", "k").0[0])
            .collect::<Vec<_>>()
    };
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
}

#[test]
fn delays_and_windows_part_the_queues() {
    let mut world = World::new();
    world.queues(5);
    let fanout = world.exchange("f", ExchangeType::Fanout);
    let delayed = world.rules(
        "delayed",
        Rules {
            is_delayed: true,
            ..Rules::plain(ExchangeType::Direct)
        },
    );
    let once = world.rules(
        "once",
        Rules {
            window: Some(WindowId(77)),
            ..Rules::plain(ExchangeType::Deduplication)
        },
    );
    let queue = |id| Target::Queue(QueueId(id));
    for (from, target) in [
        (fanout, queue(1)),
        (fanout, queue(2)),
        (fanout, Target::Exchange(delayed)),
        (delayed, queue(3)),
        (delayed, queue(1)),
        (delayed, Target::Exchange(once)),
        (once, queue(4)),
        (once, queue(2)),
    ] {
        world.bind(from, target, "k");
    }
    let behind = (true, Some(77), vec![2, 4]);
    let all = (vec![1, 2], vec![(true, None, vec![1, 3]), behind.clone()]);
    assert_eq!(world.parted("f", &["k"]), all);
    assert_eq!(
        world.parted("delayed", &["k"]),
        (vec![], vec![(true, None, vec![1, 3]), behind])
    );
    assert_eq!(
        world.parted("once", &["k"]),
        (vec![], vec![(false, Some(77), vec![2, 4])])
    );
    // A queue that another way leads to has the message in any case.
    world.bind(fanout, Target::Exchange(once), "k");
    world
        .router
        .unbind(delayed, Target::Exchange(once), "k", &Arc::default());
    let once = (false, Some(77), vec![4]);
    let parts = world.parted("f", &["k"]).1;
    assert!(parts.contains(&once), "{parts:?}");
    assert_eq!(world.route("f", "k"), (vec![1, 2, 3, 4], true));
}
