"""Dead letters, redrive, move, replay and jobs: what arrives, what stays, and what is told."""

import time

import pytest
from confluent_kafka import Producer
from conftest import bodies, eventually, publish


@pytest.fixture
def dead(own, channel, name):
    """A queue that gave five records up, and where they are."""
    channel.queue_declare(
        name,
        durable=True,
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}-dead"},
    )
    channel.queue_declare(f"{name}-dead", durable=True)
    exchange = f"x-{name}"
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(name, exchange, "#")
    for index in range(4):
        publish(channel, f"key.{index}", b"poison %d" % index, exchange=exchange, headers={"n": index})
    for _ in range(4):
        method, _, _ = channel.basic_get(name)
        channel.basic_reject(method.delivery_tag, requeue=False)
    eventually(lambda: own.depth(f"{name}-dead"), {"ready": 4})
    publish(channel, "key.4", b"too late", exchange=exchange, expiration="1")
    eventually(lambda: own.depth(f"{name}-dead"), {"ready": 5})
    return f"{name}-dead"


def test_dead_records_tell_where_why_and_when(own, name, dead):
    told = own.queue(dead, "dead")
    assert [record["reason"] for record in told["items"]] == ["rejected"] * 4 + ["expired"]
    record = told["items"][0]
    assert (record["from_queue"], record["exchange"], record["routing_key"]) == (name, "", dead)
    death = record["deaths"][0]
    assert (death["queue"], death["reason"], death["count"]) == (name, "rejected", 1)
    assert (death["exchange"], death["routing_keys"]) == (f"x-{name}", ["key.0"])
    assert abs(death["time"] - time.time() * 1000) < 60_000
    assert len(own.queue(dead, "dead", reason="expired")["items"]) == 1
    assert len(own.queue(dead, "dead", reason="maxlen")["items"]) == 0
    assert len(own.queue(dead, "dead", queue="other")["items"]) == 0
    assert [r["offset"] for r in own.queue(dead, "dead", search="poison 2")["items"]] == [2]
    assert len(own.queue(dead, "dead", since="1h")["items"]) == 5
    assert len(own.queue(dead, "dead", since="2099-01-01")["items"]) == 0
    summary = own.queue(dead, "dead", "summary")
    assert [(cause["queue"], cause["reason"], cause["count"]) for cause in summary["by"]] == [
        (name, "rejected", 4),
        (name, "expired", 1),
    ]
    assert (summary["total"], summary["others"], summary["next"]) == (5, 0, None)
    assert own.queue(name, "dead")["items"] == []


def test_a_dry_run_changes_nothing(own, name, dead):
    told = own.post(f"/queues/%2F/{dead}/redrive", {"all": True, "dry_run": True})
    assert (told["matched"], told["moved"], told["failed"]) == (5, 0, [])
    assert (own.depth(dead), own.depth(name)) == ({"ready": 5}, {})


def test_redriven_records_are_where_they_were_and_as_they_were(own, channel, name, dead):
    told = own.post(f"/queues/%2F/{dead}/redrive", {"all": True})
    assert (told["matched"], told["moved"], told["failed"], told["state"]) == (5, 5, [], "done")
    assert (own.depth(dead), own.depth(name)) == ({}, {"ready": 5})
    back = bodies(channel, name)
    assert [record.body for record in back] == [b"poison %d" % i for i in range(4)] + [b"too late"]
    assert [record.method.routing_key for record in back] == [f"key.{i}" for i in range(5)]
    assert {record.method.exchange for record in back} == {f"x-{name}"}
    assert back[2].properties.headers == {"n": 2, "x-redrive-count": 1}
    # It has no time limit any more: that is over.
    assert back[4].properties.expiration is None
    assert not any(record.method.redelivered for record in back)


