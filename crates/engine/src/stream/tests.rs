//! Histories (text in, effects out; `BONGSU_BLESS=1` rewrites the answers), a naive model,
//! and what arguments mean.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use bongsu_record::{Arguments, Offset, Value};
use proptest::prelude::*;

use super::offset::OffsetInvalid;
use super::readers::{Reader, TURN_RECORDS};
use super::*;
use crate::queue::{Gate, LinkKey};

/// A gate with a count of records left.
struct Counted(std::cell::Cell<u64>);

impl Gate for Counted {
    fn admit(&self, _: LinkKey, wanted: u64) -> u64 {
        let granted = wanted.min(self.0.get());
        self.0.set(self.0.get() - granted);
        granted
    }
}

fn run(history: &str) -> String {
    let mut readers = Readers::default();
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
        step(&mut readers, &gate, verb, arguments, &mut effects);
        readers.check();
        for effect in effects.drain(..) {
            writeln!(out, "---- {}", shown(&effect)).expect("a string");
        }
    }
    out
}

fn step(
    readers: &mut Readers,
    gate: &Counted,
    verb: &str,
    words: &[&str],
    effects: &mut Vec<Effect>,
) {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let named = |name: &str| {
        let found = words
            .iter()
            .find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        found.map(number)
    };
    let key = || LinkKey(number(words[0].trim_start_matches('r')));
    let range = |text: &&str| match text.split_once('-') {
        Some((start, end)) => Offset(number(start))..Offset(number(end)),
        None => Offset(number(text))..Offset(number(text) + 1),
    };
    let ranges: Vec<_>;
    let input = match verb {
        "append" => Input::Appended {
            end: readers.end().plus(number(words[0])),
        },
        "read" => Input::Attach {
            key: key(),
            reader: Reader {
                start: Offset(named("from").unwrap_or(0)),
                until: named("until").map(Offset),
                credit: named("credit").unwrap_or(0) as u32,
                tracked: words.contains(&"tracked"),
            },
        },
        "cancel" => Input::Detach { key: key() },
        "settle" => {
            ranges = words[1..].iter().map(range).collect();
            Input::Settle {
                key: key(),
                ranges: &ranges,
            }
        }
        "trim" => Input::Trimmed {
            start: Offset(number(words[0])),
        },
        "gate" => {
            gate.0.set(number(words[0]));
            return;
        }
        "resume" => Input::Resume { key: key() },
        other => panic!("no such step: {other}"),
    };
    readers.handle(input, gate, effects);
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Hand { key, records } => {
            format!("hand r{} {}-{}", key.0, records.start, records.end)
        }
        Effect::Stored { key, next } => format!("stored r{} {next}", key.0),
        Effect::Finished { key } => format!("finished r{}", key.0),
    }
}

#[test]
fn histories() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stream/histories");
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
    Attach(u8, u8, u8, u8, bool),
    Detach(u8),
    Settle(u8, u8, u8),
    Trim(u8),
    Gate(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..9_u8).prop_map(Step::Append),
        2 => (0..4_u8, 0..40_u8, 0..60_u8, 0..5_u8, any::<bool>())
            .prop_map(|(slot, from, until, credit, tracked)| {
                Step::Attach(slot, from, until, credit, tracked)
            }),
        1 => (0..4_u8).prop_map(Step::Detach),
        6 => (0..4_u8, 0..60_u8, 1..9_u8).prop_map(|(slot, from, n)| Step::Settle(slot, from, n)),
        1 => (0..9_u8).prop_map(Step::Trim),
        1 => (0..12_u8).prop_map(Step::Gate),
    ];
    prop::collection::vec(step, 0..80)
}

/// A reader as a list of offsets.
struct Naive {
    reader: Reader,
    next: u64,
    held: Vec<u64>,
    stored: u64,
    finished: bool,
}

impl Naive {
    fn until(&self) -> u64 {
        self.reader.until.map_or(u64::MAX, |until| until.0)
    }
}

#[derive(Default)]
struct Model {
    start: u64,
    end: u64,
    readers: BTreeMap<LinkKey, Naive>,
}

