"""rabbitmqadmin as Debian ships it, and the calls that tools make."""

import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest
from http_api import Api, part

RABBITMQADMIN = shutil.which("rabbitmqadmin")


@pytest.fixture
def admin(api, space):
    """Runs rabbitmqadmin in the space; what it prints, as JSON where it is."""
    url = urlsplit(api.url)
    name = api.json(f"/api/vhosts/{space}")["name"]

    def run(*arguments, raw=False, fails=False):
        command = ["python3", RABBITMQADMIN, "-H", url.hostname, "-P", str(url.port), "-u", "guest",
                   "-p", "guest", "-V", name]
        command += [] if raw else ["-f", "raw_json"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30)
        assert (done.returncode != 0) == fails, (arguments, done.stdout, done.stderr)
        if raw or fails:
            return done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_declare_list_delete(admin):
    assert "declared" in admin("declare", "queue", "name=q", "durable=true", raw=True)
    assert "declared" in admin("declare", "exchange", "name=e", "type=topic", raw=True)
    assert "declared" in admin("declare", "binding", "source=e", "destination=q", "routing_key=a.#", raw=True)
    assert "declared" in admin("declare", "policy", "name=p", "pattern=^q",
                               'definition={"max-length":5}', "apply-to=queues", raw=True)
    assert [queue["name"] for queue in admin("list", "queues")] == ["q"]
    assert "e" in [exchange["name"] for exchange in admin("list", "exchanges")]
    assert "a.#" in [binding["routing_key"] for binding in admin("list", "bindings")]
    assert [policy["name"] for policy in admin("list", "policies")] == ["p"]
    assert "guest" in [user["name"] for user in admin("list", "users")]
    for things in ["vhosts", "permissions", "nodes", "connections", "channels", "consumers", "parameters"]:
        assert isinstance(admin("list", things), list), things
    table = admin("list", "queues", "name", "messages", "durable", raw=True)
    assert "| q    |" in table
    assert "rabbitmq_version" in admin("show", "overview")[0]
    assert "deleted" in admin("delete", "binding", "source=e", "destination_type=queue",
                              "destination=q", "properties_key=a.%23", raw=True)
    assert "deleted" in admin("delete", "policy", "name=p", raw=True)
    assert "deleted" in admin("delete", "exchange", "name=e", raw=True)
    assert "deleted" in admin("delete", "queue", "name=q", raw=True)
    assert "not found" in admin("delete", "queue", "name=q", fails=True, raw=True).lower()


def test_users_and_spaces(admin):
    assert "declared" in admin("declare", "user", "name=tool", "password=p", "tags=management", raw=True)
    assert "declared" in admin("declare", "vhost", "name=tools", raw=True)
    assert "declared" in admin("declare", "permission", "vhost=tools", "user=tool", "configure=.*",
                               "write=.*", "read=.*", raw=True)
    rows = [row for row in admin("list", "permissions") if row["user"] == "tool"]
    assert [row["vhost"] for row in rows] == ["tools"]
    assert "deleted" in admin("delete", "user", "name=tool", raw=True)
    assert "deleted" in admin("delete", "vhost", "name=tools", raw=True)


def test_publish_get_purge(admin):
    admin("declare", "queue", "name=q", raw=True)
    assert "Message published" in admin("publish", "exchange=amq.default", "routing_key=q", "payload=hello", raw=True)
    assert "NOT routed" in admin("publish", "exchange=amq.default", "routing_key=x", "payload=hello", raw=True)
    [message] = admin("get", "queue=q", "ackmode=ack_requeue_true")
    assert message["payload"] == "hello"
    assert "purged" in admin("purge", "queue", "name=q", raw=True)
    assert admin("get", "queue=q") == []


def test_export_and_import(admin, tmp_path):
    admin("declare", "queue", "name=q", "durable=true", raw=True)
    path = tmp_path / "definitions.json"
    assert "Exported definitions" in admin("export", str(path), raw=True)
    assert any(queue["name"] == "q" for queue in json.loads(path.read_text())["queues"])
    admin("delete", "queue", "name=q", raw=True)
    assert "Uploaded definitions" in admin("import", str(path), raw=True)
    assert [queue["name"] for queue in admin("list", "queues")] == ["q"]


def test_connections_are_closed(admin, api, amqp):
    name = f"tool-{os.getpid()}"
    connection = amqp(client_properties={"connection_name": name})
    connection.channel()
    row = None
    deadline = time.monotonic() + 15
    while (row is None or "state" not in row) and time.monotonic() < deadline:
        # RabbitMQ tells of connections some seconds later, and of some things after others.
        rows = api.json("/api/connections")
        row = next((row for row in rows if row.get("client_properties", {}).get("connection_name") == name), None)
    assert row, "the connection is listed"
    assert row["user"] == "guest" and row["vhost"] == "/" and row["state"] == "running"
    assert api.json(f"/api/connections/{part(row['name'])}")["name"] == row["name"]
    assert "closed" in admin("close", "connection", f"name={row['name']}", raw=True)
    with pytest.raises(Exception):
        for _ in range(100):
            connection.process_data_events(time_limit=0.1)
    # The client hears of it first.
    while api.get(f"/api/connections/{part(row['name'])}").status_code != 404:
        assert time.monotonic() < deadline + 15