def test_some_are_redriven_and_the_others_stay(own, channel, name, dead):
    told = own.post(f"/queues/%2F/{dead}/redrive", {"offsets": [1, 3, 3, 77]})
    assert (told["matched"], told["moved"]) == (3, 2)
    assert told["failed"] == [{"offset": 77, "reason": "there is no such record"}]
    assert [r["offset"] for r in own.queue(dead, "records", state="ready")["items"]] == [0, 2, 4]
    told = own.post(f"/queues/%2F/{dead}/redrive", {"reason": "rejected", "limit": 1})
    assert (told["matched"], told["moved"]) == (1, 1)
    told = own.post(f"/queues/%2F/{dead}/redrive", {"search": "LATE"})
    assert told["moved"] == 1
    assert [r["offset"] for r in own.queue(dead, "records", state="ready")["items"]] == [2]
    assert [record.body for record in bodies(channel, name)] == [
        b"poison 1",
        b"poison 3",
        b"poison 0",
        b"too late",
    ]


def test_what_is_leased_stays_with_its_holder(own, channel, name, dead):
    method, _, _ = channel.basic_get(dead)
    told = own.post(f"/queues/%2F/{dead}/redrive", {"offsets": [0, 1]})
    assert told["moved"] == 1
    assert told["failed"] == [{"offset": 0, "reason": "it is leased"}]
    assert own.post(f"/queues/%2F/{dead}/redrive", {"all": True})["moved"] == 3
    assert own.depth(dead) == {"leased": 1}
    channel.basic_ack(method.delivery_tag)


def test_redrive_to_another_place(own, channel, name, dead):
    other = f"{name}-other"
    channel.queue_declare(other)
    to = {"exchange": "", "routing_key": other}
    told = own.post(f"/queues/%2F/{dead}/redrive", {"all": True, "to": to})
    assert told["moved"] == 5
    taken = bodies(channel, other)
    assert [record.method.routing_key for record in taken] == [other] * 5
    assert "x-death" not in taken[0].properties.headers
    missing = {"all": True, "to": {"exchange": "nowhere"}}
    status, reason = own.refused("POST", f"/queues/%2F/{dead}/redrive", missing)
    assert (status, "nowhere" in reason) == (404, True)


def test_records_without_a_way_back_stay(own, channel, name, dead):
    publish(channel, dead, b"never died")
    publish(channel, dead, b"a lie", headers={"x-death": [{"queue": "x" * 300, "reason": "rejected"}]})
    publish(channel, dead, b"nonsense", headers={"x-death": "what"})
    channel.queue_delete(name)
    told = own.post(f"/queues/%2F/{dead}/redrive", {"offsets": [0, 5, 6, 7]})
    assert told["moved"] == 0
    reasons = {failure["offset"]: failure["reason"] for failure in told["failed"]}
    assert reasons[0] == f"queue '{name}' is not there any more"
    assert "x-death" in reasons[5] and "x-death" in reasons[7]
    assert own.depth(dead) == {"ready": 8}


def test_a_full_queue_stops_a_redrive_and_nothing_is_lost(own, channel, name):
    limits = {"x-max-length": 3, "x-overflow": "reject-publish"}
    channel.queue_declare(name, arguments=limits)
    source = f"{name}-source"
    channel.queue_declare(source)
    publish(channel, source, *[b"%d" % index for index in range(10)])
    status, reason = own.refused("POST", f"/queues/%2F/{source}/move", {"to": name})
    assert (status, reason) == (409, f"queue '{name}' is full and takes no more")
    assert own.depth(source) == {"ready": 10}
    assert own.post(f"/queues/%2F/{source}/move", {"to": name, "limit": 3})["moved"] == 3
    assert (own.depth(source), own.depth(name)) == ({"ready": 7}, {"ready": 3})


