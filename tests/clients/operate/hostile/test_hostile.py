"""What docs/security.md says is tried: bounded, answered, survived."""

import base64
import json
import socket
import struct
import threading
import time

import pytest
from http_api import Api

GUEST = b"Authorization: Basic " + base64.b64encode(b"guest:guest") + b"\r\n"
GREETING = b"AMQP\x00\x00\x09\x01"


def nested(depth):
    """A table in a table in a table."""
    inner = b""
    for _ in range(depth):
        inner = b"\x01aF" + struct.pack(">I", len(inner)) + inner
    return struct.pack(">I", len(inner)) + inner


def closed_with(code, ask):
    import wire

    with pytest.raises(wire.Closed) as caught:
        ask()
    assert caught.value.code == code
    return caught.value.text


def ask(port, said, patience=60):
    """All that is answered before the socket is closed."""
    with socket.create_connection(("127.0.0.1", port), patience) as one:
        try:
            one.sendall(said)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answered = b""
        try:
            while read := one.recv(65536):
                answered += read
        except ConnectionResetError:
            pass
        return answered


# AMQP 0-9-1.


def test_tables_nested_ten_thousand_deep(target):
    connection = target.amqp()
    channel = connection.channel()
    declare = struct.pack(">HHH", 50, 10, 0) + b"\x01q" + b"\0" + nested(10_000)
    connection.send_frame(1, 1, declare)
    assert "nested" in closed_with(502, channel.event)


def test_a_login_nested_ten_thousand_deep(target):
    connection = target.amqp(handshake=False)
    connection.send_bytes(GREETING)
    connection.control.wait("connection.start")
    response = b"\0guest\0guest"
    says = nested(10_000) + b"\x05PLAIN" + struct.pack(">I", len(response)) + response + b"\x05en_US"
    connection.send_frame(1, 0, struct.pack(">HH", 10, 11) + says)
    closed_with(502, connection.control.event)


def test_headers_nested_ten_thousand_deep_pass_through(target):
    import wire

    connection = target.amqp()
    channel = connection.channel()
    channel.call("queue.declare", queue="deep")
    channel.call("queue.bind", queue="deep", exchange="amq.headers", arguments={"a": "b"})
    channel.call("confirm.select")
    for exchange in ("", "amq.headers"):
        connection.send_frame(1, 1, wire.encode_method("basic.publish", exchange=exchange, routing_key="deep"))
        connection.send_frame(2, 1, struct.pack(">HHQH", 60, 0, 0, 0x2000) + nested(10_000))
        assert channel.event().name == "basic.ack"
    # Whoever looks inside finds no headers, and what else there is.
    api = Api(target.broker.http, "guest", "guest")
    (record,) = api.json("/bongsu/v1/queues/%2F/deep/records?from=first")["items"]
    assert record["headers"] == {} and record["key"] == "deep"
    api.post("/api/queues/%2F/deep/get", {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"})
    connection.close()


def test_a_frame_of_four_gigabytes(target):
    connection = target.amqp()
    connection.send_bytes(struct.pack(">BHI", 1, 0, 0xFFFFFFFF) + bytes(100))
    assert "4294967295" in closed_with(501, connection.control.event)


def test_a_body_of_all_that_can_be_said(target):
    import wire

    connection = target.amqp()
    channel = connection.channel()
    connection.send_frame(1, 1, wire.encode_method("basic.publish", exchange="", routing_key="q"))
    connection.send_frame(2, 1, struct.pack(">HHQH", 60, 0, 2**63, 0))
    assert "9223372036854775808" in closed_with(406, channel.event)
    connection.close()


def test_as_many_channels_as_there_can_be(target):
    import wire

    connections = [target.amqp() for _ in range(30)]
    opens = (wire.encode_method("channel.open") for _ in range(2047))
    all_at_once = b"".join(wire.encode_frame(1, at, said) for at, said in enumerate(opens, 1))
    for connection in connections:
        connection.send_bytes(all_at_once)
    for connection in connections:
        for _ in range(2047):
            connection.read_frame()
    target.is_unhurt()
    connections[0].send_frame(1, 2048, wire.encode_method("channel.open"))
    assert "2047" in closed_with(530, connections[0].control.event)
    for connection in connections:
        connection.abort()


def test_a_consumer_that_stops_reading(target):
    import wire

    channel = target.bystander.channel()
    channel.queue_declare("unread")
    for _ in range(64):
        channel.basic_publish("", "unread", bytes(1 << 20))
    connection = target.amqp()
    connection.channel()
    connection.send_frame(1, 1, wire.encode_method("basic.consume", queue="unread", nowait=True))
    for _ in range(20):
        time.sleep(0.05)
        target.is_unhurt()
    connection.abort()
    channel.queue_delete("unread")


# Kafka.


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 104_857_601])
def test_a_request_of_gigabytes(target, length):
    assert ask(target.broker.kafka_port, struct.pack(">I", length) + bytes(64)) == b""


