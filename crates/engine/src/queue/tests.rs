//! Histories (text in, effects out; `BONGSU_BLESS=1` rewrites the answers) and a naive
//! model. The histories are the specification of delivery.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use bongsu_record::{Arguments, Value};

use super::links::{Gate, Open};
use super::*;

/// A gate with a count of records left.
struct Counted(std::cell::Cell<u64>);

impl Gate for Counted {
    fn admit(&self, _: LinkKey, wanted: u64) -> u64 {
        let granted = wanted.min(self.0.get());
        self.0.set(self.0.get() - granted);
        granted
    }
}

/// A queue, the time, and what its log would say of each record.
struct World {
    queue: Queue,
    now_ms: u64,
    facts: Vec<Fact>,
    /// Durable: what a crash leaves beside the state of the last checkpoint.
    arguments: Arguments,
}

impl World {
    fn new() -> World {
        World {
            queue: Queue::new(Arc::default(), 0),
            now_ms: 0,
            facts: Vec::new(),
            arguments: Arguments::new(),
        }
    }

    fn runs(&self, records: Range<u64>) -> Vec<FactRun> {
        let mut runs = Vec::new();
        for offset in records {
            push_fact(&mut runs, offset, self.facts[offset as usize]);
        }
        runs
    }
}

fn run(history: &str) -> String {
    let mut world = World::new();
    let gate = Counted(std::cell::Cell::new(u64::MAX));
    let mut effects = Vec::new();
    let mut out = String::new();
    for line in history.lines().filter(|l| !l.starts_with("---- ")) {
        writeln!(out, "{line}").expect("a string");
        let code = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = code.split_whitespace().collect();
        let [verb, arguments @ ..] = &words[..] else {
            continue;
        };
        step(&mut world, &gate, verb, arguments, &mut effects);
        world.queue.check();
        for effect in effects.drain(..) {
            writeln!(out, "---- {}", shown(&effect)).expect("a string");
        }
    }
    out
}

