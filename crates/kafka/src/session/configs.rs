//! Configurations described and altered: of topics, and of the broker, whose settings are
//! told and not changed from here.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Replaced;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::catalog::Configs;
use bongsu_engine::session::{Close, Effects, Now};
use bongsu_engine::topic::call::Change;
use bongsu_engine::topic::config::alter::ConfigRefused;
use bongsu_engine::topic::config::value::Type;
use bongsu_engine::topic::config::{Alteration, Described, Operation, Source, TABLE};
use bongsu_engine::topic::{Answer, Request};

use super::group_configs::{self, OfGroups};
use super::topics::{Said, ask, change, next_of, text};
use super::{Head, Malformed, Session, decoded};
use crate::errors::topics::of_config;
use crate::errors::{INVALID_REQUEST, NONE, UNSUPPORTED_VERSION};

/// A setting of the broker, as clients are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: String,
    /// It is not what it would be if nobody had said anything.
    pub is_set: bool,
    /// For people.
    pub meaning: String,
}

pub(crate) fn describe(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeConfigsRequest = decoded(&head, &mut body)?;
    let resources = request.resources.clone();
    group_configs::described(session, &resources, effects, |session, groups, effects| {
        describe_all(session, head, request, groups, effects);
    });
    Ok(())
}

fn describe_all(
    session: &mut Session,
    head: Head,
    request: DescribeConfigsRequest,
    mut groups: OfGroups<Configs>,
    effects: &mut Effects,
) {
    let of_topics = request.resources.iter();
    let of_topics = of_topics.filter(|resource| resource.resource_type == TOPIC);
    let topics = of_topics.map(|resource| {
        let keys = resource.configuration_keys.as_ref();
        let keys = keys.map(|keys| keys.iter().map(ToString::to_string).collect());
        (resource.resource_name.to_string(), keys)
    });
    let topics = Request::Configs {
        topics: topics.collect(),
    };
    ask(session, effects, topics, move |session, answer, effects| {
        let Answer::Configs(described) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let mut described = described.into_iter();
        let told = Told {
            synonyms: request.include_synonyms,
            documentation: request.include_documentation && head.version >= 3,
            version: head.version,
        };
        let results = request.resources.iter().map(|resource| {
            let configs = match resource.resource_type {
                TOPIC => next_of(&mut described)
                    .map(|configs| configs.into_iter().map(|one| told.of_topic(one)).collect()),
                BROKER => of_broker(session, resource, &told),
                GROUP => match groups.remove(resource.resource_name.as_str()) {
                    Some(Ok(configs)) => Ok(group_configs::results(resource, &configs, &told)),
                    Some(Err(said)) => Err(said),
                    None => Err((INVALID_REQUEST, "no answer".to_owned())),
                },
                other => Err(unsupported(other)),
            };
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match configs {
                Ok(configs) => result
                    .with_error_code(NONE)
                    .with_error_message(None)
                    .with_configs(configs),
                Err((code, said)) => result
                    .with_error_code(code)
                    .with_error_message(Some(text(said))),
            }
        });
        let response = DescribeConfigsResponse::default().with_results(results.collect());
        session.respond(&head, &response, effects);
    });
}

/// What of each configuration is told.
pub(super) struct Told {
    synonyms: bool,
    documentation: bool,
    version: i16,
}

