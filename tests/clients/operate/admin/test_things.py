"""Queues, exchanges, bindings: declared, listed, deleted, with RabbitMQ's statuses and fields."""

from urllib.parse import unquote

import pytest
from http_api import part


def error(answer):
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "reason"}, body
    return answer.status_code, body["error"]


def test_a_queue_is_declared_once(api, space):
    path = f"/api/queues/{space}/{part('a/b c')}"
    definition = {"durable": True, "arguments": {"x-message-ttl": 60000}}
    assert api.put(path, definition).status_code == 201
    assert api.put(path, definition).status_code == 204
    other = api.put(path, {"durable": False})
    assert error(other) == (400, "bad_request")
    assert "inequivalent arg 'durable' for queue 'a/b c'" in other.json()["reason"]
    queue = api.json(path)
    assert queue["name"] == "a/b c"
    assert queue["arguments"] == {"x-message-ttl": 60000}
    assert (queue["durable"], queue["auto_delete"], queue["exclusive"]) == (True, False, False)
    assert (queue["type"], queue["consumer_details"]) == ("classic", [])
    assert api.delete(path).status_code == 204
    assert error(api.delete(path)) == (404, "Object Not Found")
    assert error(api.get(path)) == (404, "Object Not Found")


def test_what_says_nothing_is_said_for_it(api, space):
    assert api.put(f"/api/queues/{space}/q").status_code == 201
    assert api.json(f"/api/queues/{space}/q")["durable"] is False
    assert api.put(f"/api/queues/{space}/t", {"durable": "true"}).status_code == 201
    assert api.json(f"/api/queues/{space}/t")["durable"] is True
    assert api.put(f"/api/exchanges/{space}/e", {}).status_code == 201
    assert api.json(f"/api/exchanges/{space}/e")["type"] == "direct"


@pytest.mark.parametrize(
    "path, body",
    [
        ("queues/{}/q", "not json"),
        ("queues/{}/q", "[1]"),
        ("queues/{}/q", '{"durable": "maybe"}'),
        ("queues/{}/q", '{"arguments": {"x-message-ttl": "x"}}'),
        ("exchanges/{}/e", '{"type": "nope"}'),
        ("exchanges/{}/e", "nothing"),
        ("policies/{}/p", "{}"),
        ("policies/{}/p", '{"pattern": "(", "definition": {"max-length": 1}}'),
        ("policies/{}/p", '{"pattern": "a", "definition": {}}'),
        ("policies/{}/p", '{"pattern": "a", "definition": {"nope": 1}}'),
        ("policies/{}/p", '{"pattern": "a", "definition": {"max-length": "x"}}'),
        ("policies/{}/p", '{"pattern": "a", "definition": {"max-length": 1}, "priority": "x"}'),
        ("policies/{}/p", '{"pattern": "a", "definition": {"max-length": 1}, "apply-to": "x"}'),
        ("vhost-limits/{}/max-queues", "{}"),
        ("vhost-limits/{}/max-queues", '{"value": "x"}'),
        ("vhost-limits/{}/nope", '{"value": 1}'),
        ("permissions/{}/guest", '{"configure": ".*", "write": ".*"}'),
        ("permissions/{}/guest", '{"configure": ".*", "write": ".*", "read": "("}'),
        ("permissions/{}/nobody", '{"configure": ".*", "write": ".*", "read": ".*"}'),
        ("topic-permissions/{}/guest", '{"exchange": "e", "write": "("}'),
        ("parameters/shovel/{}/s", '{"value": {}}'),
        ("parameters/policy/{}/s", '{"value": {}}'),
        ("users/nobody", '{"password": "x"}'),
        ("users/nobody", "x"),
        ("users/nobody", '{"password_hash": "!!!", "tags": ""}'),
    ],
)
def test_what_cannot_be_meant_is_refused(api, space, path, body):
    path = f"/api/{path.format(space)}"
    answer = api.request("PUT", path, data=body, headers={"content-type": "application/json"})
    assert error(answer) == (400, "bad_request"), answer.text


