"""What doctor finds, on this machine and in a broker."""

import pytest


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