impl Model {
    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Hand { key, records } => {
                    let naive = self.readers.get_mut(key).expect("a reader");
                    let end = self.end.min(naive.until());
                    assert!(records.start < records.end && records.end.0 <= end);
                    assert!(records.end.0 - records.start.0 <= TURN_RECORDS);
                    assert_eq!(records.start.0, naive.next, "in order, each once");
                    naive.next = records.end.0;
                    naive.held.extend(records.start.0..records.end.0);
                }
                Effect::Stored { key, next } => {
                    let naive = self.readers.get_mut(key).expect("a reader");
                    let floor = naive.held.iter().min().copied().unwrap_or(naive.next);
                    assert!(naive.reader.tracked && next.0 == floor && floor > naive.stored);
                    naive.stored = floor;
                }
                Effect::Finished { key } => {
                    let naive = self.readers.get_mut(key).expect("a reader");
                    assert!(!naive.finished && naive.next >= naive.until());
                    naive.finished = true;
                }
            }
        }
    }

    /// Nobody waits who could be handed something, unless its gate was shut.
    fn check(&self, shut: bool) {
        for (key, naive) in &self.readers {
            let held = naive.held.len() as u64;
            let credit = u64::from(naive.reader.credit);
            assert!(credit == 0 || held <= credit, "{key:?} is over its credit");
            let end = self.end.min(naive.until());
            let waits = naive.next < end && (credit == 0 || held < credit);
            assert_eq!(naive.finished, naive.next >= naive.until());
            assert!(shut || !waits, "{key:?} waits for nothing");
        }
    }
}

proptest! {
    #[test]
    fn readers_do_as_the_naive_model(steps in steps()) {
        let mut readers = Readers::default();
        let mut model = Model::default();
        let gate = Counted(std::cell::Cell::new(u64::MAX));
        let mut keys: [Option<LinkKey>; 4] = [None; 4];
        let mut unused = 0;
        let mut effects = Vec::new();
        for step in steps {
            effects.clear();
            let mut settled = None;
            match step {
                Step::Append(count) => {
                    model.end += u64::from(count);
                    let input = Input::Appended { end: Offset(model.end) };
                    readers.handle(input, &gate, &mut effects);
                }
                Step::Attach(slot, from, until, credit, tracked) => {
                    if keys[usize::from(slot)].is_some() { continue; }
                    unused += 1;
                    let key = LinkKey(unused);
                    keys[usize::from(slot)] = Some(key);
                    let start = Offset(u64::from(from));
                    // A good half wants no end.
                    let until = (until < 30).then_some(Offset(u64::from(until)));
                    let reader = Reader { start, until, credit: u32::from(credit), tracked };
                    let next = start.0.max(model.start);
                    let naive = Naive { reader, next, held: Vec::new(), stored: next, finished: false };
                    model.readers.insert(key, naive);
                    readers.handle(Input::Attach { key, reader }, &gate, &mut effects);
                }
                Step::Detach(slot) => {
                    let Some(key) = keys[usize::from(slot)].take() else { continue };
                    model.readers.remove(&key);
                    readers.handle(Input::Detach { key }, &gate, &mut effects);
                    prop_assert_eq!(readers.floor(key), None);
                }
                Step::Settle(slot, from, count) => {
                    let Some(key) = keys[usize::from(slot)] else { continue };
                    let range = u64::from(from)..u64::from(from) + u64::from(count);
                    let naive = model.readers.get_mut(&key).expect("attached");
                    naive.held.retain(|offset| !range.contains(offset));
                    settled = Some(key);
                    let ranges = [Offset(range.start)..Offset(range.end)];
                    readers.handle(Input::Settle { key, ranges: &ranges }, &gate, &mut effects);
                }
                Step::Trim(count) => {
                    model.start = (model.start + u64::from(count)).min(model.end);
                    for naive in model.readers.values_mut() {
                        naive.next = naive.next.max(model.start);
                    }
                    let input = Input::Trimmed { start: Offset(model.start) };
                    readers.handle(input, &gate, &mut effects);
                }
                Step::Gate(count) => {
                    gate.0.set(if count > 8 { u64::MAX } else { u64::from(count) });
                    for key in keys.into_iter().flatten() {
                        readers.handle(Input::Resume { key }, &gate, &mut effects);
                    }
                }
            }
            model.apply(&effects);
            readers.check();
            model.check(gate.0.get() < u64::MAX / 2);
            prop_assert_eq!(readers.count() as usize, model.readers.len());
            for (key, naive) in &model.readers {
                let floor = naive.held.iter().min().copied().unwrap_or(naive.next);
                prop_assert_eq!(readers.floor(*key), Some(Offset(floor)));
                // A settle that moved the floor of a tracked reader was told.
                if settled == Some(*key) && naive.reader.tracked {
                    let told = effects.iter().any(|e| matches!(e, Effect::Stored { .. }));
                    prop_assert!(told || naive.stored == floor || naive.held.is_empty());
                }
            }
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,12}") {
        let value = Value::Text(text.clone());
        let span = age::parse_ms(&text);
        prop_assert_eq!(Retention::parse(&value).is_some(), span.is_some() || text == "forever");
        let known = span.is_some() || ["first", "last", "next"].contains(&text.as_str());
        prop_assert_eq!(StreamOffset::parse(Some(&value)).is_ok(), known);
    }
}

