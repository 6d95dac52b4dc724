//! Matching by message headers (AMQP 0-9-1 section 3.1.3.4), as RabbitMQ reads it.
//!
//! `x-match` = `all` (also without it) or `any`; both leave names that begin with `x-` out.
//! `all-with-x` and `any-with-x` leave only `x-match` out. A rule's value of
//! [`Value::Nothing`] asks for presence alone. A rule that names nothing matches every
//! message under `all`, none under `any`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_record::{Arguments, Value};

use crate::router::order::compare_arguments;
use crate::router::targets::Target;

/// The bindings of one headers exchange. Bindings are tried one by one: an index by name
/// would still have to look at each rule of `all`.
#[derive(Debug, Default)]
pub(super) struct HeaderRules {
    rules: BTreeMap<(Rule, Target), u32>,
}

#[derive(Debug)]
struct Rule {
    matching: Matching,
    arguments: Arc<Arguments>,
}

/// `x-match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matching {
    /// One header is enough.
    pub any: bool,
    /// Names that begin with `x-` count.
    pub with_x: bool,
}

impl Matching {
    /// Reads `x-match`; `None` if it is something else.
    pub fn of(arguments: &Arguments) -> Option<Matching> {
        let (any, with_x) = match arguments.get(X_MATCH) {
            None => (false, false),
            Some(value) => match value.as_text()? {
                "all" => (false, false),
                "any" => (true, false),
                "all-with-x" => (false, true),
                "any-with-x" => (true, true),
                _ => return None,
            },
        };
        Some(Matching { any, with_x })
    }

    /// Whether a message with these headers matches a rule.
    pub fn matches(self, rule: &Arguments, headers: &Arguments) -> bool {
        let mut asked = rule.iter().filter(|(name, _)| {
            let counts = self.with_x || !name.starts_with("x-");
            counts && name.as_str() != X_MATCH
        });
        let fits = |(name, value): (&String, &Value)| {
            headers
                .get(name)
                .is_some_and(|there| *value == Value::Nothing || same(value, there))
        };
        if self.any {
            asked.any(fits)
        } else {
            asked.all(fits)
        }
    }
}

impl HeaderRules {
    pub(super) fn add(&mut self, arguments: &Arc<Arguments>, target: Target) {
        *self
            .rules
            .entry((Rule::new(arguments), target))
            .or_default() += 1;
    }

    pub(super) fn remove(&mut self, arguments: &Arc<Arguments>, target: Target) {
        let key = (Rule::new(arguments), target);
        let count = self.rules.get_mut(&key).expect("it was bound");
        *count -= 1;
        if *count == 0 {
            self.rules.remove(&key);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn each_match(&self, headers: &Arguments, mut visit: impl FnMut(Target)) {
        for (rule, target) in self.rules.keys() {
            if rule.matching.matches(&rule.arguments, headers) {
                visit(*target);
            }
        }
    }
}

impl Rule {
    fn new(arguments: &Arc<Arguments>) -> Rule {
        Rule {
            // Refused at the binding; a record of an older broker reads as RabbitMQ reads it.
            matching: Matching::of(arguments).unwrap_or(Matching {
                any: false,
                with_x: false,
            }),
            arguments: Arc::clone(arguments),
        }
    }
}

/// Values are compared by what they are, not by their type on the wire: numbers by their
/// number, texts by their bytes.
fn same(one: &Value, other: &Value) -> bool {
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => match (bytes(one), bytes(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        },
    }
}

#[derive(PartialEq)]
enum Number {
    Whole(i128),
    Broken(f64),
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Int(int) => Some(Number::Whole(i128::from(*int))),
        Value::Time(seconds) => Some(Number::Whole(i128::from(*seconds))),
        // Beyond 2^64 no integer of ours is its equal.
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 18.5e18 => {
            Some(Number::Whole(*float as i128))
        }
        Value::Float(float) => Some(Number::Broken(*float)),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

impl Ord for Rule {
    fn cmp(&self, other: &Rule) -> Ordering {
        compare_arguments(&self.arguments, &other.arguments)
    }
}

impl PartialOrd for Rule {
    fn partial_cmp(&self, other: &Rule) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rule {}

const X_MATCH: &str = "x-match";

#[cfg(test)]
mod tests;
