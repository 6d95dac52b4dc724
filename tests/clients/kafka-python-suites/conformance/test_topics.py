"""Topics and their configs, a request at a time."""

import uuid

import pytest
from helpers import *
from records import *
from wire import unique


def create(kafka, *topics, version=7, **fields):
    rows = [
        {"NumPartitions": 1, "ReplicationFactor": 1} | (topic if isinstance(topic, dict) else
                                                         {"Name": topic})
        for topic in topics
    ]
    answer = kafka.request("CreateTopics", version, Topics=rows, TimeoutMs=10_000, **fields)
    return answer.Topics


def delete(kafka, *names, version=5):
    answer = kafka.request("DeleteTopics", version, TopicNames=list(names), TimeoutMs=10_000)
    return {row.Name: row.ErrorCode for row in answer.Responses}


def gone(kafka, name):
    eventually(lambda: metadata(kafka, name).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION)


@pytest.mark.parametrize("version", range(2, 8))
def test_create_and_delete(kafka, version):
    name = unique("topic")
    (row,) = create(kafka, {"Name": name, "NumPartitions": 3}, version=version)
    assert (row.ErrorCode, row.Name) == (NONE, name)
    if version >= 5:
        assert (row.NumPartitions, row.ReplicationFactor) == (3, 1)
        assert "retention.ms" in [config.Name for config in row.Configs]
    if version >= 7:
        assert row.TopicId.int != 0
    eventually(lambda: has_leaders(metadata(kafka, name), 3))
    assert delete(kafka, name, version=min(version, 5)) == {name: NONE}
    gone(kafka, name)


def test_delete_by_id(kafka, topic):
    number = topic_id(kafka, topic)
    rows = [{"TopicId": number, "Name": None}, {"TopicId": uuid.uuid4(), "Name": None}]
    answer = kafka.request("DeleteTopics", 6, Topics=rows, TimeoutMs=10_000)
    codes = {row.TopicId: row.ErrorCode for row in answer.Responses}
    assert codes == {number: NONE, rows[1]["TopicId"]: UNKNOWN_TOPIC_ID}
    gone(kafka, topic)


def test_delete_what_is_not_there(kafka):
    name = unique("nowhere")
    assert delete(kafka, name) == {name: UNKNOWN_TOPIC_OR_PARTITION}


def test_defaults(kafka):
    name = unique("topic")
    row = {"Name": name, "NumPartitions": -1, "ReplicationFactor": -1}
    (row,) = create(kafka, row, version=5)
    assert (row.ErrorCode, row.NumPartitions, row.ReplicationFactor) == (NONE, 1, 1)


@pytest.mark.parametrize(
    "row,code",
    [
        ({"Name": ""}, INVALID_TOPIC_EXCEPTION),
        ({"Name": "."}, INVALID_TOPIC_EXCEPTION),
        ({"Name": "a b"}, INVALID_TOPIC_EXCEPTION),
        ({"Name": "x" * 250}, INVALID_TOPIC_EXCEPTION),
        ({"NumPartitions": 0}, INVALID_PARTITIONS),
        ({"NumPartitions": -2}, INVALID_PARTITIONS),
        ({"ReplicationFactor": 0}, INVALID_REPLICATION_FACTOR),
        ({"ReplicationFactor": 2}, INVALID_REPLICATION_FACTOR),
        ({"Configs": [{"Name": "no.such", "Value": "1"}]}, INVALID_CONFIG),
        ({"Configs": [{"Name": "retention.ms", "Value": "soon"}]}, INVALID_CONFIG),
        ({"Configs": [{"Name": "cleanup.policy", "Value": "burn"}]}, INVALID_CONFIG),
        ({"Configs": [{"Name": "max.message.bytes", "Value": "-1"}]}, INVALID_CONFIG),
        ({"Configs": [{"Name": "compression.type", "Value": "brotli"}]}, INVALID_CONFIG),
        ({"Configs": [{"Name": "segment.bytes", "Value": "1"}]}, INVALID_CONFIG),
    ],
)
def test_create_refused(kafka, row, code):
    (answer,) = create(kafka, {"Name": unique("bad")} | row)
    assert answer.ErrorCode == code
    assert answer.ErrorMessage


def test_create_twice(kafka, topic):
    (answer,) = create(kafka, topic)
    assert answer.ErrorCode == TOPIC_ALREADY_EXISTS


def test_create_the_same_twice_in_one_request(kafka):
    name = unique("twice")
    assert {row.ErrorCode for row in create(kafka, name, name)} == {INVALID_REQUEST}


