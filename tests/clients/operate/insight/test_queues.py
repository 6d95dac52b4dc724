"""Depth by state, age, leases, and why nothing is delivered: exact numbers of real consumers."""

import time

import pytest
from conftest import bodies, eventually, publish
from http_api import part


def test_a_queue_tells_its_depth_and_age(own, channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-message-ttl": 600_000})
    told = own.queue(name)
    assert told["depth"] == {"ready": 0, "leased": 0, "waiting": 0, "dying": 0, "total": 0}
    assert (told["kind"], told["oldest_age_ms"], told["why"]["code"]) == ("queue", None, "empty")
    assert told["effective"]["message_ttl_ms"] == 600_000
    assert told["arguments"] == {"x-message-ttl": 600_000}

    before = time.time() * 1000
    publish(channel, name, b"one", b"two", b"three")
    told = own.queue(name)
    assert told["depth"]["ready"] == told["depth"]["total"] == 3
    assert (told["start"], told["end"]) == (0, 3)
    assert 0 <= told["oldest_age_ms"] < 20_000
    assert told["oldest_at"] >= before - 1000
    assert told["bytes"] > 11
    assert told["why"] | {"facts": None} == {
        "delivering": False,
        "code": "no_consumers",
        "text": "no consumers; 3 records ready",
        "facts": None,
    }

    method, _, _ = channel.basic_get(name)
    assert own.depth(name) == {"ready": 2, "leased": 1}
    # What is leased is owed: it is the oldest still.
    assert own.queue(name)["oldest_at"] == told["oldest_at"]
    channel.basic_ack(method.delivery_tag)
    assert eventually(lambda: own.depth(name), {"ready": 2})
    assert own.queue(name)["start"] == 1


def test_consumers_at_their_prefetch(own, connect, channel, name):
    channel.queue_declare(name)
    publish(channel, name, *[b"x"] * 50)
    consumers = []
    for index in range(3):
        consumer = connect().channel()
        consumer.basic_qos(prefetch_count=10)
        consumer.basic_consume(name, lambda *_: None, consumer_tag=f"slow-{index}")
        consumers.append(consumer)
    why = eventually(lambda: own.queue(name, "why"), lambda why: why["code"] == "at_prefetch")
    assert why["text"].startswith("3 consumers, all at their prefetch of 10; oldest lease ")
    facts = why["facts"]
    assert (facts["consumers"], facts["at_prefetch"], facts["leased"], facts["ready"]) == (3, 3, 30, 20)
    assert facts["oldest_lease"]["offset"] == 0
    assert "slow-0" in facts["oldest_lease"]["consumer_name"]

    told = own.queue(name, "consumers")
    assert told["total"] == 3
    assert [(one["tag"], one["held"], one["at_prefetch"]) for one in told["items"]] == [
        (f"slow-{index}", 10, True) for index in range(3)
    ]
    assert all(one["user"] == "guest" and "127.0.0.1:" in one["connection"] for one in told["items"])

    leases = own.queue(name, "leases", page_size=12)
    assert (leases["total"], len(leases["items"]), leases["next"]) == (30, 12, 12)
    rest = own.queue(name, "leases", **{"from": leases["next"]})
    assert [one["offset"] for one in rest["items"]] == list(range(12, 30))
    assert rest["next"] is None
    assert {one["tag"] for one in leases["items"][:10]} == {"slow-0"}
    assert all(one["tries"] == 1 and one["deadline_in_ms"] is None for one in rest["items"])

    # One record, then all of a consumer: they go to whoever has room, here nobody else.
    key = told["items"][0]["consumer"]
    extended = own.post(f"/queues/%2F/{name}/leases/3/extend", {"ms": 90_000})
    assert extended == {"offset": 3, "deadline_in_ms": 90_000}
    item = own.queue(name, "leases", **{"from": 3, "page_size": 1})["items"][0]
    assert 80_000 < item["deadline_in_ms"] <= 91_000
    fourth = connect().channel()
    fourth.basic_qos(prefetch_count=100)
    got = []
    fourth.basic_consume(name, lambda *delivery: got.append(delivery), consumer_tag="quick")
    assert eventually(lambda: own.queue(name, "why")["code"], "all_leased")
    assert own.post(f"/queues/%2F/{name}/consumers/{key}/release") == {"released": 10}
    told = own.queue(name, "consumers")
    assert {one["tag"]: one["held"] for one in told["items"]} == {
        "slow-0": 0,
        "slow-1": 10,
        "slow-2": 10,
        "quick": 30,
    }
    fourth.connection.process_data_events(time_limit=0)
    eventually(lambda: fourth.connection.process_data_events(time_limit=0.05) or len(got), 30)
    assert sum(delivery[1].redelivered for delivery in got) == 10
    # The first consumer's late words are about leases that it no longer has.
    consumers[0].basic_ack(5, multiple=True)
    consumers[0].connection.process_data_events(time_limit=0)
    assert own.depth(name) == {"leased": 50}
    status, reason = own.refused("POST", f"/queues/%2F/{name}/leases/999/release")
    assert (status, reason) == (409, "record 999 is not leased")


def test_a_pool_of_consumers_at_its_common_prefetch(own, connect, channel, name):
    channel.queue_declare(name)
    publish(channel, name, *[b"x"] * 9)
    consumer = connect().channel()
    consumer.basic_qos(prefetch_count=4, global_qos=True)
    consumer.basic_consume(name, lambda *_: None)
    consumer.basic_consume(name, lambda *_: None)
    why = eventually(lambda: own.queue(name, "why"), lambda why: why["facts"]["leased"] == 4)
    assert why["text"].startswith("2 consumers, all at their prefetch of 4; oldest lease ")


def test_delayed_records_wait_for_their_time(own, channel, name):
    channel.queue_declare(name)
    exchange = f"x-{name}"
    channel.exchange_declare(exchange, "x-delayed-message", arguments={"x-delayed-type": "direct"})
    channel.queue_bind(name, exchange, name)
    for delay in (60_000, 120_000, 120_000, 3_600_000):
        publish(channel, name, b"later", exchange=exchange, headers={"x-delay": delay})
    channel.basic_consume(name, lambda *_: None)
    why = own.queue(name, "why")
    assert why["code"] == "waiting_for_time"
    assert why["facts"]["waiting"] == 4
    assert 50_000 < why["facts"]["next_in_ms"] <= 60_000
    assert why["text"].startswith("4 records waiting for their time; the next in ")

    schedule = own.queue(name, "schedule", buckets=60)
    assert schedule["count"] == 4
    assert len(schedule["buckets"]) == 60
    assert sum(bucket["count"] for bucket in schedule["buckets"]) == 4
    # Times further off are kept more coarsely, and go to the buckets that they touch.
    assert schedule["buckets"][0]["count"] >= 1
    assert schedule["buckets"][-1]["count"] == 1
    assert [item["offset"] for item in schedule["items"]] == [0, 1, 2, 3]
    assert schedule["next_at"] == why["facts"]["next_at"]
    records = own.queue(name, "records", state="waiting")["items"]
    assert [record["state"] for record in records] == ["waiting"] * 4
    assert records[0]["until"] == schedule["next_at"]


def test_keys_that_are_held_lock_what_is_ready(own, connect, channel, name):
    channel.queue_declare(name, arguments={"x-group-key": "tenant"})
    for tenant in ("a", "b", "a", "b"):
        publish(channel, name, b"x", headers={"tenant": tenant})
    first = connect().channel()
    first.basic_qos(prefetch_count=2)
    first.basic_consume(name, lambda *_: None, consumer_tag="holder")
    eventually(lambda: own.depth(name), {"ready": 2, "leased": 2})
    second = connect().channel()
    second.basic_consume(name, lambda *_: None, consumer_tag="idle")
    why = eventually(lambda: own.queue(name, "why"), lambda why: why["code"] == "group_locked")
    assert why["facts"]["locks"][0]["keys"] == 2
    assert "2 keys held by consumer 'holder'" in why["text"]


def test_a_single_active_consumer_stands_in_the_way(own, connect, channel, name):
    channel.queue_declare(name, arguments={"x-single-active-consumer": True})
    publish(channel, name, b"1", b"2")
    for tag in ("active", "standby"):
        consumer = connect().channel()
        consumer.basic_qos(prefetch_count=1)
        consumer.basic_consume(name, lambda *_: None, consumer_tag=tag)
    why = eventually(lambda: own.queue(name, "why"), lambda why: why["code"] == "single_active_idle")
    assert "consumer 'active'" in why["text"] and "1 other standing by" in why["text"]
    told = own.queue(name, "consumers")["items"]
    assert [(one["tag"], one["active"]) for one in told] == [("active", True), ("standby", False)]


def test_dead_records_that_nobody_takes(own, channel, name):
    channel.queue_declare(
        name,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": f"nowhere-{name}",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    publish(channel, name, b"poison")
    method, _, _ = channel.basic_get(name)
    channel.basic_reject(method.delivery_tag, requeue=False)
    why = eventually(lambda: own.queue(name, "why"), lambda why: why["code"] == "dead_letter_stuck")
    assert f"exchange 'nowhere-{name}'" in why["text"]
    assert own.queue(name, "records", state="dying")["items"][0]["payload"] == "poison"


def test_lists_are_filtered_sorted_and_paged(own, channel, name):
    for index in range(5):
        queue = f"{name}-{index}"
        channel.queue_declare(queue)
        publish(channel, queue, *[b"x"] * (index % 3))
    told = own.get("/queues", name=name)
    assert [queue["name"] for queue in told["items"]] == [f"{name}-{index}" for index in range(5)]
    assert (told["total"], told["page"], told["page_size"]) == (5, 1, 100)
    told = own.get("/queues", name=name, sort="depth.ready", sort_reverse="true", page_size=2)
    assert [queue["depth"]["ready"] for queue in told["items"]] == [2, 1]
    told = own.get("/queues", name=name, page=3, page_size=2)
    assert [queue["name"] for queue in told["items"]] == [f"{name}-4"]
    assert own.get("/queues", name=name, page=4, page_size=2)["items"] == []
    assert own.get("/queues", name=name, kind="stream")["total"] == 0


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/queues", {"page": 0}),
        ("/queues", {"page": "x"}),
        ("/queues", {"page_size": 501}),
        ("/queues", {"kind": "topic"}),
        ("/queues/%2F/{name}/leases", {"from": -1}),
        ("/queues/%2F/{name}/records", {"from": "yesterday"}),
        ("/queues/%2F/{name}/records", {"count": 501}),
        ("/queues/%2F/{name}/records", {"state": "gone"}),
        ("/queues/%2F/{name}/dead", {"since": "first"}),
        ("/queues/%2F/{name}/schedule", {"buckets": 0}),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(own, channel, name, path, query):
    channel.queue_declare(name)
    status, reason = own.refused("GET", path.format(name=name), **query)
    assert status == 400
    assert next(iter(query)) in reason


@pytest.mark.parametrize("more", ["", "/why", "/consumers", "/leases", "/records", "/dead", "/schedule"])
def test_what_is_not_there_is_not_found(own, name, more):
    assert own.refused("GET", f"/queues/%2F/{name}{more}")[0] == 404
    assert own.refused("GET", f"/queues/nowhere/{name}{more}")[0] in (401, 404)


HOSTILE = [
    "<script>alert(1)</script>",
    "a/b?c=d&e#f",
    "%2F%2e%2e",
    "snow \N{SNOWMAN} \u202e rtl",
    "' OR 1=1 --",
    "a..b;c",
    "x" * 255,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_names(own, channel, name):
    channel.queue_declare(name, auto_delete=False)
    try:
        publish(channel, name, b"\xff\xfe", headers={name[:200]: name})
        told = own.queue(name)
        assert (told["name"], told["depth"]["ready"]) == (name, 1)
        record = own.queue(name, "records")["items"][0]
        assert (record["payload"], record["payload_encoding"]) == ("//4=", "base64")
        assert record["headers"] == {name[:200]: name}
        assert record["routing_key"] == name
        assert name in [queue["name"] for queue in own.get("/queues", name=name[:20])["items"]]
        assert bodies(channel, name)[0].body == b"\xff\xfe"
    finally:
        channel.queue_delete(name)


def test_only_who_may_read_a_queue_sees_its_records(own, broker, channel, name):
    channel.queue_declare(name)
    from http_api import Api

    nobody = Api(broker.http)
    assert nobody.get("/bongsu/v1/queues").status_code == 401
    assert nobody.post(f"/bongsu/v1/queues/%2F/{name}/redrive", {"all": True}).status_code == 401
    api = own.api
    user = {"password": "secret", "tags": "management"}
    if api.put(f"/api/users/{name}", user).status_code >= 400:
        pytest.skip("users cannot be made over HTTP")
    rights = {"configure": "", "write": "", "read": "other-.*"}
    assert api.put(f"/api/permissions/%2F/{name}", rights).status_code < 300
    them = Api(broker.http, name, "secret")
    assert them.get(f"/bongsu/v1/queues/%2F/{part(name)}").status_code == 200
    for path in ("records", "dead", "dead/summary"):
        assert them.get(f"/bongsu/v1/queues/%2F/{name}/{path}").status_code == 401
    for path, body in (
        ("redrive", {"all": True}),
        ("move", {"to": "x"}),
        ("replay", {}),
        ("leases/0/release", None),
        ("leases/0/extend", {"ms": 5}),
    ):
        assert them.post(f"/bongsu/v1/queues/%2F/{name}/{path}", body).status_code == 401, path


def test_stuck_is_what_waits_for_somebody(own, connect, channel, name):
    left, held, idle, stream = (f"{name}-{each}" for each in ("left", "held", "idle", "stream"))
    for queue in (left, held, idle):
        channel.queue_declare(queue)
    channel.queue_declare(stream, durable=True, arguments={"x-queue-type": "stream"})
    for queue in (left, held, stream):
        publish(channel, queue, b"one")
    assert channel.basic_get(held)[0]

    def listed(state):
        return {one["name"] for one in own.get("/queues", name=name, state=state)["items"]}

    # One record is with its consumer, and a stream keeps what it has for whoever comes.
    assert listed("stuck") == {left}
    assert listed("busy") == {left, held, stream}
    assert listed("idle") >= {left, idle, stream}