fn step(world: &mut World, gate: &Counted, verb: &str, words: &[&str], effects: &mut Vec<Effect>) {
    let named = |name: &str| {
        let found = words
            .iter()
            .find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        found.map(|text| text.parse::<i64>().expect("a number"))
    };
    let key = || {
        LinkKey(
            words[0]
                .trim_start_matches('c')
                .parse()
                .expect("c and a number"),
        )
    };
    let ranges = || -> Vec<Range<Offset>> {
        let numbers = words
            .iter()
            .filter(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        let range = |text: &&str| match text.split_once('-') {
            Some((a, b)) => Offset(a.parse().expect("start"))..Offset(b.parse().expect("end")),
            None => Offset(text.parse().expect("one"))..Offset(text.parse().expect("one")).plus(1),
        };
        numbers.map(range).collect()
    };
    let settled;
    let facts;
    let input = match verb {
        // Of the queue: `queue x-message-ttl=5 x-overflow=reject-publish`.
        "queue" | "policy" => {
            for word in words {
                let (name, text) = word.split_once('=').expect("name=value");
                let value = match (text, text.parse::<i64>()) {
                    (_, Ok(number)) => Value::Int(number),
                    ("true", _) => Value::Bool(true),
                    (list, _) if list.contains(',') => Value::List(
                        list.split(',')
                            .map(|item| Value::Int(item.parse().expect("a number")))
                            .collect(),
                    ),
                    (text, _) => Value::Text(text.to_owned()),
                };
                world.arguments.insert(name.to_owned(), value);
            }
            let properties = Arc::new(Properties::of(&world.arguments));
            if verb == "queue" {
                world.queue = Queue::new(properties, world.now_ms);
                world.facts.clear();
                return;
            }
            Input::Configure { properties }
        }
        "at" => {
            world.now_ms = words[0].parse().expect("milliseconds");
            Input::Timeout
        }
        "append" => {
            let count: u64 = words[0].parse().expect("count");
            let fact = Fact {
                at_ms: world.now_ms,
                ttl_ms: named("ttl").map(|ms| ms as u64),
                deliver_at_ms: named("deliver-at").unwrap_or(0) as u64,
                priority: named("priority").unwrap_or(0) as u8,
                key: named("key").map(|key| key as u64),
                bytes: named("bytes").unwrap_or(0) as u32,
            };
            let start = world.facts.len() as u64;
            world.facts.extend(vec![fact; count as usize]);
            facts = match world.queue.judges() || !fact.is_plain() {
                true => world.runs(start..start + count),
                false => Vec::new(),
            };
            Input::Append {
                count,
                facts: &facts,
            }
        }
        // The world looks at the queue, as the clerk does after a start.
        "tell" => Input::Timeout,
        "told" => {
            let asked = ranges().remove(0);
            facts = world.runs(asked.start.0..asked.end.0);
            Input::Facts {
                records: asked,
                facts: &facts,
            }
        }
        "discard" => {
            settled = ranges();
            Input::Discard { ranges: &settled }
        }
        // Of one: `revoke c1 0-4`; of anybody: `revoke all 0-4`.
        "revoke" => {
            settled = ranges();
            Input::Revoke {
                holder: words[0].starts_with('c').then(key),
                ranges: &settled,
            }
        }
        "moved" => Input::Moved {
            records: ranges().remove(0),
        },
        "full" => {
            // Which of so many new records a full queue refuses.
            let count: usize = words[0].parse().expect("count");
            let size = named("bytes").unwrap_or(0) as u32;
            let refused = world.queue.refuses(0, &mut vec![size; count].into_iter());
            assert_eq!(
                format!("{refused:?}"),
                words.last().copied().unwrap_or("[]")
            );
            return;
        }
        "consume" => Input::Attach {
            key: key(),
            link: Link {
                credit: named("credit").unwrap_or(0) as u32,
                priority: named("priority").unwrap_or(0),
                exclusive: words.contains(&"exclusive"),
                timeout_ms: named("timeout").map(|ms| ms as u64),
            },
        },
        "cancel" => Input::Detach {
            key: key(),
            outcome: match () {
                () if words.contains(&"keep") => None,
                () if words.contains(&"vanish") => Some(Outcome::Fail),
                () => Some(Outcome::Release),
            },
        },
        "accept" | "release" | "fail" | "reject" => {
            settled = ranges();
            Input::Settle {
                key: key(),
                ranges: &settled,
                outcome: match verb {
                    "accept" => Outcome::Accept,
                    "release" => Outcome::Release,
                    "fail" => Outcome::Fail,
                    _ => Outcome::Reject,
                },
            }
        }
        "get" => Input::Get { key: key() },
        // A queue that consumes somebody else's log: `subscribe 100 x-max-priority=2`.
        "subscribe" => {
            let start = ranges().remove(0).start;
            world.facts = vec![Fact::default(); start.0 as usize];
            let properties = Arc::new(Properties::of(&world.arguments));
            world.queue = Queue::subscribed(start, properties, world.now_ms);
            return;
        }
        "acquire" => Input::Acquire {
            key: key(),
            count_max: words[1].parse().expect("count"),
            hold: Hold {
                lock_ms: named("lock").unwrap_or(0) as u64,
                acquired_max: named("max").unwrap_or(0) as u32,
            },
        },
        "extend" => {
            settled = ranges();
            Input::Extend {
                key: key(),
                ranges: &settled,
                lock_ms: named("lock").unwrap_or(0) as u64,
            }
        }
        "unsend" => {
            settled = ranges();
            Input::Unsend {
                key: key(),
                ranges: &settled,
            }
        }
        "trim" => {
            let start = ranges().remove(0).start;
            let fewer = world.facts.len().max(start.0 as usize);
            world.facts.resize(fewer, Fact::default());
            Input::Trimmed { start }
        }
        "gate" => {
            gate.0.set(words[0].parse().expect("count"));
            return;
        }
        "resume" => Input::Resume { key: key() },
        "purge" => Input::Purge,
        "crash" => {
            // What a replay of everything recorded gives.
            let mut bytes = Vec::new();
            world.queue.encode(&mut bytes);
            let restoring = Restoring::decode(&bytes).expect("own bytes");
            let properties = world.queue.properties().clone();
            world.queue = restoring.finish(properties, world.now_ms);
            Input::Timeout
        }
        // What a replay of what was recorded gives, where there is no checkpoint: appends,
        // marks, and that everything below the floor was settled.
        "replay" => {
            let cursor = world.queue.cursor();
            let mut restoring = Restoring::default();
            restoring.cursor.replay_append(cursor.end());
            restoring.cursor.replay_settle(Offset(0)..cursor.floor());
            restoring.cursor.replay_mark(cursor.marked());
            let properties = world.queue.properties().clone();
            world.queue = restoring.finish(properties, world.now_ms);
            Input::Timeout
        }
        other => panic!("no such step: {other}"),
    };
    world.queue.handle(input, world.now_ms, gate, effects);
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Lease {
            key,
            records,
            tries,
        } => {
            let attempt = tries.acquired + 1;
            let failed = match tries.failed {
                0 => String::new(),
                failed => format!(", failed {failed}"),
            };
            let (start, end) = (records.start, records.end);
            format!("lease c{} {start}-{end} (attempt {attempt}{failed})", key.0)
        }
        Effect::Returned {
            records,
            tries,
            at_ms,
        } => format!(
            "returned {}-{} acquired {} failed {} until {at_ms}",
            records.start, records.end, tries.acquired, tries.failed
        ),
        Effect::Dying { records, reason } => {
            format!("dying {}-{} {reason:?}", records.start, records.end)
        }
        Effect::Tell { records } => format!("tell {}-{}", records.start, records.end),
        Effect::Cancel { key } => format!("cancelled c{}", key.0),
        Effect::Settled { records } => format!("settled {}-{}", records.start, records.end),
        Effect::Mark { next } => format!("mark {next}"),
    }
}

