//! The table of requests: which there are, in which versions, and who answers them.
//!
//! What clients are told in ApiVersions is made from it and nothing else. A family of
//! requests adds its rows here and its file to [`crate::session`].

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;

use bongsu_engine::session::{Effects, Now};

use crate::session::{
    Head, Malformed, Session, access, cluster, configs, consumer_groups, fetch, groups, metadata,
    offsets, produce, sasl, share, topics, transactions, versions,
};

/// Answers a request, or calls the broker and says how to go on.
pub(crate) type Handler = fn(&mut Session, Head, Bytes, Now, &mut Effects) -> Result<(), Malformed>;

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Api {
    pub key: ApiKey,
    /// Lowest version that clients are told of.
    pub told_from: i16,
    /// Versions that are answered.
    pub min: i16,
    pub max: i16,
    /// May be asked before anybody has logged in.
    pub before_login: bool,
    pub handler: Handler,
}

const fn api(key: ApiKey, min: i16, max: i16, handler: Handler) -> Api {
    Api {
        key,
        told_from: min,
        min,
        max,
        before_login: false,
        handler,
    }
}

/// Every request that is answered, ascending by key.
pub(crate) const TABLE: &[Api] = &[
    Api {
        // librdkafka compresses only if it is told of versions below 3, which nobody serves.
        told_from: 0,
        ..api(ApiKey::Produce, 3, 13, produce::handle)
    },
    api(ApiKey::Fetch, 4, 18, fetch::handle),
    api(ApiKey::ListOffsets, 1, 11, offsets::handle),
    api(ApiKey::Metadata, 0, 13, metadata::handle),
    api(ApiKey::OffsetCommit, 2, 10, groups::committed::commit),
    api(ApiKey::OffsetFetch, 1, 10, groups::committed::fetch),
    api(ApiKey::FindCoordinator, 0, 6, groups::coordinator::handle),
    api(ApiKey::JoinGroup, 0, 9, groups::members::join),
    api(ApiKey::Heartbeat, 0, 4, groups::members::heartbeat),
    api(ApiKey::LeaveGroup, 0, 5, groups::members::leave),
    api(ApiKey::SyncGroup, 0, 5, groups::members::sync),
    api(ApiKey::DescribeGroups, 0, 6, groups::admin::describe),
    api(ApiKey::ListGroups, 0, 5, groups::admin::list),
    Api {
        before_login: true,
        ..api(ApiKey::SaslHandshake, 0, 1, sasl::handshake)
    },
    Api {
        before_login: true,
        ..api(ApiKey::ApiVersions, 0, 4, versions::handle)
    },
    api(ApiKey::CreateTopics, 2, 7, topics::create),
    api(ApiKey::DeleteTopics, 1, 6, topics::delete),
    api(ApiKey::DeleteRecords, 0, 2, topics::delete_records),
    api(ApiKey::InitProducerId, 0, 5, transactions::init),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, cluster::epochs),
    api(
        ApiKey::AddPartitionsToTxn,
        0,
        5,
        transactions::add_partitions,
    ),
    api(ApiKey::AddOffsetsToTxn, 0, 4, transactions::add_offsets),
    api(ApiKey::EndTxn, 0, 5, transactions::end),
    api(ApiKey::TxnOffsetCommit, 0, 5, transactions::offsets::commit),
    api(ApiKey::DescribeAcls, 1, 3, access::acls::describe),
    api(ApiKey::CreateAcls, 1, 3, access::acls::create),
    api(ApiKey::DeleteAcls, 1, 3, access::acls::delete),
    api(ApiKey::DescribeConfigs, 1, 4, configs::describe),
    api(ApiKey::AlterConfigs, 0, 2, configs::replace),
    api(ApiKey::DescribeLogDirs, 1, 4, cluster::log_dirs),
    Api {
        before_login: true,
        ..api(ApiKey::SaslAuthenticate, 0, 2, sasl::authenticate)
    },
    api(ApiKey::CreatePartitions, 0, 3, topics::grow),
    api(ApiKey::DeleteGroups, 0, 2, groups::admin::delete),
    api(ApiKey::ElectLeaders, 0, 2, cluster::elect),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, configs::alter),
    api(ApiKey::AlterPartitionReassignments, 0, 1, cluster::reassign),
    api(
        ApiKey::ListPartitionReassignments,
        0,
        0,
        cluster::reassignments,
    ),
    api(ApiKey::OffsetDelete, 0, 0, groups::committed::delete),
    api(ApiKey::DescribeClientQuotas, 0, 1, access::quotas::describe),
    api(ApiKey::AlterClientQuotas, 0, 1, access::quotas::alter),
    api(
        ApiKey::DescribeUserScramCredentials,
        0,
        0,
        access::describe_credentials,
    ),
    api(
        ApiKey::AlterUserScramCredentials,
        0,
        0,
        access::alter_credentials,
    ),
    api(ApiKey::DescribeCluster, 0, 2, metadata::describe_cluster),
    api(
        ApiKey::DescribeProducers,
        0,
        0,
        transactions::admin::describe_producers,
    ),
    api(
        ApiKey::DescribeTransactions,
        0,
        0,
        transactions::admin::describe,
    ),
    api(ApiKey::ListTransactions, 0, 2, transactions::admin::list),
    api(
        ApiKey::ConsumerGroupHeartbeat,
        0,
        1,
        consumer_groups::heartbeat,
    ),
    api(
        ApiKey::ConsumerGroupDescribe,
        0,
        1,
        consumer_groups::describe,
    ),
    api(ApiKey::ListConfigResources, 0, 1, configs::list),
    api(
        ApiKey::DescribeTopicPartitions,
        0,
        0,
        metadata::describe_partitions,
    ),
    api(
        ApiKey::ShareGroupHeartbeat,
        1,
        1,
        consumer_groups::share_heartbeat,
    ),
    api(
        ApiKey::ShareGroupDescribe,
        1,
        1,
        consumer_groups::share_describe,
    ),
    api(ApiKey::ShareFetch, 1, 2, share::fetch),
    api(ApiKey::ShareAcknowledge, 1, 2, share::acknowledge),
    api(
        ApiKey::DescribeShareGroupOffsets,
        0,
        1,
        share::places::describe,
    ),
    api(ApiKey::AlterShareGroupOffsets, 0, 0, share::places::alter),
    api(ApiKey::DeleteShareGroupOffsets, 0, 0, share::places::delete),
];

