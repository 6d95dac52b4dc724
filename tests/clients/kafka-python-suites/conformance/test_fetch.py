"""Fetch without sessions: offsets, limits, waiting."""

import time
import uuid

import pytest
from helpers import *
from records import *
from wire import unique


def fill(kafka, topic, count, size=1000):
    for at in range(count):
        assert produce(kafka, topic, batch(b"%03d" % at + bytes(size))).BaseOffset == at


@pytest.mark.parametrize("version", range(4, 13))
def test_version(kafka, topic, version):
    produce(kafka, topic, batch(b"a", b"b"))
    answer = fetch(kafka, topic, version=version)
    assert (answer.ErrorCode, answer.HighWatermark, answer.LastStableOffset) == (NONE, 2, 2)
    assert not answer.AbortedTransactions
    if version >= 5:
        assert answer.LogStartOffset == 0
    if version >= 11:
        assert answer.PreferredReadReplica == -1
    assert values(answer) == [b"a", b"b"]


@pytest.mark.parametrize("version", range(13, 19))
def test_version_by_topic_id(kafka, topic, version):
    produce(kafka, topic, batch(b"a", b"b"))
    body = fetch_body("")
    body["Topics"][0] = {
        "TopicId": topic_id(kafka, topic), "Partitions": body["Topics"][0]["Partitions"]
    }
    (row,) = kafka.request("Fetch", version, **body).Responses
    assert row.TopicId == topic_id(kafka, topic)
    assert values(row.Partitions[0]) == [b"a", b"b"]


def test_unknown_topic_id(kafka, topic):
    body = fetch_body("")
    body["Topics"][0] = {"TopicId": uuid.uuid4(), "Partitions": body["Topics"][0]["Partitions"]}
    (row,) = kafka.request("Fetch", 13, **body).Responses
    assert row.Partitions[0].ErrorCode == UNKNOWN_TOPIC_ID


def test_unknown_topic(kafka):
    answer = fetch(kafka, unique("nowhere"))
    assert (answer.ErrorCode, answer.HighWatermark) == (UNKNOWN_TOPIC_OR_PARTITION, -1)
    assert not answer.Records


@pytest.mark.parametrize("partition", [1, -1])
def test_unknown_partition(kafka, topic, partition):
    assert fetch(kafka, topic, partition=partition).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("offset", [3, -1, -2, 2**62])
def test_out_of_range(kafka, topic, offset):
    produce(kafka, topic, batch(b"a", b"b"))
    answer = fetch(kafka, topic, offset, MaxWaitMs=10_000)
    assert answer.ErrorCode == OFFSET_OUT_OF_RANGE
    assert not answer.Records


def test_at_the_end_is_empty(kafka, topic):
    produce(kafka, topic, batch(b"a", b"b"))
    answer = fetch(kafka, topic, 2)
    assert (answer.ErrorCode, answer.HighWatermark) == (NONE, 2)
    assert not answer.Records


def test_inside_a_batch_gives_the_whole_batch(kafka, topic):
    produce(kafka, topic, batch(b"a", b"b", b"c"))
    answer = fetch(kafka, topic, 2)
    assert [row.base_offset for row in batches_of(answer.Records)] == [0]


@pytest.mark.parametrize("epoch,code", [(-1, NONE), (0, NONE), (7, UNKNOWN_LEADER_EPOCH)])
def test_leader_epoch(kafka, topic, epoch, code):
    produce(kafka, topic)
    assert fetch(kafka, topic, CurrentLeaderEpoch=epoch).ErrorCode == code


def test_partition_limit(kafka, topic):
    fill(kafka, topic, 10)
    answer = fetch(kafka, topic, bytes_max=3500)
    # Whole batches only are of use; the last may be cut off.
    assert len(answer.Records) <= 3500
    assert len(batches_of(answer.Records)) == 3


def test_first_batch_comes_whatever_the_limits(kafka, topic):
    fill(kafka, topic, 2, 10_000)
    answer = fetch(kafka, topic, bytes_max=1, MaxBytes=1)
    assert len(batches_of(answer.Records)) == 1
    answer = fetch(kafka, topic, bytes_max=0)
    assert len(batches_of(answer.Records)) == 1


def test_request_limit_over_partitions(kafka, new_topic):
    topic = new_topic(partitions=3)
    for partition in range(3):
        produce(kafka, topic, batch(bytes(10_000)), partition=partition)
    rows = [{"Partition": at, "PartitionMaxBytes": 1 << 20} for at in range(3)]
    body = {"MaxWaitMs": 0, "MinBytes": 1, "Topics": [{"Topic": topic, "Partitions": rows}]}
    answer = kafka.request("Fetch", 12, MaxBytes=15_000, **body).Responses[0]
    assert [len(batches_of(row.Records or b"")) for row in answer.Partitions] == [1, 0, 0]
    assert [row.HighWatermark for row in answer.Partitions] == [1, 1, 1]
    answer = kafka.request("Fetch", 12, MaxBytes=1 << 20, **body).Responses[0]
    assert [len(batches_of(row.Records or b"")) for row in answer.Partitions] == [1, 1, 1]