#[test]
fn histories() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/queue/histories");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of histories")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a history");
        let answered = run(&text);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(&file, &answered).expect("rewritten");
            continue;
        }
        assert_eq!(answered, text, "{}", file.display());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Attach(u8, u8, i8),
    Detach(u8, bool),
    Settle(u8, u8, u8, u8),
    Get(u8),
    Acquire(u8, u8),
    Unsend(u8, u8, u8),
    Trim(u8),
    Purge,
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..6_u8).prop_map(Step::Append),
        1 => (0..4_u8, 0..5_u8, -1..2_i8).prop_map(|(k, c, p)| Step::Attach(k, c, p)),
        1 => (0..4_u8, any::<bool>()).prop_map(|(k, r)| Step::Detach(k, r)),
        6 => (0..4_u8, 0..30_u8, 1..8_u8, 0..3_u8).prop_map(|(k, s, n, o)| Step::Settle(k, s, n, o)),
        1 => (0..4_u8).prop_map(Step::Get),
        2 => (0..4_u8, 0..6_u8).prop_map(|(k, n)| Step::Acquire(k, n)),
        1 => (0..4_u8, 0..30_u8, 1..8_u8).prop_map(|(k, s, n)| Step::Unsend(k, s, n)),
        1 => (0..40_u8).prop_map(Step::Trim),
        1 => Just(Step::Purge),
        1 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 0..60)
}

/// One entry an offset: what the cursor keeps as runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Naive {
    New,
    Leased(LinkKey, u32),
    Returned(u32),
    Settled,
}

#[derive(Default)]
struct Model {
    offsets: Vec<Naive>,
    held: BTreeMap<LinkKey, (u64, u64)>,
}