impl Told {
    fn of_topic(&self, described: Described) -> DescribeConfigsResourceResult {
        let row = described.row;
        let mut synonyms = Vec::new();
        let synonym = |name: &'static str, value: &str, source: i8| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(text(value.to_owned())))
                .with_source(source)
        };
        if self.synonyms {
            if described.source != Source::Default {
                let source = source(described.source);
                synonyms.push(synonym(row.name, &described.value, source));
            }
            if let Some(name) = row.synonym {
                synonyms.push(synonym(name, row.default, DEFAULT_CONFIG));
            }
        }
        self.result(row.name.to_owned(), described.value, type_of(&row.accepted))
            .with_read_only(false)
            .with_config_source(source(described.source))
            .with_synonyms(synonyms)
            .with_documentation(self.documented(row.meaning))
    }

    fn of_broker(&self, config: &BrokerConfig) -> DescribeConfigsResourceResult {
        let source = match config.is_set {
            true => STATIC_BROKER_CONFIG,
            false => DEFAULT_CONFIG,
        };
        let synonym = DescribeConfigsSynonym::default()
            .with_name(text(config.name.clone()))
            .with_value(Some(text(config.value.clone())))
            .with_source(source);
        let synonyms = self.synonyms.then_some(synonym);
        self.result(config.name.clone(), config.value.clone(), STRING)
            .with_read_only(true)
            .with_config_source(source)
            .with_synonyms(synonyms.into_iter().collect())
            .with_documentation(self.documented(&config.meaning))
    }

    pub(super) fn result(
        &self,
        name: String,
        value: String,
        config_type: i8,
    ) -> DescribeConfigsResourceResult {
        let result = DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_is_sensitive(false);
        match self.version {
            3.. => result.with_config_type(config_type),
            _ => result,
        }
    }

    pub(super) fn documented(&self, meaning: &str) -> Option<StrBytes> {
        self.documentation.then(|| text(meaning.to_owned()))
    }
}

/// The settings there are, under their names here, and under Kafka's where it has the same.
fn of_broker(
    session: &Session,
    resource: &DescribeConfigsResource,
    told: &Told,
) -> Result<Vec<DescribeConfigsResourceResult>, Said> {
    let name = resource.resource_name.as_str();
    // Defaults of all brokers that can be changed: there are none.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    this_broker(session, name)?;
    let asked = |name: &str| {
        let keys = resource.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name))
    };
    let mut configs: BTreeMap<&str, BrokerConfig> = BTreeMap::new();
    let settings = &session.settings;
    let of_kafka = |name: &str, value: String, meaning: &str| BrokerConfig {
        name: name.to_owned(),
        value,
        is_set: false,
        meaning: meaning.to_owned(),
    };
    for row in TABLE {
        if let Some(name) = row.synonym {
            configs.insert(name, of_kafka(name, row.default.to_owned(), row.meaning));
        }
    }
    let node_id = settings.node_id.to_string();
    let listener = format!(
        "PLAINTEXT://{}:{}",
        settings.advertised_host, settings.advertised_port
    );
    for (name, value, meaning) in [
        ("broker.id", node_id.clone(), "The broker's number."),
        ("node.id", node_id, "The broker's number."),
        ("advertised.listeners", listener, "Where clients find it."),
        (
            "default.replication.factor",
            "1".to_owned(),
            "There is one broker.",
        ),
        (
            "delete.topic.enable",
            "true".to_owned(),
            "Topics can be deleted.",
        ),
    ] {
        configs.insert(name, of_kafka(name, value, meaning));
    }
    for config in settings.configs.iter() {
        configs.insert(&config.name, config.clone());
    }
    let asked = configs.values().filter(|config| asked(&config.name));
    Ok(asked.map(|config| told.of_broker(config)).collect())
}

fn this_broker(session: &Session, name: &str) -> Result<(), Said> {
    let node_id = session.settings.node_id;
    match name.parse::<i32>() {
        Ok(id) if id == node_id => Ok(()),
        Ok(id) => Err((
            INVALID_REQUEST,
            format!("Unexpected broker id, expected {node_id}, but received {id}"),
        )),
        Err(_) => Err((
            INVALID_REQUEST,
            format!("Broker id must be an integer, but it is: {name}"),
        )),
    }
}

/// What a resource of these changes comes to, before the broker is asked.
fn planned(
    session: &Session,
    resource_type: i8,
    name: &str,
    count: u32,
    names: &[&StrBytes],
) -> Result<(), Said> {
    if count > 1 {
        let said = "Each resource must appear at most once.".to_owned();
        return Err((INVALID_REQUEST, said));
    }
    match resource_type {
        TOPIC if name.is_empty() => Err((
            INVALID_REQUEST,
            "Default topic resources are not allowed.".to_owned(),
        )),
        TOPIC => Ok(()),
        BROKER => {
            if !name.is_empty() {
                this_broker(session, name)?;
            }
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            Err((
                INVALID_REQUEST,
                format!(
                    "Cannot update these configs dynamically: {}; they are in the broker's file",
                    names.join(", ")
                ),
            ))
        }
        other => Err(unsupported(other)),
    }
}

