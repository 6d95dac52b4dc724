//! What is recorded, and that it brings back what was.

use std::collections::{BTreeMap, BTreeSet};

use bongsu_record::{Arguments, Value};
use proptest::prelude::*;

use super::change::ChangeMalformed;
use super::*;
use crate::router::headers::Matching;
use crate::router::{RouteScratch, WindowId, compare_arguments};
use crate::session::{Binding, DeclareExchange, DeclareQueue, Destination};

const SPACE: SpaceId = SpaceId::DEFAULT;

pub(super) fn empty() -> Catalog {
    Catalog::new(Settings {
        durability: LogDurability::Fsync,
        hash_seed: 11,
    })
}

/// The catalog after a restart.
pub(super) fn replay(recorded: &[Vec<u8>]) -> Catalog {
    let mut catalog = empty();
    for line in recorded {
        catalog.apply(&Change::decode(line).unwrap());
    }
    catalog.replayed();
    catalog.check();
    catalog
}

/// The durable part, by way of a snapshot, which must bring back the same.
pub(super) fn durable_lines(catalog: &Catalog) -> Vec<String> {
    let bytes = snapshot(catalog);
    let mut restored = empty();
    let half = bytes.len() / 2;
    let used = restored.restore(&bytes[..half]).unwrap();
    let rest = restored.restore(&bytes[used..]).unwrap();
    assert_eq!(used + rest, bytes.len());
    restored.replayed();
    restored.check();
    assert_eq!(snapshot(&restored), bytes);
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn snapshot(catalog: &Catalog) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = catalog.snapshot(|chunk| {
        bytes.extend_from_slice(chunk);
        Ok::<(), ()>(())
    });
    written.unwrap();
    bytes
}

