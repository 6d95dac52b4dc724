//! Which headers match which rule; each row was asked of RabbitMQ 3.10's source.

use super::*;

fn arguments(pairs: &[(&str, Value)]) -> Arguments {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn matches(x_match: &str, rule: &[(&str, Value)], headers: &[(&str, Value)]) -> bool {
    let mut rule = arguments(rule);
    if !x_match.is_empty() {
        rule.insert("x-match".to_owned(), text(x_match));
    }
    let matching = Matching::of(&rule).expect("a known x-match");
    matching.matches(&rule, &arguments(headers))
}

#[test]
fn rules_match_as_rabbitmq_matches_them() {
    let one = || ("a", Value::Int(1));
    let two = || ("b", text("2"));
    let x = || ("x-c", text("3"));
    type Pairs = Vec<(&'static str, Value)>;
    let rows: Vec<(&str, Pairs, Pairs, bool)> = vec![
        ("", vec![one(), two()], vec![one(), two()], true),
        ("all", vec![one(), two()], vec![one(), two(), x()], true),
        ("all", vec![one(), two()], vec![one()], false),
        ("any", vec![one(), two()], vec![one()], true),
        ("any", vec![one(), two()], vec![x()], false),
        // Nothing asked: all of it is there, none of it is.
        ("all", vec![], vec![], true),
        ("all", vec![], vec![one()], true),
        ("any", vec![], vec![one()], false),
        // x- names count only when asked for; x-match itself never.
        ("all", vec![one(), x()], vec![one()], true),
        ("all-with-x", vec![one(), x()], vec![one()], false),
        ("all-with-x", vec![one(), x()], vec![one(), x()], true),
        ("any", vec![x()], vec![x()], false),
        ("any-with-x", vec![x()], vec![x()], true),
        (
            "any-with-x",
            vec![],
            vec![("x-match", text("any-with-x"))],
            false,
        ),
        // No value: presence.
        ("all", vec![("a", Value::Nothing)], vec![one()], true),
        ("all", vec![("a", Value::Nothing)], vec![two()], false),
        ("any", vec![("a", Value::Nothing), two()], vec![one()], true),
        ("all", vec![one()], vec![("a", Value::Nothing)], false),
        // By value, not by type.
        ("all", vec![one()], vec![("a", Value::Float(1.0))], true),
        ("all", vec![one()], vec![("a", Value::Time(1))], true),
        ("all", vec![one()], vec![("a", Value::Float(1.5))], false),
        ("all", vec![one()], vec![("a", text("1"))], false),
        ("all", vec![one()], vec![("a", Value::Bool(true))], false),
        (
            "all",
            vec![two()],
            vec![("b", Value::Bytes(b"2".to_vec()))],
            true,
        ),
    ];
    for (x_match, rule, headers, expected) in rows {
        let matched = matches(x_match, &rule, &headers);
        assert_eq!(matched, expected, "{x_match} {rule:?} {headers:?}");
    }
}

#[test]
fn another_x_match_is_no_rule() {
    for value in [text("some"), text("ALL"), Value::Bool(true), Value::Int(1)] {
        assert_eq!(Matching::of(&arguments(&[("x-match", value)])), None);
    }
}
