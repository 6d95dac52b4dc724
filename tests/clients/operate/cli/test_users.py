"""Users, what they may, and everything as one document."""

import json


def test_users(own_broker, line, tmp_path):
    broker = own_broker()
    bongsu = line(broker)
    bongsu("user", "add", "ops", "--new-password-file", "-", "--tag", "monitoring", stdin="secret\n")
    assert "already" in bongsu("user", "add", "ops", "--no-password", code=1).err
    tags = {user["name"]: user["tags"] for user in bongsu("user", "list", "--json").json}
    assert tags["ops"] == ["monitoring"]
    own = {"BONGSU_USER": "ops", "BONGSU_PASSWORD": "secret"}
    bongsu("status", **own)
    bongsu("queue", "declare", "q", code=4, **own)
    bongsu("user", "permit", "ops", "--configure", "^q", "--write", ".*", "--read", ".*")
    (may,) = bongsu("user", "permit", "ops", "--json").json
    assert may == {"space": "/", "configure": "^q", "write": ".*", "read": ".*"}
    bongsu("queue", "declare", "q", **own)
    bongsu("queue", "declare", "other", code=4, **own)
    # What is not named stays.
    bongsu("user", "permit", "ops", "--configure", ".*")
    bongsu("queue", "declare", "other", **own)
    bongsu("user", "list", code=4, **own)
    bongsu("user", "tags", "ops", "administrator")
    bongsu("user", "list", **own)
    bongsu("user", "password", "ops", "--new-password-file", "-", stdin="fresh\n")
    bongsu("status", code=4, **own)
    own["BONGSU_PASSWORD"] = "fresh"
    bongsu("user", "list", **own)
    bongsu("user", "limits", "ops", "--max-connections", "3")
    assert bongsu("user", "limits", "ops", "--json").json == [{"limit": "max-connections", "value": 3}]
    bongsu("user", "limits", "ops", "--max-connections", "-1")
    assert bongsu("user", "limits", "ops", "--json").json == []
    bongsu("user", "permit", "ops", "--none")
    assert bongsu("user", "permit", "ops", "--json").json == []
    assert "passwords" not in bongsu("user", "add", "x", "--new-password-file", "-", code=2).out
    bongsu("user", "delete", "ops")
    bongsu("user", "delete", "ops", code=3)


def test_definitions(own_broker, line, tmp_path):
    bongsu = line(own_broker())
    bongsu("queue", "declare", "carried", "-a", "x-max-length=3")
    bongsu("space", "add", "tenant")
    file = tmp_path / "definitions.json"
    bongsu("definitions", "export", file)
    assert file.stat().st_mode & 0o777 == 0o600
    printed = bongsu("definitions", "export").json
    assert json.loads(file.read_text())["queues"] == printed["queues"]
    other = line(own_broker())
    other("definitions", "import", file)
    (queue,) = other("queue", "list", "--json").json
    assert (queue["name"], queue["arguments"]["x-max-length"]) == ("carried", 3)
    assert "tenant" in [space["name"] for space in other("space", "list", "--json").json]
    other("definitions", "import", "-", stdin="{", code=2)
