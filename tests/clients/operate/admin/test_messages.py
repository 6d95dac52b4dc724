"""Messages published and got by hand."""

import pytest
from http_api import part
from test_things import error

PLAIN = {"properties": {}, "routing_key": "q", "payload": "hello", "payload_encoding": "string"}
LOOK = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}


@pytest.fixture
def queue(api, space):
    assert api.put(f"/api/queues/{space}/q", {}).status_code == 201
    return f"/api/queues/{space}/q"


def publish(api, space, exchange="amq.default", **more):
    return api.post(f"/api/exchanges/{space}/{exchange}/publish", PLAIN | more)


def test_a_message_goes_round(api, space, queue):
    properties = {
        "delivery_mode": 2, "headers": {"x": 1, "l": [1, "a"], "t": {"a": True}},
        "content_type": "text/plain", "priority": 1, "timestamp": 12345, "expiration": "100000",
        "message_id": "m", "correlation_id": "c", "reply_to": "r", "app_id": "app", "user_id": "guest",
        "type": "ty", "content_encoding": "enc",
    }
    answer = publish(api, space, properties=properties, payload="aGVsbG8=", payload_encoding="base64")
    assert (answer.status_code, answer.json()) == (200, {"routed": True})
    [message] = api.post(f"{queue}/get", LOOK).json()
    assert message == {
        "payload_bytes": 5, "redelivered": False, "exchange": "", "routing_key": "q",
        "message_count": 0, "properties": properties, "payload": "hello",
        "payload_encoding": "string",
    }
    [message] = api.post(f"{queue}/get", LOOK | {"encoding": "base64", "truncate": 3}).json()
    assert (message["payload"], message["payload_bytes"]) == ("aGVs", 5)
    assert message["redelivered"] is True
    [_] = api.post(f"{queue}/get", LOOK | {"ackmode": "ack_requeue_false"}).json()
    assert api.post(f"{queue}/get", LOOK).json() == []


def test_bytes_are_base64(api, space, queue):
    publish(api, space, payload="/wA=", payload_encoding="base64")
    [message] = api.post(f"{queue}/get", LOOK).json()
    assert (message["payload"], message["payload_encoding"]) == ("/wA=", "base64")


def test_what_no_queue_takes_is_told(api, space, queue):
    assert publish(api, space, routing_key="nowhere").json() == {"routed": False}


def test_rejected_and_purged(api, space, queue):
    for _ in range(3):
        publish(api, space)
    assert len(api.post(f"{queue}/get", LOOK | {"count": 1, "ackmode": "reject_requeue_true"}).json()) == 1
    assert len(api.post(f"{queue}/get", LOOK | {"count": 1, "ackmode": "reject_requeue_false"}).json()) == 1
    assert len(api.post(f"{queue}/get", LOOK).json()) == 2
    assert api.delete(f"{queue}/contents").status_code == 204
    assert api.post(f"{queue}/get", LOOK).json() == []


@pytest.mark.parametrize(
    "more",
    [
        {"payload_encoding": "rot13"},
        {"payload": "!!", "payload_encoding": "base64"},
        {"properties": {"delivery_mode": "x"}},
        {"properties": {"user_id": "somebody"}},
        {"properties": {"headers": {"n": None}}},
    ],
)
def test_what_cannot_be_published(api, space, queue, more):
    assert error(publish(api, space, **more)) == (400, "bad_request")


def test_what_is_missing_is_named(api, space, queue):
    answer = api.post(f"/api/exchanges/{space}/amq.default/publish", {"properties": {}})
    assert error(answer) == (400, "bad_request")
    assert "{key_missing,payload_encoding}" in answer.json()["reason"]
    answer = api.post(f"{queue}/get", {"count": 5})
    assert answer.json()["reason"] == "[{key_missing,ackmode},{key_missing,encoding}]"
    assert error(api.post(f"{queue}/get", LOOK | {"encoding": "x"})) == (400, "bad_request")
    assert error(api.post(f"{queue}/get", LOOK | {"count": "x"})) == (400, "bad_request")
    assert error(publish(api, space, "nowhere")) == (400, "bad_request")
    assert error(api.post(f"/api/queues/{space}/nowhere/get", LOOK))[0] == 404
    assert error(api.delete(f"/api/queues/{space}/nowhere/contents"))[0] == 404


def test_streams_are_not_got_from(api, space):
    api.put(f"/api/queues/{space}/s", {"durable": True, "arguments": {"x-queue-type": "stream"}})
    assert error(api.post(f"/api/queues/{space}/s/get", LOOK)) == (400, "bad_request")
    assert error(api.delete(f"/api/queues/{space}/s/contents")) == (400, "bad_request")


def test_actions(api, queue):
    assert api.post(f"{queue}/actions", {"action": "sync"}).status_code == 204
    assert error(api.post(f"{queue}/actions", {"action": "nope"})) == (400, "bad_request")


@pytest.mark.ours("RabbitMQ answers 500")
def test_an_unknown_way_to_acknowledge(api, queue):
    assert error(api.post(f"{queue}/get", LOOK | {"ackmode": "x"})) == (400, "bad_request")


def test_names_are_as_they_are(api, space):
    """Hostile names are data."""
    name = "<script>alert(1)</script>\u202e큐"
    path = f"/api/queues/{space}/{part(name)}"
    assert api.put(path, {}).status_code == 201
    assert api.json(path)["name"] == name
    assert publish(api, space, routing_key=name, payload="<img onerror=x>").json() == {"routed": True}
    answer = api.post(f"{path}/get", LOOK)
    assert answer.json()[0]["payload"] == "<img onerror=x>"
    assert answer.headers["content-type"] == "application/json"
