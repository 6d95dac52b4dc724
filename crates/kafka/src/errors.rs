//! Kafka's error codes, and which of them a refusal is.
//!
//! One table a family of calls; the Java client maps each code to an exception.

use bongsu_engine::group::GroupError;
use bongsu_engine::group::consumer::assignors::Assignor;
use bongsu_engine::group::consumer::{Invalid, Refused as BeatRefused};
use bongsu_engine::producers::ProducerRefused;
use bongsu_engine::session::records::{AppendRefused, FetchRefused, PartitionRefused};
use bongsu_engine::share;
use bongsu_engine::transaction::TransactionRefused;

pub mod access;

pub mod topics;

/// An error code of Kafka's protocol.
pub type Code = i16;

/// No error.
pub const NONE: Code = 0;
pub(crate) const OFFSET_OUT_OF_RANGE: Code = 1;
pub(crate) const CORRUPT_MESSAGE: Code = 2;
pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: Code = 3;
pub(crate) const MESSAGE_TOO_LARGE: Code = 10;
pub(crate) const OFFSET_METADATA_TOO_LARGE: Code = 12;
pub(crate) const COORDINATOR_NOT_AVAILABLE: Code = 15;
pub(crate) const INVALID_TOPIC_EXCEPTION: Code = 17;
pub(crate) const NOT_ENOUGH_REPLICAS: Code = 19;
pub(crate) const INVALID_REQUIRED_ACKS: Code = 21;
pub(crate) const ILLEGAL_GENERATION: Code = 22;
pub(crate) const INCONSISTENT_GROUP_PROTOCOL: Code = 23;
pub(crate) const INVALID_GROUP_ID: Code = 24;
pub(crate) const UNKNOWN_MEMBER_ID: Code = 25;
pub(crate) const INVALID_SESSION_TIMEOUT: Code = 26;
pub(crate) const REBALANCE_IN_PROGRESS: Code = 27;
pub(crate) const TOPIC_AUTHORIZATION_FAILED: Code = 29;
pub(crate) const GROUP_AUTHORIZATION_FAILED: Code = 30;
pub(crate) const INVALID_TIMESTAMP: Code = 32;
pub(crate) const UNSUPPORTED_VERSION: Code = 35;
pub(crate) const TOPIC_ALREADY_EXISTS: Code = 36;
pub(crate) const INVALID_PARTITIONS: Code = 37;
pub(crate) const INVALID_REPLICATION_FACTOR: Code = 38;
pub(crate) const INVALID_REPLICA_ASSIGNMENT: Code = 39;
pub(crate) const INVALID_CONFIG: Code = 40;
pub(crate) const INVALID_REQUEST: Code = 42;
pub(crate) const UNSUPPORTED_FOR_MESSAGE_FORMAT: Code = 43;
pub(crate) const POLICY_VIOLATION: Code = 44;
pub(crate) const OUT_OF_ORDER_SEQUENCE_NUMBER: Code = 45;
pub(crate) const INVALID_PRODUCER_EPOCH: Code = 47;
pub(crate) const INVALID_TXN_STATE: Code = 48;
pub(crate) const INVALID_PRODUCER_ID_MAPPING: Code = 49;
pub(crate) const INVALID_TRANSACTION_TIMEOUT: Code = 50;
pub(crate) const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Code = 53;
pub(crate) const OPERATION_NOT_ATTEMPTED: Code = 55;
pub(crate) const KAFKA_STORAGE_ERROR: Code = 56;
pub(crate) const NON_EMPTY_GROUP: Code = 68;
pub(crate) const GROUP_ID_NOT_FOUND: Code = 69;
pub(crate) const FETCH_SESSION_ID_NOT_FOUND: Code = 70;
pub(crate) const INVALID_FETCH_SESSION_EPOCH: Code = 71;
pub(crate) const UNKNOWN_LEADER_EPOCH: Code = 75;
pub(crate) const UNSUPPORTED_COMPRESSION_TYPE: Code = 76;
pub(crate) const MEMBER_ID_REQUIRED: Code = 79;
pub(crate) const GROUP_MAX_SIZE_REACHED: Code = 81;
pub(crate) const FENCED_INSTANCE_ID: Code = 82;
pub(crate) const ELECTION_NOT_NEEDED: Code = 84;
pub(crate) const NO_REASSIGNMENT_IN_PROGRESS: Code = 85;
pub(crate) const GROUP_SUBSCRIBED_TO_TOPIC: Code = 86;
pub(crate) const INVALID_RECORD: Code = 87;
pub(crate) const UNSTABLE_OFFSET_COMMIT: Code = 88;
pub(crate) const PRODUCER_FENCED: Code = 90;
pub(crate) const UNKNOWN_TOPIC_ID: Code = 100;
pub(crate) const TRANSACTIONAL_ID_NOT_FOUND: Code = 105;
pub(crate) const FENCED_MEMBER_EPOCH: Code = 110;
pub(crate) const UNRELEASED_INSTANCE_ID: Code = 111;
pub(crate) const UNSUPPORTED_ASSIGNOR: Code = 112;
pub(crate) const STALE_MEMBER_EPOCH: Code = 113;
pub(crate) const MISMATCHED_ENDPOINT_TYPE: Code = 114;
pub(crate) const UNSUPPORTED_ENDPOINT_TYPE: Code = 115;
pub(crate) const TRANSACTION_ABORTABLE: Code = 120;
pub(crate) const INVALID_RECORD_STATE: Code = 121;
pub(crate) const SHARE_SESSION_NOT_FOUND: Code = 122;
pub(crate) const INVALID_SHARE_SESSION_EPOCH: Code = 123;
pub(crate) const INVALID_REGULAR_EXPRESSION: Code = 128;
pub(crate) const SHARE_SESSION_LIMIT_REACHED: Code = 133;

