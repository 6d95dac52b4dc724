//! Kafka's numbers of what rules are made of.

use bongsu_engine::access::acl::{Operation, Pattern, Resource};

/// As it is on the wire.
pub(super) type Number = i8;

pub(super) const RESOURCES: &[(Number, Resource)] = &[
    (2, Resource::Topic),
    (3, Resource::Group),
    (4, Resource::Cluster),
    (5, Resource::TransactionalId),
    (6, Resource::DelegationToken),
    (7, Resource::User),
];

pub(super) const PATTERNS: &[(Number, Pattern)] = &[(3, Pattern::Literal), (4, Pattern::Prefixed)];

pub(super) const OPERATIONS: &[(Number, Operation)] = &[
    (2, Operation::All),
    (3, Operation::Read),
    (4, Operation::Write),
    (5, Operation::Create),
    (6, Operation::Delete),
    (7, Operation::Alter),
    (8, Operation::Describe),
    (9, Operation::ClusterAction),
    (10, Operation::DescribeConfigs),
    (11, Operation::AlterConfigs),
    (12, Operation::IdempotentWrite),
    (13, Operation::CreateTokens),
    (14, Operation::DescribeTokens),
    (15, Operation::TwoPhaseCommit),
];

/// What a number means.
pub(super) fn value<T: Copy>(table: &[(Number, T)], number: Number) -> Option<T> {
    let found = table.iter().find(|(known, _)| *known == number);
    found.map(|(_, value)| *value)
}

/// The number of what a table has.
pub(super) fn number<T: PartialEq>(table: &[(Number, T)], value: &T) -> Number {
    let found = table.iter().find(|(_, known)| known == value);
    found.map_or(UNKNOWN, |(number, _)| *number)
}

const UNKNOWN: Number = 0;
