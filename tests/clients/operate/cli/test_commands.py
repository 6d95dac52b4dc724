"""Every noun: what is declared is listed, shown, changed and deleted."""

import json
import os
import re
import subprocess

import pytest
from brokers import free_port
from http_api import Api


def test_queues_and_their_records(own_broker, line):
    bongsu = line(own_broker())
    assert bongsu("queue", "list").err == "nothing\n"
    declared = bongsu("queue", "declare", "orders/한국", "-a", "x-max-length=10", "--json").json
    assert declared == {"done": "declared", "queue": "orders/한국"}
    bongsu("queue", "declare", "orders/한국", "-a", "x-max-length=10")
    assert "x-max-length" in bongsu("queue", "declare", "orders/한국", code=1).err
    for number in range(3):
        bongsu("publish", "orders/한국", f"text {number}", "-H", "kind=a", "-p", "message_id=m")
    bongsu("publish", "orders/한국", "-", code=0)
    (row,) = bongsu("queue", "list", "--json").json
    assert (row["space"], row["name"], row["durable"]) == ("/", "orders/한국", True)
    shown = bongsu("queue", "show", "orders/한국", "--json").json
    assert shown["depth"]["ready"] == 4
    peeked = bongsu("queue", "peek", "orders/한국", "-n", 2, "--json").json["items"]
    assert [item["payload"] for item in peeked] == ["text 0", "text 1"]
    assert peeked[0]["state"] == "ready"
    assert "text 1" in bongsu("queue", "peek", "orders/한국", "--long").out
    assert len(bongsu("queue", "peek", "orders/한국", "--header", "kind=a", "--json").json["items"]) == 3
    assert bongsu("queue", "why", "orders/한국", "--json").json["delivering"] is False
    assert bongsu("queue", "leases", "orders/한국", "--json").json == []
    bongsu("queue", "declare", "other")
    moved = bongsu("queue", "move", "orders/한국", "--to", "other", "--limit", 1, "--dry-run", "--json")
    assert (moved.json["matched"], moved.json["moved"]) == (1, 0)
    moved = bongsu("queue", "move", "orders/한국", "--to", "other", "--limit", 1, "--json")
    assert moved.json["moved"] == 1
    assert bongsu("consume", "other", "-n", 1).out == "text 0\n"
    assert bongsu("queue", "show", "other", "--json").json["depth"]["total"] == 0
    bongsu("queue", "purge", "orders/한국")
    assert bongsu("queue", "show", "orders/한국", "--json").json["depth"]["ready"] == 0
    assert "NAME" in bongsu("queue", "list").out
    bongsu("queue", "delete", "orders/한국")
    assert "(404" in bongsu("queue", "show", "orders/한국", code=3).err
    bongsu("queue", "delete", "orders/한국", code=3)


def test_dead_records_come_back(own_broker, line):
    bongsu = line(own_broker())
    bongsu("queue", "declare", "dead")
    dead = ("-a", "x-dead-letter-exchange=", "-a", "x-dead-letter-routing-key=dead")
    bongsu("queue", "declare", "short", *dead, "-a", "x-max-length=1")
    for number in range(3):
        bongsu("publish", "short", number)
    found = bongsu("queue", "dead", "dead", "--json").json["items"]
    assert [item["reason"] for item in found] == ["maxlen", "maxlen"]
    (by,) = bongsu("queue", "dead", "dead", "--summary", "--json").json
    assert (by["queue"], by["reason"], by["count"]) == ("short", "maxlen", 2)
    bongsu("queue", "declare", "again")
    done = bongsu("queue", "redrive", "dead", "--all", "--to", "/again", "--json").json
    assert (done["matched"], done["moved"]) == (2, 2)
    assert bongsu("consume", "again", "-n", 2).out == "0\n1\n"


def test_streams(own_broker, line):
    bongsu = line(own_broker())
    bongsu("stream", "declare", "log", "--max-age", "7D")
    for number in range(3):
        bongsu("publish", "log", f"record {number}")
    (row,) = bongsu("stream", "list", "--json").json
    assert (row["name"], row["count"]) == ("log", 3)
    assert bongsu("stream", "show", "log", "--json").json["partitions"][0]["end"] == 3
    peeked = bongsu("stream", "peek", "log", "--from", "1", "--json").json["items"]
    assert [item["offset"] for item in peeked] == [1, 2]
    read = bongsu("consume", "log", "--from", "first", "-n", 2, "--json").out.splitlines()
    assert [json.loads(line)["payload"] for line in read] == ["record 0", "record 1"]
    replayed = bongsu("queue", "replay", "log", "--to", "log", "--dry-run", "--json").json
    assert (replayed["read"], replayed["replayed"]) == (3, 3)
    bongsu("stream", "delete", "log")
    bongsu("stream", "show", "log", code=3)