/// Of what a group declined.
pub fn of_group(refused: &GroupError) -> Code {
    match refused {
        GroupError::InvalidGroup => INVALID_GROUP_ID,
        GroupError::NotFound => GROUP_ID_NOT_FOUND,
        GroupError::NonEmpty => NON_EMPTY_GROUP,
        GroupError::UnknownMember => UNKNOWN_MEMBER_ID,
        GroupError::MemberIdRequired { .. } => MEMBER_ID_REQUIRED,
        GroupError::FencedInstance => FENCED_INSTANCE_ID,
        GroupError::IllegalGeneration => ILLEGAL_GENERATION,
        GroupError::RebalanceInProgress => REBALANCE_IN_PROGRESS,
        GroupError::InconsistentProtocol => INCONSISTENT_GROUP_PROTOCOL,
        GroupError::InvalidSessionTimeout => INVALID_SESSION_TIMEOUT,
        GroupError::Full => GROUP_MAX_SIZE_REACHED,
        GroupError::StaleMemberEpoch => STALE_MEMBER_EPOCH,
        GroupError::FencedMemberEpoch => FENCED_MEMBER_EPOCH,
        GroupError::MetadataTooLarge => OFFSET_METADATA_TOO_LARGE,
        GroupError::UnknownTopic => UNKNOWN_TOPIC_OR_PARTITION,
        GroupError::UnknownTopicId => UNKNOWN_TOPIC_ID,
        GroupError::UnstableOffset => UNSTABLE_OFFSET_COMMIT,
        GroupError::Subscribed => GROUP_SUBSCRIBED_TO_TOPIC,
        GroupError::Denied => GROUP_AUTHORIZATION_FAILED,
        GroupError::TopicDenied => TOPIC_AUTHORIZATION_FAILED,
        GroupError::Storage => COORDINATOR_NOT_AVAILABLE,
        GroupError::Malformed => INVALID_REQUEST,
    }
}

