"""Who may ask what: the tags of RabbitMQ, and spaces of one's own."""

import base64

import pytest
import requests
from http_api import Api, part
from test_things import error

ADMINISTRATORS = ["users", "permissions", "topic-permissions", "definitions", "users/guest"]
MONITORS = ["nodes"]
EVERYBODY = ["overview", "queues", "exchanges", "bindings", "connections", "channels", "consumers",
             "vhosts", "policies", "parameters", "global-parameters", "vhost-limits", "whoami",
             "health/checks/alarms", "feature-flags", "cluster-name", "extensions",
             "operator-policies", "user-limits"]


def status(api, path):
    return api.get(f"/api/{path}").status_code


def test_nobody_comes_in_without_a_password(api):
    for path in EVERYBODY + MONITORS + ADMINISTRATORS:
        assert status(Api(api.url), path) == 401, path
    answer = Api(api.url).get("/api/overview")
    assert error(answer)[0] == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("user, password", [("guest", "wrong"), ("nobody", "guest"), ("guest", ""), ("", "")])
def test_wrong_passwords(api, user, password):
    answer = Api(api.url, user, password).get("/api/whoami")
    assert error(answer) == (401, "not_authorized")
    assert answer.json()["reason"] == "Login failed"


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"guest").decode(), "Digest x",
     "Basic " + base64.b64encode(b"\xff\xfe:x").decode()],
)
def test_credentials_that_are_none(api, value):
    headers = {"authorization": value}
    assert requests.get(f"{api.url}/api/whoami", headers=headers, timeout=30).status_code == 401


@pytest.mark.parametrize(
    "tags, may",
    [
        ("", set()),
        ("anything", set()),
        ("management", {"everybody"}),
        ("policymaker", {"everybody"}),
        ("monitoring", {"everybody", "monitors"}),
        ("administrator", {"everybody", "monitors", "administrators"}),
    ],
)
def test_tags(person, tags, may):
    somebody = person(tags)
    for group, paths in [("everybody", EVERYBODY), ("monitors", MONITORS), ("administrators", ADMINISTRATORS)]:
        for path in paths:
            expected = 200 if group in may else 401
            assert status(somebody, path) == expected, (tags, path)


def test_spaces_of_others_are_not_seen(api, space, person):
    api.put(f"/api/queues/{space}/q", {})
    somebody, watcher = person("management"), person("monitoring")
    assert somebody.json("/api/vhosts") == []
    assert somebody.json("/api/queues") == []
    for path in ["queues/{}", "queues/{}/q", "exchanges/{}", "bindings/{}", "policies/{}"]:
        path = path.format(space)
        answer = somebody.get(f"/api/{path}")
        assert error(answer) == (401, "not_authorised"), path
        assert status(watcher, path) == 200
    # To look is not to touch.
    assert watcher.put(f"/api/queues/{space}/w", {}).status_code == 401
    assert somebody.put(f"/api/queues/{space}/w", {}).status_code == 401


def test_rights_in_a_space_count(space, person):
    somebody = person("management", space, configure="^mine-", write="^mine-", read="^mine-")
    assert [part(vhost["name"]) for vhost in somebody.json("/api/vhosts")] == [space]
    assert somebody.put(f"/api/queues/{space}/mine-q", {}).status_code == 201
    assert error(somebody.put(f"/api/queues/{space}/yours", {})) == (401, "not_authorised")
    assert error(somebody.delete(f"/api/queues/{space}/nope"))[0] in (401, 404)
    assert somebody.delete(f"/api/queues/{space}/mine-q").status_code == 204


def test_policies_are_for_policymakers(space, person):
    policy = {"pattern": "^q", "definition": {"max-length": 10}}
    path = f"/api/policies/{space}/p"
    assert error(person("management", space).put(path, policy)) == (401, "not_authorised")
    maker = person("policymaker", space)
    assert maker.put(path, policy).status_code == 201
    assert maker.delete(path).status_code == 204
    assert error(person("policymaker").put(path, policy)) == (401, "not_authorised")


def test_users_are_for_administrators(api, person):
    for tags in ["management", "policymaker", "monitoring"]:
        somebody = person(tags)
        for method, path in [("PUT", "users/x"), ("DELETE", "users/guest"), ("PUT", "vhosts/x"),
                             ("DELETE", "vhosts/%2F"), ("POST", "definitions"),
                             ("PUT", "permissions/%2F/guest"), ("PUT", "vhost-limits/%2F/max-queues"),
                             ("PUT", "user-limits/guest/max-channels"),
                             ("POST", "users/bulk-delete")]:
            answer = somebody.request(method, f"/api/{path}", json={})
            assert error(answer) == (401, "not_authorised"), (tags, method, path)


def test_users_are_made_and_deleted(api, person):
    path = "/api/users/made%2Fup"
    assert api.put(path, {"password": "p", "tags": "management"}).status_code == 201
    assert api.put(path, {"password": "p", "tags": ["policymaker", "x"]}).status_code == 204
    user = api.json(path)
    assert (user["name"], sorted(user["tags"]), user["limits"]) == ("made/up", ["policymaker", "x"], {})
    assert user["password_hash"] and user["hashing_algorithm"]
    rights = {"configure": "^a", "write": ".*", "read": ""}
    assert api.put("/api/permissions/%2F/made%2Fup", rights).status_code == 201
    assert api.put("/api/permissions/%2F/made%2Fup", rights).status_code == 204
    assert api.json("/api/permissions/%2F/made%2Fup") == {"user": "made/up", "vhost": "/"} | rights
    assert api.json(f"{path}/permissions") == [{"user": "made/up", "vhost": "/"} | rights]
    topic = {"exchange": "amq.topic", "write": "^a", "read": ".*"}
    assert api.put("/api/topic-permissions/%2F/made%2Fup", topic).status_code == 201
    assert api.json(f"{path}/topic-permissions") == [{"user": "made/up", "vhost": "/"} | topic]
    assert api.delete("/api/topic-permissions/%2F/made%2Fup").status_code == 204
    assert error(api.delete("/api/topic-permissions/%2F/made%2Fup"))[0] == 404
    assert api.delete("/api/permissions/%2F/made%2Fup").status_code == 204
    assert error(api.get("/api/permissions/%2F/made%2Fup"))[0] == 404
    assert api.post("/api/users/bulk-delete", {"users": ["made/up"]}).status_code == 204
    assert error(api.get(path))[0] == 404
    assert error(api.post("/api/users/bulk-delete", {"users": ["made/up"]})) == (400, "bad_request")


def test_a_hash_of_rabbitmqs_lets_its_user_in(api):
    # rabbitmqctl hash_password opensesame
    hashed = {"password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "tags": "management"}
    try:
        assert api.put("/api/users/hashed", hashed).status_code == 201
        assert api.json("/api/users/hashed")["password_hash"] == hashed["password_hash"]
        assert Api(api.url, "hashed", "test12").json("/api/whoami")["name"] == "hashed"
        assert Api(api.url, "hashed", "other").get("/api/whoami").status_code == 401
    finally:
        api.delete("/api/users/hashed")
