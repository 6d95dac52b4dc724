"""The user-id property: a message may say who sent it only if it is true."""

import pytest
from helpers import a_queue, get, put, refused, unique

PUBLISH = (60, 40)


def test_ones_own_is_passed_on(channel):
    queue = a_queue(channel)
    put(channel, queue, ("m", {"user_id": "guest"}))
    assert get(channel, queue).properties["user_id"] == "guest"


def test_none_is_not_added(channel):
    queue = a_queue(channel)
    put(channel, queue, "m")
    assert "user_id" not in get(channel, queue).properties


@pytest.mark.parametrize("name", ["somebody", "Guest", "guest ", ""])
def test_anothers_is_refused(connection, channel, name):
    text = f"PRECONDITION_FAILED - user_id property set to '{name}' but authenticated user was 'guest'"
    with refused(406, text, method=PUBLISH):
        channel.publish("", a_queue(channel), b"m", {"user_id": name})
        channel.sync()
    connection.channel().sync()


def test_it_is_checked_even_if_nobody_gets_it(channel):
    text = "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'"
    with refused(406, text, method=PUBLISH):
        channel.publish("amq.direct", unique("nowhere"), b"m", {"user_id": "somebody"})
        channel.sync()