def test_exchanges_and_bindings(own_broker, line):
    bongsu = line(own_broker())
    bongsu("exchange", "declare", "events", "--type", "topic")
    bongsu("queue", "declare", "all")
    bongsu("exchange", "bind", "events", "all", "-k", "a.*", "-a", "n=1")
    bongsu("exchange", "bind", "events", "all", "-k", "b.#")
    keys = [b["routing_key"] for b in bongsu("exchange", "bindings", "events", "--json").json]
    assert sorted(keys) == ["a.*", "b.#"]
    bongsu("publish", "a.x", "in", "-e", "events")
    assert "no queue took it" in bongsu("publish", "c", "out", "-e", "events", code=1).err
    bongsu("exchange", "unbind", "events", "all", "-k", "a.*", code=3)
    bongsu("exchange", "unbind", "events", "all", "-k", "a.*", "-a", "n=1")
    bongsu("publish", "a.x", "out", "-e", "events", code=1)
    assert "events" in [x["name"] for x in bongsu("exchange", "list", "--json").json]
    bongsu("exchange", "delete", "events")
    bongsu("publish", "a.x", "out", "-e", "events", code=3)


def test_spaces_and_connections(own_broker, line, amqp_to):
    broker = own_broker()
    bongsu = line(broker)
    bongsu("space", "add", "tenant", "--description", "of somebody")
    named = {row["name"]: row["description"] for row in bongsu("space", "list", "--json").json}
    assert named["tenant"] == "of somebody"
    bongsu("queue", "declare", "q", "--space", "tenant")
    assert [q["name"] for q in bongsu("queue", "list", "-s", "tenant", "--json").json] == ["q"]
    assert bongsu("queue", "list", "--json").json == []
    assert len(bongsu("queue", "list", "--all-spaces", "--json").json) == 1
    bongsu("space", "delete", "tenant")
    bongsu("space", "delete", "tenant", code=3)
    connection = amqp_to(broker)
    (row,) = bongsu("connection", "list", "--json").json
    assert (row["user"], row["space"]) == ("guest", "/")
    bongsu("connection", "close", row["name"])
    with pytest.raises(Exception, match="320"):
        connection.process_data_events(time_limit=10)
    bongsu("connection", "close", row["name"], code=3)


def test_groups(own_broker, line):
    bongsu = line(own_broker())
    assert bongsu("group", "list", "--json").json == []
    bongsu("group", "show", "nobody", code=3)
    bongsu("group", "delete", "nobody", code=3)
    bongsu("group", "move", "nobody", "--topic", "t", "--to", "first", code=3)


def test_status_top_and_bench(own_broker, line):
    broker = own_broker()
    bongsu = line(broker)
    assert bongsu("status", "--ready").out == "ready\n"
    assert "records" in bongsu("status").out
    assert bongsu("status", "--json").json["totals"]["queues"] == 0
    bongsu("queue", "declare", "q")
    # Without a terminal, one look.
    assert re.search(r"^/\s+q\s+0", bongsu("top").out, re.M)
    assert bongsu("top", "--json").json["queues"][0]["name"] == "q"
    measured = bongsu("bench", "--duration", "1s", "--json").json
    assert measured["published"] > 0 and measured["consumed"] > 0
    assert measured["confirm_us"]["p99"] >= measured["confirm_us"]["p50"]
    assert [q["name"] for q in bongsu("queue", "list", "--json").json] == ["q"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(own_broker, shell):
    done = subprocess.run(
        [os.environ["BROKER_PROGRAM"], "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "redrive" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def test_serve_takes_the_data_directory(tmp_path):
    none = {f"BONGSU_{of}_LISTEN": "" for of in ("AMQP", "KAFKA")}
    others = {name: said for name, said in os.environ.items() if not name.startswith("BONGSU_")}
    environment = {**others, **none, "BONGSU_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
    command = [os.environ["BROKER_PROGRAM"], "serve", "--data", tmp_path / "here"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as broker:
        told = [broker.stdout.readline() for _ in range(3)]
        api = Api(f"http://{environment['BONGSU_ADMIN_LISTEN']}", "guest", "guest")
        settings = api.json("/bongsu/v1/settings")["items"]
        broker.terminate()
    assert f"{tmp_path}/here (new" in told[1]
    assert [one["value"] for one in settings if one["key"] == "data.dir"] == [f"{tmp_path}/here"]
    assert (tmp_path / "here" / "lock").exists()
