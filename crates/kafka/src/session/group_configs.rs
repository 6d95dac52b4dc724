//! Configurations of groups, as one type of resource among others.
//!
//! The broker is asked about groups before it is asked about topics; what it said of them is
//! looked up when the answer is put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;

use bongsu_engine::catalog::Configs;
use bongsu_engine::session::{Call, Close, Effects, Reply};
use bongsu_engine::share::call::ConfigureRefused;
use bongsu_engine::share::config::{self, Accepted, ConfigInvalid};
use bongsu_engine::share::{Answer, Request};

use super::Session;
use super::configs::{GROUP, Told};
use super::share::when_durable;
use super::topics::Said;
use crate::errors::{self, INVALID_CONFIG, INVALID_REQUEST};

/// What was set of groups, or done to them, by name.
pub(super) type OfGroups<T> = BTreeMap<String, Result<T, Said>>;

/// Asks what groups are configured to, if any is asked for.
pub(super) fn described(
    session: &mut Session,
    resources: &[DescribeConfigsResource],
    effects: &mut Effects,
    then: impl FnOnce(&mut Session, OfGroups<Configs>, &mut Effects) + Send + 'static,
) {
    let groups = resources.iter().filter(|one| one.resource_type == GROUP);
    let groups: Vec<Arc<str>> = groups
        .map(|one| Arc::from(one.resource_name.as_str()))
        .collect();
    if groups.is_empty() {
        return then(session, BTreeMap::new(), effects);
    }
    ask(
        session,
        Request::Configs(groups),
        effects,
        |session, answer, effects| {
            let Answer::Configs(configs) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let configs = configs.into_iter().map(|(group, configs)| {
                let configs = configs.map_err(|refused| (errors::of_share(refused), String::new()));
                (group.to_string(), configs)
            });
            then(session, configs.collect(), effects);
        },
    );
}

/// Asks of which groups something was set.
pub(super) fn listed(
    session: &mut Session,
    effects: &mut Effects,
    then: impl FnOnce(&mut Session, Vec<String>, &mut Effects) + Send + 'static,
) {
    ask(
        session,
        Request::AllConfigs,
        effects,
        |session, answer, effects| {
            let Answer::Configs(configs) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            let groups = configs.into_iter().map(|(group, _)| group.to_string());
            then(session, groups.collect(), effects);
        },
    );
}

/// Changes what groups are configured to, if any is to be changed.
pub(super) fn altered(
    session: &mut Session,
    resources: &[AlterConfigsResource],
    only_check: bool,
    effects: &mut Effects,
    then: impl FnOnce(&mut Session, OfGroups<()>, &mut Effects) + Send + 'static,
) {
    let mut done: OfGroups<()> = BTreeMap::new();
    let mut changes = Vec::new();
    let of_groups = resources.iter().filter(|one| one.resource_type == GROUP);
    for resource in of_groups {
        let group = resource.resource_name.to_string();
        match changes_of(resource) {
            // Of one that is there twice nothing is done: the answer says so of both.
            Ok(_) if done.contains_key(&group) => {}
            Ok(of) => {
                changes.push((Arc::from(group.as_str()), of));
                done.insert(group, Ok(()));
            }
            Err(said) => {
                done.insert(group, Err(said));
            }
        }
    }
    if changes.is_empty() {
        return then(session, done, effects);
    }
    let names: Vec<String> = changes
        .iter()
        .map(|(group, _): &(Arc<str>, _)| group.to_string())
        .collect();
    let request = Request::Configure {
        changes,
        only_check,
    };
    ask(
        session,
        request,
        effects,
        move |session, answer, effects| {
            let Answer::Configured(results) = answer else {
                effects.close = Some(Close::Now);
                return;
            };
            for (group, result) in names.into_iter().zip(results) {
                done.insert(group, result.map_err(|refused| said_of(&refused)));
            }
            then(session, done, effects);
        },
    );
}

fn ask(
    session: &mut Session,
    request: Request,
    effects: &mut Effects,
    then: impl FnOnce(&mut Session, Answer, &mut Effects) + Send + 'static,
) {
    let call = Call::Share(Box::new(request));
    session.call(effects, call, move |session, reply, _, effects| {
        let Reply::Share { wait, answer } = reply else {
            effects.close = Some(Close::Now);
            return;
        };
        when_durable(session, wait, effects, move |session, effects| {
            then(session, *answer, effects);
        });
    });
}

fn changes_of(resource: &AlterConfigsResource) -> Result<Vec<(String, Option<String>)>, Said> {
    let changes = resource.configs.iter().map(|config| {
        let name = config.name.to_string();
        match (config.config_operation, &config.value) {
            (0, Some(value)) => Ok((name, Some(value.to_string()))),
            (0, None) => Err((
                INVALID_REQUEST,
                format!("Null value not supported for: {name}"),
            )),
            (1, _) => Ok((name, None)),
            (2 | 3, _) => Err((
                INVALID_CONFIG,
                format!("Can't append or subtract to key '{name}' because its type is not LIST."),
            )),
            (other, _) => Err((
                INVALID_REQUEST,
                format!("Unknown operation type {other} for {name}"),
            )),
        }
    });
    changes.collect()
}

fn said_of(refused: &ConfigureRefused) -> Said {
    match refused {
        ConfigureRefused::Group(refused) => (errors::of_share(*refused), String::new()),
        ConfigureRefused::Setting { name, cause } => {
            let said = match cause {
                ConfigInvalid::Unknown => format!("Unknown group config name: {name}"),
                ConfigInvalid::Value(accepted) => {
                    format!("Invalid value for configuration {name}: it takes {accepted}")
                }
            };
            (INVALID_CONFIG, said)
        }
    }
}

/// Every setting of a group, as far as it is asked for.
pub(super) fn results(
    resource: &DescribeConfigsResource,
    configs: &Configs,
    told: &Told,
) -> Vec<DescribeConfigsResourceResult> {
    let is_asked = |name: &str| {
        let keys = resource.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name))
    };
    let own = config::TABLE.iter().map(|row| {
        let of = match row.accepted {
            Accepted::Whole(..) => INT,
            Accepted::Bool => BOOLEAN,
            Accepted::OneOf(_) | Accepted::Start | Accepted::Text => STRING,
        };
        (row.name, row.usual.to_owned(), of, row.about)
    });
    let asked = own.filter(|(name, ..)| is_asked(name));
    let results = asked.map(|(name, usual, of, about)| {
        let set = configs.get(name);
        let source = match set {
            Some(_) => GROUP_CONFIG,
            None => DEFAULT_CONFIG,
        };
        let value = set.cloned().unwrap_or(usual);
        told.result(name.to_owned(), value, of)
            .with_read_only(false)
            .with_config_source(source)
            .with_documentation(told.documented(about))
    });
    results.collect()
}

/// Types of configurations.
const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
/// Where a value comes from.
const DEFAULT_CONFIG: i8 = 5;
const GROUP_CONFIG: i8 = 8;