def test_a_move_keeps_records_as_they_are_and_in_order(own, channel, name):
    channel.queue_declare(name)
    target = f"{name}-target"
    channel.queue_declare(target, arguments={"x-max-priority": 5})
    for index in range(2000):
        publish(channel, name, b"%d" % index, headers={"n": index}, message_id=f"m-{index}")
    publish(channel, name, b"urgent", priority=5)
    told = own.post(f"/queues/%2F/{name}/move", {"to": target, "search": "nothing has this"})
    assert (told["matched"], told["moved"], told["done"], told["total"]) == (0, 0, 2001, 2001)
    told = own.post(f"/queues/%2F/{name}/move", {"to": target, "dry_run": True})
    assert (told["matched"], told["moved"]) == (2001, 0)
    told = own.post(f"/queues/%2F/{name}/move", {"to": target})
    assert (told["moved"], told["bytes"]) == (2001, sum(len(str(i)) for i in range(2000)) + 6)
    assert (own.depth(name), own.depth(target)) == ({}, {"ready": 2001})
    taken = bodies(channel, target)
    assert taken[0].body == b"urgent"
    assert [int(record.body) for record in taken[1:]] == list(range(2000))
    assert taken[8].properties.message_id == "m-7"
    assert taken[8].method.routing_key == name


@pytest.mark.parametrize("consumers", [True, False])
def test_nothing_is_lost_or_doubled_beside_consumers(own, connect, channel, name, consumers):
    channel.queue_declare(name)
    target = f"{name}-target"
    channel.queue_declare(target)
    publish(channel, name, *[b"%d" % index for index in range(3000)])
    seen = []
    consumer = connect()
    if consumers:
        taking = consumer.channel()
        taking.basic_qos(prefetch_count=20)

        def take(channel_, method, _properties, body):
            seen.append(int(body))
            channel_.basic_ack(method.delivery_tag)

        taking.basic_consume(name, take)
        consumer.process_data_events(time_limit=0.05)
    told = own.post(f"/queues/%2F/{name}/move", {"to": target, "limit": 2500})
    deadline = time.monotonic() + 20
    while consumers and own.depth(name) and time.monotonic() < deadline:
        consumer.process_data_events(time_limit=0.1)
    seen += [int(record.body) for record in bodies(channel, target)]
    seen += [int(record.body) for record in bodies(channel, name)]
    assert sorted(seen) == list(range(3000)), told


def test_replay_of_what_a_queue_kept(own, channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-retention": "1h"})
    for index in range(10):
        publish(channel, name, b"%d" % index, headers={"even": index % 2 == 0})
    bodies(channel, name)
    eventually(lambda: own.depth(name), {})
    told = own.post(f"/queues/%2F/{name}/replay", {"dry_run": True})
    assert (told["count"], told["moved"], told["state"]) == (10, 0, "done")
    assert told["bytes"] > 10
    body = {"from": 2, "until": 8, "filter": {"even": "true"}}
    told = own.post(f"/queues/%2F/{name}/replay", body | {"dry_run": True})
    assert (told["count"], told["moved"]) == (3, 0)
    told = own.post(f"/queues/%2F/{name}/replay", body)
    assert (told["count"], told["moved"], told["next"]) == (3, 3, 8)
    again = bodies(channel, name)
    assert [record.body for record in again] == [b"2", b"4", b"6"]
    told = own.post(f"/queues/%2F/{name}/replay", {"from": "1h", "limit": 1, "dry_run": True})
    assert told["count"] == 1
    assert own.post(f"/queues/%2F/{name}/replay", {"from": "next"})["count"] == 0


def test_replay_of_a_kafka_topic_into_a_queue(own, broker, channel, name):
    producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}", "compression.type": "zstd"}
    )
    for index in range(100):
        producer.produce(name, b"%d" % index, key=b"k", headers={"n": b"%d" % index})
    assert producer.flush(20) == 0
    target = f"{name}-work"
    channel.queue_declare(target)
    told = own.post(f"/queues/%2F/{name}/replay", {"to": target, "dry_run": True})
    assert told["count"] == 100
    told = own.post(f"/queues/%2F/{name}/replay", {"to": target, "from": 90})
    assert (told["count"], told["moved"]) == (10, 10)
    taken = bodies(channel, target)
    assert [record.body for record in taken] == [b"%d" % index for index in range(90, 100)]
    assert taken[0].properties.headers["n"] == "90"
    assert own.queue(name)["depth"]["ready"] == 100
    status, reason = own.refused("POST", f"/queues/%2F/{name}/move", {"to": target})
    assert (status, "stream" in reason) == (409, True)


