"""Connections, channels and consumers as tools see them; and how they are sent away."""

import os
import socket
import time

import pika
import pytest
from http_api import part

MANY = 1000


def test_a_connection_is_told_with_all_that_it_says_of_itself(api, amqp):
    name = "told-of-itself"
    connection = amqp(client_properties={"connection_name": name})
    channel = connection.channel()
    channel.basic_qos(prefetch_count=7)
    queue = channel.queue_declare("", exclusive=True).method.queue
    tag = channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": 3})
    (told,) = [
        one
        for one in api.json("/api/connections")
        if one["client_properties"].get("connection_name") == name
    ]
    local = connection._impl._transport._sock.getsockname()
    server = connection._impl._transport._sock.getpeername()
    assert told["name"] == f"127.0.0.1:{local[1]} -> 127.0.0.1:{server[1]}"
    assert told["client_properties"]["product"] == "Pika Python Client Library"
    expected = {
        "user": "guest",
        "vhost": "/",
        "protocol": "AMQP 0-9-1",
        "auth_mechanism": "PLAIN",
        "frame_max": 131072,
        "channel_max": 2047,
        "channels": 1,
        "state": "running",
        "ssl": False,
        "peer_port": local[1],
        "port": server[1],
    }
    assert {key: told[key] for key in expected} == expected
    assert told["recv_oct"] > 0 and told["send_oct"] > 0
    (of_it,) = api.json(f"/api/connections/{part(told['name'])}/channels")
    assert of_it["prefetch_count"] == 7
    assert of_it["consumer_count"] == 1
    (consumer,) = [one for one in api.json("/api/consumers/%2F") if one["consumer_tag"] == tag]
    assert consumer["prefetch_count"] == 7
    assert consumer["arguments"] == {"x-priority": 3}
    assert consumer["queue"] == {"name": queue, "vhost": "/"}
    assert consumer["channel_details"]["connection_name"] == told["name"]


@pytest.mark.patient(180)
def test_a_thousand_connections_are_paged(api, amqp):
    """Sockets that have not logged in are connections too."""
    host, port = address()
    before = len(api.json("/api/connections"))
    sockets = [socket.create_connection((host, port)) for _ in range(MANY)]
    try:
        for one in sockets:
            one.sendall(b"AMQP\x00\x00\x09\x01")
            assert one.recv(1)
        names, page = [], 1
        while True:
            told = api.json(f"/api/connections?page={page}&page_size=300")
            names += [item["name"] for item in told["items"]]
            if page >= told["page_count"]:
                break
            page += 1
        ours = {f"127.0.0.1:{one.getsockname()[1]} -> 127.0.0.1:{port}" for one in sockets}
        assert ours <= set(names)
        assert len(names) == len(set(names)) == MANY + before
    finally:
        for one in sockets:
            one.close()


def test_whoever_is_sent_away_is_told_why(api, amqp):
    connection = amqp()
    port = connection._impl._transport._sock.getsockname()[1]
    (name,) = [
        one["name"]
        for one in api.json("/api/connections")
        if one["name"].startswith(f"127.0.0.1:{port} ")
    ]
    response = api.delete(f"/api/connections/{part(name)}", headers={"X-Reason": "a test says so"})
    assert response.status_code == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught:
        while True:
            connection.process_data_events(10)
    assert (caught.value.reply_code, caught.value.reply_text) == (
        320,
        "CONNECTION_FORCED - a test says so",
    )
    # It is listed until its socket is closed, a moment after it was told.
    while api.delete(f"/api/connections/{part(name)}").status_code != 404:
        time.sleep(0.05)


def address():
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    return parameters.host, parameters.port