def test_batches_keep_their_shape(kafka, topic):
    produce(kafka, topic, batch(b"a", b"b"))
    produce(kafka, topic, batch(b"c"))
    produce(kafka, topic, batch(b"d", b"e", b"f", codec=LZ4))
    answer = fetch(kafka, topic)
    rows = batches_of(answer.Records)
    assert [(row.base_offset, row.count) for row in rows] == [(0, 2), (2, 1), (3, 3)]
    assert all(row.crc_holds and row.leader_epoch == 0 for row in rows)
    assert [record.offset for record in records_of(answer.Records)] == list(range(6))


def test_waits_for_the_first_byte(kafka, connect, topic):
    other = connect()
    other.send("Fetch", 12, **fetch_body(topic, MaxWaitMs=20_000))
    assert other.is_quiet(0.1)
    produce(kafka, topic, batch(b"late"))
    assert values(other.receive().Responses[0].Partitions[0]) == [b"late"]


def test_waits_for_min_bytes(kafka, connect, topic):
    other = connect()
    other.send("Fetch", 12, **fetch_body(topic, MaxWaitMs=20_000, MinBytes=2500))
    produce(kafka, topic, batch(bytes(1000)))
    produce(kafka, topic, batch(bytes(1000)))
    assert other.is_quiet(0.1)
    produce(kafka, topic, batch(bytes(1000)))
    answer = other.receive().Responses[0].Partitions[0]
    assert len(batches_of(answer.Records)) == 3


def test_wait_ends(kafka, topic):
    produce(kafka, topic)
    start = time.monotonic()
    answer = fetch(kafka, topic, MaxWaitMs=300, MinBytes=1 << 20)
    assert time.monotonic() - start >= 0.29
    assert len(batches_of(answer.Records)) == 1, "what there is comes at the end of the wait"


def test_min_bytes_0_does_not_wait(kafka, topic):
    answer = fetch(kafka, topic, MaxWaitMs=29_000, MinBytes=0)
    assert not answer.Records


def test_error_does_not_wait(kafka, new_topic):
    rows = [{"Partition": at, "PartitionMaxBytes": 1000, "FetchOffset": at * 9} for at in (0, 1)]
    body = {"MaxWaitMs": 29_000, "MinBytes": 1}
    topic = new_topic(partitions=2)
    answer = kafka.request("Fetch", 12, Topics=[{"Topic": topic, "Partitions": rows}], **body)
    codes = [part.ErrorCode for part in answer.Responses[0].Partitions]
    assert codes == [NONE, OFFSET_OUT_OF_RANGE]


def test_waiting_on_several_partitions(kafka, connect, new_topic):
    topic, other = new_topic(partitions=2), connect()
    rows = [{"Partition": at, "PartitionMaxBytes": 1 << 20} for at in range(2)]
    other.send(
        "Fetch", 12, MaxWaitMs=20_000, MinBytes=1, Topics=[{"Topic": topic, "Partitions": rows}]
    )
    produce(kafka, topic, batch(b"second"), partition=1)
    parts = other.receive().Responses[0].Partitions
    assert [values(row) for row in parts] == [[], [b"second"]]


def test_waiting_fetch_holds_back_what_follows_it(kafka, connect, topic):
    """One request at a time on a connection, answers in order."""
    other = connect()
    other.send("Fetch", 12, **fetch_body(topic, MaxWaitMs=20_000))
    other.send("ApiVersions", 0)
    assert other.is_quiet(0.05)
    produce(kafka, topic)
    assert other.receive().Responses[0].Partitions[0].Records
    assert other.receive().ErrorCode == NONE


def test_waiter_that_leaves_harms_nobody(kafka, connect, topic):
    other = connect()
    other.send("Fetch", 12, **fetch_body(topic, MaxWaitMs=20_000))
    other.close()
    produce(kafka, topic)
    assert values(fetch(kafka, topic)) == [b"v"]


def test_many_waiters(kafka, connect, topic):
    others = [connect() for _ in range(20)]
    for other in others:
        other.send("Fetch", 12, **fetch_body(topic, MaxWaitMs=20_000))
    produce(kafka, topic, batch(b"all"))
    for other in others:
        assert values(other.receive().Responses[0].Partitions[0]) == [b"all"]


def test_nothing_asked(kafka):
    answer = kafka.request("Fetch", 12, MaxWaitMs=10, MinBytes=0, Topics=[])
    assert (answer.ErrorCode, answer.Responses) == (NONE, [])


def test_same_partition_twice(kafka, topic):
    produce(kafka, topic)
    body = fetch_body(topic)
    body["Topics"] *= 2
    rows = kafka.request("Fetch", 12, **body).Responses
    assert sum(len(values(part)) for row in rows for part in row.Partitions) >= 1


def test_after_delete_records(kafka, topic):
    for _ in range(5):
        produce(kafka, topic)
    rows = [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Offset": 3}]}]
    answer = kafka.request("DeleteRecords", 2, TimeoutMs=5000, Topics=rows)
    assert answer.Topics[0].Partitions[0].LowWatermark == 3
    answer = fetch(kafka, topic, 0)
    assert (answer.ErrorCode, answer.LogStartOffset) == (OFFSET_OUT_OF_RANGE, -1)
    answer = fetch(kafka, topic, 3)
    assert (answer.ErrorCode, answer.LogStartOffset) == (NONE, 3)
    assert [record.offset for record in records_of(answer.Records)] == [3, 4]