def test_names_that_collide(kafka):
    """A dot and an underscore are one in metric names."""
    base = unique("collides").replace("-", "")
    assert create(kafka, f"{base}.a")[0].ErrorCode == NONE
    assert create(kafka, f"{base}_a")[0].ErrorCode in (INVALID_TOPIC_EXCEPTION, NONE)


def test_assignments(kafka):
    name = unique("assigned")
    rows = [{"PartitionIndex": at, "BrokerIds": [1]} for at in range(2)]
    row = {"Name": name, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": rows}
    (answer,) = create(kafka, row)
    assert (answer.ErrorCode, answer.NumPartitions) == (NONE, 2)
    row = {"Name": unique("assigned"), "NumPartitions": -1, "ReplicationFactor": -1,
           "Assignments": [{"PartitionIndex": 0, "BrokerIds": [99]}]}
    (answer,) = create(kafka, row)
    assert answer.ErrorCode == INVALID_REPLICA_ASSIGNMENT


def test_validate_only(kafka):
    name = unique("validated")
    (answer,) = create(kafka, name, ValidateOnly=True)
    assert answer.ErrorCode == NONE
    assert metadata(kafka, name).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("version", range(4))
def test_create_partitions(kafka, topic, version):
    def grow(count, name=topic, **fields):
        rows = [{"Name": name, "Count": count, "Assignments": None} | fields]
        answer = kafka.request("CreatePartitions", version, Topics=rows, TimeoutMs=10_000,
                               ValidateOnly=False)
        return answer.Results[0].ErrorCode

    assert grow(3) == NONE
    eventually(lambda: has_leaders(metadata(kafka, topic), 3))
    assert grow(3) == INVALID_PARTITIONS
    assert grow(1) == INVALID_PARTITIONS
    assert grow(0) == INVALID_PARTITIONS
    assert grow(5, unique("nowhere")) == UNKNOWN_TOPIC_OR_PARTITION
    assert grow(4, Assignments=[{"BrokerIds": [99]}]) == INVALID_REPLICA_ASSIGNMENT


def describe(kafka, name, kind=2, version=4, keys=None, **fields):
    rows = [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}]
    (row,) = kafka.request("DescribeConfigs", version, Resources=rows, **fields).Results
    return row


def config(kafka, name, key):
    (found,) = describe(kafka, name, keys=[key]).Configs
    return found.Value


DEFAULTS = {
    "cleanup.policy": "delete", "compression.type": "producer", "delete.retention.ms": "86400000",
    "max.message.bytes": "1048588", "message.timestamp.type": "CreateTime",
    "min.compaction.lag.ms": "0", "retention.bytes": "-1", "retention.ms": "604800000",
    # segment.bytes follows the broker's log.segment.bytes, which is smaller here.
    "segment.ms": "604800000",
    "message.timestamp.after.max.ms": "3600000", "min.cleanable.dirty.ratio": "0.5",
    "max.compaction.lag.ms": "9223372036854775807", "min.insync.replicas": "1",
}


@pytest.mark.parametrize("version", range(1, 5))
def test_describe_configs(kafka, topic, version):
    found = {row.Name: row for row in describe(kafka, topic, version=version).Configs}
    assert {name: found[name].Value for name in DEFAULTS} == DEFAULTS
    assert not found["retention.ms"].ReadOnly
    assert not found["retention.ms"].IsSensitive
    assert found["retention.ms"].ConfigSource == 5
    if version >= 3:
        assert found["retention.ms"].ConfigType == 5
        row = describe(kafka, topic, IncludeDocumentation=True, keys=["retention.ms"])
        assert row.Configs[0].Documentation


def test_describe_some_configs(kafka, topic):
    found = describe(kafka, topic, keys=["retention.ms", "no.such"])
    assert [row.Name for row in found.Configs] == ["retention.ms"]


def test_describe_configs_of_nowhere(kafka):
    assert describe(kafka, unique("nowhere")).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION
    assert describe(kafka, "99", kind=4).ErrorCode == INVALID_REQUEST
    assert describe(kafka, "x", kind=99).ErrorCode == INVALID_REQUEST


def alter(kafka, name, *changes, kind=2, version=1, **fields):
    rows = [
        {"Name": key, "ConfigOperation": operation, "Value": value}
        for key, operation, value in changes
    ]
    (row,) = kafka.request(
        "IncrementalAlterConfigs", version,
        Resources=[{"ResourceType": kind, "ResourceName": name, "Configs": rows}], **fields,
    ).Responses
    return row.ErrorCode