@pytest.mark.ours("RabbitMQ counts some seconds later")
def test_what_keda_celery_and_datadog_read(api, space, amqp):
    """Queue lengths and rates; the broker's pages of Flower; a health check's sums."""
    api.put(f"/api/queues/{space}/q", {})
    message = {"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"}
    for _ in range(3):
        assert api.post(f"/api/exchanges/{space}/amq.default/publish", message).json()["routed"]
    # KEDA, mode QueueLength and MessageRate.
    queue = api.json(f"/api/queues/{space}/q")
    assert (queue["messages"], queue["messages_unacknowledged"], queue["name"]) == (3, 0, "q")
    assert queue["message_stats"]["publish_details"]["rate"] > 0
    page = api.json(f"/api/queues/{space}?page=1&use_regex=true&pagination=false&name=%5Eq%24&page_size=100")
    assert [item["messages"] for item in page["items"]] == [3]
    # Flower.
    [listed] = api.json(f"/api/queues/{space}")
    assert {"name", "messages", "messages_ready", "messages_unacknowledged", "consumers",
            "idle_since"} <= set(listed)
    # Datadog.
    overview = api.json("/api/overview")
    assert {"messages", "messages_ready", "messages_unacknowledged"} <= set(overview["queue_totals"])
    assert {"connections", "channels", "queues", "consumers", "exchanges"} == set(overview["object_totals"])
    assert "publish_details" in overview["message_stats"]
    [node] = api.json("/api/nodes")
    assert {"name", "running", "fd_used", "mem_used", "mem_limit", "mem_alarm", "disk_free",
            "disk_free_limit", "disk_free_alarm", "run_queue", "sockets_used", "partitions"} <= set(node)
    assert api.json(f"/api/nodes/{node['name']}")["running"] is True
    assert api.json(f"/api/aliveness-test/{space}") == {"status": "ok"}


def test_what_keda_asks(api, space):
    """Its scaler asks for one queue, or for those of a pattern, and adds up what it reads of them."""
    for name in ("work-1", "work 2", "other"):
        api.put(f"/api/queues/{space}/{part(name)}", {})

    def publish(name):
        message = {"properties": {}, "routing_key": name, "payload": "x", "payload_encoding": "string"}
        assert api.post(f"/api/exchanges/{space}/amq.default/publish", message).json()["routed"]

    def named(name):
        queue = api.json(f"/api/queues/{space}/{part(name)}")
        rates = queue.get("message_stats", {})
        return [queue.get("messages"), queue.get("messages_ready"), queue.get("messages_unacknowledged"),
                rates.get("publish_details", {}).get("rate", 0), rates.get("deliver_get_details", {}).get("rate", 0)]

    def matching(pattern):
        query = f"page=1&use_regex=true&pagination=false&name={part(pattern)}&page_size=100"
        page = api.json(f"/api/queues/{space}?{query}")
        return page["page_count"], {queue["name"]: queue.get("messages") for queue in page["items"]}

    # RabbitMQ counts every five seconds, and its rates are those of the last five.
    deadline = time.monotonic() + 40
    published, taken, rates = 0, 0, [0, 0]
    while not all(rates):
        assert time.monotonic() < deadline, named("work-1")
        publish("work-1")
        publish("work-1")
        taken += len(api.post(f"/api/queues/{space}/work-1/get",
                              {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}).json())
        published += 2
        rates = named("work-1")[3:]
        time.sleep(0.1)
    publish("work 2")
    left = published - taken
    while named("work-1")[:3] != [left, left, 0] or matching("^work") != (1, {"work-1": left, "work 2": 1}):
        assert time.monotonic() < deadline, (named("work-1"), matching("^work"), left)
        time.sleep(0.1)
    assert matching("^work-1$") == (1, {"work-1": left})
    assert matching("^nothing$") == (0, {})
    assert api.get(f"/api/queues/{space}/nothing").status_code == 404
    refused = api.get(f"/api/queues/{space}?page=1&use_regex=true&pagination=false&name=%28&page_size=100")
    assert refused.status_code == 400
    assert refused.json() == {"error": "bad_request", "reason": "Pagination parameters are invalid"}


def test_consumers_and_channels(api, amqp):
    channel = amqp().channel()
    channel.basic_qos(prefetch_count=7)
    queue = channel.queue_declare("", exclusive=True).method.queue
    tag = channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": 3})
    consumer, deadline = None, time.monotonic() + 15
    while consumer is None and time.monotonic() < deadline:
        rows = api.json("/api/consumers/%2F")
        consumer = next((row for row in rows if row["consumer_tag"] == tag), None)
    assert consumer["queue"] == {"name": queue, "vhost": "/"}
    assert (consumer["prefetch_count"], consumer["ack_required"], consumer["exclusive"]) == (7, True, False)
    assert consumer["arguments"] == {"x-priority": 3}
    name = consumer["channel_details"]["name"]
    one, deadline = {}, time.monotonic() + 15
    while not one.get("consumer_count") and time.monotonic() < deadline:
        one = api.get(f"/api/channels/{part(name)}").json()
    assert (one["name"], one["consumer_count"]) == (name, 1)
    connection = consumer["channel_details"]["connection_name"]
    assert name in [row["name"] for row in api.json(f"/api/connections/{part(connection)}/channels")]
    assert name in [row["name"] for row in api.json("/api/channels")]
    assert api.json(f"/api/queues/%2F/{part(queue)}")["exclusive"] is True
    amqp_error = api.delete(f"/api/queues/%2F/{part(queue)}")
    assert amqp_error.status_code == 400