def test_spaces_that_are_not_there(api):
    for path in ["queues/nowhere", "bindings/nowhere", "policies/nowhere", "vhosts/nowhere",
                 "queues/nowhere/q", "exchanges/nowhere/e", "consumers/nowhere",
                 "permissions/nowhere/guest", "vhost-limits/nowhere", "aliveness-test/nowhere"]:
        assert error(api.get(f"/api/{path}")) == (404, "Object Not Found"), path
    for path in ["queues/nowhere/q", "vhost-limits/nowhere/max-queues"]:
        assert error(api.put(f"/api/{path}", {"value": 1})) == (404, "not_found"), path


def test_names_of_the_broker_are_not_given(api, space):
    assert error(api.put(f"/api/queues/{space}/amq.mine", {})) == (401, "not_authorised")
    assert error(api.put(f"/api/exchanges/{space}/amq.mine", {})) == (401, "not_authorised")
    assert error(api.delete(f"/api/exchanges/{space}/amq.direct")) == (401, "not_authorised")


def test_exchanges_are_there_from_the_start(api, space):
    known = {exchange["name"]: exchange for exchange in api.json(f"/api/exchanges/{space}")}
    assert {"", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"} <= set(known)
    assert known["amq.topic"]["type"] == "topic" and known["amq.topic"]["durable"]
    default = api.json(f"/api/exchanges/{space}/amq.default")
    assert (default["name"], default["type"]) == ("", "direct")


def test_bindings_have_keys(api, space):
    api.put(f"/api/queues/{space}/q", {})
    api.put(f"/api/exchanges/{space}/e", {"type": "topic"})
    base = f"/api/bindings/{space}/e/e/q/q"
    made = api.post(base, {"routing_key": "a b/c", "arguments": {}})
    assert made.status_code == 201 and made.headers["location"] == "q/a%2Bb%252Fc"
    made = api.post(base, {})
    assert made.status_code == 201 and made.headers["location"] == "q/~"
    made = api.post(base, {"routing_key": "a.#", "arguments": {"k": 1}})
    assert made.status_code == 201 and made.headers["location"].startswith("q/a.%2523~")
    listed = api.json(base)
    assert {binding["properties_key"].split("~")[0] for binding in listed} == {"", "a+b%2Fc", "a.%23"}
    one = api.json(f"{base}/a%20b%2Fc")
    assert one == {
        "source": "e", "vhost": one["vhost"], "destination": "q", "destination_type": "queue",
        "routing_key": "a b/c", "arguments": {}, "properties_key": "a+b%2Fc",
    }
    for binding in listed:
        key = part(binding["properties_key"])
        assert api.json(f"{base}/{key}") == binding
        assert api.delete(f"{base}/{key}").status_code == 204
    assert api.json(base) == []
    assert error(api.delete(f"{base}/nope")) == (404, "Object Not Found")
    assert error(api.post(f"/api/bindings/{space}/e/e/q/nope", {})) == (404, "not_found")
    assert error(api.post(f"/api/bindings/{space}/e/nope/q/q", {})) == (404, "not_found")
    assert api.post(f"/api/bindings/{space}/e/e/e/amq.fanout", {"routing_key": "x"}).status_code == 201
    assert len(api.json(f"/api/exchanges/{space}/e/bindings/source")) == 1
    assert len(api.json(f"/api/exchanges/{space}/amq.fanout/bindings/destination")) == 1
    # Each queue is bound to the default exchange.
    assert [binding["source"] for binding in api.json(f"/api/queues/{space}/q/bindings")] == [""]
    assert len(api.json(f"/api/bindings/{space}")) == 2


def test_policies_apply(api, space):
    path = f"/api/policies/{space}/p"
    api.put(f"/api/queues/{space}/q1", {})
    policy = {"pattern": "^q", "definition": {"max-length": 10}, "priority": 3, "apply-to": "queues"}
    assert api.put(path, policy).status_code == 201
    assert api.put(path, policy).status_code == 204
    assert api.json(path) | {"vhost": ""} == policy | {"name": "p", "vhost": ""}
    assert api.json(f"/api/policies/{space}")[0]["name"] == "p"
    assert api.delete(path).status_code == 204
    assert error(api.delete(path)) == (404, "Object Not Found")


@pytest.mark.ours("RabbitMQ tells of a queue's policy some seconds later")
def test_a_queue_tells_its_policy(api, space):
    api.put(f"/api/queues/{space}/q1", {})
    api.put(f"/api/policies/{space}/p", {"pattern": "^q", "definition": {"max-length": 10}})
    queue = api.json(f"/api/queues/{space}/q1")
    assert queue["policy"] == "p" and queue["effective_policy_definition"] == {"max-length": 10}


def test_limits_of_spaces_and_users(api, space, person):
    limits = f"/api/vhost-limits/{space}"
    assert api.put(f"{limits}/max-queues", {"value": 1}).status_code == 204
    assert api.json(limits)[0]["value"] == {"max-queues": 1}
    assert api.put(f"/api/queues/{space}/q1", {}).status_code == 201
    assert api.put(f"/api/queues/{space}/q2", {}).status_code == 400
    assert api.delete(f"{limits}/max-queues").status_code == 204
    assert api.json(limits) == []
    user = person("management")
    limits = f"/api/user-limits/{user.name}"
    assert api.put(f"{limits}/max-connections", {"value": 5}).status_code == 204
    assert api.json(limits) == [{"user": user.name, "value": {"max-connections": 5}}]
    assert error(api.put(f"{limits}/nope", {"value": 5})) == (400, "bad_request")
    assert api.delete(f"{limits}/max-connections").status_code == 204


def test_a_space_has_words_about_it(api, space):
    path = f"/api/vhosts/{space}"
    assert api.put(path, {"description": "for tests", "tags": "a,b"}).status_code == 204
    described = api.json(path)
    assert (described["description"], described["tags"]) == ("for tests", ["a", "b"])
    assert described["metadata"]["description"] == "for tests"
    assert list(described["cluster_state"].values()) == ["running"]


@pytest.mark.ours("RabbitMQ 3.10 has no type of a virtual host's own")
def test_who_names_no_type_means_the_spaces(api, space, amqp):
    path = f"/api/vhosts/{space}"
    channel = amqp(virtual_host=unquote(space)).channel()
    channel.queue_declare("before", durable=True)
    assert api.put(path, {"default_queue_type": "stream"}).status_code == 204
    assert api.json(path)["default_queue_type"] == "stream"
    for name, options in [
        ("before", {"durable": True}),
        ("meant", {"durable": True}),
        ("said", {"durable": True, "arguments": {"x-queue-type": "classic"}}),
        ("transient", {}),
        ("exclusive", {"durable": True, "exclusive": True}),
    ]:
        channel.queue_declare(name, **options)
        channel.queue_declare(name, **options)
        expected = "stream" if name == "meant" else "classic"
        assert api.json(f"/api/queues/{space}/{name}")["type"] == expected, name
    assert error(api.put(path, {"default_queue_type": "heap"})) == (400, "bad_request")
    assert error(api.put(path, {"tracing": True})) == (400, "bad_request")
    assert api.put(path, {"tracing": False, "default_queue_type": "undefined"}).status_code == 204
    channel.queue_declare("plain", durable=True)
    assert api.json(f"/api/queues/{space}/plain")["type"] == "classic"


def test_a_space_has_no_more_queues_than_it_may(api, space):
    assert api.put(f"/api/vhost-limits/{space}/max-queues", {"value": 1}).status_code == 204
    assert api.put(f"/api/queues/{space}/one", {"durable": True}).status_code == 201
    refused = api.put(f"/api/queues/{space}/two", {"durable": True})
    said = f"cannot declare queue 'two': queue limit in vhost '{unquote(space)}' (1) is reached"
    assert refused.status_code == 400
    assert said in refused.json()["reason"]
