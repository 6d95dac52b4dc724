"""Details that show only beside the real RabbitMQ: who is first, and what happens at nought."""

import pytest
from helpers import (
    a_queue,
    a_queue_and_its_dead,
    arrived,
    bodies,
    consume,
    get,
    put,
    ready,
    refused,
    texts,
    until,
)
from wire import Typed


@pytest.fixture
def queue(channel):
    return a_queue(channel, arguments={"x-single-active-consumer": True})


def publish(where, queue, *messages):
    for message in messages:
        if isinstance(message, tuple):
            put(where, queue, (message[0], message[1] and {"expiration": message[1]}))
        else:
            where.publish("", queue, str(message))


def at(body, priority):
    return (body, {"priority": priority})


def reject(channel, what, requeue=False):
    message = get(channel, what) if isinstance(what, str) else what
    channel.send("basic.reject", delivery_tag=message.delivery_tag, requeue=requeue)


@pytest.mark.parametrize("value", [Typed("l", 2**40), Typed("i", 2**32 - 1), Typed("l", -(2**40))])
def test_consumer_priority_beyond_32_bits(channel, value):
    queue = a_queue(channel)
    consume(channel, queue, no_ack=True, arguments={"x-priority": value})
    put(channel, queue, "m")
    assert channel.delivery().body == b"m"


def test_dying_in_another_order_than_the_queues(channel):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, *range(4))
    out = [get(channel, queue) for _ in range(4)]
    for index in (2, 0, 3, 1):
        reject(channel, out[index])
    assert texts(arrived(channel, dead, 4)) == ["2", "0", "3", "1"]


@pytest.mark.parametrize("how", ["queue", "message"])
def test_zero_with_a_waiting_consumer_is_delivered(channel, how):
    arguments = {"x-message-ttl": 0} if how == "queue" else {}
    queue, dead = a_queue_and_its_dead(channel, arguments)
    consume(channel, queue, no_ack=True)
    publish(channel, queue, ("a", "0" if how == "message" else None))
    assert channel.delivery().body == b"a"
    assert ready(channel, dead) == 0


def test_zero_with_a_consumer_that_is_full_is_gone(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": 0})
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue)
    publish(channel, queue, ("a", None), ("b", None))
    assert channel.delivery().body == b"a"
    assert arrived(channel, dead, 1)[0].body == b"b"


def test_expiry_waits_for_the_head_as_in_any_queue(channel):
    """The head is the oldest of the highest priority, not one head for each priority."""
    queue, dead = a_queue_and_its_dead(channel, {"x-max-priority": 9})
    put(channel, queue, at("high stays", 9), ("low goes", {"priority": 1, "expiration": "50"}), at("low stays", 1))
    witness = a_queue(channel, arguments={"x-message-ttl": 100})
    put(channel, witness, "w")
    until(lambda: ready(channel, witness) == 0, "the witness expires")
    assert (ready(channel, queue), ready(channel, dead)) == (3, 0)
    assert bodies(channel, queue) == ["high stays", "low stays"]
    assert texts(arrived(channel, dead, 1)) == ["low goes"]


def test_exclusive_consumer_is_refused(channel, queue):
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    with refused(403, text, method=(60, 20)):
        consume(channel, queue, exclusive=True)


def test_limit_is_applied_message_by_message(channel):
    """Pipelined publishes are no unit: the large one of low priority is dropped before the next has come."""
    queue = a_queue(channel, arguments={"x-max-priority": 9, "x-max-length-bytes": 7})
    put(channel, queue, at("3xxxxx", 0))
    put(channel, queue, at("10xxxxxxxx", 0), at("11", 1))
    assert bodies(channel, queue) == ["11"]