fn unsupported(resource_type: i8) -> Said {
    let said = match resource_type {
        BROKER_LOGGER => "The levels of loggers are not configured by clients.".to_owned(),
        CLIENT_METRICS => "Clients' metrics are not collected.".to_owned(),
        other => format!("Unsupported resource type: {other}"),
    };
    (INVALID_REQUEST, said)
}

pub(crate) fn alter(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: IncrementalAlterConfigsRequest = decoded(&head, &mut body)?;
    let resources = request.resources.clone();
    let only_check = request.validate_only;
    group_configs::altered(
        session,
        &resources,
        only_check,
        effects,
        |session, groups, effects| {
            alter_all(session, head, request, groups, effects);
        },
    );
    Ok(())
}

fn alter_all(
    session: &mut Session,
    head: Head,
    request: IncrementalAlterConfigsRequest,
    groups: OfGroups<()>,
    effects: &mut Effects,
) {
    let resources = request.resources.iter();
    let counts = counts(resources.map(|one| (one.resource_type, one.resource_name.as_str())));
    let mut plans = Vec::new();
    let mut changes = Vec::new();
    for resource in &request.resources {
        let name = resource.resource_name.as_str();
        let names: Vec<&StrBytes> = resource.configs.iter().map(|one| &one.name).collect();
        let count = counts[&(resource.resource_type, name.to_owned())];
        if resource.resource_type == GROUP && count == 1 {
            let done = groups.get(name).cloned();
            plans.push(done.unwrap_or_else(|| Err((INVALID_REQUEST, "no answer".to_owned()))));
            continue;
        }
        let plan = planned(session, resource.resource_type, name, count, &names);
        plans.push(plan.and_then(|()| {
            changes.push(Change::Alter {
                name: name.to_owned(),
                alterations: alterations(resource)?,
            });
            Ok(())
        }));
    }
    let only_check = request.validate_only;
    change(
        session,
        effects,
        changes,
        only_check,
        move |session, changed, effects| {
            let mut changed = changed.into_iter();
            let responses = request.resources.iter().zip(plans).map(|(resource, plan)| {
                let done = plan.and_then(|()| match resource.resource_type {
                    GROUP => Ok(()),
                    _ => next_of(&mut changed).map(|_| ()),
                });
                let (code, said) = coded(done);
                Altered::default()
                    .with_error_code(code)
                    .with_error_message(said)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
            });
            let response =
                IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
            session.respond(&head, &response, effects);
        },
    );
}

fn alterations(resource: &AlterConfigsResource) -> Result<Vec<Alteration>, Said> {
    let one =
        |config: &kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig| {
            let value = config.value.as_ref().map(ToString::to_string);
            let operation = match config.config_operation {
                0 => Operation::Set(value),
                1 => Operation::Delete,
                2 => Operation::Append(value),
                3 => Operation::Subtract(value),
                other => {
                    let said = format!("Unknown operation type {other} for {}", config.name);
                    return Err((INVALID_REQUEST, said));
                }
            };
            let name = config.name.to_string();
            Ok(Alteration { name, operation })
        };
    resource.configs.iter().map(one).collect()
}