def test_who_alone_is_served(api, amqp):
    connection = amqp()
    names = {kind: f"alone-{kind}-{os.getpid()}" for kind in ("single", "exclusive", "plain")}
    for kind, name in names.items():
        channel = connection.channel()
        channel.queue_declare(name, auto_delete=True, arguments={"x-single-active-consumer": kind == "single"})
        channel.basic_consume(name, lambda *_: None, consumer_tag="one", exclusive=kind == "exclusive")
        if kind != "exclusive":
            channel.basic_consume(name, lambda *_: None, consumer_tag="two")

    def told(name):
        queue = api.json(f"/api/queues/%2F/{name}")
        consumers = {row["consumer_tag"]: row["activity_status"] for row in queue["consumer_details"]}
        return queue.get("exclusive_consumer_tag"), queue.get("single_active_consumer_tag"), consumers

    wanted = {
        "single": (None, "one", {"one": "single_active", "two": "waiting"}),
        "exclusive": ("one", None, {"one": "up"}),
        "plain": (None, None, {"one": "up", "two": "up"}),
    }
    deadline = time.monotonic() + 15
    while {kind: told(name) for kind, name in names.items()} != wanted:
        assert time.monotonic() < deadline, {kind: told(name) for kind, name in names.items()}
        connection.process_data_events(0.1)


def test_bytes_and_capacity(api, amqp):
    """What dashboards draw beside the counts; RabbitMQ tells it some seconds later."""
    channel = amqp().channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=2)
    queue = channel.queue_declare("", exclusive=True).method.queue
    path = f"/api/queues/%2F/{part(queue)}"
    told = ["messages", "messages_ready", "messages_unacknowledged"]

    def becomes(*wanted, busy):
        deadline = time.monotonic() + 25
        while True:
            row = api.json(path)
            # RabbitMQ's is an average, which stops somewhere when the queue falls idle.
            utilisation = row.get("consumer_utilisation") or 0
            there = utilisation < 1 if busy else utilisation > 0
            if there and [row.get(name) for name in told] == list(wanted):
                return row
            assert time.monotonic() < deadline, [row.get(name) for name in (*told, "consumer_utilisation")]
            channel.connection.process_data_events(0.1)

    for _ in range(10):
        channel.basic_publish("", queue, b"x" * 1000)
    row = becomes(10, 10, 0, busy=True)
    # Bongsu counts what the records take, with their properties.
    assert 10_000 <= row["message_bytes"] < 15_000 and row["message_bytes"] == row["message_bytes_ready"]
    tags = []
    channel.basic_consume(queue, lambda _channel, method, *_: tags.append(method.delivery_tag))
    row = becomes(10, 8, 2, busy=True)
    assert 2_000 <= row["message_bytes_unacknowledged"] < 3_000
    assert row["message_bytes"] == row["message_bytes_ready"] + row["message_bytes_unacknowledged"]
    deadline = time.monotonic() + 15
    while len(tags) < 10:
        assert time.monotonic() < deadline, tags
        channel.connection.process_data_events(0.1)
        if tags:
            channel.basic_ack(tags[-1], multiple=True)
    row = becomes(0, 0, 0, busy=False)
    assert (row["message_bytes"], row["message_bytes_unacknowledged"]) == (0, 0)


def test_health_checks(api):
    for path in ["alarms", "local-alarms", "virtual-hosts", "node-is-mirror-sync-critical",
                 "node-is-quorum-critical", "certificate-expiration/1/months"]:
        assert api.json(f"/api/health/checks/{path}")["status"] == "ok", path
    port = urlsplit(os.environ["AMQP_URL"]).port
    assert api.json(f"/api/health/checks/port-listener/{port}") == {"status": "ok", "port": port}
    missing = api.get("/api/health/checks/port-listener/1")
    assert missing.status_code == 503 and missing.json()["status"] == "failed"
    assert api.get("/api/health/checks/port-listener/x").status_code == 400
    assert api.json("/api/health/checks/protocol-listener/amqp091")["protocol"] == "amqp"
    assert api.get("/api/health/checks/protocol-listener/mqtt").status_code == 503
    assert api.get("/api/health/checks/certificate-expiration/x/months").status_code == 400
    assert api.get("/api/health/checks/certificate-expiration/1/fortnights").status_code == 400
    assert api.json("/api/aliveness-test/%2F") == {"status": "ok"}
    assert api.json("/api/healthchecks/node") == {"status": "ok"}