#[test]
fn every_row_of_change_has_its_golden_line() {
    let arguments = Arguments::from([
        ("a".to_owned(), Value::Int(1)),
        ("b".to_owned(), Value::Nothing),
        (
            "c".to_owned(),
            Value::List(vec![Value::Text("x".to_owned())]),
        ),
        ("d".to_owned(), Value::Float(0.1)),
    ]);
    let binding = BindingDefinition {
        space: SPACE,
        source: "logs".to_owned(),
        destination: BindingEnd::Queue(QueueId(7)),
        routing_key: "a.*".to_owned(),
        arguments: arguments.clone(),
    };
    let changes = [
        Change::ReserveQueueIds { end: 1025 },
        Change::DeclareExchange {
            space: SPACE,
            exchange: ExchangeDefinition {
                name: "logs".into(),
                exchange_type: ExchangeType::Topic,
                durable: true,
                auto_delete: false,
                internal: true,
                arguments: Arguments::new(),
                window: None,
            },
        },
        Change::DeclareExchange {
            space: SPACE,
            exchange: ExchangeDefinition {
                name: "once".into(),
                exchange_type: ExchangeType::Deduplication,
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: Arguments::from([("x-cache-size".to_owned(), Value::Int(5))]),
                window: Some(WindowId(6)),
            },
        },
        Change::DeclareQueue {
            space: SPACE,
            id: QueueId(7),
            queue: QueueDefinition {
                name: "q \"1\" 봉수".into(),
                durable: true,
                owner: None,
                auto_delete: true,
                arguments,
                log: LogDurability::Os,
                topic: None,
                part_of: None,
                source: None,
            },
        },
        Change::DeclareQueue {
            space: SpaceId(3),
            id: QueueId(8),
            queue: QueueDefinition {
                name: "mine".into(),
                durable: false,
                owner: Some(Owner(5)),
                auto_delete: false,
                arguments: Arguments::new(),
                log: LogDurability::Memory,
                topic: None,
                part_of: None,
                source: None,
            },
        },
        Change::DeclareQueue {
            space: SPACE,
            id: QueueId(10),
            queue: QueueDefinition {
                name: "$share/9/g".into(),
                durable: true,
                owner: None,
                auto_delete: false,
                arguments: Arguments::new(),
                log: LogDurability::Fsync,
                topic: None,
                part_of: None,
                source: Some(Source {
                    queue: QueueId(9),
                    start: 5,
                }),
            },
        },
        Change::Found {
            cluster: 0x0123_4567_89ab_4def_8123_4567_89ab_cdef,
        },
        Change::DeclareQueue {
            space: SPACE,
            id: QueueId(9),
            queue: QueueDefinition {
                name: "orders/1".into(),
                durable: true,
                owner: None,
                auto_delete: false,
                arguments: Arguments::new(),
                log: LogDurability::Fsync,
                topic: Some(TopicDefinition {
                    made_as_topic: true,
                    configs: Configs::new(),
                }),
                part_of: Some(PartOf {
                    first: QueueId(8),
                    index: 1,
                }),
                source: None,
            },
        },
        Change::ConfigureGroup {
            space: SPACE,
            group: "g".to_owned(),
            configs: Configs::from([("bongsu.delay.ms".to_owned(), "5".to_owned())]),
        },
        Change::ConfigureTopic {
            id: QueueId(8),
            name: "orders".to_owned(),
            topic: TopicDefinition {
                made_as_topic: false,
                configs: Configs::from([("retention.ms".to_owned(), "1000".to_owned())]),
            },
        },
        Change::Bind(binding.clone()),
        Change::Bind(BindingDefinition {
            destination: BindingEnd::Exchange("x".to_owned()),
            routing_key: String::new(),
            arguments: Arguments::new(),
            ..binding.clone()
        }),
        Change::Unbind(binding),
        Change::DeleteQueue {
            id: QueueId(7),
            name: "q".to_owned(),
        },
        Change::DeleteExchange {
            space: SPACE,
            name: "logs".to_owned(),
        },
        Change::SetPolicy {
            space: SPACE,
            policy: Policy {
                name: "short".to_owned(),
                pattern: "^a\\.".to_owned(),
                apply_to: ApplyTo::QuorumQueues,
                priority: -1,
                definition: Arguments::from([("max-length".to_owned(), Value::Int(5))]),
            },
        },
        Change::ClearPolicy {
            space: SPACE,
            name: "short".to_owned(),
        },
        Change::DeclareSpace {
            id: SpaceId(1),
            space: SpaceDefinition {
                description: "orders".to_owned(),
                tags: vec!["a".to_owned()],
                default_queue_type: Some("quorum".to_owned()),
                limits: SpaceLimits {
                    connections_max: Some(1),
                    queues_max: Some(2),
                    publish_messages_per_s: Some(3),
                    publish_bytes_per_s: Some(4),
                },
                ..SpaceDefinition::named("shop")
            },
        },
        Change::DeclareSpace {
            id: SpaceId(2),
            space: SpaceDefinition::named("plain"),
        },
        Change::DeleteSpace {
            id: SpaceId(1),
            name: "shop".to_owned(),
        },
        Change::ReserveSpaceIds { end: 3 },
    ];
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/catalog/golden_changes.txt"
    );
    if std::env::var_os("BONGSU_BLESS").is_some() {
        let lines = changes
            .iter()
            .map(|change| String::from_utf8(change.encode()).unwrap());
        std::fs::write(file, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = golden.lines().collect();
    for (change, line) in changes.iter().zip(&lines) {
        assert_eq!(String::from_utf8(change.encode()).unwrap(), *line);
        assert_eq!(Change::decode(line.as_bytes()).as_ref(), Ok(change));
    }
    assert_eq!(lines.len(), changes.len());
}

#[test]
fn records_of_other_versions_read_as_far_as_they_can() {
    let sparse = br#"{"declare_queue":{"space":0,"id":7,"queue":{"name":"q","later":[1]}}}"#;
    let Ok(Change::DeclareQueue { queue, .. }) = Change::decode(sparse) else {
        panic!("a queue");
    };
    assert_eq!((queue.durable, queue.log), (false, LogDurability::Fsync));
    for wrong in [&br#"{"from_the_future":{}}"#[..], b"", b"{", b"[]"] {
        let decoded = Change::decode(wrong);
        assert!(matches!(decoded, Err(ChangeMalformed { .. })));
    }
    let mut catalog = empty();
    let bytes = b"{\"reserve_queue_ids\":{\"end\":9}}\nnonsense\n";
    assert_eq!(catalog.restore(bytes).unwrap_err().line, 1);
}

#[test]
fn made_up_names_are_128_bits_of_base64url() {
    for (token, name) in [
        (0, "amq.gen-AAAAAAAAAAAAAAAAAAAAAA"),
        (u128::MAX, "amq.gen-_____________________w"),
        (1, "amq.gen-AAAAAAAAAAAAAAAAAAAAAQ"),
        (1 << 122, "amq.gen-BAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        assert_eq!(names::generated(names::GENERATED, token), name);
    }
}

#[derive(Clone, Debug)]
enum Step {
    DeclareExchange(usize, usize, bool, bool),
    DeleteExchange(usize, bool),
    DeclareQueue(usize, u64, bool, bool, bool),
    DeleteQueue(usize),
    Bind(usize, Result<usize, usize>, usize, usize),
    Unbind(usize, Result<usize, usize>, usize, usize),
    UnbindAny(usize),
    LinkClosed(usize),
    SessionClosed(u64),
    SetPolicy(usize, usize, i64),
    ClearPolicy(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let end = || prop_oneof![2 => (0..5_usize).prop_map(Ok), 1 => (0..5_usize).prop_map(Err)];
    let edge = || (0..6_usize, end(), 0..KEYS.len(), 0..4_usize);
    prop_oneof![
        6 => (0..5_usize, 0..4_usize, any::<bool>(), any::<bool>())
            .prop_map(|(n, t, d, a)| Step::DeclareExchange(n, t, d, a)),
        1 => (0..5_usize, any::<bool>()).prop_map(|(n, u)| Step::DeleteExchange(n, u)),
        8 => (0..5_usize, 1..3_u64, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(n, o, d, a, e)| Step::DeclareQueue(n, o, d, a, e)),
        1 => (0..5_usize).prop_map(Step::DeleteQueue),
        20 => edge().prop_map(|(s, e, k, a)| Step::Bind(s, e, k, a)),
        2 => edge().prop_map(|(s, e, k, a)| Step::Unbind(s, e, k, a)),
        4 => (0..100_usize).prop_map(Step::UnbindAny),
        1 => (0..5_usize).prop_map(Step::LinkClosed),
        1 => (1..3_u64).prop_map(Step::SessionClosed),
        2 => (0..3_usize, 0..PATTERNS.len(), -1..2_i64)
            .prop_map(|(n, p, i)| Step::SetPolicy(n, p, i)),
        1 => (0..3_usize).prop_map(Step::ClearPolicy),
        1 => Just(Step::Restart),
    ]
}

fn exchange_name(index: usize) -> String {
    match index {
        5 => "amq.topic".to_owned(),
        _ => format!("x{index}"),
    }
}

fn rule(index: usize) -> Arguments {
    match index {
        0 | 1 => Arguments::new(),
        2 => Arguments::from([("h".to_owned(), Value::Int(1))]),
        _ => Arguments::from([
            ("x-match".to_owned(), Value::Text("any".to_owned())),
            ("h".to_owned(), Value::Nothing),
        ]),
    }
}

fn binding(source: usize, end: Result<usize, usize>, key: usize, arguments: usize) -> Binding {
    Binding {
        source: exchange_name(source),
        destination: match end {
            Ok(queue) => Destination::Queue(format!("q{queue}")),
            Err(exchange) => Destination::Exchange(exchange_name(exchange)),
        },
        routing_key: KEYS[key].to_owned(),
        arguments: rule(arguments),
    }
}

fn input(step: Step, catalog: &Catalog) -> Option<Input> {
    let space = SPACE;
    let owner = Owner(1);
    Some(match step {
        Step::DeclareExchange(name, exchange_type, durable, auto_delete) => {
            Input::DeclareExchange {
                space,
                declare: DeclareExchange {
                    name: exchange_name(name),
                    exchange_type: ["direct", "fanout", "topic", "headers"][exchange_type].into(),
                    passive: false,
                    durable,
                    auto_delete,
                    internal: false,
                    arguments: Arguments::new(),
                },
            }
        }
        Step::DeleteExchange(name, if_unused) => Input::DeleteExchange {
            space,
            name: exchange_name(name),
            if_unused,
        },
        Step::DeclareQueue(name, owner, durable, auto_delete, exclusive) => Input::DeclareQueue {
            space,
            owner: Owner(owner),
            declare: DeclareQueue {
                name: format!("q{name}"),
                passive: false,
                durable,
                exclusive,
                auto_delete,
                arguments: Arguments::new(),
            },
            token: 0,
        },
        Step::DeleteQueue(name) => Input::DeleteQueue {
            space,
            owner,
            name: format!("q{name}"),
            if_unused: true,
            if_empty: true,
            links: 0,
            ready: 0,
        },
        Step::Bind(source, end, key, arguments) => Input::Bind {
            space,
            owner,
            binding: binding(source, end, key, arguments),
        },
        Step::Unbind(source, end, key, arguments) => Input::Unbind {
            space,
            owner,
            binding: binding(source, end, key, arguments),
        },
        Step::UnbindAny(index) => {
            let count = catalog.bindings().count();
            let found = catalog.bindings().nth(index.checked_rem(count)?)?;
            Input::Unbind {
                space,
                owner,
                binding: Binding {
                    source: found.source,
                    destination: match found.destination {
                        BindingEnd::Queue(id) => {
                            Destination::Queue(catalog.queue(id)?.name.to_string())
                        }
                        BindingEnd::Exchange(name) => Destination::Exchange(name),
                    },
                    routing_key: found.routing_key,
                    arguments: found.arguments,
                },
            }
        }
        Step::LinkClosed(name) => Input::LinkClosed {
            queue: catalog.queue_id(space, &format!("q{name}"))?,
            links: 0,
        },
        Step::SessionClosed(owner) => Input::SessionClosed {
            owner: Owner(owner),
        },
        Step::SetPolicy(name, pattern, priority) => Input::SetPolicy {
            space,
            policy: Policy {
                name: format!("p{name}"),
                pattern: PATTERNS[pattern].to_owned(),
                apply_to: ApplyTo::All,
                priority,
                definition: Arguments::from([(
                    "message-ttl".to_owned(),
                    Value::Int(pattern as i64),
                )]),
            },
        },
        Step::ClearPolicy(name) => Input::ClearPolicy {
            space,
            name: format!("p{name}"),
        },
        Step::Restart => return None,
    })
}

/// One property of each queue, which only policies set.
fn ttls(catalog: &Catalog) -> BTreeMap<QueueId, Option<u64>> {
    let ids = catalog.queues().map(|(id, _, _)| id);
    ids.map(|id| (id, catalog.properties(id).unwrap().message_ttl_ms))
        .collect()
}

/// Where a publish goes, from the list of bindings alone.
fn naive_route(catalog: &Catalog, exchange: &str, key: &str, headers: &Arguments) -> Vec<QueueId> {
    let bindings: Vec<BindingDefinition> = catalog.bindings().collect();
    let types: Vec<(String, ExchangeType)> = catalog
        .exchanges()
        .map(|(_, definition)| (definition.name.to_string(), definition.exchange_type))
        .collect();
    let mut met = vec![exchange.to_owned()];
    let mut queues = BTreeSet::new();
    let mut at = 0;
    while at < met.len() {
        let source = met[at].clone();
        let (_, exchange_type) = types.iter().find(|(name, _)| *name == source).unwrap();
        for binding in bindings.iter().filter(|binding| binding.source == source) {
            let fits = match exchange_type {
                ExchangeType::Direct => binding.routing_key == key,
                ExchangeType::Fanout => true,
                ExchangeType::Topic => topic_fits(&binding.routing_key, key),
                ExchangeType::Headers => Matching::of(&binding.arguments)
                    .unwrap()
                    .matches(&binding.arguments, headers),
                other => panic!("{other:?} is not among the steps"),
            };
            match &binding.destination {
                BindingEnd::Queue(id) if fits => {
                    queues.insert(*id);
                }
                BindingEnd::Exchange(name) if fits && !met.contains(name) => {
                    met.push(name.clone());
                }
                _ => {}
            }
        }
        at += 1;
    }
    queues.into_iter().collect()
}

/// Only the patterns of [`KEYS`].
fn topic_fits(pattern: &str, key: &str) -> bool {
    match pattern {
        "#" => true,
        "a.*" => key.starts_with("a.") && key.matches('.').count() == 1,
        _ => pattern == key,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_recorded_brings_back_what_was(steps in prop::collection::vec(step(), 0..80)) {
        let mut catalog = empty();
        let mut recorded: Vec<Vec<u8>> = Vec::new();
        let mut ids = BTreeSet::new();
        let (mut scratch, mut queues) = (RouteScratch::default(), Vec::new());
        for step in steps {
            let Some(input) = input(step.clone(), &catalog) else {
                if matches!(step, Step::Restart) {
                    catalog = replay(&recorded);
                }
                continue;
            };
            let (epoch, before) = (catalog.epoch(), snapshot(&catalog));
            let mut properties = ttls(&catalog);
            let all: Vec<_> = catalog.bindings().collect();
            let mut effects = Vec::new();
            let answer = catalog.handle(input, &mut effects);
            catalog.check();
            if effects.is_empty() {
                prop_assert_eq!(epoch, catalog.epoch());
                prop_assert_eq!(&before, &snapshot(&catalog));
            }
            prop_assert!(answer.is_ok() || effects.is_empty());
            if all != catalog.bindings().collect::<Vec<_>>() {
                prop_assert!(catalog.epoch() > epoch);
            }
            for effect in effects {
                match effect {
                    Effect::Durable(change) => recorded.push(change.encode()),
                    Effect::CreateQueue { id, properties: of, .. } => {
                        prop_assert!(ids.insert(id), "{id} twice");
                        properties.insert(id, of.message_ttl_ms);
                    }
                    Effect::Reconfigure { id, properties: of } => {
                        prop_assert!(properties.insert(id, of.message_ttl_ms).is_some());
                    }
                    Effect::DropQueue { id } => {
                        properties.remove(&id);
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(properties, ttls(&catalog));
            for index in 0..6 {
                let exchange = exchange_name(index);
                for (key, headers) in [("a.b", rule(0)), ("a", rule(2)), ("", rule(0))] {
                    let routed = catalog
                        .router()
                        .route(SPACE, &exchange, key, &|| headers.clone(), &mut scratch, &mut queues);
                    if routed.is_ok() {
                        let naive = naive_route(&catalog, &exchange, key, &headers);
                        prop_assert_eq!(&queues, &naive, "{} {}", exchange, key);
                    }
                }
            }
        }
        let lines = durable_lines(&catalog);
        prop_assert_eq!(&durable_lines(&replay(&recorded)), &lines);
        // A replay may also begin before the snapshot was taken.
        for start in 0..recorded.len() {
            let mut catalog = replay(&recorded);
            for line in &recorded[start..] {
                catalog.apply(&Change::decode(line).unwrap());
            }
            catalog.check();
            prop_assert_eq!(&durable_lines(&catalog), &lines, "again from {}", start);
        }
    }

    #[test]
    fn equal_arguments_are_equal_after_a_restart(bits in any::<u64>(), int in any::<i64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        let arguments = Arguments::from([
            ("f".to_owned(), Value::Float(float)),
            ("i".to_owned(), Value::Int(int)),
            ("t".to_owned(), Value::Time(bits)),
        ]);
        let json = serde_json::to_vec(&arguments).unwrap();
        let read: Arguments = serde_json::from_slice(&json).unwrap();
        prop_assert!(compare_arguments(&arguments, &read).is_eq());
    }
}

/// `cargo test --release -p bongsu-engine -- --ignored --nocapture a_snapshot`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn a_snapshot_of_100_000_queues_is_fast() {
    let mut catalog = empty();
    let mut effects = Vec::new();
    let started = std::time::Instant::now();
    for index in 0..100_000 {
        let name = format!("customer.{index}.orders");
        let declare = Input::DeclareQueue {
            space: SPACE,
            owner: Owner(1),
            declare: DeclareQueue {
                name: name.clone(),
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                arguments: Arguments::new(),
            },
            token: 0,
        };
        catalog.handle(declare, &mut effects).unwrap();
        let bind = Input::Bind {
            space: SPACE,
            owner: Owner(1),
            binding: Binding {
                source: "amq.topic".to_owned(),
                destination: Destination::Queue(name),
                routing_key: format!("customer.{index}.#"),
                arguments: Arguments::new(),
            },
        };
        catalog.handle(bind, &mut effects).unwrap();
        effects.clear();
    }
    let declared = started.elapsed();
    let started = std::time::Instant::now();
    let bytes = snapshot(&catalog);
    let taken = started.elapsed();
    let started = std::time::Instant::now();
    let mut restored = empty();
    assert_eq!(restored.restore(&bytes), Ok(bytes.len()));
    let size = bytes.len() >> 10;
    let restored = started.elapsed();
    println!("declared and bound in {declared:?}; {size} KiB in {taken:?}; back in {restored:?}");
}

const PATTERNS: [&str; 3] = ["q", "^q[0-2]$", "^(?!q)"];
const KEYS: [&str; 5] = ["a.b", "a", "#", "a.*", ""];
