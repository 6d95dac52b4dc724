"""Peek, which consumes nothing: both encodings, states, places, filters, search, cursors."""

import time

import pytest
from confluent_kafka import Producer
from conftest import bodies, eventually, publish


def test_records_are_shown_and_not_consumed(own, channel, name):
    channel.queue_declare(name)
    publish(
        channel,
        name,
        b'{"order": 7}',
        content_type="application/json",
        correlation_id="c-1",
        priority=3,
        delivery_mode=2,
        headers={"tenant": "a", "n": 5, "deep": {"list": [1, "x", None, True]}},
    )
    publish(channel, name, b"", b"\x00\x01\xff")
    for _ in range(2):
        told = own.queue(name, "records")
        assert told["next"] is None and told["looked_at"] == 3
        first, empty, binary = told["items"]
        assert (first["offset"], first["state"], first["size"]) == (0, "ready", 12)
        assert (first["payload"], first["payload_encoding"]) == ('{"order": 7}', "string")
        assert (first["exchange"], first["routing_key"], first["origin"]) == ("", name, "amqp091")
        assert first["headers"] == {"tenant": "a", "n": 5, "deep": {"list": [1, "x", None, True]}}
        assert first["properties"] == {
            "content_type": "application/json",
            "correlation_id": "c-1",
            "priority": 3,
            "delivery_mode": 2,
        }
        assert (first["redelivered"], first["tries"]) == (False, 0)
        assert abs(first["at"] - time.time() * 1000) < 30_000
        assert (empty["payload"], empty["size"]) == ("", 0)
        assert (binary["payload"], binary["payload_encoding"]) == ("AAH/", "base64")
    assert own.depth(name) == {"ready": 3}
    assert [taken.method.redelivered for taken in bodies(channel, name)] == [False] * 3


def test_large_payloads_are_cut_between_letters(own, channel, name):
    channel.queue_declare(name)
    publish(channel, name, "ä".encode() * 10_000)
    record = own.queue(name, "records")["items"][0]
    assert (record["size"], record["payload_truncated"]) == (20_000, True)
    assert record["payload"] == "ä" * 2048
    record = own.queue(name, "records", payload_bytes=5)["items"][0]
    assert (record["payload"], record["payload_encoding"]) == ("ää", "string")
    record = own.queue(name, "records", payload_bytes=1048576, count=1)["items"][0]
    assert (record["payload"], record["payload_truncated"]) == ("ä" * 10_000, False)


def test_states_are_told_apart(own, channel, name):
    channel.queue_declare(name, arguments={"x-retention": "1h"})
    publish(channel, name, *[b"%d" % index for index in range(6)])
    tags = [channel.basic_get(name)[0].delivery_tag for _ in range(4)]
    channel.basic_ack(tags[0])
    channel.basic_ack(tags[2])
    channel.basic_nack(tags[3], requeue=True)
    eventually(lambda: own.depth(name), {"ready": 3, "leased": 1})
    records = own.queue(name, "records")["items"]
    expected = ["settled", "leased", "settled", "ready", "ready", "ready"]
    assert [record["state"] for record in records] == expected
    assert [record["tries"] for record in records] == [0, 1, 0, 1, 0, 0]
    for state, offsets in (("settled", [0, 2]), ("leased", [1]), ("ready", [3, 4, 5]), ("dying", [])):
        told = own.queue(name, "records", state=state)["items"]
        assert [record["offset"] for record in told] == offsets
    assert own.queue(name)["oldest_age_ms"] is not None
    assert own.queue(name)["retention"] == {"age_ms": 3_600_000, "bytes": None}


def test_places_are_those_of_streams(own, channel, name):
    channel.queue_declare(name)
    publish(channel, name, *[b"%d" % index for index in range(10)])
    offsets = lambda **query: [r["offset"] for r in own.queue(name, "records", **query)["items"]]
    assert offsets(**{"from": "first", "count": 2}) == [0, 1]
    assert offsets(**{"from": "last", "count": 3}) == [7, 8, 9]
    assert offsets(**{"from": "next"}) == []
    assert offsets(**{"from": 8}) == [8, 9]
    assert offsets(**{"from": 4, "until": 6}) == [4, 5]
    assert offsets(**{"from": "1h", "count": 1}) == [0]
    assert offsets(**{"from": "2099-01-01T00:00:00.000Z"}) == []
    assert offsets(**{"from": 1000}) == []
    told = own.queue(name, "records", count=4)
    assert told["next"] == 4
    assert own.queue(name, "records", count=6, **{"from": 4})["next"] is None


