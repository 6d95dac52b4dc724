//! Conversations with the catalog: text in, effects out. `BONGSU_BLESS=1` rewrites the
//! answers; the diff is the review.
//!
//!     declare exchange NAME TYPE [durable] [auto-delete] [internal] [passive] [x-…=VALUE]
//!     delete exchange NAME [if-unused]
//!     declare queue NAME [durable] [exclusive] [auto-delete] [passive] [x-…=VALUE]
//!     subscribe NAME [start=N] …       # as declare queue, with x-subscribe=STREAM
//!     share GROUP STREAM [start=N] [x-…=VALUE]        unshare GROUP STREAM
//!     configure GROUP [NAME=VALUE]
//!     open-reply-queue
//!     delete queue NAME [if-unused] [if-empty] [links=N] [ready=N]
//!     bind SOURCE queue|exchange NAME KEY [HEADER=VALUE]        unbind likewise
//!     policy NAME PATTERN [apply-to=…] [priority=N] [SETTING=VALUE]        clear-policy NAME
//!     link-closed NAME links=N        session-closed session=N
//!     publish EXCHANGE KEY [MORE KEYS] [HEADER=VALUE]
//!     restart                         # only what is durable comes back, by either way
//!
//! `session=N` says who asks (1 if not said); `""` is the empty text.

use std::fmt::Write;

use bongsu_record::{Arguments, Offset, Value};

use super::tests::{durable_lines, replay};
use super::*;
use crate::queue::properties::Properties;
use crate::router::{Attributes, Property, Publication, RouteScratch};
use crate::session::{Binding, DeclareExchange, DeclareQueue, Destination};

struct Line<'a> {
    words: Vec<&'a str>,
    flags: Vec<&'a str>,
    numbers: Vec<(&'a str, u64)>,
    arguments: Arguments,
    apply_to: ApplyTo,
    priority: i64,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Line<'a> {
        let mut line = Line {
            words: Vec::new(),
            flags: Vec::new(),
            numbers: Vec::new(),
            arguments: Arguments::new(),
            apply_to: ApplyTo::All,
            priority: 0,
        };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name @ ("session" | "links" | "ready" | "start"), number)) => {
                    line.numbers.push((name, number.parse().expect("a number")));
                }
                Some(("apply-to", name)) => {
                    line.apply_to = ApplyTo::by_name(name).expect("what it applies to");
                }
                Some(("priority", text)) => {
                    line.priority = text.parse().expect("a number");
                }
                Some((name, text)) => {
                    line.arguments.insert(name.to_owned(), value(text));
                }
                None if FLAGS.contains(&word) => line.flags.push(word),
                None if word == "\"\"" => line.words.push(""),
                None => line.words.push(word),
            }
        }
        line
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        let found = self.numbers.iter().find(|(known, _)| *known == name);
        found.map_or(default, |(_, number)| *number)
    }

    fn binding(&self) -> Binding {
        let name = self.words[3].to_owned();
        Binding {
            source: self.words[1].to_owned(),
            destination: match self.words[2] {
                "queue" => Destination::Queue(name),
                "exchange" => Destination::Exchange(name),
                other => panic!("{other} is no destination"),
            },
            routing_key: self.words[4].to_owned(),
            arguments: self.arguments.clone(),
        }
    }
}

/// Its arguments are headers, and its properties too.
impl Attributes for Line<'_> {
    fn headers(&self) -> Arguments {
        self.arguments.clone()
    }

    fn property(&self, property: Property) -> Option<String> {
        let name = match property {
            Property::CorrelationId => "correlation_id",
            Property::MessageId => "message_id",
            Property::Timestamp => "timestamp",
        };
        self.arguments.get(name)?.as_text().map(str::to_owned)
    }
}

fn value(text: &str) -> Value {
    match text {
        "void" => Value::Nothing,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "inf" => Value::Float(f64::INFINITY),
        _ => match text.parse() {
            Ok(int) => Value::Int(int),
            Err(_) => Value::Text(text.to_owned()),
        },
    }
}

