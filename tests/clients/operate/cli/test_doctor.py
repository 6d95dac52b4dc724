"""What doctor finds, on this machine and in a broker."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_api import Api


def states(outcome):
    return {check["check"]: check["state"] for check in outcome.json}


@pytest.mark.patient(90)
def test_doctor_says_what_to_do(own_broker, line, tmp_path):
    broker = own_broker()
    bongsu = line(broker)
    data = broker.settings["data_dir"]
    found = states(bongsu("doctor", "--data", data, "--json"))
    assert found["broker"] == found["alarms"] == found["listeners"] == "OK"
    assert {"disk", "sync", "file system", "open files", "memory", "clock"} <= found.keys()
    bongsu("queue", "declare", "left")
    bongsu("publish", "left", "text")
    stuck = bongsu("doctor", "--remote").out
    assert "WARN  stuck queue" in stuck and "start a consumer" in stuck
    open_door = bongsu("doctor", "--offline", "--json", BONGSU_AMQP_LISTEN="0.0.0.0:1")
    assert states(open_door)["listeners"] == "WARN"
    unsafe = bongsu("doctor", "--offline", "--json", BONGSU_DATA_DURABILITY="os")
    assert states(unsafe)["durability"] == "WARN"
    wrong = bongsu("doctor", "--offline", "--json", BONGSU_AMQP_LISTEN="x", code=1)
    assert states(wrong)["settings"] == "FAIL"
    remote = states(bongsu("doctor", "--remote", "--json"))
    assert remote["stuck queue"] == "WARN" and remote["listeners"] == "OK"
    assert {"disk", "sync", "file system", "open files", "memory", "clock"} <= remote.keys()
    gone = bongsu("doctor", "--remote", "--url", "http://127.0.0.1:1", "--json", code=1)
    assert states(gone) == {"broker": "FAIL"}
    full = bongsu(
        "doctor", "--offline", "--data", data, "--json", code=1,
        BONGSU_LIMITS_DISK_FREE_BYTES_MIN="1024 TiB",
    )
    assert states(full)["disk"] == "FAIL"


def test_certificates_end(line, own_broker, tmp_path):
    from certificates import Authority

    authority = Authority(tmp_path / "certificates")
    fresh, key, _ = authority.issue("fresh")
    ended, _, _ = authority.issue("ended", ended=True)
    bongsu = line(own_broker())
    settings = {"BONGSU_TLS_CERTIFICATE": fresh, "BONGSU_TLS_KEY": key}
    assert states(bongsu("doctor", "--offline", "--json", **settings))["certificate"] == "OK"
    settings["BONGSU_TLS_CERTIFICATE"] = ended
    outcome = bongsu("doctor", "--offline", "--json", code=1, **settings)
    assert states(outcome)["certificate"] == "FAIL"


def test_a_broker_examines_itself(own_broker, line):
    """As it was started, whatever the environment of who asks."""
    broker = own_broker(data_durability="os", limits_disk_free_bytes_min="1024 TiB")
    bongsu = line(broker)
    told = bongsu("doctor", "--remote", "--json", code=1)
    assert states(told).items() >= {"durability": "WARN", "disk": "FAIL"}.items()
    guest = Api(broker.http, "guest", "guest")
    items = guest.json("/bongsu/v1/doctor")["items"]
    assert {one["check"]: one["state"] for one in items}["disk"] == "FAIL"
    assert all(one["advice"] for one in items if one["state"] != "OK")
    asked = [Api(broker.http, "guest", "guest") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: one.json("/bongsu/v1/doctor")["items"], asked))
    assert {check["state"] for items in found for check in items if check["check"] == "sync"} <= {"OK", "WARN"}
    assert not [name for name in os.listdir(broker.settings["data_dir"]) if "doctor" in name]

    settings = {one["key"]: one for one in guest.json("/bongsu/v1/settings")["items"]}
    said = settings["data.durability"]
    assert (said["value"], said["default"], said["is_default"]) == ("os", "fsync", False)
    assert settings["amqp.heartbeat"]["is_default"]
    guest.put("/api/users/clerk", {"password": "secret", "tags": "management"})
    guest.put("/api/users/watch", {"password": "secret", "tags": "monitoring"})
    for path in ("/bongsu/v1/doctor", "/bongsu/v1/settings"):
        assert Api(broker.http, "clerk", "secret").get(path).status_code == 401
        assert Api(broker.http, "watch", "secret").get(path).status_code == 200
    lesser = bongsu("doctor", "--remote", "--user", "clerk", "--json", code=1, BONGSU_PASSWORD="secret")
    assert states(lesser)["check-up"] == "WARN"
