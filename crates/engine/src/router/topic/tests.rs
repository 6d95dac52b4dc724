//! The trie against a naive matcher, and what its walk costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::router::id::QueueId;

/// The rule, word by word, without any cleverness.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern.split_first(), key.split_first()) {
        (None, None) => true,
        (Some((&"#", rest)), None) => matches(rest, key),
        (Some((&"#", rest)), Some((_, key_rest))) => {
            matches(rest, key) || matches(pattern, key_rest)
        }
        (Some((word, rest)), Some((key_word, key_rest))) => {
            (*word == "*" || word == key_word) && matches(rest, key_rest)
        }
        _ => false,
    }
}

fn matched(trie: &TopicTrie, key: &str) -> BTreeSet<Target> {
    let mut found = BTreeSet::new();
    trie.each_match(key, &mut TopicScratch::default(), |target| {
        found.insert(target);
    });
    found
}

fn target(number: usize) -> Target {
    Target::Queue(QueueId(number as u64))
}

#[test]
fn patterns_match_as_rabbitmq_matches_them() {
    // The patterns and keys of RabbitMQ's own suite for topic exchanges.
    let patterns = [
        "a.b.c",
        "a.*.c",
        "a.#.b",
        "a.b.b.c",
        "#",
        "#.#",
        "#.b",
        "*.*",
        "a.*",
        "*.b.c",
        "a.#",
        "a.#.#",
        "b.b.c",
        "a.b.b",
        "a.b",
        "b.c",
        "",
        "*.*.*",
        "vodka.martini",
        "a.b.c",
        "*.#",
        "#.*.#",
        "*.#.#",
        "#.#.#",
        "*",
        "#.b.#",
    ];
    let mut trie = TopicTrie::new(1);
    for (index, pattern) in patterns.iter().enumerate() {
        trie.add(pattern, target(index + 1));
    }
    let expected: [(&str, &[usize]); 10] = [
        (
            "a.b.c",
            &[1, 2, 5, 6, 10, 11, 12, 18, 20, 21, 22, 23, 24, 26],
        ),
        ("a.b", &[3, 5, 6, 7, 8, 9, 11, 12, 15, 21, 22, 23, 24, 26]),
        ("a.b.b", &[3, 5, 6, 7, 11, 12, 14, 18, 21, 22, 23, 24, 26]),
        ("", &[5, 6, 17, 24]),
        ("b.c.c", &[5, 6, 18, 21, 22, 23, 24, 26]),
        ("a.a.a.a.a", &[5, 6, 11, 12, 21, 22, 23, 24]),
        ("vodka.gin", &[5, 6, 8, 21, 22, 23, 24]),
        ("vodka.martini", &[5, 6, 8, 19, 21, 22, 23, 24]),
        ("b.b.c", &[5, 6, 10, 13, 18, 21, 22, 23, 24, 26]),
        ("nothing.here.at.all", &[5, 6, 21, 22, 23, 24]),
    ];
    for (key, numbers) in expected {
        let numbers: BTreeSet<Target> = numbers.iter().map(|number| target(*number)).collect();
        assert_eq!(matched(&trie, key), numbers, "{key}");
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => Just("a"),
        2 => Just("b"),
        2 => Just("*"),
        3 => Just("#"),
        1 => Just(""),
    ];
    prop::collection::vec(word, 0..6).prop_map(|words| words.join("."))
}

fn key() -> impl Strategy<Value = String> {
    let word =
        prop_oneof![4 => Just("a"), 3 => Just("b"), 1 => Just("c"), 1 => Just(""), 1 => Just("#")];
    prop::collection::vec(word, 0..7).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn trie_agrees_with_the_naive_matcher(
        steps in prop::collection::vec((pattern(), 0..4_u64, any::<bool>()), 0..40),
        keys in prop::collection::vec(key(), 1..20),
    ) {
        let mut trie = TopicTrie::new(7);
        let mut model: BTreeMap<(String, u64), u32> = BTreeMap::new();
        for (pattern, queue, add) in steps {
            let at = Target::Queue(QueueId(queue));
            if add {
                trie.add(&pattern, at);
                *model.entry((pattern, queue)).or_default() += 1;
            } else if let Some(((pattern, queue), count)) = model.iter_mut().next_back() {
                trie.remove(pattern, Target::Queue(QueueId(*queue)));
                *count -= 1;
                if *count == 0 {
                    model.pop_last();
                }
            }
            for key in &keys {
                let split: Vec<&str> = words(key).collect();
                let naive: BTreeSet<Target> = model
                    .keys()
                    .filter(|(pattern, _)| matches(&words(pattern).collect::<Vec<_>>(), &split))
                    .map(|(_, queue)| Target::Queue(QueueId(*queue)))
                    .collect();
                prop_assert_eq!(matched(&trie, key), naive, "{}", key);
            }
        }
        for ((pattern, queue), count) in model {
            for _ in 0..count {
                trie.remove(&pattern, Target::Queue(QueueId(queue)));
            }
        }
        prop_assert_eq!(trie.size(), (0, 0, 0));
    }
}

#[test]
fn many_hashes_do_not_explode() {
    let mut trie = TopicTrie::new(7);
    trie.add(&vec!["#.a"; 100].join("."), target(1));
    trie.add(&vec!["#"; 100].join("."), target(2));
    let key = vec!["a"; 120].join(".");
    assert_eq!(matched(&trie, &key), BTreeSet::from([target(1), target(2)]));
}

/// `cargo test --release -p bongsu-engine -- --ignored --nocapture a_publish`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn a_publish_among_100_000_bindings_costs_microseconds() {
    const COUNT: usize = 100_000;
    type Shape = (&'static str, fn(usize) -> String);
    let shapes: [Shape; 4] = [
        ("exact: site.N.sensor.N", |i| {
            format!("site.{}.sensor.{i}", i % 1000)
        }),
        ("star: site.*.sensor.N", |i| format!("site.*.sensor.{i}")),
        ("hash: site.N.#", |i| format!("site.{i}.#")),
        ("mixed, with #.N at the front", |i| match i % 4 {
            0 => format!("#.{i}"),
            1 => format!("*.{}.#", i % 1000),
            2 => format!("site.{}.sensor.{i}", i % 1000),
            _ => format!("site.#.{i}"),
        }),
    ];
    for (name, pattern) in shapes {
        let mut trie = TopicTrie::new(7);
        let started = std::time::Instant::now();
        for index in 0..COUNT {
            trie.add(&pattern(index), target(index));
        }
        let built = started.elapsed();
        let keys: Vec<String> = (0..1000)
            .map(|index| {
                let number = index * 97 % COUNT;
                format!("site.{}.sensor.{number}", number % 1000)
            })
            .collect();
        let (mut scratch, mut hits) = (TopicScratch::default(), 0_usize);
        let started = std::time::Instant::now();
        for _ in 0..100 {
            for key in &keys {
                trie.each_match(key, &mut scratch, |_| hits += 1);
            }
        }
        let each = started.elapsed() / 100_000;
        let mut line = String::new();
        write!(line, "{name}: {each:?} a publish").unwrap();
        write!(line, ", {} targets each", hits / 100_000).unwrap();
        println!("{line}; built in {built:?}, {:?}", trie.size());
    }
}