pub(crate) fn replace(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: AlterConfigsRequest = decoded(&head, &mut body)?;
    let resources = request.resources.iter();
    let counts = counts(resources.map(|one| (one.resource_type, one.resource_name.as_str())));
    let mut plans = Vec::new();
    let mut changes = Vec::new();
    for resource in &request.resources {
        let name = resource.resource_name.as_str();
        let names: Vec<&StrBytes> = resource.configs.iter().map(|one| &one.name).collect();
        let count = counts[&(resource.resource_type, name.to_owned())];
        let plan = planned(session, resource.resource_type, name, count, &names);
        plans.push(plan.and_then(|()| {
            let mut configs = Configs::new();
            for config in &resource.configs {
                let name = config.name.to_string();
                let refused = match &config.value {
                    None => Some(ConfigRefused::NoValue { name }),
                    Some(value) => configs
                        .insert(name.clone(), value.to_string())
                        .map(|_| ConfigRefused::Twice { name }),
                };
                if let Some(refused) = refused {
                    return Err(of_config(&refused));
                }
            }
            let name = name.to_owned();
            changes.push(Change::Replace { name, configs });
            Ok(())
        }));
    }
    let only_check = request.validate_only;
    change(
        session,
        effects,
        changes,
        only_check,
        move |session, changed, effects| {
            let mut changed = changed.into_iter();
            let responses = request.resources.iter().zip(plans).map(|(resource, plan)| {
                let done = plan.and_then(|()| next_of(&mut changed).map(|_| ()));
                let (code, said) = coded(done);
                Replaced::default()
                    .with_error_code(code)
                    .with_error_message(said)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
            });
            let response = AlterConfigsResponse::default().with_responses(responses.collect());
            session.respond(&head, &response, effects);
        },
    );
    Ok(())
}

/// Version 0 asks for subscriptions to clients' metrics, of which there are none.
pub(crate) fn list(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: ListConfigResourcesRequest = decoded(&head, &mut body)?;
    if head.version == 0 {
        session.respond(&head, &ListConfigResourcesResponse::default(), effects);
        return Ok(());
    }
    let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    let types = request.resource_types;
    if types.iter().any(|one| !known.contains(one)) {
        let response = ListConfigResourcesResponse::default().with_error_code(UNSUPPORTED_VERSION);
        session.respond(&head, &response, effects);
        return Ok(());
    }
    let wants = move |one: i8| types.is_empty() || types.contains(&one);
    let all = Request::Topics {
        which: if wants(TOPIC) { None } else { Some(Vec::new()) },
        create: false,
    };
    ask(session, effects, all, move |session, answer, effects| {
        let Answer::Topics(found) = answer else {
            effects.close = Some(Close::Now);
            return;
        };
        let resource = |name: String, of: i8| {
            ConfigResource::default()
                .with_resource_name(text(name))
                .with_resource_type(of)
        };
        let topics = found.topics.into_iter().flatten();
        let mut resources: Vec<_> = topics
            .map(|info| resource(info.name.to_string(), TOPIC))
            .collect();
        if wants(BROKER) {
            resources.push(resource(session.settings.node_id.to_string(), BROKER));
        }
        let answered = move |session: &mut Session, groups: Vec<String>, effects: &mut Effects| {
            resources.extend(groups.into_iter().map(|group| resource(group, GROUP)));
            let response = ListConfigResourcesResponse::default().with_config_resources(resources);
            session.respond(&head, &response, effects);
        };
        match wants(GROUP) {
            true => group_configs::listed(session, effects, answered),
            false => answered(session, Vec::new(), effects),
        }
    });
    Ok(())
}

fn counts<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> BTreeMap<(i8, String), u32> {
    let mut counts = BTreeMap::new();
    for (of, name) in resources {
        *counts.entry((of, name.to_owned())).or_default() += 1;
    }
    counts
}

fn coded(done: Result<(), Said>) -> (i16, Option<StrBytes>) {
    match done {
        Ok(()) => (NONE, None),
        Err((code, said)) => (code, Some(text(said))),
    }
}

/// Who says what a configuration is, by number.
pub(crate) fn source(source: Source) -> i8 {
    match source {
        Source::Topic => TOPIC_CONFIG,
        // What cannot be deleted by a client is the broker's to it.
        Source::Declaration | Source::Broker => STATIC_BROKER_CONFIG,
        Source::Default => DEFAULT_CONFIG,
    }
}

fn type_of(accepted: &Type) -> i8 {
    match accepted {
        Type::Boolean => 1,
        Type::Word(_) => STRING,
        Type::Int(..) | Type::Level(..) => 3,
        Type::Long(..) => 5,
        Type::Double(..) => 6,
        Type::List(_) => 7,
    }
}

/// Types of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Sources of configurations.
const TOPIC_CONFIG: i8 = 1;
const STATIC_BROKER_CONFIG: i8 = 4;
const DEFAULT_CONFIG: i8 = 5;

/// A type of configurations.
const STRING: i8 = 2;
