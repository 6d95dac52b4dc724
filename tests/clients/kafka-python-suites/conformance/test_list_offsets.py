"""ListOffsets: by every special value and by time."""

import pytest
from helpers import *
from records import *
from wire import unique

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5


@pytest.fixture
def times(kafka, topic):
    """Offsets 0..5 with times 1000, 3000, 2000 | 5000, 4000, 4000."""
    for stamps in ((1000, 3000, 2000), (5000, 4000, 4000)):
        payload = b"".join(
            record(b"%d" % stamp, offset_delta=at, timestamp_delta=stamp - stamps[0])
            for at, stamp in enumerate(stamps)
        )
        sent = batch(
            payload=payload, count=3, last_offset_delta=2, timestamp=stamps[0],
            max_timestamp=max(stamps),
        )
        assert produce(kafka, topic, sent).ErrorCode == NONE
    return topic


@pytest.mark.parametrize("version", range(1, 12))
def test_version(kafka, times, version):
    assert list_offsets(kafka, times, LATEST, version=version).Offset == 6
    answer = list_offsets(kafka, times, EARLIEST, version=version)
    assert (answer.ErrorCode, answer.Offset, answer.Timestamp) == (NONE, 0, -1)
    if version >= 4:
        assert answer.LeaderEpoch == 0


@pytest.mark.parametrize(
    "timestamp,offset,found",
    [
        (0, 0, 1000),
        (1000, 0, 1000),
        (1001, 1, 3000),
        (3000, 1, 3000),
        (3001, 3, 5000),
        (4000, 3, 5000),
        (5000, 3, 5000),
        (5001, -1, -1),
    ],
)
def test_time(kafka, times, timestamp, offset, found):
    answer = list_offsets(kafka, times, timestamp)
    assert (answer.ErrorCode, answer.Offset, answer.Timestamp) == (NONE, offset, found)


def test_max_timestamp(kafka, times):
    answer = list_offsets(kafka, times, MAX_TIMESTAMP)
    assert (answer.ErrorCode, answer.Offset, answer.Timestamp) == (NONE, 3, 5000)


def test_max_timestamp_of_nothing(kafka, topic):
    answer = list_offsets(kafka, topic, MAX_TIMESTAMP)
    assert (answer.ErrorCode, answer.Offset, answer.Timestamp) == (NONE, -1, -1)


def test_max_timestamp_below_version_7(kafka, times):
    assert list_offsets(kafka, times, MAX_TIMESTAMP, version=6).ErrorCode == UNSUPPORTED_VERSION


def test_earliest_local(kafka, times):
    answer = list_offsets(kafka, times, EARLIEST_LOCAL, version=8)
    assert (answer.ErrorCode, answer.Offset) == (NONE, 0)


def test_latest_tiered_without_tiers(kafka, times):
    answer = list_offsets(kafka, times, LATEST_TIERED, version=9)
    assert (answer.ErrorCode, answer.Offset) == (NONE, -1)


@pytest.mark.parametrize("timestamp", [-7, -100])
def test_unknown_special_value(kafka, times, timestamp):
    answer = list_offsets(kafka, times, timestamp, version=11)
    assert (answer.ErrorCode, answer.Offset) == (UNSUPPORTED_VERSION, -1)


def test_empty(kafka, topic):
    assert list_offsets(kafka, topic, LATEST).Offset == 0
    assert list_offsets(kafka, topic, EARLIEST).Offset == 0
    assert list_offsets(kafka, topic, 0).Offset == -1


def test_compressed(kafka, topic):
    payload = record(b"a") + record(b"b", offset_delta=1, timestamp_delta=500)
    sent = batch(
        payload=payload, codec=GZIP, count=2, last_offset_delta=1, timestamp=1000,
        max_timestamp=1500,
    )
    produce(kafka, topic, sent)
    answer = list_offsets(kafka, topic, 1200)
    assert (answer.Offset, answer.Timestamp) == (1, 1500)
    answer = list_offsets(kafka, topic, MAX_TIMESTAMP)
    assert (answer.Offset, answer.Timestamp) == (1, 1500)


def test_log_append_time(kafka, new_topic):
    topic = new_topic(message_timestamp_type="LogAppendTime")
    stamp = produce(kafka, topic, batch(b"a", b"b", timestamp=1000)).LogAppendTimeMs
    answer = list_offsets(kafka, topic, 2000)
    assert (answer.Offset, answer.Timestamp) == (0, stamp)


def test_unknown_topic(kafka):
    answer = list_offsets(kafka, unique("nowhere"), LATEST)
    assert (answer.ErrorCode, answer.Offset) == (UNKNOWN_TOPIC_OR_PARTITION, -1)


def test_unknown_partition(kafka, topic):
    assert list_offsets(kafka, topic, LATEST, 3).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("epoch,code", [(-1, NONE), (0, NONE), (5, UNKNOWN_LEADER_EPOCH)])
def test_leader_epoch(kafka, topic, epoch, code):
    assert list_offsets(kafka, topic, LATEST, CurrentLeaderEpoch=epoch).ErrorCode == code


def test_same_partition_twice(kafka, topic):
    rows = [{"PartitionIndex": 0, "Timestamp": LATEST}] * 2
    answer = kafka.request("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": topic, "Partitions": rows}])
    assert {part.ErrorCode for part in answer.Topics[0].Partitions} == {INVALID_REQUEST}


def epoch_end(kafka, topic, epoch, current=-1, version=4):
    rows = [{"Partition": 0, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]
    answer = kafka.request(
        "OffsetForLeaderEpoch", version, ReplicaId=-1, Topics=[{"Topic": topic, "Partitions": rows}]
    ) if version >= 3 else kafka.request(
        "OffsetForLeaderEpoch", version, Topics=[{"Topic": topic, "Partitions": rows}]
    )
    return answer.Topics[0].Partitions[0]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_epoch_end(kafka, times, version):
    answer = epoch_end(kafka, times, 0, version=version)
    assert (answer.ErrorCode, answer.LeaderEpoch, answer.EndOffset) == (NONE, 0, 6)


def test_epoch_end_of_the_future(kafka, times):
    answer = epoch_end(kafka, times, 9)
    assert (answer.ErrorCode, answer.LeaderEpoch, answer.EndOffset) == (NONE, -1, -1)


def test_epoch_end_with_a_wrong_current_epoch(kafka, times):
    assert epoch_end(kafka, times, 0, current=3).ErrorCode == UNKNOWN_LEADER_EPOCH


def test_epoch_end_of_nowhere(kafka):
    assert epoch_end(kafka, unique("nowhere"), 0).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION
