"""Streams, and groups of every kind: who is in them, lag in records and in time, moving, deleting."""

import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import eventually, publish


@pytest.fixture
def kafka(broker):
    return {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}"}


@pytest.fixture
def topic(kafka, name):
    """Three partitions with 10, 20 and 30 records."""
    admin = AdminClient(kafka)
    for future in admin.create_topics([NewTopic(name, 3, 1)]).values():
        future.result(20)
    producer = Producer(kafka)
    for partition, count in enumerate((10, 20, 30)):
        for index in range(count):
            producer.produce(name, b"%d" % index, partition=partition)
    assert producer.flush(20) == 0
    return name


@pytest.fixture
def commit(kafka, topic):
    """Commits as a consumer that was given its partitions by hand."""

    def commit(group, *offsets):
        consumer = Consumer(kafka | {"group.id": group})
        parts = [TopicPartition(topic, part, offset) for part, offset in enumerate(offsets)]
        consumer.commit(offsets=parts, asynchronous=False)
        consumer.close()

    return commit


def test_a_stream_tells_its_partitions(own, topic):
    told = own.get(f"/streams/%2F/{topic}")
    assert (told["name"], told["partition_count"], told["count"]) == (topic, 3, 60)
    for part, count in zip(told["partitions"], (10, 20, 30), strict=True):
        assert (part["start"], part["end"], part["durable_end"], part["count"]) == (0, count, count, count)
        assert part["bytes"] > count
        assert 0 <= part["newest_at"] - part["oldest_at"] < 60_000
        assert abs(part["newest_at"] - time.time() * 1000) < 60_000
    listed = own.get("/streams", name=topic)
    assert [(stream["name"], stream["count"]) for stream in listed["items"]] == [(topic, 60)]
    assert own.refused("GET", f"/streams/%2F/{topic}-not")[0] == 404


def test_a_queue_is_no_stream_and_an_empty_stream_has_no_times(own, channel, name):
    channel.queue_declare(name)
    assert own.refused("GET", f"/streams/%2F/{name}")[0] == 404
    channel.queue_declare(f"{name}-s", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "7D"})
    part = own.get(f"/streams/%2F/{name}-s")["partitions"][0]
    assert (part["count"], part["oldest_at"], part["newest_at"]) == (0, None, None)
    assert part["retention"] == {"age_ms": 604_800_000, "bytes": None}