/// What of some properties the policies' histories are about.
fn told(properties: &Properties) -> String {
    let mut told = String::new();
    let numbers = [
        ("ttl", properties.message_ttl_ms),
        ("expires", properties.expires_ms),
        ("length", properties.length_max),
        ("bytes", properties.bytes_max),
        ("limit", properties.delivery_limit.map(u64::from)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            write!(told, " {name}={number}").unwrap();
        }
    }
    if let Some(dead_letter) = &properties.dead_letter {
        write!(told, " dead={:?}", dead_letter.exchange).unwrap();
    }
    if let Some(retention) = properties.retention {
        write!(told, " age={:?} of={:?}", retention.age_ms, retention.bytes).unwrap();
    }
    if let Some(retry) = &properties.retry {
        write!(told, " {retry:?}").unwrap();
    }
    told
}

struct World {
    catalog: Catalog,
    /// Everything recorded since the directory was new.
    recorded: Vec<Vec<u8>>,
    token: u128,
}

impl World {
    fn input(&mut self, line: &Line) -> Input {
        let space = SpaceId::DEFAULT;
        let owner = Owner(line.number("session", 1));
        let flag = |flag| line.has(flag);
        let (durable, auto_delete) = (flag("durable"), flag("auto-delete"));
        let (passive, if_unused) = (flag("passive"), flag("if-unused"));
        let links = u32::try_from(line.number("links", 0)).unwrap();
        let arguments = line.arguments.clone();
        match line.words[..] {
            ["declare", "exchange", name, exchange_type] => Input::DeclareExchange {
                space,
                declare: DeclareExchange {
                    name: name.to_owned(),
                    exchange_type: exchange_type.to_owned(),
                    passive,
                    durable,
                    auto_delete,
                    internal: flag("internal"),
                    arguments,
                },
            },
            ["delete", "exchange", name] => Input::DeleteExchange {
                space,
                name: name.to_owned(),
                if_unused,
            },
            ["declare", "queue", name] => {
                self.token += 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
                Input::DeclareQueue {
                    space,
                    owner,
                    declare: DeclareQueue {
                        name: name.to_owned(),
                        passive,
                        durable,
                        exclusive: flag("exclusive"),
                        auto_delete,
                        arguments,
                    },
                    token: self.token,
                }
            }
            ["subscribe", name] => Input::Subscribe {
                space,
                owner,
                declare: DeclareQueue {
                    name: name.to_owned(),
                    passive,
                    durable,
                    exclusive: flag("exclusive"),
                    auto_delete,
                    arguments,
                },
                token: self.token,
                start: Offset(line.number("start", 0)),
            },
            ["share", group, stream] => Input::Share {
                group: group.to_owned(),
                source: self.catalog.queue_id(space, stream).unwrap_or_default(),
                start: Offset(line.number("start", 0)),
                arguments,
            },
            ["configure", group] => Input::ConfigureGroup {
                space,
                group: group.to_owned(),
                configs: arguments
                    .iter()
                    .map(|(name, value)| (name.clone(), equivalence::plain(value)))
                    .collect(),
            },
            ["unshare", group, stream] => Input::Unshare {
                group: group.to_owned(),
                source: self.catalog.queue_id(space, stream).unwrap_or_default(),
            },
            ["policy", name, pattern] => Input::SetPolicy {
                space,
                policy: Policy {
                    name: name.to_owned(),
                    pattern: pattern.to_owned(),
                    apply_to: line.apply_to,
                    priority: line.priority,
                    definition: arguments,
                },
            },
            ["clear-policy", name] => Input::ClearPolicy {
                space,
                name: name.to_owned(),
            },
            ["open-reply-queue"] => {
                self.token += 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
                Input::OpenReplyQueue {
                    space,
                    owner,
                    token: self.token,
                }
            }
            ["delete", "queue", name] => Input::DeleteQueue {
                space,
                owner,
                name: name.to_owned(),
                if_unused,
                if_empty: flag("if-empty"),
                links,
                ready: line.number("ready", 0),
            },
            ["bind", ..] => Input::Bind {
                space,
                owner,
                binding: line.binding(),
            },
            ["unbind", ..] => Input::Unbind {
                space,
                owner,
                binding: line.binding(),
            },
            ["link-closed", name] => Input::LinkClosed {
                queue: self.catalog.queue_id(space, name).unwrap_or_default(),
                links,
            },
            ["session-closed"] => Input::SessionClosed { owner },
            ref other => panic!("what is {other:?}?"),
        }
    }

