//! Refusals about topics and their configurations, as Kafka's codes and words.

use bongsu_engine::topic::call::Refused;
use bongsu_engine::topic::config::alter::ConfigRefused;
use bongsu_engine::topic::config::value::ValueInvalid;
use bongsu_engine::topic::name::{NAME_BYTES_MAX, NameInvalid};

use super::{
    Code, INVALID_CONFIG, INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT,
    INVALID_REPLICATION_FACTOR, INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, KAFKA_STORAGE_ERROR,
    OFFSET_OUT_OF_RANGE, POLICY_VIOLATION, TOPIC_ALREADY_EXISTS, TOPIC_AUTHORIZATION_FAILED,
    UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION,
};

/// Of a topic.
pub fn of_topic(refused: &Refused) -> (Code, String) {
    match refused {
        Refused::Name { name, cause } => (INVALID_TOPIC_EXCEPTION, name_invalid(name, *cause)),
        Refused::Reserved { name } => (
            INVALID_REQUEST,
            format!("Creation of internal topic {name} is prohibited."),
        ),
        Refused::Alike { name, other } => (
            INVALID_TOPIC_EXCEPTION,
            format!("Topic '{name}' collides with existing topic: {other}"),
        ),
        Refused::Exists { name } => (
            TOPIC_ALREADY_EXISTS,
            format!("Topic '{name}' already exists."),
        ),
        Refused::Unknown { .. } | Refused::Partition => (
            UNKNOWN_TOPIC_OR_PARTITION,
            "This server does not host this topic-partition.".to_owned(),
        ),
        Refused::UnknownId { .. } => (
            UNKNOWN_TOPIC_ID,
            "This server does not host this topic ID.".to_owned(),
        ),
        Refused::PartitionCount { asked, .. } if *asked < 1 => (
            INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.".to_owned(),
        ),
        Refused::PartitionCount { asked, max } => (
            POLICY_VIOLATION,
            format!("{asked} partitions; a topic has at most {max} (kafka.topic_partitions_max)"),
        ),
        Refused::TooMany { max } => (
            POLICY_VIOLATION,
            format!(
                "there are at most {max} partitions, of all topics and queues \
                 (kafka.partitions_max)"
            ),
        ),
        Refused::NotMore { current, asked, .. } if current == asked => (
            INVALID_PARTITIONS,
            format!("Topic already has {current} partition(s)."),
        ),
        Refused::NotMore {
            name,
            current,
            asked,
        } => (
            INVALID_PARTITIONS,
            format!(
                "The topic {name} currently has {current} partition(s); {asked} would not be an \
                 increase."
            ),
        ),
        Refused::WorkQueue { name } => (
            POLICY_VIOLATION,
            format!("{name} is a work queue: it has one partition, and what is in it is owed"),
        ),
        Refused::Compacted { name } => (
            POLICY_VIOLATION,
            format!("the cleanup.policy of {name} does not delete"),
        ),
        Refused::InTheWay { queue } => (
            POLICY_VIOLATION,
            format!("the queue {queue} stands where the partition would be"),
        ),
        Refused::Config(refused) => of_config(refused),
        Refused::Replication { asked } if *asked < 1 => (
            INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
        ),
        Refused::Replication { asked } => (
            INVALID_REPLICATION_FACTOR,
            format!(
                "Unable to replicate the partition {asked} time(s): The target replication \
                 factor of {asked} cannot be reached because only 1 broker(s) are registered."
            ),
        ),
        Refused::Assignment { cause } => (INVALID_REPLICA_ASSIGNMENT, cause.clone()),
        Refused::Access => (
            TOPIC_AUTHORIZATION_FAILED,
            "Authorization failed.".to_owned(),
        ),
        Refused::Offset { .. } => (
            OFFSET_OUT_OF_RANGE,
            "The requested offset is not within the range of offsets maintained by the server."
                .to_owned(),
        ),
        Refused::Storage { cause } => (KAFKA_STORAGE_ERROR, cause.clone()),
    }
}

fn name_invalid(name: &str, cause: NameInvalid) -> String {
    let said = match cause {
        NameInvalid::Empty => "the empty string is not allowed".to_owned(),
        NameInvalid::Dots => format!("'{name}' is not allowed"),
        NameInvalid::TooLong => {
            format!("the length of '{name}' is longer than the max allowed length {NAME_BYTES_MAX}")
        }
        NameInvalid::Character => format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        ),
    };
    format!("Topic name is invalid: {said}")
}

/// Of configurations.
pub fn of_config(refused: &ConfigRefused) -> (Code, String) {
    match refused {
        ConfigRefused::Unknown { name } => {
            (INVALID_CONFIG, format!("Unknown topic config name: {name}"))
        }
        ConfigRefused::Invalid { name, value, cause } => {
            let said = match cause {
                ValueInvalid::Type { expected } => format!("Not a value of type {expected}"),
                ValueInvalid::Range { accepted } => format!("Value must be {accepted}"),
            };
            (
                INVALID_CONFIG,
                format!("Invalid value {value} for configuration {name}: {said}"),
            )
        }
        ConfigRefused::NoValue { name } => (
            INVALID_REQUEST,
            format!("Null value not supported for : {name}"),
        ),
        ConfigRefused::NotAList { name } => (
            INVALID_CONFIG,
            format!("Can't append to or subtract from key {name} because its type is not LIST."),
        ),
        ConfigRefused::Twice { name } => (
            INVALID_REQUEST,
            format!("Error due to duplicate config keys: {name}"),
        ),
        ConfigRefused::OnlyDefault {
            name,
            value,
            default,
            why,
        } => (
            INVALID_CONFIG,
            format!(
                "Invalid value {value} for configuration {name}: only {default} is accepted, \
                 since {why}"
            ),
        ),
        ConfigRefused::WorkQueue { name } => (
            INVALID_CONFIG,
            format!(
                "{name} is not configured of a work queue, whose records go when they are settled"
            ),
        ),
        ConfigRefused::Bounds { min, max } => (
            INVALID_CONFIG,
            format!("conflict: {min} is larger than {max}"),
        ),
    }
}