/// Of a beat that a group declined, and what to say of it: in Kafka's words, where clients
/// print them.
pub fn of_beat(refused: &BeatRefused) -> (Code, Option<String>) {
    let (code, text) = match refused {
        BeatRefused::Group(refused) => return (of_group(refused), None),
        BeatRefused::Invalid(wrong) => (INVALID_REQUEST, words_of(*wrong).to_owned()),
        BeatRefused::GroupNotFound => (
            GROUP_ID_NOT_FOUND,
            "There is no such group of this kind.".to_owned(),
        ),
        BeatRefused::UnknownMember { member } => (
            UNKNOWN_MEMBER_ID,
            format!("Member {member} is not a member of the group."),
        ),
        BeatRefused::UnknownInstance { instance } => (
            UNKNOWN_MEMBER_ID,
            format!("Instance id {instance} is unknown."),
        ),
        BeatRefused::FencedEpoch { received, known } => (
            FENCED_MEMBER_EPOCH,
            format!(
                "The member's epoch is {known}, and it said {received}. The member must abandon \
                 all its partitions and rejoin."
            ),
        ),
        BeatRefused::UnreleasedInstance { instance, holder } => (
            UNRELEASED_INSTANCE_ID,
            format!("The instance id {instance} is owned by member {holder}."),
        ),
        BeatRefused::FencedInstance { instance, holder } => (
            FENCED_INSTANCE_ID,
            format!("The member with instance id {instance} was fenced by member {holder}."),
        ),
        BeatRefused::UnsupportedAssignor { name } => {
            let known = Assignor::ALL.map(Assignor::name).join(", ");
            let text = format!("ServerAssignor {name} is not supported. Supported: {known}.");
            (UNSUPPORTED_ASSIGNOR, text)
        }
        BeatRefused::Full { members_max } => (
            GROUP_MAX_SIZE_REACHED,
            format!("The group has reached its maximum capacity of {members_max} members."),
        ),
        BeatRefused::InvalidPattern { pattern, reason } => (
            INVALID_REGULAR_EXPRESSION,
            format!(
                "SubscribedTopicRegex `{pattern}` is not a valid regular expression: {reason}."
            ),
        ),
    };
    (code, Some(text))
}

fn words_of(wrong: Invalid) -> &'static str {
    match wrong {
        Invalid::GroupEmpty => "GroupId can't be empty.",
        Invalid::MemberEmpty => "MemberId can't be empty.",
        Invalid::InstanceEmpty => "InstanceId can't be empty.",
        Invalid::InstanceMissing => "InstanceId can't be null.",
        Invalid::RackEmpty => "RackId can't be empty.",
        Invalid::RebalanceTimeoutMissing => "RebalanceTimeoutMs must be provided in first request.",
        Invalid::HoldsWhileJoining => "TopicPartitions must be empty when (re-)joining.",
        Invalid::TopicsMissing => {
            "SubscribedTopicNames or SubscribedTopicRegex must be set in first request."
        }
        Invalid::Epoch => "MemberEpoch is invalid.",
    }
}

/// Of a partition that cannot be used.
pub fn of_partition(refused: PartitionRefused) -> Code {
    match refused {
        PartitionRefused::Unknown => UNKNOWN_TOPIC_OR_PARTITION,
        PartitionRefused::UnknownId => UNKNOWN_TOPIC_ID,
        PartitionRefused::Name => INVALID_TOPIC_EXCEPTION,
        PartitionRefused::Access => TOPIC_AUTHORIZATION_FAILED,
    }
}

/// Of what a share group refuses.
pub fn of_share(refused: share::Refused) -> Code {
    match refused {
        share::Refused::Malformed => INVALID_REQUEST,
        share::Refused::Group => INVALID_GROUP_ID,
        share::Refused::Access => GROUP_AUTHORIZATION_FAILED,
        share::Refused::NoSession => SHARE_SESSION_NOT_FOUND,
        share::Refused::Epoch => INVALID_SHARE_SESSION_EPOCH,
        share::Refused::Sessions => SHARE_SESSION_LIMIT_REACHED,
        share::Refused::Partition(refused) => of_partition(refused),
        share::Refused::NotHeld => INVALID_RECORD_STATE,
        share::Refused::Storage => KAFKA_STORAGE_ERROR,
        share::Refused::HasMembers => NON_EMPTY_GROUP,
        share::Refused::NoGroup => GROUP_ID_NOT_FOUND,
        share::Refused::Full => POLICY_VIOLATION,
    }
}

/// Of a partition that could not be read.
pub fn of_fetch(refused: FetchRefused) -> Code {
    match refused {
        FetchRefused::Partition(refused) => of_partition(refused),
        FetchRefused::OutOfRange => OFFSET_OUT_OF_RANGE,
        FetchRefused::Storage => KAFKA_STORAGE_ERROR,
    }
}

