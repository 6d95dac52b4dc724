"""Incremental fetch (KIP-227): session ids, epochs, what is left out of an answer."""

import pytest
from helpers import *
from records import *

LAST = -1


def rows(topic, *partitions):
    return [
        {
            "Topic": topic,
            "Partitions": [
                {"Partition": at, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
                for at, offset in partitions
            ],
        }
    ]


def ask(kafka, session, epoch, topics=(), forgotten=(), version=12, wait=0):
    return kafka.request(
        "Fetch", version, MaxWaitMs=wait, MinBytes=1, MaxBytes=10 << 20, SessionId=session,
        SessionEpoch=epoch, Topics=list(topics), ForgottenTopicsData=list(forgotten),
    )


def seen(answer):
    return {
        (row.Topic, part.PartitionIndex): values(part)
        for row in answer.Responses
        for part in row.Partitions
    }


@pytest.fixture
def topic(new_topic):
    return new_topic(partitions=3)


@pytest.fixture
def session(kafka, topic):
    answer = ask(kafka, 0, 0, rows(topic, (0, 0), (1, 0)))
    assert answer.ErrorCode == NONE
    assert answer.SessionId > 0
    assert seen(answer) == {(topic, 0): [], (topic, 1): []}, "a full answer names all"
    return answer.SessionId


def test_sessionless(kafka, topic):
    answer = ask(kafka, 0, LAST, rows(topic, (0, 0)))
    assert (answer.ErrorCode, answer.SessionId) == (NONE, 0)


@pytest.mark.parametrize("version", [7, 12])
def test_only_what_changed_is_answered(kafka, topic, version):
    session = ask(kafka, 0, 0, rows(topic, (0, 0), (1, 0)), version=version).SessionId
    answer = ask(kafka, session, 1, version=version)
    assert (answer.ErrorCode, answer.SessionId, seen(answer)) == (NONE, session, {})
    produce(kafka, topic, batch(b"a"), partition=1)
    answer = ask(kafka, session, 2, version=version)
    assert seen(answer) == {(topic, 1): [b"a"]}


def test_offset_is_moved_by_naming_it(kafka, topic, session):
    produce(kafka, topic, batch(b"a"))
    assert seen(ask(kafka, session, 1)) == {(topic, 0): [b"a"]}
    # Not moved: the same again.
    assert seen(ask(kafka, session, 2)) == {(topic, 0): [b"a"]}
    assert seen(ask(kafka, session, 3, rows(topic, (0, 1)))) == {}
    produce(kafka, topic, batch(b"b"))
    assert seen(ask(kafka, session, 4)) == {(topic, 0): [b"b"]}


def test_partition_is_added(kafka, topic, session):
    produce(kafka, topic, batch(b"c"), partition=2)
    answer = ask(kafka, session, 1, rows(topic, (2, 0)))
    assert seen(answer) == {(topic, 2): [b"c"]}


def test_partition_is_forgotten(kafka, topic, session):
    produce(kafka, topic, batch(b"a"))
    produce(kafka, topic, batch(b"b"), partition=1)
    forgotten = [{"Topic": topic, "Partitions": [0]}]
    assert seen(ask(kafka, session, 1, forgotten=forgotten)) == {(topic, 1): [b"b"]}


def test_new_partition_without_data_is_named_once(kafka, topic, session):
    answer = ask(kafka, session, 1, rows(topic, (2, 0)))
    assert seen(answer) == {(topic, 2): []}
    assert seen(ask(kafka, session, 2)) == {}


def test_error_is_repeated_until_gone(kafka, topic, session):
    for epoch in (1, 2):
        answer = ask(kafka, session, epoch, rows(topic, (0, 9)))
        assert answer.Responses[0].Partitions[0].ErrorCode == OFFSET_OUT_OF_RANGE
    assert seen(ask(kafka, session, 3, rows(topic, (0, 0)))) in ({}, {(topic, 0): []})


@pytest.mark.parametrize("epoch", [1, LAST])
def test_unknown_session(kafka, topic, epoch):
    answer = ask(kafka, 1234567, epoch, rows(topic, (0, 0)))
    assert answer.ErrorCode == (FETCH_SESSION_ID_NOT_FOUND if epoch == 1 else NONE)
    assert answer.SessionId == 0


@pytest.mark.parametrize("epoch", [2, 7])
def test_wrong_epoch(kafka, topic, session, epoch):
    answer = ask(kafka, session, epoch)
    assert answer.ErrorCode == INVALID_FETCH_SESSION_EPOCH
    assert answer.Responses == []
    # The session stands.
    assert ask(kafka, session, 1).ErrorCode == NONE


def test_epoch_is_used_up(kafka, topic, session):
    assert ask(kafka, session, 1).ErrorCode == NONE
    assert ask(kafka, session, 1).ErrorCode == INVALID_FETCH_SESSION_EPOCH


def test_close(kafka, topic, session):
    answer = ask(kafka, session, LAST, rows(topic, (0, 0)))
    assert (answer.ErrorCode, answer.SessionId) == (NONE, 0)
    assert ask(kafka, session, 1).ErrorCode == FETCH_SESSION_ID_NOT_FOUND


def test_epoch_0_replaces_the_session(kafka, topic, session):
    answer = ask(kafka, session, 0, rows(topic, (0, 0)))
    assert answer.ErrorCode == NONE
    assert answer.SessionId not in (0, session)
    assert ask(kafka, session, 1).ErrorCode == FETCH_SESSION_ID_NOT_FOUND
    assert ask(kafka, answer.SessionId, 1).ErrorCode == NONE


# Bongsu's live with their connection: a client that comes back says everything again.
def test_session_from_another_connection(kafka, connect, topic, session):
    """Either it goes on, or the client is told to begin another."""
    produce(kafka, topic, batch(b"a"))
    answer = ask(connect(), session, 1)
    if answer.ErrorCode == NONE:
        assert seen(answer) == {(topic, 0): [b"a"]}
    else:
        assert answer.ErrorCode == FETCH_SESSION_ID_NOT_FOUND


def test_waits_for_data(kafka, connect, topic, session):
    kafka.send(
        "Fetch", 12, MaxWaitMs=20_000, MinBytes=1, SessionId=session, SessionEpoch=1, Topics=[]
    )
    assert kafka.is_quiet(0.05)
    produce(connect(), topic, batch(b"a"), partition=1)
    assert seen(kafka.receive()) == {(topic, 1): [b"a"]}


def test_by_topic_id(kafka, topic):
    def by_id(*partitions):
        (row,) = rows(topic, *partitions)
        return [{"TopicId": topic_id(kafka, topic), "Partitions": row["Partitions"]}]

    answer = ask(kafka, 0, 0, by_id((0, 0)), version=13)
    session = answer.SessionId
    assert session > 0
    produce(kafka, topic, batch(b"a"))
    (row,) = ask(kafka, session, 1, version=13).Responses
    assert row.TopicId == topic_id(kafka, topic)
    assert values(row.Partitions[0]) == [b"a"]


def test_high_watermark_change_is_told(kafka, topic, session):
    """A partition whose end moved is answered even if there is no room for its bytes."""
    produce(kafka, topic, batch(bytes(1000)))
    produce(kafka, topic, batch(bytes(1000)), partition=1)
    answer = kafka.request(
        "Fetch", 12, MaxWaitMs=0, MinBytes=1, MaxBytes=1, SessionId=session, SessionEpoch=1,
        Topics=[],
    )
    assert {part.PartitionIndex: part.HighWatermark
            for part in answer.Responses[0].Partitions} == {0: 1, 1: 1}
