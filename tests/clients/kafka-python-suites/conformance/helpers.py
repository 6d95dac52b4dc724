"""What most tests say, in one line each, and Kafka's error codes by name."""

import time

from records import batch, records_of

NONE = 0
UNKNOWN_SERVER_ERROR = -1
OFFSET_OUT_OF_RANGE = 1
CORRUPT_MESSAGE = 2
UNKNOWN_TOPIC_OR_PARTITION = 3
INVALID_FETCH_SIZE = 4
LEADER_NOT_AVAILABLE = 5
MESSAGE_TOO_LARGE = 10
OFFSET_METADATA_TOO_LARGE = 12
COORDINATOR_NOT_AVAILABLE = 15
NOT_COORDINATOR = 16
INVALID_TOPIC_EXCEPTION = 17
INVALID_REQUIRED_ACKS = 21
ILLEGAL_GENERATION = 22
INCONSISTENT_GROUP_PROTOCOL = 23
INVALID_GROUP_ID = 24
UNKNOWN_MEMBER_ID = 25
INVALID_SESSION_TIMEOUT = 26
REBALANCE_IN_PROGRESS = 27
INVALID_TIMESTAMP = 32
UNSUPPORTED_SASL_MECHANISM = 33
ILLEGAL_SASL_STATE = 34
UNSUPPORTED_VERSION = 35
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
INVALID_REPLICA_ASSIGNMENT = 39
INVALID_CONFIG = 40
INVALID_REQUEST = 42
UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
DUPLICATE_SEQUENCE_NUMBER = 46
INVALID_PRODUCER_EPOCH = 47
INVALID_TXN_STATE = 48
INVALID_PRODUCER_ID_MAPPING = 49
INVALID_TRANSACTION_TIMEOUT = 50
CONCURRENT_TRANSACTIONS = 51
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
SASL_AUTHENTICATION_FAILED = 58
UNKNOWN_PRODUCER_ID = 59
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
FETCH_SESSION_ID_NOT_FOUND = 70
INVALID_FETCH_SESSION_EPOCH = 71
FENCED_LEADER_EPOCH = 74
UNKNOWN_LEADER_EPOCH = 75
UNSUPPORTED_COMPRESSION_TYPE = 76
MEMBER_ID_REQUIRED = 79
FENCED_INSTANCE_ID = 82
INVALID_RECORD = 87
PRODUCER_FENCED = 90
UNKNOWN_TOPIC_ID = 100
INCONSISTENT_TOPIC_ID = 103
FENCED_MEMBER_EPOCH = 110
UNRELEASED_INSTANCE_ID = 111
UNSUPPORTED_ASSIGNOR = 112
STALE_MEMBER_EPOCH = 113
INVALID_REGULAR_EXPRESSION = 128
INVALID_RECORD_STATE = 121
SHARE_SESSION_NOT_FOUND = 122
INVALID_SHARE_SESSION_EPOCH = 123
TRANSACTION_ABORTABLE = 120


def eventually(probe, seconds=10):
    """The first answer of `probe` that is true; the judge makes some things behind the answer."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)
    return answer


def metadata(kafka, topic, version=12, create=False):
    answer = kafka.request(
        "Metadata", version, Topics=[{"Name": topic}], AllowAutoTopicCreation=create
    )
    return answer.Topics[0]


def auto_create(kafka, topic):
    eventually(lambda: has_leaders(metadata(kafka, topic, create=True), 1))
    return when_readable(kafka, topic, 1)


def create_topic(kafka, topic, partitions=1, **configs):
    rows = [{"Name": name.replace("_", "."), "Value": str(value)} for name, value in configs.items()]
    answer = kafka.request(
        "CreateTopics",
        5,
        TimeoutMs=10_000,
        Topics=[
            {
                "Name": topic,
                "NumPartitions": partitions,
                "ReplicationFactor": 1,
                "Configs": rows,
            }
        ],
    ).Topics[0]
    assert answer.ErrorCode == NONE, answer
    eventually(lambda: has_leaders(metadata(kafka, topic), partitions))
    return when_readable(kafka, topic, partitions)


def has_leaders(topic, partitions):
    return (
        topic.ErrorCode == NONE
        and len(topic.Partitions) == partitions
        and all(row.ErrorCode == NONE for row in topic.Partitions)
    )


def when_readable(kafka, topic, partitions):
    """The judge tells of a partition a little before it has it."""
    for partition in range(partitions):
        eventually(lambda at=partition: fetch(kafka, topic, partition=at).ErrorCode == NONE)
    return topic


def topic_id(kafka, topic):
    return metadata(kafka, topic).TopicId


def produce(kafka, topic, records=None, *, partition=0, acks=-1, version=9, **fields):
    """The answer for one partition."""
    kafka.send("Produce", version, **produce_body(topic, records, partition, acks), **fields)
    return kafka.receive().Responses[0].PartitionResponses[0]


def produce_body(topic, records=None, partition=0, acks=-1):
    records = batch() if records is None else records
    return {
        "Acks": acks,
        "TimeoutMs": 10_000,
        "TopicData": [
            {"Name": topic, "PartitionData": [{"Index": partition, "Records": records}]}
        ],
    }


def fetch_body(topic, offset=0, partition=0, bytes_max=1 << 20, **fields):
    row = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": bytes_max}
    row |= {name: fields.pop(name) for name in list(fields) if name in ("CurrentLeaderEpoch",)}
    body = {
        "MaxWaitMs": 0,
        "MinBytes": 1,
        "MaxBytes": 10 << 20,
        "Topics": [{"Topic": topic, "Partitions": [row]}],
    }
    return body | fields


def fetch(kafka, topic, offset=0, partition=0, version=12, **fields):
    """The answer for one partition."""
    body = fetch_body(topic, offset, partition, **fields)
    return kafka.request("Fetch", version, **body).Responses[0].Partitions[0]


def values(answer):
    return [record.value for record in records_of(answer.Records)]


def list_offsets(kafka, topic, timestamp, partition=0, version=7, **fields):
    row = {"PartitionIndex": partition, "Timestamp": timestamp} | fields
    answer = kafka.request(
        "ListOffsets", version, ReplicaId=-1, Topics=[{"Name": topic, "Partitions": [row]}]
    )
    return answer.Topics[0].Partitions[0]


def end(kafka, topic, partition=0):
    return list_offsets(kafka, topic, -1, partition).Offset