/// Of a batch that its producer may not append, and what to say of it.
fn of_producer(refused: ProducerRefused) -> (Code, Option<String>) {
    match refused {
        ProducerRefused::OldEpoch { current, found } => (
            INVALID_PRODUCER_EPOCH,
            Some(format!("the epoch is {found}; {current} is known")),
        ),
        ProducerRefused::OutOfOrder { expected, found } => (
            OUT_OF_ORDER_SEQUENCE_NUMBER,
            Some(format!("the sequence is {found}; {expected} is next")),
        ),
        ProducerRefused::NotTransactional => (
            INVALID_TXN_STATE,
            Some("the producer has a transaction open".to_owned()),
        ),
    }
}

/// Of a call about transactions. Clients that know less are told less by its session.
pub fn of_transaction(refused: TransactionRefused) -> Code {
    match refused {
        TransactionRefused::Malformed => INVALID_REQUEST,
        TransactionRefused::Timeout => INVALID_TRANSACTION_TIMEOUT,
        TransactionRefused::UnknownProducer => INVALID_PRODUCER_ID_MAPPING,
        TransactionRefused::Fenced => PRODUCER_FENCED,
        TransactionRefused::State => INVALID_TXN_STATE,
        TransactionRefused::NotInTransaction => TRANSACTION_ABORTABLE,
        TransactionRefused::NotFound => TRANSACTIONAL_ID_NOT_FOUND,
        TransactionRefused::UnknownPartition => UNKNOWN_TOPIC_OR_PARTITION,
        TransactionRefused::TopicName => INVALID_TOPIC_EXCEPTION,
        TransactionRefused::IdDenied => TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        TransactionRefused::TopicDenied => TOPIC_AUTHORIZATION_FAILED,
        TransactionRefused::GroupDenied => GROUP_AUTHORIZATION_FAILED,
        TransactionRefused::NotAttempted => OPERATION_NOT_ATTEMPTED,
        TransactionRefused::Pattern => INVALID_REGULAR_EXPRESSION,
        TransactionRefused::Storage => COORDINATOR_NOT_AVAILABLE,
    }
}

/// Of a batch that was not appended, and what to say of it.
pub fn of_append(refused: &AppendRefused) -> (Code, Option<String>) {
    match refused {
        AppendRefused::Partition(refused) => (of_partition(*refused), None),
        AppendRefused::TooLarge { bytes, bytes_max } => (
            MESSAGE_TOO_LARGE,
            Some(format!(
                "the batch has {bytes} bytes; the topic takes {bytes_max}"
            )),
        ),
        AppendRefused::NoKey => (
            INVALID_RECORD,
            Some("a record of a compacted topic needs a key".to_owned()),
        ),
        AppendRefused::Malformed => (CORRUPT_MESSAGE, None),
        AppendRefused::Timestamp { unix_ms } => (
            INVALID_TIMESTAMP,
            Some(format!("the time {unix_ms} is too far from the broker's")),
        ),
        AppendRefused::Producer(refused) => of_producer(*refused),
        // An old client knows the fenced by this; the coordinator's own calls say more.
        AppendRefused::Transaction(TransactionRefused::Fenced) => (INVALID_PRODUCER_EPOCH, None),
        AppendRefused::Transaction(TransactionRefused::NotInTransaction) => {
            (TRANSACTION_ABORTABLE, None)
        }
        AppendRefused::Transaction(refused) => (of_transaction(*refused), None),
        AppendRefused::WorkQueue => (
            INVALID_TXN_STATE,
            Some("a transaction does not reach work queues".to_owned()),
        ),
        AppendRefused::Replicas { wanted } => (
            NOT_ENOUGH_REPLICAS,
            Some(format!("min.insync.replicas is {wanted}; there is 1")),
        ),
        AppendRefused::Full => (
            POLICY_VIOLATION,
            Some("the queue is full and refuses more".to_owned()),
        ),
        AppendRefused::Storage => (KAFKA_STORAGE_ERROR, None),
        AppendRefused::Unfit => (UNSUPPORTED_FOR_MESSAGE_FORMAT, None),
    }
}
