"""Client quotas: set, told, removed, refused; and kept, with the throttle time told."""

import time

import pytest
from helpers import (
    INVALID_REQUEST,
    NONE,
    UNSUPPORTED_VERSION,
    eventually,
    fetch_body,
    produce_body,
)
from records import batch
from wire import unique

EXACT, DEFAULT, ANY = range(3)


def side(kind, name):
    return {"EntityType": kind, "EntityName": name}


def op(key, value=0.0, remove=False):
    return {"Key": key, "Value": value, "Remove": remove}


def produce(kafka, topic, records):
    return kafka.request("Produce", 9, **produce_body(topic, records))


def fetch(kafka, topic, offset):
    return kafka.request("Fetch", 12, **fetch_body(topic, offset))


def alter(kafka, entity, *ops, version=1, validate=False):
    entry = {"Entity": [side(*part) for part in entity], "Ops": list(ops)}
    answer = kafka.request(
        "AlterClientQuotas", version, Entries=[entry], ValidateOnly=validate
    )
    return answer.Entries[0]


def describe(kafka, *components, strict=False, version=1):
    wanted = [
        {"EntityType": kind, "MatchType": match, "Match": name} for kind, match, name in components
    ]
    return kafka.request("DescribeClientQuotas", version, Components=wanted, Strict=strict)


def values(kafka, *components, **options):
    answer = describe(kafka, *components, **options)
    assert answer.ErrorCode == NONE, answer
    return [
        (
            sorted((part.EntityType, part.EntityName) for part in entry.Entity),
            {value.Key: value.Value for value in entry.Values},
        )
        for entry in answer.Entries
    ]


@pytest.mark.parametrize("version", [0, 1])
def test_set_told_changed_removed(kafka, version):
    client = unique("client")
    entity, mine = [("client-id", client)], ("client-id", EXACT, client)
    answer = alter(kafka, entity, op("producer_byte_rate", 2e6), op("consumer_byte_rate", 1e6))
    assert answer.ErrorCode == NONE
    expected = {"producer_byte_rate": 2e6, "consumer_byte_rate": 1e6}
    eventually(lambda: values(kafka, mine, version=version) == [(entity, expected)])
    alter(kafka, entity, op("producer_byte_rate", 3e6), op("consumer_byte_rate", remove=True))
    eventually(lambda: values(kafka, mine) == [(entity, {"producer_byte_rate": 3e6})])
    alter(kafka, entity, op("producer_byte_rate", remove=True))
    eventually(lambda: values(kafka, mine) == [])


def test_validation_changes_nothing(kafka):
    client = unique("client")
    answer = alter(kafka, [("client-id", client)], op("producer_byte_rate", 5.0), validate=True)
    assert answer.ErrorCode == NONE
    assert values(kafka, ("client-id", EXACT, client)) == []


def test_filters(kafka):
    user, client = unique("user"), unique("client")
    both = [("client-id", client), ("user", user)]
    alone = [("user", user)]
    by_default = [("client-id", None), ("user", user)]
    quotas = {"producer_byte_rate": 1e9}
    for entity in (both, alone, by_default):
        assert alter(kafka, entity, op("producer_byte_rate", 1e9)).ErrorCode == NONE
    mine = ("user", EXACT, user)
    eventually(lambda: len(values(kafka, mine)) == 3)
    assert values(kafka, mine, strict=True) == [(alone, quotas)]
    assert values(kafka, mine, ("client-id", EXACT, client)) == [(both, quotas)]
    assert values(kafka, mine, ("client-id", DEFAULT, None)) == [(by_default, quotas)]
    found = values(kafka, mine, ("client-id", ANY, None))
    assert sorted(found, key=repr) == sorted([(both, quotas), (by_default, quotas)], key=repr)
    for entity in (both, alone, by_default):
        alter(kafka, entity, op("producer_byte_rate", remove=True))
    eventually(lambda: values(kafka, mine) == [])


@pytest.mark.parametrize(
    "entity, ops",
    [
        ([], [op("producer_byte_rate", 5.0)]),
        ([("nonsense", "x")], [op("producer_byte_rate", 5.0)]),
        ([("client-id", "")], [op("producer_byte_rate", 5.0)]),
        ([("client-id", "x")], [op("nonsense", 5.0)]),
        ([("client-id", "x")], [op("producer_byte_rate", 0.0)]),
        ([("client-id", "x")], [op("producer_byte_rate", -1.0)]),
        ([("client-id", "x")], [op("producer_byte_rate", 0.5)]),
    ],
)
def test_refused(kafka, entity, ops):
    assert alter(kafka, entity, *ops).ErrorCode == INVALID_REQUEST


@pytest.mark.parametrize(
    "components, code",
    [
        ([("nonsense", EXACT, "x")], UNSUPPORTED_VERSION),
        ([("user", EXACT, "x"), ("user", EXACT, "y")], INVALID_REQUEST),
        ([("user", 7, "x")], INVALID_REQUEST),
        ([("", EXACT, "x")], INVALID_REQUEST),
    ],
)
def test_filters_refused(kafka, components, code):
    assert describe(kafka, *components).ErrorCode == code


def test_producer_is_throttled(connect, kafka, topic):
    client = unique("client")
    entity = [("client-id", client)]
    alter(kafka, entity, op("producer_byte_rate", 20_000.0))
    eventually(lambda: values(kafka, ("client-id", EXACT, client)))
    producer = connect(client_id=client)
    sent = 0

    def throttled():
        nonlocal sent
        sent += 50_000
        answer = produce(producer, topic, batch(b"x" * 50_000))
        assert answer.Responses[0].PartitionResponses[0].ErrorCode == NONE
        return answer.ThrottleTimeMs

    # What a quota of ten seconds holds passes at once.
    wait_ms = eventually(throttled)
    assert sent >= 150_000
    # It is owed for the part beyond that, and the client is not read for so long.
    assert 50 <= wait_ms <= 12_000, wait_ms
    begun = time.monotonic()
    producer.request("ApiVersions", 0)
    assert time.monotonic() - begun >= min(wait_ms / 1000, 12) * 0.8
    other = connect(client_id=unique("client"))
    assert produce(other, topic, batch(b"x" * 50_000)).ThrottleTimeMs == 0
    alter(kafka, entity, op("producer_byte_rate", remove=True))


def test_consumer_is_throttled(connect, kafka, topic):
    client = unique("client")
    entity = [("client-id", client)]
    for _ in range(4):
        produce(kafka, topic, batch(b"x" * 100_000))
    alter(kafka, entity, op("consumer_byte_rate", 20_000.0))
    eventually(lambda: values(kafka, ("client-id", EXACT, client)))
    consumer = connect(client_id=client)

    def throttled():
        return fetch(consumer, topic, 0).ThrottleTimeMs

    wait_ms = eventually(throttled)
    assert 0 < wait_ms <= 12_000, wait_ms
    alter(kafka, entity, op("consumer_byte_rate", remove=True))
