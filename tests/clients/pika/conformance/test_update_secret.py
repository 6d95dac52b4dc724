"""connection.update-secret, access.request and the tickets of old clients: granted, and of no effect."""

import pytest
from helpers import a_queue, bodies, put


def test_update_secret_is_answered(connection, channel):
    connection.control.call("connection.update-secret", new_secret="guest", reason="it was time")
    channel.sync()


def test_update_secret_again_and_again(connection, channel):
    queue = a_queue(channel)
    for number in range(5):
        put(channel, queue, number)
        connection.control.call("connection.update-secret", new_secret=f"secret {number}", reason="")
    assert bodies(channel, queue) == ["0", "1", "2", "3", "4"]


def test_update_secret_of_any_length(connection, channel):
    connection.control.call("connection.update-secret", new_secret=b"\x00\xff" * 20000, reason="x" * 255)
    channel.sync()


@pytest.mark.parametrize(
    "asked",
    [
        {"realm": ""},
        {"realm": "/data", "exclusive": True},
        {"realm": "/data", "passive": True, "active": True, "write": True, "read": True},
    ],
    ids=str,
)
def test_access_is_granted(channel, asked):
    assert channel.call("access.request", **asked).ticket == 1


def test_ticket_is_not_looked_at(channel):
    assert channel.call("queue.declare", ticket=77, queue="", exclusive=True).queue
    channel.call("basic.consume", ticket=65535, queue="")