impl Model {
    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Lease {
                    key,
                    records,
                    tries,
                } => {
                    let attempt = &(tries.acquired + 1);
                    for offset in records.start.0..records.end.0 {
                        // Nothing is lent out of order: returned ones first, lowest first.
                        let first = self.first_ready().expect("ready");
                        assert_eq!(first, offset as usize);
                        let before = match self.offsets[first] {
                            Naive::New => 0,
                            Naive::Returned(attempts) => attempts,
                            other => panic!("{other:?} was lent"),
                        };
                        assert_eq!(*attempt, before + 1);
                        self.offsets[first] = Naive::Leased(*key, *attempt);
                    }
                    if let Some((credit, held)) = self.held.get_mut(key) {
                        *held += records.end.0 - records.start.0;
                        assert!(*credit == 0 || held <= credit, "over its credit");
                    }
                }
                Effect::Settled { records } => {
                    for offset in records.start.0..records.end.0 {
                        assert_ne!(self.offsets[offset as usize], Naive::Settled);
                        self.offsets[offset as usize] = Naive::Settled;
                    }
                }
                Effect::Returned { .. }
                | Effect::Dying { .. }
                | Effect::Tell { .. }
                | Effect::Cancel { .. } => panic!("not of a plain queue: {effect:?}"),
                Effect::Mark { .. } => {}
            }
        }
    }

    fn first_ready(&self) -> Option<usize> {
        let returned = |n: &Naive| matches!(n, Naive::Returned(_));
        let position = self.offsets.iter().position(returned);
        position.or_else(|| self.offsets.iter().position(|n| *n == Naive::New))
    }
}