def test_a_group_tells_its_lag(own, topic, commit, name):
    commit(name, 4, 20)
    told = own.get(f"/groups/{name}")
    assert (told["kind"], told["state"], told["members"]) == ("classic", "Empty", [])
    parts = [(p["topic"], p["partition"], p["committed"], p["end"], p["lag"]) for p in told["partitions"]]
    assert parts == [(topic, 0, 4, 10, 6), (topic, 1, 20, 20, 0)]
    assert told["lag"] == 6
    assert 0 <= told["partitions"][0]["oldest_lag_ms"] < 60_000
    assert told["partitions"][1]["oldest_lag_ms"] is None
    listed = own.get("/groups", name=name)["items"]
    assert [(group["name"], group["kind"], group["lag"]) for group in listed] == [(name, "classic", 6)]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_are_told_with_what_they_have(own, kafka, topic, name, protocol):
    settings = kafka | {
        "group.id": name,
        "group.protocol": protocol,
        "client.id": "mine",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while len(consumer.assignment()) < 3 and time.monotonic() < deadline:
        consumer.poll(0.1)
    consumer.commit(offsets=[TopicPartition(topic, 2, 25)], asynchronous=False)
    told = own.get(f"/groups/{name}")
    assert (told["kind"], told["state"], told["lag"]) == (protocol, "Stable", 5)
    member = told["members"][0]
    assert (member["client_id"], "127.0.0.1" in member["host"]) == ("mine", True)
    assert [(a["topic"], sorted(a["partitions"])) for a in member["assigned"]] == [(topic, [0, 1, 2])]
    assert told["partitions"][0]["member"] == member["id"]
    # Kafka's rule: a member would go on where it is.
    status, reason = own.refused("POST", f"/groups/{name}/offsets", {"topic": topic, "to": "first"})
    assert status == 409 and "1 members" in reason
    assert own.refused("DELETE", f"/groups/{name}")[0] == 409
    consumer.close()
    eventually(lambda: own.get(f"/groups/{name}")["members"], [])
    told = own.post(f"/groups/{name}/offsets", {"topic": topic, "to": "first"})
    assert told["lag"] == 60
    own.delete(f"/groups/{name}")
    assert own.refused("GET", f"/groups/{name}")[0] == 404


def test_a_group_is_moved_to_any_place(own, kafka, topic, commit, name):
    commit(name, 4, 20, 30)
    path = f"/groups/{name}/offsets"
    dry = own.post(path, {"topic": topic, "to": "first", "dry_run": True})
    assert [(p["from"], p["to"], p["lag"]) for p in dry["partitions"]] == [(4, 0, 10), (20, 0, 20), (30, 0, 30)]
    assert own.get(f"/groups/{name}")["lag"] == 6
    at = lambda: [part["committed"] for part in own.get(f"/groups/{name}")["partitions"]]
    for to, expected in (
        ("first", [0, 0, 0]),
        ("next", [10, 20, 30]),
        ("last", [9, 19, 29]),
        (7, [7, 7, 7]),
        (25, [10, 20, 25]),
        ("1h", [0, 0, 0]),
        ("2099-01-01T00:00Z", [10, 20, 30]),
    ):
        own.post(path, {"topic": topic, "to": to})
        assert at() == expected, to
    told = own.post(path, {"topic": topic, "partition": 1, "to": 3})
    assert [(part["partition"], part["to"]) for part in told["partitions"]] == [(1, 3)]
    assert at() == [10, 3, 30]
    # A consumer goes on from there.
    consumer = Consumer(kafka | {"group.id": name, "auto.offset.reset": "error"})
    committed = consumer.committed([TopicPartition(topic, 1)], timeout=20)
    assert committed[0].offset == 3
    consumer.close()
    own.delete(f"/groups/{name}")
    assert own.refused("GET", f"/groups/{name}")[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "topic"),
        ({"topic": "missing", "to": "first"}, 400, "missing"),
        ({"to": "first"}, 400, "topic"),
        ({"topic": "T", "to": "somewhere"}, 400, "to"),
        ({"topic": "T", "to": -1}, 400, "body"),
        ({"topic": "T", "partition": 3, "to": "first"}, 400, "0 to 2"),
        ({"topic": "T", "partition": -1, "to": "first"}, 400, "0 to 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(own, topic, commit, name, body, status, said):
    commit(name, 1)
    body = {key: topic if value == "T" else value for key, value in body.items()}
    found, reason = own.refused("POST", f"/groups/{name}/offsets", body)
    assert found == status and said in reason
    assert own.refused("POST", f"/groups/{name}-not/offsets", {"topic": topic, "to": "first"})[0] == 404
    assert own.refused("DELETE", f"/groups/{name}-not")[0] == 404


def test_a_subscription_is_a_group_too(own, connect, channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "stream"})
    publish(channel, name, *[b"x"] * 8)
    queue = f"{name}-sub"
    channel.queue_declare(
        queue, durable=True, arguments={"x-subscribe": name, "x-subscribe-from": "first"}
    )
    eventually(lambda: own.get(f"/groups/{queue}")["lag"], 8)
    consumer = connect().channel()
    consumer.basic_qos(prefetch_count=3)
    consumer.basic_consume(queue, lambda *_: None, consumer_tag="reader")
    told = eventually(lambda: own.get(f"/groups/{queue}"), lambda told: told["members"])
    assert (told["kind"], told["state"], told["members"][0]["client_id"]) == ("subscription", "Stable", "reader")
    assert told["partitions"][0]["topic"] == name
    assert own.refused("POST", f"/groups/{queue}/offsets", {"topic": name, "to": "first"})[0] == 409
    assert own.refused("DELETE", f"/groups/{queue}")[0] == 409
    consumer.connection.close()
    eventually(lambda: own.get(f"/groups/{queue}")["members"], [])
    assert own.get(f"/streams/%2F/{name}")["subscriptions"] == [queue]
    own.delete(f"/groups/{queue}")
    assert own.refused("GET", f"/queues/%2F/{queue}")[0] == 404


HOSTILE = ["<img src=x onerror=alert(1)>", "a/b?c#d", "\N{SNOWMAN} %2F"]


@pytest.mark.parametrize("group", HOSTILE)
def test_hostile_names_of_groups(own, topic, commit, group):
    from http_api import part

    commit(group, 1)
    assert own.get(f"/groups/{part(group)}")["name"] == group
    own.delete(f"/groups/{part(group)}")


def test_the_whole_broker(own, channel, name):
    channel.queue_declare(name)
    before = own.get("/overview")["totals"]
    publish(channel, name, *[b"x"] * 7)
    method, _, _ = channel.basic_get(name)
    told = own.get("/overview")
    totals = told["totals"]
    assert (totals["ready"] - before["ready"], totals["leased"] - before["leased"]) == (6, 1)
    assert totals["queues"] >= 1 and totals["connections"] >= 1 and totals["exchanges"] >= 5
    assert told["uptime_ms"] > 0 and told["version"]
    assert told["memory"]["used"] > 1 << 20 and told["disk"]["free"] > 0
    assert told["alarms"] == [] and told["rates"]["publish"] >= 0
    channel.basic_ack(method.delivery_tag)
    history = eventually(lambda: own.get("/history", minutes=1), lambda told: told["points"])
    point = history["points"][-1]
    assert history["interval_ms"] == 5000
    assert {"at", "publish", "deliver", "ack", "ready", "leased", "memory_bytes", "disk_free_bytes"} <= set(point)
    assert own.refused("GET", "/history", minutes=61)[0] == 400