def test_a_job_goes_on_is_watched_and_stopped(own, channel, name):
    channel.queue_declare(name)
    target = f"{name}-target"
    channel.queue_declare(target)
    publish(channel, name, *[b"x"] * 200)
    body = {"to": target, "rate": 10}
    told = own.post(f"/queues/%2F/{name}/move", body, status=202)
    assert (told["state"], told["kind"], told["user"]) == ("running", "move", "guest")
    seen = own.get(f"/jobs/{told['job']}")
    assert 10 <= seen["moved"] < 200 and seen["total"] == 200
    assert told["job"] in [job["id"] for job in own.get("/jobs")["items"]]
    ended = own.delete(f"/jobs/{told['job']}", status=200)
    assert ended["state"] == "cancelled" and ended["ended_at"] >= ended["started_at"]
    assert own.depth(name)["ready"] + own.depth(target)["ready"] == 200
    assert own.depth(target) == {"ready": ended["moved"]}
    assert own.refused("DELETE", f"/jobs/{told['job']}")[0] == 409


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("redrive", {}, 400, "say which"),
        ("redrive", None, 400, "body"),
        ("redrive", [], 400, "body"),
        ("redrive", {"offsets": ["x"]}, 400, "body"),
        ("redrive", {"offsets": [1], "all": True}, 400, "one of both"),
        ("redrive", {"all": True, "limit": 0}, 400, "at least 1"),
        ("redrive", {"all": True, "colour": "red"}, 400, "colour"),
        ("redrive", {"offsets": list(range(10_001))}, 400, "10000"),
        ("move", {}, 400, "to"),
        ("move", {"to": "missing"}, 404, "missing"),
        ("move", {"to": 5}, 400, "body"),
        ("replay", {"offsets": [1]}, 400, "offsets"),
        ("replay", {"from": "yesterday"}, 400, "from"),
        ("replay", {"to": "missing"}, 404, "missing"),
        ("replay", {"rate": -1}, 400, "rate"),
    ],
)
def test_what_cannot_be_meant_is_refused(own, channel, name, path, body, status, said):
    channel.queue_declare(name)
    found, reason = own.refused("POST", f"/queues/%2F/{name}/{path}", body)
    assert found == status
    assert said in reason
    assert own.refused("POST", f"/queues/%2F/{name}-not/{path}", {"all": True, "to": "x"} if path == "redrive" else {"to": "x"})[0] in (400, 404)


def test_a_queue_is_not_moved_into_itself(own, channel, name):
    channel.queue_declare(name)
    status, reason = own.refused("POST", f"/queues/%2F/{name}/move", {"to": name})
    assert (status, "taken from" in reason) == (409, True)
    assert own.refused("GET", "/jobs/999999")[0] == 404
    assert own.refused("GET", "/jobs/x")[0] == 404


def test_a_redrive_survives_a_kill(own_broker, tmp_path):
    """Killed in the middle of a job: every record is in one of the two queues, once."""
    import pika
    from conftest import Own
    from http_api import Api

    broker = own_broker()

    def channel():
        parameters = pika.ConnectionParameters("127.0.0.1", broker.amqp_port)
        opened = pika.BlockingConnection(parameters).channel()
        opened.confirm_delivery()
        return opened

    first = channel()
    for queue in ("source", "target"):
        first.queue_declare(queue, durable=True)
    publish(first, "source", *[b"%d" % index for index in range(3000)], delivery_mode=2)
    own = Own(Api(broker.http, "guest", "guest"))
    told = own.post("/queues/%2F/source/move", {"to": "target", "rate": 400}, status=202)
    assert told["moved"] > 0
    broker.kill()
    broker.start()
    assert own.get("/jobs")["items"] == []
    assert own.depth("target")["ready"] >= told["moved"]
    again = channel()
    seen = [int(record.body) for queue in ("source", "target") for record in bodies(again, queue)]
    assert sorted(seen) == list(range(3000))
