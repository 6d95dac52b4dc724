"""All that was declared, out and in."""

import json
import os
import pathlib

import pytest
from http_api import Api, part
from test_things import error

HERE = pathlib.Path(__file__).parent


def by_key(entries, *keys):
    return {tuple(entry.get(key) for key in keys): entry for entry in entries}


def test_what_goes_out_comes_in(api, space):
    api.put(f"/api/queues/{space}/q", {"durable": True, "arguments": {"x-max-length": 5}})
    api.put(f"/api/exchanges/{space}/e", {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "amq.fanout"}})
    api.post(f"/api/bindings/{space}/e/e/q/q", {"routing_key": "a.#", "arguments": {"k": "v"}})
    api.put(f"/api/policies/{space}/p", {"pattern": "^x", "definition": {"max-length": 10}})
    api.put(f"/api/vhost-limits/{space}/max-queues", {"value": 7})
    exported = api.json("/api/definitions")
    name = api.json(f"/api/vhosts/{space}")["name"]
    assert {"rabbit_version", "users", "vhosts", "permissions", "topic_permissions", "parameters",
            "global_parameters", "policies", "queues", "exchanges", "bindings"} <= set(exported)
    queue = by_key(exported["queues"], "vhost", "name")[(name, "q")]
    assert {key: queue[key] for key in ["durable", "auto_delete", "arguments"]} == {
        "durable": True, "auto_delete": False, "arguments": {"x-max-length": 5}}
    assert api.delete(f"/api/vhosts/{space}").status_code == 204
    again = api.post("/api/definitions", exported)
    assert again.status_code in (200, 204), again.text
    after = api.json("/api/definitions")
    for section, keys in [("queues", ["vhost", "name"]), ("exchanges", ["vhost", "name"]),
                          ("policies", ["vhost", "name"]), ("permissions", ["user", "vhost"]),
                          ("bindings", ["vhost", "source", "destination", "routing_key"]),
                          ("parameters", ["component", "vhost"]), ("vhosts", ["name"])]:
        assert by_key(after[section], *keys) == by_key(exported[section], *keys), section
    assert api.post("/api/definitions", exported).status_code in (200, 204)


def test_one_space(api, space):
    api.put(f"/api/queues/{space}/q", {"durable": True})
    exported = api.json(f"/api/definitions/{space}")
    assert "users" not in exported and exported["queues"][0]["name"] == "q"
    assert "vhost" not in exported["queues"][0]
    api.delete(f"/api/queues/{space}/q")
    assert api.post(f"/api/definitions/{space}", exported).status_code == 204
    assert api.json(f"/api/queues/{space}/q")["durable"] is True
    assert error(api.post("/api/definitions/nowhere", {"queues": []})) == (404, "not_found")


@pytest.mark.parametrize(
    "document, names",
    [
        ("xx", "failed_to_parse_json"),
        ("[]", None),
        ('{"queues":[{"name":"dq","vhost":"nowhere","durable":true,"auto_delete":false,"arguments":{}}]}', "nowhere"),
        ('{"users":[{"name":"x"}]}', "tags_not_present"),
        ('{"permissions":[{"user":"nobody","vhost":"/","configure":"","write":"","read":""}]}', "nobody"),
    ],
)
def test_what_cannot_come_in(api, document, names):
    answer = api.request("POST", "/api/definitions", data=document, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert names is None or names in json.dumps(answer.json()["reason"])


@pytest.mark.ours("RabbitMQ makes what comes before what fails")
def test_nothing_comes_in_where_something_is_wrong(api, space):
    name = api.json(f"/api/vhosts/{space}")["name"]
    document = {"queues": [
        {"name": "good", "vhost": name, "durable": True, "auto_delete": False, "arguments": {}},
        {"name": "bad", "vhost": name, "durable": True, "auto_delete": False, "arguments": {"x-message-ttl": "x"}},
    ]}
    answer = api.post("/api/definitions", document)
    assert error(answer) == (400, "bad_request")
    assert answer.json()["reason"].startswith("queues[1]: invalid arg 'x-message-ttl' for queue 'bad'")
    assert api.get(f"/api/queues/{space}/good").status_code == 404


@pytest.mark.ours("RabbitMQ knows of nothing more")
def test_what_is_passed_over_is_told(api):
    document = {"parameters": [{"component": "shovel", "vhost": "/", "name": "s", "value": {}}], "news": [1]}
    answer = api.post("/api/definitions", document)
    assert answer.status_code == 200
    warnings = answer.json()["warnings"]
    assert len(warnings) == 2 and "shovel" in warnings[0] and warnings[1].startswith("news")


@pytest.mark.ours("a file of RabbitMQ's, into a broker of its own")
@pytest.mark.parametrize("version", ["3.8", "3.10", "4.1"])
def test_rabbitmqs_own_files(own_broker, version):
    path = HERE / f"definitions-{version}.json"
    broker = own_broker(definitions_load=path)
    api = Api(broker.http, "guest", "guest")
    document = json.loads(path.read_text())
    have = api.json("/api/definitions")
    for section, keys in [("queues", ["vhost", "name"]), ("exchanges", ["vhost", "name"]),
                          ("vhosts", ["name"]), ("users", ["name"]), ("policies", ["vhost", "name"]),
                          ("permissions", ["user", "vhost"]), ("topic_permissions", ["user", "vhost"]),
                          ("bindings", ["vhost", "source", "destination", "routing_key"])]:
        wanted = by_key(document[section], *keys)
        assert set(wanted) <= set(by_key(have[section], *keys)), section
    assert Api(broker.http, "app", "test12").json("/api/whoami")["name"] == "app"


@pytest.mark.ours("a start of its own")
def test_a_wrong_file_stops_the_start(own_broker, tmp_path):
    path = tmp_path / "definitions.json"
    path.write_text('{"queues": [{"name": "q", "vhost": "nowhere"}]}')
    with pytest.raises(AssertionError) as failed:
        own_broker(definitions_load=path)
    assert "definitions.load" in str(failed.value) and "queues[0]" in str(failed.value)


@pytest.mark.ours("ours is measured here")
@pytest.mark.patient(90)
def test_many_queues_are_one_wait(own_broker):
    broker = own_broker()
    api = Api(broker.http, "guest", "guest")
    document = {"queues": [
        {"name": f"q{index}", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
        for index in range(20_000)
    ]}
    assert api.post("/api/definitions", document, timeout=60).status_code == 204
    page = api.json("/api/queues?page=200&page_size=100&columns=name")
    assert (page["total_count"], page["item_count"]) == (20_000, 100)
    assert broker.stop() == 0