SET, DELETE, APPEND, SUBTRACT = range(4)


@pytest.mark.parametrize("version", [0, 1])
def test_incremental(kafka, topic, version):
    changes = [("retention.ms", SET, "1000000"), ("cleanup.policy", APPEND, "compact")]
    assert alter(kafka, topic, *changes, version=version) == NONE
    eventually(lambda: config(kafka, topic, "retention.ms") == "1000000")
    assert config(kafka, topic, "cleanup.policy") == "delete,compact"
    (found,) = describe(kafka, topic, keys=["retention.ms"], IncludeSynonyms=True).Configs
    assert (found.ConfigSource, [row.Source for row in found.Synonyms][:1]) == (1, [1])
    changes = [("retention.ms", DELETE, None), ("cleanup.policy", SUBTRACT, "compact")]
    assert alter(kafka, topic, *changes, version=version) == NONE
    eventually(lambda: config(kafka, topic, "retention.ms") == "604800000")
    assert config(kafka, topic, "cleanup.policy") == "delete"


@pytest.mark.parametrize(
    "change,code",
    [
        (("retention.ms", SET, "soon"), INVALID_CONFIG),
        (("retention.ms", SET, None), INVALID_REQUEST),
        (("no.such", SET, "1"), INVALID_CONFIG),
        (("retention.ms", APPEND, "1"), INVALID_CONFIG),
    ],
)
def test_incremental_refused(kafka, topic, change, code):
    # One bad change undoes the good ones beside it.
    assert alter(kafka, topic, ("max.message.bytes", SET, "9999"), change) == code
    assert config(kafka, topic, "max.message.bytes") == "1048588"


def test_incremental_validate_only(kafka, topic):
    assert alter(kafka, topic, ("retention.ms", SET, "1"), ValidateOnly=True) == NONE
    assert config(kafka, topic, "retention.ms") == "604800000"


def test_incremental_on_nowhere(kafka):
    found = alter(kafka, unique("nowhere"), ("retention.ms", SET, "1"))
    assert found == UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("version", range(3))
def test_alter_configs_replaces_all(kafka, new_topic, version):
    topic = new_topic(retention_ms=1000000)
    rows = [{"Name": "max.message.bytes", "Value": "5000"}]
    (row,) = kafka.request(
        "AlterConfigs", version,
        Resources=[{"ResourceType": 2, "ResourceName": topic, "Configs": rows}],
    ).Responses
    assert row.ErrorCode == NONE
    eventually(lambda: config(kafka, topic, "max.message.bytes") == "5000")
    assert config(kafka, topic, "retention.ms") == "604800000"


def test_topic_made_again_is_another(kafka, topic):
    produce(kafka, topic, batch(b"old"))
    old = topic_id(kafka, topic)
    delete(kafka, topic)
    gone(kafka, topic)
    create(kafka, topic)
    eventually(lambda: has_leaders(metadata(kafka, topic), 1))
    assert topic_id(kafka, topic) != old
    assert eventually(lambda: list_offsets(kafka, topic, -1).ErrorCode == NONE)
    assert end(kafka, topic) == 0


@pytest.mark.parametrize("version", range(3))
def test_delete_records(kafka, topic, version):
    def remove(offset, partition=0, name=topic):
        rows = [{"Name": name, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}]
        answer = kafka.request("DeleteRecords", version, Topics=rows, TimeoutMs=5000)
        return answer.Topics[0].Partitions[0]

    for _ in range(5):
        produce(kafka, topic)
    assert remove(2).LowWatermark == 2
    assert list_offsets(kafka, topic, -2).Offset == 2
    assert remove(1).LowWatermark == 2, "never back"
    assert remove(9).ErrorCode == OFFSET_OUT_OF_RANGE
    assert remove(0, partition=7).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION
    assert remove(-1).LowWatermark == 5
    assert produce(kafka, topic).BaseOffset == 5


@pytest.mark.parametrize("version", range(1, 5))
def test_log_dirs(kafka, topic, version):
    produce(kafka, topic, batch(bytes(5000)))
    answer = kafka.request(
        "DescribeLogDirs", version, Topics=[{"Topic": topic, "Partitions": [0]}]
    )
    (found,) = [part for row in answer.Results for name in row.Topics if name.Name == topic
                for part in name.Partitions]
    assert found.PartitionIndex == 0
    assert found.PartitionSize >= 5000