def test_a_list_of_two_billion_topics(target):
    said = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0x7FFFFFFF)
    assert ask(target.broker.kafka_port, struct.pack(">I", len(said)) + said) == b""


def test_thousands_of_fetches_whose_answers_nobody_reads(target):
    channel = target.bystander.channel()
    channel.confirm_delivery()
    channel.queue_declare("fetched", durable=True, arguments={"x-queue-type": "stream"})
    for _ in range(8):
        channel.basic_publish("", "fetched", bytes(1 << 20))
    # Version 4, of any replica: at most 8 MiB from the start of the one partition.
    said = struct.pack(">hhihiiiibih", 1, 4, 7, -1, -1, 0, 1, 8 << 20, 0, 1, 7) + b"fetched"
    said += struct.pack(">iiqi", 1, 0, 0, 8 << 20)
    with socket.create_connection(("127.0.0.1", target.broker.kafka_port), 10) as one:
        one.sendall((struct.pack(">I", len(said)) + said) * 2000)
        for _ in range(20):
            time.sleep(0.05)
            target.is_unhurt()
    channel.queue_delete("fetched")


# HTTP.


@pytest.mark.parametrize(
    "said, status",
    [
        (b"POST /api/definitions HTTP/1.1\r\nHost: x\r\n" + GUEST + b"Content-Length: 4294967296\r\n\r\n{", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % at for at in range(1000)) + b"\r\n", 431),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"POST /api/definitions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + GUEST
         + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, 400),
        (b"GET /api/queues?use_regex=true&name=" + b"(a%2B)%2B%24" * 200
         + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + GUEST + b"\r\n", 200),
        (b"GET /api/queues?page_size=1000000000&page=999999999999 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
         + GUEST + b"\r\n", 400),
    ],
    ids=["body", "headers", "path", "nested", "pattern", "page"],
)
def test_requests_that_want_too_much(target, said, status):
    answered = ask(target.broker.http_port, said)
    assert answered.startswith(b"HTTP/1.1 %d " % status), answered[:200]


def test_a_policy_with_a_pattern_that_explodes(target):
    api = Api(target.broker.http, "guest", "guest")
    body = {"pattern": "(a+)+$", "definition": {"max-length": 1}, "apply-to": "queues"}
    answer = api.put("/api/policies/%2F/slow", body)
    channel = target.bystander.channel()
    channel.queue_declare("a" * 250 + "!")
    channel.queue_delete("a" * 250 + "!")
    if answer.status_code < 300:
        api.delete("/api/policies/%2F/slow")


# All at once.


@pytest.mark.patient(90)
def test_slow_lorises_are_sent_away(target):
    """Three hundred who send a byte and no more, to each protocol."""
    first = {target.broker.amqp_port: b"A", target.broker.kafka_port: b"\0", target.broker.http_port: b"G"}
    ended, lock = [], threading.Lock()

    def creep(port):
        answered = ask(port, first[port])
        with lock:
            ended.append((port, answered))

    creeping = [threading.Thread(target=creep, args=(port,)) for port in first for _ in range(100)]
    for thread in creeping:
        thread.start()
    target.is_unhurt()
    for thread in creeping:
        thread.join(80)
    assert len(ended) == 300


@pytest.mark.patient(60)
def test_a_storm_of_connections_that_say_nothing(target):
    for _ in range(20):
        idle = [socket.create_connection(("127.0.0.1", target.broker.amqp_port)) for _ in range(200)]
        for one in idle:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
    assert json.loads(ask(target.broker.http_port, b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").split(b"\r\n\r\n")[1])
