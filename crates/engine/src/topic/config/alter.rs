//! Configurations set, taken away, added to and taken from.

use super::table::{self, Row, Status};
use super::value::{ValueInvalid, items};
use crate::catalog::{Configs, LogDurability, TopicKind};

/// One change of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// Of which.
    pub name: String,
    /// What becomes of it.
    pub operation: Operation,
}

/// What becomes of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It has this value; without one it is refused, as Kafka does.
    Set(Option<String>),
    /// It has its default.
    Delete,
    /// These items are added to its list, those that are there already left out.
    Append(Option<String>),
    /// These items are taken from its list.
    Subtract(Option<String>),
}

/// Why configurations are refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigRefused {
    /// No such configuration.
    Unknown {
        /// Its name.
        name: String,
    },
    /// Its value is not one.
    Invalid {
        /// Its name.
        name: &'static str,
        /// As given.
        value: String,
        /// What is wrong.
        cause: ValueInvalid,
    },
    /// A value is missing.
    NoValue {
        /// The configuration.
        name: String,
    },
    /// Not a list: nothing is added to it or taken from it.
    NotAList {
        /// The configuration.
        name: &'static str,
    },
    /// Named twice in one request.
    Twice {
        /// The configuration.
        name: String,
    },
    /// It cannot be followed here.
    OnlyDefault {
        /// The configuration.
        name: &'static str,
        /// As given.
        value: String,
        /// The one that is accepted.
        default: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A work queue's records go when they are settled.
    WorkQueue {
        /// The configuration.
        name: &'static str,
    },
    /// Two that exclude each other: the lesser bound is above the greater.
    Bounds {
        /// The lesser.
        min: &'static str,
        /// The greater.
        max: &'static str,
    },
}

/// What a topic is, as far as its configurations need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Stream or work queue.
    pub kind: TopicKind,
    /// What its log promises.
    pub log: LogDurability,
}

/// Checks a whole set, as when a topic is made.
///
/// # Errors
/// [`ConfigRefused`], of the first by name.
pub fn check(configs: &Configs, subject: Subject) -> Result<(), ConfigRefused> {
    for (name, value) in configs {
        let row = table::row(name).ok_or_else(|| unknown(name))?;
        check_one(row, value, subject)?;
    }
    check_together(configs)
}

/// What a set comes to by these changes, in their order.
///
/// # Errors
/// [`ConfigRefused`].
pub fn alter(
    configs: &Configs,
    alterations: &[Alteration],
    subject: Subject,
) -> Result<Configs, ConfigRefused> {
    let mut altered = configs.clone();
    for (index, Alteration { name, operation }) in alterations.iter().enumerate() {
        if alterations[..index].iter().any(|one| one.name == *name) {
            let name = name.clone();
            return Err(ConfigRefused::Twice { name });
        }
        let row = table::row(name).ok_or_else(|| unknown(name))?;
        let value = match operation {
            Operation::Delete => {
                altered.remove(name);
                continue;
            }
            Operation::Set(value) => given(name, value)?.to_owned(),
            Operation::Append(value) => {
                let mut list = listed(row, &altered)?;
                for item in items(given(name, value)?) {
                    if !list.contains(&item) {
                        list.push(item);
                    }
                }
                list.join(",")
            }
            Operation::Subtract(value) => {
                let gone = items(given(name, value)?);
                let mut list = listed(row, &altered)?;
                list.retain(|item| !gone.contains(item));
                list.join(",")
            }
        };
        check_one(row, &value, subject)?;
        altered.insert(name.clone(), value);
    }
    check_together(&altered)?;
    Ok(altered)
}

fn given<'a>(name: &str, value: &'a Option<String>) -> Result<&'a str, ConfigRefused> {
    let missing = || ConfigRefused::NoValue {
        name: name.to_owned(),
    };
    value.as_deref().ok_or_else(missing)
}

fn listed<'a>(row: &Row, configs: &'a Configs) -> Result<Vec<&'a str>, ConfigRefused> {
    let name = row.name;
    if !row.accepted.is_list() {
        return Err(ConfigRefused::NotAList { name });
    }
    let set = configs.get(name).map(String::as_str);
    Ok(items(set.unwrap_or(row.default)))
}

fn check_one(row: &'static Row, value: &str, subject: Subject) -> Result<(), ConfigRefused> {
    let name = row.name;
    row.accepted
        .check(value)
        .map_err(|cause| ConfigRefused::Invalid {
            name,
            value: value.to_owned(),
            cause,
        })?;
    let is_default = row.accepted.is_same(value, row.default);
    let only = |why| ConfigRefused::OnlyDefault {
        name,
        value: value.to_owned(),
        default: row.default,
        why,
    };
    match row.status {
        Status::OfStreams if subject.kind == TopicKind::Queue => {
            Err(ConfigRefused::WorkQueue { name })
        }
        Status::IfSynced if subject.log != LogDurability::Fsync && !is_default => {
            Err(only("the topic's durability is not fsync"))
        }
        Status::OnlyDefault(why) if !is_default => Err(only(why)),
        _ => Ok(()),
    }
}

fn check_together(configs: &Configs) -> Result<(), ConfigRefused> {
    let (min, max) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let number = |name: &str| -> i64 {
        let set = configs.get(name).map(String::as_str);
        let text = set.or_else(|| Some(table::row(name)?.default));
        let parsed = text.and_then(|text| text.trim().parse().ok());
        parsed.unwrap_or(0)
    };
    if number(min) > number(max) {
        return Err(ConfigRefused::Bounds { min, max });
    }
    Ok(())
}

fn unknown(name: &str) -> ConfigRefused {
    ConfigRefused::Unknown {
        name: name.to_owned(),
    }
}