fn table(pairs: &[(&str, Value)]) -> Arguments {
    let owned = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    pairs.iter().map(owned).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn spans_of_time_are_rabbitmqs() {
    let day = 86_400_000;
    let expected = [
        ("1s", Some(1000)),
        ("90m", Some(5_400_000)),
        ("1h", Some(3_600_000)),
        ("7D", Some(7 * day)),
        ("2M", Some(60 * day)),
        ("1Y", Some(365 * day)),
        ("007D", Some(7 * day)),
        ("99999999999999999999Y", Some(u64::MAX)),
        ("0s", None),
        ("10", None),
        ("D", None),
        ("", None),
        ("7d", None),
        ("-1s", None),
        ("1h30m", None),
        (" 1h", None),
        ("1h ", None),
    ];
    for (span, ms) in expected {
        assert_eq!(age::parse_ms(span), ms, "{span:?}");
    }
}

#[test]
fn offsets_are_rabbitmqs() {
    let place = |value: Option<&Value>| {
        let offset = StreamOffset::parse(value)?;
        Ok::<_, OffsetInvalid>(offset.place(Offset(10), 1_000_000))
    };
    let at = |offset| Ok(Place::At(Offset(offset)));
    assert_eq!(place(None), at(10));
    assert_eq!(place(Some(&text("first"))), at(0));
    assert_eq!(place(Some(&text("last"))), at(9));
    assert_eq!(place(Some(&text("next"))), at(10));
    assert_eq!(place(Some(&Value::Int(4))), at(4));
    assert_eq!(place(Some(&Value::Int(99))), at(99));
    assert_eq!(place(Some(&Value::Int(-1))), at(0));
    assert_eq!(place(Some(&text("5m"))), Ok(Place::Time(700_000)));
    assert_eq!(place(Some(&Value::Time(700))), Ok(Place::Time(700_000)));
    let far = Value::Time(u64::MAX);
    assert_eq!(place(Some(&far)), Ok(Place::Time(i64::MAX)));
    for value in [text("4"), Value::Bool(true), Value::Nothing, text("First")] {
        assert_eq!(place(Some(&value)), Err(OffsetInvalid), "{value:?}");
    }
    let empty = StreamOffset::Last.place(Offset(0), 0);
    assert_eq!(empty, Place::At(Offset(0)));
}

#[test]
fn retentions_of_every_form() {
    let retention = |age_ms, bytes| Some(Retention { age_ms, bytes });
    let day = 86_400_000;
    let expected = [
        (text("7D"), retention(Some(7 * day), None)),
        (text("forever"), retention(None, None)),
        (Value::Int(5000), retention(None, Some(5000))),
        (
            Value::Map(table(&[("age", text("1D")), ("bytes", Value::Int(7))])),
            retention(Some(day), Some(7)),
        ),
        (
            Value::Map(table(&[("bytes", Value::Int(7))])),
            retention(None, Some(7)),
        ),
        (Value::Map(table(&[])), None),
        (Value::Map(table(&[("ages", text("1D"))])), None),
        (Value::Map(table(&[("age", Value::Int(1))])), None),
        (Value::Int(0), None),
        (Value::Int(-1), None),
        (text("5000"), None),
        (Value::Bool(true), None),
    ];
    for (value, expected) in expected {
        assert_eq!(Retention::parse(&value), expected, "{value:?}");
        let arguments = table(&[("x-retention", value)]);
        assert_eq!(Retention::of_queue(&arguments), expected);
    }
    assert_eq!(Retention::of_queue(&table(&[])), None);
    let size = ("x-retention-bytes", Value::Int(9));
    let day_and_size = table(&[("x-retention", text("1D")), size.clone()]);
    assert_eq!(
        Retention::of_queue(&day_and_size),
        retention(Some(day), Some(9))
    );
    assert_eq!(
        Retention::of_queue(&table(&[size])),
        retention(None, Some(9))
    );
    let stream = table(&[
        ("x-max-age", text("1D")),
        ("x-max-length-bytes", Value::Int(9)),
    ]);
    let bounded = Retention::of_stream(&stream);
    assert_eq!(Some(bounded), retention(Some(day), Some(9)));
    assert_eq!(bounded.kept_since(day as i64 + 5), Some(5));
    assert!(bounded.is_bounded());
    let unbounded = Retention::of_stream(&table(&[]));
    assert!(!unbounded.is_bounded() && unbounded.kept_since(5).is_none());
}

#[test]
fn filters_match_their_values() {
    let of = |pairs: &[(&str, Value)]| Filter::of(&table(pairs));
    assert_eq!(
        of(&[("x-stream-match-unfiltered", Value::Bool(true))]),
        None
    );
    assert_eq!(of(&[("x-stream-filter", Value::Int(3))]), None);
    let one = of(&[("x-stream-filter", text("a"))]).expect("a filter");
    assert!(one.wants(Some(&text("a"))) && one.wants(Some(&Value::Bytes(b"a".to_vec()))));
    assert!(!one.wants(Some(&text("b"))) && !one.wants(None));
    assert!(!one.wants(Some(&Value::Int(1))));
    let list = Value::List(vec![text("a"), Value::Int(7), text("c")]);
    let list = of(&[
        ("x-stream-filter", list),
        ("x-stream-match-unfiltered", Value::Bool(true)),
    ]);
    let list = list.expect("a filter");
    assert!(list.wants(Some(&text("a"))) && list.wants(Some(&text("c"))));
    assert!(list.wants(None) && !list.wants(Some(&text("b"))));
}

#[test]
fn a_turn_is_bounded() {
    let mut readers = Readers::over(Offset(5), Offset(0));
    assert_eq!(readers.end(), Offset(0));
    let mut effects = Vec::new();
    let end = Offset(3 * TURN_RECORDS);
    let gate = Counted(std::cell::Cell::new(u64::MAX));
    readers.handle(Input::Appended { end }, &gate, &mut effects);
    for key in [1, 2] {
        let reader = Reader {
            start: Offset(0),
            until: None,
            credit: 0,
            tracked: false,
        };
        gate.0.set(0);
        let key = LinkKey(key);
        readers.handle(Input::Attach { key, reader }, &gate, &mut effects);
    }
    gate.0.set(u64::MAX);
    for key in [1, 2] {
        let key = LinkKey(key);
        readers.handle(Input::Resume { key }, &gate, &mut effects);
    }
    let handed =
        |range: Range<u64>| Offset(range.start * TURN_RECORDS)..Offset(range.end * TURN_RECORDS);
    let expected = (0..2).flat_map(|reader| (0..3).map(move |turn| (reader + 1, turn)));
    let expected: Vec<_> = expected
        .map(|(key, turn)| Effect::Hand {
            key: LinkKey(key),
            records: handed(turn..turn + 1),
        })
        .collect();
    assert_eq!(effects, expected);
    readers.check();
}
