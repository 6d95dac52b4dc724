//! Configurations as they are told.

use super::table::{Row, TABLE};
use crate::catalog::{Configs, Topic, TopicDefinition, TopicId, TopicKind};
use crate::queue::properties::Properties;

/// One configuration of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Which.
    pub row: &'static Row,
    /// What holds.
    pub value: String,
    /// Who says so.
    pub source: Source,
}

/// Who says what a configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was set on the topic.
    Topic,
    /// The topic's declaration as a queue, or a policy: not to be taken away by deleting the
    /// configuration.
    Declaration,
    /// A setting of the broker.
    Broker,
    /// Nobody: it is the default.
    Default,
}

/// All configurations of a topic, or those named, in the table's order. Segments of logs for
/// which nobody says anything have `segment_bytes_usual`.
pub fn describe(
    topic: &Topic,
    names: Option<&[String]>,
    segment_bytes_usual: u64,
) -> Vec<Described> {
    let asked = |row: &&Row| names.is_none_or(|names| names.iter().any(|name| name == row.name));
    TABLE
        .iter()
        .filter(asked)
        .map(|row| describe_one(topic, row, segment_bytes_usual))
        .collect()
}

/// As [`describe`], all of a topic that would be made with this.
pub fn describe_new(configs: &Configs, segment_bytes_usual: u64) -> Vec<Described> {
    let definition = TopicDefinition {
        made_as_topic: true,
        configs: configs.clone(),
    };
    let mut properties = Properties {
        is_stream: true,
        ..Properties::default()
    };
    super::apply(Some(&definition), &mut properties);
    let topic = Topic {
        id: TopicId::default(),
        name: "".into(),
        partitions: [].into(),
        kind: TopicKind::Stream,
        definition: Some(definition),
        properties: properties.into(),
    };
    describe(&topic, None, segment_bytes_usual)
}

fn describe_one(topic: &Topic, row: &'static Row, segment_bytes_usual: u64) -> Described {
    let definition = topic.definition.as_ref();
    let told = |value, source| Described { row, value, source };
    if let Some(set) = definition.and_then(|definition| definition.configs.get(row.name)) {
        return told(set.clone(), Source::Topic);
    }
    let made_as_topic = definition.is_some_and(|definition| definition.made_as_topic);
    match declared(topic, made_as_topic, row.name) {
        Some(value) if value != row.default => told(value, Source::Declaration),
        None if row.name == "segment.bytes" => {
            told(segment_bytes_usual.to_string(), Source::Broker)
        }
        _ => told(row.default.to_owned(), Source::Default),
    }
}

/// What the declaration or a policy says, if they do.
fn declared(topic: &Topic, made_as_topic: bool, name: &str) -> Option<String> {
    let retention = topic.properties.retention;
    // Of what was made as a topic, to say nothing is to say what Kafka's default is; a stream
    // keeps everything, and a work queue nothing that is settled.
    let keeps_all = topic.kind == TopicKind::Stream && !made_as_topic;
    let bound = |value: Option<u64>| match value {
        Some(value) => Some(value.to_string()),
        None => keeps_all.then(|| "-1".to_owned()),
    };
    match name {
        "retention.ms" => bound(retention.and_then(|retention| retention.age_ms)),
        "retention.bytes" => bound(retention.and_then(|retention| retention.bytes)),
        "segment.bytes" => topic
            .properties
            .segment_bytes
            .map(|bytes| bytes.to_string()),
        _ => None,
    }
}