proptest! {
    #[test]
    fn queue_does_as_the_naive_model(steps in steps()) {
        let mut queue = Queue::new(Arc::default(), 0);
        let mut model = Model::default();
        let mut keys: [Option<LinkKey>; 4] = [None; 4];
        let mut unused = 0;
        let mut effects = Vec::new();
        for step in steps {
            effects.clear();
            match step {
                Step::Append(n) => {
                    model.offsets.extend(vec![Naive::New; usize::from(n)]);
                    queue.handle(Input::Append { count: u64::from(n), facts: &[] }, 0, &Open, &mut effects);
                }
                Step::Attach(slot, credit, priority) => {
                    if keys[usize::from(slot)].is_some() { continue; }
                    unused += 1;
                    let key = LinkKey(unused);
                    keys[usize::from(slot)] = Some(key);
                    model.held.insert(key, (u64::from(credit), 0));
                    let link = Link { credit: u32::from(credit), priority: i64::from(priority), exclusive: false, timeout_ms: None };
                    queue.handle(Input::Attach { key, link }, 0, &Open, &mut effects);
                }
                Step::Detach(slot, release) => {
                    let Some(key) = keys[usize::from(slot)].take() else { continue };
                    model.held.remove(&key);
                    for state in &mut model.offsets {
                        if let Naive::Leased(holder, attempt) = *state && holder == key && release {
                            *state = Naive::Returned(attempt);
                        }
                    }
                    queue.handle(Input::Detach { key, outcome: release.then_some(Outcome::Release) }, 0, &Open, &mut effects);
                }
                Step::Settle(slot, start, count, outcome) => {
                    let Some(key) = keys[usize::from(slot)] else { continue };
                    let end = u64::from(start) + u64::from(count);
                    let ranges = [Offset(u64::from(start))..Offset(end)];
                    let outcome = [Outcome::Accept, Outcome::Release, Outcome::Reject][usize::from(outcome)];
                    let mut expected = 0;
                    for offset in u64::from(start)..end.min(model.offsets.len() as u64) {
                        let state = &mut model.offsets[offset as usize];
                        if let Naive::Leased(holder, attempt) = *state && holder == key {
                            expected += 1;
                            if outcome == Outcome::Release { *state = Naive::Returned(attempt); }
                        }
                    }
                    if let Some((_, held)) = model.held.get_mut(&key) { *held = held.saturating_sub(expected); }
                    queue.handle(Input::Settle { key, ranges: &ranges, outcome }, 0, &Open, &mut effects);
                }
                Step::Get(slot) => {
                    let Some(key) = keys[usize::from(slot)] else { continue };
                    // A get is not bound by the link's credit, and is not counted on it.
                    let held = model.held.remove(&key);
                    queue.handle(Input::Get { key }, 0, &Open, &mut effects);
                    model.apply(&effects);
                    model.held.extend(held.map(|held| (key, held)));
                    effects.clear();
                }
                Step::Acquire(slot, count) => {
                    let Some(key) = keys[usize::from(slot)] else { continue };
                    // As a get, of many.
                    let held = model.held.remove(&key);
                    let ready = queue.cursor().ready();
                    let hold = Hold { lock_ms: 0, acquired_max: 0 };
                    let count_max = u64::from(count);
                    queue.handle(Input::Acquire { key, count_max, hold }, 0, &Open, &mut effects);
                    prop_assert_eq!(queue.cursor().ready(), ready - ready.min(count_max));
                    model.apply(&effects);
                    model.held.extend(held.map(|held| (key, held)));
                    effects.clear();
                }
                Step::Unsend(slot, start, count) => {
                    let Some(key) = keys[usize::from(slot)] else { continue };
                    let end = u64::from(start) + u64::from(count);
                    let ranges = [Offset(u64::from(start))..Offset(end)];
                    let mut expected = 0;
                    for offset in u64::from(start)..end.min(model.offsets.len() as u64) {
                        let state = &mut model.offsets[offset as usize];
                        if let Naive::Leased(holder, attempt) = *state && holder == key {
                            expected += 1;
                            *state = Naive::Returned(attempt - 1);
                        }
                    }
                    if let Some((_, held)) = model.held.get_mut(&key) { *held = held.saturating_sub(expected); }
                    queue.handle(Input::Unsend { key, ranges: &ranges }, 0, &Open, &mut effects);
                }
                Step::Trim(start) => {
                    let start = usize::from(start);
                    if start > model.offsets.len() {
                        model.offsets.resize(start, Naive::New);
                    }
                    for state in &model.offsets[..start] {
                        if let Naive::Leased(holder, _) = state && let Some((_, held)) = model.held.get_mut(holder) {
                            *held = held.saturating_sub(1);
                        }
                    }
                    queue.handle(Input::Trimmed { start: Offset(start as u64) }, 0, &Open, &mut effects);
                    prop_assert!(queue.cursor().floor().0 >= start as u64);
                }
                Step::Purge => queue.handle(Input::Purge, 0, &Open, &mut effects),
                Step::Restore => {
                    let mut bytes = Vec::new();
                    queue.encode(&mut bytes);
                    let before = queue.cursor.next();
                    let restoring = Restoring::decode(&bytes).expect("own bytes");
                    queue = restoring.finish(Arc::default(), 0);
                    let next = queue.cursor.next();
                    for (index, state) in model.offsets.iter_mut().enumerate() {
                        match *state {
                            Naive::Leased(_, attempt) => *state = Naive::Returned(attempt),
                            Naive::New if (index as u64) < next => {
                                assert!(index as u64 >= before);
                                *state = Naive::Returned(1);
                            }
                            _ => {}
                        }
                    }
                    model.held.clear();
                    keys = [None; 4];
                }
            }
            model.apply(&effects);
            queue.check();
            let ready = model.offsets.iter().filter(|n| matches!(n, Naive::New | Naive::Returned(_))).count();
            prop_assert_eq!(queue.cursor().ready(), ready as u64);
            for (index, state) in model.offsets.iter().enumerate() {
                let at = Offset(index as u64);
                prop_assert_eq!(queue.cursor().is_owed(at..at.plus(1)), *state != Naive::Settled);
            }
        }
    }

    #[test]
    fn random_bytes_are_no_cursor(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(restoring) = Restoring::decode(&bytes) {
            let mut again = Vec::new();
            restoring.cursor.encode(&mut again);
            prop_assert!(bytes.starts_with(&again[..2]));
        }
    }
}