/// Features that ApiVersions tells of: name and highest level.
pub(crate) const FEATURES: &[(&str, i16)] = &[
    ("group.version", 1),
    ("share.version", 1),
    ("transaction.version", 2),
];

/// Key, name, lowest and highest version.
pub type ToldRequest = (i16, String, i16, i16);

/// What clients are told, for a document: key, name, and lowest and highest version; then
/// features and their levels.
pub fn told() -> (Vec<ToldRequest>, Vec<(&'static str, i16)>) {
    let row = |api: &Api| {
        let name = format!("{:?}", api.key);
        (api.key as i16, name, api.told_from, api.max)
    };
    (TABLE.iter().map(row).collect(), FEATURES.to_vec())
}

/// The row of a key.
pub(crate) fn find(key: i16) -> Option<&'static Api> {
    TABLE.iter().find(|api| api.key as i16 == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_HAND: [ApiKey; 6] = [
        ApiKey::ListOffsets,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
        ApiKey::ShareFetch,
        ApiKey::ShareAcknowledge,
        ApiKey::DescribeShareGroupOffsets,
    ];

    #[test]
    fn rows_ascend_and_are_within_what_can_be_decoded() {
        for pair in TABLE.windows(2) {
            assert!((pair[0].key as i16) < pair[1].key as i16);
        }
        for api in TABLE {
            let known = api.key.valid_versions();
            // What later versions add is read and written by hand.
            let by_hand = i16::from(BY_HAND.contains(&api.key));
            assert!(
                known.min <= api.min && api.max <= known.max + by_hand,
                "{:?}",
                api.key
            );
            assert!(api.told_from <= api.min && api.min <= api.max);
        }
    }
}