def test_search_and_headers(own, channel, name):
    channel.queue_declare(name)
    for index in range(20):
        headers = {"kind": "even" if index % 2 == 0 else "odd", "n": index}
        publish(channel, name, b"Order number %d" % index, headers=headers)
    found = lambda **query: [r["offset"] for r in own.queue(name, "records", **query)["items"]]
    assert found(search="order NUMBER 1") == [1, *range(10, 20)]
    assert found(search="ODD", count=3) == [1, 3, 5]
    assert found(**{"header.kind": "even", "header.n": "4"}) == [4]
    assert found(**{"header.kind": "neither"}) == []
    assert found(search=name, count=1) == [0]
    told = own.queue(name, "records", search="number 1", count=2)
    assert ([r["offset"] for r in told["items"]], told["next"]) == ([1, 10], 11)


def test_a_search_is_bounded_and_goes_on(own, channel, name):
    channel.queue_declare(name)
    # More than one look may go through: 64 MiB.
    for _ in range(70):
        publish(channel, name, b"x" * (1 << 20))
    publish(channel, name, b"needle")
    told = own.queue(name, "records", search="needle")
    rounds = 1
    while not told["items"]:
        assert told["next"] is not None
        told = own.queue(name, "records", search="needle", **{"from": told["next"]})
        rounds += 1
    assert rounds >= 2
    assert told["items"][0]["offset"] == 70
    channel.queue_delete(name)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kafka_records_are_decoded(own, broker, name, compression):
    producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}", "compression.type": compression}
    )
    producer.produce(name, b"first " * 50, key=b"k-1", headers={"kind": b"a", "bin": b"\xff"})
    producer.produce(name, None, key=b"\xfe")
    producer.produce(name, b"third", headers=[("content-type", b"text/plain")])
    assert producer.flush(20) == 0
    told = own.queue(name)
    assert (told["kind"], told["depth"]["ready"], told["end"]) == ("stream", 3, 3)
    first, null, third = own.queue(name, "records")["items"]
    assert {record["state"] for record in (first, null, third)} == {"kept"}
    assert (first["key"], first["payload"], first["origin"]) == ("k-1", "first " * 50, "kafka")
    assert first["headers"] == {"kind": "a", "bin": "/w=="}
    assert (null["payload"], null["key"], null["key_encoding"]) == (None, "/g==", "base64")
    assert third["key"] is None
    assert third["properties"]["content_type"] == "text/plain"
    found = own.queue(name, "records", search="THIRD")["items"]
    assert [record["offset"] for record in found] == [2]


def test_marks_of_transactions_and_what_they_took_back_are_not_shown(own, broker, name):
    producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}", "transactional.id": name}
    )
    producer.init_transactions(20)
    for body, ends in ((b"gone", producer.abort_transaction), (b"kept", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(name, body)
        producer.flush(20)
        ends(20)
    shown = lambda: [record["payload"] for record in own.queue(name, "records")["items"]]
    assert eventually(shown, ["kept"])


def test_records_of_a_subscription_are_the_streams(own, channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "stream"})
    publish(channel, name, b"1", b"2", b"3")
    queue = f"{name}-sub"
    arguments = {"x-subscribe": name, "x-subscribe-from": "first"}
    channel.queue_declare(queue, durable=True, arguments=arguments)
    eventually(lambda: own.queue(queue)["depth"]["ready"], 3)
    told = own.queue(queue)
    assert (told["kind"], told["source"]) == ("subscription", name)
    method, _, _ = channel.basic_get(queue)
    channel.basic_ack(method.delivery_tag)
    method, _, _ = channel.basic_get(queue)
    states = lambda: [record["state"] for record in own.queue(queue, "records")["items"]]
    assert eventually(states, ["settled", "leased", "ready"])
    assert [record["state"] for record in own.queue(name, "records")["items"]] == ["kept"] * 3