    fn handle(&mut self, input: Input, out: &mut String) {
        let mut effects = Vec::new();
        match self.catalog.handle(input, &mut effects) {
            Ok(Answer::Done) => {}
            Ok(answer) => writeln!(out, "---- {answer:?}").unwrap(),
            Err(refused) => {
                assert_eq!(effects, []);
                writeln!(out, "---- refused {refused:?}").unwrap();
            }
        }
        for effect in effects {
            let shown = match effect {
                Effect::Durable(change) => {
                    self.recorded.push(change.encode());
                    let json = String::from_utf8(change.encode()).unwrap();
                    format!("durable {json}")
                }
                Effect::Transient(change) => {
                    let json = String::from_utf8(change.encode()).unwrap();
                    format!("transient {json}")
                }
                Effect::Reconfigure { id, properties } => {
                    format!("reconfigure {id}{}", told(&properties))
                }
                Effect::CreateQueue {
                    id,
                    queue,
                    properties,
                    ..
                } => {
                    let told = told(&properties);
                    format!("create queue {id} {} log={:?}{told}", queue.name, queue.log)
                }
                Effect::DropQueue { id } => format!("drop queue {id}"),
                Effect::CreateWindow { id, settings, .. } => {
                    format!("create window {} {settings:?}", id.0)
                }
                Effect::DropWindow { id } => format!("drop window {}", id.0),
            };
            writeln!(out, "---- {shown}").unwrap();
        }
    }

    fn publish(&self, line: &Line, out: &mut String) {
        let mut queues = Vec::new();
        let mut scratch = RouteScratch::default();
        let more_keys: Vec<String> = line.words[3..].iter().map(|&key| key.into()).collect();
        let publication = Publication {
            space: SpaceId::DEFAULT,
            exchange: line.words[1],
            routing_key: line.words[2],
            more_keys: &more_keys,
            message: line,
            from_client: true,
        };
        let routed = self
            .catalog
            .router()
            .route_all(&publication, &mut scratch, &mut queues);
        match routed {
            Ok(_) => writeln!(out, "---- to {queues:?}").unwrap(),
            Err(refused) => writeln!(out, "---- refused {refused:?}").unwrap(),
        }
        for part in scratch.parts() {
            let delayed = if part.is_delayed { " delayed" } else { "" };
            let window = part.window.map(|id| format!(" window {}", id.0));
            let window = window.unwrap_or_default();
            writeln!(out, "----{delayed}{window} to {:?}", part.queues).unwrap();
        }
    }

    fn restart(&mut self) {
        let lines = durable_lines(&self.catalog);
        let replayed = replay(&self.recorded);
        assert_eq!(durable_lines(&replayed), lines);
        self.catalog = replayed;
    }
}

fn run(history: &str) -> String {
    let mut world = World {
        catalog: super::tests::empty(),
        recorded: Vec::new(),
        token: 0,
    };
    let mut out = String::new();
    for text in history.lines().filter(|line| !line.starts_with("---- ")) {
        writeln!(out, "{text}").unwrap();
        let line = Line::read(text.split('#').next().unwrap_or_default());
        match line.words[..] {
            [] => continue,
            ["restart"] => world.restart(),
            ["publish", ..] => world.publish(&line, &mut out),
            _ => {
                let input = world.input(&line);
                world.handle(input, &mut out);
            }
        }
        world.catalog.check();
    }
    out
}

#[test]
fn histories() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/histories");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let answered = run(&text);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(&file, &answered).unwrap();
            continue;
        }
        assert_eq!(answered, text, "{}", file.display());
    }
}

const FLAGS: [&str; 7] = [
    "durable",
    "auto-delete",
    "internal",
    "passive",
    "exclusive",
    "if-unused",
    "if-empty",
];
