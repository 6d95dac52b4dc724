"""x-consumer-timeout: a consumer that sits on a message loses it, and nothing else.

RabbitMQ 3.10 has one setting for all, and closes the channel; from 4.3 on the consumer is
cancelled and the channel lives. All here is Bongsu's.
"""

import pytest
from helpers import a_queue, consume, consumers, get, headers, only_bongsu, put, ready, unique, until

pytestmark = only_bongsu("RabbitMQ 3.10 has no timeout of a queue's own")

TIMEOUT = {"x-consumer-timeout": 300}
PATIENCE = 25


@pytest.fixture
def aware(connect):
    return connect(capabilities={"consumer_cancel_notify": True}).channel()


@pytest.fixture
def queue(connect):
    """Not exclusive: consumers come from several connections."""
    name = unique()
    connect().channel().call("queue.declare", queue=name, arguments=TIMEOUT)
    yield name
    connect().channel().call("queue.delete", queue=name)


def test_consumer_is_cancelled_and_the_message_comes_back(aware, channel, queue):
    tag = consume(aware, queue)
    put(channel, queue, "m")
    aware.delivery()
    assert aware.wait("basic.cancel", patience=PATIENCE).consumer_tag == tag
    until(lambda: ready(channel, queue) == 1, "it is back")
    again = get(channel, queue)
    assert (again.body, again.redelivered) == (b"m", True)
    assert consumers(channel, queue) == 0


def test_timeout_is_no_failure(aware, channel, queue):
    consume(aware, queue)
    put(channel, queue, "m")
    aware.delivery()
    aware.wait("basic.cancel", patience=PATIENCE)
    until(lambda: ready(channel, queue) == 1, "it is back")
    assert headers(get(channel, queue)).get("x-delivery-count", 0) == 0


def test_channel_lives(aware, channel, queue):
    other = a_queue(aware)
    consume(aware, other, "other", no_ack=True)
    consume(aware, queue, "late")
    put(channel, queue, "m")
    aware.delivery()
    assert aware.wait("basic.cancel", patience=PATIENCE).consumer_tag == "late"
    put(channel, other, "m")
    assert aware.delivery().consumer_tag == "other"
    aware.sync()


def test_another_consumer_gets_it(aware, connect, channel, queue):
    aware.call("basic.qos", prefetch_count=1)
    consume(aware, queue)
    put(channel, queue, "m")
    aware.delivery()
    other = connect().channel()
    consume(other, queue)
    again = other.delivery(patience=PATIENCE)
    assert (again.body, again.redelivered) == (b"m", True)
    other.send("basic.ack", delivery_tag=again.delivery_tag)
    other.sync()


def test_next_in_line_of_a_single_active_consumer(aware, connect, channel):
    """The cancelled one is out of the line: the next must not wait for it."""
    name = unique()
    channel.call("queue.declare", queue=name, arguments={**TIMEOUT, "x-single-active-consumer": True})
    other = connect().channel()
    consume(aware, name)
    consume(other, name)
    put(channel, name, "m")
    aware.delivery()
    assert other.delivery(patience=PATIENCE).body == b"m"
    other.send("basic.ack", delivery_tag=1)
    put(channel, name, "next")
    assert other.delivery().body == b"next"
    channel.call("queue.delete", queue=name)


def test_who_settles_in_time_is_left_alone(aware, channel, queue):
    """Idle for longer than the timeout, with nothing out: no reason to cancel."""
    consume(aware, queue)
    put(channel, queue, "m")
    aware.send("basic.ack", delivery_tag=aware.delivery().delivery_tag)
    witness = a_queue(channel, arguments={"x-message-ttl": 600})
    put(channel, witness, "w")
    until(lambda: ready(channel, witness) == 0, "twice the timeout has passed")
    aware.nothing()
    assert consumers(channel, queue) == 1


def test_timeout_of_one_consumer(aware, channel):
    """As its own argument, on a queue that has none."""
    name = a_queue(aware)
    consume(aware, name, "mine", arguments=TIMEOUT)
    put(aware, name, "m")
    aware.delivery()
    assert aware.wait("basic.cancel", patience=PATIENCE).consumer_tag == "mine"
    until(lambda: ready(aware, name) == 1, "it is back")
