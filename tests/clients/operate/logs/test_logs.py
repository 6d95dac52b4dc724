"""What the broker says of itself, and how much of it."""

import json
import os
import subprocess
import time
from datetime import datetime

import pika
import pytest
from confluent_kafka.admin import AdminClient
from http_api import Api

SECRETS = ["correct horse", "Y29ycmVjdCBob3JzZQ", "wrong battery"]
PATIENCE_SECONDS = 20


def records(broker):
    return [json.loads(line) for line in broker.log().splitlines() if line]


def awaited(broker, wanted):
    """The first record that is wanted, once there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        for record in records(broker):
            if wanted(record):
                return record
        assert time.monotonic() < deadline, broker.log()
        time.sleep(0.05)


def amqp_of(broker, user="guest", password="guest"):
    credentials = pika.PlainCredentials(user, password)
    place = pika.ConnectionParameters("127.0.0.1", broker.amqp_port, credentials=credentials)
    return pika.BlockingConnection(place)


def test_every_line_is_an_object(own_broker):
    broker = own_broker(log_format="json", log_level="info,bongsu_net=debug")
    amqp_of(broker).close()
    awaited(broker, lambda record: record["message"] == "connection ended")
    assert broker.stop() == 0
    found = records(broker)
    for record in found:
        assert list(record) == ["time", "level", "module", "message", "fields"]
        assert datetime.fromisoformat(record["time"]).tzinfo is not None
        assert record["level"] in ("error", "warn", "info", "debug", "trace")
        assert record["module"].startswith("bongsu")
    assert [found[0]["message"], found[-1]["message"]] == ["started", "stopped"]
    assert f"AMQP 0-9-1 127.0.0.1:{broker.amqp_port}" in found[0]["fields"]["listeners"]


def test_connections_say_who_and_where(own_broker):
    broker = own_broker(log_format="json", log_level="info,bongsu_net=debug")
    amqp_of(broker).close()
    record = awaited(
        broker,
        lambda record: record["message"] == "connection ended" and record["fields"].get("user"),
    )
    assert record["module"] == "bongsu_net::listener"
    assert record["fields"]["user"] == "guest"
    assert record["fields"]["space"] == "/"
    assert record["fields"]["protocol"] == "AMQP 0-9-1"
    assert record["fields"]["peer"].startswith("127.0.0.1:")


def test_levels_are_changed_at_run_time(own_broker):
    broker = own_broker(log_format="json", log_level="info,bongsu_kafka=debug")
    api = Api(broker.http, "guest", "guest")
    assert api.json("/bongsu/v1/log-levels") == {"default": "info", "bongsu_kafka": "debug"}
    amqp_of(broker).close()
    change = {"bongsu_net": "debug", "bongsu_kafka": None}
    assert api.put("/bongsu/v1/log-levels", change).status_code == 204
    assert api.json("/bongsu/v1/log-levels") == {"default": "info", "bongsu_net": "debug"}
    awaited(broker, lambda record: record["message"].startswith("log levels are set"))
    before = sum(record["level"] == "debug" for record in records(broker))
    assert before == 0, "nothing was said before it was asked for"
    amqp_of(broker).close()
    awaited(broker, lambda record: record["module"] == "bongsu_net::listener")
    assert api.put("/bongsu/v1/log-levels", {"default": "off", "bongsu_net": None}).ok
    said = len(records(broker))
    amqp_of(broker).close()
    assert broker.stop() == 0
    assert len(records(broker)) == said


@pytest.mark.parametrize(
    "change",
    [
        {"bongsu_nett": "debug"},
        {"bongsu_net": "loud"},
        {"default": "loud"},
        {"tokio": "debug"},
        {"bongsu_net": 3},
        {"bongsu_net": {"level": "debug"}},
        ["debug"],
        "debug",
        None,
    ],
)
def test_wrong_levels_are_refused(api, change):
    before = api.json("/bongsu/v1/log-levels")
    response = api.put("/bongsu/v1/log-levels", change)
    assert response.status_code == 400
    assert response.json()["error"] == "bad_request"
    assert response.json()["reason"]
    assert api.json("/bongsu/v1/log-levels") == before


def test_only_administrators_may():
    nobody = Api(os.environ["HTTP_URL"])
    assert nobody.get("/bongsu/v1/log-levels").status_code == 401
    assert nobody.put("/bongsu/v1/log-levels", {"default": "off"}).status_code == 401


def test_wrong_settings_name_what_is_accepted(tmp_path):
    def start(**settings):
        own = {f"BONGSU_{name.upper()}": value for name, value in settings.items()}
        place = {"BONGSU_DATA_DIR": str(tmp_path / "data"), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [os.environ["BROKER_PROGRAM"], "serve"], env=place | own, capture_output=True, text=True
        )
        assert done.returncode == 1
        return done.stderr

    said = start(log_level="info,bongsu_kafkaa=debug")
    assert 'BONGSU_LOG_LEVEL = "info,bongsu_kafkaa=debug" (environment)' in said
    assert "accepted is a level (off, error, warn, info, debug, trace)" in said
    assert "bongsu_kafka" in said.split("accepted")[1]
    assert "accepted is text, json" in start(log_format="xml")
    assert "accepted is http://" in start(traces_endpoint="localhost:4318")
    assert "accepted is a number from 0 to 1" in start(traces_sample="2")


def test_no_secret_is_ever_written(own_broker):
    broker = own_broker(log_format="json", log_level="trace", kafka_sasl="required")
    good, encoded, wrong = SECRETS
    api = Api(broker.http, "guest", "guest")
    made = api.put("/api/users/alice", {"password": good, "tags": "administrator"})
    assert made.status_code in (201, 204), made.text
    api.put("/api/permissions/%2F/alice", {"configure": ".*", "write": ".*", "read": ".*"})
    amqp_of(broker, "alice", good).close()
    for user in ("alice", "nobody"):
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            amqp_of(broker, user, wrong)
        assert Api(broker.http, user, wrong).get("/api/whoami").status_code == 401
    Api(broker.http, "alice", good).get("/api/whoami")
    place = {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}"}
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        for password in (good, wrong):
            sasl = {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": mechanism,
                "sasl.username": "alice",
                "sasl.password": password,
            }
            quiet = {"log_level": 0, "error_cb": lambda _error: None}
            try:
                AdminClient(place | sasl | quiet).list_topics(timeout=5)
            except Exception:
                # Whether it is let in is not what is tested here.
                pass
    assert broker.stop() == 0
    log = broker.log()
    assert "alice" in log, "who it was may be said"
    for secret in (good, encoded, wrong):
        assert secret not in log
