//! What members want: topics by name, and by patterns that the broker resolves.
//!
//! A pattern is a regular expression that must match a topic's whole name, matched in time
//! linear to it. Each is resolved once for all members that have it, and again when topics
//! come or go. A topic that does not exist is wanted all the same: it is shared out from when
//! it is made.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use siphasher::sip::SipHasher13;

use super::beat::Refused;
use super::member::Member;
use super::topics::Topics;
use crate::catalog::TopicId;

/// The patterns of a group's members, resolved.
#[derive(Debug, Default)]
pub struct Patterns {
    resolved: BTreeMap<Arc<str>, Resolved>,
}

#[derive(Debug)]
struct Resolved {
    expression: Regex,
    /// As of when topics last changed.
    topics: BTreeMap<TopicId, u32>,
}

impl Patterns {
    /// Whether this can be resolved. Nothing changes.
    pub fn check(&self, pattern: &str) -> Result<(), Refused> {
        match pattern.is_empty() || self.resolved.contains_key(pattern) {
            true => Ok(()),
            false => compile(pattern).map(|_| ()),
        }
    }

    /// Forgets what no member has.
    pub fn keep<'a>(&mut self, members: impl Iterator<Item = &'a Member>) {
        let wanted: BTreeSet<&Arc<str>> = members.filter_map(|m| m.pattern.as_ref()).collect();
        self.resolved.retain(|pattern, _| wanted.contains(pattern));
    }

    /// Knows exactly the patterns that members have.
    pub fn follow<'a>(&mut self, members: impl Iterator<Item = &'a Member>, topics: &dyn Topics) {
        let wanted: BTreeSet<&Arc<str>> = members.filter_map(|m| m.pattern.as_ref()).collect();
        self.resolved.retain(|pattern, _| wanted.contains(pattern));
        for pattern in wanted {
            if self.resolved.contains_key(pattern) {
                continue;
            }
            // What is wanted has been checked, but perhaps by another version of this program.
            if let Ok(expression) = compile(pattern) {
                let mut resolved = Resolved {
                    expression,
                    topics: BTreeMap::new(),
                };
                resolved.resolve(topics);
                self.resolved.insert(pattern.clone(), resolved);
            }
        }
    }

    /// Topics have come, gone or grown.
    pub fn resolve_again(&mut self, topics: &dyn Topics) {
        for resolved in self.resolved.values_mut() {
            resolved.resolve(topics);
        }
    }

    /// Whether a pattern matches this name.
    pub fn matches(&self, name: &str) -> bool {
        let mut resolved = self.resolved.values();
        resolved.any(|resolved| resolved.expression.is_match(name))
    }

    /// What there is of what a member wants, with how many partitions.
    pub fn wanted_by(&self, member: &Member, topics: &dyn Topics) -> BTreeMap<TopicId, u32> {
        let named = member.topics.iter().filter_map(|name| topics.by_name(name));
        let mut wanted: BTreeMap<TopicId, u32> = named
            .map(|shape| (shape.id, shape.partition_count))
            .collect();
        let pattern = member.pattern.as_ref();
        if let Some(resolved) = pattern.and_then(|pattern| self.resolved.get(pattern)) {
            wanted.extend(&resolved.topics);
        }
        wanted
    }

    /// What there is of what any of these want.
    pub fn wanted_by_all<'a>(
        &self,
        members: impl Iterator<Item = &'a Member>,
        topics: &dyn Topics,
    ) -> BTreeMap<TopicId, u32> {
        let mut names: BTreeSet<&Arc<str>> = BTreeSet::new();
        let mut wanted = BTreeMap::new();
        for member in members {
            names.extend(&member.topics);
        }
        for shape in names.into_iter().filter_map(|name| topics.by_name(name)) {
            wanted.insert(shape.id, shape.partition_count);
        }
        for resolved in self.resolved.values() {
            wanted.extend(&resolved.topics);
        }
        wanted
    }
}

impl Resolved {
    fn resolve(&mut self, topics: &dyn Topics) {
        self.topics.clear();
        topics.each(&mut |name, shape| {
            if self.expression.is_match(name) {
                self.topics.insert(shape.id, shape.partition_count);
            }
        });
    }
}

/// One number for topics and their sizes: that they have changed is seen by it, also over a
/// restart.
pub fn fingerprint(topics: &BTreeMap<TopicId, u32>) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    for (topic, partition_count) in topics {
        hasher.write(&topic.0.to_be_bytes());
        hasher.write(&partition_count.to_be_bytes());
    }
    hasher.finish()
}

fn compile(pattern: &str) -> Result<Regex, Refused> {
    let build = |expression: &str| {
        let mut builder = RegexBuilder::new(expression);
        builder.size_limit(EXPRESSION_BYTES_MAX).build()
    };
    // By itself first: `a)(b` is no expression, and would be one in brackets.
    let whole = build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z")));
    whole.map_err(|error| Refused::InvalidPattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })
}

/// Most memory of one compiled pattern; one that needs more is refused.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let matches = |pattern: &str, name: &str| compile(pattern).is_ok_and(|e| e.is_match(name));
        assert!(matches("a|ab", "ab"));
        assert!(matches("orders-.*", "orders-eu"));
        assert!(!matches("orders", "orders-eu"));
        assert!(!matches("rders", "orders"));
        assert!(matches("(?i)ORDERS", "orders"));
        assert!(!matches("a$|b", "a\n"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "a)(b", "*", r"(a)\1", "(?=a)", "a{1000}{1000}"] {
            let refused = compile(pattern);
            assert!(
                matches!(refused, Err(Refused::InvalidPattern { .. })),
                "{pattern}"
            );
        }
    }
}
